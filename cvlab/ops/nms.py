"""Non-maximum suppression: keep the best box, drop those that overlap it too much, go on with the best that is left.

`nms_reference` says it in a loop; `nms` does the same in few large steps and gives the same indices; `batched_nms`
keeps classes apart.
"""

from __future__ import annotations

import functools
import math

import torch
from torch import Tensor

from cvlab import _check
from cvlab.ops.boxes import upcast
from cvlab.ops.iou import box_iou, columns, pair_iou

_FEW = 24  # up to so many boxes, plain Python is quicker than any tensor
_HEAD, _LARGEST_HEAD = 160, 512  # boxes solved at once: the first time, and at most
_SWEEP = 1500  # from so many boxes on, it pays to look only at neighbours
_BLOCK = 1 << 17  # pairs computed at a time: what they need stays in the cache
_LARGEST = _check.largest(torch.float32)  # coordinates beyond it are left to the check
_GROUP = 64  # kept boxes, next to each other in x, that strike together


def check_inputs(op: str, boxes: Tensor, scores: Tensor, iou_threshold: float) -> None:
    """Check types, shapes and the threshold of a suppression; values are checked where they are used."""
    _check.numeric(op, "boxes", boxes, floating=True)
    _check.numeric(op, "scores", scores, floating=True)
    _check.shape(op, "boxes", boxes, ("N", 4))
    _check.length(op, "scores", scores, boxes.shape[0], of="box")
    _check.fraction(op, "iou_threshold", iou_threshold)


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    """Keep the boxes that no better box overlaps with an IoU above the threshold.

    Args:
        boxes: (N, 4) float of any precision, xyxy, pixels.
        scores: (N,) float. Of equal scores, the lower index counts as better.
        iou_threshold: A box goes when its IoU with a kept, better one is strictly greater; in [0, 1].

    Returns:
        (K,) int64 indices of the boxes kept, best first.

    Raises:
        InputError: Shapes do not fit, a box is not finite or has x2 < x1 or y2 < y1, a score is NaN, or the threshold
            lies outside [0, 1].

    Notes:
        Gives what torchvision's does on a CPU, index for index. Half precision works on every device. A compiled or
        exported program holds one operator, `cvlab::nms`; see `onnx_translations` for ONNX.

    Example:
        >>> boxes = torch.tensor([[0.0, 0.0, 10.0, 10.0], [1.0, 0.0, 11.0, 10.0], [20.0, 0.0, 30.0, 10.0]])
        >>> nms(boxes, torch.tensor([0.8, 0.9, 0.7]), 0.5)  # the IoU of the first two is 90 / 110
        tensor([1, 2])
    """
    if not _check.scripting():
        check_inputs("nms", boxes, scores, iou_threshold)
        if _check.readable(boxes):
            return _nms_eager(boxes, scores, iou_threshold)
    kept: Tensor = torch.ops.cvlab.nms(boxes, scores, iou_threshold)
    return kept


