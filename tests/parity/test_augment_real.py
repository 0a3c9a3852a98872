"""Augmentation of real photographs: 128 images of COCO with boxes and outlines, and five large pictures.

The lists of boxes and of outlines do not go together row by row: the outlines are sorted by class, count classes as
COCO does (with gaps), and some objects are in one list only. So images come with either the boxes or the outlines.
"""

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from cvlab import augment, preprocess
from cvlab.augment import (
    Elastic,
    Flip,
    Geometric,
    Perspective,
    Resize,
    ShiftScaleRotate,
    copy_paste,
    cutmix,
    cutout,
    mosaic,
    seeded,
)
from cvlab.augment.targets import row_entries, tight_boxes
from cvlab.augment.views import inverse
from cvlab.data import read_image

DATA = Path(__file__).resolve().parents[2] / ".." / "shared" / "data"
pytestmark = pytest.mark.skipif(not DATA.exists(), reason="the photographs of COCO are not beside this repository")
FILES = sorted((DATA / "coco128" / "images").glob("*.jpg"))
PHOTOS = sorted((DATA / "photos").glob("*.jpg"))
TURNED = Geometric([Flip(), ShiftScaleRotate(0.1, 0.3, 45), Perspective(0.4, p=1.0)])
SAME_SIZE = Geometric([Resize((240, 320))])
BENT = Geometric([Resize((240, 320)), Elastic(3.0, 12.0, p=1.0)])


def plain(value):
    return value.as_subclass(torch.Tensor)


def numbers(folder, file):
    """The lines of a text, each a class and numbers from 0 to 1."""
    path = DATA / "coco128" / folder / f"{file.stem}.txt"
    return [np.array(line.split(), dtype=float) for line in path.read_text().splitlines()] if path.exists() else []


def named(labels):
    return {"labels": torch.tensor(labels, dtype=torch.int64), "rows": list(range(len(labels)))}


@cache
def boxed(index):
    """An image of 128 with the boxes of its objects."""
    image = read_image(FILES[index], torch.uint8)
    lines = numbers("boxes", FILES[index])
    found = torch.tensor(np.array([line[1:] for line in lines])).reshape(-1, 4)
    boxes = torch.cat([found[:, :2] - found[:, 2:] / 2, found[:, :2] + found[:, 2:] / 2], 1)
    boxes = (boxes * torch.tensor([*image.shape[:0:-1]] * 2)).float()
    return image, {"boxes": boxes, **named([int(line[0]) + 1 for line in lines])}


@cache
def outlined(index):
    """An image of the 100 that have outlines: its objects as masks, and the boxes of the masks."""
    image = read_image(FILES[index], torch.uint8)
    height, width = image.shape[1:]
    masks, labels = [], []
    for line in numbers("polygons", FILES[index]):
        canvas = Image.new("1", (width, height))
        ImageDraw.Draw(canvas).polygon((line[1:].reshape(-1, 2) * (width, height)).flatten().tolist(), fill=1)
        masks.append(torch.from_numpy(np.array(canvas)))
        labels.append(int(line[0]))
    masks = torch.stack(masks) if masks else torch.zeros(0, height, width, dtype=torch.bool)
    return image, {"boxes": tight_boxes(masks), "masks": masks, **named(labels)}


@cache
def fitted(index):
    """The same, brought to one size."""
    return SAME_SIZE(*outlined(index))


OUTLINED = [i for i, file in enumerate(FILES) if (DATA / "coco128" / "polygons" / f"{file.stem}.txt").exists()]


def sound(image, target, size=None):
    """Boxes lie in the picture and have sides of a pixel at least, are those of the masks, and the rows go together."""
    height, width = image.shape[1:]
    assert size is None or size == (height, width)
    boxes = plain(target["boxes"])
    assert {"boxes", "labels", "rows"} <= set(row_entries(target))
    assert bool((boxes >= 0).all())
    assert bool((boxes[:, 2] <= width).all())
    assert bool((boxes[:, 3] <= height).all())
    assert bool((boxes[:, 2:] - boxes[:, :2] >= 1).all())
    if "masks" in target:
        assert target["masks"].shape == (len(boxes), height, width)
        assert torch.equal(boxes, tight_boxes(plain(target["masks"])))


