"""The figures of storing and feeding pictures, in a browser: hands move them, `cvlab.preprocess` says what to show."""

from __future__ import annotations

import io

import numpy as np
import pytest
import test_figures as every
import torch
from every_figure import rules_for
from PIL import Image
from test_figures import press, shown, tensor, values

from cvlab import interactive, ops
from cvlab._palette import ROLES
from cvlab.data import StillLife
from cvlab.preprocess import ResizeMap, jpeg_reference, letterbox, quantization_table, stretch

pytestmark = pytest.mark.browser
watched, call = every.watched, every.call  # fixtures

H, W = 300, 450
IMAGE = np.random.default_rng(0).integers(60, 200, (10, 15, 3), dtype=np.uint8).repeat(30, 0).repeat(30, 1)
BOXES = [[110, 25, 345, 280], [258, 135, 335, 200]]
STILL_LIFE = StillLife(size=96)
MAP = STILL_LIFE[3][1]["semantic"]  # a banana, an apple and a peach
NAMES = ["ground", *STILL_LIFE.kinds]
FIGURES = {
    "letterbox": lambda: interactive.letterbox(IMAGE, BOXES, names=["cat", "eye"]),
    "mask_jpeg": lambda: interactive.mask_jpeg(MAP, image=STILL_LIFE[3][0], names=NAMES),
}
PIXELS = """node => { const pen = node.getContext('2d'), { width, height } = node;
    return [height, width, [...pen.getImageData(0, 0, width, height).data]]; }"""


def slide(figure, name: str, value: float) -> None:
    """Put a slider to a value it can have."""
    figure.get_by_role("slider", name=name).fill(str(value))


def point(page, node, x: float, y: float) -> None:
    """Move the mouse to a place of a node, in shares of its size."""
    node.scroll_into_view_if_needed()
    box = node.bounding_box()
    page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])


def pixels(canvas) -> np.ndarray:
    """The colours of a canvas (height, width, 3)."""
    height, width, data = canvas.evaluate(PIXELS)
    return np.array(data, np.uint8).reshape(height, width, 4)[:, :, :3]


def numbers(text: str) -> list[float]:
    return [float(part) for part in text.split(", ")]


def plan_of(image_size, size, mode: str, align: str) -> ResizeMap:
    return stretch(image_size, size) if mode == "stretch" else letterbox(image_size, size, align=align)


# --- letterbox: the functions ---


def test_the_map_is_that_of_python(call):
    rng = np.random.default_rng(4)
    sizes = [(rng.integers(1, 900, 2).tolist(), (16 * rng.integers(4, 33, 2)).tolist()) for _ in range(300)]
    sizes += [([1, 900], [64, 64]), ([900, 1], [64, 512]), ([300, 450], [256, 256]), ([128, 128], [512, 512])]
    settings = [{"mode": mode, "align": align} for mode in ("letterbox", "stretch") for align in ("centre", "corner")]
    cases = [(*size, setting) for size in sizes for setting in settings]
    halves = 0
    for (image, size, setting), got in zip(cases, call("letterbox", "resizeMap", cases), strict=True):
        expected = plan_of(image, size, **setting)
        assert got["content"] == list(expected.content)
        assert got["offset"] == list(expected.offset)
        assert got["scale"] == list(expected.scale)
        halves += any((size[i] - got["content"][i]) % 4 == 1 for i in (0, 1))  # half a pixel, rounded down to even
    assert halves > 50


def test_boxes_and_points_are_carried_as_in_python(call):
    rng = np.random.default_rng(5)
    image, size = [300, 451], [256, 320]
    plan = letterbox(image, size)
    state = call("letterbox", "resizeMap", [[image, size, {"mode": "letterbox", "align": "centre"}]])[0]
    boxes = every.random_boxes(rng, 40)
    points = rng.uniform(-50, 500, (40, 2))
    forward = call("letterbox", "into", [[state, one] for one in [*boxes.tolist(), *points.tolist()]])
    torch.testing.assert_close(tensor(forward[:40]), plan.boxes(tensor(boxes.tolist())))
    torch.testing.assert_close(tensor(forward[40:]), plan.points(tensor(points.tolist())))
    home = call("letterbox", "back", [[state, one] for one in forward])
    torch.testing.assert_close(tensor(home[:40]), tensor(boxes.tolist()))
    torch.testing.assert_close(tensor(home[40:]), tensor(points.tolist()))


