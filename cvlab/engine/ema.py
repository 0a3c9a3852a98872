"""An exponential moving average of a model's weights, which is often better than the last weights."""

from __future__ import annotations

import copy

import torch
from torch import nn

from cvlab import _check


class MovingAverage:
    """Follow a model with a copy whose weights are an exponential moving average.

    After update t, counted from 1, the average is `d * average + (1 - d) * weights` with
    d = min(decay, (1 + t) / (10 + t)). The ramp makes a short training forget the weights that it started from:
    with a decay of 0.999 alone, they would still count for 37 percent after 1000 steps. Buffers, such as the
    statistics of batch normalisation, are averages already and are copied.

    Args:
        model: The model to follow; it is copied.
        decay: In [0, 1]; the higher, the more steps count.

    Raises:
        InputError: `decay` lies outside of [0, 1].

    Example:
        >>> model = nn.Linear(1, 1, bias=False)
        >>> _ = nn.init.ones_(model.weight)
        >>> average = MovingAverage(model, decay=0.99)
        >>> _ = nn.init.constant_(model.weight, 12.0)
        >>> average.update(model, 1)  # d = 2 / 11
        >>> round(average.model.weight.item(), 4)
        10.0
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        _check.fraction("MovingAverage", "decay", decay)
        self.decay = decay
        self.model = copy.deepcopy(model).eval().requires_grad_(False)

    @torch.no_grad()
    def update(self, model: nn.Module, t: int) -> None:
        """Take the model's weights into the average.

        Args:
            model: The model that is followed.
            t: How many updates there are with this one, from 1.
        """
        share = 1 - min(self.decay, (1 + t) / (10 + t))
        for average, weight in zip(self.model.parameters(), model.parameters(), strict=True):
            average.lerp_(weight, share)
        for own, buffer in zip(self.model.buffers(), model.buffers(), strict=True):
            own.copy_(buffer)
