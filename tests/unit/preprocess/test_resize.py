"""Resizing matrices by hand, what they do to types and shapes, zone plates and spectra."""

import math

import pytest
import torch

from cvlab._check import InputError
from cvlab.preprocess import resize, resize_weights, spectrum, zone_plate


def test_bilinear_upwards_by_hand():
    # New centres 0.25, 0.75, 1.25, 1.75 between the old 0.5 and 1.5; the first and last lie outside them.
    expected = [[1, 0], [0.75, 0.25], [0.25, 0.75], [0, 1]]
    assert resize_weights(2, 4, "bilinear").tolist() == expected
    assert resize_weights(2, 4, "bilinear", antialias=False).tolist() == expected


def test_bilinear_downwards_by_hand():
    # One new centre at 3 among 6; the tent reaches 6 pixels to either side: 1 - 2.5 / 6 = 7 / 12, 9 / 12, 11 / 12, ...
    expected = torch.tensor([[7, 9, 11, 11, 9, 7]], dtype=torch.float64) / 54
    torch.testing.assert_close(resize_weights(6, 1, "bilinear"), expected)
    assert resize_weights(6, 1, "bilinear", antialias=False).tolist() == [[0, 0, 0.5, 0.5, 0, 0]]


def test_bicubic_by_hand():
    # 4 to 1 without a stretch: the centre is 0.5 from two pixels and 1.5 from two. At a = -0.75 these weigh
    # 1.25 / 8 - 2.25 / 4 + 1 = 0.59375 and -0.75 (1.5^3 - 5 * 1.5^2 + 8 * 1.5 - 4) = -0.09375.
    weights = resize_weights(4, 1, "bicubic", antialias=False)
    assert weights.tolist() == [[-0.09375, 0.59375, 0.59375, -0.09375]]
    # Without a change of size the kernel sits on the pixels.
    assert torch.equal(resize_weights(5, 5, "bicubic"), torch.eye(5, dtype=torch.float64))
    # 2 to 3: the middle centre lies halfway, with both pixels 0.5 away, so each gets a half.
    torch.testing.assert_close(resize_weights(2, 3, "bicubic")[1], torch.tensor([0.5, 0.5], dtype=torch.float64))
    # 4 to 2, kernel at 1 stretched by 2: distances 0.25, 0.25, 0.75, 1.25 at a = -0.5 weigh 0.8671875, 0.8671875,
    # 0.2265625, -0.0703125; their sum is 1.890625.
    by_hand = torch.tensor([0.8671875, 0.8671875, 0.2265625, -0.0703125], dtype=torch.float64) / 1.890625
    torch.testing.assert_close(resize_weights(4, 2, "bicubic")[0], by_hand)


def test_nearest_by_hand():
    # Centres of 3 among 5: 5/6, 15/6, 25/6, in pixels 0, 2, 4.
    assert resize_weights(5, 3, "nearest").tolist() == [[1, 0, 0, 0, 0], [0, 0, 1, 0, 0], [0, 0, 0, 0, 1]]
    # Centres of 2 among 4: 1 and 3, each on an edge, belong to the later pixel.
    assert resize(torch.arange(4)[None], (1, 2), "nearest").tolist() == [[1, 3]]


@pytest.mark.parametrize("method", ["nearest", "bilinear", "bicubic"])
@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize(("n_in", "n_out"), [(1, 1), (1, 7), (7, 1), (2, 5), (37, 13), (13, 37), (200, 3)])
def test_rows_sum_to_one(method, antialias, n_in, n_out):
    weights = resize_weights(n_in, n_out, method, antialias)
    assert (weights.shape, weights.dtype) == ((n_out, n_in), torch.float64)
    torch.testing.assert_close(weights.sum(1), torch.ones(n_out, dtype=torch.float64), atol=1e-14, rtol=0)


@pytest.mark.parametrize("method", ["nearest", "bilinear", "bicubic"])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(9, 70), (3, 9, 70), (2, 3, 9, 70), (0, 3, 9, 70)])
def test_resize_is_two_products_and_keeps_dtype_and_dimensions(method, dtype, shape):
    image = torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(0)).to(dtype)
    resized = resize(image, (80, 33), method)
    assert (resized.shape, resized.dtype) == ((*shape[:-2], 80, 33), dtype)
    expected = resize_weights(9, 80, method) @ image.double() @ resize_weights(70, 33, method).T
    if dtype == torch.uint8:
        assert torch.equal(resized, expected.clamp(0, 255).round().to(torch.uint8))
    else:
        relative = {torch.float16: 1e-3, torch.bfloat16: 8e-3, torch.float32: 1e-5, torch.float64: 1e-12}[dtype]
        torch.testing.assert_close(resized.double(), expected, atol=256 * relative, rtol=0)


def test_uint8_is_rounded_and_cut_off():
    # Bicubic weights of a step overshoot by -0.07 of 255 below 0 and above 255: cut off, not wrapped around.
    step = torch.tensor([0, 0, 0, 255, 255, 255], dtype=torch.uint8)[None]
    assert resize(step.float(), (1, 17), "bicubic").max() > 256
    assert resize(step, (1, 17), "bicubic")[0, :6].max() < 128
    # 0 and 1 in the ratio 1 : 3 is 0.75, rounded to 1.
    assert resize(torch.tensor([[0, 1]], dtype=torch.uint8), (1, 4)).tolist() == [[0, 0, 1, 1]]


