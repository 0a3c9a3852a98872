"""The history of a training: a row for each step, a row for each evaluation."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from cvlab import _check

if TYPE_CHECKING:
    import numpy as np

COLUMNS = ("step", "epoch", "seconds", "learning_rate", "loss", "grad_norm")
"""The columns that `History.frame` always has; the terms of the loss stand between the last two."""

Row = dict[str, float]


@dataclass(eq=False)
class History:
    """Hold what happened in a training.

    Attributes:
        steps: A row for each step; see `frame`.
        evaluations: A row for each evaluation; see `metrics`.
        interrupted: Whether Ctrl-C ended the training.
        best_step: The step of the best evaluation, where early stopping looked for one.

    Example:
        >>> history = History()
        >>> history.steps.append(dict(step=1, epoch=0, seconds=0.1, learning_rate=0.5, loss=2.0, grad_norm=1.0))
        >>> history.frame["loss"].tolist()
        [2.0]
        >>> history
        History(1 step, loss 2)
    """

    steps: list[Row] = field(default_factory=list)
    evaluations: list[Row] = field(default_factory=list)
    interrupted: bool = False
    best_step: int | None = None

    @property
    def frame(self) -> pd.DataFrame:
        """One row for each step, as a new pandas frame.

        The columns are step, from 1; epoch, from 0; seconds of training up to the step's end, evaluations and
        checkpoints not counted; learning_rate; loss; each term of the loss; and grad_norm, the norm of the gradient
        before clipping.
        """
        return pd.DataFrame(self.steps) if self.steps else pd.DataFrame(columns=list(COLUMNS))

    @property
    def metrics(self) -> pd.DataFrame:
        """One row for each evaluation with step, epoch, seconds and the metrics, as a new pandas frame."""
        return pd.DataFrame(self.evaluations) if self.evaluations else pd.DataFrame(columns=list(COLUMNS[:3]))

    def __repr__(self) -> str:
        count = len(self.steps)
        parts = [f"{count} step{'' if count == 1 else 's'}"]
        parts += [f"loss {self.steps[-1]['loss']:.4g}"] if self.steps else []
        if self.evaluations:
            named = [(k, v) for k, v in self.evaluations[-1].items() if k not in COLUMNS[:3]]
            parts += [f"held-out {k} {v:.4g}" for k, v in named[:3]]
        parts += ["interrupted"] if self.interrupted else []
        return f"History({', '.join(parts)})"

    def plot(self, metric: str | None = None) -> np.ndarray:
        """Draw the loss, the learning rate and a metric against the steps.

        Args:
            metric: The name of the metric; by default the first one. Without evaluations there is no such panel.

        Returns:
            An array of matplotlib Axes, one for each panel.

        Raises:
            InputError: There is no step, or no metric of this name.
        """
        from cvlab.engine import history_plot

        return history_plot.draw(self, metric)

    def to_json(self, path: str | Path) -> None:
        """Write the history to a file.

        Args:
            path: The file; numbers that are not finite are written as the words "nan", "inf" and "-inf".
        """
        content = {
            "steps": [_encode(row) for row in self.steps],
            "evaluations": [_encode(row) for row in self.evaluations],
            "interrupted": self.interrupted,
            "best_step": self.best_step,
        }
        Path(path).write_text(json.dumps(content, allow_nan=False), encoding="utf-8")

    @classmethod
    def from_json(cls, path: str | Path) -> History:
        """Read a history from a file that `to_json` wrote.

        Args:
            path: The file.

        Returns:
            The same history.

        Raises:
            InputError: The file holds no history.
        """
        try:
            content = json.loads(Path(path).read_text(encoding="utf-8"))
            rows = [[_decode(row) for row in content[name]] for name in ("steps", "evaluations")]
            return cls(*rows, content["interrupted"], content["best_step"])
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise _check.InputError(f"History.from_json: {path} holds no history: {error!r}") from error


def _encode(row: Row) -> dict[str, Any]:
    return {k: v if math.isfinite(v) else str(v) for k, v in row.items()}


def _decode(row: dict[str, Any]) -> Row:
    return {k: float(v) if isinstance(v, str) else v for k, v in row.items()}
