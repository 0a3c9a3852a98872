"""Pictures for pairs of weights: a handle over the grid, and between its points the neighbours blended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cvlab import _check
from cvlab._check import InputError
from cvlab.interactive.figure import StaticFigure
from cvlab.interactive.style_steps import same_size

QUESTION = "Where is the picture both: still itself, and painted?"
MOST = 6


def style_grid(
    pictures: Sequence[Sequence[Any]],
    across: Sequence[float],
    down: Sequence[float],
    *,
    names: tuple[str, str] = ("style weight", "smoothness"),
    start: tuple[int, int] = (0, 0),
    question: str = QUESTION,
) -> StaticFigure:
    """Make a grid of pictures with a handle to drag over it.

    Args:
        pictures: rows of pictures of one size: (3, H, W) tensors, float in [0, 1] or uint8, or (H, W, 3) arrays.
            `pictures[i][j]` was made with the weights `down[i]` and `across[j]`; 2 to 6 rows and columns.
        across: the weights of the columns, rising, at least 0.
        down: the weights of the rows, rising, at least 0.
        names: what the weights of columns and rows are called.
        start: row and column of the handle at first.
        question: what the figure asks its reader.

    Returns:
        The figure, for the last line of a notebook cell.

    Raises:
        InputError: if the rows are not as long as `across`, or not as many as `down`, for weights that do not rise,
            pictures of several sizes, and a start outside the grid.

    Notes:
        Between the points of the grid the figure blends the pixels of the (up to) four neighbours; a transfer with
        weights in between would give a sharper picture. The weight written there is the geometric mean, weighted by
        the distances, or the arithmetic one beside a weight of 0.

    Example:
        >>> import torch
        >>> pictures = [[torch.full((3, 16, 16), 0.1 * (i + j)) for j in range(3)] for i in range(2)]
        >>> style_grid(pictures, across=[1, 10, 100], down=[0, 1])
        <interactive figure: style_grid>
    """
    op = "style_grid"
    columns, rows = _weights("across", across), _weights("down", down)
    if len(pictures) != len(rows) or any(len(row) != len(columns) for row in pictures):
        raise InputError(
            f"{op}: pictures must be {len(rows)} rows of {len(columns)}, got rows of {[len(row) for row in pictures]}"
        )
    if not (0 <= start[0] < len(rows) and 0 <= start[1] < len(columns)):
        raise InputError(f"{op}: start must be a row below {len(rows)} and a column below {len(columns)}, got {start}")
    alt = (
        f"A picture in {len(rows)} by {len(columns)} versions, made with different weights. Dragging a handle over the "
        f"grid changes {names[0]} and {names[1]}; between the versions the neighbours are blended."
    )
    return StaticFigure(
        op,
        alt,
        question=question,
        pictures=same_size(op, [picture for row in pictures for picture in row]),
        across=columns,
        down=rows,
        names=list(names),
        start=[int(start[0]), int(start[1])],
    )


def _weights(name: str, values: Sequence[float]) -> list[float]:
    numbers = [float(value) for value in values]
    if not 2 <= len(numbers) <= MOST:
        raise InputError(f"style_grid: {name} must be 2 to {MOST} weights, got {len(numbers)}")
    _check.positive("style_grid", name, numbers, zero=True)
    if any(b <= a for a, b in zip(numbers, numbers[1:], strict=False)):
        raise InputError(f"style_grid: {name} must rise, got {numbers}")
    return numbers