# --- letterbox: the figure ---


def check_letterbox(figure) -> dict:
    """Compare every number that the figure shows with Python's."""
    now = values(figure)
    plan = plan_of((H, W), now["size"], now["mode"], now["align"])
    (sy, sx), (top, left), (rows, columns) = plan.scale, plan.offset, plan.content
    waste = 1 - rows * columns / (now["size"][0] * now["size"][1])
    got = shown(figure, ".panels > table td")
    assert numbers(got[0]) == pytest.approx([sy, sx], abs=5.1e-4)
    assert numbers(got[1]) == [rows, columns]
    assert numbers(got[2]) == [top, left]
    assert float(got[3].removesuffix(" %")) == pytest.approx(100 * waste, abs=0.051)
    assert float(got[4]) == pytest.approx(sx / sy, abs=5.1e-4)
    assert (now["waste"], now["distortion"]) == pytest.approx((waste, sx / sy))

    truths = tensor(BOXES)
    found = plan.boxes(truths)
    torch.testing.assert_close(tensor(now["found"]), found)
    home = {
        "undo": plan.undo_boxes(found, clip=False),
        "no offset": found / tensor([sx, sy, sx, sy]),
        "no padding": stretch((H, W), now["size"]).undo_boxes(found, clip=False),
    }[now["way"]]
    torch.testing.assert_close(tensor(now["home"]), home)
    overlaps = ops.box_iou(truths, home).diagonal().tolist()
    off = (truths - home).abs().amax(1).tolist()
    assert now["overlaps"] == pytest.approx(overlaps)
    cells = shown(figure, ".panels div table td")
    assert [float(text) for text in cells[::2]] == pytest.approx(overlaps, abs=5.1e-3)
    assert [float(text.removesuffix(" px")) for text in cells[1::2]] == pytest.approx(off, abs=0.051)

    there = plan.points(tensor(now["point"])).tolist()
    assert now["there"] == pytest.approx(there)
    lines = [text.split(" = ") for text in shown(figure, ".formula span")]
    assert [float(line[-1]) for line in lines] == pytest.approx(there, abs=0.051)
    expressions = [eval(line[2].replace("·", "*")) for line in lines]  # with rounded numbers
    assert expressions == pytest.approx(there, abs=0.4)
    return now


def test_pointing_at_either_picture_shows_the_place_in_both(watched):
    one = watched()
    figure = one.show(FIGURES["letterbox"]())
    now = check_letterbox(figure)
    # 256 / 450 is the smaller factor: 300 * 256 / 450 = 170.67 -> 171 rows, and (256 - 171) / 2 = 42.5 -> 42 above
    assert (now["content"], now["offset"]) == ([171, 256], [42, 0])
    assert now["point"] == [227.5, 152.5]  # the middle of the first box

    point(one.page, figure.locator(".photo svg"), 0.2, 0.5)
    now = check_letterbox(figure)
    assert now["point"] == pytest.approx([90, 150], abs=1)
    assert all(number % 1 == 0 for number in now["point"])  # whole pixels of the picture pointed at

    point(one.page, figure.locator(".input svg"), 0.75, 0.5)
    now = check_letterbox(figure)
    assert now["there"] == pytest.approx([192, 128], abs=1)
    assert now["point"] == pytest.approx([192 * 450 / 256, (128 - 42) * 300 / 171], abs=2)
    assert figure.locator(".photo .crosshair").count() == figure.locator(".input .crosshair").count() == 1

    point(one.page, figure.locator(".input svg"), 0.5, 0.05)  # in the padding
    now = check_letterbox(figure)
    assert now["point"][1] < 0
    assert figure.locator(".photo .crosshair").count() == 0
    assert figure.locator(".input .crosshair").count() == 1
    assert shown(figure, ".where")[0].startswith("outside: x 225.0, y -")
    assert shown(figure, ".where")[1].startswith("padding: x 128.0, y 13.0")


