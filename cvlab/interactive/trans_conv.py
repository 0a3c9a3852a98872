"""Transposed convolution step by step: every input pixel lays a scaled kernel on the output, and they add up."""

from __future__ import annotations

from typing import Any

from cvlab.interactive.figure import StaticFigure
from cvlab.interactive.grids import as_grid, as_whole

QUESTION = "Which cells of the output get a number from more than one pixel, and what does padding take away?"
PIXELS = [[1, 2, 0], [3, 1, 2], [1, 0, 2]]
WEIGHT = [[1, 2, 1, 1], [2, 3, 1, 2], [1, 1, 2, 1], [1, 2, 1, 3]]
MOST_STRIDE, MOST_PADDING = 3, 2


def trans_conv(
    x: Any = None,
    weight: Any = None,
    *,
    kernel_size: int | None = None,
    stride: int = 2,
    padding: int = 0,
    step: int = 0,
    question: str = QUESTION,
) -> StaticFigure:
    """Make a transposed convolution to step through, with sliders for the size of the kernel, stride and padding.

    Args:
        x: (n, n) the input, whole numbers from -9 to 9, n from 2 to 4; 3 x 3 numbers if None.
        weight: (k, k) the largest kernel, whole numbers from -9 to 9, k from 2 to 4; a smaller one is its first rows
            and columns. 4 x 4 numbers if None.
        kernel_size: rows and columns of the kernel at first, from 1 to k; None for 3, or 2 if k is 2.
        stride: cells of the output between two neighbours of the input at first, 1 to 3.
        padding: lines taken away from each side of the output at first, 0 to 2.
        step: how many input pixels are laid down at first, row by row, 0 to n * n.
        question: what the figure asks its reader.

    Returns:
        The figure, for the last line of a notebook cell.

    Raises:
        InputError: for grids of another shape, numbers that are not whole, and numbers out of range.

    Notes:
        With all pixels laid down the output is that of `torch.nn.functional.conv_transpose2d` and of
        `cvlab.ops.trans_conv`, for one channel, with the same stride and padding.

    Example:
        >>> trans_conv([[0, 1], [2, 3]], [[0, 1], [2, 3]], stride=1, step=4)
        <interactive figure: trans_conv>
    """
    op = "trans_conv"
    pixels = as_grid(op, "x", PIXELS if x is None else x, 2, 4)
    kernel = as_grid(op, "weight", WEIGHT if weight is None else weight, 2, 4)
    most = len(kernel)
    size = min(3, most) if kernel_size is None else kernel_size
    alt = (
        f"An input of {len(pixels)} by {len(pixels)} pixels and the output of a transposed convolution. One pixel "
        "after another lays a copy of the kernel, multiplied by its value, on the output, where overlapping numbers "
        "add up. Padding takes lines away from the output's edge."
    )
    return StaticFigure(
        op,
        alt,
        question=question,
        x=pixels,
        weight=kernel,
        kernel=as_whole(op, "kernel_size", size, 1, most),
        stride=as_whole(op, "stride", stride, 1, MOST_STRIDE),
        padding=as_whole(op, "padding", padding, 0, MOST_PADDING),
        step=as_whole(op, "step", step, 0, len(pixels) ** 2),
    )