def drawn(seed, make):
    """What is made after a seed; every fourth is made again, and must be the same to the last byte."""
    made = []
    for _ in range(2 if seed % 4 == 0 else 1):
        with seeded(seed):
            made.append(make())
    (image, target), (again, copy) = made[0], made[-1]
    assert torch.equal(image, again)
    assert target.keys() == copy.keys()
    assert all(torch.equal(plain(target[name]), plain(copy[name])) for name in ("boxes", "labels"))
    assert target["rows"] == copy["rows"]
    return image, target


def test_the_outlines_are_those_of_the_objects_in_the_boxes():
    """Nine tenths of the masks have their box in the other list, to two pixels: x and y are read rightly."""
    gaps = []
    for i in OUTLINED:
        tight, given = outlined(i)[1]["boxes"], boxed(i)[1]["boxes"]
        gaps += (tight[:, None] - given).abs().amax(-1).amin(1).tolist() if len(tight) else []
    assert (len(OUTLINED), len(gaps)) == (100, 746)
    assert (np.array(gaps) <= 2).mean() > 0.9


@pytest.mark.parametrize("degraded", [False, True])
def test_detection_with_boxes(degraded):
    recipe = augment.for_detection(256, degraded=degraded)
    before = after = 0
    for i in range(len(FILES)):
        image, target = boxed(i)
        made, moved = drawn(i, lambda image=image, target=target: recipe(image, target))
        sound(made, moved, (256, 256))
        assert torch.equal(moved["labels"], target["labels"][moved["rows"]])
        assert not target["rows"] or moved["rows"]  # it keeps one object
        before, after = before + len(target["rows"]), after + len(moved["rows"])
    assert before == 929
    assert 0.5 * before < after < before  # crops lose some objects, and not most of them


RECIPES = {
    "detection": (augment.for_detection(256), (256, 256)),
    "segmentation": (augment.for_segmentation(192, elastic=True), (192, 192)),
    "turned": (TURNED, None),
    "bent": (BENT, (240, 320)),
    "fitted": (SAME_SIZE, (240, 320)),
}


@pytest.mark.parametrize("name", RECIPES)
def test_recipes_with_masks(name):
    recipe, size = RECIPES[name]
    seen = 0
    for i in OUTLINED:
        image, target = outlined(i)
        made, moved = drawn(i, lambda image=image, target=target: recipe(image, target))
        sound(made, moved, size or tuple(image.shape[1:]))
        assert made.dtype == torch.uint8
        assert torch.equal(moved["labels"], target["labels"][moved["rows"]])
        seen += len(moved["rows"])
    assert seen > 350  # of 746


@pytest.mark.parametrize("moves", [TURNED, BENT], ids=["turned", "bent"])
def test_a_moved_object_lies_in_its_moved_box(moves):
    """Boxes that are moved as boxes hold the masks that are moved as masks, to a pixel, in every photograph."""
    compared = 0
    for i in OUTLINED:
        image, target = outlined(i)
        steps = [*moves.steps, *([moves.elastic] if moves.elastic else [])]
        transform = Geometric(steps, min_visibility=0.0, min_side=0.0)
        alone = {name: value for name, value in target.items() if name != "masks"}
        with seeded(i):
            _, tight = transform(image, target)
        with seeded(i):
            _, loose = transform(image, alone)
        outer, inner = plain(loose["boxes"])[tight["rows"]], plain(tight["boxes"])
        assert loose["rows"] == target["rows"]
        assert bool((inner[:, :2] >= outer[:, :2] - 1).all())
        assert bool((inner[:, 2:] <= outer[:, 2:] + 1).all())
        compared += len(inner)
    assert compared > 500


def mixed(name, i):
    """Mix an image with those that follow it."""
    a, b, c, d = (OUTLINED[(i + k) % len(OUTLINED)] for k in range(4))
    if name == "mosaic":
        return mosaic([outlined(k) for k in (a, b, c, d)], (200, 300))
    if name == "cutout":
        return cutout(*outlined(a), share=0.2)
    return {"copy_paste": copy_paste, "cutmix": cutmix}[name](fitted(a), fitted(b))


@pytest.mark.parametrize("name", ["mosaic", "cutout", "copy_paste", "cutmix"])
def test_mixtures(name):
    seen = 0
    for i in range(len(OUTLINED)):
        image, target = drawn(i, lambda i=i: mixed(name, i))
        sound(image, target, (200, 300) if name == "mosaic" else None)
        seen += len(target["rows"])
    assert seen > 500


