"""Polygons: outlines as lists of corners, and the pixels inside."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from cvlab import _check
from cvlab.ops._size import whole_size
from cvlab.ops.rle import fill_runs

_FINE = 5  # the outline is drawn on a grid so many times as fine as the pixels, as COCO does
_FARTHEST = 1e6  # the outline is drawn outside the mask too, cell by cell


def polygons_to_mask(polygons: Sequence[Sequence[float]], size: tuple[int, int]) -> Tensor:
    """Fill polygons: a pixel is inside where one of them covers its centre, as COCO sees it.

    Args:
        polygons: Each x1, y1, x2, y2, ..., pixels, three corners or more; the last one is joined to the first.
        size: (height, width) of the mask.

    Returns:
        (height, width) bool, pixel for pixel what pycocotools gives.

    Raises:
        InputError: A polygon is no list of numbers, has fewer than three corners, an odd number of coordinates, or one
            that is not finite or beyond a million pixels; or the size is not two whole numbers above 0.

    Notes:
        COCO draws the outline on a grid five times as fine, and counts in each column of pixels how often the outline
        lies above: where that is odd, the pixel is inside. So a polygon that covers a part twice has a hole there.

    Example:
        >>> polygons_to_mask([[1, 0, 3, 0, 3, 2, 1, 2]], (3, 4)).int()
        tensor([[0, 1, 1, 0],
                [0, 1, 1, 0],
                [0, 0, 0, 0]], dtype=torch.int32)
    """
    op = "polygons_to_mask"
    height, width = whole_size(op, size)
    mask = torch.zeros(height, width, dtype=torch.bool)
    for i, polygon in enumerate(polygons):
        mask |= _filled(_corners(op, i, polygon), height, width)
    return mask


def _corners(op: str, i: int, polygon: Sequence[float]) -> np.ndarray:
    """Check one polygon, and give its corners (n, 2) float64."""
    try:
        numbers = np.asarray(polygon, dtype=np.float64).ravel()
    except (TypeError, ValueError):
        raise _check.InputError(f"{op}: polygon {i} must be a list of numbers, got {polygon!r}") from None
    if len(numbers) % 2:
        raise _check.InputError(f"{op}: polygon {i} must have an x and a y for each corner, got {len(numbers)} numbers")
    if len(numbers) < 6:
        raise _check.InputError(f"{op}: polygon {i} must have three corners or more, got {len(numbers) // 2}")
    wrong = numbers[~(np.abs(numbers) <= _FARTHEST)]
    if len(wrong):
        fault = f"lie within {_FARTHEST:.0f} pixels" if np.isfinite(wrong[0]) else "be finite"
        raise _check.InputError(f"{op}: coordinates of polygon {i} must {fault}, got {wrong[0]:g}")
    return numbers.reshape(-1, 2)


def _filled(corners: np.ndarray, height: int, width: int) -> Tensor:
    """Fill one polygon (n, 2): (height, width) bool."""
    (u, v), (u_next, v_next) = (cells.T for cells in _outline((corners * _FINE + 0.5).astype(np.int64)))
    crossing = u != u_next  # from one fine column to the next
    column = (np.minimum(u, u_next)[crossing] + 0.5) / _FINE - 0.5
    row = np.ceil(np.clip((np.minimum(v, v_next)[crossing] + 0.5) / _FINE - 0.5, 0, height))
    whole = (column == np.floor(column)) & (column >= 0) & (column <= width - 1)  # the middle of a pixel's column
    places = np.sort(column[whole].astype(np.int64) * height + row[whole].astype(np.int64))
    return fill_runs(height, width, np.diff(places, prepend=0, append=height * width))  # each place begins a run


def _outline(corners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give the cells of a closed outline, and for each the next one, (n, 2) both, whole numbers.

    An edge has a cell for each step along its longer side, drawn from that side's lower end, both ends included; where
    two edges meet, a cell stands twice.
    """
    ends = np.roll(corners, -1, axis=0)
    length = np.abs(ends - corners)
    steep = length[:, 1] > length[:, 0]
    steps = length.max(1)
    backwards = np.where(steep, ends[:, 1] < corners[:, 1], ends[:, 0] < corners[:, 0])
    low = np.where(backwards[:, None], ends, corners)
    slope = np.where(backwards[:, None], corners - ends, ends - corners) / np.maximum(steps, 1)[:, None]
    edge = np.repeat(np.arange(len(corners)), steps + 1)
    step = np.arange(len(edge)) - (np.cumsum(steps + 1) - steps - 1)[edge]
    step = np.where(backwards[edge], steps[edge] - step, step)[:, None]
    cells = (low[edge] + slope[edge] * step + 0.5).astype(np.int64)  # towards zero
    return cells[:-1], cells[1:]
