"""Keep the content's colours: take over the strokes and not the paint."""

from __future__ import annotations

import torch
from torch import Tensor

from cvlab import _check

_LUMA = (0.299, 0.587, 0.114)


def luminance(picture: Tensor) -> Tensor:
    """Compute the brightness of the pixels, Y of ITU-R BT.601.

    Args:
        picture: (..., 3, H, W) RGB.

    Returns:
        (..., 1, H, W).

    Example:
        >>> luminance(torch.tensor([1.0, 0.0, 0.0]).reshape(3, 1, 1)).item()  # red
        0.29899999499320984
    """
    weights = picture.new_tensor(_LUMA)[:, None, None]
    return (picture * weights).sum(-3, keepdim=True)


def with_colours_of(picture: Tensor, content: Tensor) -> Tensor:
    """Give a picture the colours of another, pixel by pixel: only its brightness stays.

    Args:
        picture: (3, H, W) in [0, 1].
        content: as large.

    Returns:
        (3, H, W) in [0, 1]; where brightness and colour cannot go together, the nearest values that can.

    Raises:
        InputError: if the sizes differ.

    References:
        Gatys, L. A., Bethge, M., Hertzmann, A. and Shechtman, E. (2016). Preserving color in neural artistic style
        transfer. Section 4, luminance-only transfer.
    """
    if picture.shape != content.shape:
        raise _check.InputError(
            f"with_colours_of: both pictures must have one size, got {tuple(picture.shape)} and {tuple(content.shape)}"
        )
    return (content + luminance(picture) - luminance(content)).clamp(0, 1)


def match_colours(picture: Tensor, target: Tensor) -> Tensor:
    """Change a picture's colours so that their mean and covariance are those of another picture.

    Args:
        picture: (3, H, W) in [0, 1], usually the style.
        target: (3, H', W') in [0, 1], usually the content.

    Returns:
        (3, H, W), cut to [0, 1].

    Raises:
        InputError: if either is no RGB picture.

    References:
        Gatys et al. (2016), Preserving color in neural artistic style transfer, section 3, with the symmetric root of
        the covariance.
    """
    _check.shape("match_colours", "picture", picture, (3, "H", "W"))
    _check.shape("match_colours", "target", target, (3, "H", "W"))
    mean, root = _spread(picture)
    wanted, wanted_root = _spread(target)
    change = wanted_root @ torch.linalg.inv(root)
    pixels = picture.flatten(1).double()
    return (wanted + change @ (pixels - mean)).clamp(0, 1).to(picture.dtype).reshape(picture.shape)


def _spread(picture: Tensor) -> tuple[Tensor, Tensor]:
    """Give the mean (3, 1) and the symmetric root (3, 3) of the covariance of the colours, in float64."""
    pixels = picture.flatten(1).double()
    covariance = torch.cov(pixels, correction=0) + 1e-6 * torch.eye(3, dtype=torch.float64, device=picture.device)
    values, vectors = torch.linalg.eigh(covariance)
    return pixels.mean(1, keepdim=True), vectors * values.sqrt() @ vectors.T
