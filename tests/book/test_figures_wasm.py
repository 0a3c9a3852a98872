"""The figures that run networks as WebAssembly, in a browser: bit for bit what Python computes."""

from __future__ import annotations

import base64
import io
import json
import math

import numpy as np
import pytest
import test_figures as every
import torch
from every_figure import rules_for
from PIL import Image
from test_figures import press, values
from test_figures_storage import slide
from torch.nn import functional

from cvlab import interactive
from cvlab.data import StillLife, digits
from cvlab.interactive.page_networks import PAINT_SIDE, STYLES, painter, quantized_detector, write_page_networks
from cvlab.models import digit_net, ssd_small, with_maps
from cvlab.quant import quantize_model, to_integer
from cvlab.quant.targets.toolchain import has_compiler

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not has_compiler(), reason="the package ziglang is not installed"),
]
watched, call = every.watched, every.call  # fixtures

SIDE, PEN, BLOCK, MARGIN = 32, 5, 4, 1.1  # as in drawing_pad.js
MADE = {}  # what takes long to make, once in a session


def once(name: str, make):
    if name not in MADE:
        MADE[name] = make()
    return MADE[name]


def model():
    """The classifier of digits in whole numbers."""
    images = digits(300, "val")[0].float() / 255
    return once("model", lambda: to_integer(quantize_model(digit_net("digit_net"), [images], input_range=(0, 1))))


def pad():
    names = [str(i) for i in range(10)]
    return once("pad", lambda: interactive.drawing_pad(model(), digits(20, "test")[0], names))


def scene() -> np.ndarray:
    """A still life (128, 128, 3) uint8."""
    return StillLife(size=128, split="test", dtype=torch.uint8)[2][0].permute(1, 2, 0).numpy()


FIGURES = {"drawing_pad": pad, "detect_and_paint": lambda: interactive.detect_and_paint(scene())}


def changed(figure, before: dict | None = None, check=lambda now: True, **wanted) -> dict:
    """Wait until a figure publishes other values than `before`, that pass the check and are those `wanted`."""
    for _ in range(600):
        now = values(figure)
        if now != before and check(now) and all(now.get(name) == value for name, value in wanted.items()):
            return now
        figure.page.wait_for_timeout(50)
    raise AssertionError(f"still {values(figure)}")


def settled(figure) -> dict:
    """The values once two frames have passed that change nothing."""
    before = None
    for _ in range(100):
        figure.page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        now = values(figure)
        if now == before:
            return now
        before = now
        figure.page.wait_for_timeout(20)
    raise AssertionError("never at rest")


def pixels(canvas) -> np.ndarray:
    """The colours of a canvas (height, width, 3)."""
    coded = canvas.evaluate("node => node.toDataURL('image/png')").partition(",")[2]
    return np.array(Image.open(io.BytesIO(base64.b64decode(coded))).convert("RGB"))


# --- drawing_pad: the functions ---


def test_shares_are_those_of_a_softmax(call):
    rng = np.random.default_rng(0)
    cases = [[rng.integers(-128, 128, 10).tolist(), float(s), int(z)] for s, z in [(0.2, 5), (0.01, -128), (3, 127)]]
    cases.append([[7], 0.5, 0])
    for (numbers, scale, zero), got in zip(cases, call("drawing_pad", "softmax", cases), strict=True):
        real = (torch.tensor(numbers, dtype=torch.float64) - zero) * scale
        assert got == pytest.approx(real.softmax(0).tolist(), abs=1e-12)


def lines_of(rng) -> list:
    return [rng.uniform(0, SIDE, (count, 2)).tolist() for count in rng.integers(1, 6, rng.integers(1, 4))]


def test_lines_fill_the_picture(call):
    rng = np.random.default_rng(1)
    cases = [[lines_of(rng), SIDE, SIDE] for _ in range(30)]
    for (lines, *_), got in zip(cases, call("drawing_pad", "fitted", cases), strict=True):
        old, new = np.concatenate(lines), np.concatenate(got)
        low, high = new.min(0), new.max(0)
        assert (low + high) / 2 == pytest.approx([SIDE / 2] * 2)
        extent = np.ptp(old, 0).max()
        assert (high - low).max() == pytest.approx((SIDE - PEN) * min(1, extent / (SIDE / 6)))
        assert high - low == pytest.approx(np.ptp(old, 0) * (SIDE - PEN) / max(extent, SIDE / 6)), "a square stays one"
    (dot,) = call("drawing_pad", "fitted", [[[[[3, 4]]], SIDE, SIDE]])
    assert dot == [[[SIDE / 2, SIDE / 2]]]


