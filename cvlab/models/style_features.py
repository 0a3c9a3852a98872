"""The small loss network of style transfer: convolutions that answer to strokes and textures."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from cvlab import weights as shipped
from cvlab.preprocess import IMAGENET_MEAN, IMAGENET_STD

WIDTHS, DEPTHS = (24, 48, 96, 128), (1, 2, 2, 3)


class StyleFeatures(nn.Module):
    """Compute maps of four sizes, from strokes' edges at every pixel to textures at every eighth.

    Stage i has convolutions of 3 x 3 with ReLU; before each stage but the first the mean of 2 x 2 cells is taken, which
    passes gradients on more evenly than their maximum. There is no normalisation that depends on the batch, and no
    convolution with a stride, which would leave a pattern in the gradient.

    Args:
        widths: channels of the stages.
        depths: convolutions in the stages.

    Returns:
        Called with images (B, 3, H, W), float in [0, 1], a list of maps (B, C, h, w), named `stages.0`, `stages.1`, ...
    """

    def __init__(self, widths: Sequence[int] = WIDTHS, depths: Sequence[int] = DEPTHS) -> None:
        super().__init__()
        self.widths = tuple(widths)
        before = (3, *widths[:-1])
        self.stages = nn.ModuleList(
            stage(c_in, c_out, depth, halve=i > 0)
            for i, (c_in, c_out, depth) in enumerate(zip(before, widths, depths, strict=True))
        )
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD)[:, None, None], persistent=False)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Compute the maps."""
        x, maps = (images - self.mean) / self.std, []
        for each in self.stages:
            x = each(x)
            maps.append(x)
        return maps


def stage(c_in: int, c_out: int, depth: int, halve: bool) -> nn.Sequential:
    """Make the convolutions of a stage, after a mean over 2 x 2 cells where it halves."""
    layers: list[nn.Module] = [nn.AvgPool2d(2)] if halve else []
    for i in range(depth):
        conv = nn.Conv2d(c_in if i == 0 else c_out, c_out, 3, padding=1)
        nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
        nn.init.zeros_(conv.bias)
        layers += [conv, nn.ReLU()]
    return nn.Sequential(*layers)


def style_features(weights: str | None = None) -> StyleFeatures:
    """Make the loss network of style transfer.

    Args:
        weights: "style_features" for the shipped ones, distilled from an ImageNet network; None for random ones.

    Returns:
        The network, 0.4 million parameters, in evaluation mode.

    Raises:
        ValueError: if there are no weights of this name.
    """
    model = StyleFeatures()
    if weights is not None:
        model.load_state_dict(shipped.load(weights))
    return model.eval()
