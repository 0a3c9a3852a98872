"""The figures on quantization: their data, and what they refuse."""

from __future__ import annotations

import math

import pytest
import torch
from test_figure import state_of

from cvlab import interactive
from cvlab._check import InputError
from cvlab.quant import HistogramObserver, MinMaxObserver

GENERATOR = torch.Generator().manual_seed(0)
WEIGHTS = torch.randn(8, 3, 5, 5, generator=GENERATOR)
ACTIVATIONS = torch.randn(4, 6, 6, generator=GENERATOR).relu() ** 2
LAYERS = {"weights": WEIGHTS, "after ReLU": ACTIVATIONS}


def test_number_line_keeps_what_it_is_given():
    figure = interactive.number_line(-1, 3, 5, signed=False, x=1.25, extent=(-4, 6))
    state = state_of(figure)
    assert (state["low"], state["high"], state["bits"], state["x"]) == (-1, 3, 5, 1.25)
    assert (state["signed"], state["symmetric"]) == (False, False)
    assert state["extent"] == [-4, 6]
    assert state["step"] == pytest.approx(0.01)
    assert "5 bits" in figure.alt


@pytest.mark.parametrize(
    ("low", "high"), [(-1.0, 3.0), (0.0, 6.0), (-0.02, 0.01), (2.0, 5.0), (-5.0, -2.0), (0.0, 0.0)]
)
def test_number_line_holds_all_that_can_be_dragged(low, high):
    state = state_of(interactive.number_line(low, high))
    left, right = state["extent"]
    assert left < min(low, 0)
    assert right > max(high, 0)
    assert low <= state["x"] <= high
    assert 400 <= (right - left) / state["step"] <= 4000.001


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"low": 4}, "low must not be above high, got 4 and 3.0"),
        ({"low": math.nan}, "low must be a finite number"),
        ({"high": math.inf}, "high must be a finite number"),
        ({"x": "1"}, "x must be a finite number"),
        ({"bits": 9}, "bits must be a whole number from 2 to 8, got 9"),
        ({"bits": 2.5}, "bits must be a whole number"),
        ({"symmetric": True, "signed": False}, "symmetric quantization needs signed numbers"),
        ({"x": 9}, "extent must hold 0, low, high and x"),
        ({"extent": (0, 4)}, "extent must hold 0, low, high and x, got 0 to 4"),
        ({"extent": 4}, "extent must be two numbers, got 4"),
        ({"extent": (-4, math.nan)}, r"extent\[1\] must be a finite number"),
        ({"extent": (4, -4)}, "the line must be 0.000001 to 1e\\+06 long, got 4 to -4"),
        ({"high": 1e9}, "the line must be"),
    ],
)
def test_number_line_refuses(change, words):
    with pytest.raises(InputError, match=f"number_line: {words}"):
        interactive.number_line(**change)


def test_bit_width_keeps_what_observers_say():
    state = state_of(interactive.bit_width(LAYERS, bits=3, percentile=99, bins=256))
    assert [layer["name"] for layer in state["layers"]] == list(LAYERS)
    assert (state["bits"], state["percentile"]) == (3, 99)
    for layer, values in zip(state["layers"], LAYERS.values(), strict=True):
        symmetric = bool((values < 0).any())
        assert layer["symmetric"] == symmetric
        assert sum(layer["counts"]) == values.numel()
        assert len(layer["counts"]) == 256
        options = {"signed": symmetric, "symmetric": symmetric}
        seen = MinMaxObserver(**options)
        seen.update(values)
        assert (layer["low"], layer["high"]) == tuple(bound.item() for bound in seen.bounds())
        largest = float(values.abs().max())
        shares = [(None, layer["percentile"]), *zip(range(2, 9), layer["mse"], strict=True)]
        for bits, share in shares:
            method = {"method": "mse", "bits": bits} if bits else {"method": "percentile", "percentile": 99}
            observer = HistogramObserver(**method, bins=256, **options)
            observer.update(values)
            levels = 2 ** (observer.options["bits"] - symmetric) - 1
            assert observer.params().scale.item() == pytest.approx(share * largest / levels)
            assert observer.params().zero_point.item() == 0
    assert len(set(state["layers"][0]["mse"])) > 3, "the best bound depends on the bits"


def test_bit_width_holds_histograms_not_numbers():
    many = torch.randn(200_000, generator=GENERATOR)
    assert len(interactive.bit_width({"many": many})._repr_html_()) < 60_000


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"layers": {}}, "layers must be numbers of 1 to 8 layers by name, got 0"),
        ({"layers": dict.fromkeys("abcdefghi", WEIGHTS)}, "layers must be .* got 9"),
        ({"layers": [WEIGHTS]}, "layers must be .* got list"),
        ({"layers": {"a": torch.zeros(0)}}, r"a must hold numbers other than 0, got shape \(0,\)"),
        ({"layers": {"a": torch.zeros(3)}}, "a must hold numbers other than 0"),
        ({"layers": {"a": torch.full((3,), 2.0)}}, "a must hold different numbers, got 3 times 2"),
        ({"layers": {"a": torch.tensor([1.0, math.nan])}}, r"a\[1\] is not finite"),
        ({"layers": {"a": None}}, "a must be numbers in a rectangular array"),
        ({"bits": 1}, "bits must be a whole number from 2 to 8, got 1"),
        ({"percentile": 50}, "percentile must be above 50, up to 100, got 50"),
        ({"percentile": None}, "percentile must be a finite number"),
        ({"bins": 16}, "bins must be a whole number from 32 to 4096, got 16"),
    ],
)
def test_bit_width_refuses(change, words):
    with pytest.raises(InputError, match=f"bit_width: {words}"):
        interactive.bit_width(**{"layers": LAYERS, **change})


def test_multiplier_keeps_what_it_is_given():
    figure = interactive.multiplier(0.25, -(2**31))
    state = state_of(figure)
    assert (state["value"], state["accumulator"]) == (0.25, -(2**31))
    assert state["question"] == "How does a chip without floating point multiply by 0.25?"
    assert "-2147483648 by 0.25" in figure.alt
    assert state_of(interactive.multiplier(question="Why?"))["question"] == "Why?"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"value": 2.0**-13}, "value must be from 0.000244140625 to 2, got 0.0001220703125"),
        ({"value": 2.5}, "value must be from"),
        ({"value": math.nan}, "value must be a finite number"),
        ({"accumulator": 2**31}, "accumulator must be a whole number from -2147483648 to 2147483647"),
        ({"accumulator": 0.5}, "accumulator must be a whole number"),
    ],
)
def test_multiplier_refuses(change, words):
    with pytest.raises(InputError, match=f"multiplier: {words}"):
        interactive.multiplier(**change)


@pytest.mark.parametrize(
    "make",
    [interactive.number_line, lambda: interactive.bit_width(LAYERS), interactive.multiplier],
    ids=["number_line", "bit_width", "multiplier"],
)
def test_the_same_data_give_the_same_bytes(make):
    assert make()._repr_html_() == make()._repr_html_()
