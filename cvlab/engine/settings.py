"""The arguments of a training: what they are, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from torch import nn

from cvlab import _check
from cvlab.engine.evaluation import Loss, Metric, check_metric
from cvlab.engine.history import History
from cvlab.engine.schedules import SCHEDULES, Schedule


class State(NamedTuple):
    """What a callback sees: the step, the model in evaluation mode (the averaged one with `ema`), and the history."""

    step: int
    model: nn.Module
    history: History


Callback = Callable[[State], object]


@dataclass
class Settings:
    """The arguments of `fit`, checked; see there."""

    steps: int | None
    epochs: int | None
    seconds: float | None
    batch_size: int
    learning_rate: float
    optimizer: Any
    weight_decay: float
    schedule: Schedule
    warmup: int
    clip: float | None
    ema: float | None
    mixed_precision: str | None
    metric: Metric | None
    evaluate_every: int | None
    monitor: str
    patience: int | None
    loss: Loss | None
    collate: Any
    num_workers: int
    seed: int
    checkpoint: Path | None
    checkpoint_every: int | None
    resume: bool
    callbacks: list[tuple[int | None, Callback]]
    progress: bool

    def fixed(self) -> dict[str, Any]:
        """Give what must be the same when a training goes on, as plain values."""
        names = (
            "steps epochs seconds batch_size learning_rate weight_decay warmup clip ema mixed_precision "
            "evaluate_every monitor patience seed"
        )
        values = {name: getattr(self, name) for name in names.split()}
        values = {name: value.item() if hasattr(value, "item") else value for name, value in values.items()}  # numpy's
        functions = {name: getattr(self, name) for name in ("optimizer", "schedule", "loss")}
        return values | {name: f if f is None or isinstance(f, str) else _name(f) for name, f in functions.items()}


def _name(function: Any) -> str:
    return getattr(function, "__qualname__", type(function).__qualname__)


def check_settings(**given: Any) -> Settings:
    """Check the arguments of `fit`.

    Raises:
        InputError: One is out of range.
        TypeError: A metric or a callback is none.
    """
    lengths = {name: given[name] for name in ("steps", "epochs", "seconds") if given[name] is not None}
    if len(lengths) != 1:
        raise _check.InputError(f"fit: give exactly one of steps, epochs and seconds, got {lengths or 'none'}")
    least = {"steps": 0, "epochs": 0, "warmup": 0, "num_workers": 0, "seed": 0, "batch_size": 1, "evaluate_every": 1,
             "patience": 1, "checkpoint_every": 1}  # fmt: skip
    for name, low in least.items():
        if given[name] is not None:
            _whole(name, given[name], low)
    for name in ("seconds", "clip", "learning_rate"):
        if given[name] is not None:
            _check.number("fit", name, given[name])
            if given[name] <= 0:
                raise _check.InputError(f"fit: {name} must be above 0, got {given[name]!r}")
    if given["ema"] is not None:
        _check.fraction("fit", "ema", given["ema"])
    if given["patience"] is not None and given["evaluate_every"] is None:
        raise _check.InputError("fit: patience needs evaluate_every, got None")
    if given["checkpoint_every"] is not None and given["checkpoint"] is None:
        raise _check.InputError("fit: checkpoint_every needs checkpoint, a path, got None")
    if not callable(given["schedule"]):
        _check.choice("fit", "schedule", given["schedule"], sorted(SCHEDULES))
        given["schedule"] = SCHEDULES[given["schedule"]]
    check_metric("fit", given["metric"])
    given["checkpoint"] = None if given["checkpoint"] is None else Path(given["checkpoint"])
    given["callbacks"] = [_callback(i, callback) for i, callback in enumerate(given["callbacks"])]
    return Settings(**given)


def _whole(name: str, value: Any, low: int) -> None:
    if isinstance(value, bool) or not hasattr(value, "__index__") or value < low:
        raise _check.InputError(f"fit: {name} must be a whole number of at least {low}, got {value!r}")


def _callback(i: int, callback: Any) -> tuple[int | None, Callback]:
    every, function = callback if isinstance(callback, tuple) and len(callback) == 2 else (None, callback)
    if every is not None:
        _whole(f"callbacks[{i}][0]", every, 1)
    if not callable(function):
        raise TypeError(f"fit: callbacks[{i}] must be a function or a pair (steps, function), got {callback!r}")
    return every, function
