"""The small classifier: it learns what can be learnt, the same after the same seed, and says what it cannot take."""

import math

import pytest
import torch
from torch import nn

from cvlab import _check
from cvlab.models import SmallClassifier, accuracy, fit, predict
from cvlab.models.small import scaled


def coloured(count=48, seed=0):
    """Red and blue pictures with noise, in turn."""
    g = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 2
    images = torch.randint(0, 100, (count, 3, 16, 16), generator=g, dtype=torch.uint8)
    images[labels == 0, 0] += 150
    images[labels == 1, 2] += 150
    return images, labels


def small(num_classes=2, seed=0, width=4):
    torch.manual_seed(seed)
    return SmallClassifier(num_classes, width)


class Constant(nn.Module):
    """Gives the logits (1, 0) for every picture, and remembers what it was shown."""

    def __init__(self):
        super().__init__()
        self.bias = nn.Parameter(torch.tensor([1.0, 0.0]))
        self.seen = []

    def forward(self, images):
        self.seen.append(images)
        return self.bias.expand(len(images), 2)


def numbered(count):
    """Pictures that are filled with their own index."""
    return torch.arange(count, dtype=torch.uint8)[:, None, None, None].expand(-1, 3, 16, 16)


@pytest.mark.parametrize(("batch", "size"), [(1, (16, 16)), (2, (17, 40)), (0, (32, 32))])
def test_logits_for_every_size(batch, size):
    assert small(7).eval()(torch.zeros(batch, 3, *size)).shape == (batch, 7)


def test_the_channels_grow_and_the_sides_shrink():
    model = small(5, width=6)
    shapes = [tuple(p.shape) for p in model.features.parameters() if p.dim() == 4]
    assert shapes == [(6, 3, 3, 3), (12, 6, 3, 3), (18, 12, 3, 3), (24, 18, 3, 3)]
    assert model.features(torch.zeros(1, 3, 32, 48).expand(2, -1, -1, -1)).shape == (2, 24, 4, 6)


def test_scaled_by_hand():
    # x / 127.5 - 1: 0 -> -1, 51 -> -0.6, 102 -> -0.2, 255 -> 1
    assert scaled(torch.tensor([0, 51, 102, 255], dtype=torch.uint8)).tolist() == pytest.approx([-1, -0.6, -0.2, 1])


def test_it_learns_to_tell_red_from_blue():
    (images, labels), (tests, truth) = coloured(), coloured(20, seed=1)
    model = small()
    losses = fit(model, images, labels, epochs=5, batch_size=8)
    assert len(losses) == 5
    assert losses[-1] < losses[0] / 2
    assert accuracy(model, tests, truth) == 1.0
    assert accuracy(model, tests, 1 - truth) == 0.0
    # trained on [-1, 1] with red first; blue first gets all wrong
    assert accuracy(model, tests, truth, scale=lambda x: scaled(x.flip(1))) == 0.0


def test_the_seed_decides():
    images, labels = coloured(24)
    weights = []
    for seed in (1, 1, 2):
        torch.rand(seed)  # whatever the global generator did before
        model = small()
        fit(model, images, labels, epochs=1, batch_size=8, seed=seed, augment=lambda x: x ^ (torch.rand(()) < 0.5))
        weights.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_the_loss_and_its_weights_by_hand():
    # -log softmax(1, 0) is ln(1 + 1/e) = 0.3133 for class 0 and 1.3133 for class 1; three pictures of 0, one of 1
    easy = math.log(1 + math.exp(-1))
    labels = torch.tensor([0, 0, 0, 1])
    for weights, expected in (
        (None, (3 * easy + (easy + 1)) / 4),
        (torch.tensor([1.0, 3.0]), (3 * easy + 3 * (easy + 1)) / (3 + 3)),
        (torch.tensor([1.0, 0.0]), easy),
    ):
        losses = fit(Constant(), numbered(4), labels, epochs=1, learning_rate=1e-9, weights=weights)
        assert losses == pytest.approx([expected], abs=1e-6)


