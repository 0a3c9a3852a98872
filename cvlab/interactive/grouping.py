"""Selective search's grouping, step by step: the two most similar regions become one, and its box a proposal."""

from __future__ import annotations

from typing import Any

import numpy as np

from cvlab._check import InputError
from cvlab.interactive.figure import StaticFigure
from cvlab.interactive.state import as_boxes, as_picture
from cvlab.proposals import Grouping

QUESTION = "At which step does a fruit get its box, and which step spoils it?"
MOST_REGIONS = 200


def grouping(
    image: Any, history: Grouping, truths: Any = None, *, step: int = 0, question: str = QUESTION
) -> StaticFigure:
    """Make a figure that plays a hierarchical grouping forwards and backwards.

    Args:
        image: a (3, H, W) tensor, float in [0, 1] or uint8, or an (H, W, 3) array.
        history: what `cvlab.proposals.hierarchical_grouping` gives for it; at most 200 first regions.
        truths: boxes (M, 4) of the objects, xyxy in pixels; None for none.
        step: how many merges are done at first.
        question: what the figure asks its reader.

    Returns:
        The figure, for the last line of a notebook cell.

    Raises:
        InputError: if the history is not for a picture of this size, or has too many regions or too few steps.

    Example:
        >>> import numpy as np
        >>> from cvlab.proposals import hierarchical_grouping
        >>> image = np.zeros((8, 8, 3))
        >>> image[:, 4:] = 1.0
        >>> grouping(image, hierarchical_grouping(image, (image[..., 0] > 0.5).astype(int)))
        <interactive figure: grouping>
    """
    picture = as_picture("grouping", image)
    height, width = history.segments.shape
    if (picture["height"], picture["width"]) != (height, width):
        raise InputError(
            f"grouping: the history must be of an image of {picture['height']} x {picture['width']} pixels, got "
            f"{height} x {width}"
        )
    regions = int(history.segments.max()) + 1
    if regions > MOST_REGIONS:
        raise InputError(f"grouping: there must be at most {MOST_REGIONS} first regions, got {regions}")
    if not 0 <= step <= len(history.merges):
        raise InputError(f"grouping: step must be from 0 to {len(history.merges)}, got {step}")
    state = {
        "question": question,
        "picture": picture,
        "runs": _runs(history.segments),
        "boxes": [[int(v) for v in box] for box in history.boxes],
        "merges": [[m.first, m.second, round(m.similarity, 4)] for m in history.merges],
        "truths": as_boxes("grouping", "truths", [] if truths is None else truths),
        "step": int(step),
    }
    alt = (
        f"A picture split into {regions} regions of one colour. Step by step the two most similar neighbours become "
        "one; the box around each new region is a proposal, and objects that one overlaps by half are marked as found."
    )
    return StaticFigure("grouping", alt, **state)


def _runs(segments: np.ndarray) -> list[int]:
    """Write the regions of all pixels, row by row, as pairs of a number and how often it comes."""
    flat = segments.ravel()
    starts = np.concatenate(([0], np.flatnonzero(np.diff(flat)) + 1))
    lengths = np.diff(np.append(starts, flat.size))
    return np.stack([flat[starts], lengths], 1).ravel().tolist()
