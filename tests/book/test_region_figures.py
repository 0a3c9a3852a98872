"""The figures of regions, masks and proposals in a browser: hands move them, `cvlab.ops` says what they must show."""

from __future__ import annotations

import base64
import re

import numpy as np
import pytest
import test_figures as every
import torch
import torchvision
from every_figure import rules_for
from test_figures import drag, press, shown, tensor, values

from cvlab import interactive, ops
from cvlab.metrics import proposal_recall

pytestmark = pytest.mark.browser
watched, call = every.watched, every.call  # fixtures

H, W, STRIDE = 96, 128, 16
IMAGE = np.random.default_rng(0).integers(60, 200, (6, 8, 3), dtype=np.uint8).repeat(16, 0).repeat(16, 1)
MAP = np.random.default_rng(1).uniform(-2, 3, (6, 8))
RAMP = np.tile(np.arange(8.0), (6, 1))
BOX = [30, 22, 95, 84]


def blobs() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Discs as true masks, and boxes and soft small masks that miss them a little."""
    y, x = torch.meshgrid(torch.arange(H) + 0.5, torch.arange(W) + 0.5, indexing="ij")
    centres, radii = [(40, 40), (90, 60), (60, 20)], [22, 17, 9]
    truths = torch.stack([(x - u) ** 2 + (y - v) ** 2 < r**2 for (u, v), r in zip(centres, radii, strict=True)])
    boxes = ops.masks_to_boxes(truths).double() + tensor([[-2.3, 1.4, 3.2, 2.6], [3, 0, -2, 1], [0, 0, 0, 0]])
    line = torch.linspace(-1, 1, 28)
    soft = torch.sigmoid(6 * (0.9 - (line**2 + (line[:, None] + 0.1) ** 2).sqrt()))
    noise = torch.rand(3, 28, 28, generator=torch.Generator().manual_seed(0))
    return truths, boxes, (soft + 0.3 * (noise - 0.5)).clamp(0, 1)


TRUTHS, BOXES, SMALL = blobs()
NAMES = ["apple", "pear", "plum"]
OBJECTS = [[10.0, 12, 50, 60], [60, 20, 120, 90], [100, 4, 112, 18]]


def guesses(seed: int, count: int, spread: float) -> dict:
    """Boxes around the objects, some near and some far, with scores."""
    rng = np.random.default_rng(seed)
    boxes = np.array(OBJECTS)[rng.integers(0, 3, count)] + rng.normal(0, spread, (count, 4))
    boxes = np.sort(boxes.reshape(-1, 2, 2), axis=1).reshape(-1, 4)
    return {"boxes": boxes, "scores": rng.random(count)}


NETWORK, OTHER = guesses(2, 120, 4), {"boxes": guesses(3, 45, 9)["boxes"]}
FIGURES = {
    "roi": lambda: interactive.roi(MAP, BOX, stride=STRIDE, image=IMAGE),
    "mask_head": lambda: interactive.mask_head(IMAGE, BOXES, SMALL, TRUTHS, NAMES),
    "proposals": lambda: interactive.proposals(
        IMAGE, **NETWORK, truth=OBJECTS, other=OTHER, names=NAMES, titles=["trained", "selective search"], count=10
    ),
}


def act(page, figure, name: str) -> None:
    """Do the first thing that a reader would do."""
    if name == "roi":
        figure.locator(".body").focus()
    else:
        figure.get_by_role("slider", name={"mask_head": "threshold", "proposals": "best first"}[name]).focus()
    press(page, "ArrowRight")


def slide(figure, label: str, value: float) -> None:
    figure.get_by_role("slider", name=label).fill(str(value))


def numbers(text: str) -> list[float]:
    return [float(number) for number in re.findall(r"-?\d+\.?\d*", text.replace(",", ""))]


# --- regions: the functions of the script ---


def random_regions(rng, count: int) -> list[tuple[dict, list[float], int]]:
    """Maps with regions that lie on half cells, on whole ones and between, and some beyond the edge."""
    cases = []
    for i in range(count):
        rows, columns, stride = (int(n) for n in (*rng.integers(1, 9, 2), rng.choice([1, 4, 16])))
        limit = np.array([columns, rows]) * stride
        corners = rng.uniform(-0.2, 1.3, (2, 2)) * limit
        if i % 2:
            corners = np.round(corners * 2 / stride) * stride / 2
        cells = rng.normal(0, 3, rows * columns).round(1)  # equal ones occur
        state = {"map": cells.tolist(), "rows": rows, "columns": columns, "stride": stride}
        cases.append((state, np.sort(corners, axis=0).flatten().tolist(), 1 + i % 4))
    return cases


def test_pooling_is_that_of_python(call):
    cases = random_regions(np.random.default_rng(4), 400)
    for (state, box, bins), got in zip(cases, call("roi", "roiPool", cases), strict=True):
        cells, corners = tensor(state["map"]).reshape(1, 1, state["rows"], -1), tensor([box])
        want = ops.roi_pool(cells, [corners], bins, 1 / state["stride"])[0, 0]
        torch.testing.assert_close(tensor(got["values"]).reshape(bins, bins), want, atol=1e-9, rtol=0)
        oracle = torchvision.ops.roi_pool(cells, [corners], bins, 1 / state["stride"])[0, 0]
        torch.testing.assert_close(want, oracle)
        rows, columns = ops.roi_pool_bins(corners, bins, 1 / state["stride"])
        assert (got["rows"], got["columns"]) == (rows[0].tolist(), columns[0].tolist())
        for value, cell in zip(got["values"], got["largest"], strict=True):
            assert value == (state["map"][cell] if cell >= 0 else 0)


def test_aligning_is_that_of_python(call):
    regions = random_regions(np.random.default_rng(5), 400)
    cases = [(*region, 1 + i % 3, bool(i // 3 % 2)) for i, region in enumerate(regions)]
    for (state, box, bins, ratio, aligned), got in zip(cases, call("roi", "roiAlign", cases), strict=True):
        cells, scale = tensor(state["map"]).reshape(1, 1, state["rows"], -1), 1 / state["stride"]
        want = ops.roi_align(cells, [tensor([box])], bins, scale, ratio, aligned)[0, 0]
        torch.testing.assert_close(tensor(got["values"]).reshape(bins, bins), want, atol=1e-9, rtol=0)
        points = ops.roi_align_points(tensor(box), bins, scale, ratio, aligned)  # (rows, columns, a, b, 2)
        torch.testing.assert_close(tensor(got["xs"]), points[0, :, 0, :, 0])
        torch.testing.assert_close(tensor(got["ys"]), points[:, 0, :, 0, 1])


def test_a_region_worked_by_hand(call):
    ramp = {"map": RAMP.flatten().tolist(), "rows": 6, "columns": 8, "stride": 16}
    # x from 24 to 56 is 1.5 to 3.5 cells, rounded to 2 and 4: cells 2, 3 and 4, 1.5 for each bin
    pool = call("roi", "roiPool", [(ramp, [24, 16, 56, 48], 2)])[0]
    assert pool["columns"] == [[2, 4], [3, 5]]
    assert pool["values"] == [3, 4, 3, 4]
    # aligned, it is 1 to 3 between the middles of cells: bins 1 to 2 and 2 to 3, on the ramp 1.5 and 2.5 on average
    right, shifted = call("roi", "roiAlign", [(ramp, [24, 16, 56, 48], 2, 2, on) for on in (True, False)])
    assert right["values"] == pytest.approx([1.5, 2.5, 1.5, 2.5])
    assert shifted["values"] == pytest.approx([2, 3, 2, 3])  # half a cell too far to the right
    assert right["xs"] == [[1.25, 1.75], [2.25, 2.75]]


# --- regions: the figure ---


def check_roi(figure, cells=MAP) -> dict:
    """Compare every number that the figure shows with Python's."""
    now = values(figure)
    feature, box, size, scale = tensor(cells)[None, None], tensor([now["box"]]), now["size"], 1 / STRIDE
    settings = (size, scale, now["ratio"], now["aligned"])
    pool = ops.roi_pool(feature, [box], size, scale).flatten()
    align = ops.roi_align(feature, [box], *settings).flatten()
    torch.testing.assert_close(tensor(now["pool"]["values"]), pool, atol=1e-4, rtol=0)
    torch.testing.assert_close(tensor(now["align"]["values"]), align, atol=1e-4, rtol=0)

    rows, columns = (bins[0].tolist() for bins in ops.roi_pool_bins(box, size, scale))
    assert (now["pool"]["rows"], now["pool"]["columns"]) == (rows, columns)
    read = [columns[0][0], rows[0][0], columns[-1][1], rows[-1][1]]
    assert now["regions"]["pool"] == [side * STRIDE for side in read]
    points = ops.roi_align_points(box[0], *settings)
    torch.testing.assert_close(tensor(now["align"]["xs"]), points[0, :, 0, :, 0])
    first, last = points[0, 0, 0, 0], points[-1, -1, -1, -1]
    start = (
        (first - (last - first) / (2 * (size * now["ratio"] - 1)) + 0.5) * STRIDE if size * now["ratio"] > 1 else None
    )
    assert now["regions"]["align"][:2] == pytest.approx(start.tolist())

    texts = shown(figure, ".results text")
    assert [float(text) for text in texts] == pytest.approx([*pool.tolist(), *align.tolist()], abs=5.1e-3)
    bin_ = now["bin"][0] * size + now["bin"][1]
    status = shown(figure, ".status")[0]
    counts = [
        max(0, min(bins[place][1], length) - max(bins[place][0], 0))
        for bins, place, length in zip((rows, columns), now["bin"], cells.shape, strict=True)
    ]
    assert f"RoIPool: the largest of {counts[0]} × {counts[1]} cells, {pool[bin_]:.2f}. RoIAlign: " in status
    assert numbers(status)[-1] == pytest.approx(float(align[bin_]), abs=5.1e-3)
    table = [text.split() for text in shown(figure, "tbody td")]
    for side in range(4):
        yours, *others = table[3 * side : 3 * side + 3]
        assert float(yours[0]) == now["box"][side]
        for (at, off), name in zip(others, ("pool", "align"), strict=True):
            assert float(at) == pytest.approx(now["regions"][name][side], abs=0.051)
            assert (0 if off == "exact" else float(off)) == pytest.approx(now["off"][name][side], abs=0.051)
            assert now["off"][name][side] == pytest.approx(now["regions"][name][side] - now["box"][side])
    return now


