"""Ways up: a kernel that interpolates, channels laid out as pixels, maxima put back where they stood."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from cvlab import _check
from cvlab.ops._size import whole_size
from cvlab.ops.transposed import trans_size, whole_number


def bilinear_size(factor: int) -> tuple[int, int]:
    """Give the kernel and the padding with which a transposed convolution interpolates.

    Args:
        factor: How many times as high and wide the map becomes: the stride.

    Returns:
        Size of the kernel, ``2 * factor - factor % 2``, and padding, (factor - 1) / 2 rounded up.

    Raises:
        InputError: The factor is not whole, or below 1.

    Example:
        >>> [bilinear_size(factor) for factor in (1, 2, 3, 8)]
        [(1, 0), (4, 1), (5, 1), (16, 4)]
    """
    factor = whole_number("bilinear_size", "factor", factor, 1)
    return 2 * factor - factor % 2, factor // 2


def bilinear_kernel(channels: int, size: int, *, depthwise: bool = False, dtype: torch.dtype = torch.float32) -> Tensor:
    """Make the weights with which a transposed convolution interpolates: a tent from each channel to itself.

    Args:
        channels: Of the map, as many in as out.
        size: Side of the kernel, pixels; `bilinear_size` gives it, and the padding, for a stride.
        depthwise: For a layer with ``groups=channels``.
        dtype: Of the weights, floating point.

    Returns:
        (channels, channels, size, size), zero off the diagonal; or (channels, 1, size, size) if depthwise.

    Raises:
        InputError: A number is not whole, or below 1, or the dtype is no float.

    Notes:
        Off the diagonal there must be nothing: a tent from every channel to every other adds up all channels.
        Away from the border the result is that of bilinear interpolation with pixel centres at halves
        (``align_corners=False``). At the border interpolation repeats the last pixel, while here nothing is laid down
        from beyond it.

    Example:
        >>> bilinear_kernel(1, 4)[0, 0]
        tensor([[0.0625, 0.1875, 0.1875, 0.0625],
                [0.1875, 0.5625, 0.5625, 0.1875],
                [0.1875, 0.5625, 0.5625, 0.1875],
                [0.0625, 0.1875, 0.1875, 0.0625]])

    References:
        Long, J., Shelhamer, E. and Darrell, T. (2015). Fully convolutional networks. CVPR. Section 3.3.
    """
    op = "bilinear_kernel"
    channels, size = whole_number(op, "channels", channels, 1), whole_number(op, "size", size, 1)
    if not dtype.is_floating_point:
        raise _check.InputError(f"{op}: dtype must be floating point, got {dtype}")
    away = (torch.arange(size, dtype=torch.float64) - (size - 1) / 2).abs()  # from the middle, pixels
    side = 1 - away / ((size + 1) // 2)
    tent = (side[:, None] * side).to(dtype)
    if depthwise:
        return tent.repeat(channels, 1, 1, 1)
    weight = tent.new_zeros(channels, channels, size, size)
    weight[range(channels), range(channels)] = tent
    return weight


def overlap_counts(size: int, kernel: int, stride: int, padding: int = 0) -> Tensor:
    """Count how many kernels reach each pixel of a transposed convolution's result, along one axis.

    Args:
        size: Pixels of the input.
        kernel: Pixels of the kernel.
        stride: Distance of two kernels.
        padding: Pixels taken away on each side.

    Returns:
        (size',) int64. Away from the edge all are equal if and only if the stride divides the kernel.

    Raises:
        InputError: As `trans_conv_out_size`.

    Example:
        >>> overlap_counts(4, kernel=3, stride=2), overlap_counts(4, kernel=4, stride=2)
        (tensor([1, 1, 2, 1, 2, 1, 2, 1, 1]), tensor([1, 1, 2, 2, 2, 2, 2, 2, 1, 1]))

    References:
        Odena, A., Dumoulin, V. and Olah, C. (2016). Deconvolution and checkerboard artifacts. Distill.
    """
    left = trans_size("overlap_counts", size, kernel, stride, padding)
    reached = (torch.arange(size)[:, None] * stride + torch.arange(kernel)).flatten()
    counts: Tensor = torch.bincount(reached, minlength=left + 2 * padding)
    return counts[padding : padding + left]


def pixel_shuffle(x: Tensor, factor: int) -> Tensor:
    """Lay out groups of channels as squares of pixels.

    Args:
        x: (B, C * factor^2, H, W).
        factor: Side of the squares.

    Returns:
        (B, C, H * factor, W * factor), where channel ``c * factor^2 + i * factor + j`` has become row i and column j of
        each square of channel c, as in PyTorch's ``pixel_shuffle``.

    Raises:
        InputError: The factor's square does not divide the channels.

    Example:
        >>> pixel_shuffle(torch.arange(4).reshape(1, 4, 1, 1), 2)
        tensor([[[[0, 1],
                  [2, 3]]]])

    References:
        Shi et al. (2016). Real-time single image and video super-resolution. CVPR. Section 3.2.
    """
    _check.shape("pixel_shuffle", "x", x, ("B", "C", "H", "W"))
    batch, channels, height, width = x.shape
    _divides("pixel_shuffle", channels, factor)
    fewer = channels // factor**2
    squares = x.reshape(batch, fewer, factor, factor, height, width)  # (B, C, i, j, H, W)
    return squares.permute(0, 1, 4, 2, 5, 3).reshape(batch, fewer, height * factor, width * factor)  # (H, i, W, j)


def pixel_unshuffle(x: Tensor, factor: int) -> Tensor:
    """Gather squares of pixels as channels: the inverse of `pixel_shuffle`.

    Args:
        x: (B, C, H * factor, W * factor).
        factor: Side of the squares.

    Returns:
        (B, C * factor^2, H, W).

    Raises:
        InputError: The factor is no whole number that divides height and width.

    Example:
        >>> pixel_unshuffle(torch.arange(4).reshape(1, 1, 2, 2), 2).flatten()
        tensor([0, 1, 2, 3])
    """
    _check.shape("pixel_unshuffle", "x", x, ("B", "C", "H", "W"))
    batch, channels, height, width = x.shape
    factor = whole_number("pixel_unshuffle", "factor", factor, 1)
    if height % factor or width % factor:
        raise _check.InputError(f"pixel_unshuffle: factor must divide {height} and {width}, got {factor}")
    height, width = height // factor, width // factor
    squares = x.reshape(batch, channels, height, factor, width, factor)  # (B, C, H, i, W, j)
    return squares.permute(0, 1, 3, 5, 2, 4).reshape(batch, channels * factor**2, height, width)  # (C, i, j)


def icnr_(weight: Tensor, factor: int, init: Callable[[Tensor], object] = torch.nn.init.kaiming_normal_) -> Tensor:
    """Start the convolution before a pixel shuffle so that it at first repeats pixels, without a checkerboard.

    All channels that end in one square get the same weights.

    Args:
        weight: (C * factor^2, C_in, kh, kw) float, filled in place.
        factor: Of the pixel shuffle.
        init: Fills a tensor (C, C_in, kh, kw) in place.

    Returns:
        The weight.

    Raises:
        InputError: The factor's square does not divide the channels.

    Notes:
        The convolution's bias must be 0 at the start, or repeated in the same way.

    Example:
        >>> weight = icnr_(torch.empty(8, 3, 1, 1), 2)
        >>> [bool((weight[i] == weight[0]).all()) for i in (1, 2, 3, 4)]
        [True, True, True, False]

    References:
        Aitken et al. (2017). Checkerboard artifact free sub-pixel convolution. Section 2.
    """
    _check.numeric("icnr_", "weight", weight, floating=True)
    _check.shape("icnr_", "weight", weight, ("C", "C_in", "kh", "kw"))
    _divides("icnr_", len(weight), factor)
    with torch.no_grad():
        small = weight.new_empty(len(weight) // factor**2, *weight.shape[1:])
        init(small)
        return weight.copy_(small.repeat_interleave(factor**2, 0))


def max_unpool(x: Tensor, indices: Tensor, size: Sequence[int]) -> Tensor:
    """Put each maximum back to the pixel where it stood; all others are 0.

    Args:
        x: (B, C, h, w), what a max pooling gave.
        indices: (B, C, h, w) int64, where each stood, counted row by row in a channel, as
            PyTorch's ``max_pool2d`` with ``return_indices`` gives them.
        size: (height, width) of the result.

    Returns:
        (B, C, height, width) in the dtype of `x`. Where windows overlap, a pixel that was the maximum of several gets
        it once: values are put, not added up. Should an index come twice with values that differ, one of them is kept.

    Raises:
        InputError: The shapes differ, the size is not two whole numbers, or an index lies outside.

    Example:
        >>> max_unpool(torch.tensor([[[[5.0]]]]), torch.tensor([[[[2]]]]), (2, 2))
        tensor([[[[0., 0.],
                  [5., 0.]]]])

    References:
        Zeiler, M., Taylor, G. and Fergus, R. (2011). Adaptive deconvolutional networks. ICCV.
    """
    op = "max_unpool"
    _check.shape(op, "x", x, ("B", "C", "h", "w"))
    _check.integer(op, "indices", indices)
    _check.shape(op, "indices", indices, tuple(x.shape))
    height, width = whole_size(op, size)
    if _check.readable(indices) and indices.numel():
        low, high = (int(index) for index in indices.aminmax())
        if low < 0 or high >= height * width:
            last = height * width - 1
            raise _check.InputError(f"{op}: indices must lie from 0 to {last}, got {low} to {high}")
    empty = x.new_zeros(*x.shape[:2], height * width)
    return empty.scatter(2, indices.flatten(2).long(), x.flatten(2)).reshape(*x.shape[:2], height, width)


def _divides(op: str, channels: int, factor: int) -> None:
    if channels % whole_number(op, "factor", factor, 1) ** 2:
        raise _check.InputError(f"{op}: the square of factor must divide the {channels} channels, got {factor}")
