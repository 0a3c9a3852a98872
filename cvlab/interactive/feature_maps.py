"""The maps of a detector over one picture: what a cell sees, its anchors, and which objects they reach."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cvlab import _check
from cvlab._check import InputError
from cvlab.interactive.detections import as_target, names_of
from cvlab.interactive.figure import StaticFigure
from cvlab.interactive.state import as_picture, as_tensor

QUESTION = "Which map has an anchor for this fruit, and does its cell see all of it?"
MOST_MAPS, MOST_CELLS = 6, 64


def feature_maps(
    image: Any,
    target: Mapping[str, Any],
    maps: Sequence[tuple[int, int]],
    scales: Sequence[Sequence[float]],
    ratios: Sequence[float] = (1.0, 2.0, 0.5),
    *,
    fields: Sequence[float] | None = None,
    field_start: float | None = None,
    names: Sequence[str] | None = None,
    threshold: float = 0.5,
    level: int = 0,
    question: str = QUESTION,
) -> StaticFigure:
    """Make an explorer of a detector's feature maps: choose a map and a cell, see its anchors and what it sees.

    Args:
        image: a (3, H, W) tensor, float in [0, 1] or uint8, or an (H, W, 3) array.
        target: the objects: `boxes` (M, 4), xyxy in pixels of the image, and `labels` (M,); M = 0 is fine.
        maps: the size (rows, columns) of each map, 1 to 6 maps of at most 64 cells a side.
        scales: for each map its scales in (0, 1], as shares of the side of the square that has the image's area.
        ratios: width / height of the anchors, the same for all maps.
        fields: for each map the side of its cells' receptive field, pixels; without it none is drawn.
        field_start: x and y of the middle of the first cell's field, pixels. Without it a field has the middle of its
            cell; of 3 x 3 convolutions padded by 1, whatever their strides, it has 0.5.
        names: the classes' names: `names[label]`, so the first one is the background's.
        threshold: from this IoU on an anchor is positive, in [0, 1].
        level: the map chosen at first, from 0.
        question: what the figure asks its reader.

    Returns:
        The figure, for the last line of a notebook cell.

    Raises:
        InputError: for boxes of another shape, NaN, x2 < x1, sizes, scales or ratios out of range, and lists that are
            not for as many maps.

    Notes:
        The anchors are those of `cvlab.ops.AnchorGenerator(scales, ratios, pairing="first")`, which objects they learn
        is what `cvlab.ops.match_bipartite` says of the anchors of all maps together.

    Example:
        >>> import torch
        >>> target = {"boxes": torch.tensor([[20.0, 20.0, 60.0, 60.0]]), "labels": torch.tensor([1])}
        >>> feature_maps(torch.zeros(3, 64, 64), target, [(8, 8), (4, 4)], [(0.2,), (0.5,)], fields=[15, 31])
        <interactive figure: feature_maps>
    """
    op = "feature_maps"
    picture = as_picture(op, image)
    objects = as_target(op, "target", target)
    sizes = _sizes(maps)
    for name, values in (("scales", scales), ("fields", fields)):
        if values is not None and (not hasattr(values, "__len__") or len(values) != len(sizes)):
            raise InputError(f"{op}: {name} must be for {len(sizes)} maps, got {values!r}")
    _check.fraction(op, "threshold", threshold)
    _check.choice(op, "level", str(level), [str(i) for i in range(len(sizes))])
    if field_start is not None:
        _check.number(op, "field_start", field_start)
    shapes = _positive("ratios", ratios, 10)
    sides = [None] * len(sizes) if fields is None else _positive("fields", fields, 10_000)
    state = {
        "question": question,
        "picture": picture,
        **objects,
        "names": names_of(op, names, objects["labels"]),
        "maps": [
            {
                "rows": rows,
                "columns": columns,
                "scales": _positive(f"scales[{i}]", scales[i], 1),
                "ratios": shapes,
                "field": sides[i],
            }
            for i, (rows, columns) in enumerate(sizes)
        ],
        "field_start": field_start,
        "threshold": float(threshold),
        "level": int(level),
    }
    alt = (
        f"{len(sizes)} feature maps over a picture with {len(objects['boxes'])} objects. The anchors of a chosen cell "
        "and what it sees are drawn; how well each map's anchors fit each object, and which are positive, is shown."
    )
    return StaticFigure(op, alt, **state)


def _sizes(maps: Any) -> list[list[int]]:
    numbers = as_tensor("feature_maps", "maps", maps)
    if numbers.dim() != 2 or numbers.shape[1] != 2 or not 1 <= len(numbers) <= MOST_MAPS:
        raise InputError(f"feature_maps: maps must be 1 to {MOST_MAPS} sizes (rows, columns), got {maps!r}")
    for i, size in enumerate(numbers.tolist()):
        if any(side % 1 or not 1 <= side <= MOST_CELLS for side in size):
            raise InputError(f"feature_maps: maps[{i}] must be whole numbers from 1 to {MOST_CELLS}, got {maps[i]!r}")
    return numbers.int().tolist()


def _positive(name: str, values: Any, high: float) -> list[float]:
    numbers = as_tensor("feature_maps", name, values).reshape(-1).tolist()
    _check.positive("feature_maps", name, numbers)
    if max(numbers) > high:
        raise InputError(f"feature_maps: {name} must be at most {high:g}, got {max(numbers):g}")
    return numbers
