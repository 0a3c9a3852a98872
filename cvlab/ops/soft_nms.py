"""Soft suppression: lower the scores of boxes that overlap better ones, instead of dropping them."""

from __future__ import annotations

import torch
from torch import Tensor

from cvlab import _check
from cvlab.ops.boxes import upcast
from cvlab.ops.iou import box_iou
from cvlab.ops.nms import check_inputs


def soft_nms(
    boxes: Tensor,
    scores: Tensor,
    method: str = "linear",
    iou_threshold: float = 0.3,
    sigma: float = 0.5,
    score_threshold: float = 0.001,
) -> tuple[Tensor, Tensor]:
    """Lower the scores of boxes that overlap better ones, instead of dropping them.

    Args:
        boxes: (N, 4) float, xyxy, pixels.
        scores: (N,) float, at least 0.
        method: "linear": times 1 - IoU where IoU exceeds the threshold; "gaussian": times exp(-IoU^2 / sigma).
        iou_threshold: For "linear"; in [0, 1].
        sigma: For "gaussian"; above 0.
        score_threshold: Boxes whose score falls below go.

    Returns:
        (K,) int64 indices in the order they were chosen, and their (K,) lowered scores, which never increase.

    Raises:
        InputError: As in `nms`, or the method is unknown, or sigma is not above 0.

    Example:
        >>> boxes = torch.tensor([[0.0, 0.0, 10.0, 10.0], [0.0, 0.0, 10.0, 5.0], [20.0, 0.0, 30.0, 10.0]])
        >>> soft_nms(boxes, torch.tensor([0.9, 0.8, 0.7]))  # the second overlaps the first by half: 0.8 * 0.5
        (tensor([0, 2, 1]), tensor([0.9000, 0.7000, 0.4000]))

    References:
        Bodla et al. (2017). Soft-NMS: improving object detection with one line of code. Equations 2 and 3.
    """
    _check.choice("soft_nms", "method", method, ("linear", "gaussian"))
    _check.positive("soft_nms", "sigma", [sigma])
    _check.fraction("soft_nms", "score_threshold", score_threshold)
    check_inputs("soft_nms", boxes, scores, iou_threshold)
    _check.finite("soft_nms", "scores", scores)
    boxes, left = boxes.detach(), upcast(scores.detach()).clone()
    index = torch.arange(len(left), device=left.device)
    kept, lowered = [index[:0]], [left[:0]]
    _check.boxes("soft_nms", "boxes", boxes)
    while True:
        stays = left >= score_threshold
        boxes, left, index = boxes[stays], left[stays], index[stays]
        if not len(left):
            return torch.cat(kept), torch.cat(lowered)
        best = int(left.argmax())
        kept.append(index[best : best + 1])
        lowered.append(left[best : best + 1].clone())
        iou = box_iou(boxes[best : best + 1], boxes)[0]
        if method == "linear":
            left = torch.where(iou > iou_threshold, left * (1 - iou), left)
        else:
            left = left * torch.exp(-(iou**2) / sigma)
        left[best] = -1.0  # chosen: out of the game
