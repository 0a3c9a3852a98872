"""The figures of a detector in a browser: hands move them, `cvlab.ops` and numpy say what they must show."""

from __future__ import annotations

import re

import numpy as np
import pytest
import test_figures as every
import torch
from every_figure import rules_for
from test_figures import press, random_boxes, shown, tensor, values

from cvlab import interactive, ops

pytestmark = pytest.mark.browser
watched, call = every.watched, every.call  # fixtures

H, W = 96, 128
NAMES = ["background", "apple", "pear"]
IMAGES = [
    np.random.default_rng(i).integers(60, 200, (6, 8, 3), dtype=np.uint8).repeat(16, 0).repeat(16, 1) for i in (0, 1)
]
TARGETS = [
    {"boxes": [[10.0, 12, 50, 60], [60, 20, 120, 90], [100, 4, 112, 18]], "labels": [1, 2, 1]},
    {"boxes": [[30.0, 30, 80, 80]], "labels": [2]},
]
MAPS, SCALES, RATIOS = [(12, 16), (6, 8), (3, 4)], [(0.13, 0.18), (0.25, 0.33), (0.42, 0.5)], (1.0, 2.0, 0.5)


def spoiled(target: dict, seed: int, count: int = 12) -> dict:
    """Several boxes around each object, some with the wrong class, and boxes around nothing."""
    rng = np.random.default_rng(seed)
    boxes = np.repeat(np.array(target["boxes"]), count, axis=0) + rng.normal(0, 4, (count * len(target["boxes"]), 4))
    corners = np.sort(rng.uniform(0, 90, (count, 2, 2)), axis=1).reshape(-1, 4)
    boxes = np.concatenate([np.sort(boxes.reshape(-1, 2, 2), axis=1).reshape(-1, 4), corners])
    labels = np.concatenate([np.repeat(target["labels"], count), rng.integers(1, 3, count)])
    labels = np.where(rng.random(len(labels)) < 0.2, 3 - labels, labels)
    return {"boxes": boxes, "scores": rng.random(len(boxes)), "labels": labels}


PREDICTIONS = [spoiled(target, seed) for seed, target in enumerate(TARGETS)]
HISTORY = [(s, {"loss": 8 / s, "classification": 6 / s, "box": 2 / s, "learning_rate": s / 1e5}) for s in range(1, 501)]
STEPS = (0, 10, 50, 200, 500)
SNAPSHOTS = [
    {"step": step, "predictions": [spoiled(t, step + 7 * i, 2) for i, t in enumerate(TARGETS)], "ap50": step / 1000}
    for step in STEPS
]
FIGURES = {
    "feature_maps": lambda: interactive.feature_maps(
        IMAGES[0], TARGETS[0], MAPS, SCALES, RATIOS, fields=[31, 63, 127], field_start=0.5, names=NAMES, level=1
    ),
    "thresholds": lambda: interactive.thresholds(IMAGES, PREDICTIONS, TARGETS, NAMES),
    "training": lambda: interactive.training(HISTORY, SNAPSHOTS, IMAGES, TARGETS, NAMES),
}


def act(page, figure, name: str) -> None:
    """Do the first thing that a reader would do."""
    if name == "feature_maps":
        figure.locator(".hand").click(position={"x": 5, "y": 5})
    else:
        figure.get_by_role("slider", name={"thresholds": "score", "training": "step"}[name]).first.focus()
        press(page, "ArrowRight")


def slide(figure, label: str, value: float) -> None:
    figure.get_by_role("slider", name=label).fill(str(value))


# --- feature maps: the functions of the script ---


