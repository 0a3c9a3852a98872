"""Polygons: outlines as lists of corners, and the pixels inside."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from cvlab import _check

_FINE = 5  # the outline is drawn on a grid so many times as fine as the pixels, as COCO does


def polygons_to_mask(polygons: Sequence[Sequence[float]], size: tuple[int, int]) -> Tensor:
    """Fill polygons: a pixel is inside where one of them covers its centre, as COCO sees it.

    Args:
        polygons: Each x1, y1, x2, y2, ..., pixels, three corners or more; the last one is joined to the first.
        size: (height, width) of the mask.

    Returns:
        (height, width) bool, pixel for pixel what pycocotools gives.

    Raises:
        InputError: A polygon has fewer than three corners, an odd number of coordinates, or one that is not finite.

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
    _check.positive(op, "size", size, "height, width")
    mask = np.zeros((size[1], size[0]), bool)  # columns first
    for i, polygon in enumerate(polygons):
        corners = np.asarray(polygon, dtype=np.float64).ravel()
        if len(corners) % 2:
            raise _check.InputError(
                f"{op}: polygon {i} must have an x and a y for each corner, got {len(corners)} numbers"
            )
        if len(corners) < 6:
            raise _check.InputError(f"{op}: polygon {i} must have three corners or more, got {len(corners) // 2}")
        if not np.isfinite(corners).all():
            raise _check.InputError(f"{op}: polygon {i} must have finite coordinates, got {corners.tolist()}")
        mask |= _filled(corners.reshape(-1, 2), size)
    return torch.from_numpy(mask.T.copy())


def _filled(corners: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Fill one polygon (n, 2): (width, height) bool."""
    height, width = size
    fine = (corners * _FINE + 0.5).astype(np.int64)  # towards zero
    outline = np.concatenate([_line(a, b) for a, b in zip(fine, np.roll(fine, -1, axis=0), strict=True)])
    (u, v), (u_next, v_next) = outline[:-1].T, outline[1:].T
    crossing = u != u_next  # from one fine column to the next
    column = (np.minimum(u, u_next)[crossing] + 0.5) / _FINE - 0.5
    row = np.ceil(np.clip((np.minimum(v, v_next)[crossing] + 0.5) / _FINE - 0.5, 0, height))
    whole = (column == np.floor(column)) & (column >= 0) & (column <= width - 1)  # the middle of a pixel's column
    places = column[whole].astype(np.int64) * height + row[whole].astype(np.int64)
    above = np.bincount(places, minlength=height * width + 1)[: height * width].cumsum()
    inside: np.ndarray = above % 2 == 1
    return inside.reshape(width, height)


def _line(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Give the cells (n, 2) of a straight line, both ends included, one for each step along its longer side."""
    length = np.abs(end - start)
    along = 0 if length[0] >= length[1] else 1
    backwards = start[along] > end[along]
    a, b = (end, start) if backwards else (start, end)
    step = np.arange(length[along] + 1)
    slope = (b[1 - along] - a[1 - along]) / max(length[along], 1)
    cells = np.empty((len(step), 2), np.int64)
    cells[:, along] = a[along] + step
    cells[:, 1 - along] = (a[1 - along] + slope * step + 0.5).astype(np.int64)  # towards zero
    return cells[::-1] if backwards else cells