def test_a_region_follows_the_mouse(watched):
    one = watched()
    figure = one.show(FIGURES["roi"]())
    scale = figure.locator("svg.picture").first.bounding_box()["width"] / W
    assert check_roi(figure)["box"] == BOX
    drag(one.page, figure.locator(".body"), 7 * scale, -5 * scale, at=(0.3, 0.4))
    assert check_roi(figure)["box"] == [37, 17, 102, 79]
    drag(one.page, figure.locator(".nw"), -12 * scale, 9 * scale)
    assert check_roi(figure)["box"] == [25, 26, 102, 79]
    drag(one.page, figure.locator(".ne"), 8 * scale, -20 * scale)
    assert check_roi(figure)["box"] == [25, 6, 110, 79]
    drag(one.page, figure.locator(".sw"), 0, -3000)  # cannot be turned inside out
    assert check_roi(figure)["box"] == [25, 6, 110, 6]
    drag(one.page, figure.locator(".se"), 3000, 3000)  # cannot leave the map
    assert check_roi(figure)["box"] == [25, 6, W, H]
    drag(one.page, figure.locator(".body"), -3000, -3000)
    assert check_roi(figure)["box"] == [0, 0, W - 25, H - 6]


def test_a_region_follows_the_keyboard(watched):
    one = watched()
    figure = one.show(FIGURES["roi"]())
    press(one.page, "Tab", "ArrowRight", "Shift+ArrowDown", "ArrowUp")  # with Shift half a cell, 8 pixels
    assert check_roi(figure)["box"] == [31, 29, 96, 91]
    press(one.page, "Tab", "ArrowLeft", "Tab", "Shift+ArrowUp")
    assert check_roi(figure)["box"] == [30, 29, 96, 83]
    label = figure.locator(".se").get_attribute("aria-label")
    assert label == "The region’s bottom right corner: x1 30, y1 29, x2 96, y2 83. Arrow keys move it."
    assert one.page.evaluate("scrollY") == 0


