"""What becomes of every detection: it hits an object, is a false alarm, or does not count."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from cvlab.metrics._inputs import Detections, Objects, select
from cvlab.metrics.curves import mean_precision
from cvlab.metrics.matching import best_first, match_groups, place_in_run

HIT, FALSE_ALARM, IGNORED = 1, 0, -1


class Outcomes(NamedTuple):
    """Detections by class, best first, and what became of each for T thresholds and A ranges of area.

    Attributes:
        detections: N of them.
        objects: G of them, as given.
        place: (N,) how many detections of the same image and class are better.
        taken: (N,) index of the object taken at the first threshold and range, or -1.
        outcome: (A, T, N) int8, HIT, FALSE_ALARM or IGNORED.
        counted: (G, A) bool, whether an object is to be found.
    """

    detections: Detections
    objects: Objects
    place: np.ndarray
    taken: np.ndarray
    outcome: np.ndarray
    counted: np.ndarray


def judge(
    detections: Detections,
    objects: Objects,
    thresholds: np.ndarray,
    ranges: np.ndarray,
    max_detections: int,
    overlaps: np.ndarray | None = None,
) -> Outcomes:
    """Match the best detections of each image and class with its objects, by COCO's rule.

    Args:
        detections: Sorted by image.
        objects: Sorted by image.
        thresholds: (T,) of IoU.
        ranges: (A, 2) smallest and largest area, both included.
        max_detections: How many of one image and class count.
        overlaps: IoUs of masks, at the places that `row` and `column` say; None for those of the boxes.
    """
    images = 1 + max(detections.image.max(initial=0), objects.image.max(initial=0))
    detections = select(detections, best_first(detections, detections.label))
    group = detections.label * images + detections.image
    by_group = np.argsort(group, kind="stable")
    place = np.empty_like(group)
    place[by_group] = place_in_run(group[by_group])
    if place.max(initial=0) >= max_detections:
        kept = place < max_detections
        detections, group, place = select(detections, kept), group[kept], place[kept]
        by_group = np.argsort(group, kind="stable")

    object_group = objects.label * images + objects.image
    by_object_group = np.argsort(object_group, kind="stable")
    outside = (objects.area[:, None] < ranges[:, 0]) | (objects.area[:, None] > ranges[:, 1])  # (G, A)
    who, taken = match_groups(
        select(detections, by_group),
        select(objects, by_object_group),
        group[by_group],
        object_group[by_object_group],
        thresholds,
        outside[by_object_group],
        overlaps,
    )
    counted = ~outside & ~objects.ignored[:, None]
    who = by_group[who]
    outcome = np.empty((len(ranges), len(thresholds), len(group)), np.int8)
    for a, (low, high) in enumerate(ranges):
        outcome[a] = np.where((detections.area < low) | (detections.area > high), IGNORED, FALSE_ALARM)
        own = taken[:, a].T  # (T, M)
        hit = np.where(counted[by_object_group, a][own], HIT, IGNORED) if len(object_group) else own
        outcome[a][:, who] = np.where(own >= 0, hit, outcome[a][:, who])
    first = np.full(len(group), -1)
    first[who] = np.where(taken[:, 0, 0] >= 0, np.append(by_object_group, -1)[taken[:, 0, 0]], -1)
    return Outcomes(detections, objects, place, first, outcome, counted)


def area_under(outcome: np.ndarray, num_objects: int) -> float:
    """Compute COCO's average precision from outcomes (N,), best first; NaN without objects.

    Only the hits are looked at: between two of them precision falls and recall stays, which the envelope does not see.
    """
    if num_objects == 0:
        return float("nan")
    hits = np.flatnonzero(outcome == HIT)
    seen = np.cumsum(outcome != IGNORED, dtype=np.int32)[hits]
    found = np.arange(1, len(hits) + 1)
    return mean_precision(found / num_objects, found / seen)
