"""The interactive figures in a browser: mouse, finger and keyboard move them, Python says what they must show."""

from __future__ import annotations

import html
import itertools
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision

from cvlab import interactive, ops
from cvlab.interactive import StaticFigure
from cvlab.interactive.figure import _script

pytestmark = pytest.mark.browser

IMAGE = np.random.default_rng(0).integers(60, 200, (10, 15, 3), dtype=np.uint8).repeat(30, 0).repeat(30, 1)  # 300 x 450
A, B = [110, 25, 345, 280], [170, 60, 400, 290]
TRUTHS = [[110, 25, 345, 290], [258, 135, 335, 200]]
ANCHORS = [[40, 20, 300, 280], [120, 10, 360, 298], [10, 150, 200, 295], [230, 40, 440, 290], [250, 130, 330, 190]]
BOXES = [*ANCHORS, [115, 30, 340, 280], [262, 140, 338, 205], [45, 25, 310, 290]]
SCORES, LABELS = [0.6, 0.95, 0.3, 0.5, 0.8, 0.9, 0.7, 0.55], [0, 0, 1, 0, 1, 0, 1, 1]
FIGURES = {
    "iou": lambda: interactive.iou(IMAGE, A, B),
    "anchors": lambda: interactive.anchors(IMAGE, TRUTHS, names=["cat", "eye"], map_size=(4, 6)),
    "matching": lambda: interactive.matching(ANCHORS, TRUTHS, IMAGE, names=["cat", "eye"]),
    "nms": lambda: interactive.nms(BOXES, SCORES, LABELS, IMAGE, names=["cat", "eye"]),
    "quiz": lambda: interactive.quiz("boxes"),
}
THEMES = {"light": ("#ffffff", "#222832"), "dark": ("#14181e", "#ced6dd")}
PAGE = """<!doctype html><html lang="en" data-theme="{theme}"><head><meta charset="utf-8"><title>Figures</title>
<meta name="viewport" content="width=device-width"><style>
body {{ margin: 16px; font: 16px/1.5 sans-serif; background: {background}; color: {text}; }}
table td, table th, button {{ padding: 40px !important; border: 9px solid red !important; }} /* not for figures */
</style></head><body><main><h1>Figures</h1>{content}</main></body></html>"""


def page_of(*figures: StaticFigure, theme: str = "light") -> str:
    content = "".join(figure._repr_html_() for figure in figures)
    background, text = THEMES[theme]
    return PAGE.format(theme=theme, background=background, text=text, content=content)


class Watched:
    """A browser context that keeps what must not happen: errors on the console, and requests."""

    def __init__(self, browser, **options):
        self.context = browser.new_context(**{"viewport": {"width": 1000, "height": 900}, **options})
        self.page = self.context.new_page()
        self.faults: list[str] = []
        self.page.on("pageerror", lambda error: self.faults.append(f"error: {error}"))
        self.page.on("console", lambda m: self.faults.append(m.text) if m.type in ("error", "warning") else None)
        self.page.on("request", lambda request: self._request(request.url))

    def _request(self, url: str) -> None:
        if not url.startswith(("data:", "file:", "about:")):
            self.faults.append(f"request: {url}")

    def show(self, *figures: StaticFigure, theme: str = "light"):
        self.page.set_content(page_of(*figures, theme=theme))
        for figure in figures:
            self.page.wait_for_selector(f"#{figure.id}[data-values]")
        return self.page.locator(".cvlab-figure").first


@pytest.fixture
def watched(browser):
    """Make watched contexts, and at the end find every one of them without a fault."""
    made = []

    def make(**options) -> Watched:
        made.append(Watched(browser, **options))
        return made[-1]

    yield make
    for one in made:
        one.context.close()
    assert [fault for one in made for fault in one.faults] == []


def values(figure) -> dict:
    return json.loads(figure.get_attribute("data-values"))


def shown(figure, selector: str) -> list[str]:
    """The texts of the elements, with a plain minus sign."""
    return [text.replace("\u2212", "-").strip() for text in figure.locator(selector).all_text_contents()]


def press(page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def drag(page, node, dx: float, dy: float, at=(0.5, 0.5)) -> None:
    """Drag from a point of a node, given in shares of its size, by screen pixels."""
    node.scroll_into_view_if_needed()
    box = node.bounding_box()
    x, y = box["x"] + at[0] * box["width"], box["y"] + at[1] * box["height"]
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + dx / 2, y + dy / 2)
    page.mouse.move(x + dx, y + dy)
    page.mouse.up()