def test_which_of_the_two_notices(watched):
    """On a ramp, moved by three pixels of sixteen: RoIAlign's values grow by 3 / 16, RoIPool's stay."""
    one = watched()
    figure = one.show(interactive.roi(RAMP, [34, 20, 80, 70], stride=STRIDE))
    before = check_roi(figure, RAMP)
    figure.locator(".body").focus()
    press(
        one.page, "ArrowRight", "ArrowRight", "ArrowRight"
    )  # 34 and 37 are 2.1 and 2.3 cells, 80 and 83 are 5.0 and 5.2
    after = check_roi(figure, RAMP)
    assert after["pool"]["values"] == before["pool"]["values"]
    grown = [value + 3 / 16 for value in before["align"]["values"]]
    assert after["align"]["values"] == pytest.approx(grown)
    assert figure.get_by_label("the picture below").count() == 0


def test_bins_samples_and_alignment(watched):
    figure = watched().show(FIGURES["roi"]())
    drawn = set()
    for size in (2, 3, 4):
        slide(figure, "bins a side", size)
        for ratio, aligned in [(1, True), (2, False), (3, True)]:
            slide(figure, "samples a side", ratio)
            figure.get_by_label("aligned").set_checked(aligned)
            figure.get_by_label("RoIAlign", exact=True).check()
            now = check_roi(figure)
            assert (now["size"], now["ratio"], now["aligned"]) == (size, ratio, aligned)
            assert figure.locator(".frame:not(.chart *) .dot:not(.chart .dot)").count() == (size * ratio) ** 2
            assert figure.locator("svg:not(.chart) .dot.mine").count() == ratio**2
            assert now["off"]["align"] == pytest.approx([0 if aligned else 8] * 4)
            figure.get_by_label("RoIPool", exact=True).check()
            assert figure.locator("svg:not(.chart) .dot").count() == 0
            rings = figure.locator(".ring:not(.casing)").count()
            assert rings == len({cell for cell in check_roi(figure)["pool"]["largest"] if cell >= 0})
            drawn.add(rings)
    assert len(drawn) >= 2


