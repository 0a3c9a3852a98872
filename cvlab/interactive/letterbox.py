"""The way of a picture into a network's input, and of the boxes back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cvlab._check import InputError
from cvlab.interactive.figure import StaticFigure
from cvlab.interactive.state import as_boxes, as_names, as_picture, as_tensor

QUESTION = "Which input wastes the least, and where do the boxes land if the padding is forgotten?"
SMALLEST, LARGEST, STEP = 64, 512, 16  # sides of the input that its sliders reach


def letterbox(
    image: Any,
    boxes: Any = (),
    *,
    names: Sequence[str] | None = None,
    size: tuple[int, int] = (256, 256),
    question: str = QUESTION,
) -> StaticFigure:
    """Make a photograph and the network's input side by side: resized with padding or without, and the way back.

    Args:
        image: a (3, H, W) tensor, float in [0, 1] or uint8, or an (H, W, 3) array.
        boxes: the objects' boxes (M, 4), xyxy in pixels of the image; M = 0 is fine.
        names: the objects' M names.
        size: height and width of the input at first, each a multiple of 16 from 64 to 512.
        question: what the figure asks its reader.

    Returns:
        The figure, for the last line of a notebook cell.

    Raises:
        InputError: for an image of another layout, boxes of another shape, NaN, x2 < x1, names of another length, and
            a size that the sliders do not reach.

    Notes:
        Content, offset and scale are those of `cvlab.preprocess.letterbox` and `cvlab.preprocess.stretch`. The boxes
        that come back are not clipped to the photograph, so that one sees how far off they are.

    Example:
        >>> import torch
        >>> letterbox(torch.zeros(3, 300, 450), [[40, 40, 140, 240]], names=["vase"], size=(224, 224))
        <interactive figure: letterbox>
    """
    picture = as_picture("letterbox", image)
    truths = as_boxes("letterbox", "boxes", boxes)
    height, width = _size(size)
    state = {
        "question": question,
        "picture": picture,
        "boxes": truths,
        "names": as_names("letterbox", "names", names, len(truths), "object"),
        "size": [height, width],
        "range": {"min": SMALLEST, "max": LARGEST, "step": STEP},
    }
    alt = (
        f"A photograph of {picture['height']} by {picture['width']} pixels with {len(truths)} objects, beside a "
        f"network's input of {height} by {width}, into which it is resized, with padding or without. A cross-hair "
        "marks the same place in both; scale, offset, waste and what becomes of the boxes on the way back are shown."
    )
    return StaticFigure("letterbox", alt, **state)


def _size(value: Any) -> list[int]:
    numbers = as_tensor("letterbox", "size", value).tolist()
    if (
        not isinstance(numbers, list)
        or len(numbers) != 2
        or any(not SMALLEST <= side <= LARGEST or side % STEP for side in numbers)
    ):
        raise InputError(
            f"letterbox: size must be (height, width), multiples of {STEP} from {SMALLEST} to {LARGEST}, got {value!r}"
        )
    return [int(side) for side in numbers]