def tensor(numbers) -> torch.Tensor:
    return torch.tensor(numbers, dtype=torch.float64)


# --- the functions of the scripts, on many inputs at once ---


@pytest.fixture(scope="module")
def call(browser):
    """Evaluate an expression with the functions of a figure's script, over a list of arguments."""
    page = browser.new_page()

    def evaluate(name: str, function: str, arguments: list) -> list:
        script = f"(all) => {{ {_script(name)}\n return all.map((one) => ({function})(...one)); }}"
        return page.evaluate(script, arguments)

    yield evaluate
    page.close()


def random_boxes(rng, count: int) -> np.ndarray:
    """Boxes on a coarse grid, so that touching, equal and empty ones are frequent."""
    corners = rng.integers(0, 8, (count, 2, 2)) * 10.0
    return np.concatenate([corners.min(1), corners.max(1)], axis=1)


def test_measures_are_those_of_python(call):
    boxes = random_boxes(np.random.default_rng(1), 600)
    pairs = [(a, b) for a, b in zip(boxes[::2].tolist(), boxes[1::2].tolist(), strict=True)]
    got = call("iou", "measure", pairs)
    a, b = tensor(boxes[::2].tolist())[:, None], tensor(boxes[1::2].tolist())[:, None]
    for name, ours, theirs in [
        ("iou", ops.box_iou, torchvision.ops.box_iou),
        ("giou", ops.generalized_box_iou, torchvision.ops.generalized_box_iou),
        ("diou", ops.distance_box_iou, torchvision.ops.distance_box_iou),
        ("ciou", ops.complete_box_iou, torchvision.ops.complete_box_iou),
    ]:
        mine = tensor([one[name] for one in got])
        torch.testing.assert_close(mine, ours(a, b).flatten(), atol=1e-6, rtol=0)
        full = (ops.box_area(a[:, 0]) > 0) & (ops.box_area(b[:, 0]) > 0)  # torchvision divides by zero elsewhere
        oracle = torch.cat([theirs(p, q) for p, q in zip(a[full], b[full], strict=True)]).flatten()
        torch.testing.assert_close(mine[full], oracle, atol=1e-6, rtol=0)
    assert sum(one["areas"]["intersection"] == 0 for one in got) > 20
    assert sum(one["areas"]["a"] == 0 for one in got) > 20


def test_suppression_is_that_of_python(call):
    rng = np.random.default_rng(2)
    cases = []
    for case in range(60):
        count = case % 14  # from none to many
        scores = (rng.integers(0, 6, count) / 5).tolist()  # ties are frequent
        state = {
            "boxes": random_boxes(rng, count).tolist(),
            "scores": scores,
            "labels": rng.integers(0, 3, count).tolist(),
        }
        thresholds = {"threshold": int(rng.integers(0, 101)) / 100, "least": int(rng.integers(0, 3)) / 5}
        cases.append((state, {**thresholds, "byClass": bool(case % 2)}))
    for (state, now), got in zip(cases, call("nms", "suppress", cases), strict=True):
        boxes, scores = tensor(state["boxes"]).reshape(-1, 4), tensor(state["scores"])
        taking_part = torch.nonzero(scores >= now["least"]).flatten()
        labels = torch.tensor(state["labels"], dtype=torch.int64)
        idxs = labels if now["byClass"] else torch.zeros_like(labels)
        inputs = (boxes[taking_part], scores[taking_part], idxs[taking_part], now["threshold"])
        assert got["kept"] == taking_part[ops.batched_nms(*inputs)].tolist()
        assert sorted(got["kept"]) == sorted(taking_part[torchvision.ops.batched_nms(*inputs)].tolist())
        for i, fate in enumerate(got["fate"]):
            assert (fate["state"] == "kept") == (i in got["kept"])
            assert (fate["state"] == "low") == (scores[i] < now["least"])
            if fate["state"] == "suppressed":
                by = fate["by"]
                assert by in got["kept"]
                assert fate["iou"] == pytest.approx(float(ops.box_iou(boxes[[by]], boxes[[i]])))
                assert fate["iou"] > now["threshold"]


