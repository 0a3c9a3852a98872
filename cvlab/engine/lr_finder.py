"""Find a learning rate: raise it in each step of a short training, and look where the loss falls."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from torch import nn

from cvlab import _check
from cvlab.engine.errors import StopTraining, TrainingError
from cvlab.engine.fit import fit
from cvlab.engine.history import History
from cvlab.engine.settings import State

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_DIVERGED = 4.0  # times the lowest loss, both as means of 5 steps
_LEAST = 10  # steps


@dataclass(frozen=True)
class LearningRates:
    """Hold the losses of a range of learning rates.

    Attributes:
        frame: A pandas frame with the columns learning_rate, loss and smoothed, a row for each step.
        minimum: The rate at which the smoothed loss is lowest.
        steepest: The rate, below that, at which it falls fastest with the rate's logarithm.
    """

    frame: pd.DataFrame
    minimum: float
    steepest: float

    @property
    def suggestion(self) -> float:
        """A tenth of the rate at which the smoothed loss is lowest, because at the minimum it is about to rise.

        As the highest rate of a schedule; see `steepest` for another common choice.
        """
        return self.minimum / 10

    def plot(self) -> Axes:
        """Draw the losses against the rates, with the suggestion, the steepest place and the minimum.

        Returns:
            The matplotlib Axes.
        """
        from cvlab.engine import history_plot

        return history_plot.draw_rates(self)


def find_learning_rate(
    model: nn.Module,
    train: Any,
    *,
    lowest: float = 1e-6,
    highest: float = 1.0,
    steps: int = 100,
    **arguments: Any,
) -> LearningRates:
    """Train a copy of a model with a learning rate that rises from step to step, and look how the loss takes it.

    It ends early where the loss is four times its lowest and above the first, or not finite.

    Args:
        model: The model; it stays as it is.
        train: As in `fit`.
        lowest: The first learning rate, above 0.
        highest: The last one, above `lowest`.
        steps: Number of steps, at least 10; the rates of two steps have always the same ratio.
        arguments: Others of `fit`: `batch_size`, `optimizer` by name, `weight_decay`, `clip`, `loss`, `collate`,
            `num_workers`, `seed`, `mixed_precision`, `progress`.

    Returns:
        Rates and losses, and what they suggest.

    Raises:
        InputError: An argument is out of range or not among these, or the loss is not finite from the start.

    Notes:
        The loss is smoothed by a centred mean over a twelfth of the steps, so that the curve is not moved towards
        higher rates, as trailing means move it.

    Example:
        >>> import torch
        >>> data = [(torch.tensor([float(x)]), torch.tensor([2.0 * x])) for x in range(-4, 5)]
        >>> def squared(model, images, targets):
        ...     return (model(torch.stack(images)) - torch.stack(targets)).square().mean()
        >>> found = find_learning_rate(nn.Linear(1, 1), data, loss=squared, progress=False)
        >>> 0.001 < found.suggestion < 0.2
        True

    References:
        Smith (2017). Cyclical learning rates for training neural networks, section 3.3.
    """
    _check.positive("find_learning_rate", "(lowest, highest)", (lowest, highest))
    if not lowest < highest:
        raise _check.InputError(f"find_learning_rate: highest must be above lowest, {lowest:g}, got {highest:g}")
    if isinstance(steps, bool) or not hasattr(steps, "__index__") or steps < _LEAST:
        raise _check.InputError(f"find_learning_rate: steps must be a whole number of at least {_LEAST}, got {steps!r}")
    for name in arguments:
        _check.choice("find_learning_rate", "an argument", name, _ARGUMENTS)
    if callable(arguments.get("optimizer")):
        raise _check.InputError("find_learning_rate: optimizer must be a name, because a function sets its own rates")

    def schedule(progress: float) -> float:
        return (lowest / highest) ** (1 - progress * steps / (steps - 1))

    try:
        history = fit(
            copy.deepcopy(model), train, steps=steps, learning_rate=highest, schedule=schedule, warmup=0,
            callbacks=[(1, _stop_where_it_diverges)], **arguments,
        )  # fmt: skip
    except TrainingError as error:
        if len(error.history.steps) < 2:
            raise _check.InputError(
                f"find_learning_rate: the loss must be finite at the lowest rate: {error}"
            ) from error
        history = error.history
    return _read(history, steps)


_ARGUMENTS = (
    "batch_size", "optimizer", "weight_decay", "clip", "loss", "collate", "num_workers", "seed", "mixed_precision",
    "progress",
)  # fmt: skip


def _stop_where_it_diverges(state: State) -> None:
    losses = [row["loss"] for row in state.history.steps]
    if len(losses) < _LEAST:
        return
    means = np.convolve(losses, np.ones(5) / 5, "valid")
    if means[-1] > max(_DIVERGED * means.min(), means[0]):
        raise StopTraining


def _read(history: History, steps: int) -> LearningRates:
    frame = history.frame[["learning_rate", "loss"]].copy()
    window = max(3, steps // 12)
    frame["smoothed"] = frame["loss"].rolling(window, center=True, min_periods=1).mean()
    smooth, rates = frame["smoothed"].to_numpy(), frame["learning_rate"].to_numpy()
    lowest = int(smooth.argmin())
    slopes = np.gradient(smooth, np.log(rates))[: lowest + 1]
    return LearningRates(frame, float(rates[lowest]), float(rates[slopes.argmin()]))
