"""Intersection over union of boxes, and its generalised forms.

Names, signatures and meaning are those of `torchvision.ops`, with one difference: where torchvision divides zero by
zero, two boxes without area, the IoU here is 0.
"""

from __future__ import annotations

import torch
from torch import Tensor

from cvlab import _check
from cvlab.ops.boxes import to_xyxy, upcast
from cvlab.ops.rotated import convert_rotated, rotated_iou

_BLOCK = 1 << 17  # pairs computed at a time: what they need stays in the cache


def _check_pair(op: str, boxes1: Tensor, boxes2: Tensor, fmt: str = "xyxy") -> None:
    _check.choice(op, "fmt", fmt, list(_check.COORDS))
    for name, boxes in (("boxes1", boxes1), ("boxes2", boxes2)):
        _check.boxes(op, name, boxes, fmt, dims="..." if _check.COORDS[fmt] == 4 else "N")
        if boxes.dim() < 2:
            raise _check.InputError(f"{op}: {name} must have shape (..., N, 4), got {tuple(boxes.shape)}")


def box_iou(boxes1: Tensor, boxes2: Tensor, fmt: str = "xyxy") -> Tensor:
    """Compute the intersection over union of every pair of boxes.

    Args:
        boxes1: (..., N, 4) float or integer, pixels; (N, 5) or (N, 8) in a rotated format.
        boxes2: (..., M, 4) likewise.
        fmt: "xyxy", "xywh", "cxcywh", or rotated: "cxcywhr", "xywhr", "xyxyxyxy".

    Returns:
        (..., N, M) float, each in [0, 1].

    Raises:
        InputError: A shape or format is wrong, or a box is not finite, has a negative side, or is so large that areas
            overflow, see `box_area`.

    Notes:
        Two boxes without area have IoU 0; torchvision gives NaN.

    Example:
        >>> boxes = torch.tensor([[0.0, 0.0, 10.0, 5.0], [5.0, 0.0, 15.0, 10.0]])
        >>> box_iou(torch.tensor([[0.0, 0.0, 10.0, 10.0]]), boxes)  # 50 / 100 and 50 / 150
        tensor([[0.5000, 0.3333]])

    References:
        Jaccard, P. (1901). Étude comparative de la distribution florale. Bulletin de la Société vaudoise 37.
    """
    if not _check.scripting():
        _check_pair("box_iou", boxes1, boxes2, fmt)
    if "r" in fmt or fmt == "xyxyxyxy":
        boxes1, boxes2 = upcast(boxes1), upcast(boxes2)
        if fmt != "cxcywhr":
            boxes1, boxes2 = convert_rotated(boxes1, fmt, "cxcywhr"), convert_rotated(boxes2, fmt, "cxcywhr")
        return rotated_iou(boxes1, boxes2)
    boxes1, boxes2 = to_xyxy(upcast(boxes1), fmt), to_xyxy(upcast(boxes2), fmt)
    if not _check.scripting() and _can_run_in_blocks(boxes1, boxes2):
        return box_iou_blocks(boxes1, boxes2)
    inter, union = _intersection_union(boxes1, boxes2)
    return _divide(inter, union)


def _divide(a: Tensor, b: Tensor) -> Tensor:
    """Divide, with 0 where `b` is 0, in the value and in the gradient."""
    return torch.where(b == 0, 0.0, a / torch.where(b == 0, 1, b))


def _intersection_union(boxes1: Tensor, boxes2: Tensor) -> tuple[Tensor, Tensor]:
    boxes1, boxes2 = upcast(boxes1), upcast(boxes2)
    a, b = boxes1.unsqueeze(-2), boxes2.unsqueeze(-3)  # (..., N, 1, 4), (..., 1, M, 4)
    w = torch.minimum(a[..., 2], b[..., 2]) - torch.maximum(a[..., 0], b[..., 0])
    h = torch.minimum(a[..., 3], b[..., 3]) - torch.maximum(a[..., 1], b[..., 1])
    inter = w.clamp(min=0) * h.clamp(min=0)  # (..., N, M)
    area1 = (a[..., 2] - a[..., 0]) * (a[..., 3] - a[..., 1])
    area2 = (b[..., 2] - b[..., 0]) * (b[..., 3] - b[..., 1])
    return inter, area1 + area2 - inter


