"""U-Net: down to a coarse map and up again, and at every size on the way up what was known on the way down."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from cvlab.models._segmentation import Segmenter
from cvlab.models._weights import load_weights
from cvlab.models.backbones import ConvNormAct, SmallBackbone
from cvlab.models.fcn import Upsample


class UpBlock(nn.Module):
    """One step up: the map is doubled in height and width, joined with the finer map, and convolved.

    Args:
        coarse: channels of the coarse map.
        fine: channels of the finer one.
        outputs: channels that go out.
    """

    def __init__(self, coarse: int, fine: int, outputs: int) -> None:
        super().__init__()
        self.upsample = nn.ConvTranspose2d(coarse, outputs, 2, 2)
        self.join = ConvNormAct(outputs + fine, outputs)

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        """Compute (B, outputs, h, w) of the finer map's size."""
        h, w = fine.shape[-2:]
        return self.join(torch.cat([self.upsample(coarse)[..., :h, :w], fine], 1))


class UNet(Segmenter):
    """A U-Net whose first convolution already halves the picture, so that it trains on a CPU.

    Args:
        backbone: a `SmallBackbone`; all its maps and that of its first convolution are used.
        num_classes: with the background, which is class 0.
        options: `mean` and `std` of the channels, as `Segmenter` takes them.

    Returns:
        Called with images (B, 3, H, W), uint8 or float in [0, 1], a dictionary with `out`, the logits (B, K, H, W).

    Raises:
        InputError: if numbers do not fit each other or, when called, the images are bad.

    Notes:
        The paper's network has no padding, so that its result is smaller than the picture, and starts at the picture's
        full size. Here the way up ends at half the size, and a transposed convolution, at first a bilinear one, leads
        to the whole. Where sides are not even, what is too much below and at the right is cut off.

    Example:
        >>> model = UNet(SmallBackbone((16, 32, 64), (1, 1), maps=1), 2)
        >>> model(torch.zeros(1, 3, 50, 70))["out"].shape
        torch.Size([1, 2, 50, 70])

    References:
        Ronneberger, O., Fischer, P. and Brox, T. (2015). U-Net: convolutional networks for biomedical image
        segmentation. MICCAI.
    """

    def __init__(self, backbone: SmallBackbone, num_classes: int, **options: Any) -> None:
        super().__init__(num_classes, 2 ** (len(backbone.stages) + 1), **options)
        widths = [backbone.stem[0].out_channels, *(stage[-1].body[1][0].out_channels for stage in backbone.stages)]
        self.backbone = backbone
        self.up = nn.ModuleList(
            UpBlock(coarse, fine, fine) for coarse, fine in zip(widths[:0:-1], widths[-2::-1], strict=True)
        )
        self.score = nn.Conv2d(widths[0], num_classes, 1)
        self.enlarge = Upsample(num_classes, 2)

    def way_down(self, pictures: Tensor) -> list[Tensor]:
        """Compute the maps of normalised pictures, at strides 2, 4, 8, ..."""
        maps = [self.backbone.stem(pictures)]
        for stage in self.backbone.stages:
            maps.append(stage(maps[-1]))
        return maps

    def way_up(self, maps: list[Tensor]) -> list[Tensor]:
        """Join the maps from coarse to fine: one map of each size, the coarsest first."""
        joined = [maps[-1]]
        for up, fine in zip(self.up, reversed(maps[:-1]), strict=True):
            joined.append(up(joined[-1], fine))
        return joined

    def network(self, pictures: Tensor) -> Tensor:
        """Compute the logits (B, K, H, W) of normalised pictures."""
        h, w = pictures.shape[-2:]
        return self.enlarge(self.score(self.way_up(self.way_down(pictures))[-1]))[..., :h, :w]


def unet_small(num_classes: int = 11, *, weights: str | None = None, **options: Any) -> UNet:
    """Make a small U-Net, whose way down has the first stages of the backbone of `ssd_small`.

    Args:
        num_classes: with the background; 11 for all kinds of still life.
        weights: name of shipped weights, such as "unet_small"; None for random ones.
        options: of `UNet`.

    Returns:
        The network; 1.0 million parameters.

    Raises:
        InputError: if the weights are for another number of classes.
    """
    model = UNet(SmallBackbone((24, 48, 96, 160), (1, 2, 1)), num_classes, **options)
    return model if weights is None else load_weights(model, weights)


def unet_touching(num_classes: int = 2, *, weights: str | None = None, **options: Any) -> UNet:
    """Make a slim U-Net that tells objects from background, and leaves a gap where objects touch.

    Args:
        num_classes: with the background.
        weights: name of shipped weights, such as "unet_touching"; None for random ones.
        options: of `UNet`.

    Returns:
        The network; 0.2 million parameters.

    Raises:
        InputError: if the weights are for another number of classes.
    """
    model = UNet(SmallBackbone((16, 32, 48, 64), (1, 1, 1)), num_classes, **options)
    return model if weights is None else load_weights(model, weights)
