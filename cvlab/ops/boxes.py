"""Boxes: formats, areas, clipping, and boxes around masks.

Everywhere in cvlab a box is (x1, y1, x2, y2) in pixels, half-open: it covers x1 <= x < x2, so its width is x2 - x1 and
nothing is ever added to it. Names, signatures and meaning are those of `torchvision.ops`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from cvlab import _check
from cvlab.ops.rotated import convert_rotated

_UPRIGHT = ("xyxy", "xywh", "cxcywh")


def _check_convert(boxes: Tensor, in_fmt: str, out_fmt: str) -> None:
    _check.choice("box_convert", "in_fmt", in_fmt, list(_check.COORDS))
    _check.choice("box_convert", "out_fmt", out_fmt, list(_check.COORDS))
    if (in_fmt in _UPRIGHT) != (out_fmt in _UPRIGHT):
        raise NotImplementedError(f"box_convert: upright and rotated formats do not mix, got {in_fmt} and {out_fmt}")
    _check.boxes("box_convert", "boxes", boxes, in_fmt)


def box_convert(boxes: Tensor, in_fmt: str, out_fmt: str) -> Tensor:
    """Convert boxes from one format to another.

    Args:
        boxes: (..., K) float or integer, pixels: K = 4 for "xyxy", "xywh", "cxcywh"; K = 5 for the rotated "xywhr" and
            "cxcywhr" with r in degrees; K = 8 for "xyxyxyxy", the corners clockwise from the upper left.
        in_fmt: The format of `boxes`.
        out_fmt: The format wanted. Upright and rotated formats do not mix.

    Returns:
        (..., K) boxes in the format wanted, a copy where both formats are the same. The dtype is that of `boxes`, but
        float32 where integers are converted from or to "cxcywh", because a centre may lie between two.

    Raises:
        InputError: A format is unknown, a box is not finite or has a negative side, or the result does not fit the
            dtype: uint8 "xywh" with x + w of 256, for instance.

    Example:
        >>> box_convert(torch.tensor([[10.0, 20.0, 30.0, 60.0]]), "xyxy", "cxcywh")
        tensor([[20., 40., 20., 40.]])
    """
    if not _check.scripting():
        _check_convert(boxes, in_fmt, out_fmt)
    if in_fmt == out_fmt:
        return boxes.clone()
    wide = upcast(boxes)
    if "r" in in_fmt or in_fmt == "xyxyxyxy":
        wide = convert_rotated(wide, in_fmt, out_fmt)
    else:
        wide = _from_xyxy(to_xyxy(wide, in_fmt), out_fmt)
    if wide.is_floating_point() and not boxes.is_floating_point():
        return wide
    if not _check.scripting():
        _check.fits("box_convert", f"the result in {out_fmt}", wide, boxes.dtype)
    return wide.to(boxes.dtype)


def to_xyxy(boxes: Tensor, fmt: str) -> Tensor:
    """Convert upright boxes (..., 4) of any format to corners, unchecked."""
    if fmt == "xyxy":
        return boxes
    x, y, w, h = boxes.unbind(-1)
    if fmt == "cxcywh":
        return torch.stack((x - 0.5 * w, y - 0.5 * h, x + 0.5 * w, y + 0.5 * h), dim=-1)
    return torch.stack((x, y, x + w, y + h), dim=-1)


def _from_xyxy(boxes: Tensor, fmt: str) -> Tensor:
    if fmt == "xyxy":
        return boxes
    x1, y1, x2, y2 = boxes.unbind(-1)
    if fmt == "cxcywh":
        return torch.stack(((x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1), dim=-1)
    return torch.stack((x1, y1, x2 - x1, y2 - y1), dim=-1)


def upcast(t: Tensor) -> Tensor:
    """Give half-precision floats as float32 and integers as int64, so that areas do not overflow."""
    if t.is_floating_point():
        return t if t.dtype == torch.float32 or t.dtype == torch.float64 else t.float()
    return t.long()


def box_area(boxes: Tensor, fmt: str = "xyxy") -> Tensor:
    """Compute the areas of boxes.

    Args:
        boxes: (..., 4) float or integer, pixels.
        fmt: "xyxy", "xywh" or "cxcywh".

    Returns:
        (...) areas in square pixels; half precision gives float32, integers give int64.

    Raises:
        InputError: The format is unknown, or a box is not finite, has a negative side, or is so large that areas
            overflow (a coordinate above 2^61 in float32, 2^509 in float64, 2^29 in integers).

    Example:
        >>> box_area(torch.tensor([[10.0, 20.0, 30.0, 60.0]]))
        tensor([800.])
    """
    if not _check.scripting():
        _check.choice("box_area", "fmt", fmt, _UPRIGHT)
        _check.boxes("box_area", "boxes", boxes, fmt)
    boxes = upcast(boxes)
    if fmt == "xyxy":
        return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])
    return boxes[..., 2] * boxes[..., 3]


def clip_boxes_to_image(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Clip boxes so that they lie inside an image.

    Args:
        boxes: (..., 4) xyxy, pixels.
        size: The image's (height, width).

    Returns:
        (..., 4) boxes of the same dtype. One that lay outside altogether has a side of zero now.

    Raises:
        InputError: A box is not finite or has x2 < x1 or y2 < y1, or the size is not two numbers of at least 0.

    Example:
        >>> clip_boxes_to_image(torch.tensor([[-5.0, 10.0, 50.0, 40.0]]), (30, 40))
        tensor([[ 0., 10., 40., 30.]])
    """
    if not _check.scripting():
        _check.boxes("clip_boxes_to_image", "boxes", boxes)
        if _check.readable(boxes):
            _check.positive("clip_boxes_to_image", "size", size, "height, width", zero=True)
    height, width = size
    wide = upcast(boxes)  # a size may exceed what a narrow type can hold
    x = wide[..., 0::2].clamp(min=0, max=width)
    y = wide[..., 1::2].clamp(min=0, max=height)
    return torch.stack((x, y), dim=-1).flatten(-2).to(boxes.dtype)  # (..., 2, 2) as (x1, y1), (x2, y2)


