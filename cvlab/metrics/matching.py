"""Which object each detection takes.

COCO's rule. In each image and class, from the best score to the lowest, a detection takes the object it overlaps most
among those that nobody has taken, if their IoU reaches the threshold; among equal IoUs the last. Crowds stand back:
only detections that find no object take them, and they are never used up; their "IoU" is the share of the detection
that they cover.

`match_detections_reference` says so in two loops. The fast form goes through all images and classes at once: first the
best detection of each, then the second best, for all thresholds and ranges of area.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from cvlab import _check
from cvlab.metrics._inputs import Detections, Objects, read, select

_BLOCK = 1 << 18  # pairs looked at together, about
_ALMOST_ONE = 1 - 1e-10  # pycocotools asks for no more than this, so that rounding does not lose a perfect box


class Pairs(NamedTuple):
    """Pairs that overlap: index of the detection, of the object, and IoU; by detection, then IoU, then object."""

    detection: np.ndarray
    object: np.ndarray
    iou: np.ndarray


def place_in_run(groups: np.ndarray) -> np.ndarray:
    """Number the members of each group from 0, where members stand side by side and groups (N,) never fall."""
    return np.arange(len(groups)) - np.searchsorted(groups, groups)


def pair_blocks(
    detections: Detections,
    objects: Objects,
    group: np.ndarray,
    object_group: np.ndarray,
    lowest: float,
    overlaps: np.ndarray | None = None,
) -> Iterator[Pairs]:
    """Give the pairs of the same group whose IoU is at least `lowest`, block by block, no group in two blocks.

    Args:
        detections: N of them.
        objects: G of them; IoU with those ignored is intersection / area of the detection.
        group: (N,) never falling.
        object_group: (G,) never falling.
        lowest: Smallest IoU.
        overlaps: As `match_groups` takes them.
    """
    start = np.searchsorted(object_group, group)
    count = np.searchsorted(object_group, group, side="right") - start
    end = np.cumsum(count)
    last = np.flatnonzero(np.diff(group, append=np.inf))  # of each group
    block = end[last] // _BLOCK
    stops = last[np.flatnonzero(np.diff(block, append=np.inf))] + 1
    for low, high in zip(np.concatenate(([0], stops)), stops, strict=False):
        d = np.repeat(np.arange(low, high), count[low:high])
        o = np.arange(len(d)) - (end - count)[d] + (end - count)[low] + start[d]
        if overlaps is None:
            iou = _iou(detections.box[d], objects.box[o], objects.ignored[o])
        else:
            iou = overlaps[detections.row[d] + objects.column[o]]
        near = iou >= lowest
        d, o, iou = d[near], o[near], iou[near]
        order = np.lexsort((iou, d))
        yield Pairs(d[order], o[order], iou[order])


def _iou(a: np.ndarray, b: np.ndarray, crowd: np.ndarray) -> np.ndarray:
    """Compute the IoU of boxes (P, 4) in pairs; with a crowd the share of `a` that lies in `b`."""
    side = np.clip(np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2]), 0, None)
    size_a, size_b = a[:, 2:] - a[:, :2], b[:, 2:] - b[:, :2]
    inter, area_a, area_b = (s[:, 0] * s[:, 1] for s in (side, size_a, size_b))
    union: np.ndarray = area_a + area_b - inter
    return np.divide(inter, np.where(crowd, area_a, union))


def match_groups(
    detections: Detections,
    objects: Objects,
    group: np.ndarray,
    object_group: np.ndarray,
    thresholds: np.ndarray,
    outside: np.ndarray | None = None,
    overlaps: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Match all groups at once, for T thresholds and A ranges of area.

    Args:
        detections: N of them, best first in each group.
        objects: G of them.
        group: (N,) never falling.
        object_group: (G,) never falling.
        thresholds: (T,) IoU from which on a detection may take an object.
        outside: (G, A) bool, objects that stand back as crowds do, but are taken once; None for one range with all.
        overlaps: IoUs of masks: that of detection d and object o of one image stands at d's `row` + o's `column`; None
            for the IoUs of the boxes.

    Returns:
        The M detections that overlap an object enough, and the index of the object each takes, (M, A, T), or -1.
    """
    outside = np.zeros((len(objects.box), 1), bool) if outside is None else outside
    back = outside | objects.ignored[:, None]
    least = np.minimum(thresholds, _ALMOST_ONE)
    free = np.ones((*back.shape, len(least)), bool)  # (G, A, T)
    who, taken = [np.zeros(0, np.int64)], [np.zeros((0, *free.shape[1:]), np.int64)]
    for pairs in pair_blocks(detections, objects, group, object_group, least.min(), overlaps):
        if len(pairs.iou):
            block = _match_block(pairs, group, objects.ignored, back, least, free)
            who.append(block[0])
            taken.append(block[1])
    return np.concatenate(who), np.concatenate(taken)


