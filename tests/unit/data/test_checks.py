import pytest
import torch
from torchvision import tv_tensors

from cvlab.data import StillLife
from cvlab.data.checks import Problem, check_target, class_name

SIZE = (30, 40)
GOOD = [[0.0, 0.0, 40.0, 30.0], [2.0, 3.0, 9.0, 8.0]]  # the first is the whole image


def target(boxes, labels=None, **more):
    boxes = torch.tensor(boxes).reshape(-1, 4)
    return {"boxes": boxes, "labels": torch.ones(len(boxes), dtype=torch.int64) if labels is None else labels} | more


def faults(given, **options):
    return [str(problem) for problem in check_target(given, SIZE, **options)]


def masks_of(boxes):
    masks = torch.zeros(len(boxes), *SIZE, dtype=torch.bool)
    for mask, (x1, y1, x2, y2) in zip(masks, boxes, strict=True):
        mask[int(y1) : int(y2), int(x1) : int(x2)] = True
    return masks


def test_a_sound_target():
    given = target(GOOD, torch.tensor([1, -1]), masks=masks_of(GOOD))
    assert check_target(given, SIZE, names=["background", "cat"]) == []
    assert check_target(given, SIZE) == []


def test_no_object_is_no_fault():
    assert faults(target([], masks=torch.zeros(0, *SIZE, dtype=torch.bool))) == []


@pytest.mark.parametrize("index", range(5))
def test_still_lifes_are_sound(index):
    data = StillLife(size=(48, 64))
    assert check_target(data[index][1], (48, 64), names=["background", *data.kinds]) == []


# Boxes.


@pytest.mark.parametrize(
    ("box", "fault"),
    [
        ([10, 4, 10, 9], "has x2 <= x1: [10, 4, 10, 9]"),
        ([12, 4, 10, 9], "has x2 <= x1: [12, 4, 10, 9]"),
        ([10, 9, 12, 9], "has y2 <= y1: [10, 9, 12, 9]"),
        ([float("nan"), 4, 10, 9], "is not finite: [nan, 4, 10, 9]"),
        ([0, 4, float("inf"), 9], "is not finite: [0, 4, inf, 9]"),
        ([-1, 4, 10, 9], "leaves the image of 30 x 40: [-1, 4, 10, 9]"),
        ([1, -0.5, 10, 9], "leaves the image of 30 x 40: [1, -0.5, 10, 9]"),
        ([1, 4, 40.2, 9], "leaves the image of 30 x 40: [1, 4, 40.2, 9]"),
        ([1, 4, 10, 31], "leaves the image of 30 x 40: [1, 4, 10, 31]"),
        ([100, 100, 110, 110], "leaves the image of 30 x 40: [100, 100, 110, 110]"),
    ],
)
def test_faults_of_a_box(box, fault):
    assert faults(target([*GOOD, [float(v) for v in box]]), where="train[7]") == [f"train[7] box 2 {fault}"]


def test_rounding_is_no_fault():
    assert faults(target([[-0.05, -0.05, 40.05, 30.05]])) == []


def test_each_box_has_one_fault_at_most():
    assert faults(target([[50.0, 9.0, -3.0, 2.0], [5.0, 5.0, 5.0, 5.0]])) == [
        "target box 0 has x2 <= x1: [50, 9, -3, 2]",
        "target box 1 has x2 <= x1: [5, 5, 5, 5]",
    ]


def test_normalised_boxes_are_told_once():
    assert faults(target([[0.1, 0.2, 0.5, 0.9], [0.0, 0.0, 1.0, 1.0]])) == [
        "target has all its boxes in [0, 1]: they are meant in pixels"
    ]
    assert faults(target([[0.0, 0.0, 1.0, 1.0]])) == []  # a box round the first pixel


