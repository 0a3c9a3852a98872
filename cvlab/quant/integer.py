"""The layers of a network in whole numbers alone: int8 in and out, int32 in between, in NumPy.

Maps are (B, h, w, C), channels last, as on microcontrollers. An `offset` is what is added to a number before it is
multiplied: minus the zero point of the input, and for the output its zero point. These are the clear formulations,
which others, faster and generated ones, are measured against.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from cvlab import _check
from cvlab.quant.fixed_point import multiply_by_quantized_multiplier

Array = np.ndarray[Any, np.dtype[Any]]
Pair = tuple[int, int]
INT8 = (-128, 127)


@dataclass(frozen=True)
class Rescale:
    """How sums of 32 bits become numbers of 8.

    Attributes:
        multiplier: a number, or one for each channel; see `quantize_multiplier`.
        shift: likewise.
        offset: the zero point of the result.
        activation: the smallest and the largest number of the result: a ReLU is a lower bound.
        rounding: as `multiply_by_quantized_multiplier` takes it.
    """

    multiplier: Any
    shift: Any
    offset: int = 0
    activation: Pair = INT8
    rounding: str = "double"

    def __call__(self, sums: Array) -> Array:
        """Rescale sums (..., K) int64 that fit into 32 bits, to int8."""
        scaled = multiply_by_quantized_multiplier(sums, self.multiplier, self.shift, rounding=self.rounding)
        return (scaled.astype(np.int64) + self.offset).clip(*self.activation).astype(np.int8)


def conv2d_int8(
    x: Array,
    weights: Array,
    bias: Array,
    rescale: Rescale,
    *,
    input_offset: int,
    stride: Pair = (1, 1),
    padding: Pair = (0, 0),
    output_size: Pair | None = None,
) -> Array:
    """Convolve: products of 8 bits, sums of 32, and the result scaled to 8 bits again.

    Args:
        x: (B, H, W, C) int8.
        weights: (K, kh, kw, C) int8, with zero point 0.
        bias: (K,) int32.
        rescale: of the sums.
        input_offset: minus the zero point of x.
        stride: down and across.
        padding: rows above and columns to the left, of the number that stands for 0.
        output_size: (h, w); None for as many as fit with as much padding below and to the right.

    Returns:
        (B, h, w, K) int8.

    Raises:
        InputError: if the shapes do not fit, or x and weights are not int8.
    """
    _int8("conv2d_int8", x=x, weights=weights)
    _check_channels("conv2d_int8", x.shape[3], weights.shape[3])
    windows = _windows(x.astype(np.int64) + input_offset, weights.shape[1:3], stride, padding, output_size, 0)
    sums = np.einsum("bhwijc,kijc->bhwk", windows, weights.astype(np.int64)) + np.asarray(bias, dtype=np.int64)
    return rescale(sums)


def depthwise_conv2d_int8(
    x: Array,
    weights: Array,
    bias: Array,
    rescale: Rescale,
    *,
    input_offset: int,
    stride: Pair = (1, 1),
    padding: Pair = (0, 0),
    output_size: Pair | None = None,
) -> Array:
    """Convolve each channel by itself; see `conv2d_int8`.

    Args:
        x: (B, H, W, C) int8.
        weights: (kh, kw, C m) int8: m kernels for each channel, one channel's after the other's.
        bias: (C m,) int32.
        rescale: of the sums.
        input_offset: minus the zero point of x.
        stride: down and across.
        padding: rows above and columns to the left.
        output_size: (h, w); None for as many as fit.

    Returns:
        (B, h, w, C m) int8.

    Raises:
        InputError: if the shapes do not fit, or x and weights are not int8.
    """
    op = "depthwise_conv2d_int8"
    _int8(op, x=x, weights=weights)
    channels = x.shape[3]
    if weights.ndim != 3 or weights.shape[2] % channels:
        raise _check.InputError(f"{op}: weights must be (kh, kw, a multiple of {channels}), got {weights.shape}")
    kh, kw, out = weights.shape
    windows = _windows(x.astype(np.int64) + input_offset, (kh, kw), stride, padding, output_size, 0)
    kernels = weights.astype(np.int64).reshape(kh, kw, channels, -1)
    sums = np.einsum("bhwijc,ijcm->bhwcm", windows, kernels)
    sums = sums.reshape(*sums.shape[:3], out) + np.asarray(bias, dtype=np.int64)
    return rescale(sums)


def fully_connected_int8(
    x: Array,
    weights: Array,
    bias: Array,
    rescale: Rescale,
    *,
    input_offset: int,
) -> Array:
    """Compute a linear layer; see `conv2d_int8`.

    Args:
        x: (B, D) int8.
        weights: (K, D) int8.
        bias: (K,) int32.
        rescale: of the sums.
        input_offset: minus the zero point of x.

    Returns:
        (B, K) int8.

    Raises:
        InputError: if the shapes do not fit, or x and weights are not int8.
    """
    _int8("fully_connected_int8", x=x, weights=weights)
    _check_channels("fully_connected_int8", x.shape[1], weights.shape[1])
    sums = (x.astype(np.int64) + input_offset) @ weights.astype(np.int64).T + np.asarray(bias, dtype=np.int64)
    return rescale(sums)


def conv_transpose2d_int8(
    x: Array,
    weights: Array,
    bias: Array,
    rescale: Rescale,
    *,
    input_offset: int,
    stride: Pair = (1, 1),
    padding: Pair = (0, 0),
    output_size: Pair | None = None,
) -> Array:
    """Convolve transposed: each number of the map lays a kernel down, and where they overlap they add up.

    Args:
        x: (B, H, W, C) int8.
        weights: (K, kh, kw, C) int8, with zero point 0.
        bias: (K,) int32.
        rescale: of the sums.
        input_offset: minus the zero point of x.
        stride: how far apart the kernels are laid, down and across.
        padding: rows above and columns to the left that are cut off the result.
        output_size: (h, w); None for as many as there are with as much cut off below and to the right.

    Returns:
        (B, h, w, K) int8.

    Raises:
        InputError: if the shapes do not fit, or x and weights are not int8.
    """
    op = "conv_transpose2d_int8"
    _int8(op, x=x, weights=weights)
    _check_channels(op, x.shape[3], weights.shape[3])
    (out, kh, kw, _), (batch, height, width, _) = weights.shape, x.shape
    whole = ((height - 1) * stride[0] + kh, (width - 1) * stride[1] + kw)
    size = output_size or (whole[0] - 2 * padding[0], whole[1] - 2 * padding[1])
    extent = [max(n, p + s) for n, p, s in zip(whole, padding, size, strict=True)]
    sums = np.zeros((batch, *extent, out), dtype=np.int64)
    moved, kernels = x.astype(np.int64) + input_offset, weights.astype(np.int64)
    for i in range(kh):
        for j in range(kw):
            places = np.s_[
                :, i : i + (height - 1) * stride[0] + 1 : stride[0], j : j + (width - 1) * stride[1] + 1 : stride[1]
            ]
            sums[places] += moved @ kernels[:, i, j].T
    cut = sums[:, padding[0] : padding[0] + size[0], padding[1] : padding[1] + size[1]]
    return rescale(cut + np.asarray(bias, dtype=np.int64))


def mean_int8(x: Array, rescale: Rescale, *, input_offset: int) -> Array:
    """Take the mean over all places.

    Args:
        x: (B, H, W, C) int8.
        rescale: of the sums, the division by H W in the multiplier.
        input_offset: minus the zero point of x.

    Returns:
        (B, C) int8.

    Raises:
        InputError: if x is not int8.
    """
    _int8("mean_int8", x=x)
    return rescale(x.astype(np.int64).sum((1, 2)) + input_offset * x.shape[1] * x.shape[2])


def max_pool_int8(
    x: Array,
    size: Pair,
    stride: Pair,
    *,
    padding: Pair = (0, 0),
    output_size: Pair | None = None,
    activation: Pair = INT8,
) -> Array:
    """Take the largest number of each window; scales stay as they are.

    Args:
        x: (B, H, W, C) int8.
        size: of the window.
        stride: down and across.
        padding: rows above, columns to the left, which never are the largest.
        output_size: (h, w); None for as many as fit with as much padding below and to the right.
        activation: the smallest and the largest number of the result.

    Returns:
        (B, h, w, C) int8.

    Raises:
        InputError: if x is not int8.
    """
    _int8("max_pool_int8", x=x)
    windows = _windows(x.astype(np.int64), size, stride, padding, output_size, -128)
    return windows.max((3, 4)).clip(*activation).astype(np.int8)


def avg_pool_int8(
    x: Array,
    size: Pair,
    stride: Pair,
    *,
    padding: Pair = (0, 0),
    output_size: Pair | None = None,
    activation: Pair = INT8,
) -> Array:
    """Take the mean of each window, rounded, halves away from zero; padding does not count.

    Args:
        x: (B, H, W, C) int8.
        size: of the window.
        stride: down and across.
        padding: rows above, columns to the left.
        output_size: (h, w); None for as many as fit with as much padding below and to the right.
        activation: the smallest and the largest number of the result.

    Returns:
        (B, h, w, C) int8, with the scale of x.

    Raises:
        InputError: if x is not int8.
    """
    _int8("avg_pool_int8", x=x)
    sums = _windows(x.astype(np.int64), size, stride, padding, output_size, 0).sum((3, 4))
    counts = _windows(np.ones_like(x, dtype=np.int64), size, stride, padding, output_size, 0).sum((3, 4))
    half = counts // 2
    means = np.where(sums >= 0, (sums + half) // counts, -((-sums + half) // counts))
    return means.clip(*activation).astype(np.int8)


def add_int8(
    a: Array,
    b: Array,
    rescale: Rescale,
    *,
    offsets: Pair,
    multipliers: Pair,
    shifts: Pair,
    left_shift: int,
) -> Array:
    """Add two maps of different scales: both are brought to one, finer by `left_shift` bits, and the sum to its own.

    Args:
        a: int8, any shape.
        b: int8, as large.
        rescale: of the sum, from the common scale, finer by `left_shift` bits; also says how all is rounded.
        offsets: minus the zero points of a and b.
        multipliers: that bring a and b to one scale.
        shifts: likewise.
        left_shift: bits that are added before.

    Returns:
        int8, as large as a.

    Raises:
        InputError: if the shapes differ, or a and b are not int8.
    """
    _int8("add_int8", a=a, b=b)
    if a.shape != b.shape:
        raise _check.InputError(f"add_int8: a and b must have one shape, got {a.shape} and {b.shape}")
    total = sum(
        multiply_by_quantized_multiplier((x.astype(np.int64) + offset) << left_shift, m, s, rounding=rescale.rounding)
        for x, offset, m, s in zip((a, b), offsets, multipliers, shifts, strict=True)
    )
    return rescale(np.asarray(total))


def _windows(x: Array, size: Pair, stride: Pair, padding: Pair, output_size: Pair | None, fill: int) -> Array:
    """Cut out (B, h, w, kh, kw, C) of (B, H, W, C)."""
    sides = []
    for n, k, s, p, out in zip(x.shape[1:3], size, stride, padding, output_size or (None, None), strict=True):
        count = (n + 2 * p - k) // s + 1 if out is None else out
        if count < 1:
            raise _check.InputError(f"a window of {k} is larger than {n} and the padding of {p} on both sides")
        sides.append((p, max(0, (count - 1) * s + k - n - p), count))
    padded = np.pad(x, ((0, 0), sides[0][:2], sides[1][:2], (0, 0)), constant_values=fill)
    all_windows = np.lib.stride_tricks.sliding_window_view(padded, size, axis=(1, 2))  # (B, ., ., C, kh, kw)
    cut = all_windows[:, :: stride[0], :: stride[1]][:, : sides[0][2], : sides[1][2]]
    return cut.transpose(0, 1, 2, 4, 5, 3)


def _int8(op: str, **arrays: Array) -> None:
    for name, array in arrays.items():
        if array.dtype != np.int8:
            raise _check.InputError(f"{op}: {name} must be int8, got {array.dtype}")


def _check_channels(op: str, found: int, wanted: int) -> None:
    if found != wanted:
        raise _check.InputError(f"{op}: x must have the {wanted} channels of the weights, got {found}")