def test_assignment_is_that_of_python(call):
    rng = np.random.default_rng(3)
    cases = []
    for case in range(60):
        anchors, truths = 1 + case % 9, case % 5
        cases.append(((rng.integers(0, 6, (anchors, truths)) / 5).tolist(), int(rng.integers(0, 11)) / 10))  # with ties
    for (rows, threshold), got in zip(cases, call("matching", "decide", cases), strict=True):
        matrix = tensor(rows).reshape(len(rows), -1).t().contiguous()
        steps = [(step.anchor, step.gt, step.iou) for step in ops.match_bipartite_steps(matrix)]
        assert [(d["anchor"], d["truth"], d["iou"]) for d in got if d["kind"] == "largest"] == steps
        labels = {d["anchor"]: -1 if d["kind"] == "below" else d["truth"] for d in got}
        assert [labels[i] for i in range(len(rows))] == ops.match_bipartite(matrix, threshold).tolist()


# --- two boxes ---


def check_iou(figure) -> dict:
    """Compare every number that the figure shows with Python's."""
    now = values(figure)
    a, b = tensor([now["a"]]), tensor([now["b"]])
    measures = [ops.box_iou, ops.generalized_box_iou, ops.distance_box_iou, ops.complete_box_iou]
    expected = [float(function(a, b)) for function in measures]
    assert [now[name] for name in ("iou", "giou", "diou", "ciou")] == pytest.approx(expected, abs=1e-6)
    assert [float(text) for text in shown(figure, ".measure output")] == pytest.approx(expected, abs=5.1e-4)

    both = torch.cat([a, b])
    hull = torch.cat([both[:, :2].amin(0), both[:, 2:].amax(0)])[None]
    one, two, enclosing = (float(ops.box_area(box)) for box in (a, b, hull))
    intersection = expected[0] * (one + two) / (1 + expected[0])
    areas = {
        "a": one,
        "b": two,
        "intersection": intersection,
        "union": one + two - intersection,
        "enclosing": enclosing,
    }
    assert now["areas"] == pytest.approx(areas)
    written = [float(text.replace(",", "")) for text in shown(figure, "tbody td:last-child")]
    assert written == pytest.approx(list(areas.values()), abs=0.06)
    return now


def test_boxes_follow_the_mouse(watched):
    one = watched()
    figure = one.show(FIGURES["iou"]())
    scale = figure.locator("svg").bounding_box()["width"] / 450
    before = check_iou(figure)
    assert (before["a"], before["b"]) == (A, B)

    drag(one.page, figure.locator(".body[data-box=b]"), 30 * scale, -20 * scale, at=(0.9, 0.6))
    moved = check_iou(figure)
    assert moved["a"] == A
    assert moved["b"] == [B[0] + 30, B[1] - 20, B[2] + 30, B[3] - 20]

    drag(one.page, figure.locator(".nw[data-box=a]"), -50 * scale, 40 * scale)
    assert check_iou(figure)["a"] == [A[0] - 50, A[1] + 40, A[2], A[3]]

    drag(one.page, figure.locator(".e[data-box=a]"), -60 * scale, 90 * scale)
    assert check_iou(figure)["a"] == [A[0] - 50, A[1] + 40, A[2] - 60, A[3]]

    drag(one.page, figure.locator(".s[data-box=b]"), 0, -2000)  # cannot be turned inside out
    now = check_iou(figure)
    assert now["b"][1] == now["b"][3] == B[1] - 20
    assert now["iou"] == 0

    drag(one.page, figure.locator(".body[data-box=a]"), 5000, 5000, at=(0.1, 0.9))  # cannot leave the picture
    assert check_iou(figure)["a"][2:] == [450, 300]


def test_boxes_follow_the_keyboard(watched):
    one = watched()
    figure = one.show(FIGURES["iou"]())
    press(one.page, "Tab", "ArrowRight", "Shift+ArrowDown", "ArrowLeft", "ArrowLeft", "ArrowUp")
    assert check_iou(figure)["a"] == [A[0] - 1, A[1] + 9, A[2] - 1, A[3] + 9]
    press(one.page, "Tab", "Tab", "Shift+ArrowLeft")  # past the other body, to the corner of the first box
    assert check_iou(figure)["a"] == [A[0] - 11, A[1] + 9, A[2] - 1, A[3] + 9]
    press(one.page, "Tab", "ArrowDown", "ArrowRight")
    assert check_iou(figure)["a"] == [A[0] - 11, A[1] + 9, A[2], A[3] + 10]
    label = figure.locator(".se[data-box=a]").get_attribute("aria-label")
    assert f"x1 {A[0] - 11}, y1 {A[1] + 9}, x2 {A[2]}, y2 {A[3] + 10}" in label
    assert one.page.evaluate("scrollY") == 0  # the arrow keys did not move the page


