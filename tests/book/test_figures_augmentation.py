"""The figures of augmentation in a browser: hands move them, `cvlab.augment` says what they must show."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
import test_figures as every
import torch
from every_figure import rules_for
from PIL import Image
from test_figures import drag, press, shown, tensor, values
from torchvision.transforms.v2 import functional as tv

from cvlab import interactive, ops
from cvlab.augment import affine, colour, mixing
from cvlab.augment.warp import Warp

pytestmark = pytest.mark.browser
watched, call = every.watched, every.call  # fixtures

H, W = 300, 450
IMAGE = np.random.default_rng(0).integers(60, 200, (10, 15, 3), dtype=np.uint8).repeat(30, 0).repeat(30, 1)
OTHER = 255 - IMAGE
BOXES = [[110, 25, 345, 280], [20, 200, 80, 290], [380, 10, 440, 60]]
NAMES = ["cat", "dog", "bird"]
FIGURES = {
    "augmentation": lambda: interactive.augmentation(IMAGE, BOXES, names=NAMES),
    "mixing": lambda: interactive.mixing(
        IMAGE, OTHER, names=("apple", "pear"), boxes_first=BOXES[:2], boxes_second=[[100, 60, 220, 180]]
    ),
}


def settle(page) -> None:
    """Let the figures draw what was asked of them: in the next frame, or later where a JPEG must be made first."""
    page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    page.wait_for_function("""[...document.querySelectorAll('.cvlab-figure')].every(host => {
        const now = JSON.parse(host.dataset.values), inputs = [...host.shadowRoot.querySelectorAll('[type=range]')];
        const all = Object.values(now).filter(value => typeof value === 'number');
        return inputs.every(input => all.includes(Number(input.value))); })""")


def act(page, figure, name: str) -> None:
    """Do the first thing that a reader would do."""
    label = {"augmentation": "rotate", "mixing": "λ"}[name]
    figure.get_by_role("slider", name=label).focus()
    press(page, "ArrowRight")
    settle(page)


def slide(figure, label: str, value: float) -> None:
    figure.get_by_role("slider", name=label).fill(str(value))


def now(figure) -> dict:
    settle(figure.page)
    return values(figure)


def pixels(figure) -> torch.Tensor:
    """What the canvas shows, (3, H, W) uint8."""
    script = """host => { const canvas = host.shadowRoot.querySelector('canvas');
        return canvas.toDataURL('image/png').split(',')[1]; }"""
    return decoded("," + figure.evaluate(script))


def decoded(src: str) -> torch.Tensor:
    image = Image.open(io.BytesIO(base64.b64decode(src.split(",")[1]))).convert("RGB")
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)


def difference(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a.float() - b.float()).abs().mean())


# --- augmentation: the functions of the script ---


def python_matrix(s: dict, width: float, height: float) -> torch.Tensor:
    centre = (width / 2, height / 2)
    shape = affine.rotation(s["rotate"]) @ affine.shearing(s["shear"]) @ affine.scaling(s["scale"], s["scale"])
    mirror = affine.horizontal_flip(width) if s["flip"] else affine.identity()
    crop = affine.about(affine.scaling(1 / s["crop"], 1 / s["crop"]), centre)
    return crop @ affine.translation(s["dx"], s["dy"]) @ affine.about(shape, centre) @ mirror


def python_colours(s: dict, mean: list[float]) -> torch.Tensor:
    return colour.jitter(tensor(mean), s["brightness"], s["contrast"], s["saturation"], s["hue"])


def random_settings(rng) -> dict:
    limits = {
        "rotate": (-45, 45),
        "shear": (-30, 30),
        "scale": (0.5, 2),
        "dx": (-200, 200),
        "dy": (-150, 150),
        "crop": (0.3, 1),
        "brightness": (0.4, 1.6),
        "contrast": (0.4, 1.6),
        "saturation": (0, 2),
        "hue": (-0.5, 0.5),
    }
    drawn = {name: float(rng.uniform(*ends)) for name, ends in limits.items()}
    return {**drawn, "flip": bool(rng.integers(2))}


def test_matrices_and_colour_maps_are_those_of_python(call):
    rng = np.random.default_rng(1)
    settings = [random_settings(rng) for _ in range(300)]
    sizes = rng.integers(20, 900, (300, 2)).tolist()
    means = rng.random((300, 3)).tolist()
    got = call("augmentation", "matrix", [(s, *size) for s, size in zip(settings, sizes, strict=True)])
    want = torch.stack([python_matrix(s, *size) for s, size in zip(settings, sizes, strict=True)])
    torch.testing.assert_close(tensor(got), want, rtol=0, atol=1e-9)
    got = call("augmentation", "colourMap", list(zip(settings, means, strict=True)))
    want = torch.stack([python_colours(s, mean) for s, mean in zip(settings, means, strict=True)])
    torch.testing.assert_close(tensor(got), want, rtol=0, atol=1e-12)


def test_boxes_go_where_python_brings_them(call):
    rng = np.random.default_rng(2)
    boxes = np.sort(rng.uniform(0, 300, (300, 2, 2)), axis=1).reshape(-1, 4)[:, [0, 1, 2, 3]]
    matrices = [python_matrix(random_settings(rng), W, H) for _ in boxes]
    cases = [(m.tolist(), box, W, H) for m, box in zip(matrices, boxes.tolist(), strict=True)]
    for (_, box, *_), m, got in zip(cases, matrices, call("augmentation", "warpBox", cases), strict=True):
        moved = affine.warp_boxes(tensor([box]), m)
        clipped = ops.clip_boxes_to_image(moved, (H, W))
        torch.testing.assert_close(tensor([got["corners"]]), affine.warp_points(affine.corners(tensor([box])), m))
        torch.testing.assert_close(tensor([got["box"]]), moved)
        torch.testing.assert_close(tensor([got["clipped"]]), clipped)
        assert got["visible"] == pytest.approx(float(ops.box_area(clipped) / ops.box_area(moved)))
        corners = np.array(got["corners"])
        x, y = corners.T  # the shoelace formula
        filled = abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2
        assert got["tight"] == pytest.approx(filled / float(ops.box_area(moved)))
        assert 0 < got["tight"] <= 1 + 1e-9


def test_a_square_turned_by_45_degrees_fills_half_of_its_upright_box(call):
    settings = {"rotate": 45, "shear": 0, "scale": 1, "dx": 0, "dy": 0, "crop": 1, "flip": False}
    matrix = call("augmentation", "matrix", [(settings, 100, 100)])[0]
    got = call("augmentation", "warpBox", [(matrix, [40, 40, 60, 60], 100, 100), (matrix, [5, 5, 5, 5], 100, 100)])
    assert got[0]["tight"] == pytest.approx(0.5)
    assert got[0]["box"] == pytest.approx([50 - 200**0.5, 50 - 200**0.5, 50 + 200**0.5, 50 + 200**0.5])
    assert got[1]["visible"] == 0  # an empty box shows nothing


def test_colours_and_blur_are_those_of_python(call):
    rng = np.random.default_rng(3)
    image = torch.from_numpy(rng.integers(0, 256, (3, 24, 35), dtype=np.uint8))
    flat = torch.cat([image, torch.full((1, 24, 35), 255, dtype=torch.uint8)]).permute(1, 2, 0).flatten().tolist()

    def picture(values: list[int]) -> torch.Tensor:
        return torch.tensor(values).reshape(24, 35, 4).permute(2, 0, 1)[:3]

    maps = [python_colours(random_settings(rng), [0.4, 0.5, 0.6]) for _ in range(10)]
    got = call("augmentation", "(...a) => Array.from(apply(...a))", [(flat, m.tolist()) for m in maps])
    for values_, m in zip(got, maps, strict=True):
        wrong = (picture(values_) - colour.apply(image, m).int()).abs()
        assert wrong.max() <= 1  # float32 there, float64 here: a half may be rounded either way
        assert (wrong > 0).float().mean() < 1e-3

    for sigma in (0.3, 1.0, 2.5, 4.0):
        got = call("augmentation", "(...a) => Array.from(blur(...a))", [(flat, 35, 24, sigma)])[0]
        size = 2 * int(np.ceil(3 * sigma)) + 1
        assert (picture(got) - tv.gaussian_blur(image, [size, size], [sigma, sigma]).int()).abs().max() <= 1
    tiny = call("augmentation", "(...a) => Array.from(blur(...a))", [([9, 90, 250, 255], 1, 1, 4.0)])[0]
    assert tiny == [9, 90, 250, 255]


def test_surprises_keep_to_the_sliders(call):
    many = "(seed) => { const random = seeded(seed); return range(40).map(() => surprise(random, 450, 300)); }"
    first, again, other = call("augmentation", many, [[1], [1], [2]])
    assert first == again != other
    limits = {"rotate": 45, "shear": 30, "dx": 225, "dy": 150, "hue": 0.5}
    for one in first:
        assert all(abs(one[name]) <= limit for name, limit in limits.items())
        assert 0.5 <= one["scale"] <= 2
        assert 0.3 <= one["crop"] <= 1
        assert 5 <= one["quality"] <= 100
    assert len({one["rotate"] for one in first}) > 15
    assert {one["flip"] for one in first} == {one["jpeg"] for one in first} == {True, False}


# --- augmentation: the figure ---


def check_augmentation(figure) -> dict:
    """Compare every number that the figure shows with Python's."""
    got = now(figure)
    matrix = python_matrix(got, W, H)
    torch.testing.assert_close(tensor(got["matrix"]), matrix, rtol=0, atol=1e-9)
    torch.testing.assert_close(tensor(got["colour"]), python_colours(got, got["mean"]), rtol=0, atol=1e-12)
    moved = affine.warp_boxes(tensor(BOXES), matrix)
    clipped = ops.clip_boxes_to_image(moved, (H, W))
    share = ops.box_area(clipped) / ops.box_area(moved)
    kept = ((share >= got["least"]) & (share > 0)).tolist()
    assert [one["kept"] for one in got["boxes"]] == kept

    numbers = [float(text) for text in shown(figure, "tbody td:not(:nth-child(n + 6))")]
    assert numbers == pytest.approx(clipped.flatten().tolist(), abs=0.51)
    visible = [float(text.rstrip("%")) for text in shown(figure, "tbody td:nth-child(6)")]
    assert visible == pytest.approx((100 * share).tolist(), abs=0.51)
    filled = matrix[:2, :2].det().abs() * ops.box_area(tensor(BOXES)) / ops.box_area(moved)
    tight = [float(text.rstrip("%")) for text in shown(figure, "tbody td:nth-child(7)")]
    assert tight == pytest.approx((100 * filled).tolist(), abs=0.51)
    assert figure.locator("tr.dropped").count() == kept.count(False)
    assert f"{sum(kept)} of 3 boxes kept" in shown(figure, ".status")[0]
    assert shown(figure, "svg text") == [NAMES[i] for i in sorted(range(3), key=lambda i: kept[i]) if share[i] > 0]
    return got


