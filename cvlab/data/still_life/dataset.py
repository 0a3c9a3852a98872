"""The data set: still lifes with boxes, masks, keypoints and captions, as torchvision's detection models want them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from operator import index as as_index
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset
from torchvision import tv_tensors

from cvlab.data.still_life import scene
from cvlab.data.still_life.backgrounds import BACKGROUNDS, USUAL
from cvlab.data.still_life.rng import Random

SMALLEST, LARGEST = 32, 2048  # sides of an image, in pixels

Target = dict[str, Any]
Pair = int | tuple[int, int]


class StillLife(Dataset):
    """Render still lifes of fruit, lit and shaded, with exact ground truth; nothing is downloaded or stored.

    Item i depends on (seed, split, i) and the arguments below only: items may be asked for in any order, by any
    number of workers. The splits never share a random stream, nor a photograph as background.

    Args:
        size: side of the square images in pixels, or (height, width); each from 32 to 2048.
        split: "train", "val" or "test".
        seed: a non-negative integer; another seed gives another data set.
        kinds: the kinds of fruit to choose from, at least one of `StillLife.KINDS`. The label of a kind is 1 + its
            position here; 0 is the background.
        count: how many fruits: a number, or (fewest, most), both included, at most 16. Where the table is full,
            those that find no room are left out.
        length: number of items.
        distractors: how many unlabeled things: a number, or (fewest, most), both included, at most 8.
        background: one of `StillLife.BACKGROUNDS`, or several to choose from; None is the usual mixture.
        scale: an apple's radius as a fraction of the image's short side, (smallest, largest); the other fruits go
            with it. No fruit's half length is above a quarter of the short side.
        dtype: torch.float32 for images in [0, 1], torch.uint8 for 0 to 255.
        transforms: a function of (image, target) applied to each item, such as those of torchvision.transforms.v2.

    Returns:
        Items `(image, target)`. `image` is a `tv_tensors.Image` (3, H, W). `target` is a dict; the objects are in
        the order in which they were laid, so that later ones lie over earlier ones:

        - `boxes`: `tv_tensors.BoundingBoxes` (N, 4) float32, xyxy in pixels, half-open, round the visible part;
        - `labels`: (N,) int64, from 1;
        - `masks`: `tv_tensors.Mask` (N, H, W) bool, the visible pixels; no pixel has two owners;
        - `semantic`: `tv_tensors.Mask` (H, W) int64, the label at each pixel, 0 for background and unlabeled things;
        - `keypoints`: (N, 3, 2) float32 xy in pixels, the stem, the tip and the centre (`tv_tensors.KeyPoints` where
          the installed torchvision has them, else a plain tensor);
        - `keypoints_visible`: (N, 3) bool: on the upper side, inside the image and not covered. The stem and the tip of
          a fruit cut in half are below its middle, out of sight, and so is the tip of a whole orange;
        - `visibility`: (N,) float32, the visible part of the whole area, what the image's edge cuts off included;
          never below `StillLife.MIN_VISIBLE`: nothing is laid so that less of a fruit shows;
        - `caption`: str, such as "two bananas and a plum on dark wood";
        - `image_id`: int, the item's index.

    Raises:
        ValueError: if a size, count, kind, split, background, scale, seed or dtype is impossible.
        TypeError: if a size, count, length, seed or index is no whole number, kinds or background are no names, scale
            is not two numbers, or transforms is no function.
        IndexError: when an item beyond `length` is asked for.

    Notes:
        A pixel belongs to the last thing that covers at least half of it. The random numbers are raw words of
        numpy's PCG64, whose stream numpy guarantees, and the arithmetic on pixels uses only operations that IEEE 754
        rounds exactly, so an item is meant to have the same bytes on every machine and numpy. What could still differ,
        by one grey level in a rare pixel, are a few constants that come from the C library's powers and sines, and
        backgrounds that are JPEG files, whose decoders may differ. Pictures change with `StillLife.VERSION` only, or
        when scikit-image or scikit-learn replace a photograph.

        torchvision's `SanitizeBoundingBoxes`, which drops the objects that a crop has cut off, filters boxes, labels
        and masks only. Name the other entries that have one row for each object, and they stay in step (key points
        become a plain tensor there); this is `clean` in the second example.

    Example:
        >>> image, target = StillLife(size=64, split="test")[3]
        >>> image.shape, target["boxes"].shape[0] == target["labels"].shape[0]
        (torch.Size([3, 64, 64]), True)

        >>> from torchvision.transforms import v2
        >>> rows = ("labels", "keypoints", "keypoints_visible", "visibility")
        >>> clean = v2.SanitizeBoundingBoxes(labels_getter=lambda item: [item[1][name] for name in rows])
        >>> crop = v2.Compose([v2.CenterCrop(24), v2.ClampBoundingBoxes(), clean])
        >>> whole, cropped = (StillLife(size=64, transforms=t)[0][1] for t in (None, crop))
        >>> [len(target[name]) for target in (whole, cropped) for name in ("boxes", *rows)]
        [3, 3, 3, 3, 3, 2, 2, 2, 2, 2]
    """

    VERSION = scene.VERSION
    KINDS = scene.KINDS
    KEYPOINTS = ("stem", "tip", "centre")
    BACKGROUNDS = tuple(BACKGROUNDS)
    MIN_VISIBLE = scene.MIN_VISIBLE

    def __init__(
        self,
        size: int | tuple[int, int] = 128,
        split: str = "train",
        seed: int = 0,
        kinds: Sequence[str] = scene.KINDS,
        count: Pair = (1, 5),
        length: int = 10_000,
        distractors: Pair = (0, 2),
        background: str | Sequence[str] | None = None,
        scale: tuple[float, float] = (0.125, 0.18),
        dtype: torch.dtype = torch.float32,
        transforms: Callable[[Any, Target], tuple[Any, Target]] | None = None,
    ) -> None:
        self.size = _size(size)
        if split not in scene.SPLITS:
            raise ValueError(f"StillLife: split must be one of {', '.join(scene.SPLITS)}, got {split!r}")
        self.split = split
        self.seed = _whole("seed", seed, 0, 2**64 - 1)
        self.kinds = _names("kinds", kinds, scene.KINDS)
        self.count = _pair("count", count, scene.MAX_FRUITS)
        self.length = _whole("length", length, 0, 2**63 - 1)
        self.distractors = _pair("distractors", distractors, scene.MAX_DISTRACTORS)
        self.background = USUAL if background is None else _names("background", background, self.BACKGROUNDS)
        self.scale = _scale(scale)
        if dtype not in (torch.float32, torch.uint8):
            raise ValueError(f"StillLife: dtype must be torch.float32 or torch.uint8, got {dtype}")
        self.dtype = dtype
        if transforms is not None and not callable(transforms):
            raise TypeError(f"StillLife: transforms must be a function of (image, target) or None, got {transforms!r}")
        self.transforms = transforms

    def __len__(self) -> int:
        return self.length

    def __repr__(self) -> str:
        return (
            f"StillLife(size={self.size}, split={self.split!r}, seed={self.seed}, kinds={len(self.kinds)}, "
            f"count={self.count}, length={self.length})"
        )

    def scene(self, index: int) -> scene.Scene:
        """Render an item's scene as numpy arrays, before it is turned into tensors.

        Args:
            index: 0 to `len(self) - 1`; negative ones count from the end.

        Returns:
            A `Scene`.

        Raises:
            TypeError: if the index is no whole number, such as a slice.
            IndexError: if there is no such item.
        """
        if not hasattr(index, "__index__"):
            raise TypeError(f"StillLife: index must be a whole number, got {index!r}")
        i = as_index(index)
        if not -self.length <= i < self.length:
            raise IndexError(f"StillLife: index {i} is out of range for {self.length} items")
        random = Random(self.seed, scene.SPLITS.index(self.split), i % self.length)
        return scene.render(
            random, self.size, self.split, self.kinds, self.count, self.distractors, self.background, self.scale
        )

    def __getitem__(self, index: int) -> tuple[Any, Target]:
        made = self.scene(index)
        image = torch.from_numpy(made.image)
        if self.dtype == torch.float32:
            image = image.to(torch.float32) / 255
        item = tv_tensors.Image(image), self._target(made, as_index(index) % self.length)
        return item if self.transforms is None else self.transforms(*item)

    def _target(self, made: scene.Scene, image_id: int) -> Target:
        labels = np.array([1 + self.kinds.index(kind) for kind in made.kinds], np.int64)
        masks = made.owner == np.arange(1, len(labels) + 1, dtype=np.int32)[:, None, None]  # (N, H, W)
        semantic = np.concatenate([[0], labels])[made.owner]  # (H, W)
        points = torch.from_numpy(made.keypoints)
        if hasattr(tv_tensors, "KeyPoints"):
            points = tv_tensors.KeyPoints(points, canvas_size=self.size)
        return {
            "boxes": tv_tensors.BoundingBoxes(torch.from_numpy(_boxes(masks)), format="XYXY", canvas_size=self.size),
            "labels": torch.from_numpy(labels),
            "masks": tv_tensors.Mask(torch.from_numpy(masks)),
            "semantic": tv_tensors.Mask(torch.from_numpy(semantic)),
            "keypoints": points,
            "keypoints_visible": torch.from_numpy(made.keypoints_visible),
            "visibility": torch.from_numpy(made.visibility),
            "caption": made.caption,
            "image_id": image_id,
        }


def hero(size: tuple[int, int] = (480, 720), seed: int = 21) -> tuple[Any, Target]:
    """Render a large, full table: the book's front page.

    Args:
        size: (height, width) in pixels.
        seed: which table.

    Returns:
        An item `(image, target)` as `StillLife` gives them.

    Example:
        >>> image, target = hero(size=(64, 96))
        >>> image.shape
        torch.Size([3, 64, 96])
    """
    return StillLife(
        size,
        "test",
        seed,
        count=(8, 10),
        distractors=(3, 4),
        background=("wood", "slate", "cloth"),
        scale=(0.135, 0.15),
    )[0]


def collate(items: Sequence[tuple[Any, Target]]) -> tuple[list[Any], list[Target]]:
    """Gather items into a list of images and a list of targets, as torchvision's detection models take them.

    Args:
        items: pairs (image, target).

    Returns:
        (images, targets), two lists of equal length.

    Raises:
        ValueError: if there is no item.

    Example:
        >>> data = StillLife(size=32, length=4)
        >>> images, targets = next(iter(torch.utils.data.DataLoader(data, batch_size=4, collate_fn=collate)))
        >>> len(images), len(targets)
        (4, 4)
    """
    if len(items) == 0:
        raise ValueError("collate: items must hold at least one pair (image, target), got none")
    images, targets = zip(*items, strict=True)
    return list(images), list(targets)


def _boxes(masks: np.ndarray) -> np.ndarray:
    """Return half-open xyxy boxes, float32 (N, 4), round masks (N, H, W) none of which is empty."""
    columns, rows = masks.any(1), masks.any(2)
    h, w = masks.shape[1:]
    first_x, last_x = columns.argmax(1), w - columns[:, ::-1].argmax(1)
    first_y, last_y = rows.argmax(1), h - rows[:, ::-1].argmax(1)
    return np.stack([first_x, first_y, last_x, last_y], axis=1).astype(np.float32)


def _whole(name: str, value: int, low: int, high: int) -> int:
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"StillLife: {name} must be a whole number, got {value!r}")
    if not low <= as_index(value) <= high:
        raise ValueError(f"StillLife: {name} must be from {low} to {high}, got {value}")
    return as_index(value)


def _pair(name: str, value: Pair, most: int) -> tuple[int, int]:
    if not isinstance(value, (tuple, list)):
        value = (value, value)
    if len(value) != 2:
        raise ValueError(f"StillLife: {name} must be a number or (fewest, most), got {value!r}")
    low, high = (_whole(name, v, 0, most) for v in value)
    if low > high:
        raise ValueError(f"StillLife: {name} must be (fewest, most), got ({low}, {high})")
    return low, high


def _size(size: int | tuple[int, int]) -> tuple[int, int]:
    if not isinstance(size, (tuple, list)):
        size = (size, size)
    if len(size) != 2:
        raise ValueError(f"StillLife: size must be a number or (height, width), got {size!r}")
    height, width = (_whole("size", v, SMALLEST, LARGEST) for v in size)
    return height, width


def _names(what: str, names: str | Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    names = (names,) if isinstance(names, str) else names
    if not isinstance(names, Iterable):
        raise TypeError(f"StillLife: {what} must be names among {', '.join(known)}, got {names!r}")
    names = tuple(names)
    if not names:
        raise ValueError(f"StillLife: {what} must name at least one of {', '.join(known)}")
    for position, name in enumerate(names):
        if name not in known:
            raise ValueError(f"StillLife: {what} must be among {', '.join(known)}, got {name!r} at {position}")
    if len(set(names)) < len(names):
        raise ValueError(f"StillLife: {what} must not repeat a name, got {', '.join(names)}")
    return names


def _scale(scale: tuple[float, float]) -> tuple[float, float]:
    try:
        low, high = (float(v) for v in scale)
    except (TypeError, ValueError):
        raise TypeError(f"StillLife: scale must be two numbers, (smallest, largest), got {scale!r}") from None
    if not 0.05 <= low <= high <= 0.25:
        raise ValueError(f"StillLife: scale must be 0.05 <= smallest <= largest <= 0.25, got ({low}, {high})")
    return low, high
