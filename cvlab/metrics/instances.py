"""How well objects are told apart: instance maps are compared object by object.

The pixels' classes can be right nearly everywhere while two objects that touch are found as one. Here an object counts
as found only if it has a partner, which covers it and little else.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from cvlab import _check
from cvlab.data.label_maps import instances_from_masks, masks_from_instances, plain_labels
from cvlab.ops import mask_iou

DSB_THRESHOLDS = tuple(percent / 100 for percent in range(50, 100, 5))
"""The ten thresholds of the Data Science Bowl 2018: 0.5, 0.55, ..., 0.95."""

_MOST_BINS = 2**24  # of the histogram of pairs; beyond, gaps in the numbering are closed first


class InstanceTable(NamedTuple):
    """The objects of two instance maps, and how they overlap.

    Attributes:
        predicted: (P,) int64, the numbers of the predicted objects, rising; those of masks count from 1.
        truth: (G,) int64, likewise those of the true objects.
        iou: (P, G) float64.
    """

    predicted: Tensor
    truth: Tensor
    iou: Tensor


class InstanceCounts(NamedTuple):
    """Numbers of objects at each threshold, each (T,) int64.

    Attributes:
        tp: Objects found: pairs of a predicted and a true one.
        fp: Predicted objects without a partner.
        fn: True objects without one.
    """

    tp: Tensor
    fp: Tensor
    fn: Tensor


class InstanceMatch(NamedTuple):
    """What `match_instances` gives.

    Attributes:
        threshold: Of IoU.
        tp: Pairs of a predicted and a true object.
        fp: Predicted objects without a partner.
        fn: True objects without one.
        precision: tp / (tp + fp).
        recall: tp / (tp + fn).
        f1: 2 tp / (2 tp + fp + fn).
        accuracy: tp / (tp + fp + fn), what the Data Science Bowl 2018 averages.
        mean_matched_score: The mean IoU of the pairs.
        mean_true_score: The sum of their IoUs divided by tp + fn.
        panoptic_quality: The sum of their IoUs divided by tp + fp / 2 + fn / 2.
        pairs: (tp, 2) int64, the numbers of the predicted and the true object of each pair.
    """

    threshold: float
    tp: int
    fp: int
    fn: int
    precision: float
    recall: float
    f1: float
    accuracy: float
    mean_matched_score: float
    mean_true_score: float
    panoptic_quality: float
    pairs: Tensor


def instance_iou(predicted: Tensor, truth: Tensor) -> InstanceTable:
    """Compute the IoU of each predicted object with each true one.

    Of two instance maps all areas and intersections come from one histogram of the pairs of numbers that pixels have.

    Args:
        predicted: (H, W) integers, 0 for the background, any other number for an object; or (N, H, W) bool, a mask for
            each object.
        truth: Likewise, of the same H and W.

    Returns:
        The objects' numbers and the IoU of each pair. A number that does not occur is no object, and neither is a mask
        without a pixel.

    Raises:
        TypeError: An argument is no tensor.
        InputError: An argument is neither of both, the sizes differ, or a number is below 0.

    Example:
        >>> truth = torch.tensor([[1, 1, 1, 1, 0, 7, 7, 7]])
        >>> predicted = torch.tensor([[1, 1, 1, 0, 0, 2, 2, 0]])
        >>> table = instance_iou(predicted, truth)
        >>> table.iou  # 3 pixels of 4, and 2 of 3
        tensor([[0.7500, 0.0000],
                [0.0000, 0.6667]], dtype=torch.float64)
        >>> table.truth
        tensor([1, 7])
    """
    return table_of("instance_iou", ("predicted", predicted), ("truth", truth))


def match_instances(predicted: Tensor, truth: Tensor, threshold: float = 0.5) -> InstanceMatch:
    """Pair predicted with true objects whose IoU lies above a threshold, and score the pairs.

    Args:
        predicted: As in `instance_iou`.
        truth: As in `instance_iou`.
        threshold: In [0, 1]; the IoU of a pair must be greater. From 0.5 on no object of a map can have two partners:
            each would cover more than half of both together. Below, and for masks that overlap, pairs are chosen so
            that there are as many as possible, and of those with the largest sum of IoUs.

    Returns:
        Counts, quotients, and who was paired with whom. With no object in both all quotients are 1, because there
        was nothing to find, and nothing was found. Otherwise a quotient whose divisor is 0 is 0.

    Raises:
        TypeError: As for `instance_iou`.
        InputError: As for `instance_iou`, or the threshold is not in [0, 1].

    Notes:
        Names and meaning are those of stardist's `matching`, which lets an IoU equal to the threshold count too, and
        writes 0 where there is no object in both.

    Example:
        >>> truth = torch.tensor([[1, 1, 1, 1, 0, 7, 7, 7]])
        >>> predicted = torch.tensor([[1, 1, 1, 0, 0, 2, 2, 0]])  # IoU 3/4 and 2/3
        >>> found = match_instances(predicted, truth, 0.7)
        >>> found.tp, found.fp, found.fn, found.panoptic_quality
        (1, 1, 1, 0.375)
        >>> found.pairs
        tensor([[1, 1]])

    References:
        Schmidt et al. (2018). Cell detection with star-convex polygons. MICCAI. Kirillov et al. (2019). Panoptic
        segmentation. CVPR. Equation 1.
    """
    op = "match_instances"
    _check.fraction(op, "threshold", threshold)
    table = table_of(op, ("predicted", predicted), ("truth", truth))
    rows, columns, values = _candidates(table, threshold)
    chosen = _choose(rows, columns, values, threshold)
    tp, iou = len(chosen), float(values[chosen].sum())
    pairs = torch.stack((table.predicted[rows[chosen]], table.truth[columns[chosen]]), 1)
    fp, fn = len(table.predicted) - tp, len(table.truth) - tp
    return InstanceMatch(float(threshold), tp, fp, fn, *quotients(tp, fp, fn, iou), pairs)


def instance_counts(predicted: Tensor, truth: Tensor, thresholds: Sequence[float] = DSB_THRESHOLDS) -> InstanceCounts:
    """Count objects found, false alarms and missed objects at several thresholds of IoU.

    Args:
        predicted: As in `instance_iou`.
        truth: As in `instance_iou`.
        thresholds: T numbers in [0, 1]; the IoU of a pair must be greater, as the Data Science Bowl 2018 has it.

    Returns:
        The counts, each (T,) int64.

    Raises:
        TypeError: As for `instance_iou`.
        InputError: As for `instance_iou`, or there is no threshold or one is not in [0, 1].

    Example:
        >>> truth = torch.tensor([[1, 1, 1, 1, 0, 2, 2, 2]])
        >>> predicted = torch.tensor([[1, 1, 1, 0, 0, 2, 2, 0]])  # IoU 3/4, which is not above 0.75, and 2/3
        >>> instance_counts(predicted, truth).tp
        tensor([2, 2, 2, 2, 1, 0, 0, 0, 0, 0])
    """
    op = "instance_counts"
    check_thresholds(op, thresholds)
    return count_matches(table_of(op, ("predicted", predicted), ("truth", truth)), thresholds)[0]


def check_thresholds(op: str, thresholds: Sequence[float]) -> None:
    """Refuse an empty sequence, and thresholds outside [0, 1]."""
    if isinstance(thresholds, str) or not hasattr(thresholds, "__len__") or len(thresholds) == 0:
        raise _check.InputError(f"{op}: thresholds must be one number or more, got {thresholds!r}")
    for i, threshold in enumerate(thresholds):
        _check.fraction(op, f"thresholds[{i}]", threshold)


def count_matches(table: InstanceTable, thresholds: Sequence[float]) -> tuple[InstanceCounts, Tensor]:
    """Count the pairs of a table at each threshold, and sum their IoUs, (T,) float64."""
    rows, columns, values = _candidates(table, min(thresholds))
    chosen = [_choose(rows, columns, values, threshold) for threshold in thresholds]
    tp = torch.tensor([len(kept) for kept in chosen])
    iou = torch.tensor([float(values[kept].sum()) for kept in chosen], dtype=torch.float64)
    return InstanceCounts(tp, len(table.predicted) - tp, len(table.truth) - tp), iou


def quotients(tp: int, fp: int, fn: int, iou: float) -> tuple[float, ...]:
    """Give precision, recall, f1, accuracy, mean matched and true score, and panoptic quality; see `InstanceMatch`."""
    if tp + fp + fn == 0:
        return (1.0,) * 7
    divisions = (
        (tp, tp + fp),
        (tp, tp + fn),
        (2 * tp, 2 * tp + fp + fn),
        (tp, tp + fp + fn),
        (iou, tp),
        (iou, tp + fn),
        (iou, tp + fp / 2 + fn / 2),
    )
    return tuple(part / whole if whole else 0.0 for part, whole in divisions)


def table_of(op: str, predicted: tuple[str, Tensor], truth: tuple[str, Tensor]) -> InstanceTable:
    """Do what `instance_iou` does, with arguments that have names of their own in messages."""
    maps = [_read(op, *predicted), _read(op, *truth)]
    sizes = [tuple(one.shape[-2:]) for one in maps]
    if sizes[0] != sizes[1]:
        names = f"{predicted[0]} and {truth[0]}"
        raise _check.InputError(f"{op}: {names} must be of one size, got {sizes[0]} and {sizes[1]}")
    if all(one.dim() == 2 for one in maps):
        return _of_maps(*maps)
    numbers, masks = zip(*(_apart(one) for one in maps), strict=True)
    return InstanceTable(*numbers, mask_iou(*masks))


def _read(op: str, name: str, value: Tensor) -> Tensor:
    """Give an instance map (H, W) int64 on the CPU; masks that overlap stay masks (N, H, W)."""
    _check.tensor(op, name, value)
    if value.dtype == torch.bool and value.dim() == 3:
        masks = value.detach().as_subclass(Tensor).cpu()
        alone = masks.sum(0).amax() <= 1 if masks.numel() else True
        return instances_from_masks(masks) if alone else masks
    if value.dtype == torch.bool or value.dim() != 2:
        kinds = "integers (H, W) or bool (N, H, W)"
        raise _check.InputError(f"{op}: {name} must be {kinds}, got {value.dtype} {tuple(value.shape)}")
    return plain_labels(op, name, value).cpu()


def _of_maps(predicted: Tensor, truth: Tensor) -> InstanceTable:
    """Count the pixels of each pair of numbers of two instance maps."""
    maps = [predicted.flatten(), truth.flatten()]
    bins = [int(one.max()) + 1 if one.numel() else 1 for one in maps]
    if bins[0] * bins[1] <= _MOST_BINS:
        numbers = [torch.arange(count) for count in bins]
    else:
        numbers = [torch.cat((one.new_zeros(1), one)).unique() for one in maps]
        maps = [torch.searchsorted(own, one) for own, one in zip(numbers, maps, strict=True)]
    rows, columns = map(len, numbers)
    pixels = torch.bincount(maps[0] * columns + maps[1], minlength=rows * columns).reshape(rows, columns)
    areas = [pixels.sum(1), pixels.sum(0)]
    kept = [area.nonzero()[:, 0] for area in areas]
    kept = [own[own > 0] for own in kept]  # without the background
    shared = pixels[kept[0]][:, kept[1]]
    together = areas[0][kept[0], None] + areas[1][kept[1]] - shared
    return InstanceTable(numbers[0][kept[0]], numbers[1][kept[1]], shared.double() / together)


def _apart(instances: Tensor) -> tuple[Tensor, Tensor]:
    """Give the numbers (N,) and the masks (N, H, W) of the objects that have a pixel."""
    if instances.dim() == 2:
        numbers = instances.unique()
        return numbers[numbers > 0], masks_from_instances(instances)
    real = instances.flatten(1).any(1)
    return real.nonzero()[:, 0] + 1, instances[real]


def _candidates(table: InstanceTable, threshold: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Give row, column and IoU of the pairs above a threshold."""
    iou = table.iou.numpy()
    rows, columns = np.nonzero(iou > threshold)
    return rows, columns, iou[rows, columns]


def _choose(rows: np.ndarray, columns: np.ndarray, iou: np.ndarray, threshold: float) -> np.ndarray:
    """Choose which candidates above a threshold are paired, so that nobody has two partners."""
    good = np.flatnonzero(iou > threshold)
    r, c = (np.unique(own[good], return_inverse=True)[1] for own in (rows, columns))
    size = tuple(own.max(initial=-1) + 1 for own in (r, c))
    if min(size) == len(good):
        return good  # each has one partner
    place, worth = np.full(size, -1), np.zeros(size)
    place[r, c], worth[r, c] = good, 1 + iou[good] / (len(good) + 1)  # one pair more is worth more than any IoUs
    chosen = place[linear_sum_assignment(worth, maximize=True)]
    return np.sort(chosen[chosen >= 0])
