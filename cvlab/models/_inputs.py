"""What every detector does with its input: check images and targets, and bring images to one size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from cvlab import _check
from cvlab.preprocess import ResizeMap


def check_images(op: str, images: Sequence[Tensor]) -> None:
    """Refuse what is not a list of images (3, H, W), uint8 or float, with at least one pixel."""
    if isinstance(images, Tensor) and images.dim() != 4:
        raise _check.InputError(f"{op}: images must be a list of (3, H, W), got one tensor {tuple(images.shape)}")
    if len(images) == 0:
        raise _check.InputError(f"{op}: there must be one image or more, got none")
    for i, image in enumerate(images):
        _check.tensor(op, f"image {i}", image)
        if image.dim() != 3 or image.shape[0] != 3 or image.numel() == 0:
            raise _check.InputError(
                f"{op}: image {i} must have shape (3, H, W), H and W at least 1, got {tuple(image.shape)}"
            )
        if image.dtype != torch.uint8 and not image.is_floating_point():
            raise _check.InputError(f"{op}: image {i} must be uint8, or float in [0, 1], got {image.dtype}")


def plain_targets(
    op: str, targets: Sequence[dict[str, Any]] | None, images: Sequence[Tensor], num_classes: int
) -> list[dict[str, Tensor]]:
    """Give boxes and labels of each image as plain tensors, or say what is wrong with which of them.

    Args:
        op: the model, for the message.
        targets: for each image `boxes` (G, 4) and `labels` (G,), from 1 to num_classes - 1.
        images: the images.
        num_classes: with the background.

    Raises:
        InputError: naming the target and the box.
    """
    if targets is None or len(targets) != len(images):
        got = "none" if targets is None else f"{len(targets)}"
        raise _check.InputError(f"{op}: training needs a target for each of {len(images)} images, got {got}")
    return [_plain(op, i, target, num_classes) for i, target in enumerate(targets)]


def _plain(op: str, i: int, target: dict[str, Any], num_classes: int) -> dict[str, Tensor]:
    where = f"{op}: target {i}"
    for name in ("boxes", "labels"):
        if name not in target:
            raise _check.InputError(f"{where} must have {name!r}, got {sorted(target)}")
        _check.tensor(where, name, target[name])
    boxes, labels = (target[name].as_subclass(Tensor) for name in ("boxes", "labels"))
    if boxes.numel() == labels.numel() == 0:  # an image without objects, whatever the tensors' shapes and types
        return {"boxes": boxes.new_zeros(0, 4, dtype=torch.float32), "labels": labels.new_zeros(0, dtype=torch.int64)}
    _check.shape(where, "boxes", boxes, ("G", 4))
    _check.integer(where, "labels", labels)
    _check.length(where, "labels", labels, len(boxes), "box")
    _check.boxes(where, "box ", boxes, strict=True)
    if int(labels.min()) < 1 or int(labels.max()) >= num_classes:
        j = int(((labels < 1) | (labels >= num_classes)).nonzero()[0])
        raise _check.InputError(
            f"{where}: label {j} must lie from 1 to {num_classes - 1} (0 is the background), got {int(labels[j])}"
        )
    return {"boxes": boxes.float(), "labels": labels.long()}


def batch_images(images: Sequence[Tensor], maps: Sequence[ResizeMap], antialias: bool = True) -> Tensor:
    """Bring images to one size and stack them: (B, 3, H, W) float32 in [0, 1], or what floats they are."""
    plain = [image.as_subclass(Tensor) for image in images]
    resized = [
        image if tuple(image.shape[1:]) == plan.size else plan.image(image, antialias=antialias)
        for image, plan in zip(plain, maps, strict=True)
    ]
    if any(image.dtype != resized[0].dtype for image in resized):
        resized = [image.float() / 255 if image.dtype == torch.uint8 else image.float() for image in resized]
    batch = torch.stack(resized)
    return batch.float().div_(255) if batch.dtype == torch.uint8 else batch


def plain_masks(
    op: str, plain: list[dict[str, Tensor]], targets: Sequence[dict[str, Any]] | None, images: Sequence[Tensor]
) -> list[dict[str, Tensor]]:
    """Add to checked targets their masks (G, H, W) bool, or say what is wrong with which of them."""
    for i, (own, target, image) in enumerate(zip(plain, targets or [], images, strict=True)):
        where = f"{op}: target {i}"
        if "masks" not in target:
            raise _check.InputError(f"{where} must have 'masks', got {sorted(target)}")
        _check.tensor(where, "masks", target["masks"])
        masks = target["masks"].as_subclass(Tensor)
        height, width = image.shape[1:]
        if len(own["boxes"]) == 0 and masks.numel() == 0:
            masks = masks.new_zeros(0, height, width)
        _check.shape(where, "masks", masks, (len(own["boxes"]), height, width))
        if masks.is_floating_point() or (masks.dtype != torch.bool and masks.numel() and int(masks.max()) > 1):
            raise _check.InputError(f"{where}: masks must be bool, or integers 0 and 1, got {masks.dtype}")
        own["masks"] = masks.bool()
    return plain


def keypoint_names(op: str, keypoints: int | Sequence[str]) -> tuple[str, ...]:
    """Give the names of key points, of which there may be given only the number."""
    if isinstance(keypoints, str) or (isinstance(keypoints, int) and keypoints < 0):
        raise _check.InputError(f"{op}: keypoints must be names, or a number of at least 0, got {keypoints!r}")
    return tuple(str(name) for name in (range(keypoints) if isinstance(keypoints, int) else keypoints))


def plain_keypoints(op: str, i: int, target: dict[str, Any], count: int, names: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Give a target's key points (G, n, 2), 0 where they do not count, and which count (G, n); or say what is wrong."""
    where = f"{op}: target {i}"
    if "keypoints" not in target:
        raise _check.InputError(f"{where} must have 'keypoints', got {sorted(target)}")
    _check.tensor(where, "keypoints", target["keypoints"])
    points = target["keypoints"].as_subclass(Tensor)
    if count == 0:
        return points.new_zeros(0, len(names), 2, dtype=torch.float32), points.new_zeros(0, len(names)).bool()
    if points.shape[-1] == 3:
        points, visible = points[..., :2], points[..., 2] > 0
    elif "keypoints_visible" in target:
        _check.tensor(where, "keypoints_visible", target["keypoints_visible"])
        visible = target["keypoints_visible"].as_subclass(Tensor).bool()
    else:
        raise _check.InputError(f"{where} must have 'keypoints_visible', got {sorted(target)}")
    _check.numeric(where, "keypoints", points)
    if points.shape != (count, len(names), 2) or visible.shape != (count, len(names)):
        raise _check.InputError(
            f"{where}: keypoints must have shape ({count}, {len(names)}, 2), for {', '.join(names)}, and "
            f"keypoints_visible ({count}, {len(names)}), got {tuple(points.shape)} and {tuple(visible.shape)}"
        )
    points = torch.where(visible[..., None], points, 0.0)
    _check.finite(where, "keypoints", points)
    return points, visible
