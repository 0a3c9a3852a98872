"""The exercises of the chapter on multiscale detection with SSD: anchors, losses, schedules, and average precision."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from cvlab.exercises.boxes import _generator, _random_boxes
from cvlab.exercises.check import Case, Exercise
from cvlab.losses import mine_hard_negatives, sigmoid_focal_loss
from cvlab.metrics import average_precision, match_detections, precision_recall
from cvlab.models import receptive_field
from cvlab.ops import batched_nms


def _count_anchors(size: tuple[int, int], strides: Sequence[int], anchors_per_cell: Sequence[int]) -> int:
    height, width = size
    cells = [math.ceil(height / stride) * math.ceil(width / stride) for stride in strides]
    return sum(n * anchors for n, anchors in zip(cells, anchors_per_cell, strict=True))


def _networks() -> Iterator[Case]:
    yield Case("one map, one anchor in each cell", ((64, 64), [8], [1]))
    yield Case("a wide picture", ((32, 96), [16], [1]))
    yield Case("the chapter's small SSD: 1,344", ((128, 128), [8, 16, 32], [4, 4, 4]))
    yield Case("other numbers of anchors on each map", ((64, 64), [8, 16, 32], [2, 3, 5]))
    yield Case("a size that the stride does not divide: a part of a cell is a cell", ((100, 140), [8, 16], [4, 4]))
    yield Case("SSD300 of the paper: 8,732", ((300, 300), [8, 16, 32, 64, 100, 300], [4, 6, 6, 6, 4, 4]))
    yield Case("a picture smaller than the stride: one cell", ((20, 20), [32], [6]))
    yield Case("no maps: no anchors", ((64, 64), [], []))


def _chains() -> Iterator[Case]:
    yield Case("one 3 x 3 convolution", ([(3, 1)],))
    yield Case("two of them: 5, not 6", ([(3, 1), (3, 1)],))
    yield Case("a stride of 2 counts for the layers after it", ([(3, 2), (3, 1)],))
    yield Case("a stride of 2 does not count for its own layer", ([(3, 1), (3, 2)],))
    yield Case("strides multiply", ([(3, 2), (3, 2), (3, 2)],))
    yield Case("a 1 x 1 convolution sees no more", ([(3, 2), (1, 1), (3, 1)],))
    yield Case("a 1 x 1 convolution with a stride", ([(1, 2), (3, 1)],))
    yield Case("pooling counts as well", ([(3, 1), (3, 1), (2, 2), (3, 1), (3, 1), (2, 2)],))
    yield Case("no layers: a pixel sees itself", ([],))
    yield Case("ResNet's first layers", ([(7, 2), (3, 2), (3, 1), (3, 1)],))


def _unpack_head(output: Tensor, num_classes: int) -> Tensor:
    return output.permute(0, 2, 3, 1).reshape(len(output), -1, num_classes)  # (B, A K, h, w) -> (B, h w A, K)


def _outputs() -> Iterator[Case]:
    """Outputs whose values are all different, so that every wrong order shows."""

    def case(description: str, batch: int, anchors: int, num_classes: int, height: int, width: int) -> Case:
        shape = (batch, anchors * num_classes, height, width)
        return Case(description, (torch.arange(math.prod(shape)).float().reshape(shape), num_classes))

    yield case("one cell, one anchor, 3 classes", 1, 1, 3, 1, 1)
    yield case("one cell, 2 anchors, 3 classes: channel i K + j is class j of anchor i", 1, 2, 3, 1, 1)
    yield case("2 x 3 cells: row by row", 1, 1, 2, 2, 3)
    yield case("2 x 3 cells, 2 anchors, 3 classes: the anchors of a cell side by side", 1, 2, 3, 2, 3)
    yield case("two images", 2, 2, 3, 2, 2)
    yield case("offsets: four numbers for each anchor", 1, 3, 4, 3, 2)
    yield case("a single class", 2, 4, 1, 1, 2)
    yield case("a map as in the chapter", 2, 4, 11, 4, 4)


def _focal_loss(p: Tensor, truth: Tensor, alpha: float, gamma: float) -> Tensor:
    return sigmoid_focal_loss(p.logit(), truth, alpha, gamma)


def _probabilities() -> Iterator[Case]:
    def case(description: str, p: list[float], truth: list[float], alpha: float = 0.25, gamma: float = 2.0) -> Case:
        return Case(description, (torch.tensor(p), torch.tensor(truth), alpha, gamma))

    yield case("an object, half believed", [0.5], [1.0])
    yield case("background, half believed: its weight is 1 - alpha", [0.5], [0.0])
    yield case("an object missed", [0.01], [1.0])
    yield case("background taken for an object", [0.9], [0.0])
    yield case("an object and background, both nearly right", [0.8, 0.2], [1.0, 0.0])
    yield case("gamma 0: cross-entropy with weights", [0.3, 0.3], [1.0, 0.0], 0.25, 0.0)
    yield case("gamma 1, both weights alike", [0.3, 0.3], [1.0, 0.0], 0.5, 1.0)
    yield case("no anchors", [], [])
    g = _generator(20)
    for n in (1, 6):
        p = 0.05 + 0.9 * torch.rand(n, generator=g)
        yield Case(f"{n} random probabilities", (p, torch.randint(2, (n,), generator=g).float(), 0.25, 2.0))


def _rate_factor(step: int, steps: int, warmup: int) -> float:
    """Give the factor of `cvlab.engine`, which takes long to import."""
    rise = min(1.0, (step + 1) / warmup) if warmup else 1.0
    return rise * (1 + math.cos(math.pi * step / steps)) / 2


def _steps() -> Iterator[Case]:
    yield Case("no warm-up, the first step", (0, 100, 0))
    yield Case("no warm-up, half of the way", (50, 100, 0))
    yield Case("the first step of a warm-up: not 0", (0, 100, 4))
    yield Case("the second step: both factors count", (1, 10, 4))
    yield Case("the last step of the warm-up", (3, 10, 4))
    yield Case("the first step after it: the cosine did not wait", (4, 10, 4))
    yield Case("the last step: the end of the cosine is the step after it", (9, 10, 4))
    yield Case("a warm-up of one step is none", (0, 10, 1))
    yield Case("a warm-up longer than the training", (9, 10, 40))
    g = _generator(21)
    for steps in (2500, 300):
        step, warmup = (int(torch.randint(n, (), generator=g)) for n in (steps, 60))
        yield Case(f"step {step} of {steps}, warm-up {warmup}", (step, steps, warmup))


def _hard_negatives(losses: Tensor, positive: Tensor, ratio: int, least: int) -> Tensor:
    return mine_hard_negatives(losses[None], positive[None], ratio, least)[0]


def _anchor_losses() -> Iterator[Case]:
    losses = torch.tensor([0.9, 0.1, 0.8, 0.3, 0.2, 0.05])
    first = torch.tensor([True, False, False, False, False, False])
    yield Case("one object, two negatives for it", (losses, first, 2, 0))
    yield Case("a positive with the largest loss does not take a negative's place", (losses, first, 1, 0))
    yield Case("two objects, two negatives for each", (losses, losses > 0.5, 2, 0))
    yield Case("fewer negatives than wanted: all of them", (losses, losses > 0.15, 3, 0))
    yield Case("no object: the least number", (losses, torch.zeros(6, dtype=torch.bool), 3, 2))
    yield Case("no object, and least is 0: none", (losses, torch.zeros(6, dtype=torch.bool), 3, 0))
    yield Case("the ratio gives less than the least number", (losses, first, 1, 4))
    yield Case("the least number is more than there are", (losses, first, 1, 10))
    zero = torch.tensor([2.0, 1.0, 0.0])
    yield Case("a negative whose loss is 0 goes before a positive", (zero, zero > 1, 2, 0))
    yield Case("only positives: none", (losses, losses > 0, 3, 8))
    yield Case("no anchors", (torch.zeros(0), torch.zeros(0, dtype=torch.bool), 3, 8))
    g = _generator(22)
    for anchors in (20, 100):
        distinct = (torch.randperm(anchors, generator=g) + 1.0) / anchors
        yield Case(f"{anchors} random anchors", (distinct, torch.rand(anchors, generator=g) < 0.1, 3, 8))


def _average_precision(correct: Tensor, num_objects: int) -> float:
    best_first = torch.arange(len(correct), 0, -1)
    curve = precision_recall(best_first, correct, num_objects)
    return average_precision(curve.recall, curve.precision, "every_point")


def _flags() -> Iterator[Case]:
    def case(description: str, correct: list[bool | int], num_objects: int) -> Case:
        return Case(description, (torch.tensor(correct, dtype=torch.bool), num_objects))

    yield case("one object, found", [1], 1)
    yield case("a false alarm before it", [0, 1], 1)
    yield case("a false alarm after all objects are found costs nothing", [1, 0], 1)
    yield case("objects that nobody finds count", [1], 4)
    yield case("a false alarm between two objects", [1, 0, 1], 2)
    yield case("precision rises: the envelope is the largest from here on", [0, 1, 1], 2)
    yield case("the saw: precision falls, and rises above where it was", [1, 0, 0, 1, 1, 1], 5)
    yield case("false alarms only", [0, 0, 0], 2)
    yield case("no detections", [], 3)
    g = _generator(23)
    for n in (10, 40):
        correct = torch.rand(n, generator=g) < 0.5
        yield Case(f"{n} random detections", (correct, int(correct.sum()) + 3))


def _heat_map_peaks(heat: Tensor, threshold: float) -> Tensor:
    largest = functional.max_pool2d(heat[None], 3, stride=1, padding=1)[0]  # (h, w), of each cell and its neighbours
    return ((heat == largest) & (heat > threshold)).nonzero()


def _heat_maps() -> Iterator[Case]:
    def case(description: str, rows: list[list[float]], threshold: float = 0.3) -> Case:
        return Case(description, (torch.tensor(rows), threshold))

    yield case("one peak, in row 1 and column 2", [[0.1, 0.2, 0.4, 0.2], [0.1, 0.4, 0.9, 0.4], [0.0, 0.2, 0.4, 0.2]])
    yield case("two cells apart, both are peaks", [[0.1] * 5, [0.1, 0.9, 0.4, 0.8, 0.1], [0.1] * 5])
    yield case("peaks in corners", [[0.6, 0.1, 0.1, 0.7], [0.1, 0.1, 0.1, 0.1], [0.8, 0.1, 0.1, 0.9]])
    yield case("a second peak that is too low", [[0.9, 0.1, 0.2], [0.1, 0.0, 0.1]])
    yield case("a peak just as high as the threshold is none", [[0.5, 0.25, 0.25], [0.25, 0.0, 0.25]], 0.5)
    yield case("neighbours along the diagonal count", [[0.9, 0.1, 0.1], [0.1, 0.7, 0.1], [0.1, 0.1, 0.1]])
    yield case("equal neighbours are both peaks", [[0.1, 0.8, 0.8, 0.1]])
    yield case("logits, below 0: nothing beyond the border is higher", [[-2.0, -3.0, -4.0], [-3.0, -4.0, -1.0]], -2.5)
    yield case("a map of one cell", [[0.7]])
    yield case("no peaks", [[0.1, 0.2], [0.2, 0.1]])
    g = _generator(24)
    for height, width in ((8, 8), (5, 16)):
        heat = (torch.randperm(height * width, generator=g) + 1.0).reshape(height, width) / (height * width + 1)
        yield Case(f"random, {height} x {width} cells", (heat, 0.7))


def _correct_detections(boxes: Tensor, scores: Tensor, objects: Tensor) -> Tensor:
    return match_detections(boxes, scores, objects, iou_threshold=0.5) >= 0


def _around(objects: Tensor, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw n boxes, each a little beside one of the objects, and distinct scores."""
    shift = 6 * torch.rand(n, 1, generator=generator)
    boxes = objects[torch.randint(len(objects), (n,), generator=generator)] + shift.round(decimals=1)
    return boxes, (torch.randperm(n, generator=generator) + 1.0) / (n + 1)


