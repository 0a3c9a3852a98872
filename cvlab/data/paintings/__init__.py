"""Pictures like paintings, made by a program: styles that need no download.

Each is one function of random numbers: oil in thick strokes, stained glass, a woodcut. None copies a painting.
"""

from __future__ import annotations

from operator import index

import numpy as np
import torch
from torch import Tensor

from cvlab import _check
from cvlab.data.paintings.fields import Canvas, reduced
from cvlab.data.paintings.mosaic import mosaic
from cvlab.data.paintings.strokes import strokes
from cvlab.data.paintings.waves import waves
from cvlab.data.still_life.rng import Random

__all__ = ["PAINTINGS", "painting"]

_PAINTERS = {"strokes": strokes, "mosaic": mosaic, "waves": waves}  # new ones go last: their place is part of the seed

PAINTINGS = tuple(_PAINTERS)
"""Names of the paintings there are."""

SMALLEST, LARGEST = 16, 1024


def painting(name: str, size: int | tuple[int, int] = 256, seed: int = 0) -> Tensor:
    """Paint a picture in a style of its own.

    Args:
        name: one of `PAINTINGS`: "strokes", thick brush strokes along a swirling current, in deep blues with yellow and
            orange lights; "mosaic", stained glass in rich colours between dark lead; "waves", a woodcut of indigo lines
            on warm paper under a red sun.
        size: side of the square picture in pixels, or (height, width); each from 16 to 1024.
        seed: a non-negative integer; another seed gives another picture of the same style.

    Returns:
        (3, H, W) float32 in [0, 1]. The same seed gives the same bytes, and at another size of the same proportions the
        same composition, only finer or coarser.

    Raises:
        InputError: if there is no painting of that name, or the size or the seed is impossible.

    Notes:
        On another machine a value may differ in its last digits, and so may the rare pixel on a stroke's edge, for
        sines are not rounded alike everywhere.

    Example:
        >>> painting("mosaic", (48, 64)).shape
        torch.Size([3, 48, 64])
    """
    _check.choice("painting", "name", name, PAINTINGS)
    sides = size if isinstance(size, (tuple, list)) else (size, size)
    if len(sides) != 2:
        raise _check.InputError(f"painting: size must be a number or (height, width), got {size!r}")
    height, width = (_whole("size", side, SMALLEST, LARGEST) for side in sides)
    random = Random(_whole("seed", seed, 0, 2**64 - 1), PAINTINGS.index(name))
    painted = reduced(_PAINTERS[name](random, Canvas(height, width)))  # (H, W, 3)
    return torch.from_numpy(np.ascontiguousarray(painted.transpose(2, 0, 1), np.float32))  # (3, H, W)


def _whole(name: str, value: int, low: int, high: int) -> int:
    """Give a whole number between two bounds, or say that this is none."""
    if isinstance(value, bool) or not hasattr(value, "__index__") or not low <= index(value) <= high:
        raise _check.InputError(f"painting: {name} must be a whole number from {low} to {high}, got {value!r}")
    return index(value)
