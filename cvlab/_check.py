"""Check shapes and values, with messages that say which operation, what was expected, what came, and where.

Shapes and types are always checked. Values are read only when a program runs eagerly: while a graph is being traced,
compiled or exported there are no values yet.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

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


def shape(op: str, name: str, value: Tensor, expected: Sequence[int | str]) -> None:
    """Refuse a shape other than `expected`, in which a word stands for any size, and "..." first for any dimensions."""
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
    if value.dim() != 1 or value.shape[0] != expected:
        raise InputError(f"{op}: {name} must have shape ({expected},), one for each {of}, got {tuple(value.shape)}")


def choice(op: str, name: str, value: str, allowed: Sequence[str]) -> None:
    """Refuse a word that is not among the allowed ones."""
    if value not in allowed:
        raise InputError(f"{op}: {name} must be one of {', '.join(allowed)}, got {value!r}")


def fraction(op: str, name: str, value: float) -> None:
    """Refuse a number outside [0, 1]; NaN is outside."""
    if not 0.0 <= value <= 1.0:
        raise InputError(f"{op}: {name} must lie in [0, 1], got {value}")


def positive(op: str, name: str, values: Sequence[float]) -> None:
    """Refuse an empty sequence and numbers that are not finite and above zero."""
    if len(values) == 0:
        raise InputError(f"{op}: {name} must not be empty")
    for i, value in enumerate(values):
        if not (math.isfinite(value) and value > 0):
            raise InputError(f"{op}: {name}[{i}] must be finite and above 0, got {value}")


def finite(op: str, name: str, value: Tensor) -> None:
    """Refuse NaN and infinity, naming the first place."""
    if value.numel() == 0 or not readable(value) or not value.is_floating_point():
        return
    low, high = value.detach().aminmax()
    if math.isfinite(float(low)) and math.isfinite(float(high)):
        return
    index = torch.nonzero(~value.detach().isfinite())[0].tolist()
    raise InputError(f"{op}: {name}{index} is not finite: {float(value[tuple(index)])}")


def boxes(op: str, name: str, value: Tensor, fmt: str = "xyxy", *, strict: bool = False, dims: str = "...") -> None:
    """Refuse tensors that are not upright boxes (..., 4) with finite coordinates and sides of at least zero.

    Args:
        op: The operation, for the message.
        name: The argument's name, for the message.
        value: The boxes.
        fmt: "xyxy", "xywh" or "cxcywh".
        strict: Refuse sides of length zero too.
        dims: The letter of the leading dimension, "..." where there may be any number of them.
    """
    numeric(op, name, value)
    shape(op, name, value, (dims, 4))
    if value.numel() == 0 or not readable(value) or _fast_pass(value.detach(), fmt, strict):
        return
    rows = value.detach().reshape(-1, 4).double().cpu()
    sides = rows[:, 2:] - rows[:, :2] if fmt == "xyxy" else rows[:, 2:]
    bad = ~rows.isfinite().all(1) | ~((sides > 0) if strict else (sides >= 0)).all(1)
    if not bool(bad.any()):
        return  # a side that overflows in half precision only
    first = int(bad.nonzero()[0])
    where = f"[{', '.join(str(int(i)) for i in torch.unravel_index(torch.tensor(first), value.shape[:-1]))}]"
    numbers = "[" + ", ".join(f"{v:g}" for v in rows[first].tolist()) + "]"
    raise InputError(f"{op}: {name}{where if value.dim() > 1 else ''} {_fault(rows[first], fmt, strict)}: {numbers}")


def _fast_pass(value: Tensor, fmt: str, strict: bool) -> bool:
    """Find in one reduction that all boxes are good: x2 - x1 is NaN or infinite wherever a coordinate is."""
    if not value.is_floating_point() or fmt != "xyxy":
        return False
    low, high = torch.sub(value.narrow(-1, 2, 2), value.narrow(-1, 0, 2)).aminmax()
    return (low.item() > 0 if strict else low.item() >= 0) and high.item() < math.inf


def _fault(row: Tensor, fmt: str, strict: bool) -> str:
    if not bool(row.isfinite().all()):
        return "is not finite"
    sign = "<=" if strict else "<"
    x_side, y_side = (row[2:] - row[:2] if fmt == "xyxy" else row[2:]).tolist()
    wrong_x = x_side <= 0 if strict else x_side < 0
    if fmt == "xyxy":
        return f"has x2 {sign} x1" if wrong_x else f"has y2 {sign} y1"
    return f"has width {sign} 0" if wrong_x else f"has height {sign} 0"
