"""What an FCN with skips reaches in two minutes of one core from the backbone of the shipped SSD.

`python -m benchmarks.segmentation_time` trains, three seeds, and keeps the results; the benchmarks only print them.
"""

import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import product

import torch

from benchmarks.timing import Row
from cvlab.experiments import load
from cvlab.experiments.results import card, save
from cvlab.recipes import SEGMENTERS, train

SEEDS, SECONDS, IMAGES, TESTED = (0, 1, 2), 120, 2000, 1000
STEPS = 350
"""As many as fit into the time; steps instead of a clock, so that the result can be had again."""

RECIPE = replace(SEGMENTERS["fcn_small"], images=IMAGES, steps=STEPS, ema=0.98, mixed_precision=None)
VARIANTS = {"learned": RECIPE, "fixed": replace(RECIPE, options={"learned": False})}
"""The last enlargement as a transposed convolution, and as interpolation."""


def main() -> None:
    """Train, and keep what is reached."""
    torch.set_num_threads(1)
    start = time.monotonic()
    data, tests = RECIPE.scenes("train", IMAGES), RECIPE.tests(TESTED)
    runs = []
    for (name, recipe), seed in product(VARIANTS.items(), SEEDS):
        began = time.process_time()
        model, _ = train(recipe, data, seed, progress=False)
        seconds = round(time.process_time() - began, 1)
        found = {key: round(value, 4) for key, value in recipe.measure(model, tests).items()}
        runs.append({"last": name, "mIoU": found["mIoU"], "accuracy": found["accuracy"], "seconds": seconds})
        print(runs[-1], flush=True)
        about = card(time.monotonic() - start, seeds=list(SEEDS), steps=STEPS, images=IMAGES, tested=TESTED)
        save("segmentation_time", {"runs": runs, "card": about})


def rows() -> Iterator[Row]:
    """Give nothing to time: see `NOTES`."""
    return iter(())


def NOTES() -> str:  # noqa: N802
    """Print what was kept."""
    kept = load("segmentation_time")
    runs = "\n".join(
        f"| {run['last']} | {run['mIoU']:.3f} | {run['accuracy']:.3f} | {run['seconds']:.0f} |" for run in kept["runs"]
    )
    return (
        f"`fcn_small`, an FCN-8s, trained for {kept['card']['steps']} steps of 16 images in float32 on one thread from "
        f"the backbone of `ssd_small`, on {kept['card']['images']:,} still lifes of ten kinds; "
        f"{kept['card']['tested']:,} test images, one row for each of three seeds (kept from {kept['card']['made']}; "
        "`python -m benchmarks.segmentation_time` trains again).\n\n"
        f"| last enlargement | mIoU | pixel accuracy | CPU seconds |\n|---|---:|---:|---:|\n{runs}"
    )


if __name__ == "__main__":
    main()
