"""What goes with a picture through steps and mixers: label maps of any name, rows of any name, and only in pairs."""

from collections import UserDict

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import tv_tensors

from cvlab import _check
from cvlab.augment import Flip, Geometric, Warp, affine, copy_paste, cutmix, cutout, mixup, mosaic, seeded
from cvlab.augment.mixing import region
from cvlab.augment.targets import row_entries, rows, tight_boxes

SIZE = (16, 24)


def plain(value):
    return value.as_subclass(torch.Tensor)


def item(value=0, dtype=torch.uint8, **entries):
    """A picture of one value with one object in the upper left and one in the lower right quarter."""
    masks = torch.stack([region(SIZE, (0, 0, 12, 8)), region(SIZE, (12, 8, 24, 16))])
    boxes = torch.tensor([[0.0, 0, 12, 8], [12, 8, 24, 16]])
    return torch.full((3, *SIZE), value, dtype=dtype), {
        "boxes": boxes,
        "masks": masks,
        "labels": torch.tensor([1, 2]),
    } | entries


def depth(value):
    return tv_tensors.Mask(torch.full(SIZE, value))


def test_rows_are_told_from_label_maps_and_from_what_is_of_the_whole_picture():
    target = item(names=["a", "b"], iscrowd=torch.tensor([0, 1]), crops=torch.zeros(2, 3, 3))[1]
    target |= {"depth": tv_tensors.Mask(torch.zeros(2, 2)), "image_id": torch.tensor([7, 8]), "caption": "ab"}
    assert row_entries(target) == ["boxes", "masks", "labels", "names", "iscrowd", "crops"]
    kept = rows(target, torch.tensor([False, True]))
    assert kept["names"] == ["b"]
    assert kept["iscrowd"].tolist() == [1]
    assert kept["image_id"].tolist() == [7, 8]
    assert rows(target, torch.tensor([1, 0, 1]))["names"] == ["b", "a", "b"]


def test_masks_may_come_from_pillow():
    """In its arrays of booleans the byte of a True is 255; in torch's it is 1; both may be in one mask."""
    mask = Image.new("1", (24, 16))
    mask.paste(1, (3, 4, 20, 9))
    given = torch.from_numpy(np.array(mask))
    given[2, 5] = True
    assert set(given.view(torch.uint8).unique().tolist()) == {0, 1, 255}
    assert tight_boxes(given[None]).tolist() == [[3, 2, 20, 9]]
    target = {"boxes": tight_boxes(given[None]), "masks": given[None], "visibility": torch.ones(1)}
    _, found = Geometric([Flip(1.0)])(torch.zeros(3, *SIZE), target)
    assert plain(found["boxes"]).tolist() == [[4, 2, 21, 9]]
    assert found["visibility"].tolist() == [1]


def test_a_label_map_of_any_name_stays_one():
    ramp = tv_tensors.Mask(torch.arange(16 * 24).reshape(SIZE))
    image, target = item(depth=ramp)
    once = Geometric([Flip(1.0)])(image, target)
    assert isinstance(once[1]["depth"], tv_tensors.Mask)
    assert torch.equal(plain(once[1]["depth"]), plain(ramp).flip(-1))
    assert torch.equal(plain(Geometric([Flip(1.0)])(*once)[1]["depth"]), plain(ramp))


def test_every_label_map_shows_what_the_picture_shows():
    """Depth 7 goes with the grey value 0, and depth 9 with the grey value 200, in all mixtures."""
    first, second = item(0, depth=depth(7)), item(200, depth=depth(9))
    for seed in range(5):
        with seeded(seed):
            mixed = [cutmix(first, second), copy_paste(first, second), mosaic([first, second] * 2, (20, 30))]
        for image, target in mixed:
            expected = torch.where(plain(image)[0] == 200, 9, 7)
            assert torch.equal(plain(target["depth"]), expected)
            assert isinstance(target["depth"], tv_tensors.Mask)
    for ratio, value in ((0.3, 9), (0.7, 7)):
        assert bool((plain(mixup(first, second, ratio=ratio)[1]["depth"]) == value).all())


