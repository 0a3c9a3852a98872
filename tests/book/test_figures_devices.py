"""The table of devices in a browser: hands say what matters, Python says what fits and what comes first."""

from __future__ import annotations

import numpy as np
import pytest
import test_figures as every
from every_figure import rules_for
from test_figures import press, shown, values
from test_figures_storage import slide

from cvlab import interactive

pytestmark = pytest.mark.browser
watched, call = every.watched, every.call  # fixtures

PC = {"device": "PC", "format": "float32", "size": 571_000, "accuracy": 0.9872, "agreement": 1, "checked": "run"}
CHIP = {"device": "Cortex-M3", "size_limit": 262_144, "ram_limit": 65_536, "checked": "emulated"}
ROWS = [
    {**PC, "cost": 1.0, "unit": "ratio"},
    {**PC, "format": "int8", "size": 186_000, "accuracy": 0.9861, "agreement": 0.994, "cost": 0.42, "unit": "ratio"},
    {**PC, "device": "iPhone", "format": "float16", "size": 290_000, "checked": "read back", "note": "Read by us."},
    {
        **CHIP,
        "format": "int8",
        "size": 171_500,
        "accuracy": 0.986,
        "cost": 14.2e6,
        "unit": "instructions",
        "ram": 49_200,
    },
    {
        **CHIP,
        "format": "float32",
        "size": 571_000,
        "accuracy": 0.9872,
        "cost": 3.1e8,
        "unit": "instructions",
        "ram": 2e5,
    },
    {
        "device": "browser",
        "format": "int8",
        "size": 9_400,
        "accuracy": 0.9,
        "cost": 0.3,
        "unit": "ms",
        "checked": "run",
    },
]
PLAIN = [{key: value for key, value in row.items() if key != "ram"} for row in ROWS[:2]]
FIGURES = {"device_table": lambda: interactive.device_table(ROWS)}
UNITS = ["ratio", "ms", "instructions"]


def complete(row: dict) -> dict:
    keys = ("agreement", "cost", "unit", "ram", "size_limit", "ram_limit", "note")
    return {**dict.fromkeys(keys), **row}


def order_of(rows: list[dict], matters: str) -> list[int]:
    """Sort as the figure must: the known first, costs by their units, and equal ones as they were given."""

    def key(i: int) -> tuple:
        value = rows[i][matters]
        unit = UNITS.index(rows[i]["unit"]) if matters == "cost" and value is not None else 0
        return (value is None, unit, 0 if value is None else -value if matters == "accuracy" else value)

    return sorted(range(len(rows)), key=key)


def fits(row: dict, budgets: dict) -> bool:
    most = min(budgets["size"], row["size_limit"] or np.inf)
    ram = min(budgets["ram"] or np.inf, row["ram_limit"] or np.inf)
    return row["size"] <= most and row["accuracy"] >= budgets["accuracy"] and (row["ram"] or 0) <= ram


def random_rows(rng, count: int) -> list[dict]:
    def maybe(value):
        return value if rng.random() < 0.6 else None

    rows = []
    for _ in range(count):
        cost = maybe(float(rng.integers(1, 6)))
        rows.append({
            "device": "d", "format": "f", "checked": "run", "note": "", "agreement": None,
            "size": float(rng.integers(1, 6)), "accuracy": int(rng.integers(0, 6)) / 5, "cost": cost,
            "unit": None if cost is None else UNITS[rng.integers(3)], "ram": maybe(float(rng.integers(1, 6))),
            "size_limit": maybe(float(rng.integers(1, 6))), "ram_limit": maybe(float(rng.integers(1, 6))),
        })  # fmt: skip
    return rows


def test_order_is_that_of_python(call):
    rng = np.random.default_rng(0)
    cases = [
        [random_rows(rng, 1 + i % 9), matters] for i in range(40) for matters in ("size", "accuracy", "cost", "ram")
    ]
    for (rows, matters), got in zip(cases, call("device_table", "ordered", cases), strict=True):
        assert got == order_of(rows, matters)