def test_every_slider_moves_what_it_says(watched):
    figure = watched().show(FIGURES["augmentation"]())
    start = check_augmentation(figure)
    assert start["matrix"] == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
    moves = {
        "rotate": ("rotate", 20),
        "shear": ("shear", -12),
        "scale": ("scale", 1.3),
        "shift x": ("dx", -60),
        "shift y": ("dy", 35),
        "crop": ("crop", 0.7),
        "brightness": ("brightness", 0.8),
        "contrast": ("contrast", 1.4),
        "saturation": ("saturation", 0.5),
        "hue": ("hue", 0.2),
        "blur": ("blur", 1.5),
        "drop below": ("least", 0.6),
    }
    expected = start
    for label, (name, value) in moves.items():
        slide(figure, label, value)
        got = check_augmentation(figure)
        assert got[name] == value
        expected = {**expected, name: value}
        assert {key: got[key] for key in expected if key not in ("matrix", "boxes", "colour")} == {
            key: expected[key] for key in expected if key not in ("matrix", "boxes", "colour")
        }
    figure.get_by_label("flip left").check()
    assert check_augmentation(figure)["flip"]
    figure.get_by_role("button", name="Reset").click()
    back = check_augmentation(figure)
    assert back == {**start, "least": 0.6}  # the threshold is no part of the augmentation
    assert not figure.get_by_label("flip left").is_checked()
    assert figure.get_by_role("slider", name="rotate").input_value() == "0"


