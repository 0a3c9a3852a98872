"""Carrying out maps: exact where nothing is interpolated, and pictures, masks, points and boxes all by one rule."""

import pytest
import torch

from cvlab import _check
from cvlab.augment import Elastic, Warp, affine, seeded
from cvlab.augment.targets import tight_boxes
from cvlab.data import StillLife

SIZE = (40, 60)


def noise(*shape, dtype=torch.float32, seed=0):
    made = torch.rand(*shape, generator=torch.Generator().manual_seed(seed))
    return (made * 255).to(dtype) if dtype == torch.uint8 else made.to(dtype)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.float64])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_flips_are_exact_and_their_own_inverses(dtype, channels):
    image = noise(channels, *SIZE, dtype=dtype)
    for matrix, axis in ((affine.horizontal_flip(60), -1), (affine.vertical_flip(40), -2)):
        flip = Warp(matrix, SIZE, SIZE)
        once = flip.image(image)
        assert torch.equal(once, image.flip(axis))
        assert torch.equal(flip.image(once), image)
        masks = noise(2, *SIZE) > 0.5
        assert torch.equal(flip.masks(masks), masks.flip(axis))
        boxes = torch.tensor([[3.0, 5, 20, 30]])
        assert torch.equal(flip.boxes(flip.boxes(boxes)), boxes)


def test_a_whole_shift_is_exact_and_fills_the_rest():
    image = noise(3, *SIZE, dtype=torch.uint8)
    made = Warp(affine.translation(7, -4), SIZE, SIZE).image(image, fill=(0.0, 0.5, 1.0))
    assert torch.equal(made[:, :-4, 7:], image[:, 4:, :-7])
    assert made[:, 0, 0].tolist() == [0, 128, 255]
    assert made[:, -1, -1].tolist() == [0, 128, 255]


def test_a_quarter_turn_agrees_with_rot90():
    image = noise(3, 32, 32)
    turn = Warp(affine.about(affine.rotation(90), (16, 16)), (32, 32), (32, 32))
    torch.testing.assert_close(turn.image(image), image.rot90(-1, (1, 2)), atol=1e-4, rtol=0)
    masks = noise(3, 32, 32, seed=1) > 0.5
    assert torch.equal(turn.masks(masks), masks.rot90(-1, (1, 2)))


def test_everything_outside_is_filled():
    away = Warp(affine.translation(1000, 0), SIZE, SIZE)
    assert bool((away.image(noise(3, *SIZE), fill=0.25) == 0.25).all())
    assert not away.masks(torch.ones(2, *SIZE, dtype=torch.bool)).any()


def test_shrinking_does_not_alias():
    # stripes of one pixel: shrunk to a third they must become grey, not new stripes
    stripes = (torch.arange(96) % 2).float().expand(1, 96, 96)
    for degrees in (0.0, 2.0):
        matrix = affine.scaling(1 / 3, 1 / 3) @ affine.about(affine.rotation(degrees), (48, 48))
        made = Warp(matrix, (96, 96), (32, 32)).image(stripes)[0, 4:-4, 4:-4]
        assert made.std() < 0.08  # a triangle filter leaves 0.056; without antialiasing it is 0.5
        assert made.mean().item() == pytest.approx(0.5, abs=0.02)


def random_map(seed):
    """A map with everything in it, and its bending field."""
    g = torch.Generator().manual_seed(seed)
    r = (torch.rand(12, generator=g) * 2 - 1).tolist()
    h, w = 128, 128
    corners = torch.tensor([[0.0, 0], [w, 0], [w, h], [0, h]], dtype=torch.float64)
    matrix = affine.about(affine.rotation(40 * r[0]) @ affine.shearing(15 * r[1]) @ affine.scaling(0.9, 1.1), (64, 64))
    jitter = torch.rand(4, 2, generator=g, dtype=torch.float64) * 20
    matrix = affine.perspective(corners, corners + jitter) @ matrix @ affine.translation(8 * r[2], 8 * r[3])
    with seeded(seed):
        field = Elastic(2.0, 10.0, p=1.0).draw_field((h, w)) if seed % 2 else None
    return Warp(matrix, (h, w), (h, w), field)


@pytest.mark.parametrize("seed", range(8))
def test_points_go_where_pixels_come_from(seed):
    warp = random_map(seed)
    y, x = torch.meshgrid(torch.arange(128) + 0.5, torch.arange(128) + 0.5, indexing="ij")
    torch.testing.assert_close(warp.points(warp.sources()), torch.stack([x, y], -1), atol=2e-3, rtol=0)


@pytest.mark.parametrize("seed", range(8))
def test_box_of_a_warped_mask_lies_in_the_warped_box(seed):
    """The mask of a filled box, warped, has the warped box as its own, to a pixel; an object's mask lies inside it."""
    warp = random_map(seed)
    box = torch.tensor([[40.0, 50, 80, 90]])
    mask = torch.zeros(1, 128, 128, dtype=torch.bool)
    mask[0, 50:90, 40:80] = True
    assert (tight_boxes(warp.masks(mask)) - warp.boxes(box)).abs().max() <= 1.01
    masks = StillLife(128, "test")[seed][1]["masks"].as_subclass(torch.Tensor)
    moved, outer = tight_boxes(warp.masks(masks)), warp.boxes(tight_boxes(masks))
    some = warp.masks(masks).flatten(1).any(1)
    assert (moved[some, :2] >= outer[some, :2] - 1).all()
    assert (moved[some, 2:] <= outer[some, 2:] + 1).all()


def test_label_maps_keep_their_values():
    labels = torch.randint(0, 2**40, (50, 50), generator=torch.Generator().manual_seed(0))
    warp = Warp(affine.about(affine.rotation(30), (25, 25)), (50, 50), (50, 50))
    assert set(warp.masks(labels).unique().tolist()) <= {0, *labels.flatten().tolist()}


def test_elastic_has_the_strength_it_says():
    with seeded(0):
        field = Elastic(2.0, 8.0, p=1.0).draw_field((400, 400))
    assert field.std().item() == pytest.approx(2.0, rel=0.1)
    assert field.mean().abs() < 0.5


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda w: w.image(torch.zeros(3, 4, 4)),
            r"Warp.image: image must have shape \(..., 40, 60\), got \(3, 4, 4\)",
        ),
        (lambda w: w.image(torch.zeros(3, 40, 60, dtype=torch.int32)), "must be float or uint8, got torch.int32"),
        (lambda w: w.image(torch.zeros(3, 40, 60), fill=(0.1, 0.2)), "one for each of 3 channels"),
        (lambda w: w.image(torch.zeros(3, 40, 60), fill=114), r"fill\[0\] must lie in \[0, 1\], got 114"),
        (lambda w: w.masks(torch.zeros(2, 4, 4)), r"Warp.masks: masks must have shape"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(_check.InputError, match=message):
        call(Warp(affine.translation(0.5, 0), SIZE, SIZE))
