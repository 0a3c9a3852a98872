"""Affine quantization: a real number is a scale times the distance of a whole number from the zero point."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from cvlab import _check


@dataclass(frozen=True)
class QuantParams:
    """How real numbers become whole ones.

    Attributes:
        scale: distance of two neighbouring whole numbers, above 0: a scalar, or (C,) for each channel along `axis`.
        zero_point: the whole number that stands for 0.0, int64, as large as `scale`.
        bits: from 2 to 16.
        signed: from -2^(bits - 1) on, or from 0 on.
        axis: the dimension of the channels; None for one scale for all.
    """

    scale: Tensor
    zero_point: Tensor
    bits: int = 8
    signed: bool = True
    axis: int | None = None

    @property
    def low(self) -> int:
        """The smallest whole number."""
        return -(2 ** (self.bits - 1)) if self.signed else 0

    @property
    def high(self) -> int:
        """The largest whole number."""
        return self.low + 2**self.bits - 1


def choose_qparams(
    low: Tensor | float,
    high: Tensor | float,
    *,
    bits: int = 8,
    signed: bool = True,
    symmetric: bool = False,
    axis: int | None = None,
) -> QuantParams:
    """Choose scale and zero point so that all numbers between two bounds can be told.

    Args:
        low: the smallest number, a scalar or (C,); what is above 0 counts as 0, which must always be exact.
        high: the largest number, as large as `low`; what is below 0 counts as 0.
        bits: from 2 to 16.
        signed: whether whole numbers below 0 are used.
        symmetric: whether the zero point is 0, as weights have it; only with signed numbers. The scale is then that of
            the larger bound over 2^(bits - 1) - 1, so that the smallest whole number is not needed.
        axis: the dimension of the channels, if there is one bound for each.

    Returns:
        The parameters; the scale is 1 where both bounds are 0, or nearer to it than 10^-38, too near for float32.

    Raises:
        InputError: if a bound is NaN or infinite, a lower one above an upper one, or bits and signs do not go together.

    Example:
        >>> params = choose_qparams(-10.0, 30.0, signed=False)
        >>> round(params.scale.item(), 6), params.zero_point.item()
        (0.156863, 64)

    References:
        Jacob, B. et al. (2018). Quantization and training of neural networks for efficient integer-arithmetic-only
        inference. CVPR. Section 2.1.
    """
    op = "choose_qparams"
    bounds = torch.stack(torch.broadcast_tensors(*(torch.as_tensor(b, dtype=torch.float64) for b in (low, high))))
    _check.finite(op, "bounds", bounds)
    if bool((bounds[0] > bounds[1]).any()):
        raise _check.InputError(f"{op}: low must not be above high, got {low} and {high}")
    if not isinstance(bits, int) or not 2 <= bits <= 16:
        raise _check.InputError(f"{op}: bits must be from 2 to 16, got {bits}")
    if symmetric and not signed:
        raise _check.InputError(f"{op}: symmetric quantization needs signed numbers")
    smallest, largest = bounds[0].clamp(max=0), bounds[1].clamp(min=0)
    whole = (
        torch.maximum(-smallest, largest) / (2 ** (bits - 1) - 1) if symmetric else (largest - smallest) / (2**bits - 1)
    )
    scale = torch.where(whole >= torch.finfo(torch.float32).tiny, whole, 1)  # float32 cannot tell smaller ones
    first = -(2 ** (bits - 1)) if signed else 0
    zero = torch.zeros_like(scale) if symmetric else first - smallest / scale
    scale = scale.float()
    return QuantParams(scale, zero.round().long(), bits, signed, axis)


def quantize(x: Tensor, params: QuantParams) -> Tensor:
    """Turn real numbers into whole ones: divide by the scale, round to the nearest, ties to even, and cut off.

    Args:
        x: floating point, any shape.
        params: scale and zero point.

    Returns:
        int64 of the same shape, from `params.low` to `params.high`.

    Raises:
        InputError: if x holds NaN, or has not as many channels as there are scales.

    Example:
        >>> params = choose_qparams(-1.0, 1.0, symmetric=True)
        >>> quantize(torch.tensor([-2.0, -1.0, 0.0, 0.3]), params).tolist()
        [-128, -127, 0, 38]
    """
    if bool(x.isnan().any()):
        raise _check.InputError("quantize: x must hold no NaN")
    scale, zero = _along("quantize", x, params)
    return ((x / scale).round().clamp(-(2**24), 2**24).long() + zero).clamp(params.low, params.high)


def dequantize(q: Tensor, params: QuantParams) -> Tensor:
    """Turn whole numbers back into real ones: at most half a scale from those they came from, if nothing was cut off.

    Args:
        q: whole numbers, any shape.
        params: scale and zero point.

    Returns:
        float32 of the same shape.

    Raises:
        InputError: if q has not as many channels as there are scales.
    """
    scale, zero = _along("dequantize", q, params)
    return (q.long() - zero).float() * scale  # int8 less a zero point may need 9 bits


def fake_quantize(x: Tensor, params: QuantParams) -> Tensor:
    """Quantize and dequantize, with a gradient: that of x where nothing is cut off, and 0 where something is.

    Rounding has no useful gradient of its own; taking it for no step at all is the straight-through estimator.

    Args:
        x: floating point, any shape.
        params: scale and zero point.

    Returns:
        As x; each number one that `params` can tell.

    Raises:
        InputError: as `quantize`.

    Example:
        >>> x = torch.tensor([0.3, 5.0], requires_grad=True)
        >>> y = fake_quantize(x, choose_qparams(-1.0, 1.0, bits=3, symmetric=True))
        >>> y.sum().backward()
        >>> y.tolist(), x.grad.tolist()
        ([0.3333333432674408, 1.0], [1.0, 0.0])

    References:
        Bengio, Y., Leonard, N. and Courville, A. (2013). Estimating or propagating gradients through stochastic
        neurons for conditional computation. arXiv 1308.3432.
    """
    return _FakeQuantize.apply(x, params)


class _FakeQuantize(torch.autograd.Function):
    """Quantize and dequantize; the gradient goes straight through where nothing is cut off."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, params: QuantParams) -> Tensor:
        scale, zero = _along("fake_quantize", x, params)
        whole = (x.detach() / scale).round() + zero
        ctx.save_for_backward((whole >= params.low) & (whole <= params.high))
        return dequantize(quantize(x.detach(), params), params).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (inside,) = ctx.saved_tensors
        return grad * inside, None


def _along(op: str, x: Tensor, params: QuantParams) -> tuple[Tensor, Tensor]:
    """Give scale and zero point in a shape that fits x."""
    if params.axis is None:
        return params.scale.to(x.device), params.zero_point.to(x.device)
    count = params.scale.numel()
    if not -x.dim() <= params.axis < x.dim() or x.shape[params.axis] != count:
        raise _check.InputError(
            f"{op}: there must be {count} channels in dimension {params.axis}, got shape {tuple(x.shape)}"
        )
    shape = [1] * x.dim()
    shape[params.axis] = count
    return params.scale.to(x.device).reshape(shape), params.zero_point.to(x.device).reshape(shape)
