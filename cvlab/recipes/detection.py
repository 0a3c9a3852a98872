"""Recipes of detectors on still lifes: what they are trained with, and on what they are measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from cvlab import engine, models
from cvlab.data import InMemory, StillLife
from cvlab.metrics import DetectionMetrics, proposal_recall
from cvlab.recipes.recipe import Recipe, scenes


@dataclass(frozen=True)
class DetectionRecipe(Recipe):
    """A recipe of a detector; see `Recipe`."""

    @property
    def keys(self) -> tuple[str, ...]:
        """The entries of the targets that the network learns."""
        points = ("keypoints", "keypoints_visible") if "keypoints" in self.options else ()
        masks = ("masks",) if self.model.startswith("mask") else ()
        return ("boxes", "labels", *points, *masks)

    def tests(self, length: int) -> InMemory:
        """Render the test images, with what is measured: boxes, and masks where the network has them."""
        return scenes(self.size, "test", length, [key for key in self.keys if not key.startswith("keypoints")])

    def measure(self, model: nn.Module, data: Any) -> dict[str, float]:
        """Measure a trained detector; see `held_out`."""
        return held_out(model, data)


DETECTORS = {
    "ssd_small": DetectionRecipe("ssd_small"),
    "ssd_256": DetectionRecipe("ssd_256", size=256, images=6000, steps=1800, batch_size=16),
    "center_small": DetectionRecipe("center_small", steps=1200, options={"keypoints": ["stem", "tip", "centre"]}),
    "faster_small": DetectionRecipe("faster_small", steps=1200, batch_size=16, start="ssd_small"),
    "mask_small": DetectionRecipe("mask_small", steps=1200, batch_size=16, start="ssd_small"),
}
"""The recipes of the detectors shipped, by the names of their weights."""


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
