"""Check the small grids of whole numbers that figures of convolutions count with."""

from __future__ import annotations

from typing import Any

from cvlab import _check
from cvlab._check import InputError
from cvlab.interactive.state import as_tensor

LARGEST = 9  # of the numbers in a grid, so that sums of products fit their cells


def as_grid(op: str, name: str, value: Any, least: int, most: int) -> list[list[int]]:
    """Return a square of whole numbers from -9 to 9 as lists of rows; its side must be from `least` to `most`."""
    numbers = as_tensor(op, name, value)
    sides = tuple(numbers.shape)
    if numbers.dim() != 2 or sides[0] != sides[1] or not least <= sides[0] <= most:
        raise InputError(f"{op}: {name} must be a square of {least} to {most} numbers a side, got shape {sides}")
    wrong = ((numbers % 1 != 0) | (numbers.abs() > LARGEST)).nonzero().tolist()
    if wrong:
        got = numbers[tuple(wrong[0])].item()
        raise InputError(f"{op}: {name}{wrong[0]} must be a whole number from -{LARGEST} to {LARGEST}, got {got:g}")
    return numbers.int().tolist()


def as_whole(op: str, name: str, value: Any, low: int, high: int) -> int:
    """Return a whole number from `low` to `high`."""
    _check.number(op, name, value)
    if value % 1 or not low <= value <= high:
        raise InputError(f"{op}: {name} must be a whole number from {low} to {high}, got {value!r}")
    return int(value)
