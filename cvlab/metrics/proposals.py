"""What proposals can reach: the share of objects that some proposal overlaps enough."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from cvlab import _check
from cvlab.ops import box_iou


def proposal_recall(
    proposals: Sequence[Tensor],
    boxes: Sequence[Tensor],
    counts: Sequence[int] = (10, 100, 1000),
    iou_threshold: float = 0.5,
) -> dict[int, float]:
    """Compute the share of objects that one of the first proposals of their image overlaps enough.

    Args:
        proposals: For each image (P_i, 4) float, xyxy, pixels, best first.
        boxes: For each image its objects (G_i, 4) float, xyxy, pixels.
        counts: How many proposals of each image are looked at.
        iou_threshold: From this IoU on an object is found.

    Returns:
        For each count a share in [0, 1]; NaN where there are no objects.

    Raises:
        InputError: A shape is wrong, a box is not finite or upside down, there are not proposals for each image, the
            threshold lies outside [0, 1], or a count is below 1.

    Example:
        >>> objects = torch.tensor([[0.0, 0.0, 10.0, 10.0], [20.0, 0.0, 30.0, 10.0]])
        >>> proposals = torch.tensor([[0.0, 0.0, 10.0, 6.0], [50.0, 0.0, 60.0, 10.0], [20.0, 0.0, 30.0, 9.0]])
        >>> proposal_recall([proposals], [objects], (1, 2, 3))
        {1: 0.5, 2: 0.5, 3: 1.0}
    """
    op = "proposal_recall"
    _check.positive(op, "counts", counts)
    _check.fraction(op, "iou_threshold", iou_threshold)
    if len(proposals) != len(boxes):
        raise _check.InputError(f"{op}: there must be proposals for {len(boxes)} images, got {len(proposals)}")
    first: list[Tensor] = []  # for each object the place of the first proposal that finds it
    for i, (own, objects) in enumerate(zip(proposals, boxes, strict=True)):
        _check.shape(op, f"proposals of image {i}", own, ("P", 4))
        _check.shape(op, f"boxes of image {i}", objects, ("G", 4))
        hit = box_iou(objects.as_subclass(Tensor), own.as_subclass(Tensor)) >= iou_threshold  # (G, P)
        place = torch.where(hit.any(1), hit.float().argmax(1), len(own) + max(counts)) if len(own) else None
        first.append(torch.full((len(objects),), max(counts)) if place is None else place)
    joined = torch.cat(first) if first else torch.zeros(0)
    return {k: float((joined < k).float().mean()) if len(joined) else float("nan") for k in counts}
