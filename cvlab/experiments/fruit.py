"""The data of the small experiments: fruits cut out of rendered still lifes, kept in memory."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from cvlab.augment import affine
from cvlab.augment.warp import Warp
from cvlab.data import StillLife

SIDE = 32
MARGIN = 1.2  # side of the square that is cut out, relative to the longer side of the fruit's box


@lru_cache(maxsize=4)
def fruit_crops(split: str, count: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Cut fruits out of rendered still lifes: a square around each, with what lies around and over it.

    Args:
        split: "train", "val" or "test".
        count: number of crops.
        seed: of the data set.

    Returns:
        Images (N, 3, 32, 32) uint8, and the fruit's kind (N,) int64 from 0 to 9. Do not change them in place, since
        they are kept for the next call.

    Example:
        >>> images, kinds = fruit_crops("test", 4)
        >>> images.shape, images.dtype, kinds.shape
        (torch.Size([4, 3, 32, 32]), torch.uint8, torch.Size([4]))
    """
    data = StillLife(128, split, seed, count=(3, 6), dtype=torch.uint8)
    images: list[Tensor] = []
    kinds: list[Tensor] = []
    for image, target in (data[i] for i in range(len(data))):
        for box, label in zip(target["boxes"].as_subclass(Tensor), target["labels"], strict=True):
            middle, half = (box[:2] + box[2:]) / 2, float((box[2:] - box[:2]).max()) * MARGIN / 2
            square = torch.cat([(middle - half).round(), (middle + half).round()]).tolist()
            images.append(
                Warp(affine.crop_to(square, (SIDE, SIDE)), data.size, (SIDE, SIDE)).image(image.as_subclass(Tensor))
            )
            kinds.append(label - 1)
        if len(images) >= count:
            break
    return torch.stack(images)[:count], torch.stack(kinds)[:count]
