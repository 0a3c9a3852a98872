"""Masks of instances: their overlap, what a network learns of them, and pasting small masks into a picture.

`masks_to_boxes` stands with the boxes.
"""

from __future__ import annotations

import torch
from torch import Tensor

from cvlab import _check
from cvlab.ops._size import whole_size
from cvlab.ops.boxes import upcast
from cvlab.ops.roi import roi_align

_AT_ONCE = 2**23
"""So many pixels, of all masks together, are turned into floats at a time: 32 MiB."""


def mask_iou(masks1: Tensor, masks2: Tensor, iscrowd: Tensor | None = None) -> Tensor:
    """Compute the intersection over union of each mask with each other mask.

    Args:
        masks1: (N, H, W) bool.
        masks2: (M, H, W) bool.
        iscrowd: (M,) bool, second masks that stand for crowds: there the intersection is divided by the area of the
            first mask alone, as COCO does.

    Returns:
        (N, M) float64, so that a quotient of whole numbers may be compared with a threshold; 0 where both masks are
        empty.

    Raises:
        InputError: The masks are not bool, are of different sizes, or there is not one crowd mark for each.

    Example:
        >>> left, top = torch.zeros(2, 1, 4, 4, dtype=torch.bool)
        >>> left[:, :, :2], top[:, :2] = True, True
        >>> mask_iou(left, top)  # 4 pixels of 12
        tensor([[0.3333]], dtype=torch.float64)
    """
    op = "mask_iou"
    for name, value in (("masks1", masks1), ("masks2", masks2)):
        _check.shape(op, name, value, ("N", "H", "W"))
        if value.dtype != torch.bool:
            raise _check.InputError(f"{op}: {name} must be bool, got {value.dtype}")
    if masks1.shape[1:] != masks2.shape[1:]:
        sizes = f"{tuple(masks1.shape[1:])} and {tuple(masks2.shape[1:])}"
        raise _check.InputError(f"{op}: masks1 and masks2 must be of one size, got {sizes}")
    if iscrowd is not None:
        _check.length(op, "iscrowd", iscrowd, len(masks2), "mask")
    both, area1, area2 = _count_pixels(masks1.flatten(1), masks2.flatten(1))  # (N, H, W) -> (N, H W)
    whole = area1[:, None] + area2 - both
    if iscrowd is not None:
        whole = torch.where(iscrowd.bool(), area1[:, None], whole)
    return both / whole.clamp(min=1)


