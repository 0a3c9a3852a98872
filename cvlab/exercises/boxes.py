"""The exercises of the chapter on boxes, anchors, IoU and NMS."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from cvlab.exercises.check import Case, Exercise
from cvlab.ops import (
    box_convert,
    box_iou,
    encode_boxes,
    generalized_box_iou,
    match_bipartite,
    nms_reference,
)


def _random_boxes(n: int, generator: torch.Generator, size: float = 100.0) -> Tensor:
    """Draw n valid xyxy boxes inside a square of the given size."""
    corners = torch.rand(n, 2, 2, generator=generator) * size
    low, high = corners.amin(1), corners.amax(1)
    return torch.cat([low, high + 1], 1).round(decimals=1)  # (n, 4)


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _pairs() -> Iterator[Case]:
    """Two sets of boxes: worked cases, awkward ones, and random ones."""
    square = torch.tensor([[0.0, 0.0, 10.0, 10.0]])
    yield Case("one box and itself", (square, square))
    yield Case("half of it shifted out", (square, square + torch.tensor([5.0, 0.0, 5.0, 0.0])))
    yield Case("two boxes far apart, on both axes", (square, square + 50))
    yield Case("apart on one axis only", (square, square + torch.tensor([50.0, 0.0, 50.0, 0.0])))
    yield Case("two boxes that share only an edge", (square, square + torch.tensor([10.0, 0.0, 10.0, 0.0])))
    yield Case("one box inside the other", (square, torch.tensor([[2.0, 2.0, 4.0, 7.0]])))
    g = _generator(0)
    for n, m in ((3, 5), (1, 4), (6, 2), (4, 4)):
        yield Case(f"{n} and {m} random boxes", (_random_boxes(n, g), _random_boxes(m, g)))
    yield Case("no boxes in the first set", (torch.zeros(0, 4), _random_boxes(3, g)))
    yield Case("no boxes in the second set", (_random_boxes(3, g), torch.zeros(0, 4)))
    point = torch.tensor([[5.0, 5.0, 5.0, 5.0]])
    yield Case("an empty box inside a real one", (square, point))


def _iou_pairs() -> Iterator[Case]:
    """The pairs, and one that only IoU defines: two empty boxes."""
    yield from _pairs()
    point = torch.tensor([[5.0, 5.0, 5.0, 5.0]])
    yield Case("two empty boxes (IoU 0, not NaN)", (point, point))


def _centre_boxes() -> Iterator[Case]:
    yield Case("a square around (5, 5)", (torch.tensor([[5.0, 5.0, 10.0, 10.0]]),))
    yield Case("a wide box", (torch.tensor([[50.0, 20.0, 40.0, 4.0]]),))
    yield Case("no boxes", (torch.zeros(0, 4),))
    g = _generator(1)
    for n in (1, 4, 9):
        yield Case(f"{n} random boxes", (box_convert(_random_boxes(n, g), "xyxy", "cxcywh"),))


def _to_corners(boxes: Tensor) -> Tensor:
    return box_convert(boxes, "cxcywh", "xyxy")


def _anchor_shape(scale: float, ratio: float, height: int, width: int) -> tuple[float, float]:
    """Give width and height of an anchor whose area is scale^2 * height * width and whose width / height is ratio."""
    side = scale * (height * width) ** 0.5
    return side * ratio**0.5, side / ratio**0.5


def _anchor_arguments() -> Iterator[Case]:
    yield Case("a square anchor on a square image", (0.5, 1.0, 100, 100))
    yield Case("twice as wide as high, square image", (0.5, 2.0, 100, 100))
    yield Case("a square anchor on a wide image (it stays square)", (0.5, 1.0, 100, 400))
    yield Case("a high anchor on a wide image", (0.25, 0.5, 240, 320))
    yield Case("a wide anchor on a high image", (0.1, 3.0, 512, 300))


def _offset_arguments() -> Iterator[Case]:
    anchor = torch.tensor([[10.0, 10.0, 30.0, 30.0]])
    yield Case("the object is the anchor", (anchor, anchor))
    yield Case("moved right by a tenth of the width", (anchor + torch.tensor([2.0, 0.0, 2.0, 0.0]), anchor))
    yield Case("twice as high", (torch.tensor([[10.0, 0.0, 30.0, 40.0]]), anchor))
    g = _generator(2)
    for n in (1, 5, 20):
        yield Case(f"{n} random pairs", (_random_boxes(n, g), _random_boxes(n, g)))
    yield Case("no pairs", (torch.zeros(0, 4), torch.zeros(0, 4)))


def _overlaps() -> Iterator[Case]:
    two_want_one = torch.tensor([[0.9, 0.2, 0.1], [0.8, 0.7, 0.1]])
    yield Case("both objects like anchor 0 best", (two_want_one, 0.5))
    yield Case("no entry reaches the threshold, each object still gets an anchor", (two_want_one * 0.3, 0.5))
    yield Case("an anchor left over with IoU exactly at the threshold", (torch.tensor([[0.75, 0.5, 0.25]]), 0.5))
    g = _generator(3)
    for objects, anchors in ((1, 6), (3, 8), (5, 5), (6, 4)):
        distinct = (torch.randperm(objects * anchors, generator=g) + 1.0) / (objects * anchors + 1)
        yield Case(f"{objects} objects, {anchors} anchors, random", (distinct.reshape(objects, anchors), 0.5))
    yield Case("no objects", (torch.zeros(0, 4), 0.5))


def _scored_boxes() -> Iterator[Case]:
    pair = torch.tensor([[0.0, 0.0, 10.0, 10.0], [0.0, 0.0, 10.0, 9.0]])
    yield Case("two boxes over one object", (pair, torch.tensor([0.6, 0.9]), 0.5))
    half = torch.tensor([[0.0, 0.0, 10.0, 10.0], [0.0, 0.0, 10.0, 5.0]])
    yield Case("IoU exactly at the threshold: both stay", (half, torch.tensor([0.9, 0.8]), 0.5))
    chain = torch.tensor([[0.0, 0.0, 10.0, 10.0], [3.0, 0.0, 13.0, 10.0], [6.0, 0.0, 16.0, 10.0]])
    yield Case("a chain: a suppressed box suppresses nobody", (chain, torch.tensor([0.9, 0.8, 0.7]), 0.5))
    g = _generator(4)
    for n in (1, 8, 30, 60):
        scores = (torch.randperm(n, generator=g) + 1.0) / (n + 1)
        yield Case(f"{n} random boxes", (_random_boxes(n, g, size=40), scores, 0.4))
    yield Case("no boxes", (torch.zeros(0, 4), torch.zeros(0), 0.5))


EXERCISES = {
    "box_convert": Exercise(_to_corners, _centre_boxes),
    "box_iou": Exercise(box_iou, _iou_pairs),
    "generalized_box_iou": Exercise(generalized_box_iou, _pairs),
    "anchor_shape": Exercise(_anchor_shape, _anchor_arguments),
    "encode_boxes": Exercise(encode_boxes, _offset_arguments),
    "match_bipartite": Exercise(match_bipartite, _overlaps),
    "nms": Exercise(nms_reference, _scored_boxes),
}
