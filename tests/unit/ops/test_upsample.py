"""The bilinear kernel, counts of overlap, pixel shuffle and unpooling."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from cvlab import ops


@pytest.mark.parametrize("stride", [1, 2, 3, 4, 5, 8])
def test_interpolates_inside_and_fades_at_the_border(stride):
    x = torch.rand(1, 3, 7, 6, dtype=torch.float64) + 1
    kernel = 2 * stride - stride % 2
    weight = ops.bilinear_kernel(3, kernel, dtype=torch.float64)
    out = ops.trans_conv(x, weight, stride=stride, padding=(kernel - stride) // 2)
    expected = functional.interpolate(x, scale_factor=stride, mode="bilinear", align_corners=False)
    assert out.shape == expected.shape
    rim = stride // 2
    inner = (..., slice(rim, out.shape[2] - rim), slice(rim, out.shape[3] - rim))
    torch.testing.assert_close(out[inner], expected[inner])
    if stride > 1:
        assert bool((out[..., 0, :] < 0.99 * expected[..., 0, :]).all())


def test_the_exact_share_that_is_left_at_the_border():
    """Factor 8: the first middle is 3.5 of 8 pixels from its only tent, so 9/16 is left; in a corner its square."""
    ones = torch.ones(1, 1, 4, 4, dtype=torch.float64)
    out = ops.trans_conv(ones, ops.bilinear_kernel(1, 16, dtype=torch.float64), stride=8, padding=4)[0, 0]
    assert out[0, 16].item() == pytest.approx(9 / 16)
    assert out[0, 0].item() == pytest.approx((9 / 16) ** 2)
    assert torch.allclose(out[4:-4, 4:-4], torch.ones(24, 24, dtype=torch.float64))


def test_only_the_diagonal_is_filled():
    weight = ops.bilinear_kernel(4, 6)
    assert torch.equal(weight.flatten(2).any(2), torch.eye(4, dtype=torch.bool))
    x = torch.rand(1, 4, 5, 5)
    alone = ops.trans_conv(x[:, 2:3], ops.bilinear_kernel(1, 6), stride=3)
    torch.testing.assert_close(ops.trans_conv(x, weight, stride=3)[:, 2:3], alone)


def test_depthwise_kernel_is_the_diagonal():
    x = torch.rand(2, 3, 4, 4)
    full = ops.trans_conv(x, ops.bilinear_kernel(3, 4), stride=2, padding=1)
    weight = ops.bilinear_kernel(3, 4, depthwise=True)
    assert weight.shape == (3, 1, 4, 4)
    torch.testing.assert_close(ops.trans_conv(x, weight, stride=2, padding=1, groups=3), full)


@pytest.mark.parametrize(("channels", "size"), [(0, 4), (3, 0), (3, 2.0)])
def test_kernels_that_are_none(channels, size):
    with pytest.raises(ValueError, match="must be a whole number of at least 1"):
        ops.bilinear_kernel(channels, size)


# --- overlap ---


@pytest.mark.parametrize("kernel", range(1, 8))
@pytest.mark.parametrize("stride", range(1, 5))
@pytest.mark.parametrize("padding", [0, 1])
def test_counts_are_those_of_a_kernel_of_ones(kernel, stride, padding):
    if padding * 2 >= 5 * stride + kernel:
        pytest.skip("nothing is left")
    expected = ops.trans_conv(torch.ones(1, 1, 1, 6), torch.ones(1, 1, 1, kernel), stride=stride, padding=(0, padding))
    assert torch.equal(ops.overlap_counts(6, kernel, stride, padding).float(), expected[0, 0, 0])


@pytest.mark.parametrize("kernel", range(1, 9))
@pytest.mark.parametrize("stride", range(1, 5))
def test_even_if_and_only_if_the_stride_divides_the_kernel(kernel, stride):
    inside = ops.overlap_counts(20, kernel, stride)[kernel : -kernel or None]
    assert (len(inside.unique()) == 1) == (kernel % stride == 0)


def test_spectrum_peaks_where_the_stripes_are():
    stripes = (torch.arange(48) % 3 == 0).float().repeat(48, 1)  # every third column
    peaks = {divmod(int(i), 48) for i in ops.spectrum(stripes).flatten().topk(2).indices}
    assert peaks == {(24, 24 - 16), (24, 24 + 16)}
    assert ops.spectrum(torch.full((8, 8), 0.5)).max() == 0
    with pytest.raises(ValueError, match=r"spectrum: picture must have shape \(H, W\), got \(1, 4, 4\)"):
        ops.spectrum(torch.zeros(1, 4, 4))


# --- pixel shuffle ---


@pytest.mark.parametrize("factor", [1, 2, 3])
def test_pixel_shuffle_is_that_of_pytorch_and_has_an_inverse(factor):
    x = torch.rand(2, 5 * factor**2, 3, 4)
    out = ops.pixel_shuffle(x, factor)
    assert torch.equal(out, functional.pixel_shuffle(x, factor))
    assert torch.equal(ops.pixel_unshuffle(out, factor), x)
    assert torch.equal(ops.pixel_unshuffle(out, factor), functional.pixel_unshuffle(out, factor))


def test_shuffles_that_do_not_fit():
    with pytest.raises(ValueError, match="pixel_shuffle: factor must be a whole number whose square divides 6, got 2"):
        ops.pixel_shuffle(torch.zeros(1, 6, 2, 2), 2)
    with pytest.raises(ValueError, match="pixel_unshuffle: factor must divide 4 and 5, got 2"):
        ops.pixel_unshuffle(torch.zeros(1, 1, 4, 5), 2)
    with pytest.raises(ValueError, match="icnr_: factor must be a whole number whose square divides 6, got 2"):
        ops.icnr_(torch.zeros(6, 1, 3, 3), 2)


@pytest.mark.parametrize("factor", [2, 3])
def test_icnr_starts_by_repeating_pixels(factor):
    torch.manual_seed(0)
    conv = nn.Conv2d(4, 3 * factor**2, 3, padding=1, bias=False)
    x = torch.rand(1, 4, 6, 6)
    with torch.no_grad():
        before = ops.pixel_shuffle(conv(x), factor)
        ops.icnr_(conv.weight, factor, nn.init.xavier_normal_)
        after = ops.pixel_shuffle(conv(x), factor)
    repeated = functional.interpolate(after[..., ::factor, ::factor], scale_factor=factor)
    torch.testing.assert_close(after, repeated)
    assert after.std() > 0.05
    assert not torch.allclose(before, functional.interpolate(before[..., ::factor, ::factor], scale_factor=factor))


# --- unpooling ---


def test_maxima_go_back_where_they_stood():
    x = torch.rand(2, 3, 6, 8)
    pooled, places = functional.max_pool2d(x, 2, return_indices=True)
    out = ops.max_unpool(pooled, places, (6, 8))
    assert torch.equal(out, functional.max_unpool2d(pooled, places, 2))
    assert torch.equal(out[out > 0], x[out > 0])
    assert int((out > 0).sum()) == pooled.numel()


def test_a_maximum_of_several_windows_comes_once():
    x = torch.zeros(1, 1, 3, 3)
    x[..., 1, 1] = 7
    pooled, places = functional.max_pool2d(x, 2, 1, return_indices=True)
    assert (pooled == 7).all()
    assert torch.equal(ops.max_unpool(pooled, places, (3, 3)), x)


def test_places_outside():
    with pytest.raises(ValueError, match="max_unpool: indices must lie from 0 to 3, got 2 to 4"):
        ops.max_unpool(torch.ones(1, 1, 1, 2), torch.tensor([[[[2, 4]]]]), (2, 2))
