"""The detector's loss, by hand, in each of its forms."""

import math

import pytest
import torch

from cvlab._check import InputError
from cvlab.losses import MultiBoxLoss
from cvlab.ops import DetectionTargets, detection_targets

LN2, LN3 = math.log(2), math.log(3)
ANCHORS = torch.tensor([[0.0, 0.0, 10.0, 10.0], [10.0, 0.0, 20.0, 10.0]]).repeat(6, 1)  # (12, 4)


def targets(*labels, count=12):
    """Say that the first anchors of one image have these labels, and that all true offsets are 0."""
    made = torch.tensor([[*labels, *[0] * (count - len(labels))]])
    return DetectionTargets(made, torch.zeros(1, count, 4), made > 0)


def test_mining_and_smooth_l1_by_hand():
    offsets = torch.zeros(1, 12, 4)
    offsets[0, 0] = torch.tensor([0.5, 3.0, 0.0, 0.0])  # 0.125 + 2.5
    offsets[0, 1:] = 100.0  # background: does not count
    made = MultiBoxLoss(box_weight=2.0)(torch.zeros(1, 12, 2), offsets, targets(1), ANCHORS)
    # one positive, and of the 11 negatives the least number, 8, is more than 3 times 1
    assert made["classification"].item() == pytest.approx(9 * LN2)
    assert made["bbox_regression"].item() == pytest.approx(2 * 2.625)


def test_all_takes_every_anchor():
    made = MultiBoxLoss("all")(torch.zeros(1, 12, 2), torch.zeros(1, 12, 4), targets(1), ANCHORS)
    assert made["classification"].item() == pytest.approx(12 * LN2)


def test_focal_by_hand():
    # p = 0.5 everywhere: a truth of 1 costs 0.25 / 4 log 2, a truth of 0 costs 0.75 / 4 log 2
    # 2 positives with one 1 and one 0 each, 10 negatives with two 0 each; divided by 2 positives
    logits = torch.zeros(1, 12, 3)
    logits[..., 0] = 50.0  # the background's logit is not used
    made = MultiBoxLoss("focal")(logits, torch.zeros(1, 12, 4), targets(1, 2), ANCHORS)
    assert made["classification"].item() == pytest.approx((2 * 0.25 + 22 * 0.75) / 4 * LN2 / 2)


def test_both_are_divided_by_the_positives_of_the_batch():
    two = [targets(1, 1, 2), targets()]
    joined = DetectionTargets(*(torch.cat(pair) for pair in zip(*two, strict=True)))
    made = MultiBoxLoss()(torch.zeros(2, 12, 3), torch.full((2, 12, 4), 1.5), joined, ANCHORS)
    # image 0: 3 positives and 9 negatives, image 1: 8 negatives, log 3 each; each offset costs 1.5 - 0.5
    assert made["classification"].item() == pytest.approx(20 * LN3 / 3)
    assert made["bbox_regression"].item() == pytest.approx(4.0)


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ("giou", 0.5),  # the true box is the upper half of the anchor, which is predicted
        ("diou", 0.5 + 6.25 / 200),
        ("ciou", 0.5345),
    ],
)
def test_losses_on_decoded_boxes(box, expected):
    boxes, labels = torch.tensor([[[10.0, 0.0, 20.0, 5.0]]]), torch.tensor([[1]])
    learn = detection_targets(ANCHORS[:2], boxes, labels)
    assert learn.mask.tolist() == [[False, True]]
    made = MultiBoxLoss(box=box)(torch.zeros(1, 2, 2), torch.zeros(1, 2, 4), learn, ANCHORS[:2])
    assert made["bbox_regression"].item() == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("box", ["smooth_l1", "giou", "diou", "ciou"])
@pytest.mark.parametrize("classification", ["mining", "all", "focal"])
def test_without_objects_everything_is_finite(classification, box):
    logits, offsets = torch.randn(1, 12, 3).requires_grad_(), torch.randn(1, 12, 4).requires_grad_()
    made = MultiBoxLoss(classification, box)(logits, offsets, targets(), ANCHORS)
    assert made["bbox_regression"].item() == 0.0
    assert made["classification"].item() > 0
    (made["classification"] + made["bbox_regression"]).backward()
    assert bool(logits.grad.isfinite().all())
    assert not offsets.grad.any()


def test_scores_are_made_as_they_were_trained():
    logits = torch.tensor([[0.0, math.log(2), 0.0]])
    torch.testing.assert_close(MultiBoxLoss().scores(logits), torch.tensor([[0.5, 0.25]]))  # 2 / 4, 1 / 4
    torch.testing.assert_close(MultiBoxLoss("focal").scores(logits), torch.tensor([[2 / 3, 0.5]]))


def test_it_shows_its_settings():
    shown = repr(MultiBoxLoss("focal", "giou", box_weight=2.0))
    assert shown == "MultiBoxLoss(classification='focal', box='giou', box_weight=2.0)"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"classification": "hinge"}, "classification must be one of mining, all, focal, got 'hinge'"),
        ({"box": "iou"}, "box must be one of smooth_l1, giou, diou, ciou, got 'iou'"),
        ({"ratio": 0}, "ratio, box_weight[0] must be finite and above 0, got 0"),
        ({"box_weight": -1}, "ratio, box_weight[1] must be finite and above 0, got -1"),
    ],
)
def test_unknown_settings(options, message):
    with pytest.raises(InputError) as caught:
        MultiBoxLoss(**options)
    assert str(caught.value) == f"MultiBoxLoss: {message}"
