"""The part of a network that devices compute, without what happens before and after it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from cvlab.models.fast_style import FastStyleNet
from cvlab.models.ssd import SSD

MapsOf = Callable[[Tensor], Sequence[Tensor]]


class RawMaps(nn.Module):
    """What an SSD's convolutions compute, one map after the other: convolutions, additions and means, nothing else.

    Args:
        model: the detector.

    Returns:
        Called with images (B, 3, height, width), normalised as `normalised` does it, the maps of class logits, shallow
        first, and after them those of offsets: (B, a K, h, w) and (B, 4 a, h, w).
    """

    def __init__(self, model: SSD) -> None:
        super().__init__()
        self.backbone, self.head = model.backbone, model.head

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Compute the maps."""
        maps = self.backbone(images)
        convs = [*self.head.classes, *self.head.offsets]
        return tuple(conv(m) for conv, m in zip(convs, [*maps, *maps], strict=True))


def normalised(model: SSD, images: Tensor) -> Tensor:
    """Bring images (B, 3, height, width), float in [0, 1], to what `RawMaps` takes."""
    return (images - model.mean) / model.std


def with_maps(model: SSD, maps_of: MapsOf) -> SSD:
    """Make a detector whose maps are computed elsewhere: by whole numbers, by a phone's file, by a chip.

    Args:
        model: the detector, in evaluation mode; it stays as it is.
        maps_of: takes and gives what `RawMaps` does.

    Returns:
        A detector that does the rest as the model does.

    Example:
        >>> from cvlab.models import ssd_small
        >>> model = ssd_small(weights="ssd_small")
        >>> image = torch.rand(3, 128, 128)
        >>> same = with_maps(model, RawMaps(model))([image])[0]["scores"]
        >>> torch.allclose(same, model([image])[0]["scores"])
        True
    """
    detector = copy.copy(model)

    def network(batch: Tensor) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            maps = maps_of(normalised(model, batch))
        half = len(maps) // 2
        return joined(maps[:half], model.num_classes), joined(maps[half:], 4)

    detector.network = network  # type: ignore[method-assign]
    return detector


def joined(maps: Sequence[Tensor], length: int) -> Tensor:
    """Join maps (B, a length, h, w) to rows (B, A, length), in the order of the anchors."""
    return torch.cat([m.permute(0, 2, 3, 1).reshape(m.shape[0], -1, length) for m in maps], 1)


class PaintCore(nn.Module):
    """What a network of style transfer computes of a picture whose sides are multiples of 4.

    Args:
        model: the network.

    Returns:
        Called with pictures (B, 3, H, W), float from -1 to 1, the painted ones, float in [0, 1].
    """

    def __init__(self, model: FastStyleNet) -> None:
        super().__init__()
        self.model = model

    def forward(self, pictures: Tensor) -> Tensor:
        """Repaint pictures."""
        x = functional.relu(self.model.first(pictures))
        for layer in self.model.down:
            x = functional.relu(layer(x))
        x = self.model.blocks(x)
        for layer in self.model.up:
            x = functional.relu(layer(functional.interpolate(x, scale_factor=2.0, mode="nearest")))
        return torch.sigmoid(self.model.last(x))
