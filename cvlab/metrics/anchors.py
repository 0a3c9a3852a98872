"""What anchors can reach at all: a measure of a detector before it is trained."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from cvlab import _check
from cvlab.ops import box_iou


def best_anchor_iou(anchors: Tensor, boxes: Sequence[Tensor]) -> Tensor:
    """Find for each object the IoU of the anchor that fits it best.

    Args:
        anchors: (A, 4) float, xyxy, pixels; the same for all images.
        boxes: For each image its objects (G_i, 4) float, xyxy, pixels.

    Returns:
        (G,) float, the objects of all images one after the other; 0 where there is no anchor.

    Raises:
        InputError: A shape is wrong, or a box is not finite or upside down.

    Example:
        >>> anchors = torch.tensor([[0.0, 0.0, 10.0, 10.0], [10.0, 0.0, 20.0, 10.0]])
        >>> best_anchor_iou(anchors, [torch.tensor([[0.0, 0.0, 10.0, 5.0]]), torch.zeros(0, 4)])
        tensor([0.5000])
    """
    _check.shape("best_anchor_iou", "anchors", anchors, ("A", 4))
    for i, each in enumerate(boxes):
        _check.shape("best_anchor_iou", f"boxes of image {i}", each, ("G", 4))
    joined = torch.cat([anchors.new_zeros(0, 4), *(each.as_subclass(Tensor) for each in boxes)])  # (G, 4)
    if len(anchors) == 0:
        return joined.new_zeros(len(joined))
    return torch.cat(
        [anchors.new_zeros(0), *(box_iou(part, anchors).amax(1) for part in joined.split(1024) if len(part))]
    )


def anchor_recall(anchors: Tensor, boxes: Sequence[Tensor], iou_threshold: float = 0.5) -> float:
    """Compute the share of objects that some anchor overlaps enough.

    Args:
        anchors: As `best_anchor_iou` takes them.
        boxes: As `best_anchor_iou` takes them.
        iou_threshold: From this IoU on an object is reached.

    Returns:
        A share in [0, 1]; NaN where there are no objects.

    Raises:
        InputError: As `best_anchor_iou`, or the threshold lies outside [0, 1].

    Example:
        >>> anchors = torch.tensor([[0.0, 0.0, 10.0, 10.0]])
        >>> anchor_recall(anchors, [torch.tensor([[0.0, 0.0, 10.0, 5.0], [4.0, 4.0, 14.0, 14.0]])])
        0.5
    """
    _check.fraction("anchor_recall", "iou_threshold", iou_threshold)
    best = best_anchor_iou(anchors, boxes)
    return float((best >= iou_threshold).float().mean()) if len(best) else float("nan")
