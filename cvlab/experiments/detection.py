"""The measurements behind the chapter on SSD: what each choice is worth, and how a detector learns.

`python -m cvlab.experiments.detection [NAME ...]` makes `detection.json` again, all of it or some variants; it takes
about an hour of one core.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch

from cvlab import engine
from cvlab.experiments.results import card, load, save
from cvlab.losses import MultiBoxLoss
from cvlab.ops import AnchorGenerator
from cvlab.recipes import DETECTORS, DetectionRecipe, held_out, scenes, train

SEEDS = (0, 1, 2)
BASE = replace(DETECTORS["ssd_small"], images=2000, steps=120, ema=None)
"""The recipe that the variants change, with far fewer steps and images than the shipped detector has."""

SHOWN = (0, 6)
"""Items of the validation split whose predictions are kept while a detector learns."""

STEPS_SHOWN = (10, 25, 50, 100, 150, 200, 300, 400, 500, 600)


def _anchors(scales: Sequence[Sequence[float]], ratios: Sequence[float]) -> dict[str, Any]:
    return {"anchors": AnchorGenerator(scales, ratios, pairing="first")}


ONE, TWO = ((0.15,), (0.29,), (0.46,)), ((0.13, 0.18), (0.25, 0.33), (0.42, 0.5))

VARIANTS: dict[str, DetectionRecipe] = {
    "base": BASE,
    "all negatives": replace(BASE, options={"loss": MultiBoxLoss("all")}),
    "focal loss": replace(BASE, options={"loss": MultiBoxLoss("focal")}),
    "GIoU loss": replace(BASE, options={"loss": MultiBoxLoss(box="giou", box_weight=2.0)}),
    "no augmentation": replace(BASE, augment=False),
    "no warm-up": replace(BASE, warmup=0),
    "rate 0.02": replace(BASE, learning_rate=0.02),
    "rate 0.02, no warm-up": replace(BASE, learning_rate=0.02, warmup=0),
    "1 anchor": replace(BASE, options=_anchors(ONE, (1.0,))),
    "6 anchors": replace(BASE, options=_anchors(TWO, (1.0, 2.0, 0.5, 3.0, 1 / 3))),
    "96 pixels": replace(BASE, size=96, options={"size": 96}),
    "160 pixels": replace(BASE, size=160, options={"size": 160}),
}
"""Each changes one thing of the base."""


def variant(name: str, seed: int, data: Any, tests: Any) -> dict[str, float]:
    """Train one variant with one seed, and give AP, AP50, AP75 on the test split and the seconds of training."""
    start = time.process_time()
    model, _ = train(VARIANTS[name], data, seed, progress=False)
    seconds = time.process_time() - start
    found = held_out(model, tests)
    return {key: round(found[key], 4) for key in ("AP", "AP50", "AP75")} | {"seconds": round(seconds, 1)}


def watched(seed: int = 0) -> dict[str, Any]:
    """Train a detector for 600 steps, and keep its losses, its AP50, and its predictions on two pictures on the way."""
    data, tests = scenes(BASE.size, "train", BASE.images), scenes(BASE.size, "val", 300)
    pictures = [tests[i][0] for i in SHOWN]
    snapshots: list[dict[str, Any]] = []

    def look(state: engine.State) -> None:
        if state.step in STEPS_SHOWN and (not snapshots or snapshots[-1]["step"] != state.step):
            state.model.eval()
            found = held_out(state.model, tests)
            with torch.no_grad():
                seen = [_listed(prediction) for prediction in state.model(pictures)]
            snapshots.append({"step": state.step, "ap50": round(found["AP50"], 3), "predictions": seen})

    recipe = replace(BASE, steps=max(STEPS_SHOWN))
    _, history = train(recipe, data, seed, callbacks=[(5, look)], progress=False)
    columns = ["step", "loss", "classification", "bbox_regression", "learning_rate"]
    frame = history.frame[columns].astype(object).where(lambda f: f.notna(), None)
    rows = [[step, *(float(f"{v:.4g}") for v in values)] for step, *values in frame.to_numpy().tolist()]
    return {"columns": columns, "history": rows, "items": list(SHOWN), "snapshots": snapshots}


def _listed(prediction: dict[str, torch.Tensor]) -> dict[str, list[Any]]:
    """Give the detections of score 0.1 and more as short numbers."""
    keep = prediction["scores"] >= 0.1
    return {
        "boxes": [[round(v, 1) for v in box] for box in prediction["boxes"][keep].tolist()],
        "scores": [round(v, 3) for v in prediction["scores"][keep].tolist()],
        "labels": prediction["labels"][keep].tolist(),
    }


def main(chosen: Sequence[str] = ()) -> None:
    """Measure all variants, or those chosen, and keep the results beside those of the others."""
    torch.set_num_threads(1)
    results: dict[str, Any] = load("detection") if chosen else {"variants": {}}
    start = time.monotonic()
    seen: dict[int, Any] = {}
    for name in chosen or ["watched", *VARIANTS]:
        if name == "watched":
            results["watched"] = watched()
            continue
        size = VARIANTS[name].size
        if size not in seen:
            seen[size] = scenes(size, "train", BASE.images), scenes(size, "test", 500)
        results["variants"][name] = [variant(name, seed, *seen[size]) for seed in SEEDS]
        print(name, results["variants"][name], flush=True)
        save("detection", results)
    results["card"] = card(
        time.monotonic() - start, seeds=list(SEEDS), steps=BASE.steps, images=BASE.images, test=["test", 0, 500]
    )
    print(save("detection", results).name)


if __name__ == "__main__":
    main(sys.argv[1:])