def test_a_bin_is_chosen_by_mouse_and_keyboard(watched):
    one = watched()
    figure = one.show(FIGURES["roi"]())
    slide(figure, "bins a side", 3)
    box = figure.locator(".results .hand").last.bounding_box()
    one.page.mouse.move(box["x"] + box["width"] * 0.9, box["y"] + box["height"] * 0.5)
    assert check_roi(figure)["bin"] == [1, 2]
    figure.locator(".results .hand").first.focus()
    press(one.page, "ArrowLeft", "ArrowDown", "ArrowDown")
    assert check_roi(figure)["bin"] == [2, 1]
    assert "row 2, column 1" in figure.locator(".results .hand").first.get_attribute("aria-label")
    slide(figure, "bins a side", 2)
    assert check_roi(figure)["bin"] == [1, 1]  # stays in the grid


def test_the_curve_is_what_happens_when_the_region_slides(watched):
    figure = watched().show(FIGURES["roi"]())
    now = check_roi(figure)
    shifts = [one["shift"] for one in now["slide"]]
    assert (shifts[0], shifts[64], shifts[-1], len(shifts)) == (-16, 0, 16, 129)
    boxes = tensor([now["box"]]) + tensor(shifts)[:, None] * tensor([1, 0, 1, 0])
    feature = tensor(MAP)[None, None]
    pool = ops.roi_pool(feature, [boxes], 2, 1 / STRIDE)[:, 0, 0, 0]
    align = ops.roi_align(feature, [boxes], 2, 1 / STRIDE, 2, True)[:, 0, 0, 0]
    torch.testing.assert_close(tensor([one["pool"] for one in now["slide"]]), pool, atol=1e-4, rtol=0)
    torch.testing.assert_close(tensor([one["align"] for one in now["slide"]]), align, atol=1e-4, rtol=0)


def test_the_picture_below_the_map(watched):
    figure = watched().show(FIGURES["roi"]())
    assert figure.locator(".picture:not(.chart)").first.locator("text").count() == 48
    figure.get_by_label("the picture below").check()
    assert figure.locator(".picture:not(.chart)").first.locator("text").count() == 0
    assert figure.locator(".mesh").count() == 48
    check_roi(figure)


def test_a_finger_moves_the_region(watched):
    one = watched(has_touch=True, viewport={"width": 390, "height": 900})
    figure = one.show(FIGURES["roi"]())
    box = figure.locator(".se").bounding_box()
    scale = figure.locator("svg.picture").first.bounding_box()["width"] / W
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    session = one.context.new_cdp_session(one.page)
    moves = [("touchMove", step) for step in range(1, 6)]  # farther than where a browser begins to scroll the page
    for kind, step in [("touchStart", 0), *moves, ("touchEnd", None)]:
        points = [] if step is None else [{"x": x - 5 * step * scale, "y": y - 4 * step * scale}]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    arrived = "host => JSON.parse(host.dataset.values).box[2] === 70"
    one.page.wait_for_function(arrived, arg=figure.element_handle())
    assert check_roi(figure)["box"] == [30, 22, 70, 64]
    assert one.page.evaluate("scrollY") == 0


# --- masks: the functions of the script ---


