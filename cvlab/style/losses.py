"""The losses of style transfer: content, style as a Gram matrix or as moments, and total variation."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from cvlab import _check

NORMALISATIONS = ("chw", "hw", "none")
"""What a Gram matrix is divided by: the number of values of the map, of its places, or nothing."""


def content_loss(maps: Tensor, target: Tensor) -> Tensor:
    """Compute how far a map is from the content's: the mean squared difference, place by place.

    Args:
        maps: (B, C, h, w).
        target: as large.

    Returns:
        A scalar, in float32 where the maps are in half precision, whose squares soon pass the largest number.

    Raises:
        InputError: if the shapes differ.

    Example:
        >>> content_loss(torch.zeros(1, 2, 3, 3), torch.full((1, 2, 3, 3), 2.0))
        tensor(4.)

    References:
        Gatys, L. A., Ecker, A. S. and Bethge, M. (2016). Image style transfer using convolutional neural networks.
        CVPR. Equation 1, but for the factor.
    """
    _same("content_loss", "maps", maps, target)
    return functional.mse_loss(_full(maps), _full(target))


def gram_matrix(maps: Tensor, normalise: str = "chw", mask: Tensor | None = None) -> Tensor:
    """Compute how strongly each two channels of a map are active at the same places.

    Args:
        maps: (B, C, h, w), float. In half precision the matrix is computed and given in float32, because sums over all
            places soon pass 65,504, the largest number of float16.
        normalise: "chw" divides by C h w, "hw" by h w, which makes an entry the mean product over the places, "none"
            by nothing. Papers and programs differ, and style weights with them: by factors of thousands.
        mask: (h, w) in [0, 1], not 0 everywhere, how much each place counts; its sum then stands for h w. None for all
            alike.

    Returns:
        (B, C, C), symmetric and positive semidefinite.

    Raises:
        InputError: if this is no floating-point tensor of four dimensions with at least one place, the normalisation
            is unknown, or the mask is not as large as the maps, is negative somewhere or 0 everywhere.

    Example:
        >>> maps = torch.tensor([[[[1.0, 2.0]], [[3.0, 4.0]]]])  # two channels of 1 x 2
        >>> gram_matrix(maps, "none")
        tensor([[[ 5., 11.],
                 [11., 25.]]])
        >>> gram_matrix(maps, "hw")
        tensor([[[ 2.5000,  5.5000],
                 [ 5.5000, 12.5000]]])

    References:
        Gatys et al. (2016), equation 3.
    """
    _check.choice("gram_matrix", "normalise", normalise, NORMALISATIONS)
    x, share = _places("gram_matrix", maps, mask)
    places = x.shape[2] if mask is None else mask.sum()
    divisor = {"chw": x.shape[1] * places, "hw": places, "none": 1}[normalise]
    with torch.autocast(maps.device.type, enabled=False):
        return _Gram.apply(x if share is None else x * share.sqrt()) / divisor


class _Gram(torch.autograd.Function):
    """The product of (B, C, N) with its transpose; its gradient is one product, where autograd alone takes two."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x @ x.transpose(1, 2)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return (grad + grad.transpose(1, 2)) @ x


def gram_matrix_reference(maps: Tensor, normalise: str = "chw") -> Tensor:
    """Compute the Gram matrix entry by entry; see `gram_matrix`."""
    b, c, h, w = maps.shape
    divisor = {"chw": c * h * w, "hw": h * w, "none": 1}[normalise]
    gram = maps.new_zeros(b, c, c)
    for i in range(c):
        for j in range(c):
            gram[:, i, j] = (maps[:, i] * maps[:, j]).sum((1, 2)) / divisor
    return gram


def style_loss(statistic: Tensor, target: Tensor) -> Tensor:
    """Compute how far a statistic of a map, its Gram matrix for instance, is from the style's.

    Args:
        statistic: (B, C, C), or (B, 2, C) of moments.
        target: as large, or of a batch of one.

    Returns:
        A scalar, the mean squared difference; in float32 where the statistic is in half precision.

    Raises:
        InputError: if the shapes differ.

    Example:
        >>> style_loss(torch.zeros(1, 2, 2), torch.tensor([[[1.0, 0.0], [0.0, 1.0]]]))
        tensor(0.5000)

    References:
        Gatys et al. (2016), equation 4, but for the factor.
    """
    _same("style_loss", "statistic", statistic, target, batch=False)
    return functional.mse_loss(_full(statistic), _full(target).expand_as(statistic))