def test_a_mosaic_keeps_what_is_to_be_ignored():
    whole = item(10, semantic=torch.full(SIZE, -1))
    assert bool((plain(mosaic([whole] * 4, (20, 30))[1]["semantic"]) == -1).all())


@pytest.mark.parametrize("entry", ["weights", "iscrowd", "semantic", "depth"])
@pytest.mark.parametrize("mix", [mixup, cutmix, copy_paste])
def test_what_only_one_of_two_has_is_refused(mix, entry):
    more = {"semantic": torch.zeros(SIZE).long(), "depth": depth(1)}.get(entry, torch.ones(2))
    if (mix, entry) == (mixup, "weights"):
        assert len(mixup(item(weights=more), item())[1]["weights"]) == 4  # those who have none have the weight 1
        return
    for pair in ((item(**{entry: more}), item()), (item(), item(**{entry: more}))):
        with pytest.raises(_check.InputError, match=f"join: both targets must have '{entry}', or none"):
            mix(*pair)


def test_objects_of_which_only_points_are_known_are_covered_too():
    points = torch.tensor([[[2.0, 2.0]], [[20.0, 12.0]], [[8.0, 5.0]]])
    target = {"keypoints": points, "keypoints_visible": torch.ones(3, 1).bool(), "visibility": torch.ones(3)}
    with seeded(2):
        image, found = cutout(torch.zeros(3, *SIZE), target, share=0.4, fill=1.0)
    covered = plain(image)[0] == 1
    assert found["visibility"].tolist() == [1, 1, 1]
    assert found["keypoints_visible"].flatten().tolist() == [not covered[int(y), int(x)] for x, y in points[:, 0]]
    assert not found["keypoints_visible"].all()


def test_a_target_may_be_any_mapping():
    image, target = item()
    _, found = cutout(image, UserDict(target), share=1.0, min_visibility=1.0)
    assert len(found["boxes"]) < 2


@pytest.mark.parametrize(
    ("items", "size", "message"),
    [
        ([item(), item(), item(dtype=torch.float32), item()], (8, 8), "got 3 of torch.uint8 and, in item 2, 3 of"),
        ([item()] * 3 + [(torch.zeros(1, *SIZE).byte(), item()[1])], (8, 8), "3 of torch.uint8 and, in item 3, 1 of"),
        ([item()] * 4, (1, 8), r"size must be at least 2 pixels either way, got \(1, 8\)"),
    ],
)
def test_a_mosaic_of_unlike_pictures_is_refused(items, size, message):
    with pytest.raises(_check.InputError, match=f"mosaic: .*{message}"):
        mosaic(items, size)


def test_a_matrix_means_the_same_whatever_its_factor():
    image = torch.rand(3, *SIZE, generator=torch.Generator().manual_seed(0))
    for matrix in (affine.identity(), affine.horizontal_flip(24), affine.translation(3, -2)):
        plainly, doubled = Warp(matrix, SIZE, SIZE), Warp(2 * matrix, SIZE, SIZE)
        assert torch.equal(plainly.image(image), doubled.image(image))
        assert torch.equal(plainly.masks(image[0] > 0.5), doubled.masks(image[0] > 0.5))


def test_the_result_is_never_the_picture_itself():
    with torch.inference_mode():
        image = torch.zeros(3, *SIZE)
        Warp(affine.identity(), SIZE, SIZE).image(image).fill_(1)
        assert not image.any()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("degrees", [0, 20])
def test_half_precision_is_as_good_as_its_type(dtype, degrees):
    image = torch.rand(3, *SIZE, generator=torch.Generator().manual_seed(0)).to(dtype)
    matrix = affine.scaling(0.5, 0.5) @ affine.about(affine.rotation(degrees), (12, 8))
    warp = Warp(matrix, SIZE, (8, 12))
    made = warp.image(image)
    assert made.dtype == dtype
    assert torch.equal(made, warp.image(image.float()).to(dtype))
