"""Multiply whole numbers by a real one without any: a 31-bit fraction and a shift."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from cvlab import _check

ROUNDINGS = ("double", "single")
"""How `multiply_by_quantized_multiplier` rounds: as gemmlowp and TFLite's kernels do, twice, or once."""


def quantize_multiplier(value: float) -> tuple[int, int]:
    """Write a real number as a fraction of 2^31 and a power of two.

    Args:
        value: finite; in a network the product of the scales of input and weights over that of the output.

    Returns:
        A whole number m, 0 or with 31 binary digits, and a shift s, so that value is about m 2^(s - 31).

    Raises:
        InputError: if the value is NaN, infinite, or too large: 2^30 or above.

    Notes:
        Below 2^-32 the multiplier is 0, as in TFLite.

    Example:
        >>> quantize_multiplier(0.75)
        (1610612736, 0)

    References:
        Jacob et al. (2018), section 2.2.
    """
    op = "quantize_multiplier"
    if not math.isfinite(value):
        raise _check.InputError(f"{op}: value must be finite, got {value}")
    fraction, shift = math.frexp(value)
    multiplier = math.floor(abs(fraction) * 2**31 + 0.5)  # half away from 0
    if multiplier == 2**31:
        multiplier, shift = 2**30, shift + 1
    if shift < -31:
        return 0, 0
    if shift > 30:
        raise _check.InputError(f"{op}: value must be below 2^30, got {value}")
    return (multiplier if value >= 0 else -multiplier), shift


def multiply_by_quantized_multiplier(
    x: Any, multiplier: Any, shift: Any, *, rounding: str = "double"
) -> np.ndarray[Any, np.dtype[np.int32]]:
    """Multiply 32-bit numbers by m 2^(s - 31), in whole numbers alone.

    Args:
        x: int32, any shape.
        multiplier: m, int32, a number or an array that broadcasts, for instance one for each channel.
        shift: s, from -31 to 30, likewise.
        rounding: "double" rounds the product's upper half and then once more where it is shifted to the right; "single"
            rounds once, at the end. They differ by at most 1, and seldom.

    Returns:
        int32, as large as x and the multiplier broadcast.

    Raises:
        InputError: if the rounding is unknown, or a shift is out of range.

    Example:
        >>> quarter = quantize_multiplier(0.25)
        >>> multiply_by_quantized_multiplier([100, -100, 1001], *quarter).tolist()  # 250.25, over 500.5 and 501
        [25, -25, 251]
        >>> multiply_by_quantized_multiplier([100, -100, 1001], *quarter, rounding="single").tolist()
        [25, -25, 250]

    References:
        Jacob et al. (2018), section 2.2; gemmlowp, fixedpoint.h.
    """
    op = "multiply_by_quantized_multiplier"
    _check.choice(op, "rounding", rounding, ROUNDINGS)
    x, multiplier, shift = (np.asarray(each, dtype=np.int64) for each in (x, multiplier, shift))
    if shift.size and (shift.min() < -31 or shift.max() > 30):
        raise _check.InputError(f"{op}: shifts must be from -31 to 30, got {shift.min()} to {shift.max()}")
    if rounding == "single":
        right = 31 - shift
        return ((x * multiplier + (np.int64(1) << (right - 1))) >> right).astype(np.int32)
    left, right = np.maximum(shift, 0), np.maximum(-shift, 0)
    shifted = (x << left).astype(np.int32).astype(np.int64)  # a 32-bit register overflows as on the device
    return _rounding_shift(_doubling_high(shifted, multiplier), right).astype(np.int32)


def _doubling_high(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Compute a b / 2^31, rounded to the nearest, halves upwards; the one overflow there is, is cut off."""
    product = a * b
    nudged = product + np.where(product >= 0, 1 << 30, 1 - (1 << 30))
    high = np.where(nudged >= 0, nudged >> 31, -(-nudged >> 31))  # towards zero
    return np.minimum(high, 2**31 - 1)


def _rounding_shift(x: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Divide by 2^right, rounded to the nearest, halves away from zero."""
    mask = (np.int64(1) << right) - 1
    threshold = (mask >> 1) + (x < 0)
    return (x >> right) + ((x & mask) > threshold)