def _nms_eager(boxes: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    boxes, scores = _plain(boxes), _plain(scores)
    if len(boxes) <= _FEW and boxes.device.type == "cpu":
        few = _suppress_few(boxes.tolist(), scores.tolist(), iou_threshold)
        if few is not None:
            return torch.tensor(few, dtype=torch.int64)
    _check.boxes("nms", "boxes", boxes)
    order = _order("nms", scores)
    return order[_suppress(columns(boxes.index_select(0, order)), at_most(iou_threshold, boxes.dtype))]


def batched_nms(boxes: Tensor, scores: Tensor, idxs: Tensor, iou_threshold: float) -> Tensor:
    """Do `nms` within each class: boxes of different classes never suppress each other.

    Args:
        boxes: (N, 4) float, xyxy, pixels.
        scores: (N,) float.
        idxs: (N,) signed integers of any size, the class (or image, or level) of each box.
        iou_threshold: As in `nms`.

    Returns:
        (K,) int64 indices of the boxes kept, best first over all classes.

    Raises:
        InputError: As in `nms`, or `idxs` has another length or no integers.

    Notes:
        The result is that of one `nms` for each class. torchvision's, up to 1,000 boxes, moves the classes apart by
        adding to the coordinates, which rounds them: there it can differ where an IoU all but equals the threshold. A
        compiled or exported program holds one operator, `cvlab::batched_nms`, and gives the same indices.

    Example:
        >>> boxes = torch.tensor([[0.0, 0.0, 10.0, 10.0], [1.0, 0.0, 11.0, 10.0], [0.0, 0.0, 10.0, 9.0]])
        >>> batched_nms(boxes, torch.tensor([0.8, 0.9, 0.7]), torch.tensor([1, 2, 1]), 0.5)
        tensor([1, 0])
    """
    if not _check.scripting():
        _check.tensor("batched_nms", "boxes", boxes)
        if _check.readable(boxes):
            return _batched_nms_eager(boxes, scores, idxs, iou_threshold)
        _check_batched(boxes, scores, idxs, iou_threshold)
    kept: Tensor = torch.ops.cvlab.batched_nms(boxes, scores, idxs, iou_threshold)
    return kept


def _check_batched(boxes: Tensor, scores: Tensor, idxs: Tensor, iou_threshold: float) -> None:
    check_inputs("batched_nms", boxes, scores, iou_threshold)
    _check.integer("batched_nms", "idxs", idxs)
    _check.length("batched_nms", "idxs", idxs, boxes.shape[0], of="box")


def _batched_nms_eager(boxes: Tensor, scores: Tensor, idxs: Tensor, iou_threshold: float) -> Tensor:
    if boxes.numel() == 0:  # as in torchvision: nothing else is looked at
        return torch.empty((0,), dtype=torch.int64, device=boxes.device)
    _check_batched(boxes, scores, idxs, iou_threshold)
    boxes, scores = _plain(boxes), _plain(scores)
    _check.boxes("batched_nms", "boxes", boxes)
    order = _order("batched_nms", scores)
    ranks = idxs[order].argsort(stable=True)  # by class, and by score within
    sizes = torch.unique_consecutive(idxs[order][ranks], return_counts=True)[1]
    ranked = columns(boxes.index_select(0, order[ranks]))
    kept = _suppress_classes(ranked, sizes, at_most(iou_threshold, boxes.dtype))
    return order[ranks[kept].sort()[0]]


def _plain(t: Tensor) -> Tensor:
    if t.requires_grad or t.is_quantized:
        t = t.detach().dequantize() if t.is_quantized else t.detach()
    return upcast(t)


def _order(op: str, scores: Tensor) -> Tensor:
    ranked, order = scores.sort(descending=True, stable=True)
    if len(ranked) and math.isnan(ranked[0]):
        raise _check.InputError(f"{op}: scores[{int(order[0])}] is NaN")
    return order


def _suppress_few(boxes: list[list[float]], scores: list[float], threshold: float) -> list[int] | None:
    """Suppress in plain Python; None where a value is bad, or an IoU so near the threshold that rounding decides."""
    low, high = -_LARGEST, _LARGEST
    kept: list[tuple[float, float, float, float, float]] = []
    indices = []
    for i in sorted(range(len(boxes)), key=scores.__getitem__, reverse=True):
        x1, y1, x2, y2 = boxes[i]
        if not (low <= x1 <= x2 <= high and low <= y1 <= y2 <= high and scores[i] == scores[i]):
            return None
        area = (x2 - x1) * (y2 - y1)
        for u1, v1, u2, v2, other in kept:
            w, h = min(x2, u2) - max(x1, u1), min(y2, v2) - max(y1, v1)
            if w > 0 and h > 0:
                union = area + other - w * h
                excess = w * h - threshold * union
                if abs(excess) < 1e-5 * union:
                    return None
                if excess > 0:
                    break
        else:
            kept.append((x1, y1, x2, y2, area))
            indices.append(i)
    return indices


def _suppress(ranked: Tensor, threshold: float) -> Tensor:
    """Find the survivors of boxes (5, N) sorted by score.

    Take the best boxes left (the head), solve it, strike from the rest what its winners overlap, and repeat.
    """
    count = ranked.shape[1]
    if count <= _HEAD:
        return _solve(ranked, threshold).nonzero()[:, 0]
    alive = torch.ones(count, dtype=torch.bool, device=ranked.device)  # by rank
    by_x = ranked[0].argsort() if count > _SWEEP else None
    kept, size, start = [], _HEAD, 0
    while start < count:
        head = alive[start:].nonzero()[:size, 0].add_(start)
        boxes = ranked.index_select(1, head)
        won = _solve(boxes, threshold).nonzero()[:, 0]
        kept.append(head[won])
        if len(head) < size:  # that was all
            break
        start = int(head[-1]) + 1
        winners = boxes.index_select(1, won)
        if by_x is not None:
            by_x = by_x[alive[by_x] & (by_x >= start)]
            dead = _strike_neighbours(winners, ranked.index_select(1, by_x), threshold)
            alive[by_x[dead]] = False
        else:
            rest = alive[start:].nonzero()[:, 0].add_(start)
            alive[rest[_strike(winners, ranked.index_select(1, rest), threshold)]] = False
        if 2 * len(won) > len(head):
            size = min(2 * size, _LARGEST_HEAD)
    return torch.cat(kept)


def _suppress_classes(ranked: Tensor, sizes: Tensor, threshold: float) -> Tensor:
    """Find the survivors of boxes (5, N) sorted by class and score: classes of like size are solved together."""
    ends = sizes.cumsum(0)
    starts, kept = ends - sizes, []
    sizes, by_size = sizes.sort(descending=True)
    counts, first = sizes.tolist(), 0
    while first < len(counts):
        largest = counts[first]
        if largest > _LARGEST_HEAD:  # a class that is large: alone
            start = int(starts[by_size[first]])
            kept.append(_suppress(ranked[:, start : start + largest].contiguous(), threshold) + start)
            first += 1
            continue
        some = slice(first, first + max(1, _BLOCK // (2 * largest**2)))
        ranks = starts[by_size[some], None] + torch.arange(largest, device=ranked.device)  # (classes, largest)
        real = ranks < ends[by_size[some], None]
        boxes = ranked[:, ranks * real] * real  # padding is empty boxes, which suppress nothing
        boxes[4].clamp_(min=torch.finfo(boxes.dtype).tiny)
        kept.append(ranks[_solve(boxes, threshold).bool() & real])
        first = some.stop
    return torch.cat(kept)


def _solve(boxes: Tensor, threshold: float) -> Tensor:
    """Find which of the sorted boxes (5, ..., N) survive, (..., N) ones and zeros.

    A box survives when no surviving better one overlaps it. Start with all, apply the rule to all at once, and repeat:
    after n rounds the first n boxes are right for good, and in practice all are after a few.
    """
    over = torch.threshold(pair_iou(boxes, boxes), threshold, 0.0).tril_(-1)  # row: suppressed, column: suppressor
    alive = torch.ones_like(boxes[4]).unsqueeze(-1)  # (..., N, 1)
    while True:
        after = torch.matmul(over, alive).eq_(0)
        if torch.equal(after, alive):
            return alive.squeeze(-1)
        alive = after


def _strike(winners: Tensor, rest: Tensor, threshold: float) -> Tensor:
    """Tell which of the rest (5, N) a winner overlaps, (N,) bool."""
    step = max(_HEAD, _BLOCK // winners.shape[1])
    most = [pair_iou(winners, block).amax(0) for block in torch.split(rest, step, dim=1)]
    return torch.cat(most) > threshold


def _strike_neighbours(winners: Tensor, rest: Tensor, threshold: float) -> Tensor:
    """Tell which of the rest (5, N), sorted by x1, a winner overlaps, (N,) bool.

    With IoU > t two widths differ by a factor below 1 / t, and the shared part is wider than t times either. So x1 of a
    victim lies between (1 - t) / t widths left and (1 - t) widths right of the winner's: a short stretch of the rest.
    """
    dead = torch.zeros(rest.shape[1], dtype=torch.bool, device=rest.device)
    winners = winners.index_select(1, winners[0].argsort())
    x1, width = winners[0], (winners[2] - winners[0]) * 1.001 + 1e-3  # rounding must not cost a victim
    reach = (1 - threshold) / threshold if threshold > 0 else math.inf
    first = torch.searchsorted(rest[0], x1 - width * reach).tolist()
    end = torch.searchsorted(rest[0], x1 + width * (1 - threshold), right=True).tolist()
    for i in range(0, len(first), _GROUP):
        a, z = min(first[i : i + _GROUP]), max(end[i : i + _GROUP])
        if a < z:
            dead[a:z] |= _strike(winners[:, i : i + _GROUP], rest[:, a:z], threshold)
    return dead


@functools.lru_cache(maxsize=64)
def at_most(threshold: float, dtype: torch.dtype) -> float:
    """Round down to a number of the given precision: an IoU above one is above the other."""
    rounded = torch.tensor(threshold, dtype=dtype)
    if float(rounded) > threshold:
        rounded = torch.nextafter(rounded, torch.zeros_like(rounded))
    return float(rounded)


def nms_reference(boxes: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    """Do `nms` as it is told: one box at a time. Slow and clear; arguments and result are those of `nms`.

    Example:
        >>> nms_reference(torch.tensor([[0.0, 0.0, 4.0, 4.0], [0.0, 0.0, 4.0, 3.0]]), torch.tensor([0.1, 0.2]), 0.7)
        tensor([1])
    """
    check_inputs("nms_reference", boxes, scores, iou_threshold)
    _check.boxes("nms_reference", "boxes", boxes)
    iou = box_iou(boxes, boxes).tolist()
    left = _order("nms_reference", scores).tolist()
    kept = []
    while left:
        best = left.pop(0)
        kept.append(best)
        left = [i for i in left if iou[best][i] <= iou_threshold]
    return torch.tensor(kept, dtype=torch.int64, device=boxes.device)


@torch.library.custom_op("cvlab::nms", mutates_args=())
def _nms_operator(boxes: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    return _nms_eager(boxes, scores, iou_threshold)


@_nms_operator.register_fake
def _(boxes: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    return boxes.new_empty(torch.library.get_ctx().new_dynamic_size(), dtype=torch.int64)


@torch.library.custom_op("cvlab::batched_nms", mutates_args=())
def _batched_nms_operator(boxes: Tensor, scores: Tensor, idxs: Tensor, iou_threshold: float) -> Tensor:
    return _batched_nms_eager(boxes, scores, idxs, iou_threshold)


@_batched_nms_operator.register_fake
def _(boxes: Tensor, scores: Tensor, idxs: Tensor, iou_threshold: float) -> Tensor:
    return boxes.new_empty(torch.library.get_ctx().new_dynamic_size(), dtype=torch.int64)