def test_arrangements_and_formulas(watched):
    figure = watched().show(FIGURES["iou"]())
    numbers = {}
    for name in ("identical", "touching", "apart", "one inside the other", "empty", "start"):
        figure.get_by_role("button", name=name, exact=True).click()
        for measure in ("IoU", "GIoU", "DIoU", "CIoU"):
            figure.get_by_label(measure, exact=True).check()
            numbers[name] = check_iou(figure)
            left, right = shown(figure, ".formula")[0].split(" = ")[0], shown(figure, ".formula")[0].split(" = ")[-1]
            expression = right.replace(",", "").replace("×", "*").replace(" - -", " + ")
            assert left == measure
            assert eval(expression) == pytest.approx(numbers[name][measure.lower()], abs=2e-3)
    assert numbers["identical"]["iou"] == numbers["identical"]["ciou"] == 1
    assert numbers["touching"]["iou"] == 0 == numbers["touching"]["giou"]
    assert numbers["apart"]["giou"] < 0
    assert numbers["one inside the other"]["areas"]["intersection"] == numbers["one inside the other"]["areas"]["b"]
    assert numbers["empty"]["areas"]["b"] == 0 == numbers["empty"]["iou"]
    assert (numbers["start"]["a"], numbers["start"]["b"]) == (A, B)


def test_a_finger_moves_a_box(watched):
    one = watched(has_touch=True, viewport={"width": 390, "height": 900})
    figure = one.show(FIGURES["iou"]())
    grips = figure.locator(".grip").evaluate_all("all => all.map(node => getComputedStyle(node).touchAction)")
    assert set(grips) == {"none"}  # else the page would scroll instead
    box = figure.locator(".se[data-box=b]").bounding_box()
    scale = figure.locator("svg").bounding_box()["width"] / 450
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    session = one.context.new_cdp_session(one.page)
    moves = [("touchMove", step) for step in range(1, 6)]  # farther than where a browser begins to scroll the page
    for kind, step in [("touchStart", 0), *moves, ("touchEnd", None)]:
        points = [] if step is None else [{"x": x - 10 * step * scale, "y": y - 15 * step * scale}]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    arrived = f"host => JSON.parse(host.dataset.values).b[2] === {B[2] - 50}"
    one.page.wait_for_function(arrived, arg=figure.element_handle())
    assert check_iou(figure)["b"] == [B[0], B[1], B[2] - 50, B[3] - 75]
    assert one.page.evaluate("scrollY") == 0


# --- anchors ---


def check_anchors(figure) -> dict:
    now = values(figure)
    height, width = 300, 450
    scales, ratios, (rows, columns) = now["scales"], now["ratios"], (now["rows"], now["columns"])
    count = len(scales) * len(ratios) if now["pairing"] == "all" else len(scales) + len(ratios) - 1
    every = ops.grid_anchors(
        (rows, columns), (height, width), scales, ratios, pairing=now["pairing"], dtype=torch.float64
    ).reshape(rows * columns, count, 4)
    here = every[now["cell"][0] * columns + now["cell"][1]]
    torch.testing.assert_close(tensor(now["anchors"]), here)
    assert now["per_cell"] == count
    assert now["total"] == rows * columns * count == every.flatten(0, 1).shape[0]

    fit = ops.box_iou(tensor(TRUTHS), here)
    torch.testing.assert_close(tensor(now["here"]), fit.amax(1))
    torch.testing.assert_close(tensor(now["anywhere"]), ops.box_iou(tensor(TRUTHS), every.flatten(0, 1)).amax(1))
    assert now["best"]["iou"] == pytest.approx(float(fit.max()))
    assert float(fit[now["best"]["truth"], now["best"]["index"]]) == pytest.approx(float(fit.max()))

    sentence = shown(figure, ".count")[0]
    assert re.findall(r"\d+", sentence.replace(",", ""))[:4] == [str(n) for n in (now["total"], rows, columns, count)]
    table = [float(text.replace("✓", "")) for text in shown(figure, "tbody td")]
    assert table == pytest.approx(
        [n for pair in zip(now["here"], now["anywhere"], strict=True) for n in pair], abs=5.1e-3
    )
    ticks = ["✓" in text for text in shown(figure, "tbody td")]
    assert ticks == [n >= 0.5 for pair in zip(now["here"], now["anywhere"], strict=True) for n in pair]
    return now


