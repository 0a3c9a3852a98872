"""The figures on style transfer in a browser, compared with Python."""

from __future__ import annotations

import math

import numpy as np
import pytest
import test_figures as every
import torch
from every_figure import rules_for
from test_figures import THEMES, drag, press, tensor, values
from test_figures_storage import pixels, point, slide

from cvlab import interactive, style

pytestmark = pytest.mark.browser
watched, call = every.watched, every.call  # fixtures

GENERATOR = torch.Generator().manual_seed(0)
MAPS = torch.rand(5, 6, 9, generator=GENERATOR) * 4 - 1
PLAIN = {name: torch.full((3, 40, 60), level) for name, level in (("dark", 0.2), ("grey", 0.4), ("bright", 0.8))}
HISTORY = [{"step": s, "content": 0.5 - 0.5 / s, "style": 2.0 / s**2, "tv": 0.03} for s in range(1, 21)]
STEPS = [(0, PLAIN["dark"]), (5, PLAIN["grey"]), (20, PLAIN["bright"])]
ROWS = [[torch.full((3, 40, 60), 0.1 + 0.2 * i + 0.1 * j) for j in range(3)] for i in range(2)]
FIGURES = {
    "style_steps": lambda: interactive.style_steps(STEPS, HISTORY),
    "style_grid": lambda: interactive.style_grid(ROWS, [1, 10, 100], [0, 2]),
    "gram": lambda: interactive.gram(PLAIN["grey"], MAPS),
    "before_after": lambda: interactive.before_after(
        [PLAIN["dark"], PLAIN["grey"]], {"lit": [PLAIN["bright"]] * 2, "dimmed": [PLAIN["dark"] / 2] * 2}
    ),
}


def level(figure, where: str = ".frame:not([hidden]) > canvas") -> float:
    """The mean brightness of the picture that is shown."""
    return float(pixels(figure.locator(where).first).mean()) / 255


# --- style_steps ---


@pytest.mark.parametrize("theme", THEMES)
def test_steps_show_the_picture_and_the_losses(watched, theme):
    one = watched()
    figure = one.show(FIGURES["style_steps"](), theme=theme)
    for snapshot, (step, picture) in enumerate(STEPS):
        slide(figure, "after step", snapshot)
        now = values(figure)
        assert now["step"] == step
        assert now["values"] == pytest.approx(
            {k: v for k, v in HISTORY[max(step, 1) - 1].items() if k != "step"}, rel=1e-3
        )
        assert level(figure) == pytest.approx(float(picture.mean()), abs=0.01)
        assert f"step {step}" in figure.locator("p[role=status]").text_content()


def test_steps_follow_the_curve_and_play(watched):
    one = watched()
    figure = one.show(FIGURES["style_steps"]())
    drag(one.page, figure.locator(".chart"), -30, 0, at=(0.95, 0.5))
    assert values(figure)["step"] == 20
    figure.get_by_role("button", name="Play").click()
    one.page.wait_for_function("JSON.parse(document.querySelector('.cvlab-figure').dataset.values).step === 5")
    figure.get_by_role("button", name="Play").wait_for()  # at the end it stops by itself
    assert values(figure)["step"] == 20
    figure.get_by_role("button", name="Play").click()
    figure.get_by_role("button", name="Pause").click()
    figure.get_by_role("button", name="Play").wait_for()


def test_powers_hold_all_losses(call):
    cases = [[0.02, 3], [0, 1], [1, 1], [1e-9, 50], [0, 0], [0.1, 0.5]]
    for case, (low, high) in zip(cases, call("style_steps", "powers", [[case] for case in cases]), strict=True):
        assert 1 <= high - low <= 4
        assert max(case) <= 10**high * (1 + 1e-9)
        assert all(value >= 10**low * (1 - 1e-9) for value in case if value > 10 ** (high - 4))


# --- style_grid ---


def test_grid_blends_its_neighbours(watched):
    figure = watched().show(FIGURES["style_grid"]())
    for x, y in [(0, 0), (1, 0), (2, 1), (0.5, 0), (1.5, 0.5), (0.25, 1)]:
        slide(figure, "style weight", x)
        slide(figure, "smoothness", y)
        assert level(figure) == pytest.approx(0.1 + 0.2 * y + 0.1 * x, abs=0.02)
        assert values(figure)["weights"] == pytest.approx([10**x, 2 * y])
        blended = x % 1 > 0 or y % 1 > 0
        assert ("Blended" in figure.locator(".note").text_content()) == blended


def test_grid_by_hand_and_keyboard(watched):
    one = watched()
    figure = one.show(FIGURES["style_grid"]())
    hand = figure.locator(".hand")
    point(one.page, hand, 5 / 6, 0.76)
    one.page.mouse.down()
    one.page.mouse.up()
    assert (values(figure)["x"], values(figure)["y"]) == (2, 1), "near a point of the grid it is that point"
    hand.focus()
    press(one.page, "ArrowLeft", "ArrowUp")
    assert (values(figure)["x"], values(figure)["y"]) == pytest.approx((1.9, 0.9))
    press(one.page, "Shift+ArrowLeft", "Shift+ArrowUp", "ArrowUp")
    assert (values(figure)["x"], values(figure)["y"]) == pytest.approx((0.9, 0))