def test_the_input_is_where_it_is_drawn(watched):
    """Pointing at the input's corners gives its corners, also where it fills only a part of its frame."""
    one = watched()
    figure = one.show(FIGURES["letterbox"]())
    for size in [(512, 128), (96, 256), (64, 64)]:
        slide(figure, "height", size[0])
        slide(figure, "width", size[1])
        assert check_letterbox(figure)["size"] == list(size)
        canvas = figure.locator(".input canvas")
        for x, y in [(0.01, 0.01), (0.99, 0.5), (0.5, 0.99)]:
            point(one.page, canvas, x, y)
            assert check_letterbox(figure)["there"] == pytest.approx([x * size[1], y * size[0]], abs=4)
        lines = figure.locator(".input .crosshair path").first.evaluate(
            "node => { const { width, height } = node.getBBox(); return [width, height]; }"
        )
        box = canvas.bounding_box()
        assert lines == pytest.approx([box["width"], box["height"]], abs=1)
    slide(figure, "width", 512)
    slide(figure, "height", 64)
    point(one.page, figure.locator(".input .frame"), 0.5, 0.02)  # above the input: its upper edge
    assert check_letterbox(figure)["there"][1] == 0


def test_the_cross_hair_follows_the_keyboard(watched):
    one = watched()
    figure = one.show(FIGURES["letterbox"]())
    press(one.page, "Tab", "ArrowRight", "Shift+ArrowDown", "ArrowUp")
    assert check_letterbox(figure)["point"] == [229, 162]  # from (227.5, 152.5), rounded upwards after the first step
    press(one.page, "Tab", "ArrowLeft", "Shift+ArrowUp")
    now = check_letterbox(figure)
    # (229, 162) is (130.28, 134.34) in the input; one to the left and ten up
    assert now["there"] == pytest.approx([129, 124])
    label = figure.locator(".input .hand").get_attribute("aria-label")
    assert "x 129.0, y 124.0 in the input" in label
    press(one.page, *["Shift+ArrowLeft"] * 20)
    assert check_letterbox(figure)["there"] == pytest.approx([0, 124])
    assert one.page.evaluate("scrollY") == 0


def test_what_is_forgotten_on_the_way_back(watched):
    figure = watched().show(FIGURES["letterbox"]())
    assert check_letterbox(figure)["overlaps"] == pytest.approx([1, 1])
    assert max(values(figure)["off"]) < 1e-9
    assert shown(figure, ".photo svg text") == ["cat", "eye"]

    figure.get_by_label("forget the offset").check()
    now = check_letterbox(figure)
    # 42 rows of padding are 42 / (171 / 300) = 73.7 pixels of the photograph: the second box, 65 high, is missed
    assert now["off"] == pytest.approx([42 * 300 / 171] * 2)
    assert now["overlaps"][1] == 0
    assert shown(figure, ".photo svg text") == ["cat", "eye", "cat", "eye"]

    figure.get_by_label("in the top left corner").check()
    now = check_letterbox(figure)
    assert now["offset"] == [0, 0]
    assert now["overlaps"] == pytest.approx([1, 1])  # without an offset nothing is forgotten
    figure.get_by_label("forget the padding").check()
    now = check_letterbox(figure)
    # y comes back as y * 171 / 300 * 300 / 256, so y2 = 280 is off by 280 * (1 - 171 / 256)
    assert now["off"][0] == pytest.approx(280 * (1 - 171 / 256))

    figure.get_by_label("plain resizing").check()
    now = check_letterbox(figure)
    assert now["overlaps"] == pytest.approx([1, 1])
    assert (now["waste"], now["distortion"]) == (0, pytest.approx(300 / 450))
    assert figure.get_by_label("in the centre").is_disabled()
    figure.get_by_label("letterbox: one scale").check()
    assert figure.get_by_label("in the top left corner").is_checked()


