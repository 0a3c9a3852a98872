"""Keep a rendered data set in memory: what is looked at in every epoch is made once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from cvlab import _check

KEPT = ("boxes", "labels")


class InMemory(Dataset):
    """Holds the items of a data set as bytes, and gives them out again and again.

    Args:
        dataset: has items (image, target) by index, and a length. Images (3, H, W) are kept as uint8, in a quarter of
            float's memory; give them as uint8 to keep them exactly.
        keys: what is kept of the targets.

    Raises:
        InputError: if an image is neither uint8 nor float, or has values outside [0, 1].
        KeyError: if a target lacks one of the keys.

    Notes:
        `cvlab.augment.Augmented` makes each epoch's items different. 10,000 images of 128 x 128 pixels take 490 MB.

    Example:
        >>> from cvlab.data import StillLife
        >>> kept = InMemory(StillLife(size=64, length=3, dtype=torch.uint8))
        >>> image, target = kept[2]
        >>> len(kept), image.dtype, sorted(target)
        (3, torch.uint8, ['boxes', 'labels'])
    """

    def __init__(self, dataset: Any, keys: Sequence[str] = KEPT) -> None:
        self.items: list[tuple[Tensor, dict[str, Any]]] = []
        for i in range(len(dataset)):
            image, target = dataset[i]
            pixels = _as_bytes(f"InMemory: item {i}", image)
            self.items.append((pixels, {key: _plain(target[key]) for key in keys}))

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> tuple[Any, dict[str, Any]]:
        image, target = self.items[index]
        return image, dict(target)


def _as_bytes(op: str, image: Tensor) -> Tensor:
    pixels = image.as_subclass(Tensor)
    if pixels.dtype == torch.uint8:
        return pixels
    _check.numeric(op, "image", pixels, floating=True)
    _check.fractions(op, "image", pixels)
    return (pixels * 255).round().to(torch.uint8)


def _plain(value: Any) -> Any:
    return value.as_subclass(Tensor) if isinstance(value, Tensor) else value
