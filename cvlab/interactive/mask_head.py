"""The small masks of a mask head, pasted into their boxes and cut at a threshold."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from itertools import groupby
from typing import Any

import torch
from torch import Tensor

from cvlab import _check
from cvlab._check import InputError
from cvlab.interactive.figure import StaticFigure
from cvlab.interactive.state import as_boxes, as_names, as_picture, as_tensor
from cvlab.ops import mask_iou, paste_masks

QUESTION = "At which threshold does the mask fit best, and what can no threshold mend?"
MOST_MASKS, MOST_CELLS, LARGEST = 12, 56, 1024
LOWEST, HIGHEST = 0.05, 0.95


def mask_head(
    image: Any,
    boxes: Any,
    masks28: Any,
    truth_masks: Any = None,
    names: Sequence[str] | None = None,
    *,
    threshold: float = 0.5,
    rounded: bool = False,
    question: str = QUESTION,
) -> StaticFigure:
    """Make a view of a mask head's masks: their cells, and the pixels they become in the picture at a threshold.

    Args:
        image: a (3, H, W) tensor, float in [0, 1] or uint8, or an (H, W, 3) array; at most 1024 pixels a side.
        boxes: (N, 4) the detections' boxes, xyxy in pixels of the image; 1 to 12 of them.
        masks28: (N, M, M) or (N, 1, M, M) each one's probabilities in [0, 1] as the mask head gives them, before they
            are pasted; M is mostly 28, and at most 56.
        truth_masks: (G, H, W) bool, the objects' masks; each detection is compared with the one it overlaps most.
        names: the detections' N names.
        threshold: from this probability on a pixel belongs to the mask at first, in [0.05, 0.95].
        rounded: whether boxes are brought to whole pixels at first, as in `cvlab.ops.paste_masks`. Readers may switch.
        question: what the figure asks its reader.

    Returns:
        The figure, for the last line of a notebook cell.

    Raises:
        InputError: for boxes or masks of another shape or number, NaN, x2 < x1, an image too large, and probabilities
            or a threshold out of range.

    Notes:
        Pasted as `cvlab.ops.paste_masks` does. Probabilities go into the page as the middle of one of 256 equal steps,
        so they are off by 1 / 512 at most.

    Example:
        >>> import torch
        >>> disc = (torch.linspace(-1, 1, 28)[:, None].square() + torch.linspace(-1, 1, 28).square() < 0.8).float()
        >>> mask_head(torch.zeros(3, 64, 64), [[8, 8, 40, 56]], disc[None], names=["pear"])
        <interactive figure: mask_head>
    """
    op = "mask_head"
    picture = as_picture(op, image)
    height, width = picture["height"], picture["width"]
    if max(height, width) > LARGEST:
        raise InputError(f"{op}: image must have at most {LARGEST} pixels a side, got {height} x {width}")
    corners = [[round(side, 2) for side in box] for box in as_boxes(op, "boxes", boxes)]
    if not 1 <= len(corners) <= MOST_MASKS:
        raise InputError(f"{op}: boxes must be 1 to {MOST_MASKS}, got {len(corners)}")
    _check.number(op, "threshold", threshold)
    if not LOWEST <= threshold <= HIGHEST:
        raise InputError(f"{op}: threshold must lie in [{LOWEST}, {HIGHEST}], got {threshold!r}")
    steps = _steps(masks28, len(corners))
    truths, best = _truths(truth_masks, steps, corners, (height, width), rounded)
    alt = (
        f"The masks of {len(corners)} detections, {steps.shape[1]} by {steps.shape[1]} probabilities each. The chosen "
        "one is shown as a grid and pasted into its box in the picture; a slider moves the threshold that makes a mask "
        "of it" + (", and its IoU with the object's true mask is shown." if truths else ".")
    )
    return StaticFigure(
        op,
        alt,
        question=question,
        picture=picture,
        boxes=corners,
        cells=steps.shape[1],
        masks=[base64.b64encode(bytes(mask.flatten().tolist())).decode() for mask in steps],
        names=_distinct(as_names(op, "names", names, len(corners), "detection")[: len(corners)]),
        truths=truths,
        truth=best,
        threshold=float(threshold),
        rounded=bool(rounded),
    )


def _steps(masks: Any, count: int) -> Tensor:
    """Give each probability as the number of its step, (N, M, M) whole numbers from 0 to 255."""
    numbers = as_tensor("mask_head", "masks28", masks)
    small = numbers[:, 0] if numbers.dim() == 4 and numbers.shape[1] == 1 else numbers
    _check.shape("mask_head", "masks28", small, (count, "M", "M"))
    if small.shape[1] != small.shape[2] or not 1 <= small.shape[1] <= MOST_CELLS:
        got = tuple(small.shape[1:])
        raise InputError(f"mask_head: masks28 must be squares of 1 to {MOST_CELLS} cells a side, got {got}")
    _check.fractions("mask_head", "masks28", small)
    return (256 * small).floor().clamp(0, 255).int()


def _truths(
    masks: Any, steps: Tensor, boxes: list[list[float]], size: tuple[int, int], rounded: bool
) -> tuple[list[list[int]], list[int | None]]:
    """Give the true masks as lengths of runs, and of each detection which of them it overlaps most."""
    if masks is None:
        return [], [None] * len(boxes)
    truths = as_tensor("mask_head", "truth_masks", masks)
    _check.shape("mask_head", "truth_masks", truths, ("G", *size))
    if bool(((truths != 0) & (truths != 1)).any()):
        raise InputError("mask_head: truth_masks must be bool, or zeros and ones")
    if len(truths) == 0:
        return [], [None] * len(boxes)
    corners = torch.tensor(boxes, dtype=torch.float64)
    pasted = paste_masks((steps.double() + 0.5) / 256, corners, size, rounded=rounded) >= 0.5
    overlap, which = mask_iou(pasted, truths.bool()).max(1)
    best = [int(t) if o > 0 else None for o, t in zip(overlap.tolist(), which.tolist(), strict=True)]
    return [_runs(truth) for truth in truths.bool()], best


def _distinct(names: list[str]) -> list[str]:
    """Number names that occur more than once."""
    return [f"{name} {names[: i + 1].count(name)}" if names.count(name) > 1 else name for i, name in enumerate(names)]


def _runs(mask: Tensor) -> list[int]:
    """Give the lengths of runs of equal pixels, row by row, that of zeros first."""
    runs = [(value, len(list(run))) for value, run in groupby(mask.flatten().tolist())]
    return [0] * (runs[0][0] is True) + [length for _, length in runs]
