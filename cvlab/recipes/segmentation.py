"""Recipes of segmentation networks on still lifes: which class a pixel has, or where one fruit ends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor, nn

from cvlab import engine
from cvlab.data import InMemory, StillLife, instances_from_masks
from cvlab.instances import connected_components, grow
from cvlab.losses import SegmentationLoss, border_weights, separate_touching
from cvlab.metrics import InstanceMetrics, SegmentationMetrics
from cvlab.recipes.recipe import Recipe

FIT = {"loss": SegmentationLoss(), "collate": engine.stack_collate}
"""The arguments of `engine.fit` that all segmentation networks share."""


@dataclass(frozen=True)
class SegmentationRecipe(Recipe):
    """A recipe of a network that says of each pixel which kind of fruit it shows; see `Recipe`."""

    @property
    def keys(self) -> tuple[str, ...]:
        """The entries of the targets that the network learns."""
        return ("semantic",)

    def fit_options(self) -> dict[str, Any]:
        """Give the loss, and how batches are made."""
        return FIT

    def measure(self, model: nn.Module, data: Any) -> dict[str, float]:
        """Compute the numbers of `SegmentationMetrics`."""
        metric = SegmentationMetrics(["background", *StillLife.KINDS], boundary=True)
        return engine.evaluate(model, data, metric, batch_size=50, collate=engine.stack_collate)


@dataclass(frozen=True)
class TouchingRecipe(Recipe):
    """A recipe of a network that tells fruit from background in crowded still lifes, with a gap where fruits touch.

    Attributes:
        count: of the fruits, fewest and most.
        w0: how much more the pixels between two fruits count, as `cvlab.losses.border_weights` takes it; 0 for all
            pixels alike.
        sigma: how far from the border this reaches, pixels.
    """

    count: tuple[int, int] = (5, 9)
    w0: float = 10.0
    sigma: float = 3.0

    @property
    def keys(self) -> tuple[str, ...]:
        """The entries of the targets that the network learns."""
        return ("semantic", "weights")

    @property
    def kinds(self) -> tuple[str, ...]:
        """The names of the classes, without the background."""
        return ("fruit",)

    def scenes(self, split: str, length: int) -> InMemory:
        """Render crowded still lifes, with what the network learns."""
        return InMemory(self._crowded(split, length, self._learned), self.keys)

    def tests(self, length: int) -> InMemory:
        """Render crowded still lifes of the test split, with their instances."""
        return InMemory(self._crowded("test", length, _numbered), ("instances",))

    def fit_options(self) -> dict[str, Any]:
        """Give the loss, and how batches are made."""
        return FIT

    def measure(self, model: nn.Module, data: Any) -> dict[str, float]:
        """Compute the numbers of `InstanceMetrics`, of what `instances_of` finds."""
        return engine.evaluate(model, data, Found(), batch_size=50, collate=engine.stack_collate)

    def _crowded(self, split: str, length: int, transform: Any) -> StillLife:
        options = {"count": self.count, "dtype": torch.uint8, "transforms": transform}
        return StillLife(size=self.size, split=split, length=length, **options)

    def _learned(self, image: Tensor, target: dict[str, Any]) -> tuple[Tensor, dict[str, Any]]:
        instances = separate_touching(instances_from_masks(target["masks"]))
        weights = border_weights(instances, w0=self.w0, sigma=self.sigma)
        return image, {"semantic": (instances > 0).to(torch.uint8), "weights": weights}


def _numbered(image: Tensor, target: dict[str, Any]) -> tuple[Tensor, dict[str, Any]]:
    return image, {"instances": instances_from_masks(target["masks"])}


def instances_of(logits: Tensor, min_size: int = 20) -> Tensor:
    """Find the instances in what a network of two classes says.

    Args:
        logits: (2, H, W) of background and fruit.
        min_size: smaller ones are left out, pixels.

    Returns:
        (H, W) int64, the connected components of the fruit's pixels, grown by a pixel where the gap has taken one.
    """
    apart = connected_components(logits.argmax(0) > 0, min_size=min_size)
    return grow(apart, 1, within=between(apart))


def between(instances: Tensor, reach: int = 3) -> Tensor:
    """Find the pixels (H, W) bool that have two different instances within `reach` pixels, in rows and columns."""
    values = instances.cpu().numpy()
    none, side = values.max(initial=0) + 1, 2 * reach + 1
    largest = ndimage.maximum_filter(values, side, mode="constant", cval=0)
    smallest = ndimage.minimum_filter(np.where(values == 0, none, values), side, mode="constant", cval=none)
    return torch.from_numpy(smallest < largest).to(instances.device)


class Found(InstanceMetrics):
    """The numbers of `InstanceMetrics`, computed of a network's logits."""

    def update(self, predictions: dict[str, Tensor], targets: dict[str, Tensor]) -> None:
        """Add the logits (B, 2, H, W) and instances (B, H, W) of some images."""
        super().update([instances_of(logits) for logits in predictions["out"]], list(targets["instances"]))


SEGMENTERS: dict[str, Recipe] = {
    "fcn_small": SegmentationRecipe("fcn_small", steps=1200, batch_size=16, start="ssd_small"),
    "unet_small": SegmentationRecipe("unet_small", steps=1200, batch_size=16, start="ssd_small"),
    "unet_touching": TouchingRecipe("unet_touching", images=3000, steps=800, batch_size=16),
}
"""The recipes of the segmentation networks shipped, by the names of their weights."""