def test_anchors_are_those_of_python(call):
    rng = np.random.default_rng(1)
    cases, want = [], []
    for _ in range(25):
        size, image = (tuple(int(n) for n in rng.integers(1, high, 2)) for high in (8, 300))
        scales, ratios = (
            rng.uniform(0.1, 1, rng.integers(1, 4)).tolist(),
            rng.uniform(0.3, 3, rng.integers(1, 4)).tolist(),
        )
        cases.append(({"rows": size[0], "columns": size[1], "scales": scales, "ratios": ratios}, image[1], image[0]))
        want.append(ops.grid_anchors(size, image, scales, ratios, pairing="first", dtype=torch.float64))
    for got, expected in zip(call("feature_maps", "anchorsOf", cases), want, strict=True):
        torch.testing.assert_close(tensor(got), expected)


def test_assignment_is_that_of_python(call):
    rng = np.random.default_rng(2)
    cases = [((rng.integers(0, 6, (1 + i % 9, i % 5)) / 5).tolist(), int(rng.integers(0, 11)) / 10) for i in range(60)]
    for (rows, threshold), got in zip(cases, call("feature_maps", "assign", cases), strict=True):
        matrix = tensor(rows).reshape(len(rows), -1).t().contiguous()  # objects in rows
        assert [one["truth"] for one in got] == ops.match_bipartite(matrix, threshold).tolist()
        own = {step.anchor for step in ops.match_bipartite_steps(matrix)}
        assert {i for i, one in enumerate(got) if one["own"]} == own


def test_a_field_worked_by_hand(call):
    one = {"rows": 4, "columns": 8, "field": 20}
    # cells of 16 x 16 pixels; the middle of cell (1, 2) is x = 2.5 * 16 = 40, y = 1.5 * 16 = 24
    # from 0.5 on: x = 0.5 + 2 * 16 = 32.5, y = 0.5 + 16 = 16.5
    cases = [(one, [1, 2], None, 128, 64), (one, [1, 2], 0.5, 128, 64)]
    assert call("feature_maps", "fieldOf", cases) == [[30, 14, 50, 34], [22.5, 6.5, 42.5, 26.5]]


# --- feature maps: the figure ---


