"""The figures on quantization in a browser, compared with Python."""

from __future__ import annotations

import math

import numpy as np
import pytest
import test_figures as every
import torch
from every_figure import rules_for
from test_figures import THEMES, drag, press, shown, values
from test_figures_storage import slide

from cvlab import interactive
from cvlab.quant import (
    HistogramObserver,
    choose_qparams,
    dequantize,
    multiply_by_quantized_multiplier,
    quantize,
    quantize_multiplier,
)

pytestmark = pytest.mark.browser
watched, call = every.watched, every.call  # fixtures

GENERATOR = torch.Generator().manual_seed(0)
WEIGHTS = torch.randn(4000, generator=GENERATOR) * 0.1
ACTIVATIONS = torch.randn(5000, generator=GENERATOR).relu() ** 2
LAYERS = {"weights": torch.cat([WEIGHTS, torch.tensor([0.9, -0.7])]), "after ReLU": ACTIVATIONS}
FIGURES = {
    "number_line": lambda: interactive.number_line(-1, 3, 4, x=1.22),
    "bit_width": lambda: interactive.bit_width(LAYERS, bits=4, bins=512),
    "multiplier": lambda: interactive.multiplier(0.0072, 24780),
}
KINDS = {
    "asymmetric, signed": (True, False),
    "asymmetric, unsigned": (False, False),
    "symmetric: zero point 0": (True, True),
}


def number(text: str) -> float:
    """Read a number as a figure writes it, with a power of ten perhaps."""
    powers = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
    digits, _, power = text.replace("\u2009", "").removesuffix(" dB").removesuffix(" %").partition(" · 10")
    return float(digits) * 10 ** int(power.translate(powers) or 0)


# --- number_line ---


def stored(low, high, bits, signed, symmetric, x) -> dict:
    """What the package makes of a number."""
    params = choose_qparams(low, high, bits=bits, signed=signed, symmetric=symmetric)
    q = quantize(torch.tensor([x], dtype=torch.float32), params)
    return {
        "scale": params.scale.item(),
        "zero_point": params.zero_point.item(),
        "least": params.low,
        "most": params.high,
        "q": q.item(),
        "value": dequantize(q, params).item(),
    }


def check_line(figure) -> dict:
    """Compare every number that the figure shows with Python's."""
    now = values(figure)
    expected = stored(*(now[name] for name in ("low", "high", "bits", "signed", "symmetric", "x")))
    assert {name: now[name] for name in expected} == expected
    assert now["error"] == pytest.approx(expected["value"] - now["x"], abs=1e-12)
    if not now["cut"]:
        assert abs(now["error"]) <= expected["scale"] / 2 * (1 + 1e-5)
    grid, found = (shown(figure.locator("table").nth(i), "td") for i in (0, 1))
    assert float(grid[0]) == pytest.approx(expected["scale"], rel=1e-3)
    assert int(grid[1]) == expected["zero_point"]
    assert grid[2] == f"{expected['least']} to {expected['most']}"
    ends = [float(end) for end in grid[3].split(" to ")]
    zero, scale = expected["zero_point"], expected["scale"]
    assert ends == pytest.approx([(expected[end] - zero) * scale for end in ("least", "most")], rel=1e-2)
    assert float(found[0]) == pytest.approx(now["x"], abs=1e-9)
    assert int(found[2]) == expected["q"]
    assert float(found[3]) == pytest.approx(expected["value"], rel=1e-3)
    assert float(found[4]) == pytest.approx(now["error"], rel=1e-2, abs=1e-8)
    return now


