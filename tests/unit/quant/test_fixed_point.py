"""Multiplying by a real number in whole numbers: against exact fractions, and the published multipliers."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cvlab import quant
from cvlab._check import InputError

PUBLISHED = [(-4, -(2**30), 3), (-1, -(2**30), 1), (-0.125, -(2**30), -2), (0, 0, 0), (0.25, 2**30, -1), (4, 2**30, 3)]
MULTIPLIERS = st.floats(1e-6, 1000.0)


@pytest.mark.parametrize(("value", "multiplier", "shift"), PUBLISHED)
def test_published_multipliers(value, multiplier, shift):
    assert quant.quantize_multiplier(value) == (multiplier, shift)


@settings(max_examples=200, deadline=None)
@given(st.floats(1e-8, 1e8), st.booleans())
def test_a_multiplier_has_31_bits(value, negative):
    value = -value if negative else value
    multiplier, shift = quant.quantize_multiplier(value)
    assert 2**30 <= abs(multiplier) < 2**31
    assert multiplier * 2.0 ** (shift - 31) == pytest.approx(value, rel=2**-31)


def test_a_fraction_that_rounds_up_to_the_next_power():
    assert quant.quantize_multiplier(1 - 2**-40) == (2**30, 1)


def test_multipliers_that_are_too_small_or_too_large():
    assert quant.quantize_multiplier(1e-12) == (0, 0)
    for value in (float("nan"), float("inf")):
        with pytest.raises(InputError, match="value must be finite"):
            quant.quantize_multiplier(value)
    with pytest.raises(InputError, match=r"below 2\^30"):
        quant.quantize_multiplier(2.0**31)


@settings(max_examples=300, deadline=None)
@given(st.integers(-(2**24), 2**24), MULTIPLIERS)
def test_single_rounding_is_the_nearest_number(x, value):
    multiplier, shift = quant.quantize_multiplier(value)
    exact = Fraction(x) * multiplier * Fraction(2) ** (shift - 31)
    if abs(exact) >= 2**31 - 1:
        return
    got = int(quant.multiply_by_quantized_multiplier(x, multiplier, shift, rounding="single"))
    assert got == math.floor(exact + Fraction(1, 2))


@settings(max_examples=300, deadline=None)
@given(st.integers(-(2**24), 2**24), st.floats(1e-6, 1.0))
def test_double_rounding_is_at_most_one_off(x, value):
    """Rounded with halves upwards, and then with halves away from zero: computed here with fractions."""
    multiplier, shift = quant.quantize_multiplier(value)
    high = math.floor(Fraction(x * 2 ** max(shift, 0) * multiplier, 2**31) + Fraction(1, 2))
    expected = math.floor(Fraction(abs(high), 2 ** max(-shift, 0)) + Fraction(1, 2)) * (1 if high >= 0 else -1)
    got = int(quant.multiply_by_quantized_multiplier(x, multiplier, shift))
    assert got == expected
    single = int(quant.multiply_by_quantized_multiplier(x, multiplier, shift, rounding="single"))
    assert abs(got - single) <= 1


def test_the_two_roundings_do_differ():
    x = np.arange(-3000, 3000)
    pair = quant.quantize_multiplier(0.0173)
    double, single = (quant.multiply_by_quantized_multiplier(x, *pair, rounding=way) for way in ("double", "single"))
    assert double.dtype == single.dtype == np.int32
    assert 0 < int((double != single).sum()) < 200


def test_the_one_overflow_saturates():
    assert int(quant.multiply_by_quantized_multiplier(-(2**31), -(2**31), 0)) == 2**31 - 1


def test_multipliers_of_channels_broadcast():
    x = np.arange(12).reshape(2, 2, 3) * 1000
    pairs = [quant.quantize_multiplier(value) for value in (0.1, 0.02, 3.0)]
    together = quant.multiply_by_quantized_multiplier(x, *zip(*pairs, strict=True))
    for c, pair in enumerate(pairs):
        assert np.array_equal(together[..., c], quant.multiply_by_quantized_multiplier(x[..., c], *pair))


@pytest.mark.parametrize(("options", "words"), [({"rounding": "up"}, "rounding"), ({"shift": 31}, "from -31 to 30")])
def test_what_cannot_be_is_refused(options, words):
    with pytest.raises(InputError, match=words):
        quant.multiply_by_quantized_multiplier(1, 2**30, options.pop("shift", 0), **options)
