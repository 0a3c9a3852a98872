"""Crops of photographs and still lifes in changed colours: what the networks of style transfer learn from."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from cvlab.data import StillLife, photos
from cvlab.preprocess import resize

HELD_OUT = ("coffee", "rocket")
"""Photographs that are in the test split alone."""

STILL_LIFES = 300


@lru_cache(maxsize=2)
def pictures(split: str) -> tuple[list[Tensor], list[Tensor]]:
    """Load photographs, and render still lifes of 160 x 160, of a split: lists of (3, H, W) uint8."""
    names = [name for name in photos.names() if (name in HELD_OUT) == (split == "test")]
    scenes = StillLife(size=160, split=split, length=STILL_LIFES, dtype=torch.uint8)
    return [photos.load(name, torch.uint8) for name in names], [
        scenes[i][0].as_subclass(Tensor) for i in range(STILL_LIFES)
    ]


class Crops:
    """Square crops, each made from its number alone.

    Args:
        size: side, pixels.
        split: "train" or "test".
        length: how many there are.
        photographs: share of the crops that are of photographs.
        wild: whether colours are changed much, and noise added, so that a network learns to answer to anything.
        seed: of all choices.
    """

    def __init__(
        self, size: int, split: str, length: int, photographs: float = 0.75, wild: bool = True, seed: int = 0
    ) -> None:
        self.size, self.split, self.length = size, split, length
        self.photographs, self.wild, self.seed = photographs, wild, seed

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> tuple[Tensor, dict[str, Any]]:
        """Make a crop (3, size, size) uint8; its target is empty."""
        if not 0 <= index < self.length:
            raise IndexError(f"Crops: there are {self.length}, got {index}")
        generator = torch.Generator().manual_seed((2 * self.seed + (self.split == "test")) * 10_000_019 + index)
        crop = self._crop(generator)
        return ((recoloured(crop, generator) if self.wild else crop) * 255).round().to(torch.uint8), {}

    def _crop(self, generator: torch.Generator) -> Tensor:
        """Cut out a square of 0.75 to 3.5 times the size, bring it to the size, and flip it at random."""
        shots, scenes = pictures(self.split)
        pool = shots if draw(generator) < self.photographs else scenes
        picture = pool[int(draw(generator) * len(pool))]
        h, w = picture.shape[1:]
        side = min(h, w, round(self.size * 2 ** draw(generator, -0.4, 1.8)))
        top, left = int(draw(generator) * (h - side + 1)), int(draw(generator) * (w - side + 1))
        crop = picture[:, top : top + side, left : left + side].float() / 255
        crop = resize(crop, (self.size, self.size)).clamp(0, 1)
        return crop.flip(-1) if draw(generator) < 0.5 else crop


def recoloured(crop: Tensor, generator: torch.Generator) -> Tensor:
    """Turn a crop, exchange channels, make it grey, change contrast and tint, invert it, add noise: each at times."""
    if draw(generator) < 0.3:
        crop = crop.transpose(1, 2)
    if draw(generator) < 0.5:
        crop = crop[torch.randperm(3, generator=generator)]
    if draw(generator) < 0.15:
        crop = crop.mean(0, keepdim=True).expand(3, -1, -1)
    crop = 0.5 + (crop - 0.5) * draw(generator, 0.5, 1.5) + draw(generator, -0.15, 0.15)
    crop = crop + (torch.rand(3, 1, 1, generator=generator) - 0.5) * 0.2
    if draw(generator) < 0.1:
        crop = 1 - crop
    if draw(generator) < 0.25:
        crop = crop + torch.randn(crop.shape, generator=generator) * draw(generator, 0, 0.25)
    return crop.clamp(0, 1)


def draw(generator: torch.Generator, low: float = 0.0, high: float = 1.0) -> float:
    """Draw a number evenly."""
    return low + (high - low) * torch.rand((), generator=generator).item()
