"""Matching anchors with objects: which anchor learns which object.

Two rules: `match_bipartite` (SSD, d2l), after which every object has an anchor of its own, and `match_argmax` (Faster
R-CNN, torchvision). `match_bipartite_steps` shows the first one at work, entry by entry. Matching is not
differentiable: no gradient flows to the IoU.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from cvlab import _check
from cvlab.ops.boxes import upcast
from cvlab.ops.iou import box_iou, box_iou_blocks
from cvlab.ops.offsets import encode_unchecked, four_weights

BELOW, BETWEEN = -1, -2
"""What `match_argmax` says of an anchor that is matched with nothing: background, or neither."""


def _checked_iou(op: str, iou: Tensor) -> Tensor:
    """Give the matrix, checked and without a gradient: indices have none."""
    _check.numeric(op, "iou", iou, floating=True)
    _check.shape(op, "iou", iou, ("G", "A"))
    _check.fractions(op, "iou", iou)
    return iou.detach()


class MatchStep(NamedTuple):
    """One step of `match_bipartite_steps`: the largest entry left, and what is crossed out after it is taken."""

    gt: int
    anchor: int
    iou: float
    rows_crossed_out: list[int]
    columns_crossed_out: list[int]


def match_bipartite_steps(iou: Tensor) -> Iterator[MatchStep]:
    """Take the largest entry of the matrix, cross out its row and column, and go on while both are left.

    Args:
        iou: (G, A) float, IoU of each object with each anchor.

    Yields:
        The entry taken, and all rows (objects) and columns (anchors) crossed out so far, this entry's included. Of
        equal entries the one with the lowest anchor goes first, then the lowest object.

    Example:
        >>> [(s.gt, s.anchor) for s in match_bipartite_steps(torch.tensor([[0.9, 0.8, 0.1], [0.7, 0.6, 0.2]]))]
        [(0, 0), (1, 1)]
    """
    iou = _checked_iou("match_bipartite_steps", iou)
    values = iou.tolist()
    rows: list[int] = []
    columns: list[int] = []
    for _ in range(min(iou.shape)):
        free = [
            (-values[g][a], a, g)
            for a in range(iou.shape[1])
            for g in range(iou.shape[0])
            if g not in rows and a not in columns
        ]
        negative, anchor, gt = min(free)
        rows, columns = [*rows, gt], [*columns, anchor]
        yield MatchStep(gt, anchor, -negative, rows, columns)


def match_bipartite_reference(iou: Tensor, threshold: float = 0.5) -> Tensor:
    """Do `match_bipartite` step by step. Slow and clear; arguments and result are the same.

    Example:
        >>> match_bipartite_reference(torch.tensor([[0.9, 0.8, 0.1], [0.7, 0.6, 0.2]]))
        tensor([ 0,  1, -1])
    """
    iou = _checked_iou("match_bipartite_reference", iou)
    _check.fraction("match_bipartite_reference", "threshold", threshold)
    matches = [-1] * iou.shape[1]
    for anchor, column in enumerate(iou.t().tolist()):
        if column and max(column) >= threshold:
            matches[anchor] = column.index(max(column))
    for step in match_bipartite_steps(iou):
        matches[step.anchor] = step.gt
    return torch.tensor(matches, dtype=torch.int64, device=iou.device)


def match_bipartite(iou: Tensor, threshold: float = 0.5) -> Tensor:
    """Match anchors with objects so that every object has an anchor.

    Each anchor first takes the object it overlaps most, where that IoU reaches the threshold. Then the largest entry of
    the matrix is taken, its anchor given to its object, its row and column crossed out, until no object or no anchor is
    left.

    Args:
        iou: (G, A) float, IoU of each object with each anchor.
        threshold: In [0, 1].

    Returns:
        (A,) int64 index of the object, or -1 for background.

    Raises:
        InputError: `iou` is not a matrix of numbers in [0, 1], or the threshold lies outside [0, 1].

    Notes:
        d2l's `assign_anchor_to_bbox`, with its order among equals; there the matrix is (A, G), and with more objects
        than anchors it goes on with entries already crossed out. Not differentiable: no gradient flows to `iou`.

    Example:
        >>> match_bipartite(torch.tensor([[0.9, 0.8, 0.1], [0.7, 0.6, 0.2]]))  # object 1 would have none
        tensor([ 0,  1, -1])

    References:
        Liu et al. (2016). SSD: single shot multibox detector. Section 2.2, matching strategy.
    """
    iou = _checked_iou("match_bipartite", iou)
    _check.fraction("match_bipartite", "threshold", threshold)
    real = torch.ones(1, len(iou), dtype=torch.bool, device=iou.device)
    return _match_batch(iou[None], real, threshold)[0]


def _match_batch(iou: Tensor, real: Tensor, threshold: float) -> Tensor:
    """Match (B, G, A), where only objects with `real` (B, G) count, and the others have IoU -1; (B, A) int64.

    Only each object's best free anchor is remembered. When an anchor is taken, the objects that wanted it look again.
    """
    batch, objects, anchors = iou.shape
    if iou.numel() == 0:
        return torch.full((batch, anchors), -1, device=iou.device)
    best, matches = iou[:, 0].clone(), torch.zeros(batch, anchors, dtype=torch.int64, device=iou.device)
    for g in range(1, objects):  # faster than max(dim=1): no step looks at indices one by one
        better = iou[:, g] > best
        matches.masked_fill_(better, g)
        torch.maximum(best, iou[:, g], out=best)
    matches.masked_fill_(best < threshold, -1)

    image = torch.arange(batch, device=iou.device)
    wanted_iou, wanted = iou.max(2)  # (B, G)
    taken = torch.zeros(batch, anchors, dtype=torch.bool, device=iou.device)
    left = real.clone()
    for _ in range(min(int(real.sum(1).max()), anchors)):
        active = left.any(1)
        value = wanted_iou.masked_fill(~left, -1)
        first = wanted.masked_fill(value < value.amax(1, keepdim=True), anchors)  # among equals, the lowest anchor
        gt = first.argmin(1)
        anchor = wanted[image, gt]
        matches[image[active], anchor[active]] = gt[active]
        taken[image[active], anchor[active]] = True
        left[image[active], gt[active]] = False
        again, which = (left & (wanted == anchor[:, None])).nonzero().unbind(1)
        if len(again):
            wanted_iou[again, which], wanted[again, which] = iou[again, which].masked_fill(taken[again], -1).max(1)
    return matches


def match_argmax(iou: Tensor, high: float, low: float, allow_low_quality: bool = False) -> Tensor:
    """Match each anchor with the object it overlaps most.

    Args:
        iou: (G, A) float, IoU of each object with each anchor.
        high: From this IoU on an anchor is matched.
        low: Below it, it is background; between the two, neither.
        allow_low_quality: Match also the anchors that overlap an object more than all others do (or as much), however
            little that is; each with the object it overlaps most itself.

    Returns:
        (A,) int64 index of the object, -1 below `low`, -2 between.

    Raises:
        InputError: `iou` is not a matrix of numbers in [0, 1], a threshold lies outside [0, 1], or `low` exceeds
            `high`.

    Notes:
        torchvision's `Matcher`, which refuses images without objects; here all their anchors are -1. Not
        differentiable: no gradient flows to `iou`.

    Example:
        >>> match_argmax(torch.tensor([[0.8, 0.5, 0.1, 0.0], [0.0, 0.1, 0.2, 0.0]]), 0.7, 0.3, allow_low_quality=True)
        tensor([ 0, -2,  1, -1])

    References:
        Ren et al. (2015). Faster R-CNN. Section 3.1.2.
    """
    iou = _checked_iou("match_argmax", iou)
    _check.fraction("match_argmax", "high", high)
    _check.fraction("match_argmax", "low", low)
    if low > high:
        raise _check.InputError(f"match_argmax: low must not exceed high, got {low} and {high}")
    if iou.shape[0] == 0 or iou.shape[1] == 0:
        return torch.full((iou.shape[1],), BELOW, device=iou.device)
    best, closest = iou.max(0)
    matches = torch.where(best < low, BELOW, torch.where(best < high, BETWEEN, closest))
    if allow_low_quality:
        matches = torch.where((iou == iou.amax(1, keepdim=True)).any(0), closest, matches)
    return matches


class DetectionTargets(NamedTuple):
    """What each anchor of each image has to learn."""

    labels: Tensor
    offsets: Tensor
    mask: Tensor


def detection_targets(
    anchors: Tensor,
    boxes: Tensor,
    labels: Tensor,
    threshold: float = 0.5,
    weights: Sequence[float] | None = None,
    variances: Sequence[float] | None = None,
) -> DetectionTargets:
    """Match anchors with the objects of a batch of images, and say what each has to predict.

    Args:
        anchors: (A, 4) float, xyxy, pixels.
        boxes: (B, G, 4) float, xyxy, pixels; see `pad_targets`.
        labels: (B, G) signed integers, classes from 1 on; -1 marks padding, whose boxes are not looked at.
        threshold: As in `match_bipartite`.
        weights: As in `encode_boxes`.
        variances: As in `encode_boxes`.

    Returns:
        labels (B, A) int64, the class or 0 for background; offsets (B, A, 4) in the dtype of `boxes`, 0 for
        background; mask (B, A) bool, true where an anchor has an object.

    Raises:
        InputError: Shapes do not fit, labels are no integers, a label is 0 or below -1, or a box or anchor is not
            finite or has no area.

    Notes:
        The offsets are differentiable with respect to boxes and anchors; which anchor has which object is not.
        d2l's `multibox_target` counts classes from 0 and takes padding for objects.

    Example:
        >>> anchors = torch.tensor([[0.0, 0.0, 10.0, 10.0], [10.0, 0.0, 20.0, 10.0]])
        >>> boxes = torch.tensor([[[11.0, 0.0, 21.0, 10.0], [-1.0, -1.0, -1.0, -1.0]]])
        >>> targets = detection_targets(anchors, boxes, torch.tensor([[3, -1]]))
        >>> targets.labels, targets.offsets[0, 1]
        (tensor([[0, 3]]), tensor([1., 0., 0., 0.]))
    """
    op = "detection_targets"
    w = four_weights(op, weights, variances)
    _check.fraction(op, "threshold", threshold)
    for name, value in (("anchors", anchors), ("boxes", boxes)):
        _check.numeric(op, name, value, floating=True)
    _check.shape(op, "boxes", boxes, ("B", "G", 4))
    _check.integer(op, "labels", labels)
    _check.shape(op, "labels", labels, boxes.shape[:2])
    _check.shape(op, "anchors", anchors, ("A", 4))
    _check.boxes(op, "anchors", anchors, strict=True)
    real = labels != -1
    if bool((real & (labels < 1)).any()):
        b, g = ((labels < 1) & real).nonzero()[0].tolist()
        raise _check.InputError(
            f"{op}: labels must be 1 or above, or -1 for padding, got {int(labels[b, g])} at [{b}, {g}]"
        )
    harmless = torch.tensor([0.0, 0.0, 1.0, 1.0], dtype=boxes.dtype, device=boxes.device)
    boxes = torch.where(real[..., None], boxes, harmless)
    _check.boxes(op, "boxes", boxes, strict=True)

    batch, objects, count = *labels.shape, len(anchors)
    iou = _iou(boxes.detach().reshape(-1, 4), anchors.detach()).reshape(batch, objects, count)
    matches = _match_batch(iou.masked_fill_(~real[..., None], -1), real, threshold)  # (B, A)
    mask = matches >= 0
    image, anchor = mask.nonzero().unbind(1)  # few: only these are encoded
    gt = matches[image, anchor]
    out_labels = torch.zeros_like(matches)
    out_labels[image, anchor] = labels[image, gt].to(torch.int64)
    offsets = boxes.new_zeros(batch, count, 4)
    offsets[image, anchor] = encode_unchecked(boxes[image, gt], anchors[anchor], w).to(boxes.dtype)
    return DetectionTargets(out_labels, offsets, mask)


def _iou(boxes: Tensor, anchors: Tensor) -> Tensor:
    """Compute the IoU of boxes already checked, without a gradient."""
    boxes, anchors = upcast(boxes), upcast(anchors)
    if boxes.device.type == "cpu" and boxes.dtype == anchors.dtype:
        return box_iou_blocks(boxes, anchors)
    return box_iou(boxes, anchors)


def pad_targets(targets: Sequence[dict[str, Tensor]]) -> tuple[Tensor, Tensor]:
    """Stack the targets of several images into two tensors, filled up with -1.

    Args:
        targets: For each image a dictionary with boxes (G_i, 4) and labels (G_i,), signed integers; G_i may be 0.

    Returns:
        boxes (B, G, 4) and labels (B, G), G the largest number of objects.

    Raises:
        InputError: `targets` is empty, an image has not as many labels as boxes, or labels are no integers.

    Example:
        >>> one = {"boxes": torch.tensor([[0.0, 0.0, 9.0, 9.0]]), "labels": torch.tensor([2])}
        >>> none = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)}
        >>> pad_targets([one, none])[1]
        tensor([[ 2],
                [-1]])
    """
    if len(targets) == 0:
        raise _check.InputError("pad_targets: targets must not be empty")
    for i, target in enumerate(targets):
        _check.shape("pad_targets", f"boxes of target {i}", target["boxes"], ("G", 4))
        _check.integer("pad_targets", f"labels of target {i}", target["labels"])
        _check.length("pad_targets", f"labels of target {i}", target["labels"], len(target["boxes"]), of="box")
    pad = torch.nn.utils.rnn.pad_sequence
    boxes = pad([t["boxes"] for t in targets], batch_first=True, padding_value=-1)
    labels = pad([t["labels"] for t in targets], batch_first=True, padding_value=-1)
    return boxes, labels