def test_numbers_are_stored_as_in_python(call):
    rng = np.random.default_rng(0)
    cases, arguments = [], []
    for case in range(3000):
        low, high = sorted(rng.normal(0, 10.0 ** rng.integers(-2, 3), 2).round(3).tolist())
        if case % 10 == 0:
            low, high = min(low, 0.0), 0.0
        signed, symmetric = list(KINDS.values())[case % 3]
        bits, x = int(rng.integers(2, 9)), float(rng.normal(0, 2) * max(abs(low), abs(high), 0.1))
        if case % 4 == 0:  # halfway between two levels, as far as float32 goes
            x = (int(rng.integers(-9, 9)) + 0.5) * choose_qparams(
                low, high, bits=bits, signed=signed, symmetric=symmetric
            ).scale.item()
        cases.append((low, high, bits, signed, symmetric, x))
        arguments.append([low, high, {"bits": bits, "signed": signed, "symmetric": symmetric}, x])
    function = """(low, high, options, x) => { const params = chooseParams(low, high, options), q = quantize(x, params);
        return [params.scale, params.zero, params.least, params.most, q, dequantize(q, params)]; }"""
    cut = 0
    for case, got in zip(cases, call("number_line", function, arguments), strict=True):
        assert got == list(stored(*case).values()), case
        cut += got[4] in got[2:4]
    assert 300 < cut < 2700


def test_halves_go_to_the_even_number(call):
    halves = [i + 0.5 for i in range(-6, 6)]
    for name in ("number_line", "bit_width"):
        assert call(name, "even", [[half] for half in halves]) == [round(half) for half in halves]


@pytest.mark.parametrize("theme", THEMES)
def test_the_line_follows_the_hand(watched, theme):
    one = watched()
    figure = one.show(FIGURES["number_line"](), theme=theme)
    assert check_line(figure)["q"] == 1
    rng = np.random.default_rng(1)
    seen, cuts = set(), 0
    for case in range(24):
        figure.get_by_role("radio", name=list(KINDS)[case % 3]).check()
        slide(figure, "bits", int(rng.integers(2, 9)))
        before = values(figure)
        name = ("x", "low", "high", "x")[case % 4]
        drag(one.page, figure.locator(f".grip.{name} .knob"), int(rng.integers(-160, 160)), 5)
        now = check_line(figure)
        assert (now["signed"], now["symmetric"]) == list(KINDS.values())[case % 3]
        assert -3.6 <= now["low"] <= now["high"] <= 3.6
        assert all(now[other] == before[other] for other in ("low", "high", "x") if other != name)
        seen.add((now["low"], now["high"], now["x"]))
        cuts += now["cut"]
    assert len(seen) > 18
    assert 2 < cuts < 22
    assert figure.locator(".level").first.is_visible()


def test_the_line_follows_the_keyboard(watched):
    one = watched()
    figure = one.show(FIGURES["number_line"]())
    x = figure.get_by_role("slider", name="The number x")
    x.focus()
    press(one.page, "ArrowRight", "ArrowRight", "Shift+ArrowRight", "ArrowLeft")
    assert check_line(figure)["x"] == pytest.approx(1.22 + 11 * 0.05)
    assert x.get_attribute("aria-valuenow") == "1.77"
    figure.get_by_role("slider", name="Upper bound").focus()
    press(one.page, *["Shift+ArrowLeft"] * 9)
    assert check_line(figure)["high"] == -1, "the upper bound stops at the lower one"
    assert "always reaches to 0" in figure.locator("p[role=status]").text_content()
    figure.get_by_role("slider", name="Lower bound").focus()
    press(one.page, *["ArrowUp"] * 2)
    assert check_line(figure)["low"] == -1
    press(one.page, *["ArrowDown"] * 2)
    assert check_line(figure)["low"] == pytest.approx(-1.1)


