"""The transform: targets follow, objects are dropped by the rules, bad input is refused and nothing is changed."""

import copy

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader
from torchvision import tv_tensors
from torchvision.transforms import v2

from cvlab import _check, augment
from cvlab.augment import (
    Augmented,
    Elastic,
    Flip,
    Geometric,
    Perspective,
    Resize,
    ResizedCrop,
    ShiftScaleRotate,
    seeded,
)
from cvlab.augment.targets import tight_boxes
from cvlab.data import StillLife, collate

SCENES = StillLife(96, "test", length=40)
STEPS = [
    Flip(1.0),
    Flip(0.0, 1.0),
    ShiftScaleRotate(0.2, 0.5, 60, 20),
    Perspective(0.6, p=1.0),
    ResizedCrop((64, 80), (0.2, 0.6)),
    Elastic(2.5, 10.0, p=1.0),
    Resize((64, 80)),
    Resize((64, 80), keep_ratio=False),
]


def plain(value):
    return value.as_subclass(torch.Tensor)


@pytest.mark.parametrize("step", STEPS, ids=lambda s: type(s).__name__)
def test_boxes_are_those_of_the_masks_and_rows_stay_together(step):
    for i in range(6):
        image, target = SCENES[i]
        with seeded(i):
            made, moved = Geometric([step])(image, target)
        size = tuple(made.shape[1:])
        count = len(moved["boxes"])
        assert torch.equal(plain(moved["boxes"]), tight_boxes(plain(moved["masks"])))
        assert moved["masks"].shape == (count, *size)
        assert moved["semantic"].shape == size
        assert moved["boxes"].canvas_size == size
        assert isinstance(moved["masks"], tv_tensors.Mask)
        for name in ("labels", "keypoints", "keypoints_visible", "visibility"):
            assert len(moved[name]) == count, name
        assert moved["image_id"] == target["image_id"]
        assert moved["caption"] == target["caption"]
        # where masks are, the label map has their labels
        for mask, label in zip(plain(moved["masks"]), moved["labels"], strict=True):
            assert (plain(moved["semantic"])[mask] == label).all()


def test_nothing_is_changed_in_place():
    image, target = SCENES[1]
    before = image.clone(), copy.deepcopy(target)
    with seeded(0):
        Geometric(STEPS[:6])(image, target)
    assert torch.equal(image, before[0])
    for name, value in target.items():
        same = torch.equal(value, before[1][name]) if isinstance(value, torch.Tensor) else value == before[1][name]
        assert same, name


def test_without_masks_the_share_is_that_of_the_boxes():
    # the left half is cut away: of (0, 40) 50 % are left, of (10, 40) a third, of (20, 40) all, of (0, 20) nothing
    boxes = torch.tensor([[0.0, 0, 40, 20], [10, 0, 40, 20], [20, 0, 40, 20], [0, 0, 20, 20]])
    target = {"boxes": boxes, "labels": torch.tensor([1, 2, 3, 4]), "names": ["a", "b", "c", "d"]}
    # the shift is by whole pixels to the left, so make it by hand through the warp of a step
    step = FixedMap(augment.affine.translation(-20, 0))
    for least, left in ((0.0, [1, 2, 3]), (0.5, [1, 2, 3]), (0.6, [2, 3]), (0.7, [3])):
        _, moved = Geometric([step], min_visibility=least)(torch.zeros(3, 20, 40), target)
        assert moved["labels"].tolist() == left
        assert moved["names"] == [target["names"][i - 1] for i in left]
    _, moved = Geometric([step], min_visibility=0.0)(torch.zeros(3, 20, 40), target)
    assert plain(moved["boxes"]).tolist() == [[0, 0, 20, 20], [0, 0, 20, 20], [0, 0, 20, 20]]


class FixedMap:
    """A step without chance."""

    def __init__(self, matrix, size=None):
        self.matrix, self.size = matrix, size

    def draw(self, size):
        return self.matrix, self.size or size


def test_with_masks_the_share_is_that_of_the_pixels():
    mask = torch.zeros(1, 20, 40, dtype=torch.bool)
    mask[0, :, 10:30] = True  # 20 columns, of which 10 go
    target = {"boxes": tight_boxes(mask), "masks": mask, "labels": torch.tensor([7]), "visibility": torch.tensor([0.8])}
    target["area"] = torch.tensor([400.0])
    _, moved = Geometric([FixedMap(augment.affine.translation(-20, 0))])(torch.zeros(3, 20, 40), target)
    assert moved["visibility"].tolist() == pytest.approx([0.4])
    assert moved["area"].tolist() == [200]
    assert plain(moved["boxes"]).tolist() == [[0, 0, 10, 20]]


