"""What every figure is made of: the HTML, its bytes, and the checks of its data."""

from __future__ import annotations

import base64
import functools
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cvlab import interactive
from cvlab.data import digits
from cvlab.interactive import StaticFigure
from cvlab.interactive import figure as module
from cvlab.interactive.state import LIMIT, as_picture
from cvlab.models import digit_net
from cvlab.proposals import hierarchical_grouping
from cvlab.quant import IntegerModel, quantize_model, to_integer

FOLDER = Path(module.__file__).parent
BOXES = [[10.0, 20.0, 60.0, 80.0], [15.0, 25.0, 65.0, 85.0]]
IMAGE = np.full((60, 90, 3), 128, dtype=np.uint8)
TARGET = {"boxes": BOXES, "labels": [1, 2]}
FOUND = {**TARGET, "scores": [0.9, 0.8]}
OPTIONS = [{"text": "Yes", "correct": True, "why": "So it is."}, {"text": "No", "correct": False, "why": "Look again."}]
GROUPED = hierarchical_grouping(IMAGE / 255, np.arange(90 * 60).reshape(60, 90) // 1800)
LABELS, SCORES = np.arange(90 * 60).reshape(60, 90) % 3, np.arange(24.0).reshape(2, 3, 4)
LOSSES = [{"step": step, "content": 0.1, "style": 1 / step, "tv": 0.0} for step in (1, 2)]
PHONE = {"device": "phone", "format": "int8", "size": 186_000, "accuracy": 0.98, "checked": "run"}


@functools.cache
def digit_model() -> IntegerModel:
    """The classifier of digits in whole numbers."""
    images = digits(50, "val")[0].float() / 255
    return to_integer(quantize_model(digit_net("digit_net"), [images], input_range=(0, 1)))


FIGURES = {
    "iou": lambda: interactive.iou(a=BOXES[0], b=BOXES[1]),
    "anchors": lambda: interactive.anchors(truths=BOXES, names=["cat", "dog"]),
    "matching": lambda: interactive.matching(BOXES, BOXES[:1], names=["cat"]),
    "nms": lambda: interactive.nms(BOXES, [0.9, 0.8], [0, 1], names=["cat", "dog"]),
    "quiz": lambda: interactive.quiz("boxes"),
    "augmentation": lambda: interactive.augmentation(IMAGE, BOXES),
    "letterbox": lambda: interactive.letterbox(IMAGE, BOXES),
    "mask_jpeg": lambda: interactive.mask_jpeg([[0, 1], [2, 0]]),
    "mixing": lambda: interactive.mixing(IMAGE, IMAGE),
    "feature_maps": lambda: interactive.feature_maps(IMAGE, TARGET, [(6, 9)], [(0.2, 0.3)]),
    "thresholds": lambda: interactive.thresholds([IMAGE], [FOUND], [TARGET]),
    "grouping": lambda: interactive.grouping(IMAGE, GROUPED, BOXES),
    "training": lambda: interactive.training([(1, {"loss": 2.0})], [{"step": 1, "predictions": FOUND}], IMAGE, TARGET),
    "roi": lambda: interactive.roi([[0, 1], [2, 3]], [4, 4, 20, 28]),
    "mask_head": lambda: interactive.mask_head(IMAGE, BOXES[:1], np.full((1, 4, 4), 0.7)),
    "proposals": lambda: interactive.proposals(IMAGE, BOXES, [0.9, 0.8], BOXES[:1]),
    "overlay": lambda: interactive.overlay(IMAGE, LABELS, LABELS.T.reshape(60, 90)),
    "tiles": lambda: interactive.tiles(IMAGE, {(32, 0): LABELS, (32, 8): LABELS // 2}, LABELS),
    "class_weights": lambda: interactive.class_weights(IMAGE, LABELS, [LABELS // 2, LABELS], [1, 5]),
    "upsampling_path": lambda: interactive.upsampling_path(IMAGE, [("a", SCORES), ("b", SCORES[:, ::-1])]),
    "trans_conv": lambda: interactive.trans_conv([[0, 1], [2, 3]], stride=1),
    "conv_matrix": lambda: interactive.conv_matrix(padding=1),
    "checkerboard": lambda: interactive.checkerboard(kernel_size=4),
    "style_steps": lambda: interactive.style_steps([(0, IMAGE), (2, IMAGE)], LOSSES),
    "style_grid": lambda: interactive.style_grid([[IMAGE, IMAGE]] * 2, [1, 2], [0, 1]),
    "gram": lambda: interactive.gram(IMAGE, SCORES),
    "before_after": lambda: interactive.before_after([IMAGE], {"darker": [IMAGE // 2]}),
    "number_line": lambda: interactive.number_line(bits=3),
    "bit_width": lambda: interactive.bit_width({"weights": np.linspace(-1, 2, 99)}, bins=64),
    "multiplier": lambda: interactive.multiplier(0.3, 1000),
    "drawing_pad": lambda: interactive.drawing_pad(digit_model(), digits(2, "val")[0]),
    "detect_and_paint": lambda: interactive.detect_and_paint(IMAGE),
    "device_table": lambda: interactive.device_table([PHONE]),
}


def state_of(figure: StaticFigure) -> dict:
    """Read the state back from the figure's HTML, as a browser would."""
    found = re.search(r'start\("[^"]+", mount, (.*)\);\n</script>$', figure._repr_html_())
    return json.loads(found[1])


@pytest.mark.parametrize("name", FIGURES)
def test_the_same_figure_gives_the_same_bytes(name):
    first, second = FIGURES[name](), FIGURES[name]()
    assert first._repr_html_() == second._repr_html_()
    assert repr(first) == f"<interactive figure: {name}>"


@pytest.mark.parametrize("name", FIGURES)
def test_html_is_one_div_and_one_module(name):
    html = FIGURES[name]()._repr_html_()
    assert html.count("<div") == html.count("</div>") == 1
    assert html.count("<script") == html.count("</script") == 1
    assert '<script type="module">' in html
    assert f'<div id="{FIGURES[name]().id}"' in html
    assert f'start("{FIGURES[name]().id}", mount,' in html
    assert "<!--" not in html


@pytest.mark.parametrize("name", FIGURES)
def test_nothing_is_fetched(name):
    """The only address is the name of the SVG namespace; the only picture is inside."""
    html = FIGURES[name]()._repr_html_()
    assert set(re.findall(r"https?://[^\s\"'`]+", html)) == {"http://www.w3.org/2000/svg"}
    for word in ("fetch(", "XMLHttpRequest", "import(", "@import", "url(", "localStorage", "document.cookie", "eval("):
        assert word not in html
    assert not re.search(r"^\s*(import|export) ", html, flags=re.MULTILINE)


def test_id_depends_on_state_and_script(monkeypatch):
    plain = interactive.iou(a=BOXES[0], b=BOXES[1])
    assert plain.id != interactive.iou(a=BOXES[1], b=BOXES[0]).id
    before = plain.id
    monkeypatch.setattr(module, "_script", lambda name: "// another script")
    assert plain.id != before


def test_scripts_can_be_put_inside_a_page():
    for path in [*FOLDER.glob("*.js"), *FOLDER.glob("*.css")]:
        text = path.read_text(encoding="utf-8")
        assert "</" not in text, path.name
        assert "<!--" not in text, path.name


def test_every_script_belongs_to_a_function():
    names = {path.stem for path in FOLDER.glob("*.js")} - {"common", "wasm", "strip"}
    assert names == set(FIGURES) == set(interactive.__all__) - {"StaticFigure"}


def test_nasty_text_stays_text():
    nasty = "</script><script>alert(1)</script><!-- &amp; \u2028 \u2029 \"'`${1}"
    figure = interactive.iou(a=BOXES[0], b=BOXES[1], question=nasty)
    html = figure._repr_html_()
    assert html.count("</script") == 1
    assert "<!--" not in html
    assert "\u2028" not in html
    assert state_of(figure)["question"] == nasty


def test_alternative_text_is_escaped_and_shown_without_scripts():
    html = StaticFigure("quiz", 'a < b & "c"', title="t", questions=[])._repr_html_()
    assert "<p>a &lt; b &amp; &quot;c&quot;</p>" in html


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_state_must_be_finite(bad):
    with pytest.raises(ValueError, match="finite numbers only"):
        StaticFigure("iou", "alt", value=bad)


def test_a_figure_needs_a_name_and_an_alternative_text():
    with pytest.raises(ValueError, match="no figure is called 'nonsense'"):
        StaticFigure("nonsense", "alt")
    with pytest.raises(ValueError, match="iou needs an alternative text"):
        StaticFigure("iou", " ")


def test_state_holds_the_colours_and_their_meaning():
    colours = state_of(FIGURES["nms"]())["colours"]
    assert colours["truth"] == "#009E73"
    assert set(colours) == {"truth", "prediction", "anchor", "ignored", "reader"}


# --- pictures ---


def decode(src: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(src.removeprefix("data:image/jpeg;base64,"))))


@pytest.mark.parametrize(
    "kind", ["float tensor", "bfloat16 tensor", "uint8 tensor", "float array", "uint8 array", "grey array", "PIL"]
)
def test_every_layout_of_an_image_gives_the_same_picture(kind):
    array = np.zeros((40, 60, 3), dtype=np.uint8)
    array[:, 30:] = 200  # left dark, right bright
    tensor = torch.from_numpy(array).permute(2, 0, 1)
    image = {
        "float tensor": tensor / 255,
        "bfloat16 tensor": (tensor / 255).bfloat16(),
        "uint8 tensor": tensor,
        "float array": array / 255,
        "uint8 array": array,
        "grey array": array[:, :, 0],
        "PIL": Image.fromarray(array),
    }[kind]
    picture = as_picture("iou", image)
    assert (picture["width"], picture["height"]) == (60, 40)
    shown = np.asarray(decode(picture["src"]).convert("RGB")).astype(int)
    assert abs(shown[20, 10] - 0).max() < 12
    assert abs(shown[20, 50] - 200).max() < 12


def test_a_large_noisy_picture_is_made_small():
    noise = np.random.default_rng(0).integers(0, 256, (900, 1200, 3), dtype=np.uint8)
    picture = as_picture("iou", noise)
    assert (picture["width"], picture["height"]) == (1200, 900)
    assert len(base64.b64decode(picture["src"].split(",")[1])) <= LIMIT
    small = decode(picture["src"])
    assert small.width / small.height == pytest.approx(4 / 3, rel=0.02)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (torch.zeros(40, 60, 3), r"iou: image must be a \(3, H, W\) tensor .* got \(40, 60, 3\)"),
        (np.zeros((3, 40, 60)), r"got \(3, 40, 60\)"),
        (torch.zeros(2, 3, 40, 60), r"got \(2, 3, 40, 60\)"),
        (np.zeros((0, 0, 3)), r"got \(0, 0, 3\)"),
        (torch.full((3, 8, 8), 255.0), r"float image must be in \[0, 1\], got 255"),
        (torch.zeros(3, 8, 8, dtype=torch.int64), r"iou: image must be float in \[0, 1\] or uint8, got int64"),
        (np.full((8, 8), "x"), r"iou: image must be float in \[0, 1\] or uint8, got <U1"),
        (torch.full((3, 8, 8), torch.nan), r"float image must be in \[0, 1\], got nan"),
    ],
)
def test_images_of_the_wrong_layout_are_refused(image, message):
    with pytest.raises(ValueError, match=message):
        interactive.iou(image)


# --- data ---


@pytest.mark.parametrize("make", [list, np.array, torch.tensor, lambda b: torch.tensor(b, requires_grad=True)])
def test_boxes_may_be_lists_arrays_or_tensors(make):
    figure = interactive.nms(make(BOXES), make([0.9, 0.8]))
    assert state_of(figure)["boxes"] == BOXES


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: interactive.nms([[1, 2, 3]], [0.5]), r"nms: boxes must have shape \(N, 4\), got \(1, 3\)"),
        (lambda: interactive.nms([[1, 2, 3, 4], [1, 2]], [0.5]), "nms: boxes must be numbers in a rectangular array"),
        (lambda: interactive.nms("boxes", [0.5]), "nms: boxes must be numbers"),
        (lambda: interactive.nms([[0, 0, 5, float("nan")]], [0.5]), r"nms: boxes\[0, 3\] is not finite"),
        (lambda: interactive.nms([*BOXES, [9, 0, 5, 5]], [0.5] * 3), r"nms: boxes\[2\] has x2 < x1: \[9, 0, 5, 5\]"),
        (lambda: interactive.nms(BOXES, [0.5]), r"nms: scores must have shape \(2,\), one for each box, got \(1,\)"),
        (lambda: interactive.nms(BOXES, [0.5, 1.5]), r"nms: scores\[1\] must lie in \[0, 1\], got 1.5"),
        (lambda: interactive.nms(BOXES, [0.5, float("inf")]), r"nms: scores\[1\] is not finite"),
        (lambda: interactive.nms(BOXES, [0.5, 0.6], [0]), r"nms: labels must have shape \(2,\)"),
        (lambda: interactive.nms(BOXES, [0.5, 0.6], [0, -1]), r"nms: labels\[1\] must be a whole number from 0 to 999"),
        (
            lambda: interactive.nms(BOXES, [0.5, 0.6], [0, 10**9]),
            r"nms: labels\[1\] must be a whole number from 0 to 999",
        ),
        (lambda: interactive.nms(None, [0.5]), "nms: boxes must be numbers in a rectangular array, got None"),
        (lambda: interactive.nms(BOXES, None), "nms: scores must be numbers in a rectangular array, got None"),
        (lambda: interactive.nms(BOXES, [0.5, 0.6], [0, 1], names=3), "nms: names must be 2 strings or more, got 3"),
        (lambda: interactive.matching(BOXES, None), "matching: truths must be numbers .*, got None"),
        (lambda: interactive.anchors(truths=None), "anchors: truths must be numbers .*, got None"),
        (
            lambda: interactive.anchors(map_size=(4, 6), cell=(4, 0)),
            r"cell must be on the map of 4 x 6 cells, got \(4, 0\)",
        ),
        (
            lambda: interactive.anchors(map_size=(4, 6), cell=(0, 6)),
            r"cell must be on the map of 4 x 6 cells, got \(0, 6\)",
        ),
        (lambda: interactive.quiz(None), "quiz: questions must be the name of a quiz or a list of questions, got None"),
        (
            lambda: interactive.quiz([{"question": "?", "options": [OPTIONS[0], OPTIONS[1] | {"correct": "False"}]}]),
            "quiz: question 0 must have correct True or False, got 'False'",
        ),
        (lambda: interactive.nms(BOXES, [0.5, 0.6], [0, 0.5]), r"nms: labels\[1\] must be a whole number"),
        (lambda: interactive.nms(BOXES, [0.5, 0.6], [0, 2], names=["a"]), "nms: names must be 3 strings"),
        (lambda: interactive.nms(BOXES, [0.5, 0.6], iou_threshold=1.1), r"nms: iou_threshold must lie in \[0, 1\]"),
        (lambda: interactive.nms(BOXES, [0.5, 0.6], score_threshold=-1), "nms: score_threshold must lie"),
        (lambda: interactive.matching([[1, 2, 3]], BOXES), "matching: anchors must have shape"),
        (lambda: interactive.matching(BOXES, [1, 2, 3, 4]), r"matching: truths must have shape \(N, 4\), got \(4,\)"),
        (lambda: interactive.matching(BOXES, BOXES, names=["one"]), r"matching: names must be 2 strings.* \['one'\]"),
        (lambda: interactive.matching(BOXES, BOXES, names="ab"), "matching: names must be 2 strings"),
        (lambda: interactive.matching(BOXES, BOXES, threshold=float("nan")), "matching: threshold must lie"),
        (lambda: interactive.anchors(truths=[[5, 5, 1, 9]]), r"anchors: truths\[0\] has x2 < x1"),
        (lambda: interactive.anchors(map_size=(0, 4)), "anchors: map_size must be two whole numbers from 1 to 24"),
        (lambda: interactive.anchors(map_size=(2.5, 4)), "anchors: map_size must be two whole numbers"),
        (lambda: interactive.anchors(map_size=5), "anchors: map_size must be two whole numbers"),
        (lambda: interactive.anchors(scales=[]), "anchors: scales must not be empty"),
        (lambda: interactive.anchors(scales=[0.5, 1.5]), "anchors: scales must be at most 1, got 1.5"),
        (lambda: interactive.anchors(ratios=[0]), r"anchors: ratios\[0\] must be finite and above 0"),
        (lambda: interactive.anchors(pairing="some"), "anchors: pairing must be one of first, all, got 'some'"),
        (lambda: interactive.anchors(cell=(-1, 0)), "anchors: cell must be two whole numbers"),
        (lambda: interactive.iou(a=[1, 2, 3]), r"iou: a must have shape \(4,\), got \(3,\)"),
        (lambda: interactive.iou(b=[30, 2, 3, 9]), "iou: b has x2 < x1"),
        (lambda: interactive.iou(a=[0, 0, 999, 9]), "iou: a must lie in the image of width 480 and height 320"),
        (lambda: interactive.quiz("nonsense"), r"quiz: name must be one of \[.*'boxes'.*\], got 'nonsense'"),
        (lambda: interactive.quiz([]), "quiz: there must be one question or more"),
        (lambda: interactive.quiz([{"question": "?"}]), "quiz: question 0 must have question and options"),
        (
            lambda: interactive.quiz([{"question": "?", "options": OPTIONS[1:]}]),
            "exactly one correct; got 1 options, 0",
        ),
        (lambda: interactive.quiz([{"question": "?", "options": OPTIONS * 2}]), "got 4 options, 2 correct"),
    ],
)
def test_bad_input_is_refused_with_a_clear_message(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_the_last_cell_of_the_map_can_be_chosen():
    assert state_of(interactive.anchors(map_size=(4, 6), cell=(3, 5)))["cell"] == [3, 5]
    assert state_of(interactive.anchors(map_size=(1, 1)))["cell"] == [0, 0]


def test_no_boxes_are_fine():
    assert state_of(interactive.nms([], []))["boxes"] == []
    assert state_of(interactive.nms(torch.zeros(0, 4), torch.zeros(0)))["boxes"] == []
    assert state_of(interactive.matching(BOXES, []))["truths"] == []
    assert state_of(interactive.matching([], BOXES))["anchors"] == []
    assert state_of(interactive.anchors())["truths"] == []


@pytest.mark.parametrize("path", sorted((FOLDER / "quizzes").glob("*.json")), ids=lambda path: path.stem)
def test_quizzes_of_the_package(path):
    """Each is valid, and no option gives itself away by standing always in the same place."""
    questions = state_of(interactive.quiz(path.stem))["questions"]
    places = [[option["correct"] for option in entry["options"]].index(True) for entry in questions]
    assert len(questions) >= 5
    assert len(set(places)) > 2
    for entry in questions:
        assert len({option["text"] for option in entry["options"]}) == len(entry["options"])
        assert all(len(option["why"]) > 20 for option in entry["options"])
        for text in [entry["question"], *(value for option in entry["options"] for value in map(str, option.values()))]:
            assert text.count("`") % 2 == 0