@pytest.mark.parametrize("name", ["number_line", "bit_width"])
def test_a_finger_moves_a_handle(watched, name):
    one = watched(has_touch=True, viewport={"width": 390, "height": 900})
    figure = one.show(FIGURES[name]())
    before = values(figure)
    actions = figure.locator(".grip").evaluate_all("all => all.map(node => getComputedStyle(node).touchAction)")
    assert set(actions) == {"none"}, "else the page would scroll instead"
    box = figure.locator({"number_line": ".grip.x .knob", "bit_width": ".grip .knob"}[name]).first.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    session = one.context.new_cdp_session(one.page)
    for kind, step in [("touchStart", 0), *(("touchMove", step) for step in range(1, 6)), ("touchEnd", None)]:
        points = [] if step is None else [{"x": x - 10 * step, "y": y + 4 * step}]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    moved = {"number_line": "x", "bit_width": "share"}[name]
    one.page.wait_for_function(
        "([host, name, start]) => JSON.parse(host.dataset.values)[name] < 0.9 * start",
        arg=[figure.element_handle(), moved, before[moved]],
    )
    assert one.page.evaluate("scrollY") == 0
    {"number_line": check_line, "bit_width": check_bits}[name](figure)


def test_a_number_beyond_the_grid_is_cut_off(watched):
    one = watched()
    figure = one.show(interactive.number_line(-1, 1, 3, x=1.19, symmetric=True))
    now = check_line(figure)
    assert now["cut"]
    assert now["error"] == pytest.approx(-0.19, abs=1e-6)
    assert "cut off to 1: off by 0.19" in shown(figure, "p[role=status]")[0]


# --- bit_width ---


def middles_of(name: str) -> tuple[torch.Tensor, torch.Tensor]:
    """The middles of the bins and their counts."""
    observer = HistogramObserver(bins=512)
    observer.update(LAYERS[name])
    return observer._middles(), observer.counts


def costs(name: str, bound: float, bits: int) -> dict[str, float]:
    """What quantization up to a bound costs, by the package's functions."""
    at, counts = middles_of(name)
    symmetric = bool((LAYERS[name] < 0).any())
    params = choose_qparams(-bound if symmetric else 0.0, bound, bits=bits, signed=symmetric, symmetric=symmetric)
    assert params.zero_point.item() == 0
    squares = counts * (dequantize(quantize(at, params), params).double() - at).square() / counts.sum()
    whole = (at / params.scale).round()
    lost = (whole < params.low) | (whole > params.high)
    mse, signal = squares.sum().item(), (counts * at.square()).sum().item() / counts.sum().item()
    return {
        "scale": params.scale.item(),
        "rounding": squares[~lost].sum().item(),
        "clipping": squares[lost].sum().item(),
        "mse": mse,
        "clipped": (counts[lost].sum() / counts.sum()).item(),
        "snr": 10 * math.log10(signal / mse),
    }


def check_bits(figure) -> dict:
    """Compare every number that the figure shows with Python's."""
    now = values(figure)
    largest = LAYERS[now["layer"]].abs().max().item()
    assert now["bound"] == pytest.approx(now["share"] * largest)
    expected = costs(now["layer"], now["bound"], now["bits"])
    assert {name: now[name] for name in expected} == pytest.approx(expected, rel=1e-9, abs=1e-15)
    cost, methods = (figure.locator("table").nth(i) for i in (1, 0))
    rows = dict(zip(shown(cost, "th"), shown(cost, "td:last-child"), strict=True))
    assert number(rows["scale"]) == pytest.approx(expected["scale"], rel=1e-2)
    assert number(rows["rounding"]) == pytest.approx(expected["rounding"], rel=1e-2)
    assert number(rows["clipping"]) == pytest.approx(expected["clipping"], rel=1e-2)
    assert number(rows["mean squared error"]) == pytest.approx(expected["mse"], rel=1e-2)
    assert number(rows["signal to noise"]) == pytest.approx(expected["snr"], abs=0.051)
    table = [number(text) for text in shown(methods, "tbody td")]
    for i, one in enumerate(now["choices"].values()):
        theirs = costs(now["layer"], one["share"] * largest, now["bits"])
        assert one["mse"] == pytest.approx(theirs["mse"], rel=1e-9)
        assert table[3 * i : 3 * i + 2] == pytest.approx([100 * one["share"], one["mse"]], rel=1e-2)
        assert table[3 * i + 2] == pytest.approx(one["snr"], abs=0.051)
    return now


