"""Transposed convolution: each pixel lays down a kernel, multiplied by its value, and what overlaps is added.

Here are the fast form and the arithmetic of sizes; `cvlab.ops.transposed_reference` has the forms that explain it.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional

from cvlab import _check

Pair = int | Sequence[int]


def conv_out_size(size: int, kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1) -> int:
    """Compute how many pixels a convolution gives along one axis.

    The kernel spans ``dilation * (kernel - 1) + 1`` pixels and takes steps of `stride` while it fits into
    ``size + 2 * padding`` pixels. So it finds ``(size + 2 * padding - span) // stride + 1`` places, and what is left
    of the division is dropped.

    Args:
        size: Pixels of the input, at least 1.
        kernel: Pixels of the kernel.
        stride: Step of the kernel.
        padding: Pixels added on each side.
        dilation: Distance of the kernel's pixels.

    Raises:
        InputError: A number is not whole or too small, or the kernel does not fit.

    Example:
        >>> [conv_out_size(n, kernel=3, stride=2, padding=1) for n in (7, 8, 9)]
        [4, 4, 5]

    References:
        Dumoulin, V. and Visin, F. (2016). A guide to convolution arithmetic for deep learning. Relationship 6.
    """
    return _conv_size("conv_out_size", size, kernel, stride, padding, dilation)


def trans_conv_out_size(
    size: int, kernel: int, stride: int = 1, padding: int = 0, output_padding: int = 0, dilation: int = 1
) -> int:
    """Compute how many pixels a transposed convolution gives along one axis.

    The last kernel is laid down ``(size - 1) * stride`` pixels after the first, and spans
    ``dilation * (kernel - 1) + 1``. Padding takes pixels away on each side, output padding adds some at the end: all in
    all ``(size - 1) * stride + dilation * (kernel - 1) + 1 - 2 * padding + output_padding``.

    Args:
        size: Pixels of the input, at least 1.
        kernel: Pixels of the kernel.
        stride: Distance of two kernels.
        padding: Pixels taken away on each side.
        output_padding: Pixels added at the end, fewer than the stride or the dilation.
        dilation: Distance of the kernel's pixels.

    Raises:
        InputError: A number is not whole or out of range, or nothing is left.

    Example:
        >>> trans_conv_out_size(4, kernel=3, stride=2, padding=1), trans_conv_out_size(4, 3, 2, 1, output_padding=1)
        (7, 8)

    References:
        Dumoulin, V. and Visin, F. (2016). A guide to convolution arithmetic for deep learning. Relationship 14.
    """
    return trans_size("trans_conv_out_size", size, kernel, stride, padding, output_padding, dilation)


def output_padding_for(size: int, kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1) -> int:
    """Find the output padding with which a transposed convolution gives the size that a convolution began with.

    A convolution divides by its stride and drops the rest, so up to `stride` sizes lead to the same one. Without output
    padding the way back leads to the smallest of them.

    Args:
        size: Pixels of the convolution's input.
        kernel: Of both, pixels.
        stride: Of both.
        padding: Of both.
        dilation: Of both.

    Returns:
        The rest that the convolution's division has dropped, from 0 to stride - 1.

    Raises:
        InputError: As `conv_out_size`.

    Example:
        >>> [output_padding_for(n, kernel=3, stride=2, padding=1) for n in (7, 8)]
        [0, 1]
    """
    down = _conv_size("output_padding_for", size, kernel, stride, padding, dilation)
    return int(size + 2 * padding - dilation * (kernel - 1) - 1 - (down - 1) * stride)


def trans_conv(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Pair = 1,
    padding: Pair = 0,
    output_padding: Pair = 0,
    groups: int = 1,
    dilation: Pair = 1,
) -> Tensor:
    """Compute a transposed convolution: one matrix product makes what every pixel lays down, then it is added up.

    Args:
        x: (B, C_in, H, W) float.
        weight: (C_in, C_out / groups, kh, kw), the kernel that each channel lays down in each of its group's outputs.
        bias: (C_out,), added to every pixel of a channel.
        stride: Distance of the kernels of neighbouring pixels: one number, or (rows, columns).
        padding: Rows and columns taken away on each side of the result.
        output_padding: Rows added below and columns at the right.
        groups: Parts of the channels that know nothing of each other.
        dilation: Distance of the kernel's pixels.

    Returns:
        (B, C_out, H', W') in the dtype of `x`, sizes as `trans_conv_out_size` gives them.

    Raises:
        InputError: Shapes or dtypes do not fit each other, a number is out of range, or no pixel is left.

    Notes:
        Signature and meaning are those of PyTorch's ``conv_transpose2d``, which takes (C_in, H, W) too.

    Example:
        >>> import torch
        >>> x = torch.tensor([[[[1.0, 10.0]]]])
        >>> trans_conv(x, torch.tensor([[[[1.0, 2.0, 3.0]]]]), stride=2)  # 1 2 3 and 10 20 30 overlap in one pixel
        tensor([[[[ 1.,  2., 13., 20., 30.]]]])

    References:
        Dumoulin, V. and Visin, F. (2016). A guide to convolution arithmetic for deep learning. Chapter 4.
    """
    rows, columns = check_trans_conv("trans_conv", x, weight, bias, stride, padding, output_padding, groups, dilation)
    if rows.beyond or columns.beyond:
        x = functional.pad(x, (0, columns.beyond, 0, rows.beyond))  # pixels of 0 lay down nothing
    batch, channels, height, width = x.shape
    pixels = x.reshape(batch, groups, channels // groups, height * width)
    kernels = weight.reshape(groups, channels // groups, -1)  # (G, C_in / G, C_out / G * kh * kw)
    laid = (kernels.transpose(1, 2) @ pixels).flatten(1, 2)  # (B, C_out * kh * kw, H * W)
    out = functional.fold(  # puts what each pixel lays down in its place, and adds up what overlaps
        laid,
        output_size=(rows.size, columns.size),
        kernel_size=weight.shape[2:],
        stride=(rows.stride, columns.stride),
        padding=(rows.padding, columns.padding),
        dilation=(rows.dilation, columns.dilation),
    )
    return out if bias is None else out + bias[:, None, None]


class Axis:
    """Where kernels lie along one axis.

    Args:
        op: The operation, for messages.
        size: Pixels of the input.
        kernel: Pixels of the kernel.
        stride: Distance of two kernels.
        padding: Pixels taken away on each side.
        output_padding: Pixels added at the end.
        dilation: Distance of the kernel's pixels.

    Attributes:
        size: Pixels of the result.
        full: Pixels that the kernels span, with those that the output padding adds beyond them.
        kept: Those of them that are the result.
        beyond: Pixels of 0 to append to the input, for an output padding of a stride or more.
    """

    def __init__(
        self, op: str, size: int, kernel: int, stride: int, padding: int, output_padding: int, dilation: int
    ) -> None:
        self.size = trans_size(op, size, kernel, stride, padding, output_padding, dilation)
        self.stride, self.padding, self.output_padding, self.dilation = stride, padding, output_padding, dilation
        self.full = max((size - 1) * stride + dilation * (kernel - 1) + 1, padding + self.size)
        self.kept = slice(padding, padding + self.size)
        self.beyond = output_padding // stride


def check_trans_conv(
    op: str,
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Pair,
    padding: Pair,
    output_padding: Pair,
    groups: int,
    dilation: Pair,
) -> tuple[Axis, Axis]:
    """Refuse what is no transposed convolution, and say where kernels lie along rows and columns."""
    _check.numeric(op, "x", x, floating=True)
    _check.shape(op, "x", x, ("B", "C", "H", "W"))
    _some(op, "x", x, 1)
    _check.shape(op, "weight", weight, (x.shape[1], "C_out / groups", "kh", "kw"))
    _some(op, "weight", weight, 0)
    if x.shape[1] % whole_number(op, "groups", groups, 1):
        raise _check.InputError(f"{op}: groups must divide the {x.shape[1]} channels, got {groups}")
    if bias is not None:
        _check.shape(op, "bias", bias, (weight.shape[1] * groups,))
    for name, other in (("weight", weight), ("bias", bias)):
        if other is not None and other.dtype != x.dtype:
            raise _check.InputError(f"{op}: {name} must be {x.dtype}, as x is, got {other.dtype}")
    pairs = [
        as_pair(op, "stride", stride, 1),
        as_pair(op, "padding", padding, 0),
        as_pair(op, "output_padding", output_padding, 0),
        as_pair(op, "dilation", dilation, 1),
    ]
    rows, columns = (Axis(op, x.shape[2 + i], weight.shape[2 + i], *(pair[i] for pair in pairs)) for i in range(2))
    return rows, columns


def as_pair(op: str, name: str, value: Pair, least: int) -> tuple[int, int]:
    """Give one number for rows and one for columns, or say what is wrong with them."""
    if not isinstance(value, Sequence):
        number = whole_number(op, name, value, least)
        return number, number
    if isinstance(value, str) or len(value) != 2:
        raise _check.InputError(f"{op}: {name} must be one number or two, got {value!r}")
    first, second = (whole_number(op, f"{name}[{i}]", number, least) for i, number in enumerate(value))
    return first, second


def whole_number(op: str, name: str, value: int, least: int) -> int:
    """Refuse what is not a whole number of at least so much, and give it as Python's."""
    try:
        number = operator.index(value)
    except TypeError:
        number = least - 1
    if number < least or isinstance(value, bool):
        raise _check.InputError(f"{op}: {name} must be a whole number of at least {least}, got {value!r}")
    return number