def covered_reference(lines, width: int, height: int) -> np.ndarray:
    """Cover every pixel by its distance to all pieces of all lines."""
    places = np.stack(np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5), -1)
    nearest = np.full((height, width), np.inf)
    for line in lines:
        for a, b in zip([line[0], *line[:-1]], line, strict=True):
            a, way = np.array(a), np.array(b) - np.array(a)
            along = np.clip((places - a) @ way / max(way @ way, 1e-12), 0, 1)[..., None]
            nearest = np.minimum(nearest, np.linalg.norm(places - a - along * way, axis=-1))
    return np.clip(PEN / 2 + 0.5 - nearest, 0, 1)


def test_lines_cover_pixels(call):
    rng = np.random.default_rng(2)
    cases = [[lines_of(rng), *size] for size in ((32, 32), (24, 32), (40, 16)) for _ in range(8)]
    for case, got in zip(cases, call("drawing_pad", "covered", cases), strict=True):
        assert np.array(got) == pytest.approx(covered_reference(*case).ravel(), abs=1e-9)


def test_a_scan_is_made_of_blocks_and_enlarged_as_torch_does(call):
    rng = np.random.default_rng(3)
    ink = rng.random((SIDE, SIDE))
    (means,) = call("drawing_pad", "scanned", [[ink.ravel().tolist(), SIDE, SIDE]])
    small = ink.reshape(SIDE // BLOCK, BLOCK, SIDE // BLOCK, BLOCK).mean((1, 3))
    assert means == pytest.approx(small.ravel().tolist())
    (got,) = call("drawing_pad", "enlarged", [[means, SIDE, SIDE]])
    whole = torch.tensor(small)[None, None]
    turn = torch.tensor([[[MARGIN, 0, 0], [0, MARGIN, 0]]], dtype=torch.float64)
    grid = functional.affine_grid(turn, [1, 1, SIDE, SIDE], align_corners=False)
    assert got == pytest.approx(functional.grid_sample(whole, grid, align_corners=False).flatten().tolist(), abs=1e-9)
    (blank,) = call("drawing_pad", "coloured", [[[], SIDE, SIDE]])
    assert blank == [38, 44, 60] * SIDE**2


# --- drawing_pad: the network ---


def test_every_example_is_read_bit_for_bit(watched):
    figure = watched().show(pad())
    images, labels = digits(20, "test")
    x = model().quantize_input(images.float() / 255)
    (expected,) = model().run(x)
    right = 0
    for i in range(20):
        now = changed(figure, example=i)
        assert np.array_equal(np.array(now["input"]).reshape(SIDE, SIDE, 3), images[i].permute(1, 2, 0).numpy())
        assert now["output"] == expected[i].tolist()
        assert now["best"] == expected[i].argmax()
        assert f"It reads {now['best']}" in figure.locator("p[role=status]").text_content()
        right += now["best"] == labels[i]
        figure.get_by_role("button", name="Another example").click()
    assert changed(figure, example=0)["output"] == expected[0].tolist(), "after the last comes the first"
    assert right >= 17


def test_every_layer_is_that_of_python(watched):
    figure = watched().show(pad())
    maps = {}
    model().run(model().quantize_input(digits(20, "test")[0][:1].float() / 255), maps.__setitem__)
    maps = [m[0] for m in maps.values() if m.ndim == 4 and m.size > 0]
    choice = figure.get_by_role("combobox", name="Layer")
    options = choice.locator("option").all_text_contents()
    assert len(options) == len([layer for layer in model().layers if len(layer.shape) == 3])
    for i, name in enumerate(options):
        choice.select_option(index=i)
        now = changed(figure, layer=i)
        h, w, c = maps[i].shape
        assert f"{c} maps of {h} × {w}" in name
        assert now["map"] == maps[i].ravel()[:64].tolist()
        low, high, many = maps[i].min(), maps[i].max(), len(np.unique(maps[i]))
        note = figure.locator(".layers .note").text_content().replace("\u2212", "-")
        assert f"They use {many} of the 256 numbers, from {low} to {high}." in note
        assert ("The first 64 of" in note) == (c > 64)


def test_a_map_is_shown_in_grey(watched):
    figure = watched().show(pad())
    now = settled(figure)
    shown = pixels(figure.locator(".maps canvas"))
    layer = next(layer for layer in model().layers if len(layer.shape) == 3)
    zoom = round(32 / layer.shape[1])
    assert shown[0, 0].tolist() == [now["map"][0] + 128] * 3
    assert shown[0, layer.shape[1] * zoom + 2].tolist() == [now["map"][1] + 128] * 3, "the second channel is beside it"


def arc(x: float, y: float, rx: float, ry: float, start: float, end: float) -> list:
    turns = [math.radians(start + (end - start) * i / 12) for i in range(13)]
    return [(x + rx * math.cos(t), y - ry * math.sin(t)) for t in turns]


HAND = {
    0: [arc(0.5, 0.5, 0.26, 0.4, 80, 450)],
    1: [[(0.36, 0.26), (0.53, 0.1), (0.5, 0.92)]],
    2: [[*arc(0.48, 0.3, 0.24, 0.2, 160, -40), (0.24, 0.88), (0.8, 0.9)]],
    3: [[*arc(0.46, 0.3, 0.24, 0.2, 150, -80), *arc(0.46, 0.7, 0.28, 0.22, 80, -150)]],
    4: [[(0.55, 0.1), (0.2, 0.62), (0.82, 0.6)], [(0.62, 0.42), (0.58, 0.94)]],
    5: [[(0.34, 0.12), (0.3, 0.45), *arc(0.48, 0.66, 0.26, 0.25, 130, -150)], [(0.34, 0.12), (0.76, 0.1)]],
    6: [[(0.66, 0.08), (0.42, 0.3), (0.3, 0.6), *arc(0.5, 0.7, 0.22, 0.21, 180, 530)]],
    7: [[(0.22, 0.12), (0.78, 0.1), (0.44, 0.92)]],
    8: [arc(0.5, 0.28, 0.2, 0.19, 60, 280) + arc(0.5, 0.7, 0.25, 0.23, 80, -280) + arc(0.5, 0.28, 0.2, 0.19, -80, 50)],
    9: [[*arc(0.5, 0.32, 0.22, 0.22, 20, 360), (0.71, 0.6), (0.62, 0.94)]],
}


def draw(page, hand, lines, size: float = 0.8, at=(0.1, 0.1)) -> None:
    """Draw lines of the unit square on a part of the pad."""
    hand.scroll_into_view_if_needed()
    box = hand.bounding_box()
    for line in lines:
        for i, (x, y) in enumerate(line):
            page.mouse.move(box["x"] + (at[0] + size * x) * box["width"], box["y"] + (at[1] + size * y) * box["height"])
            if i == 0:
                page.mouse.down()
        page.mouse.up()


@pytest.mark.parametrize(("size", "at"), [(0.8, (0.1, 0.1)), (0.4, (0.5, 0.05))], ids=["large", "small, in a corner"])
def test_digits_drawn_by_hand_are_read(watched, size, at):
    one = watched()
    figure = one.show(pad())
    hand, read = figure.locator(".hand"), []
    for lines in HAND.values():
        figure.get_by_role("button", name="Wipe").click()
        changed(figure, lines=0)
        draw(one.page, hand, lines, size, at)
        changed(figure, lines=len(lines))
        now = settled(figure)
        x = (np.array(now["input"]).reshape(1, SIDE, SIDE, 3) - 128).astype(np.int8)
        assert now["output"] == model().run(x)[0][0].tolist()
        assert f"It reads {now['best']}" in figure.locator("p[role=status]").text_content()
        read.append(now["best"])
    assert sum(np.array(read) == list(HAND)) >= 9, read


def test_a_digit_by_keyboard_alone(watched):
    one = watched()
    figure = one.show(pad())
    settled(figure)
    while figure.evaluate("host => host.shadowRoot.activeElement?.getAttribute('class')") != "hand":
        press(one.page, "Tab")
    press(one.page, *["Shift+ArrowUp"] * 3)
    assert values(figure)["example"] == 0, "a lifted pen draws nothing"
    press(one.page, "Space")
    assert changed(figure, lines=1)["down"]
    assert "Pen lowered" in figure.locator("p[role=status]").text_content()
    press(one.page, *["Shift+ArrowDown"] * 6, "Space")
    now = changed(figure, down=False)
    now = settled(figure)
    assert (now["best"], now["pen"], now["example"]) == (1, [16, 28], None)
    press(one.page, "ArrowRight", "ArrowRight", "Space", "ArrowUp", "Space")
    now = changed(figure, lines=2, down=False)
    press(one.page, *["Shift+ArrowRight"] * 9, "Space")
    assert changed(figure, lines=3)["pen"] == [32, 27], "the pen stays on the pad"
    for key in ("Delete", "Backspace"):
        press(one.page, "Space", key)
        now = changed(figure, lines=0, down=False)
        assert now["input"] == [38, 44, 60] * SIDE**2
        assert "Draw something" in figure.locator(".answer").text_content()
        assert "empty" in figure.locator("p[role=status]").text_content()


def test_a_finger_draws(watched):
    one = watched(has_touch=True, is_mobile=True, viewport={"width": 400, "height": 800})
    figure = one.show(pad())
    settled(figure)
    hand = figure.locator(".hand")
    box = hand.bounding_box()
    session = one.context.new_cdp_session(one.page)

    def touch(kind: str, *points) -> None:
        where = [{"x": box["x"] + x * box["width"], "y": box["y"] + y * box["height"], "id": i} for i, x, y in points]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": where})

    touch("touchStart", (0, 0.5, 0.1))
    touch("touchMove", (0, 0.5, 0.4))
    touch("touchStart", (0, 0.5, 0.4), (1, 0.9, 0.9))  # a second finger draws nothing
    touch("touchMove", (0, 0.5, 0.9), (1, 0.9, 0.5))
    touch("touchEnd")
    changed(figure, lines=1)
    now = settled(figure)
    assert now["best"] == 1
    assert now["pen"] == pytest.approx([16, 28.8], abs=0.5)
    assert one.page.evaluate("window.scrollY") == 0, "the page does not scroll under the finger"
    touch("touchStart", (0, 0.2, 0.2))
    touch("touchMove", (0, 0.4, 0.2))
    touch("touchEnd")
    assert changed(figure, lines=2)["lines"] == 2


def test_without_webassembly_the_pad_says_so(watched):
    one = watched()
    one.page.add_init_script("delete globalThis.WebAssembly")
    one.page.goto("about:blank")
    figure = one.show(pad())
    assert values(figure) == {"error": "WebAssembly"}
    assert "needs WebAssembly" in figure.locator("figcaption").text_content()


# --- detect_and_paint: the functions ---


def test_letterbox_is_that_of_the_detector(call):
    from cvlab.preprocess import letterbox

    rng = np.random.default_rng(4)
    cases = [[*rng.integers(1, 900, 2).tolist(), side] for side in (128, 256) for _ in range(100)]
    for (width, height, side), got in zip(cases, call("detect_and_paint", "letterbox", cases), strict=True):
        plan = letterbox((height, width), (side, side))
        assert (got["h"], got["w"]) == tuple(plan.content)
        assert (got["y"], got["x"]) == tuple(plan.offset)


def test_boxes_are_decoded_as_in_python(call):
    from cvlab.ops import clip_boxes_to_image, decode_boxes

    rng = np.random.default_rng(5)
    offsets = rng.normal(0, 4, (50, 4))
    offsets[0] = [0, 0, 99, -99]
    anchors = np.sort(rng.uniform(-10, 140, (50, 2, 2)), axis=1).reshape(50, 4)
    cases = [[o, a, 128] for o, a in zip(offsets.tolist(), anchors.tolist(), strict=True)]
    expected = decode_boxes(torch.tensor(offsets), torch.tensor(anchors), weights=(10, 10, 5, 5))
    expected = clip_boxes_to_image(expected, (128, 128))
    assert np.array(call("detect_and_paint", "decodeBox", cases)) == pytest.approx(expected.numpy(), abs=1e-6)


# --- detect_and_paint: the networks ---


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """A folder of pages with the networks beside them."""
    folder = tmp_path_factory.mktemp("site")
    write_page_networks(folder / "_static" / "wasm")
    return folder


def png(picture: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    return file.getvalue()


def with_png(picture: np.ndarray):
    """The figure with a picture that loses nothing; Python embeds only JPEG."""
    source = "data:image/png;base64," + base64.b64encode(png(picture)).decode()
    state = dict(interactive.detect_and_paint(picture).state)
    state.pop("colours")
    shown = {"width": picture.shape[1], "height": picture.shape[0], "src": source}
    return interactive.StaticFigure("detect_and_paint", **{**state, "picture": shown})


def visit(one, site, figure, theme: str = "light"):
    """Show a figure as a page of the book: from a file, with its folder named."""
    path = site / f"{figure.id}-{theme}.html"
    page = every.page_of(figure, theme=theme).replace("<html ", '<html data-content_root="./" ', 1)
    path.write_text(page, encoding="utf-8")
    one.page.goto(path.as_uri())
    one.page.wait_for_selector(f"#{figure.id}[data-values]")
    return one.page.locator(".cvlab-figure").first


def press_button(figure, name: str, **wanted) -> dict:
    before = values(figure)
    figure.get_by_role("button", name=name).click()
    return changed(figure, before, **wanted)


def checksum(numbers) -> float:
    """The sum that the figure publishes, number by number as JavaScript adds them."""
    total = 0.0
    for i, number in enumerate(np.concatenate([np.ravel(n) for n in numbers]).tolist()):
        total += number * (i % 251 + 1)
    return total


def test_detections_are_those_of_python_bit_for_bit(watched, site):
    picture = scene()
    assert picture.shape == (128, 128, 3)
    figure = visit(watched(), site, with_png(picture))
    now = press_button(figure, "Find fruit")
    integer, detector = once("detector", quantized_detector), ssd_small(weights="ssd_small")
    maps = []

    def maps_of(images):
        maps[:] = integer.run(integer.quantize_input(images))
        return integer.real(maps)

    image = torch.tensor(picture).permute(2, 0, 1)
    (found,) = with_maps(detector, maps_of)([image])
    assert now["sum"] == checksum(maps)
    shown = now["found"]
    assert len(shown) == len(found["scores"]) > 0
    assert [one["label"] for one in shown] == found["labels"].tolist()
    assert [one["score"] for one in shown] == pytest.approx(found["scores"].tolist(), abs=1e-5)
    boxes = np.array([one["box"] for one in shown]) * 128 / PAINT_SIDE
    assert boxes == pytest.approx(found["boxes"].numpy(), abs=0.01)
    assert now["times"]["detector"] > 0
    names = ["background", *StillLife.KINDS]
    best = f"{names[shown[0]['label']]}, {shown[0]['score']:.2f}"
    assert figure.locator(".found li").first.text_content() == best
    million = round(sum(layer.multiplications for layer in integer.layers) / 1e6)
    assert f"{million} million multiplications" in figure.locator(".note").text_content()


def test_the_score_slider_hides_the_weak(watched, site):
    one = watched()
    figure = visit(one, site, with_png(scene()))
    scores = [found["score"] for found in press_button(figure, "Find fruit")["found"]]
    for least in (0.05, 0.5, 0.95):
        slide(figure, "Score at least", least)
        now = changed(figure, least=least)
        assert now["shown"] == sum(score >= least for score in scores) == figure.locator(".found li").count()
        words = f"{now['shown']} found" if now["shown"] else "Nothing found"
        assert words in figure.locator("[role=status]").text_content()
    figure.get_by_role("slider").focus()
    press(one.page, "ArrowLeft")
    assert changed(figure, least=0.9)["found"]


@pytest.mark.parametrize("style", STYLES)
def test_the_painter_is_that_of_wasmtime_bit_for_bit(watched, site, style):
    pytest.importorskip("wasmtime")
    from cvlab.quant.targets.wasm import WasmProgram

    rng = np.random.default_rng(6)
    coarse = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
    picture = np.array(Image.fromarray(coarse).resize((PAINT_SIDE, PAINT_SIDE), Image.Resampling.BICUBIC))
    one = watched()
    figure = visit(one, site, with_png(picture))
    figure.get_by_role("combobox", name="Style").select_option(style)
    one.page.evaluate(
        """() => { window.said = []; const host = document.querySelector('.cvlab-figure');
        const status = host.shadowRoot.querySelector('[role=status]');
        new MutationObserver(() => said.push(status.textContent)).observe(status, { childList: true }); }"""
    )
    now = press_button(figure, "Repaint", painted=style)
    module = base64.b64decode(json.loads(assets(site)[f"painter_{style}"])["module"])
    (expected,) = WasmProgram(module, painter(style))((picture / 127.5 - 1).astype(np.float32)[None])
    assert now["sum"] == checksum([expected])
    said = one.page.evaluate("window.said")
    assert said[0] == "Loading the network …"
    assert f"Painting in the style “{style}” …" in said
    assert said[-1].startswith(f"Repainted in the style “{style}”, in ")
    painted = pixels(figure.locator(".frame > canvas"))
    assert painted.astype(int) == pytest.approx(np.floor(255 * expected[0].astype(float) + 0.5).astype(int), abs=0)
    now = press_button(figure, "As it was", painted=None)
    assert np.array_equal(pixels(figure.locator(".frame > canvas")), picture)
    assert "as it was" in figure.locator("[role=status]").text_content()


def assets(site) -> dict[str, str]:
    """What the files beside the page say, as JSON by name."""
    found = {}
    for path in (site / "_static" / "wasm").glob("*.js"):
        text = path.read_text(encoding="utf-8")
        found[path.stem] = text[text.index("] = ") + 4 :].rstrip().removesuffix(";")
    return found


def test_what_is_painted_can_be_searched(watched, site):
    figure = visit(watched(), site, with_png(scene()))
    plain = press_button(figure, "Find fruit")
    press_button(figure, "Repaint", painted="strokes")
    again = press_button(figure, "Find fruit")
    assert again["sum"] != plain["sum"]
    assert again["painted"] == "strokes"
    assert set(again["times"]) == {"detector", "painter"}


def test_other_still_lifes_and_a_fast_hand(watched, site):
    figure = visit(watched(), site, with_png(scene()))
    count = len(json.loads(assets(site)["scenes"]))
    press_button(figure, "Another still life", scene=1)
    first = pixels(figure.locator(".frame > canvas"))
    assert values(figure)["found"] == []
    before = press_button(figure, "Find fruit")
    figure.get_by_role("button", name="Another still life").click()
    changed(figure, check=lambda now: now["sum"] != before["sum"], scene=2)  # the detector goes on with the next one
    for _ in range(count - 1):  # faster than pictures can be shown: one after the other all the same
        figure.get_by_role("button", name="Another still life").click()
    changed(figure, scene=count + 1)
    settled(figure)
    assert np.array_equal(pixels(figure.locator(".frame > canvas")), first), "after the last comes the first"


def test_missing_files_are_named_and_nothing_breaks(browser, tmp_path):
    one = every.Watched(browser)
    figure = visit(one, tmp_path, with_png(scene()))
    for button, name in (("Find fruit", "detector"), ("Repaint", "painter_strokes"), ("Another still life", "scenes")):
        press_button(figure, button, error=name)
        assert "were not found here" in figure.locator("[role=status]").text_content()
    slide(figure, "Score at least", 0.6)  # the figure goes on
    assert changed(figure, least=0.6)["shown"] == 0
    folder = tmp_path / "_static" / "wasm"
    folder.mkdir(parents=True)
    (folder / "scenes.js").write_text("globalThis.nothing = 1;", encoding="utf-8")
    press_button(figure, "Another still life", error="scenes")
    source = base64.b64encode(png(np.full((8, 8, 3), 9, np.uint8))).decode()
    text = f'(globalThis.cvlabWasm ??= {{}})["scenes"] = ["data:image/png;base64,{source}"];'
    (folder / "scenes.js").write_text(text, encoding="utf-8")
    press_button(figure, "Another still life", scene=1)  # asked again, not remembered as missing
    one.context.close()
    unavoidable = [fault for fault in one.faults if "ERR_FILE_NOT_FOUND" in fault]  # the browser's own line
    assert one.faults == unavoidable
    assert len(unavoidable) == 3


DROP = """([host, name, type, data]) => {
    const transfer = new DataTransfer();
    if (data !== null) {
        transfer.items.add(new File([Uint8Array.from(atob(data), (c) => c.charCodeAt(0))], name, { type }));
    }
    const frame = host.shadowRoot.querySelector('.frame');
    const fire = (kind) => frame.dispatchEvent(new DragEvent(kind, { dataTransfer: transfer, cancelable: true }));
    fire('dragover');
    const over = frame.classList.contains('over');
    fire('drop');
    return [over, frame.classList.contains('over')];
}"""


def drop(figure, name: str, kind: str, data: bytes | None) -> None:
    coded = None if data is None else base64.b64encode(data).decode()
    marked = figure.page.evaluate(DROP, [figure.element_handle(), name, kind, coded])
    assert marked == [True, False], "the square is marked while a file hangs over it"


def said(figure, words: str) -> None:
    figure.page.wait_for_function(
        "([host, words]) => host.shadowRoot.querySelector('[role=status]').textContent.includes(words)",
        arg=[figure.element_handle(), words],
    )


def test_a_dropped_picture_is_shown_in_its_shape(watched, site):
    figure = visit(watched(), site, with_png(scene()))
    picture = np.zeros((50, 100, 3), np.uint8)
    picture[:, 50:] = (250, 130, 10)
    drop(figure, "mine.png", "image/png", png(picture))
    said(figure, "Your picture is shown")
    shown = pixels(figure.locator(".frame > canvas"))
    half = PAINT_SIDE // 4
    assert (shown[: half - 1] == 114).all(), "grey above and below, as in training"
    assert (shown[-half + 1 :] == 114).all()
    assert shown[PAINT_SIDE // 2, 20].tolist() == [0, 0, 0]
    assert shown[PAINT_SIDE // 2, -20].tolist() == [250, 130, 10]
    drop(figure, "no-type", "", png(picture[:, ::-1]))  # some systems do not say what a file is
    said(figure, "Your picture is shown")
    assert settled(figure)["found"] == []
    assert pixels(figure.locator(".frame > canvas"))[PAINT_SIDE // 2, 20].tolist() == [250, 130, 10]
    assert press_button(figure, "Find fruit")["sum"] != 0


def test_what_is_no_picture_is_refused(watched, site):
    figure = visit(watched(), site, with_png(scene()))
    before = pixels(figure.locator(".frame > canvas"))
    for name, kind, data in [("a.txt", "text/plain", b"words"), ("b.png", "image/png", b"\x89PNG broken")]:
        drop(figure, name, kind, data)
        said(figure, "cannot be read as a picture")
        drop(figure, "nothing", "", None)
        said(figure, "no file with a picture")
    assert np.array_equal(pixels(figure.locator(".frame > canvas")), before)


def test_a_chosen_file_twice(watched, site):
    one = watched()
    figure = visit(one, site, with_png(scene()))
    file = {"name": "a.png", "mimeType": "image/png", "buffer": png(np.full((20, 20, 3), 200, np.uint8))}
    for _ in range(2):
        with one.page.expect_file_chooser() as chooser:
            figure.get_by_role("button", name="Your own").click()
        chooser.value.set_files(file)
        said(figure, "Your picture is shown")
        assert pixels(figure.locator(".frame > canvas"))[9, 9].tolist() == [200] * 3
        press_button(figure, "Another still life")
        assert pixels(figure.locator(".frame > canvas"))[9, 9].tolist() != [200] * 3


def test_all_by_keyboard(watched, site):
    one = watched()
    figure = visit(one, site, with_png(scene()))

    def reach(words: str) -> None:
        for _ in range(20):
            press(one.page, "Tab")
            if words in (figure.evaluate("host => host.shadowRoot.activeElement?.textContent") or ""):
                return
        raise AssertionError(words)

    before = values(figure)
    reach("Find fruit")
    press(one.page, "Enter")
    assert changed(figure, before)["found"]
    reach("mosaic")  # the choice of styles
    press(one.page, "ArrowDown")
    reach("Repaint")
    press(one.page, "Space")
    assert changed(figure, painted="mosaic")["times"]["painter"] > 0


@pytest.mark.parametrize("theme", every.THEMES)
def test_axe_finds_nothing_after_work(watched, axe_script, site, theme):
    one = watched()
    figure = visit(one, site, with_png(scene()), theme)
    press_button(figure, "Find fruit")
    one.page.evaluate(axe_script)
    found = one.page.evaluate("axe.run(document, { resultTypes: ['violations'] })")["violations"]
    assert [(v["id"], v["impact"], [n["html"][:120] for n in v["nodes"]]) for v in found] == []


# --- what holds for every figure ---


def act(page, figure, name: str) -> None:
    """Do the first thing that a reader would do, and wait for what it brings."""
    before = figure.get_attribute("data-values")
    if name == "drawing_pad":
        figure.locator(".hand").focus()
        press(page, "Space", "ArrowDown")
    else:
        figure.get_by_role("slider").focus()
        press(page, "ArrowRight")
    for _ in range(200):
        if figure.get_attribute("data-values") != before:
            return
        page.wait_for_timeout(25)
    raise AssertionError("nothing happened")


TestEveryFigure = rules_for(FIGURES, act)
