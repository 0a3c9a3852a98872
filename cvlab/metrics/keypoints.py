"""How far predicted key points lie from the true ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from cvlab import _check
from cvlab.metrics.matching import match_detections


def keypoint_distances(
    predictions: Sequence[Mapping[str, Tensor]],
    targets: Sequence[Mapping[str, Tensor]],
    *,
    iou_threshold: float = 0.5,
    score_threshold: float = 0.5,
) -> Tensor:
    """Measure the distance of each visible key point from the detection's that found its object.

    Args:
        predictions: For each image `boxes` (N, 4), `scores` (N,), `labels` (N,) and `keypoints` (N, n, 2), xy pixels.
        targets: For each image `boxes` (G, 4), `labels` (G,), `keypoints` (G, n, 2) and `keypoints_visible` (G, n).
        iou_threshold: From this IoU on a detection finds an object of its class.
        score_threshold: Detections below it are not looked at.

    Returns:
        (M, n) float, pixels, for the M objects found; NaN where the true key point is not visible.

    Raises:
        InputError: There are not as many targets as predictions, or boxes, scores or labels are bad.

    Example:
        >>> box, one = torch.tensor([[0.0, 0.0, 9.0, 9.0]]), torch.tensor([1])
        >>> found = {"boxes": box, "labels": one, "scores": torch.tensor([0.9])}
        >>> found["keypoints"] = torch.tensor([[[3.0, 4.0]]])
        >>> truth = {"boxes": box, "labels": one, "keypoints": torch.zeros(1, 1, 2)}
        >>> keypoint_distances([found], [{**truth, "keypoints_visible": torch.tensor([[True]])}])
        tensor([[5.]])
    """
    if len(predictions) != len(targets):
        raise _check.InputError(
            f"keypoint_distances: there must be a target for each prediction, got {len(targets)} and {len(predictions)}"
        )
    rows = [
        _of_image(found, truth, iou_threshold, score_threshold)
        for found, truth in zip(predictions, targets, strict=True)
    ]
    return torch.cat(rows) if rows else torch.zeros(0, 0)


def _of_image(found: Mapping[str, Tensor], truth: Mapping[str, Tensor], iou: float, score: float) -> Tensor:
    sure = found["scores"] >= score
    taken = match_detections(
        found["boxes"][sure],
        found["scores"][sure],
        truth["boxes"],
        labels=found["labels"][sure],
        gt_labels=truth["labels"],
        iou_threshold=iou,
    )
    hit = taken >= 0
    true = truth["keypoints"].as_subclass(Tensor)[taken[hit]]  # (M, n, 2)
    distance = (found["keypoints"][sure][hit] - true).norm(dim=-1)
    return distance.masked_fill(~truth["keypoints_visible"].as_subclass(Tensor)[taken[hit]], torch.nan)