def test_key_points_outside_are_no_longer_visible():
    points = torch.tensor([[[5.0, 5.0], [25.0, 5.0]]])
    target = {"boxes": torch.tensor([[0.0, 0, 30, 10]]), "keypoints": points}
    target["keypoints_visible"] = torch.tensor([[True, True]])
    step = Geometric([FixedMap(augment.affine.translation(-10, 0))])
    _, moved = step(torch.zeros(3, 20, 40), target)
    assert plain(moved["keypoints"]).tolist() == [[[-5, 5], [15, 5]]]
    assert moved["keypoints_visible"].tolist() == [[False, True]]
    coco = {"boxes": target["boxes"], "keypoints": torch.cat([points, torch.full((1, 2, 1), 2.0)], -1)}
    _, moved = step(torch.zeros(3, 20, 40), coco)
    assert moved["keypoints"].tolist() == [[[-5, 5, 0], [15, 5, 2]]]


def test_key_points_stay_plain_where_torchvision_has_no_class_for_them(monkeypatch):
    image, target = SCENES[0]
    target["keypoints"] = plain(target["keypoints"])
    expected = Geometric([Flip(1.0)])(image, target)[1]["keypoints"]
    monkeypatch.delattr(tv_tensors, "KeyPoints", raising=False)
    moved = Geometric([Flip(1.0)])(image, target)[1]["keypoints"]
    assert type(moved) is torch.Tensor
    assert torch.equal(moved, plain(expected))


def test_keep_one_draws_again():
    target = {"boxes": torch.tensor([[0.0, 0, 12, 12]]), "labels": torch.tensor([1])}
    crop = ResizedCrop((32, 32), (0.1, 0.15))
    image = torch.zeros(3, 64, 64)
    kept = {keep: 0 for keep in (False, True)}
    for keep in kept:
        for seed in range(40):
            with seeded(seed):
                kept[keep] += len(Geometric([crop], keep_one=keep)(image, target)[1]["boxes"])
    assert kept[True] > 2 * kept[False] > 0


def test_images_without_objects_and_without_target():
    transform = Geometric(STEPS[:6])
    none = {
        "boxes": torch.zeros(0, 4),
        "labels": torch.zeros(0, dtype=torch.int64),
        "masks": torch.zeros(0, 50, 60).bool(),
    }
    _, moved = transform(torch.rand(3, 50, 60), none)
    assert moved["boxes"].shape == (0, 4)
    assert moved["masks"].shape == (0, 64, 80)
    assert transform(torch.rand(1, 50, 60)).shape == (1, 64, 80)
    assert transform(torch.rand(3, 50, 60), {})[1] == {}
    assert transform(torch.rand(3, 1, 1)).shape == (3, 64, 80)


def test_other_box_formats_and_pillow_images():
    boxes = tv_tensors.BoundingBoxes([[2.0, 2, 6, 4]], format="XYWH", canvas_size=(10, 20))
    picture = Image.fromarray(np.arange(200, dtype=np.uint8).reshape(10, 20))
    made, moved = Geometric([Flip(1.0)])(picture, {"boxes": boxes, "labels": torch.tensor([1])})
    assert plain(moved["boxes"]).tolist() == [[12, 2, 18, 6]]
    assert made[0, 0].tolist() == list(range(19, -1, -1))


def test_takes_its_place_in_a_chain_of_torchvision():
    chain = v2.Compose([Geometric([Flip(1.0)]), v2.ToDtype(torch.uint8, scale=True), v2.RandomHorizontalFlip(1.0)])
    image, target = SCENES[3]
    made, back = chain(image, target)
    assert torch.equal(plain(made), (image * 255).round().to(torch.uint8))
    assert torch.equal(plain(back["boxes"]), plain(target["boxes"]))


def items_of(workers, seed=5, epoch=0):
    data = Augmented(SCENES, augment.for_detection(64, degraded=True), seed=seed)
    data.set_epoch(epoch)
    loader = DataLoader(torch.utils.data.Subset(data, range(6)), batch_size=2, num_workers=workers, collate_fn=collate)
    return [
        (image, target["boxes"]) for images, targets in loader for image, target in zip(images, targets, strict=True)
    ]


def same(a, b):
    return all(torch.equal(x, u) and torch.equal(y, v) for (x, y), (u, v) in zip(a, b, strict=True))


def test_the_seed_decides_whatever_the_number_of_workers():
    alone = items_of(0)
    assert same(alone, items_of(2))
    assert not same(alone, items_of(0, seed=6))
    assert not same(alone, items_of(0, epoch=1))


