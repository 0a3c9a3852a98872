"""A U-Net that tells the nuclei of cells apart in real microscope pictures, begun with more or with less.

`python -m cvlab.experiments.nuclei FOLDER` trains and measures all that `RUNS` names (or what is named after FOLDER),
keeps it in `nuclei.json`, and draws `nuclei.png` into the folder where it is called. FOLDER has `images/NAME.png` and
`labels/NAME.png`, the latter instance maps. The figures kept are of 44 pictures of the Data Science Bowl 2018. So few
teach a network little: it starts with the shipped weights `nuclei`, which know rendered nuclei, and before these with
what SqueezeNet learned of ImageNet.
"""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cvlab import _check, models, plot
from cvlab.data import masks_from_instances, read_image, read_mask
from cvlab.experiments.results import card, load, save
from cvlab.models import SqueezeUNet, find_nuclei
from cvlab.models.nuclei import on_dark
from cvlab.recipes import NUCLEI
from cvlab.recipes.nuclei import SIZES, Item, learned, measure

STEPS, SEED = 600, 0
"""Steps on real pictures, and the seed of their order, crops and symmetries."""

TIMES, AMONG = 3, 240
"""In an epoch each real picture is taken so often at each size, and so many rendered ones are among them."""


def read_folder(folder: str | Path) -> list[Item]:
    """Read pictures and their instance maps.

    Args:
        folder: with `images/NAME.png` and, for each, `labels/NAME.png`.

    Returns:
        Pairs of a picture (3, H, W) uint8, and an instance map (H, W) int64; in the order of the names.

    Raises:
        InputError: if there is no picture, or one has no labels.
    """
    paths = sorted((Path(folder) / "images").glob("*.png"))
    if not paths:
        raise _check.InputError(f"read_folder: there must be pictures in {Path(folder).name}/images, got none")
    items = []
    for path in paths:
        labels = Path(folder) / "labels" / path.name
        if not labels.is_file():
            raise _check.InputError(f"read_folder: there must be labels/{path.name} for images/{path.name}")
        items.append((read_image(path, torch.uint8), read_mask(labels).long()))
    return items


def split(items: list[Item], third: int = 2) -> tuple[list[Item], list[Item]]:
    """Take every third picture, from number `third` on, for the test, and the others for training."""
    return [item for i, item in enumerate(items) if i % 3 != third], items[third::3]


def begun(start: str) -> SqueezeUNet:
    """Make the network that real pictures teach: with the weights "nuclei", those of "imagenet", or "random" ones."""
    _check.choice("begun", "start", start, ("nuclei", "imagenet", "random"))
    if start == "imagenet":
        return NUCLEI.build(SEED)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        model = models.squeeze_unet(weights="nuclei" if start == "nuclei" else None)
    return model.to(memory_format=torch.channels_last)


def train(items: list[Item], steps: int, start: str = "nuclei", w0: float = NUCLEI.w0) -> SqueezeUNet:
    """Train on real pictures, with rendered ones among them where these were learned before.

    Args:
        items: as `read_folder` gives them.
        steps: how many; with 0 the network stays as it begins.
        start: what training begins with; see `begun`.
        w0: of the border weights; 0 for none.
    """
    model = begun(start)
    if steps == 0:
        return model
    real = [learned(item, w0, scale) for item in items for scale in SIZES]
    among = NUCLEI.scenes("train", AMONG) if start == "nuclei" else []
    options = {"optimizer": "adamw"} if start == "random" else {}  # all parts learn at the same rate
    replace(NUCLEI, steps=steps).fit(model, [*real * TIMES, *among], SEED, progress=False, **options)
    return model


def draw(model: SqueezeUNet, items: list[Item]) -> np.ndarray:
    """Draw pictures with the outlines of what is found in the colour of predictions, and below with the true ones."""
    maps = [*(find_nuclei(model, picture) for picture, _ in items), *(instances for _, instances in items)]
    axes = plot.grid([on_dark(picture) for picture, _ in items] * 2, columns=len(items))
    for i, (ax, instances) in enumerate(zip(axes.flat, maps, strict=True)):
        role = "prediction" if i < len(items) else "truth"
        plot.masks(masks_from_instances(instances), ax, color=role, alpha=0.0)
    return axes


RUNS: dict[str, dict[str, Any]] = {
    "last third": {},
    "first third": {"third": 0},
    "second third": {"third": 1},
    "no real pictures": {"steps": 0},
    "no real pictures, first third": {"steps": 0, "third": 0},
    "no real pictures, second third": {"steps": 0, "third": 1},
    "imagenet": {"start": "imagenet"},
    "imagenet, no border weights": {"start": "imagenet", "w0": 0.0},
    "random": {"start": "random"},
}
"""What is trained and measured. If nothing else is said, it begins with `nuclei` and is tested on the last third."""


def run(
    items: list[Item], third: int = 2, steps: int | None = None, **options: Any
) -> tuple[SqueezeUNet, dict[str, Any]]:
    """Train on real pictures, measure on the third of them that was left out, and give the card, too.

    Args:
        items: as `read_folder` gives them.
        third: which third that is.
        steps: None for `STEPS`.
        options: of `train`.
    """
    fitted, tests = split(items, third)
    wall, began, steps = time.monotonic(), time.process_time(), STEPS if steps is None else steps
    model = train(fitted, steps, **options)
    seconds = round(time.process_time() - began)
    reached = {key: round(value, 4) for key, value in measure(model, tests).items()}
    made = card(time.monotonic() - wall, seeds=[SEED], steps=steps)
    return model, {"seconds": seconds, **reached, "card": made}


def main(folder: str, *names: str) -> None:
    """Do the runs of `RUNS` with these names, all if there are none, and keep what is reached."""
    torch.set_num_threads(1)
    items = read_folder(folder)
    for name in names or RUNS:
        model, reached = run(items, **RUNS[name])
        print(name, reached, flush=True)
        save("nuclei", {**load("nuclei"), name: reached})
        if name == "last third":
            draw(model, split(items)[1][:5]).flat[0].figure.savefig("nuclei.png", dpi=100)


if __name__ == "__main__":
    main(*sys.argv[1:])
