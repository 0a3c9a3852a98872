"""Selective search: regions of a segmentation, merged step by step; each region's box is a proposal."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from skimage import color, segmentation
from torch import Tensor

from cvlab import _check
from cvlab.ops import nms
from cvlab.proposals.grouping import hierarchical_grouping
from cvlab.proposals.similarity import check_pixels


class Strategy(NamedTuple):
    """How different groupings are made: colour spaces, scales of the first segmentation, sets of measures."""

    spaces: tuple[str, ...]
    scales: tuple[float, ...]
    measures: tuple[tuple[str, ...], ...]


_ALL, _SHAPE = ("colour", "texture", "size", "fill"), ("texture", "size", "fill")
MODES = {
    "single": Strategy(("hsv",), (100.0,), (_ALL,)),
    "fast": Strategy(("hsv", "lab"), (100.0, 200.0), (_ALL, _SHAPE)),
    "quality": Strategy(("hsv", "lab", "rgb"), (50.0, 100.0, 200.0), (_ALL, _SHAPE, ("fill",), ("size",))),
}
"""One grouping, eight, or thirty-six; more of them find more objects, and take longer."""


def selective_search(
    image: Tensor,
    mode: str = "fast",
    *,
    max_proposals: int | None = None,
    sigma: float = 0.8,
    min_size: int | None = None,
    repeated: float = 0.8,
    seed: int = 0,
) -> Tensor:
    """Propose regions of an image that may hold an object.

    The image is split into small regions of one colour, several times in different ways; in each, the two most similar
    neighbours are merged until one is left. Every region on the way gives a box.

    Args:
        image: (3, H, W) float in [0, 1], or uint8.
        mode: "single", "fast" or "quality", see `MODES`.
        max_proposals: how many to give at most; None for all.
        sigma: of the blur before the segmentation, pixels.
        min_size: pixels of the smallest first region; None for 1 / 110 of the image.
        repeated: a box whose IoU with an earlier one is above this is left out. Equal boxes never repeat.
        seed: of the order.

    Returns:
        (P, 4) float32 xyxy, half-open, pixels. Regions that few merges made tend to come first. Each is placed at
        random between 0 and its level, which is 1 for the first regions and one more than that of its parts for others.

    Raises:
        InputError: if the image is not as above, the mode is unknown, or a number is out of its range.

    Example:
        >>> image = torch.zeros(3, 32, 32)
        >>> image[:, 8:24, 4:20] = 1.0
        >>> [4.0, 8.0, 20.0, 24.0] in selective_search(image, sigma=0.1).tolist()
        True

    References:
        Uijlings et al. (2013). Selective search for object recognition. IJCV.
    """
    op = "selective_search"
    _check.choice(op, "mode", mode, tuple(MODES))
    if max_proposals is not None:
        _whole(op, "max_proposals", max_proposals, 1)
    _check_segmentation(op, sigma, min_size)
    _whole(op, "seed", seed, 0)
    _check.fraction(op, "repeated", repeated)
    strategy, rgb = MODES[mode], _pixels(op, image)
    random = np.random.default_rng(seed)
    boxes, places = [], []
    for space in strategy.spaces:
        pixels = in_space(rgb, space)
        for scale in strategy.scales:
            segments = initial_segments(pixels, scale, sigma, min_size)
            for measures in strategy.measures:
                grouping = hierarchical_grouping(pixels, segments, measures)
                boxes.append(grouping.boxes)
                places.append(grouping.levels * random.random(len(grouping.boxes)))
    every = torch.from_numpy(np.concatenate(boxes)).float()
    threshold = min(repeated, 1 - 1e-6)  # no IoU is above 1, but equal boxes go
    return every[nms(every, -torch.from_numpy(np.concatenate(places)), threshold)[:max_proposals]]


def initial_segments(
    pixels: np.ndarray, scale: float = 100.0, sigma: float = 0.8, min_size: int | None = None
) -> np.ndarray:
    """Split an image into regions of nearly one colour, numbered from 0.

    Args:
        pixels: (H, W, 3) float in [0, 1].
        scale: The larger, the larger the regions.
        sigma: of the blur before, pixels.
        min_size: pixels of the smallest region; None for 1 / 110 of the image.

    Returns:
        (H, W) int64.

    Raises:
        InputError: if the image is not as above, or a number is out of its range.

    Example:
        >>> pixels = np.zeros((4, 6, 3))
        >>> pixels[:, 2:] = 1.0
        >>> initial_segments(pixels, sigma=0.0)[0].tolist()
        [0, 0, 1, 1, 1, 1]

    References:
        Felzenszwalb, Huttenlocher (2004). Efficient graph-based image segmentation. By scikit-image.
    """
    op = "initial_segments"
    check_pixels(op, pixels)
    if not (0 < scale < np.inf):
        raise _check.InputError(f"{op}: scale must be finite and above 0, got {scale!r}")
    _check_segmentation(op, sigma, min_size)
    least = max(1, pixels.shape[0] * pixels.shape[1] // 110) if min_size is None else min_size
    segments = segmentation.felzenszwalb(pixels, scale=scale, sigma=sigma, min_size=least, channel_axis=-1)
    return np.unique(segments, return_inverse=True)[1].reshape(segments.shape).astype(np.int64)


def in_space(rgb: np.ndarray, space: str) -> np.ndarray:
    """Convert (H, W, 3) in [0, 1] from RGB to "hsv", "lab" or "rgb", scaled to [0, 1]."""
    if space == "hsv":
        return color.rgb2hsv(rgb)
    if space == "lab":
        return (color.rgb2lab(rgb) + np.array([0, 128, 128])) / np.array([100, 255, 255])
    return rgb


def _pixels(op: str, image: Tensor) -> np.ndarray:
    """Give (H, W, 3) float64 in [0, 1]."""
    _check.tensor(op, "image", image)
    plain = image.detach().cpu().as_subclass(Tensor)
    if plain.dim() != 3 or plain.shape[0] != 3 or plain.numel() == 0:
        raise _check.InputError(f"{op}: image must have shape (3, H, W), H and W at least 1, got {tuple(plain.shape)}")
    if plain.dtype == torch.uint8:
        plain = plain.double() / 255
    _check.numeric(op, "image", plain, floating=True)
    _check.fractions(op, "image", plain)
    return plain.double().permute(1, 2, 0).numpy()


def _check_segmentation(op: str, sigma: float, min_size: int | None) -> None:
    """Refuse a blur or a smallest region that makes no sense."""
    if not (0 <= sigma < np.inf):
        raise _check.InputError(f"{op}: sigma must be finite and at least 0, got {sigma!r}")
    if min_size is not None:
        _whole(op, "min_size", min_size, 1)


def _whole(op: str, name: str, value: int, least: int) -> None:
    """Refuse what is not a whole number, or one below the least."""
    if not isinstance(value, int | np.integer) or value < least:
        raise _check.InputError(f"{op}: {name} must be a whole number, at least {least}, got {value!r}")
