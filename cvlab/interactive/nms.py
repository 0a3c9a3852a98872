"""Non-maximum suppression step by step, with its thresholds under the reader's hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cvlab import _check
from cvlab.interactive.figure import StaticFigure
from cvlab.interactive.state import as_boxes, as_classes, as_fractions, as_names, as_picture, canvas

QUESTION = "Which threshold leaves exactly one box for each object?"


def nms(
    boxes: Any,
    scores: Any,
    labels: Any = None,
    image: Any = None,
    *,
    names: Sequence[str] | None = None,
    iou_threshold: float = 0.5,
    score_threshold: float = 0.0,
    by_class: bool = True,
    question: str = QUESTION,
) -> StaticFigure:
    """Make a stepper of non-maximum suppression, with sliders for both thresholds.

    Args:
        boxes: the predictions (N, 4), xyxy in pixels.
        scores: (N,) scores in [0, 1].
        labels: (N,) classes, whole numbers from 0 to 999; without them all boxes are of one class.
        image: the picture below: a (3, H, W) tensor, float in [0, 1] or uint8, or an (H, W, 3) array.
        names: the classes' names: `names[label]`; without them "class 0", "class 1" and so on.
        iou_threshold: a box is struck out when its IoU with a kept one is greater than this, in [0, 1].
        score_threshold: boxes with a lower score do not take part, in [0, 1].
        by_class: whether boxes strike out only boxes of their own class, when `labels` are given.
        question: what the figure asks its reader.

    Returns:
        The figure, for the last line of a notebook cell.

    Raises:
        InputError: for boxes of another shape, NaN, x2 < x1, scores or labels of another length, and thresholds
            outside [0, 1].

    Notes:
        The rule is that of `cvlab.ops.nms` and `cvlab.ops.batched_nms`: strictly greater than the threshold, and of
        equal scores the lower index first.

    Example:
        >>> nms([[10, 10, 60, 60], [12, 12, 62, 62]], [0.9, 0.8])
        <interactive figure: nms>
    """
    rows = as_boxes("nms", "boxes", boxes)
    _check.fraction("nms", "iou_threshold", iou_threshold)
    _check.fraction("nms", "score_threshold", score_threshold)
    classes = [0] * len(rows) if labels is None else as_classes("nms", "labels", labels, len(rows))
    count = max(classes, default=-1) + 1
    state = {
        "question": question,
        "picture": as_picture("nms", image) if image is not None else canvas(rows),
        "boxes": rows,
        "scores": as_fractions("nms", "scores", scores, len(rows)),
        "labels": classes,
        "names": None if labels is None else as_names("nms", "names", names, count, "class"),
        "iou_threshold": float(iou_threshold),
        "score_threshold": float(score_threshold),
        "by_class": by_class and labels is not None,
    }
    alt = (
        f"{len(rows)} predicted boxes with scores over a picture, and a list of them. Step by step the best box is "
        "kept and those that overlap it more than a threshold are struck out; the threshold can be moved."
    )
    return StaticFigure("nms", alt, **state)
