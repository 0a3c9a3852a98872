"""Key points in regions: a point is one cell of a small map, found like the right class among many."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def keypoint_cells(points: Tensor, visible: Tensor, boxes: Tensor, size: int) -> Tensor:
    """Find the cell of a region's map in which each key point lies.

    Args:
        points: (N, n, 2) xy, pixels.
        visible: (N, n) bool, which points count.
        boxes: (N, 4) the regions, xyxy, pixels.
        size: cells along each side of the map.

    Returns:
        (N, n) int64, row * size + column; -1 for points that do not count or lie outside the region.

    Notes:
        A region is half-open here; in torchvision a point exactly on its right or lower edge belongs to the last cell.

    Example:
        >>> points = torch.tensor([[[15.0, 12.0], [40.0, 12.0]]])
        >>> keypoint_cells(points, torch.tensor([[True, True]]), torch.tensor([[10.0, 10.0, 30.0, 30.0]]), 4)
        tensor([[ 1, -1]])
    """
    sides = (boxes[:, 2:] - boxes[:, :2])[:, None]
    cell = ((points - boxes[:, None, :2]) / sides * size).floor().long()  # (N, n, 2)
    inside = ((cell >= 0) & (cell < size)).all(2) & visible
    return torch.where(inside, cell[..., 1] * size + cell[..., 0], -1)


def keypoint_loss(logits: Tensor, cells: Tensor) -> Tensor:
    """Compute the cross-entropy over the cells of each key point's map, the mean over the points that count.

    Args:
        logits: (N, n, S, S).
        cells: (N, n), as `keypoint_cells` gives them.

    Returns:
        A number; 0 where no point counts.

    References:
        He et al. (2017). Mask R-CNN. Section 5.
    """
    counted = cells >= 0
    own = logits.flatten(2)[counted]  # (P, S S)
    return functional.cross_entropy(own, cells[counted], reduction="sum") / counted.sum().clamp(min=1)


def decode_keypoints(logits: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
    """Turn maps into points: the best cell's middle, a quarter of a cell towards the better of its neighbours.

    Args:
        logits: (N, n, S, S).
        boxes: (N, 4) the regions, xyxy, pixels.

    Returns:
        Points (N, n, 2) xy in pixels, and the probability (N, n) of each one's cell.
    """
    size = logits.shape[-1]
    probability, best = logits.flatten(2).softmax(2).max(2)  # (N, n)
    row, column = best // size, best % size
    edged = functional.pad(logits, (1, 1, 1, 1), value=float("-inf"))
    item = torch.arange(len(logits), device=logits.device)[:, None]
    point = torch.arange(logits.shape[1], device=logits.device)[None]

    def lean(down: int, right: int) -> Tensor:
        ahead = edged[item, point, row + 1 + down, column + 1 + right]
        behind = edged[item, point, row + 1 - down, column + 1 - right]
        return 0.25 * torch.where(ahead > behind, 1.0, torch.where(ahead < behind, -1.0, 0.0))

    cells = torch.stack((column + 0.5 + lean(0, 1), row + 0.5 + lean(1, 0)), 2)
    return boxes[:, None, :2] + cells / size * (boxes[:, None, 2:] - boxes[:, None, :2]), probability