@pytest.mark.parametrize("theme", THEMES)
def test_the_bound_follows_the_hand(watched, theme):
    one = watched()
    figure = one.show(FIGURES["bit_width"](), theme=theme)
    assert check_bits(figure)["share"] == 1
    rng = np.random.default_rng(2)
    shares = set()
    for case in range(24):
        figure.locator("select").select_option(str(case % 2))
        slide(figure, "bits", int(rng.integers(2, 9)))
        before = values(figure)["share"]
        way = -1 if before > 0.5 else 1
        if case % 3:
            drag(one.page, figure.locator(".grip .knob").first, way * int(rng.integers(20, 110)), 3)
            assert (values(figure)["share"] - before) * way > 0
        else:
            drag(one.page, figure.locator(".frame:not(.strip)"), 0, 0, at=(rng.uniform(0.15, 0.95), 0.4))
        now = check_bits(figure)
        assert now["layer"] == list(LAYERS)[case % 2]
        shares.add(now["share"])
    assert len(shares) > 15


def test_both_handles_of_a_symmetric_layer(watched):
    one = watched()
    figure = one.show(FIGURES["bit_width"]())
    right, left = (figure.locator(".grip .knob").nth(i) for i in (0, 1))
    drag(one.page, left, 80, 0)
    share = check_bits(figure)["share"]
    assert share < 0.8
    drag(one.page, right, 40, 0)
    assert check_bits(figure)["share"] > share
    figure.locator("select").select_option("1")
    assert not left.is_visible()


def test_the_bound_follows_the_keyboard(watched):
    one = watched()
    figure = one.show(FIGURES["bit_width"]())
    handle = figure.get_by_role("slider", name="Clipping bound")
    handle.focus()
    press(one.page, "ArrowRight")
    assert check_bits(figure)["share"] == 1
    press(one.page, "ArrowLeft", "Shift+ArrowLeft", "ArrowLeft", "ArrowRight")
    assert check_bits(figure)["share"] == pytest.approx(0.89)
    assert handle.get_attribute("aria-valuenow") == "0.89"
    press(one.page, *["Shift+ArrowLeft"] * 12)
    assert check_bits(figure)["share"] == 0.01
    figure.get_by_label("counts on a logarithmic scale").uncheck()
    check_bits(figure)


def test_buttons_choose_as_observers_do(watched):
    figure = watched().show(FIGURES["bit_width"]())
    for i, (name, layer) in enumerate(LAYERS.items()):
        figure.locator("select").select_option(str(i))
        largest, symmetric = layer.abs().max().item(), bool((layer < 0).any())
        for bits in range(2, 9):
            slide(figure, "bits", bits)
            options = {"bits": bits, "signed": symmetric, "symmetric": symmetric, "bins": 512}
            for button, method in [("percentile 99.9", "percentile"), ("least error", "mse")]:
                observer = HistogramObserver(method, **options)
                observer.update(layer)
                figure.get_by_role("button", name=button).click()
                now = check_bits(figure)
                assert now["scale"] == pytest.approx(observer.params().scale.item())
                assert figure.get_by_role("button", name=button).get_attribute("aria-pressed") == "true"
            best = 1 + int(np.argmin(now["curve"]))
            assert now["share"] == pytest.approx(best / 100), "the least of the curve is the observer's choice"
            figure.get_by_role("button", name="min–max").click()
            assert check_bits(figure)["bound"] == pytest.approx(largest)
            assert now["choices"]["mse"]["mse"] <= now["choices"]["minmax"]["mse"]
        assert values(figure)["layer"] == name


# --- multiplier ---


