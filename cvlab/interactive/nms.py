"""Non-maximum suppression step by step, with its thresholds under the reader's hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cvlab.interactive.figure import StaticFigure
from cvlab.interactive.state import as_array, as_boxes, as_picture, as_unit, canvas

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
        labels: (N,) classes, whole numbers from 0 on; without them all boxes are of one class.
        image: the picture below: a (3, H, W) tensor, float in [0, 1] or uint8, or an (H, W, 3) array.
        names: the classes' names: `names[label]`; without them "class 0", "class 1" and so on.
        iou_threshold: a box is struck out when its IoU with a kept one is greater than this, in [0, 1].
        score_threshold: boxes with a lower score do not take part, in [0, 1].
        by_class: whether boxes strike out only boxes of their own class, when `labels` are given.
        question: what the figure asks its reader.

    Returns:
        The figure, for the last line of a notebook cell.

    Raises:
        ValueError: for boxes of another shape, NaN, x2 < x1, scores or labels of another length, and thresholds
            outside [0, 1].

    Notes:
        The rule is that of `cvlab.ops.nms` and `cvlab.ops.batched_nms`: strictly greater than the threshold, and of
        equal scores the lower index first.

    Example:
        >>> nms([[10, 10, 60, 60], [12, 12, 62, 62]], [0.9, 0.8])
        <interactive figure: nms>
    """
    rows = as_boxes(boxes, "nms: boxes")
    score = as_array(scores, "nms: scores")
    if score.shape != (len(rows),):
        raise ValueError(f"nms: scores must have shape ({len(rows)},), one for each box, got {score.shape}")
    if len(score) and (score.min() < 0 or score.max() > 1):
        raise ValueError(f"nms: scores must be in [0, 1], got {score.min():g} to {score.max():g}")
    classes = None if labels is None else _classes(labels, len(rows))
    if classes is not None:
        count = max(classes, default=-1) + 1
        names = [f"class {i}" for i in range(count)] if names is None else [str(name) for name in names]
        if len(names) < count:
            raise ValueError(f"nms: names must name {count} classes, got {names}")
    state = {
        "question": question,
        "picture": as_picture(image, "nms") if image is not None else canvas(rows),
        "boxes": rows,
        "scores": score.tolist(),
        "labels": classes if classes is not None else [0] * len(rows),
        "names": names if classes is not None else None,
        "iou_threshold": as_unit(iou_threshold, "nms: iou_threshold"),
        "score_threshold": as_unit(score_threshold, "nms: score_threshold"),
        "by_class": by_class and classes is not None,
    }
    alt = (
        f"{len(rows)} predicted boxes with scores over a picture, and a list of them. Step by step the best box is kept "
        "and those that overlap it more than a threshold are struck out; the threshold can be moved."
    )
    return StaticFigure("nms", alt, **state)


def _classes(labels: Any, count: int) -> list[int]:
    array = as_array(labels, "nms: labels")
    if array.shape != (count,):
        raise ValueError(f"nms: labels must have shape ({count},), one for each box, got {array.shape}")
    if len(array) and (array.min() < 0 or (array % 1).any()):
        raise ValueError(f"nms: labels must be whole numbers from 0 on, got {array.tolist()}")
    return [int(label) for label in array]