def test_the_size_of_the_input(watched):
    one = watched()
    figure = one.show(FIGURES["letterbox"]())
    figure.get_by_role("slider", name="height").focus()
    press(one.page, *["ArrowLeft"] * 5)
    now = check_letterbox(figure)
    assert now["size"] == [176, 256]
    assert now["waste"] == pytest.approx(5 / 176)
    assert shown(figure, ".input .heading > span")[0] == "The network’s input, 176 × 256"
    press(one.page, "Home")
    assert check_letterbox(figure)["content"] == [64, 96]
    figure.get_by_role("slider", name="width").focus()
    press(one.page, "End")
    assert check_letterbox(figure)["offset"] == [0, 208]


def test_the_input_shows_what_the_network_sees(watched):
    one = watched()
    figure = one.show(FIGURES["letterbox"]())
    canvas = figure.locator(".input canvas")
    for size, mode in [((256, 256), "letterbox"), ((64, 128), "letterbox"), ((96, 96), "plain resizing")]:
        slide(figure, "height", size[0])
        slide(figure, "width", size[1])
        figure.get_by_label(mode).check()
        one.page.wait_for_function(
            """node => node.getContext('2d').getImageData(node.width / 2, node.height / 2, 1, 1).data[0] !== 114""",
            arg=canvas.element_handle(),
        )
        plan = (letterbox if mode == "letterbox" else stretch)((H, W), size)
        expected = plan.image(torch.from_numpy(IMAGE).permute(2, 0, 1)).permute(1, 2, 0).numpy().astype(int)
        got = pixels(canvas).astype(int)
        inside = np.zeros(size, dtype=bool)
        (rows, columns), (top, left) = plan.content, plan.offset
        inside[top : top + rows, left : left + columns] = True
        assert (got[~inside] == 114).all()
        assert abs(got - expected)[inside].mean() < 6  # the embedded picture is a JPEG, and the browser resizes it


def test_letterbox_without_boxes(watched):
    figure = watched().show(interactive.letterbox(IMAGE))
    assert values(figure)["point"] == [225, 150]
    assert figure.get_by_label("forget the offset").count() == 0
    assert figure.locator("table").count() == 1


# --- mask_jpeg: the functions ---


def test_the_quantization_table_is_that_of_python(call):
    qualities = list(range(1, 101))
    got = call("mask_jpeg", "quantizationTable", [[quality] for quality in qualities])
    assert got == [quantization_table(quality).flatten().tolist() for quality in qualities]


def test_jpeg_is_that_of_python(call):
    rng = np.random.default_rng(6)
    cases = []
    for case in range(60):
        size = tuple(rng.integers(1, 30, 2)) if case % 3 else (16, 24)
        noise = rng.uniform(0, 255, size)
        blocks = 51.0 * rng.integers(0, 6, size)  # grey values of labels; halves between two steps occur
        cases.append((noise if case % 2 else blocks, int(rng.integers(1, 101))))
    cases.append((MAP.numpy() * 25.0, 50))
    got = call("mask_jpeg", "jpeg", [[plane.flatten().tolist(), plane.shape[1], quality] for plane, quality in cases])
    for (plane, quality), mine in zip(cases, got, strict=True):
        expected = jpeg_reference(torch.from_numpy(plane), quality).flatten()
        torch.testing.assert_close(tensor(mine), expected, atol=1e-6, rtol=0)


def test_whole_grey_values(call):
    # a block whose only frequency is its mean, 3 steps of 12, is 128 + 36 / 8 = 132.5 everywhere, but for arithmetic
    assert call("mask_jpeg", "whole", [[[132.5, 132.5 - 1e-12, 132.4999, 0, 255]]])[0] == [133, 133, 132, 0, 255]


