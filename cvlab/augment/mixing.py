"""Make one training picture of several: CutOut, MixUp and CutMix for pictures with objects.

For pictures with one label each, torchvision's `v2.MixUp` and `v2.CutMix` mix a batch and its labels. With boxes and
masks the objects must be carried along, hidden and dropped by what can still be seen; that is done here.

Random numbers come from torch's global generator; see `cvlab.augment.seeded`.

References:
    DeVries, T. and Taylor, G. (2017). Improved regularization of convolutional neural networks with Cutout.
    Zhang, H. et al. (2018). mixup: beyond empirical risk minimization. ICLR.
    Yun, S. et al. (2019). CutMix: regularization strategy to train strong classifiers with localizable features. ICCV.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torchvision import tv_tensors

from cvlab import _check
from cvlab.augment import targets
from cvlab.augment.geometric import as_image
from cvlab.augment.targets import Target
from cvlab.augment.warp import GREY

Item = tuple[Any, Target]


def rectangle(size: tuple[int, int], share: float) -> tuple[int, int, int, int]:
    """Draw a rectangle of the picture's shape around a random point, clipped at the edges: x1, y1, x2, y2.

    Args:
        size: (height, width) of the picture.
        share: of the picture's area, before clipping, in [0, 1].
    """
    h, w = size
    half_h, half_w = h * math.sqrt(share) / 2, w * math.sqrt(share) / 2
    y, x = torch.rand(()).item() * h, torch.rand(()).item() * w
    low, high = (max(0, round(x - half_w)), max(0, round(y - half_h))), (round(x + half_w), round(y + half_h))
    return low[0], low[1], min(w, high[0]), min(h, high[1])


def region(size: tuple[int, int], box: Sequence[int]) -> Tensor:
    """Give the pixels of a box x1, y1, x2, y2 as a mask (H, W) bool."""
    inside = torch.zeros(size, dtype=torch.bool)
    inside[box[1] : box[3], box[0] : box[2]] = True
    return inside


def hide(target: Target, hidden: Tensor, min_visibility: float, min_side: float = 1.0) -> Target:
    """Take what is hidden out of a target, and drop the objects of which too little is left.

    Args:
        target: as `targets.checked` returns it.
        hidden: (H, W) bool, the pixels that can no longer be seen.
        min_visibility: smallest share of an object that must be left, in [0, 1].
        min_side: shortest side of a box that is kept, pixels.

    Returns:
        A new target, with masks without the hidden pixels, and the boxes around what is left. Without masks a
        box is taken
        for a filled rectangle, which becomes shorter where a whole side is hidden.
    """
    found = dict(target)
    _hide_points(found, hidden)
    if "boxes" not in target and "masks" not in target:
        return found
    whole = target["masks"] if "masks" in target else _filled(target["boxes"], hidden.shape)
    left = whole & ~hidden
    share = left.flatten(1).sum(1) / whole.flatten(1).sum(1).clamp(min=1)
    if "masks" in target:
        found["masks"] = left
    if "boxes" in target:
        found["boxes"] = _shrunk(target["boxes"], left, share)
    if "visibility" in target:
        found["visibility"] = target["visibility"] * share.to(target["visibility"])
    return targets._sized(found, targets.kept(found, share, min_visibility, min_side))


def _filled(boxes: Tensor, size: Sequence[int]) -> Tensor:
    """Give boxes (N, 4) as masks (N, H, W) of the pixels whose centres they hold."""
    y, x = torch.arange(size[0]) + 0.5, torch.arange(size[1]) + 0.5
    x1, y1, x2, y2 = (side[:, None] for side in boxes.unbind(1))
    return ((y >= y1) & (y < y2))[:, :, None] & ((x >= x1) & (x < x2))[:, None, :]  # (N, H, W)


def _shrunk(boxes: Tensor, left: Tensor, share: Tensor) -> Tensor:
    """Shrink boxes to what is left of their objects; those of which nothing is hidden stay exactly as they are."""
    tight = targets.tight_boxes(left).to(boxes)
    inner = torch.cat([torch.maximum(boxes[:, :2], tight[:, :2]), torch.minimum(boxes[:, 2:], tight[:, 2:])], dim=1)
    inner[:, 2:] = torch.maximum(inner[:, 2:], inner[:, :2])
    return torch.where((share < 1)[:, None], inner, boxes)


def _hide_points(found: Target, hidden: Tensor) -> None:
    if "keypoints" not in found:
        return
    h, w = hidden.shape
    x, y = found["keypoints"][..., 0].floor().long(), found["keypoints"][..., 1].floor().long()
    inside = (x >= 0) & (x < w) & (y >= 0) & (y < h)
    seen = ~(inside & hidden[y.clamp(0, h - 1), x.clamp(0, w - 1)])  # (N, K)
    if "keypoints_visible" in found:
        found["keypoints_visible"] = targets.plain(found["keypoints_visible"]) & seen
    if found["keypoints"].shape[-1] == 3:
        found["keypoints"] = found["keypoints"].clone()
        found["keypoints"][..., 2] *= seen


def join(first: Target, second: Target) -> Target:
    """Put the objects of two targets of one picture into one; entries of the whole picture are the first one's.

    Raises:
        InputError: if only one of the two has an entry with rows for objects, such as masks, or a label map.
    """
    found = dict(first)
    entries = [targets.row_entries(t) for t in (first, second)]
    maps = [targets.label_maps(t) for t in (first, second)]
    for name in ("boxes", "masks", *entries[0], *entries[1], *maps[0], *maps[1]):  # name the chief ones first
        if (name in first) != (name in second):
            raise _check.InputError(f"join: both targets must have {name!r}, or none")
    for name in entries[0]:
        if name in entries[1]:
            value, other = first[name], second[name]
            both = isinstance(value, Tensor)
            found[name] = torch.cat([targets.plain(value), targets.plain(other)]) if both else [*value, *other]
    return found


def lay_maps(joined: Target, over: Tensor, first: Target, second: Target) -> None:
    """Give a joined target the label maps of the second where `over` (H, W) bool is True, else those of the first."""
    for name in targets.label_maps(first):
        joined[name] = tv_tensors.Mask(torch.where(over, targets.plain(second[name]), targets.plain(first[name])))


def read(item: Item, op: str) -> tuple[Tensor, Target]:
    """Check an item (image, target) and take it apart."""
    image, target = item
    picture = as_image(image, op)
    return picture, targets.checked(target, tuple(picture.shape[1:]), op)


def pair(first: Item, second: Item, op: str) -> tuple[Tensor, Target, Tensor, Target]:
    """Check two items whose pictures must have one shape and type."""
    (a, target_a), (b, target_b) = read(first, op), read(second, op)
    if a.shape != b.shape or a.dtype != b.dtype:
        raise _check.InputError(
            f"{op}: both images must have one shape and type, got {tuple(a.shape)} {a.dtype} "
            f"and {tuple(b.shape)} {b.dtype}"
        )
    return a, target_a, b, target_b


def written(image: Tensor, target: Target) -> Item:
    """Wrap a picture and its target in their `tv_tensors` classes."""
    return tv_tensors.Image(image), targets.wrapped(target, tuple(image.shape[1:]))


def cutout(
    image: Any, target: Any = None, *, share: float = 0.1, fill: float = GREY, min_visibility: float = 0.25
) -> Any:
    """Cover a random rectangle of the picture, so that the network cannot rely on one detail.

    Args:
        image: (C, H, W), float in [0, 1] or uint8.
        target: its target, a label or None. A dictionary with boxes or masks loses what is covered.
        share: of the picture's area that is covered, before clipping at the edges, in [0, 1].
        fill: the value of the covered pixels, in [0, 1].
        min_visibility: an object is dropped when less than this share of it is left.

    Returns:
        The new image, or (image, target) where a target was given.

    Raises:
        InputError: if a number is out of [0, 1], or the target does not fit the image.
    """
    picture = as_image(image, "cutout")
    for name, value in (("share", share), ("fill", fill), ("min_visibility", min_visibility)):
        _check.fraction("cutout", name, value)
    size = tuple(picture.shape[1:])
    hidden = region(size, rectangle(size, share))
    whole = picture.dtype == torch.uint8
    covered = torch.where(hidden, torch.tensor(round(fill * 255) if whole else fill, dtype=picture.dtype), picture)
    if target is None:
        return tv_tensors.Image(covered)
    if not isinstance(target, Mapping):
        return tv_tensors.Image(covered), target
    return written(covered, hide(targets.checked(target, size, "cutout"), hidden, min_visibility))


def mixup(first: Item, second: Item, *, ratio: float | None = None, alpha: float = 8.0) -> Item:
    """Blend two pictures with objects; both keep all their objects, each with the weight of its picture.

    Args:
        first: (image, target).
        second: (image, target), the image of the same shape and type.
        ratio: the share of the first picture, in [0, 1]; None draws it from Beta(alpha, alpha).
        alpha: above 0; large values draw ratios near one half, where both pictures' objects can be seen.

    Returns:
        (image, target). `target["weights"]` (N,) float32 holds each object's share, for the loss; label maps are those
        of the picture with the larger share.

    Raises:
        InputError: if the two do not fit each other, or a number is out of range.
    """
    a, target_a, b, target_b = pair(first, second, "mixup")
    _check.positive("mixup", "alpha", [alpha])
    ratio = float(torch.distributions.Beta(alpha, alpha).sample()) if ratio is None else ratio
    _check.fraction("mixup", "ratio", ratio)
    mixed = ratio * a.float() + (1 - ratio) * b.float()
    mixed = mixed.round().to(a.dtype) if a.dtype == torch.uint8 else mixed.to(a.dtype)
    for target, share in ((target_a, ratio), (target_b, 1 - ratio)):
        before = target.get("weights", torch.ones(targets.number_of_objects(target)))
        target["weights"] = before * share
    joined = join(target_a, target_b)
    if ratio < 0.5:
        joined |= {name: target_b[name] for name in targets.label_maps(target_b)}
    return written(mixed, joined)


def cutmix(first: Item, second: Item, *, share: float | None = None, min_visibility: float = 0.25) -> Item:
    """Lay a rectangle of the second picture over the first, with the objects in it.

    Args:
        first: (image, target).
        second: (image, target), the image of the same shape and type.
        share: of the area that the rectangle takes before it is clipped at the edges, in [0, 1]; None draws it evenly.
        min_visibility: an object of either picture is dropped when less than this share of it is left.

    Returns:
        (image, target).

    Raises:
        InputError: if the two do not fit each other, or a number is out of [0, 1].
    """
    a, target_a, b, target_b = pair(first, second, "cutmix")
    share = torch.rand(()).item() if share is None else share
    _check.fraction("cutmix", "share", share)
    _check.fraction("cutmix", "min_visibility", min_visibility)
    inside = region(tuple(a.shape[1:]), rectangle(tuple(a.shape[1:]), share))
    joined = join(hide(target_a, inside, min_visibility), hide(target_b, ~inside, min_visibility))
    lay_maps(joined, inside, target_a, target_b)
    return written(torch.where(inside, b, a), joined)
