"""Functions of one number by table: an int8 has 256 values, so all answers fit into 256 bytes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from cvlab import _check

Array = np.ndarray[Any, np.dtype[Any]]
Scale = tuple[float, int]

FUNCTIONS: dict[str, Callable[[Array], Array]] = {
    "sigmoid": lambda x: np.exp(-np.logaddexp(0, -x)),
    "hard_swish": lambda x: x * np.clip(x + 3, 0, 6) / 6,
    "silu": lambda x: x * np.exp(-np.logaddexp(0, -x)),
    "clamp": lambda x: x,
}
"""By name; what `lookup_table` can make a table of."""

SHARE: Scale = (1 / 256, -128)
"""Scale and zero point of what lies in [0, 1)."""

EXP_BITS = 20
"""Bits behind the point in the table of exponentials."""


def lookup_table(function: str, source: Scale, target: Scale, bounds: tuple[int, int] = (-128, 127)) -> Array:
    """Compute a function of each int8 in advance.

    Args:
        function: a name of `FUNCTIONS`.
        source: scale and zero point of what goes in.
        target: of what comes out.
        bounds: smallest and largest number of the result.

    Returns:
        (256,) int8, the first for -128.

    Raises:
        InputError: if the function is unknown.

    Example:
        >>> table = lookup_table("sigmoid", (0.1, 0), SHARE)
        >>> table[128].item(), table[255].item()  # at 0: 0.5, that is 128/256; at 12.7: nearly 1
        (0, 127)
    """
    _check.choice("lookup_table", "function", function, FUNCTIONS)
    x = (np.arange(-128, 128) - source[1]) * source[0]
    return (np.rint(FUNCTIONS[function](x) / target[0]) + target[1]).clip(*bounds).astype(np.int8)


def lookup(x: Array, table: Array) -> Array:
    """Replace each int8 by its entry of a table (256,)."""
    return table[x.astype(np.int64) + 128]


def exp_table(scale: float) -> Array:
    """Compute exp(-d scale) for the distances d from 0 to 255: (256,) int32 with `EXP_BITS` bits behind the point."""
    return np.array([round(math.exp(-d * scale) * 2**EXP_BITS) for d in range(256)], dtype=np.int32)


def softmax_int8(x: Array, table: Array) -> Array:
    """Compute a softmax over the last dimension, with a table and one division of whole numbers.

    Args:
        x: (..., K) int8.
        table: `exp_table` of the scale of x.

    Returns:
        (..., K) int8, with scale 1/256 and zero point -128.

    Example:
        >>> softmax_int8(np.array([[10, 0, 0, -100]], dtype=np.int8), exp_table(0.1)).tolist()  # 0.576 and 0.212
        [[19, -74, -74, -128]]
    """
    distances = x.astype(np.int64).max(-1, keepdims=True) - x
    values = table.astype(np.int64)[distances]
    total = values.sum(-1, keepdims=True)
    return ((values * 256 + total // 2) // total - 128).clip(-128, 127).astype(np.int8)