def check_feature_maps(figure) -> dict:
    """Compare every number that the figure shows with Python's."""
    now = values(figure)
    level, (i, j) = now["level"], now["cell"]
    generator = ops.AnchorGenerator(SCALES, RATIOS, pairing="first")
    anchors = [a.double() for a in generator([torch.zeros(m, dtype=torch.float64) for m in MAPS], (H, W))]
    truths = tensor(TARGETS[0]["boxes"])
    fits = [ops.box_iou(truths, a) for a in anchors]
    gets = ops.match_bipartite(torch.cat(fits, 1), now["threshold"]).split([len(a) for a in anchors])

    k = generator.anchors_per_cell[level]
    own = slice((i * MAPS[level][1] + j) * k, (i * MAPS[level][1] + j + 1) * k)
    torch.testing.assert_close(tensor([one["box"] for one in now["anchors"]]), anchors[level][own])
    assert [one["truth"] for one in now["anchors"]] == gets[level][own].tolist()
    learns = torch.where(gets[level] < 0, fits[level].argmax(0), gets[level])  # or what it is nearest to
    want = fits[level].gather(0, learns[None])[0, own].tolist()
    assert [one["iou"] for one in now["anchors"]] == pytest.approx(want)

    reach = torch.stack([fit.amax(1) for fit in fits] + [torch.cat(fits, 1).amax(1)])  # (maps + 1, objects)
    torch.testing.assert_close(tensor(now["reach"]), reach[:-1])
    reached = (reach >= now["threshold"]).sum(1).tolist()
    positives = [int((map_gets >= 0).sum()) for map_gets in gets]
    assert (now["reached"], now["positives"]) == (reached, positives)

    cells = [text.replace(",", "") for text in shown(figure, ".every tbody td")]
    entries = reach.t().flatten().tolist()
    assert [float(text.strip("✓ ")) for text in cells[: len(entries)]] == pytest.approx(entries, abs=5.1e-3)
    assert ["✓" in text for text in cells[: len(entries)]] == [value >= now["threshold"] for value in entries]
    assert cells[len(entries) :] == [*(f"{n} of 3" for n in reached), *map(str, [*positives, sum(positives)])]
    numbers = [int(n) for n in re.findall(r"\d+", shown(figure, ".count")[0].replace(",", ""))]
    assert numbers == [positives[level], len(anchors[level]), sum(positives)]
    learned = ["background", *(NAMES[label] for label in TARGETS[0]["labels"])]
    beginnings = [learned[one["truth"] + 1] for one in now["anchors"]]
    texts = shown(figure, ".side tbody td:last-child")
    assert all(text.startswith(word) for text, word in zip(texts, beginnings, strict=True))
    dots = {n // k for n in range(len(anchors[level])) if gets[level][n] >= 0}
    assert figure.locator(".dot").count() == len(dots)
    return now


def test_a_cell_follows_mouse_and_keyboard(watched):
    one = watched()
    figure = one.show(FIGURES["feature_maps"]())
    start = check_feature_maps(figure)
    assert (start["level"], start["cell"]) == (1, [2, 1])  # the middle of the first object, x 30, y 36, in cells of 16
    picture = figure.locator("svg.picture").bounding_box()
    one.page.mouse.move(picture["x"] + picture["width"] * 0.7, picture["y"] + picture["height"] * 0.6)
    assert check_feature_maps(figure)["cell"] == [3, 5]  # 0.6 * 6 = 3.6 and 0.7 * 8 = 5.6
    figure.locator(".hand").focus()
    press(one.page, "ArrowLeft", "ArrowUp", "Shift+ArrowRight")
    assert check_feature_maps(figure)["cell"] == [2, 7]
    press(one.page, "Shift+ArrowDown", "ArrowDown")
    assert check_feature_maps(figure)["cell"] == [5, 7]  # stays on the map
    assert "cell at row 5, column 7" in figure.locator(".hand").get_attribute("aria-label")
    one.page.evaluate("window.keys = 0; document.addEventListener('keydown', () => { window.keys += 1; })")
    press(one.page, "ArrowLeft")
    assert one.page.evaluate("[window.keys, scrollY]") == [0, 0]


def test_another_map_keeps_the_place(watched):
    figure = watched().show(FIGURES["feature_maps"]())
    for label, level, cell in [("12 × 16", 0, [5, 3]), ("3 × 4", 2, [1, 0]), ("6 × 8", 1, [3, 1])]:
        figure.get_by_role("radio", name=label).check()
        # the old cell's middle: (24, 40) in cells of 8, then (28, 44) in cells of 32, then (16, 48) in cells of 16
        now = check_feature_maps(figure)
        assert (now["level"], now["cell"]) == (level, cell)
        x, y, side = 0.5 + cell[1] * W / MAPS[level][1], 0.5 + cell[0] * H / MAPS[level][0], [31, 63, 127][level]
        assert now["sees"] == pytest.approx([x - side / 2, y - side / 2, x + side / 2, y + side / 2])


def test_the_threshold_moves_what_is_positive(watched):
    figure = watched().show(FIGURES["feature_maps"]())
    counts = []
    for threshold in (0, 0.3, 0.5, 0.61, 1):
        slide(figure, "from an IoU of", threshold)
        counts.append(sum(check_feature_maps(figure)["positives"]))
    assert counts == sorted(counts, reverse=True)
    assert counts[0] == (192 + 48 + 12) * 4
    assert counts[-1] == 3  # each object keeps its best
    assert check_feature_maps(figure)["reached"] == [0, 0, 0, 0]


def test_what_the_cell_does_not_see_is_dark(watched):
    figure = watched().show(FIGURES["feature_maps"]())
    assert figure.locator(".unseen").count() == 1
    figure.get_by_label("darken what").uncheck()
    assert figure.locator(".unseen, .field").count() == 0
    plain = watched().show(interactive.feature_maps(IMAGES[0], TARGETS[0], MAPS, SCALES))
    assert values(plain)["sees"] is None
    assert plain.get_by_label("darken what").count() == plain.locator(".unseen").count() == 0


def test_a_finger_chooses_a_cell(watched):
    one = watched(has_touch=True, viewport={"width": 390, "height": 900})
    figure = one.show(FIGURES["feature_maps"]())
    box = figure.locator("svg.picture").bounding_box()
    one.page.touchscreen.tap(box["x"] + box["width"] * 0.95, box["y"] + box["height"] * 0.05)
    assert check_feature_maps(figure)["cell"] == [0, 7]


def test_a_map_alone_and_no_objects(watched):
    empty = {"boxes": torch.zeros(0, 4), "labels": []}
    figure = watched().show(interactive.feature_maps(IMAGES[0], empty, MAPS[:1], SCALES[:1]))
    now = values(figure)
    assert now["positives"] == [0]
    assert [one["truth"] for one in now["anchors"]] == [-1] * 4
    assert shown(figure, ".every tbody td") == ["0 of 0", "0"]


@pytest.mark.parametrize("width", [320, 700])
def test_six_maps_fit_the_page(watched, axe_script, width):
    maps = [(n, n) for n in (38, 19, 10, 5, 3, 1)]  # those of SSD300
    made = interactive.feature_maps(IMAGES[0], TARGETS[0], maps, [(0.5,)] * 6, names=["-", "strawberry", "watermelon"])
    one = watched(viewport={"width": width, "height": 800})
    figure = one.show(made)
    assert one.page.evaluate("document.documentElement.scrollWidth") <= width
    assert len(shown(figure, ".every thead th")) == 8
    one.page.evaluate(axe_script)
    assert one.page.evaluate("axe.run(document, { resultTypes: ['violations'] })")["violations"] == []


# --- detections: the functions of the scripts ---


def python_judge(prediction: dict, truth: dict, least: float = 0.5) -> list[int]:
    """Match in plain loops: best score first, the free object of its class that it overlaps most."""
    iou = ops.box_iou(tensor(prediction["boxes"]).reshape(-1, 4), tensor(truth["boxes"]).reshape(-1, 4)).tolist()
    found, free = [-1] * len(iou), set(range(len(truth["boxes"])))
    for i in sorted(range(len(iou)), key=lambda i: -prediction["scores"][i]):
        options = [(iou[i][t], t) for t in free if truth["labels"][t] == prediction["labels"][i] and iou[i][t] >= least]
        if options:
            found[i] = max(options)[1]
            free.remove(found[i])
    return found


def random_detections(rng, count: int, coarse: bool) -> dict:
    boxes = random_boxes(rng, count) if coarse else np.sort(rng.uniform(0, 90, (count, 2, 2)), axis=1).reshape(-1, 4)
    scores = rng.integers(0, 6, count) / 5 if coarse else rng.random(count)  # coarse: ties are frequent
    return {"boxes": boxes.tolist(), "scores": scores.tolist(), "labels": rng.integers(1, 3, count).tolist()}


def test_suppression_is_that_of_python(call):
    rng = np.random.default_rng(3)
    cases = [(random_detections(rng, i % 20, bool(i % 2)), int(rng.integers(0, 101)) / 100) for i in range(80)]
    for (one, threshold), got in zip(cases, call("thresholds", "keep", cases), strict=True):
        boxes, scores = tensor(one["boxes"]).reshape(-1, 4), tensor(one["scores"])
        labels = torch.tensor(one["labels"], dtype=torch.int64)
        assert got == ops.batched_nms(boxes, scores, labels, threshold).tolist()


def test_right_and_false_are_those_of_python(call):
    rng = np.random.default_rng(4)
    cases = [
        (random_detections(rng, i % 12, True), random_detections(rng, i % 7, True), (i % 5) / 5) for i in range(120)
    ]
    found = call("thresholds", "judge", cases)
    assert found == [python_judge(*case) for case in cases]
    assert sum(truth >= 0 for one in found for truth in one) > 50


def test_judging_worked_by_hand(call):
    truth = {"boxes": [[0, 0, 10, 10], [20, 0, 30, 10]], "labels": [1, 1]}
    boxes = [[0, 0, 10, 8], [0, 0, 10, 10], [22, 0, 32, 10], [20, 0, 30, 10]]  # IoU 0.8, 1, 80 / 120 and, as a pear, 1
    prediction = {"boxes": boxes, "scores": [0.9, 0.8, 0.7, 0.6], "labels": [1, 1, 1, 2]}
    assert call("thresholds", "judge", [(prediction, truth, 0.5), (prediction, truth, 0.7)]) == [
        [0, -1, 1, -1],
        [0, -1, -1, -1],
    ]


def test_average_precision_worked_by_hand(call):
    # hits 1, 0, 1 of 4 objects: precision 1, 1/2, 2/3 at recall 1/4, 1/4, 2/4; the envelope is 1, 2/3, 2/3
    detected = [{"kept": {"scores": [0.9, 0.8, 0.7]}, "found": [0, -1, 1]}]
    points = call("thresholds", "curve", [(detected, 4)])[0]
    assert [one["recall"] for one in points] == [0.25, 0.25, 0.5]
    assert [one["precision"] for one in points] == pytest.approx([1, 1 / 2, 2 / 3])
    assert [one["precision"] for one in call("thresholds", "envelope", [[points]])[0]] == pytest.approx(
        [1, 2 / 3, 2 / 3]
    )
    assert call("thresholds", "averagePrecision", [[points], [[]]]) == pytest.approx([1 / 4 + 2 / 3 / 4, 0])
    measures = call("thresholds", "measure", [(detected, 4, 0.8), (detected, 4, 1), (detected[:0], 0, 0.5)])
    # of two shown one is right: 1 / 2, of four objects one: 1 / 4, 2 * 1 / (2 + 4)
    assert measures[0] == pytest.approx(
        {"right": 1, "false": 1, "missed": 3, "precision": 0.5, "recall": 0.25, "f1": 1 / 3}
    )
    assert measures[1] == {"right": 0, "false": 0, "missed": 4, "precision": None, "recall": 0, "f1": 0}
    assert measures[2] == {"right": 0, "false": 0, "missed": 0, "precision": None, "recall": None, "f1": None}


# --- thresholds: the figure ---


def check_thresholds(figure, made) -> dict:
    """Compare every number that the figure shows with those of `batched_nms` and numpy."""
    now = values(figure)
    scores, hits, shown_counts, objects = [], [], [], 0
    for one, got in zip(made.state["pictures"], now["shown"], strict=True):
        prediction, truth = one["prediction"], one["truth"]
        boxes, confidence = tensor(prediction["boxes"]).reshape(-1, 4), tensor(prediction["scores"])
        labels = torch.tensor(prediction["labels"], dtype=torch.int64)
        kept = ops.batched_nms(boxes, confidence, labels, now["threshold"])
        whole = {"boxes": boxes[kept].tolist(), "scores": confidence[kept].tolist(), "labels": labels[kept].tolist()}
        found = python_judge(whole, truth)
        count = sum(score >= now["score"] for score in whole["scores"])
        assert got["kept"]["boxes"] == whole["boxes"][:count]
        assert got["found"] == found[:count]
        right = sum(t >= 0 for t in found[:count])
        assert got["counts"] == {"right": right, "false": count - right, "missed": len(truth["boxes"]) - right}
        scores += whole["scores"]
        hits += [t >= 0 for t in found]
        shown_counts.append(got["counts"])
        objects += len(truth["boxes"])

    order = np.argsort(-np.array(scores), kind="stable")
    found_so_far = np.cumsum(np.array(hits)[order])
    recall, precision = found_so_far / objects, found_so_far / np.arange(1, len(order) + 1)
    assert [p["recall"] for p in now["points"]] == pytest.approx(recall.tolist())
    assert [p["precision"] for p in now["points"]] == pytest.approx(precision.tolist())
    best_beyond = np.maximum.accumulate(precision[::-1])[::-1]
    ap = float((np.diff(recall, prepend=0) * best_beyond).sum())
    count = int((np.array(scores) >= now["score"]).sum())
    right = int(np.array(hits)[np.array(scores) >= now["score"]].sum())
    assert (now["right"], now["false"], now["missed"]) == (right, count - right, objects - right)
    measures = [right / count if count else None, right / objects, 2 * right / (count + objects), ap]
    assert [now[name] for name in ("precision", "recall", "f1", "ap")] == pytest.approx(measures)

    for text, value in zip(shown(figure, "tbody td:last-child"), measures, strict=True):
        assert text == ("–" if value is None else f"{value:.2f}")
    chosen = shown_counts[now["chosen"]]
    assert shown(figure, ".outcomes > span") == [f"{n} {name}" for name, n in chosen.items()]
    signs = [f"✓{c['right']} right✗{c['false']} false○{c['missed']} missed" for c in shown_counts]
    assert shown(figure, ".tally") == signs
    place = figure.locator(".point circle")
    if count:
        at = figure.evaluate(
            """host => { const find = (selector) => host.shadowRoot.querySelector(selector), c = find('.point circle');
                const [x0, y1, y0, x1] = find('.axis').getAttribute('d').match(/[\\d.]+/g).map(Number);
                return [(c.getAttribute('cx') - x0) / (x1 - x0), (c.getAttribute('cy') - y0) / (y1 - y0)]; }"""
        )
        assert at == pytest.approx([now["recall"], now["precision"]])
    else:
        assert place.count() == 0
    return now


def test_thresholds_follow_their_sliders(watched):
    made = FIGURES["thresholds"]()
    figure = watched().show(made)
    check_thresholds(figure, made)
    boxes, areas = [], []
    for score in (0, 0.25, 0.6, 0.95, 1):
        slide(figure, "score at least", score)
        boxes.append(sum(len(one["found"]) for one in check_thresholds(figure, made)["shown"]))
    assert boxes == sorted(boxes, reverse=True)
    assert (boxes[0] > 30, boxes[-1]) == (True, 0)
    slide(figure, "score at least", 0.3)
    for overlap in (0, 0.2, 0.45, 0.8, 1):
        slide(figure, "NMS IoU above", overlap)
        areas.append(check_thresholds(figure, made)["ap"])
    assert len(set(areas)) >= 4
    assert figure.locator(".before").get_attribute("d") != figure.locator(".curve").get_attribute("d")


def test_the_curve_can_be_dragged(watched):
    made = FIGURES["thresholds"]()
    one = watched()
    figure = one.show(made)
    box = figure.locator(".chart").bounding_box()
    one.page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 0.5 * box["height"])
    one.page.mouse.down()
    one.page.mouse.move(box["x"] + 0.98 * box["width"], box["y"] + 0.9 * box["height"])
    far = check_thresholds(figure, made)
    one.page.mouse.move(box["x"] + 0.2 * box["width"], box["y"] + 0.05 * box["height"])
    near = check_thresholds(figure, made)
    one.page.mouse.up()
    assert far["recall"] > 0.7 > near["recall"]
    assert far["score"] < near["score"]
    one.page.mouse.move(box["x"] + 0.9 * box["width"], box["y"] + 0.8 * box["height"])
    assert check_thresholds(figure, made)["score"] == near["score"]  # only what is held moves


