"""A photograph under augmentation, its sliders under the reader's hand, and its boxes that follow as boxes can."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cvlab import _check
from cvlab.interactive.figure import StaticFigure
from cvlab.interactive.state import as_boxes, as_names, as_picture

QUESTION = "How far can you turn the picture before a box no longer tells where its object is?"


def augmentation(
    image: Any,
    boxes: Any = (),
    *,
    names: Sequence[str] | None = None,
    min_visible: float = 0.25,
    question: str = QUESTION,
) -> StaticFigure:
    """Make a photograph to turn, shear, scale, shift, flip, crop and recolour; the boxes follow.

    Args:
        image: the photograph: a (3, H, W) tensor, float in [0, 1] or uint8, or an (H, W, 3) array.
        boxes: the objects (N, 4), xyxy in pixels of `image`; N may be 0.
        names: what the boxes are called; without them "object 0", "object 1" and so on.
        min_visible: a box is dropped when less than this share of it is inside the picture, in [0, 1]; the reader
            can move it.
        question: what the figure asks its reader.

    Returns:
        The figure, for the last line of a notebook cell.

    Raises:
        InputError: for boxes of another shape, NaN, x2 < x1, too few names, a share outside [0, 1], and what is no
            image.

    Notes:
        Maps and order are those of `cvlab.augment`: points go through `crop . shift . (turn . shear . scale) . flip`,
        all about the picture's centre, and boxes through their four corners. Colours go through one affine map, that
        of `cvlab.augment.colour.jitter`.

    Example:
        >>> import numpy as np
        >>> augmentation(np.full((60, 90, 3), 128, dtype=np.uint8), [[10, 10, 60, 50]], names=["cat"])
        <interactive figure: augmentation>
    """
    rows = as_boxes("augmentation", "boxes", boxes)
    _check.fraction("augmentation", "min_visible", min_visible)
    state = {
        "question": question,
        "picture": as_picture("augmentation", image),
        "boxes": rows,
        "names": as_names("augmentation", "names", names, len(rows), "object"),
        "least": float(min_visible),
    }
    alt = (
        f"A photograph with {len(rows)} boxes of objects. It can be turned, sheared, scaled, shifted, flipped, cropped "
        "and recoloured; the boxes around the objects follow, grow looser, and are dropped where too little is left."
    )
    return StaticFigure("augmentation", alt, **state)
