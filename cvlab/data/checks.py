"""Check one detection target against its image: boxes, masks and labels, each fault with its place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from cvlab.ops import masks_to_boxes

OUTSIDE = 0.1
"""How far a box may reach beyond the image, in pixels; that much is rounding."""

MASK_SLACK = 1.5
"""How far a box may be from its mask, in pixels, as `masks_to_boxes` may be one short, and polygons are rounded."""

Names = Mapping[int, str] | Sequence[str]


@dataclass(frozen=True)
class Problem:
    """What is wrong, or worth knowing, and where.

    Attributes:
        kind: A word or two, the same for all of a kind, such as "box" or "broken file".
        where: The places: file names, or items such as "train[12]" and "train[12] box 3".
        what: The rest of the sentence that begins with the places.
    """

    kind: str
    where: tuple[str, ...]
    what: str

    def __str__(self) -> str:
        shown = list(self.where) if len(self.where) <= 5 else [*self.where[:4], f"{len(self.where) - 4} more"]
        places = shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"
        return f"{places} {self.what}"


def class_name(label: int, names: Names | None) -> str | None:
    """Look up the name of a label; None where there is none, the number itself where there are no names."""
    if names is None:
        return str(label)
    if isinstance(names, Mapping):
        return names.get(label)
    return names[label] if 0 <= label < len(names) else None


def check_target(
    target: Mapping[str, Any], size: tuple[int, int], names: Names | None = None, where: str = "target"
) -> list[Problem]:
    """List the faults of a detection target.

    Args:
        target: "boxes" (N, 4) xyxy in pixels, "labels" (N,) whole numbers from 1, and where there are masks "masks"
            (N, H, W) bool or uint8. N = 0 is no fault.
        size: The image's (height, width), pixels.
        names: What the labels are called: a mapping, or a list whose entry 0 is the background. Labels without a name
            are faults then; -1, an object to ignore, needs none.
        where: What to call the target in the list.

    Returns:
        The faults, an empty list where there are none. They are these.

        - boxes that are missing, or of another layout or shape than (N, 4) xyxy, or that all lie in [0, 1];
        - a box that is not finite, has x2 <= x1 or y2 <= y1, or reaches more than 0.1 pixels out of the image;
        - labels that are missing, no whole numbers, or not one for each box;
        - a label that is 0 (the background), less than -1, or without a name;
        - masks of another type or size than the image's, or not one for each box;
        - a mask that is empty, or whose outermost pixels are more than 1.5 pixels away from its box.

    Example:
        >>> boxes = torch.tensor([[2.0, 3.0, 9.0, 8.0], [10.0, 4.0, 10.0, 9.0], [4.0, 4.0, 44.0, 9.0]])
        >>> target = {"boxes": boxes, "labels": torch.tensor([1, 2, 0])}
        >>> for fault in check_target(target, size=(30, 40)):
        ...     print(fault)
        target box 1 has x2 <= x1: [10, 4, 10, 9]
        target box 2 leaves the image of 30 x 40: [4, 4, 44, 9]
        target label 2 is 0, which is the background
    """
    boxes = target.get("boxes")
    wrong = layout_fault(boxes)
    if wrong:
        return [Problem("box", (where,), wrong)]
    plain = boxes.detach().cpu().as_subclass(Tensor).double()
    return [
        *_boxes(plain, size, where),
        *_labels(target.get("labels"), len(plain), names, where),
        *(_masks(target["masks"], plain, size, where) if "masks" in target else ()),
    ]


def layout_fault(boxes: Any) -> str:
    """Tell what keeps the boxes from being read at all."""
    if boxes is None:
        return "has no boxes"
    if not isinstance(boxes, Tensor) or boxes.is_complex() or boxes.dtype == torch.bool:
        kind = boxes.dtype if isinstance(boxes, Tensor) else type(boxes).__name__
        return f"has boxes that are no tensor of numbers: {kind}"
    if boxes.dim() != 2 or boxes.shape[1] != 4:
        return f"has boxes of shape {tuple(boxes.shape)} instead of (N, 4)"
    layout = getattr(getattr(boxes, "format", None), "value", "XYXY")  # of torchvision's BoundingBoxes
    return "" if layout == "XYXY" else f"has boxes in {layout.lower()} instead of xyxy"


def _boxes(boxes: Tensor, size: tuple[int, int], where: str) -> list[Problem]:
    """List the faults of boxes (N, 4) float64, at most one for each box."""
    height, width = size
    x1, y1, x2, y2 = boxes.unbind(1)
    if len(boxes) and bool(((boxes >= 0) & (boxes <= 1)).all()) and bool((boxes % 1 != 0).any()):
        return [Problem("box", (where,), "has all its boxes in [0, 1]: they are meant in pixels")]
    outside = (x1 < -OUTSIDE) | (y1 < -OUTSIDE) | (x2 > width + OUTSIDE) | (y2 > height + OUTSIDE)
    faults = {
        "is not finite": ~boxes.isfinite().all(1),
        "has x2 <= x1": x2 <= x1,
        "has y2 <= y1": y2 <= y1,
        f"leaves the image of {height} x {width}": outside,
    }
    bad = torch.stack(list(faults.values()), dim=1)  # (N, 4 faults)
    first = bad.int().argmax(1).tolist()
    return [
        Problem("box", (f"{where} box {i}",), f"{list(faults)[first[i]]}: {_numbers(boxes[i])}")
        for i in bad.any(1).nonzero().flatten().tolist()
    ]


def _labels(labels: Any, count: int, names: Names | None, where: str) -> list[Problem]:
    """List the faults of the labels of `count` boxes."""
    if labels is None:
        return [Problem("label", (where,), "has no labels")]
    if (
        not isinstance(labels, Tensor)
        or labels.is_floating_point()
        or labels.is_complex()
        or labels.dtype == torch.bool
    ):
        kind = labels.dtype if isinstance(labels, Tensor) else type(labels).__name__
        return [Problem("label", (where,), f"has labels that are no tensor of whole numbers: {kind}")]
    if tuple(labels.shape) != (count,):
        return [Problem("label", (where,), f"has labels of shape {tuple(labels.shape)} for {count} boxes")]
    found = []
    for i, label in enumerate(labels.tolist()):
        wrong = "which is the background" if label == 0 else label_fault(label, names, ignored=True)
        if wrong:
            found.append(Problem("label", (f"{where} label {i}",), f"is {label}, {wrong}"))
    return found


def label_fault(label: int, names: Names | None, ignored: bool = False) -> str:
    """Tell what is wrong with a label; -1 is right where `ignored` objects are allowed."""
    if label == -1 and ignored:
        return ""
    if label < 0:
        return "below 0"
    return "which has no name" if class_name(label, names) is None else ""


def _masks(masks: Any, boxes: Tensor, size: tuple[int, int], where: str) -> list[Problem]:
    """List the faults of the masks that belong to boxes (N, 4)."""
    if not isinstance(masks, Tensor) or masks.dtype not in (torch.bool, torch.uint8):
        kind = masks.dtype if isinstance(masks, Tensor) else type(masks).__name__
        return [Problem("mask", (where,), f"has masks that are no tensor of bool or uint8: {kind}")]
    if tuple(masks.shape) != (len(boxes), *size):
        shape = f"{tuple(masks.shape)} instead of {(len(boxes), *size)}"
        return [Problem("mask", (where,), f"has masks of shape {shape}")]
    plain = masks.detach().cpu().as_subclass(Tensor).bool()
    around = masks_to_boxes(plain, half_open=True).double()
    found = []
    for i, (box, real) in enumerate(zip(boxes, around, strict=True)):
        if not plain[i].any():
            found.append(Problem("mask", (f"{where} mask {i}",), "is empty"))
        elif box.isfinite().all() and float((box - real).abs().max()) > MASK_SLACK:
            what = f"covers {_numbers(real)}, its box is {_numbers(box)}"
            found.append(Problem("mask", (f"{where} mask {i}",), what))
    return found


def _numbers(box: Tensor) -> str:
    return "[" + ", ".join(f"{v:g}" for v in box.tolist()) + "]"