def test_mixtures_of_images_with_boxes_alone():
    for i in range(0, len(FILES) - 4, 4):
        four = [boxed(k) for k in range(i, i + 4)]
        image, target = drawn(i, lambda four=four: mosaic(four, (200, 300)))
        sound(image, target, (200, 300))
        image, target = drawn(i, lambda four=four: cutmix(SAME_SIZE(*four[0]), SAME_SIZE(*four[1])))
        sound(image, target, (240, 320))


def test_images_without_objects_and_grey_ones():
    empty = [i for i in range(len(FILES)) if not boxed(i)[1]["rows"]]
    grey = [i for i, file in enumerate(FILES) if Image.open(file).mode == "L"]
    assert (len(empty), len(grey)) == (2, 1)
    for i in empty + grey:
        for recipe, _ in RECIPES.values():
            image, target = drawn(i, lambda i=i, recipe=recipe: recipe(*outlined(i)))
            sound(image, target)
            assert image.shape[0] == 3
            assert bool(target["rows"]) == (i in grey)
    nothing = fitted(empty[0])
    for mix in (cutmix, copy_paste):
        assert mix(nothing, nothing)[1]["boxes"].shape == (0, 4)
    assert mosaic([outlined(empty[0])] * 4, (64, 64))[1]["masks"].shape == (0, 64, 64)
    # as Pillow opens it, the grey image has one channel, and keeps it
    picture, (image, target) = Image.open(FILES[grey[0]]), outlined(grey[0])
    for recipe in (augment.for_detection(256, degraded=True), TURNED):
        with seeded(1):
            single, moved = recipe(picture, target)
        with seeded(1):
            _, expected = recipe(image, target)
        sound(single, moved)
        assert single.shape[0] == 1
        assert moved["rows"] == expected["rows"]


def test_boxes_return_from_a_letterbox():
    """All 929 of them, by the map of `preprocess` and by the inverse of the warp, to a thousandth of a pixel."""
    returned = 0
    for i in range(len(FILES)):
        image, target = boxed(i)
        size, boxes = tuple(image.shape[1:]), target["boxes"]
        warp = Geometric([Resize((416, 640))]).draw(size)
        for fitting in (preprocess.letterbox(size, (416, 640)), preprocess.letterbox(size, (97, 61), align="corner")):
            there = fitting.boxes(boxes)
            assert there.dtype == torch.float32
            torch.testing.assert_close(fitting.undo_boxes(there, clip=False), boxes, atol=1e-3, rtol=0)
        torch.testing.assert_close(inverse(warp).boxes(warp.boxes(boxes)), boxes, atol=1e-3, rtol=0)
        torch.testing.assert_close(
            warp.boxes(boxes), preprocess.letterbox(size, (416, 640)).boxes(boxes), atol=1e-3, rtol=0
        )
        returned += len(boxes)
    assert returned == 929


@pytest.mark.parametrize("file", PHOTOS, ids=lambda file: file.stem)
def test_large_photographs_keep_their_type_and_look(file):
    """With nothing at random, a recipe's picture is Pillow's of that size; with all of it, it is no other scene."""
    image = read_image(file, torch.uint8)
    assert image.shape[1:] == Image.open(file).size[::-1]
    height, width = image.shape[1:]
    small = (height // 4, width // 4)
    reference = Image.open(file).convert("RGB").resize(small[::-1], Image.Resampling.BILINEAR)
    reference = torch.from_numpy(np.array(reference)).permute(2, 0, 1).int()
    whole = torch.tensor([[0.0, 0, width, height]])
    target = {"boxes": whole, "labels": torch.tensor([1]), "rows": [0]}
    for make in (augment.for_detection, augment.for_segmentation, augment.for_classification):
        classifies = make is augment.for_classification
        still = make(small, train=False)(image, 5 if classifies else target)
        assert still[0].dtype == torch.uint8
        assert (still[0].int() - reference)[:, 1:-1, 1:-1].abs().max() <= 1
        with seeded(3):
            made, moved = make(small, strength=0.5)(image, 5 if classifies else target)
        assert made.dtype == torch.uint8
        assert made.shape == reference.shape
        assert (made.float().mean() - reference.float().mean()).abs() < 50
        assert moved == 5 if classifies else len(moved["rows"]) == 1
    # at full size: a turn and elastic bending
    with seeded(3):
        made, moved = Geometric([ShiftScaleRotate(0.05, 0.1, 10), Elastic(6.0, 30.0, p=1.0)])(image, target)
    assert (made.shape, made.dtype) == (image.shape, torch.uint8)
    sound(made, moved)
