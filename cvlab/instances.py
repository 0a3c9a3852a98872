"""From classes to objects: connected components, areas split where they are narrow, and objects grown.

A semantic segmentation says which class each pixel has; where two objects of a class touch, they are one area of it.
The functions here take label maps (H, W) and give instance maps: integers, 0 for the background, 1 to n for objects.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from scipy import ndimage
from skimage import measure, morphology, segmentation
from torch import Tensor

from cvlab import _check
from cvlab.data.label_maps import IGNORED, plain_labels

NEIGHBOURS = ((-1, 0), (0, -1), (0, 1), (1, 0), (-1, -1), (-1, 1), (1, -1), (1, 1))
"""Steps (y, x) to the eight neighbours of a pixel, the nearest first."""

_BELOW = -1e6  # lower than any height of `split_touching`


def connected_components(labels: Tensor, *, neighbours: int = 8, min_size: int = 1, ignore: int = IGNORED) -> Tensor:
    """Number the connected areas of a label map: two pixels are connected when neighbours of one class lead across.

    Args:
        labels: (H, W) bool, or integers, 0 for the background. Areas of different classes are never connected.
        neighbours: 8 to connect pixels that share a corner too, 4 for those that share a side.
        min_size: Areas of fewer pixels are left out.
        ignore: Pixels with this label belong to no area.

    Returns:
        (H, W) int64, 0 for the background, and 1 to n for the areas, by their first pixel from the top left.

    Raises:
        TypeError: The labels are no tensor.
        InputError: The labels have another shape or dtype, one is below 0, there are other than 4 or 8 neighbours, or
            the size is no whole number of at least 0.

    Example:
        >>> labels = torch.tensor([[1, 1, 0, 2], [0, 0, 0, 1], [3, 0, 1, 1]])
        >>> connected_components(labels)
        tensor([[1, 1, 0, 2],
                [0, 0, 0, 3],
                [4, 0, 3, 3]])
        >>> connected_components(labels, min_size=2).max()  # only the areas of class 1 have two pixels or more
        tensor(2)
    """
    op = "connected_components"
    classes = _classes(op, "labels", labels)
    if neighbours not in (4, 8):
        raise _check.InputError(f"{op}: neighbours must be 4 or 8, got {neighbours!r}")
    _whole(op, "min_size", min_size, 0)
    classes[classes == ignore] = 0
    areas = measure.label(classes, background=0, connectivity=1 if neighbours == 4 else 2)
    return _numbered(areas, min_size).to(labels.device)


def fill_holes(foreground: Tensor, max_size: int | None = None) -> Tensor:
    """Fill the holes of areas: background that the foreground encloses.

    Args:
        foreground: (H, W) bool.
        max_size: Holes of more pixels stay, such as the ground in a ring of objects; None to fill all.

    Returns:
        (H, W) bool. A hole is connected across the sides of its pixels, and does not reach the picture's edge.

    Raises:
        TypeError: The foreground is no tensor.
        InputError: The foreground has another shape or dtype, or the size is no whole number of at least 0.

    Notes:
        Do it before `split_touching`: a hole in the middle of an object leaves a ring around it, with many peaks.

    Example:
        >>> ring = torch.tensor([[1, 1, 1, 0], [1, 0, 1, 0], [1, 1, 1, 0]]).bool()
        >>> fill_holes(ring).int()
        tensor([[1, 1, 1, 0],
                [1, 1, 1, 0],
                [1, 1, 1, 0]], dtype=torch.int32)
    """
    op = "fill_holes"
    _check.shape(op, "foreground", foreground, ("H", "W"))
    if foreground.dtype != torch.bool:
        raise _check.InputError(f"{op}: foreground must be bool, got {foreground.dtype}")
    if max_size is not None:
        _whole(op, "max_size", max_size, 0)
    inside = foreground.cpu().numpy()
    holes = measure.label(ndimage.binary_fill_holes(inside) & ~inside, connectivity=1)
    filled = holes > 0
    if max_size is not None:
        filled &= np.bincount(holes.ravel())[holes] <= max_size
    return torch.from_numpy(inside | filled).to(foreground.device)


def split_touching(foreground: Tensor, *, smoothing: float = 1.0, depth: float = 0.75, min_size: int = 1) -> Tensor:
    """Split areas where they are narrow: the watershed of the distance to the background.

    Each pixel's height is its distance to the background. Two discs that overlap are two hills with a pass between.
    Turned upside down they are two valleys: water rises in both, and where it meets, there is the border.

    Args:
        foreground: (H, W) bool; or integers, of which all but 0 and 255 are foreground.
        smoothing: Standard deviation of the Gaussian that smooths the heights, pixels: rough outlines make false peaks.
        depth: How far one must go down from a peak at least on the way to a higher one, pixels, for it to be a peak of
            its own. More of it splits less.
        min_size: Parts of fewer pixels are left out.

    Returns:
        (H, W) int64, 0 for the background, and 1 to n for the parts. Each connected area has one part at least.

    Raises:
        TypeError: The foreground is no tensor.
        InputError: The foreground has another shape or dtype, smoothing is negative or depth not above 0, or the size
            is no whole number of at least 0.

    Notes:
        It sees outlines alone: a thing with a waist, such as a peanut, is split, and two things that touch along a
        broad front are not. The picture's edge is no background.

    Example:
        >>> y, x = torch.arange(20)[:, None], torch.arange(32)
        >>> discs = ((y - 10) ** 2 + (x - 10) ** 2 < 64) | ((y - 10) ** 2 + (x - 22) ** 2 < 64)
        >>> connected_components(discs).max(), split_touching(discs).max()
        (tensor(1), tensor(2))

    References:
        Vincent, Soille (1991). Watersheds in digital spaces. PAMI. Soille (2004). Morphological image analysis.
        Chapter 6, extended maxima.
    """
    op = "split_touching"
    classes = _classes(op, "foreground", foreground)
    _check.positive(op, "smoothing", [smoothing], zero=True)
    _check.positive(op, "depth", [depth])
    _whole(op, "min_size", min_size, 0)
    inside = (classes != 0) & (classes != IGNORED)
    if not inside.any():
        return torch.zeros(foreground.shape, dtype=torch.int64, device=foreground.device)
    distance = np.ones(inside.shape) if inside.all() else ndimage.distance_transform_edt(inside)
    heights = np.where(inside, ndimage.gaussian_filter(distance, smoothing), _BELOW)
    heights, inside = np.pad(heights, 1, constant_values=_BELOW), np.pad(inside, 1)
    # lower every hill by `depth`, then raise it as far as `heights` and its surroundings allow: shallow peaks are flat
    flattened = morphology.reconstruction(np.where(inside, heights - depth, _BELOW), heights)
    peaks = measure.label(morphology.local_maxima(flattened))
    parts = segmentation.watershed(-heights, peaks, mask=inside, connectivity=2)[1:-1, 1:-1]
    return _numbered(parts, min_size).to(foreground.device)


def grow(instances: Tensor, steps: int | None = 1, *, within: Tensor | None = None) -> Tensor:
    """Let objects grow into the background around them, all at the same speed.

    Args:
        instances: (H, W) integers, 0 for the background.
        steps: How far, pixels, corners counted as one step like sides; None as far as there is room.
        within: (H, W) bool, the pixels that they may take; None for all.

    Returns:
        (H, W) in the dtype of `instances`. No object loses a pixel. A pixel that several reach in the same step goes to
        a neighbour across a side rather than a corner; among them to the one above, left, right, below, in this order.

    Raises:
        TypeError: The instances are no tensor.
        InputError: The instances have another shape or dtype, a number is below 0, `within` is of another shape or not
            bool, or the steps are no whole number of at least 0.

    Notes:
        With `steps=1` it gives back the gap that `cvlab.losses.separate_touching` made.

    Example:
        >>> grow(torch.tensor([[1, 0, 0, 0, 0, 2]]))
        tensor([[1, 1, 0, 0, 2, 2]])
        >>> grow(torch.tensor([[1, 0, 0, 0, 0, 2]]), None, within=torch.tensor([[1, 1, 1, 1, 0, 0]]).bool())
        tensor([[1, 1, 1, 1, 0, 2]])
    """
    op = "grow"
    numbers = plain_labels(op, "instances", instances).cpu().numpy()
    if steps is not None:
        _whole(op, "steps", steps, 0)
    free = numbers == 0
    if within is not None:
        _check.shape(op, "within", within, tuple(instances.shape))
        if within.dtype != torch.bool:
            raise _check.InputError(f"{op}: within must be bool, got {within.dtype}")
        free &= within.detach().cpu().numpy()
    done = 0
    while steps is None or done < steps:
        taken = _nearest_neighbours(numbers) * free
        if not taken.any():
            break
        numbers, free, done = numbers + taken, free & (taken == 0), done + 1
    return torch.from_numpy(numbers).to(instances.device, instances.dtype)


def _nearest_neighbours(numbers: np.ndarray) -> np.ndarray:
    """Give for each pixel the number of the first of its neighbours that belongs to an object, 0 where none does."""
    height, width = numbers.shape
    around, found = np.pad(numbers, 1), np.zeros_like(numbers)
    for dy, dx in NEIGHBOURS:
        beside = around[1 + dy : 1 + dy + height, 1 + dx : 1 + dx + width]
        np.copyto(found, beside, where=found == 0)
    return found


class Instances(NamedTuple):
    """The objects of a picture.

    Attributes:
        map: (H, W) int64, 0 for the background, 1 to n for the objects.
        classes: (n,) int64, the class of object i + 1 at place i.
        scores: (n,) float, the mean probability of its class over its pixels.
    """

    map: Tensor
    classes: Tensor
    scores: Tensor


def instances_from_logits(
    logits: Tensor, *, min_size: int = 1, split: bool = False, steps: int = 0, neighbours: int = 8
) -> Instances:
    """Find the objects in what a segmentation network says of one picture.

    Pixels whose largest logit is not the background's are foreground; connected areas of it are objects, whatever their
    pixels' classes; the class that most pixels have is the object's. So a patch of another class does not tear an
    object apart; objects of two classes that touch are one, unless they are split.

    Args:
        logits: (K, H, W) float, class 0 the background.
        min_size: Objects of fewer pixels are left out, before they grow.
        split: Split areas where they are narrow, as `split_touching` does.
        steps: How far objects grow at the end, pixels, such as 1 for a network that learned gaps.
        neighbours: As in `connected_components`.

    Returns:
        The objects. Their classes are from 1 to K - 1, the lower one where two are as frequent.

    Raises:
        TypeError: The logits are no tensor.
        InputError: The logits are no floats, have another shape, fewer than two classes, or are not finite; or as the
            functions used.

    Example:
        >>> logits = torch.zeros(3, 1, 6)
        >>> logits[1, 0, :2] = logits[2, 0, 2] = logits[2, 0, 5] = 4.0  # classes 1, 1, 2, and 2 beyond a gap
        >>> found = instances_from_logits(logits)
        >>> found.map, found.classes
        (tensor([[1, 1, 1, 0, 0, 2]]), tensor([1, 2]))
    """
    op = "instances_from_logits"
    _check.numeric(op, "logits", logits, floating=True)
    _check.shape(op, "logits", logits, ("K", "H", "W"))
    if logits.shape[0] < 2:
        raise _check.InputError(f"{op}: logits must have two classes or more, got {logits.shape[0]}")
    _check.finite(op, "logits", logits)
    labels = logits.argmax(0)
    if split:
        found = split_touching(labels > 0, min_size=min_size)
    else:
        found = connected_components(labels > 0, neighbours=neighbours, min_size=min_size)
    classes = instance_classes(found, labels)
    probability = logits.detach().float().softmax(0)
    own = torch.cat((classes.new_zeros(1), classes))[found]  # (H, W), the class of each pixel's object
    sums, areas = (
        torch.zeros(len(classes) + 1, device=found.device).index_add_(0, found.flatten(), values.flatten())
        for values in (probability.gather(0, own[None]), torch.ones_like(probability[0]))
    )
    return Instances(grow(found, steps), classes, sums[1:] / areas[1:].clamp(min=1))


def instance_classes(instances: Tensor, labels: Tensor) -> Tensor:
    """Give each object the class that most of its pixels have.

    Args:
        instances: (H, W) integers, 0 for the background.
        labels: (H, W) integers, the class of each pixel; 0, the background, and 255 have no vote.

    Returns:
        (n,) int64, the class of object i + 1 at place i, n the largest number; of those as frequent, the lowest, and 0
        for an object without a vote, and for a number that does not occur.

    Raises:
        TypeError: One of both is no tensor.
        InputError: They are of different shapes, of another dtype, or a number is below 0.

    Example:
        >>> instance_classes(torch.tensor([[1, 1, 1, 0, 2]]), torch.tensor([[4, 4, 7, 7, 255]]))
        tensor([4, 0])
    """
    op = "instance_classes"
    numbers = plain_labels(op, "instances", instances)
    classes = plain_labels(op, "labels", labels, tuple(instances.shape))
    count = int(numbers.max()) if numbers.numel() else 0
    votes = (numbers > 0) & (classes > 0) & (classes != IGNORED)
    width = int(classes[votes].max()) + 1 if bool(votes.any()) else 1
    table = torch.bincount(numbers[votes] * width + classes[votes], minlength=(count + 1) * width)
    return table.reshape(count + 1, width)[1:].argmax(1)


def _classes(op: str, name: str, labels: Tensor) -> np.ndarray:
    """Give labels, bool or integers, as a copy of int64."""
    numbers = labels.byte() if isinstance(labels, Tensor) and labels.dtype == torch.bool else labels
    return plain_labels(op, name, numbers).cpu().numpy().copy()


def _numbered(areas: np.ndarray, min_size: int) -> Tensor:
    """Leave out areas of fewer pixels, and number the others from 1 on without gaps."""
    kept = np.bincount(areas.ravel(), minlength=1) >= max(min_size, 1)
    kept[0] = False
    return torch.from_numpy((kept.cumsum() * kept)[areas])


def _whole(op: str, name: str, value: int, least: int) -> None:
    if not isinstance(value, int) or value < least:
        raise _check.InputError(f"{op}: {name} must be a whole number of at least {least}, got {value!r}")