def test_the_picture_is_that_of_python(watched):
    """The browser interpolates a little differently, so the pictures agree within some grey levels on average."""
    made = FIGURES["augmentation"]()
    figure = watched().show(made)
    original = decoded(made.state["picture"]["src"])
    got = check_augmentation(figure)
    assert got["mean"] == pytest.approx((original.double().mean((1, 2)) / 255).tolist(), abs=2e-3)
    assert difference(pixels(figure), original) < 1  # two decoders of one JPEG
    for label, value in [("rotate", 20), ("scale", 1.2), ("shift x", -30), ("contrast", 1.5), ("hue", 0.15)]:
        slide(figure, label, value)
    figure.get_by_label("flip left").check()
    got = check_augmentation(figure)
    changed = colour.apply(original, tensor(got["colour"]))
    want = Warp(tensor(got["matrix"]), (H, W), (H, W)).image(changed)
    assert difference(pixels(figure), want) < 1.5
    for wrong in (changed, Warp(tensor(got["matrix"]), (H, W), (H, W)).image(original)):
        assert difference(pixels(figure), wrong) > 10
    slide(figure, "blur", 4)
    now(figure)
    assert difference(pixels(figure), tv.gaussian_blur(want, [25, 25], [4.0, 4.0])) < 1
    assert difference(pixels(figure), want) > 2


