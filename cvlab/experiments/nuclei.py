"""A U-Net that tells the nuclei of cells apart in real microscope pictures, with and without border weights.

`python -m cvlab.experiments.nuclei FOLDER` trains and measures all that `RUNS` names (or what is named after FOLDER),
keeps it in `nuclei.json`, and draws `nuclei.png` into the folder where it is called. FOLDER has `images/NAME.png` and
`labels/NAME.png`, the latter instance maps. The figures kept are of 44 pictures of the Data Science Bowl 2018. So few
teach a network little: it starts with what SqueezeNet learned of ImageNet, whose weights `loss_network` finds or
fetches, and learns from rendered nuclei first.
"""

from __future__ import annotations

import copy
import sys
import time
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor
from torch.nn import functional
from torchvision import tv_tensors

from cvlab import _check, engine, plot
from cvlab.augment import Augmented, Crop, Flip, Geometric, Transpose
from cvlab.data import masks_from_instances, read_image, read_mask
from cvlab.experiments import synthetic_nuclei
from cvlab.experiments.results import card, load, save
from cvlab.instances import connected_components, fill_holes, grow, split_touching
from cvlab.losses import border_weights, separate_touching
from cvlab.metrics import InstanceMetrics
from cvlab.models import SqueezeUNet
from cvlab.style import loss_network

Item = tuple[Tensor, Tensor]
Learned = tuple[Tensor, dict[str, Any]]
RENDERED, FIRST_STEPS, STEPS, SEED = 270, 400, 340, 0
"""Rendered pictures, the steps on them alone, and those on real ones with rendered ones among them."""

TIMES, AMONG = 3, 120
"""In an epoch each real picture is taken so often at each size, and so many rendered ones are among them."""

LEARNED, SEEN = (1.0, 1.4, 1.8), (1.3, 1.6)
"""How many times as large pictures are shown to the network while it learns, and when it finds nuclei, by the mean of
what it says at each size. Many nuclei are a dozen pixels wide, others sixty."""

WINDOW = 41
"""Sides of the window in which the contrast is made even, pixels."""

SCALE, MIN_SIZE, DEPTH, SURE = 2, 30, 4.0, 0.8
"""Nuclei are told apart in a picture this many times as large. Smaller ones are left out, pixels of the picture; how
deep a waist is at which one is cut, enlarged pixels; and how probable the pixels of a nucleus are on average, at
least."""


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


def enlarged(picture: Tensor, scale: float) -> Tensor:
    """Show a picture (3, H, W) uint8 to the network `scale` times as large, without its colours; see `channels`."""
    large = functional.interpolate(channels(picture)[None], scale_factor=scale, mode="bilinear")
    return (large[0] * 255).round().to(torch.uint8)


def channels(picture: Tensor) -> Tensor:
    """Make three channels in [0, 1] of a picture (3, H, W): grey, grey with dark parts raised, and local contrast.

    Grey is the mean of red and green: stained nuclei differ from their ground least in blue.
    """
    grey = picture[:2].float().mean(0)
    low, high = grey.quantile(0.01), grey.quantile(0.999)
    grey = ((grey - low) / (high - low).clamp(min=1)).clamp(0, 1)
    mean = windowed(grey)
    deviation = (windowed(grey**2) - mean**2).clamp(min=0).sqrt()
    contrast = (grey - mean) / (deviation + 0.03)
    return torch.stack([grey, grey**0.4, (contrast / 6 + 0.5).clamp(0, 1)])


def windowed(values: Tensor) -> Tensor:
    """Compute the mean (H, W) over windows of `WINDOW` x `WINDOW` pixels."""
    return torch.from_numpy(ndimage.uniform_filter(values.numpy(), WINDOW, mode="reflect"))


def learned(item: Item, w0: float, scale: float) -> Learned:
    """Make what the network learns: 1 where a nucleus is, 2 in gaps cut between nuclei, and each pixel's weight."""
    shown = enlarged(item[0], scale)
    instances = functional.interpolate(item[1][None, None].float(), shown.shape[1:], mode="nearest-exact")[0, 0]
    whole = instances.unique(return_inverse=True)[1]
    gapped = separate_touching(whole)
    semantic = tv_tensors.Mask(torch.where(gapped > 0, 1, 2 * (whole > 0)).to(torch.uint8))
    return shown, {"semantic": semantic, "weights": border_weights(gapped, w0=w0, sigma=5.0)}


def rendered(count: int, w0: float) -> list[Learned]:
    """Render nuclei, and make what the network learns of them, one size after the other."""
    items = [synthetic_nuclei.picture(seed) for seed in range(count)]
    items = [(on_dark(picture), instances) for picture, instances in items if instances.any()]
    return [learned(item, w0, LEARNED[i % len(LEARNED)]) for i, item in enumerate(items)]


