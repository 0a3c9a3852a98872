"""Augmentation against torchvision and Pillow: what is meant to be equal agrees within one grey level."""

import math

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance
from torchvision import tv_tensors
from torchvision.transforms.v2 import functional as v2

from cvlab import augment
from cvlab.augment import Warp, affine, colour, seeded
from cvlab.data import photos

PHOTO = photos.load("chelsea", torch.uint8)  # (3, 300, 451)
SIZE = (300, 451)


def interior(warp, margin=2.0):
    """The pixels whose source lies well inside the old picture: at its edge, libraries blend with the fill."""
    x, y = warp.sources().unbind(-1)
    return (x > margin) & (x < warp.old[1] - margin) & (y > margin) & (y < warp.old[0] - margin)


@pytest.mark.parametrize("seed", range(6))
def test_affine_is_torchvisions(seed):
    r = torch.rand(5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).tolist()
    angle, shift, factor, shear = 90 * r[0] - 45, [40 * r[1] - 20, 40 * r[2] - 20], 1 + r[3], 40 * r[4] - 20
    # torchvision shears by -tan in x, after the turn
    a, s = math.radians(angle), math.radians(shear)
    linear = torch.eye(3, dtype=torch.float64)
    linear[:2, :2] = factor * torch.tensor(
        [
            [math.cos(a), -math.cos(a) * math.tan(s) - math.sin(a)],
            [math.sin(a), -math.sin(a) * math.tan(s) + math.cos(a)],
        ]
    )
    matrix = affine.translation(*shift) @ affine.about(linear, (451 / 2, 150))
    warp = Warp(matrix, SIZE, SIZE)
    theirs = v2.affine(PHOTO.float(), angle, shift, factor, [shear, 0.0], interpolation=v2.InterpolationMode.BILINEAR)
    difference = (warp.image(PHOTO).float() - theirs).abs()[:, interior(warp)]
    assert difference.max() <= 1.0


def test_a_turn_is_rotation_then_nothing_else():
    warp = Warp(affine.about(affine.rotation(25), (451 / 2, 150)), SIZE, SIZE)
    theirs = v2.rotate(PHOTO.float(), -25, interpolation=v2.InterpolationMode.BILINEAR)  # it turns the other way
    assert (warp.image(PHOTO).float() - theirs).abs()[:, interior(warp)].max() <= 1.0


@pytest.mark.parametrize("seed", range(4))
def test_perspective_is_torchvisions(seed):
    start = [[0, 0], [450, 0], [450, 299], [0, 299]]
    jitter = torch.randint(-40, 40, (4, 2), generator=torch.Generator().manual_seed(seed))
    end = (torch.tensor(start) + jitter).tolist()
    theirs = v2.perspective(PHOTO.float(), start, end, interpolation=v2.InterpolationMode.BILINEAR)
    # torchvision counts from the centre of the first pixel in its points, but not in its sampling
    matrix = affine.perspective(torch.tensor(start, dtype=torch.float64), torch.tensor(end, dtype=torch.float64))
    warp = Warp(matrix, SIZE, SIZE)
    if warp.shrinks() >= 0.75:
        assert (warp.image(PHOTO).float() - theirs).abs()[:, interior(warp)].max() <= 1.0


def test_crops_are_torchvisions_and_pillows():
    for box, size in (
        ((30, 20, 330, 220), (256, 256)),
        ((100, 50, 200, 150), (224, 160)),
        ((0, 0, 451, 300), (75, 90)),
    ):
        ours = Warp(affine.crop_to(box, size), SIZE, size).image(PHOTO).int()
        x1, y1, x2, y2 = box
        theirs = v2.resized_crop(PHOTO, y1, x1, y2 - y1, x2 - x1, list(size), antialias=True).int()
        assert (ours - theirs).abs().max() <= 1
        picture = (
            Image.fromarray(PHOTO.permute(1, 2, 0).numpy()).crop(box).resize(size[::-1], Image.Resampling.BILINEAR)
        )
        assert (ours - torch.from_numpy(np.array(picture)).permute(2, 0, 1).int()).abs().max() <= 1


