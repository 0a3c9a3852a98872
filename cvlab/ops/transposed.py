"""Transposed convolution: each pixel lays down a kernel, multiplied by its value, and what overlaps is added."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional

from cvlab import _check

Pair = int | Sequence[int]


def conv_out_size(size: int, kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1) -> int:
    """Compute how many pixels a convolution gives along one axis.

    The kernel spans ``dilation * (kernel - 1) + 1`` pixels and takes steps of `stride` while it fits into
    ``size + 2 * padding`` pixels.

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
    op = "conv_out_size"
    _whole(op, {"size": size, "kernel": kernel, "stride": stride, "dilation": dilation}, 1)
    _whole(op, {"padding": padding}, 0)
    room = size + 2 * padding - dilation * (kernel - 1) - 1
    if room < 0:
        span = dilation * (kernel - 1) + 1
        raise _check.InputError(f"{op}: the kernel spans {span} pixels, more than {size} and padding {padding}")
    return room // stride + 1


def trans_conv_out_size(
    size: int, kernel: int, stride: int = 1, padding: int = 0, output_padding: int = 0, dilation: int = 1
) -> int:
    """Compute how many pixels a transposed convolution gives along one axis.

    The last kernel is laid down ``(size - 1) * stride`` pixels after the first; padding takes pixels away on each side,
    output padding adds some at the end.

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
    op = "trans_conv_out_size"
    _whole(op, {"size": size, "kernel": kernel, "stride": stride, "dilation": dilation}, 1)
    _whole(op, {"padding": padding, "output_padding": output_padding}, 0)
    if output_padding >= max(stride, dilation):
        raise _check.InputError(
            f"{op}: output_padding must be smaller than the stride or the dilation, got {output_padding} with stride "
            f"{stride} and dilation {dilation}"
        )
    result = (size - 1) * stride - 2 * padding + dilation * (kernel - 1) + 1 + output_padding
    if result < 1:
        raise _check.InputError(f"{op}: padding {padding} leaves nothing of {result + 2 * padding} pixels")
    return result


def output_padding_for(size: int, kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1) -> int:
    """Find the output padding with which a transposed convolution gives the size that a convolution began with.

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
    down = conv_out_size(size, kernel, stride, padding, dilation)
    return size + 2 * padding - dilation * (kernel - 1) - 1 - (down - 1) * stride


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
        InputError: Shapes do not fit each other, or a number is out of range.

    Notes:
        Signature and meaning are those of ``torch.nn.functional.conv_transpose2d``.

    Example:
        >>> import torch
        >>> x = torch.tensor([[[[1.0, 10.0]]]])
        >>> trans_conv(x, torch.tensor([[[[1.0, 2.0, 3.0]]]]), stride=2)  # 1 2 3 and 10 20 30 overlap in one pixel
        tensor([[[[ 1.,  2., 13., 20., 30.]]]])

    References:
        Dumoulin, V. and Visin, F. (2016). A guide to convolution arithmetic for deep learning. Chapter 4.
    """
    places = check_trans_conv("trans_conv", x, weight, bias, stride, padding, output_padding, groups, dilation)
    rows, columns = places
    batch, channels, height, width = x.shape
    pixels = x.reshape(batch, groups, channels // groups, height * width)
    kernels = weight.reshape(groups, channels // groups, -1)  # (G, C_in / G, C_out / G * kh * kw)
    laid = kernels.transpose(1, 2) @ pixels  # (B, G, C_out / G * kh * kw, H * W)
    laid = laid.flatten(1, 2)  # (B, C_out * kh * kw, H * W)
    steps = {"dilation": (rows.dilation, columns.dilation), "stride": (rows.stride, columns.stride)}
    full = functional.fold(laid, (rows.full, columns.full), weight.shape[2:], **steps)  # adds up what overlaps
    full = functional.pad(full, (0, columns.missing, 0, rows.missing))
    out = full[:, :, rows.kept, columns.kept]
    return out if bias is None else out + bias[:, None, None]


class Axis:
    """Where kernels lie along one axis.

    Args:
        size: Pixels of the input.
        kernel: Pixels of the kernel.
        stride: Distance of two kernels.
        padding: Pixels taken away on each side.
        output_padding: Pixels added at the end.
        dilation: Distance of the kernel's pixels.

    Attributes:
        full: Pixels between the first and the last that a kernel reaches.
        kept: Those of them that are the result.
        missing: How many the output padding adds beyond them.
    """

    def __init__(self, size: int, kernel: int, stride: int, padding: int, output_padding: int, dilation: int) -> None:
        left = trans_conv_out_size(size, kernel, stride, padding, output_padding, dilation)
        self.stride, self.dilation, self.output_padding = stride, dilation, output_padding
        self.full = (size - 1) * stride + dilation * (kernel - 1) + 1
        self.kept = slice(padding, padding + left)
        self.missing = max(padding + left - self.full, 0)


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
    _check.numeric(op, "weight", weight, floating=True)
    _check.shape(op, "weight", weight, (x.shape[1], "C_out / groups", "kh", "kw"))
    _whole(op, {"groups": groups}, 1)
    if x.shape[1] % groups:
        raise _check.InputError(f"{op}: groups must divide the {x.shape[1]} channels, got {groups}")
    if bias is not None:
        _check.shape(op, "bias", bias, (weight.shape[1] * groups,))
    words = {"stride": stride, "padding": padding, "output_padding": output_padding, "dilation": dilation}
    pairs = {name: as_pair(op, name, value) for name, value in words.items()}
    rows, columns = (Axis(x.shape[2 + i], weight.shape[2 + i], *(pairs[name][i] for name in words)) for i in range(2))
    return rows, columns


def as_pair(op: str, name: str, value: Pair, least: int = 0) -> tuple[int, int]:
    """Give one number for rows and one for columns, or say what is wrong with them."""
    pair = (value, value) if isinstance(value, int) else tuple(value)
    if len(pair) != 2:
        raise _check.InputError(f"{op}: {name} must be one number or two, got {value!r}")
    _whole(op, {f"{name}[{i}]": number for i, number in enumerate(pair)}, least)
    return pair


def _whole(op: str, numbers: dict[str, int], least: int) -> None:
    for name, value in numbers.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise _check.InputError(f"{op}: {name} must be a whole number of at least {least}, got {value!r}")