def two_masks(model: SqueezeUNet, images: Tensor, targets: dict[str, Tensor]) -> dict[str, Tensor]:
    """Compute the loss: the first answer is nuclei with gaps between them, the second nuclei without."""
    out, labels, weights = model(images)["out"].float(), targets["semantic"], targets["weights"]
    cross_entropy = functional.binary_cross_entropy_with_logits
    gapped = (cross_entropy(out[:, 0], (labels == 1).float(), reduction="none") * weights).sum() / weights.sum()
    return {"gapped": gapped, "whole": cross_entropy(out[:, 1], (labels > 0).float())}


def brighter(picture: Tensor, target: dict[str, Any]) -> tuple[Tensor, dict[str, Any]]:
    """Raise a picture's values to a power drawn at random, and multiply them."""
    power, factor = torch.exp(torch.rand(2) * torch.tensor([0.6, 0.3]) - torch.tensor([0.3, 0.15]))
    return ((picture / 255) ** power * factor * 255).clamp(0, 255).round().to(torch.uint8), target


def begun(data: Sequence[Learned] = (), imagenet: bool = True, seed: int = SEED, **options: Any) -> SqueezeUNet:
    """Make the network from which training on real pictures starts.

    Args:
        data: what `rendered` gives, to train on first.
        imagenet: whether the way down begins with SqueezeNet's weights.
        seed: of weights, order, crops and symmetries.
        options: of `engine.fit`, such as `steps`.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = SqueezeUNet(2)
    if imagenet:
        model.features.load_state_dict(loss_network("squeezenet", download=True).module.state_dict())
    return fit(model, data, seed, **options) if data else model


def train(
    start: SqueezeUNet, items: list[Item], w0: float, among: Sequence[Learned] = (), seed: int = SEED, **options: Any
) -> SqueezeUNet:
    """Train on real pictures.

    Args:
        start: the network whose weights it starts from; it stays as it is.
        items: as `read_folder` gives them.
        w0: of the border weights; 0 for none.
        among: what `rendered` gives, shown among the real pictures.
        seed: of order, crops and symmetries.
        options: of `engine.fit`, such as `steps`.
    """
    real = [learned(item, w0, scale) for item in items for scale in LEARNED]
    return fit(copy.deepcopy(start), [*real * TIMES, *among], seed, **options)


def fit(model: SqueezeUNet, data: Sequence[Learned], seed: int, **options: Any) -> SqueezeUNet:
    """Train on random crops of 256 x 256 enlarged pixels, in the eight symmetries of a square."""
    turned = Geometric([Crop(256), Flip(0.5, 0.5), Transpose(0.5)], min_visibility=0)
    shown = Augmented(data, lambda picture, target: brighter(*turned(picture, target)), seed)
    fixed: dict[str, Any] = {"batch_size": 8, "ema": 0.98, "mixed_precision": "bf16", "progress": False, "seed": seed}
    how = {"loss": two_masks, "collate": engine.stack_collate, "optimizer": careful(model)}
    engine.fit(model.to(memory_format=torch.channels_last), shown, **{**fixed, **how, **options})
    return model


def careful(model: SqueezeUNet) -> Callable[[list[dict[str, Any]]], torch.optim.Optimizer]:
    """Make AdamW with a tenth of the learning rate for what SqueezeNet knows already."""
    known = {id(parameter) for parameter in model.features.parameters()}

    def make(groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        parts = []
        for group in groups:
            for old, rate in ((True, 3e-4), (False, 3e-3)):
                chosen = [parameter for parameter in group["params"] if (id(parameter) in known) == old]
                parts.append({**group, "params": chosen, "lr": rate})
        return torch.optim.AdamW(parts)

    return make


def measure(model: SqueezeUNet, items: list[Item]) -> dict[str, float]:
    """Compute the numbers of `InstanceMetrics` on whole pictures."""
    metric = InstanceMetrics()
    metric.reset()
    for picture, instances in items:
        metric.update([find(model, picture)], [instances])
    return {key: round(value, 4) for key, value in metric.compute().items()}


def find(model: SqueezeUNet, picture: Tensor) -> Tensor:
    """Find the nuclei in a picture (3, H, W) uint8: an instance map (H, W)."""
    size = tuple(SCALE * side for side in picture.shape[1:])
    seen = [logits(model, enlarged(picture, scale))[None] for scale in SEEN]
    found = apart(torch.cat([functional.interpolate(one, size, mode="bilinear") for one in seen]).mean(0))
    return found[SCALE // 2 :: SCALE, SCALE // 2 :: SCALE]


def apart(logits: Tensor) -> Tensor:
    """Find the nuclei in logits (2, H, W) of an enlarged picture: an instance map (H, W).

    Nuclei with gaps are the seeds: holes are filled, and where a gap is open in part, the narrow place is cut. They
    grow into nuclei without gaps. Those are left out that the network is not sure about.
    """
    whole = fill_holes(logits[1] > 0)
    seeds = split_touching(fill_holes(logits[0] > 0) & whole, depth=DEPTH, min_size=5 * SCALE**2)
    parts = grow(seeds, None, within=whole)
    rest = connected_components(whole & (parts == 0))
    parts = torch.where(rest > 0, rest + parts.max(), parts)
    sizes = parts.flatten().bincount()
    total = torch.zeros(len(sizes)).index_add_(0, parts.flatten(), logits[1].sigmoid().flatten())
    kept = (sizes >= MIN_SIZE * SCALE**2) & (total >= SURE * sizes)
    kept[0] = False
    return (kept.cumsum(0) * kept)[parts]


def draw(model: SqueezeUNet, items: list[Item]) -> np.ndarray:
    """Draw pictures with the outlines of what is found in the colour of predictions, and below with the true ones."""
    maps = [*(find(model, picture) for picture, _ in items), *(instances for _, instances in items)]
    axes = plot.grid([picture for picture, _ in items] * 2, columns=len(items))
    for i, (ax, instances) in enumerate(zip(axes.flat, maps, strict=True)):
        role = "prediction" if i < len(items) else "truth"
        plot.masks(masks_from_instances(instances), ax, color=role, alpha=0.0)
    return axes


@torch.no_grad()
def logits(model: SqueezeUNet, picture: Tensor) -> Tensor:
    """Compute the logits (2, H, W) of a picture of any size, the mean over its eight symmetries."""
    views = [(k, flip) for k in range(4) for flip in (False, True)]
    total = torch.zeros(2, *picture.shape[1:])
    for k, flip in views:
        shown = torch.rot90(picture.flip(-1) if flip else picture, k, (-2, -1))
        out = torch.rot90(model.eval()(shown[None])["out"][0].float(), -k, (-2, -1))
        total += out.flip(-1) if flip else out
    return total / len(views)


RUNS: dict[str, dict[str, Any]] = {
    "10.0": {},
    "first third": {"third": 0},
    "second third": {"third": 1},
    "0.0": {"w0": 0.0},
    "without rendered nuclei": {"first": False},
    "without either": {"first": False, "imagenet": False},
}
"""What is trained and measured, with border weights and tested on the last third where nothing else is said."""


def optimizer(imagenet: bool) -> dict[str, Any]:
    """Give the option of `engine.fit`: without SqueezeNet's weights all parts learn at the same rate."""
    return {} if imagenet else {"optimizer": "adamw"}


