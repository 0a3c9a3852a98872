"""Which loss network paints best: one picture in one style or two by each candidate, side by side, with measures.

`python -m cvlab.experiments.style [PAINTING]` makes `style.json` and the picture of the chapter again. PAINTING is a
file, The Starry Night in the chapter; SqueezeNet's weights are taken from where `loss_network` finds them. What is not
there is left out.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from cvlab.data import PAINTINGS, painting, photos, read_image
from cvlab.experiments.results import card, save
from cvlab.experiments.self_supervised import self_supervised
from cvlab.preprocess import resize
from cvlab.style import LossNetwork, StyleTransfer, loss_network
from cvlab.style.networks import SMALL_STYLE

SIDE, STEPS = 256, 150
PICTURE = Path(__file__).resolve().parents[2] / "book" / "assets" / "style_networks.jpg"
CONTENT_WEIGHTS = {"filters": 3.0}
"""Where 1 keeps too little of the content to the eye."""


def square(picture: Tensor, side: int = SIDE) -> Tensor:
    """Cut out the middle square of a picture (3, H, W), and resize it."""
    h, w = picture.shape[1:]
    s = min(h, w)
    top, left = (h - s) // 2, (w - s) // 2
    return resize(picture[:, top : top + s, left : left + s].contiguous(), (side, side)).clamp(0, 1)


def candidates() -> dict[str, LossNetwork]:
    """Make the loss networks, by the names that the chapter uses."""
    taught = LossNetwork(self_supervised(), {"fires.1": 1.0}, dict.fromkeys(SMALL_STYLE, 1.0))
    found = {"random": loss_network("random"), "self-supervised": taught}
    found |= {"filters": loss_network("filters"), "distilled": loss_network("small")}
    try:
        found["SqueezeNet"] = loss_network("squeezenet")
    except FileNotFoundError as error:
        print(error)
    return found


def sliced_distance(picture: Tensor, other: Tensor, directions: int = 256, patch: int = 7) -> float:
    """Compute how far the patches of two pictures (3, H, W) of one size are apart, whatever network painted them.

    Patches are projected on random directions, and sorted projections compared, at three sizes of the pictures.

    References:
        Heitz, E., Vanhoey, K., Chambon, T. and Belcour, L. (2021). A sliced Wasserstein loss for neural texture
        synthesis. CVPR.
    """
    generator, found = torch.Generator().manual_seed(0), []
    for _ in range(3):
        lines = torch.randn(3 * patch**2, directions, generator=generator)
        lines /= lines.norm(dim=0)
        rows = [torch.nn.functional.unfold(each[None], patch)[0].T @ lines for each in (picture, other)]
        found.append((rows[0].sort(0).values - rows[1].sort(0).values).abs().mean())
        picture, other = (torch.nn.functional.avg_pool2d(each[None], 2)[0] for each in (picture, other))
    return round(float(torch.stack(found).mean()), 4)


def main(file: str | None = None) -> None:
    """Paint, measure, and keep."""
    torch.set_num_threads(1)
    start = time.monotonic()
    content = square(photos.load("chelsea"))
    styles = {"strokes": painting("strokes", SIDE)}
    styles |= {} if file is None else {"The Starry Night": square(read_image(file))}
    rows: list[list[Tensor]] = []
    results: dict[str, Any] = {"distance before": {name: sliced_distance(content, s) for name, s in styles.items()}}
    networks = candidates()
    for style_name, style in styles.items():
        rows.append([style if style_name in PAINTINGS else torch.ones_like(style)])  # no file's picture is copied
        for name, network in networks.items():
            transfer = StyleTransfer(network, content_weight=CONTENT_WEIGHTS.get(name, 1.0))
            began = time.process_time()
            result = transfer.run(content, style, steps=STEPS, progress=False)
            seconds = (time.process_time() - began) / STEPS
            last = {key: round(result.history[-1][key], 4) for key in ("content", "style")}
            found = {"seconds a step": round(seconds, 3), **last, "distance": sliced_distance(result.picture, style)}
            results.setdefault(name, {})[style_name] = found
            print(name, style_name, found, flush=True)
            rows[-1].append(result.picture)
    results["card"] = card(time.monotonic() - start, steps=STEPS, side=SIDE, columns=["style", *networks])
    save("style", results)
    grid = torch.cat([torch.cat(row, 2) for row in rows], 1)
    pixels = (grid.permute(1, 2, 0) * 255).round().to(torch.uint8).numpy()
    Image.fromarray(np.ascontiguousarray(pixels)).save(PICTURE, quality=80, optimize=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
