"""The networks of MLPerf Tiny, each as a file of floats and one of int8: both must say the same of photographs."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from required import required

from cvlab.quant.targets.litert import run_litert
from cvlab.quant.targets.tflite_reader import read_tflite

required("ai_edge_litert")

FOLDER = Path(__file__).resolve().parents[2] / ".." / "shared" / "data"
PAIRS = {
    "visual wake words": ("vww_96_float", "vww_96_int8", 96, 255),
    "ResNet8": ("pretrainedResnet", "pretrainedResnet_quant", 32, 1),
}
"""Files of floats and of int8, side of the images, and by what their bytes are divided for the file of floats."""

pytestmark = pytest.mark.skipif(not (FOLDER / "tflite").exists(), reason="the files are not beside this repository")


def path(name):
    return FOLDER / "tflite" / f"{name}.tflite"


def photographs(side):
    """Give (N, side, side, 3) uint8."""
    files = [*sorted((FOLDER / "coco128" / "images").glob("*.jpg")), *sorted((FOLDER / "photos").glob("*.jpg"))]
    if len(files) < 100:
        pytest.skip("the photographs are not beside this repository")
    size = (side, side)
    return np.stack([np.asarray(Image.open(f).convert("RGB").resize(size, Image.Resampling.BILINEAR)) for f in files])


def both(pair):
    """Give what the file of floats says (N, K), and the run of the file of int8."""
    full, small, side, unit = PAIRS[pair]
    floats = photographs(side).astype(np.float32) / np.float32(unit)
    return run_litert(path(full), floats, kernels="builtin").outputs, run_litert(path(small), floats)


@pytest.fixture(scope="module")
def wake_words():
    return both("visual wake words")


def test_wake_words_agree_on_nearly_all_photographs(wake_words):
    full, small = wake_words
    assert len(full) >= 100
    share = full.argmax(1).mean()
    assert 0.2 < share < 0.8  # both classes are among them
    assert (full.argmax(1) == small.outputs.argmax(1)).mean() >= 0.97


def test_wake_words_that_differ_were_open(wake_words):
    full, small = wake_words
    likely = (small.outputs.astype(float) + 128) / 256
    assert np.abs(likely - full).max() < 0.08
    differ = full.argmax(1) != small.outputs.argmax(1)
    assert (np.abs(full[differ, 0] - 0.5) < 0.08).all()


def test_resnet_agrees_where_it_is_sure():
    """Its own pictures are those of CIFAR-10; shrunk photographs are strange to it, and many answers are open."""
    full, small = both("ResNet8")
    same = full.argmax(1) == small.outputs.argmax(1)
    sure = full.max(1) > 0.7
    assert sure.sum() >= 30
    assert same[sure].mean() >= 0.97
    assert same.mean() >= 0.8


@pytest.mark.parametrize("pair", PAIRS)
def test_bytes_go_in_less_128(pair):
    _, small, side, unit = PAIRS[pair]
    pixels = photographs(side)[:5]
    run = run_litert(path(small), pixels.astype(np.float32) / np.float32(unit))
    assert run.input_params.scale.item() == pytest.approx(1 / unit)
    assert run.input_params.zero_point == -128
    whole = (pixels.astype(int) - 128).astype(np.int8)
    assert np.array_equal(run_litert(path(small), whole).outputs, run.outputs)


@pytest.mark.parametrize("pair", PAIRS)
def test_both_files_hold_the_same_operations(pair):
    full, small = (read_tflite(path(name)) for name in PAIRS[pair][:2])
    assert full.kinds() == small.kinds()
    for one, other in zip(full.ops, small.ops, strict=True):
        assert (one.inputs, one.outputs, one.options) == (other.inputs, other.outputs, other.options)


def test_operations_of_mobilenet():
    kinds = read_tflite(path("vww_96_int8")).kinds()
    assert kinds == ["CONV_2D", *["DEPTHWISE_CONV_2D", "CONV_2D"] * 13, *END]


def test_operations_of_resnet8():
    graph = read_tflite(path("pretrainedResnet_quant"))
    plain, shrinking = ["CONV_2D"] * 2 + ["ADD"], ["CONV_2D"] * 3 + ["ADD"]
    assert graph.kinds() == ["CONV_2D", *plain, *shrinking, *shrinking, *END]
    assert [op.options["activation"] for op in graph.ops if op.kind == "ADD"] == ["RELU"] * 3
    pool = graph.ops[graph.kinds().index("AVERAGE_POOL_2D")]
    assert (pool.options["filter"], pool.options["padding"]) == ((8, 8), "VALID")


END = ["AVERAGE_POOL_2D", "RESHAPE", "FULLY_CONNECTED", "SOFTMAX"]


@pytest.mark.parametrize("pair", PAIRS)
def test_weights_of_int8_are_those_of_floats(pair):
    full, small = (read_tflite(path(name)) for name in PAIRS[pair][:2])
    checked = 0
    for op in (op for op in small.ops if len(op.inputs) == 3):
        weights = small.tensors[op.inputs[1]]
        shape = [1] * len(weights.shape)
        shape[weights.quantized_dimension] = -1
        scales = weights.scales.reshape(shape)
        assert not weights.zero_points.any()
        real = full.tensors[op.inputs[1]].data
        assert (np.abs(weights.data * scales - real) <= 0.5001 * scales).all()
        checked += 1
    assert checked == {"visual wake words": 28, "ResNet8": 10}[pair]
