"""What the weight of a class buys: label maps that were predicted with several weights of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cvlab import _check
from cvlab._check import InputError
from cvlab.interactive.figure import StaticFigure
from cvlab.interactive.grids import as_whole
from cvlab.interactive.label_maps import (
    IGNORED,
    as_labels,
    as_text,
    class_names,
    colours_of,
    short_enough,
    small_picture,
)

QUESTION = "What does a larger weight buy, and who pays for it?"
MOST_WEIGHTS = 16


def class_weights(
    image: Any,
    truth: Any,
    predictions: Sequence[Any],
    weights: Sequence[float],
    names: Sequence[str] | None = None,
    *,
    label: int = 1,
    start: int | None = None,
    question: str = QUESTION,
) -> StaticFigure:
    """Make a slider over predictions in which one class weighed more or less than the others.

    They may come from networks trained with several weights in the loss, or from one network to whose logits of the
    class the logarithms of the weights were added.

    Args:
        image: a (3, H, W) tensor, float in [0, 1] or uint8, or an (H, W, 3) array, of at most 512 pixels a side.
        truth: (H, W) whole numbers from 0, the background, to at most 15, or 255 where pixels do not count.
        predictions: for each weight the label map (H, W) that was predicted with it, 2 to 16 of them.
        weights: the class's weights, above 0 and ascending.
        names: the classes' names: `names[label]`, so the first one is the background's; at most 16.
        label: the class that was weighted, from 1; it must occur in the truth.
        start: the place in `weights` of the one at first; None for the one nearest to 1, all classes alike.
        question: what the figure asks its reader.

    Returns:
        The figure, for the last line of a notebook cell.

    Raises:
        InputError: for label maps of another size than the picture, labels out of range (the first such pixel is
            named), weights that do not ascend or are not one for each prediction, a class that the truth does not
            have, and label maps too large for a page.

    Notes:
        Precision, recall and IoU are counted over the pixels of the one picture.

    Example:
        >>> import torch
        >>> truth = torch.zeros(48, 64, dtype=torch.uint8)
        >>> truth[10:30, 20:50] = 1
        >>> wide, tight = torch.zeros_like(truth), torch.zeros_like(truth)
        >>> wide[6:34, 16:54], tight[14:26, 24:46] = 1, 1
        >>> class_weights(torch.zeros(3, 48, 64), truth, [tight, wide], [1.0, 10.0], names=["table", "apple"])
        <interactive figure: class_weights>
    """
    op = "class_weights"
    picture = small_picture(op, image)
    size = (picture["height"], picture["width"])
    words = class_names(op, names)
    true = as_labels(op, "truth", truth, len(words), size, ignored=True)
    chosen = as_whole(op, "label", label, 1, len(words) - 1)
    if not bool((true == chosen).any()):
        raise InputError(f"{op}: truth must have a pixel of label {chosen} ({words[chosen]})")
    numbers = _ascending(weights, predictions)
    nearest = min(range(len(numbers)), key=lambda i: abs(numbers[i] - 1))
    first = nearest if start is None else as_whole(op, "start", start, 0, len(numbers) - 1)
    maps = [as_labels(op, f"predictions[{i}]", one, len(words), size) for i, one in enumerate(predictions)]
    texts = [as_text(one.where(true != IGNORED, 0), true, len(words)) for one in maps]
    true_text = as_text(true)
    short_enough(op, [picture["src"], true_text, *texts])
    name = words[chosen]
    alt = (
        f"A picture under {len(numbers)} predicted label maps, for which the class {name} weighed {numbers[0]:g} to "
        f"{numbers[-1]:g} times as much as others. A slider goes through them; a chart shows precision against recall "
        f"of {name} and of {words[0]}."
    )
    return StaticFigure(
        op,
        alt,
        question=question,
        picture=picture,
        truth=true_text,
        maps=texts,
        weights=numbers,
        names=words,
        classes=colours_of(words),
        label=chosen,
        start=first,
    )


def _ascending(weights: Any, predictions: Any) -> list[float]:
    """Give the weights as numbers, after a check that they ascend and are one for each prediction."""
    op = "class_weights"
    _check.positive(op, "weights", weights)
    numbers = [float(weight) for weight in weights]
    for i, (low, high) in enumerate(zip(numbers, numbers[1:], strict=False)):
        if low >= high:
            raise InputError(f"{op}: weights must ascend, got {low:g} before {high:g} at {i + 1}")
    if not 2 <= len(numbers) <= MOST_WEIGHTS:
        raise InputError(f"{op}: weights must be 2 to {MOST_WEIGHTS}, got {len(numbers)}")
    if not hasattr(predictions, "__len__") or len(predictions) != len(numbers):
        got = len(predictions) if hasattr(predictions, "__len__") else type(predictions).__name__
        raise InputError(f"{op}: predictions must be one for each of {len(numbers)} weights, got {got}")
    return numbers