def test_jpeg_costs_detail_and_saves_bytes(watched):
    one = watched()
    figure = one.show(FIGURES["augmentation"]())
    original = pixels(figure)
    assert values(figure)["bytes"] is None
    assert figure.get_by_role("slider", name="JPEG").is_disabled()
    figure.get_by_label("store as JPEG").check()
    sizes, losses = [], []
    for quality in (5, 60, 100):
        figure.locator(".slider", has_text="JPEG").locator("input").evaluate(
            "(node, value) => { node.value = value; node.dispatchEvent(new Event('input')); }", quality
        )
        one.page.wait_for_function(
            "quality => { const v = JSON.parse(document.querySelector('.cvlab-figure').dataset.values);"
            " return v.quality === quality && v.bytes; }",
            arg=quality,
        )
        got = values(figure)
        sizes.append(got["bytes"])
        losses.append(difference(pixels(figure), original))
        assert shown(figure, ".side .row .note") == [f"{got['bytes'] / 1000:.1f} kB"]
    assert sizes == sorted(sizes)
    assert losses == sorted(losses, reverse=True)
    assert losses[0] > 2 > losses[2]
    figure.get_by_label("store as JPEG").uncheck()
    assert now(figure)["bytes"] is None
    assert difference(pixels(figure), original) == 0


def test_the_picture_follows_the_mouse_and_the_keyboard(watched):
    one = watched()
    figure = one.show(FIGURES["augmentation"]())
    slide(figure, "crop", 0.5)
    scale = figure.locator("svg").bounding_box()["width"] / W
    drag(one.page, figure.locator(".hand"), 40 * scale, -20 * scale)
    got = check_augmentation(figure)
    assert (got["dx"], got["dy"]) == (20, -10)  # zoomed in twice, the picture stays under the hand
    assert figure.get_by_role("slider", name="shift x").input_value() == "20"
    figure.locator(".hand").focus()
    press(one.page, "ArrowLeft", "Shift+ArrowDown", "ArrowDown")
    got = check_augmentation(figure)
    assert (got["dx"], got["dy"]) == (19, 1)
    assert "shifted by 19 to the right and 1 down" in figure.locator(".hand").get_attribute("aria-label")
    drag(one.page, figure.locator(".hand"), 4000, 0)
    got = check_augmentation(figure)
    assert got["dx"] == W / 2  # as far as the slider goes
    # x becomes 2 (x + 225 - 225) + 225: the cat begins at 445 of 450; y becomes 2 (y + 1 - 150) + 150: 27 % of the dog
    assert [box["kept"] for box in got["boxes"]] == [False, True, False]


