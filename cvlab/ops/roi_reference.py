"""RoIAlign and RoIPool as plain loops: what they mean, bin by bin and sample by sample."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def bilinear_sample(feature: Tensor, y: float, x: float) -> Tensor:
    """Read a map between its cells: the four neighbours, each the heavier the nearer it is.

    Args:
        feature: (C, H, W) float; the value of a cell stands at its whole number.
        y: Row, cells.
        x: Column, cells.

    Returns:
        (C,); beyond the edge the edge's value, and 0 from one cell outside on.

    Example:
        >>> bilinear_sample(torch.tensor([[[0.0, 1.0], [10.0, 11.0]]]), 0.5, 0.25)
        tensor([5.2500])
    """
    height, width = feature.shape[1:]
    if not (-1 <= y <= height and -1 <= x <= width):
        return torch.zeros_like(feature[:, 0, 0])
    y, x = min(max(y, 0.0), height - 1.0), min(max(x, 0.0), width - 1.0)
    top, left = int(y), int(x)
    bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
    down, along = y - top, x - left
    upper = feature[:, top, left] * (1 - along) + feature[:, top, right] * along
    lower = feature[:, bottom, left] * (1 - along) + feature[:, bottom, right] * along
    return upper * (1 - down) + lower * down


def roi_align_reference(
    feature: Tensor,
    box: Tensor,
    output_size: int,
    spatial_scale: float = 1.0,
    sampling_ratio: int = 2,
    aligned: bool = True,
) -> Tensor:
    """Cut one region out of one map: in each bin the average of samples, nothing rounded.

    Args:
        feature: (C, H, W) float.
        box: (4,) float, xyxy, pixels.
        output_size: P, bins along each side.
        spatial_scale: Cells for each pixel.
        sampling_ratio: Samples along each side of a bin.
        aligned: As in `roi_align`.

    Returns:
        (C, P, P).

    Example:
        >>> roi_align_reference(torch.arange(25.0).reshape(1, 5, 5), torch.tensor([1.0, 1.0, 3.0, 3.0]), 2)
        tensor([[[ 6.,  7.],
                 [11., 12.]]])
    """
    x1, y1, x2, y2 = (box * spatial_scale - (0.5 if aligned else 0.0)).tolist()
    least = 0.0 if aligned else 1.0
    height, width = max(y2 - y1, least) / output_size, max(x2 - x1, least) / output_size  # of a bin
    steps = [(i + 0.5) / sampling_ratio for i in range(sampling_ratio)]
    result = feature.new_zeros(len(feature), output_size, output_size)
    for row in range(output_size):
        for column in range(output_size):
            points = [(y1 + (row + a) * height, x1 + (column + b) * width) for a in steps for b in steps]
            result[:, row, column] = torch.stack([bilinear_sample(feature, y, x) for y, x in points]).mean(0)
    return result


def roi_pool_reference(feature: Tensor, box: Tensor, output_size: int, spatial_scale: float = 1.0) -> Tensor:
    """Cut one region out of one map: rounded to whole cells twice, and in each bin the largest value.

    Args:
        feature: (C, H, W) float.
        box: (4,) float, xyxy, pixels.
        output_size: P, bins along each side.
        spatial_scale: Cells for each pixel.

    Returns:
        (C, P, P).

    Example:
        >>> roi_pool_reference(torch.arange(25.0).reshape(1, 5, 5), torch.tensor([1.4, 1.0, 2.6, 3.0]), 2)
        tensor([[[12., 13.],
                 [17., 18.]]])
    """
    x1, y1, x2, y2 = (math.floor(abs(v) + 0.5) * (1 if v >= 0 else -1) for v in (box * spatial_scale).tolist())
    height, width = max(y2 - y1 + 1, 1) / output_size, max(x2 - x1 + 1, 1) / output_size  # of a bin
    result = feature.new_zeros(len(feature), output_size, output_size)
    for row in range(output_size):
        top, bottom = y1 + math.floor(row * height), y1 + math.ceil((row + 1) * height)
        for column in range(output_size):
            left, right = x1 + math.floor(column * width), x1 + math.ceil((column + 1) * width)
            part = feature[:, max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
            if part.numel():
                result[:, row, column] = part.amax((1, 2))
    return result
