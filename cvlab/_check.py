"""Check shapes and values, with messages that say which operation, what was expected, what came, and where.

Shapes and types are always checked. Values are read only when a program runs eagerly: while a graph is being traced,
compiled or exported there are no values yet.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

COORDS = {"xyxy": 4, "xywh": 4, "cxcywh": 4, "xywhr": 5, "cxcywhr": 5, "xyxyxyxy": 8}
"""Formats of boxes, and how many numbers a box has in each."""

scripting = torch.jit.is_scripting
"""Tell whether TorchScript compiles this: it does not compile what stands behind `if not _check.scripting()`."""


class InputError(ValueError, RuntimeError):
    """Reports an argument that an operation cannot work with.

    It is a ``ValueError``, and a ``RuntimeError`` too, because that is what torchvision raises in the same places.
    """


def readable(tensor: Tensor) -> bool:
    """Tell whether the values of a tensor can be looked at now: not under compile, export, trace or on `meta`."""
    return not (torch.compiler.is_compiling() or torch.jit.is_tracing() or tensor.is_meta)


def tensor(op: str, name: str, value: object) -> None:
    """Refuse what is not a tensor."""
    if not isinstance(value, Tensor):
        raise TypeError(f"{op}: {name} must be a torch.Tensor, got {type(value).__name__}")


def numeric(op: str, name: str, value: Tensor, floating: bool = False) -> None:
    """Refuse tensors of booleans or complex numbers, and integers too where `floating` is asked for."""
    tensor(op, name, value)
    if value.is_floating_point() or value.is_quantized:
        return
    if floating or value.is_complex() or value.dtype == torch.bool:
        expected = "floating point" if floating else "float or integer"
        raise InputError(f"{op}: {name} must be {expected}, got {value.dtype}")


def integer(op: str, name: str, value: Tensor) -> None:
    """Refuse what is not a tensor of signed integers: floats, booleans, and uint8, which has no room for -1."""
    tensor(op, name, value)
    if value.dtype not in (torch.int8, torch.int16, torch.int32, torch.int64):
        raise InputError(f"{op}: {name} must be signed integers, such as torch.int64, got {value.dtype}")


def shape(op: str, name: str, value: Tensor, expected: Sequence[int | str]) -> None:
    """Refuse a shape other than `expected`, in which a word stands for any size, and "..." first for any dimensions."""
    tensor(op, name, value)
    wanted = tuple(expected)
    got = tuple(value.shape)
    tail = wanted[1:] if wanted[:1] == ("...",) else wanted
    fits = len(got) >= len(tail) if len(tail) < len(wanted) else len(got) == len(tail)
    if fits and all(isinstance(w, str) or w == g for w, g in zip(reversed(tail), reversed(got), strict=False)):
        return
    text = ", ".join(str(w) for w in wanted)
    raise InputError(f"{op}: {name} must have shape ({text}{',' if len(wanted) == 1 else ''}), got {got}")


def length(op: str, name: str, value: Tensor, expected: int, of: str) -> None:
    """Refuse a vector whose length is not that of the boxes it belongs to."""
    tensor(op, name, value)
    if value.dim() != 1 or value.shape[0] != expected:
        raise InputError(f"{op}: {name} must have shape ({expected},), one for each {of}, got {tuple(value.shape)}")


def choice(op: str, name: str, value: str, allowed: Sequence[str]) -> None:
    """Refuse a word that is not among the allowed ones."""
    if value not in allowed:
        raise InputError(f"{op}: {name} must be one of {', '.join(allowed)}, got {value!r}")


def broadcast(op: str, a: str, value_a: Tensor, b: str, value_b: Tensor) -> None:
    """Refuse two shapes that do not broadcast; a compiled program leaves this to torch."""
    if not readable(value_a):
        return
    for i, j in zip(reversed(value_a.shape), reversed(value_b.shape), strict=False):
        if i != j and 1 not in (i, j):
            shapes = f"{tuple(value_a.shape)} and {tuple(value_b.shape)}"
            raise InputError(f"{op}: {a} and {b} must have shapes that broadcast, got {shapes}")


def _is_number(value: object) -> bool:
    """Tell whether this is a finite number: Python's, numpy's, or a tensor of one element."""
    try:
        return bool(-math.inf < value < math.inf)  # type: ignore[operator]
    except (TypeError, ValueError, RuntimeError):
        return False


def number(op: str, name: str, value: float) -> None:
    """Refuse what is not a finite number."""
    if not _is_number(value):
        raise InputError(f"{op}: {name} must be a finite number, got {value!r}")


def fraction(op: str, name: str, value: float) -> None:
    """Refuse what is not a number in [0, 1]; NaN is outside."""
    if not (_is_number(value) and 0.0 <= value <= 1.0):
        raise InputError(f"{op}: {name} must lie in [0, 1], got {value!r}")


def positive(op: str, name: str, values: Sequence[float], of: str = "", zero: bool = False) -> None:
    """Refuse an empty sequence, numbers not finite and above zero (or zero), and other than one for each word `of`."""
    if isinstance(values, str) or not hasattr(values, "__len__"):
        raise InputError(f"{op}: {name} must be a sequence of numbers, got {values!r}")
    if len(values) == 0:
        raise InputError(f"{op}: {name} must not be empty")
    if of and len(values) != len(of.split(", ")):
        raise InputError(f"{op}: {name} must be ({of}), got {len(values)} numbers")
    for i, value in enumerate(values):
        if not (_is_number(value) and (value >= 0 if zero else value > 0)):
            least = "at least 0" if zero else "above 0"
            raise InputError(f"{op}: {name}[{i}] must be finite and {least}, got {value!r}")


def finite(op: str, name: str, value: Tensor) -> None:
    """Refuse NaN and infinity, naming the first place."""
    if not readable(value) or value.numel() == 0 or not value.is_floating_point():
        return
    low, high = value.detach().aminmax()
    if math.isfinite(float(low)) and math.isfinite(float(high)):
        return
    index = torch.nonzero(~value.detach().isfinite())[0].tolist()
    raise InputError(f"{op}: {name}{index} is not finite: {value[tuple(index)].item()}")


def fractions(op: str, name: str, value: Tensor) -> None:
    """Refuse a tensor with values outside [0, 1], but for rounding, naming the first place."""
    finite(op, name, value)
    if not readable(value) or value.numel() == 0:
        return
    low, high = value.detach().aminmax()
    if low.item() >= -1e-6 and high.item() <= 1 + 1e-6:
        return
    index = torch.nonzero((value < -1e-6) | (value > 1 + 1e-6))[0].tolist()
    raise InputError(f"{op}: {name}{index} must lie in [0, 1], got {value[tuple(index)].item():g}")


def fits(op: str, name: str, value: Tensor, dtype: torch.dtype) -> None:
    """Refuse values that lie outside the range of a narrower type."""
    if value.dtype == dtype or not readable(value) or value.numel() == 0:
        return
    info = torch.finfo(dtype) if dtype.is_floating_point else torch.iinfo(dtype)
    low, high = (x.item() for x in value.detach().aminmax())
    if low < info.min or high > info.max:
        worst = low if low < info.min else high
        raise InputError(f"{op}: {name} does not fit {dtype}: {worst:g}; convert the input to a wider type first")


def largest(dtype: torch.dtype) -> float:
    """Give the largest coordinate with which areas, hulls and squared diagonals can still be computed.

    They are computed in float64 for float64, in float32 for other floats, and in int64 for integers.
    """
    if not dtype.is_floating_point:
        return 2.0**29
    return 2.0**509 if dtype == torch.float64 else 2.0**61


def boxes(op: str, name: str, value: Tensor, fmt: str = "xyxy", *, strict: bool = False, dims: str = "...") -> None:
    """Refuse tensors that are not boxes with finite coordinates, sides of at least zero and areas within range.

    Args:
        op: The operation, for the message.
        name: The argument's name, for the message.
        value: The boxes.
        fmt: One of `COORDS`.
        strict: Refuse sides of length zero too.
        dims: The letter of the leading dimension, "..." where there may be any number of them.
    """
    numeric(op, name, value)
    shape(op, name, value, (dims, COORDS[fmt]))
    if not readable(value) or value.numel() == 0 or _fast_pass(value.detach(), fmt, strict):
        return
    rows = value.detach().reshape(-1, value.shape[-1]).double().cpu()
    sides = _sides(rows, fmt)
    bad = ~(rows.abs() <= largest(value.dtype)).all(1) | ~((sides > 0) if strict else (sides >= 0)).all(1)
    if not bool(bad.any()):
        return  # a side that overflows in half precision only
    first = int(bad.nonzero()[0])
    where = f"[{', '.join(str(int(i)) for i in torch.unravel_index(torch.tensor(first), value.shape[:-1]))}]"
    numbers = "[" + ", ".join(f"{v:g}" for v in rows[first].tolist()) + "]"
    fault = _fault(rows[first], fmt, strict, largest(value.dtype))
    raise InputError(f"{op}: {name}{where if value.dim() > 1 else ''} {fault}: {numbers}")


def _fast_pass(value: Tensor, fmt: str, strict: bool) -> bool:
    """Find in two reductions that all boxes are good; a comparison with NaN is false."""
    if not value.is_floating_point() or fmt != "xyxy":
        return False
    low, high = value.aminmax()
    limit = largest(value.dtype)
    if not (low.item() >= -limit and high.item() <= limit):
        return False
    side = torch.sub(value.narrow(-1, 2, 2), value.narrow(-1, 0, 2)).amin().item()
    return side > 0 if strict else side >= 0


def _sides(rows: Tensor, fmt: str) -> Tensor:
    """Give the widths and heights (N, 2); those of corners in any order are never wrong."""
    if fmt == "xyxyxyxy":
        return torch.ones_like(rows[:, :2])
    return rows[:, 2:] - rows[:, :2] if fmt == "xyxy" else rows[:, 2:4]


def _fault(row: Tensor, fmt: str, strict: bool, limit: float) -> str:
    if not bool(row.isfinite().all()):
        return "is not finite"
    if float(row.abs().max()) > limit:
        return f"is too large to compute areas (no coordinate may exceed {limit:g})"
    sign = "<=" if strict else "<"
    x_side = float(_sides(row[None], fmt)[0, 0])
    wrong_x = x_side <= 0 if strict else x_side < 0
    if fmt == "xyxy":
        return f"has x2 {sign} x1" if wrong_x else f"has y2 {sign} y1"
    return f"has width {sign} 0" if wrong_x else f"has height {sign} 0"
