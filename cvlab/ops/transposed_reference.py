"""Transposed convolution, clearly: kernels laid down, a transposed matrix, a convolution of a stretched picture."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from cvlab import _check
from cvlab.ops.transposed import Pair, as_pair, check_trans_conv, conv_out_size, whole_number


def trans_conv_reference(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Pair = 1,
    padding: Pair = 0,
    output_padding: Pair = 0,
    groups: int = 1,
    dilation: Pair = 1,
) -> Tensor:
    """Lay down a kernel for each pixel, one after the other; see `trans_conv`, which gives the same.

    Example:
        >>> import torch
        >>> trans_conv_reference(torch.ones(1, 1, 1, 2), torch.ones(1, 1, 1, 3), stride=2)
        tensor([[[[1., 1., 2., 1., 1.]]]])
    """
    op = "trans_conv_reference"
    rows, columns = check_trans_conv(op, x, weight, bias, stride, padding, output_padding, groups, dilation)
    batch, channels, height, width = x.shape
    each = channels // groups, weight.shape[1]  # channels of a group, before and after
    full = x.new_zeros(batch, groups * each[1], rows.full, columns.full)
    reach = [d * (k - 1) + 1 for k, d in zip(weight.shape[2:], (rows.dilation, columns.dilation), strict=True)]
    for i in range(height):
        for j in range(width):
            top, left = i * rows.stride, j * columns.stride
            patch = full[:, :, top : top + reach[0] : rows.dilation, left : left + reach[1] : columns.dilation]
            for c in range(channels):
                group = c // each[0]
                kernel = weight[c]  # (C_out / groups, kh, kw)
                patch[:, group * each[1] : (group + 1) * each[1]] += x[:, c, i, j].reshape(-1, 1, 1, 1) * kernel
    out = full[:, :, rows.kept, columns.kept]  # padding takes the edge away
    return out if bias is None else out + bias[:, None, None]


def conv_matrix(
    weight: Tensor,
    size: Pair,
    stride: Pair = 1,
    padding: Pair = 0,
    dilation: Pair = 1,
    groups: int = 1,
) -> Tensor:
    """Write a convolution as a matrix: a row for each output pixel, a column for each input pixel.

    Args:
        weight: (C_out, C_in / groups, kh, kw), as `torch.nn.Conv2d` has it.
        size: (height, width) of the input, or one number for both.
        stride: Of the convolution.
        padding: Zeros on each side of the input.
        dilation: Distance of the kernel's pixels.
        groups: Parts of the channels that know nothing of each other.

    Returns:
        (C_out * H' * W', C_in * H * W) in the dtype of `weight`; pixels are counted row by row within a channel.

    Raises:
        InputError: The groups do not divide the channels, a number is not whole or out of range, or the kernel does not
            fit.

    Example:
        >>> import torch
        >>> conv_matrix(torch.tensor([[[[1.0, 2.0]]]]), (1, 4), stride=(1, 2))
        tensor([[1., 2., 0., 0.],
                [0., 0., 1., 2.]])
    """
    op = "conv_matrix"
    _check.numeric(op, "weight", weight)
    _check.shape(op, "weight", weight, ("C_out", "C_in / groups", "kh", "kw"))
    outputs, each, *kernel = weight.shape
    if outputs % whole_number(op, "groups", groups, 1):
        raise _check.InputError(f"{op}: groups must divide the {outputs} output channels, got {groups}")
    size = as_pair(op, "size", size, 1)
    steps, pads = as_pair(op, "stride", stride, 1), as_pair(op, "padding", padding, 0)
    gaps = as_pair(op, "dilation", dilation, 1)
    h, w = (conv_out_size(n, k, s, p, d) for n, k, s, p, d in zip(size, kernel, steps, pads, gaps, strict=True))
    matrix = weight.new_zeros(outputs, h, w, each * groups, *size)
    for o in range(outputs):
        first = o // (outputs // groups) * each  # the first input channel of this output's group
        for i in range(h):
            for j in range(w):
                for u in range(kernel[0]):
                    for v in range(kernel[1]):
                        y, x = i * steps[0] - pads[0] + u * gaps[0], j * steps[1] - pads[1] + v * gaps[1]
                        if 0 <= y < size[0] and 0 <= x < size[1]:
                            matrix[o, i, j, first : first + each, y, x] = weight[o, :, u, v]
    return matrix.reshape(outputs * h * w, -1)


def trans_conv_as_matrix(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Pair = 1,
    padding: Pair = 0,
    output_padding: Pair = 0,
    groups: int = 1,
    dilation: Pair = 1,
) -> Tensor:
    """Multiply the pixels by the transpose of a convolution's matrix; see `trans_conv`, which gives the same.

    The convolution is that which leads from the result's size back to that of `x`.

    Example:
        >>> import torch
        >>> trans_conv_as_matrix(torch.ones(1, 1, 1, 2), torch.ones(1, 1, 1, 3), stride=2)
        tensor([[[[1., 1., 2., 1., 1.]]]])
    """
    op = "trans_conv_as_matrix"
    rows, columns = check_trans_conv(op, x, weight, bias, stride, padding, output_padding, groups, dilation)
    batch, channels, height, width = x.shape
    outputs = weight.shape[1] * groups
    matrix = conv_matrix(weight, (rows.size, columns.size), stride, padding, dilation, groups)  # C_out to C_in channels
    h, w = (
        conv_out_size(a.size, k, a.stride, a.padding, a.dilation)
        for a, k in zip((rows, columns), weight.shape[2:], strict=True)
    )  # more than x has where the output padding is a stride or more
    matrix = matrix.reshape(channels, h, w, outputs * rows.size * columns.size)[:, :height, :width]
    out = (x.flatten(1) @ matrix.flatten(0, 2)).reshape(batch, outputs, rows.size, columns.size)
    return out if bias is None else out + bias[:, None, None]


def insert_zeros(x: Tensor, stride: Pair) -> Tensor:
    """Put stride - 1 zeros between neighbouring pixels.

    Args:
        x: (..., H, W), of any dtype.
        stride: One number, or (rows, columns).

    Returns:
        (..., (H - 1) * stride + 1, (W - 1) * stride + 1).

    Raises:
        InputError: The stride is not one or two whole numbers of at least 1, or there are no pixels.

    Example:
        >>> import torch
        >>> insert_zeros(torch.tensor([[1, 2]]), 3)
        tensor([[1, 0, 0, 2]])
    """
    op = "insert_zeros"
    down, right = as_pair(op, "stride", stride, 1)
    _check.shape(op, "x", x, ("...", "H", "W"))
    h, w = x.shape[-2:]
    if h == 0 or w == 0:
        raise _check.InputError(f"{op}: x must have no side of length 0, got {tuple(x.shape)}")
    wide = x.new_zeros(*x.shape[:-2], (h - 1) * down + 1, (w - 1) * right + 1)
    wide[..., ::down, ::right] = x
    return wide


def trans_conv_as_conv(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Pair = 1,
    padding: Pair = 0,
    output_padding: Pair = 0,
    groups: int = 1,
    dilation: Pair = 1,
) -> Tensor:
    """Convolve the stretched picture with the turned kernel; see `trans_conv`, which gives the same.

    Example:
        >>> import torch
        >>> trans_conv_as_conv(torch.ones(1, 1, 1, 2), torch.ones(1, 1, 1, 3), stride=2)
        tensor([[[[1., 1., 2., 1., 1.]]]])
    """
    op = "trans_conv_as_conv"
    rows, columns = check_trans_conv(op, x, weight, bias, stride, padding, output_padding, groups, dilation)
    stretched = insert_zeros(x, stride)
    rims = []
    for axis, kernel in ((columns, weight.shape[3]), (rows, weight.shape[2])):
        rim = axis.dilation * (kernel - 1) - axis.padding  # below 0 where the padding is larger: cut off
        rims += [rim, rim + axis.output_padding]
    wide = functional.pad(stretched, rims)
    turned = weight.flip(2, 3)
    parts = turned.reshape(groups, -1, *weight.shape[1:]).transpose(1, 2)  # (G, C_out / G, C_in / G, kh, kw)
    return functional.conv2d(wide, parts.flatten(0, 1), bias, dilation=(rows.dilation, columns.dilation), groups=groups)