def test_a_finger_moves_the_score(watched):
    made = FIGURES["thresholds"]()
    one = watched(has_touch=True, viewport={"width": 390, "height": 900})
    figure = one.show(made)
    chart = figure.locator(".chart")
    assert chart.evaluate("node => getComputedStyle(node).touchAction") == "pan-y"
    chart.scroll_into_view_if_needed()
    box = chart.bounding_box()
    before = values(figure)["score"]
    one.page.touchscreen.tap(box["x"] + box["width"] * 0.97, box["y"] + box["height"] * 0.8)
    assert check_thresholds(figure, made)["score"] < before


def test_the_best_f1_is_found(watched):
    made = FIGURES["thresholds"]()
    one = watched()
    figure = one.show(made)
    button = figure.get_by_role("button", name="Go to the best F1")
    button.click()
    best = check_thresholds(figure, made)
    assert button.is_disabled()
    for score in np.arange(0, 101) / 100:
        slide(figure, "score at least", float(score))
        assert values(figure)["f1"] <= best["f1"]


def test_another_picture(watched):
    made = FIGURES["thresholds"]()
    figure = watched().show(made)
    figure.get_by_role("button", name="Picture 2").click()
    assert check_thresholds(figure, made)["chosen"] == 1
    assert figure.locator(".thumb[aria-pressed=true]").count() == 1
    assert [box.is_visible() for box in figure.locator("svg.picture:not(.chart)").all()] == [False, True]