def test_what_fits_is_that_of_python(call):
    rng = np.random.default_rng(1)
    cases = []
    for row in random_rows(rng, 400):
        size, accuracy, ram = float(rng.integers(1, 6)), int(rng.integers(0, 6)) / 5, float(rng.integers(1, 6))
        cases.append([row, {"size": size, "accuracy": accuracy, "ram": ram if rng.random() < 0.7 else None}])
    found = call("device_table", "reasons", cases)
    for (row, budgets), got in zip(cases, found, strict=True):
        assert (got == []) == fits(row, budgets)
    assert 40 < sum(got == [] for got in found) < 360
    assert max(map(len, found)) == 5


def test_numbers_as_words(call):
    sizes = call("device_table", "sized", [[0], [9_400], [186_000], [999_499], [1_260_000]])
    assert sizes == ["0 kB", "9.4 kB", "186 kB", "999 kB", "1.3 MB"]
    costs = [(0.42, "ratio"), (1, "ratio"), (14.2e6, "instructions"), (3.1e8, "instructions"), (2500, "instructions")]
    costs += [(0.3, "ms"), (1234.5, "ms"), (None, None)]
    words = call("device_table", "timed", [[{"cost": cost, "unit": unit}] for cost, unit in costs])
    assert words == ["0.42 ×", "1 ×", "14 M instr.", "310 M instr.", "2.5 k instr.", "0.3 ms", "1235 ms", "–"]
    assert call("device_table", "percent", [[0.98765], [1], [None]]) == ["98.8 %", "100.0 %", "–"]


@pytest.mark.parametrize("theme", every.THEMES)
def test_what_matters_sorts_the_devices(watched, theme):
    figure = watched().show(FIGURES["device_table"](), theme=theme)
    rows = [complete(row) for row in ROWS]
    for button, matters in [("Fast", "cost"), ("Accurate", "accuracy"), ("Little RAM", "ram"), ("Small", "size")]:
        figure.get_by_role("button", name=button).click()
        now, order = values(figure), order_of(rows, matters)
        assert (now["matters"], now["order"]) == (matters, order)
        assert shown(figure, ".device .name b") == [rows[i]["device"] for i in order]
        assert shown(figure, ".device .format") == [rows[i]["format"] for i in order]
        assert figure.locator("button[aria-pressed=true]").all_text_contents() == [button]
        assert now["fits"] == [fits(row, now["budgets"]) for row in rows]
        best = next(i for i in order if now["fits"][i])
        assert now["best"] == best
        assert f"first is {rows[best]['device']}, {rows[best]['format']}" in figure.locator(".found").text_content()
        assert figure.locator(".device.best .name b").all_text_contents() == [rows[best]["device"]]
    assert figure.locator(".device.out").count() == 1, "a chip without room for it, before the reader says anything"
    assert "takes 571 kB, the device has 256 KiB" in figure.locator(".device.out .verdict").text_content()


def test_budgets_turn_devices_grey_with_a_reason(watched):
    figure = watched().show(FIGURES["device_table"]())
    rows = [complete(row) for row in ROWS]
    for name, value, reason in [
        ("kB at most", 200, "takes 290 kB, more than 200 kB"),
        ("% right at least", 98.7, "is right in 98.6 %, less than 98.7 %"),
        ("% right at least", 90, None),
        ("kB of RAM at most", 40, "needs 49 kB of RAM, more than 40 kB"),
        ("kB at most", 0, "takes 9.4 kB, more than 0 kB"),
    ]:
        slide(figure, name, value)
        now = values(figure)
        assert now["fits"] == [fits(row, now["budgets"]) for row in rows]
        assert figure.locator(".device.out").count() == len(rows) - sum(now["fits"])
        assert figure.locator(".found").text_content().startswith(f"{sum(now['fits'])} of 6 fit")
        if reason:
            assert any(reason in why for why in now["why"])
            assert any(reason in text for text in shown(figure, ".verdict"))
    assert now["best"] is None
    assert figure.locator(".found").text_content() == "0 of 6 fit."
    slide(figure, "kB at most", figure.get_by_role("slider", name="kB at most").get_attribute("max"))
    slide(figure, "kB of RAM at most", figure.get_by_role("slider", name="kB of RAM at most").get_attribute("max"))
    assert values(figure)["fits"] == [True] * 4 + [False, True], "at their ends the sliders let all pass"


