"""What the figures of augmentation are given: the checks of their data, and how large they get."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
import torch
from PIL import Image

from cvlab import _check, interactive
from cvlab._palette import ROLES

IMAGE = np.random.default_rng(0).integers(0, 256, (300, 450, 3), dtype=np.uint8)  # noise: no JPEG is larger
BOXES = [[10.0, 20.0, 60.0, 80.0], [15.0, 25.0, 65.0, 85.0]]
FIGURES = {
    "augmentation": lambda: interactive.augmentation(IMAGE, BOXES, names=["cat", "dog"]),
    "mixing": lambda: interactive.mixing(IMAGE, IMAGE[::-1].copy(), boxes_first=BOXES),
}


@pytest.mark.parametrize("name", FIGURES)
def test_the_same_figure_gives_the_same_bytes_and_not_too_many(name):
    first, second = FIGURES[name]()._repr_html_(), FIGURES[name]()._repr_html_()
    assert first == second
    assert len(first) < 160_000
    assert first.count("<script") == 1


def test_the_state_of_an_augmentation():
    state = interactive.augmentation(torch.rand(3, 40, 60), torch.tensor(BOXES)).state
    assert state["boxes"] == BOXES
    assert state["names"] == ["object 0", "object 1"]
    assert state["least"] == 0.25
    assert (state["picture"]["width"], state["picture"]["height"]) == (60, 40)
    assert state["colours"] == ROLES


@pytest.mark.parametrize("none", [(), [], torch.zeros(0, 4)], ids=["tuple", "list", "tensor"])
def test_there_may_be_no_boxes(none):
    assert interactive.augmentation(IMAGE, none).state["boxes"] == []
    assert interactive.mixing(IMAGE, IMAGE, boxes_first=none, boxes_second=none).state["boxes"] == [[], []]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"boxes": [[1, 2, 3]]}, r"augmentation: boxes must have shape \(N, 4\), got \(1, 3\)"),
        ({"boxes": [[5, 0, 1, 9]]}, r"augmentation: boxes\[0\] has x2 < x1"),
        ({"boxes": [[0, 0, 1, float("nan")]]}, r"augmentation: boxes\[0, 3\] is not finite"),
        ({"boxes": None}, "augmentation: boxes must be numbers in a rectangular array, got None"),
        ({"boxes": BOXES, "names": ["cat"]}, r"augmentation: names must be 2 strings or more, got \['cat'\]"),
        ({"min_visible": 1.5}, r"augmentation: min_visible must lie in \[0, 1\], got 1.5"),
        ({"image": None}, "augmentation: image must be a .* tensor or an .* array"),
        ({"image": torch.rand(3, 4, 5) * 9}, r"augmentation: a float image must be in \[0, 1\]"),
    ],
)
def test_augmentation_refuses(arguments, message):
    with pytest.raises(_check.InputError, match=message):
        interactive.augmentation(**{"image": IMAGE, **arguments})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"second": IMAGE[:200]}, r"mixing: second must have the size of first, \(300, 450\), got \(200, 450\)"),
        ({"second": torch.zeros(2, 3)[None, None]}, "mixing, second: image must be a .* tensor or an .* array"),
        ({"first": IMAGE.astype(int)}, "mixing, first: image must be float in .* or uint8, got int64"),
        ({"boxes_first": [[5, 0, 1, 9]]}, r"mixing: boxes_first\[0\] has x2 < x1"),
        ({"boxes_second": [[1, 2]]}, r"mixing: boxes_second must have shape \(N, 4\), got \(1, 2\)"),
        ({"names": ["apple"]}, r"mixing: names must be 2 strings or more, got \['apple'\]"),
        ({"names": "ab"}, "mixing: names must be 2 strings or more, got 'ab'"),
    ],
)
def test_mixing_refuses(arguments, message):
    with pytest.raises(_check.InputError, match=message):
        interactive.mixing(**{"first": IMAGE, "second": IMAGE, **arguments})


def test_pictures_of_a_mixture_are_embedded_in_small_and_keep_their_size():
    state = interactive.mixing(np.full((600, 900, 3), 90, dtype=np.uint8), torch.rand(3, 600, 900)).state
    for picture in state["pictures"]:
        assert (picture["width"], picture["height"]) == (900, 600)
        inside = Image.open(io.BytesIO(base64.b64decode(picture["src"].split(",")[1])))
        assert max(inside.size) <= 400
    assert state["names"] == ["A", "B"]
