"""The figure of a region over a feature map: its data, and what it refuses."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from test_figure import state_of

from cvlab import interactive
from cvlab._check import InputError

MAP = [[0.0, 1.0, 2.0], [10.0, 11.0, 12.0]]
BOX = [4.0, 2.5, 40.0, 30.0]


def make(**other):
    return interactive.roi(**{"feature_map": MAP, "box": BOX, **other})


def test_state():
    image = np.zeros((16, 24, 3), dtype=np.uint8)
    state = state_of(make(box=[1, 2, 20, 15], size=4, stride=8, image=image, sampling_ratio=3, aligned=False))
    assert (state["rows"], state["columns"], state["stride"]) == (2, 3, 8)
    assert state["map"] == [0, 1, 2, 10, 11, 12]
    assert state["box"] == [1, 2, 20, 15]
    assert (state["size"], state["sampling_ratio"], state["aligned"]) == (4, 3, False)
    assert state["src"].startswith("data:image/jpeg;base64,")


def test_defaults():
    state = state_of(make())
    assert (state["size"], state["stride"], state["sampling_ratio"], state["aligned"]) == (2, 16, 2, True)
    assert state["src"] is None


@pytest.mark.parametrize("value", [math.pi * 1e-7, math.pi, -math.pi * 1e7])
def test_values_keep_six_digits(value):
    kept = state_of(make(feature_map=[[value, 0], [0, 0]], box=[0, 0, 9, 9]))["map"][0]
    assert kept == pytest.approx(value, rel=5e-6)
    assert len(str(kept)) <= 12


@pytest.mark.parametrize("layout", [torch.tensor(MAP), torch.tensor([MAP]), np.array(MAP), torch.tensor(MAP).half()])
def test_a_map_may_have_one_channel(layout):
    assert state_of(make(feature_map=layout))["map"] == [0, 1, 2, 10, 11, 12]


def test_a_region_may_fill_the_map_or_be_a_point():
    assert state_of(make(box=[0, 0, 48, 32]))["box"] == [0, 0, 48, 32]
    assert state_of(make(box=[5, 5, 5, 5]))["box"] == [5, 5, 5, 5]


def test_the_page_stays_small():
    features = torch.rand(16, 16, generator=torch.Generator().manual_seed(0))
    assert len(make(feature_map=features, image=torch.rand(3, 256, 256))._repr_html_()) < 110_000
    assert len(make(feature_map=features)._repr_html_()) < 60_000


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"feature_map": [1, 2]}, r"roi: feature_map must have shape \(H, W\), got \(2,\)"),
        ({"feature_map": [MAP, MAP]}, r"feature_map must have shape \(H, W\), got \(2, 2, 3\)"),
        ({"feature_map": [[1, 2]]}, r"feature_map must have 2 to 16 cells a side, got \(1, 2\)"),
        ({"feature_map": np.zeros((17, 4))}, r"feature_map must have 2 to 16 cells a side, got \(17, 4\)"),
        ({"feature_map": [[0, math.nan], [0, 0]]}, r"feature_map\[0, 1\] is not finite"),
        ({"feature_map": None}, "feature_map must be numbers in a rectangular array, got None"),
        ({"box": [1, 2, 3]}, r"box must have shape \(4,\), got \(3,\)"),
        ({"box": [9, 2, 3, 4]}, "box has x2 < x1"),
        ({"box": [0, 0, 49, 8]}, r"box must lie in the map's 32 x 48 pixels, got \[0.0, 0.0, 49.0, 8.0\]"),
        ({"box": [-1, 0, 9, 8]}, "box must lie in the map's 32 x 48 pixels"),
        ({"image": np.zeros((32, 47, 3), np.uint8)}, "image must have 32 x 48 pixels, 16 for each cell, got 32 x 47"),
        ({"image": np.zeros((3, 32, 48))}, r"roi: image must be a \(3, H, W\) tensor"),
        ({"stride": 0}, r"\(stride,\)\[0\] must be finite and above 0, got 0"),
        ({"size": 1}, "size must be a whole number from 2 to 4, got 1"),
        ({"size": 2.5}, "size must be a whole number from 2 to 4, got 2.5"),
        ({"size": "7"}, "size must be a finite number, got '7'"),
        ({"sampling_ratio": 0}, "sampling_ratio must be a whole number from 1 to 3, got 0"),
        ({"sampling_ratio": 4}, "sampling_ratio must be a whole number from 1 to 3, got 4"),
    ],
)
def test_bad_input_is_refused(other, message):
    with pytest.raises(InputError, match=message):
        make(**other)