def test_no_detections_and_no_objects(watched):
    nothing = {"boxes": torch.zeros(0, 4), "scores": [], "labels": []}
    figure = watched().show(interactive.thresholds(IMAGES[:1], [nothing], [nothing]))
    now = values(figure)
    assert [now[name] for name in ("precision", "recall", "f1", "ap")] == [None] * 4
    assert figure.get_by_role("button", name="Go to the best F1").is_disabled()
    figure = watched().show(interactive.thresholds(IMAGES[:1], [nothing], TARGETS[:1], NAMES))
    now = values(figure)
    assert [now[name] for name in ("precision", "recall", "f1", "ap")] == [None, 0, 0, 0]
    assert shown(figure, ".outcomes > span") == ["0 right", "0 false", "3 missed"]


def test_names_do_not_cover_each_other(watched):
    figure = watched().show(FIGURES["thresholds"]())
    slide(figure, "score at least", 0)
    rects = figure.locator("svg.picture:not(.chart) g[pointer-events=none] rect").evaluate_all(
        """all => all.filter(node => node.getClientRects().length).map(node => node.getBBox())
        .map(box => [box.x, box.y, box.x + box.width, box.y + box.height])"""
    )
    overlaps = ops.box_iou(tensor(rects), tensor(rects))
    assert 3 <= len(rects) <= 15  # no more than 12, and the missed ones
    assert int((overlaps > 1e-9).sum()) == len(rects)  # each with itself


