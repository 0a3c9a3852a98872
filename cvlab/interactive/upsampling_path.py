"""A segmentation network's way back up: the scores of the classes at each resolution, coarse to fine."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from cvlab import _check
from cvlab._check import InputError
from cvlab.interactive.figure import StaticFigure
from cvlab.interactive.grids import as_whole
from cvlab.interactive.label_maps import as_labels, as_text, class_names, colours_of, short_enough, small_picture
from cvlab.interactive.state import as_tensor

QUESTION = "At which step does the network know what is there, and at which one where it ends?"
MOST_STEPS, MOST_KEPT = 12, 8


def upsampling_path(
    image: Any,
    scores: Sequence[tuple[str, Any]],
    names: Sequence[str] | None = None,
    *,
    truth: Any = None,
    logits: bool = True,
    label: int | None = None,
    start: int = 0,
    question: str = QUESTION,
) -> StaticFigure:
    """Make a view of a network's way from its coarsest map to the picture's pixels, step by step.

    Each step shows the class with the largest score in every cell, over the picture, and the probability of one class
    as a heat map.

    Args:
        image: a (3, H, W) tensor, float in [0, 1] or uint8, or an (H, W, 3) array; its sides are best multiples of the
            coarsest map's stride, because the cells of a step share the picture equally.
        scores: 2 to 12 steps, each a title and the scores (K, h, w) of the K classes in its cells, not more than the
            picture has pixels.
        names: the K names: `names[label]`, so the first one is the background's; at most 16.
        truth: (H, W) the true labels, 255 where pixels do not count; with it the mean IoU of each step is shown.
        logits: whether the scores are logits, of which the softmax is shown; else they are probabilities in [0, 1].
        label: the class of the heat map at first; None for the one, but the background, that the last step has most of.
        start: the step at first, from 0.
        question: what the figure asks its reader.

    Returns:
        The figure, for the last line of a notebook cell.

    Raises:
        InputError: for scores of another shape, NaN, probabilities out of range, labels out of range, steps or a class
            that do not exist, and scores too large for a page.

    Notes:
        At most 8 classes are kept, those that the steps have most of; the others are shown as one sum. Probabilities go
        into the page as the middle of one of 256 equal steps, so they are off by 1 / 512 at most. The class of each
        cell is exact. A step's mean IoU is of its cells enlarged to the picture, over the classes that occur in the
        truth or in the step.

    Example:
        >>> import torch
        >>> coarse = torch.zeros(2, 2, 3)
        >>> coarse[1, 0, 1] = 2.0
        >>> fine = torch.nn.functional.interpolate(coarse[None], scale_factor=32, mode="bilinear")[0]
        >>> upsampling_path(torch.zeros(3, 64, 96), [("coarse", coarse), ("enlarged", fine)], ["table", "apple"])
        <interactive figure: upsampling_path>
    """
    op = "upsampling_path"
    picture = small_picture(op, image)
    size = (picture["height"], picture["width"])
    words = class_names(op, names) if names is not None else None
    steps = _steps(scores, size, None if words is None else len(words), logits)
    words = class_names(op, words)[: len(steps[0][1])]
    maps = [probabilities.argmax(0) for _, probabilities in steps]
    kept, chosen = _kept(maps, len(words), label)
    true = None if truth is None else as_labels(op, "truth", truth, len(words), size, ignored=True)
    texts = [as_text(one) for one in maps]
    sources = [_png(probabilities[kept]) for _, probabilities in steps]
    true_text = None if true is None else as_text(true)
    short_enough(op, [picture["src"], *texts, *sources, true_text or ""])
    alt = (
        f"{len(steps)} steps of a network's way up, from {_size(maps[0])} to {_size(maps[-1])} cells. Each shows the "
        "class with the largest score in every cell over the picture, and the probability of one class as a heat map; "
        "a slider goes through them, and the numbers of a chosen cell are shown."
    )
    return StaticFigure(
        op,
        alt,
        question=question,
        picture=picture,
        steps=[
            {"title": title, "rows": one.shape[0], "columns": one.shape[1], "labels": text, "src": source}
            for (title, _), one, text, source in zip(steps, maps, texts, sources, strict=True)
        ],
        names=words,
        classes=colours_of(words),
        kept=kept,
        label=chosen,
        truth=true_text,
        start=as_whole(op, "start", start, 0, len(steps) - 1),
    )


def _steps(scores: Any, size: tuple[int, int], classes: int | None, logits: bool) -> list[tuple[str, Tensor]]:
    """Give each step's title and probabilities (K, h, w), after checks."""
    op = "upsampling_path"
    if isinstance(scores, (str, Tensor)) or not hasattr(scores, "__len__") or not 2 <= len(scores) <= MOST_STEPS:
        got = len(scores) if hasattr(scores, "__len__") else type(scores).__name__
        raise InputError(f"{op}: scores must be 2 to {MOST_STEPS} pairs (title, scores), got {got}")
    steps = []
    for i, pair in enumerate(scores):
        if not isinstance(pair, (tuple, list)) or len(pair) != 2 or not isinstance(pair[0], str):
            raise InputError(f"{op}: scores[{i}] must be a pair (title, scores), got {type(pair).__name__}")
        numbers = as_tensor(op, f"scores[{i}]", pair[1])
        _check.shape(op, f"scores[{i}]", numbers, ("K" if classes is None else classes, "h", "w"))
        classes = len(numbers)
        if not (2 <= classes <= 16 and all(1 <= a <= b for a, b in zip(numbers.shape[1:], size, strict=True))):
            raise InputError(
                f"{op}: scores[{i}] must be of 2 to 16 classes in 1 to {size[0]} x {size[1]} cells, got "
                f"{tuple(numbers.shape)}"
            )
        if not logits:
            _check.fractions(op, f"scores[{i}]", numbers)
        steps.append((pair[0], numbers.softmax(0) if logits else numbers))
    return steps


def _kept(maps: list[Tensor], classes: int, label: int | None) -> tuple[list[int], int]:
    """Choose the classes that are shown one by one, ascending, and the one of the heat map."""
    shares = [[float((one == c).double().mean()) for c in range(classes)] for one in maps]
    last = shares[-1]
    if label is None:
        chosen = max(range(1, classes), key=lambda c: (last[c], sum(share[c] for share in shares)))
    else:
        chosen = as_whole("upsampling_path", "label", label, 0, classes - 1)
    totals = {c: sum(share[c] for share in shares) for c in range(classes)}
    order = sorted(range(classes), key=lambda c: (c not in (0, chosen), -totals[c]))
    return sorted(c for c in order[:MOST_KEPT] if totals[c] > 0 or c in (0, chosen)), chosen


def _size(labels: Tensor) -> str:
    return f"{labels.shape[0]} by {labels.shape[1]}"


def _png(probabilities: Tensor) -> str:
    """Write probabilities (K, h, w) as one grey picture, class below class: each the number of its step of 256."""
    grey = (256 * probabilities).floor().clamp(0, 255).flatten(0, 1).numpy().astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(grey).save(file, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
