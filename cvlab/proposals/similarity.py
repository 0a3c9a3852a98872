"""How alike two regions of an image are: in colour, texture, size, and how well they fill each other's gaps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from cvlab import _check

COLOUR_BINS, TEXTURE_BINS, DIRECTIONS = 25, 10, 8
SIMILARITIES = ("colour", "texture", "size", "fill")
"""The four measures, each between 0 and 1."""


@dataclass
class Regions:
    """What is known of regions; a merged region's row follows from the rows of its parts, without the pixels.

    Attributes:
        size: (R,) pixels.
        box: (R, 4) xyxy, half-open, pixels.
        colour: (R, 75) histograms of the three channels, each row's sum 1.
        texture: (R, 240) histograms of the slopes in eight directions of the three channels, each row's sum 1.
        pixels: of the whole image.
    """

    size: np.ndarray
    box: np.ndarray
    colour: np.ndarray
    texture: np.ndarray
    pixels: int

    def with_room(self) -> Regions:
        """Copy into arrays with R - 1 empty rows more, one for each merge to come."""
        rows = (self.size, self.box, self.colour, self.texture)
        more = [np.concatenate([row, np.zeros((len(row) - 1, *row.shape[1:]))]) for row in rows]
        return Regions(*more, self.pixels)

    def merge(self, i: int, j: int, new: int) -> None:
        """Fill the row `new` with what i and j make together: sizes add up, histograms are averaged by size."""
        share = self.size[[i, j]] / self.size[[i, j]].sum()
        self.box[new, :2] = np.minimum(self.box[i, :2], self.box[j, :2])
        self.box[new, 2:] = np.maximum(self.box[i, 2:], self.box[j, 2:])
        self.colour[new] = share @ self.colour[[i, j]]
        self.texture[new] = share @ self.texture[[i, j]]
        self.size[new] = self.size[i] + self.size[j]


def describe_regions(image: np.ndarray, segments: np.ndarray) -> Regions:
    """Measure the regions of an image.

    Args:
        image: (H, W, 3) float in [0, 1], in any colour space.
        segments: (H, W) integers from 0 to R - 1, the region of each pixel.

    Returns:
        The sizes, boxes and histograms.

    Raises:
        InputError: if the image or the segments are not as above.

    Example:
        >>> image = np.zeros((4, 4, 3))
        >>> image[:, 1:] = 1.0
        >>> regions = describe_regions(image, (image[..., 0] > 0.5).astype(int))
        >>> regions.size.tolist(), regions.box.tolist()
        ([4.0, 12.0], [[0.0, 0.0, 1.0, 4.0], [1.0, 0.0, 4.0, 4.0]])
    """
    check_segments("describe_regions", image, segments)
    segments = segments.astype(np.int64)  # narrow integers would overflow below
    count = int(segments.max()) + 1
    size = np.bincount(segments.ravel(), minlength=count)
    slices = ndimage.find_objects(segments + 1)
    box = np.array([[x.start, y.start, x.stop, y.stop] for y, x in slices], dtype=np.float64)
    return Regions(
        size.astype(np.float64),
        box,
        _histograms([image[..., c] for c in range(3)], segments, size, COLOUR_BINS, 1.0),
        _histograms(slopes(image), segments, size, TEXTURE_BINS, None),
        segments.size,
    )


def slopes(image: np.ndarray) -> list[np.ndarray]:
    """Compute for each channel how steeply it rises in each of eight directions, 0 where it falls: 24 maps (H, W)."""
    angles = np.arange(DIRECTIONS) * 2 * np.pi / DIRECTIONS
    maps = []
    for c in range(3):
        dy, dx = (ndimage.gaussian_filter(image[..., c], 1.0, order=order) for order in ((1, 0), (0, 1)))
        maps += [np.maximum(dx * np.cos(a) + dy * np.sin(a), 0) for a in angles]
    return maps


def _histograms(
    maps: Sequence[np.ndarray], segments: np.ndarray, size: np.ndarray, bins: int, top: float | None
) -> np.ndarray:
    """Count for each region the values of each map in bins from 0 to `top`, or to the largest of all; sums are 1."""
    top = top or max(float(max(m.max() for m in maps)), 1e-12)
    parts = []
    for m in maps:
        which = np.clip(m * (bins / top), 0, bins - 1).astype(np.int64)
        parts.append(np.bincount((segments * bins + which).ravel(), minlength=len(size) * bins).reshape(-1, bins))
    return np.concatenate(parts, axis=1) / (size[:, None] * len(maps))


def similarity(
    regions: Regions, i: int | np.ndarray, j: int | np.ndarray, measures: Sequence[str] = SIMILARITIES
) -> np.ndarray:
    """Add up how alike regions are.

    - colour and texture: what two histograms have in common, the sum of the smaller of each two bins;
    - size: 1 - (size_i + size_j) / size of the image, so that small regions merge first, everywhere;
    - fill: 1 - (size of the box around both - size_i - size_j) / size of the image, so that no holes stay.

    Args:
        regions: All regions.
        i: Number of a region, or (n,) numbers.
        j: Number of a region, or (n,) numbers.
        measures: Of `SIMILARITIES`; each adds a number from 0 to 1.

    Returns:
        A number, or (n,).

    Raises:
        InputError: if there is no measure, or one has another name.

    Example:
        >>> image = np.zeros((4, 4, 3))
        >>> image[:, 1:] = 1.0
        >>> regions = describe_regions(image, (image[..., 0] > 0.5).astype(int))
        >>> float(similarity(regions, 0, 1, ["size"])), float(similarity(regions, 0, 1, ["fill"]))
        (0.0, 1.0)

    References:
        Uijlings et al. (2013). Selective search for object recognition. Section 3.2.
    """
    check_measures("similarity", measures)
    both = regions.size[i] + regions.size[j]
    total = np.zeros_like(both)
    for name, histograms in (("colour", regions.colour), ("texture", regions.texture)):
        if name in measures:
            total = total + np.minimum(histograms[i], histograms[j]).sum(-1)
    if "size" in measures:
        total = total + 1 - both / regions.pixels
    if "fill" in measures:
        a, b = regions.box[i], regions.box[j]
        sides = np.maximum(a[..., 2:], b[..., 2:]) - np.minimum(a[..., :2], b[..., :2])
        total = total + 1 - (sides[..., 0] * sides[..., 1] - both) / regions.pixels
    return total


def check_pixels(op: str, image: np.ndarray) -> None:
    """Refuse what is not an image (H, W, 3) float in [0, 1] with a pixel at least."""
    if not isinstance(image, np.ndarray):
        raise TypeError(f"{op}: image must be a numpy.ndarray, got {type(image).__name__}")
    if image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        raise _check.InputError(f"{op}: image must have shape (H, W, 3), H and W at least 1, got {image.shape}")
    if not np.issubdtype(image.dtype, np.floating):
        raise _check.InputError(f"{op}: image must be floating point, got {image.dtype}")
    low, high = float(image.min()), float(image.max())
    if not (low >= -1e-6 and high <= 1 + 1e-6):
        raise _check.InputError(f"{op}: image must lie in [0, 1], got values from {low:g} to {high:g}")


def check_segments(op: str, image: np.ndarray, segments: np.ndarray) -> None:
    """Refuse an image that is none, and segments that do not give each of its pixels one of the numbers 0 to R - 1."""
    check_pixels(op, image)
    if not isinstance(segments, np.ndarray):
        raise TypeError(f"{op}: segments must be a numpy.ndarray, got {type(segments).__name__}")
    if segments.shape != image.shape[:2]:
        raise _check.InputError(f"{op}: segments must have shape {image.shape[:2]}, got {segments.shape}")
    if not np.issubdtype(segments.dtype, np.integer):
        raise _check.InputError(f"{op}: segments must be integers, got {segments.dtype}")
    low, high = int(segments.min()), int(segments.max())
    if low < 0 or high >= segments.size or (np.bincount(segments.ravel().astype(np.int64)) == 0).any():
        raise _check.InputError(
            f"{op}: segments must use all numbers from 0 to R - 1, got {len(np.unique(segments))} different ones from "
            f"{low} to {high}"
        )


def check_measures(op: str, measures: Sequence[str]) -> None:
    """Refuse no measures, and names of none."""
    if isinstance(measures, str) or len(measures) == 0:
        raise _check.InputError(f"{op}: measures must be a sequence of {', '.join(SIMILARITIES)}, got {measures!r}")
    for i, name in enumerate(measures):
        _check.choice(op, f"measures[{i}]", name, SIMILARITIES)