def test_a_cell_follows_mouse_and_keyboard(watched):
    one = watched()
    figure = one.show(FIGURES["anchors"]())
    assert check_anchors(figure)["cell"] == [2, 3]
    picture = figure.locator("svg").bounding_box()
    one.page.mouse.move(picture["x"] + 0.25 * picture["width"], picture["y"] + 0.1 * picture["height"])
    assert check_anchors(figure)["cell"] == [0, 1]
    one.page.mouse.move(picture["x"] + 0.99 * picture["width"], picture["y"] + 0.99 * picture["height"])
    assert check_anchors(figure)["cell"] == [3, 5]
    press(one.page, "Tab", "ArrowLeft", "ArrowUp", "ArrowDown", "ArrowDown", "ArrowDown", "Shift+ArrowLeft")
    assert check_anchors(figure)["cell"] == [3, 1]
    assert "row 3, column 1" in figure.locator(".hand").get_attribute("aria-label")


def test_anchor_sliders_and_ratios(watched):
    one = watched()
    figure = one.show(FIGURES["anchors"]())
    steps = [("rows", 3, "rows", 7), ("columns", -2, "columns", 4), ("scale 1", 5, "scales", [0.35, 0.6])]
    for label, count, name, expected in steps:
        figure.get_by_role("slider", name=label).focus()
        press(one.page, *(["ArrowRight" if count > 0 else "ArrowLeft"] * abs(count)))
        now = check_anchors(figure)
        assert now[name] == pytest.approx(expected)
    figure.get_by_role("slider", name="columns").focus()
    press(one.page, "Home")
    now = check_anchors(figure)
    assert now["columns"] == 1
    assert now["cell"][1] == 0  # the cell stays on the map

    assert now["ratios"] == [1, 2, 0.5]
    figure.get_by_label("1 : 3").check()
    assert check_anchors(figure)["ratios"] == pytest.approx([1, 2, 0.5, 1 / 3])
    figure.get_by_label("pair every").check()
    assert check_anchors(figure)["per_cell"] == 8
    for name in ("1 : 1", "1 : 2", "1 : 3"):
        figure.get_by_label(name).uncheck()
    assert check_anchors(figure)["ratios"] == [2]
    assert figure.get_by_label("2 : 1").is_disabled()  # the last one stays
    figure.get_by_label("every cell").check()
    assert figure.locator(".fit").count() == 7
    assert check_anchors(figure)["shade"]


def test_a_finger_chooses_a_cell(watched):
    one = watched(has_touch=True, viewport={"width": 390, "height": 900})
    figure = one.show(FIGURES["anchors"]())
    picture = figure.locator("svg").bounding_box()
    one.page.touchscreen.tap(picture["x"] + 5, picture["y"] + picture["height"] - 5)
    assert check_anchors(figure)["cell"] == [3, 0]


# --- matching ---


def check_matching(figure) -> dict:
    now = values(figure)
    matrix = ops.box_iou(tensor(ANCHORS), tensor(TRUTHS))
    torch.testing.assert_close(tensor(now["matrix"]), matrix)
    cells = [float(re.match(r"[\d.]+", text)[0]) for text in shown(figure, "tbody td:not(.gets)")]
    assert cells == pytest.approx(matrix.flatten().tolist(), abs=5.1e-3)
    names = {None: "", -1: "background", 0: "cat", 1: "eye"}
    assert shown(figure, "td.gets") == [names[label] for label in now["labels"]]
    return now


def test_matching_step_by_step(watched):
    figure = watched().show(FIGURES["matching"]())
    now = check_matching(figure)
    assert now["labels"] == [None] * 5
    assert now["steps"] == 5

    for count, step in enumerate(ops.match_bipartite_steps(ops.box_iou(tensor(TRUTHS), tensor(ANCHORS))), start=1):
        figure.get_by_role("button", name="Next").click()
        now = check_matching(figure)
        decision = {"kind": "largest", "anchor": step.anchor, "truth": step.gt, "iou": pytest.approx(step.iou)}
        assert now["now"] == decision
        assert now["labels"][step.anchor] == step.gt
        assert f"{step.iou:.2f}: anchor {step.anchor} goes to" in shown(figure, ".status")[0]
        assert figure.locator("td.chosen").count() == count
        rows, columns = len(step.rows_crossed_out), len(step.columns_crossed_out)
        crossed = 5 * rows + 2 * columns - rows * columns - count  # of 2 objects x 5 anchors, less the entries taken
        assert figure.locator("td.crossed").count() == crossed
    assert count == 2
    figure.get_by_role("button", name="Next").click()
    assert check_matching(figure)["now"]["kind"] in ("above", "below")
    assert figure.locator("td.crossed").count() == 0
    figure.get_by_role("button", name="Back").click()
    assert check_matching(figure)["step"] == 2
    figure.get_by_role("button", name="To the end").click()
    now = check_matching(figure)
    assert None not in now["labels"]
    assert figure.get_by_role("button", name="Next").is_disabled()
    figure.get_by_role("button", name="Start over").click()
    assert check_matching(figure)["labels"] == [None] * 5


