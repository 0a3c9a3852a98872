"""The measurements behind the chapter on Faster and Mask R-CNN: one stage or four, and what each loss does.

`python -m cvlab.experiments.faster [NAME ...]` makes `faster.json` again, all of it or some variants; it takes about an
hour of one core.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from cvlab import engine
from cvlab.experiments.results import FOLDER, card, load, save
from cvlab.models import FasterRCNN
from cvlab.recipes import DETECTORS, held_out, options_of, scenes, train, turned

SEEDS, TESTED = (0, 1, 2), 200
STEPS = 60
BASE = replace(DETECTORS["mask_small"], images=1000, steps=STEPS, ema=None)
"""The recipe that the variants change, with far fewer steps and images than the shipped detector has."""

DROPPED = {
    "all losses": (),
    "no loss_rpn_box_reg": ("loss_rpn_box_reg",),
    "no loss_objectness": ("loss_objectness",),
    "no loss_box_reg": ("loss_box_reg",),
    "no loss_classifier": ("loss_classifier",),
    "no loss_mask": ("loss_mask",),
}
"""Trainings that leave out terms of the loss."""

NUMBERS = ("AP", "AP50", "AP75", "mask_AP", "mask_AP50", "proposal_recall")


def without(dropped: Sequence[str]) -> Callable[..., dict[str, Tensor]]:
    """Give the loss of a model without some terms."""

    def loss(model: nn.Module, images: Any, targets: Any) -> dict[str, Tensor]:
        return {name: value for name, value in model(images, targets).items() if name not in dropped}

    return loss


def variant(name: str, seed: int, data: Any, tests: Any) -> dict[str, float]:
    """Train without some terms of the loss, and measure on the test split."""
    model, _ = train(BASE, data, seed, loss=without(DROPPED[name]), progress=False)
    return _numbers(model, tests)


def _numbers(model: nn.Module, tests: Any) -> dict[str, float]:
    found = held_out(model, tests)
    return {key: round(found[key], 4) for key in NUMBERS if found.get(key) == found.get(key) and key in found}


FIRST, SECOND = ("loss_objectness", "loss_rpn_box_reg"), ("loss_classifier", "loss_box_reg")
"""The losses of the two networks that Faster R-CNN is made of."""


class SharedBackbone(FasterRCNN):
    """Faster R-CNN whose backbone stays as it is, its normalisation too."""

    def train(self, mode: bool = True) -> SharedBackbone:
        """Put all but the backbone into training."""
        super().train(mode)
        self.backbone.eval().requires_grad_(False)
        return self


def with_proposals_of(proposer: FasterRCNN) -> Callable[..., dict[str, Tensor]]:
    """Give the loss of Fast R-CNN on another network's proposals."""

    def loss(model: nn.Module, images: Any, targets: Any) -> dict[str, Tensor]:
        proposals = [each["boxes"] for each in proposer.propose(images)]
        return model(images, targets, proposals=proposals)

    return loss


def in_four_stages(data: Any, seed: int, steps: int) -> FasterRCNN:
    """Train Faster R-CNN as its authors first did: its two networks in turn, at last on one backbone.

    1. A region proposal network on a backbone of its own.
    2. Fast R-CNN on another backbone, with the proposals of the first.
    3. The proposal network again, on the second backbone, which stays as it is.
    4. Fast R-CNN's head again, on the same backbone, with the proposals of the third.

    Args:
        data: training images.
        seed: of weights and order.
        steps: of each stage.

    References:
        Ren et al. (2015). Faster R-CNN. Section 3.2, 4-step alternating training.
    """
    recipe = replace(DETECTORS["faster_small"], ema=None, steps=steps)
    proposer, _ = train(recipe, data, seed, loss=without(SECOND), progress=False)
    detector, _ = train(recipe, data, seed + 100, loss=with_proposals_of(proposer), progress=False)
    model = SharedBackbone(detector.backbone, detector.num_classes, detector.rpn, size=recipe.size, hidden=128)
    model.rpn.load_state_dict(proposer.rpn.state_dict())
    model.box_head.load_state_dict(detector.box_head.state_dict())
    for stage, dropped in ((2, SECOND), (3, FIRST)):
        shown = turned(data, seed + 100 * stage)
        engine.fit(model, shown, loss=without(dropped), seed=seed + 100 * stage, progress=False, **options_of(recipe))
    return model


def stages(seed: int, data: Any, tests: Any) -> dict[str, dict[str, float]]:
    """Train in one stage and in four, with equally many steps in all and with equally many in each."""
    recipe = replace(DETECTORS["faster_small"], ema=None)
    found = {}
    for name, steps in ((f"one stage, {STEPS} steps", STEPS), (f"one stage, {4 * STEPS} steps", 4 * STEPS)):
        start = time.process_time()
        model, _ = train(replace(recipe, steps=steps), data, seed, progress=False)
        spent = time.process_time() - start
        found[name] = _numbers(model, tests) | {"seconds": round(spent, 1)}
    start = time.process_time()
    model = in_four_stages(data, seed, STEPS)
    found[f"four stages of {STEPS} steps"] = _numbers(model, tests) | {"seconds": round(time.process_time() - start, 1)}
    return found


def main(chosen: Sequence[str] = ()) -> None:
    """Measure everything, or what is chosen, and keep the results beside the others."""
    torch.set_num_threads(1)
    results: dict[str, Any] = {"losses": {}, "stages": []}
    if chosen and (FOLDER / "faster.json").exists():
        results = load("faster")
    start = time.monotonic()
    data = scenes(BASE.size, "train", BASE.images, BASE.keys)
    tests = scenes(BASE.size, "test", TESTED, BASE.keys)
    for name in chosen or ["stages", *DROPPED]:
        if name == "stages":
            results["stages"] = [stages(seed, data, tests) for seed in SEEDS]
        else:
            results["losses"][name] = [variant(name, seed, data, tests) for seed in SEEDS]
        print(name, results["stages"] if name == "stages" else results["losses"][name], flush=True)
        save("faster", results)
    results["card"] = card(
        time.monotonic() - start, seeds=list(SEEDS), steps=STEPS, images=BASE.images, test=["test", 0, TESTED]
    )
    print(save("faster", results).name)


if __name__ == "__main__":
    main(sys.argv[1:])
