"""The recipe of the network that tells the nuclei of cells apart, on rendered pictures of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision import tv_tensors

from cvlab import engine
from cvlab.augment import Augmented, Crop, Flip, Geometric, Transpose
from cvlab.data import synthetic_nuclei
from cvlab.losses import border_weights, separate_touching
from cvlab.metrics import InstanceMetrics
from cvlab.models import SqueezeUNet, find_nuclei
from cvlab.models.nuclei import shown
from cvlab.recipes.recipe import Recipe
from cvlab.style import loss_network

Item = tuple[Tensor, Tensor]
Learned = tuple[Tensor, dict[str, Any]]

SIZES = (1.0, 1.4, 1.8)
"""How many times as large pictures are shown to the network while it learns."""

KNOWN = 0.1
"""How fast SqueezeNet's layers learn, of the learning rate of the others."""


@dataclass(frozen=True)
class NucleiRecipe(Recipe):
    """A recipe of a network that answers two questions of each pixel; see `Recipe`, and `learned` for the questions.

    `size` is the side of the crops that it learns from. It needs SqueezeNet's weights of ImageNet, in torch's cache or
    to be fetched.

    Attributes:
        w0: of the border weights, as `cvlab.losses.border_weights` takes it; 0 for all pixels alike.
    """

    w0: float = 10.0

    TESTED: ClassVar[int] = 40

    @property
    def kinds(self) -> tuple[str, ...]:
        """The names of the classes, without the background."""
        return ("nucleus",)

    def build(self, seed: int) -> SqueezeUNet:
        """Make the network, with SqueezeNet's weights on the way down; the same seed gives the same way up."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = SqueezeUNet(2)
        model.features.load_state_dict(loss_network("squeezenet", download=True).module.state_dict())
        return model.to(memory_format=torch.channels_last)

    def scenes(self, split: str, length: int) -> list[Learned]:  # type: ignore[override]
        """Render pictures, and make what the network learns of them, one size after the other."""
        items = [item for item in map(synthetic_nuclei.picture, range(length)) if item[1].any()]
        return [learned(item, self.w0, SIZES[i % len(SIZES)]) for i, item in enumerate(items)]

    def tests(self, length: int) -> list[Item]:  # type: ignore[override]
        """Render pictures that no training has seen, with their instance maps."""
        return [synthetic_nuclei.picture(seed) for seed in range(10**6, 10**6 + length)]

    def data(self) -> dict[str, Any]:
        """Say on the card what is learned from, and measured on."""
        about = "torchvision's SqueezeNet 1.0 of ImageNet, from the file of Deep Compression (BSD licence)"
        return {**super().data(), "begun with": about}

    def fit_options(self) -> dict[str, Any]:
        """Give the loss, and how batches are made."""
        return {"loss": two_masks, "collate": engine.stack_collate}

    def fit(self, model: nn.Module, data: Any, seed: int, **options: Any) -> engine.History:
        """Train on random crops, in the eight symmetries of a square, SqueezeNet's layers with care."""
        return super().fit(model, data, seed, **{"optimizer": careful(model, self.learning_rate), **options})

    def shown(self, data: Any, seed: int) -> Augmented:
        """Show random crops, turned and brighter or darker."""
        turned = Geometric([Crop(self.size), Flip(0.5, 0.5), Transpose(0.5)], min_visibility=0)
        return Augmented(data, lambda picture, target: brighter(*turned(picture, target)), seed)

    def measure(self, model: nn.Module, data: Any) -> dict[str, float]:
        """Compute the numbers of `InstanceMetrics`, each picture seen at one size and as it is."""
        return measure(model, data, sizes=SIZES[1:2], symmetries=False)


def learned(item: Item, w0: float, scale: float) -> Learned:
    """Make what the network learns: 1 where a nucleus is, 2 in gaps cut between nuclei, and each pixel's weight.

    The first question is whether there is a nucleus with gaps around it, the second whether there is one at all.

    Args:
        item: a picture (3, H, W) uint8, and its instance map (H, W).
        w0: of the border weights.
        scale: how many times as large the picture is shown.
    """
    large = shown(item[0], scale)
    instances = functional.interpolate(item[1][None, None].float(), large.shape[1:], mode="nearest-exact")[0, 0]
    whole = instances.unique(return_inverse=True)[1]
    gapped = separate_touching(whole)
    semantic = tv_tensors.Mask(torch.where(gapped > 0, 1, 2 * (whole > 0)).to(torch.uint8))
    return large, {"semantic": semantic, "weights": border_weights(gapped, w0=w0, sigma=5.0)}


def two_masks(model: nn.Module, images: Tensor, targets: dict[str, Tensor]) -> dict[str, Tensor]:
    """Compute the loss: the first answer is nuclei with gaps between them, the second nuclei without."""
    out, labels, weights = model(images)["out"].float(), targets["semantic"], targets["weights"]
    cross_entropy = functional.binary_cross_entropy_with_logits
    gapped = (cross_entropy(out[:, 0], (labels == 1).float(), reduction="none") * weights).sum() / weights.sum()
    return {"gapped": gapped, "whole": cross_entropy(out[:, 1], (labels > 0).float())}


def brighter(picture: Tensor, target: dict[str, Any]) -> tuple[Tensor, dict[str, Any]]:
    """Raise a picture's values to a power drawn at random, and multiply them."""
    power, factor = torch.exp(torch.rand(2) * torch.tensor([0.6, 0.3]) - torch.tensor([0.3, 0.15]))
    return ((picture / 255) ** power * factor * 255).clamp(0, 255).round().to(torch.uint8), target


def careful(model: nn.Module, learning_rate: float) -> Callable[[list[dict[str, Any]]], torch.optim.Optimizer]:
    """Make AdamW with a lower learning rate for what SqueezeNet knows already."""
    known = {id(parameter) for parameter in model.features.parameters()}

    def make(groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        parts = []
        for group in groups:
            for old, rate in ((True, KNOWN * learning_rate), (False, learning_rate)):
                chosen = [parameter for parameter in group["params"] if (id(parameter) in known) == old]
                parts.append({**group, "params": chosen, "lr": rate})
        return torch.optim.AdamW(parts)

    return make


def measure(model: nn.Module, items: Sequence[Item], **options: Any) -> dict[str, float]:
    """Compute the numbers of `InstanceMetrics` of what `find_nuclei` finds in pictures; options are its."""
    metric = InstanceMetrics()
    metric.reset()
    for picture, instances in items:
        metric.update([find_nuclei(model, picture, **options)], [instances])
    return metric.compute()


NUCLEI = NucleiRecipe("squeeze_unet", size=256, images=900, steps=3000, batch_size=8, ema=0.98)
"""The recipe of the weights `nuclei`."""
