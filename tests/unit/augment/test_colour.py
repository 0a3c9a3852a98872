"""Colour as affine maps: by hand; hue and the chain against torchvision in tests/parity."""

import pytest
import torch

from cvlab import _check
from cvlab.augment import ColourJitter, colour, seeded

RED = torch.tensor([1.0, 0.0, 0.0]).reshape(3, 1, 1)


def changed(image, colour_map):
    return colour.apply(image, colour_map).flatten().tolist()


def test_each_map_by_hand():
    assert changed(RED * 0.4, colour.brightness(1.5)) == pytest.approx([0.6, 0, 0])
    # contrast 0.5 about a mean of 0.2: halfway to 0.2
    assert changed(RED, colour.contrast(0.5, 0.2)) == pytest.approx([0.6, 0.1, 0.1])
    # the grey of red is 0.2989
    assert changed(RED, colour.saturation(0)) == pytest.approx([0.2989] * 3)
    assert changed(RED, colour.saturation(0.5)) == pytest.approx([0.64945, 0.14945, 0.14945])
    assert changed(RED, colour.hue(2 / 3)) == pytest.approx([0, 0, 1], abs=1e-6)


def test_hue_keeps_grey_and_the_sum_of_channels():
    turn = colour.hue(0.17)
    grey = torch.full((3, 1, 1), 0.4)
    torch.testing.assert_close(colour.apply(grey, turn), grey)
    some = torch.tensor([0.5, 0.4, 0.3]).reshape(3, 1, 1)
    assert colour.apply(some, turn).sum().item() == pytest.approx(1.2, abs=1e-6)
    torch.testing.assert_close(colour.compose(turn, colour.hue(-0.17))[:, :3], torch.eye(3, dtype=torch.float64))


def test_compose_does_the_first_map_first():
    first, second = colour.brightness(0.5), colour.contrast(0.2, 0.9)
    image = torch.rand(3, 4, 5, generator=torch.Generator().manual_seed(0))
    both = colour.apply(image, colour.compose(first, second))
    torch.testing.assert_close(both, colour.apply(colour.apply(image, first), second))


def test_contrast_in_jitter_uses_the_mean_after_brightness():
    image = torch.rand(3, 16, 16, generator=torch.Generator().manual_seed(1)) * 0.4
    made = colour.apply(image, colour.jitter(image.flatten(1).mean(1), 1.5, 0.5))
    bright = image * 1.5
    mean = (bright * colour.LUMA.float()[:, None, None]).sum(0).mean()
    torch.testing.assert_close(made, 0.5 * bright + 0.5 * mean)


def test_uint8_is_rounded_and_cut_off():
    image = torch.tensor([100, 200, 255], dtype=torch.uint8).reshape(3, 1, 1)
    assert changed(image, colour.brightness(1.25)) == [125, 250, 255]


@pytest.mark.parametrize("shape", [(3, 8, 8), (1, 8, 8)])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_jitter_keeps_shape_type_and_target(shape, dtype):
    image = (torch.rand(shape) * (255 if dtype == torch.uint8 else 1)).to(dtype)
    target = {"labels": torch.tensor([1])}
    made, same = ColourJitter(0.5, 0.5, 0.5, 0.1)(image, target)
    assert made.shape == shape
    assert made.dtype == dtype
    assert same is target


def test_jitter_of_nothing_changes_nothing_and_seeds_decide():
    image = torch.rand(3, 6, 6)
    torch.testing.assert_close(ColourJitter(0, 0, 0, 0)(image).as_subclass(torch.Tensor), image)
    jitter = ColourJitter(0.5, 0.5, 0.5, 0.1)
    with seeded(1):
        a = jitter(image)
    with seeded(1):
        b = jitter(image)
    with seeded(2):
        c = jitter(image)
    assert torch.equal(a, b)
    assert not torch.equal(a, c)
    assert torch.equal(ColourJitter(0.5, p=0.0)(image), image)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: colour.brightness(-0.1), r"brightness: factor\[0\] must be finite and at least 0"),
        (lambda: colour.contrast(1, float("inf")), "contrast: mean must be a finite number"),
        (lambda: colour.hue(float("nan")), "hue: turns must be a finite number"),
        (lambda: colour.jitter(torch.zeros(2)), r"mean_rgb must have shape \(3,\), got \(2,\)"),
        (
            lambda: colour.apply(torch.zeros(1, 2, 2), colour.hue(0)),
            r"image must have shape \(3, H, W\), got \(1, 2, 2\)",
        ),
        (
            lambda: colour.apply(torch.zeros(3, 2, 2), torch.eye(3)),
            r"colour_map must have shape \(3, 4\), got \(3, 3\)",
        ),
        (
            lambda: colour.apply(torch.zeros(3, 2, 2, dtype=torch.int32), colour.hue(0)),
            "must be float or uint8, got torch.int32",
        ),
        (lambda: ColourJitter(hue=0.6), "hue must be at most 0.5 turns, got 0.6"),
        (lambda: ColourJitter(brightness=-1), r"ColourJitter: amounts\[0\]"),
        (lambda: ColourJitter()(torch.zeros(4, 2, 2)), "image must have 1 or 3 channels, got 4"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(_check.InputError, match=message):
        call()