def _detections() -> Iterator[Case]:
    """Detections and objects of one image and class; no IoU lies so near 0.5 that rounding decides."""

    def case(description: str, boxes: list[list[float]], scores: list[float], objects: list[list[float]]) -> Case:
        return Case(description, (torch.tensor(boxes), torch.tensor(scores), torch.tensor(objects)))

    one, shorter, half = [0.0, 0.0, 10.0, 10.0], [0.0, 0.0, 10.0, 8.0], [0.0, 0.0, 10.0, 5.0]
    right, left, near = [3.0, 0.0, 13.0, 10.0], [-3.0, 0.0, 7.0, 10.0], [1.0, 0.0, 11.0, 10.0]
    away = [40.0, 0.0, 50.0, 10.0]
    yield case("one object found, one false alarm", [one, away], [0.9, 0.8], [one])
    yield case("an IoU of exactly 0.5 counts", [half], [0.9], [one])
    yield case("an IoU of 0.4 does not", [[0.0, 0.0, 10.0, 4.0]], [0.9], [one])
    yield case("a duplicate is wrong; the surer one is right, though it fits worse", [shorter, one], [0.9, 0.8], [one])
    yield case("the surer one may stand last", [one, shorter], [0.8, 0.9], [one])
    yield case("of two objects it takes the one it overlaps most", [right, left], [0.9, 0.8], [one, right])
    yield case("its best object is taken: it takes the next", [one, near], [0.9, 0.8], [one, right])
    yield case("three detections, two objects near each other", [one, near, right], [0.9, 0.8, 0.7], [one, right])
    yield Case("no detections", (torch.zeros(0, 4), torch.zeros(0), torch.tensor([one])))
    yield Case("no objects: all are wrong", (torch.tensor([one, away]), torch.tensor([0.9, 0.8]), torch.zeros(0, 4)))
    g = _generator(25)
    for count, n in ((3, 10), (6, 25)):
        objects = _random_boxes(count, g, size=60)
        yield Case(f"{n} random detections, {count} objects", (*_around(objects, n, g), objects))


