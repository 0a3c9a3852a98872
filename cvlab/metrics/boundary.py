"""How well the edges of a segmentation fit: the share of boundary pixels that lie near a true one, and the other way.

IoU is made of areas: moving the outline of a large object by two pixels hardly changes it. The boundary F score looks
at the outlines alone.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor
from torch.nn import functional

from cvlab import _check
from cvlab.data.label_maps import IGNORED
from cvlab.metrics._labels import check_labels, class_count, label_map, same_shape

_NONE = -1  # stands where a pixel is on no boundary


class BoundaryCounts(NamedTuple):
    """Numbers of boundary pixels by class, each (K,) int64.

    Attributes:
        predicted: Pixels on predicted boundaries.
        predicted_near: Those of them near a true boundary pixel of their class.
        truth: Pixels on true boundaries.
        truth_near: Those of them near a predicted boundary pixel of their class.
    """

    predicted: Tensor
    predicted_near: Tensor
    truth: Tensor
    truth_near: Tensor


class BoundaryScores(NamedTuple):
    """What `boundary_f` gives.

    Attributes:
        precision: (K,) float64, the share of predicted boundary pixels near a true one.
        recall: (K,) float64, the share of true boundary pixels near a predicted one.
        f: (K,) float64, the harmonic mean of both.
        mean: The mean of `f` over the classes that are not left out; 0 where all are.
    """

    precision: Tensor
    recall: Tensor
    f: Tensor
    mean: float


def boundary_f(
    predicted: Tensor, truth: Tensor, num_classes: int, tolerance: float = 2.0, ignore: int | None = IGNORED
) -> BoundaryScores:
    """Compute the boundary F score of each class.

    A pixel is on the boundary of its class when one of the four pixels beside it has another class. It is near the
    other label map's boundary when that has a pixel, of the same class, within the tolerance.

    Args:
        predicted: (..., H, W) integers, from 0 to num_classes - 1.
        truth: (..., H, W) integers likewise, or `ignore`.
        num_classes: K, with the background, from 2 to 32768.
        tolerance: Largest distance between the centres of two pixels that are near each other, pixels; 0 for the same.
        ignore: True label of pixels that do not count; None where all do.

    Returns:
        Precision, recall and their harmonic mean F. A class without a boundary pixel in both is left out, and its
        three numbers are NaN. All are 0 for a class with boundary pixels in one alone.

    Raises:
        TypeError: A label map is no tensor.
        InputError: The label maps are no integers or of different shapes, a label is out of range, the number of
            classes is no whole number from 2 to 32768, or the tolerance is negative.

    Notes:
        Of several pictures the pixels are summed, then divided, as for `SegmentationMetrics`. Csurka et al. divide for
        each picture and average; for one picture it is the same. They take 0.75% of the picture's diagonal as the
        tolerance: 1.4 pixels of 128 x 128, 4.7 of 375 x 500. The picture's edge is no boundary, and neither is the edge
        of what is ignored: where a band of ignored pixels runs around all objects, as in Pascal VOC, only what touches
        without a band counts.

    Example:
        >>> truth = torch.zeros(1, 12, dtype=torch.int64)
        >>> truth[0, 6:] = 1
        >>> predicted = truth.roll(3)  # the border between both lies 3 pixels further to the right,
        >>> predicted[0, :3] = 0
        >>> boundary_f(predicted, truth, 2).mean, boundary_f(predicted, truth, 2, tolerance=3).mean
        (0.0, 1.0)

    References:
        Csurka, Larlus, Perronnin (2013). What is a good evaluation measure for semantic segmentation? BMVC. Section 3.
        Martin, Fowlkes, Malik (2004). Learning to detect natural image boundaries. PAMI.
    """
    op = "boundary_f"
    num_classes = class_count(op, "num_classes", num_classes)
    check_tolerance(op, tolerance)
    said, true = label_map(op, "predicted", predicted), label_map(op, "truth", truth)
    _check.shape(op, "truth", true, ("...", "H", "W"))
    same_shape(op, "predicted", said, "truth", true)
    check_labels(op, "predicted", said, num_classes)
    check_labels(op, "truth", true, num_classes, ignore)
    return boundary_scores(count_boundaries(said, true, num_classes, tolerance, ignore))


def check_tolerance(op: str, tolerance: float) -> None:
    """Refuse a tolerance that is no number of at least 0."""
    _check.number(op, "tolerance", tolerance)
    if tolerance < 0:
        raise _check.InputError(f"{op}: tolerance must be at least 0, got {tolerance!r}")


def boundary_scores(counts: BoundaryCounts) -> BoundaryScores:
    """Divide the numbers of boundary pixels; see `boundary_f`."""
    absent = (counts.predicted + counts.truth) == 0
    precision = counts.predicted_near.double() / counts.predicted.clamp(min=1)
    recall = counts.truth_near.double() / counts.truth.clamp(min=1)
    total = precision + recall
    f = 2 * precision * recall / total.where(total > 0, 1.0)
    mean = float(f[~absent].mean()) if bool((~absent).any()) else 0.0
    return BoundaryScores(*(values.masked_fill(absent, torch.nan) for values in (precision, recall, f)), mean)


def count_boundaries(
    predicted: Tensor, truth: Tensor, num_classes: int, tolerance: float, ignore: int | None
) -> BoundaryCounts:
    """Count boundary pixels of label maps whose labels are known to be in range.

    A pixel is on the boundary of one class alone, its own. So the boundaries of all classes are one map, and to look
    for a near pixel is to compare two maps at all steps within the tolerance. Only boundary pixels are looked at, and
    those that have found one are done.

    Args:
        predicted: (..., H, W) integers.
        truth: (..., H, W) integers.
        num_classes: K.
        tolerance: As in `boundary_f`.
        ignore: As in `boundary_f`.

    Returns:
        The counts, on the device of `truth`.
    """
    reach = min(int(tolerance), max(truth.shape[-2:]))
    known = torch.ones_like(truth, dtype=torch.bool) if ignore is None else truth.long() != ignore
    edges = [functional.pad(_boundaries(labels, known), (reach,) * 4, value=_NONE) for labels in (predicted, truth)]
    ours, theirs = (edge.flatten() for edge in edges)
    steps = [dy * edges[0].shape[-1] + dx for dy, dx in near_steps(tolerance, reach)]
    numbers = []
    for own, other in ((ours, theirs), (theirs, ours)):
        every = (own != _NONE).nonzero()[:, 0]
        missed = _unmatched(every, own, other, steps)
        total, alone = (torch.bincount(own[where], minlength=num_classes) for where in (every, missed))
        numbers += [total, total - alone]
    return BoundaryCounts(*numbers)


def near_steps(tolerance: float, reach: int) -> list[tuple[int, int]]:
    """Give all steps (dy, dx) between pixels whose distance is within the tolerance, the shortest first.

    Args:
        tolerance: Pixels.
        reach: The largest step along one side.

    Returns:
        The steps; (0, 0) is the first.
    """
    along = range(-reach, reach + 1)
    steps = [(dy * dy + dx * dx, dy, dx) for dy in along for dx in along]
    return [(dy, dx) for squared, dy, dx in sorted(steps) if math.sqrt(squared) <= tolerance]


def _boundaries(labels: Tensor, known: Tensor) -> Tensor:
    """Keep the labels (..., H, W) of boundary pixels, as int32, and put -1 elsewhere."""
    edge = torch.zeros_like(known)
    for dim in (-2, -1):
        last = labels.shape[dim] - 1
        if last < 1:
            continue
        before, after = (labels.narrow(dim, start, last) for start in (0, 1))
        differ = (before != after) & known.narrow(dim, 0, last) & known.narrow(dim, 1, last)
        edge.narrow(dim, 0, last).logical_or_(differ)
        edge.narrow(dim, 1, last).logical_or_(differ)
    return labels.int().where(edge, _NONE)


def _unmatched(left: Tensor, own: Tensor, other: Tensor, steps: list[int]) -> Tensor:
    """Leave out the places where the other map has, after one of the steps, the same label."""
    for step in steps:
        left = left[other[left + step] != own[left]]
    return left


def boundary_f_reference(
    predicted: Tensor, truth: Tensor, num_classes: int, tolerance: float = 2.0, ignore: int | None = IGNORED
) -> BoundaryScores:
    """Compute what `boundary_f` computes, class by class, from each pixel's distance to the nearest boundary pixel.

    Args:
        predicted: (H, W) integers, from 0 to num_classes - 1.
        truth: (H, W) integers likewise, or `ignore`.
        num_classes: As in `boundary_f`.
        tolerance: As in `boundary_f`.
        ignore: As in `boundary_f`.

    Returns:
        The same.

    Example:
        >>> truth = torch.tensor([[0, 0, 0, 1, 1, 1]])
        >>> boundary_f_reference(truth, truth, 3).f
        tensor([1., 1., nan], dtype=torch.float64)
    """
    known = np.ones(truth.shape, bool) if ignore is None else truth.numpy() != ignore
    rows = []
    for k in range(num_classes):
        edges = [_boundary_of(labels.numpy() == k, known) for labels in (predicted, truth)]
        row = []
        for own, other in (edges, edges[::-1]):
            distance = ndimage.distance_transform_edt(~other) if other.any() else np.full(own.shape, np.inf)
            row += [own.sum(), (own & (distance <= tolerance)).sum()]
        rows.append(row)
    return boundary_scores(BoundaryCounts(*torch.tensor(rows).t()))  # (K, 4) -> four times (K,)


def _boundary_of(mask: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Mark the pixels (H, W) of a mask with a neighbour outside the mask; only known pixels have boundaries."""
    outside = np.pad(~mask & known, 1)
    beside = outside[:-2, 1:-1] | outside[2:, 1:-1] | outside[1:-1, :-2] | outside[1:-1, 2:]
    return mask & known & beside
