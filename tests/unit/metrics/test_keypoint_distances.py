"""Distances of key points, by hand."""

import pytest
import torch

from cvlab import metrics

HERE, THERE = [0.0, 0.0, 10.0, 10.0], [50.0, 50.0, 60.0, 60.0]


def target(points, visible, boxes=(HERE,)):
    return {
        "boxes": torch.tensor(boxes),
        "labels": torch.ones(len(boxes), dtype=torch.int64),
        "keypoints": torch.tensor(points),
        "keypoints_visible": torch.tensor(visible),
    }


def found(points, boxes=(HERE,), scores=(0.9,)):
    kinds = torch.ones(len(boxes), dtype=torch.int64)
    return {
        "boxes": torch.tensor(boxes),
        "labels": kinds,
        "scores": torch.tensor(scores),
        "keypoints": torch.tensor(points),
    }


def test_invisible_points_are_nan():
    truth = target([[[1.0, 2.0], [3.0, 4.0]]], [[True, False]])
    (row,) = metrics.keypoint_distances([found([[[1.0, 5.0], [3.0, 4.0]]])], [truth])
    assert row[0] == 3
    assert row[1].isnan()


def test_only_objects_found_with_a_sure_score_count():
    truth = target([[[0.0, 0.0]], [[50.0, 50.0]]], [[True], [True]], (HERE, THERE))
    both = found([[[50.0, 54.0]], [[3.0, 4.0]]], (THERE, HERE), (0.9, 0.8))
    assert metrics.keypoint_distances([both], [truth]).tolist() == [[4.0], [5.0]]
    weak = found([[[50.0, 54.0]], [[3.0, 4.0]]], (THERE, HERE), (0.9, 0.4))
    assert metrics.keypoint_distances([weak], [truth]).tolist() == [[4.0]]


def test_nothing():
    assert metrics.keypoint_distances([], []).shape == (0, 0)
    nothing = {key: value[:0] for key, value in found([[[1.0, 1.0]]]).items()}
    assert metrics.keypoint_distances([nothing], [target([[[0.0, 0.0]]], [[True]])]).shape == (0, 1)


def test_lists_of_different_length():
    with pytest.raises(ValueError, match="there must be a target for each prediction, got 0 and 1"):
        metrics.keypoint_distances([found([[[1.0, 1.0]]])], [])
