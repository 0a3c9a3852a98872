"""A number line on which real numbers are stored in a few bits: the grid, a number on it, and the error."""

from __future__ import annotations

import math

from cvlab import _check
from cvlab._check import InputError
from cvlab.interactive.figure import StaticFigure
from cvlab.interactive.grids import as_whole

QUESTION = "How far off is a number once it is stored in b bits?"
SMALLEST, LARGEST = 1e-6, 1e6  # lengths of the line


def number_line(
    low: float = -1.0,
    high: float = 3.0,
    bits: int = 4,
    *,
    symmetric: bool = False,
    signed: bool = True,
    x: float | None = None,
    extent: tuple[float, float] | None = None,
    question: str = QUESTION,
) -> StaticFigure:
    """Make a number line with bounds to drag, the grid of numbers that can be stored, and a number to store.

    Args:
        low: the lower bound; above 0 it counts as 0.
        high: the upper bound; below 0 it counts as 0.
        bits: of the whole numbers, from 2 to 8.
        symmetric: whether the zero point is 0.
        signed: whether whole numbers below 0 are used; symmetric ones need them.
        x: the number to store; None for one in the upper half of the range.
        extent: the ends of the line; None for a fifth farther than the farther bound, on both sides.
        question: what the figure asks its reader.

    Returns:
        The figure, for the last line of a notebook cell.

    Raises:
        InputError: if a number is not finite, a lower bound is above an upper one, bits and signs do not go together,
            the line does not hold 0, both bounds and x, or it is shorter than 0.000001 or longer than 1,000,000.

    Notes:
        Scale, zero point, whole number and error are those of `cvlab.quant.choose_qparams`, `quantize` and
        `dequantize` in float32.

    Example:
        >>> number_line(low=-1.0, high=3.0, bits=4, x=1.3)
        <interactive figure: number_line>
    """
    op = "number_line"
    for name, value in (("low", low), ("high", high), *([] if x is None else [("x", x)])):
        _check.number(op, name, value)
    if low > high:
        raise InputError(f"{op}: low must not be above high, got {low} and {high}")
    if symmetric and not signed:
        raise InputError(f"{op}: symmetric quantization needs signed numbers")
    width = as_whole(op, "bits", bits, 2, 8)
    left, right = _ends(low, high, extent)
    step = 10.0 ** math.floor(math.log10((right - left) / 400))
    value = round((low + 0.58 * (high - low)) / step) * step if x is None else x
    if not left <= min(low, value, 0) <= max(high, value, 0) <= right:
        raise InputError(f"{op}: extent must hold 0, low, high and x, got {left:g} to {right:g}")
    alt = (
        f"A number line with a range from {low:g} to {high:g}, divided by the numbers that {width} bits can tell, and "
        "below it the error of each number once it is stored: at most half a step inside the range, growing outside. "
        "Bounds, bits and a number to store can be moved."
    )
    return StaticFigure(
        op,
        alt,
        question=question,
        low=float(low),
        high=float(high),
        bits=width,
        symmetric=bool(symmetric),
        signed=bool(signed),
        x=float(value),
        extent=[left, right],
        step=step,
    )


def _ends(low: float, high: float, extent: tuple[float, float] | None) -> tuple[float, float]:
    """Give the ends of the line."""
    op = "number_line"
    if extent is None:
        far = 1.2 * max(abs(low), abs(high)) or 1.0
        left, right = -far, far
    else:
        if isinstance(extent, str) or not hasattr(extent, "__len__") or len(extent) != 2:
            raise InputError(f"{op}: extent must be two numbers, got {extent!r}")
        for i, end in enumerate(extent):
            _check.number(op, f"extent[{i}]", end)
        left, right = float(extent[0]), float(extent[1])
    if not SMALLEST <= right - left <= LARGEST:
        raise InputError(f"{op}: the line must be {SMALLEST:f} to {LARGEST:g} long, got {left:g} to {right:g}")
    return left, right
