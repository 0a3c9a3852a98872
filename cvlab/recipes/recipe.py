"""Recipes: all that decides the result of a training but for the seed, and how a training follows one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import nn

from cvlab import engine, models
from cvlab.augment import Augmented, Flip, Geometric, Transpose
from cvlab.data import InMemory, StillLife


@dataclass(frozen=True)
class Recipe:
    """All that decides the result of a training, but for the seed.

    Attributes:
        model: name of the function in `cvlab.models` that makes the network, without weights.
        size: side of the images, pixels.
        images: number of still lifes of the training split.
        steps: number of steps.
        batch_size: images in each.
        learning_rate: the highest one; after a warm-up it falls along a cosine.
        warmup: steps of warm-up.
        ema: decay of the moving average of the weights, which is what is kept; None for none.
        mixed_precision: "bf16" or None.
        augment: whether images are flipped and transposed at random.
        start: name of weights whose backbone training starts from; None for random ones.
        options: of the model.
    """

    model: str
    size: int = 128
    images: int = 8000
    steps: int = 1500
    batch_size: int = 32
    learning_rate: float = 3e-3
    warmup: int = 50
    ema: float | None = 0.998
    mixed_precision: str | None = "bf16"
    augment: bool = True
    start: str | None = None
    options: dict[str, Any] = field(default_factory=dict)

    TESTED: ClassVar[int] = 1000
    """Number of test images behind every figure on a card."""

    @property
    def keys(self) -> tuple[str, ...]:
        """The entries of the targets that the network learns."""
        raise NotImplementedError

    @property
    def kinds(self) -> tuple[str, ...]:
        """The names of the classes, without the background."""
        return StillLife.KINDS

    def build(self, seed: int) -> nn.Module:
        """Make the untrained network; the same seed gives the same."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = getattr(models, self.model)(**self.options)
        if self.start is not None:
            models.load_backbone(model, self.start)
        return model.to(memory_format=torch.channels_last)

    def scenes(self, split: str, length: int) -> InMemory:
        """Render the first still lifes of a split, with what the network learns."""
        return scenes(self.size, split, length, self.keys)

    def tests(self, length: int) -> InMemory:
        """Render the test images, with what is measured."""
        return self.scenes("test", length)

    def data(self) -> dict[str, Any]:
        """Say on the card what is learned from, and measured on."""
        test = ["test", 0, self.TESTED]
        return {"train": ["train", 0, self.images], "test": test, "kinds": list(self.kinds)}

    def fit_options(self) -> dict[str, Any]:
        """Give the arguments of `engine.fit` that the kind of network decides."""
        return {}

    def fit(self, model: nn.Module, data: Any, seed: int, **options: Any) -> engine.History:
        """Train a network on what `scenes` gives; `options` are those of `engine.fit`, in addition."""
        return engine.fit(model, self.shown(data, seed), **{**options_of(self), "seed": seed, **options})

    def shown(self, data: Any, seed: int) -> Any:
        """Give the data as the network sees them while it learns."""
        return turned(data, seed) if self.augment else data

    def measure(self, model: nn.Module, data: Any) -> dict[str, float]:
        """Measure a trained network."""
        raise NotImplementedError


def scenes(size: int, split: str, length: int, keys: Sequence[str] = ("boxes", "labels")) -> InMemory:
    """Render the first still lifes of a split into memory, with some entries of their targets."""
    return InMemory(StillLife(size=size, split=split, length=length, dtype=torch.uint8), keys)


def turned(data: Any, seed: int) -> Augmented:
    """Show the items of a data set in one of the eight symmetries of a square, drawn anew in each epoch."""
    return Augmented(data, Geometric([Flip(0.5, 0.5), Transpose(0.5)], min_visibility=0), seed=seed)


def train(recipe: Recipe, data: Any, seed: int, **options: Any) -> tuple[nn.Module, engine.History]:
    """Train a network.

    Args:
        recipe: how.
        data: as the recipe's `scenes` makes it.
        seed: of weights, order and augmentation.
        options: of `engine.fit`, in addition.

    Returns:
        The trained model, and the history.
    """
    model = recipe.build(seed)
    return model, recipe.fit(model, data, seed, **options)


def options_of(recipe: Recipe) -> dict[str, Any]:
    """Give the arguments of `engine.fit` that a recipe decides."""
    names = ("steps", "batch_size", "learning_rate", "warmup", "ema", "mixed_precision")
    return {**{name: getattr(recipe, name) for name in names}, **recipe.fit_options()}
