"""Rotated boxes: their three formats, and the IoU of two of them by clipping polygons.

Angles are in degrees, counter-clockwise as seen in the picture, whose y axis points down.
"""

from __future__ import annotations

import torch
from torch import Tensor


def convert_rotated(boxes: Tensor, in_fmt: str, out_fmt: str) -> Tensor:
    """Convert rotated boxes between "cxcywhr", "xywhr" and "xyxyxyxy"; called by `box_convert`."""
    result = boxes
    if in_fmt == "cxcywhr":
        result = _shift_to(boxes, -0.5)
    elif in_fmt == "xyxyxyxy":
        result = _from_corners(boxes)
    if not boxes.is_floating_point():
        result = result.round().to(boxes.dtype)
    if out_fmt == "cxcywhr":
        result = _shift_to(result, 0.5)
    elif out_fmt == "xyxyxyxy":
        result = _to_corners(result)
    return result if boxes.is_floating_point() else result.round().to(boxes.dtype)


def _shift_to(boxes: Tensor, amount: float) -> Tensor:
    """Move the reference point by `amount` of the box's own width and height: 0.5 from corner to centre."""
    x, y, w, h, r = boxes.unbind(-1)
    angle = torch.deg2rad(r)
    cos, sin = torch.cos(angle), torch.sin(angle)
    x = x + amount * (w * cos + h * sin)
    y = y + amount * (h * cos - w * sin)
    return torch.stack((x, y, w, h, r), dim=-1)


def _to_corners(boxes: Tensor) -> Tensor:
    x, y, w, h, r = boxes.unbind(-1)
    angle = torch.deg2rad(r)
    cos, sin = torch.cos(angle), torch.sin(angle)
    x2, y2 = x + w * cos, y - w * sin  # along the upper side
    dx, dy = h * sin, h * cos  # along the left side
    return torch.stack((x, y, x2, y2, x2 + dx, y2 + dy, x + dx, y + dy), dim=-1)


def _from_corners(boxes: Tensor) -> Tensor:
    x1, y1, x2, y2, x3, y3, _, _ = boxes.unbind(-1)
    r = torch.rad2deg(torch.atan2(y1 - y2, x2 - x1))
    w = torch.sqrt((x2 - x1) ** 2 + (y2 - y1) ** 2)
    h = torch.sqrt((x3 - x2) ** 2 + (y3 - y2) ** 2)
    return torch.stack((x1, y1, w, h, r), dim=-1)


def _cross(a: Tensor, b: Tensor) -> Tensor:
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]


def _inside(points: Tensor, quads: Tensor) -> Tensor:
    """Tell which points (..., P, 2) lie in which quadrilateral (..., 4, 2), the border included."""
    edges = quads.roll(-1, -2) - quads
    side = _cross(edges[..., None, :, :], points[..., :, None, :] - quads[..., None, :, :])  # (..., P, 4)
    slack = 1e-6 * (edges**2).sum(-1)[..., None, :]
    return (side >= -slack).all(-1)


def rotated_iou(boxes1: Tensor, boxes2: Tensor) -> Tensor:
    """Compute the IoU of every pair of rotated boxes.

    The intersection of two rectangles is a convex polygon. Its corners are corners of one box inside the other, or
    crossings of their sides: 4 + 4 + 16 candidates. Sorted by angle about their mean, they give the area as a sum.

    Args:
        boxes1: (N, 5) "cxcywhr", pixels and degrees.
        boxes2: (M, 5) likewise.

    Returns:
        (N, M) float, 0 where both boxes are empty.
    """
    a = _to_corners(_shift_to(boxes1, -0.5)).reshape(-1, 1, 4, 2).double()
    b = _to_corners(_shift_to(boxes2, -0.5)).reshape(1, -1, 4, 2).double()
    origin = (a.mean(-2, keepdim=True) + b.mean(-2, keepdim=True)) / 2  # near zero, numbers are exact
    a, b = a - origin, b - origin  # (N, M, 4, 2)

    p, along_a = a[..., :, None, :], (a.roll(-1, -2) - a)[..., :, None, :]
    q, along_b = b[..., None, :, :], (b.roll(-1, -2) - b)[..., None, :, :]
    turn = _cross(along_a, along_b)  # (N, M, 4, 4), zero where parallel
    safe = torch.where(turn == 0, torch.ones_like(turn), turn)
    s, t = _cross(q - p, along_b) / safe, _cross(q - p, along_a) / safe
    crossing = (turn != 0) & (s >= 0) & (s <= 1) & (t >= 0) & (t <= 1)

    points = torch.cat((a, b, (p + s[..., None] * along_a).flatten(-3, -2)), -2)  # (N, M, 24, 2)
    valid = torch.cat((_inside(a, b), _inside(b, a), crossing.flatten(-2)), -1)  # (N, M, 24)
    inter = _area(points, valid)
    area1 = (boxes1[:, 2].double() * boxes1[:, 3])[:, None]
    area2 = (boxes2[:, 2].double() * boxes2[:, 3])[None]
    union = area1 + area2 - inter
    iou = torch.where(union > 0, inter / torch.where(union > 0, union, torch.ones_like(union)), torch.zeros_like(union))
    return iou.clamp(0, 1).to(boxes1.dtype if boxes1.is_floating_point() else torch.float32)


def _area(points: Tensor, valid: Tensor) -> Tensor:
    """Compute the area of convex polygons whose corners are the valid points, in any order."""
    count = valid.sum(-1)
    mean = (points * valid[..., None]).sum(-2) / count.clamp(min=1)[..., None]
    points = torch.where(valid[..., None], points - mean[..., None, :], torch.zeros_like(points))
    angle = torch.where(valid, torch.atan2(points[..., 1], points[..., 0]), torch.full_like(points[..., 0], 10.0))
    order = angle.argsort(-1)
    points = points.gather(-2, order[..., None].expand_as(points))
    # Points that are not valid come last and sit at the mean: the polygon is closed by jumping over them.
    last = (count - 1).clamp(min=0)[..., None]
    nxt = torch.arange(1, points.shape[-2] + 1, device=points.device).expand_as(order)
    nxt = torch.where(nxt > last, torch.zeros_like(nxt), nxt)
    following = points.gather(-2, nxt[..., None].expand_as(points))
    return torch.where(count > 2, _cross(points, following).sum(-1).abs() / 2, torch.zeros_like(mean[..., 0]))