# --- training ---


def test_ticks_worked_by_hand(call):
    assert call("training", "decades", [(0.3, 8), (1, 1500), (0.02, 0.3)]) == [
        [0.5, 1, 2, 5],
        [1, 10, 100, 1000],
        [0.02, 0.05, 0.1, 0.2],
    ]
    assert call("training", "rounds", [[1500], [40], [4]]) == [
        [0, 200, 400, 600, 800, 1000, 1200, 1400],
        [0, 10, 20, 30, 40],
        [0, 1, 2, 3, 4],
    ]
    assert call("training", "nearest", [([1, 5, 9], 6), ([1, 5, 9], 7), ([1, 5, 9], 100)]) == [1, 1, 2]


def check_training(figure, made) -> dict:
    now, state = values(figure), made.state
    moment = state["snapshots"][now["snapshot"]]
    assert (now["step"], now["ap50"]) == (moment["step"], moment["ap50"])
    right = false = 0
    for prediction, truth, kept, found in zip(
        moment["predictions"], state["truths"], now["kept"], now["found"], strict=True
    ):
        few = [i for i, score in enumerate(prediction["scores"]) if score >= now["score"]]
        assert kept == {name: [prediction[name][i] for i in few] for name in ("boxes", "scores", "labels")}
        assert found == python_judge(kept, truth)
        right += sum(t >= 0 for t in found)
        false += sum(t < 0 for t in found)
    assert now["counts"] == {"right": right, "false": false, "missed": 4 - right}
    assert shown(figure, ".outcomes > span") == [f"{right} right", f"{false} false", f"{4 - right} missed"]
    at = int(np.abs(np.array(state["steps"]) - now["step"]).argmin())
    assert now["values"] == {name: term[at] for name, term in state["terms"].items()}
    numbers = [*now["values"].values(), now["rate"], now["ap50"]]
    assert [float(text) for text in shown(figure, "tbody td")] == pytest.approx(numbers, rel=5.1e-3, abs=5.1e-3)
    return now


