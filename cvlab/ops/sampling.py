"""Sampling: which of many candidates, most of them background, a network learns from."""

from __future__ import annotations

import torch
from torch import Tensor

from cvlab import _check


def sample_balanced(
    labels: Tensor, number: int, positive_share: float, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor]:
    """Draw candidates at random, so that objects are at most a given share of them.

    Where there are too few objects, background fills up; where there is too little background, fewer are drawn.

    Args:
        labels: (N,) signed integers, the class from 1 on, 0 for background, -1 for what is not drawn.
        number: How many to draw.
        positive_share: The largest share of objects among `number`; a fraction is rounded down.
        generator: Of the random numbers; None for torch's own.

    Returns:
        Indices (P,) of the objects and (M,) of the background, int64, each in random order.

    Raises:
        InputError: `labels` is not a vector of integers, the number is below 1, or the share lies outside [0, 1].

    Notes:
        torchvision's `BalancedPositiveNegativeSampler`, which gives masks.

    Example:
        >>> objects, background = sample_balanced(torch.tensor([0, 0, 2, -1, 1, 0]), 4, 0.5)
        >>> sorted(objects.tolist()), len(background)
        ([2, 4], 2)

    References:
        Girshick (2015). Fast R-CNN. Section 2.3. Ren et al. (2015). Faster R-CNN. Section 3.1.3.
    """
    op = "sample_balanced"
    _check.integer(op, "labels", labels)
    _check.shape(op, "labels", labels, ("N",))
    _check.positive(op, "(number,)", (number,))
    _check.fraction(op, "positive_share", positive_share)
    objects = _draw((labels > 0).nonzero()[:, 0], int(number * positive_share), generator)
    background = _draw((labels == 0).nonzero()[:, 0], number - len(objects), generator)
    return objects, background


def _draw(among: Tensor, number: int, generator: torch.Generator | None) -> Tensor:
    """Draw up to so many, without putting back."""
    order = torch.randperm(len(among), generator=generator, device=among.device)
    return among[order[:number]]
