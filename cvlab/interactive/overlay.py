"""Pictures under their label maps, with a loupe for single pixels and the IoU of each class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cvlab import _check
from cvlab._check import InputError
from cvlab.interactive.detections import same_length
from cvlab.interactive.figure import StaticFigure
from cvlab.interactive.label_maps import as_labels, as_text, class_names, colours_of, short_enough, small_picture

QUESTION = "Where is the network wrong: about whole objects, or along their borders?"
MOST_IMAGES = 6
SHOWN = ("prediction", "truth", "difference")


def overlay(
    image: Any,
    truth: Any,
    predicted: Any,
    names: Sequence[str] | None = None,
    *,
    fade: float = 0.6,
    shown: str = "prediction",
    question: str = QUESTION,
) -> StaticFigure:
    """Make a picture that fades into its label map, the true or the predicted one, with a loupe and the classes' IoU.

    Args:
        image: a (3, H, W) tensor, float in [0, 1] or uint8, or an (H, W, 3) array, of at most 512 pixels a side; or a
            list of 1 to 6 of them, of any sizes.
        truth: (H, W) whole numbers from 0, the background, to at most 15, or 255 where nothing is to be learnt, which
            is not counted; or a list of them, one for each picture.
        predicted: (H, W) whole numbers from 0 to at most 15, or a list of them.
        names: the classes' names: `names[label]`, so the first one is the background's; at most 16. The fruit of
            `cvlab.data.StillLife` have their own colours.
        fade: how much of the label map is seen at first, in [0, 1]; 0 is the picture alone.
        shown: what lies over the picture at first: "prediction", "truth" or "difference".
        question: what the figure asks its reader.

    Returns:
        The figure, for the last line of a notebook cell.

    Raises:
        InputError: for label maps of another size than their picture, labels out of range (the first such pixel is
            named), lists that are not for as many pictures, label maps too large for a page, and `fade` out of range.

    Notes:
        The IoU of a class is over the pixels of the one picture, and the mean is over the classes that occur in its
        truth or its prediction. A wrong pixel is at a border if one of its eight neighbours truly has another label.

    Example:
        >>> import torch
        >>> truth = torch.zeros(48, 64, dtype=torch.uint8)
        >>> truth[10:30, 20:50] = 1
        >>> overlay(torch.zeros(3, 48, 64), truth, truth.roll(3, 1), names=["table", "apple"])
        <interactive figure: overlay>
    """
    op = "overlay"
    several = isinstance(image, (list, tuple))
    images, truths, maps = (image, truth, predicted) if several else ([image], [truth], [predicted])
    same_length(op, len(images), 1, MOST_IMAGES, truth=truths, predicted=maps)
    _check.fraction(op, "fade", fade)
    _check.choice(op, "shown", shown, SHOWN)
    words = class_names(op, names)
    pictures = [
        _picture(f"{op}, picture {i}" if several else op, len(images), len(words), *one)
        for i, one in enumerate(zip(images, truths, maps, strict=True))
    ]
    short_enough(op, [text for one in pictures for text in (one["picture"]["src"], one["truth"], one["found"])])
    alt = (
        f"{'A picture' if len(images) == 1 else f'{len(images)} pictures, one at a time,'} under the label map that a "
        "network predicted, the true one, or the pixels where they differ; a slider fades it. A loupe shows single "
        "pixels and what they are taken for, and a table has the IoU of each class."
    )
    return StaticFigure(
        op,
        alt,
        question=question,
        pictures=pictures,
        names=words,
        classes=colours_of(words),
        fade=float(fade),
        shown=shown,
    )


def _picture(op: str, count: int, classes: int, image: Any, truth: Any, predicted: Any) -> dict[str, Any]:
    picture = small_picture(op, image, count)
    size = (picture["height"], picture["width"])
    true = as_labels(op, "truth", truth, classes, size, ignored=True)
    if bool((true == 255).all()):
        raise InputError(f"{op}: truth must have a pixel that is not ignored")
    found = as_labels(op, "predicted", predicted, classes, size)
    return {"picture": picture, "truth": as_text(true), "found": as_text(found)}