def test_the_moment_follows_slider_keys_and_curve(watched):
    made = FIGURES["training"]()
    one = watched()
    figure = one.show(made)
    assert check_training(figure, made)["step"] == 0
    knob = figure.get_by_role("slider", name="step").first
    knob.focus()
    press(one.page, "ArrowRight", "ArrowRight")
    assert check_training(figure, made)["step"] == 50
    assert knob.get_attribute("aria-valuetext") == "step 50"
    assert shown(figure, ".slider output")[0] == "50"
    press(one.page, "End")
    assert check_training(figure, made)["step"] == 500

    box = figure.locator(".chart").first.bounding_box()
    left, wide = box["x"] + 46, box["width"] - 60  # the margins beside the axis
    places = {step: left + wide * np.log1p(step) / np.log1p(500) for step in STEPS}
    one.page.mouse.move(places[200], box["y"] + 40)
    one.page.mouse.down()
    assert check_training(figure, made)["step"] == 200
    one.page.mouse.move(places[10], box["y"] + 60)
    assert check_training(figure, made)["step"] == 10
    one.page.mouse.up()
    assert knob.input_value() == "1"
    figure.get_by_label("logarithmic").uncheck()
    one.page.mouse.click(left + wide * 0.42, box["y"] + 40)  # 210 of 500 steps
    assert check_training(figure, made)["step"] == 200