def remove_small_boxes(boxes: Tensor, min_size: float) -> Tensor:
    """Find the boxes whose sides are both at least `min_size`.

    Args:
        boxes: (N, 4) xyxy, pixels.
        min_size: The shortest side allowed, pixels.

    Returns:
        (K,) int64 indices of the boxes that stay, in order.

    Raises:
        InputError: The shape is not (N, 4), or a box is not finite or has x2 < x1 or y2 < y1.

    Example:
        >>> remove_small_boxes(torch.tensor([[0.0, 0.0, 9.0, 9.0], [0.0, 0.0, 9.0, 1.0]]), 2.0)
        tensor([0])
    """
    if not _check.scripting():
        _check.boxes("remove_small_boxes", "boxes", boxes, dims="N")
    boxes = upcast(boxes)
    sides = boxes[..., 2:] - boxes[..., :2]
    return torch.where((sides >= min_size).all(dim=-1))[0]


def masks_to_boxes(masks: Tensor, half_open: bool = False) -> Tensor:
    """Find the smallest box around each mask.

    Args:
        masks: (N, H, W) bool or numbers, where zero is background.
        half_open: Give x2 and y2 as the end of the last pixel, as all boxes are meant in cvlab. The default is
            torchvision's meaning: x2 and y2 are the last pixel's index, one less.

    Returns:
        (N, 4) float32 xyxy, pixels; zeros for an empty mask.

    Raises:
        InputError: `masks` is not (N, H, W).

    Notes:
        torchvision has no `half_open`. Its boxes come out one pixel narrower than the mask.

    Example:
        >>> mask = torch.zeros(1, 6, 8)
        >>> mask[0, 2:5, 3:7] = 1
        >>> masks_to_boxes(mask), masks_to_boxes(mask, half_open=True)
        (tensor([[3., 2., 6., 4.]]), tensor([[3., 2., 7., 5.]]))
    """
    if not _check.scripting():
        _check.tensor("masks_to_boxes", "masks", masks)
    if masks.numel() == 0:
        return torch.zeros((0 if masks.dim() == 0 else masks.shape[0], 4), device=masks.device)
    if not _check.scripting():
        _check.shape("masks_to_boxes", "masks", masks, ("N", "H", "W"))
    filled = masks.bool().view(torch.uint8)  # the largest byte is found far faster than any True
    columns = (filled.amax(1) > 0).to(torch.uint8)  # (N, W); a True may be any byte but 0: in Pillow's masks it is 255
    rows = (filled.amax(2) > 0).to(torch.uint8)  # (N, H)
    x1, x2 = _first_and_end(columns)
    y1, y2 = _first_and_end(rows)
    end = 0 if half_open else 1
    boxes = torch.stack((x1, y1, x2 - end, y2 - end), dim=1).float()
    return boxes * columns.amax(1, keepdim=True)


def _first_and_end(filled: Tensor) -> tuple[Tensor, Tensor]:
    """Find the first 1 of each row, and one past the last."""
    return filled.argmax(1), filled.shape[1] - filled.flip(1).argmax(1)
