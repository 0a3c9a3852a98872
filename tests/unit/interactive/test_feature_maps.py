"""The figure of feature maps: its data, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from test_figure import state_of

from cvlab import interactive
from cvlab._check import InputError
from cvlab.data import StillLife

IMAGE = np.full((60, 90, 3), 128, dtype=np.uint8)
TARGET = {"boxes": [[10.0, 20.0, 60.0, 50.0]], "labels": [1]}
MAPS, SCALES = [(6, 9), (3, 5)], [(0.2, 0.3), (0.5,)]


def make(**other):
    given = {"image": IMAGE, "target": TARGET, "maps": MAPS, "scales": SCALES, **other}
    return interactive.feature_maps(**given)


def test_state():
    state = state_of(make(fields=[15, 31], field_start=0.5, names=["-", "cup"], level=1, threshold=0.6))
    shared = {"ratios": [1.0, 2.0, 0.5]}
    assert state["maps"] == [
        {"rows": 6, "columns": 9, "scales": [0.2, 0.3], "field": 15.0, **shared},
        {"rows": 3, "columns": 5, "scales": [0.5], "field": 31.0, **shared},
    ]
    assert (state["boxes"], state["labels"]) == (TARGET["boxes"], [1])
    assert (state["names"], state["level"], state["threshold"], state["field_start"]) == (["-", "cup"], 1, 0.6, 0.5)


def test_defaults():
    state = state_of(make())
    assert [one["field"] for one in state["maps"]] == [None, None]
    assert state["names"] == ["class 0", "class 1"]


def test_an_item_of_the_data_set_and_no_objects():
    data = StillLife(64, "test")
    image, target = data[0]
    state = state_of(make(image=image, target=target, names=["background", *data.kinds]))
    assert state["boxes"] == target["boxes"].tolist()
    assert state_of(make(target={"boxes": torch.zeros(0, 4), "labels": torch.zeros(0)}))["boxes"] == []


def test_the_page_stays_small():
    data = StillLife(128, "test")
    assert len(make(image=data[0][0], target=data[0][1], fields=[71, 119])._repr_html_()) < 60_000


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"image": np.zeros((3, 8, 8))}, r"feature_maps: image must be a \(3, H, W\) tensor"),
        ({"target": TARGET["boxes"]}, "target must be a dictionary with boxes, labels, got list"),
        ({"target": {"boxes": []}}, r"target must be a dictionary with boxes, labels, got \['boxes'\]"),
        ({"target": {"boxes": [[1, 2, 3]], "labels": [1]}}, r"boxes of target must have shape \(N, 4\), got \(1, 3\)"),
        ({"target": {**TARGET, "labels": [1, 2]}}, r"labels of target must have shape \(1,\), one for each box"),
        ({"names": ["-"]}, r"names must be 2 strings or more, got \['-'\]"),
        ({"maps": []}, r"maps must be 1 to 6 sizes \(rows, columns\), got \[\]"),
        ({"maps": [(4, 4)] * 7}, "maps must be 1 to 6 sizes"),
        ({"maps": [4, 4]}, r"maps must be 1 to 6 sizes \(rows, columns\), got \[4, 4\]"),
        ({"maps": [(4, 4), (2.5, 2)]}, r"maps\[1\] must be whole numbers from 1 to 64, got \(2.5, 2\)"),
        ({"maps": [(65, 4), (2, 2)]}, r"maps\[0\] must be whole numbers from 1 to 64"),
        ({"scales": [(0.2,)]}, "scales must be for 2 maps, got"),
        ({"scales": 0.2}, "scales must be for 2 maps, got 0.2"),
        ({"scales": [(0.2,), (1.5,)]}, r"scales\[1\] must be at most 1, got 1.5"),
        ({"scales": [(0.2,), ()]}, r"scales\[1\] must not be empty"),
        ({"ratios": [0]}, r"ratios\[0\] must be finite and above 0, got 0"),
        ({"fields": [15]}, "fields must be for 2 maps, got"),
        ({"fields": [15, -1]}, r"fields\[1\] must be finite and above 0, got -1"),
        ({"field_start": float("nan")}, "field_start must be a finite number, got nan"),
        ({"threshold": 1.1}, r"threshold must lie in \[0, 1\], got 1.1"),
        ({"level": 2}, "level must be one of 0, 1, got '2'"),
    ],
)
def test_bad_input_is_refused(other, message):
    with pytest.raises(InputError, match=message):
        make(**other)
