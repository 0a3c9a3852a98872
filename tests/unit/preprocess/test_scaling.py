"""Ranges of pixel values, and the mean and spread of a data set in one pass, by hand and against two passes."""

import pytest
import torch

from cvlab._check import InputError
from cvlab.preprocess import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    ChannelStats,
    denormalize,
    from_symmetric,
    normalize,
    to_symmetric,
)


def test_normalize_by_hand():
    images = torch.tensor([[[0.5]], [[1.0]]])  # (2, 1, 1)
    # (0.5 - 0.25) / 0.5 = 0.5 and (1 - 0.5) / 0.25 = 2
    assert normalize(images, [0.25, 0.5], [0.5, 0.25]).flatten().tolist() == [0.5, 2.0]
    assert denormalize(torch.tensor([[[0.5]], [[2.0]]]), [0.25, 0.5], [0.5, 0.25]).flatten().tolist() == [0.5, 1.0]


@pytest.mark.parametrize("shape", [(3, 4, 5), (2, 3, 4, 5), (2, 6, 3, 4, 5), (0, 3, 4, 5)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_normalize_keeps_shape_and_dtype(shape, dtype):
    images = torch.rand(shape, dtype=dtype)
    there = normalize(images, torch.tensor(IMAGENET_MEAN), IMAGENET_STD)
    assert (there.shape, there.dtype) == (images.shape, dtype)
    tolerance = 2e-2 if dtype == torch.bfloat16 else 1e-6
    torch.testing.assert_close(denormalize(there, IMAGENET_MEAN, IMAGENET_STD), images, atol=tolerance, rtol=0)


@pytest.mark.parametrize("function", [normalize, denormalize])
@pytest.mark.parametrize(
    ("images", "mean", "std", "message"),
    [
        (torch.zeros(1, 2, 2, dtype=torch.uint8), [0], [1], r"images must be float .*uint8: divide by 255 first"),
        (torch.zeros(1, 2, 2, dtype=torch.int64), [0], [1], r"images must be floating point, got torch.int64"),
        (torch.zeros(2, 2), [0], [1], r"images must have shape \(..., C, H, W\), got \(2, 2\)"),
        (torch.zeros(3, 2, 2), [0, 0], [1, 1, 1], r"mean must have shape \(3,\), one for each channel, got \(2,\)"),
        (torch.zeros(3, 2, 2), [0, 0, 0], 1.0, r"std must have shape \(3,\), one for each channel, got \(\)"),
        (torch.zeros(2, 2, 2), [0, 0], [1, 0], r"std must be above 0 in every channel, got \[1.0, 0.0\]"),
        (torch.zeros(1, 2, 2), [float("nan")], [1], r"mean\[0\] is not finite"),
    ],
)
def test_normalize_refuses(function, images, mean, std, message):
    with pytest.raises(InputError, match=f"^{function.__name__}: {message}"):
        function(images, mean, std)


def test_symmetric_by_hand():
    # 0 / 127.5 - 1 = -1, 51 / 127.5 - 1 = 0.4 - 1 = -0.6, 255 / 127.5 - 1 = 1
    levels = torch.tensor([0, 51, 255], dtype=torch.uint8)
    torch.testing.assert_close(to_symmetric(levels), torch.tensor([-1, -0.6, 1]))
    assert to_symmetric(torch.tensor([0.0, 0.25, 1.0])).tolist() == [-1, -0.5, 1]
    assert from_symmetric(torch.tensor([-1.0, -0.5, 1.0, 1.5])).tolist() == [0, 0.25, 1, 1.25]  # nothing is clamped


def test_symmetric_returns_every_grey_level():
    levels = torch.arange(256, dtype=torch.uint8)
    assert torch.equal((from_symmetric(to_symmetric(levels)) * 255).round().to(torch.uint8), levels)


def test_symmetric_refuses():
    with pytest.raises(InputError, match=r"to_symmetric: images\[1\] must lie in \[0, 1\], got 255"):
        to_symmetric(torch.tensor([0.0, 255.0]))
    with pytest.raises(InputError, match="to_symmetric: images must be float in .* got torch.int64"):
        to_symmetric(torch.tensor([0, 255]))
    with pytest.raises(InputError, match="from_symmetric: images must be floating point, got torch.uint8"):
        from_symmetric(torch.zeros(2, dtype=torch.uint8))


def two_passes(images):
    """The mean and the standard deviation of all pixels laid side by side, in float64."""
    pixels = torch.cat([image.double().flatten(1) for image in images], 1)  # (C, pixels)
    return pixels.mean(1), pixels.std(1, correction=0)


def test_statistics_by_hand():
    stats = ChannelStats()
    stats.update(torch.tensor([0, 255], dtype=torch.uint8).reshape(1, 1, 2))  # 0 and 1
    stats.update(torch.tensor([0.5, 0.5]).reshape(2, 1, 1, 1))
    # mean (0 + 1 + 0.5 + 0.5) / 4 = 0.5; squared deviations 0.25 + 0.25 + 0 + 0, divided by 4: 0.125
    assert (stats.count, stats.mean.tolist(), stats.std.tolist()) == (4, [0.5], [0.125**0.5])


def test_statistics_of_images_of_any_size():
    generator = torch.Generator().manual_seed(0)
    sizes = [(3, 5), (1, 1), (40, 7), (2, 9)]
    images = [torch.rand(3, *size, generator=generator, dtype=torch.float64) for size in sizes]
    stats = ChannelStats()
    for image in images:
        stats.update(image)
    mean, std = two_passes(images)
    assert stats.count == sum(height * width for height, width in sizes)
    torch.testing.assert_close(stats.mean, mean, atol=1e-12, rtol=0)
    torch.testing.assert_close(stats.std, std, atol=1e-12, rtol=0)


def test_a_large_offset_takes_no_digits():
    """Pixels near 1000 that differ by thousandths: squares near 1e6 in float32 have steps of 0.06."""
    generator = torch.Generator().manual_seed(0)
    images = (1000 + 0.01 * torch.rand(16, 1, 8, 8, generator=generator, dtype=torch.float64)).float()
    stats = ChannelStats()
    for batch in images.split(5):
        stats.update(batch)
    mean, std = two_passes(images)
    torch.testing.assert_close(stats.mean, mean, atol=1e-12, rtol=0)
    torch.testing.assert_close(stats.std, std, atol=1e-12, rtol=0)
    naive = float(images.square().mean() - images.mean().square())  # should be 0.0029^2 = 8e-6
    assert abs(naive - float(std) ** 2) > 0.5 * float(std) ** 2


def test_merging_is_seeing_all():
    images = torch.rand(9, 2, 4, 3, generator=torch.Generator().manual_seed(1))
    first, second, empty, whole = (ChannelStats() for _ in range(4))
    first.update(images[:2])
    second.update(images[2:])
    whole.update(images)
    before = second.mean
    empty.merge(ChannelStats())
    assert empty.count == 0
    empty.merge(first)
    empty.merge(second)
    empty.merge(ChannelStats())
    assert empty.count == whole.count
    torch.testing.assert_close(empty.mean, whole.mean, atol=1e-14, rtol=0)
    torch.testing.assert_close(empty.std, whole.std, atol=1e-14, rtol=0)
    empty.update(images)
    assert torch.equal(second.mean, before)  # what was merged stays as it is


def test_no_images_change_nothing():
    stats = ChannelStats()
    stats.update(torch.ones(1, 2, 2))
    stats.update(torch.zeros(0, 1, 2, 2))
    assert (stats.count, stats.mean.tolist(), stats.std.tolist()) == (4, [1.0], [0.0])


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.zeros(4, 2, 2), "expected 3 channels as before, got 4"),
        (torch.zeros(3, 0, 2), r"images must have at least one pixel, got shape \(3, 0, 2\)"),
        (torch.zeros(2, 2), r"images must have shape \(C, H, W\) or \(B, C, H, W\).* got \(2, 2\)"),
        (torch.zeros(0, 2, 2), r"images must have shape .* with C above 0, got \(0, 2, 2\)"),
        (torch.zeros(3, 2, 2, dtype=torch.int64), "images must be float or uint8, got torch.int64"),
        (torch.tensor([0.0, float("inf")]).expand(3, 1, 2), r"images\[0, 0, 1\] is not finite"),
    ],
)
def test_statistics_refuse(images, message):
    stats = ChannelStats()
    stats.update(torch.ones(3, 2, 2))
    with pytest.raises(InputError, match=f"ChannelStats.update: {message}"):
        stats.update(images)
    assert stats.count == 4


def test_merge_refuses_other_channels():
    one, three = ChannelStats(), ChannelStats()
    one.update(torch.ones(1, 2, 2))
    three.update(torch.ones(3, 2, 2))
    with pytest.raises(InputError, match="ChannelStats.merge: expected 3 channels as before, got 1"):
        three.merge(one)


@pytest.mark.parametrize("name", ["mean", "std"])
def test_no_statistics_of_nothing(name):
    with pytest.raises(InputError, match=f"ChannelStats.{name}: no image has been taken in yet"):
        getattr(ChannelStats(), name)
