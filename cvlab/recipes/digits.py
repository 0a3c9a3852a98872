"""The recipe of the small classifier that is quantized for every device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from cvlab import engine
from cvlab.data import digits
from cvlab.recipes.recipe import Recipe

Item = tuple[Tensor, dict[str, Any]]


@dataclass(frozen=True)
class DigitRecipe(Recipe):
    """A recipe of a classifier of rendered digits; see `Recipe`."""

    @property
    def kinds(self) -> tuple[str, ...]:
        """The names of the classes."""
        return tuple("0123456789")

    def scenes(self, split: str, length: int) -> list[Item]:  # type: ignore[override]
        """Render digits and what they are."""
        images, labels = digits(length, split)
        return [(image, {"label": label}) for image, label in zip(images, labels, strict=True)]

    def fit_options(self) -> dict[str, Any]:
        """Give the loss, and how batches are made."""
        return {"loss": _loss, "collate": engine.stack_collate}

    @torch.no_grad()
    def measure(self, model: nn.Module, data: list[Item]) -> dict[str, float]:
        """Compute the share of right answers."""
        images, targets = engine.stack_collate(data)
        answers = torch.cat([model.eval()(batch.float() / 255).argmax(1) for batch in images.split(250)])
        return {"accuracy": float((answers == targets["label"]).double().mean())}


def _loss(model: nn.Module, images: Tensor, targets: dict[str, Any]) -> dict[str, Tensor]:
    return {"cross entropy": functional.cross_entropy(model(images.float() / 255).float(), targets["label"])}


CLASSIFIERS: dict[str, Recipe] = {
    "digit_net": DigitRecipe(
        "digit_net",
        size=32,
        images=8000,
        steps=1500,
        batch_size=64,
        learning_rate=5e-3,
        mixed_precision=None,
        augment=False,
    )
}
"""The recipes of classifiers, by the names of their weights."""
