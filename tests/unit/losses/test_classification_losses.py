"""Losses of classes: which negatives are mined, and how much easy anchors count, by hand."""

import math

import pytest
import torch

from cvlab._check import InputError
from cvlab.losses import hard_negative_cross_entropy, mine_hard_negatives, sigmoid_focal_loss

LN2 = math.log(2)
INTEGERS = "signed integers, such as torch.int64, got torch.float32"


def mined(losses, positive, **options):
    """Give the indices chosen in each image."""
    chosen = mine_hard_negatives(torch.tensor(losses), torch.tensor(positive).bool(), **options)
    return [row.nonzero()[:, 0].tolist() for row in chosen]


def test_the_largest_losses_are_mined_in_each_image_for_itself():
    losses = [[0.9, 0.1, 0.8, 0.3, 0.2], [5.0, 4.0, 3.0, 2.0, 1.0]]
    # one positive in the first image (the largest of all, never chosen), two in the second; ratio 1
    assert mined(losses, [[1, 0, 0, 0, 0], [0, 1, 0, 1, 0]], ratio=1.0, least=0) == [[2], [0, 2]]


def test_of_equal_losses_the_first_are_mined():
    assert mined([[0.5] * 6], [[0, 1, 0, 0, 0, 0]], ratio=3.0, least=0) == [[0, 2, 3]]


def test_losses_of_zero_are_mined_before_positives():
    assert mined([[0.0, 0.0, 0.0]], [[1, 0, 0]], ratio=3.0, least=0) == [[1, 2]]


@pytest.mark.parametrize(("least", "expected"), [(0, []), (2, [1, 3]), (9, [0, 1, 2, 3])])
def test_an_image_without_objects(least, expected):
    assert mined([[0.1, 0.4, 0.2, 0.3]], [[0, 0, 0, 0]], least=least) == [expected]


def test_there_are_no_more_negatives_than_there_are():
    assert mined([[0.1, 0.4, 0.2]], [[1, 1, 0]], ratio=3.0) == [[2]]
    assert mined([[0.1, 0.4]], [[1, 1]], ratio=3.0) == [[]]


def test_mining_nothing():
    assert mine_hard_negatives(torch.zeros(0, 5), torch.zeros(0, 5).bool()).shape == (0, 5)
    assert mine_hard_negatives(torch.zeros(3, 0), torch.zeros(3, 0).bool()).shape == (3, 0)


def test_cross_entropy_by_hand():
    # logits (0, a) of (background, class 1): the loss is log(1 + e^a) for background, log(1 + e^-a) for class 1
    logits = torch.tensor([[[0.0, 0.0], [0.0, 1.0], [0.0, 2.0], [0.0, -1.0]]])
    labels = torch.tensor([[1, 0, 0, 0]])
    hard = math.log(1 + math.exp(2))  # the hardest negative, anchor 2
    each = hard_negative_cross_entropy(logits, labels, ratio=1.0, least=0, reduction="none")
    torch.testing.assert_close(each, torch.tensor([[LN2, 0.0, hard, 0.0]]))
    total = hard_negative_cross_entropy(logits, labels, ratio=1.0, least=0, reduction="sum")
    assert total.item() == pytest.approx(LN2 + hard)


def test_the_mean_is_over_positives():
    # all losses are log 3; image 0 has 2 positives and 3 negatives, image 1 has none and takes its least, 1
    labels = torch.tensor([[1, 2, 0, 0, 0], [0, 0, 0, 0, 0]])
    made = hard_negative_cross_entropy(torch.zeros(2, 5, 3), labels, least=1)
    assert made.item() == pytest.approx((2 + 3 + 1) * math.log(3) / 2)


def test_without_positives_the_mean_is_the_sum():
    assert hard_negative_cross_entropy(torch.zeros(1, 9, 2), torch.zeros(1, 9).long()).item() == pytest.approx(8 * LN2)


def test_ratio_infinity_takes_all():
    labels = torch.tensor([[1] + [0] * 20, [0] * 21])
    made = hard_negative_cross_entropy(torch.zeros(2, 21, 2), labels, math.inf, reduction="sum")
    assert made.item() == pytest.approx(42 * LN2)


def test_only_chosen_anchors_have_a_gradient():
    logits = torch.tensor([[[0.0, 0.0], [0.0, 1.0], [0.0, 2.0]]], requires_grad=True)
    hard_negative_cross_entropy(logits, torch.tensor([[1, 0, 0]]), 1.0, 0).backward()
    # softmax minus truth: (0.5, 0.5) - (0, 1) and (0.1192, 0.8808) - (1, 0)
    p = 1 / (1 + math.exp(-2))
    torch.testing.assert_close(logits.grad, torch.tensor([[[0.5, -0.5], [0.0, 0.0], [-p, p]]]))


def test_other_integers_do_as_labels():
    logits, labels = torch.randn(2, 6, 3), torch.tensor([[0, 1, 2, 0, 0, 0]] * 2)
    expected = hard_negative_cross_entropy(logits, labels)
    assert torch.equal(hard_negative_cross_entropy(logits, labels.to(torch.int32)), expected)


