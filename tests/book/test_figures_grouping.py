"""The figure of selective search's grouping in a browser: each step is compared with Python's history."""

from __future__ import annotations

import numpy as np
import pytest
import test_figures as every
import torch
from test_figures import THEMES, press, tensor, values

from cvlab import interactive, ops
from cvlab.data import StillLife
from cvlab.proposals import hierarchical_grouping, initial_segments

pytestmark = pytest.mark.browser
watched, call = every.watched, every.call  # fixtures

IMAGE, TARGET = StillLife(size=96, split="val", count=(3, 4))[5]
PIXELS = IMAGE.permute(1, 2, 0).double().numpy()
HISTORY = hierarchical_grouping(PIXELS, initial_segments(PIXELS, 60.0))
COUNT = int(HISTORY.segments.max()) + 1
BOXES = TARGET["boxes"].as_subclass(torch.Tensor)


def figure_at(step: int = 0):
    return interactive.grouping(IMAGE, HISTORY, BOXES, step=step)


def test_owners_are_those_of_python(call):
    merges = [[m.first, m.second] for m in HISTORY.merges]
    steps = [0, 1, 5, len(merges)]
    for step, got in zip(steps, call("grouping", "owners", [[COUNT, merges, s] for s in steps]), strict=True):
        owner = np.arange(COUNT)
        for merge in HISTORY.merges[:step]:
            owner[(owner == merge.first) | (owner == merge.second)] = merge.new
        assert got == owner.tolist()
    (flat,) = call("grouping", "unpack", [[figure_at().state["runs"]]])
    assert flat == HISTORY.segments.ravel().tolist()


def check(figure) -> dict:
    """Compare what the figure shows with the history."""
    now = values(figure)
    done = COUNT + now["step"]
    boxes = torch.from_numpy(HISTORY.boxes[:done])
    assert (now["regions"], now["proposals"]) == (COUNT - now["step"], done)
    torch.testing.assert_close(tensor(now["best"]), ops.box_iou(BOXES.double(), boxes).amax(1))
    assert now["box"] == boxes[-1].tolist()
    cells = [text.strip("✓ ") for text in figure.locator("table").last.locator("td").all_text_contents()]
    assert [float(text) for text in cells] == pytest.approx(now["best"], abs=5.1e-3)
    return now


@pytest.mark.parametrize("theme", THEMES)
def test_steps_by_button_slider_and_keyboard(watched, theme):
    one = watched()
    figure = one.show(figure_at(), theme=theme)
    assert check(figure)["step"] == 0
    figure.get_by_role("button", name="Merge").click()
    figure.get_by_role("button", name="Merge").click()
    assert check(figure)["step"] == 2
    figure.get_by_role("button", name="One back").click()
    assert check(figure)["step"] == 1
    figure.get_by_role("slider", name="merges").focus()
    press(one.page, "ArrowRight", "ArrowRight")
    assert check(figure)["step"] == 3
    figure.get_by_role("slider", name="merges").fill(str(len(HISTORY.merges)))
    assert check(figure)["regions"] == 1
    assert figure.get_by_role("button", name="Merge").is_disabled()


def test_to_the_next_find(watched):
    figure = watched().show(figure_at())
    before = sum(value >= 0.5 for value in check(figure)["best"])
    figure.get_by_role("button", name="To the next find").click()
    now = check(figure)
    after = sum(value >= 0.5 for value in now["best"])
    assert after > before or now["regions"] == 1


def test_it_fits_a_phone(watched):
    one = watched(viewport={"width": 320, "height": 800})
    one.show(figure_at(3))
    assert one.page.evaluate("document.documentElement.scrollWidth") <= 320