def test_a_finger_shifts_the_picture(watched):
    one = watched(has_touch=True, viewport={"width": 390, "height": 900})
    figure = one.show(FIGURES["augmentation"]())
    hand = figure.locator(".hand")
    assert hand.evaluate("node => getComputedStyle(node).touchAction") == "none"  # else the page would scroll instead
    box = hand.bounding_box()
    scale, x, y = box["width"] / W, box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    session = one.context.new_cdp_session(one.page)
    for kind, step in [("touchStart", 0), ("touchMove", 1), ("touchMove", 2), ("touchEnd", None)]:
        points = [] if step is None else [{"x": x - 10 * step * scale, "y": y + 15 * step * scale}]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    got = check_augmentation(figure)
    assert (got["dx"], got["dy"]) == (-20, 30)


def test_surprises_are_the_same_ones_every_time(watched):
    runs = []
    for _ in range(2):
        figure = watched().show(FIGURES["augmentation"]())
        runs.append([])
        for _ in range(4):
            figure.get_by_role("button", name="Surprise me").click()
            runs[-1].append(check_augmentation(figure)["matrix"])
    assert runs[0] == runs[1]
    assert len({str(matrix) for matrix in runs[0]}) == 4


def test_a_photograph_without_boxes(watched):
    figure = watched().show(interactive.augmentation(IMAGE))
    slide(figure, "rotate", 10)
    assert now(figure)["boxes"] == []
    assert figure.locator("table").count() == 0
    assert "box" not in shown(figure, "figcaption .hint")[0]


# --- mixing: the functions of the script ---


def test_blends_are_those_of_python(call):
    rng = np.random.default_rng(4)
    a, b = rng.integers(0, 256, (2, 4 * 60)).tolist()
    for share in (0.0, 0.25, 0.61, 1.0):
        got = call("mixing", "(...a) => Array.from(mix(...a))", [(a, b, share)])[0]
        items = [(torch.tensor(one, dtype=torch.uint8).reshape(3, 8, 10), {}) for one in (a, b)]
        want, _ = mixing.mixup(*items, ratio=share)
        assert (torch.tensor(got) - want.flatten().int()).abs().max() <= 1  # float32 there: a half goes either way


def test_patches_and_weights_are_those_of_python(call):
    cases, want = [], []
    rng = np.random.default_rng(5)
    for seed in range(200):
        share = float(rng.random())
        torch.manual_seed(seed)
        y, x = torch.rand(()).item() * H, torch.rand(()).item() * W
        torch.manual_seed(seed)
        want.append(list(mixing.rectangle((H, W), share)))
        cases.append((1 - share, [x, y], W, H))
    assert call("mixing", "patch", cases) == want
    areas = [(x2 - x1) * (y2 - y1) for x1, y1, x2, y2 in want]
    settings = [({"method": "cutmix", "lambda": share, "at": at}, W, H) for share, at, *_ in cases]
    got = call("mixing", "weight", settings)
    assert got == pytest.approx([1 - area / (W * H) for area in areas])
    assert sum(weight > share + 0.01 for weight, (share, *_) in zip(got, cases, strict=True)) > 50  # cut by the border
    assert call("mixing", "weight", [({**one, "method": "mixup"}, W, H) for one, *_ in settings[:5]]) == pytest.approx(
        [share for share, *_ in cases[:5]]
    )


def test_a_patch_worked_by_hand(call):
    # lambda 0.75 leaves a quarter: half of each side, 225 x 150, about the centre (225, 150)
    assert call("mixing", "patch", [(0.75, [225.0, 150.0], 450, 300)]) == [[113, 75, 338, 225]]  # 112.5 and 337.5
    # about a corner only a quarter of it stays inside
    assert call("mixing", "patch", [(0.75, [0.0, 0.0], 400, 200)]) == [[0, 0, 100, 50]]
    assert call("mixing", "weight", [({"method": "cutmix", "lambda": 0.75, "at": [0, 0]}, 400, 200)]) == [1 - 1 / 16]
    assert call("mixing", "patch", [(0.0, [200.0, 100.0], 400, 200), (1.0, [200.0, 100.0], 400, 200)]) == [
        [0, 0, 400, 200],
        [200, 100, 200, 100],
    ]