@pytest.mark.parametrize("shape", [(0, 5, 3), (2, 0, 3)])
def test_cross_entropy_of_nothing(shape):
    logits = torch.zeros(shape, requires_grad=True)
    made = hard_negative_cross_entropy(logits, torch.zeros(shape[:2]).long())
    assert made.item() == 0.0
    made.backward()


def test_focal_by_hand():
    # p = 0.5, truth 1: 0.25 * 0.5^2 * log 2; p = 0.75, truth 0: 0.75 * 0.75^2 * log 4
    inputs, truth = torch.tensor([0.0, math.log(3)]), torch.tensor([1.0, 0.0])
    expected = torch.tensor([0.25 * 0.25 * LN2, 0.75 * 0.5625 * 2 * LN2])
    torch.testing.assert_close(sigmoid_focal_loss(inputs, truth), expected)
    # without alpha and gamma it is the binary cross-entropy
    plain = sigmoid_focal_loss(inputs, truth, alpha=-1, gamma=0.0)
    torch.testing.assert_close(plain, torch.tensor([LN2, 2 * LN2]))
    assert sigmoid_focal_loss(inputs, truth, reduction="mean").item() == pytest.approx(expected.mean().item())


def test_focal_far_out_is_finite():
    inputs = torch.tensor([200.0, -200.0, 200.0, -200.0], requires_grad=True)
    made = sigmoid_focal_loss(inputs, torch.tensor([1.0, 0.0, 0.0, 1.0]))
    # right without doubt, no loss; wrong without doubt, the cross-entropy 200 times its alpha
    torch.testing.assert_close(made, torch.tensor([0.0, 0.0, 150.0, 50.0]))
    made.sum().backward()
    assert bool(inputs.grad.isfinite().all())


@pytest.mark.parametrize(
    ("losses", "positive", "options", "message"),
    [
        (torch.zeros(4), torch.zeros(4), {}, "losses must have shape (B, A), got (4,)"),
        (torch.zeros(1, 4), torch.zeros(1, 3), {}, "positive must have shape (1, 4), got (1, 3)"),
        (torch.zeros(1, 4).long(), torch.zeros(1, 4), {}, "losses must be floating point, got torch.int64"),
        (torch.zeros(1, 4), torch.zeros(1, 4), {"ratio": -1}, "ratio, least[0] must be finite and at least 0, got -1"),
        (torch.zeros(1, 4), torch.zeros(1, 4), {"least": -1}, "ratio, least[1] must be finite and at least 0, got -1"),
    ],
)
def test_mining_refuses(losses, positive, options, message):
    with pytest.raises(InputError) as caught:
        mine_hard_negatives(losses, positive.bool(), **options)
    assert str(caught.value) == f"mine_hard_negatives: {message}"


@pytest.mark.parametrize(
    ("logits", "labels", "options", "message"),
    [
        (torch.zeros(4, 2), torch.zeros(4).long(), {}, "logits must have shape (B, A, K), got (4, 2)"),
        (torch.zeros(1, 4, 2), torch.zeros(1, 3).long(), {}, "labels must have shape (1, 4), got (1, 3)"),
        (torch.zeros(1, 2, 2), torch.zeros(1, 2), {}, f"labels must be {INTEGERS}"),
        (torch.zeros(1, 2, 2), torch.tensor([[0, 2]]), {}, "labels[0, 1] must lie from 0 to 1, got 2"),
        (torch.zeros(1, 2, 2), torch.tensor([[-1, 0]]), {}, "labels[0, 0] must lie from 0 to 1, got -1"),
        (
            torch.zeros(1, 2, 2),
            torch.zeros(1, 2).long(),
            {"reduction": "no"},
            "reduction must be one of none, sum, mean, got 'no'",
        ),
    ],
)
def test_cross_entropy_refuses(logits, labels, options, message):
    with pytest.raises(InputError) as caught:
        hard_negative_cross_entropy(logits, labels, **options)
    assert str(caught.value) == f"hard_negative_cross_entropy: {message}"


@pytest.mark.parametrize(
    ("inputs", "targets", "options", "message"),
    [
        (torch.zeros(2), torch.zeros(3), {}, "targets must have shape (2,), got (3,)"),
        (torch.zeros(2), torch.zeros(2).bool(), {}, "targets must be floating point, got torch.bool"),
        (torch.zeros(2).long(), torch.zeros(2), {}, "inputs must be floating point, got torch.int64"),
        (torch.zeros(2), torch.zeros(2), {"alpha": 1.5}, "alpha must be at most 1, got 1.5"),
        (torch.zeros(2), torch.zeros(2), {"alpha": math.nan}, "alpha must be a finite number, got nan"),
        (torch.zeros(2), torch.zeros(2), {"gamma": -2.0}, "gamma[0] must be finite and at least 0, got -2.0"),
        (torch.zeros(2), torch.zeros(2), {"reduction": "no"}, "reduction must be one of none, sum, mean, got 'no'"),
    ],
)
def test_focal_refuses(inputs, targets, options, message):
    with pytest.raises(InputError) as caught:
        sigmoid_focal_loss(inputs, targets, **options)
    assert str(caught.value) == f"sigmoid_focal_loss: {message}"
