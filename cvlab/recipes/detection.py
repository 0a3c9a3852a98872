"""Recipes of detectors on still lifes: what they are trained with, and on what they are measured."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import nn

from cvlab import engine, models, weights
from cvlab._card import card
from cvlab.augment import Augmented, Flip, Geometric, Transpose
from cvlab.data import InMemory, StillLife
from cvlab.metrics import DetectionMetrics, proposal_recall

TESTED = 1000
"""Number of test images behind every figure on a card."""


@dataclass(frozen=True)
class DetectionRecipe:
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

    @property
    def keys(self) -> tuple[str, ...]:
        """The entries of the targets that the network learns."""
        points = ("keypoints", "keypoints_visible") if "keypoints" in self.options else ()
        masks = ("masks",) if self.model.startswith("mask") else ()
        return ("boxes", "labels", *points, *masks)

    def build(self, seed: int) -> nn.Module:
        """Make the untrained network; the same seed gives the same."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = getattr(models, self.model)(**self.options)
        if self.start is not None:
            models.load_backbone(model, self.start)
        return model.to(memory_format=torch.channels_last)


DETECTORS = {
    "ssd_small": DetectionRecipe("ssd_small"),
    "ssd_256": DetectionRecipe("ssd_256", size=256, images=6000, steps=1800, batch_size=16),
    "center_small": DetectionRecipe("center_small", steps=1200, options={"keypoints": ["stem", "tip", "centre"]}),
    "faster_small": DetectionRecipe("faster_small", steps=1200, batch_size=16, start="ssd_small"),
    "mask_small": DetectionRecipe("mask_small", steps=1200, batch_size=16, start="ssd_small"),
}
"""The recipes of the detectors shipped, by the names of their weights."""


def scenes(size: int, split: str, length: int, keys: Sequence[str] = ("boxes", "labels")) -> InMemory:
    """Render the first still lifes of a split into memory, with some entries of their targets."""
    return InMemory(StillLife(size=size, split=split, length=length, dtype=torch.uint8), keys)


def turned(data: Any, seed: int) -> Augmented:
    """Show the items of a data set in one of the eight symmetries of a square, drawn anew in each epoch."""
    return Augmented(data, Geometric([Flip(0.5, 0.5), Transpose(0.5)], min_visibility=0), seed=seed)


def train(recipe: DetectionRecipe, data: Any, seed: int, **options: Any) -> tuple[nn.Module, engine.History]:
    """Train a detector.

    Args:
        recipe: how.
        data: as `scenes` makes it.
        seed: of weights, order and augmentation.
        options: of `engine.fit`, in addition.

    Returns:
        The trained model, and the history.
    """
    model = recipe.build(seed)
    shown = turned(data, seed) if recipe.augment else data
    return model, engine.fit(model, shown, **{**options_of(recipe), "seed": seed, **options})


def options_of(recipe: DetectionRecipe) -> dict[str, Any]:
    """Give the arguments of `engine.fit` that a recipe decides."""
    names = ("steps", "batch_size", "learning_rate", "warmup", "ema", "mixed_precision")
    return {name: getattr(recipe, name) for name in names}


class BoxesAndMasks:
    """COCO's twelve numbers of boxes, and the same of masks, whose names begin with mask and an underscore."""

    def __init__(self, names: Sequence[str]) -> None:
        self.parts = {"": DetectionMetrics(names), "mask_": DetectionMetrics(names, iou_type="masks")}

    def reset(self) -> None:
        """Forget all images."""
        for part in self.parts.values():
            part.reset()

    def update(
        self, predictions: Sequence[dict[str, torch.Tensor]], targets: Sequence[dict[str, torch.Tensor]]
    ) -> None:
        """Add the predictions and targets of some images."""
        for part in self.parts.values():
            part.update(predictions, targets)

    def compute(self) -> dict[str, float]:
        """Give all numbers."""
        return {prefix + key: value for prefix, part in self.parts.items() for key, value in part.compute().items()}


def held_out(model: nn.Module, data: Any, batch_size: int = 50) -> dict[str, float]:
    """Measure a detector with COCO's twelve numbers, and its masks too where it and the data have them."""
    masks = isinstance(model, models.MaskRCNN) and "masks" in data[0][1]
    metric = BoxesAndMasks(StillLife.KINDS) if masks else DetectionMetrics(StillLife.KINDS)
    found = engine.evaluate(model, data, metric, batch_size=batch_size)
    if isinstance(model, models.FasterRCNN):
        found["proposal_recall"] = proposal_recall_of(model, data, batch_size)
    return found


def proposal_recall_of(model: models.FasterRCNN, data: Any, batch_size: int = 50) -> float:
    """Compute the share of objects that one of a network's first 100 proposals overlaps by half."""
    proposals, boxes = [], []
    with torch.no_grad():
        for start in range(0, len(data), batch_size):
            items = [data[i] for i in range(start, min(start + batch_size, len(data)))]
            proposals += [each["boxes"] for each in model.eval().propose([image for image, _ in items])]
            boxes += [target["boxes"] for _, target in items]
    return proposal_recall(proposals, boxes, (100,))[100]


def make(name: str, seeds: Sequence[int] = (0, 1, 2), progress: bool = True) -> dict[str, Any]:
    """Train one of `DETECTORS` with each seed, keep the weights of the first, and write the card after each.

    Args:
        name: of the recipe, and of the weights.
        seeds: the first one's weights are shipped; all are on the card.
        progress: whether to show progress.

    Returns:
        The card.
    """
    recipe = DETECTORS[name]
    data = scenes(recipe.size, "train", recipe.images, recipe.keys)
    tests = scenes(recipe.size, "test", TESTED, [key for key in recipe.keys if not key.startswith("keypoints")])
    found: list[dict[str, float]] = []
    seconds: list[int] = []
    kept: dict[str, torch.Tensor] = {}
    for seed in seeds:
        start = time.monotonic()
        model, _ = train(recipe, data, seed, progress=progress)
        seconds.append(round(time.monotonic() - start))
        round_weights(model)
        kept = kept or {key: t.clone() for key, t in model.state_dict().items()}
        found.append({key: round(value, 4) for key, value in held_out(model, tests).items() if value == value})
        print(name, "seed", seed, found[-1], f"{seconds[-1]} s", flush=True)
        weights.save(name, kept, describe(recipe, seeds[: len(found)], seconds, found))
    return weights.card(name)


def round_weights(model: nn.Module) -> None:
    """Round weights to float16, as they are stored, so that what is measured is what is shipped."""
    model.load_state_dict({k: t.half().float() if t.is_floating_point() else t for k, t in model.state_dict().items()})


def describe(
    recipe: DetectionRecipe, seeds: Sequence[int], seconds: Sequence[int], found: Sequence[dict[str, float]]
) -> dict[str, Any]:
    """Write the card: the recipe, the data, the time of each seed, and what each reached."""
    means = {key: round(sum(each[key] for each in found) / len(found), 4) for key in found[0]}
    return card(
        sum(seconds),
        recipe=asdict(recipe),
        data={"train": ["train", 0, recipe.images], "test": ["test", 0, TESTED], "kinds": list(StillLife.KINDS)},
        seeds=list(seeds),
        seconds_of_seeds=list(seconds),
        threads=torch.get_num_threads(),
        parameters=sum(p.numel() for p in recipe.build(0).parameters()),
        test={"shipped": found[0], "mean": means, "seeds": list(found)},
    )
