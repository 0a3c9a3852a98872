"""The exercises of the chapter on semantic segmentation."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional

from cvlab import ops
from cvlab.exercises.boxes import _generator
from cvlab.exercises.check import Case, Exercise


def _labels(picture: Tensor, palette: Tensor) -> Tensor:
    same = (picture[None] == palette[:, :, None, None]).all(1)  # (K, H, W)
    return torch.where(same.any(0), same.byte().argmax(0), 255)


def _colored() -> Iterator[Case]:
    palette = torch.tensor([[0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0]])
    g = _generator(70)
    known = torch.randint(0, 4, (3, 5), generator=g)
    yield Case("every colour is in the palette", (palette[known].permute(2, 0, 1), palette))
    one = palette[torch.zeros(2, 3, dtype=torch.long)].permute(2, 0, 1).clone()
    one[:, 1, 2] = torch.tensor([224, 224, 192])
    yield Case("an unknown colour is 255", (one, palette))
    yield Case("colours that share channels", (palette[torch.tensor([[1, 3], [2, 0]])].permute(2, 0, 1), palette))
    yield Case("a palette of one colour", (palette[known].permute(2, 0, 1), palette[:1]))
    many = torch.randint(0, 256, (12, 3), generator=g)
    yield Case("random colours", (many[torch.randint(0, 12, (6, 4), generator=g)].permute(2, 0, 1), many))


def _class_iou(confusion: Tensor) -> Tensor:
    both = confusion.diag()
    return both / (confusion.sum(0) + confusion.sum(1) - both).clamp(min=1)


def _confusions() -> Iterator[Case]:
    yield Case("nothing wrong: all 1", (torch.tensor([[8, 0], [0, 4]]),))
    yield Case("two pixels of class 1 taken for 0", (torch.tensor([[8, 0], [2, 2]]),))
    yield Case("a class that does not occur at all has 0, not NaN", (torch.tensor([[5, 1, 0], [2, 4, 0], [0, 0, 0]]),))
    yield Case("a class that is predicted, but never true", (torch.tensor([[5, 3], [0, 0]]),))
    g = _generator(71)
    yield Case("random, five classes", (torch.randint(0, 50, (5, 5), generator=g),))


def _dice(a: Tensor, b: Tensor) -> float:
    return float(2 * (a & b).sum() / (a.sum() + b.sum()).clamp(min=1))


def _masks() -> Iterator[Case]:
    full, half = torch.ones(2, 4, dtype=torch.bool), torch.tensor([[True, True, False, False]] * 2)
    yield Case("equal: 1", (full, full))
    yield Case("half of it: 2/3", (full, half))
    yield Case("nothing in common: 0", (half, ~half))
    yield Case("both empty: 0, not NaN", (~full, ~full))
    g = _generator(72)
    for i in (1, 2):
        a, b = torch.rand(2, 6, 5, generator=g) > 0.5
        yield Case(f"random masks {i}", (a, b))


def _pixel_loss(logits: Tensor, labels: Tensor) -> float:
    if bool((labels == 255).all()):
        return 0.0
    return float(functional.cross_entropy(logits[None], labels[None], ignore_index=255))


def _logits() -> Iterator[Case]:
    yield Case("two classes alike: log 2", (torch.zeros(2, 1, 3), torch.tensor([[0, 1, 1]])))
    yield Case("ignored pixels do not count", (torch.tensor([[[0.0, 9.0]], [[0.0, 0.0]]]), torch.tensor([[1, 255]])))
    yield Case("all pixels ignored: 0, not NaN", (torch.zeros(3, 2, 2), torch.full((2, 2), 255)))
    g = _generator(73)
    labels = torch.randint(0, 4, (4, 5), generator=g)
    labels[0, :2] = 255
    yield Case("random, four classes", (torch.randn(4, 4, 5, generator=g), labels))
    yield Case("large logits", (50 * torch.randn(3, 2, 2, generator=g), torch.randint(0, 3, (2, 2), generator=g)))


def _border(d1: float, d2: float, w0: float, sigma: float) -> float:
    return 1 + w0 * math.exp(-((d1 + d2) ** 2) / (2 * sigma**2))


def _distances() -> Iterator[Case]:
    yield Case("in a gap of one pixel", (1.0, 1.0, 10.0, 5.0))
    yield Case("far from everything: 1", (40.0, 60.0, 10.0, 5.0))
    yield Case("near one object, far from the other", (1.0, 12.0, 10.0, 5.0))
    yield Case("without extra weight", (1.0, 1.0, 0.0, 5.0))
    yield Case("a small sigma", (2.0, 3.0, 4.0, 2.0))


def _score(iou: Tensor, threshold: float) -> float:
    hits = int((iou > threshold).sum())
    return hits / (iou.shape[0] + iou.shape[1] - hits)


def _found() -> Iterator[Case]:
    yield Case("two objects, both found: 1", (torch.tensor([[0.9, 0.0], [0.0, 0.8]]), 0.5))
    yield Case("an IoU of exactly the threshold does not count", (torch.tensor([[0.5, 0.0], [0.0, 0.8]]), 0.5))
    yield Case("two objects found as one: 0", (torch.tensor([[0.5], [0.5]]), 0.5))
    yield Case("one found, one missed, one false alarm: 1/3", (torch.tensor([[0.7, 0.0], [0.0, 0.1]]), 0.5))
    yield Case("a higher threshold", (torch.tensor([[0.9, 0.0, 0.0], [0.0, 0.8, 0.1]]), 0.85))


def _starts(size: int, tile: int, overlap: int) -> Tensor:
    return torch.tensor(ops.tile_starts(size, tile, overlap))


def _rows() -> Iterator[Case]:
    yield Case("tiles that fit exactly", (100, 40, 10))
    yield Case("the last tile moves back to the edge", (110, 40, 10))
    yield Case("a picture as large as a tile", (64, 64, 16))
    yield Case("a picture smaller than a tile", (40, 64, 16))
    yield Case("without overlap", (130, 32, 0))


EXERCISES = {
    "labels_from_colors": Exercise(_labels, _colored),
    "class_iou": Exercise(_class_iou, _confusions),
    "dice": Exercise(_dice, _masks),
    "pixel_loss": Exercise(_pixel_loss, _logits),
    "border_weight": Exercise(_border, _distances),
    "instance_score": Exercise(_score, _found),
    "tile_starts": Exercise(_starts, _rows),
}
