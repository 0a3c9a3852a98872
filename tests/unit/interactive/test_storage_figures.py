"""The figures of how pictures are stored and fed: their data, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest
import test_figure as every
import torch

from cvlab import interactive
from cvlab._palette import KINDS, ROLES

IMAGE = np.full((30, 45, 3), 120, dtype=np.uint8)
BOXES = [[5, 5, 20, 25], [10.5, 0, 45, 30]]
MAP = [[0, 0, 2], [0, 1, 2]]
FIGURES = {
    "letterbox": lambda: interactive.letterbox(IMAGE, BOXES, names=["cat", "dog"]),
    "mask_jpeg": lambda: interactive.mask_jpeg(MAP, image=IMAGE, names=["table", "apple", "pear"]),
}
EVERY_FIGURE = [
    every.test_the_same_figure_gives_the_same_bytes,
    every.test_html_is_one_div_and_one_module,
    every.test_nothing_is_fetched,
]


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize("test", EVERY_FIGURE, ids=lambda test: test.__name__)
def test_as_every_figure(monkeypatch, test, name):
    monkeypatch.setattr(every, "FIGURES", FIGURES)
    test(name)


def test_letterbox_state():
    state = every.state_of(interactive.letterbox(IMAGE, BOXES, size=(64, 512)))
    assert state["boxes"] == BOXES
    assert state["names"] == ["object 0", "object 1"]
    assert state["size"] == [64, 512]
    assert (state["picture"]["height"], state["picture"]["width"]) == (30, 45)


@pytest.mark.parametrize("boxes", [(), [], torch.zeros(0, 4)])
def test_letterbox_without_boxes(boxes):
    assert every.state_of(interactive.letterbox(IMAGE, boxes))["boxes"] == []


@pytest.mark.parametrize("make", [list, np.array, torch.tensor])
def test_labels_may_be_lists_arrays_or_tensors(make):
    state = every.state_of(interactive.mask_jpeg(make(MAP)))
    assert (state["height"], state["width"]) == (2, 3)
    assert state["runs"] == [[0, 2], [2, 1], [0, 1], [1, 1], [2, 1]]  # row by row, and on into the next row
    assert state["names"] == ["label 0", "label 1", "label 2"]
    assert state["image"] is None


def test_a_large_label_map_stays_small():
    """Each pixel its own run is the worst case: 128 x 128 runs of about 6 characters."""
    noise = np.indices((128, 128)).sum(0) % 16
    assert len(interactive.mask_jpeg(noise, image=np.zeros((300, 300, 3)))._repr_html_()) < 150_000
    smooth = np.indices((96, 96)).max(0) // 20
    assert len(interactive.mask_jpeg(smooth)._repr_html_()) < 45_000


def test_colours_of_labels():
    names = ["table", "apple", "cup", "pear", *(f"thing {i}" for i in range(12))]
    assert len(names) == 16
    classes = every.state_of(interactive.mask_jpeg([[0, 15]], names=names))["classes"]
    assert (classes[1], classes[3]) == (KINDS["apple"], KINDS["pear"])
    assert len(set(classes)) == 16
    assert ROLES["prediction"] not in classes


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: interactive.letterbox(None), "letterbox: image must be"),
        (lambda: interactive.letterbox(IMAGE, [[1, 2, 3]]), r"letterbox: boxes must have shape \(N, 4\), got \(1, 3\)"),
        (lambda: interactive.letterbox(IMAGE, [[0, 0, 5, float("nan")]]), r"letterbox: boxes\[0, 3\] is not finite"),
        (lambda: interactive.letterbox(IMAGE, [[9, 0, 5, 5]]), r"letterbox: boxes\[0\] has x2 < x1"),
        (lambda: interactive.letterbox(IMAGE, BOXES, names=["one"]), "letterbox: names must be 2 strings or more"),
        (lambda: interactive.letterbox(IMAGE, size=256), r"letterbox: size must be \(height, width\), .* got 256"),
        (lambda: interactive.letterbox(IMAGE, size=(64, 64, 64)), r"letterbox: size must be \(height, width\)"),
        (lambda: interactive.letterbox(IMAGE, size=(48, 64)), r"multiples of 16 from 64 to 512, got \(48, 64\)"),
        (lambda: interactive.letterbox(IMAGE, size=(64, 528)), r"multiples of 16 from 64 to 512, got \(64, 528\)"),
        (lambda: interactive.letterbox(IMAGE, size=(64, 100)), r"multiples of 16 from 64 to 512, got \(64, 100\)"),
        (lambda: interactive.letterbox(IMAGE, size="large"), "letterbox: size must be numbers"),
        (lambda: interactive.mask_jpeg(None), "mask_jpeg: labels must be numbers .*, got None"),
        (lambda: interactive.mask_jpeg([0, 1]), r"mask_jpeg: labels must have shape \(H, W\), got \(2,\)"),
        (lambda: interactive.mask_jpeg([[]]), r"mask_jpeg: labels must have 1 to 128 pixels a side, got \(1, 0\)"),
        (lambda: interactive.mask_jpeg(np.zeros((8, 129))), r"labels must have 1 to 128 pixels a side, got \(8, 129\)"),
        (lambda: interactive.mask_jpeg([[0, 1], [0, 0.5]]), r"labels\[1, 1\] must be a whole number from 0 to 15"),
        (lambda: interactive.mask_jpeg([[0, -1]]), r"labels\[0, 1\] must be a whole number from 0 to 15, got -1"),
        (lambda: interactive.mask_jpeg([[0, 255]]), r"labels\[0, 1\] must be a whole number from 0 to 15, got 255"),
        (lambda: interactive.mask_jpeg([[0, float("nan")]]), r"mask_jpeg: labels\[0, 1\] is not finite"),
        (lambda: interactive.mask_jpeg(MAP, names=["table"]), r"mask_jpeg: names must be 3 strings or more"),
        (lambda: interactive.mask_jpeg(MAP, names=list("abcdefghijklmnopq")), "names must be at most 16, got 17"),
        (lambda: interactive.mask_jpeg(MAP, image=np.zeros((3, 4, 5))), "mask_jpeg: image must be"),
    ],
)
def test_bad_input_is_refused_with_a_clear_message(make, message):
    with pytest.raises(ValueError, match=message):
        make()