def _count_pixels(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Count the pixels (N, M) that two masks share, and those of each, (N,) and (M,), a part of the picture at a time.

    Each part is one matrix product; its counts are whole numbers below 2^24, exact in float32.
    """
    count, pixels = len(first) + len(second), first.shape[1]
    both = torch.zeros(len(first), len(second), dtype=torch.float64, device=first.device)
    area1, area2 = both.new_zeros(len(first)), both.new_zeros(len(second))
    step = max(_AT_ONCE // max(count, 1), 1)
    for start in range(0, pixels, step):
        a, b = first[:, start : start + step].float(), second[:, start : start + step].float()
        both += a @ b.t()
        area1 += a.sum(1)
        area2 += b.sum(1)
    return both, area1, area2


def mask_targets(masks: Tensor, boxes: Tensor, size: int = 28, aligned: bool = True) -> Tensor:
    """Cut out of each object's mask what lies in its region, and bring it to a small size: what the mask head learns.

    Args:
        masks: (N, H, W) bool, the mask of the object of each region.
        boxes: (N, 4) float, the regions, xyxy, pixels.
        size: Side of the result, cells.
        aligned: As in `roi_align`. Without it the cut is made half a pixel too far to the right and below, so that the
            mask lies half a pixel too far to the left and above, and the network learns to say so.

    Returns:
        (N, size, size) float32 in [0, 1], the share of each cell that the mask covers; 0 outside the picture.

    Raises:
        InputError: There is not one mask for each box, or as `roi_align`.

    Notes:
        torchvision's `project_masks_on_boxes`, which has `aligned=False`.

    Example:
        >>> masks = torch.zeros(1, 4, 4)
        >>> masks[0, :, 2:] = 1
        >>> mask_targets(masks.bool(), torch.tensor([[1.0, 0.0, 4.0, 4.0]]), 3)  # columns 1, 2 and 3
        tensor([[[0., 1., 1.],
                 [0., 1., 1.],
                 [0., 1., 1.]]])

    References:
        He et al. (2017). Mask R-CNN. Section 3.1.
    """
    op = "mask_targets"
    _check.tensor(op, "masks", masks)
    _check.shape(op, "boxes", boxes, ("N", 4))
    _check.shape(op, "masks", masks, (len(boxes), "H", "W"))
    _check.positive(op, "(size,)", (size,))
    numbers = torch.arange(len(boxes), device=boxes.device, dtype=boxes.dtype)[:, None]
    regions = torch.cat((numbers, boxes), 1)  # (N, 5)
    return roi_align(masks[:, None].float(), regions, size, sampling_ratio=-1, aligned=aligned)[:, 0]


def paste_masks(masks: Tensor, boxes: Tensor, size: tuple[int, int], padding: int = 1, rounded: bool = True) -> Tensor:
    """Enlarge small masks to their boxes and put them into empty pictures.

    Args:
        masks: (N, M, M) float, probabilities, as a mask head gives them; or (N, 1, M, M).
        boxes: (N, 4) float, xyxy, pixels.
        size: (height, width) of the pictures.
        padding: Cells of 0 laid around each mask before it is enlarged, so that it can end inside its box.
        rounded: Bring boxes to whole pixels first, as torchvision does, which moves masks by up to a pixel; without it
            each pixel's centre is looked up in the box as it is, as detectron2 does.

    Returns:
        (N, height, width) float in the dtype of `masks`; 0 outside the boxes, but for a soft edge of half a cell.

    Raises:
        InputError: A shape is wrong, a mask or box is not finite, a box is upside down, or the size is not two whole
            numbers above 0.

    Notes:
        torchvision's `paste_masks_in_image`, one mask after the other there; here all are two matrix products.

    Example:
        >>> paste_masks(torch.ones(1, 2, 2), torch.tensor([[1.0, 0.0, 3.0, 2.0]]), (3, 4), rounded=False)[0]
        tensor([[0., 1., 1., 0.],
                [0., 1., 1., 0.],
                [0., 0., 0., 0.]])
    """
    small = torch.nn.functional.pad(upcast(_checked(masks, boxes, size, padding)), (padding,) * 4)
    cells = small.shape[1]
    corners = _grown(upcast(boxes), cells / (cells - 2 * padding))
    rows, columns = (
        _enlargement(corners[:, axis], corners[:, axis + 2], length, cells, rounded)
        for axis, length in ((1, size[0]), (0, size[1]))
    )
    return (rows.to(small.dtype) @ small @ columns.to(small.dtype).transpose(1, 2)).to(masks.dtype)


def _checked(masks: Tensor, boxes: Tensor, size: tuple[int, int], padding: int) -> Tensor:
    """Refuse what `paste_masks` cannot paste, and give the masks as (N, M, M)."""
    op = "paste_masks"
    _check.numeric(op, "masks", masks, floating=True)
    small = masks[:, 0] if masks.dim() == 4 and masks.shape[1] == 1 else masks
    _check.shape(op, "masks", small, ("N", "M", "M"))
    if small.shape[1] != small.shape[2] or small.shape[1] == 0:
        raise _check.InputError(f"{op}: masks must be square, of one cell or more, got {tuple(masks.shape)}")
    _check.finite(op, "masks", small)
    _check.boxes(op, "boxes", boxes, dims="N")
    if len(small) != len(boxes):
        raise _check.InputError(f"{op}: there must be one mask for each of {len(boxes)} boxes, got {len(small)}")
    whole_size(op, size)
    if not isinstance(padding, int) or padding < 0:
        raise _check.InputError(f"{op}: padding must be a whole number of at least 0, got {padding!r}")
    return small


def paste_mask_reference(mask: Tensor, box: Tensor, size: tuple[int, int]) -> Tensor:
    """Paste one mask as torchvision does, pixel by pixel; see `paste_masks`.

    Args:
        mask: (M, M) float.
        box: (4,) float, xyxy, pixels.
        size: (height, width) of the picture.

    Returns:
        (height, width) float.

    Example:
        >>> paste_mask_reference(torch.ones(2, 2), torch.tensor([1.0, 0.0, 3.0, 2.0]), (3, 4))  # grows to 0 ... 4
        tensor([[0.0000, 0.4900, 0.7000, 0.4900],
                [0.0000, 0.7000, 1.0000, 0.7000],
                [0.0000, 0.4900, 0.7000, 0.4900]])
    """
    padded = torch.nn.functional.pad(mask, (1, 1, 1, 1))
    cells = len(padded)
    left, top, right, bottom = _grown(box[None], cells / len(mask))[0].long().tolist()
    width, height = max(right - left + 1, 1), max(bottom - top + 1, 1)
    picture = mask.new_zeros(size)
    for y in range(max(top, 0), min(top + height, size[0])):
        for x in range(max(left, 0), min(left + width, size[1])):
            v = min(max((y - top + 0.5) * cells / height - 0.5, 0.0), cells - 1.0)
            u = min(max((x - left + 0.5) * cells / width - 0.5, 0.0), cells - 1.0)
            weights = [max(0.0, 1 - abs(v - i)) * max(0.0, 1 - abs(u - j)) for i in range(cells) for j in range(cells)]
            picture[y, x] = (padded.flatten() * padded.new_tensor(weights)).sum()
    return picture


def _grown(boxes: Tensor, factor: float) -> Tensor:
    """Enlarge boxes about their centres."""
    centre, half = (boxes[:, 2:] + boxes[:, :2]) * 0.5, (boxes[:, 2:] - boxes[:, :2]) * 0.5 * factor
    return torch.cat((centre - half, centre + half), 1)


def _enlargement(start: Tensor, end: Tensor, length: int, cells: int, rounded: bool) -> Tensor:
    """Give the weights (N, length, cells) with which pixels along one axis are made of cells."""
    pixel = torch.arange(length, device=start.device, dtype=start.dtype) + 0.5
    if rounded:
        start, end = start.trunc(), end.trunc() + 1
    start, end = start[:, None], end[:, None]
    inside = (pixel - start) / (end - start).clamp(min=torch.finfo(start.dtype).tiny)  # (N, length), 0 to 1 in the box
    at = (inside * cells - 0.5).clamp(0, cells - 1)
    weights = (1 - (at[..., None] - torch.arange(cells, device=start.device, dtype=start.dtype)).abs()).clamp(min=0)
    return weights * ((pixel >= start) & (pixel < end))[..., None]
