"""The bilinear kernel, counts of overlap, pixel shuffle and unpooling."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from cvlab import ops


@pytest.mark.parametrize("stride", [1, 2, 3, 4, 5, 8])
def test_interpolates_inside_and_fades_at_the_border(stride):
    """Output pixel i lies (stride - 1) / 2 - i before the first input pixel, whose tent is all that reaches it."""
    x = torch.rand(1, 3, 7, 6, dtype=torch.float64) + 1
    kernel, padding = ops.bilinear_size(stride)
    out = ops.trans_conv(x, ops.bilinear_kernel(3, kernel, dtype=torch.float64), stride=stride, padding=padding)
    expected = functional.interpolate(x, scale_factor=stride, mode="bilinear", align_corners=False)
    assert out.shape == expected.shape
    rim, width = stride // 2, out.shape[3]
    inner = slice(rim, width - rim)
    rows = slice(rim, out.shape[2] - rim)
    torch.testing.assert_close(out[..., rows, inner], expected[..., rows, inner])
    share = 1 - ((stride - 1) / 2 - torch.arange(rim, dtype=torch.float64)) / stride
    assert bool((share < 1).all())
    torch.testing.assert_close(out[..., :rim, inner], expected[..., :rim, inner] * share[:, None])
    torch.testing.assert_close(out[..., rows, width - rim :], expected[..., rows, width - rim :] * share.flip(0))


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


def test_a_tent_from_every_channel_to_every_other_adds_up_all_channels():
    x = torch.rand(1, 3, 5, 5)
    wrong = ops.bilinear_kernel(1, 4).expand(3, 3, 4, 4)
    out = ops.trans_conv(x, wrong, stride=2, padding=1)
    right = ops.trans_conv(x, ops.bilinear_kernel(3, 4), stride=2, padding=1)
    torch.testing.assert_close(out, right.sum(1, keepdim=True).expand(-1, 3, -1, -1))


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
    with pytest.raises(ValueError, match="bilinear_kernel: dtype must be floating point, got torch.int64"):
        ops.bilinear_kernel(1, 4, dtype=torch.int64)
    with pytest.raises(ValueError, match="bilinear_size: factor must be a whole number of at least 1, got 0"):
        ops.bilinear_size(0)


def test_kernels_have_the_dtype_asked_for():
    assert ops.bilinear_kernel(2, 3).dtype == torch.float32
    assert ops.bilinear_kernel(2, 3, dtype=torch.bfloat16).dtype == torch.bfloat16


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


def test_counts_that_are_none():
    assert ops.overlap_counts(2, 1, 3).dtype == torch.int64
    with pytest.raises(ValueError, match="overlap_counts: stride must be a whole number of at least 1, got 0"):
        ops.overlap_counts(2, 1, 0)
    with pytest.raises(ValueError, match="overlap_counts: padding 2 leaves nothing of 4 pixels"):
        ops.overlap_counts(2, 3, 1, 2)


# --- pixel shuffle ---


@pytest.mark.parametrize("factor", [1, 2, 3])
def test_pixel_shuffle_is_that_of_pytorch_and_has_an_inverse(factor):
    x = torch.rand(2, 5 * factor**2, 3, 4)
    out = ops.pixel_shuffle(x, factor)
    assert torch.equal(out, functional.pixel_shuffle(x, factor))
    assert torch.equal(ops.pixel_unshuffle(out, factor), x)
    assert torch.equal(ops.pixel_unshuffle(out, factor), functional.pixel_unshuffle(out, factor))


def test_shuffles_of_nothing():
    assert ops.pixel_shuffle(torch.zeros(0, 8, 3, 4), 2).shape == (0, 2, 6, 8)
    assert ops.pixel_unshuffle(torch.zeros(0, 2, 6, 8), 2).shape == (0, 8, 3, 4)


@pytest.mark.parametrize("factor", [0, -2, 2.0, True])
def test_factors_that_are_none(factor):
    for shuffle in (ops.pixel_shuffle, ops.pixel_unshuffle, ops.icnr_):
        with pytest.raises(ValueError, match=f"{shuffle.__name__}: factor must be a whole number of at least 1, got"):
            shuffle(torch.zeros(4, 4, 4, 4), factor)


def test_shuffles_that_do_not_fit():
    for shuffle in (ops.pixel_shuffle, ops.pixel_unshuffle):
        with pytest.raises(
            ValueError, match=rf"{shuffle.__name__}: x must have shape \(B, C, H.*, W.*\), got \(4, 2, 2\)"
        ):
            shuffle(torch.zeros(4, 2, 2), 2)
    with pytest.raises(ValueError, match=r"icnr_: weight must have shape \(C, C_in, kh, kw\), got \(4, 2, 2\)"):
        ops.icnr_(torch.zeros(4, 2, 2), 2)
    with pytest.raises(ValueError, match="icnr_: weight must be floating point, got torch.int64"):
        ops.icnr_(torch.zeros(4, 2, 2, 2).long(), 2)
    with pytest.raises(ValueError, match="pixel_shuffle: the square of factor must divide the 6 channels, got 2"):
        ops.pixel_shuffle(torch.zeros(1, 6, 2, 2), 2)
    with pytest.raises(ValueError, match="pixel_unshuffle: factor must divide 4 and 5, got 2"):
        ops.pixel_unshuffle(torch.zeros(1, 1, 4, 5), 2)
    with pytest.raises(ValueError, match="icnr_: the square of factor must divide the 6 channels, got 2"):
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


def test_icnr_takes_any_filler_and_keeps_the_parameter():
    conv = nn.Conv2d(2, 8, 1)
    weight = conv.weight

    def count(small):
        small.copy_(torch.arange(4.0).view_as(small))

    assert ops.icnr_(weight, 2, count) is weight
    assert weight.requires_grad
    assert weight.grad_fn is None
    assert weight.flatten(1).tolist() == [[0.0, 1.0]] * 4 + [[2.0, 3.0]] * 4


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


def test_places_may_be_of_any_signed_type_and_none():
    x, places = torch.tensor([[[[3, 4]]]]), torch.tensor([[[[1, 2]]]], dtype=torch.int32)
    assert ops.max_unpool(x, places, (2, 2)).tolist() == [[[[0, 3], [4, 0]]]]
    assert ops.max_unpool(torch.zeros(0, 2, 1, 1), torch.zeros(0, 2, 1, 1).long(), (3, 4)).shape == (0, 2, 3, 4)


def test_unpooling_leads_gradients_back():
    values = torch.rand(1, 2, 4, 4, dtype=torch.float64, requires_grad=True)
    places = functional.max_pool2d(torch.rand(1, 2, 8, 8), 2, return_indices=True)[1]
    assert torch.autograd.gradcheck(lambda v: ops.max_unpool(v, places, (8, 8)), values)


def test_places_outside():
    with pytest.raises(ValueError, match="max_unpool: indices must lie from 0 to 3, got 2 to 4"):
        ops.max_unpool(torch.ones(1, 1, 1, 2), torch.tensor([[[[2, 4]]]]), (2, 2))
    with pytest.raises(ValueError, match="max_unpool: indices must lie from 0 to 3, got -1 to 2"):
        ops.max_unpool(torch.ones(1, 1, 1, 2), torch.tensor([[[[2, -1]]]]), (2, 2))


def test_other_bad_unpooling():
    x, places = torch.ones(1, 1, 1, 2), torch.tensor([[[[0, 1]]]])
    with pytest.raises(ValueError, match=r"max_unpool: x must have shape \(B, C, h, w\), got \(1, 1, 2\)"):
        ops.max_unpool(x[0], places, (2, 2))
    with pytest.raises(ValueError, match=r"max_unpool: indices must have shape \(1, 1, 1, 2\), got \(1, 1, 1, 1\)"):
        ops.max_unpool(x, places[..., :1], (2, 2))
    with pytest.raises(ValueError, match="max_unpool: indices must be signed integers"):
        ops.max_unpool(x, places.float(), (2, 2))
    with pytest.raises(ValueError, match="max_unpool: size must be whole numbers of pixels"):
        ops.max_unpool(x, places, (2, 1.5))
