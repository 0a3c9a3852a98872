"""How a fast network of style transfer learns one style: by the losses that otherwise change a picture's pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from cvlab import engine
from cvlab.data import painting
from cvlab.recipes.crops import Crops
from cvlab.recipes.recipe import Recipe
from cvlab.style import FeatureExtractor, content_loss, gram_matrix, loss_network, style_loss, total_variation


class FastStyleLoss:
    """Content, style and total variation of the pictures that a network gives, weighted.

    Args:
        style: the painting, (3, h, w) in [0, 1].
        weights: of content, style and total variation, in the relative units of `StyleTransfer`.
    """

    def __init__(self, style: Tensor, weights: tuple[float, float, float]) -> None:
        network = loss_network()
        self.weights = weights
        self.content_layers, self.style_layers = tuple(network.content), tuple(network.style)
        layers = dict.fromkeys([*self.content_layers, *self.style_layers])
        self.features = FeatureExtractor(network.module, tuple(layers), network.mean, network.std)
        with torch.no_grad():
            maps = self.features(style[None])
            self.grams = {name: gram_matrix(maps[name]) for name in self.style_layers}

    def __call__(self, model: nn.Module, images: Tensor, targets: dict[str, Any]) -> dict[str, Tensor]:
        """Compute the weighted terms of a batch (B, 3, H, W) uint8."""
        pictures = images.float() / 255
        terms = self.terms(model(pictures).float(), pictures)
        return {name: weight * terms[name] for name, weight in zip(terms, self.weights, strict=True)}

    def terms(self, painted: Tensor, pictures: Tensor) -> dict[str, Tensor]:
        """Compute the terms, unweighted, of what a network made of some pictures."""
        maps = self.features(painted)
        with torch.no_grad():
            wanted = self.features(pictures)
        content = [content_loss(maps[name], wanted[name]) / wanted[name].var() for name in self.content_layers]
        style = [
            style_loss(gram_matrix(maps[name]), self.grams[name]) / self.grams[name].square().mean()
            for name in self.style_layers
        ]
        tv = total_variation(painted) / painted.numel()
        return {"content": torch.stack(content).mean(), "style": torch.stack(style).mean(), "tv": tv}


@dataclass(frozen=True)
class FastStyleRecipe(Recipe):
    """A recipe of a network that paints in one style; see `Recipe`.

    Attributes:
        style: name of the painting.
        style_size: its side, pixels.
        weights: of content, style and total variation.
    """

    TESTED: ClassVar[int] = 100

    style: str = "strokes"
    style_size: int = 256
    weights: tuple[float, float, float] = (1.0, 60.0, 1.0)

    def loss(self) -> FastStyleLoss:
        """Make the loss."""
        return FastStyleLoss(painting(self.style, self.style_size), self.weights)

    def scenes(self, split: str, length: int) -> Crops:  # type: ignore[override]
        """Make crops of photographs and still lifes in their own colours."""
        return Crops(self.size, split, length, photographs=0.5, wild=False)

    def fit_options(self) -> dict[str, Any]:
        """Give the loss, and how batches are made."""
        return {"loss": self.loss(), "collate": engine.stack_collate}

    def data(self) -> dict[str, Any]:
        """Say what it learns from, and which painting."""
        split = {"train": ["train", 0, self.images], "test": ["test", 0, self.TESTED]}
        return {**split, "painting": [self.style, self.style_size, 0]}

    @torch.no_grad()
    def measure(self, model: nn.Module, data: Any) -> dict[str, float]:
        """Compute the mean of the losses, unweighted, over test crops, and the style loss of the crops as they are."""
        loss, model = self.loss(), model.eval()
        pictures = torch.stack([data[i][0] for i in range(len(data))]).float() / 255
        found = [loss.terms(model(each), each) for each in pictures.split(1)]
        before = [loss.terms(each, each)["style"] for each in pictures.split(1)]
        means = {name: float(torch.stack([each[name] for each in found]).mean()) for name in found[0]}
        return {**means, "style before": float(torch.stack(before).mean())}
