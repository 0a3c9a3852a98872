"""Mask R-CNN trained for the same CPU time: ours, and torchvision's with the same backbone, heads, sampling and start.

`python -m benchmarks.equal_rcnn` trains them, three seeds each, and keeps what they reach beside the other experiments;
it takes half an hour. With numbers of seeds, it trains these alone, for as many steps as before, and adds them to what
is kept. The benchmarks only print what was kept.
"""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import nn

from benchmarks.rcnn import copy_weights, torchvision_mask_rcnn
from benchmarks.timing import Row
from cvlab import engine, models
from cvlab.data import StillLife
from cvlab.experiments import load
from cvlab.experiments.results import card, save
from cvlab.recipes import scenes, turned
from cvlab.recipes.detection import BoxesAndMasks

BUDGET = 240.0
"""Seconds of CPU time for each training, one thread, float32."""

SEEDS, IMAGES, TESTED = (0, 1, 2), 3000, 500
KEYS = ("boxes", "labels", "masks")
SETTINGS: dict[str, Any] = {"batch_size": 16, "learning_rate": 3e-3, "ema": 0.99, "progress": False}


def ours() -> nn.Module:
    """Make our Mask R-CNN with the backbone of the shipped SSD."""
    model = models.mask_small()
    models.load_backbone(model, "ssd_small")
    return model.to(memory_format=torch.channels_last)


def theirs() -> nn.Module:
    """Make torchvision's with the same weights everywhere."""
    model = torchvision_mask_rcnn()
    copy_weights(ours(), model)
    return model.to(memory_format=torch.channels_last)


CONTENDERS: dict[str, Callable[[], nn.Module]] = {"cvlab": ours, "torchvision": theirs}


def seconds_per_step(build: Callable[[], nn.Module], data: Any) -> float:
    """Measure the CPU time of a training step, after a few to warm up."""
    times: list[float] = []
    clock = (1, lambda state: times.append(time.process_time()))
    torch.manual_seed(0)
    engine.fit(build(), data, steps=13, callbacks=[clock], **SETTINGS)
    return (times[11] - times[3]) / 8


def run(name: str, seed: int, steps: int, train: Any, tests: Any) -> dict[str, float]:
    """Train one with one seed, and give what it reaches and the seconds it took."""
    torch.manual_seed(seed)
    model = CONTENDERS[name]()
    before = time.process_time()
    engine.fit(model, turned(train, seed), steps=steps, seed=seed, **SETTINGS)
    spent = time.process_time() - before
    found = engine.evaluate(model, tests, BoxesAndMasks(StillLife.KINDS), batch_size=50)
    numbers = {k: round(found[k], 4) for k in ("AP", "AP50", "mask_AP", "mask_AP50")}
    return numbers | {"seconds": round(spent, 1)}


def main(added: Sequence[int] = ()) -> None:
    """Train both with all seeds, or add some seeds, and keep what they reach."""
    torch.set_num_threads(1)
    start = time.monotonic()
    train, tests = scenes(128, "train", IMAGES, KEYS), scenes(128, "test", TESTED, KEYS)
    if added:
        results = load("equal_rcnn")
        seeds, before = list(results["card"]["seeds"]), results["card"]["seconds"]
    else:
        results, seeds, before = {name: {"runs": []} for name in CONTENDERS}, [], 0
        for name, build in CONTENDERS.items():
            step = seconds_per_step(build, turned(train, 0))
            results[name] |= {"steps": int(BUDGET / step), "seconds_per_step": round(step, 4)}
    for seed in added or SEEDS:
        for name in CONTENDERS:
            results[name]["runs"].append(run(name, seed, results[name]["steps"], train, tests))
            print(name, results[name]["steps"], "steps", results[name]["runs"][-1], flush=True)
        seeds.append(seed)
        spent = before + time.monotonic() - start
        results["card"] = card(spent, budget=BUDGET, seeds=seeds, images=IMAGES, test=["test", 0, TESTED])
        save("equal_rcnn", results)


def rows() -> Iterator[Row]:
    """Give nothing to time: the trainings are kept, see `NOTES`."""
    return iter(())


def NOTES() -> str:  # noqa: N802
    """Print what was kept."""
    kept = load("equal_rcnn")
    about = kept["card"]
    lines = [
        f"Mask R-CNN trained for {about['budget']:.0f} s of CPU time each, one thread, float32, from the backbone of "
        f"`ssd_small`, on {about['images']} still lifes of ten kinds; mean of {len(about['seeds'])} seeds on "
        f"{about['test'][2]} test images (kept from {about['made']}; `python -m benchmarks.equal_rcnn` trains "
        "again).\n",
        "| | steps | box AP | box AP50 | mask AP | mask AP50 |\n|---|---:|---:|---:|---:|---:|",
    ]
    for name in CONTENDERS:
        runs = kept[name]["runs"]
        mean = {k: sum(run[k] for run in runs) / len(runs) for k in ("AP", "AP50", "mask_AP", "mask_AP50")}
        lines.append(f"| {name} | {kept[name]['steps']} | " + " | ".join(f"{v:.3f}" for v in mean.values()) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    main([int(seed) for seed in sys.argv[1:]])
