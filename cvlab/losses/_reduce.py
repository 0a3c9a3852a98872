"""The last step of every loss: keep all values, or add them up, or take their mean."""

from __future__ import annotations

from torch import Tensor

from cvlab import _check

REDUCTIONS = ("none", "sum", "mean")


def reduce(op: str, values: Tensor, reduction: str) -> Tensor:
    """Reduce a tensor of losses; the mean of none is 0, not NaN."""
    _check.choice(op, "reduction", reduction, REDUCTIONS)
    if reduction == "none":
        return values
    return values.sum() if reduction == "sum" or values.numel() == 0 else values.mean()