def test_the_score_hides_predictions(watched):
    made = FIGURES["training"]()
    figure = watched().show(made)
    counts = []
    for score in (0, 0.5, 1):
        slide(figure, "score at least", score)
        now = check_training(figure, made)
        counts.append(now["counts"]["right"] + now["counts"]["false"])
    assert counts[0] == 2 * 4 + 2 * 2 > counts[1] > counts[2] == 0  # two for each object, two more in each picture


def test_the_curves_are_where_their_numbers_are(watched):
    """The loss 8 / s falls by a factor of 8 between steps 1 and 8: on a logarithmic axis by log 8 of its height."""
    history = [(s, {"loss": 8 / s}) for s in range(1, 101)]
    moments = [{"step": 1, "predictions": [PREDICTIONS[0]]}, {"step": 100, "predictions": [PREDICTIONS[0]]}]
    made = interactive.training(history, moments, IMAGES[0], TARGETS[0])
    figure = watched().show(made)
    assert figure.locator(".chart").count() == 1  # nothing was measured, so there is no second one
    d = figure.locator(".chart .term0").get_attribute("d")
    points = np.array([float(n) for n in re.findall(r"[\d.]+", d)]).reshape(-1, 2)
    axis = np.array([float(n) for n in re.findall(r"[\d.]+", figure.locator(".axis").get_attribute("d"))])
    x0, top, bottom, x1 = axis
    steps = np.arange(1, 101)
    assert len(points) == 100
    low, high = 0.08 / 1.15, 8 * 1.15  # a margin above and below
    np.testing.assert_allclose((points[:, 0] - x0) / (x1 - x0), np.log1p(steps) / np.log1p(100), atol=1e-9)
    want = np.log(np.array(made.state["terms"]["loss"]) / low) / np.log(high / low)
    np.testing.assert_allclose((bottom - points[:, 1]) / (bottom - top), want, atol=1e-9)


def test_a_loss_of_zero_lies_on_the_axis(watched):
    moments = [{"step": 2, "predictions": PREDICTIONS[0]}]
    figure = watched().show(interactive.training([(1, {"a": 0.0}), (2, {"a": 0})], moments, IMAGES[0], TARGETS[0]))
    assert values(figure)["values"] == {"a": 0}
    assert "NaN" not in figure.locator(".chart .term0").get_attribute("d")


# --- what holds for every figure ---


TestEveryFigure = rules_for(FIGURES, act)