def test_the_nearest_label(call):
    greys = list(range(256))
    for spacing, last in [(1, 3), (25, 10), (255, 1), (50, 5)]:
        got = call("mask_jpeg", "readBack", [[greys, spacing, last]])[0]
        distance = abs(tensor(greys)[:, None] - spacing * torch.arange(last + 1))
        assert distance[range(256), got].tolist() == distance.amin(1).tolist()
    assert call("mask_jpeg", "readBack", [[[24, 25, 75], 50, 5]])[0] == [0, 1, 2]  # a half goes up


def test_counts_by_hand(call):
    # 0 0 2   read back as   0 1 2   The border is everything but the first column: its pixels (0, 0) and (1, 0) have
    # 0 0 2                  0 0 1   the neighbours (0, 1) and (1, 1), which are 0 too.
    got = call("mask_jpeg", "count", [[[0, 0, 2, 0, 0, 2], [0, 1, 2, 0, 0, 1], 3, 4]])[0]
    assert got == {
        "wrong": 2,
        "border": 4,
        "wrongAtBorder": 2,
        "before": [4, 0, 2, 0],
        "after": [3, 2, 1, 0],
        "ghosts": [1],
    }


# --- mask_jpeg: the figure ---


def whole(plane: torch.Tensor) -> torch.Tensor:
    return torch.floor(plane + 0.5 + 1e-9).long()


def check_mask(figure, labels: torch.Tensor = MAP, last: int = 10) -> dict:
    """Compare every number that the figure shows with Python's."""
    now = values(figure)
    stored = labels * now["spacing"]
    greys = whole(jpeg_reference(stored.double(), now["quality"]))
    found = torch.floor(greys / now["spacing"] + 0.5).long().clamp(0, last)
    wrong = found != labels
    padded = torch.nn.functional.pad(labels[None].double(), (1, 1, 1, 1), mode="replicate")[0]
    windows = padded.unfold(0, 3, 1).unfold(1, 3, 1).flatten(2)  # (H, W, 9)
    border = windows.amin(2) != windows.amax(2)
    before, after = (torch.bincount(all_.flatten(), minlength=last + 1) for all_ in (labels, found))
    ghosts = torch.nonzero((before == 0) & (after > 0)).flatten().tolist()
    count = {
        "wrong": int(wrong.sum()),
        "border": int(border.sum()),
        "wrongAtBorder": int((wrong & border).sum()),
        "before": before.tolist(),
        "after": after.tolist(),
        "ghosts": ghosts,
    }
    assert {name: now[name] for name in count} == count

    summary, table = figure.locator("table").nth(0), figure.locator("table").nth(1)
    texts = [text.replace(",", "") for text in summary.locator("td").all_text_contents()]
    assert texts[::2] == [
        str(count["wrong"]),
        f"{100 * count['wrong'] / labels.numel():.1f} %",
        f"{count['wrongAtBorder']} of {count['border']}",
        str(len(ghosts)),
    ]
    assert texts[1::2] == ["0", "0.0 %", "0", "0"]
    cells = [int(text.replace(",", "")) for text in table.locator("td").all_text_contents()]
    assert cells[0::3] == [label * now["spacing"] for label in range(last + 1)]
    assert (cells[1::3], cells[2::3]) == (count["before"], count["after"])
    marked = table.locator("tbody tr").evaluate_all("all => all.map(row => row.classList.contains('ghost'))")
    assert [label for label, ghost in enumerate(marked) if ghost] == ghosts

    x, y = now["at"]
    assert now["pixel"] == {
        "truth": int(labels[y, x]),
        "stored": int(stored[y, x]),
        "grey": int(greys[y, x]),
        "found": int(found[y, x]),
    }
    left, top = x // 8 * 8, y // 8 * 8
    for name, plane in [("stored", stored), ("greys", greys), ("found", found)]:
        assert now["block"][name] == plane[top : top + 8, left : left + 8].flatten().tolist()
    ring = slice(max(0, top - 1), top + 9), slice(max(0, left - 1), left + 9)  # the block and one pixel more
    assert [int(text) for text in shown(figure, ".before svg text")] == stored[ring].flatten().tolist()
    assert [int(text) for text in shown(figure, ".after svg text")] == greys[ring].flatten().tolist()
    assert figure.locator(".after .wrong").count() == int(wrong[ring].sum())
    assert figure.locator(".before .wrong").count() == 0
    return now


