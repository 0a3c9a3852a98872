"""The anchors of each cell of a feature map, and which objects they reach."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cvlab import _check
from cvlab._check import InputError
from cvlab.interactive.figure import StaticFigure
from cvlab.interactive.state import as_boxes, as_names, as_picture, as_tensor

QUESTION = "Which settings give every object an anchor with an IoU of at least one half?"
CHOICES = (1.0, 2.0, 0.5, 3.0, 1 / 3)


def anchors(
    image: Any = None,
    truths: Any = (),
    *,
    names: Sequence[str] | None = None,
    map_size: tuple[int, int] = (6, 9),
    scales: Sequence[float] = (0.3, 0.6),
    ratios: Sequence[float] = (1.0, 2.0, 0.5),
    pairing: str = "first",
    shade: bool = False,
    cell: tuple[int, int] | None = None,
    question: str = QUESTION,
) -> StaticFigure:
    """Make an explorer of anchors: point at a cell of the feature map and see its anchors on the picture.

    Args:
        image: a (3, H, W) tensor, float in [0, 1] or uint8, or an (H, W, 3) array; without one, an empty picture
            of 320 x 480 pixels.
        truths: the objects' boxes (M, 4), xyxy in pixels of the image; M = 0 is fine.
        names: the objects' M names.
        map_size: rows and columns of the feature map, 1 to 24 each.
        scales: one or more scales in (0, 1], as shares of the side of the square that has the picture's area.
        ratios: width / height of the anchors chosen at first; 1, 2, 1/2, 3 and 1/3 are always there to be chosen.
        pairing: "first" pairs each scale with the first ratio and the first scale with the other ratios, n + m - 1
            anchors a cell; "all" pairs each scale with each ratio, n m anchors a cell.
        shade: whether the cells are shaded from the start by the best IoU that their anchors reach.
        cell: row and column of the cell chosen at first, from 0 and on the map; the middle one by default.
        question: what the figure asks its reader.

    Returns:
        The figure, for the last line of a notebook cell.

    Raises:
        InputError: for boxes of another shape, NaN, x2 < x1, sizes, scales or ratios out of range, and a cell that is
            not on the map.

    Notes:
        An anchor of scale s and ratio r on a picture of H x W pixels is s sqrt(H W r) wide and s sqrt(H W / r) high.
        Anchors that leave the picture are not clipped. They are those of `cvlab.ops.grid_anchors`.

    Example:
        >>> anchors(truths=[[40, 40, 140, 240]], names=["vase"], map_size=(4, 6))
        <interactive figure: anchors>
    """
    picture = as_picture("anchors", image) if image is not None else {"width": 480, "height": 320, "src": None}
    boxes = as_boxes("anchors", "truths", truths)
    chosen = _positive(ratios, "ratios", 10.0)
    rows, columns = _whole(map_size, "map_size", 1, 24)
    row, column = _whole(cell if cell is not None else (rows // 2, columns // 2), "cell", 0, 23)
    if row >= rows or column >= columns:
        raise InputError(f"anchors: cell must be on the map of {rows} x {columns} cells, got {(row, column)}")
    _check.choice("anchors", "pairing", pairing, ("first", "all"))
    state = {
        "question": question,
        "picture": picture,
        "truths": boxes,
        "names": as_names("anchors", "names", names, len(boxes), "object"),
        "rows": rows,
        "columns": columns,
        "scales": _positive(scales, "scales", 1.0),
        "ratios": chosen,
        "choices": [*chosen, *(ratio for ratio in CHOICES if min(abs(ratio - r) for r in chosen) > 1e-6)],
        "pairing": pairing,
        "cell": [row, column],
        "shade": shade,
        "good": 0.5,
    }
    alt = (
        f"A feature map of {rows} by {columns} cells over a picture with {len(boxes)} objects. The anchors of one "
        "chosen cell are drawn; their scales and ratios, their number and their best IoU with each object are shown."
    )
    return StaticFigure("anchors", alt, **state)


def _whole(pair: Any, name: str, low: int, high: int) -> list[int]:
    values = as_tensor("anchors", name, pair).tolist()
    if (
        not isinstance(values, list)
        or len(values) != 2
        or any(value % 1 or not low <= value <= high for value in values)
    ):
        raise InputError(f"anchors: {name} must be two whole numbers from {low} to {high}, got {pair!r}")
    return [int(value) for value in values]


def _positive(values: Any, name: str, high: float) -> list[float]:
    numbers = as_tensor("anchors", name, values).reshape(-1).tolist()
    _check.positive("anchors", name, numbers)
    if max(numbers) > high:
        raise InputError(f"anchors: {name} must be at most {high:g}, got {max(numbers):g}")
    return numbers
