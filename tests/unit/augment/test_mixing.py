"""CutOut, MixUp, CutMix, Mosaic and copy-paste: what is seen, and only that, is in the target."""

import pytest
import torch

from cvlab import _check, augment
from cvlab.augment import copy_paste, cutmix, cutout, mixup, mosaic, seeded
from cvlab.augment.mixing import hide, rectangle, region
from cvlab.augment.targets import checked, tight_boxes
from cvlab.data import StillLife

SCENES = StillLife(96, "test", length=60, count=(2, 5))


def plain(value):
    return value.as_subclass(torch.Tensor)


def consistent(image, target):
    """Masks, boxes, label map and rows say the same."""
    masks = plain(target["masks"])
    assert torch.equal(plain(target["boxes"]), tight_boxes(masks))
    assert masks.flatten(1).any(1).all()
    assert (masks.sum(0) <= 1).all()  # no pixel has two owners
    assert masks.shape[1:] == image.shape[1:] == target["semantic"].shape
    for mask, label in zip(masks, target["labels"], strict=True):
        assert (plain(target["semantic"])[mask] == label).all()
    assert {len(target[name]) for name in ("boxes", "labels", "masks", "keypoints", "visibility")} == {len(masks)}


MIXERS = {
    "cutout": lambda i: cutout(*SCENES[i], share=0.3),
    "cutmix": lambda i: cutmix(SCENES[i], SCENES[i + 1]),
    "mosaic": lambda i: mosaic([SCENES[i + k] for k in range(4)], (80, 112)),
    "copy_paste": lambda i: copy_paste(SCENES[i], SCENES[i + 1]),
}


@pytest.mark.parametrize("name", MIXERS)
def test_the_target_is_what_is_seen(name):
    for i in range(12):
        with seeded(i):
            image, target = MIXERS[name](i)
        if name == "cutout":  # the label map still has what a covered fruit was
            target["semantic"] = plain(target["semantic"])
        consistent(image, target)


@pytest.mark.parametrize("name", MIXERS)
def test_the_same_seed_gives_the_same_picture(name):
    made = []
    for seed in (3, 3, 4):
        with seeded(seed):
            made.append(MIXERS[name](2)[0])
    assert torch.equal(made[0], made[1])
    assert not torch.equal(made[0], made[2])


def test_hidden_objects_go_by_the_visibility_rule():
    masks = torch.zeros(2, 10, 20, dtype=torch.bool)
    masks[0, 2:8, 0:10] = True  # 60 pixels, of which columns 4 to 9 are hidden: 24 are left, 40 %
    masks[1, 2:8, 10:20] = True  # nothing hidden
    target = {"boxes": tight_boxes(masks), "masks": masks, "labels": torch.tensor([1, 2])}
    hidden = region((10, 20), (4, 0, 10, 10))
    found = hide(target, hidden, 0.4)
    assert found["labels"].tolist() == [1, 2]
    assert found["boxes"].tolist() == [[0, 2, 4, 8], [10, 2, 20, 8]]
    assert hide(target, hidden, 0.41)["labels"].tolist() == [2]
    # without masks a box is a filled rectangle; one of which nothing is hidden stays to the last digit
    boxes = {"boxes": torch.tensor([[0.0, 2, 10, 8], [10.3, 2.1, 19.9, 8]]), "labels": torch.tensor([1, 2])}
    assert hide(boxes, hidden, 0.4)["boxes"].tolist() == [[0, 2, 4, 8], boxes["boxes"][1].tolist()]
    # a hole in the middle leaves the box as it is
    middle = hide(boxes, region((10, 20), (3, 4, 6, 6)), 0.4)
    assert middle["boxes"][0].tolist() == [0, 2, 10, 8]


def test_mixup_blends_and_weighs():
    (a, target_a), (b, target_b) = SCENES[0], SCENES[1]
    image, target = mixup((a, target_a), (b, target_b), ratio=0.25)
    torch.testing.assert_close(plain(image), plain(0.25 * a + 0.75 * b))
    n, m = len(target_a["boxes"]), len(target_b["boxes"])
    assert target["weights"].tolist() == [0.25] * n + [0.75] * m
    assert torch.equal(plain(target["boxes"]), torch.cat([plain(target_a["boxes"]), plain(target_b["boxes"])]))
    assert torch.equal(plain(target["semantic"]), plain(target_b["semantic"]))
    again = mixup((image, target), (a, target_a), ratio=0.5)[1]
    assert again["weights"].tolist() == [0.125] * n + [0.375] * m + [0.5] * n
    whole = mixup(*(((x * 255).to(torch.uint8), t) for x, t in (SCENES[0], SCENES[1])), ratio=1.0)[0]
    assert torch.equal(plain(whole), plain((a * 255).to(torch.uint8)))


