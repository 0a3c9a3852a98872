"""What goes wrong: each false alarm and each object not found gets a reason, and a price in average precision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from cvlab import _check
from cvlab.metrics._inputs import Detections, Objects, read, select
from cvlab.metrics._outcomes import FALSE_ALARM, HIT, IGNORED, Outcomes, area_under, judge
from cvlab.metrics._text import as_html, as_text, number
from cvlab.metrics.matching import best_first, pair_blocks

KINDS = ("localisation", "class", "both", "duplicate", "background", "missed")
"""Kinds of errors, as `detection_errors` tells them apart."""

_MAX_DETECTIONS = 100  # of one image and class, as in COCO's evaluation


@dataclass(frozen=True)
class DetectionErrors:
    """Errors by kind.

    Attributes:
        ap: Average precision at the threshold, as things are.
        counts: How many errors of each kind there are.
        gains: By how much `ap` would rise if all errors of this kind, and only those, were mended.
    """

    ap: float
    counts: dict[str, int]
    gains: dict[str, float]

    def __str__(self) -> str:
        return f"AP {number(self.ap)}\n{as_text(self._rows())}"

    def _repr_html_(self) -> str:
        return f"<p>AP {number(self.ap)}</p>{as_html(self._rows())}"

    def _rows(self) -> list[list[str]]:
        return [["error", "count", "gain"], *([k, str(self.counts[k]), number(self.gains[k])] for k in KINDS)]


def detection_errors(
    predictions: Sequence[Mapping[str, Tensor]],
    targets: Sequence[Mapping[str, Tensor]],
    *,
    iou_threshold: float = 0.5,
    background_iou: float = 0.1,
    score_threshold: float = 0.0,
) -> DetectionErrors:
    """Sort what a detector does wrong into six kinds, and say what mending each would gain.

    A false alarm is, in this order,

    - localisation: its best IoU with an object of its class lies in [background_iou, iou_threshold);
    - class: it has at least iou_threshold with an object of another class;
    - duplicate: it has as much with an object of its class, which a surer detection took;
    - background: no object has more than background_iou;
    - both: the rest, near an object of another class.

    An object that is not found is missed, unless an error of localisation or class explains it.

    Args:
        predictions: As in `DetectionMetrics.update`.
        targets: Likewise; crowds count neither as found nor as missed.
        iou_threshold: In (0, 1], from which on a detection may take an object.
        background_iou: Above 0 and below iou_threshold.
        score_threshold: Detections with a lower score are left out: 0.5 shows what somebody sees who looks at the
            pictures, 0 what average precision sees.

    Returns:
        Counts and gains. Mending puts the surest wrong detection of each object not found yet right, and removes all
        other errors of the kind; for missed objects it takes them out of the count, and where a class has none left,
        its average precision is 1.

    Raises:
        TypeError: As in `DetectionMetrics.update`.
        InputError: As there, or a threshold is not as above.

    Notes:
        Kinds, order and mending are those of TIDE. The average is over classes with objects, as COCO has it; TIDE
        counts a class with detections but without objects as 0. The 100 best detections of each image and class are
        looked at, as in COCO's evaluation. Gains do not add up: errors hide one another.

    Example:
        >>> import torch
        >>> target = {"boxes": torch.tensor([[0.0, 0.0, 10.0, 10.0]]), "labels": torch.tensor([1])}
        >>> boxes = torch.tensor([[0.0, 0.0, 10.0, 4.0], [0.0, 0.0, 10.0, 10.0], [50.0, 0.0, 60.0, 10.0]])
        >>> prediction = {"boxes": boxes, "labels": torch.tensor([1, 2, 1]), "scores": torch.tensor([0.9, 0.8, 0.7])}
        >>> errors = detection_errors([prediction], [target])
        >>> print(errors)
        AP 0.000
        error         count   gain
        localisation      1  1.000
        class             1  0.500
        both              0  0.000
        duplicate         0  0.000
        background        1  0.000
        missed            0  0.000

    References:
        Bolya et al. (2020). TIDE: a general toolbox for identifying object detection errors. Sections 2.2 and 2.3.
    """
    op = "detection_errors"
    _check.fraction(op, "iou_threshold", iou_threshold)
    if not 0 < background_iou < iou_threshold:
        raise _check.InputError(
            f"{op}: background_iou must lie between 0 and iou_threshold, got {background_iou} and {iou_threshold}"
        )
    _check.number(op, "score_threshold", score_threshold)
    detections, objects = read(op, predictions, targets)
    detections = select(detections, detections.score >= score_threshold)
    everything = np.array([(0.0, np.inf)])
    outcomes = judge(detections, objects, np.array([float(iou_threshold)]), everything, _MAX_DETECTIONS)
    kinds, wanted = _explain(outcomes, iou_threshold, background_iou)
    missed = _missed(outcomes, kinds, wanted)
    ap = _mean_ap(outcomes.detections, outcomes.outcome[0, 0], objects, np.zeros(len(missed), bool))
    counts = {kind: int((kinds == i).sum()) for i, kind in enumerate(KINDS)}
    gains = {kind: _mended(outcomes, kinds == i, wanted) - ap for i, kind in enumerate(KINDS)}
    counts["missed"] = int(missed.sum())
    gains["missed"] = _mean_ap(outcomes.detections, outcomes.outcome[0, 0], objects, missed) - ap
    return DetectionErrors(ap, counts, gains)


def _explain(outcomes: Outcomes, iou_threshold: float, background_iou: float) -> tuple[np.ndarray, np.ndarray]:
    """Give the kind of each false alarm (N,), -1 for other detections, and the object it should have found, or -1."""
    same_iou, same = _nearest(outcomes, True, background_iou)
    other_iou, other = _nearest(outcomes, False, background_iou)
    reasons = {
        "localisation": (same_iou >= background_iou) & (same_iou < iou_threshold) & (same >= 0),
        "class": (other_iou >= iou_threshold) & (other >= 0),
        "duplicate": same_iou >= iou_threshold,
        "background": np.maximum(same_iou, other_iou) <= background_iou,
        "both": np.ones(len(same), bool),
    }
    kinds = np.select(list(reasons.values()), [KINDS.index(kind) for kind in reasons], -1)
    kinds[outcomes.outcome[0, 0] != FALSE_ALARM] = -1
    wanted = np.select([kinds == KINDS.index("localisation"), kinds == KINDS.index("class")], [same, other], -1)
    return kinds, wanted


def _nearest(outcomes: Outcomes, same_class: bool, lowest: float) -> tuple[np.ndarray, np.ndarray]:
    """Find for each detection the largest IoU with the image's objects of its own or of other classes, and which."""
    detections, objects = outcomes.detections, outcomes.objects
    by_image = np.argsort(detections.image, kind="stable")
    real = np.flatnonzero(~objects.ignored)
    near, kept = select(detections, by_image), select(objects, real)
    iou, which = np.zeros(len(by_image)), np.full(len(by_image), -1)
    for pairs in pair_blocks(near, kept, near.image, kept.image, lowest):
        own = (near.label[pairs.detection] == kept.label[pairs.object]) == same_class
        d = by_image[pairs.detection[own]]
        iou[d], which[d] = (
            pairs.iou[own],
            real[pairs.object[own]],
        )  # of each detection the last pair, its largest, stays
    return iou, which


