"""Read every item of data sets, and write down what each is, or why it cannot be used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from cvlab.data.checks import Names, check_target, class_name, label_fault, layout_fault
from cvlab.data.hashing import content_hash, dhash
from cvlab.data.report_scan import Findings, Picture


def scan_datasets(datasets: Mapping[str, Any], names: Names | None, limit: int | None) -> Findings:
    """Read the items of data sets; see `DataReport.from_datasets`."""
    found = Findings(splits=[str(split) for split in datasets])
    for split, dataset in datasets.items():
        count = len(dataset)
        indices = range(count) if limit is None or limit >= count else _spread(count, limit)
        if len(indices) < count:
            found.note("limit", str(split), f"was checked at {len(indices)} of its {count} items, evenly spread")
        for i in indices:
            where = f"{split}[{i}]"
            try:
                item = dataset[i]
            except Exception as error:  # the reader wants to know all of them, not the first
                found.problem("item", where, f"raises {_error(error)}")
                continue
            _item(str(split), where, item, names, found)
    return found


def _spread(count: int, limit: int) -> Sequence[int]:
    """Choose `limit` of `count` indices, evenly spread from the first on."""
    return [i * count // limit for i in range(limit)]


def _error(error: Exception) -> str:
    lines = str(error).splitlines()
    return f"{type(error).__name__}: {lines[0][:120]}" if lines else type(error).__name__


def _item(split: str, where: str, item: Any, names: Names | None, found: Findings) -> None:
    """Check one item of a data set into the findings."""
    if not isinstance(item, (tuple, list)) or len(item) != 2:
        return found.problem("item", where, f"is no pair (image, target): {type(item).__name__}")
    image, target = item
    try:
        pixels = _pixels(image)
        look = dhash(pixels if len(pixels) in (1, 3) else _mean(pixels))
    except (TypeError, ValueError) as error:
        return found.problem("image", where, f"has an image that cannot be used: {error}")
    low, high = float(pixels.min()), float(pixels.max())
    if pixels.is_floating_point() and not (low >= -1e-3 and high <= 1 + 1e-3):
        found.note("range", where, f"has values from {low:.3g} to {high:.3g}, outside of [0, 1]")
    size = (pixels.shape[1], pixels.shape[2])
    labels, sides = _target(where, target, size, names, found)
    found.pictures.append(Picture(split, where, size, content_hash(pixels), look, labels, sides))
    return None


def _pixels(image: Any) -> Tensor:
    """Turn a tensor (C, H, W), a Pillow image or an array (H, W[, C]) into a tensor (C, H, W)."""
    if isinstance(image, Image.Image):
        image = np.asarray(image if image.mode in ("L", "RGB") else image.convert("RGB"))
    if isinstance(image, np.ndarray):
        layers = image[..., None] if image.ndim == 2 else image
        return torch.from_numpy(np.moveaxis(layers, -1, 0).copy())
    if not isinstance(image, Tensor):
        raise TypeError(f"it is a {type(image).__name__}")
    return image.detach().cpu().as_subclass(Tensor)


def _mean(pixels: Tensor) -> Tensor:
    """Average the channels of an image that is neither grey nor in colour, (C, H, W) to (1, H, W) float32."""
    if pixels.dim() != 3 or pixels.numel() == 0:
        return pixels  # dhash tells what is wrong
    mean = pixels.float().mean(0, keepdim=True)
    return mean / 255 if pixels.dtype == torch.uint8 else mean


def _target(
    where: str, target: Any, size: tuple[int, int], names: Names | None, found: Findings
) -> tuple[tuple[str, ...], tuple[float, ...] | None]:
    """Check a target; give the names of its classes, and the sides of its boxes if it has boxes."""
    if isinstance(target, Mapping):
        found.problems.extend(check_target(target, size, names, where))
        boxes = target.get("boxes")
        if isinstance(boxes, Tensor) and boxes.numel() == 0:
            found.note("no objects", where, "shows no object")
        return _object_names(target.get("labels"), names), () if layout_fault(boxes) else _sides(boxes)
    label = _whole(target)
    if label is None:
        found.problem("target", where, f"has a target that is neither a dict nor a class number: {_type(target)}")
        return (), None
    fault = label_fault(label, names)
    if fault:
        found.problem("label", where, f"has the label {label}, {fault}")
        return (), None
    return (str(class_name(label, names)),), None


def _object_names(labels: Any, names: Names | None) -> tuple[str, ...]:
    """Name the classes of a detection target's objects, as far as they can be read, without those to ignore."""
    if not isinstance(labels, Tensor) or labels.dim() != 1 or labels.is_floating_point() or labels.is_complex():
        return ()
    return tuple(str(class_name(label, names) or label) for label in labels.tolist() if label != -1)


def _sides(boxes: Tensor) -> tuple[float, ...]:
    """Compute the square roots of the areas of those boxes (N, 4) that have one."""
    plain = boxes.detach().cpu().as_subclass(Tensor).double()
    width, height = (plain[:, 2:] - plain[:, :2]).unbind(1)
    sound = plain.isfinite().all(1) & (width > 0) & (height > 0)
    return tuple((width * height)[sound].sqrt().tolist())


def _whole(target: Any) -> int | None:
    """Read a class number: Python's or numpy's whole number, or a tensor of one."""
    if isinstance(target, (bool, np.bool_)):
        return None
    if isinstance(target, Tensor):
        whole = target.dim() == 0 and target.dtype != torch.bool and not target.is_floating_point()
        return int(target) if whole else None
    return int(target) if isinstance(target, (int, np.integer)) else None


def _type(target: Any) -> str:
    return f"a tensor {tuple(target.shape)} {target.dtype}" if isinstance(target, Tensor) else type(target).__name__
