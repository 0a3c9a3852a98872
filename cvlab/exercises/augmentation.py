"""The exercises of the chapter on images as data: storage, preprocessing and augmentation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from cvlab.augment import affine
from cvlab.data.hashing import dhash
from cvlab.exercises.boxes import _generator, _random_boxes
from cvlab.exercises.check import Case, Exercise
from cvlab.ops import box_area, clip_boxes_to_image

Part = tuple[int, float, float]
"""What is known of some values: their number, mean and variance."""


def _flip_boxes(boxes: Tensor, width: float) -> Tensor:
    return affine.warp_boxes(boxes, affine.horizontal_flip(width))


def _boxes_to_flip() -> Iterator[Case]:
    yield Case("the whole picture, which stays where it is", (torch.tensor([[0.0, 0.0, 640.0, 480.0]]), 640))
    left = torch.tensor([[0.0, 10.0, 30.0, 50.0]])
    yield Case("a box at the left border, which comes to the right one", (left, 100))
    yield Case("a box in the middle, which stays", (torch.tensor([[40.0, 5.0, 60.0, 90.0]]), 100))
    yield Case("a box that begins outside the picture", (torch.tensor([[-20.0, 0.0, 10.0, 10.0]]), 100))
    yield Case("no boxes", (torch.zeros(0, 4), 100))
    g = _generator(10)
    for n, width in ((2, 100), (5, 333)):
        yield Case(f"{n} random boxes in a picture {width} wide", (_random_boxes(n, g), width))


def _maps() -> Iterator[Case]:
    """Boxes and matrices, float32 both, so that they can be multiplied as they come."""
    square = torch.tensor([[0.0, 0.0, 10.0, 10.0]])
    box = torch.tensor([[20.0, 10.0, 60.0, 40.0]])
    slanted = affine.shearing(45).float()
    looked_at_from_aside = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.1, 0.0, 1.0]])
    yield Case("a shift, 5 right and 3 up", (box, affine.translation(5, -3).float()))
    yield Case("three times as wide", (box, affine.scaling(3, 1).float()))
    yield Case("a turn by 90 degrees, after which other corners are the outer ones", (box, affine.rotation(90).float()))
    yield Case("a turn by 45 degrees: all four corners count", (square, affine.rotation(45).float()))
    yield Case("a shear: all four corners count", (square, slanted))
    yield Case("a perspective: divide by the third coordinate", (square, looked_at_from_aside))
    yield Case("a matrix times 2, which is the same map", (box, 2 * affine.translation(5, -3).float()))
    yield Case("no boxes", (torch.zeros(0, 4), slanted))
    g = _generator(11)
    for n in (1, 3, 8):
        matrix = torch.eye(3) + 0.3 * (torch.rand(3, 3, generator=g) - 0.5)
        matrix[2] = torch.tensor([0.002, 0.001, 1.0])
        yield Case(f"{n} random boxes, a random map", (_random_boxes(n, g), matrix))


def _visible_share(boxes: Tensor, height: int, width: int) -> Tensor:
    area = box_area(boxes)
    inside = box_area(clip_boxes_to_image(boxes, (height, width)))
    return torch.where(area > 0, inside / area, 0.0)


def _boxes_at_borders() -> Iterator[Case]:
    def one(description: str, *box: float) -> Case:
        return Case(description, (torch.tensor([box]), 60, 100))

    yield one("a box inside", 10.0, 10.0, 30.0, 40.0)
    yield one("half of it beyond the left border", -10.0, 10.0, 10.0, 30.0)
    yield one("a quarter of it inside, at the lower right corner", 90.0, 50.0, 110.0, 70.0)
    yield one("a box larger than the picture", -50.0, -30.0, 150.0, 90.0)
    yield one("outside on one axis", 120.0, 10.0, 140.0, 30.0)
    yield one("outside on both axes: the share is 0, not above", 120.0, 80.0, 140.0, 90.0)
    yield one("outside, its side on the picture's border", 100.0, 10.0, 120.0, 30.0)
    yield one("an empty box (share 0, not NaN)", 50.0, 30.0, 50.0, 30.0)
    yield one("no width, across the border (share 0, not NaN)", 50.0, -10.0, 50.0, 30.0)
    yield Case("no boxes", (torch.zeros(0, 4), 60, 100))
    g = _generator(12)
    for n, height, width in ((6, 60, 100), (20, 100, 50)):
        moved = _random_boxes(n, g, size=160.0) - 30
        yield Case(f"{n} random boxes, {height} x {width} pixels", (moved, height, width))


def _merge_statistics(a: Part, b: Part) -> Part:
    (n, mean_a, variance_a), (m, mean_b, variance_b) = a, b
    step = mean_b - mean_a
    variance = (n * variance_a + m * variance_b) / (n + m) + n * m * (step / (n + m)) ** 2
    return n + m, mean_a + step * m / (n + m), variance


def _statistics(values: Tensor) -> Part:
    return len(values), values.mean().item(), values.var(correction=0).item()


def _parts() -> Iterator[Case]:
    """Two parts; the large results are exact in float32, the type in which numbers are compared."""
    yield Case("two parts of one size and one mean", ((2, 3.0, 1.0), (2, 3.0, 5.0)))
    yield Case("one value and one value: all the variance lies between them", ((1, 0.0, 0.0), (1, 4.0, 0.0)))
    yield Case("parts of two sizes", ((1, 0.0, 0.0), (3, 4.0, 2.0)))
    yield Case("nothing in the first part", ((0, 0.0, 0.0), (3, 4.0, 2.0)))
    yield Case("nothing in the second part", ((3, 4.0, 2.0), (0, 0.0, 0.0)))
    yield Case("a mean that is large beside the spread", ((4, 1e8 - 8, 1.0), (4, 1e8 + 8, 1.0)))
    g = _generator(13)
    for n, m in ((5, 5), (2, 50), (300, 7)):
        a, b = torch.rand(n, generator=g).double(), 2 * torch.rand(m, generator=g).double()
        yield Case(f"{n} and {m} random values", (_statistics(a), _statistics(b)))


def _letterbox(height: int, width: int, size: int) -> tuple[float, float, float]:
    scale = min(size / height, size / width)
    return scale, (size - scale * height) / 2, (size - scale * width) / 2


def _pictures() -> Iterator[Case]:
    yield Case("a wide picture: padded above and below", (480, 640, 256))
    yield Case("a high picture: padded left and right", (640, 480, 256))
    yield Case("a square picture: no padding", (512, 512, 256))
    yield Case("a picture of the right size: nothing happens", (256, 256, 256))
    yield Case("a small picture grows", (64, 128, 256))
    yield Case("padding that is no whole number", (100, 200, 101))
    yield Case("a strip one pixel high", (1, 500, 100))
    g = _generator(14)
    for _ in range(4):
        height, width, size = torch.randint(20, 900, (3,), generator=g).tolist()
        yield Case(f"{height} x {width} pixels into {size} x {size}, random", (height, width, size))


def _undo_letterbox(boxes: Tensor, scale: float, top: float, left: float) -> Tensor:
    return (boxes - boxes.new_tensor([left, top, left, top])) / scale


def _boxes_found() -> Iterator[Case]:
    box = torch.tensor([[64.0, 72.0, 128.0, 152.0]])
    whole = torch.tensor([[0.0, 32.0, 256.0, 224.0]])
    yield Case("the same size, no padding", (box, 1.0, 0.0, 0.0))
    yield Case("half the size, no padding", (box, 0.5, 0.0, 0.0))
    yield Case("padding above, the same size", (box, 1.0, 32.0, 0.0))
    yield Case("the whole picture, shrunk by 0.4, with 32 rows above", (whole, 0.4, 32.0, 0.0))
    yield Case("padding at the left", (box, 0.5, 0.0, 16.0))
    yield Case("a box that reaches into the padding (nothing is cut off)", (box, 0.4, 80.0, 0.0))
    yield Case("no boxes", (torch.zeros(0, 4), 0.4, 32.0, 0.0))
    g = _generator(15)
    for n, height, width in ((1, 300, 400), (4, 500, 333), (9, 60, 80)):
        yield Case(
            f"{n} random boxes, {height} x {width} pixels", (_random_boxes(n, g), *_letterbox(height, width, 100))
        )


def _cutmix_labels(label_a: int, label_b: int, box: Sequence[int], height: int, width: int, num_classes: int) -> Tensor:
    x1, y1, x2, y2 = box
    pasted = (x2 - x1) * (y2 - y1) / (height * width)
    label = torch.zeros(num_classes)
    label[label_a] += 1 - pasted
    label[label_b] += pasted
    return label


def _pasted_boxes() -> Iterator[Case]:
    yield Case("a quarter of the picture pasted", (0, 2, (0, 0, 50, 50), 100, 100, 3))
    yield Case("half of it, at the right", (1, 0, (50, 0, 100, 100), 100, 100, 2))
    yield Case("a box away from the corner, of a wide picture", (2, 1, (40, 10, 60, 40), 50, 80, 4))
    yield Case("the same label twice (one entry of 1)", (1, 1, (10, 10, 60, 60), 100, 100, 3))
    yield Case("an empty box: nothing is pasted", (0, 1, (30, 20, 30, 60), 100, 100, 3))
    yield Case("the whole picture pasted", (0, 1, (0, 0, 80, 50), 50, 80, 3))
    yield Case("the same label twice, and an empty box", (2, 2, (0, 0, 0, 0), 50, 80, 3))
    g = _generator(16)
    for height, width, num_classes in ((32, 32, 10), (48, 64, 5), (224, 160, 3)):
        label_a, label_b = torch.randperm(num_classes, generator=g)[:2].tolist()
        x1, x2 = (torch.rand(2, generator=g).sort()[0] * width).int().tolist()
        y1, y2 = (torch.rand(2, generator=g).sort()[0] * height).int().tolist()
        arguments = (label_a, label_b, (x1, y1, x2, y2), height, width, num_classes)
        yield Case(f"a random box, {height} x {width} pixels", arguments)


def _difference_hash(grey: Tensor) -> Tensor:
    number = dhash(grey[None], bits=64)
    return torch.tensor([bit == "1" for bit in f"{number:064b}"])


def _small_pictures() -> Iterator[Case]:
    """Pictures in which no step lies so near the margin that rounding decides."""
    ramp = torch.arange(9.0).expand(8, 9) / 10
    yield Case("brighter with every step to the right: all 64 bits", (ramp,))
    yield Case("darker with every step to the right: no bit", (ramp.flip(1),))
    yield Case("brighter downwards: neighbours in a row are equal, no bit", (ramp.t()[:8, :1].expand(8, 9),))
    yield Case("one grey everywhere: no bit", (torch.full((8, 9), 0.5),))
    first, step = torch.zeros(8, 9), torch.zeros(8, 9)
    first[0], step[2, 5:] = ramp[0], 1.0
    yield Case("brighter in the first row only: the first eight bits", (first,))
    yield Case("one step, in row 2 from column 4 to 5: bit 20", (step,))
    zigzag = (torch.arange(9) % 2).expand(8, 9)
    yield Case("noise below one grey level of 255: no bit", (0.5 + 0.002 * zigzag,))
    faint = torch.cat([torch.tensor([[0.0] * 8 + [1.0]]), 0.5 + 0.02 * zigzag[1:]])
    yield Case("steps of 2% of the range: only the step in row 0 counts", (faint,))
    yield Case("steps of 4% of the range count", (torch.cat([faint[:1], 0.5 + 0.04 * zigzag[1:]]),))
    yield Case("a pale picture, steps of two grey levels of 255", (0.5 + 2 / 255 * zigzag,))
    g = _generator(17)
    for n in (1, 2, 3):
        yield Case(f"random picture {n}", (torch.randint(0, 11, (8, 9), generator=g) / 10,))


EXERCISES = {
    "flip_boxes": Exercise(_flip_boxes, _boxes_to_flip, tolerance=1e-3),
    "warp_boxes": Exercise(affine.warp_boxes, _maps, tolerance=1e-3),
    "visible_share": Exercise(_visible_share, _boxes_at_borders),
    "merge_statistics": Exercise(_merge_statistics, _parts),
    "letterbox": Exercise(_letterbox, _pictures),
    "undo_letterbox": Exercise(_undo_letterbox, _boxes_found, tolerance=1e-3),
    "cutmix_labels": Exercise(_cutmix_labels, _pasted_boxes),
    "difference_hash": Exercise(_difference_hash, _small_pictures),
}