@cache
def first_part(w0: float, first: bool, imagenet: bool) -> tuple[SqueezeUNet, list[Learned], float]:
    """Make the network from which training starts, what it has learned from, and give the seconds it took."""
    began = time.process_time()
    data = rendered(RENDERED, w0) if first else []
    start = begun(data, imagenet, steps=FIRST_STEPS, **optimizer(imagenet))
    return start, data, time.process_time() - began


def run(
    items: list[Item], third: int = 2, w0: float = 10.0, first: bool = True, imagenet: bool = True
) -> tuple[SqueezeUNet, dict[str, float]]:
    """Train on real pictures, and measure on the third of them that was left out.

    Args:
        items: as `read_folder` gives them.
        third: which third that is.
        w0: of the border weights.
        first: whether rendered nuclei are learned first.
        imagenet: whether the way down begins with SqueezeNet's weights.
    """
    fitted, tests = split(items, third)
    start, data, before = first_part(w0, first, imagenet)
    began = time.process_time()
    model = train(start, fitted, w0, data[:AMONG], steps=STEPS, **optimizer(imagenet))
    after = time.process_time() - began
    return model, {"seconds": round(before + after), "of these on real pictures": round(after), **measure(model, tests)}


def main(folder: str, *names: str) -> None:
    """Do the runs of `RUNS` with these names, all if there are none, and keep what is reached."""
    torch.set_num_threads(1)
    items = read_folder(folder)
    for name in names or RUNS:
        began = time.monotonic()
        model, reached = run(items, **RUNS[name])
        print(name, reached, flush=True)
        made = card(time.monotonic() - began, seeds=[SEED], steps=STEPS)
        save("nuclei", {**load("nuclei"), name: {**reached, "card": made}})
        if name == "10.0":
            draw(model, split(items)[1][:5]).flat[0].figure.savefig("nuclei.png", dpi=100)


if __name__ == "__main__":
    main(*sys.argv[1:])
