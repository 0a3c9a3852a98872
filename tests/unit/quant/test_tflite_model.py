"""Networks read from .tflite files: bit for bit what LiteRT's reference kernels give."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from cvlab import _check
from cvlab.data import digits, photos
from cvlab.preprocess import resize
from cvlab.quant.targets import tflite_model
from cvlab.quant.targets.c_source import integer_c
from cvlab.quant.targets.litert import litert_file, run_litert
from cvlab.quant.targets.tflite_model import integer_from_tflite
from cvlab.quant.targets.tflite_reader import read_tflite
from cvlab.quant.targets.toolchain import NativeProgram, has_compiler

pytest.importorskip("ai_edge_litert")
MLPERF = Path(__file__).resolve().parents[4] / "shared/data/tflite"


@pytest.fixture(scope="module")
def inputs() -> np.ndarray:
    return (digits(250, "test")[0].permute(0, 2, 3, 1).int() - 128).to(torch.int8).numpy()


@pytest.fixture(scope="module")
def model():
    return integer_from_tflite(litert_file())


def test_every_output_is_that_of_the_reference_kernels(model, inputs):
    assert np.array_equal(model.run(inputs)[0], run_litert(litert_file(), inputs).outputs)


def test_its_input_takes_bytes_less_128(model, inputs):
    images = digits(250, "test")[0].float() / 255
    assert np.array_equal(model.quantize_input(images), inputs)


def test_rounding_once_everywhere_is_seen(model, inputs):
    """The negative control: with the other rounding some outputs differ."""
    once = [
        replace(layer, rescale=replace(layer.rescale, rounding="single")) if layer.rescale is not None else layer
        for layer in model.layers
    ]
    other = replace(model, layers=tuple(once)).run(inputs)[0]
    apart = np.abs(other.astype(int) - model.run(inputs)[0])
    assert 0 < np.mean(apart > 0) < 0.6
    assert apart.max() <= 3


@pytest.mark.skipif(not has_compiler(), reason="the package ziglang is missing")
def test_its_c_gives_the_same_bits(model, inputs):
    assert np.array_equal(NativeProgram(integer_c(model))(inputs)[0], model.run(inputs)[0])


@pytest.mark.skipif(not MLPERF.is_dir(), reason="the files of MLPerf Tiny are not beside the checkout")
@pytest.mark.parametrize("name", ["vww_96_int8", "pretrainedResnet_quant"])
def test_networks_of_mlperf_tiny(name):
    path = MLPERF / f"{name}.tflite"
    model = integer_from_tflite(path)
    pictures = [resize(photos.load(each), model.shape[:2]).clamp(0, 1) for each in photos.names()]
    x = ((torch.stack(pictures) * 255).round().permute(0, 2, 3, 1) - 128).to(torch.int8).numpy()
    found, expected = model.run(x)[0].astype(int), run_litert(path, x).outputs.astype(int)
    assert np.abs(found - expected).max() <= 2  # the softmax is by another table
    assert np.array_equal(found.argmax(1), expected.argmax(1))


@pytest.mark.skipif(not MLPERF.is_dir(), reason="the files of MLPerf Tiny are not beside the checkout")
def test_a_file_in_floating_point_is_refused():
    with pytest.raises(_check.InputError, match="must be int8"):
        integer_from_tflite(MLPERF / "vww_96_float.tflite")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "LSTM"}, "LSTM is not supported; there are ADD"),
        ({"options": {"activation": "TANH"}}, "the activation TANH is not supported"),
        ({"options": {"dilation": (2, 2)}}, "dilated convolutions are not supported"),
    ],
)
def test_what_is_not_supported_is_named(monkeypatch, change, message):
    graph = read_tflite(litert_file())
    place = next(i for i, op in enumerate(graph.ops) if op.kind == "CONV_2D")
    op = graph.ops[place]
    options = {**op.options, **change.get("options", {})}
    graph.ops[place] = replace(op, kind=change.get("kind", op.kind), options=options)
    monkeypatch.setattr(tflite_model, "read_tflite", lambda path: graph)
    with pytest.raises(_check.InputError, match=message):
        integer_from_tflite(litert_file())
