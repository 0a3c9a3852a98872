"""The figure of a training: its data, and what it refuses."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from test_figure import state_of

from cvlab import interactive
from cvlab._check import InputError
from cvlab.engine import History

IMAGE = np.full((60, 90, 3), 128, dtype=np.uint8)
TARGET = {"boxes": [[10.0, 20.0, 60.0, 50.0]], "labels": [1]}
FOUND = {**TARGET, "scores": [0.9]}
HISTORY = [(step, {"loss": 6 / step}) for step in range(1, 4)]
SNAPSHOTS = [{"step": 0, "predictions": [FOUND]}, {"step": 3, "predictions": [FOUND], "ap50": 0.25}]


def make(**other):
    given = {"history": HISTORY, "snapshots": SNAPSHOTS, "images": [IMAGE], "targets": [TARGET], **other}
    return interactive.training(**given)


def test_state():
    state = state_of(make(names=["-", "cup"], score_threshold=0.4))
    assert (state["steps"], state["terms"], state["rate"]) == ([1, 2, 3], {"loss": [6.0, 3.0, 2.0]}, None)
    assert [(one["step"], one["ap50"]) for one in state["snapshots"]] == [(0, None), (3, 0.25)]
    assert state["snapshots"][0]["predictions"] == [FOUND]
    assert (state["truths"], state["names"], state["score_threshold"]) == ([TARGET], ["-", "cup"], 0.4)


def test_one_picture_may_come_without_a_list():
    single = [{**moment, "predictions": moment["predictions"][0]} for moment in SNAPSHOTS]
    assert make(snapshots=single, images=torch.zeros(3, 60, 90), targets=TARGET).state["truths"] == [TARGET]


def test_a_history_of_the_engine():
    row = {"epoch": 0, "seconds": 0.1, "learning_rate": 0.5, "loss": 2.0, "box": 0.5, "grad_norm": 1.0}
    history = History(steps=[{"step": step, **row} for step in (1, 2)])
    state = make(history=history).state
    assert (state["steps"], state["terms"], state["rate"]) == ([1, 2], {"loss": [2, 2], "box": [0.5, 0.5]}, [0.5, 0.5])


def test_a_long_history_is_averaged_over_blocks():
    """Block k of 200 ends at step 1000 (k / 200)^2, rounded down: the last begins behind 990, at step 991."""
    state = make(history=[(step, {"loss": float(step), "learning_rate": 1.0}) for step in range(1, 1001)]).state
    assert len(state["steps"]) <= 200
    assert state["steps"][:3] == [1, 2, 3]
    assert state["terms"]["loss"][-1] == pytest.approx(np.arange(991, 1001).mean(), abs=0.1)
    assert state["steps"][-1] == (991 + 1000) // 2
    assert set(state["rate"]) == {1.0}
    ends = np.unique(np.arange(201) ** 2 * 1000 // 200**2)  # every step is in one block, whose mean is its middle
    assert state["terms"]["loss"] == pytest.approx(
        [(a + 1 + b) / 2 for a, b in zip(ends[:-1], ends[1:], strict=True)], rel=1e-3
    )


def test_two_pictures_and_thirty_moments_stay_small():
    rng = np.random.default_rng(0)
    corners = np.sort(rng.uniform(0, 60, (60, 2, 2)), axis=1).reshape(-1, 4)
    found = {"boxes": corners, "scores": rng.random(60), "labels": rng.integers(1, 3, 60)}
    moments = [{"step": 10 * i, "predictions": [found] * 2} for i in range(30)]
    history = [(step, {"loss": 3.21 / step, "a": 0.1, "b": 0.2}) for step in range(1, 5000)]
    made = make(history=history, snapshots=moments, images=[IMAGE] * 2, targets=[TARGET] * 2)
    assert len(made.state["snapshots"][0]["predictions"][0]["boxes"]) == 40
    assert len(made._repr_html_()) < 160_000


def test_nothing_there():
    nothing = {"boxes": torch.zeros(0, 4), "scores": [], "labels": []}
    state = make(snapshots=[{"step": 0, "predictions": [nothing]}], targets=[nothing]).state
    assert (state["truths"][0]["boxes"], state["names"]) == ([], [])


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"history": []}, "training: history must have one step and one term of the loss or more, got none"),
        ({"history": [(1, {"learning_rate": 1.0})]}, "one step and one term of the loss or more"),
        ({"history": SimpleNamespace(steps=[])}, "one step and one term of the loss or more"),
        ({"history": [(1, dict.fromkeys("abcde", 1.0))]}, "history must have at most 4 terms, got"),
        ({"history": [(1, 2.0)]}, r"history\[0\] must be \(step, {term: value}\), got \(1, 2.0\)"),
        ({"history": [(1, {"a": 1.0}), (2, {"b": 1.0})]}, r"step 2 must have the terms \['a'\], got \['b'\]"),
        ({"history": [(1, {"a": float("nan")})]}, r"a at step 1\[0\] must be finite and at least 0, got nan"),
        ({"history": [(1, {"a": -1.0})]}, r"a at step 1\[0\] must be finite and at least 0, got -1.0"),
        ({"history": [(2, {"a": 1.0}), (2, {"a": 1.0})]}, r"history\[1\] must have a whole step above 2, got 2"),
        ({"history": [(0.5, {"a": 1.0})]}, r"history\[0\] must have a whole step above -1, got 0.5"),
        ({"snapshots": []}, "snapshots must be 1 to 30 moments, got 0"),
        ({"snapshots": None}, "snapshots must be 1 to 30 moments, got None"),
        ({"snapshots": [{"step": 1}]}, r"snapshots\[0\] must be a dictionary with step and predictions, got"),
        ({"snapshots": SNAPSHOTS[::-1]}, r"snapshots\[1\] must have a whole step above 3, got 0"),
        (
            {"snapshots": [{"step": 1, "predictions": [FOUND] * 2}]},
            r"predictions of snapshots\[0\] must be one for each of 1 pictures, got 2",
        ),
        (
            {"snapshots": [{"step": 1, "predictions": [TARGET]}]},
            r"predictions of snapshots\[0\] for picture 0 must be a dictionary with boxes, scores, labels",
        ),
        (
            {"snapshots": [{"step": 1, "predictions": [FOUND], "ap50": 1.5}]},
            r"ap50 of snapshots\[0\] must lie in \[0, 1\], got 1.5",
        ),
        ({"images": [IMAGE] * 3}, "images must be 1 to 2 pictures, got 3"),
        ({"targets": []}, "targets must be one for each of 1 pictures, got 0"),
        ({"names": ["-"]}, "names must be 2 strings or more"),
        ({"score_threshold": 2}, r"score_threshold must lie in \[0, 1\], got 2"),
    ],
)
def test_bad_input_is_refused(other, message):
    with pytest.raises(InputError, match=message):
        make(**other)