def test_matching_threshold(watched):
    one = watched()
    figure = one.show(FIGURES["matching"]())
    matrix = ops.box_iou(tensor(ANCHORS), tensor(TRUTHS))
    figure.get_by_role("button", name="To the end").click()
    for key, expected in [("Home", 0.0), ("End", 1.0), ("PageDown", 0.9), ("PageDown", 0.8), ("PageDown", 0.7)]:
        figure.get_by_role("slider", name="threshold").focus()
        press(one.page, key)
        now = check_matching(figure)
        assert now["threshold"] == pytest.approx(expected)
        assert now["labels"] == ops.match_bipartite(matrix.t(), now["threshold"]).tolist()


# --- suppression ---


def check_nms(figure) -> dict:
    now = values(figure)
    scores = tensor(SCORES)
    part = torch.nonzero(scores >= now["least"]).flatten()
    idxs = torch.tensor(LABELS) if now["byClass"] else torch.zeros(8, dtype=torch.int64)
    inputs = (tensor(BOXES)[part], scores[part], idxs[part], now["threshold"])
    final = part[ops.batched_nms(*inputs)].tolist()
    assert final == part[torchvision.ops.batched_nms(*inputs)].tolist()
    assert now["total"] == len(final)
    assert now["kept"] == final[: now["rounds"]]
    assert now["order"] == scores.argsort(descending=True, stable=True).tolist()

    words = dict(zip(shown(figure, "tbody th"), shown(figure, "tbody td:last-child"), strict=True))
    assert list(words) == [str(i) for i in now["order"]]
    matrix = ops.box_iou(tensor(BOXES), tensor(BOXES))
    for i, fate in enumerate(now["fate"]):
        expected = {"kept": "kept", "waiting": "waiting", "low": "score too low"}.get(fate["state"])
        if fate["state"] == "suppressed":
            assert float(matrix[i, fate["by"]]) > now["threshold"]
            expected = f"out: IoU {float(matrix[i, fate['by']]):.2f} with {fate['by']}"
        assert words[str(i)] == expected
    assert shown(figure, "tbody td:nth-child(3)") == [f"{SCORES[i]:.2f}" for i in now["order"]]
    return now


def test_nms_step_by_step(watched):
    figure = watched().show(FIGURES["nms"]())
    now = check_nms(figure)
    assert now["rounds"] == 0
    total = now["total"]
    assert 1 < total < 8
    for rounds in range(1, total + 1):
        assert not figure.get_by_role("button", name="Keep the best").is_disabled()
        figure.get_by_role("button", name="Keep the best").click()
        now = check_nms(figure)
        assert now["rounds"] == rounds
        assert f"Kept box {now['kept'][-1]}" in shown(figure, ".status")[0]
    assert figure.get_by_role("button", name="Keep the best").is_disabled()
    assert all(fate["state"] in ("kept", "suppressed") for fate in now["fate"])
    figure.get_by_role("button", name="Start over").click()
    assert check_nms(figure)["kept"] == []


def test_nms_thresholds_and_classes(watched):
    one = watched()
    figure = one.show(FIGURES["nms"]())
    figure.get_by_role("button", name="To the end").click()
    totals = set()
    for by_class, keys in itertools.product([True, False], [["Home"], ["PageUp"] * 3, ["PageUp"] * 3, ["End"]]):
        figure.get_by_label("class by class").set_checked(by_class)
        figure.get_by_role("slider", name="IoU above").focus()
        press(one.page, *keys)
        now = check_nms(figure)
        assert now["byClass"] == by_class
        assert len(now["kept"]) == now["total"]  # once at the end, always at the end
        totals.add(now["total"])
    assert len(totals) > 3
    figure.get_by_role("slider", name="score at least").focus()
    press(one.page, "PageUp", "PageUp", "PageUp", "PageUp", "PageUp", *["ArrowRight"] * 8)
    now = check_nms(figure)
    assert now["least"] == pytest.approx(0.58)
    assert [fate["state"] for fate in now["fate"]].count("low") == 3
    press(one.page, "End")
    assert check_nms(figure)["total"] == 0