@pytest.mark.parametrize("rounded", [True, False])
def test_pasting_is_that_of_python(call, rounded):
    rng = np.random.default_rng(6)
    cases = []
    for i in range(60):
        cells, size = int(rng.choice([1, 5, 28])), rng.integers(10, 60, 2)
        corners = np.sort(rng.uniform(-0.2, 1.2, (2, 2)) * size, axis=0)  # some reach beyond the edge
        box = np.round(corners if i % 4 else corners.round(), 2).flatten()
        if i % 10 == 0:
            box[2:] = box[:2]  # empty
        cases.append((rng.random(cells * cells).tolist(), cells, box.tolist(), int(size[0]), int(size[1]), rounded))
    for (mask, cells, box, width, height, _), got in zip(cases, call("mask_head", "paste", cases), strict=True):
        whole = torch.zeros(height, width, dtype=torch.float64)
        x, y, w, h = (got[name] for name in ("x", "y", "width", "height"))
        whole[y : y + h, x : x + w] = tensor(got["values"]).reshape(h, w)
        small = tensor(mask).reshape(1, cells, cells)
        want = ops.paste_masks(small, tensor([box]), (height, width), rounded=rounded)[0]
        torch.testing.assert_close(whole, want, atol=1e-9, rtol=0)


def test_probabilities_come_back(call):
    state = FIGURES["mask_head"]().state
    got = tensor(call("mask_head", "probabilities", [[text] for text in state["masks"]])).reshape(3, 28, 28)
    assert float((got - SMALL).abs().max()) <= 1 / 512 + 1e-6
    truths = call("mask_head", "unroll", [[runs] for runs in state["truths"]])
    assert torch.equal(torch.tensor(truths).reshape(3, H, W).bool(), TRUTHS)


def test_counts_and_outlines_by_hand(call):
    assert call("mask_head", "atLeast", [([0.1, 0.5, 0.5, 0.9], t) for t in (0, 0.5, 0.51, 1)]) == [4, 3, 1, 0]
    assert call("mask_head", "atLeast", [([], 0.5)]) == [0]
    # pasted at column 1 of a picture of 3 x 1 pixels: 0.2 and 0.8, of which the truth 0 1 0 has the first
    mask = {"x": 1, "y": 0, "width": 2, "height": 1, "values": [0.2, 0.8]}
    counted = "(mask, truth, t) => counter(mask, truth, 3)(t)"
    low, high, none = call("mask_head", counted, [(mask, [0, 1, 0], 0.1), (mask, [0, 1, 0], 0.5), (mask, None, 0.5)])
    assert low == {"pixels": 2, "common": 1, "objects": 1, "iou": 0.5}
    assert high == {"pixels": 1, "common": 0, "objects": 1, "iou": 0}
    assert none == {"pixels": 1, "common": None, "iou": None}
    # an L of three pixels has eight edges of length 1
    corner = call("mask_head", "shape", [([1, 0, 1, 1], 2, 2)])[0]
    assert corner["fill"] == "M0 0H1v1H0ZM0 1H2v1H0Z"
    assert len(re.findall("[vh]1", corner["edge"])) == 8


# --- masks: the figure ---


def check_mask_head(figure, made) -> dict:
    """Compare every number that the figure shows with those of `paste_masks` and `mask_iou`."""
    now, state = values(figure), made.state
    steps = np.array([np.frombuffer(every_byte(text), np.uint8) for text in state["masks"]]).reshape(-1, 28, 28)
    small = tensor((steps + 0.5) / 256)
    whole = ops.paste_masks(small, tensor(state["boxes"]), (H, W), rounded=now["rounded"])
    pasted = whole[now["chosen"]] >= now["threshold"]
    assert now["pixels"] == int(pasted.sum())
    assert now["cells"] == int((small[now["chosen"]] >= now["threshold"]).sum())
    texts = shown(figure, "tbody td")
    if state["truth"][now["chosen"]] is None:
        assert now["iou"] is None
        assert numbers(shown(figure, ".fit")[0])[0] == numbers(texts[0])[0] == now["pixels"]
        return now
    truth = TRUTHS[state["truth"][now["chosen"]]]
    iou = float(ops.mask_iou(pasted[None], truth[None]))
    both = int((pasted & truth).sum())
    assert now["iou"] == pytest.approx(iou, abs=1e-12)
    assert [numbers(text)[0] for text in texts] == [now["pixels"], int(truth.sum()), both]
    written = numbers(shown(figure, ".fit")[0])
    assert written[0] == pytest.approx(iou, abs=5.1e-4)
    assert written[1:] == [both, int((pasted | truth).sum())]
    return now


