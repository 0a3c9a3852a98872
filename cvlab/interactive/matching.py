"""Assignment of anchors to objects, one decision a step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cvlab import _check
from cvlab.interactive.figure import StaticFigure
from cvlab.interactive.state import as_boxes, as_names, as_picture, canvas

QUESTION = "Which anchor does each object get, and which anchors stay background?"


def matching(
    anchors: Any,
    truths: Any,
    image: Any = None,
    *,
    names: Sequence[str] | None = None,
    threshold: float = 0.5,
    question: str = QUESTION,
) -> StaticFigure:
    """Make a stepper of the two-part assignment of anchors to objects.

    Part one takes the largest entry of the IoU matrix, assigns that anchor to that object, crosses out its row and its
    column, and goes on until every object has an anchor. Part two gives each anchor that is left to the object that it
    fits best, if their IoU reaches the threshold; else it is background.

    Args:
        anchors: (N, 4) boxes, xyxy in pixels; about five to ten read well.
        truths: the objects' (M, 4) boxes; M = 0 is fine.
        image: the picture below: a (3, H, W) tensor, float in [0, 1] or uint8, or an (H, W, 3) array.
        names: the objects' M names.
        threshold: the IoU that an anchor must reach in part two, in [0, 1].
        question: what the figure asks its reader.

    Returns:
        The figure, for the last line of a notebook cell.

    Raises:
        InputError: for boxes of another shape, NaN, x2 < x1, names of another length and a threshold outside [0, 1].

    Notes:
        The result is that of `cvlab.ops.match_bipartite`. torchvision's detectors assign otherwise: each anchor to its
        best object first.

    Example:
        >>> matching([[0, 0, 60, 60], [50, 0, 120, 60]], [[5, 5, 66, 58]], names=["dog"])
        <interactive figure: matching>
    """
    anchor_boxes = as_boxes("matching", "anchors", anchors)
    truth_boxes = as_boxes("matching", "truths", truths)
    _check.fraction("matching", "threshold", threshold)
    state = {
        "question": question,
        "picture": as_picture("matching", image) if image is not None else canvas(anchor_boxes + truth_boxes),
        "anchors": anchor_boxes,
        "truths": truth_boxes,
        "names": as_names("matching", "names", names, len(truth_boxes), "object"),
        "threshold": float(threshold),
    }
    alt = (
        f"{len(anchor_boxes)} anchors and {len(truth_boxes)} objects over a picture, beside the table of their IoU. "
        "Step by step the largest entry is taken and its row and column are crossed out; then a threshold decides."
    )
    return StaticFigure("matching", alt, **state)
