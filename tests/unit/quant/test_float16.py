"""Hazards of float16: against NumPy's spacing and torch's own rounding, and at the numbers where things go wrong."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cvlab._check import InputError
from cvlab.quant import float16


@settings(max_examples=100, deadline=None)
@given(st.floats(-65472, 65472, width=16))
def test_spacing_is_that_of_numpy(x):
    assert float16.spacing(x) == np.spacing(np.float16(abs(x)))
    assert float16.spacing(x, torch.float32) == np.spacing(np.float32(abs(x)))


@pytest.mark.parametrize(
    ("x", "half", "brain"),
    [(2049.0, 2048, 2048), (2050.0, 2050, 2048), (65504.0, 65504, 65536), (65520.0, math.inf, 65536)],
)
def test_numbers_between_those_of_the_format_are_rounded(x, half, brain):
    assert float16.rounded(x) == half
    assert float16.rounded(x, torch.bfloat16) == brain
    assert float16.rounded(x, torch.float32) == x


def test_the_smallest_numbers_become_zero():
    assert float16.rounded(2.0**-24) == 2.0**-24
    assert float16.rounded(2.0**-25) == 0
    assert float16.rounded(1e-8) == 0
    assert float16.rounded(1e-8, torch.bfloat16) == pytest.approx(1e-8, rel=2**-8)


def test_shares_of_lost_numbers_count_only_what_was_not_zero():
    values = torch.tensor([0.0, 1e-8, -1e-8, 1.0, -1e5])
    assert float16.lost(values) == (0.2, 0.4)
    assert float16.lost(values, torch.bfloat16) == (0, 0)
    assert float16.lost(values, scale=2.0**10) == (0.2, 0)
    assert float16.lost(values, scale=2.0**-30) == (0, 0.6)
    assert float16.lost(torch.zeros(0)) == (0, 0)


def test_softmax_without_the_maximum_overflows_in_float16_alone():
    logits = torch.tensor([[1.0, 2.0, 3.0], [10.6, 10.6, 10.0], [12.0, 1.0, 0.0]])
    expected = torch.softmax(logits, -1)
    naive = float16.naive_softmax(logits.half())
    assert torch.allclose(naive[0].float(), expected[0], atol=1e-3)
    assert naive[1].tolist() == [0, 0, 0]  # each exponential fits, their sum does not
    assert naive[2].isnan().tolist() == [True, False, False]
    for dtype, tolerance in ((torch.bfloat16, 2e-2), (torch.float32, 1e-6)):
        assert torch.allclose(float16.naive_softmax(logits.to(dtype)).float(), expected, atol=tolerance, rtol=0.05)
        assert float16.naive_softmax(logits.to(dtype)).dtype == dtype


@pytest.mark.parametrize(
    ("dtype", "end"), [(torch.float16, 2048.0), (torch.bfloat16, 256.0), (torch.float32, 4096.0)], ids=str
)
def test_sums_stall_where_one_is_half_the_spacing(dtype, end):
    ones = torch.ones(4096, dtype=dtype)
    assert float16.stalled_sum(ones) == end
    assert float16.stalled_sum(ones[: min(int(end), 4096) - 1]) == end - 1
    assert end == 4096 or float16.spacing(end, dtype) == 2
    assert float16.pairwise_sum(ones) == 4096


@pytest.mark.parametrize("count", [0, 1, 2, 3, 7, 100, 1001])
def test_sums_in_pairs_are_closer_than_one_by_one(count):
    values = torch.rand(count, generator=torch.Generator().manual_seed(count)).half()
    exact = values.double().sum().item()
    pairwise, stalled = (abs(add(values) - exact) for add in (float16.pairwise_sum, float16.stalled_sum))
    assert pairwise <= max(1, math.log2(max(count, 1))) * float16.spacing(exact)
    assert pairwise <= stalled + float16.spacing(exact)
    whole = torch.arange(count, dtype=torch.float32)
    assert float16.pairwise_sum(whole) == float16.stalled_sum(whole) == count * (count - 1) / 2


def test_gram_matrices_overflow_before_they_are_divided():
    features = torch.rand(3, 64 * 64, generator=torch.Generator().manual_seed(0)) * 10
    expected = features @ features.T / features.shape[1]
    assert expected.max() < 50
    assert float16.gram_in(features).isinf().all()
    assert torch.allclose(float16.gram_in(features, divide_first=True).float(), expected, rtol=5e-3)
    assert torch.allclose(float16.gram_in(features, torch.bfloat16).float(), expected, rtol=2e-2)
    assert torch.allclose(float16.gram_in(features, torch.float32), expected, rtol=1e-5)
    assert float16.gram_in(features).dtype == torch.float16


def test_bad_input_is_refused():
    ones = torch.ones(3)
    cases = [
        (lambda: float16.rounded(math.nan), "rounded: x must be a finite number"),
        (lambda: float16.rounded(1.0, torch.int8), "rounded: dtype must be one of torch.float16"),
        (lambda: float16.spacing(65505.0), "spacing: x must lie within 65504 of 0"),
        (lambda: float16.spacing(1.0, torch.float64), "spacing: dtype must be one of"),
        (lambda: float16.lost(ones.long()), "lost: values must be floating point"),
        (lambda: float16.lost(ones / 0), "lost: values.* is not finite"),
        (lambda: float16.lost(ones, scale=0.0), "lost: scale.* above 0"),
        (lambda: float16.lost(ones, torch.int8), "lost: dtype must be one of"),
        (lambda: float16.naive_softmax(ones.double()), "naive_softmax: x.dtype must be one of"),
        (lambda: float16.stalled_sum(ones[None]), "stalled_sum: values must have shape"),
        (lambda: float16.pairwise_sum(ones.long()), "pairwise_sum: values.dtype must be one of"),
        (lambda: float16.gram_in(ones), "gram_in: features must have shape"),
        (lambda: float16.gram_in(torch.zeros(2, 0)), "gram_in: features must have at least one place"),
        (lambda: float16.gram_in(ones[None] * math.inf), "gram_in: features.* is not finite"),
    ]
    for call, message in cases:
        with pytest.raises(InputError, match=message):
            call()
