"""What proposals reach, by hand."""

import math

import pytest
import torch

from cvlab._check import InputError
from cvlab.metrics import anchor_recall, proposal_recall
from cvlab.metrics.detection import IOU_THRESHOLDS

OBJECTS = [
    torch.tensor([[0.0, 0.0, 10.0, 10.0], [20.0, 0.0, 30.0, 10.0]]),
    torch.zeros(0, 4),
    torch.tensor([[0.0, 0.0, 10.0, 10.0]]),
]
PROPOSALS = [
    torch.tensor([[50.0, 0.0, 60.0, 10.0], [0.0, 0.0, 10.0, 6.0], [20.0, 0.0, 30.0, 9.0], [0.0, 0.0, 10.0, 10.0]]),
    torch.tensor([[0.0, 0.0, 5.0, 5.0]]),
    torch.tensor([[0.0, 0.0, 10.0, 8.0]]),
]


def test_the_first_proposals_of_each_image_count():
    # IoU with the objects: image 0: 0, 0.6 with the first, 0.9 with the second, 1 with the first; image 2: 0.8.
    assert proposal_recall(PROPOSALS, OBJECTS, (1, 2, 3, 100)) == pytest.approx({1: 1 / 3, 2: 2 / 3, 3: 1, 100: 1})
    assert proposal_recall(PROPOSALS, OBJECTS, (3, 4), 0.85) == pytest.approx({3: 1 / 3, 4: 2 / 3})
    assert proposal_recall(PROPOSALS, OBJECTS, (100,), 0.0) == {100: 1}


def test_several_thresholds_give_the_mean():
    # Of two proposals at 0.5 two thirds, at 0.7 one third: image 2's alone.
    assert proposal_recall(PROPOSALS, OBJECTS, (2,), (0.5, 0.7)) == pytest.approx({2: 1 / 2})
    # IoU 0.625 reaches 0.5, 0.55, 0.6 of the ten thresholds, 0.875 reaches 0.5, ..., 0.85: 8.
    proposals = [torch.tensor([[0.0, 0.0, 8.0, 5.0], [20.0, 0.0, 28.0, 7.0]])]
    objects = [torch.tensor([[0.0, 0.0, 8.0, 8.0], [20.0, 0.0, 28.0, 8.0]])]
    assert proposal_recall(proposals, objects, (1, 2), IOU_THRESHOLDS) == pytest.approx({1: 3 / 20, 2: 11 / 20})


def test_one_proposal_may_find_several_objects():
    twice = torch.tensor([[0.0, 0.0, 10.0, 10.0], [0.0, 0.0, 10.0, 8.0]])
    assert proposal_recall([twice[:1]], [twice], (1,)) == {1: 1}


def test_nothing_to_find_and_nothing_to_find_it_with():
    assert all(math.isnan(v) for v in proposal_recall([], [], (1, 10)).values())
    assert all(math.isnan(v) for v in proposal_recall(PROPOSALS[1:2], OBJECTS[1:2]).values())
    assert proposal_recall([torch.zeros(0, 4)] * 3, OBJECTS, (10,), 0.01) == {10: 0}


def test_with_all_proposals_it_is_the_recall_of_anchors():
    generator = torch.Generator().manual_seed(0)
    corner = torch.rand(60, 2, generator=generator) * 50
    boxes = torch.cat((corner, corner + 1 + torch.rand(60, 2, generator=generator) * 40), 1)
    for threshold in (0.3, 0.5, 0.7):
        expected = anchor_recall(boxes[:40], [boxes[40:]], threshold)
        recall = proposal_recall([boxes[:40]], [boxes[40:]], (1, 10, 40), threshold)
        assert recall[40] == pytest.approx(expected)
        assert recall[1] <= recall[10] <= recall[40]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((PROPOSALS[:2], OBJECTS), "there must be proposals for 3 images, got 2"),
        (([torch.zeros(2, 5)], OBJECTS[:1]), r"proposals of image 0 must have shape \(P, 4\), got \(2, 5\)"),
        ((PROPOSALS, [*OBJECTS[:2], torch.zeros(4)]), r"boxes of image 2 must have shape \(G, 4\), got \(4,\)"),
        ((PROPOSALS, OBJECTS, ()), "counts must not be empty"),
        ((PROPOSALS, OBJECTS, (0,)), r"counts\[0\] must be finite and above 0, got 0"),
        ((PROPOSALS, OBJECTS, (1.5,)), r"counts must be whole numbers, got \[1.5\]"),
        ((PROPOSALS, OBJECTS, (1,), 1.5), r"iou_threshold must lie in \[0, 1\], got 1.5"),
        ((PROPOSALS, OBJECTS, (1,), (0.5, -1)), r"iou_threshold must lie in \[0, 1\], got -1"),
        ((PROPOSALS, OBJECTS, (1,), ()), "iou_threshold must not be empty"),
    ],
)
def test_errors(arguments, message):
    with pytest.raises(InputError, match=f"^proposal_recall: {message}"):
        proposal_recall(*arguments)


def test_boxes_upside_down_are_refused():
    with pytest.raises(InputError, match="x2 < x1"):
        proposal_recall([torch.tensor([[9.0, 0.0, 1.0, 5.0]])], OBJECTS[:1])
