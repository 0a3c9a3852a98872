"""A real multiplier taken apart: 31 bits, a shift, a product of 64 bits, and two ways to round it."""

from __future__ import annotations

from cvlab import _check
from cvlab._check import InputError
from cvlab.interactive.figure import StaticFigure
from cvlab.interactive.grids import as_whole

LOWEST, HIGHEST = 2.0**-12, 2.0


def multiplier(value: float = 0.0072, accumulator: int = 24780, *, question: str | None = None) -> StaticFigure:
    """Make a fixed-point multiplication to look into: the multiplier's bits and shift, the product, and its rounding.

    Args:
        value: the real multiplier at first, from 2^-12 to 2.
        accumulator: the whole number that it multiplies at first, one of 32 bits.
        question: what the figure asks its reader; None for how a chip multiplies by `value`.

    Returns:
        The figure, for the last line of a notebook cell.

    Raises:
        InputError: if the multiplier or the accumulator is out of range, or the accumulator no whole number.

    Notes:
        Multiplier and shift are those of `cvlab.quant.quantize_multiplier`, the two results those of
        `cvlab.quant.multiply_by_quantized_multiplier` with `rounding` "double" and "single".

    Example:
        >>> multiplier(0.0072, accumulator=24780)
        <interactive figure: multiplier>
    """
    op = "multiplier"
    _check.number(op, "value", value)
    if not LOWEST <= value <= HIGHEST:
        raise InputError(f"{op}: value must be from {LOWEST} to {HIGHEST:g}, got {value}")
    whole = as_whole(op, "accumulator", accumulator, -(2**31), 2**31 - 1)
    alt = (
        f"The multiplication of {whole} by {value:g} as a chip without floating point does it: the multiplier as 31 "
        "bits and a shift, the product of 64 bits, and its rounding to a whole number, in two steps or in one, with "
        "the error of each."
    )
    asked = f"How does a chip without floating point multiply by {value:g}?" if question is None else question
    return StaticFigure(op, alt, question=asked, value=float(value), accumulator=whole)