def test_boxes_of_mixtures_are_those_of_python(call):
    rng = np.random.default_rng(6)
    cases = []
    for _ in range(150):
        boxes = np.sort(rng.integers(0, 40, (4, 2, 2)), axis=1) + np.array([[0, 0], [1, 1]])
        first, second = boxes.reshape(2, 2, 4).tolist()
        at = [float(rng.uniform(0, 40)), float(rng.uniform(0, 40))]
        now_ = {"method": "cutmix", "lambda": float(rng.random()), "at": at, "least": 0.25}
        cases.append((now_, [first, second], 41, 41))
    patches = call("mixing", "patch", [(c[0]["lambda"], c[0]["at"], 41, 41) for c in cases])
    dropped = 0
    for (_, (first, second), *_), patch, got in zip(cases, patches, call("mixing", "mixBoxes", cases), strict=True):
        inside = mixing.region((41, 41), patch)
        targets = [mixing.hide({"boxes": tensor(b)}, h, 0.25) for b, h in [(first, inside), (second, ~inside)]]
        want = [target["boxes"].tolist() for target in targets]
        assert [[one["box"] for one in got if one["source"] == s and one["kept"]] for s in (0, 1)] == want
        dropped += sum(not one["kept"] for one in got)
    assert 100 < dropped < 500  # of 600


def test_beta_is_that_of_torch(call):
    grid = np.linspace(0.01, 0.99, 25).tolist()
    for alpha in (0.1, 0.5, 1.0, 2.3, 8.0):
        beta = torch.distributions.Beta(tensor(alpha), tensor(alpha))
        got = call("mixing", "density", [(alpha, x) for x in grid])
        assert got == pytest.approx(beta.log_prob(tensor(grid)).exp().tolist(), rel=1e-6)
        draw = "(alpha) => { const random = seeded(7); return range(4000).map(() => drawBeta(alpha, random)); }"
        drawn = np.array(call("mixing", draw, [[alpha]])[0])
        assert ((drawn >= 0) & (drawn <= 1)).all()
        # variance 1 / (4 (2 alpha + 1)); of 4000 draws the mean is off by 3 standard errors at most
        variance = 1 / (4 * (2 * alpha + 1))
        assert abs(drawn.mean() - 0.5) < 3 * (variance / 4000) ** 0.5
        assert drawn.var() == pytest.approx(variance, rel=0.06)


# --- mixing: the figure ---


def check_mixing(figure) -> dict:
    got = now(figure)
    (x1, y1, x2, y2), share = got["patch"], got["lambda"]
    weight = share if got["method"] == "mixup" else 1 - (x2 - x1) * (y2 - y1) / (W * H)
    assert got["weight"] == pytest.approx(weight)
    assert [float(text) for text in shown(figure, ".label output")] == pytest.approx([weight, 1 - weight], abs=5.1e-3)
    formula = shown(figure, ".formula")[0].replace(",", "").replace("\u00d7", "*").split(" = ")
    if got["method"] == "mixup":
        assert formula[-1] == f"{weight:.2f} * apple + {1 - weight:.2f} * pear"
    else:
        assert eval(formula[-2]) == pytest.approx(weight, abs=1e-6)
        assert float(formula[-1]) == pytest.approx(weight, abs=5.1e-3)
    names = [
        f"{('apple', 'pear')[one['source']]} {100 * one['shown']:.0f} %" for one in got["boxes"] if one["shown"] > 0
    ]
    assert sorted(shown(figure, "svg.picture text")) == sorted(names)
    return got


def test_mixup_shows_the_blend(watched):
    made = FIGURES["mixing"]()
    figure = watched().show(made)
    a, b = (decoded(picture["src"]).float() for picture in made.state["pictures"])
    for share in (0.6, 0.0, 1.0, 0.35):
        slide(figure, "λ", share)
        got = check_mixing(figure)
        assert got["lambda"] == share
        assert [one["shown"] for one in got["boxes"]] == pytest.approx([share, share, 1 - share])
        assert difference(pixels(figure), share * a + (1 - share) * b) < 1
    assert figure.locator(".hand").is_hidden()


