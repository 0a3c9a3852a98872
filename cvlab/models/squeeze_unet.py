"""A U-Net whose way down is SqueezeNet, so that it can start with what a network learned of other pictures."""

from __future__ import annotations

from typing import Any

import torchvision
from torch import Tensor, nn
from torch.nn import functional

from cvlab.models._segmentation import Segmenter
from cvlab.models._weights import load_weights
from cvlab.models.fcn import Upsample
from cvlab.models.fpn import MergeMaps

CUTS = (2, 6, 11, 13)
"""Where SqueezeNet's list of layers is cut. Its maps there have strides of 2, 4, 8 and 16."""

CHANNELS = (96, 256, 512, 512)
"""Channels of these maps."""


class SqueezeUNet(Segmenter):
    """A U-Net with SqueezeNet 1.0 on the way down; on the way up maps are added, not set side by side.

    Args:
        num_classes: of logits, with the background.
        width: channels on the way up.
        options: `mean` and `std` of the channels, as `Segmenter` takes them.

    Attributes:
        features: SqueezeNet's layers, named as torchvision's `squeezenet1_0().features`, whose weights fit.

    Returns:
        Called with images (B, 3, H, W), uint8 or float in [0, 1], a dictionary with `out`, the logits (B, K, H, W).

    Raises:
        InputError: if there are fewer than two classes or, when called, the images are bad.

    Notes:
        The first convolution is padded here, so that each map is half as high and wide as the one before. Pictures are
        continued below and at the right to multiples of 16, by repeating the last row and column.

    Example:
        >>> import torch
        >>> model = SqueezeUNet(2)
        >>> model(torch.zeros(1, 3, 50, 70))["out"].shape
        torch.Size([1, 2, 50, 70])

    References:
        Iandola, F. N. et al. (2016). SqueezeNet. arXiv 1602.07360.
        Ronneberger, O., Fischer, P. and Brox, T. (2015). U-Net: convolutional networks for biomedical image
        segmentation. MICCAI.
    """

    def __init__(self, num_classes: int, width: int = 48, **options: Any) -> None:
        super().__init__(num_classes, 16, **options)
        self.features = torchvision.models.squeezenet1_0().features
        self.features[0].padding = (3, 3)
        self.up = MergeMaps(CHANNELS, width)
        self.score = nn.Conv2d(width, num_classes, 1)
        self.enlarge = Upsample(num_classes, 2)

    def way_down(self, pictures: Tensor) -> list[Tensor]:
        """Compute the maps of normalised pictures, at strides 2, 4, 8 and 16."""
        maps, x, start = [], pictures, 0
        for end in CUTS:
            x = self.features[start:end](x)
            maps.append(x)
            start = end
        return maps

    def network(self, pictures: Tensor) -> Tensor:
        """Compute the logits (B, K, H, W) of normalised pictures."""
        h, w = pictures.shape[-2:]
        whole = functional.pad(pictures, (0, -w % 16, 0, -h % 16), mode="replicate")
        return self.enlarge(self.score(self.up(self.way_down(whole))))[..., :h, :w]


def squeeze_unet(num_classes: int = 2, *, weights: str | None = None, **options: Any) -> SqueezeUNet:
    """Make a U-Net on SqueezeNet.

    Args:
        num_classes: of logits, with the background.
        weights: "nuclei" for the shipped ones, which know rendered nuclei of cells and whose answers `find_nuclei`
            reads; None for random ones.
        options: of `SqueezeUNet`.

    Returns:
        The network; 0.9 million parameters.

    Raises:
        InputError: if the weights are for another number of classes.
    """
    model = SqueezeUNet(num_classes, **options)
    return model if weights is None else load_weights(model, weights)
