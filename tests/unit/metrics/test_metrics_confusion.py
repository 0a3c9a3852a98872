"""Confusion of classes, by hand and against scikit-learn."""

import pytest
import torch
from sklearn.metrics import confusion_matrix as sklearn_confusion

from cvlab._check import InputError
from cvlab.metrics import confusion_matrix


def bars(*spans):
    return torch.tensor([[a, 0.0, b, 10.0] for a, b in spans]).reshape(-1, 4)


def entry(spans, labels, scores=None, **others):
    found = {"boxes": bars(*spans), "labels": torch.tensor(labels, dtype=torch.int64), **others}
    return found if scores is None else {**found, "scores": torch.tensor(scores)}


def test_by_hand():
    # Image 0: a 1 taken for a 2, a 2 found, a 2 missed. Image 1: a 1 found, and a second 1 where nothing is left.
    targets = [entry([(0, 10), (20, 30), (40, 50)], [1, 2, 2]), entry([(0, 10)], [1])]
    predictions = [entry([(0, 9), (20, 30)], [2, 2], [0.9, 0.8]), entry([(0, 10), (0, 9)], [1, 1], [0.9, 0.8])]
    assert confusion_matrix(predictions, targets, 3).tolist() == [[0, 1, 0], [0, 1, 1], [1, 0, 1]]


def test_the_surest_takes_the_object():
    target, boxes = [entry([(0, 10)], [1])], [(0, 10), (0, 10)]
    assert confusion_matrix([entry(boxes, [1, 2], [0.9, 0.8])], target, 3).tolist() == [[0, 0, 1], [0, 1, 0], [0] * 3]
    assert confusion_matrix([entry(boxes, [1, 2], [0.8, 0.9])], target, 3).tolist() == [[0, 1, 0], [0, 0, 1], [0] * 3]


def test_thresholds():
    target, found = [entry([(0, 10)], [1])], [entry([(0, 6)], [1], [0.5])]
    assert confusion_matrix(found, target, 2).tolist() == [[0, 0], [0, 1]]
    assert confusion_matrix(found, target, 2, iou_threshold=0.7).tolist() == [[0, 1], [1, 0]]
    assert confusion_matrix(found, target, 2, score_threshold=0.6).tolist() == [[0, 0], [1, 0]]


def test_crowds_are_left_out():
    targets = [entry([(0, 100), (0, 10)], [1, 2], iscrowd=torch.tensor([True, False]))]
    found = [entry([(0, 10), (30, 40)], [2, 2], [0.9, 0.8])]
    assert confusion_matrix(found, targets, 3).tolist() == [[0, 0, 0], [0, 0, 0], [0, 0, 1]]
    assert confusion_matrix([entry([], [], [])], targets, 3).tolist() == [[0, 0, 0], [0, 0, 0], [1, 0, 0]]


def test_against_scikit_learn():
    """With one detection at the place of each object it is the matrix of a classifier."""
    generator = torch.Generator().manual_seed(0)
    true, guess = torch.randint(1, 5, (2, 60), generator=generator)
    boxes = bars(*[(20 * i, 20 * i + 10) for i in range(60)])
    prediction = {"boxes": boxes, "labels": guess, "scores": torch.rand(60, generator=generator)}
    matrix = confusion_matrix([prediction], [{"boxes": boxes, "labels": true}], 5, score_threshold=0)
    assert torch.equal(matrix, torch.from_numpy(sklearn_confusion(true, guess, labels=range(5))))


def test_nothing():
    assert confusion_matrix([], [], 3).tolist() == [[0] * 3] * 3
    none, one = entry([], [], []), entry([(0, 10)], [1])
    assert confusion_matrix([none], [one], 2).tolist() == [[0, 0], [1, 0]]
    assert confusion_matrix([{**one, "scores": torch.ones(1)}], [entry([], [])], 2).tolist() == [[0, 1], [0, 0]]


@pytest.mark.parametrize(
    ("num_classes", "arguments", "message"),
    [
        (1, {}, "num_classes must be a whole number, at least 2, got 1"),
        (2.5, {}, "num_classes must be a whole number, at least 2, got 2.5"),
        (3, {"iou_threshold": -1}, r"iou_threshold must lie in \[0, 1\]"),
        (3, {"score_threshold": float("nan")}, "score_threshold must be a finite number"),
        (2, {}, "target 0: label 0 must lie from 1 to 1"),
    ],
)
def test_refusals(num_classes, arguments, message):
    with pytest.raises(InputError, match=f"^confusion_matrix: {message}"):
        confusion_matrix([entry([], [], [])], [entry([(0, 10)], [2])], num_classes, **arguments)
