"""Bring images of any sizes onto one canvas, as the detectors with regions take them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from cvlab.models._inputs import batch_images
from cvlab.preprocess import ResizeMap, letterbox

Size = tuple[int, int]


class Canvas(NamedTuple):
    """A batch of normalised images, and where each lies.

    Attributes:
        batch: (B, 3, H, W) float, 0 in the padding.
        plans: how each image came there.
        areas: (B, 4) xyxy, where each image lies, pixels of the canvas.
    """

    batch: Tensor
    plans: list[ResizeMap]
    areas: Tensor

    @property
    def size(self) -> Size:
        """Height and width of the canvas, pixels."""
        return self.batch.shape[-2], self.batch.shape[-1]


def plan_shorter_side(sizes: Sequence[Size], shorter: int, longest: int, divisor: int = 32) -> list[ResizeMap]:
    """Plan as torchvision's two-stage detectors do: the shorter side to a length, unless the other gets too long.

    Args:
        sizes: (height, width) of each image, pixels.
        shorter: length of the shorter side, pixels.
        longest: what the longer side may reach at most, pixels.
        divisor: the canvas, which all images share, has sides that this divides.
    """
    contents = []
    for height, width in sizes:
        factor = min(shorter / min(height, width), longest / max(height, width))
        contents.append((max(1, math.floor(height * factor)), max(1, math.floor(width * factor))))
    canvas = tuple(math.ceil(max(content[axis] for content in contents) / divisor) * divisor for axis in (0, 1))
    return [ResizeMap(size, canvas, content, (0, 0)) for size, content in zip(sizes, contents, strict=True)]


def make_canvas(
    images: Sequence[Tensor], size: Size, longest: int | None, mean: Tensor, std: Tensor, antialias: bool
) -> Canvas:
    """Resize, normalise and pad images.

    Args:
        images: each (3, H, W) uint8 or float in [0, 1].
        size: (height, width) of the canvas for letterboxes; where `longest` is given, the first is the shorter side's.
        longest: as `plan_shorter_side` takes it; None for letterboxes.
        mean: (3, 1, 1) of the channels.
        std: (3, 1, 1) of the channels.
        antialias: as `ResizeMap.image` takes it.
    """
    sizes = [(image.shape[1], image.shape[2]) for image in images]
    boxed = longest is None
    plans = [letterbox(each, size) for each in sizes] if boxed else plan_shorter_side(sizes, size[0], longest)
    batch = (batch_images(images, plans, antialias).to(mean.dtype) - mean) / std
    areas = []
    for i, plan in enumerate(plans):
        (top, left), (rows, columns) = plan.offset, plan.content
        areas.append([left, top, left + columns, top + rows])
        if plan.content != plan.size:
            inside = torch.zeros(plan.size, dtype=torch.bool, device=batch.device)
            inside[top : top + rows, left : left + columns] = True
            batch[i].masked_fill_(~inside, 0)
    return Canvas(batch, plans, batch.new_tensor(areas))


def clip_to_areas(boxes: Tensor, areas: Tensor) -> Tensor:
    """Cut off what lies outside the pictures.

    Args:
        boxes: (..., 4) xyxy, pixels of the canvas.
        areas: (..., 4) xyxy, of the picture of each box; shapes broadcast.
    """
    low, high = areas[..., [0, 1, 0, 1]], areas[..., [2, 3, 2, 3]]
    return torch.minimum(torch.maximum(boxes, low), high)
