"""Losses between a predicted box and the true one: on offsets (smooth L1), or on the boxes (IoU and its relatives)."""

from __future__ import annotations

import torch
from torch import Tensor

from cvlab import _check
from cvlab.losses._reduce import reduce
from cvlab.ops.boxes import upcast


def smooth_l1_loss(values: Tensor, targets: Tensor, beta: float = 1.0, reduction: str = "mean") -> Tensor:
    """Measure the distance of two tensors: squared where they are near, absolute where they are far apart.

    Args:
        values: (...) float, such as predicted offsets.
        targets: (...) float of the same shape.
        beta: The difference at which the square turns into the absolute value; 0 for the absolute value alone.
        reduction: "none", "sum" or "mean".

    Returns:
        (...) float, 0.5 d^2 / beta where the difference d is below beta, else d - beta / 2; or one number.

    Raises:
        InputError: The shapes differ, beta is negative, or the reduction is unknown.

    Example:
        >>> smooth_l1_loss(torch.tensor([0.5, 3.0]), torch.zeros(2), reduction="none")  # 0.5 * 0.25, 3 - 0.5
        tensor([0.1250, 2.5000])

    References:
        Girshick (2015). Fast R-CNN. Equation 3.
    """
    op = "smooth_l1_loss"
    _check.numeric(op, "values", values, floating=True)
    _check.shape(op, "targets", targets, tuple(values.shape))
    _check.positive(op, "beta", [beta], zero=True)
    distance = (values - targets).abs()
    if beta == 0:
        return reduce(op, distance, reduction)
    loss = torch.where(distance < beta, 0.5 * distance.square() / beta, distance - 0.5 * beta)
    return reduce(op, loss, reduction)


def generalized_box_iou_loss(boxes1: Tensor, boxes2: Tensor, reduction: str = "none", eps: float = 1e-7) -> Tensor:
    """Compute 1 - GIoU for pairs of boxes: it still has a gradient where the two do not touch.

    Args:
        boxes1: (..., 4) float, xyxy, pixels, with x1 <= x2 and y1 <= y2.
        boxes2: (..., 4) float, the same shape: pairs, not all combinations.
        reduction: "none", "sum" or "mean".
        eps: Added to denominators.

    Returns:
        (...) float from 0 (the same box) to 2 (far apart), or one number.

    Raises:
        InputError: A shape is wrong, the reduction is unknown, or a box is not finite or upside down.

    Notes:
        torchvision's function of that name; there an inverted box gives a meaningless number, here an error.

    Example:
        >>> near = torch.tensor([[0.0, 0.0, 10.0, 10.0]])
        >>> generalized_box_iou_loss(near, torch.tensor([[0.0, 0.0, 10.0, 5.0], [20.0, 0.0, 30.0, 10.0]])[:1])
        tensor([0.5000])
        >>> generalized_box_iou_loss(near, near + torch.tensor([20.0, 0.0, 20.0, 0.0]))  # hull 300, union 200
        tensor([1.3333])

    References:
        Rezatofighi et al. (2019). Generalized intersection over union.
    """
    iou, union, hull, _, _ = _overlap("generalized_box_iou_loss", boxes1, boxes2, eps)
    area = hull[..., 0] * hull[..., 1]
    return reduce("generalized_box_iou_loss", 1 - iou + (area - union) / (area + eps), reduction)


def distance_box_iou_loss(boxes1: Tensor, boxes2: Tensor, reduction: str = "none", eps: float = 1e-7) -> Tensor:
    """Compute 1 - DIoU for pairs of boxes: IoU, and the distance of centres over the diagonal of their hull.

    Args:
        boxes1: (..., 4) float, xyxy, pixels, with x1 <= x2 and y1 <= y2.
        boxes2: (..., 4) float, the same shape.
        reduction: "none", "sum" or "mean".
        eps: Added to denominators.

    Returns:
        (...) float from 0 to 2, or one number.

    Raises:
        InputError: A shape is wrong, the reduction is unknown, or a box is not finite or upside down.

    Example:
        >>> box = torch.tensor([[0.0, 0.0, 10.0, 10.0]])
        >>> distance_box_iou_loss(box, box + 5)  # IoU 25 / 175; centres 50 apart (squared), diagonal 450 (squared)
        tensor([0.9683])

    References:
        Zheng et al. (2020). Distance-IoU loss. Equation 7.
    """
    op = "distance_box_iou_loss"
    iou, _, hull, gap, _ = _overlap(op, boxes1, boxes2, eps)
    return reduce(op, 1 - iou + gap / (hull.square().sum(-1) + eps), reduction)


def complete_box_iou_loss(boxes1: Tensor, boxes2: Tensor, reduction: str = "none", eps: float = 1e-7) -> Tensor:
    """Compute 1 - CIoU for pairs of boxes: DIoU, and the difference of their aspect ratios.

    Args:
        boxes1: (..., 4) float, xyxy, pixels, with x1 <= x2 and y1 <= y2.
        boxes2: (..., 4) float, the same shape.
        reduction: "none", "sum" or "mean".
        eps: Added to denominators.

    Returns:
        (...) float at least 0, or one number.

    Raises:
        InputError: A shape is wrong, the reduction is unknown, or a box is not finite or upside down.

    Notes:
        The weight of the ratio's term is taken as a constant, as in the paper: no gradient flows through it.

    Example:
        >>> complete_box_iou_loss(torch.tensor([[0.0, 0.0, 10.0, 10.0]]), torch.tensor([[0.0, 0.0, 10.0, 5.0]]))
        tensor([0.5345])

    References:
        Zheng et al. (2020). Distance-IoU loss. Equations 8 to 11.
    """
    op = "complete_box_iou_loss"
    iou, _, hull, gap, turn = _overlap(op, boxes1, boxes2, eps)
    ratio = turn.square() * (4 / torch.pi**2)
    with torch.no_grad():
        weight = ratio / (1 - iou + ratio + eps)
    return reduce(op, 1 - iou + gap / (hull.square().sum(-1) + eps) + weight * ratio, reduction)


def _overlap(op: str, boxes1: Tensor, boxes2: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Give of each pair IoU, union, the hull's sides (..., 2), the centres' squared distance, the diagonals' angle."""
    for name, value in (("boxes1", boxes1), ("boxes2", boxes2)):
        _check.numeric(op, name, value, floating=True)
        _check.boxes(op, name, value)
    _check.shape(op, "boxes2", boxes2, tuple(boxes1.shape))
    a, b = upcast(boxes1), upcast(boxes2)
    size_a, size_b = a[..., 2:] - a[..., :2], b[..., 2:] - b[..., :2]
    shared = (torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])).clamp(min=0).prod(-1)
    union = size_a.prod(-1) + size_b.prod(-1) - shared
    hull = torch.maximum(a[..., 2:], b[..., 2:]) - torch.minimum(a[..., :2], b[..., :2])
    gap = ((a[..., :2] + a[..., 2:] - b[..., :2] - b[..., 2:]) / 2).square().sum(-1)
    turn = _angle(size_a, eps) - _angle(size_b, eps)
    return shared / (union + eps), union, hull, gap, turn


def _angle(size: Tensor, eps: float) -> Tensor:
    return torch.atan(size[..., 0] / (size[..., 1] + eps))
