"""The figure of a detector's thresholds: its data, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from test_figure import state_of

from cvlab import interactive
from cvlab._check import InputError
from cvlab.data import StillLife

IMAGE = np.full((60, 90, 3), 128, dtype=np.uint8)
BOXES = [[10.0, 20.0, 60.0, 50.0], [12.04, 20.06, 61.0, 50.0]]
TARGET = {"boxes": BOXES[:1], "labels": [1]}
PREDICTION = {"boxes": BOXES, "scores": [0.4, 0.90049], "labels": [1, 2]}


def make(**other):
    given = {"images": [IMAGE], "predictions": [PREDICTION], "targets": [TARGET], **other}
    return interactive.thresholds(**given)


def test_detections_come_best_first_and_rounded():
    state = state_of(make(names=["-", "cup", "bowl"], score_threshold=0.3, iou_threshold=0.6))
    (one,) = state["pictures"]
    assert one["prediction"] == {"boxes": [[12.0, 20.1, 61, 50], BOXES[0]], "scores": [0.9, 0.4], "labels": [2, 1]}
    assert one["truth"] == TARGET
    assert (one["picture"]["width"], one["picture"]["height"]) == (90, 60)
    assert (state["score_threshold"], state["iou_threshold"]) == (0.3, 0.6)
    assert state["names"] == ["-", "cup", "bowl"]


def test_rounding_does_not_change_the_order():
    close = {"boxes": BOXES, "scores": [0.50001, 0.50002], "labels": [1, 2]}
    assert state_of(make(predictions=[close]))["pictures"][0]["prediction"]["labels"] == [2, 1]


def test_only_the_best_go_into_the_page():
    many = {"boxes": np.tile(BOXES[:1], (400, 1)), "scores": np.linspace(0, 1, 400), "labels": np.ones(400)}
    kept = state_of(make(predictions=[many]))["pictures"][0]["prediction"]
    assert len(kept["boxes"]) == 150
    assert min(kept["scores"]) == round(250 / 399, 3)


def test_nothing_found_and_nothing_there():
    nothing = {"boxes": torch.zeros(0, 4), "scores": torch.zeros(0), "labels": torch.zeros(0, dtype=torch.int64)}
    state = state_of(make(predictions=[nothing], targets=[nothing]))
    assert state["pictures"][0]["prediction"] == {"boxes": [], "scores": [], "labels": []}
    assert state["names"] == []


def test_six_pictures_stay_small():
    data = StillLife(256, "test")
    items = [data[i] for i in range(6)]
    rng = np.random.default_rng(0)
    corners = np.sort(rng.uniform(0, 256, (150, 2, 2)), axis=1).reshape(-1, 4)
    found = {"boxes": corners, "scores": rng.random(150), "labels": rng.integers(1, 11, 150)}
    made = interactive.thresholds([image for image, _ in items], [found] * 6, [target for _, target in items])
    embedded = sum(len(one["picture"]["src"]) for one in made.state["pictures"])
    assert embedded < 60_000
    assert len(made._repr_html_()) < 150_000


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"images": []}, "thresholds: images must be 1 to 6 pictures, got 0"),
        ({"images": [IMAGE] * 7}, "images must be 1 to 6 pictures, got 7"),
        ({"images": [np.zeros((3, 8, 8))]}, r"thresholds, picture 0: image must be a \(3, H, W\) tensor"),
        ({"predictions": []}, "predictions must be one for each of 1 pictures, got 0"),
        ({"predictions": PREDICTION}, "predictions must be one for each of 1 pictures, got {"),
        ({"targets": [TARGET] * 2}, "targets must be one for each of 1 pictures, got 2"),
        ({"targets": None}, "targets must be one for each of 1 pictures, got None"),
        ({"predictions": [TARGET]}, "prediction 0 must be a dictionary with boxes, scores, labels, got"),
        ({"predictions": [None]}, "prediction 0 must be a dictionary with boxes, scores, labels, got NoneType"),
        ({"predictions": [{**PREDICTION, "scores": [0.5]}]}, r"scores of prediction 0 must have shape \(2,\)"),
        ({"predictions": [{**PREDICTION, "scores": [0.5, 2]}]}, r"scores of prediction 0\[1\] must lie in \[0, 1\]"),
        ({"predictions": [{**PREDICTION, "labels": [1, 0.5]}]}, r"labels of prediction 0\[1\] must be a whole number"),
        ({"targets": [{"boxes": [[5, 5, 1, 9]], "labels": [1]}]}, r"boxes of target 0\[0\] has x2 < x1"),
        ({"names": ["-", "cup"]}, "names must be 3 strings or more"),
        ({"score_threshold": -1}, r"score_threshold must lie in \[0, 1\], got -1"),
        ({"iou_threshold": float("nan")}, r"iou_threshold must lie in \[0, 1\], got nan"),
    ],
)
def test_bad_input_is_refused(other, message):
    with pytest.raises(InputError, match=message):
        make(**other)
