"""What holds for every figure, as a class of tests that each module of figures makes of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import test_figures as every
from test_figures import THEMES

RULES = [
    every.test_the_same_figure_twice_on_a_page,
    every.test_in_a_sandboxed_frame,
    every.test_without_scripts_the_figure_says_what_it_shows,
    every.test_nothing_leaks_into_the_page,
    every.test_it_follows_the_theme_of_the_page,
    every.test_the_keyboard_is_always_seen,
]


def rules_for(figures: Mapping[str, Callable[[], Any]], act: Callable[..., None]) -> type:
    """Make the tests of some figures.

    Args:
        figures: functions that make them, by name.
        act: does with a page, a figure on it and its name what a reader would do first.
    """

    class EveryFigure:
        @pytest.fixture(params=figures)
        def name(self, request, monkeypatch) -> str:
            """The name of one of these figures, made known to the tests of every figure."""
            monkeypatch.setattr(every, "FIGURES", figures)
            monkeypatch.setattr(every, "act", act)
            return request.param

        @pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__.removeprefix("test_"))
        def test_what_holds_for_every_figure(self, watched, name, rule):
            rule(watched, name)

        @pytest.mark.parametrize("width", [320, 360, 768, 1400])
        def test_it_fits_the_page(self, watched, name, width):
            every.test_it_fits_the_page(watched, name, width)

        @pytest.mark.parametrize("theme", THEMES)
        def test_axe_finds_nothing(self, watched, axe_script, name, theme):
            every.test_axe_finds_nothing(watched, axe_script, name, theme)

        def test_from_a_file(self, watched, name, tmp_path):
            every.test_from_a_file(watched, name, tmp_path)

    return EveryFigure
