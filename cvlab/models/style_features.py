"""The small loss network of style transfer: maps that answer to strokes, colours and textures."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from cvlab import weights as shipped
from cvlab.preprocess import IMAGENET_MEAN, IMAGENET_STD

FIRES = ((32, 128), (32, 128), (48, 256), (48, 256), (64, 384), (64, 384))
"""Of each fire module: channels between its two layers, and of its result."""


class Fire(nn.Module):
    """Squeeze channels by a 1 x 1 convolution, then widen them by one of 1 x 1 and one of 3 x 3, side by side.

    Args:
        channels: of the map that comes in.
        squeezed: in between.
        out: of the result, even.

    References:
        Iandola, F. N. et al. (2016). SqueezeNet. arXiv 1602.07360. Section 3.2.
    """

    def __init__(self, channels: int, squeezed: int, out: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, squeezed, 1)
        self.point = nn.Conv2d(squeezed, out // 2, 1)
        self.area = nn.Conv2d(squeezed, out // 2, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Compute (B, out, h, w) of (B, channels, h, w)."""
        x = functional.relu_(self.squeeze(x))
        return functional.relu_(torch.cat([self.point(x), self.area(x)], 1))


class Stem(nn.Sequential):
    """Layers with what is below zero cut off in place, which keeps half as much in memory."""

    def forward(self, x: Tensor) -> Tensor:
        """Compute the map."""
        return functional.relu_(super().forward(x))


class StyleFeatures(nn.Module):
    """Compute maps at a half, a quarter and an eighth of a picture's size.

    A convolution of 7 x 7 with stride 2, then fire modules; the size is halved by means of 2 x 2 cells, which pass
    gradients on more evenly than maxima. Nothing depends on the batch.

    Args:
        fires: of each fire module, channels between its layers and of its result; the size is halved before the first
            and the fourth.

    Returns:
        Called with images (B, 3, H, W), float in [0, 1], a list of maps (B, C, h, w), of `stem`, `fires.0`, ...
    """

    def __init__(self, fires: Sequence[tuple[int, int]] = FIRES) -> None:
        super().__init__()
        self.stem = Stem(nn.Conv2d(3, 96, 7, 2, 3))
        before = (96, *(out for _, out in fires[:-1]))
        self.fires = nn.ModuleList(Fire(c, squeezed, out) for c, (squeezed, out) in zip(before, fires, strict=True))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                nn.init.zeros_(module.bias)
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD)[:, None, None], persistent=False)

    def first(self, images: Tensor) -> Tensor:
        """Compute the map of the stem."""
        return self.stem((images - self.mean) / self.std)

    def following(self, i: int, maps: Tensor) -> Tensor:
        """Compute the map of fire module i from the map before."""
        return self.fires[i](functional.avg_pool2d(maps, 2) if i in (0, 3) else maps)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Compute the maps."""
        maps = [self.first(images)]
        for i in range(len(self.fires)):
            maps.append(self.following(i, maps[-1]))
        return maps


def style_features(weights: str | None = None) -> StyleFeatures:
    """Make the loss network of style transfer.

    Args:
        weights: "style_features" for the shipped ones, distilled from an ImageNet network; None for random ones.

    Returns:
        The network, in evaluation mode.

    Raises:
        ValueError: if there are no weights of this name.
    """
    model = StyleFeatures()
    if weights is not None:
        model.load_state_dict(shipped.load(weights))
    return model.eval()