def _can_run_in_blocks(boxes1: Tensor, boxes2: Tensor) -> bool:
    gradient = torch.is_grad_enabled() and (boxes1.requires_grad or boxes2.requires_grad)
    plain = boxes1.dim() == boxes2.dim() == 2 and boxes1.is_floating_point() and boxes1.dtype == boxes2.dtype
    return plain and not gradient and boxes1.device.type == "cpu" and _check.readable(boxes1)


def columns(boxes: Tensor) -> Tensor:
    """Give x1, y1, x2, y2 and the area of boxes (N, 4) as contiguous rows (5, N)."""
    x1, y1, x2, y2 = boxes.t().contiguous().unbind(0)
    area = (x2 - x1).mul_(y2 - y1).clamp_(min=torch.finfo(boxes.dtype).tiny)  # so that IoU is never 0 / 0
    return torch.stack((x1, y1, x2, y2, area))


def pair_iou(a: Tensor, b: Tensor) -> Tensor:
    """Compute the IoU (..., A, B) of `columns` (5, ..., A) and (5, ..., B); below 0 where two are apart in y only."""
    ax1, ay1, ax2, ay2, area1 = a.unsqueeze(-1).unbind(0)
    bx1, by1, bx2, by2, area2 = b.unsqueeze(-2).unbind(0)
    w = torch.minimum(ax2, bx2).sub_(torch.maximum(ax1, bx1)).clamp_(min=0)
    h = torch.minimum(ay2, by2).sub_(torch.maximum(ay1, by1))
    inter = w.mul_(h)
    return inter.div_(torch.add(area1, area2, out=h).sub_(inter))


