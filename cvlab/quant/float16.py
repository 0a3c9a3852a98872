"""What numbers of 16 bits cannot do: where they are sparse, where they end, and which sums and quotients go wrong."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from cvlab import _check

FLOATS = (torch.float16, torch.bfloat16, torch.float32)
"""The formats that can be compared, with 10, 7 and 23 bits after the point, exponents of 5, 8 and 8 bits."""


def check_float(op: str, name: str, dtype: torch.dtype) -> None:
    """Refuse other types of numbers than `FLOATS`."""
    if dtype not in FLOATS:
        allowed = ", ".join(str(d) for d in FLOATS)
        raise _check.InputError(f"{op}: {name} must be one of {allowed}, got {dtype}")


def rounded(x: float, dtype: torch.dtype = torch.float16) -> float:
    """Give the number that is stored for x: the nearest one of the format, infinity above all, 0 below all.

    Args:
        x: a finite number.
        dtype: one of `FLOATS`.

    Returns:
        The stored number.

    Raises:
        InputError: if x is not finite, or the format is another.

    Example:
        >>> rounded(2049.0), rounded(70000.0), rounded(1e-8)
        (2048.0, inf, 0.0)
        >>> rounded(2049.0, torch.bfloat16), rounded(70000.0, torch.bfloat16), rounded(1e-8, torch.bfloat16) > 0
        (2048.0, 70144.0, True)
    """
    _check.number("rounded", "x", x)
    check_float("rounded", "dtype", dtype)
    return torch.tensor(x, dtype=torch.float64).to(dtype).item()


def spacing(x: float, dtype: torch.dtype = torch.float16) -> float:
    """Give the distance from a number to the next larger one of the format.

    Args:
        x: a number; the sign does not matter.
        dtype: one of `FLOATS`.

    Returns:
        The distance, which doubles at each power of two, and stays the same below the smallest normal number.

    Raises:
        InputError: if x does not fit the format, or the format is another.

    Example:
        >>> spacing(1.0) * 1024, spacing(2048.0), spacing(60000.0)
        (1.0, 2.0, 32.0)
        >>> spacing(1.0, torch.bfloat16) * 128, spacing(2048.0, torch.bfloat16)
        (1.0, 16.0)
    """
    _check.number("spacing", "x", x)
    check_float("spacing", "dtype", dtype)
    info = torch.finfo(dtype)
    if abs(x) > info.max:
        raise _check.InputError(f"spacing: x must lie within {info.max:g} of 0 to fit {dtype}, got {x:g}")
    exponent = math.frexp(max(abs(x), info.tiny))[1] - 1
    return info.eps * 2.0**exponent


class Lost(NamedTuple):
    """Which share of numbers a format cannot hold.

    Attributes:
        overflow: share that becomes infinite.
        underflow: share that becomes 0, though it is not.
    """

    overflow: float
    underflow: float


def lost(values: Tensor, dtype: torch.dtype = torch.float16, *, scale: float = 1.0) -> Lost:
    """Count which numbers become infinite or 0 in a format, after a multiplication that may save them.

    Args:
        values: float32 or float64, any shape, finite; for example all gradients of a step.
        dtype: one of `FLOATS`.
        scale: by which all are multiplied first, above 0, as loss scaling does.

    Returns:
        Both shares; 0 where there are no numbers.

    Raises:
        InputError: if a number or the scale is not finite, the scale not above 0, or the format another.

    Example:
        >>> lost(torch.tensor([1e-8, 1e-3, 1.0, 1e5]))
        Lost(overflow=0.25, underflow=0.25)
        >>> lost(torch.tensor([1e-8, 1e-3, 1.0]), scale=1024.0)
        Lost(overflow=0.0, underflow=0.0)

    References:
        Micikevicius, P. et al. (2018). Mixed precision training. ICLR. Section 3.2.
    """
    _check.numeric("lost", "values", values, floating=True)
    _check.finite("lost", "values", values)
    _check.positive("lost", "scale", [scale])
    check_float("lost", "dtype", dtype)
    stored = (values.double() * scale).to(dtype)
    count = max(values.numel(), 1)
    return Lost(int(stored.isinf().sum()) / count, int(((stored == 0) & (values != 0)).sum()) / count)


def naive_softmax(x: Tensor) -> Tensor:
    """Divide exponentials by their sum, without subtracting the maximum first; each step is stored in x's format.

    Args:
        x: (..., K) logits of a type in `FLOATS`.

    Returns:
        As x. NaN where an exponential overflows, which in float16 is so above 11.09, and zeros only where their sum
        does.

    Raises:
        InputError: if x is of another type.

    Example:
        >>> logits = torch.tensor([12.0, 10.0, 3.0])
        >>> naive_softmax(logits.half()).tolist()
        [nan, 0.0, 0.0]
        >>> torch.softmax(logits.half(), -1).tolist() == torch.softmax(logits, -1).half().tolist()
        True
    """
    _check.tensor("naive_softmax", "x", x)
    check_float("naive_softmax", "x.dtype", x.dtype)
    powers = x.float().exp().to(x.dtype)
    total = powers.float().sum(-1, keepdim=True).to(x.dtype)
    return (powers.float() / total.float()).to(x.dtype)


def stalled_sum(values: Tensor) -> float:
    """Add numbers one after another, each sum stored in their format: it stalls where the distance of numbers is large.

    Args:
        values: (N,) of a type in `FLOATS`.

    Returns:
        The sum.

    Raises:
        InputError: if values have another shape or type.

    Example:
        >>> ones = torch.ones(4096)
        >>> stalled_sum(ones), stalled_sum(ones.half()), stalled_sum(ones.bfloat16())
        (4096.0, 2048.0, 256.0)
    """
    return _added("stalled_sum", values, _one_by_one)


def pairwise_sum(values: Tensor) -> float:
    """Add numbers in pairs, the sums again in pairs, each stored in their format: errors grow with the logarithm of N.

    Args:
        values: (N,) of a type in `FLOATS`.

    Returns:
        The sum.

    Raises:
        InputError: if values have another shape or type.

    Example:
        >>> pairwise_sum(torch.ones(4096, dtype=torch.float16))
        4096.0

    References:
        Higham, N. J. (1993). The accuracy of floating point summation. SIAM Journal on Scientific Computing.
    """
    return _added("pairwise_sum", values, _in_pairs)


def gram_in(features: Tensor, dtype: torch.dtype = torch.float16, *, divide_first: bool = False) -> Tensor:
    """Compute a Gram matrix, as style transfer needs it, in a format in which its sums may not fit.

    Args:
        features: (C, N) float, of C channels at N places.
        dtype: one of `FLOATS`, in which features, sums and quotients are stored; the sums are made in float32.
        divide_first: divide the features by the root of N before the product, instead of the product by N after it.

    Returns:
        (C, C) of `dtype`, sums of products over N.

    Raises:
        InputError: if features have another shape, or are not finite.

    Example:
        >>> features = torch.full((2, 4096), 5.0)
        >>> gram_in(features)[0].tolist(), gram_in(features, divide_first=True)[0].tolist()
        ([inf, inf], [25.0, 25.0])
        >>> gram_in(features, torch.bfloat16)[0].tolist()
        [25.0, 25.0]
    """
    _check.numeric("gram_in", "features", features, floating=True)
    _check.shape("gram_in", "features", features, ("C", "N"))
    _check.finite("gram_in", "features", features)
    check_float("gram_in", "dtype", dtype)
    places = features.shape[1]
    if places == 0:
        raise _check.InputError(f"gram_in: features must have at least one place, got shape {tuple(features.shape)}")
    stored = features.to(dtype).float()
    if divide_first:
        stored = (stored / math.sqrt(places)).to(dtype).float()
        return (stored @ stored.T).to(dtype)
    return ((stored @ stored.T).to(dtype).float() / places).to(dtype)


def _added(op: str, values: Tensor, add: Callable[[Tensor], Tensor]) -> float:
    _check.shape(op, "values", values, ("N",))
    check_float(op, "values.dtype", values.dtype)
    return add(values).item() if len(values) else 0.0


def _one_by_one(values: Tensor) -> Tensor:
    total = torch.zeros((), dtype=values.dtype)
    for value in values.unbind():
        total = total + value
    return total


def _in_pairs(values: Tensor) -> Tensor:
    while len(values) > 1:
        odd = values[len(values) & ~1 :]  # the last one of an odd number waits
        values = torch.cat([values[:-1:2] + values[1::2], odd])
    return values[0]