def every_byte(text: str) -> bytes:
    return base64.b64decode(text)


def test_a_threshold_makes_the_mask(watched):
    made = FIGURES["mask_head"]()
    one = watched()
    figure = one.show(made)
    assert check_mask_head(figure, made)["threshold"] == 0.5
    for name in NAMES:
        figure.get_by_label(name, exact=True).check()
        counts = []
        for threshold in (0.05, 0.2, 0.37, 0.5, 0.63, 0.8, 0.95):
            slide(figure, "threshold", threshold)
            now = check_mask_head(figure, made)
            counts.append(now["pixels"])
            at = figure.locator(".dot").evaluate(
                "node => [node.getAttribute('cx'), node.getAttribute('cy')].map(Number)"
            )
            box = figure.locator(".chart").bounding_box()  # its axes stand 46 from the left, 40 from below
            assert at[0] == pytest.approx(46 + threshold * (box["width"] - 60), abs=0.1)
            assert at[1] == pytest.approx(10 + (1 - now["iou"]) * (box["height"] - 50), abs=0.1)
        assert counts == sorted(counts, reverse=True)
        assert len(set(counts)) >= 5
    before = values(figure)["pixels"]
    figure.get_by_label("boxes brought to whole pixels first").check()
    assert check_mask_head(figure, made)["pixels"] > before  # the box grows
    figure.get_by_role("slider", name="threshold").focus()
    press(one.page, "Home", "ArrowRight", "ArrowRight")
    assert check_mask_head(figure, made)["threshold"] == pytest.approx(0.07)


def test_the_curve_is_the_iou_at_each_threshold(watched):
    made = FIGURES["mask_head"]()
    figure = watched().show(made)
    curve = values(figure)["curve"]
    assert len(curve) == 91
    for threshold in (0.05, 0.33, 0.71, 0.95):
        slide(figure, "threshold", threshold)
        assert curve[round(100 * threshold) - 5] == check_mask_head(figure, made)["iou"]
    button = figure.get_by_role("button", name="Go to the best threshold")
    button.click()
    now = check_mask_head(figure, made)
    assert now["iou"] == max(curve)
    assert now["threshold"] == now["best"] == pytest.approx((5 + int(np.argmax(curve))) / 100)
    assert button.is_disabled()


def test_a_detection_is_tapped_and_the_curve_dragged(watched):
    made = FIGURES["mask_head"]()
    one = watched()
    figure = one.show(made)
    view = figure.locator(".view").bounding_box()
    for which, (x, y) in [(1, (90, 60)), (2, (60, 20)), (0, (40, 40))]:
        one.page.mouse.click(view["x"] + x / W * view["width"], view["y"] + y / H * view["height"])
        assert check_mask_head(figure, made)["chosen"] == which
        assert figure.get_by_label(NAMES[which], exact=True).is_checked()
    one.page.mouse.click(view["x"] + 3, view["y"] + view["height"] - 3)  # beside all boxes
    assert values(figure)["chosen"] == 0
    chart = figure.locator(".chart")
    chart.scroll_into_view_if_needed()
    box = chart.bounding_box()
    one.page.mouse.move(box["x"] + 46 + 0.3 * (box["width"] - 60), box["y"] + 50)
    one.page.mouse.down()
    assert check_mask_head(figure, made)["threshold"] == pytest.approx(0.3, abs=0.011)
    one.page.mouse.move(box["x"] + box["width"] - 3, box["y"] + 50)
    one.page.mouse.up()
    assert check_mask_head(figure, made)["threshold"] == 0.95


def test_the_drawn_mask_has_its_pixels(watched):
    """The area inside the drawn runs is the number of pixels, and the true outline can be hidden."""
    figure = watched().show(FIGURES["mask_head"]())
    for threshold in (0.1, 0.5, 0.9):
        slide(figure, "threshold", threshold)
        runs = re.findall(r"M(\d+) \d+H(\d+)", figure.locator(".inside").first.get_attribute("d"))
        assert sum(int(end) - int(start) for start, end in runs) == values(figure)["pixels"]
    assert figure.locator(".edge.truth:not(.casing)").count() == 2  # in the picture and enlarged
    figure.get_by_label("outline of the true mask").uncheck()
    assert figure.locator(".edge.truth").count() == 0