def test_masks_and_labels_are_taken_by_nearest_alone():
    mask = torch.tensor([[True, False], [False, True]])
    assert resize(mask, (4, 4), "nearest").tolist() == mask.repeat_interleave(2, 0).repeat_interleave(2, 1).tolist()
    labels = torch.tensor([[2**40 + 1, -1]])
    assert resize(labels, (1, 4), "nearest").tolist() == [[2**40 + 1] * 2 + [-1] * 2]
    for wrong in (mask, labels):
        with pytest.raises(InputError, match="resize: image must be float or uint8, got torch"):
            resize(wrong, (4, 4))


def test_gradients_flow():
    image = torch.rand(2, 5, 6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: resize(x, (3, 8), "bicubic"), image)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: resize_weights(0, 3), r"resize_weights: \(n_in, n_out\)\[0\] must be finite and above 0, got 0"),
        (lambda: resize_weights(3, 2.5), r"resize_weights: \(n_in, n_out\) must be whole numbers"),
        (lambda: resize_weights(3, 2, "lanczos"), "method must be one of nearest, bilinear, bicubic, got 'lanczos'"),
        (lambda: resize(torch.zeros(3, 3), (3, 3), "area"), "resize: method must be one of"),
        (lambda: resize(torch.zeros(3, 3), 3), "resize: size must be a sequence of numbers, got 3"),
        (lambda: resize(torch.zeros(3, 3), (3, 3, 3)), r"resize: size must be \(height, width\), got 3 numbers"),
        (lambda: resize(torch.zeros(3, 3), (3, 0)), r"resize: size\[1\] must be finite and above 0, got 0"),
        (lambda: resize(torch.zeros(3), (3, 3)), r"resize: image must have shape \(..., H, W\), got \(3,\)"),
        (lambda: resize(torch.zeros(3, 0, 4), (3, 3)), r"resize: image must have at least one pixel, got shape \(3, 0"),
        (lambda: zone_plate(0), r"zone_plate: size\[0\] must be finite and above 0, got 0"),
        (lambda: spectrum(torch.zeros(2, 4, 4)), r"spectrum: image must have shape \(C, H, W\) with C 1 or 3, got \(2"),
        (lambda: spectrum(torch.full((1, 2, 2), float("nan"))), r"spectrum: image\[0, 0, 0\] is not finite"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(InputError, match=message):
        call()


def test_zone_plate_reaches_the_finest_period_at_the_edge():
    plate = zone_plate(201)[0]
    assert plate.shape == (201, 201)
    assert plate[100, 100] == 1
    assert 0 <= plate.min() < 0.01
    # 60 pixels from the centre the phase is pi 60^2 / 201; a pixel on it has grown by pi (61^2 - 60^2) / 201.
    assert plate[100, 160].item() == pytest.approx((1 + math.cos(math.pi * 3600 / 201)) / 2, abs=1e-6)
    # Between the last two pixels of the middle row, 99 and 100 away, it grows by pi 199 / 201: nearly half a period.
    assert plate[100, 199] - plate[100, 200] == pytest.approx(
        (math.cos(math.pi * 99**2 / 201) - math.cos(math.pi * 100**2 / 201)) / 2, abs=1e-6
    )


def test_shrinking_a_zone_plate_without_a_filter_invents_rings():
    """Frequencies above half a period for each new pixel cannot be shown: filtered they are grey, unfiltered false."""
    plate = zone_plate(256)
    edge = (slice(None), slice(28, 36), slice(0, 12))  # frequencies from 0.3 a pixel, and so from 1.2 a new pixel
    assert resize(plate, (64, 64))[edge].std() < 0.02
    assert resize(plate, (64, 64), antialias=False)[edge].std() > 0.1
    assert resize(plate, (64, 64), "nearest")[edge].std() > 0.3


@pytest.mark.parametrize(("height", "width"), [(16, 16), (15, 21)])
def test_spectrum_finds_a_wave(height, width):
    # 3 periods across the width: two peaks 3 columns beside the mean, at (H // 2, W // 2).
    wave = torch.cos(2 * math.pi * 3 * torch.arange(width) / width).expand(1, height, width) * 0.5
    found = spectrum(wave)
    assert (found.shape, found.dtype) == ((1, height, width), torch.float32)
    peaks = (found[0] > 0.5).nonzero().tolist()
    assert peaks == [[height // 2, width // 2 - 3], [height // 2, width // 2 + 3]]
    assert found.max() == 1


def test_spectrum_is_that_of_grey_and_does_not_see_the_type():
    image = torch.randint(0, 256, (3, 6, 5), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    assert torch.allclose(spectrum(image), spectrum(image / 255), atol=1e-6)
    grey = (torch.tensor([0.299, 0.587, 0.114])[:, None, None] * image / 255).sum(0, keepdim=True)
    assert torch.allclose(spectrum(image), spectrum(grey), atol=1e-5)
    assert torch.equal(spectrum(torch.zeros(1, 4, 4)), torch.zeros(1, 4, 4))
