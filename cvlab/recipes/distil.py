"""How the small loss network of style transfer learns: it foretells the maps of a network trained on ImageNet."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from cvlab import engine
from cvlab.recipes.crops import Crops
from cvlab.recipes.recipe import Recipe
from cvlab.style import FeatureExtractor, loss_network

TAPS = ("1", "3", "4", "5", "7", "8", "9")
"""Layers of SqueezeNet 1.0, one for each map of the small network."""


@lru_cache(maxsize=1)
def teacher() -> FeatureExtractor:
    """Give SqueezeNet's layers, with padding in the first, so that its maps have the small network's sizes."""
    network = loss_network("squeezenet", download=True)
    network.module[0].padding = (3, 3)  # type: ignore[index, union-attr]
    return FeatureExtractor(network.module, TAPS, network.mean, network.std)


class DistilLoss:
    """The squared error of the foretold maps, in units of their variance: 1 for a network that knows nothing.

    The teacher's maps are foretold divided by their means, which lie between 20 and 220. In the first half of the
    training each fire module is given the teacher's map of the layer before, so that all layers learn at once; over the
    next fifth what it is given becomes, bit by bit, the network's own.

    Args:
        steps: of the training.
    """

    def __init__(self, steps: int) -> None:
        self.steps, self.done = steps, 0
        self.scales: list[tuple[Tensor, Tensor]] = []

    def __call__(self, model: nn.Module, images: Tensor, targets: dict[str, Any]) -> dict[str, Tensor]:
        """Compute the sum over the layers."""
        pictures = images.float() / 255
        with torch.no_grad(), autocast(images):
            expected = [maps.float() for maps in teacher().to(images.device)(pictures).values()]
        if not self.scales:  # of the first batch, for all the others
            means = [maps.mean() for maps in expected]
            self.scales = [(m, (e / m).var(dim=(0, 2, 3)).mean()) for m, e in zip(means, expected, strict=True)]
        expected = [maps / mean for maps, (mean, _) in zip(expected, self.scales, strict=True)]
        own = min(max((self.done / self.steps - 0.5) / 0.2, 0.0), 1.0)
        self.done += 1
        terms = [
            nn.functional.mse_loss(found.float(), maps) / variance
            for found, maps, (_, variance) in zip(
                foretold(model, pictures, expected, own), expected, self.scales, strict=True
            )
        ]
        return {"distance": torch.stack(terms).sum()}


def foretold(model: nn.Module, pictures: Tensor, expected: list[Tensor], own: float) -> list[Tensor]:
    """Compute the network's maps, each from a mixture of the teacher's map before and its own."""
    with autocast(pictures):
        maps = [model.first(pictures)]
        for i in range(len(expected) - 1):
            maps.append(model.following(i, torch.lerp(expected[i], maps[-1].float(), own)))
    return maps


def autocast(images: Tensor) -> torch.autocast:
    """Give bfloat16, in which the networks run while one learns from the other."""
    return torch.autocast(images.device.type, torch.bfloat16)


@dataclass(frozen=True)
class DistilRecipe(Recipe):
    """A recipe of the loss network; see `Recipe`. It needs the teacher's weights, in torch's cache or to be fetched."""

    TESTED: ClassVar[int] = 64

    def scenes(self, split: str, length: int) -> Crops:  # type: ignore[override]
        """Make crops."""
        return Crops(self.size, split, length)

    def fit_options(self) -> dict[str, Any]:
        """Give the loss, and how batches are made."""
        return {"loss": DistilLoss(self.steps), "collate": engine.stack_collate}

    def data(self) -> dict[str, Any]:
        """Say what it learns from, and from whom."""
        about = "torchvision's SqueezeNet 1.0 of ImageNet, from the file of Deep Compression (BSD licence)"
        return {"train": ["train", 0, self.images], "test": ["test", 0, self.TESTED], "teacher": about}

    @torch.no_grad()
    def measure(self, model: nn.Module, data: Any) -> dict[str, float]:
        """Compute which share of the variance of each of the teacher's layers is linear in the network's maps.

        A linear map is fitted on one half of the crops and judged on the other.
        """
        pictures = torch.stack([data[i][0] for i in range(len(data))]).float() / 255
        pairs = zip(TAPS, model(pictures), teacher()(pictures).values(), strict=True)
        return {f"R2_{name}": explained(ours, theirs) for name, ours, theirs in pairs}


def explained(maps: Tensor, target: Tensor, ridge: float = 1e-3) -> float:
    """Compute the share of a target's variance (B, C', h, w) that is linear in maps (B, C, h, w), on held-out pictures.

    The linear map is fitted to the first half of the batch and judged on the second.
    """
    x, y = (t.permute(0, 2, 3, 1).double().flatten(1, 2) for t in (maps, target))  # (B, h w, C)
    half = len(x) // 2
    fit_x, fit_y, test_x, test_y = (t.flatten(0, 1) for t in (x[:half], y[:half], x[half:], y[half:]))
    mean_x, mean_y = fit_x.mean(0), fit_y.mean(0)
    fit_x, fit_y = fit_x - mean_x, fit_y - mean_y
    square = fit_x.T @ fit_x
    square += ridge * square.diagonal().mean() * torch.eye(len(square), dtype=square.dtype)
    weight = torch.linalg.solve(square, fit_x.T @ fit_y)
    error = (test_x - mean_x) @ weight + mean_y - test_y
    return float(1 - error.square().sum() / (test_y - test_y.mean(0)).square().sum())
