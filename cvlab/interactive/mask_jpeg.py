"""A label map that is stored as JPEG: which labels come back."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from torch import Tensor

from cvlab import _check
from cvlab._check import InputError
from cvlab._palette import KINDS, OKABE_ITO
from cvlab.interactive.figure import StaticFigure
from cvlab.interactive.state import as_names, as_picture, as_tensor

QUESTION = "At which quality does a label map survive as JPEG, and what stands at the objects’ borders until then?"
LARGEST = 128  # pixels a side
MOST_LABELS = 16  # the background and as many colours as there are to tell labels apart
GROUND = "#2B3038"
# Vermilion marks the wrong pixels, so it is no label's colour. Yellow is the banana's.
OTHERS = [OKABE_ITO[name] for name in ("blue", "reddish purple", "sky blue", "bluish green", "orange")]


def mask_jpeg(
    labels: Any, *, image: Any = None, names: Sequence[str] | None = None, question: str = QUESTION
) -> StaticFigure:
    """Make a label map to store as JPEG at any quality, beside what is read back, and a lens over both.

    Each label is stored as a grey value, a multiple of a spacing of 1 or of 255 / K rounded down, and what comes back
    is the label whose grey value is nearest. A PNG gives every label back.

    Args:
        labels: (H, W) whole numbers from 0, the background, to K, at most 15; at most 128 pixels a side.
        image: the picture that the labels belong to, to show it beside: a (3, H, W) tensor, float in [0, 1] or uint8,
            or an (H, W, 3) array.
        names: the K + 1 names, the background's first; those that the map does not use count too, as they would in a
            data set. The fruit of `cvlab.data.StillLife` have their own colours.
        question: what the figure asks its reader.

    Returns:
        The figure, for the last line of a notebook cell.

    Raises:
        InputError: for labels of another shape, of no pixels or too many, not whole numbers or out of range, and for
            too few or too many names.

    Notes:
        JPEG is computed as `cvlab.preprocess.jpeg_reference` does and rounded to whole grey values, a half upwards;
        the file itself, with its entropy coding, is not made, because it loses nothing more.

    Example:
        >>> mask_jpeg([[0] * 9 + [2] * 9] * 12, names=["table", "apple", "pear"])
        <interactive figure: mask_jpeg>
    """
    rows = _rows(labels)
    words = as_names("mask_jpeg", "names", names, 1 + int(rows.max()), "label")
    if len(words) > MOST_LABELS:
        raise InputError(f"mask_jpeg: names must be at most {MOST_LABELS}, got {len(words)}")
    state = {
        "question": question,
        "height": rows.shape[0],
        "width": rows.shape[1],
        "runs": [[int(label), len(list(run))] for label, run in groupby(rows.flatten().tolist())],
        "names": words,
        "classes": _colours(words),
        "image": as_picture("mask_jpeg", image) if image is not None else None,
        "quality": 75,
    }
    alt = (
        f"A map of {len(words)} labels, {rows.shape[0]} by {rows.shape[1]} pixels, beside the map that comes back when "
        "it is stored as JPEG, and a lens that shows the grey values of one block in both. Wrong pixels are marked and "
        "counted; a PNG has none."
    )
    return StaticFigure("mask_jpeg", alt, **state)


def _rows(labels: Any) -> Tensor:
    rows = as_tensor("mask_jpeg", "labels", labels)
    _check.shape("mask_jpeg", "labels", rows, ("H", "W"))
    if not 0 < min(rows.shape) <= max(rows.shape) <= LARGEST:
        raise InputError(f"mask_jpeg: labels must have 1 to {LARGEST} pixels a side, got {tuple(rows.shape)}")
    wrong = ((rows % 1 != 0) | (rows < 0) | (rows >= MOST_LABELS)).nonzero()
    if len(wrong):
        place = wrong[0].tolist()
        got = float(rows[tuple(place)])
        raise InputError(f"mask_jpeg: labels{place} must be a whole number from 0 to {MOST_LABELS - 1}, got {got:g}")
    return rows


def _colours(names: list[str]) -> list[str]:
    """Choose a colour for each label: its kind's, or one that no other label has; the background's is always dark."""
    spare = iter([*OTHERS, *(colour for kind, colour in KINDS.items() if kind not in names)])
    return [GROUND, *(KINDS[name] if name in KINDS else next(spare) for name in names[1:])]
