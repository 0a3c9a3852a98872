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
    iou_threshold: float | Sequence[float] = 0.5,
) -> dict[int, float]:
    """Compute the share of objects that one of the first proposals of their image overlaps enough.

    Args:
        proposals: For each image (P_i, 4) float, xyxy, pixels, best first.
        boxes: For each image its objects (G_i, 4) float, xyxy, pixels.
        counts: How many proposals of each image are looked at, whole numbers above 0.
        iou_threshold: In [0, 1]; from this IoU on an object is found. Of several the mean share is taken: average
            recall, as COCO has it with `IOU_THRESHOLDS`.

    Returns:
        For each count a share in [0, 1]; NaN where there are no objects.

    Raises:
        InputError: A shape is wrong, a box is not finite or upside down, there are not proposals for each image, a
            threshold lies outside [0, 1], or a count is not a whole number above 0.

    Notes:
        One proposal may find several objects. COCO's tools let it find one: fewer where objects overlap much.

    Example:
        >>> objects = torch.tensor([[0.0, 0.0, 10.0, 10.0], [20.0, 0.0, 30.0, 10.0]])
        >>> proposals = torch.tensor([[0.0, 0.0, 10.0, 6.0], [50.0, 0.0, 60.0, 10.0], [20.0, 0.0, 30.0, 9.0]])
        >>> proposal_recall([proposals], [objects], (1, 2, 3))  # IoU 0.6 with the first object, 0.9 with the second
        {1: 0.5, 2: 0.5, 3: 1.0}
        >>> proposal_recall([proposals], [objects], (1, 3), (0.5, 0.8))  # at 0.8 only the second is found
        {1: 0.25, 3: 0.75}

    References:
        Hosang et al. (2015). What makes for effective detection proposals?
    """
    op = "proposal_recall"
    _check.positive(op, "counts", counts)
    if any(k != int(k) for k in counts):
        raise _check.InputError(f"{op}: counts must be whole numbers, got {list(counts)}")
    thresholds = list(iou_threshold) if isinstance(iou_threshold, Sequence) else [iou_threshold]
    for threshold in thresholds:
        _check.fraction(op, "iou_threshold", threshold)
    if not thresholds:
        raise _check.InputError(f"{op}: iou_threshold must not be empty")
    if len(proposals) != len(boxes):
        raise _check.InputError(f"{op}: there must be proposals for {len(boxes)} images, got {len(proposals)}")
    best: dict[int, list[Tensor]] = {k: [] for k in counts}  # IoU of each object with the proposal that fits it best
    for i, (own, objects) in enumerate(zip(proposals, boxes, strict=True)):
        _check.shape(op, f"proposals of image {i}", own, ("P", 4))
        _check.shape(op, f"boxes of image {i}", objects, ("G", 4))
        iou = box_iou(objects.as_subclass(Tensor), own[: int(max(counts))].as_subclass(Tensor))  # (G, P)
        for k in counts:
            best[k].append(torch.cat((iou.new_zeros(len(iou), 1), iou[:, : int(k)]), 1).amax(1))
    return {k: _share(torch.cat(own) if own else torch.zeros(0), thresholds) for k, own in best.items()}


def _share(best: Tensor, thresholds: Sequence[float]) -> float:
    """Give the share of IoUs (G,) that reach a threshold, the mean over all of them; NaN for no IoU."""
    return float(torch.stack([(best >= t).double().mean() for t in thresholds]).mean())
