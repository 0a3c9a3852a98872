"""Receptive fields: which pixels of the image a cell of a feature map can see, and which it does look at."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from cvlab import _check


def receptive_field(layers: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """Compute the receptive field of a chain of convolutions or poolings.

    Args:
        layers: (kernel, stride) of each, first to last, pixels.

    Returns:
        The field's side, and the stride of the whole chain, in pixels of the image. Each layer adds (kernel - 1) times
        the stride of all layers before it.

    Raises:
        InputError: A number is not above 0.

    Example:
        >>> receptive_field([(3, 2), (3, 1), (3, 2)])  # 3, then + 2 * 2, then + 2 * 2
        (11, 4)

    References:
        Araujo, A., Norris, W. and Sim, J. (2019). Computing receptive fields of convolutional neural networks. Distill.
    """
    side, stride = 1, 1
    for i, (kernel, step) in enumerate(layers):
        _check.positive("receptive_field", f"layers[{i}]", (kernel, step), "kernel, stride")
        side += (kernel - 1) * stride
        stride *= step
    return side, stride


def seen_pixels(features: Callable[[Tensor], Sequence[Tensor]], size: int, level: int, probes: int = 8) -> Tensor:
    """Measure how much each pixel of the image changes the middle cell of a feature map.

    Args:
        features: maps images (B, 3, H, W) to a list of maps, such as a backbone in evaluation mode.
        size: side of the image, pixels.
        level: which map.
        probes: images of noise over which is averaged.

    Returns:
        (size, size) float, the gradient's mean absolute value, at most 1. Where it is 0 the cell sees nothing.

    References:
        Luo, W. et al. (2016). Understanding the effective receptive field. NeurIPS.
    """
    images = torch.rand(probes, 3, size, size, generator=torch.Generator().manual_seed(0), requires_grad=True)
    chosen = features(images)[level]  # (B, C, h, w)
    middle = chosen[:, :, chosen.shape[-2] // 2, chosen.shape[-1] // 2]
    (gradient,) = torch.autograd.grad(middle.sum(), images)
    seen = gradient.abs().mean((0, 1))
    return seen / seen.max()


def layers_of(backbone: nn.Module, level: int) -> list[tuple[int, int]]:
    """List (kernel, stride) of the convolutions on the longest way through a `SmallBackbone` to one of its maps.

    Args:
        backbone: a `SmallBackbone`.
        level: which of its maps.

    Example:
        >>> from cvlab.models import SmallBackbone
        >>> [receptive_field(layers_of(SmallBackbone(), level)) for level in range(3)]
        [(71, 8), (119, 16), (215, 32)]
    """
    last = len(backbone.stages) - len(backbone.channels) + level
    found = [(3, 2)]
    for stage in list(backbone.stages)[: last + 1]:
        for block in stage:
            found += [
                (conv.kernel_size[0], conv.stride[0]) for conv in block.body.modules() if isinstance(conv, nn.Conv2d)
            ]
    return found
