"""A convolution as a matrix: which row makes which output pixel, and what the transposed matrix does."""

from __future__ import annotations

from typing import Any

from cvlab._check import InputError
from cvlab.interactive.figure import StaticFigure
from cvlab.interactive.grids import as_grid, as_whole

QUESTION = "One output pixel is one row of the matrix. What becomes of that row when the matrix is transposed?"
PIXELS = [[1, 0, 2, 1], [2, 1, 0, 3], [0, 2, 1, 1], [1, 3, 0, 2]]
WEIGHT = [[1, 2, 1], [0, 3, -1], [2, 1, -2]]
MOST_STRIDE, MOST_PADDING = 3, 2


def conv_matrix(
    weight: Any = None,
    x: Any = None,
    *,
    stride: int = 1,
    padding: int = 0,
    transposed: bool = False,
    question: str = QUESTION,
) -> StaticFigure:
    """Make the matrix of a small convolution, whose rows and columns light up as one points at pixels.

    Args:
        weight: (k, k) the kernel, whole numbers from -9 to 9, k is 2 or 3; a 3 x 3 kernel if None.
        x: (n, n) the input, whole numbers from -9 to 9, n from 3 to 5; 4 x 4 numbers if None.
        stride: pixels of the input between two neighbours of the output at first, 1 to 3.
        padding: lines of zeros around the input at first, 0 to 2 and less than k.
        transposed: whether the matrix is transposed at first; then it is applied to the output of the convolution.
        question: what the figure asks its reader.

    Returns:
        The figure, for the last line of a notebook cell.

    Raises:
        InputError: for grids of another shape, numbers that are not whole, and numbers out of range.

    Notes:
        The matrix A is that of `cvlab.ops.conv_matrix`, for one channel: pixels are counted row by row, `A @ x` is
        `torch.nn.functional.conv2d`, which does not flip the kernel, and `A.T @ y` is `conv_transpose2d`.

    Example:
        >>> conv_matrix([[1, 2], [3, 4]], [[1, 0, 1], [0, 1, 0], [1, 0, 1]], stride=1, transposed=True)
        <interactive figure: conv_matrix>
    """
    op = "conv_matrix"
    kernel = as_grid(op, "weight", WEIGHT if weight is None else weight, 2, 3)
    pixels = as_grid(op, "x", PIXELS if x is None else x, 3, 5)
    lines = as_whole(op, "padding", padding, 0, MOST_PADDING)
    if lines >= len(kernel):
        raise InputError(f"{op}: padding must be less than the kernel's size {len(kernel)}, got {lines}")
    alt = (
        f"A convolution of {len(pixels)} by {len(pixels)} pixels with a kernel of {len(kernel)} by {len(kernel)} "
        "entries, as a matrix whose cells have the colours of the kernel's entries. An output pixel has a row of it, "
        "an input pixel a column; transposed, the matrix takes the output's shape back to the input's."
    )
    return StaticFigure(
        op,
        alt,
        question=question,
        weight=kernel,
        x=pixels,
        stride=as_whole(op, "stride", stride, 1, MOST_STRIDE),
        padding=lines,
        transposed=bool(transposed),
    )