def test_quality_and_spacing(watched):
    figure = watched().show(FIGURES["mask_jpeg"]())
    assert check_mask(figure)["quality"] == 75
    wrong = {}
    for label, spacing in [("0, 25, 50, …", 25), ("0, 1, 2, …", 1)]:
        figure.get_by_label(label).check()
        for quality in (5, 30, 50, 75, 95, 100):
            slide(figure, "quality", quality)
            now = check_mask(figure)
            assert (now["quality"], now["spacing"]) == (quality, spacing)
            wrong[spacing, quality] = now["wrong"]
    assert wrong[25, 5] > wrong[25, 50] > wrong[25, 75] > 100 > wrong[25, 95] == 0
    assert wrong[1, 75] > 4 * wrong[25, 75]
    assert wrong[1, 100] > 50  # neighbours one grey value apart do not survive any quality


def test_the_file_itself_is_as_bad(watched):
    """Pillow's JPEG, which rounds inside its transforms, makes about as many pixels wrong."""
    figure = watched().show(FIGURES["mask_jpeg"]())
    for label, spacing in [("0, 25, 50, …", 25), ("0, 1, 2, …", 1)]:
        figure.get_by_label(label).check()
        for quality in (10, 50, 75):
            slide(figure, "quality", quality)
            file = io.BytesIO()
            Image.fromarray((MAP * spacing).numpy().astype(np.uint8)).save(file, "JPEG", quality=quality)
            found = np.floor(np.asarray(Image.open(file)) / spacing + 0.5).clip(0, 10)
            assert values(figure)["wrong"] == pytest.approx((found != MAP.numpy()).sum(), rel=0.04)


def test_the_lens_follows_the_mouse_and_the_keyboard(watched):
    one = watched()
    figure = one.show(FIGURES["mask_jpeg"]())
    point(one.page, figure.locator(".before svg").first, 50.5 / 96, 30.5 / 96)
    now = check_mask(figure)
    assert now["at"] == [50, 30]
    pixel = now["pixel"]
    words = f"Row 30, column 50: {NAMES[pixel['truth']]}, stored as {pixel['stored']}, comes back as {pixel['grey']}; "
    assert shown(figure, ".status")[0].startswith(words)

    figure.locator(".after .hand").focus()
    press(one.page, "ArrowRight", "ArrowRight", "Shift+ArrowDown", "ArrowUp")
    assert check_mask(figure)["at"] == [52, 37]
    label = figure.locator(".after .hand").get_attribute("aria-label")
    assert f"comes back as {values(figure)['pixel']['grey']}" in label
    press(one.page, *["Shift+ArrowDown"] * 12, *["Shift+ArrowRight"] * 12)
    assert check_mask(figure)["at"] == [95, 95]  # the lens has 9 x 9 pixels here
    assert len(shown(figure, ".after svg text")) == 81
    point(one.page, figure.locator(".after svg").first, 0.001, 0.001)
    assert check_mask(figure)["at"] == [0, 0]
    assert one.page.evaluate("scrollY") == 0