def mild():
    """A photograph whose colours are not cut off by any step: between 60 and 190."""
    return (PHOTO.float() / 255 * 130 + 60).round().to(torch.uint8)


@pytest.mark.parametrize("factor", [0.7, 1.0, 1.3])
def test_colours_are_torchvisions_and_pillows(factor):
    image = mild()
    picture = Image.fromarray(image.permute(1, 2, 0).numpy())
    mean = (image.flatten(1).double().mean(1) * colour.LUMA).sum() / 255
    for ours, theirs, enhance in (
        (colour.brightness(factor), v2.adjust_brightness, ImageEnhance.Brightness),
        (colour.contrast(factor, float(mean)), v2.adjust_contrast, ImageEnhance.Contrast),
        (colour.saturation(factor), v2.adjust_saturation, ImageEnhance.Color),
    ):
        made = colour.apply(image, ours).int()
        assert (made - theirs(image, factor).int()).abs().max() <= 1
        pillow = torch.from_numpy(np.array(enhance(picture).enhance(factor))).permute(2, 0, 1).int()
        assert (made - pillow).abs().max() <= 1


def test_a_chain_of_colours_is_torchvisions():
    image = mild()
    mean = image.flatten(1).double().mean(1) / 255
    ours = colour.apply(image, colour.jitter(mean, 1.1, 0.9, 1.2)).int()
    floats = image.double() / 255
    theirs = v2.adjust_saturation(v2.adjust_contrast(v2.adjust_brightness(floats, 1.1), 0.9), 1.2)
    assert (ours - (theirs * 255).round().int()).abs().max() <= 1


def test_hue_agrees_with_hsv_at_thirds_of_a_turn_and_differs_in_between():
    """HSV turns on a hexagon, the matrix on a circle: equal at 1/3, off by some grey levels for small turns."""
    image = mild().double() / 255
    gap = {}
    for turns in (1 / 3, 0.02, 0.05, 0.1):
        ours = colour.apply(image, colour.hue(turns))
        theirs = v2.adjust_hue(image, turns)
        gap[turns] = float((ours - theirs).abs().mean()) * 255
    assert gap[1 / 3] < 0.01
    assert 0.02 < gap[0.02] < gap[0.05] < gap[0.1] < 10


def test_the_recipe_draws_the_crops_of_torchvision():
    """The same distribution: mean and spread of the area and of the ratio of a thousand crops."""
    from torchvision.transforms import v2 as transforms

    theirs = transforms.RandomResizedCrop((64, 64), (0.25, 1.0))
    ours = augment.ResizedCrop((64, 64), (0.25, 1.0))
    with seeded(0):
        params = [theirs.make_params([PHOTO]) for _ in range(1500)]
        boxes = torch.tensor([ours.box(SIZE) for _ in range(1500)]).float()
    heights = torch.tensor([[p["height"], p["width"]] for p in params]).float()
    width, height = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    for a, b in (
        (width * height / (300 * 451), heights.prod(1) / (300 * 451)),
        (width / height, heights[:, 1] / heights[:, 0]),
    ):
        assert a.mean().item() == pytest.approx(b.mean().item(), rel=0.03)
        assert a.std().item() == pytest.approx(b.std().item(), rel=0.08)


@pytest.mark.skipif(not hasattr(tv_tensors, "KeyPoints"), reason="this torchvision has no KeyPoints")
def test_torchvision_mirrors_points_as_pixel_indices():
    """Its boxes count from edges, its key points from pixel centres: x becomes W - x there, W - 1 - x here."""
    points = tv_tensors.KeyPoints([[[10.0, 5.0]]], canvas_size=(20, 40))
    boxes = tv_tensors.BoundingBoxes([[10.0, 5, 12, 7]], format="XYXY", canvas_size=(20, 40))
    target = {"boxes": boxes, "keypoints": points}
    _, ours = augment.Geometric([augment.Flip(1.0)])(torch.zeros(3, 20, 40), target)
    theirs = v2.horizontal_flip(points)
    assert ours["boxes"].tolist() == v2.horizontal_flip(boxes).tolist() == [[28, 5, 30, 7]]
    assert ours["keypoints"].tolist() == [[[30, 5]]]
    assert theirs.tolist() == [[[29, 5]]]
