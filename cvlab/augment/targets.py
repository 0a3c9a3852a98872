"""What comes with a picture: read it, check it, keep its rows together, and bring it through a geometric map.

A target is a dictionary, as torchvision's detection models take it. These entries are known:

- `boxes` (N, 4), `masks` (N, H, W) bool, `labels` (N,), `area` (N,), `visibility` (N,);
- `keypoints` (N, K, 2), with `keypoints_visible` (N, K) bool beside it; or (N, K, 3) whose last column is 0 for points
  that are not visible, as COCO and torchvision have it;
- `semantic` (H, W), `weights` (H, W), and any other `tv_tensors.Mask` of two dimensions: a label or a weight for each
  pixel of the picture.

Any other tensor or list with N rows belongs to the objects too (`iscrowd`, `scores`, names, ...); everything else
(`image_id`, `caption`, ...) is left alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torchvision import tv_tensors

from cvlab import _check
from cvlab.augment.warp import Warp
from cvlab.ops import box_area, box_convert, masks_to_boxes

Target = dict[str, Any]
PIXELS = ("semantic", "weights")  # one value for each pixel where they have two dimensions
WHOLE = ("semantic", "image_id", "caption", "size", "orig_size")  # never one row for each object


def key_points(points: Tensor, size: tuple[int, int]) -> Tensor:
    """Wrap points (..., 2) as `tv_tensors.KeyPoints` where torchvision has them, else leave them plain."""
    if hasattr(tv_tensors, "KeyPoints") and points.shape[-1] == 2:
        return tv_tensors.KeyPoints(points, canvas_size=size)
    return points


def plain(value: Tensor) -> Tensor:
    """Take a tensor out of its `tv_tensors` class, so that arithmetic on it has no side effects."""
    return value.as_subclass(Tensor)


def checked(target: Mapping[str, Any], size: tuple[int, int], op: str) -> Target:
    """Check a target against its picture and return a copy with plain tensors, boxes as float xyxy.

    Args:
        target: the dictionary.
        size: (height, width) of the picture.
        op: the caller's name, for messages.

    Raises:
        TypeError: if the target is no mapping or an entry no tensor.
        InputError: if an entry has another shape than it should, or a box x2 < x1 or NaN.
    """
    if not isinstance(target, Mapping):
        raise TypeError(f"{op}: target must be a dictionary, got {type(target).__name__}")
    found = dict(target)
    if "boxes" in found:
        found["boxes"] = _boxes(found["boxes"], op)
    if "masks" in found:
        _check.shape(op, "masks", found["masks"], ("N", *size))
        found["masks"] = plain(found["masks"]).bool()
    count = number_of_objects(found)
    for name in ("boxes", "masks", "labels", "area", "visibility", "keypoints", "keypoints_visible"):
        if name in found:
            _check.tensor(op, name, found[name])
            if len(found[name]) != count:
                raise _check.InputError(
                    f"{op}: {name} must have {count} rows, one for each object, got {len(found[name])}"
                )
    if "keypoints" in found:
        if found["keypoints"].dim() != 3 or found["keypoints"].shape[2] not in (2, 3):
            got = tuple(found["keypoints"].shape)
            raise _check.InputError(f"{op}: keypoints must have shape (N, K, 2) or (N, K, 3), got {got}")
        found["keypoints"] = plain(found["keypoints"])
    for name in label_maps(found):
        _check.shape(op, name, found[name], size)
    return found


def _boxes(boxes: Any, op: str) -> Tensor:
    _check.tensor(op, "boxes", boxes)
    form = getattr(boxes, "format", tv_tensors.BoundingBoxFormat.XYXY).name.lower()
    if form not in ("xyxy", "xywh", "cxcywh"):
        raise _check.InputError(f"{op}: boxes must be upright (XYXY, XYWH or CXCYWH), got {form.upper()}")
    values = plain(boxes)
    values = values if values.is_floating_point() else values.float()
    _check.boxes(op, "boxes", values, form, dims="N")
    return values if form == "xyxy" else box_convert(values, form, "xyxy")


def number_of_objects(target: Mapping[str, Any]) -> int:
    """Count the objects: the rows of boxes, masks, labels or key points, whichever there is; else 0."""
    for name in ("boxes", "masks", "labels", "keypoints"):
        value = target.get(name)
        if isinstance(value, Tensor) and value.dim() > 0:
            return len(value)
    return 0


def label_maps(target: Mapping[str, Any]) -> list[str]:
    """Name the entries that are label maps of the whole picture."""
    return [
        name
        for name, value in target.items()
        if isinstance(value, Tensor)
        and value.dim() == 2
        and (name in PIXELS or (name not in ("masks", "boxes") and isinstance(value, tv_tensors.Mask)))
    ]


def row_entries(target: Mapping[str, Any]) -> list[str]:
    """Name the entries that have one row for each object."""
    count = number_of_objects(target)
    whole = {*label_maps(target), *WHOLE}
    return [
        name
        for name, value in target.items()
        if name not in whole
        and (isinstance(value, (list, tuple)) or (isinstance(value, Tensor) and value.dim() > 0))
        and len(value) == count
    ]


def rows(target: Mapping[str, Any], keep: Tensor) -> Target:
    """Keep some objects: take these rows of every entry that has one row for each object.

    Args:
        target: the dictionary.
        keep: (N,) bool, or (M,) int64 indices.

    Returns:
        A new dictionary.
    """
    index = keep.nonzero().flatten() if keep.dtype == torch.bool else keep
    found = dict(target)
    for name in row_entries(target):
        value = target[name]
        if isinstance(value, Tensor):
            found[name] = value[index.to(value.device)]
        else:
            found[name] = type(value)(value[i] for i in index.tolist())
    return found


def warped(target: Target, warp: Warp, min_visibility: float, min_side: float) -> Target:
    """Bring a checked target through a map, and drop the objects of which too little is left.

    Args:
        target: as `checked` returns it.
        warp: the map.
        min_visibility: smallest share of an object that must still be in the picture, in [0, 1].
        min_side: shortest side of a box that is kept, pixels.

    Returns:
        A new dictionary. Boxes are clipped to the new picture; with masks they are the boxes of the moved masks. A
        `visibility` entry is multiplied by the share that is left, `area` is computed anew.

    Notes:
        The share is measured on the object's pixels where there are masks, else it is the area of the clipped box
        divided by that of the moved one.
    """
    found = dict(target)
    for name in label_maps(target):
        found[name] = tv_tensors.Mask(warp.masks(plain(target[name])))
    if "boxes" in target and "masks" not in target:
        found["boxes"], share = _clipped(warp.boxes(target["boxes"]), warp.new)
    else:
        share = shares(target, warp)
    if "masks" in target:
        found["masks"] = warp.masks(target["masks"])
        if "boxes" in target:
            found["boxes"] = tight_boxes(found["masks"]).to(target["boxes"].dtype)
    if "keypoints" in target:
        _move_points(found, warp)
    if "visibility" in target:
        found["visibility"] = target["visibility"] * share.to(target["visibility"])
    return _sized(found, kept(found, share, min_visibility, min_side))


def _sized(target: Target, keep: Tensor) -> Target:
    """Drop rows, and compute the areas of what is left."""
    found = rows(target, keep)
    if "area" in found:
        areas = found["masks"].sum((1, 2)) if "masks" in found else box_area(found["boxes"])
        found["area"] = areas.to(target["area"].dtype)
    return found


def shares(target: Target, warp: Warp) -> Tensor:
    """Measure the share of each object that is in the new picture, (N,) float32 in [0, 1]."""
    if "masks" in target:
        masks = target["masks"]
        return (masks & warp.covered()).flatten(1).sum(1) / masks.flatten(1).sum(1).clamp(min=1)
    if "boxes" in target:
        return _clipped(warp.boxes(target["boxes"]), warp.new)[1]
    return torch.ones(number_of_objects(target))


def _clipped(boxes: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Clip boxes (N, 4) to a picture of `size`, and measure which share of their areas is left, (N,) float32."""
    height, width = size
    left = boxes.clamp(min=0).minimum(boxes.new_tensor((width, height, width, height)))
    return left, (_areas(left) / _areas(boxes).clamp(min=1e-9)).float()