def channel_moments(maps: Tensor, mask: Tensor | None = None) -> Tensor:
    """Compute the mean and the standard deviation of each channel over the places.

    Two numbers a channel instead of C: cheaper than a Gram matrix, and blind to which channels act together.

    Args:
        maps: (B, C, h, w), float.
        mask: (h, w) in [0, 1], not 0 everywhere, how much each place counts; None for all alike.

    Returns:
        (B, 2, C), means and then deviations; a constant channel has deviation 0 and a gradient of 0.

    Raises:
        InputError: if this is no floating-point tensor of four dimensions with at least one place, or the mask is not
            as large as the maps, is negative somewhere or 0 everywhere.

    Example:
        >>> channel_moments(torch.tensor([[[[1.0, 3.0]], [[5.0, 5.0]]]]))
        tensor([[[2., 5.],
                 [1., 0.]]])

    References:
        Li, Y., Wang, N., Liu, J. and Hou, X. (2017). Demystifying neural style transfer. IJCAI. Section 4.2.
    """
    x, share = _places("channel_moments", maps, mask)
    share = x.new_ones(x.shape[2]) if share is None else share
    share = share / share.sum()
    mean = x @ share  # (B, C)
    variance = (x - mean[..., None]).square() @ share
    constant = variance == 0
    deviation = torch.where(constant, 0, torch.where(constant, 1, variance).sqrt())
    return torch.stack([mean, deviation], 1)


def total_variation(images: Tensor, power: int = 1) -> Tensor:
    """Compute the sum of the differences of neighbouring pixels, below and to the right.

    Args:
        images: (..., H, W), float.
        power: 1 for absolute differences, 2 for squares.

    Returns:
        A scalar, summed over all images and channels. A constant picture has 0; the edge of a step of height 1 has its
        length in pixels, whatever the power. In float32 where the images are in half precision.

    Raises:
        InputError: if the images are not floating point or have fewer than two dimensions, or the power is neither.

    Example:
        >>> step = torch.zeros(1, 4, 6)
        >>> step[..., 3:] = 1  # an edge 4 pixels long
        >>> total_variation(step), total_variation(3 * step, power=2)
        (tensor(4.), tensor(36.))

    References:
        Rudin, L. I., Osher, S. and Fatemi, E. (1992). Nonlinear total variation based noise removal algorithms.
        Physica D. The form with absolute values, direction by direction, is the anisotropic one.
    """
    op = "total_variation"
    _check.numeric(op, "images", images, floating=True)
    if images.dim() < 2:
        raise _check.InputError(f"{op}: images must have shape (..., H, W), got {tuple(images.shape)}")
    if power not in (1, 2):
        raise _check.InputError(f"{op}: power must be 1 or 2, got {power}")
    images = _full(images)
    down, across = images[..., 1:, :] - images[..., :-1, :], images[..., 1:] - images[..., :-1]
    return sum((d.abs() if power == 1 else d.square()).sum() for d in (down, across))


def _places(op: str, maps: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """Give maps as (B, C, h w), at least float32, and the mask as (h w,); refuse what is neither."""
    _check.numeric(op, "maps", maps, floating=True)
    if maps.dim() != 4 or maps.numel() == 0:
        raise _check.InputError(f"{op}: maps must have shape (B, C, h, w), none of them 0, got {tuple(maps.shape)}")
    x = _full(maps).flatten(2)
    if mask is None:
        return x, None
    _check.shape(op, "mask", mask, tuple(maps.shape[2:]))
    if not bool((mask >= 0).all() & (mask > 0).any()):
        raise _check.InputError(f"{op}: mask must lie in [0, 1], and not be 0 everywhere")
    return x, mask.to(x).flatten()


def _full(tensor: Tensor) -> Tensor:
    """Give a tensor in float32 where it is in half precision, for sums and squares."""
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor


def _same(op: str, name: str, value: Tensor, target: Tensor, batch: bool = True) -> None:
    start = 0 if batch else 1
    if value.dim() != target.dim() or value.shape[start:] != target.shape[start:]:
        raise _check.InputError(
            f"{op}: {name} and target must have one shape, got {tuple(value.shape)} and {tuple(target.shape)}"
        )
