"""Ways up: a kernel that interpolates, channels laid out as pixels, maxima put back where they stood."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from cvlab import _check
from cvlab.ops.transposed import trans_conv_out_size


def bilinear_kernel(channels: int, size: int, *, depthwise: bool = False, dtype: torch.dtype = torch.float32) -> Tensor:
    """Make the weights with which a transposed convolution interpolates: a tent from each channel to itself.

    Args:
        channels: Of the map, as many in as out.
        size: Side of the kernel, pixels. For a stride s it is ``2 * s - s % 2``, with padding ``(size - s) / 2``.
        depthwise: For a layer with ``groups=channels``.
        dtype: Of the weights.

    Returns:
        (channels, channels, size, size), zero off the diagonal; or (channels, 1, size, size) if depthwise.

    Raises:
        InputError: A number is not whole, or below 1.

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
    for name, value in (("channels", channels), ("size", size)):
        if not isinstance(value, int) or value < 1:
            raise _check.InputError(f"bilinear_kernel: {name} must be a whole number of at least 1, got {value!r}")
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
    left = trans_conv_out_size(size, kernel, stride, padding)
    reached = (torch.arange(size)[:, None] * stride + torch.arange(kernel)).flatten()
    counts: Tensor = torch.bincount(reached, minlength=left + 2 * padding)
    return counts[padding : padding + left]


def spectrum(picture: Tensor) -> Tensor:
    """Compute how much of each frequency is in a picture.

    Args:
        picture: (H, W) float.

    Returns:
        (H, W), the logarithm of 1 plus the magnitude of the Fourier transform of the picture less its mean; frequency
        0 in the middle, the highest at the edges.

    Raises:
        InputError: It is no matrix of floats.

    Example:
        >>> stripes = torch.tensor([0.0, 1.0]).repeat(4, 4)  # the highest frequency there is along the rows
        >>> divmod(int(spectrum(stripes).argmax()), 8)
        (2, 0)
    """
    _check.numeric("spectrum", "picture", picture, floating=True)
    _check.shape("spectrum", "picture", picture, ("H", "W"))
    waves: Tensor = torch.fft.fftshift(torch.fft.fft2(picture - picture.mean()))
    return waves.abs().log1p()


def pixel_shuffle(x: Tensor, factor: int) -> Tensor:
    """Lay out groups of channels as squares of pixels.

    Args:
        x: (B, C * factor^2, H, W).
        factor: Side of the squares.

    Returns:
        (B, C, H * factor, W * factor): channel ``c * factor^2 + i * factor + j`` becomes row i and column j of each
        square of channel c.

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
    squares = x.reshape(batch, channels // factor**2, factor, factor, height, width)  # (B, C, i, j, H, W)
    return squares.permute(0, 1, 4, 2, 5, 3).reshape(batch, -1, height * factor, width * factor)  # H with i, W with j


def pixel_unshuffle(x: Tensor, factor: int) -> Tensor:
    """Gather squares of pixels as channels: the inverse of `pixel_shuffle`.

    Args:
        x: (B, C, H * factor, W * factor).
        factor: Side of the squares.

    Returns:
        (B, C * factor^2, H, W).

    Raises:
        InputError: The factor does not divide height and width.

    Example:
        >>> pixel_unshuffle(torch.arange(4).reshape(1, 1, 2, 2), 2).flatten()
        tensor([0, 1, 2, 3])
    """
    _check.shape("pixel_unshuffle", "x", x, ("B", "C", "H", "W"))
    batch, channels, height, width = x.shape
    if factor < 1 or height % factor or width % factor:
        raise _check.InputError(f"pixel_unshuffle: factor must divide {height} and {width}, got {factor}")
    squares = x.reshape(batch, channels, height // factor, factor, width // factor, factor)  # (B, C, H, i, W, j)
    return squares.permute(0, 1, 3, 5, 2, 4).reshape(batch, -1, height // factor, width // factor)


def icnr_(weight: Tensor, factor: int, init: Callable[[Tensor], Tensor] = torch.nn.init.kaiming_normal_) -> Tensor:
    """Start the convolution before a pixel shuffle so that it at first repeats pixels, without a checkerboard.

    All channels that end in one square get the same weights.

    Args:
        weight: (C * factor^2, C_in, kh, kw), filled in place.
        factor: Of the pixel shuffle.
        init: Fills a tensor (C, C_in, kh, kw) in place.

    Returns:
        The weight.

    Raises:
        InputError: The factor's square does not divide the channels.

    Example:
        >>> weight = icnr_(torch.empty(8, 3, 1, 1), 2)
        >>> [bool((weight[i] == weight[0]).all()) for i in (1, 2, 3, 4)]
        [True, True, True, False]

    References:
        Aitken et al. (2017). Checkerboard artifact free sub-pixel convolution. Section 2.
    """
    _check.shape("icnr_", "weight", weight, ("C", "C_in", "kh", "kw"))
    _divides("icnr_", len(weight), factor)
    with torch.no_grad():
        small = init(weight.new_empty(len(weight) // factor**2, *weight.shape[1:]))
        return weight.copy_(small.repeat_interleave(factor**2, 0))


def max_unpool(x: Tensor, indices: Tensor, size: tuple[int, int]) -> Tensor:
    """Put each maximum back to the pixel where it stood; all others are 0.

    Args:
        x: (B, C, h, w), what a max pooling gave.
        indices: (B, C, h, w) int64, where each stood, counted row by row in a channel, as
            ``torch.nn.functional.max_pool2d(..., return_indices=True)`` gives them.
        size: (height, width) of the result.

    Returns:
        (B, C, height, width). Where windows overlap, a pixel that was the maximum of several gets it once.

    Raises:
        InputError: The shapes differ, or an index lies outside.

    Example:
        >>> max_unpool(torch.tensor([[[[5.0]]]]), torch.tensor([[[[2]]]]), (2, 2))
        tensor([[[[0., 0.],
                  [5., 0.]]]])

    References:
        Zeiler, M., Taylor, G. and Fergus, R. (2011). Adaptive deconvolutional networks. ICCV.
    """
    _check.shape("max_unpool", "x", x, ("B", "C", "h", "w"))
    _check.integer("max_unpool", "indices", indices)
    _check.shape("max_unpool", "indices", indices, tuple(x.shape))
    height, width = size
    if indices.numel() and not 0 <= int(indices.min()) <= int(indices.max()) < height * width:
        low, high = int(indices.min()), int(indices.max())
        last = height * width - 1
        raise _check.InputError(f"max_unpool: indices must lie from 0 to {last}, got {low} to {high}")
    empty = x.new_zeros(*x.shape[:2], height * width)
    return empty.scatter(2, indices.flatten(2), x.flatten(2)).reshape(*x.shape[:2], height, width)


def _divides(op: str, channels: int, factor: int) -> None:
    if not isinstance(factor, int) or factor < 1 or channels % factor**2:
        raise _check.InputError(f"{op}: factor must be a whole number whose square divides {channels}, got {factor!r}")