def test_shares_add_up(call):
    rng = np.random.default_rng(0)
    cases = [[float(x), float(y), 4, 3] for x, y in zip(rng.uniform(0, 3, 50), rng.uniform(0, 2, 50), strict=True)]
    for (x, y, *_), got in zip(cases, call("style_grid", "shares", cases), strict=True):
        assert sum(share for _, share in got) == pytest.approx(1)
        assert sum(share * (n % 4) for n, share in got) == pytest.approx(x)
        assert sum(share * (n // 4) for n, share in got) == pytest.approx(y)


# --- gram ---


def test_gram_is_that_of_python(watched, call):
    (got,) = call("gram", "gramOf", [[MAPS.flatten(1).tolist()]])
    torch.testing.assert_close(tensor(got), style.gram_matrix(MAPS[None].double())[0], atol=1e-9, rtol=1e-6)
    shown = tensor(values(watched().show(FIGURES["gram"]()))["matrix"])
    torch.testing.assert_close(shown, style.gram_matrix(MAPS[None].double())[0], atol=0.01, rtol=0.01)


@pytest.mark.parametrize("theme", THEMES)
def test_gram_forgets_places(watched, theme):
    one = watched()
    figure = one.show(FIGURES["gram"](), theme=theme)
    before = pixels(figure.locator(".maps canvas").nth(1))
    matrix = tensor(values(figure)["matrix"])
    figure.get_by_role("button", name="Shuffle all places").click()
    assert values(figure)["changed"] == 0
    after = pixels(figure.locator(".maps canvas").nth(1))
    assert not np.array_equal(before, after)
    assert np.array_equal(np.sort(before.reshape(-1, 3), 0), np.sort(after.reshape(-1, 3), 0))
    figure.get_by_role("button", name="Shuffle one channel").click()
    now = values(figure)
    assert now["changed"] == len(MAPS) - 1
    j = now["pair"][1]
    changed = (tensor(now["matrix"]) - matrix).abs() > 1e-9
    assert changed[j].sum() == changed[:, j].sum() == len(MAPS) - 1
    assert not changed[j, j]
    figure.get_by_role("button", name="As it was").click()
    assert tensor(values(figure)["matrix"]).equal(matrix)
    assert np.array_equal(pixels(figure.locator(".maps canvas").nth(1)), before)


def test_gram_entry_by_hand_and_keyboard(watched):
    one = watched()
    figure = one.show(FIGURES["gram"]())
    hand = figure.locator(".hand")
    point(one.page, hand, 0.5, 0.9)
    now = values(figure)
    assert now["pair"] == [4, 2]
    assert now["product"] / len(MAPS) == pytest.approx(now["matrix"][4][2])
    hand.focus()
    press(one.page, "ArrowUp", "ArrowLeft", "ArrowLeft", "ArrowLeft")
    assert values(figure)["pair"] == [3, 0]
    assert "channel 3 with channel 0" in figure.locator(".entry").text_content()


def test_shuffled_is_a_permutation(call):
    for n, order in zip((1, 2, 50), call("gram", "shuffled", [[1, 1], [2, 1], [50, 7]]), strict=True):
        assert sorted(order) == list(range(n))


# --- before_after ---


def halves(figure) -> tuple[float, float]:
    shown = pixels(figure.locator(".frame:not([hidden]) > canvas")).astype(float) / 255
    middle = shown.shape[1] // 2
    return float(shown[:, : middle - 2].mean()), float(shown[:, middle + 2 :].mean())


@pytest.mark.parametrize("theme", THEMES)
def test_before_is_left_and_after_right(watched, theme):
    figure = watched().show(FIGURES["before_after"](), theme=theme)
    assert halves(figure) == pytest.approx((0.2, 0.8), abs=0.01)
    figure.get_by_role("radio", name="dimmed").check()
    assert halves(figure) == pytest.approx((0.2, 0.1), abs=0.01)
    figure.locator(".thumb").nth(1).click()
    assert halves(figure) == pytest.approx((0.4, 0.1), abs=0.01)
    slide(figure, "line at", 1)
    assert halves(figure) == pytest.approx((0.4, 0.4), abs=0.01)
    slide(figure, "line at", 0)
    assert halves(figure) == pytest.approx((0.1, 0.1), abs=0.01)


def test_the_line_by_hand_and_keyboard(watched):
    one = watched()
    figure = one.show(FIGURES["before_after"]())
    hand = figure.locator(".frame:not([hidden]) .hand")
    width = hand.bounding_box()["width"]
    drag(one.page, hand, width / 4, 0)
    assert values(figure)["line"] == pytest.approx(0.75, abs=0.01)
    slide(figure, "line at", 0.5)
    hand.focus()
    press(one.page, "ArrowLeft", "Shift+ArrowLeft", "ArrowRight")
    assert values(figure)["line"] == pytest.approx(0.4)
    assert hand.get_attribute("aria-valuenow") == "40"
    assert math.isclose(float(hand.get_attribute("aria-valuemax")), 100)


# --- what holds for every figure ---


def act(page, figure, name: str) -> None:
    """Do the first thing that a reader would do."""
    if name == "style_steps":
        figure.get_by_role("slider").focus()
    else:
        figure.locator(".frame:not([hidden]) .hand").first.focus()
    press(page, "ArrowRight")


TestEveryFigure = rules_for(FIGURES, act)
