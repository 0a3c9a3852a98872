"""Which class is taken for which, and for nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from cvlab import _check
from cvlab.metrics._inputs import read, select
from cvlab.metrics.matching import best_first, match_groups


def confusion_matrix(
    predictions: Sequence[Mapping[str, Tensor]],
    targets: Sequence[Mapping[str, Tensor]],
    num_classes: int,
    *,
    iou_threshold: float = 0.5,
    score_threshold: float = 0.5,
) -> Tensor:
    """Count the objects of each class by the class of the detection that took them.

    Detections of all classes compete for the objects of an image: the best chooses first, by COCO's rule, whatever the
    classes are.

    Args:
        predictions: As in `DetectionMetrics.update`.
        targets: Likewise; detections of crowds are left out.
        num_classes: With the background.
        iou_threshold: In [0, 1]; an IoU that reaches it counts.
        score_threshold: Detections with a lower score are left out.

    Returns:
        (num_classes, num_classes) int64, rows by the object's class, columns by the detection's. Row 0 holds false
        alarms, column 0 missed objects; entry [0, 0] is 0.

    Raises:
        TypeError: As in `DetectionMetrics.update`.
        InputError: As there, or num_classes or a threshold is not as above.

    Notes:
        Where an object has a detection of its own class and a surer one of another, the surer one takes it, and the
        other is a false alarm.

    Example:
        >>> box = torch.tensor([[0.0, 0.0, 10.0, 10.0], [30.0, 0.0, 40.0, 10.0]])
        >>> prediction = {"boxes": box, "labels": torch.tensor([2, 1]), "scores": torch.tensor([0.9, 0.8])}
        >>> target = {"boxes": box + torch.tensor([[1.0], [50.0]]), "labels": torch.tensor([1, 2])}
        >>> confusion_matrix([prediction], [target], 3)  # a 1 taken for a 2, a 2 missed, a 1 where there is nothing
        tensor([[0, 1, 0],
                [0, 0, 1],
                [1, 0, 0]])

        Drawn: ``plot.heatmap(matrix, numbers=".0f", rows=names, columns=names)``.
    """
    op = "confusion_matrix"
    if num_classes != int(num_classes) or num_classes < 2:
        raise _check.InputError(f"{op}: num_classes must be a whole number, at least 2, got {num_classes}")
    _check.fraction(op, "iou_threshold", iou_threshold)
    _check.number(op, "score_threshold", score_threshold)
    detections, objects = read(op, predictions, targets, num_classes - 1)
    detections = select(detections, detections.score >= score_threshold)
    detections = select(detections, best_first(detections, detections.image))
    who, taken = match_groups(detections, objects, detections.image, objects.image, np.array([float(iou_threshold)]))
    match = np.full(len(detections.label), -1)
    match[who] = taken[:, 0, 0]

    counts = np.zeros((num_classes, num_classes), np.int64)
    ignored = np.append(objects.ignored, False)[match]
    true = np.append(objects.label, 0)[match]  # index -1 is the background
    np.add.at(counts, (true[~ignored], detections.label[~ignored]), 1)
    missed = ~objects.ignored
    missed[match[match >= 0]] = False
    np.add.at(counts, (objects.label[missed], 0), 1)
    return torch.from_numpy(counts)
