"""A picture predicted by overlapping tiles: the seams between them, and what it costs to be rid of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cvlab._check import InputError
from cvlab.interactive.figure import StaticFigure
from cvlab.interactive.grids import as_whole
from cvlab.interactive.label_maps import (
    LARGEST,
    as_labels,
    as_text,
    class_names,
    colours_of,
    short_enough,
    small_picture,
)
from cvlab.ops import tile_starts

QUESTION = "How much must tiles overlap until their seams are gone, and what does it cost?"
MOST_MAPS = 36


def tiles(
    image: Any,
    predictions: Mapping[tuple[int, int], Any],
    whole: Any,
    names: Sequence[str] | None = None,
    *,
    stride: int = 1,
    tile: int | None = None,
    overlap: int | None = None,
    question: str = QUESTION,
) -> StaticFigure:
    """Make a picture cut into tiles, with sliders for their size and overlap, and the label map put together of them.

    Args:
        image: a (3, H, W) tensor, float in [0, 1] or uint8, or an (H, W, 3) array, of at most 512 pixels a side.
        predictions: for each size of a tile and overlap, both in pixels, the label map (H, W) that such tiles gave: 1
            to 36 of them. Sizes need not have the same overlaps.
        whole: (H, W) the label map of the whole picture at once, whole numbers from 0 to at most 15.
        names: the classes' names: `names[label]`, so the first one is the background's; at most 16.
        stride: of the network's coarsest map, as it was given to `cvlab.ops.predict_tiles`; tiles start at its
            multiples.
        tile: the size at first; None for the smallest.
        overlap: the overlap at first, one that there is a map for with that size; None for the smallest.
        question: what the figure asks its reader.

    Returns:
        The figure, for the last line of a notebook cell.

    Raises:
        InputError: for label maps of another size than the picture, labels out of range (the first such pixel is
            named), tiles that `cvlab.ops.tile_starts` refuses, and a start that there is no map for.

    Notes:
        The tiles are where `cvlab.ops.tile_starts` places them along both dimensions.

    Example:
        >>> import torch
        >>> whole = torch.zeros(64, 96, dtype=torch.uint8)
        >>> whole[10:40, 20:70] = 1
        >>> cut = whole.clone()
        >>> cut[:, 31:33] = 0
        >>> tiles(torch.zeros(3, 64, 96), {(32, 0): cut, (32, 8): whole}, whole, names=["table", "apple"])
        <interactive figure: tiles>
    """
    op = "tiles"
    picture = small_picture(op, image)
    size = (picture["height"], picture["width"])
    words = class_names(op, names)
    base = as_labels(op, "whole", whole, len(words), size)
    stride = as_whole(op, "stride", stride, 1, LARGEST)
    settings = _settings(predictions, size, stride)
    first = settings[0][0] if tile is None else tile
    second = min((o for t, o in settings if t == first), default=None) if overlap is None else overlap
    if (first, second) not in settings:
        raise InputError(f"{op}: there is no label map for tile {tile} and overlap {overlap}, only for {settings}")
    maps = [
        {
            "tile": t,
            "overlap": o,
            "text": as_text(
                as_labels(op, f"predictions[{t}, {o}]", predictions[t, o], len(words), size), base, len(words)
            ),
        }
        for t, o in settings
    ]
    whole_text = as_text(base)
    short_enough(op, [picture["src"], whole_text, *(one["text"] for one in maps)])
    alt = (
        f"A picture cut into overlapping tiles beside the label map put together of their predictions, in which the "
        f"pixels that differ from the prediction of the whole picture are marked. Sliders choose one of {len(maps)} "
        "pairs of size and overlap; a chart shows how many pixels differ with each."
    )
    return StaticFigure(
        op,
        alt,
        question=question,
        picture=picture,
        names=words,
        classes=colours_of(words),
        whole=whole_text,
        maps=maps,
        stride=stride,
        start=settings.index((first, second)),
    )


def _settings(predictions: Any, size: tuple[int, int], stride: int) -> list[tuple[int, int]]:
    """Give the pairs of size and overlap, in order, after a check that there can be such tiles."""
    if not isinstance(predictions, Mapping) or not 1 <= len(predictions) <= MOST_MAPS:
        got = len(predictions) if isinstance(predictions, Mapping) else type(predictions).__name__
        raise InputError(f"tiles: predictions must be a dictionary of 1 to {MOST_MAPS} label maps, got {got}")
    for pair in predictions:
        if not isinstance(pair, tuple) or len(pair) != 2 or not all(isinstance(n, int) for n in pair):
            raise InputError(f"tiles: each key of predictions must be (tile, overlap) in pixels, got {pair!r}")
        for side in size:
            try:
                tile_starts(side, *pair, stride)
            except InputError as error:
                raise InputError(f"tiles: predictions[{pair[0]}, {pair[1]}] cannot be: {error}") from error
    return sorted(predictions)
