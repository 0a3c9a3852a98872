"""A network that paints in one style, in one pass."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from cvlab import _check
from cvlab import weights as shipped

SMALLEST = 16
"""Pixels that each side of a picture must have."""


class SeparableConv(nn.Sequential):
    """A depthwise convolution of 3 x 3, mirrored at the border, a convolution of 1 x 1, and instance normalisation."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__(
            nn.Conv2d(channels, channels, 3, padding=1, padding_mode="reflect", groups=channels, bias=False),
            nn.Conv2d(channels, out, 1, bias=False),
            nn.InstanceNorm2d(out, affine=True),
        )


class PaintBlock(nn.Module):
    """Two separable convolutions, whose result is added to what came in."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first, self.second = SeparableConv(channels, channels), SeparableConv(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Compute (B, C, h, w) of as much."""
        return x + self.second(functional.relu(self.first(x)))


class FastStyleNet(nn.Module):
    """Repaint pictures in the one style that it has learned.

    The picture shrinks to a quarter of its size, is worked on there, and grows again by repeating pixels and
    convolving, which leaves no checkerboard as transposed convolutions do. Instance normalisation takes the picture's
    own contrast away: a style has one of its own.

    Args:
        width: channels at the full size; twice and four times as many at a half and a quarter.
        blocks: at a quarter of the size.

    Returns:
        Called with images (B, 3, H, W), uint8 or float in [0, 1], H and W at least 16, the painted pictures
        (B, 3, H, W), float in [0, 1].

    Raises:
        InputError: if the images have another shape or type, or are smaller.

    Example:
        >>> FastStyleNet()(torch.rand(1, 3, 50, 77)).shape
        torch.Size([1, 3, 50, 77])

    References:
        Johnson, J., Alahi, A. and Fei-Fei, L. (2016). Perceptual losses for real-time style transfer and
        super-resolution. ECCV. Ulyanov, D., Vedaldi, A. and Lempitsky, V. (2016). Instance normalization.
        arXiv 1607.08022.
    """

    def __init__(self, width: int = 16, blocks: int = 5) -> None:
        super().__init__()
        self.first = nn.Sequential(_conv(3, width, 5), nn.InstanceNorm2d(width, affine=True))
        self.down = nn.ModuleList(
            nn.Sequential(_conv(c, 2 * c, 3, stride=2), nn.InstanceNorm2d(2 * c, affine=True))
            for c in (width, 2 * width)
        )
        self.blocks = nn.Sequential(*(PaintBlock(4 * width) for _ in range(blocks)))
        self.up = nn.ModuleList(SeparableConv(c, c // 2) for c in (4 * width, 2 * width))
        self.last = nn.Conv2d(width, 3, 5, padding=2, padding_mode="reflect")

    def forward(self, images: Tensor) -> Tensor:
        """Repaint pictures."""
        _check.shape("FastStyleNet", "images", images, ("B", 3, "H", "W"))
        if images.dtype != torch.uint8 and not images.is_floating_point():
            raise _check.InputError(f"FastStyleNet: images must be uint8, or float in [0, 1], got {images.dtype}")
        h, w = images.shape[-2:]
        if not torch.compiler.is_compiling() and min(h, w) < SMALLEST:
            raise _check.InputError(
                f"FastStyleNet: images must have at least {SMALLEST} pixels along each side, got {(h, w)}"
            )
        x = images.float() / 255 if images.dtype == torch.uint8 else images
        x = functional.pad(2 * x - 1, (0, -w % 4, 0, -h % 4), mode="replicate")  # sides become multiples of 4
        x = functional.relu(self.first(x))
        for layer in self.down:
            x = functional.relu(layer(x))
        x = self.blocks(x)
        for layer in self.up:
            x = functional.relu(layer(functional.interpolate(x, scale_factor=2.0, mode="nearest")))
        return torch.sigmoid(self.last(x))[..., :h, :w]


def _conv(channels: int, out: int, size: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(channels, out, size, stride, size // 2, padding_mode="reflect", bias=False)


def fast_style(weights: str | None = None) -> FastStyleNet:
    """Make the network that paints in one pass.

    Args:
        weights: "fast_style_strokes" or "fast_style_mosaic" for shipped ones; None for random ones.

    Returns:
        The network, 0.1 million parameters, in evaluation mode.

    Raises:
        ValueError: if there are no weights of this name.
    """
    model = FastStyleNet()
    if weights is not None:
        model.load_state_dict(shipped.load(weights))
    return model.eval()
