"""The same losses and gradients as torchvision and torch, on random input."""

from types import SimpleNamespace

import pytest
import torch
from torch.nn import functional
from torchvision import ops as tv
from torchvision.models.detection._utils import BoxCoder, SSDMatcher
from torchvision.models.detection.ssd import SSD

from cvlab import losses
from cvlab.losses import MultiBoxLoss
from cvlab.ops import box_iou, detection_targets, pad_targets

IOU_LOSSES = ["generalized_box_iou_loss", "distance_box_iou_loss", "complete_box_iou_loss"]


def _boxes(count, seed, dtype):
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(count, 2, generator=generator, dtype=dtype) * 60
    side = torch.rand(count, 2, generator=generator, dtype=dtype) * 40 + 4
    return torch.cat((corner, corner + side), 1)


def _with_gradient(function, *inputs):
    inputs = [t.clone().requires_grad_() for t in inputs]
    value = function(*inputs)
    return value.detach(), torch.autograd.grad(value.sum(), inputs)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
@pytest.mark.parametrize("name", IOU_LOSSES)
def test_iou_losses(name, reduction, dtype):
    a, b = _boxes(200, 0, dtype), _boxes(200, 1, dtype)
    assert bool((box_iou(a, b).diagonal() > 0).any())
    assert bool((box_iou(a, b).diagonal() == 0).any())
    mine = _with_gradient(lambda x, y: getattr(losses, name)(x, y, reduction=reduction), a, b)
    theirs = _with_gradient(lambda x, y: getattr(tv, name)(x, y, reduction=reduction), a, b)
    torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
@pytest.mark.parametrize(("alpha", "gamma"), [(0.25, 2.0), (-1, 2.0), (0.6, 0.0), (0.25, 1.5)])
def test_focal(alpha, gamma, reduction):
    generator = torch.Generator().manual_seed(0)
    inputs = 4 * torch.randn(3, 50, generator=generator, dtype=torch.float64)
    truth = torch.randint(2, (3, 50), generator=generator).double()
    mine = _with_gradient(lambda x: losses.sigmoid_focal_loss(x, truth, alpha, gamma, reduction), inputs)
    theirs = _with_gradient(lambda x: tv.sigmoid_focal_loss(x, truth, alpha, gamma, reduction), inputs)
    torch.testing.assert_close(mine, theirs)


@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
@pytest.mark.parametrize("beta", [0.0, 1 / 9, 1.0, 2.5])
def test_smooth_l1(beta, reduction):
    a, b = (torch.randn(300, generator=torch.Generator().manual_seed(i), dtype=torch.float64) for i in (0, 1))
    mine = _with_gradient(lambda x, y: losses.smooth_l1_loss(x, y, beta, reduction), a, b)
    theirs = _with_gradient(lambda x, y: functional.smooth_l1_loss(x, y, beta=beta, reduction=reduction), a, b)
    torch.testing.assert_close(mine, theirs)


def test_cross_entropy_of_all_is_torchs():
    logits = torch.randn(2, 30, 5, generator=torch.Generator().manual_seed(0))
    labels = torch.randint(5, (2, 30), generator=torch.Generator().manual_seed(1))
    mine = losses.hard_negative_cross_entropy(logits, labels, torch.inf, reduction="sum")
    torch.testing.assert_close(mine, functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="sum"))


def _crowd(seed):
    """Make anchors, and targets of three images in which no two objects want the same anchor."""
    generator = torch.Generator().manual_seed(seed)
    anchors = _boxes(150, seed, torch.float32)
    made = []
    for count in (4, 7, 3):
        own = anchors[torch.randperm(150, generator=generator)[:count]]
        boxes = own + torch.rand(count, 4, generator=generator)
        made.append({"boxes": boxes, "labels": torch.randint(1, 6, (count,), generator=generator)})
    return anchors, made


@pytest.mark.parametrize("seed", range(4))
def test_losses_of_a_detector(seed):
    """Every image has three objects or more, so that three negatives for each are eight at least."""
    anchors, made = _crowd(seed)
    generator = torch.Generator().manual_seed(seed)
    logits, offsets = torch.randn(3, 150, 6, generator=generator), torch.randn(3, 150, 4, generator=generator)
    matched = [SSDMatcher(0.5)(tv.box_iou(t["boxes"], anchors)) for t in made]

    def theirs(logits, offsets):
        model = SimpleNamespace(box_coder=BoxCoder(weights=(10.0, 10.0, 5.0, 5.0)), neg_to_pos_ratio=3.0)
        heads = {"cls_logits": logits, "bbox_regression": offsets}
        found = SSD.compute_loss(model, made, heads, [anchors] * 3, matched)
        return torch.stack((found["classification"], found["bbox_regression"]))

    def ours(logits, offsets):
        found = MultiBoxLoss()(logits, offsets, detection_targets(anchors, *pad_targets(made)), anchors)
        return torch.stack((found["classification"], found["bbox_regression"]))

    got, expected = _with_gradient(ours, logits, offsets), _with_gradient(theirs, logits, offsets)
    torch.testing.assert_close(got, expected)
