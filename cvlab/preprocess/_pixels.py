"""What all of preprocessing asks of a picture, and the way to Pillow."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from PIL import Image
from torch import Tensor

from cvlab import _check


def size(op: str, name: str, value: Sequence[int]) -> tuple[int, int]:
    """Refuse what is not (height, width) in whole pixels, at least 1 each, and give it as integers."""
    _check.positive(op, name, value, "height, width")
    height, width = value
    if height % 1 or width % 1:
        raise _check.InputError(f"{op}: {name} must be whole numbers of pixels, got {(height, width)}")
    return int(height), int(width)


def quality(op: str, value: int) -> None:
    """Refuse what is not a quality of JPEG, a whole number from 1 to 100."""
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 100:
        raise _check.InputError(f"{op}: quality must be a whole number from 1 to 100, got {value!r}")


def image(op: str, name: str, value: Tensor, only_images: bool = True) -> None:
    """Refuse what is not (..., H, W) with at least one pixel, float or uint8; of any dtype where not `only_images`."""
    _check.tensor(op, name, value)
    if only_images and not value.is_floating_point() and value.dtype != torch.uint8:
        raise _check.InputError(f"{op}: {name} must be float or uint8, got {value.dtype}")
    _check.shape(op, name, value, ("...", "H", "W"))
    if 0 in value.shape[-2:]:
        raise _check.InputError(f"{op}: {name} must have at least one pixel, got shape {tuple(value.shape)}")


def picture(op: str, name: str, value: Tensor) -> None:
    """Refuse what is not one picture (C, H, W), grey or RGB, float or uint8."""
    image(op, name, value)
    if value.dim() != 3 or value.shape[0] not in (1, 3):
        raise _check.InputError(f"{op}: {name} must have shape (C, H, W) with C 1 or 3, got {tuple(value.shape)}")


def to_pillow(op: str, value: Tensor) -> Image.Image:
    """Turn a picture (C, H, W), float in [0, 1] or uint8, into Pillow's "L" or "RGB"; floats are rounded."""
    picture(op, "image", value)
    if value.is_floating_point():
        _check.fractions(op, "image", value)
        value = (value.detach().cpu().double() * 255).round().clamp(0, 255).to(torch.uint8)
    rows = value.cpu().permute(1, 2, 0)  # (H, W, C)
    return Image.fromarray((rows if rows.shape[2] == 3 else rows[..., 0]).contiguous().numpy())