def test_cutmix_shows_each_picture_where_it_says():
    (a, target_a), (b, target_b) = SCENES[4], SCENES[5]
    with seeded(8):
        image, _ = cutmix((a, target_a), (b, target_b), share=0.3)
    with seeded(8):
        inside = region((96, 96), rectangle((96, 96), 0.3))
    assert torch.equal(plain(image)[:, inside], plain(b)[:, inside])
    assert torch.equal(plain(image)[:, ~inside], plain(a)[:, ~inside])
    assert 0 < inside.float().mean() <= 0.31


def test_copy_paste_lays_the_chosen_objects_over_the_first_picture():
    (a, target_a), (b, target_b) = SCENES[6], SCENES[7]
    image, target = copy_paste((a, target_a), (b, target_b), objects=[1])
    over = plain(target_b["masks"])[1]
    assert torch.equal(plain(image)[:, over], plain(b)[:, over])
    assert torch.equal(plain(image)[:, ~over], plain(a)[:, ~over])
    assert torch.equal(plain(target["masks"])[-1], over)
    nothing = copy_paste((a, target_a), (b, target_b), objects=[])
    assert torch.equal(plain(nothing[0]), plain(a))
    assert torch.equal(plain(nothing[1]["boxes"]), plain(target_a["boxes"]))


def test_pictures_without_objects():
    empty = {
        "boxes": torch.zeros(0, 4),
        "masks": torch.zeros(0, 96, 96).bool(),
        "labels": torch.zeros(0, dtype=torch.int64),
    }
    target = {name: SCENES[0][1][name] for name in empty}
    bare = (torch.zeros(3, 96, 96), empty)
    full = (SCENES[0][0], target)
    for made in (
        copy_paste(bare, full, p=1.0),
        cutmix(bare, full),
        mixup(full, bare),
        mosaic([bare] * 4, (40, 40)),
        cutout(*bare),
    ):
        assert made[0].dim() == 3
        assert made[1]["boxes"].shape[1] == 4


def test_cutout_of_a_labelled_picture():
    image = torch.rand(3, 20, 20)
    made, label = cutout(image, 7, share=1.0, fill=0.5)
    assert label == 7
    assert (plain(made) == 0.5).float().mean() >= 0.2
    assert torch.equal(plain(cutout(image, share=0.0)), image)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda a, b: cutout(a[0], share=2), r"cutout: share must lie in \[0, 1\], got 2"),
        (lambda a, b: mixup(a, (b[0][:, :50], {})), "mixup: both images must have one shape and type"),
        (lambda a, b: mixup(a, b, alpha=0), r"mixup: alpha\[0\] must be"),
        (lambda a, b: mixup(a, b, ratio=-0.1), "mixup: ratio must lie in"),
        (lambda a, b: mixup(a, (b[0], {"boxes": b[1]["boxes"]})), "join: both targets must have 'masks', or none"),
        (lambda a, b: cutmix(a, b, share=1.1), "cutmix: share must lie in"),
        (lambda a, b: mosaic([a, b], (8, 8)), "mosaic: items must be four pairs .* got 2"),
        (lambda a, b: mosaic([a] * 4, (8, 0)), r"mosaic: size\[1\] must be"),
        (lambda a, b: mosaic([a] * 4, (8, 8), centre=(0.6, 0.4)), "centre must be"),
        (
            lambda a, b: mosaic([a, a, (a[0], {"boxes": torch.tensor([[3.0, 0, 1, 1]])}), a], (8, 8)),
            r"mosaic: item 2: boxes\[0\]",
        ),
        (lambda a, b: copy_paste(a, (b[0], {"boxes": b[1]["boxes"]})), "the second target must have masks"),
        (lambda a, b: copy_paste(a, b, objects=[99]), "objects must be from 0 to"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(_check.InputError, match=message):
        call(SCENES[0], SCENES[1])


def test_targets_are_not_changed():
    image, target = SCENES[0]
    before = checked(target, (96, 96), "test")
    with augment.seeded(0):
        mixup((image, target), SCENES[1])
        cutout(image, target, share=0.4)
    assert "weights" not in target
    assert torch.equal(plain(target["masks"]), before["masks"])
