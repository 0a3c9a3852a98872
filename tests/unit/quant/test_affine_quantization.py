"""Affine quantization: errors within half a scale, 0 exact, against torch's own, and gradients straight through."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cvlab import quant
from cvlab._check import InputError

BOUND = st.floats(-100, 100)


@settings(max_examples=60, deadline=None)
@given(BOUND, BOUND, st.integers(2, 16), st.booleans(), st.booleans())
def test_errors_are_at_most_half_a_scale_and_zero_is_exact(a, b, bits, signed, symmetric):
    low, high = min(a, b), max(a, b)
    params = quant.choose_qparams(low, high, bits=bits, signed=signed, symmetric=symmetric and signed)
    x = torch.linspace(min(low, 0), max(high, 0), 301)
    q = quant.quantize(x, params)
    assert params.low <= int(q.min()) <= int(q.max()) <= params.high
    assert params.low <= int(params.zero_point) <= params.high
    error = (quant.dequantize(q, params) - x).abs().max()
    assert float(error) <= float(params.scale) * 0.5 + 1e-6 * max(1.0, -low, high)
    assert quant.dequantize(quant.quantize(torch.zeros(1), params), params).item() == 0


@pytest.mark.parametrize(
    ("low", "high", "scale", "zero"), [(-10, 30, 0.156863, 64), (0, 30, 0.117647, 0), (-10, 0, 0.039216, 255)]
)
def test_published_parameters(low, high, scale, zero):
    params = quant.choose_qparams(float(low), float(high), signed=False)
    assert params.scale.item() == pytest.approx(scale, abs=1e-6)
    assert params.zero_point.item() == zero


def test_a_constant_of_zero_has_a_scale_that_divides():
    for options in ({}, {"signed": False}, {"symmetric": True}):
        params = quant.choose_qparams(0.0, 0.0, **options)
        assert params.scale.item() == 1
        assert quant.dequantize(quant.quantize(torch.zeros(3), params), params).tolist() == [0, 0, 0]


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_channels_have_scales_of_their_own(axis):
    x = torch.randn(4, 4, 4, generator=torch.Generator().manual_seed(0)) * 3
    bounds = x.movedim(axis, 0).flatten(1)
    params = quant.choose_qparams(bounds.amin(1), bounds.amax(1), axis=axis)
    ours = quant.fake_quantize(x, params)
    theirs = torch.fake_quantize_per_channel_affine(
        x, params.scale, params.zero_point.int(), axis % 3, params.low, params.high
    )
    torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=0)


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 12), st.floats(0.01, 2), st.booleans())
def test_fake_quantization_and_its_gradient_are_those_of_torch(bits, scale, signed):
    params = quant.QuantParams(torch.tensor(scale), torch.tensor(1), bits, signed)
    x = torch.randn(200, generator=torch.Generator().manual_seed(bits)) * scale * 2**bits
    ours, theirs = (x.clone().requires_grad_() for _ in range(2))
    y = quant.fake_quantize(ours, params)
    z = torch.fake_quantize_per_tensor_affine(theirs, scale, 1, params.low, params.high)
    away = ((x / scale) % 1 - 0.5).abs() > 1e-4  # where both round to the same side, whatever the last digit
    torch.testing.assert_close(y[away], z[away], atol=1e-5, rtol=1e-5)
    ways = torch.randn(200, generator=torch.Generator().manual_seed(1))
    y.backward(ways)
    z.backward(ways)
    torch.testing.assert_close(ours.grad[away], theirs.grad[away])


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: quant.choose_qparams(float("nan"), 1.0), "finite"),
        (lambda: quant.choose_qparams(2.0, 1.0), "low must not be above high"),
        (lambda: quant.choose_qparams(0.0, 1.0, bits=1), "bits must be from 2 to 16, got 1"),
        (lambda: quant.choose_qparams(0.0, 1.0, signed=False, symmetric=True), "symmetric quantization needs signed"),
        (lambda: quant.quantize(torch.tensor([float("nan")]), quant.choose_qparams(0.0, 1.0)), "no NaN"),
        (
            lambda: quant.quantize(torch.zeros(2, 3), quant.choose_qparams(torch.zeros(2), torch.ones(2), axis=1)),
            r"2 channels in dimension 1, got shape \(2, 3\)",
        ),
    ],
)
def test_what_cannot_be_is_refused(call, words):
    with pytest.raises(InputError, match=words):
        call()


def test_infinite_numbers_are_cut_off():
    params = quant.choose_qparams(-1.0, 1.0)
    assert quant.quantize(torch.tensor([float("-inf"), float("inf")]), params).tolist() == [-128, 127]
