"""Losses between boxes: every number worked out by hand, every refusal with its message."""

import math

import pytest
import torch

from cvlab import losses
from cvlab._check import InputError

IOU_LOSSES = [losses.generalized_box_iou_loss, losses.distance_box_iou_loss, losses.complete_box_iou_loss]
SQUARE = torch.tensor([[0.0, 0.0, 10.0, 10.0]])
iou_losses = pytest.mark.parametrize("loss", IOU_LOSSES, ids=lambda f: f.__name__)


def test_smooth_l1_on_both_sides_of_the_bend():
    # beta 2: below, 0.5 * 1^2 / 2 = 0.25; at the bend 2 - 1 = 1, as 0.5 * 2^2 / 2 = 1 also is; above, 5 - 1 = 4
    values = torch.tensor([1.0, -2.0, 5.0, 0.0])
    made = losses.smooth_l1_loss(values, torch.zeros(4), beta=2.0, reduction="none")
    assert made.tolist() == [0.25, 1.0, 4.0, 0.0]


def test_smooth_l1_without_a_bend_is_the_absolute_value():
    assert losses.smooth_l1_loss(torch.tensor([-3.0, 0.5]), torch.zeros(2), beta=0.0, reduction="none").tolist() == [
        3,
        0.5,
    ]


def test_reductions():
    # 0.5 * 0.5^2 = 0.125 and 3 - 0.5 = 2.5
    values, zeros = torch.tensor([[0.5, 3.0]]), torch.zeros(1, 2)
    assert losses.smooth_l1_loss(values, zeros, reduction="none").tolist() == [[0.125, 2.5]]
    assert losses.smooth_l1_loss(values, zeros, reduction="sum").item() == 2.625
    assert losses.smooth_l1_loss(values, zeros).item() == 1.3125


def test_the_mean_of_nothing_is_zero_and_has_a_gradient():
    none = torch.zeros(0, 4, requires_grad=True)
    for made in (losses.smooth_l1_loss(none, none), *(f(none, none, "mean") for f in IOU_LOSSES)):
        assert made.item() == 0.0
        assert torch.autograd.grad(made, none)[0].shape == (0, 4)


def test_generalized_by_hand():
    boxes = torch.tensor([[0.0, 0.0, 10.0, 5.0], [20.0, 0.0, 30.0, 10.0], [5.0, 5.0, 15.0, 15.0]])
    # half of it: IoU 1/2, hull = union; beside it: IoU 0, hull 300, union 200, so 1 + 100 / 300;
    # shifted: IoU 25 / 175, hull 225, union 175, so 1 - 1/7 + 50 / 225
    expected = [0.5, 4 / 3, 1 - 1 / 7 + 50 / 225]
    made = losses.generalized_box_iou_loss(SQUARE.expand(3, 4), boxes)
    torch.testing.assert_close(made, torch.tensor(expected))


def test_distance_by_hand():
    boxes = torch.tensor([[0.0, 0.0, 10.0, 5.0], [20.0, 0.0, 30.0, 10.0]])
    # centres (5, 5), (5, 2.5): 6.25 of 10^2 + 10^2; (5, 5), (25, 5): 400 of 30^2 + 10^2
    made = losses.distance_box_iou_loss(SQUARE.expand(2, 4), boxes)
    torch.testing.assert_close(made, torch.tensor([0.5 + 6.25 / 200, 1 + 400 / 1000]))


def test_complete_by_hand():
    # as the distance's, and the angles atan(1), atan(2): v = 4 / pi^2 (0.7854 - 1.1071)^2 = 0.04196,
    # weighted by v / (1 - 0.5 + v) = 0.07742
    v = 4 / math.pi**2 * (math.atan(1) - math.atan(2)) ** 2
    expected = 0.5 + 6.25 / 200 + v * v / (0.5 + v)
    made = losses.complete_box_iou_loss(SQUARE, torch.tensor([[0.0, 0.0, 10.0, 5.0]]))
    assert made.item() == pytest.approx(expected, abs=1e-6)
    assert v * v / (0.5 + v) == pytest.approx(0.04196 * 0.07742, rel=1e-3)


