"""A region over a small feature map: what RoIPool and RoIAlign read, and what they make of it."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from cvlab import _check
from cvlab._check import InputError
from cvlab.interactive.figure import StaticFigure
from cvlab.interactive.state import as_box, as_picture, as_tensor

QUESTION = "Drag the region by less than a cell. Which of the two notices?"
MOST_CELLS = 16  # of a side of the map, so that each cell can be seen
MOST_BINS, MOST_SAMPLES = 4, 3


def roi(
    feature_map: Any,
    box: Any,
    *,
    size: int = 2,
    stride: float = 16,
    image: Any = None,
    sampling_ratio: int = 2,
    aligned: bool = True,
    question: str = QUESTION,
) -> StaticFigure:
    """Make a region to drag over a feature map: the cells that RoIPool rounds it to, and the points RoIAlign reads.

    Args:
        feature_map: (H, W) or (1, H, W) numbers, 2 to 16 cells a side; a ramp shows best which of the two is exact.
        box: (4,) the region at first, xyxy in pixels of the image, which is H stride high and W stride wide.
        size: bins along each side of the result at first, 2 to 4.
        stride: pixels for each cell.
        image: the picture that the map was computed from, to show it below: a (3, H stride, W stride) tensor, float in
            [0, 1] or uint8, or an (H stride, W stride, 3) array.
        sampling_ratio: RoIAlign's samples along each side of a bin at first, 1 to 3.
        aligned: whether cells are where they are in the picture at first; else RoIAlign reads half a cell too far to
            the right and below.
        question: what the figure asks its reader.

    Returns:
        The figure, for the last line of a notebook cell.

    Raises:
        InputError: for a map or a box of another shape, NaN, a box that leaves the map, an image of another size, and
            numbers out of range.

    Notes:
        The results are those of `cvlab.ops.roi_pool` and `cvlab.ops.roi_align` with `spatial_scale=1 / stride`. The
        map's values go into the page with six digits.

    Example:
        >>> ramp = [[float(column) for column in range(8)]] * 8
        >>> roi(ramp, [20, 24, 90, 100], size=3)
        <interactive figure: roi>
    """
    op = "roi"
    cells = _cells(feature_map)
    rows, columns = cells.shape
    _check.positive(op, "(stride,)", (stride,))
    _whole("size", size, 2, MOST_BINS)
    _whole("sampling_ratio", sampling_ratio, 1, MOST_SAMPLES)
    width, height = columns * stride, rows * stride
    corners = as_box(op, "box", box)
    if not (corners[0] >= 0 and corners[1] >= 0 and corners[2] <= width and corners[3] <= height):
        raise InputError(f"{op}: box must lie in the map's {height:g} x {width:g} pixels, got {corners}")
    picture = None if image is None else as_picture(op, image)
    if picture is not None and (picture["height"], picture["width"]) != (height, width):
        got = f"{picture['height']} x {picture['width']}"
        raise InputError(f"{op}: image must have {height:g} x {width:g} pixels, {stride:g} for each cell, got {got}")
    alt = (
        f"A region over a feature map of {rows} by {columns} cells. RoIPool rounds it to whole cells and takes the "
        "largest value in each bin; RoIAlign averages interpolated samples at exact places. Both results are shown, "
        "and how far the rounded region lies off."
    )
    return StaticFigure(
        op,
        alt,
        question=question,
        rows=rows,
        columns=columns,
        map=[float(f"{value:.6g}") for value in cells.flatten().tolist()],
        stride=float(stride),
        box=corners,
        size=int(size),
        sampling_ratio=int(sampling_ratio),
        aligned=bool(aligned),
        src=None if picture is None else picture["src"],
    )


def _cells(feature_map: Any) -> Tensor:
    numbers = as_tensor("roi", "feature_map", feature_map)
    cells = numbers[0] if numbers.dim() == 3 and len(numbers) == 1 else numbers
    _check.shape("roi", "feature_map", cells, ("H", "W"))
    if not 2 <= min(cells.shape) <= max(cells.shape) <= MOST_CELLS:
        raise InputError(f"roi: feature_map must have 2 to {MOST_CELLS} cells a side, got {tuple(cells.shape)}")
    return cells


def _whole(name: str, value: Any, low: int, high: int) -> None:
    _check.number("roi", name, value)
    if value % 1 or not low <= value <= high:
        raise InputError(f"roi: {name} must be a whole number from {low} to {high}, got {value!r}")