def _missed(outcomes: Outcomes, kinds: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Mark the objects (G,) that are neither found nor explained by another error."""
    missed = ~outcomes.objects.ignored
    missed[outcomes.taken[outcomes.taken >= 0]] = False
    missed[wanted[wanted >= 0]] = False
    return missed


def _mended(outcomes: Outcomes, wrong: np.ndarray, wanted: np.ndarray) -> float:
    """Compute average precision with some errors (N,) put right if they want an object nobody found, else removed."""
    detections, objects = outcomes.detections, outcomes.objects
    found = np.zeros(len(objects.label), bool)
    found[outcomes.taken[outcomes.taken >= 0]] = True
    able = np.flatnonzero(wrong & (wanted >= 0) & ~np.append(found, False)[wanted])
    able = able[np.argsort(-detections.score[able], kind="stable")]
    able = able[np.unique(wanted[able], return_index=True)[1]]  # the surest for each object
    outcome, label = outcomes.outcome[0, 0].copy(), detections.label.copy()
    outcome[wrong] = IGNORED
    outcome[able], label[able] = HIT, objects.label[wanted[able]]
    return _mean_ap(detections._replace(label=label), outcome, objects, np.zeros(len(found), bool))


def _mean_ap(detections: Detections, outcome: np.ndarray, objects: Objects, left_out: np.ndarray) -> float:
    """Average over the classes that have objects; 1 for those of which all objects are left out."""
    order = best_first(detections, detections.label)
    label, outcome = detections.label[order], outcome[order]
    to_find = objects.label[~objects.ignored & ~left_out]
    values = []
    for k in np.unique(objects.label[~objects.ignored]):
        count = int((to_find == k).sum())
        values.append(area_under(outcome[label == k], count) if count else 1.0)
    return float(np.mean(values)) if values else float("nan")
