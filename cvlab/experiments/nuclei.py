"""A U-Net that tells the nuclei of cells apart in real microscope pictures, with and without border weights.

`python -m cvlab.experiments.nuclei FOLDER` trains, makes `nuclei.json` again, and draws `nuclei.png` into the folder
where it is called. FOLDER has `images/NAME.png` and `labels/NAME.png`, the latter instance maps. The figures kept are
of 44 pictures of the Data Science Bowl 2018.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torchvision import tv_tensors

from cvlab import _check, engine, plot
from cvlab.augment import Augmented, Crop, Flip, Geometric, Transpose
from cvlab.data import masks_from_instances, read_image, read_mask
from cvlab.experiments.results import card, save
from cvlab.instances import fill_holes, grow, split_touching
from cvlab.losses import border_weights, separate_touching
from cvlab.metrics import InstanceMetrics
from cvlab.models import UNet, unet_touching
from cvlab.recipes.segmentation import FIT, between

Item = tuple[Tensor, Tensor]
STEPS, SEED = 2400, 0
SCALE = 2
"""Pictures are shown twice as large: many nuclei are a dozen pixels wide, and the network halves what it gets."""

MIN_SIZE, DEPTH = 30, 1.5
"""Smaller nuclei are left out, pixels of the picture; how deep a waist is at which one is cut, enlarged pixels."""


def read_folder(folder: str | Path) -> list[Item]:
    """Read pictures and their instance maps.

    Args:
        folder: with `images/NAME.png` and, for each, `labels/NAME.png`.

    Returns:
        Pairs of a picture (3, H, W) uint8, dark objects on bright ground inverted, and an instance map (H, W) int64;
        in the order of the names.

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
        items.append((on_dark(read_image(path, torch.uint8)), read_mask(labels).long()))
    return items


def on_dark(picture: Tensor) -> Tensor:
    """Invert a picture (3, H, W) uint8 whose ground is bright, and stretch it to the full range of values."""
    values = picture.float()
    values = 255 - values if values.median() > 127 else values
    low, high = values.mean(0).quantile(0.01), values.mean(0).quantile(0.999)
    return ((values - low) / (high - low).clamp(min=1) * 255).clamp(0, 255).to(torch.uint8)


def split(items: list[Item], third: int = 2) -> tuple[list[Item], list[Item]]:
    """Take every third picture, from number `third` on, for the test, and the others for training."""
    return [item for i, item in enumerate(items) if i % 3 != third], items[third::3]


def enlarged(picture: Tensor) -> Tensor:
    """Show a picture (3, H, W) uint8 to the network `SCALE` times as large."""
    large = functional.interpolate(picture[None].float(), scale_factor=float(SCALE), mode="bilinear")
    return large[0].round().to(torch.uint8)


def learned(items: list[Item], w0: float) -> list[tuple[Tensor, dict[str, Any]]]:
    """Make what the network learns: nuclei with gaps between them, and the weight of each pixel."""
    found = []
    for picture, instances in items:
        gapped = separate_touching(instances.repeat_interleave(SCALE, 0).repeat_interleave(SCALE, 1))
        weights = border_weights(gapped, w0=w0, sigma=5.0)
        semantic = tv_tensors.Mask((gapped > 0).to(torch.uint8))
        found.append((enlarged(picture), {"semantic": semantic, "weights": weights}))
    return found


def train(items: list[Item], w0: float, seed: int = SEED, **options: Any) -> UNet:
    """Train the slim U-Net on random crops of 256 x 256 enlarged pixels, in the eight symmetries of a square.

    Args:
        items: as `read_folder` gives them.
        w0: of the border weights; 0 for none.
        seed: of weights, order, crops and symmetries.
        options: of `engine.fit`, such as `steps`.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = unet_touching().to(memory_format=torch.channels_last)
    shown = Augmented(
        learned(items, w0), Geometric([Crop(256), Flip(0.5, 0.5), Transpose(0.5)], min_visibility=0), seed
    )
    fixed = {"batch_size": 8, "learning_rate": 3e-3, "ema": 0.98, "mixed_precision": "bf16", "progress": False}
    engine.fit(model, shown, seed=seed, **{**fixed, **FIT, **options})
    return model


def measure(model: UNet, items: list[Item]) -> dict[str, float]:
    """Compute the numbers of `InstanceMetrics` on whole pictures."""
    metric = InstanceMetrics()
    metric.reset()
    for picture, instances in items:
        metric.update([find(model, picture)], [instances])
    return {key: round(value, 4) for key, value in metric.compute().items()}


def find(model: UNet, picture: Tensor) -> Tensor:
    """Find the nuclei in a picture (3, H, W) uint8: an instance map (H, W)."""
    found = apart(logits(model, enlarged(picture)))
    return found[SCALE // 2 :: SCALE, SCALE // 2 :: SCALE]


def apart(logits: Tensor) -> Tensor:
    """Find the nuclei in logits (2, H, W) of an enlarged picture: an instance map (H, W).

    Holes are filled, and where the network has left a gap open in part, the narrow place is cut.
    """
    parts = split_touching(fill_holes(logits.argmax(0) > 0), depth=DEPTH, min_size=MIN_SIZE * SCALE**2)
    return grow(parts, 1, within=between(parts))


def draw(model: UNet, items: list[Item]) -> np.ndarray:
    """Draw pictures with the outlines of what is found in the colour of predictions, and below with the true ones."""
    maps = [*(find(model, picture) for picture, _ in items), *(instances for _, instances in items)]
    axes = plot.grid([picture for picture, _ in items] * 2, columns=len(items))
    for i, (ax, instances) in enumerate(zip(axes.flat, maps, strict=True)):
        role = "prediction" if i < len(items) else "truth"
        plot.masks(masks_from_instances(instances), ax, color=role, alpha=0.0)
    return axes


@torch.no_grad()
def logits(model: UNet, picture: Tensor) -> Tensor:
    """Compute the logits (2, H, W) of a picture of any size, the mean over its eight symmetries."""
    views = [(k, flip) for k in range(4) for flip in (False, True)]
    total = torch.zeros(2, *picture.shape[1:])
    for k, flip in views:
        shown = torch.rot90(picture.flip(-1) if flip else picture, k, (-2, -1))
        out = torch.rot90(model.eval()(shown[None])["out"][0].float(), -k, (-2, -1))
        total += out.flip(-1) if flip else out
    return total / len(views)


def main(folder: str) -> None:
    """Train with and without border weights, and with them for the other two thirds too; keep what is reached."""
    torch.set_num_threads(1)
    items = read_folder(folder)
    fitted, tests = split(items)
    start = time.monotonic()
    results: dict[str, Any] = {"trained on": len(fitted), "tested on": len(tests)}
    for name, third, w0 in (("10.0", 2, 10.0), ("0.0", 2, 0.0), ("first third", 0, 10.0), ("second third", 1, 10.0)):
        fitted, tests = split(items, third)
        began = time.process_time()
        model = train(fitted, w0, steps=STEPS)
        results[name] = {"seconds": round(time.process_time() - began), **measure(model, tests)}
        print(name, results[name], flush=True)
        results["card"] = card(time.monotonic() - start, seeds=[SEED], steps=STEPS)
        save("nuclei", results)
        if name == "10.0":
            draw(model, tests[:5]).flat[0].figure.savefig("nuclei.png", dpi=100)


if __name__ == "__main__":
    main(sys.argv[1])
