"""Images sorted by their errors."""

import pytest
import torch

from cvlab import metrics

BOX, FAR = [0.0, 0.0, 10.0, 10.0], [50.0, 50.0, 60.0, 60.0]


def target(*boxes):
    return {"boxes": torch.tensor(boxes).reshape(-1, 4), "labels": torch.ones(len(boxes), dtype=torch.int64)}


def found(*boxes, score=0.9):
    return {**target(*boxes), "scores": torch.full((len(boxes),), score)}


def test_most_errors_first_and_equals_in_order():
    predictions = [found(BOX), found(), found(FAR), found(BOX, BOX)]
    worst = metrics.worst_images(predictions, [target(BOX)] * 4)
    assert [image.index for image in worst] == [2, 1, 3, 0]
    assert [str(image) for image in worst] == ["1 background, 1 missed", "1 missed", "1 duplicate", "no error"]
    assert len(metrics.worst_images(predictions, [target(BOX)] * 4, 2)) == 2


def test_weak_detections_are_not_looked_at():
    (image,) = metrics.worst_images([found(BOX, FAR, score=0.4)], [target(BOX)])
    assert str(image) == "1 missed"


def test_lists_of_different_length():
    with pytest.raises(ValueError, match="there must be a target for each prediction, got 2 and 1"):
        metrics.worst_images([found(BOX)], [target(BOX)] * 2)
