"""The measurements behind the chapter on segmentation: initialisation, skips, losses, crops, borders of fruits.

`python -m cvlab.experiments.segmentation [PART ...]` makes `segmentation.json` again, all of it or some parts; it takes
about an hour of one core.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from cvlab import engine
from cvlab.augment import Augmented, Crop, Flip, Geometric, ResizedCrop
from cvlab.experiments.results import FOLDER, card, load, save
from cvlab.losses import SegmentationLoss, frequency_weights
from cvlab.models import FCN, SmallBackbone
from cvlab.models.fcn import INITS
from cvlab.recipes import SEGMENTERS, SegmentationRecipe, TouchingRecipe, train

SEEDS, TESTED, STEPS, IMAGES = (0, 1, 2), 300, 100, 1500
BASE = SegmentationRecipe("fcn_small", images=IMAGES, steps=STEPS, batch_size=16, ema=None, start="ssd_small")
"""The recipe that the variants change, with far fewer steps and images than the shipped networks have."""

NUMBERS = ("mIoU", "accuracy", "Dice", "boundary_F")


def measured(recipe: SegmentationRecipe, model: nn.Module, tests: Any) -> dict[str, float]:
    """Measure on the test split, and round."""
    return {key: round(value, 4) for key, value in recipe.measure(model, tests).items() if key in NUMBERS}


def one_map(init: str, seed: int) -> FCN:
    """Make an FCN of one map at stride 8, from random weights: one transposed convolution does all of the way up."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = FCN(SmallBackbone((24, 48, 96), (1, 2), maps=1), 11, init=init)
    return model.to(memory_format=torch.channels_last)


def inits(data: Any, tests: Any) -> dict[str, Any]:
    """Train with each initialisation of the transposed convolution, all else equal.

    "from scratch" starts from random weights with one map at stride 8, "with backbone" is the small FCN on the shipped
    SSD's backbone.
    """
    found: dict[str, Any] = {"from scratch": {}, "with backbone": {}}
    for init in INITS:
        runs = []
        for seed in SEEDS:
            model = one_map(init, seed)
            options = {"steps": STEPS, "batch_size": 16, "warmup": 30, "mixed_precision": "bf16", "progress": False}
            engine.fit(model, data, seed=seed, **{**options, **BASE.fit_options()})
            runs.append(measured(BASE, model, tests))
        found["from scratch"][init] = runs
        if init in ("bilinear", "xavier"):
            found["with backbone"][init] = variants(replace(BASE, options={"init": init}), data, tests)
        print(init, {name: each.get(init) for name, each in found.items()}, flush=True)
    return found


def variants(recipe: SegmentationRecipe, data: Any, tests: Any, **options: Any) -> list[dict[str, float]]:
    """Train a recipe with each seed."""
    return [measured(recipe, train(recipe, data, seed, progress=False, **options)[0], tests) for seed in SEEDS]


def skips(data: Any, tests: Any) -> dict[str, Any]:
    """Train with no finer map, one, two and three."""
    names = {0: "FCN-32s", 1: "FCN-16s", 2: "FCN-8s", 3: "FCN-4s"}
    found = {}
    for count, name in names.items():
        recipe = replace(BASE, mixed_precision=None, options={"skips": count})  # PyTorch enlarges slowly in bfloat16
        found[name] = variants(recipe, data, tests)
        print(name, found[name], flush=True)
    return found


def pixel_counts(data: Any) -> Tensor:
    """Count the pixels of each of eleven classes, (11,)."""
    return sum(torch.bincount(target["semantic"].flatten().long(), minlength=11) for _, target in data)


def losses(data: Any, tests: Any) -> dict[str, Any]:
    """Train with each loss."""
    counts = pixel_counts([data[i] for i in range(len(data))])
    chosen = {
        "cross-entropy": SegmentationLoss(),
        "weighted": SegmentationLoss(class_weights=frequency_weights(counts)),
        "focal": SegmentationLoss(gamma=2.0),
        "Dice": SegmentationLoss(cross_entropy=0.0, dice=1.0),
        "cross-entropy and Dice": SegmentationLoss(dice=1.0),
    }
    found = {}
    for name, loss in chosen.items():
        found[name] = variants(BASE, data, tests, loss=loss)
        print(name, found[name], flush=True)
    return found


def crops(data: Any, tests: Any) -> dict[str, Any]:
    """Train on pictures as they are, on crops of three quarters of a side, and on crops scaled back to full size."""
    kinds = {"whole": [], "crops": [Crop(96)], "scaled crops": [ResizedCrop((128, 128), (0.56, 0.57), (1.0, 1.0))]}
    found = {}
    for name, steps in kinds.items():
        runs = []
        for seed in SEEDS:
            model = BASE.build(seed)
            shown = Augmented(data, Geometric([*steps, Flip(0.5, 0.5)], min_visibility=0), seed=seed)
            options = {"steps": STEPS, "batch_size": 16, "mixed_precision": "bf16", "progress": False}
            engine.fit(model, shown, seed=seed, **{**options, **BASE.fit_options()})
            runs.append(measured(BASE, model, tests))
        found[name] = runs
        print(name, runs, flush=True)
    return found


def borders() -> dict[str, Any]:
    """Train the slim U-Net on crowded still lifes, with and without weights between fruits."""
    found = {}
    base = replace(SEGMENTERS["unet_touching"], images=2000, steps=400, ema=0.98)
    assert isinstance(base, TouchingRecipe)
    data, tests = {w0: replace(base, w0=w0).scenes("train", base.images) for w0 in (0.0, 10.0)}, base.tests(TESTED)
    for w0, scenes in data.items():
        recipe, runs = replace(base, w0=w0), []
        for seed in SEEDS:
            model, _ = train(recipe, scenes, seed, progress=False)
            runs.append({key: round(value, 4) for key, value in recipe.measure(model, tests).items()})
        found[str(w0)] = runs
        print("w0", w0, runs, flush=True)
    return found


PARTS = ("inits", "skips", "losses", "crops", "borders")


def main(chosen: Sequence[str] = ()) -> None:
    """Measure all parts, or those chosen, and keep the results beside those of the others."""
    torch.set_num_threads(1)
    results: dict[str, Any] = load("segmentation") if chosen and (FOLDER / "segmentation.json").exists() else {}
    start = time.monotonic()
    data, tests = BASE.scenes("train", IMAGES), BASE.tests(TESTED)
    for part in chosen or PARTS:
        run = globals()[part]
        results[part] = run() if part == "borders" else run(data, tests)
        about = {"seeds": list(SEEDS), "test": ["test", 0, TESTED], "images": IMAGES, "steps": STEPS}
        results["card"] = card(time.monotonic() - start, **about)
        save("segmentation", results)


if __name__ == "__main__":
    main(sys.argv[1:])
