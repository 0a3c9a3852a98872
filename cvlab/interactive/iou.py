"""Two boxes to drag, with their IoU and its generalised forms live."""

from __future__ import annotations

from typing import Any

from cvlab._check import InputError
from cvlab.interactive.figure import StaticFigure
from cvlab.interactive.state import as_box, as_picture

QUESTION = "How far can B slide before less than half of the union is shared?"


def iou(image: Any = None, a: Any = None, b: Any = None, *, question: str = QUESTION) -> StaticFigure:
    """Make two boxes to drag and resize, with IoU, GIoU, DIoU, CIoU and the areas live.

    Args:
        image: the picture below the boxes: a (3, H, W) tensor, float in [0, 1] or uint8, or an (H, W, 3) array;
            without one, an empty picture of 320 x 480 pixels.
        a: the ground truth, a box (4,) xyxy in pixels of the image; without one, the left half of the middle.
        b: the prediction, likewise.
        question: what the figure asks its reader.

    Returns:
        The figure, for the last line of a notebook cell.

    Raises:
        InputError: if a box has another shape, holds NaN, has x2 < x1, or leaves the image.

    Notes:
        The IoU of two empty boxes is 0, as in `cvlab.ops.box_iou`; torchvision's is NaN.

    Example:
        >>> iou(a=[40, 40, 140, 120], b=[90, 60, 190, 160])
        <interactive figure: iou>
    """
    picture = as_picture("iou", image) if image is not None else {"width": 480, "height": 320, "src": None}
    width, height = picture["width"], picture["height"]
    start = {"a": a, "b": b}
    default = {"a": (0.18, 0.2, 0.6, 0.75), "b": (0.25, 0.28, 0.67, 0.83)}
    for name, box in start.items():
        if box is None:
            box = [round(share * (height if i % 2 else width)) for i, share in enumerate(default[name])]
        start[name] = _inside(as_box("iou", name, box), width, height, name)
    alt = (
        "Two boxes over a picture: A, the ground truth, and B, a prediction. "
        "Their intersection over union (IoU), its forms GIoU, DIoU and CIoU, and the areas follow as they are dragged."
    )
    return StaticFigure("iou", alt, question=question, picture=picture, **start)


def _inside(box: list[float], width: int, height: int, name: str) -> list[float]:
    """Return `box`, which must lie in the picture: the reader could not drag it back in."""
    if box[0] < 0 or box[1] < 0 or box[2] > width or box[3] > height:
        raise InputError(f"iou: {name} must lie in the image of width {width} and height {height}, got {box}")
    return box
