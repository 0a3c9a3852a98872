"""Pictures before and after: a line to drag across, over several pictures and several ways to change them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cvlab import _check
from cvlab._check import InputError
from cvlab.interactive.figure import StaticFigure
from cvlab.interactive.grids import as_whole
from cvlab.interactive.state import as_names, as_picture

QUESTION = "What does the change keep, and what is gone?"
MOST_PICTURES, MOST_CHANGES = 6, 4


def before_after(
    before: Sequence[Any],
    after: Mapping[str, Sequence[Any]],
    names: Sequence[str] | None = None,
    *,
    line: float = 0.5,
    question: str = QUESTION,
) -> StaticFigure:
    """Make a picture with a line to drag: to its left as it was, to its right changed.

    Args:
        before: 1 to 6 pictures: (3, H, W) tensors, float in [0, 1] or uint8, or (H, W, 3) arrays.
        after: 1 to 4 ways to change them, by name: as many pictures each, of the same sizes.
        names: what the pictures show.
        line: where the line is at first, as a share of the width, in [0, 1].
        question: what the figure asks its reader.

    Returns:
        The figure, for the last line of a notebook cell.

    Raises:
        InputError: for no or too many pictures or changes, lists that are not for as many pictures, a changed picture
            of another size, and a line outside [0, 1].

    Example:
        >>> import torch
        >>> picture = torch.rand(3, 32, 48)
        >>> before_after([picture], {"darker": [picture / 2]}, names=["noise"])
        <interactive figure: before_after>
    """
    op = "before_after"
    as_whole(op, "the number of pictures", len(before), 1, MOST_PICTURES)
    as_whole(op, "the number of ways to change them", len(after), 1, MOST_CHANGES)
    _check.fraction(op, "line", line)
    pictures = [as_picture(op, image) for image in before]
    changes = [{"name": name, "pictures": _changed(name, images, pictures)} for name, images in after.items()]
    words = as_names(op, "names", names, len(pictures), "picture")[: len(pictures)]
    alt = (
        f"{', '.join(words)}: each as it was to the left of a line, and to its right changed in one of these ways: "
        f"{', '.join(after)}. The line can be dragged."
    )
    return StaticFigure(op, alt, question=question, pictures=pictures, changes=changes, names=words, line=float(line))


def _changed(name: str, images: Sequence[Any], pictures: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    if len(images) != len(pictures):
        raise InputError(f"before_after: {name!r} must have {len(pictures)} pictures, got {len(images)}")
    changed = [as_picture("before_after", image) for image in images]
    for i, (one, picture) in enumerate(zip(changed, pictures, strict=True)):
        sizes = [(each["height"], each["width"]) for each in (picture, one)]
        if sizes[0] != sizes[1]:
            raise InputError(f"before_after: picture {i} of {name!r} must be {sizes[0]} like the first, got {sizes[1]}")
    return changed
