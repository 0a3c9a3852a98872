"""Pictures as style transfer takes them: any sensible tensor becomes RGB in [0, 1], and what is not is refused."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor

from cvlab import _check
from cvlab.preprocess import resize

SMALLEST = 32
"""Pixels that each side must have: deep layers of smaller pictures have no more than a place or two."""


def as_picture(op: str, name: str, picture: Tensor, smallest: int = SMALLEST) -> Tensor:
    """Bring a picture to (3, H, W) float32 in [0, 1].

    Args:
        op: the operation, for messages.
        name: of the picture, for messages.
        picture: (H, W), (1, H, W) grey, (3, H, W), (4, H, W) with alpha, which is laid on white, or a batch of one of
            these; uint8, or float in [0, 1].
        smallest: pixels that each side must have.

    Raises:
        InputError: if the shape is another, the picture too small, or a value not in [0, 1], NaN for instance; the
            message names the first such pixel.
    """
    _check.numeric(op, name, picture)
    values = picture.detach().as_subclass(Tensor)
    values = values.float() / 255 if values.dtype == torch.uint8 else values
    if not values.is_floating_point():
        raise _check.InputError(f"{op}: {name} must be uint8, or float in [0, 1], got {picture.dtype}")
    values = values[0] if values.dim() == 4 and len(values) == 1 else values[None] if values.dim() == 2 else values
    if values.dim() != 3 or values.shape[0] not in (1, 3, 4):
        raise _check.InputError(f"{op}: {name} must be one picture (3, H, W), got {tuple(picture.shape)}")
    if min(values.shape[1:]) < smallest:
        raise _check.InputError(
            f"{op}: {name} must have at least {smallest} pixels along each side, got {tuple(values.shape[1:])}"
        )
    wrong = ~((values >= 0) & (values <= 1))
    if wrong.any():
        c, y, x = wrong.nonzero()[0].tolist()
        raise _check.InputError(
            f"{op}: {name} must lie in [0, 1], got {values[c, y, x].item():.4g} in channel {c} at row {y}, column {x}"
        )
    if len(values) == 4:
        values = values[:3] * values[3] + (1 - values[3])
    return values.float().expand(3, -1, -1).contiguous()


def at_scale_of(op: str, style: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize a style so that its shorter side is that of the content, with a warning where this changes anything.

    Args:
        op: the operation, for the message.
        style: (3, h, w).
        size: (H, W) of the content.

    Returns:
        (3, h', w'), min(h', w') equal to min(H, W): strokes as large, in relation to the picture, as in the style.
    """
    h, w = style.shape[1:]
    scale = min(size) / min(h, w)
    if scale == 1:
        return style
    fitting = (round(h * scale), round(w * scale))
    warnings.warn(
        f"{op}: the style, {h} x {w}, is resized to {fitting[0]} x {fitting[1]}, the scale of the content, "
        f"{size[0]} x {size[1]}; crop or resize it yourself for larger or smaller strokes",
        stacklevel=3,
    )
    return resize(style, fitting).clamp(0, 1)


def in_range(pixels: Tensor) -> Tensor:
    """Clamp pixels to [0, 1], so that an optimizer may go beyond and finds its way back.

    Where a pixel is beyond, `torch.clamp` has no gradient, and the pixel would stay there for good. Here gradients pass
    that lead back.

    Args:
        pixels: of any shape, float.

    Returns:
        As many, in [0, 1].

    Example:
        >>> pixels = torch.tensor([-0.1, 0.5, 1.1], requires_grad=True)
        >>> (0.3 * in_range(pixels)).sum().backward()  # smaller is better
        >>> pixels.grad
        tensor([0.0000, 0.3000, 0.3000])
    """
    return _InRange.apply(pixels)


class _InRange(torch.autograd.Function):
    """A clamp to [0, 1] whose gradient vanishes only where it would lead further out."""

    @staticmethod
    def forward(ctx: Any, pixels: Tensor) -> Tensor:
        ctx.save_for_backward(pixels)
        return pixels.clamp(0, 1)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (pixels,) = ctx.saved_tensors
        outwards = ((pixels < 0) & (grad > 0)) | ((pixels > 1) & (grad < 0))
        return grad.masked_fill(outwards, 0)