def test_set_epoch_reaches_workers_that_live_on():
    data = Augmented(SCENES, augment.for_detection(64), seed=1)
    loader = DataLoader(data, batch_size=20, num_workers=1, collate_fn=collate, persistent_workers=True)
    first = next(iter(loader))[0]
    data.set_epoch(1)
    second = next(iter(loader))[0]
    assert not all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_seeded_puts_the_generator_back():
    torch.manual_seed(0)
    expected = torch.rand(2)
    torch.manual_seed(0)
    with seeded(99):
        torch.rand(5)
    assert torch.equal(torch.rand(2), expected)


GOOD = {"boxes": torch.tensor([[1.0, 1, 5, 5]]), "labels": torch.tensor([1])}


@pytest.mark.parametrize(
    ("image", "target", "message"),
    [
        (torch.zeros(3, 0, 8), None, r"image must have pixels, got shape \(3, 0, 8\)"),
        (torch.zeros(8, 8), None, r"image must have shape \(C, H, W\), got \(8, 8\)"),
        (torch.zeros(3, 8, 8, dtype=torch.int16), None, "image must be float in .* or uint8, got torch.int16"),
        (torch.zeros(3, 8, 8), GOOD | {"boxes": torch.tensor([[5.0, 1, 1, 5]])}, r"boxes\[0\] has x2 < x1"),
        (torch.zeros(3, 8, 8), GOOD | {"boxes": torch.tensor([[0, 0, float("nan"), 1]])}, r"boxes\[0\] is not finite"),
        (
            torch.zeros(3, 8, 8),
            GOOD | {"masks": torch.zeros(1, 9, 8).bool()},
            r"masks must have shape \(N, 8, 8\), got \(1, 9, 8\)",
        ),
        (
            torch.zeros(3, 8, 8),
            GOOD | {"labels": torch.tensor([1, 2])},
            "labels must have 1 rows, one for each object, got 2",
        ),
        (torch.zeros(3, 8, 8), GOOD | {"keypoints": torch.zeros(1, 2)}, r"keypoints must have shape \(N, K, 2\)"),
        (
            torch.zeros(3, 8, 8),
            GOOD | {"semantic": torch.zeros(4, 4)},
            r"semantic must have shape \(8, 8\), got \(4, 4\)",
        ),
        (Image.new("RGBA", (4, 4)), None, "a Pillow image must have mode L or RGB, got RGBA: use read_image"),
    ],
)
def test_bad_input(image, target, message):
    with pytest.raises(_check.InputError, match=f"Geometric: {message}"):
        Geometric([Flip()])(image, target)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Flip(1.5), "Flip: horizontal must lie in"),
        (lambda: ShiftScaleRotate(shear=90), "shear must be below 90 degrees, got 90"),
        (lambda: ShiftScaleRotate(rotate=-1), r"amounts\[2\] must be finite and at least 0, got -1"),
        (lambda: Perspective(1.0), "distortion must be below 1"),
        (lambda: ResizedCrop((0, 4)), r"size\[0\] must be finite and above 0"),
        (lambda: ResizedCrop((4, 4), (0.5, 0.2)), r"area must be \(smallest, largest\), got \(0.5, 0.2\)"),
        (lambda: ResizedCrop((4, 4), (0.5, 2)), "area must be at most 1"),
        (lambda: Resize((4,)), r"size must be \(height, width\), got 1 numbers"),
        (lambda: Elastic(9, 10), "strength must be at most 0.25 x smoothness = 2.5"),
        (lambda: Geometric([Elastic(), Elastic()]), "at most one Elastic, got 2"),
        (lambda: Geometric([], min_visibility=2), "min_visibility must lie in"),
    ],
)
def test_bad_settings(make, message):
    with pytest.raises(_check.InputError, match=message):
        make()


def test_wrong_kinds_of_things():
    with pytest.raises(TypeError, match=r"steps\[0\] must be a step such as Flip\(\), got 3"):
        Geometric([3])
    with pytest.raises(TypeError, match="image must be a tensor .* or a Pillow image, got ndarray"):
        Geometric([])(np.zeros((4, 4, 3)))
    with pytest.raises(TypeError, match="target must be a dictionary, got list"):
        Geometric([])(torch.zeros(3, 4, 4), [1])
    with pytest.raises(TypeError, match="transform must be a function"):
        Augmented(SCENES, None)
    with pytest.raises(ValueError, match="seeds must be non-negative whole numbers, at least one, got \\(-1,\\)"):
        Augmented(SCENES, Flip, seed=-1)
    rotated = tv_tensors.BoundingBoxFormat
    if hasattr(rotated, "XYXYXYXY"):
        boxes = tv_tensors.BoundingBoxes(torch.zeros(1, 8), format=rotated.XYXYXYXY, canvas_size=(8, 8))
        with pytest.raises(_check.InputError, match="boxes must be upright .* got XYXYXYXY"):
            Geometric([])(torch.zeros(3, 8, 8), {"boxes": boxes})