def _areas(boxes: Tensor) -> Tensor:
    sides = boxes[:, 2:] - boxes[:, :2]
    return sides[:, 0] * sides[:, 1]


def tight_boxes(masks: Tensor) -> Tensor:
    """Give the half-open boxes (N, 4) float32 of masks (N, H, W); an empty mask has the box (0, 0, 0, 0)."""
    return masks_to_boxes(masks, half_open=True)


def _move_points(found: Target, warp: Warp) -> None:
    """Move the key points; what leaves the picture is no longer visible."""
    points = found["keypoints"]
    moved = warp.points(points[..., :2].to(torch.float64 if points.dtype == torch.float64 else torch.float32))
    h, w = warp.new
    inside = ((moved >= 0) & (moved < torch.tensor([w, h]))).all(-1)  # (N, K)
    if points.shape[-1] == 3:
        moved = torch.cat([moved, (points[..., 2] * inside)[..., None].to(moved)], dim=-1)
    found["keypoints"] = moved.to(points.dtype) if points.is_floating_point() else moved
    if "keypoints_visible" in found:
        found["keypoints_visible"] = plain(found["keypoints_visible"]) & inside


def kept(target: Target, share: Tensor, min_visibility: float, min_side: float) -> Tensor:
    """Tell which objects stay, (N,) bool: enough of them is visible, no side is too short, the mask is not empty."""
    keep = share >= min_visibility
    if "boxes" in target:
        keep = keep & ((target["boxes"][:, 2:] - target["boxes"][:, :2]) >= min_side).all(1)
    if "masks" in target:
        keep = keep & target["masks"].flatten(1).byte().amax(1).bool()
    return keep


def wrapped(target: Target, size: tuple[int, int]) -> Target:
    """Give boxes, masks, label maps and key points their `tv_tensors` classes, for a picture of `size`."""
    found = dict(target)
    if "boxes" in found:
        found["boxes"] = tv_tensors.BoundingBoxes(found["boxes"], format="XYXY", canvas_size=size)
    for name in ("masks", *label_maps(target)):
        if name in found:
            found[name] = tv_tensors.Mask(found[name])
    if "keypoints" in found:
        found["keypoints"] = key_points(found["keypoints"], size)
    return found
