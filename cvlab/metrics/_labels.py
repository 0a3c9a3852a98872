"""Read label maps: take plain tensors out of what is given, and name the first label that is out of range."""

from __future__ import annotations

from numbers import Integral

import torch
from torch import Tensor

from cvlab import _check

MOST_CLASSES = 2**15
"""So many classes at most: pairs of them, numbered, fit 32 bits, and their table 8 GiB."""

_INTEGERS = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


def label_map(op: str, name: str, labels: Tensor) -> Tensor:
    """Give a label map as a plain tensor of integers, and refuse what is none.

    Args:
        op: The caller's name, for messages.
        name: The argument's name, for messages.
        labels: Integers or bool, of any shape.

    Returns:
        The same numbers, on the same device; a copy only where torch cannot compute with the dtype.

    Raises:
        TypeError: It is no tensor.
        InputError: It is of floats or complex numbers.
    """
    _check.tensor(op, name, labels)
    plain = labels.detach().as_subclass(Tensor)
    if plain.dtype == torch.bool:
        return plain.to(torch.uint8)
    if plain.dtype == torch.uint16:
        return plain.int()
    if plain.dtype not in _INTEGERS:
        raise _check.InputError(f"{op}: {name} must be integers, got {plain.dtype}")
    return plain


def same_shape(op: str, predicted_name: str, predicted: Tensor, truth_name: str, truth: Tensor) -> None:
    """Refuse two label maps of different shapes."""
    if predicted.shape != truth.shape:
        shapes = f"{tuple(predicted.shape)} and {tuple(truth.shape)}"
        raise _check.InputError(f"{op}: {predicted_name} and {truth_name} must have the same shape, got {shapes}")


def class_count(op: str, name: str, value: int) -> int:
    """Refuse a number of classes that is not whole, below 2, or above `MOST_CLASSES`."""
    if isinstance(value, bool) or not isinstance(value, Integral) or not 2 <= value <= MOST_CLASSES:
        raise _check.InputError(f"{op}: {name} must be a whole number from 2 to {MOST_CLASSES}, got {value!r}")
    return int(value)


def in_range(labels: Tensor, num_classes: int) -> bool:
    """Tell whether all labels lie from 0 to num_classes - 1."""
    if labels.numel() == 0:
        return True
    low, high = labels.aminmax()
    return int(low) >= 0 and int(high) < num_classes


def check_labels(op: str, name: str, labels: Tensor, num_classes: int, ignore: int | None = None) -> None:
    """Refuse labels that are neither from 0 to num_classes - 1 nor to be ignored, naming the first pixel."""
    if in_range(labels, num_classes):
        return
    wrong = (labels < 0) | (labels >= num_classes)
    if ignore is not None:
        wrong &= labels.long() != ignore
    places = wrong.nonzero()
    if len(places) == 0:
        return
    place = places[0].tolist()
    allowed = f"from 0 to {num_classes - 1}" + ("" if ignore is None else f" or be {ignore} (ignored)")
    raise _check.InputError(f"{op}: {name}{place} must lie {allowed}, got {int(labels[tuple(place)])}")
