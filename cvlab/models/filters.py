"""Random filters of several sizes: a network of one layer, without training, that knows textures."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional


class MultiScaleFilters(nn.Module):
    """Filter a picture with random kernels of several sizes, and keep what is above zero.

    Each kernel has mean 0, so that it answers to changes, and norm 1. Pictures are mirrored beyond their border.

    Args:
        channels: kernels of each size.
        sizes: of the kernels, odd, pixels. One layer, named `filters.0`, `filters.1`, ..., for each.
        seed: of the kernels; the same seed gives the same.

    Returns:
        Called with images (B, 3, H, W), a list of maps (B, channels, H, W), one for each size.

    References:
        Ustyuzhaninov, I., Brendel, W., Gatys, L. A. and Bethge, M. (2017). What does it take to generate natural
        textures? ICLR.
    """

    def __init__(self, channels: int = 24, sizes: Sequence[int] = (3, 5, 7, 11, 15, 23), seed: int = 0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.filters = nn.ModuleList(Filters(channels, size, generator) for size in sizes)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Filter with each size."""
        return [each(images) for each in self.filters]


class Filters(nn.Module):
    """Random kernels of one size."""

    def __init__(self, channels: int, size: int, generator: torch.Generator) -> None:
        super().__init__()
        weight = torch.randn(channels, 3, size, size, generator=generator)
        weight -= weight.mean((2, 3), keepdim=True)
        self.register_buffer("weight", weight / weight.flatten(1).norm(dim=1)[:, None, None, None], persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Filter, and cut below zero."""
        edge = self.weight.shape[-1] // 2
        return functional.relu(functional.conv2d(functional.pad(images, [edge] * 4, "reflect"), self.weight))
