"""The figures on style transfer: their data, and what they refuse."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
import torch
from PIL import Image
from test_figure import state_of

from cvlab import interactive, style
from cvlab._check import InputError

NOISE = torch.rand(3, 24, 36, generator=torch.Generator().manual_seed(0))
MAPS = torch.rand(5, 6, 9, generator=torch.Generator().manual_seed(1)) * 4 - 1
SNAPSHOTS = [(step, NOISE / (step + 1)) for step in (0, 4, 9)]
HISTORY = [{"step": step, "content": 0.1 * step, "style": 1 / step, "tv": 0.0} for step in range(1, 10)]


def test_style_steps_keeps_pictures_and_losses():
    state = state_of(interactive.style_steps(SNAPSHOTS, HISTORY, terms=["style", "content"], snapshot=1))
    assert [one["step"] for one in state["pictures"]] == [0, 4, 9]
    assert {(one["height"], one["width"]) for one in state["pictures"]} == {(24, 36)}
    assert state["steps"] == list(range(1, 10))
    assert list(state["terms"]) == ["style", "content"]
    assert state["terms"]["style"] == [pytest.approx(1 / step, rel=1e-3) for step in range(1, 10)]
    assert state["snapshot"] == 1


def test_style_steps_takes_what_a_transfer_gives():
    transfer = style.StyleTransfer(style.loss_network("random"))
    result = transfer.run(NOISE.repeat(1, 2, 2), NOISE.repeat(1, 2, 2), steps=3, snapshot_every=1, progress=False)
    state = state_of(interactive.style_steps(result.snapshots, result.history))
    assert [one["step"] for one in state["pictures"]] == [0, 1, 2, 3]
    assert state["steps"] == [1, 2, 3]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"snapshots": SNAPSHOTS[:1]}, "snapshots must be a whole number from 2 to 30, got 1"),
        ({"snapshots": [(0, NOISE), (0, NOISE)]}, r"snapshots\[1\] must have a whole step above 0"),
        ({"snapshots": [(0, NOISE), (1.5, NOISE)]}, r"snapshots\[1\] must have a whole step"),
        ({"snapshots": [(0, NOISE), (1, NOISE[:, :9])]}, "the same height and width"),
        ({"history": HISTORY[:1]}, "history must be a whole number from 2 to 500, got 1"),
        ({"history": [*HISTORY, HISTORY[0]]}, r"history\[9\] must have a whole step above 9"),
        ({"terms": ["texture"]}, "has no 'texture', only"),
        ({"terms": []}, "terms must be a whole number from 1 to 4, got 0"),
        ({"history": [{**HISTORY[0], "style": -1.0}, HISTORY[1]]}, "'style'"),
        ({"history": [{**HISTORY[0], "style": float("nan")}, HISTORY[1]]}, "'style'"),
        ({"snapshot": 3}, "snapshot must be a whole number from 0 to 2, got 3"),
    ],
)
def test_style_steps_refuses(change, words):
    with pytest.raises(InputError, match=words):
        interactive.style_steps(**{"snapshots": SNAPSHOTS, "history": HISTORY, **change})


def test_style_grid_keeps_rows_and_weights():
    rows = [[NOISE * (0.2 * i + 0.1 * j) for j in range(3)] for i in range(2)]
    state = state_of(interactive.style_grid(rows, [1, 10, 100], [0, 0.5], start=(1, 2)))
    assert len(state["pictures"]) == 6
    assert (state["across"], state["down"], state["start"]) == ([1, 10, 100], [0, 0.5], [1, 2])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"across": [1, 2, 3]}, "2 rows of 3, got rows of"),
        ({"down": [0, 1, 2]}, "3 rows of 2"),
        ({"across": [1]}, "across must be 2 to 6 weights, got 1"),
        ({"across": [2, 1]}, "across must rise"),
        ({"down": [1, 1]}, "down must rise"),
        ({"down": [-1, 1]}, "down"),
        ({"start": (0, 2)}, "a row below 2 and a column below 2"),
        ({"pictures": [[NOISE, NOISE], [NOISE, NOISE[:, 1:]]]}, "the same height and width"),
    ],
)
def test_style_grid_refuses(change, words):
    whole = {"pictures": [[NOISE, NOISE], [NOISE, NOISE]], "across": [1, 2], "down": [0, 1]}
    with pytest.raises(InputError, match=words):
        interactive.style_grid(**{**whole, **change})


def test_gram_keeps_maps_in_256_steps():
    state = state_of(interactive.gram(NOISE, MAPS, pair=(4, 2)))
    grey = np.array(Image.open(io.BytesIO(base64.b64decode(state["maps"].split(",")[1])))).reshape(5, 6, 9)
    low, high = (np.array(one)[:, None, None] for one in zip(*state["ranges"], strict=True))
    kept = torch.from_numpy(low + (high - low) * grey / 255)
    assert float((kept - MAPS).abs().max()) <= float((high - low).max()) / 510 + 1e-5
    ours, exact = (style.gram_matrix(one[None].double()) for one in (kept, MAPS))
    assert float((ours - exact).abs().max()) < 0.01 * float(exact.max())
    assert state["names"] == [f"channel {i}" for i in range(5)]
    assert state["pair"] == [4, 2]


def test_gram_takes_channels_that_never_answer():
    state = state_of(interactive.gram(NOISE, torch.zeros(2, 3, 3)))
    assert state["ranges"] == [[0.0, 0.0], [0.0, 0.0]]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"maps": MAPS[0]}, "maps"),
        ({"maps": MAPS[:1]}, "2 to 16 channels"),
        ({"maps": torch.zeros(17, 2, 2)}, "2 to 16 channels"),
        ({"maps": torch.zeros(2, 65, 64)}, "at most 4096 places"),
        ({"maps": MAPS / 0}, "finite"),
        ({"names": ["a", "b"]}, "names must be 5"),
        ({"pair": (0, 5)}, "from 0 to 4"),
    ],
)
def test_gram_refuses(change, words):
    with pytest.raises(InputError, match=words):
        interactive.gram(**{"image": NOISE, "maps": MAPS, **change})


def test_before_after_keeps_all():
    figure = interactive.before_after([NOISE, NOISE[:, :9]], {"dark": [NOISE / 2, NOISE[:, :9] / 2]}, line=0.25)
    state = state_of(figure)
    assert [(one["height"], one["width"]) for one in state["pictures"]] == [(24, 36), (9, 36)]
    assert [one["name"] for one in state["changes"]] == ["dark"]
    assert (state["names"], state["line"]) == (["picture 0", "picture 1"], 0.25)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"before": []}, "pictures must be a whole number from 1 to 6, got 0"),
        ({"after": {}}, "ways to change them must be a whole number from 1 to 4, got 0"),
        ({"after": {"dark": [NOISE, NOISE]}}, "'dark' must have 1 pictures, got 2"),
        ({"after": {"dark": [NOISE[:, 1:]]}}, "picture 0 of 'dark' must be"),
        ({"line": 1.5}, "line"),
        ({"names": []}, "names"),
    ],
)
def test_before_after_refuses(change, words):
    with pytest.raises(InputError, match=words):
        interactive.before_after(**{"before": [NOISE], "after": {"dark": [NOISE]}, **change})
