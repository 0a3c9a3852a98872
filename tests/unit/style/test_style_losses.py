"""The losses of style transfer: against loops and numbers by hand, gradients by differences, and what they refuse."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck

from cvlab import style
from cvlab._check import InputError

NORMALISATIONS = ("chw", "hw", "none")


def noise(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def leaf(*shape: int, seed: int = 0) -> torch.Tensor:
    return noise(*shape, seed=seed).requires_grad_()


MASK = torch.rand(4, 5, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


# --- Gram ---


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 3), st.integers(1, 6), st.integers(1, 5), st.integers(1, 5), st.sampled_from(NORMALISATIONS))
def test_gram_is_the_double_loop(b, c, h, w, normalise):
    maps = noise(b, c, h, w, seed=b + 7 * c + 31 * h + 101 * w)
    ours = style.gram_matrix(maps, normalise)
    torch.testing.assert_close(ours, style.gram_matrix_reference(maps, normalise))
    whole = torch.einsum("bihw,bjhw->bij", maps, maps)
    torch.testing.assert_close(ours, whole / {"chw": c * h * w, "hw": h * w, "none": 1}[normalise])
    torch.testing.assert_close(ours, ours.transpose(1, 2))
    assert float(torch.linalg.eigvalsh(ours).min()) > -1e-9


def test_gram_forgets_where_things_are():
    maps = noise(2, 5, 6, 7)
    order = torch.randperm(42, generator=torch.Generator().manual_seed(1))
    moved = maps.flatten(2)[..., order].reshape(maps.shape)
    assert not torch.equal(maps, moved)
    torch.testing.assert_close(style.gram_matrix(maps), style.gram_matrix(moved))


def test_gram_of_any_layout_in_memory():
    maps = noise(1, 4, 6, 5)
    expected = style.gram_matrix(maps)
    for layout in (
        maps.contiguous(memory_format=torch.channels_last),
        maps.permute(0, 1, 3, 2).contiguous().permute(0, 1, 3, 2),
    ):
        assert not layout.is_contiguous()
        torch.testing.assert_close(style.gram_matrix(layout), expected)


def test_gram_of_large_half_precision_maps_is_finite():
    maps = torch.full((1, 3, 64, 64), 40.0, dtype=torch.float16)
    flat = maps.flatten(2)
    assert torch.isinf(flat @ flat.transpose(1, 2)).all(), "in float16 the sum overflows"
    gram = style.gram_matrix(maps)
    assert gram.dtype == torch.float32
    torch.testing.assert_close(gram, torch.full((1, 3, 3), 1600.0 / 3))
    with torch.autocast("cpu", torch.bfloat16):
        assert style.gram_matrix(maps.float()).dtype == torch.float32


def test_gram_under_a_mask_is_that_of_the_places_in_it():
    maps, mask = noise(1, 3, 4, 6), torch.zeros(4, 6)
    mask[:, :2] = 1
    torch.testing.assert_close(style.gram_matrix(maps, mask=mask), style.gram_matrix(maps[..., :2]))
    torch.testing.assert_close(style.gram_matrix(maps, mask=0.5 * mask), style.gram_matrix(maps[..., :2]))


@pytest.mark.parametrize("normalise", NORMALISATIONS)
@pytest.mark.parametrize("mask", [None, MASK])
def test_gradient_of_gram(normalise, mask):
    assert gradcheck(lambda x: style.gram_matrix(x, normalise, mask), (leaf(2, 3, 4, 5),))


@pytest.mark.parametrize(
    ("maps", "options", "words"),
    [
        (torch.zeros(3, 4, 4), {}, r"shape \(B, C, h, w\)"),
        (torch.zeros(1, 3, 0, 4), {}, "none of them 0"),
        (torch.zeros(1, 3, 4, 4, dtype=torch.int64), {}, "maps"),
        (torch.zeros(1, 3, 4, 4), {"normalise": "n"}, "normalise"),
        (torch.zeros(1, 3, 4, 4), {"mask": torch.ones(4, 5)}, "mask"),
    ],
)
def test_gram_refuses(maps, options, words):
    with pytest.raises(InputError, match=words):
        style.gram_matrix(maps, **options)


@pytest.mark.parametrize("statistic", [style.gram_matrix, style.channel_moments])
@pytest.mark.parametrize("value", [0.0, -1.0, float("nan")])
def test_masks_that_would_give_nan_are_refused(statistic, value):
    with pytest.raises(InputError, match=r"mask must lie in \[0, 1\], and not be 0 everywhere"):
        statistic(torch.rand(1, 2, 3, 4), mask=torch.full((3, 4), value))


# --- moments ---


def test_moments_are_mean_and_deviation():
    maps = noise(2, 3, 4, 5)
    expected = torch.stack([maps.mean((2, 3)), maps.std((2, 3), correction=0)], 1)
    torch.testing.assert_close(style.channel_moments(maps), expected)
    mask = torch.zeros(4, 5)
    mask[1:3] = 1
    torch.testing.assert_close(style.channel_moments(maps, mask), style.channel_moments(maps[:, :, 1:3]))


def test_a_constant_channel_has_a_gradient_of_zero():
    maps = torch.ones(1, 2, 3, 3, requires_grad=True)
    style.channel_moments(maps)[:, 1].sum().backward()
    assert torch.equal(maps.grad, torch.zeros_like(maps))


@pytest.mark.parametrize("mask", [None, MASK])
def test_gradient_of_moments(mask):
    assert gradcheck(lambda x: style.channel_moments(x, mask), (leaf(2, 3, 4, 5),))


# --- content and style ---


def test_content_and_style_loss_by_hand():
    a, b = torch.tensor([[[[1.0, 2.0]]]]), torch.tensor([[[[3.0, 5.0]]]])
    assert float(style.content_loss(a, b)) == pytest.approx((4 + 9) / 2)
    grams = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]]), torch.tensor([[[0.0, 2.0], [2.0, 1.0]]])
    assert float(style.style_loss(*grams)) == pytest.approx((1 + 4 + 4 + 0) / 4)


def test_gradients_of_content_and_style_loss():
    assert gradcheck(style.content_loss, (leaf(1, 2, 3, 4), noise(1, 2, 3, 4, seed=1)))
    assert gradcheck(style.style_loss, (leaf(2, 3, 3), noise(1, 3, 3, seed=1)))
    target = style.gram_matrix(noise(1, 3, 2, 2, seed=5))
    assert gradcheck(lambda x: style.style_loss(style.gram_matrix(x), target), (leaf(1, 3, 4, 5),))


@pytest.mark.parametrize("loss", [style.content_loss, style.style_loss])
def test_shapes_that_differ_are_refused(loss):
    with pytest.raises(InputError, match=r"must have one shape, got .*\(1, 3, 4, 4\).*\(1, 3, 4, 5\)"):
        loss(torch.zeros(1, 3, 4, 4), torch.zeros(1, 3, 4, 5))


# --- total variation ---


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 6), st.integers(1, 6), st.floats(-3, 3), st.sampled_from((1, 2)))
def test_variation_of_a_constant_is_zero(h, w, value, power):
    assert float(style.total_variation(torch.full((3, h, w), value), power)) == 0


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 9), st.integers(2, 9), st.floats(0.1, 3), st.booleans())
def test_variation_of_a_step_is_its_length(h, w, height, upright):
    picture = torch.zeros(1, h, w, dtype=torch.float64)
    if upright:
        picture[..., w // 2 :] = height
    else:
        picture[..., h // 2 :, :] = height
    length = h if upright else w
    assert float(style.total_variation(picture)) == pytest.approx(length * height)
    assert float(style.total_variation(picture, 2)) == pytest.approx(length * height**2)


def test_variation_of_a_soft_edge_is_that_of_a_hard_one_but_not_squared():
    hard, soft = torch.zeros(1, 5, 6), torch.zeros(1, 5, 6)
    hard[..., 3:] = 1
    soft[...] = torch.linspace(0, 1, 6)
    assert float(style.total_variation(soft)) == pytest.approx(float(style.total_variation(hard)), rel=1e-6)
    assert float(style.total_variation(soft, 2)) == pytest.approx(5 * 5 * 0.2**2)


@pytest.mark.parametrize("power", [1, 2])
def test_gradient_of_variation(power):
    picture = torch.arange(24, dtype=torch.float64).sin().reshape(1, 1, 4, 6).requires_grad_()  # no two alike
    assert gradcheck(lambda x: style.total_variation(x, power), (picture,))


@pytest.mark.parametrize(
    ("images", "power", "words"),
    [
        (torch.zeros(5), 1, r"\(\.\.\., H, W\)"),
        (torch.zeros(3, 4, 4, dtype=torch.uint8), 1, "images"),
        (torch.zeros(3, 4, 4), 3, "power must be 1 or 2, got 3"),
    ],
)
def test_variation_refuses(images, power, words):
    with pytest.raises(InputError, match=words):
        style.total_variation(images, power)


# --- half precision, and layouts in memory ---


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_losses_of_half_precision_are_those_of_float32(dtype):
    """Squares of 300 and a sum over 300,000 edges are more than float16 can hold."""
    maps, other = torch.zeros(1, 2, 4, 4, dtype=dtype), torch.full((1, 2, 4, 4), 300.0, dtype=dtype)
    stripes = torch.zeros(1, 1, 512, 640, dtype=dtype)
    stripes[..., ::2] = 1
    found = {
        style.content_loss(maps, other): 300.0**2,
        style.style_loss(maps[0], other[0]): 300.0**2,
        style.total_variation(stripes): 512 * 639,
        style.total_variation(stripes, 2): 512 * 639,
        style.channel_moments(other)[0, 0, 0]: 300,
    }
    for loss, expected in found.items():
        assert loss.dtype == torch.float32
        assert float(loss) == pytest.approx(expected)


@pytest.mark.parametrize(
    "loss",
    [
        style.total_variation,
        style.channel_moments,
        lambda x: style.content_loss(x, noise(2, 4, 6, 5, seed=9)),
        lambda x: style.gram_matrix(x, mask=torch.linspace(0, 1, 30).reshape(6, 5)),
    ],
    ids=["variation", "moments", "content", "gram under a mask"],
)
def test_any_layout_in_memory(loss):
    """The value and the gradient are those of the contiguous tensor."""
    plain = noise(2, 4, 6, 5).requires_grad_()
    weight = noise(1, *loss(plain).shape, seed=4)[0]
    (expected,) = torch.autograd.grad((loss(plain) * weight).sum(), plain)
    wide = noise(2, 4, 6, 10)
    wide[..., ::2] = plain.detach()
    for layout in (
        plain.detach().contiguous(memory_format=torch.channels_last),
        plain.detach().mT.contiguous().mT,
        wide[..., ::2],
    ):
        assert not layout.is_contiguous()
        leaf_of_it = layout.detach().requires_grad_()
        torch.testing.assert_close(loss(leaf_of_it), loss(plain))
        (gradient,) = torch.autograd.grad((loss(leaf_of_it) * weight).sum(), leaf_of_it)
        torch.testing.assert_close(gradient, expected)


# --- colours ---


def test_luminance_of_grey_is_itself():
    grey = torch.rand(1, 6, 7, generator=torch.Generator().manual_seed(0)).expand(3, -1, -1)
    torch.testing.assert_close(style.luminance(grey), grey[:1])
    assert style.luminance(torch.rand(2, 3, 4, 5)).shape == (2, 1, 4, 5)


def test_colours_of_the_content_with_the_brightness_of_the_painting():
    painted, content = 0.4 + 0.2 * torch.rand(2, 3, 8, 9, generator=torch.Generator().manual_seed(0))
    mixed = style.with_colours_of(painted, content)
    torch.testing.assert_close(style.luminance(mixed), style.luminance(painted))
    chroma = [p - style.luminance(p) for p in (mixed, content)]
    torch.testing.assert_close(*chroma, atol=1e-6, rtol=0)
    with pytest.raises(InputError, match="must have one size"):
        style.with_colours_of(painted, content[:, 1:])


def test_matched_colours_have_mean_and_covariance():
    generator = torch.Generator().manual_seed(0)
    base = torch.tensor([0.4, 0.5, 0.6])[:, None, None]
    wanted = base + 0.05 * torch.randn(3, 40, 50, generator=generator)
    mixing = 0.04 * torch.tensor([[1.0, 0.5, 0.0], [0.0, 1.0, 0.3], [0.2, 0.0, 1.0]])
    picture = 0.5 + torch.einsum("ij,jhw->ihw", mixing, torch.randn(3, 30, 30, generator=generator))
    matched = style.match_colours(picture, wanted)
    assert 0 < float(matched.min()) < float(matched.max()) < 1, "nothing was cut off"
    torch.testing.assert_close(matched.mean((1, 2)), wanted.mean((1, 2)), atol=1e-5, rtol=0)
    torch.testing.assert_close(torch.cov(matched.flatten(1)), torch.cov(wanted.flatten(1)), atol=2e-5, rtol=1e-2)


def test_a_single_pixel_can_be_matched_and_grey_is_refused():
    assert bool(style.match_colours(torch.rand(3, 1, 1), torch.rand(3, 9, 9)).isfinite().all())
    with pytest.raises(InputError, match="match_colours: picture must have shape"):
        style.match_colours(torch.rand(1, 9, 9), torch.rand(3, 9, 9))
    with pytest.raises(InputError, match="match_colours: target must have shape"):
        style.match_colours(torch.rand(3, 9, 9), torch.rand(1, 9, 9))


def test_a_constant_picture_can_be_matched():
    matched = style.match_colours(torch.full((3, 8, 8), 0.3), torch.rand(3, 9, 9))
    assert bool(matched.isfinite().all())
    assert math.isclose(
        float(style.match_colours(torch.rand(3, 9, 9), torch.full((3, 8, 8), 0.3)).std()), 0, abs_tol=2e-3
    )