def test_masks_without_truth(watched):
    plain = interactive.mask_head(IMAGE, BOXES, SMALL)
    figure = watched().show(plain)
    check_mask_head(figure, plain)
    assert figure.locator(".chart").count() == figure.get_by_role("button").count() == 0
    some = interactive.mask_head(IMAGE, BOXES, SMALL, TRUTHS[:1])  # the others overlap nothing
    figure = watched().show(some)
    assert check_mask_head(figure, some)["iou"] > 0.5
    figure.get_by_label("detection 1").check()
    assert check_mask_head(figure, some)["best"] is None
    assert figure.get_by_role("button", name="Go to the best").is_disabled()


# --- proposals: the functions of the script ---


def test_reach_is_that_of_python(call):
    rng = np.random.default_rng(7)
    cases, wanted = [], []
    for i in range(80):
        proposals, truths = tensor(every.random_boxes(rng, i % 12)), tensor(every.random_boxes(rng, 1 + i % 4))
        fits, count, threshold = (
            ops.box_iou(truths, proposals),
            int(rng.integers(0, 13)),
            float(rng.integers(1, 10)) / 10,
        )
        cases.append((fits.tolist(), count, threshold))
        wanted.append((fits, proposals, truths))
    found = 0
    for (_, count, threshold), (fits, proposals, truths), got in zip(
        cases, wanted, call("proposals", "reach", cases), strict=True
    ):
        best = fits[:, :count].amax(1) if fits[:, :count].numel() else torch.zeros(len(fits))
        assert [one["iou"] for one in got] == pytest.approx(best.tolist())
        assert [one["found"] for one in got] == (best >= threshold).tolist()
        for one, fit in zip(got, fits, strict=True):
            assert one["by"] == -1 or fit[one["by"]] == one["iou"]
            hits = torch.nonzero(fit >= threshold).flatten().tolist()
            assert one["first"] == (hits[0] if hits else -1)
        if count:
            recall = proposal_recall([proposals], [truths], (count,), threshold)[count]
            assert sum(one["found"] for one in got) / len(got) == pytest.approx(recall)
        found += sum(one["found"] for one in got)
    assert found > 20


def test_numbers_worked_by_hand(call):
    reached = [{"first": 0}, {"first": 2}, {"first": -1}, {"first": 7}]
    assert call("proposals", "recalls", [(reached, 4)]) == [[0.25, 0.25, 0.5, 0.5]]
    assert call("proposals", "stops", [[1], [3], [45]]) == [[1], [1, 2, 3], [*range(1, 21), 25, 30, 40, 45]]
    some = {"boxes": [0] * 4, "scores": [0.9, 0.5, 0.5, 0.1]}
    cases = [(some, 3, 0), (some, 9, 0.5), (some, 1, 0.5), (some, 9, 0.95), ({**some, "scores": None}, 3, 0.95)]
    assert call("proposals", "shownOf", cases) == [3, 3, 1, 0, 3]


# --- proposals: the figure ---


def check_proposals(figure, made) -> dict:
    """Compare every number that the figure shows with those of `box_iou` and `proposal_recall`."""
    now, one = values(figure), made.state["sets"][values(figure)["set"]]
    boxes, truths = tensor(one["boxes"]).reshape(-1, 4), tensor(made.state["truths"])
    scores = one["scores"] or [1.0] * len(boxes)
    kept = [i for i, score in enumerate(scores) if i < now["count"] and score >= now["least"]]
    fits, threshold = ops.box_iou(truths, boxes), now["threshold"]
    best = fits[:, kept].amax(1) if kept else torch.zeros(len(truths))
    found = best >= threshold
    assert (now["shown"], now["right"]) == (len(kept), int(found.sum()))
    assert now["recall"] == pytest.approx(float(found.double().mean()))
    every_count = list(range(1, 1 + sum(score >= now["least"] for score in scores)))
    recall = proposal_recall([boxes], [truths], every_count or [1], threshold)
    assert now["curve"] == pytest.approx([recall[n] for n in every_count])
    if kept:
        assert now["recall"] == pytest.approx(recall[len(kept)])

    sentence = shown(figure, ".recall")[0]
    assert numbers(sentence)[:4] == [int(found.sum()), len(truths), len(kept), len(boxes)]
    assert numbers(sentence)[4] == pytest.approx(now["recall"], abs=5.1e-3)
    texts = shown(figure, "tbody td")
    assert [float(text.strip("✓ ")) for text in texts[::2]] == pytest.approx(best.tolist(), abs=5.1e-3)
    assert ["✓" in text for text in texts[::2]] == found.tolist()
    hits = [torch.nonzero(fit >= threshold).flatten().tolist() for fit in fits]
    assert texts[1::2] == [f"no. {hit[0] + 1}" if hit else "none" for hit in hits]
    assert len(re.findall("M", figure.locator(".thin:not(.casing)").get_attribute("d"))) == len(kept)
    tags = shown(figure, "svg:not(.chart) text")
    assert [text.startswith("✓") for text in tags] == found.tolist()
    return now