def test_a_chosen_device_tells_what_was_run(watched):
    one = watched()
    figure = one.show(FIGURES["device_table"]())
    assert "Choose a device" in figure.locator(".detail").text_content()
    order = values(figure)["order"]
    wanted = {
        0: [
            "PC, float32: 571 kB; right in 98.7 %; the same answer as float in 100.0 %; 1 × the time of float.",
            "Run.",
        ],
        2: ["iPhone, float16: 290 kB;", "Read back. Read by us. No such device was there"],
        3: ["172 kB of 256 KiB", "14 M instr.; 49 kB of RAM of 64 KiB.", "Emulated. It was run in an emulator"],
        4: ["It does not fit: it takes 571 kB, the device has 256 KiB; it needs 200 kB of RAM", "Emulated."],
    }
    for i, words in wanted.items():
        figure.locator(".device").nth(order.index(i)).click()
        assert values(figure)["chosen"] == i
        told = figure.locator(".detail").text_content()
        assert all(word in told for word in words), told
        assert told in figure.locator("[role=status]").text_content()
        below = figure.locator(".detail").evaluate("node => node.previousElementSibling.querySelector('b').textContent")
        assert below == ROWS[i]["device"]


def test_devices_by_keyboard(watched):
    one = watched()
    figure = one.show(FIGURES["device_table"]())
    order = values(figure)["order"]
    figure.get_by_role("slider").last.focus()
    press(one.page, "Tab", "Space")
    assert values(figure)["chosen"] == order[0]
    press(one.page, "ArrowDown", "ArrowDown")
    assert values(figure)["chosen"] == order[2]
    press(one.page, "Shift+Tab", "ArrowLeft")
    assert values(figure)["budgets"]["ram"] < 200_000
    assert values(figure)["chosen"] == order[2]


def test_bars_of_one_unit_share_a_scale(watched):
    figure = watched().show(FIGURES["device_table"]())
    wide = figure.locator(".device").evaluate_all(
        """all => all.map(node => [...node.querySelectorAll('.cell')].map(cell =>
        parseFloat(cell.querySelector('.bar > i')?.style.width ?? 'NaN') / 100))"""
    )
    rows = [complete(ROWS[i]) for i in values(figure)["order"]]
    most = {"ratio": 1, "ms": 0.3, "instructions": 3.1e8, None: 1}
    for row, (size, accuracy, cost, ram) in zip(rows, wide, strict=True):
        assert (size, accuracy) == pytest.approx((row["size"] / 571_000, row["accuracy"]), abs=1e-3)
        assert cost == pytest.approx((row["cost"] or np.nan) / most[row["unit"]], abs=1e-3, nan_ok=True)
        assert ram == pytest.approx((row["ram"] or np.nan) / 2e5, abs=1e-3, nan_ok=True)


def test_without_working_memory_nothing_asks_for_it(watched):
    figure = watched().show(interactive.device_table(PLAIN))
    assert figure.get_by_role("button", name="RAM").count() == 0
    assert figure.get_by_role("slider").count() == 2
    assert values(figure)["budgets"]["ram"] is None
    alone = watched().show(interactive.device_table([{**PC, "accuracy": 0.0}]))
    alone.get_by_role("button", name="Fast").click()
    assert values(alone)["best"] is None, "nothing is known of its time"
    assert alone.locator(".found").text_content() == "1 of 1 fit."


def act(page, figure, name: str) -> None:
    """Do the first thing that a reader would do."""
    figure.get_by_role("radio").nth(1).focus()
    press(page, "Space")


TestEveryFigure = rules_for(FIGURES, act)
