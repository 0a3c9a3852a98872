"""The figures on devices: networks in the page as WebAssembly, and a table of devices; what Python makes of them."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from test_figure import FIGURES, state_of

from cvlab import interactive
from cvlab._check import InputError
from cvlab.data import digits
from cvlab.interactive import figure as module
from cvlab.interactive import page_networks
from cvlab.models import DigitNet
from cvlab.quant import IntegerLayer, quantize_model, to_integer
from cvlab.quant.targets.toolchain import has_compiler

FOLDER = Path(module.__file__).parent
IMAGES = digits(8, "val")[0]
needs_compiler = pytest.mark.skipif(not has_compiler(), reason="the package ziglang is not installed")


@pytest.fixture(scope="module")
def model():
    """A classifier of digits in whole numbers, with random weights."""
    torch.manual_seed(0)
    return to_integer(quantize_model(DigitNet().eval(), [IMAGES.float() / 255], input_range=(0, 1)))


# --- wasm.js, which two figures share ---


@pytest.mark.parametrize("name", ["drawing_pad", "detect_and_paint"])
def test_the_shared_script_is_put_inside(name):
    script = module._script(name)
    for function in ("async function network(", "function bytes(", "function load("):
        assert script.count(function) == 1
    assert not re.search(r"^\s*(import|export) ", script, flags=re.MULTILINE)
    assert script.index("function start(") < script.index("async function network(") < script.index("function mount(")


@pytest.mark.parametrize("name", sorted(set(FIGURES) - {"drawing_pad", "detect_and_paint"}))
def test_other_figures_hold_nothing_of_it(name):
    script = module._script(name)
    assert "WebAssembly" not in script
    assert "cvlabWasm" not in script


def test_what_a_figure_does_not_share_stays_as_it_was():
    """A figure that imports from common.js alone is that file and its own, one behind the other."""
    own, common = ((FOLDER / f"{name}.js").read_text(encoding="utf-8") for name in ("iou", "common"))
    rest = re.sub(r"^import [^;]*;\n", "", own, flags=re.MULTILINE)
    assert module._script("iou").endswith(f"{common}\n{rest}".replace("\nexport ", "\n"))


# --- drawing_pad ---


@needs_compiler
def test_drawing_pad_keeps_what_it_is_given(model):
    figure = interactive.drawing_pad(model, IMAGES, list("abcdefghij"), question="Which letter?")
    state = state_of(figure)
    assert (state["width"], state["height"], state["count"], state["names"]) == (32, 32, 8, list("abcdefghij"))
    assert state["question"] == "Which letter?"
    assert state["net"]["dtype"] == "int8"
    assert state["net"]["outputs"] == 10
    result = model.params[model.outputs[0]]
    assert (state["scale"], state["zero"]) == (pytest.approx(float(result.scale)), int(result.zero_point))
    maps = [layer for layer in model.layers if len(layer.shape) == 3]
    assert [layer["shape"] for layer in state["layers"]] == [list(layer.shape) for layer in maps]
    places = [(layer["place"], layer["place"] + math.prod(layer["shape"])) for layer in state["layers"]]
    places.sort()
    assert all(end <= start for (_, end), (start, _) in zip(places[:-1], places[1:], strict=True)), "no two overlap"
    assert "32 by 32 pixels" in figure.alt
    again = interactive.drawing_pad(model, IMAGES, tuple("abcdefghij"), question="Which letter?")
    assert figure._repr_html_() == again._repr_html_()
    assert len(figure._repr_html_()) < 500_000


@needs_compiler
def test_drawing_pad_shows_the_layers_that_are_named(model):
    names = [layer.name for layer in model.layers if len(layer.shape) == 3]
    state = state_of(interactive.drawing_pad(model, IMAGES, layers=[names[3], names[0]]))
    assert [layer["name"].split(":")[1] for layer in state["layers"]] == [
        name["name"].split(":")[1]
        for i, name in enumerate(state_of(interactive.drawing_pad(model, IMAGES))["layers"])
        if i in (0, 3)
    ]
    assert state["names"] == [f"class {i}" for i in range(10)]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"examples": IMAGES[:, :, :16]}, r"examples must have shape \(N, 3, 32, 32\), got \(8, 3, 16, 32\)"),
        ({"examples": IMAGES.float()}, "examples must be torch.uint8, got torch.float32"),
        ({"examples": IMAGES[:0]}, "there must be 1 to 20 examples, got 0"),
        ({"examples": IMAGES.repeat(3, 1, 1, 1)}, "there must be 1 to 20 examples, got 24"),
        ({"names": ["zero"]}, "names must be 10 strings or more"),
        ({"layers": ["nonsense"]}, "each of layers must be one of .*, got 'nonsense'"),
        ({"layers": []}, "there must be a layer to look at, got none"),
    ],
)
def test_drawing_pad_refuses(model, change, words):
    with pytest.raises(InputError, match=f"drawing_pad: {words}"):
        interactive.drawing_pad(**{"model": model, "examples": IMAGES, **change})


def test_drawing_pad_refuses_other_networks(model):
    grey = dataclasses.replace(model, shape=(32, 32, 1))
    with pytest.raises(InputError, match=r"the model must take pictures \(H, W, 3\), got \(32, 32, 1\)"):
        interactive.drawing_pad(grey, IMAGES)
    source = model.params[model.input]
    for change in ({"zero_point": source.zero_point * 0}, {"scale": source.scale * 2}):
        other = dataclasses.replace(source, **change)
        with pytest.raises(InputError, match="the model must take bytes less 128, with scale 1/255"):
            interactive.drawing_pad(dataclasses.replace(model, params={**model.params, model.input: other}), IMAGES)
    first: IntegerLayer = model.layers[0]
    params = {**model.params, first.name: model.params[model.outputs[0]]}
    for outputs in ((first.name,), (*model.outputs, first.name)):
        with pytest.raises(InputError, match=f"must give one row of classes, got {len(outputs)} outputs"):
            interactive.drawing_pad(dataclasses.replace(model, outputs=outputs, params=params), IMAGES)


# --- detect_and_paint, and the files that it loads ---


def test_detect_and_paint_keeps_what_it_is_given():
    picture = np.full((40, 60, 3), 90, np.uint8)
    figure = interactive.detect_and_paint(picture, question="How fast?")
    state = state_of(figure)
    assert (state["picture"]["width"], state["picture"]["height"]) == (60, 40)
    assert (state["side"], state["styles"]) == (page_networks.PAINT_SIDE, list(page_networks.STYLES))
    assert state["question"] == "How fast?"
    html = figure._repr_html_()
    again = interactive.detect_and_paint(torch.from_numpy(picture).permute(2, 0, 1), question="How fast?")
    assert html == again._repr_html_()
    assert len(html) < 60_000, "the networks are not inside"
    with pytest.raises(InputError, match="detect_and_paint: image must be"):
        interactive.detect_and_paint(np.zeros((4, 5)).astype(int))


@pytest.fixture
def makers(monkeypatch):
    """Count what is made, and make little of it."""
    made = []
    monkeypatch.setattr(page_networks, "_detector", lambda: made.append("detector") or {"parts": [1]})
    monkeypatch.setattr(page_networks, "_scenes", lambda: made.append("scenes") or ["</script>"])
    monkeypatch.setattr(page_networks, "_painter", lambda style: made.append(style) or {"side": style})
    return made


def read(path: Path) -> tuple[str, str, object]:
    """The stamp, the name and what is said under it."""
    found = re.fullmatch(r'// (\w{24})\n\(globalThis\.cvlabWasm \?\?= \{\}\)\["(\w+)"\] = (.*);\n', path.read_text())
    return found[1], found[2], json.loads(found[3])


def test_page_networks_are_scripts_that_say_what_they_hold(makers, tmp_path):
    paths = page_networks.write_page_networks(tmp_path / "deep" / "wasm")
    names = ["detector", "scenes", *(f"painter_{style}" for style in page_networks.STYLES)]
    assert [path.name for path in paths] == [f"{name}.js" for name in names]
    assert makers == ["detector", "scenes", *page_networks.STYLES]
    stamps, said, held = zip(*map(read, paths), strict=True)
    assert len(set(stamps)) == 1
    assert list(said) == names
    assert held[0] == {"parts": [1]}
    assert [one["side"] for one in held[2:]] == list(page_networks.STYLES)


def test_page_networks_up_to_date_stay_and_stale_ones_are_written_again(makers, monkeypatch, tmp_path):
    paths = page_networks.write_page_networks(tmp_path)
    times = [path.stat().st_mtime_ns for path in paths]
    makers.clear()
    assert page_networks.write_page_networks(str(tmp_path)) == paths
    assert makers == []
    assert [path.stat().st_mtime_ns for path in paths] == times
    stale = paths[0].read_text().replace(read(paths[0])[0], "0" * 24)
    paths[0].write_text(stale)
    paths[1].unlink()
    page_networks.write_page_networks(tmp_path)
    assert makers == ["detector", "scenes"]
    assert read(paths[0])[0] == read(paths[2])[0]
    makers.clear()
    monkeypatch.setattr(page_networks, "CALIBRATED", 7)  # another number of pictures gives other networks
    page_networks.write_page_networks(tmp_path)
    assert len(makers) == len(paths)


def test_the_stamp_knows_weights_and_code(monkeypatch):
    before = page_networks._stamp()
    assert before == page_networks._stamp()
    card = page_networks.weights.card
    with monkeypatch.context() as patch:
        patch.setattr(page_networks.weights, "card", lambda name: {**card(name), "sha256": "0"})
        assert page_networks._stamp() != before
    with monkeypatch.context() as patch:
        patch.setattr(page_networks, "OPTIONS", ("-O0",))
        assert page_networks._stamp() != before
    whole = Path.read_bytes
    for name in (
        "page_networks.py",
        "int8.c",
        "wasm.c",
        "integer_model.py",
        "memory.py",
        "wasm.py",
        "raw.py",
        "ssd.py",
    ):
        with monkeypatch.context() as patch:
            patch.setattr(Path, "read_bytes", lambda path, name=name: whole(path) + b" " * (path.name == name))
            assert page_networks._stamp() != before, name


# --- device_table ---

PHONE = {"device": "phone", "format": "int8", "size": 186_000, "accuracy": 0.985, "checked": "run"}
CHIP = {
    **PHONE,
    "device": "Cortex-M3",
    "checked": "emulated",
    "agreement": 0.99,
    "cost": 14_000_000,
    "unit": "instructions",
    "ram": 50_000,
    "size_limit": 262_144,
    "ram_limit": 65_536,
    "note": "Unicorn ran it.",
}


def test_device_table_keeps_what_it_is_given():
    figure = interactive.device_table([PHONE, CHIP], question="Which?")
    state = state_of(figure)
    phone, chip = state["rows"]
    assert chip == CHIP
    assert phone == {**dict.fromkeys(CHIP), **PHONE, "note": ""}
    assert state["question"] == "Which?"
    assert "2 forms on devices (phone; Cortex-M3)" in figure.alt
    assert figure._repr_html_() == interactive.device_table((PHONE, CHIP), question="Which?")._repr_html_()
    same = {**PHONE, "size": np.int64(186_000), "accuracy": torch.tensor(0.985, dtype=torch.float64), "ram": None}
    assert state_of(interactive.device_table([same, CHIP]))["rows"] == [phone, chip]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([], "rows must be a sequence of 1 to 24 devices, got 0"),
        ([PHONE] * 25, "rows must be .* got 25"),
        (PHONE, "rows must be a sequence"),
        (None, "rows must be .* got NoneType"),
        ("phone", "rows must be a sequence"),
        ([PHONE, PHONE], "rows must be different devices or formats, got 'phone int8' twice"),
        ([PHONE, "chip"], r"rows\[1\] must be a mapping, got str"),
        ([{"device": "phone", "size": 3}], r"rows\[0\] must have device, format, .*, got no format, accuracy, checked"),
        ([{**PHONE, "speed": 3}], r"rows\[0\] may have agreement, .*, got speed"),
        ([{**PHONE, "device": " "}], r"rows\[0\] must have a device and a format, got an empty one"),
        ([{**PHONE, "checked": "guessed"}], r"rows\[0\]\['checked'\] must be one of run, emulated, read back, got"),
        ([{**PHONE, "accuracy": 98.5}], r"rows\[0\]\['accuracy'\] must lie in \[0, 1\], got 98.5"),
        ([{**PHONE, "agreement": math.nan}], r"rows\[0\]\['agreement'\] must lie in"),
        ([{**PHONE, "size": 0}], r"rows\[0\]\['size'\] must be above 0, got 0"),
        ([{**PHONE, "ram": math.inf}], r"rows\[0\]\['ram'\] must be a finite number"),
        ([{**PHONE, "ram_limit": -1}], r"rows\[0\]\['ram_limit'\] must be above 0, got -1"),
        ([{**PHONE, "cost": 3, "unit": "hours"}], r"rows\[0\]\['unit'\] must be one of ratio, ms, instructions"),
        ([{**PHONE, "cost": 3}], r"rows\[0\]\['unit'\] must be one of ratio, ms, instructions, got None"),
    ],
)
def test_device_table_refuses(rows, words):
    with pytest.raises(InputError, match=f"device_table: {words}"):
        interactive.device_table(rows)