def test_multipliers_are_those_of_python(call):
    rng = np.random.default_rng(3)
    factors = [2.0**-12, 2.0, 1.0, 0.5, 0.25, np.nextafter(1.0, 0), np.nextafter(0.5, 0), 1 - 2.0**-32, 0.0072]
    factors += (2 ** rng.uniform(-12, 1, 3000)).tolist()
    factors = [float(factor) for factor in factors]
    got = call("multiplier", "quantizeMultiplier", [[factor] for factor in factors])
    assert [tuple(one) for one in got] == [quantize_multiplier(factor) for factor in factors]

    accumulators = [0, 1, -1, 2**31 - 1, -(2**31), 2**30, -(2**30)]
    accumulators += rng.integers(-(2**31), 2**31, 500).tolist() + rng.integers(-(2**17), 2**17, 2493).tolist()
    cases = [(x, *pair) for x, pair in zip(accumulators, got, strict=False)]
    function = """(x, m, shift) => { const found = multiply(x, m, shift);
        return [Number(found.double), Number(found.single), String(found.product)]; }"""
    differ = 0
    for (x, m, shift), (double, single, product) in zip(cases, call("multiplier", function, cases), strict=True):
        assert double == multiply_by_quantized_multiplier(x, m, shift)
        assert single == multiply_by_quantized_multiplier(x, m, shift, rounding="single")
        assert int(product) == x * m
        differ += double != single
    assert differ > 20


def test_halves_differ_below_zero_and_shifts_to_the_left_never(call):
    quarter = quantize_multiplier(0.25)
    cases = [(x, *quarter) for x in range(-200, 200)] + [(x, *quantize_multiplier(1.3)) for x in range(-200, 200)]
    function = "(...all) => { const found = multiply(...all); return [Number(found.double), Number(found.single)]; }"
    got = call("multiplier", function, cases)
    for (x, m, shift), (double, single) in zip(cases, got, strict=True):
        assert double == multiply_by_quantized_multiplier(x, m, shift)
        assert single == multiply_by_quantized_multiplier(x, m, shift, rounding="single")
    assert any(double != single for double, single in got[:400])
    assert all(double == single for double, single in got[400:])


def test_digits_are_those_of_twos_complement(call):
    rng = np.random.default_rng(4)
    numbers = [0, 1, -1, 2**31 - 1, -(2**31), *rng.integers(-(2**31), 2**31, 100).tolist()]
    for number_, digits in zip(numbers, call("multiplier", "digitsOf", [[n, 32] for n in numbers]), strict=True):
        assert "".join(map(str, digits)) == format(number_ % 2**32, "032b")


def check_product(figure) -> dict:
    """Compare every number and every binary digit that the figure shows with Python's."""
    now = values(figure)
    m, shift = quantize_multiplier(now["value"])
    assert (now["multiplier"], now["shift"]) == (m, shift)
    x, product = now["accumulator"], now["accumulator"] * m
    double, single = (int(multiply_by_quantized_multiplier(x, m, shift, rounding=way)) for way in ("double", "single"))
    assert (now["double"], now["single"], int(now["product"])) == (double, single, product)
    assert now["differ"] == (double != single)
    assert now["exact"] == now["value"] * x
    assert now["errors"] == {"double": double - now["exact"], "single": single - now["exact"]}
    high = int(multiply_by_quantized_multiplier(x, m, max(shift, 0)))
    assert now["high"] == high

    rows = figure.locator(".bits")
    words = [(m, 31), (x, 32), (product, 64), (high, 32), (double, 32)]
    for i, (word, count) in enumerate(words):
        digits = (
            rows.nth(i).locator(".bit").evaluate_all("all => all.map(one => +one.classList.contains('on')).join('')")
        )
        assert digits == format(word % 2**count, f"0{count}b")
        assert rows.nth(i).get_attribute("aria-label").endswith(digits)
    kept = rows.nth(2).locator(".kept").count()
    assert kept == 64 - (31 - shift), "what stays of the product is what is above the cut"
    assert rows.nth(2).locator(".low").count() == min(31, 31 - shift)
    table = shown(figure, "tbody td")
    assert number(table[0]) == pytest.approx(now["exact"], abs=6e-5 if abs(now["exact"]) < 1e5 else 6e-3, rel=1e-12)
    assert [number(table[2]), number(table[4])] == [double, single]
    assert [number(table[3]), number(table[5])] == pytest.approx(list(now["errors"].values()), abs=6e-5, rel=1e-9)
    return now


