"""The exercises of the chapters on regions: proposals, RoIPool and RoIAlign, region proposal networks, masks."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from cvlab import ops
from cvlab.exercises.boxes import _generator, _random_boxes
from cvlab.exercises.check import Case, Exercise


def _shared(a: Tensor, b: Tensor) -> float:
    return float(torch.minimum(a, b).sum())


def _histograms() -> Iterator[Case]:
    def case(description: str, a: list[float], b: list[float]) -> Case:
        return Case(description, (torch.tensor(a), torch.tensor(b)))

    yield case("a histogram and itself: 1", [0.2, 0.3, 0.5], [0.2, 0.3, 0.5])
    yield case("nothing in common: 0", [1.0, 0.0], [0.0, 1.0])
    yield case("half in common", [0.5, 0.5, 0.0], [0.0, 0.5, 0.5])
    yield case("a single bin", [1.0], [1.0])
    g = _generator(40)
    for n in (8, 25):
        a, b = torch.rand(2, n, generator=g)
        yield Case(f"random, {n} bins", (a / a.sum(), b / b.sum()))


def _fill(box_a: Tensor, size_a: float, box_b: Tensor, size_b: float, pixels: int) -> float:
    low, high = torch.minimum(box_a[:2], box_b[:2]), torch.maximum(box_a[2:], box_b[2:])
    return 1 - (float((high - low).prod()) - size_a - size_b) / pixels


def _two_regions() -> Iterator[Case]:
    def case(description: str, a: list[float], size_a: float, b: list[float], size_b: float, pixels: int) -> Case:
        return Case(description, (torch.tensor(a), size_a, torch.tensor(b), size_b, pixels))

    yield case("two halves of a square: no gap", [0.0, 0, 5, 10], 50, [5.0, 0, 10, 10], 50, 400)
    yield case("two squares in opposite corners: large gaps", [0.0, 0, 5, 5], 25, [15.0, 15, 20, 20], 25, 400)
    yield case("a ring and what is inside it", [0.0, 0, 10, 10], 64, [3.0, 3, 9, 9], 36, 400)
    yield case("regions that do not fill their boxes", [0.0, 0, 8, 8], 20, [4.0, 2, 12, 9], 30, 200)
    yield case("the second lies to the left and above", [10.0, 12, 14, 16], 16, [2.0, 3, 6, 7], 12, 400)


def _recall(proposals: Tensor, objects: Tensor, threshold: float) -> float:
    return float((ops.box_iou(objects, proposals).amax(1) >= threshold).float().mean())


def _proposed() -> Iterator[Case]:
    one, half = [0.0, 0.0, 10.0, 10.0], [0.0, 0.0, 10.0, 5.0]
    yield Case("one object, found exactly", (torch.tensor([one]), torch.tensor([one]), 0.5))
    yield Case("an IoU of exactly 0.5 counts", (torch.tensor([half]), torch.tensor([one]), 0.5))
    yield Case("two proposals on one object, none on the other: 0.5, not 1", (
        torch.tensor([one, one]), torch.tensor([one, [50.0, 50.0, 60.0, 60.0]]), 0.5))  # fmt: skip
    yield Case("one proposal may find two objects", (torch.tensor([one]), torch.tensor([one, one]), 0.7))
    g = _generator(41)
    for count in (5, 20):
        objects = _random_boxes(count, g, size=60)
        near = objects[torch.randperm(count, generator=g)[: count // 2]] + torch.tensor([1.0, 0.0, 1.0, 0.0])
        yield Case(f"{count} objects, half of them proposed", (near, objects, 0.4))


def _cells_of_bins(start: float, end: float, bins: int, stride: int) -> Tensor:
    box = torch.tensor([[start, 0.0, end, 1.0]])
    return ops.roi_pool_bins(box, (1, bins), 1 / stride)[1][0]


def _edges() -> Iterator[Case]:
    yield Case("8 to 40 at stride 8: cells 1 to 5, five cells, one bin", (8.0, 40.0, 1, 8))
    yield Case("the same in two bins: the middle cell is in both", (8.0, 40.0, 2, 8))
    yield Case("corners are rounded to the nearest cell: 11 is cell 1, 13 is cell 2", (11.0, 45.0, 2, 8))
    yield Case("a region smaller than a cell: one cell in all bins", (17.0, 18.0, 3, 8))
    yield Case("seven bins", (20.0, 101.0, 7, 4))
    yield Case("more bins than cells", (8.0, 24.0, 7, 8))


def _bilinear(grid: Tensor, y: float, x: float) -> float:
    return float(ops.bilinear_sample(grid[None].float(), y, x))


def _places() -> Iterator[Case]:
    grid = torch.tensor([[0.0, 1.0, 2.0], [10.0, 11.0, 12.0], [20.0, 21.0, 42.0]])
    yield Case("on a cell: its value", (grid, 1.0, 2.0))
    yield Case("between two columns", (grid, 0.0, 0.25))
    yield Case("between two rows", (grid, 1.75, 0.0))
    yield Case("between four cells that do not lie in a plane", (grid, 1.5, 1.25))
    yield Case("on the last row and column", (grid, 2.0, 2.0))
    g = _generator(42)
    for i in range(1, 4):
        y, x = (round(float(v), 2) for v in torch.rand(2, generator=g) * 4.9)
        yield Case(f"a random place in a random map, number {i}", (torch.rand(6, 6, generator=g), y, x))


def _level(width: float, height: float, lowest: int, highest: int) -> int:
    return int(ops.assign_levels(torch.tensor([[0.0, 0.0, width, height]]), lowest, highest))


def _sides() -> Iterator[Case]:
    yield Case("224 x 224: level 4", (224.0, 224.0, 2, 5))
    yield Case("112 x 112: one less", (112.0, 112.0, 2, 5))
    yield Case("a little smaller than 112: two less", (111.0, 111.0, 2, 5))
    yield Case("only the area counts", (56.0, 224.0, 2, 5))
    yield Case("too small for any: the lowest", (10.0, 12.0, 2, 5))
    yield Case("too large for any: the highest", (3000.0, 2000.0, 2, 5))
    yield Case("other levels", (300.0, 200.0, 3, 6))


def _rpn_labels(iou: Tensor) -> Tensor:
    matches = ops.match_argmax(iou, 0.7, 0.3, allow_low_quality=True)
    return torch.where(matches >= 0, 1, torch.where(matches == -1, 0, -1))


def _overlaps() -> Iterator[Case]:
    def case(description: str, rows: list[list[float]]) -> Case:
        return Case(description, (torch.tensor(rows),))

    yield case("one object: 0.8 is 1, 0.5 does not count, 0.1 is background", [[0.8, 0.5, 0.1]])
    yield case("0.7 counts as an object, 0.3 is not background", [[0.7, 0.3, 0.9]])
    yield case("the best anchor of an object is one, however bad", [[0.2, 0.1, 0.0]])
    yield case("two objects: each has a best anchor", [[0.8, 0.2, 0.1], [0.0, 0.1, 0.4]])
    yield case("two best anchors of the same IoU", [[0.5, 0.5, 0.1]])
    yield case("background for one object, an object for the other", [[0.1, 0.9], [0.75, 0.1]])
    g = _generator(43)
    yield Case("random, 4 objects and 12 anchors", ((torch.rand(4, 12, generator=g)).round(decimals=2),))


def _mask_iou(a: Tensor, b: Tensor) -> float:
    return float(ops.mask_iou(a[None], b[None]))


def _two_masks() -> Iterator[Case]:
    left, top = torch.zeros(2, 4, 4, dtype=torch.bool)
    left[:, :2], top[:2] = True, True
    yield Case("a mask and itself", (left, left))
    yield Case("left and upper half: 4 of 12 pixels", (left, top))
    yield Case("two halves that do not meet", (left, ~left))
    yield Case("an empty mask and a full one", (left & ~left, left | ~left))
    yield Case("two empty masks: 0, not NaN", (left & ~left, left & ~left))
    g = _generator(44)
    for share in (0.3, 0.7):
        yield Case(
            f"random masks, {share:.0%} of the first set",
            (torch.rand(9, 7, generator=g) < share, torch.rand(9, 7, generator=g) < 0.5),
        )


def _runs(mask: Tensor) -> Tensor:
    return torch.tensor(ops.run_lengths(mask))


def _small_masks() -> Iterator[Case]:
    def case(description: str, rows: list[list[int]]) -> Case:
        return Case(description, (torch.tensor(rows).bool(),))

    yield case("column by column: 0 0, 1 1", [[0, 1], [0, 1]])
    yield case("row by row would be 1 2 1: 0 1, 1 0", [[0, 1], [1, 0]])
    yield case("it begins with a one: the first run of zeros is 0", [[1, 0], [1, 0]])
    yield case("no ones: one run", [[0, 0, 0], [0, 0, 0]])
    yield case("only ones: 0, then all", [[1, 1, 1]])
    g = _generator(45)
    yield Case("random, 5 x 6", (torch.rand(5, 6, generator=g) < 0.5,))


def _mask_loss(logits: Tensor, labels: Tensor, wanted: Tensor) -> float:
    own = logits[torch.arange(len(labels)), labels]
    return float(torch.nn.functional.binary_cross_entropy_with_logits(own, wanted))


def _mask_logits() -> Iterator[Case]:
    g = _generator(46)
    one = torch.tensor([[[[0.0]], [[3.0]], [[-3.0]]]])  # one region, three classes, one cell
    yield Case("one cell: the mask of class 1 says 3, and is right", (one, torch.tensor([1]), torch.ones(1, 1, 1)))
    yield Case("class 2 says -3: its own mask counts, not the best", (one, torch.tensor([2]), torch.ones(1, 1, 1)))
    yield Case("targets between 0 and 1", (one, torch.tensor([1]), torch.full((1, 1, 1), 0.25)))
    for n in (2, 5):
        logits, labels = torch.randn(n, 4, 3, 3, generator=g), torch.randint(1, 4, (n,), generator=g)
        yield Case(f"{n} random regions", (logits, labels, torch.rand(n, 3, 3, generator=g).round()))


def _offsets(region: Tensor, box: Tensor) -> Tensor:
    return ops.encode_boxes(box[None], region[None], (1.0, 1.0, 1.0, 1.0))[0]


def _regions_and_boxes() -> Iterator[Case]:
    def case(description: str, region: list[float], box: list[float]) -> Case:
        return Case(description, (torch.tensor(region), torch.tensor(box)))

    yield case("the region is the box: all 0", [10.0, 10.0, 30.0, 50.0], [10.0, 10.0, 30.0, 50.0])
    yield case("shifted by half its width: 0.5", [0.0, 0.0, 20.0, 10.0], [10.0, 0.0, 30.0, 10.0])
    yield case("twice as high about the same centre: log 2", [0.0, 10.0, 20.0, 20.0], [0.0, 5.0, 20.0, 25.0])
    yield case(
        "shifts are measured in the region's sides, not the box's", [0.0, 0.0, 10.0, 10.0], [5.0, 5.0, 45.0, 45.0]
    )
    g = _generator(47)
    for i, (region, box) in enumerate(zip(_random_boxes(3, g), _random_boxes(3, g), strict=True), 1):
        yield Case(f"random boxes {i}", (region, box))


EXERCISES = {
    "histogram_intersection": Exercise(_shared, _histograms),
    "fill_similarity": Exercise(_fill, _two_regions),
    "recall_of_proposals": Exercise(_recall, _proposed),
    "region_offsets": Exercise(_offsets, _regions_and_boxes),
    "pool_bins": Exercise(_cells_of_bins, _edges),
    "bilinear_sample": Exercise(_bilinear, _places),
    "pyramid_level": Exercise(_level, _sides),
    "rpn_labels": Exercise(_rpn_labels, _overlaps),
    "mask_loss": Exercise(_mask_loss, _mask_logits),
    "mask_iou": Exercise(_mask_iou, _two_masks),
    "run_lengths": Exercise(_runs, _small_masks),
}
