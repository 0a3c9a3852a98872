"""Overlaps of masks: counted image by image, so that the masks themselves need not be kept.

A mask is packed into bits, 16 pixels to a word. The pixels that two masks share are then the ones of `a & b`, and a
table says how many ones a word has. The numbers are those of `cvlab.ops.mask_iou`, in a fraction of its time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cvlab import _check
from cvlab.metrics._inputs import Detections, Objects
from cvlab.ops import rle_decode

_ONES = np.unpackbits(np.arange(1 << 16, dtype=np.uint16).view(np.uint8)).reshape(-1, 16).sum(1, dtype=np.uint8)
"""How many ones each word of 16 bits has."""


def mask_overlaps(
    op: str,
    predictions: Sequence[Mapping[str, Any]],
    targets: Sequence[Mapping[str, Any]],
    detections: Detections,
    objects: Objects,
    threshold: float,
) -> tuple[Detections, Objects, np.ndarray]:
    """Compute the IoU of each detection's mask with the mask of each object of its image and class.

    Args:
        op: The operation, for messages.
        predictions: As read, with `masks`.
        targets: As read, with `masks`.
        detections: The table of the predictions.
        objects: The table of the targets.
        threshold: From this probability on a pixel is inside.

    Returns:
        The tables, with the masks' areas and the places of their overlaps, and the overlaps as one vector, 0 for pairs
        of two classes.

    Raises:
        InputError: Masks are missing, or of another number, size or type; the message names the image.
    """
    area, object_area = np.zeros(len(detections.image)), objects.area.copy()
    row, overlaps, start = np.zeros(len(area), np.int64), [np.zeros(0)], 0
    images = np.arange(len(targets) + 1)
    ends, object_ends = np.searchsorted(detections.image, images), np.searchsorted(objects.image, images)
    for i, (prediction, target) in enumerate(zip(predictions, targets, strict=True)):
        d, o = slice(ends[i], ends[i + 1]), slice(object_ends[i], object_ends[i + 1])
        own = _masks(f"{op}: prediction {i}", prediction, d.stop - d.start, threshold)
        theirs = _masks(f"{op}: target {i}", target, o.stop - o.start, threshold)
        if own.shape[1:] != theirs.shape[1:] and len(own) and len(theirs):
            sizes = f"{tuple(own.shape[1:])} and {tuple(theirs.shape[1:])}"
            raise _check.InputError(f"{op}: masks of prediction {i} and target {i} must be of one size, got {sizes}")
        bits, object_bits = _pack(own), _pack(theirs)
        area[d] = _count(bits)
        pixels = _count(object_bits)
        if "area" not in target:
            object_area[o] = pixels
        same = detections.label[d, None] == objects.label[o]  # (N, G)
        iou = _iou(bits, object_bits, area[d], pixels, objects.ignored[o], same)
        row[d] = start + np.arange(len(iou)) * len(theirs)
        overlaps.append(iou.ravel())
        start += iou.size
    return detections._replace(area=area, row=row), objects._replace(area=object_area), np.concatenate(overlaps)


def _iou(
    bits: np.ndarray, object_bits: np.ndarray, area: np.ndarray, pixels: np.ndarray, crowd: np.ndarray, same: np.ndarray
) -> np.ndarray:
    """Compute the IoU (N, G) where `same` (N, G) is true; with a crowd, the share of the detection that it covers."""
    iou = np.zeros(same.shape)
    for g in range(len(object_bits)):
        near = np.flatnonzero(same[:, g])
        both = _count(bits[near] & object_bits[g])
        whole = area[near] if crowd[g] else area[near] + pixels[g] - both
        iou[near, g] = both / np.maximum(whole, 1)  # 0 where both are empty
    return iou


def _pack(masks: Tensor) -> np.ndarray:
    """Pack masks (N, H, W) bool into words (N, about H W / 16), the rest of the last with zeros."""
    octets = np.packbits(masks.flatten(1).numpy(), axis=1)
    return np.pad(octets, ((0, 0), (0, octets.shape[1] % 2))).view(np.uint16)


def _count(words: np.ndarray) -> np.ndarray:
    """Count the ones of each row."""
    ones: np.ndarray = _ONES.take(words).sum(1, dtype=np.int64)
    return ones


def _masks(where: str, entry: Mapping[str, Any], count: int, threshold: float) -> Tensor:
    """Give the masks of an image as (N, H, W) bool on the CPU, one for each of `count` boxes."""
    if "masks" not in entry:
        raise _check.InputError(f"{where} must have 'masks', got {sorted(map(str, entry))}")
    masks = entry["masks"]
    if isinstance(masks, list | tuple):
        masks = _decode(where, masks)
    _check.tensor(where, "masks", masks)
    if count == 0 and masks.numel() == 0:  # an image without boxes, whatever the shape and type of its tensors
        return torch.zeros(0, 1, 1, dtype=torch.bool)
    masks = masks.detach().as_subclass(Tensor)
    if masks.dim() == 4 and masks.shape[1] == 1:
        masks = masks[:, 0]  # (N, 1, H, W) -> (N, H, W)
    _check.shape(where, "masks", masks, (count, "H", "W"))
    if masks.is_floating_point():
        _check.fractions(where, "masks", masks)
        masks = masks >= threshold
    elif masks.dtype != torch.bool:
        _check.numeric(where, "masks", masks)
        other = masks[(masks != 0) & (masks != 1)]
        if len(other):
            raise _check.InputError(f"{where}: masks of integers must hold 0 and 1 only, got {int(other[0])}")
    inside: Tensor = masks.bool().cpu()
    return inside


def _decode(where: str, encoded: Sequence[Any]) -> Tensor:
    """Unpack COCO's run-length encodings into masks (N, H, W) bool."""
    masks: list[Tensor] = []
    for j, rle in enumerate(encoded):
        if not isinstance(rle, Mapping):
            raise TypeError(f"{where}: masks[{j}] must be an RLE, a dictionary, got {type(rle).__name__}")
        try:
            masks.append(rle_decode(rle))
        except _check.InputError as error:
            raise _check.InputError(f"{where}: masks[{j}]: {error}") from None
        if masks[j].shape != masks[0].shape:
            sizes = f"{tuple(masks[j].shape)} and {tuple(masks[0].shape)}"
            raise _check.InputError(f"{where}: masks[{j}] and masks[0] must be of one size, got {sizes}")
    return torch.stack(masks) if masks else torch.zeros(0, 1, 1, dtype=torch.bool)