@pytest.mark.parametrize("theme", THEMES)
def test_the_product_follows_sliders_and_fields(watched, theme):
    figure = watched().show(FIGURES["multiplier"](), theme=theme)
    assert check_product(figure)["double"] == 178
    rng = np.random.default_rng(5)
    shifts = set()
    for case in range(24):
        if case % 2:
            slide(figure, "multiplier", int(rng.integers(-2400, 201)))
            slide(figure, "accumulator", int(rng.integers(-100_000, 100_001)))
        else:
            figure.get_by_label("multiplier, exactly").fill(repr(float(2 ** rng.uniform(-12, 1))))
            figure.get_by_label("accumulator, exactly").fill(str(rng.integers(-(2**31), 2**31)))
        shifts.add(check_product(figure)["shift"])
    assert len(shifts) > 6


def test_a_case_where_they_differ(watched):
    figure = watched().show(FIGURES["multiplier"]())
    m, shift = quantize_multiplier(0.0072)
    start = 24780
    for _ in range(3):
        figure.get_by_role("button", name="Find").click()
        now = check_product(figure)
        assert now["differ"]
        between = np.arange(start + 1, now["accumulator"] + 1)
        both = [multiply_by_quantized_multiplier(between, m, shift, rounding=way) for way in ("double", "single")]
        assert np.flatnonzero(both[0] != both[1]).tolist() == [len(between) - 1], "it is the next one"
        assert "They differ" in figure.locator("p[role=status]").text_content()
        start = now["accumulator"]
    figure.get_by_label("multiplier, exactly").fill("0.75")
    figure.get_by_role("button", name="Find").click()
    assert check_product(figure)["accumulator"] == start
    assert "both ways round once" in figure.locator("p[role=status]").text_content()


def test_a_product_by_keyboard_and_what_is_no_number(watched):
    one = watched()
    figure = one.show(FIGURES["multiplier"]())
    figure.get_by_role("slider", name="accumulator").focus()
    press(one.page, "ArrowRight", "ArrowRight")
    assert check_product(figure)["accumulator"] == 24782
    figure.get_by_role("slider", name="multiplier").focus()
    press(one.page, "ArrowRight")
    moved = check_product(figure)["value"]
    assert moved == pytest.approx(0.0072 * 2 ** (1 / 200), rel=5e-3)
    field = figure.get_by_label("accumulator, exactly")
    for wrong in ("", "0.5", str(2**31), "-99999999999"):
        field.fill(wrong)
        assert check_product(figure)["accumulator"] == 24782
    field.blur()
    assert field.input_value() == "24782"
    figure.get_by_label("multiplier, exactly").fill("3")
    assert check_product(figure)["value"] == moved


def test_an_accumulator_that_overflows(watched):
    figure = watched().show(interactive.multiplier(1.7, 2_000_000_000))
    assert check_product(figure)["overflow"]
    assert "does not fit into 32 bits" in figure.locator("p[role=status]").text_content()


# --- what holds for every figure ---


def act(page, figure, name: str) -> None:
    """Do the first thing that a reader would do."""
    slider = {"number_line": "The number x", "bit_width": "Clipping bound", "multiplier": "accumulator"}[name]
    figure.get_by_role("slider", name=slider).focus()
    press(page, "ArrowLeft")


TestEveryFigure = rules_for(FIGURES, act)