def test_only_the_generalized_and_later_forms_pull_boxes_together_that_do_not_touch():
    far = torch.tensor([[20.0, 0.0, 30.0, 10.0]], requires_grad=True)
    for loss in IOU_LOSSES:
        (slope,) = torch.autograd.grad(loss(far, SQUARE).sum(), far)
        assert slope[0, 0] > 0, loss.__name__  # moving x1 to the left makes the loss smaller


@iou_losses
def test_leading_dimensions_and_reductions(loss):
    a = SQUARE.expand(2, 3, 4)
    b = a + torch.arange(6.0).reshape(2, 3, 1)
    each = loss(a, b)
    assert each.shape == (2, 3)
    assert loss(a, b, reduction="sum").item() == pytest.approx(each.sum().item())
    assert loss(a, b, reduction="mean").item() == pytest.approx(each.sum().item() / 6)


@iou_losses
def test_half_precision_does_not_overflow(loss):
    boxes = torch.tensor([[0.0, 0.0, 600.0, 600.0]], dtype=torch.float16)  # an area of 360,000: above 65,504
    made = loss(boxes, boxes)
    assert made.dtype == torch.float32
    assert made.item() == pytest.approx(0, abs=1e-6)


@iou_losses
def test_two_empty_boxes_share_nothing(loss):
    point = torch.tensor([[3.0, 3.0, 3.0, 3.0]], requires_grad=True)
    made = loss(point, point.detach())
    assert made.item() == 1.0
    assert bool(torch.autograd.grad(made.sum(), point)[0].isfinite().all())


@iou_losses
@pytest.mark.parametrize(
    ("boxes1", "boxes2", "message"),
    [
        (torch.zeros(2, 5), torch.zeros(2, 5), "boxes1 must have shape (..., 4), got (2, 5)"),
        (torch.zeros(2, 4), torch.zeros(3, 4), "boxes2 must have shape (2, 4), got (3, 4)"),
        (torch.zeros(2, 4).long(), torch.zeros(2, 4), "boxes1 must be floating point, got torch.int64"),
        (SQUARE, torch.tensor([[5.0, 0.0, 4.0, 9.0]]), "boxes2[0] has x2 < x1: [5, 0, 4, 9]"),
        (torch.tensor([[0.0, math.nan, 4.0, 9.0]]), SQUARE, "boxes1[0] is not finite: [0, nan, 4, 9]"),
    ],
)
def test_bad_boxes(loss, boxes1, boxes2, message):
    with pytest.raises(InputError) as caught:
        loss(boxes1, boxes2)
    assert str(caught.value) == f"{loss.__name__}: {message}"


@iou_losses
def test_unknown_reduction(loss):
    with pytest.raises(InputError, match=f"{loss.__name__}: reduction must be one of none, sum, mean, got 'average'"):
        loss(SQUARE, SQUARE, reduction="average")


@pytest.mark.parametrize(
    ("values", "targets", "options", "message"),
    [
        (torch.zeros(2), torch.zeros(3), {}, "targets must have shape (2,), got (3,)"),
        (torch.zeros(2).long(), torch.zeros(2), {}, "values must be floating point, got torch.int64"),
        (torch.zeros(2), torch.zeros(2), {"beta": -1.0}, "beta[0] must be finite and at least 0, got -1.0"),
        (torch.zeros(2), torch.zeros(2), {"reduction": ""}, "reduction must be one of none, sum, mean, got ''"),
    ],
)
def test_smooth_l1_refuses(values, targets, options, message):
    with pytest.raises(InputError) as caught:
        losses.smooth_l1_loss(values, targets, **options)
    assert str(caught.value) == f"smooth_l1_loss: {message}"