def _some(op: str, name: str, value: Tensor, first: int) -> None:
    if 0 in value.shape[first:]:
        raise _check.InputError(f"{op}: {name} must have no side of length 0, got {tuple(value.shape)}")


def _conv_size(op: str, size: int, kernel: int, stride: int, padding: int, dilation: int) -> int:
    ones = (("size", size), ("kernel", kernel), ("stride", stride), ("dilation", dilation))
    size, kernel, stride, dilation = (whole_number(op, name, value, 1) for name, value in ones)
    padding = whole_number(op, "padding", padding, 0)
    span = dilation * (kernel - 1) + 1
    if span > size + 2 * padding:
        raise _check.InputError(f"{op}: the kernel spans {span} pixels, more than {size} and twice padding {padding}")
    return (size + 2 * padding - span) // stride + 1


def trans_size(
    op: str, size: int, kernel: int, stride: int, padding: int, output_padding: int = 0, dilation: int = 1
) -> int:
    """Give what `trans_conv_out_size` gives, with the name of the operation `op` in messages."""
    ones = (("size", size), ("kernel", kernel), ("stride", stride), ("dilation", dilation))
    size, kernel, stride, dilation = (whole_number(op, name, value, 1) for name, value in ones)
    padding = whole_number(op, "padding", padding, 0)
    output_padding = whole_number(op, "output_padding", output_padding, 0)
    if output_padding >= max(stride, dilation):
        raise _check.InputError(
            f"{op}: output_padding must be smaller than the stride or the dilation, got {output_padding} with stride "
            f"{stride} and dilation {dilation}"
        )
    full = (size - 1) * stride + dilation * (kernel - 1) + 1 + output_padding
    if full <= 2 * padding:
        raise _check.InputError(f"{op}: padding {padding} leaves nothing of {full} pixels")
    return full - 2 * padding
