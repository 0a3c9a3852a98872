"""The figure of proposals: its data, and what it refuses."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from test_figure import state_of

from cvlab import interactive
from cvlab._check import InputError

IMAGE = np.full((60, 90, 3), 128, dtype=np.uint8)
BOXES = [[10.0, 20.0, 60.0, 50.0], [12.04, 20.06, 61.0, 50.0], [0.0, 0.0, 9.0, 9.0]]
SCORES = [0.4, 0.90049, 0.4]
TRUTH = [[11.0, 20.0, 60.0, 52.0]]


def make(**other):
    return interactive.proposals(**{"image": IMAGE, "boxes": BOXES, "scores": SCORES, "truth": TRUTH, **other})


def test_proposals_come_best_first_and_rounded():
    state = state_of(make(names=["cup"], count=7, iou_threshold=0.7))
    best = {"boxes": [[12.0, 20.1, 61.0, 50.0], BOXES[0], BOXES[2]], "scores": [0.9, 0.4, 0.4]}
    assert state["sets"] == [{"title": "the network", **best}]
    assert (state["truths"], state["names"]) == (TRUTH, ["cup"])
    assert (state["count"], state["iou_threshold"]) == (7, 0.7)


def test_rounding_does_not_change_the_order():
    close = make(boxes=BOXES[:2], scores=[0.50001, 0.50002])
    assert state_of(close)["sets"][0]["boxes"][1] == BOXES[0]


def test_others_to_compare_with():
    made = make(other={"boxes": BOXES[1:], "scores": None}, titles=["RPN", "selective search"])
    first, second = state_of(made)["sets"]
    assert (first["title"], second["title"]) == ("RPN", "selective search")
    assert second == {"title": "selective search", "boxes": [[12.0, 20.1, 61, 50], BOXES[2]], "scores": None}
    scored = make(other={"boxes": BOXES, "scores": SCORES})
    assert state_of(scored)["sets"][1]["scores"] == [0.9, 0.4, 0.4]


def test_without_scores_the_order_stays():
    assert state_of(make(scores=None))["sets"][0]["boxes"] == [BOXES[0], [12.0, 20.1, 61, 50], BOXES[2]]


def test_only_the_best_go_into_the_page():
    boxes = np.tile(BOXES[:1], (700, 1))
    made = make(boxes=boxes, scores=np.linspace(0, 1, 700), other={"boxes": boxes})
    first, second = state_of(made)["sets"]
    assert len(first["boxes"]) == len(first["scores"]) == len(second["boxes"]) == 500
    assert min(first["scores"]) == round(200 / 699, 3)
    assert len(made._repr_html_()) < 80_000


def test_nothing_proposed_and_nothing_there():
    state = state_of(make(boxes=torch.zeros(0, 4), scores=torch.zeros(0), truth=[]))
    assert (state["sets"][0]["boxes"], state["truths"], state["names"]) == ([], [], [])


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"image": np.zeros((3, 8, 8))}, r"proposals: image must be a \(3, H, W\) tensor"),
        ({"boxes": [[1, 2, 3]]}, r"proposals: boxes must have shape \(N, 4\), got \(1, 3\)"),
        ({"boxes": [[5, 5, 1, 9]], "scores": [1]}, r"boxes\[0\] has x2 < x1"),
        ({"scores": [0.5]}, r"scores must have shape \(3,\), one for each box, got \(1,\)"),
        ({"scores": [0.5, 2, 0]}, r"scores\[1\] must lie in \[0, 1\], got 2"),
        ({"truth": [1, 2, 3, 4]}, r"truth must have shape \(N, 4\), got \(4,\)"),
        ({"truth": None}, "truth must be numbers in a rectangular array, got None"),
        ({"other": BOXES}, "other must be a dictionary with boxes, and scores if there are any, got list"),
        ({"other": {"scores": SCORES}}, r"other must be a dictionary with boxes, .* got \['scores'\]"),
        ({"other": {"boxes": BOXES, "scores": [1]}}, r"other scores must have shape \(3,\)"),
        ({"other": {"boxes": [[1, 2, 3]]}}, r"other boxes must have shape \(N, 4\)"),
        ({"titles": ["RPN"]}, r"titles must be 2 strings or more, got \['RPN'\]"),
        ({"names": []}, r"names must be 1 strings or more, got \[\]"),
        ({"count": 0}, r"\(count,\)\[0\] must be finite and above 0, got 0"),
        ({"iou_threshold": 0.4}, r"iou_threshold must lie in \[0.5, 0.9\], got 0.4"),
        ({"iou_threshold": math.nan}, "iou_threshold must be a finite number, got nan"),
    ],
)
def test_bad_input_is_refused(other, message):
    with pytest.raises(InputError, match=message):
        make(**other)