def _classified_boxes() -> Iterator[Case]:
    """Boxes of several classes; no IoU lies so near the threshold that rounding decides."""
    one, shorter = [0.0, 0.0, 10.0, 10.0], [0.0, 0.0, 10.0, 8.0]

    def case(description: str, boxes: list[list[float]], scores: list[float], labels: list[int]) -> Case:
        return Case(description, (torch.tensor(boxes), torch.tensor(scores), torch.tensor(labels), 0.5))

    yield case("two boxes of one class over one object", [one, shorter], [0.6, 0.9], [1, 1])
    yield case("two classes: both boxes stay", [one, shorter], [0.9, 0.6], [1, 2])
    yield case("the best comes first, not the first class", [shorter, one, one], [0.7, 0.9, 0.5], [1, 2, 1])
    yield case("classes far apart: 1 and 500", [one, shorter, shorter], [0.9, 0.8, 0.7], [1, 500, 1])
    yield case("a large picture", [[2000.0] * 2 + [2010.0] * 2, [1000.0] * 2 + [1010.0] * 2], [0.9, 0.8], [1, 2])
    yield case("coordinates below 0", [one, [-11.0, -11.0, -1.0, -1.0]], [0.9, 0.8], [1, 2])
    yield Case("no boxes", (torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, dtype=torch.int64), 0.5))
    g = _generator(26)
    for n, classes in ((8, 2), (30, 3)):
        boxes, scores = _around(_random_boxes(n // 3, g, size=40) - 10, n, g)
        labels = torch.randint(1, classes + 1, (n,), generator=g)
        yield Case(f"{n} random boxes of {classes} classes", (boxes, scores, labels, 0.35))


EXERCISES = {
    "count_anchors": Exercise(_count_anchors, _networks),
    "receptive_field": Exercise(receptive_field, _chains),
    "unpack_head": Exercise(_unpack_head, _outputs),
    "focal_loss": Exercise(_focal_loss, _probabilities),
    "rate_factor": Exercise(_rate_factor, _steps),
    "hard_negatives": Exercise(_hard_negatives, _anchor_losses),
    "average_precision": Exercise(_average_precision, _flags),
    "heat_map_peaks": Exercise(_heat_map_peaks, _heat_maps),
    "correct_detections": Exercise(_correct_detections, _detections),
    "nms_per_class": Exercise(batched_nms, _classified_boxes),
}
