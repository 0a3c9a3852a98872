"""Two pictures mixed into one, as MixUp and CutMix do, and the soft label of the mixture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cvlab import _check
from cvlab.interactive.figure import StaticFigure
from cvlab.interactive.state import _as_rgb, as_boxes, as_names, as_picture

QUESTION = "At which λ do you stop seeing the second picture, and does the label agree?"
SIDE = 400  # the longest side of the embedded pictures, in pixels: there are two of them


def mixing(
    first: Any,
    second: Any,
    *,
    names: Sequence[str] = ("A", "B"),
    boxes_first: Any = (),
    boxes_second: Any = (),
    question: str = QUESTION,
) -> StaticFigure:
    """Make a mixture of two pictures by MixUp or CutMix, whose share λ is under the reader's hand.

    Args:
        first: a picture: a (3, H, W) tensor, float in [0, 1] or uint8, or an (H, W, 3) array.
        second: another one of the same size.
        names: what the two are called, and their labels.
        boxes_first: the objects of the first picture (N, 4), xyxy in pixels; N may be 0.
        boxes_second: the objects of the second.
        question: what the figure asks its reader.

    Returns:
        The figure, for the last line of a notebook cell.

    Raises:
        InputError: for what is no image, pictures of two sizes, fewer than two names, and boxes of another shape, NaN
            or x2 < x1.

    Notes:
        λ is the share of the first picture. CutMix pastes a patch of the second, whose sides are sqrt(1 - λ) of the
        picture's before the border cuts it, and the label goes by the pixels that were pasted. Of the boxes, it drops
        those of which less than a quarter can be seen, as `cvlab.augment.mixing.cutmix` does.

    Example:
        >>> import numpy as np
        >>> dark, bright = (np.full((60, 90, 3), grey, dtype=np.uint8) for grey in (40, 200))
        >>> mixing(dark, bright, names=("night", "day"))
        <interactive figure: mixing>
    """
    pictures = [_picture("first", first), _picture("second", second)]
    sizes = [(picture["height"], picture["width"]) for picture in pictures]
    if sizes[0] != sizes[1]:
        raise _check.InputError(f"mixing: second must have the size of first, {sizes[0]}, got {sizes[1]}")
    boxes = [as_boxes("mixing", "boxes_first", boxes_first), as_boxes("mixing", "boxes_second", boxes_second)]
    labels = as_names("mixing", "names", names, 2, "picture")[:2]
    alt = (
        f"A mixture of two pictures, {labels[0]} and {labels[1]}: blended everywhere by MixUp, or with a patch of the "
        "second pasted into the first by CutMix. A slider sets the share of the first, and bars show the soft label."
    )
    return StaticFigure("mixing", alt, question=question, pictures=pictures, names=labels, boxes=boxes)


def _picture(name: str, image: Any) -> dict[str, Any]:
    """Embed a picture in small; its width and height stay those of `image`, in which the boxes are given."""
    whole = _as_rgb(f"mixing, {name}", image)
    small = whole.copy()
    small.thumbnail((SIDE, SIDE))
    return {**as_picture("mixing", small), "width": whole.width, "height": whole.height}
