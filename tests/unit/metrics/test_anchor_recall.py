"""What anchors can reach, by hand."""

import math

import pytest
import torch

from cvlab import metrics

ANCHORS = torch.tensor([[0.0, 0.0, 10.0, 10.0], [10.0, 0.0, 20.0, 10.0]])
BOXES = [
    torch.tensor([[0.0, 0.0, 10.0, 5.0], [5.0, 0.0, 15.0, 10.0]]),  # IoU 50 / 100; 50 / 150 with either
    torch.zeros(0, 4),
    torch.tensor([[10.0, 0.0, 20.0, 10.0]]),  # the second anchor itself
]


def test_best_iou_of_each_object():
    assert torch.allclose(metrics.best_anchor_iou(ANCHORS, BOXES), torch.tensor([0.5, 1 / 3, 1.0]))


def test_recall_counts_the_threshold_itself():
    assert metrics.anchor_recall(ANCHORS, BOXES, 0.5) == pytest.approx(2 / 3)
    assert metrics.anchor_recall(ANCHORS, BOXES, 0.51) == pytest.approx(1 / 3)
    assert metrics.anchor_recall(ANCHORS, BOXES, 0.0) == 1.0


def test_nothing_to_find_and_nothing_to_find_it_with():
    assert math.isnan(metrics.anchor_recall(ANCHORS, []))
    assert metrics.best_anchor_iou(torch.zeros(0, 4), BOXES).tolist() == [0, 0, 0]
    assert metrics.anchor_recall(torch.zeros(0, 4), BOXES) == 0.0


def test_many_objects_are_compared_in_parts():
    many = ANCHORS.repeat(1500, 1)
    assert metrics.best_anchor_iou(ANCHORS, [many]).tolist() == [1.0] * 3000


def test_errors():
    with pytest.raises(ValueError, match=r"boxes of image 1 must have shape \(G, 4\), got \(2, 3\)"):
        metrics.best_anchor_iou(ANCHORS, [torch.zeros(0, 4), torch.zeros(2, 3)])
    with pytest.raises(ValueError, match=r"anchors must have shape \(A, 4\)"):
        metrics.best_anchor_iou(torch.zeros(4), BOXES)
    with pytest.raises(ValueError, match=r"iou_threshold must lie in \[0, 1\]"):
        metrics.anchor_recall(ANCHORS, BOXES, 1.5)
