"""Check the label maps that figures show, and write them as short texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

from cvlab import _check
from cvlab._check import InputError
from cvlab.interactive.mask_jpeg import MOST_LABELS
from cvlab.interactive.mask_jpeg import _colours as colours_of
from cvlab.interactive.state import _as_rgb, as_names, as_picture, as_tensor

IGNORED = 255
LARGEST = 512  # pixels a side
LONGEST = 190_000  # characters of all that a figure embeds, so that with its script it stays below 250 kB
PIXELS = 360**2  # embedded, of all pictures together
LETTERS = "ABCDEFGHIJKLMNOP"  # for the labels 0, 1, ...
IGNORED_LETTER = "Z"

__all__ = ["as_labels", "as_text", "class_names", "colours_of", "short_enough", "small_picture"]


def class_names(op: str, names: Sequence[str] | None) -> list[str]:
    """Return the names of 2 to 16 classes, the background's first; without any given, `class 0` to `class 15`."""
    words = as_names(op, "names", names, MOST_LABELS if names is None else 2, "class")
    if len(words) > MOST_LABELS:
        raise InputError(f"{op}: names must be at most {MOST_LABELS}, got {len(words)}")
    return words


def as_labels(
    op: str, name: str, value: Any, classes: int, size: tuple[int, int] | None = None, ignored: bool = False
) -> Tensor:
    """Return a label map (H, W) int64 of labels from 0 to `classes` - 1, or 255 too if some may be `ignored`."""
    numbers = as_tensor(op, name, value)
    _check.shape(op, name, numbers, ("H", "W") if size is None else size)
    if not 0 < min(numbers.shape) <= max(numbers.shape) <= LARGEST:
        raise InputError(f"{op}: {name} must have 1 to {LARGEST} pixels a side, got {tuple(numbers.shape)}")
    known = (numbers % 1 == 0) & (numbers >= 0) & (numbers < classes)
    wrong = (~(known | (numbers == IGNORED)) if ignored else ~known).nonzero().tolist()
    if wrong:
        extra = f", or {IGNORED} where ignored" if ignored else ""
        got = numbers[tuple(wrong[0])].item()
        raise InputError(f"{op}: {name}{wrong[0]} must be a whole number from 0 to {classes - 1}{extra}, got {got:g}")
    return numbers.long()


def as_text(labels: Tensor, base: Tensor | None = None, classes: int = MOST_LABELS) -> str:
    """Write a label map row by row: a letter for each run of equal labels, and its length where that is not 1.

    Args:
        labels: (H, W) whole numbers from 0 to 15, or 255.
        base: (H, W) another map; what is written then is how much greater the labels are, counted round `classes`,
            which is short where the maps are much alike. Ignored pixels of the base count as 0.
        classes: how many labels there are.

    Returns:
        Letters and numbers: A for 0, B for 1, and so on, Z for 255.

    Example:
        >>> import torch
        >>> as_text(torch.tensor([[0, 0, 0, 2], [2, 255, 1, 1]]))
        'A3C2ZB2'
        >>> as_text(torch.tensor([[0, 0, 1]]), torch.tensor([[0, 0, 2]]), classes=3)
        'A2C'
    """
    if base is not None:
        labels = (labels - base.where(base != IGNORED, 0)) % classes
    flat = labels.flatten().numpy()
    first = np.flatnonzero(np.diff(flat, prepend=-1))
    lengths = np.diff(first, append=len(flat))
    letters = [IGNORED_LETTER if label == IGNORED else LETTERS[label] for label in flat[first].tolist()]
    return "".join(
        f"{letter}{length if length > 1 else ''}" for letter, length in zip(letters, lengths.tolist(), strict=True)
    )


def short_enough(op: str, texts: Sequence[str]) -> None:
    """Refuse pictures and maps, as they are embedded, that together would make the page too large."""
    length = sum(map(len, texts))
    if length > LONGEST:
        raise InputError(
            f"{op}: pictures and maps take {length:,} characters, {LONGEST:,} are the most that fit a page: give fewer "
            "or smaller ones"
        )


def small_picture(op: str, image: Any, count: int = 1) -> dict[str, Any]:
    """Embed a picture, in small where it is large or one of many; its width and height stay those of `image`."""
    whole = _as_rgb(op, image)
    small = whole.copy()
    side = int((PIXELS / count) ** 0.5)
    small.thumbnail((side, side))
    return {**as_picture(op, small), "width": whole.width, "height": whole.height}
