"""Changes of colour as affine maps of RGB, so that a chain of them is one map, and one pass over the picture.

A map is a (3, 4) matrix `[A | b]`: a colour `c` in [0, 1] becomes `A c + b`. Brightness, contrast, saturation and hue
all have this form, if the hue is turned around the grey axis of the RGB cube and not in HSV.

References:
    Haeberli, P. (1993). Matrix operations for image processing. Grafica Obscura. (The idea of one matrix for all.)
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from cvlab import _check

LUMA = torch.tensor([0.2989, 0.587, 0.114], dtype=torch.float64)
"""How much red, green and blue count for the grey value (ITU-R BT.601, rounded as torchvision has them)."""

_SAME = torch.eye(3, dtype=torch.float64)
_ALONG = torch.full((3, 3), 1 / 3, dtype=torch.float64)  # onto the grey axis
_ACROSS = torch.tensor([[0, -1, 1], [1, 0, -1], [-1, 1, 0]], dtype=torch.float64) / math.sqrt(3)  # a quarter around it


def _affine(matrix: Tensor, shift: Tensor | None = None) -> Tensor:
    shift = torch.zeros(3, dtype=torch.float64) if shift is None else shift
    return torch.cat([matrix, shift[:, None]], dim=1)  # (3, 4)


def _factor(name: str, value: float) -> float:
    _check.positive(name, "factor", [value], zero=True)
    return float(value)


def brightness(factor: float) -> Tensor:
    """Make the map that multiplies all colours: 0 is black, 1 changes nothing; (3, 4) float64.

    Raises:
        InputError: if the factor is not finite and at least 0.
    """
    return _affine(_factor("brightness", factor) * _SAME)


def contrast(factor: float, mean: float) -> Tensor:
    """Make the map that moves all colours away from the mean grey value: 0 is that grey everywhere; (3, 4) float64.

    Args:
        factor: at least 0; 1 changes nothing.
        mean: the picture's mean grey value in [0, 1], by `LUMA`.

    Raises:
        InputError: if the factor is not finite and at least 0, or the mean is not finite.
    """
    _check.number("contrast", "mean", mean)
    f = _factor("contrast", factor)
    return _affine(f * _SAME, torch.full((3,), (1 - f) * mean, dtype=torch.float64))


def saturation(factor: float) -> Tensor:
    """Make the map that moves each colour away from its own grey value: 0 is a grey picture; (3, 4) float64.

    Raises:
        InputError: if the factor is not finite and at least 0.
    """
    f = _factor("saturation", factor)
    return _affine(f * _SAME + (1 - f) * LUMA.expand(3, 3))


def hue(turns: float) -> Tensor:
    """Make the map that turns colours around the grey axis of the RGB cube: 1/3 brings red to green; (3, 4) float64.

    Args:
        turns: the angle, 1 for a full turn.

    Notes:
        torchvision and Pillow turn in HSV instead, on a hexagon, which keeps the largest and the smallest channel. Here
        the turn is round, and keeps the sum of the channels. Both agree at thirds of a turn and differ in between;
        some bright colours leave [0, 1] here and are cut off there.

    Raises:
        InputError: if `turns` is not finite.

    Example:
        >>> apply(torch.tensor([1.0, 0.0, 0.0]).reshape(3, 1, 1), hue(1 / 3)).flatten().round(decimals=6).abs()
        tensor([0., 1., 0.])
    """
    _check.number("hue", "turns", turns)
    angle = 2 * math.pi * turns
    return _affine(math.cos(angle) * (_SAME - _ALONG) + _ALONG + math.sin(angle) * _ACROSS)


def compose(first: Tensor, second: Tensor) -> Tensor:
    """Join two maps into one that does `first`, then `second`; (3, 4)."""
    return _affine(second[:, :3] @ first[:, :3], second[:, :3] @ first[:, 3] + second[:, 3])


def jitter(
    mean_rgb: Tensor,
    brightness_factor: float = 1.0,
    contrast_factor: float = 1.0,
    saturation_factor: float = 1.0,
    hue_turns: float = 0.0,
) -> Tensor:
    """Join brightness, contrast, saturation and hue, in this order, into one map for a picture of a known mean.

    Args:
        mean_rgb: (3,) the picture's mean colour, in [0, 1].
        brightness_factor: as in `brightness`; 1 changes nothing, as do the other defaults.
        contrast_factor: as in `contrast`.
        saturation_factor: as in `saturation`.
        hue_turns: as in `hue`.

    Returns:
        (3, 4) float64.

    Raises:
        InputError: if a factor is not finite and at least 0, or the mean is no colour.

    Notes:
        The contrast's mean is the one *after* the brightness. torchvision and Pillow cut colours off at 0 and 1 after
        each step; here that happens once, at the end, so a picture that was too bright for a moment loses nothing.
    """
    _check.shape("jitter", "mean_rgb", mean_rgb, (3,))
    mean = brightness_factor * float(LUMA @ mean_rgb.to(LUMA))
    made = compose(brightness(brightness_factor), contrast(contrast_factor, mean))
    return compose(compose(made, saturation(saturation_factor)), hue(hue_turns))


def apply(image: Tensor, colour_map: Tensor) -> Tensor:
    """Change the colours of a picture.

    Args:
        image: (3, H, W), float in [0, 1] or uint8.
        colour_map: (3, 4).

    Returns:
        (3, H, W) of the same dtype, cut off at the ends of its range; uint8 is rounded.

    Raises:
        InputError: if a shape or type is wrong.

    Example:
        >>> grey = torch.full((3, 1, 2), 100, dtype=torch.uint8)
        >>> apply(grey, brightness(1.5)).flatten().tolist()
        [150, 150, 150, 150, 150, 150]
    """
    _check.shape("colour.apply", "image", image, (3, "H", "W"))
    _check.shape("colour.apply", "colour_map", colour_map, (3, 4))
    whole = image.dtype == torch.uint8
    if not (whole or image.is_floating_point()):
        raise _check.InputError(f"colour.apply: image must be float or uint8, got {image.dtype}")
    planes = image.reshape(3, -1)  # (3, H W)
    planes = planes.float() if whole else planes
    top = 255.0 if whole else 1.0
    matrix, shift = (part.to(planes) for part in (colour_map[:, :3], colour_map[:, 3:] * top))
    changed = torch.addmm(shift, matrix, planes).clamp_(0, top)  # (3, H W)
    if whole:  # by way of int16: straight from float to uint8 torch takes four times as long
        changed = changed.round_().short().byte()
    return changed.reshape(image.shape)