def _match_block(
    pairs: Pairs, group: np.ndarray, crowd: np.ndarray, back: np.ndarray, least: np.ndarray, free: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Let the best detection of each group choose, then the second best; `free` (G, A, T) is kept up to date."""
    new = np.diff(pairs.detection, prepend=-1) > 0
    who = pairs.detection[new]
    turn = place_in_run(group[who])  # (M,), who chooses when
    by_turn = np.argsort(turn, kind="stable")
    pair_turn = turn[np.cumsum(new) - 1]
    order = np.argsort(pair_turn, kind="stable")
    objects, iou, first = pairs.object[order], pairs.iou[order], np.flatnonzero(new[order])
    ends = np.searchsorted(pair_turn[order], np.arange(turn.max() + 2))
    rows = np.searchsorted(turn[by_turn], np.arange(turn.max() + 2))

    taken = np.full((len(who), *free.shape[1:]), -1)
    for k in range(turn.max() + 1):
        own = objects[ends[k] : ends[k + 1]]
        choosers = slice(rows[k], rows[k + 1])
        possible = free[own] & (iou[ends[k] : ends[k + 1], None, None] >= least)  # (P, A, T)
        liking = np.arange(len(own))[:, None] + np.where(back[own], 0, len(own))  # (P, A), larger is better
        best = np.maximum.reduceat(np.where(possible, liking[..., None], -1), first[choosers] - ends[k], axis=0)
        choice = np.where(best >= 0, own[best % len(own)], -1)  # (M_k, A, T)
        taken[by_turn[choosers]] = choice
        m, a, t = np.nonzero(choice >= 0)
        free[choice[m, a, t], a, t] = crowd[choice[m, a, t]]
    return who, taken


def best_first(detections: Detections, group: np.ndarray) -> np.ndarray:
    """Sort by group, then from the best score down; of equal scores the first stays first."""
    return np.lexsort((-detections.score, group))


def _one_image(
    op: str,
    boxes: Tensor,
    scores: Tensor,
    gt_boxes: Tensor,
    labels: Tensor | None,
    gt_labels: Tensor | None,
    iscrowd: Tensor | None,
    iou_threshold: float,
) -> tuple[Detections, Objects]:
    """Check the arguments of the two functions below, and make tables of them."""
    _check.fraction(op, "iou_threshold", iou_threshold)
    if (labels is None) != (gt_labels is None):
        raise _check.InputError(f"{op}: labels and gt_labels must both be given, or neither")
    for name, value in (("boxes", boxes), ("gt_boxes", gt_boxes)):
        _check.tensor(op, name, value)
    ones = [torch.ones(len(b), dtype=torch.int64) for b in (boxes, gt_boxes)]
    prediction = {"boxes": boxes, "scores": scores, "labels": ones[0] if labels is None else labels}
    target = {"boxes": gt_boxes, "labels": ones[1] if gt_labels is None else gt_labels}
    return read(op, [prediction], [target if iscrowd is None else {**target, "iscrowd": iscrowd}])


def match_detections(
    boxes: Tensor,
    scores: Tensor,
    gt_boxes: Tensor,
    *,
    labels: Tensor | None = None,
    gt_labels: Tensor | None = None,
    iscrowd: Tensor | None = None,
    iou_threshold: float = 0.5,
) -> Tensor:
    """Say which object each detection of an image takes.

    Args:
        boxes: (N, 4) detections, xyxy, pixels.
        scores: (N,) finite; the best chooses first, and of equal ones the first.
        gt_boxes: (G, 4) objects, xyxy, pixels.
        labels: (N,) signed integers from 1 on; None for a single class.
        gt_labels: (G,) likewise. A detection takes objects of its own class only.
        iscrowd: (G,) bool or integer, true for a region with many objects, which any number of detections may take.
        iou_threshold: In [0, 1]; an IoU that reaches it counts.

    Returns:
        (N,) int64 index of the object, or -1.

    Raises:
        InputError: A shape, a type or a value is wrong; the message calls the two sets prediction 0 and target 0.

    Notes:
        COCO's rule, see the head of this module. A detection whose best object is gone takes the second best, where it
        overlaps that enough. VOC's rule gives it nothing, see `voc_ap`.

    Example:
        >>> objects = torch.tensor([[0.0, 0.0, 10.0, 10.0], [20.0, 0.0, 30.0, 10.0]])
        >>> boxes = torch.tensor([[0.0, 0.0, 10.0, 8.0], [0.0, 0.0, 10.0, 10.0], [22.0, 0.0, 32.0, 10.0]])
        >>> match_detections(boxes, torch.tensor([0.9, 0.8, 0.7]), objects)  # the first is not the best fit, but surer
        tensor([ 0, -1,  1])
    """
    op = "match_detections"
    found, objects = _one_image(op, boxes, scores, gt_boxes, labels, gt_labels, iscrowd, iou_threshold)
    order = best_first(found, found.label)
    by_label = np.argsort(objects.label, kind="stable")
    ordered, sorted_objects = select(found, order), select(objects, by_label)
    who, taken = match_groups(
        ordered, sorted_objects, ordered.label, sorted_objects.label, np.array([float(iou_threshold)])
    )
    matches = np.full(len(order), -1)
    chosen = taken[:, 0, 0]
    matches[order[who]] = np.where(chosen >= 0, by_label[chosen], -1) if len(by_label) else chosen
    return torch.from_numpy(matches).to(boxes.device)


def match_detections_reference(
    boxes: Tensor,
    scores: Tensor,
    gt_boxes: Tensor,
    *,
    labels: Tensor | None = None,
    gt_labels: Tensor | None = None,
    iscrowd: Tensor | None = None,
    iou_threshold: float = 0.5,
) -> Tensor:
    """Do `match_detections` one detection after the other. Slow and clear; arguments and result are the same.

    Example:
        >>> objects = torch.tensor([[0.0, 0.0, 10.0, 10.0]])
        >>> match_detections_reference(objects.repeat(2, 1), torch.tensor([0.8, 0.9]), objects)
        tensor([-1,  0])
    """
    op = "match_detections_reference"
    found, objects = _one_image(op, boxes, scores, gt_boxes, labels, gt_labels, iscrowd, iou_threshold)
    matches = [-1] * len(found.score)
    for d in best_first(found, np.zeros(len(matches))):
        best = (False, min(iou_threshold, _ALMOST_ONE))  # whether it is no crowd, and the IoU to reach
        for g in range(len(objects.label)):
            crowd = bool(objects.ignored[g])
            iou = float(_iou(found.box[d : d + 1], objects.box[g : g + 1], objects.ignored[g : g + 1])[0])
            possible = found.label[d] == objects.label[g] and iou >= min(iou_threshold, _ALMOST_ONE)
            if possible and (crowd or g not in matches) and (not crowd, iou) >= best:
                best = (not crowd, iou)
                matches[d] = g
    return torch.tensor(matches, dtype=torch.int64, device=boxes.device)