def test_more_proposals_find_more(watched):
    made = FIGURES["proposals"]()
    one = watched()
    figure = one.show(made)
    assert check_proposals(figure, made)["count"] == 10
    knob = figure.get_by_role("slider", name="best first")
    right = []
    for place in (0, 1, 3, 8, 19, 23, 27):
        knob.fill(str(place))
        right.append(check_proposals(figure, made)["right"])
    assert right == sorted(right)
    assert right[0] < right[-1] == 3
    assert (values(figure)["count"], knob.get_attribute("aria-valuetext")) == (120, "120 proposals")
    knob.focus()
    press(one.page, "Home", "ArrowRight", "ArrowRight")
    assert check_proposals(figure, made)["count"] == 3


def test_thresholds_of_proposals(watched):
    made = FIGURES["proposals"]()
    figure = watched().show(made)
    figure.get_by_role("slider", name="best first").fill("27")
    right = []
    for threshold in (0.5, 0.65, 0.8, 0.9):
        slide(figure, "from an IoU of", threshold)
        right.append(check_proposals(figure, made)["right"])
    assert right == sorted(right, reverse=True)
    assert right[0] > right[-1]
    slide(figure, "from an IoU of", 0.5)
    shown_counts = []
    for least in (0.2, 0.5, 0.9, 1):
        slide(figure, "objectness from", least)
        shown_counts.append(check_proposals(figure, made)["shown"])
    assert shown_counts == sorted(shown_counts, reverse=True)
    assert shown_counts[-1] == 0


def test_another_kind_of_proposals(watched, axe_script):
    made = FIGURES["proposals"]()
    one = watched()
    figure = one.show(made)
    slide(figure, "objectness from", 0.8)
    assert shown(figure, ".note") == ["Grey, dashed: selective search."]
    figure.get_by_label("selective search: 45").check()
    figure.get_by_role("slider", name="best first").fill("27")
    now = check_proposals(figure, made)
    assert (now["set"], now["shown"]) == (1, 45)  # all of them: they have no objectness
    assert figure.get_by_role("slider", name="objectness").is_disabled()
    assert shown(figure, ".note") == ["Grey, dashed: trained."]
    one.page.evaluate(axe_script)
    assert one.page.evaluate("axe.run(document, { resultTypes: ['violations'] })")["violations"] == []
    figure.get_by_label("trained: 120").check()
    assert check_proposals(figure, made)["shown"] < 120


def test_the_recall_curve_can_be_dragged(watched):
    made = FIGURES["proposals"]()
    one = watched()
    figure = one.show(made)
    chart = figure.locator(".chart")
    chart.scroll_into_view_if_needed()
    box = chart.bounding_box()
    place = lambda count: box["x"] + 46 + np.log(count) / np.log(120) * (box["width"] - 60)  # noqa: E731
    one.page.mouse.move(place(5), box["y"] + 60)
    one.page.mouse.down()
    assert check_proposals(figure, made)["count"] == 5
    one.page.mouse.move(place(60), box["y"] + 20)
    assert check_proposals(figure, made)["count"] == 60
    one.page.mouse.up()
    one.page.mouse.move(place(2), box["y"] + 20)
    assert check_proposals(figure, made)["count"] == 60
    at = figure.locator("circle.dot").evaluate("node => [node.getAttribute('cx'), node.getAttribute('cy')].map(Number)")
    assert at[0] == pytest.approx(place(60) - box["x"], abs=0.1)
    assert at[1] == pytest.approx(10 + (1 - values(figure)["recall"]) * (box["height"] - 50), abs=0.1)


def test_no_proposals_and_no_objects(watched):
    nothing = {"boxes": torch.zeros(0, 4), "scores": []}
    none = interactive.proposals(IMAGE, **nothing, truth=OBJECTS)
    figure = watched().show(none)
    assert check_proposals(figure, none)["recall"] == 0
    figure = watched().show(interactive.proposals(IMAGE, **NETWORK, truth=[]))
    assert values(figure)["recall"] is None
    assert shown(figure, ".recall") == ["0 of 0 objects found by 50 of 120 proposals: recall –"]


# --- what holds for every figure ---


TestEveryFigure = rules_for(FIGURES, act)
