"""Average precision as the Pascal VOC challenge counts it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from torch import Tensor

from cvlab import _check
from cvlab.metrics._inputs import Detections, Objects, read, select
from cvlab.metrics.curves import average_precision, curve_of
from cvlab.metrics.detection import names_of_labels
from cvlab.metrics.matching import best_first, pair_blocks


class VocResult(NamedTuple):
    """Mean average precision, and the average precision of each class by name or else by label."""

    mean: float
    per_class: dict[str | int, float]


def voc_ap(
    predictions: Sequence[Mapping[str, Tensor]],
    targets: Sequence[Mapping[str, Tensor]],
    class_names: Sequence[str] | None = None,
    *,
    iou_threshold: float = 0.5,
    method: str = "every_point",
) -> VocResult:
    """Compute average precision at one threshold by the rules of Pascal VOC.

    Each detection, best first, looks only at the object of its class that it overlaps most. It is correct if their IoU
    reaches the threshold and nobody took that object before; a second one is a false alarm, even where another object
    is near enough. Detections of difficult objects do not count.

    Args:
        predictions: As in `DetectionMetrics.update`.
        targets: Likewise, but instead of `iscrowd` they may have `difficult` (G,) bool or integer.
        class_names: As in `DetectionMetrics`.
        iou_threshold: In [0, 1].
        method: "every_point" (VOC 2010 and later) or "voc07" (11 points); see `average_precision`.

    Returns:
        The mean over the classes that have objects, and the number of each; NaN where there is no object to find.

    Raises:
        TypeError: As in `DetectionMetrics.update`.
        InputError: As there, or the threshold or the method is not as above.

    Notes:
        The challenge's own program measures boxes in whole pixels, their last pixel included, and so adds 1 to every
        side. Here boxes are half-open. Any number of detections counts.

    Example:
        >>> import torch
        >>> box = torch.tensor([[0.0, 0.0, 10.0, 10.0]])
        >>> twice = {"boxes": box.repeat(2, 1), "labels": torch.tensor([1, 1]), "scores": torch.tensor([0.9, 0.8])}
        >>> other = {"boxes": box + 40, "labels": torch.tensor([1]), "scores": torch.tensor([0.3])}
        >>> voc_ap([twice, other], [{"boxes": b, "labels": torch.tensor([1])} for b in (box, box + 50)])
        VocResult(mean=0.5, per_class={1: 0.5})

    References:
        Everingham et al. (2010). The Pascal Visual Object Classes challenge. Section 4.2.
    """
    op = "voc_ap"
    _check.fraction(op, "iou_threshold", iou_threshold)
    names = None if class_names is None else names_of_labels(op, class_names)
    num_labels = None if names is None else len(names)
    detections, objects = read(op, predictions, targets, num_labels, ignore="difficult")
    detections = select(detections, best_first(detections, detections.label))
    hit, counted = _voc_outcomes(detections, objects, len(targets), iou_threshold)
    labels = np.union1d(detections.label, objects.label).tolist() if names is None else range(1, len(names) + 1)
    found: dict[str | int, float] = {}
    for label in labels:
        own = counted & (detections.label == label)
        to_find = int(((objects.label == label) & ~objects.ignored).sum())
        curve = curve_of(detections.score[own], hit[own], to_find)
        value = average_precision(curve.recall, curve.precision, method) if to_find else float("nan")
        found[label if names is None else names[label - 1]] = value
    defined = [value for value in found.values() if value == value]
    return VocResult(float(np.mean(defined)) if defined else float("nan"), found)


def _voc_outcomes(
    detections: Detections, objects: Objects, images: int, iou_threshold: float
) -> tuple[np.ndarray, np.ndarray]:
    """Say which detections (N,), best first in each class, are correct, and which count."""
    group, object_group = (t.label * images + t.image for t in (detections, objects))
    by_group, by_object_group = (np.argsort(g, kind="stable") for g in (group, object_group))
    plain = select(objects, by_object_group)._replace(ignored=np.zeros(len(object_group), bool))
    blocks = pair_blocks(
        select(detections, by_group), plain, group[by_group], object_group[by_object_group], iou_threshold
    )
    best = np.full(len(group), -1)  # the object each overlaps most, if that is enough
    for pairs in blocks:
        largest = np.lexsort((-pairs.object, pairs.iou, pairs.detection))  # last of its detection: of equals, the first
        best[by_group[pairs.detection[largest]]] = by_object_group[pairs.object[largest]]
    hit = np.zeros(len(group), bool)
    _, first = np.unique(best, return_index=True)
    hit[first] = True
    difficult = np.append(objects.ignored, False)[best]
    return hit & (best >= 0) & ~difficult, ~difficult
