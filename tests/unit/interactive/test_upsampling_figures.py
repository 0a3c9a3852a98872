"""The figures of transposed convolution: their data, and what they refuse."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from test_figure import state_of

from cvlab import interactive
from cvlab._check import InputError

PIXELS = [[1, -2, 0], [3, 1, 2], [9, 0, -9]]
KERNEL = [[1, 2], [3, 4]]

# --- step by step ---


def test_steps_state():
    state = state_of(interactive.trans_conv(PIXELS, KERNEL, kernel_size=1, stride=3, padding=2, step=9))
    assert (state["x"], state["weight"]) == (PIXELS, KERNEL)
    assert (state["kernel"], state["stride"], state["padding"], state["step"]) == (1, 3, 2, 9)


def test_steps_defaults():
    state = state_of(interactive.trans_conv())
    assert (len(state["x"]), len(state["weight"])) == (3, 4)
    assert (state["kernel"], state["stride"], state["padding"], state["step"]) == (3, 2, 0, 0)
    assert state_of(interactive.trans_conv(weight=KERNEL))["kernel"] == 2


@pytest.mark.parametrize("make", [np.array, torch.tensor, lambda grid: torch.tensor(grid).half(), lambda grid: grid])
def test_grids_may_be_lists_arrays_or_tensors(make):
    state = state_of(interactive.trans_conv(make(PIXELS), make(KERNEL)))
    assert (state["x"], state["weight"]) == (PIXELS, KERNEL)
    state = state_of(interactive.conv_matrix(make(KERNEL), make(PIXELS)))
    assert (state["x"], state["weight"]) == (PIXELS, KERNEL)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"x": [[1]]}, r"trans_conv: x must be a square of 2 to 4 numbers a side, got shape \(1, 1\)"),
        ({"x": [[1, 2, 3], [4, 5, 6]]}, r"x must be a square of 2 to 4 numbers a side, got shape \(2, 3\)"),
        ({"x": np.ones((5, 5))}, r"x must be a square .*, got shape \(5, 5\)"),
        ({"x": [1, 2]}, r"x must be a square .*, got shape \(2,\)"),
        ({"x": torch.ones(1, 2, 2)}, r"x must be a square .*, got shape \(1, 2, 2\)"),
        ({"x": [[1, 2], [3]]}, "trans_conv: x must be numbers in a rectangular array"),
        ({"x": [[1, 2], [0.5, 4]]}, r"x\[1, 0\] must be a whole number from -9 to 9, got 0.5"),
        ({"x": [[1, 2], [3, 10]]}, r"x\[1, 1\] must be a whole number from -9 to 9, got 10"),
        ({"x": [[1, math.nan], [3, 4]]}, r"x\[0, 1\] is not finite"),
        ({"weight": np.ones((5, 5))}, r"weight must be a square of 2 to 4 numbers a side, got shape \(5, 5\)"),
        ({"weight": [[1, 2], [-10, 4]]}, r"weight\[1, 0\] must be a whole number from -9 to 9, got -10"),
        ({"kernel_size": 5}, "kernel_size must be a whole number from 1 to 4, got 5"),
        ({"kernel_size": 3, "weight": KERNEL}, "kernel_size must be a whole number from 1 to 2, got 3"),
        ({"kernel_size": 0}, "kernel_size must be a whole number from 1 to 4, got 0"),
        ({"stride": 0}, "stride must be a whole number from 1 to 3, got 0"),
        ({"stride": 1.5}, "stride must be a whole number from 1 to 3, got 1.5"),
        ({"stride": "2"}, "stride must be a finite number, got '2'"),
        ({"padding": 3}, "padding must be a whole number from 0 to 2, got 3"),
        ({"padding": -1}, "padding must be a whole number from 0 to 2, got -1"),
        ({"step": 10}, "step must be a whole number from 0 to 9, got 10"),
        ({"step": 5, "x": KERNEL}, "step must be a whole number from 0 to 4, got 5"),
    ],
)
def test_bad_steps_are_refused(other, message):
    with pytest.raises(InputError, match=message):
        interactive.trans_conv(**other)


# --- the matrix ---


def test_matrix_state():
    state = state_of(interactive.conv_matrix(KERNEL, PIXELS, stride=3, padding=1, transposed=True))
    assert (state["x"], state["weight"]) == (PIXELS, KERNEL)
    assert (state["stride"], state["padding"], state["transposed"]) == (3, 1, True)


def test_matrix_defaults():
    state = state_of(interactive.conv_matrix())
    assert (len(state["x"]), len(state["weight"])) == (4, 3)
    assert (state["stride"], state["padding"], state["transposed"]) == (1, 0, False)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (
            {"weight": np.ones((4, 4))},
            r"conv_matrix: weight must be a square of 2 to 3 numbers a side, got shape \(4, 4\)",
        ),
        ({"weight": [[1, 2], [3, 4.5]]}, r"weight\[1, 1\] must be a whole number from -9 to 9, got 4.5"),
        ({"x": KERNEL}, r"x must be a square of 3 to 5 numbers a side, got shape \(2, 2\)"),
        ({"x": np.ones((6, 6))}, r"x must be a square of 3 to 5 numbers a side, got shape \(6, 6\)"),
        ({"stride": 4}, "stride must be a whole number from 1 to 3, got 4"),
        ({"padding": 3}, "padding must be a whole number from 0 to 2, got 3"),
        ({"padding": 2, "weight": KERNEL}, "padding must be less than the kernel's size 2, got 2"),
        ({"padding": None}, "padding must be a finite number, got None"),
    ],
)
def test_bad_matrices_are_refused(other, message):
    with pytest.raises(InputError, match=message):
        interactive.conv_matrix(**other)


# --- checkerboards ---


def test_checkerboard_state():
    weight = np.arange(1, 37).reshape(6, 6) / 36
    state = state_of(
        interactive.checkerboard(
            weight, kernel_size=5, stride=4, method="shuffle", kernel="random", picture="constant", question="Why?"
        )
    )
    assert (state["size"], state["stride"], state["question"]) == (5, 4, "Why?")
    assert (state["method"], state["kernel"], state["picture"]) == ("shuffle", "random", "constant")
    assert np.abs(np.array(state["weight"]) - weight).max() <= 0.0005


def test_checkerboard_defaults():
    state = state_of(interactive.checkerboard())
    assert (state["size"], state["stride"]) == (3, 2)
    assert (state["method"], state["kernel"], state["picture"]) == ("transposed", "ones", "smooth")


def test_the_random_kernel_has_a_seed():
    one, same, other = (state_of(interactive.checkerboard(seed=seed))["weight"] for seed in (3, 3, 4))
    assert one == same != other
    assert np.shape(one) == (6, 6)
    assert 0.1 <= np.min(one) < np.max(one) <= 1


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"weight": np.ones((5, 6))}, r"checkerboard: weight must have shape \(6, 6\), got \(5, 6\)"),
        ({"weight": np.ones(6)}, r"weight must have shape \(6, 6\), got \(6,\)"),
        ({"weight": np.eye(6)}, r"weight\[0, 1\] must be at least 0.001, got 0"),
        ({"weight": np.full((6, 6), math.inf)}, r"weight\[0, 0\] is not finite"),
        ({"kernel_size": 1}, "kernel_size must be a whole number from 2 to 6, got 1"),
        ({"kernel_size": 7}, "kernel_size must be a whole number from 2 to 6, got 7"),
        ({"stride": 5}, "stride must be a whole number from 1 to 4, got 5"),
        ({"seed": -1}, "seed must be a whole number from 0 to 2147483647, got -1"),
        ({"stride": math.nan}, "stride must be a finite number, got nan"),
        ({"method": "bilinear"}, "method must be one of transposed, resize, shuffle, got 'bilinear'"),
        ({"kernel": "zeros"}, "kernel must be one of ones, random, got 'zeros'"),
        ({"picture": "cat"}, "picture must be one of constant, smooth, got 'cat'"),
    ],
)
def test_bad_checkerboards_are_refused(other, message):
    with pytest.raises(InputError, match=message):
        interactive.checkerboard(**other)


def test_pages_stay_small():
    for figure in (interactive.trans_conv(), interactive.conv_matrix(), interactive.checkerboard()):
        assert len(figure._repr_html_()) < 50_000
