"""Mosaic and copy-paste: build a busier picture from the parts of others.

Random numbers come from torch's global generator; see `cvlab.augment.seeded`.

References:
    Bochkovskiy, A., Wang, C.-Y. and Liao, H.-Y. (2020). YOLOv4: optimal speed and accuracy of object detection.
    Ghiasi, G. et al. (2021). Simple copy-paste is a strong data augmentation method for instance segmentation. CVPR.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import torch
from torch import Tensor
from torchvision import tv_tensors

from cvlab import _check
from cvlab.augment import affine, targets
from cvlab.augment.mixing import Item, hide, join, lay_maps, pair, read, written
from cvlab.augment.steps import ResizedCrop, uniform
from cvlab.augment.targets import Target
from cvlab.augment.warp import Warp


def mosaic(
    items: Sequence[Item],
    size: tuple[int, int],
    *,
    area: tuple[float, float] = (0.4, 1.0),
    centre: tuple[float, float] = (0.35, 0.65),
    min_visibility: float = 0.25,
) -> Item:
    """Put parts of four pictures into the four corners of a new one.

    Args:
        items: four pairs (image, target), images of one type, of any size.
        size: (height, width) of the result, pixels.
        area: smallest and largest share of each picture that is cut out, where its shape allows.
        centre: where the four may meet, (lowest, highest) share of width and height.
        min_visibility: an object is dropped when less than this share of it is left.

    Returns:
        (image, target).

    Raises:
        InputError: if there are not four items, or a number is out of range, or a target does not fit its image, or the
            items do not fit each other.

    Example:
        >>> from cvlab.data import StillLife
        >>> scenes = StillLife(size=64)
        >>> image, target = mosaic([scenes[i] for i in range(4)], (96, 96))
        >>> image.shape, bool((targets.tight_boxes(target["masks"]) == target["boxes"]).all())
        (torch.Size([3, 96, 96]), True)
    """
    if len(items) != 4:
        raise _check.InputError(f"mosaic: items must be four pairs (image, target), got {len(items)}")
    _check.positive("mosaic", "size", size, of="height, width")
    if min(size) < 2:
        raise _check.InputError(f"mosaic: size must be at least 2 pixels either way, got {size}")
    _check.fraction("mosaic", "min_visibility", min_visibility)
    if not 0 < centre[0] <= centre[1] < 1:
        raise _check.InputError(f"mosaic: centre must be (lowest, highest) within (0, 1), got {centre}")
    corners = _corners(size, centre)
    given = [read(item, f"mosaic: item {i}") for i, item in enumerate(items)]
    for i, (image, _) in enumerate(given):
        first = given[0][0]
        if (len(image), image.dtype) != (len(first), first.dtype):
            raise _check.InputError(
                f"mosaic: all images must have one number of channels and one type, got {len(first)} of {first.dtype} "
                f"and, in item {i}, {len(image)} of {image.dtype}"
            )
    laid = [_lay(item, corner, size, area, min_visibility) for item, corner in zip(given, corners, strict=True)]
    image = reduce(torch.add, [part for part, _ in laid])  # each part is 0 outside of its corner
    joined = reduce(join, [target for _, target in laid])
    for name in targets.label_maps(joined):
        joined[name] = tv_tensors.Mask(reduce(torch.add, [targets.plain(target[name]) for _, target in laid]))
    return written(image, joined)


def _corners(size: tuple[int, int], centre: tuple[float, float]) -> list[tuple[int, int, int, int]]:
    """Draw the point where the four pictures meet, and give their boxes x1, y1, x2, y2."""
    h, w = size
    x, y = (min(max(round(uniform(*centre) * side), 1), side - 1) for side in (w, h))
    return [(0, 0, x, y), (x, 0, w, y), (0, y, x, h), (x, y, w, h)]


def _lay(
    item: tuple[Tensor, Target],
    corner: tuple[int, int, int, int],
    size: tuple[int, int],
    area: tuple[float, float],
    min_visibility: float,
) -> tuple[Tensor, Target]:
    """Cut a random part out of a picture, and lay it into its corner of an empty canvas of `size`."""
    image, target = item
    x1, y1, x2, y2 = corner
    old, room = tuple(image.shape[1:]), (y2 - y1, x2 - x1)
    ratio = room[1] / room[0]
    matrix, _ = ResizedCrop(room, area, (ratio, ratio)).draw(old)
    cut, place = Warp(matrix, old, room), Warp(affine.translation(x1, y1), room, size)
    found = targets.warped(target, cut, min_visibility, 1.0)
    return place.image(cut.image(image), fill=0.0), targets.warped(found, place, 0.0, 0.0)


def copy_paste(
    first: Item, second: Item, *, objects: Sequence[int] | None = None, p: float = 0.5, min_visibility: float = 0.25
) -> Item:
    """Cut objects out of the second picture along their masks, and paste them over the first one.

    Args:
        first: (image, target) with masks.
        second: (image, target) with masks, the image of the same shape and type. Flip, scale or move it beforehand
            with `Geometric`, so that its objects land in other places.
        objects: the rows of the second target to paste; None takes each with probability `p`.
        p: see `objects`, in [0, 1].
        min_visibility: an object of the first picture is dropped when less than this share of it is left.

    Returns:
        (image, target), with the first picture's objects that are left, then the pasted ones.

    Raises:
        InputError: if the two do not fit each other, a target has no masks, or there is no such object.

    Notes:
        Edges are hard: the paper found no gain from blending them.
    """
    a, target_a, b, target_b = pair(first, second, "copy_paste")
    for name, target in (("first", target_a), ("second", target_b)):
        if "masks" not in target:
            raise _check.InputError(f"copy_paste: the {name} target must have masks")
    _check.fraction("copy_paste", "p", p)
    _check.fraction("copy_paste", "min_visibility", min_visibility)
    pasted = targets.rows(target_b, _chosen(objects, p, len(target_b["masks"])))
    over = pasted["masks"].any(0) if len(pasted["masks"]) else torch.zeros(a.shape[1:], dtype=torch.bool)
    joined = join(hide(target_a, over, min_visibility), pasted)
    lay_maps(joined, over, target_a, target_b)
    return written(torch.where(over, b, a), joined)


def _chosen(objects: Sequence[int] | None, p: float, count: int) -> Tensor:
    if objects is None:
        return (torch.rand(count) < p).nonzero().flatten()
    for i in objects:
        if not 0 <= i < count:
            raise _check.InputError(f"copy_paste: objects must be from 0 to {count - 1}, got {i}")
    return torch.as_tensor(list(objects), dtype=torch.int64)