def test_it_starts_at_a_wrong_pixel_and_goes_on_to_the_next(watched):
    figure = watched().show(FIGURES["mask_jpeg"]())
    button = figure.get_by_role("button", name="Next block with a wrong pixel")
    greys = whole(jpeg_reference(MAP.double() * 25, 75))
    wrong = torch.floor(greys / 25 + 0.5).clamp(0, 10) != MAP
    blocks = torch.nonzero(wrong.unflatten(0, (12, 8)).unflatten(2, (12, 8)).any(3).any(1)).tolist()
    visited = []
    for _ in range(len(blocks) + 1):
        x, y = check_mask(figure)["at"]
        assert wrong[y, x]
        error = abs(greys - MAP * 25) * wrong
        left, top = x // 8 * 8, y // 8 * 8
        assert error[y, x] == error[top : top + 8, left : left + 8].max()  # the worst of its block
        visited.append([y // 8, x // 8])
        button.click()
    assert visited == [*blocks, blocks[0]]
    slide(figure, "quality", 100)
    assert check_mask(figure)["wrong"] == 0
    assert button.is_disabled()


def test_wrong_pixels_are_vermilion(watched):
    figure = watched().show(FIGURES["mask_jpeg"]())
    figure.get_by_label("0, 1, 2, …").check()
    classes = np.array([[int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in FIGURES["mask_jpeg"]().state["classes"]])
    vermilion = [int(ROLES["prediction"][i : i + 2], 16) for i in (1, 3, 5)]
    greys = whole(jpeg_reference(MAP.double(), 75))
    found = greys.clamp(0, 10)
    wrong = (found != MAP).numpy()
    assert ((pixels(figure.locator(".after canvas")) == vermilion).all(2) == wrong).all()
    assert (pixels(figure.locator(".before canvas")) == classes[MAP]).all()
    figure.get_by_label("mark the wrong pixels").uncheck()
    assert (pixels(figure.locator(".after canvas")) == classes[found]).all()


@pytest.mark.parametrize("size", [(13, 21), (8, 8), (1, 1), (3, 40)])
def test_maps_of_other_sizes(watched, size):
    labels = torch.from_numpy(np.random.default_rng(7).integers(0, 4, size))
    labels[0, 0] = 3
    one = watched()
    figure = one.show(interactive.mask_jpeg(labels))
    for quality in (75, 20):
        slide(figure, "quality", quality)
        assert check_mask(figure, labels, last=3)["spacing"] == 85
    figure.locator(".after .hand").focus()
    press(one.page, *["Shift+ArrowDown"] * 5, *["Shift+ArrowRight"] * 5)
    assert check_mask(figure, labels, last=3)["at"] == [size[1] - 1, size[0] - 1]


def test_a_map_of_background_alone(watched):
    figure = watched().show(interactive.mask_jpeg(torch.zeros(16, 16)))
    now = check_mask(figure, torch.zeros(16, 16, dtype=torch.int64), last=0)
    assert (now["wrong"], now["at"]) == (0, [8, 8])
    assert shown(figure, ".start label") == ["0", "0"]
    assert figure.get_by_role("button").is_disabled()


@pytest.mark.parametrize("name", FIGURES)
def test_a_finger_taps(watched, name):
    one = watched(has_touch=True, viewport={"width": 390, "height": 900})
    figure = one.show(FIGURES[name]())
    hand = figure.locator(".hand").first
    assert hand.evaluate("node => getComputedStyle(node).touchAction") == "pan-y"  # the page can still be scrolled
    hand.scroll_into_view_if_needed()
    box = hand.bounding_box()
    one.page.touchscreen.tap(box["x"] + 0.25 * box["width"], box["y"] + 0.75 * box["height"])
    if name == "letterbox":
        assert check_letterbox(figure)["point"] == pytest.approx([0.25 * W, 0.75 * H], abs=2)
    else:
        assert check_mask(figure)["at"] == pytest.approx([24, 72], abs=1)


# --- what holds for every figure ---


def act(page, figure, name: str) -> None:
    """Do the first thing that a reader would do."""
    figure.locator(".hand").first.focus()
    press(page, "ArrowLeft", "ArrowDown")


TestEveryFigure = rules_for(FIGURES, act)


@pytest.mark.parametrize("name", FIGURES)
def test_the_page_gets_no_keys_of_the_figure(watched, name):
    one = watched()
    figure = one.show(FIGURES[name]())
    one.page.evaluate("window.keys = 0; document.addEventListener('keydown', () => { window.keys += 1; })")
    act(one.page, figure, name)
    assert one.page.evaluate("window.keys") == 0
