"""Selective search: seconds, and recall against the number of proposals, beside OpenCV's where its contrib is there."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.timing import Row
from cvlab.data import StillLife
from cvlab.metrics import proposal_recall
from cvlab.proposals import selective_search

COUNTS = (10, 20, 50, 100, 200, 500, 2000)
IMAGES = 100


def opencv() -> Callable[[Tensor], Tensor] | None:
    """Give OpenCV's search in its fast mode, or None where the contrib modules are not installed."""
    import cv2

    if not hasattr(getattr(cv2, "ximgproc", None), "segmentation"):
        return None
    cv2.setNumThreads(1)

    def search(image: Tensor) -> Tensor:
        made = cv2.ximgproc.segmentation.createSelectiveSearchSegmentation()
        made.setBaseImage(np.ascontiguousarray((image.permute(1, 2, 0).numpy() * 255).astype(np.uint8)[..., ::-1]))
        made.switchToSelectiveSearchFast()
        boxes = torch.from_numpy(np.asarray(made.process())).float()  # x, y, width, height
        return torch.cat([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], 1)

    return search


def rows() -> Iterator[Row]:
    """Give nothing to time in turn: see `NOTES`."""
    return iter(())


def NOTES() -> str:  # noqa: N802
    """Measure recall and seconds."""
    items = [StillLife(128, "val")[i] for i in range(IMAGES)]
    searches: dict[str, Any] = {"cvlab": selective_search, "OpenCV": opencv()}
    lines = [
        f"Recall at IoU 0.5 with the first proposals, {IMAGES} still lifes of 128 x 128 pixels. OpenCV is its fast "
        "mode; it needs the package opencv-contrib-python-headless in the place of opencv-python-headless.\n",
        f"| | {' | '.join(map(str, COUNTS))} | proposals | s a picture |\n|---|{'---:|' * (len(COUNTS) + 2)}",
    ]
    for name, search in searches.items():
        if search is None:
            lines.append(f"| {name} | not installed {'| ' * (len(COUNTS) + 2)}|")
            continue
        start = time.perf_counter()
        found = [search(image.as_subclass(Tensor)) for image, _ in items]
        spent = (time.perf_counter() - start) / IMAGES
        recall = proposal_recall(found, [target["boxes"].as_subclass(Tensor) for _, target in items], COUNTS)
        numbers = " | ".join(f"{recall[k]:.3f}" for k in COUNTS)
        lines.append(f"| {name} | {numbers} | {sum(map(len, found)) / IMAGES:.0f} | {spent:.3f} |")
    return "\n".join(lines)
