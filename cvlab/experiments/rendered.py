"""Train on rendered still lifes, try on a real photograph: is the middle of a patch on an object, or on the ground?"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from cvlab import _check
from cvlab.data import StillLife, detections, photos
from cvlab.ops import nms

SIDE = 32  # of a patch, pixels
PER_SCENE = 4  # patches of either class from one scene


@lru_cache(maxsize=4)
def patches(split: str, scenes: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Cut grey patches out of rendered still lifes, half of them with an object in the middle.

    Args:
        split: "train", "val" or "test".
        scenes: number of scenes; a scene gives up to eight patches.
        seed: of the data set and of the places.

    Returns:
        Patches (N, 3, 32, 32) uint8 with three equal channels, and (N,) int64, 1 where the middle is on an object.
    """
    data = StillLife(128, split, seed, distractors=0, length=scenes, dtype=torch.uint8)
    generator = torch.Generator().manual_seed(seed)
    found, labels = [], []
    for i in range(scenes):
        image, target = data[i]
        windows = _windows(_grey(image))  # (rows, columns, 32, 32)
        truth = target["semantic"][SIDE // 2 : -SIDE // 2 + 1, SIDE // 2 : -SIDE // 2 + 1] > 0
        for label in (0, 1):
            places = (truth == bool(label)).nonzero()
            chosen = places[torch.randperm(len(places), generator=generator)[:PER_SCENE]]
            found.append(windows[chosen[:, 0], chosen[:, 1]])
            labels += [label] * len(chosen)
    return torch.cat(found)[:, None].expand(-1, 3, -1, -1), torch.tensor(labels)


@lru_cache(maxsize=2)
def coins(stride: int = 4) -> tuple[Tensor, Tensor, tuple[int, int]]:
    """Cut patches out of the photograph of 24 coins, on a grid.

    Args:
        stride: distance of the patches, pixels.

    Returns:
        Patches (N, 3, 32, 32) uint8; (N,) int64, 1 on a coin, 0 on the ground, -1 within three pixels of an edge, where
        the discs that stand for the coins are not exact; and the grid's (rows, columns).

    Notes:
        The truth are the 24 discs that `detections.detect_discs` finds, one on each coin.
    """
    photo = photos.load("coins")[:1]
    boxes, scores = detections.detect_discs(photo, range(38, 64, 4))
    discs = boxes[nms(boxes, scores, 0.1)]
    windows = _windows((photo[0] * 255).round().to(torch.uint8))[::stride, ::stride]
    rows, columns = windows.shape[:2]
    y, x = torch.meshgrid(
        torch.arange(rows) * stride + SIDE / 2, torch.arange(columns) * stride + SIDE / 2, indexing="ij"
    )
    middle = (discs[:, :2] + discs[:, 2:]) / 2
    away = (torch.stack([x, y], -1)[:, :, None] - middle).norm(dim=-1) - (discs[:, 2] - discs[:, 0]) / 2
    nearest = away.amin(-1).flatten()  # distance from the nearest disc's edge, negative inside
    labels = torch.where(nearest.abs() < 3, -1, (nearest < 0).long())
    return windows.reshape(-1, 1, SIDE, SIDE).expand(-1, 3, -1, -1), labels, (rows, columns)


def _grey(image: Tensor) -> Tensor:
    weights = torch.tensor([0.299, 0.587, 0.114])
    return torch.einsum("c,chw->hw", weights, image.as_subclass(Tensor).float()).round().to(torch.uint8)


def _windows(grey: Tensor) -> Tensor:
    """Give all windows of a grey picture (H, W) as (rows, columns, 32, 32)."""
    return grey.unfold(0, SIDE, 1).unfold(1, SIDE, 1)


def balanced_accuracy(probability: Tensor, labels: Tensor) -> float:
    """Average the accuracy on objects and that on the ground; labels of -1 do not count.

    Raises:
        InputError: if there is no object, or no ground.

    Example:
        >>> balanced_accuracy(torch.tensor([0.9, 0.8, 0.2, 0.7]), torch.tensor([1, 1, 1, 0]))
        0.3333333432674408
    """
    for label in (0, 1):
        if not (labels == label).any():
            raise _check.InputError(f"balanced_accuracy: labels must have 0 and 1, got no {label}")
    right = (probability > 0.5) == (labels == 1)
    return float(sum(right[labels == label].float().mean() for label in (0, 1)) / 2)