def test_each_image_comes_once_in_an_epoch_and_each_epoch_in_another_order():
    model = Constant()
    fit(model, numbered(30), torch.zeros(30).long(), epochs=2, batch_size=8)
    assert [len(batch) for batch in model.seen] == [8, 8, 8, 6] * 2
    first, second = (
        ((torch.cat(part)[:, 0, 0, 0] + 1) * 127.5).round().tolist() for part in (model.seen[:4], model.seen[4:])
    )
    assert sorted(first) == sorted(second) == list(range(30))
    assert first != second
    assert first != list(range(30))


def test_the_order_given_is_followed():
    model = Constant()
    losses = fit(
        model, numbered(5), torch.zeros(5).long(), epochs=2, batch_size=2, order=lambda _: torch.tensor([4, 4, 0])
    )
    assert len(losses) == 2
    assert [batch[:, 0, 0, 0].tolist() for batch in model.seen] == [
        scaled(torch.tensor(part)).tolist() for part in ([4, 4], [0], [4, 4], [0])
    ]


def test_the_order_draws_from_the_seeds_generator():
    def run(seed):
        model = Constant()
        fit(
            model,
            numbered(40),
            torch.zeros(40).long(),
            epochs=2,
            seed=seed,
            order=lambda g: torch.randperm(40, generator=g)[:6],
        )
        return [batch[:, 0, 0, 0].tolist() for batch in model.seen]

    assert run(3) == run(3)
    assert run(3) != run(4)
    assert run(3)[0] != run(3)[1]


def test_augmentation_gets_batches_of_bytes_and_its_answer_is_trained_on():
    given = []

    def augment(batch):
        given.append(batch)
        return torch.full_like(batch, 255)

    model = Constant()
    fit(model, numbered(3), torch.zeros(3).long(), epochs=1, augment=augment)
    assert given[0].dtype == torch.uint8
    assert sorted(given[0][:, 0, 0, 0].tolist()) == [0, 1, 2]
    assert bool((model.seen[0] == 1).all())


@pytest.mark.parametrize("epochs", [1, 2, 10, 11])
def test_any_number_of_steps_has_a_schedule(epochs):
    """With ten steps the first tenth is a single step, in which the learning rate has nowhere to rise from."""
    assert len(fit(Constant(), numbered(2), torch.tensor([0, 1]), epochs=epochs)) == epochs


def test_predict_is_a_softmax_in_evaluation_mode_that_changes_nothing():
    images, labels = coloured(257)  # one more than goes into a batch
    model = small(3, width=2)
    fit(model, images[:16], labels[:16], epochs=1)
    model.train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    found = predict(model, images)
    assert not found.requires_grad
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name
    with torch.no_grad():
        expected = model.eval()(scaled(images)).double().exp()
    torch.testing.assert_close(found, (expected / expected.sum(1, keepdim=True)).float(), atol=1e-5, rtol=0)


def test_accuracy_by_hand():
    # the model says 0 always; two of five are 0
    assert accuracy(Constant(), numbered(5), torch.tensor([0, 1, 1, 0, 1])) == pytest.approx(0.4)


def test_no_images_have_no_probabilities():
    assert predict(small(3), torch.zeros(0, 3, 16, 16, dtype=torch.uint8)).shape == (0, 3)


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (numbered(2)[:, :1], torch.tensor([0, 1]), r"images must have shape \(N, 3, H, W\), got \(2, 1, 16, 16\)"),
        (numbered(2)[0], torch.tensor([0, 1]), r"images must have shape \(N, 3, H, W\), got \(3, 16, 16\)"),
        (numbered(2), torch.tensor([0]), r"labels must have shape \(2,\), one for each image, got \(1,\)"),
        (numbered(0), torch.tensor([]).long(), "there must be one image or more, got none"),
    ],
)
def test_fit_refuses_what_does_not_fit(images, labels, message):
    with pytest.raises(_check.InputError, match=f"^fit: {message}"):
        fit(Constant(), images, labels)


@pytest.mark.parametrize(
    ("count", "labels", "message"),
    [
        (2, [0], r"labels must have shape \(2,\), one for each image, got \(1,\)"),
        (0, [], "there must be one image or more, got none"),
    ],
)
def test_accuracy_refuses_what_does_not_fit(count, labels, message):
    with pytest.raises(_check.InputError, match=f"^accuracy: {message}"):
        accuracy(Constant(), numbered(count), torch.tensor(labels).long())
