"""The figure of a mask head's masks: its data, and what it refuses."""

from __future__ import annotations

import base64
import math

import numpy as np
import pytest
import torch
from test_figure import state_of

from cvlab import interactive
from cvlab._check import InputError
from cvlab.data import StillLife

IMAGE = np.full((20, 30, 3), 128, dtype=np.uint8)
BOXES = [[2.0, 3.0, 12.0, 13.0], [15.123, 4.0, 25.0, 14.0]]
MASKS = torch.full((2, 4, 4), 0.9)
TRUTH = torch.zeros(3, 20, 30, dtype=torch.bool)  # the first is empty, the second at the right, the third at the left
TRUTH[1, 4:14, 16:26] = True
TRUTH[2, 3:13, 2:12] = True


def make(**other):
    return interactive.mask_head(**{"image": IMAGE, "boxes": BOXES, "masks28": MASKS, **other})


def test_probabilities_are_steps_of_256():
    masks = torch.tensor([[0.0, 1 / 256 - 1e-4, 1 / 256 + 1e-4], [0.5, 0.9999, 1.0], [0.25, 0.2, 0.1]])
    state = state_of(make(boxes=BOXES[:1], masks28=masks[None]))
    kept = list(base64.b64decode(state["masks"][0]))
    assert kept == [0, 0, 1, 128, 255, 255, 64, 51, 25]  # 256 * 0.2 = 51.2, 256 * 0.1 = 25.6
    assert (np.abs((np.array(kept) + 0.5) / 256 - masks.flatten().numpy()) <= 1 / 512 + 1e-6).all()
    assert state["cells"] == 3


def test_each_detection_knows_the_true_mask_it_overlaps_most():
    state = state_of(make(truth_masks=TRUTH, names=["pear", "plum"], threshold=0.4))
    assert state["truth"] == [2, 1]
    assert state["truths"][0] == [600]
    # rows 3 to 12, columns 2 to 11 of 30: 92 zeros, then 10 ones and 20 zeros in turn, and 18 + 7 * 30 zeros at the end
    assert state["truths"][2] == [92, 10, *[20, 10] * 9, 18 + 7 * 30]
    assert state["boxes"] == [BOXES[0], [15.12, 4, 25, 14]]
    assert (state["names"], state["threshold"]) == (["pear", "plum"], 0.4)


def test_a_mask_that_begins_with_ones():
    truth = torch.ones(1, 20, 30)
    truth[0, -1, -1] = 0
    assert state_of(make(truth_masks=truth))["truths"] == [[0, 599, 1]]


def test_a_detection_may_overlap_nothing():
    assert state_of(make(truth_masks=TRUTH[:2]))["truth"] == [None, 1]
    assert state_of(make(truth_masks=TRUTH[:0]))["truth"] == [None, None]
    state = state_of(make())
    assert (state["truth"], state["truths"]) == ([None, None], [])


def test_names_that_occur_twice_are_numbered():
    boxes, masks = BOXES[:1] * 3, MASKS[:1].expand(3, 4, 4)
    assert state_of(make(boxes=boxes, masks28=masks, names=["fig", "nut", "fig"]))["names"] == ["fig 1", "nut", "fig 2"]
    assert state_of(make())["names"] == ["detection 0", "detection 1"]


def test_masks_may_have_a_channel():
    assert state_of(make(masks28=MASKS[:, None]))["masks"] == state_of(make())["masks"]


def test_the_page_stays_small():
    data = StillLife(128, "val")
    image, target = data[0]
    boxes = target["boxes"]
    masks = torch.rand(len(boxes), 28, 28, generator=torch.Generator().manual_seed(0))
    made = make(image=image, boxes=boxes, masks28=masks, truth_masks=target["masks"])
    assert len(made._json) < 12_000 + 2_500 * len(boxes)
    assert len(made._repr_html_()) < 70_000


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"image": np.zeros((3, 20, 30))}, r"mask_head: image must be a \(3, H, W\) tensor"),
        ({"image": np.zeros((20, 1025, 3))}, "image must have at most 1024 pixels a side, got 20 x 1025"),
        ({"boxes": [[1, 2, 3]]}, r"boxes must have shape \(N, 4\), got \(1, 3\)"),
        ({"boxes": []}, "boxes must be 1 to 12, got 0"),
        ({"boxes": BOXES * 7}, "boxes must be 1 to 12, got 14"),
        ({"masks28": MASKS[0]}, r"masks28 must have shape \(2, M, M\), got \(4, 4\)"),
        ({"masks28": MASKS[:1]}, r"masks28 must have shape \(2, M, M\), got \(1, 4, 4\)"),
        ({"masks28": MASKS[:, :3]}, r"masks28 must be squares of 1 to 56 cells a side, got \(3, 4\)"),
        ({"masks28": torch.zeros(2, 57, 57)}, r"masks28 must be squares of 1 to 56 cells a side, got \(57, 57\)"),
        ({"masks28": MASKS * 2}, r"masks28\[0, 0, 0\] must lie in \[0, 1\], got 1.8"),
        ({"masks28": MASKS * math.nan}, r"masks28\[0, 0, 0\] is not finite"),
        ({"masks28": None}, "masks28 must be numbers in a rectangular array, got None"),
        ({"truth_masks": TRUTH[:, :19]}, r"truth_masks must have shape \(G, 20, 30\), got \(3, 19, 30\)"),
        ({"truth_masks": TRUTH * 2}, "truth_masks must be bool, or zeros and ones"),
        ({"names": ["one"]}, r"names must be 2 strings or more, got \['one'\]"),
        ({"threshold": 0.99}, r"threshold must lie in \[0.05, 0.95\], got 0.99"),
        ({"threshold": math.nan}, "threshold must be a finite number, got nan"),
    ],
)
def test_bad_input_is_refused(other, message):
    with pytest.raises(InputError, match=message):
        make(**other)
