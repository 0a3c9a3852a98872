"""What ends a training before its time."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cvlab.engine.history import History


class TrainingError(RuntimeError):
    """Reports a loss or gradient that is not finite; the model and the checkpoint are those of the last good step.

    Attributes:
        step: The number of the bad step, from 1; the weights are those after `step - 1` steps.
        epoch: The epoch of its batch, from 0.
        indices: The items of the batch in the data set, or None where a DataLoader does not tell them.
        losses: Each loss, the gradient's norm among them.
        history: The history of the good steps.
    """

    def __init__(
        self,
        message: str,
        step: int,
        epoch: int,
        indices: list[int] | None,
        losses: dict[str, float],
        history: History,
    ) -> None:
        super().__init__(message)
        self.step, self.epoch, self.indices, self.losses, self.history = step, epoch, indices, losses, history


class StopTraining(Exception):
    """Ends a training after the current step, in good order; for a callback to raise."""