def test_cutmix_pastes_where_the_hand_is(watched):
    one = watched()
    made = FIGURES["mixing"]()
    figure = one.show(made)
    figure.get_by_role("radio", name="CutMix").check()
    slide(figure, "λ", 0.75)
    start = check_mixing(figure)["at"]
    scale = figure.locator("svg.picture").bounding_box()["width"] / W
    drag(one.page, figure.locator(".hand"), -50 * scale, 20 * scale)
    got = check_mixing(figure)
    assert got["at"] == [start[0] - 50, start[1] + 20]
    press(one.page, "ArrowLeft", "Shift+ArrowUp", "ArrowRight", "ArrowRight")
    got = check_mixing(figure)
    assert got["at"] == [start[0] - 49, start[1] + 10]
    assert f"x {got['at'][0]}, y {got['at'][1]}" in figure.locator(".hand").get_attribute("aria-label")

    a, b = (decoded(picture["src"]) for picture in made.state["pictures"])  # embedded in small
    k = a.shape[2] / W
    x1, y1, x2, y2 = (round(k * edge) for edge in got["patch"])
    want = a.clone()
    want[:, y1:y2, x1:x2] = b[:, y1:y2, x1:x2]
    assert difference(pixels(figure), want) < 2
    assert difference(pixels(figure), a) > 8

    drag(one.page, figure.locator(".hand"), 3000, 3000)
    got = check_mixing(figure)
    assert got["at"] == [W, H]  # the centre stays in the picture, and the border cuts the rest
    assert got["weight"] == pytest.approx(1 - 1 / 16, abs=5e-3)
    assert "not 0.75" in shown(figure, ".status")[0]


def test_cutmix_drops_what_is_hidden(watched):
    figure = watched().show(FIGURES["mixing"]())
    figure.get_by_role("radio", name="CutMix").check()
    slide(figure, "λ", 0)
    got = check_mixing(figure)  # the patch is as large as the picture, about (270, 165): it covers x >= 45, y >= 15
    assert got["patch"] == [45, 15, 450, 300]
    assert [one["kept"] for one in got["boxes"]] == [False, True, True]
    assert [one["shown"] for one in got["boxes"]] == pytest.approx([0, (45 - 20) / (80 - 20), 1])
    assert got["boxes"][1]["box"] == [20, 200, 45, 290]
    assert shown(figure, ".status")[0].endswith("Dropped, because too little is left: apple.")
    slide(figure, "λ", 1)
    assert [one["kept"] for one in check_mixing(figure)["boxes"]] == [True, True, False]


def test_lambda_is_drawn_from_beta(watched):
    runs = []
    for _ in range(2):
        figure = watched().show(FIGURES["mixing"]())
        slide(figure, "α", 0.2)
        figure.get_by_role("button", name="Draw 100").click()
        figure.get_by_role("button", name="Draw λ").click()
        runs.append(check_mixing(figure))
        assert shown(figure, ".side .row .note") == ["101 drawn"]
    assert runs[0] == runs[1]
    draws = runs[0]["draws"]
    assert runs[0]["lambda"] == pytest.approx(draws[-1], abs=5.1e-3)
    assert sum(0.1 < draw < 0.9 for draw in draws) < 50  # most are near 0 or 1; Beta(0.2, 0.2) has 36 % between

    counts = np.histogram(draws, bins=20, range=(0, 1))[0]
    heights = figure.locator(".plot rect").evaluate_all("all => all.map(node => Number(node.getAttribute('height')))")
    assert heights == pytest.approx((40 * np.minimum(counts * 20 / 101 / 4, 1)).tolist(), abs=1e-6)
    slide(figure, "α", 2)
    assert check_mixing(figure)["draws"] == []  # they were of another distribution


# --- what holds for every figure ---


TestEveryFigure = rules_for(FIGURES, act)
