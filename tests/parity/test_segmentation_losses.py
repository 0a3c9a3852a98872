"""The losses of pixels as torch, torchvision and plain loops compute them, with gradients."""

import numpy as np
import pytest
import torch
from scipy import special
from sklearn.utils.class_weight import compute_class_weight
from torch.nn import functional
from torchvision.ops import sigmoid_focal_loss

from cvlab.losses import dice_loss, frequency_weights, pixel_cross_entropy


def _scene(seed, classes=6, size=(3, 9, 13), ignored=0.2):
    g = torch.Generator().manual_seed(seed)
    labels = torch.randint(classes, size, generator=g)
    labels[torch.rand(size, generator=g) < ignored] = 255
    logits = 3 * torch.randn(size[0], classes, *size[1:], generator=g, dtype=torch.float64)
    return logits, labels, torch.rand(size, generator=g, dtype=torch.float64)


def _with_gradient(function, logits):
    free = logits.clone().requires_grad_()
    value = function(free)
    return value.detach(), torch.autograd.grad(value.sum(), free)[0]


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64])
def test_cross_entropy_is_torchs(reduction, weighted, dtype):
    logits, labels, _ = _scene(0)
    weights = torch.tensor([0.1, 1.0, 2.0, 0.0, 5.0, 1.0], dtype=torch.float64) if weighted else None
    got = _with_gradient(
        lambda x: pixel_cross_entropy(x, labels.to(dtype), class_weights=weights, reduction=reduction), logits
    )
    options = {"weight": weights, "ignore_index": 255, "reduction": reduction}
    torch.testing.assert_close(got, _with_gradient(lambda x: functional.cross_entropy(x, labels, **options), logits))


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0, 5.0])
def test_focal_of_two_classes_is_torchvisions(gamma):
    """With the background's logit at 0, the softmax of two classes is the sigmoid of the other's."""
    logits, labels, _ = _scene(1, classes=2, ignored=0.0)
    logits = logits[:, 1:]

    def ours(x):
        both = torch.cat((torch.zeros_like(x), x), 1)
        return pixel_cross_entropy(both, labels, gamma=gamma, reduction="none")

    def theirs(x):
        return sigmoid_focal_loss(x[:, 0], labels.double(), alpha=-1, gamma=gamma)

    torch.testing.assert_close(_with_gradient(ours, logits), _with_gradient(theirs, logits))


@pytest.mark.parametrize("gamma", [0.0, 1.5])
def test_weighted_pixels_by_loops(gamma):
    logits, labels, weights = _scene(2)
    of_class = [0.3, 1.0, 2.0, 4.0, 0.0, 1.0]
    p = special.softmax(logits.numpy(), 1)
    above = below = 0.0
    for b, y, x in np.ndindex(*labels.shape):
        k = int(labels[b, y, x])
        if k == 255:
            continue
        w = of_class[k] * weights[b, y, x].item()
        above += w * (1 - p[b, k, y, x]) ** gamma * -np.log(p[b, k, y, x])
        below += w
    made = pixel_cross_entropy(logits, labels, class_weights=of_class, pixel_weights=weights, gamma=gamma)
    assert made.item() == pytest.approx(above / below, rel=1e-12)


def _one_hot_dice(logits, labels, squared, first):
    """Dice of one-hot maps, class by class, in loops over the classes."""
    counted = labels != 255
    p, values = logits.softmax(1), []
    for k in range(first, logits.shape[1]):
        t, q = (labels[counted] == k).double(), p[:, k][counted]
        if t.sum() > 0:
            values.append(1 - (2 * (t * q).sum() + 1) / ((q * q if squared else q).sum() + t.sum() + 1))
    return torch.stack(values).mean()


@pytest.mark.parametrize("squared", [False, True])
@pytest.mark.parametrize("first", [0, 1])
def test_dice_of_one_hot_maps(squared, first):
    logits, labels, _ = _scene(3)
    labels[labels == 4] = 2  # class 4 does not occur
    got = _with_gradient(lambda x: dice_loss(x, labels, squared=squared, foreground_only=first == 1), logits)
    torch.testing.assert_close(got, _with_gradient(lambda x: _one_hot_dice(x, labels, squared, first), logits))


def test_inverse_weights_are_scikit_learns():
    labels = np.random.default_rng(0).choice(5, 1000, p=[0.6, 0.2, 0.1, 0.07, 0.03])
    expected = compute_class_weight("balanced", classes=np.arange(5), y=labels)
    np.testing.assert_allclose(frequency_weights(np.bincount(labels).tolist(), "inverse").numpy(), expected, rtol=1e-6)