@pytest.mark.parametrize(("name", "button"), [("nms", "Keep the best"), ("matching", "Next")])
def test_the_keyboard_is_not_lost_with_the_last_step(watched, name, button):
    """The button that was pressed can be pressed no more: the focus goes to one that can."""
    one = watched()
    figure = one.show(FIGURES[name]())
    figure.get_by_role("button", name=button).focus()
    for _ in range(20):
        if figure.get_by_role("button", name=button).is_disabled():
            break
        press(one.page, "Enter")
    held = figure.evaluate("host => host.shadowRoot.activeElement?.textContent")
    assert held == {"nms": "Start over", "matching": "Back"}[name]


def test_pointing_at_the_list_shows_the_box(watched):
    one = watched()
    figure = one.show(FIGURES["nms"]())
    assert figure.locator("svg text").count() == 0
    figure.locator("tr[data-box='6']").hover()
    assert shown(figure, "svg text") == ["6 eye 0.70"]


# --- quiz ---


def test_quiz_by_keyboard(watched):
    one = watched()
    quiz = FIGURES["quiz"]()
    questions = quiz.state["questions"]
    figure = one.show(quiz)
    for i, entry in enumerate(questions):
        right = [option["correct"] for option in entry["options"]].index(True)
        wrong = (right + 1) % len(entry["options"])
        for choice in [wrong, right] if i % 2 else [right]:  # every second question is answered wrongly at first
            figure.locator(".options button").nth(choice).focus()
            press(one.page, "Enter" if i % 3 else "Space")
            option = entry["options"][choice]
            verdict = "Right" if option["correct"] else "Not this one"
            plain = f"{verdict}. {option['why']}".replace("`", "")
            assert shown(figure, f".options li:nth-child({choice + 1}) .why") == [plain]
            assert shown(figure, "[role=status]") == [plain]
        assert figure.locator(".why").count() == (2 if i % 2 else 1)
        now = values(figure)
        assert now["score"] == i // 2 + 1
        assert now["answered"] == i + 1
        if i + 1 < len(questions):
            figure.get_by_role("button", name="Next question").focus()
            press(one.page, "Enter")
            assert shown(figure, ".heading") == [f"Question {i + 2} of {len(questions)}"]
            assert figure.locator(".text").evaluate("node => node.getRootNode().activeElement === node")
    assert shown(figure, ".result") == [f"3 of {len(questions)} right at the first try."]
    figure.get_by_role("button", name="Start again").click()
    assert values(figure)["score"] == values(figure)["answered"] == 0


# --- every figure, wherever it stands ---


@pytest.mark.parametrize("name", FIGURES)
def test_the_same_figure_twice_on_a_page(watched, name):
    one = watched()
    one.show(FIGURES[name](), FIGURES[name]())
    figures = one.page.locator(".cvlab-figure")
    one.page.wait_for_function("document.querySelectorAll('[data-values]').length === 2")
    assert len({figures.nth(i).get_attribute("id") for i in range(2)}) == 2
    before = values(figures.nth(0))
    act(one.page, figures.nth(1), name)
    assert values(figures.nth(1)) != before
    assert values(figures.nth(0)) == before


def act(page, figure, name: str) -> None:
    """Do the first thing that a reader would do."""
    if name == "iou":
        figure.locator(".body").first.focus()
        press(page, "ArrowLeft")
    elif name == "anchors":
        figure.locator(".hand").click(position={"x": 5, "y": 5})
    else:
        button = {"matching": "Next", "nms": "Keep the best"}.get(name)
        (figure.get_by_role("button", name=button) if button else figure.locator(".options button").first).click()


@pytest.mark.parametrize("name", FIGURES)
def test_in_a_sandboxed_frame(watched, name):
    one = watched()
    inside = html.escape(FIGURES[name]()._repr_html_())
    one.page.set_content(
        f'<iframe title="f" sandbox="allow-scripts" width="900" height="800" srcdoc="{inside}"></iframe>'
    )
    frame = one.page.frame_locator("iframe")
    figure = frame.locator(".cvlab-figure[data-values]")
    before = values(figure)
    if name == "iou":
        drag(one.page, figure.locator(".ne[data-box=b]"), 20, 20)
    else:
        act(one.page, figure, name)
    assert values(figure) != before


@pytest.mark.parametrize("name", FIGURES)
def test_from_a_file(watched, name, tmp_path: Path):
    one = watched()
    path = tmp_path / "page.html"
    path.write_text(page_of(FIGURES[name]()), encoding="utf-8")
    one.page.goto(path.as_uri())
    figure = one.page.locator(".cvlab-figure[data-values]")
    before = values(figure)
    act(one.page, figure, name)
    assert values(figure) != before


