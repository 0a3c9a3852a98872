"""A loss network that nobody taught: it learns to tell which way up a crop is."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from cvlab import engine
from cvlab.models import StyleFeatures
from cvlab.models.style_features import FIRES
from cvlab.recipes.crops import Crops


class Upright(nn.Module):
    """The loss network, the mean of its last map over the places, and a score for each of four quarter turns."""

    def __init__(self) -> None:
        super().__init__()
        self.features = StyleFeatures()
        self.head = nn.Linear(FIRES[-1][1], 4)

    def forward(self, pictures: Tensor) -> Tensor:
        """Compute the scores (B, 4)."""
        return self.head(self.features(pictures)[-1].mean((2, 3)))


def turn_loss(model: nn.Module, images: Tensor, targets: dict[str, Any]) -> Tensor:
    """Turn each crop of a batch (B, 3, H, H) uint8 in one of four ways, and ask which it was."""
    turns = torch.arange(len(images), device=images.device) % 4
    turned = torch.stack([image.rot90(int(k), (1, 2)) for image, k in zip(images, turns, strict=True)])
    return nn.functional.cross_entropy(model(turned.float() / 255), turns)


def self_supervised(steps: int = 300, seed: int = 0) -> StyleFeatures:
    """Train the loss network's layers on turned crops of photographs and still lifes; about a minute of one core.

    References:
        Gidaris, S., Singh, P. and Komodakis, N. (2018). Unsupervised representation learning by predicting image
        rotations. ICLR.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Upright()
    data = Crops(64, "train", 32 * steps, wild=False, seed=seed)
    options = {"steps": steps, "batch_size": 32, "learning_rate": 1e-3, "collate": engine.stack_collate}
    engine.fit(model, data, loss=turn_loss, seed=seed, progress=False, **options)
    return model.features
