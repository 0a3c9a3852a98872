"""Overlaps of masks: computed image by image, so that the masks themselves need not be kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from cvlab import _check
from cvlab.metrics._inputs import Detections, Objects
from cvlab.ops import mask_iou


def mask_overlaps(
    op: str,
    predictions: Sequence[Mapping[str, Tensor]],
    targets: Sequence[Mapping[str, Tensor]],
    detections: Detections,
    objects: Objects,
) -> tuple[Detections, Objects, np.ndarray]:
    """Compute the IoU of each detection's mask with the mask of each object of its image.

    Args:
        op: The operation, for messages.
        predictions: As read, with `masks`.
        targets: As read, with `masks`.
        detections: The table of the predictions.
        objects: The table of the targets.

    Returns:
        The tables, with the masks' areas and the places of their overlaps, and the overlaps as one vector.

    Raises:
        InputError: A mask is missing, or of another size or type; the message names the image.
    """
    overlaps, rows, areas, object_areas, start = [], [], [], [], 0
    for i, (prediction, target) in enumerate(zip(predictions, targets, strict=True)):
        theirs = _masks(f"{op}: target {i}", target)
        own = _masks(f"{op}: prediction {i}", prediction)
        if own.shape[1:] != theirs.shape[1:] and len(own) and len(theirs):
            sizes = f"{tuple(own.shape[1:])} and {tuple(theirs.shape[1:])}"
            raise _check.InputError(f"{op}: masks of prediction {i} and target {i} must be of one size, got {sizes}")
        crowd = torch.from_numpy(objects.ignored[objects.image == i])
        if len(own) and len(theirs):
            overlaps.append(mask_iou(own, theirs, crowd).flatten().numpy())
        rows.append(start + np.arange(len(own)) * len(theirs))
        start += len(own) * len(theirs)
        areas.append(own.flatten(1).sum(1).double().numpy())
        given = target.get("area")
        pixels = theirs.flatten(1).sum(1).double().numpy()
        object_areas.append(pixels if given is None else objects.area[objects.image == i])
    empty = [np.zeros(0)]
    detections = detections._replace(
        area=np.concatenate([*empty, *areas]), row=np.concatenate([np.zeros(0, np.int64), *rows])
    )
    objects = objects._replace(area=np.concatenate([*empty, *object_areas]))
    return detections, objects, np.concatenate([*empty, *overlaps])


def _masks(where: str, entry: Mapping[str, Tensor]) -> Tensor:
    """Give the masks of an image as (N, H, W) bool on the CPU."""
    if "masks" not in entry:
        raise _check.InputError(f"{where} must have 'masks', got {sorted(map(str, entry))}")
    _check.tensor(where, "masks", entry["masks"])
    masks = entry["masks"].detach().cpu().as_subclass(Tensor)
    count = len(entry["boxes"]) if entry["boxes"].numel() else 0
    if count == 0 and masks.numel() == 0:
        return torch.zeros(0, 1, 1, dtype=torch.bool)
    if masks.dim() == 4 and masks.shape[1] == 1:
        masks = masks[:, 0]
    _check.shape(where, "masks", masks, (count, "H", "W"))
    if masks.is_floating_point():
        return masks >= 0.5
    if masks.dtype != torch.bool and masks.numel() and not 0 <= int(masks.min()) <= int(masks.max()) <= 1:
        raise _check.InputError(f"{where}: masks must be bool, or integers 0 and 1, got {masks.dtype}")
    return masks.bool()