@pytest.mark.parametrize("name", FIGURES)
def test_without_scripts_the_figure_says_what_it_shows(watched, name):
    one = watched(java_script_enabled=False)
    figure = FIGURES[name]()
    one.page.set_content(page_of(figure))
    text = one.page.locator(".cvlab-figure").inner_text()
    assert figure.alt in text
    assert "interactive" in text


@pytest.mark.parametrize("name", FIGURES)
def test_nothing_leaks_into_the_page(watched, name):
    """No global name, no style, no keydown that the page would take for its own."""
    one = watched()
    one.page.set_content(PAGE.format(theme="light", background="#fff", text="#000", content="<p>before</p>"))
    before = one.page.evaluate("Object.keys(window).sort()")
    figure = one.show(FIGURES[name]())
    assert one.page.evaluate("Object.keys(window).sort()") == before
    assert one.page.locator("h1").evaluate("node => getComputedStyle(node).fontSize") == "32px"
    assert (
        figure.locator("button, td, input").first.evaluate("node => getComputedStyle(node).borderTopColor")
        != "rgb(255, 0, 0)"
    )
    if name in ("iou", "anchors"):
        one.page.evaluate("window.keys = 0; document.addEventListener('keydown', () => { window.keys += 1; })")
        figure.locator("[role=application]").first.focus()
        press(one.page, "ArrowLeft", "ArrowRight")
        assert one.page.evaluate("window.keys") == 0


@pytest.mark.parametrize("width", [320, 360, 768, 1400])
@pytest.mark.parametrize("name", FIGURES)
def test_it_fits_the_page(watched, name, width):
    one = watched(viewport={"width": width, "height": 800})
    figure = one.show(FIGURES[name]())
    assert one.page.evaluate("document.documentElement.scrollWidth") <= width
    right = figure.evaluate(
        """host => Math.max(...[...host.shadowRoot.querySelectorAll('button, input, output, th, td, .status, .frame')]
        .filter(node => !node.closest('.hidden') && node.getClientRects().length)
        .map(node => node.getBoundingClientRect().right))"""
    )
    assert right <= width
    if width <= 360:  # every target is large enough for a finger
        sizes = figure.locator("button").evaluate_all("all => all.map(node => node.getBoundingClientRect().height)")
        assert min(sizes, default=24) >= 24


@pytest.mark.parametrize("name", FIGURES)
def test_it_follows_the_theme_of_the_page(watched, name):
    one = watched()
    figure = one.show(FIGURES[name](), theme="light")
    root = figure.locator("figure")
    assert root.evaluate("node => node.style.colorScheme") == "light"
    one.page.evaluate("document.body.style.color = '#ced6dd'; document.documentElement.dataset.theme = 'dark'")
    one.page.wait_for_function(
        "document.querySelector('.cvlab-figure').shadowRoot.querySelector('figure').style.colorScheme === 'dark'"
    )
    assert root.evaluate("node => getComputedStyle(node).color") == "rgb(206, 214, 221)"
    assert root.evaluate("node => getComputedStyle(node).backgroundColor") == "rgba(0, 0, 0, 0)"


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("name", FIGURES)
def test_axe_finds_nothing(watched, axe_script, name, theme):
    one = watched()
    figure = one.show(FIGURES[name](), theme=theme)
    act(one.page, figure, name)
    one.page.evaluate(axe_script)
    found = one.page.evaluate("axe.run(document, { resultTypes: ['violations'] })")["violations"]
    assert [(v["id"], v["impact"], [n["html"][:120] for n in v["nodes"]]) for v in found] == []


@pytest.mark.parametrize("name", FIGURES)
def test_the_keyboard_is_always_seen(watched, name):
    """Whatever Tab reaches shows it: some style differs from that without the keyboard."""
    one = watched()
    figure = one.show(FIGURES[name]())
    seen = """host => { const node = host.shadowRoot.activeElement;
        if (!node) return null;
        const keys = ['outlineStyle', 'outlineWidth', 'strokeWidth', 'stroke'];
        const look = (of) => keys.map((key) => getComputedStyle(of)[key]);
        const all = () => JSON.stringify([node, ...node.querySelectorAll('*')].map(look));
        const on = all(); node.blur(); const off = all(); node.focus({ focusVisible: true });
        return [node.tagName, on !== off]; }"""
    reached = 0
    for _ in range(40):
        press(one.page, "Tab")
        result = figure.evaluate(seen)
        if result is None:
            break
        reached += 1
        assert result[1], result
    assert reached >= 3