def box_iou_blocks(boxes1: Tensor, boxes2: Tensor) -> Tensor:
    """Compute `box_iou` in place, in blocks of rows small enough for the cache; unchecked, and without a gradient."""
    a, b = columns(boxes1), columns(boxes2)
    rows = max(1, _BLOCK // max(1, len(boxes2)))
    if len(boxes1) <= rows:
        return pair_iou(a, b).clamp_(min=0)
    out = a.new_empty(len(boxes1), len(boxes2))
    for i in range(0, len(boxes1), rows):
        torch.clamp(pair_iou(a[:, i : i + rows], b), min=0, out=out[i : i + rows])
    return out


def _hull(boxes1: Tensor, boxes2: Tensor) -> tuple[Tensor, Tensor]:
    """Give width and height (..., N, M) of the smallest box around each pair."""
    a, b = upcast(boxes1).unsqueeze(-2), upcast(boxes2).unsqueeze(-3)
    w = torch.maximum(a[..., 2], b[..., 2]) - torch.minimum(a[..., 0], b[..., 0])
    h = torch.maximum(a[..., 3], b[..., 3]) - torch.minimum(a[..., 1], b[..., 1])
    return w, h


def generalized_box_iou(boxes1: Tensor, boxes2: Tensor) -> Tensor:
    """Compute the generalised IoU: IoU less the share of the common hull that neither box covers.

    Args:
        boxes1: (..., N, 4) xyxy, pixels.
        boxes2: (..., M, 4) xyxy, pixels.

    Returns:
        (..., N, M) float, each in [-1, 1].

    Raises:
        InputError: A shape is wrong, or a box is not finite or has x2 < x1 or y2 < y1.

    Notes:
        Finite for empty boxes too: where the hull has no area, nothing is taken off.

    Example:
        >>> generalized_box_iou(torch.tensor([[0.0, 0.0, 1.0, 1.0]]), torch.tensor([[1.0, 1.0, 2.0, 2.0]]))
        tensor([[-0.5000]])

    References:
        Rezatofighi et al. (2019). Generalized intersection over union. Algorithm 1.
    """
    if not _check.scripting():
        _check_pair("generalized_box_iou", boxes1, boxes2)
    inter, union = _intersection_union(boxes1, boxes2)
    w, h = _hull(boxes1, boxes2)
    return _divide(inter, union) - _divide(w * h - union, w * h)


def distance_box_iou(boxes1: Tensor, boxes2: Tensor, eps: float = 1e-7) -> Tensor:
    """Compute the distance IoU: IoU less the squared distance of the centres over the hull's squared diagonal.

    Args:
        boxes1: (..., N, 4) xyxy, pixels.
        boxes2: (..., M, 4) xyxy, pixels.
        eps: Added to the squared diagonal.

    Returns:
        (..., N, M) float, each in [-1, 1].

    Raises:
        InputError: A shape is wrong, or a box is not finite or has x2 < x1 or y2 < y1.

    Example:
        >>> distance_box_iou(torch.tensor([[0.0, 0.0, 1.0, 1.0]]), torch.tensor([[1.0, 1.0, 2.0, 2.0]]))
        tensor([[-0.2500]])

    References:
        Zheng et al. (2020). Distance-IoU loss. Equation 7.
    """
    if not _check.scripting():
        _check_pair("distance_box_iou", boxes1, boxes2)
    inter, union = _intersection_union(boxes1, boxes2)
    return _divide(inter, union) - _distance(boxes1, boxes2, eps)


def _distance(boxes1: Tensor, boxes2: Tensor, eps: float) -> Tensor:
    w, h = _hull(boxes1, boxes2)
    a, b = upcast(boxes1).unsqueeze(-2), upcast(boxes2).unsqueeze(-3)
    dx = (a[..., 0] + a[..., 2] - b[..., 0] - b[..., 2]) / 2
    dy = (a[..., 1] + a[..., 3] - b[..., 1] - b[..., 3]) / 2
    return (dx * dx + dy * dy) / (w * w + h * h + eps)


def complete_box_iou(boxes1: Tensor, boxes2: Tensor, eps: float = 1e-7) -> Tensor:
    """Compute the complete IoU: distance IoU less a term for unlike aspect ratios.

    Args:
        boxes1: (..., N, 4) xyxy, pixels.
        boxes2: (..., M, 4) xyxy, pixels.
        eps: Added to the divisors.

    Returns:
        (..., N, M) float. The weight of the aspect term is held constant in the gradient.

    Raises:
        InputError: A shape is wrong, or a box is not finite or has x2 < x1 or y2 < y1.

    Example:
        >>> complete_box_iou(torch.tensor([[0.0, 0.0, 2.0, 1.0]]), torch.tensor([[0.0, 0.0, 1.0, 2.0]]))
        tensor([[0.2371]])

    References:
        Zheng et al. (2020). Distance-IoU loss. Equations 8 to 11.
    """
    if not _check.scripting():
        _check_pair("complete_box_iou", boxes1, boxes2)
    inter, union = _intersection_union(boxes1, boxes2)
    iou = _divide(inter, union)
    angle1, angle2 = _diagonal_angle(boxes1).unsqueeze(-1), _diagonal_angle(boxes2).unsqueeze(-2)
    v = (4 / torch.pi**2) * (angle1 - angle2) ** 2
    weight = (v / (1 - iou + v + eps)).detach()
    return iou - _distance(boxes1, boxes2, eps) - weight * v


def _diagonal_angle(boxes: Tensor) -> Tensor:
    """Give the angle whose tangent is width / height, (..., N)."""
    boxes = upcast(boxes)
    return torch.atan2((boxes[..., 2] - boxes[..., 0]) * 1.0, (boxes[..., 3] - boxes[..., 1]) * 1.0)
