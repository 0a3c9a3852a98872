"""What holds for all numbers that are quantized, and for all multipliers in whole numbers."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cvlab import quant
from cvlab.quant.convert import add_options, mean_options
from cvlab.quant.integer import Rescale, add_int8, mean_int8
from cvlab.quant.tables import exp_table, softmax_int8

BOUNDS = st.floats(-1e6, 1e6, width=32)
NUMBERS = st.lists(st.floats(-2e6, 2e6, width=32), min_size=1, max_size=40)
INT32 = st.integers(-(2**31), 2**31 - 1)
INT8 = st.lists(st.integers(-128, 127), min_size=1, max_size=40)
SCALES = st.floats(2**-16, 50, width=32)


@st.composite
def parameters(draw):
    low, high = sorted((draw(BOUNDS), draw(BOUNDS)))
    signed = draw(st.booleans())
    symmetric = signed and draw(st.booleans())
    return quant.choose_qparams(low, high, bits=draw(st.integers(2, 8)), signed=signed, symmetric=symmetric), low, high


@given(parameters(), NUMBERS)
def test_error_is_half_a_scale_within_the_range(made, values):
    params, low, high = made
    x = torch.tensor(values).clamp(min(low, 0), max(high, 0))
    off = (quant.dequantize(quant.quantize(x, params), params).double() - x.double()).abs()
    slack = 3e-7 * (x.abs().double() + 256 * params.scale)  # of float32
    assert (off <= params.scale.double() / 2 + slack).all()


@given(parameters(), NUMBERS)
def test_zero_is_exact_and_order_and_result_stay(made, values):
    params, _, _ = made
    assert quant.dequantize(quant.quantize(torch.zeros(1), params), params).item() == 0
    x = torch.tensor(values).sort().values
    q = quant.quantize(x, params)
    assert (q.diff() >= 0).all()
    assert params.low <= int(q.min())
    assert int(q.max()) <= params.high
    once = quant.dequantize(q, params)
    assert torch.equal(quant.quantize(once, params), q)
    assert torch.equal(quant.fake_quantize(x, params), once)


@given(BOUNDS, BOUNDS, st.floats(1e-45, 1e-36))
def test_scales_are_always_usable(a, b, tiny):
    for low, high in ((min(a, b), max(a, b)), (0.0, tiny), (-tiny, tiny)):
        for symmetric in (False, True):
            params = quant.choose_qparams(low, high, symmetric=symmetric)
            assert 0 < params.scale.item() < float("inf")
            assert params.low <= params.zero_point.item() <= params.high


@pytest.mark.parametrize("dtype", [torch.int8, torch.uint8, torch.int32])
@given(low=st.floats(-5, 0), high=st.floats(0, 5))
def test_small_whole_numbers_do_not_overflow(dtype, low, high):
    params = quant.choose_qparams(low, high, signed=dtype != torch.uint8)  # int8 less a zero point may need 9 bits
    q = torch.arange(params.low, params.high + 1)
    expected = (q - params.zero_point) * params.scale
    assert torch.equal(quant.dequantize(q.to(dtype), params), expected)
    assert (expected.diff() > 0).all()


@given(st.floats(0, 2**30 - 1))
def test_multiplier_is_close_to_the_number(value):
    multiplier, shift = quant.quantize_multiplier(value)
    found = Fraction(multiplier) * Fraction(2) ** (shift - 31)
    assert abs(found - Fraction(value)) <= max(Fraction(value) * Fraction(1, 2**30), Fraction(1, 2**32))
    assert multiplier == 0 or 2**30 <= multiplier < 2**31


@given(INT32, st.integers(2**30, 2**31 - 1) | st.just(0), st.integers(-31, 30), st.sampled_from([1, -1]))
def test_products_are_within_one_of_the_exact_ones(x, multiplier, shift, sign):
    x = x if shift <= 0 else int(x / 2**shift)  # what is shifted to the left must stay within 32 bits
    exact = Fraction(x * sign * multiplier) * Fraction(2) ** (shift - 31)
    once, twice = (
        int(quant.multiply_by_quantized_multiplier(x, sign * multiplier, shift, rounding=rounding))
        for rounding in ("single", "double")
    )
    if abs(exact) < 2**31 - 1:
        assert abs(once - exact) <= Fraction(1, 2)
        assert abs(twice - exact) <= 1
    assert abs(once - twice) <= 1 or abs(exact) >= 2**31 - 1


@given(st.integers(1, 5000), st.integers(-127, 128), SCALES)
def test_factor_of_a_mean_fits_31_bits_and_is_right(count, offset, scale):
    options, multiplier, shift = mean_options((scale, -offset), (scale, -offset), count)
    assert 0 <= multiplier < 2**31
    assert -31 <= shift <= 30
    assert abs(multiplier * 2.0 ** (shift - 31) * count - 1) < 1e-8
    assert options == {"input_offset": offset}


@given(INT8, st.integers(-127, 128), st.sampled_from(["single", "double"]))
def test_mean_is_within_one_of_the_real_one(values, offset, rounding):
    options, multiplier, shift = mean_options((0.1, -offset), (0.1, -offset), len(values))
    x = np.array(values, dtype=np.int8).reshape(1, 1, -1, 1)
    got = int(mean_int8(x, Rescale(multiplier, shift, -offset, rounding=rounding), **options)[0, 0])
    assert abs(got - np.mean(values)) <= (0.5 if rounding == "single" else 0.75) + 1e-6  # twice: 1/4, 1/2, 1


@given(INT8, SCALES, SCALES, st.integers(-128, 127), st.integers(-128, 127), st.sampled_from(["single", "double"]))
def test_sum_is_within_one_of_the_real_one(values, one, two, zero, other, rounding):
    a = np.array(values, dtype=np.int8)
    real = (a - float(zero)) * one + (a[::-1] - float(other)) * two
    target = quant.choose_qparams(float(real.min()), float(real.max()))
    where = (float(target.scale), int(target.zero_point))
    options, multiplier, shift = add_options((one, zero), (two, other), where)
    got = add_int8(a, a[::-1].copy(), Rescale(multiplier, shift, where[1], rounding=rounding), **options)
    assert np.abs(got - (real / where[0] + where[1])).max() <= 1


@given(INT8, st.floats(1e-6, 100))
def test_shares_of_a_softmax_add_up_and_keep_order(values, scale):
    x = np.array(values, dtype=np.int8)
    shares = softmax_int8(x, exp_table(scale)).astype(int) + 128
    assert abs(shares.sum() - 256) <= len(values)
    assert (np.diff(shares[np.argsort(x)]) >= 0).all()