@pytest.mark.parametrize(
    ("boxes", "fault"),
    [
        (None, "has no boxes"),
        ([[1, 2, 3, 4]], "has boxes that are no tensor of numbers: list"),
        (torch.ones(2, 4, dtype=torch.bool), "has boxes that are no tensor of numbers: torch.bool"),
        (torch.tensor([]), "has boxes of shape (0,) instead of (N, 4)"),
        (torch.zeros(2, 5), "has boxes of shape (2, 5) instead of (N, 4)"),
        (
            tv_tensors.BoundingBoxes(torch.ones(1, 4), format="XYWH", canvas_size=SIZE),
            "has boxes in xywh instead of xyxy",
        ),
    ],
)
def test_boxes_that_cannot_be_read(boxes, fault):
    assert faults({"boxes": boxes, "labels": torch.ones(2, dtype=torch.int64)}) == [f"target {fault}"]


def test_whole_number_boxes():
    assert faults({"boxes": torch.tensor([[1, 2, 50, 8]]), "labels": torch.tensor([1])}) == [
        "target box 0 leaves the image of 30 x 40: [1, 2, 50, 8]"
    ]


# Labels.


@pytest.mark.parametrize(
    ("labels", "fault"),
    [
        (None, "target has no labels"),
        ([1, 1], "target has labels that are no tensor of whole numbers: list"),
        (torch.ones(2), "target has labels that are no tensor of whole numbers: torch.float32"),
        (torch.ones(3, dtype=torch.int64), "target has labels of shape (3,) for 2 boxes"),
        (torch.ones(2, 1, dtype=torch.int64), "target has labels of shape (2, 1) for 2 boxes"),
        (torch.tensor([1, 0]), "target label 1 is 0, which is the background"),
        (torch.tensor([-2, 1]), "target label 0 is -2, below 0"),
        (torch.tensor([1, 3]), "target label 1 is 3, which has no name"),
    ],
)
def test_faults_of_labels(labels, fault):
    given = {"boxes": torch.tensor(GOOD), "labels": labels}
    assert faults(given, names=["background", "cat", "dog"]) == [fault]


def test_names_by_number():
    given = target(GOOD, torch.tensor([7, 8]))
    assert faults(given, names={7: "cat"}) == ["target label 1 is 8, which has no name"]
    assert faults(given) == []
    assert [class_name(7, names) for names in ({7: "cat"}, ["a"], None)] == ["cat", None, "7"]


# Masks.


@pytest.mark.parametrize(
    ("masks", "fault"),
    [
        (torch.zeros(2, *SIZE), "has masks that are no tensor of bool or uint8: torch.float32"),
        ("none", "has masks that are no tensor of bool or uint8: str"),
        (masks_of(GOOD)[:1], "has masks of shape (1, 30, 40) instead of (2, 30, 40)"),
        (masks_of(GOOD).transpose(1, 2), "has masks of shape (2, 40, 30) instead of (2, 30, 40)"),
    ],
)
def test_masks_that_cannot_be_read(masks, fault):
    assert faults(target(GOOD, masks=masks)) == [f"target {fault}"]


def test_masks_must_fit_their_boxes():
    # The second mask covers x from 2 to 9: one pixel off is rounding, two are not.
    for shift, expected in ((1, []), (2, ["target mask 1 covers [2, 3, 9, 8], its box is [4, 3, 9, 8]"])):
        moved = [GOOD[0], [2.0 + shift, 3.0, 9.0, 8.0]]
        assert faults(target(moved, masks=masks_of(GOOD).to(torch.uint8))) == expected


def test_an_empty_mask():
    masks = masks_of(GOOD)
    masks[0] = False
    assert faults(target(GOOD, masks=masks)) == ["target mask 0 is empty"]


def test_a_box_that_is_not_finite_is_told_once():
    box = [GOOD[0], [2.0, 3.0, float("nan"), 8.0]]
    assert faults(target(box, masks=masks_of(GOOD))) == ["target box 1 is not finite: [2, 3, nan, 8]"]


# Problems as text.


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (1, "0 look alike"),
        (3, "0, 1 and 2 look alike"),
        (5, "0, 1, 2, 3 and 4 look alike"),
        (9, "0, 1, 2, 3 and 5 more look alike"),
    ],
)
def test_many_places_are_shortened(count, text):
    assert str(Problem("near duplicate", tuple(map(str, range(count))), "look alike")) == text
