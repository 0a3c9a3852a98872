"""Stopping a transfer and going on: a state may be used twice, and Ctrl-C waits for the end of a step."""

from __future__ import annotations

import copy
import signal
from typing import Any

import pytest
import torch

from cvlab import style
from cvlab._check import InputError
from cvlab.engine.progress import Progress

NETWORK = style.loss_network("random")
GENERATOR = torch.Generator().manual_seed(0)
CONTENT = torch.rand(3, 8, 8, generator=GENERATOR).repeat_interleave(8, 1).repeat_interleave(8, 2)  # 64 x 64
STYLE = torch.rand(3, 64, 64, generator=GENERATOR)


def run(settings: dict[str, Any], **options: Any) -> style.StyleResult:
    return style.StyleTransfer(NETWORK, **settings).run(CONTENT, STYLE, **{"steps": 6, "progress": False, **options})


def same(one: Any, other: Any) -> bool:
    """Compare nested values, tensors byte for byte."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
@pytest.mark.parametrize("precision", [None, "bf16"])
def test_stops_at_every_step_of_every_level(optimizer, precision):
    settings = {"optimizer": optimizer, "precision": precision, "levels": 2, "start": "noise", "seed": 3}
    whole = run(settings, steps=[2, 3], snapshot_every=2)
    assert torch.equal(whole.picture, run(settings, steps=[2, 3]).picture), "and the same each time"
    state = None
    for until in range(6):
        part = run(settings, steps=[2, 3], snapshot_every=2, until=until, state=state)
        state = part.state
    assert part.finished
    assert torch.equal(part.picture, whole.picture)
    assert part.history == whole.history
    assert same(part.snapshots, whole.snapshots)


@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
def test_a_state_stays_as_it_is(optimizer):
    settings = {"optimizer": optimizer}
    whole, state = run(settings).picture, run(settings, until=3).state
    before = copy.deepcopy(state)
    for _ in range(2):
        assert torch.equal(run(settings, state=state).picture, whole)
    assert same(state, before)


@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
@pytest.mark.parametrize("call", [1, 2, 5])
def test_ctrl_c_waits_for_the_end_of_the_step(monkeypatch, optimizer, call):
    settings, calls, objective = {"optimizer": optimizer}, [], style.Objective.__call__

    def interrupted(self, picture):
        calls.append(1)
        if len(calls) == call:
            signal.raise_signal(signal.SIGINT)
        return objective(self, picture)

    handler = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(style.Objective, "__call__", interrupted)
    stopped = run(settings)
    monkeypatch.undo()
    assert signal.getsignal(signal.SIGINT) is handler
    done = len(stopped.history)
    assert 0 < done < 6
    assert not stopped.finished
    assert torch.equal(stopped.picture, run(settings, until=done).picture), "the picture after a whole step"
    assert torch.equal(run(settings, state=stopped.state).picture, run(settings).picture)


def test_ctrl_c_between_two_steps(monkeypatch):
    def update(self, done, text):
        if done == 4:
            raise KeyboardInterrupt

    monkeypatch.setattr(Progress, "update", update)
    stopped = run({})
    monkeypatch.undo()
    assert len(stopped.history) == 4
    assert torch.equal(stopped.picture, run({}, until=4).picture)
    assert torch.equal(run({}, state=stopped.state).picture, run({}).picture)


def test_a_state_of_another_optimizer_is_refused():
    for one, other in (("adam", "lbfgs"), ("lbfgs", "adam")):
        state = run({"optimizer": one}, until=1).state
        with pytest.raises(InputError, match=f"this state is of {one}, got {other}"):
            run({"optimizer": other}, state=state)


@pytest.mark.parametrize("state", [{}, {"plan": [6], "size": [64, 64]}, 3], ids=["empty", "half", "a number"])
def test_what_is_no_state_is_refused(state):
    with pytest.raises(InputError, match="state must be that of a result"):
        run({}, state=state)
