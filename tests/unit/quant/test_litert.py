"""LiteRT's runtime on the shipped classifier: its arithmetic, its accuracy, and what it refuses."""

from __future__ import annotations

import importlib.util
import shutil

import numpy as np
import pytest
import torch

from cvlab import quant, weights
from cvlab._check import InputError
from cvlab.data import digits
from cvlab.models import digit_net
from cvlab.quant.targets import litert
from cvlab.quant.targets.litert import litert_card, litert_file, run_litert
from cvlab.quant.targets.tflite_reader import read_tflite

pytest.importorskip("ai_edge_litert", reason="ai-edge-litert is not installed")
COUNT = 1000


@pytest.fixture(scope="module")
def pictures():
    return digits(COUNT, "test")


@pytest.fixture(scope="module")
def bytes_less_128(pictures):
    return (pictures[0].permute(0, 2, 3, 1).int() - 128).to(torch.int8).numpy()


@pytest.fixture(scope="module")
def logits(pictures):
    with torch.inference_mode():
        return digit_net("digit_net")(pictures[0].float() / 255)


@pytest.fixture(scope="module")
def run(bytes_less_128):
    return run_litert(litert_file(), bytes_less_128)


def file_of(tmp_path, *, inputs=1, kind="FLOAT32", operation="RELU"):
    """Write a file that computes a ReLU of (1, 2, 2, 3), or adds as many inputs."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    graph = schema.SubGraphT()
    graph.tensors = [schema.TensorT() for _ in range(inputs + 1)]
    for i, tensor in enumerate(graph.tensors):
        tensor.name, tensor.shape, tensor.type = f"t{i}".encode(), [1, 2, 2, 3], getattr(schema.TensorType, kind)
    node = schema.OperatorT()
    node.inputs, node.outputs = list(range(inputs)), [inputs]
    graph.operators, graph.inputs, graph.outputs = [node], node.inputs, node.outputs
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = getattr(schema.BuiltinOperator, operation)
    model = schema.ModelT()
    model.version, model.operatorCodes, model.subgraphs, model.buffers = 3, [code], [graph], [schema.BufferT()]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    path = tmp_path / "small.tflite"
    path.write_bytes(builder.Output())
    return path


def test_the_card_tells_of_these_files():
    card = litert_card()
    assert litert_file().stat().st_size == card["bytes"] < 250_000
    assert card["bytes"] < card["float_bytes"] / 2.5
    assert card["source"]["sha256"] == weights.card(card["source"]["weights"])["sha256"]


def test_a_damaged_file_is_refused(tmp_path, monkeypatch):
    for suffix in (".tflite", ".json"):
        shutil.copy(litert_file().with_suffix(suffix), tmp_path)
    monkeypatch.setattr(litert, "_FILE", tmp_path / litert_file().name)
    assert litert_file().parent == tmp_path
    with litert_file().open("ab") as file:
        file.write(b"\0")
    with pytest.raises(ValueError, match="litert_file: digit_net_int8.tflite is damaged or was replaced"):
        litert_file()


def test_a_byte_of_a_picture_goes_in_less_128(run):
    assert run.input_params.scale.item() == np.float32(1 / 255)
    every = torch.arange(256, dtype=torch.uint8)
    assert quant.quantize(every.float() / 255, run.input_params).tolist() == [p - 128 for p in range(256)]


def test_floats_and_bytes_give_the_same(run, pictures, bytes_less_128):
    images = pictures[0][:20].float() / 255
    assert run_litert(litert_file(), images).outputs.tolist() == run.outputs[:20].tolist()
    channels_last = images.permute(0, 2, 3, 1).numpy()
    assert run_litert(litert_file(), channels_last).outputs.tolist() == run.outputs[:20].tolist()
    tensor = torch.from_numpy(bytes_less_128[:20]).permute(0, 3, 1, 2)
    assert run_litert(litert_file(), tensor).outputs.tolist() == run.outputs[:20].tolist()


def test_accuracy_is_that_of_the_network(run, pictures, logits):
    found, wanted = run.outputs.argmax(1), logits.argmax(1).numpy()
    labels = pictures[1].numpy()
    assert abs((found == labels).mean() - (wanted == labels).mean()) <= 0.015
    assert (found == wanted).mean() >= 0.97
    assert (found == labels).mean() == pytest.approx(litert_card()["test"]["accuracy"]["int8 reference"])


def test_outputs_stand_for_the_logits(run, logits):
    assert run.outputs.dtype == np.int8
    assert run.outputs.shape == (COUNT, 10)
    real = quant.dequantize(torch.from_numpy(run.outputs), run.output_params)
    assert (real - logits).abs().mean() < run.output_params.scale  # a step, of which there are 255
    assert run.outputs.min() == -128  # the range that calibration found is used
    assert run.outputs.max() > 100


@pytest.mark.parametrize("kernels", ["builtin", "xnnpack"])
def test_other_kernels_round_to_a_neighbour(kernels, run, bytes_less_128):
    other = run_litert(litert_file(), bytes_less_128, kernels=kernels)
    assert np.abs(other.outputs.astype(int) - run.outputs).max() <= 4
    assert (other.outputs.argmax(1) == run.outputs.argmax(1)).mean() >= 0.99
    assert other.output_params == run.output_params


def test_the_last_layer_by_hand(run, bytes_less_128):
    """The linear layer's reference kernel rounds once, halves away from zero; convolutions' round twice."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    graph = read_tflite(litert_file())
    reference = {"experimental_op_resolver_type": OpResolverType.BUILTIN_REF, "experimental_preserve_all_tensors": True}
    interpreter = Interpreter(str(litert_file()), num_threads=1, **reference)
    interpreter.allocate_tensors()
    x, w, bias = (graph.tensors[i] for i in graph.ops[-1].inputs)
    y = graph.tensors[graph.outputs[0]]
    scales = x.scales.astype(float) * w.scales.astype(float) / y.scales.astype(float)
    for i in range(50):
        interpreter.set_tensor(graph.inputs[0], bytes_less_128[i : i + 1])
        interpreter.invoke()
        features = interpreter.get_tensor(graph.ops[-1].inputs[0])[0]
        real = scales * (w.data.astype(int) @ (features.astype(int) - x.zero_points) + bias.data)
        whole = np.trunc(real + np.copysign(0.5, real)) + y.zero_points
        assert whole.clip(-128, 127).tolist() == run.outputs[i].tolist()


def test_a_file_of_floats(tmp_path):
    images = torch.linspace(-1, 1, 24).reshape(2, 3, 2, 2)
    for kernels in ("reference", "builtin", "xnnpack"):
        found = run_litert(file_of(tmp_path), images, kernels=kernels)
        assert found.outputs.dtype == np.float32
        assert np.array_equal(found.outputs, images.relu().permute(0, 2, 3, 1).numpy())
        assert found.input_params is found.output_params is None


def test_no_image_at_all():
    assert run_litert(litert_file(), torch.zeros(0, 3, 32, 32)).outputs.shape == (0, 10)


def test_what_is_refused(tmp_path):
    good = torch.zeros(1, 3, 32, 32)
    for images, message in (
        (
            good[0],
            r"images must have shape \(B, C, H, W\) that fits the file's input \(1, 32, 32, 3\), got \(3, 32, 32\)",
        ),
        (good.numpy(), r"images must have shape \(B, H, W, C\) that fits .*, got \(1, 3, 32, 32\)"),
        (good[..., :31], r"images must have shape .*, got \(1, 3, 32, 31\)"),
        (good.to(torch.uint8), r"images must be float or int8, got torch.uint8"),
        (good.long().permute(0, 2, 3, 1).numpy(), r"images must be float or int8, got torch.int64"),
    ):
        with pytest.raises(InputError, match=f"^run_litert: {message}"):
            run_litert(litert_file(), images)
    with pytest.raises(InputError, match="x must hold no NaN"):
        run_litert(litert_file(), good * torch.nan)
    with pytest.raises(InputError, match="kernels must be one of reference, builtin, xnnpack, got 'fast'"):
        run_litert(litert_file(), good, kernels="fast")


def test_which_files_are_refused(tmp_path):
    small = torch.zeros(1, 3, 2, 2)
    with pytest.raises(InputError, match=r"small.tflite must have one input, got 2"):
        run_litert(file_of(tmp_path, inputs=2, operation="MAXIMUM"), small)
    with pytest.raises(InputError, match=r"the input of small.tflite must be int8 or float32, got int32"):
        run_litert(file_of(tmp_path, kind="INT32"), small)
    with pytest.raises(InputError, match=r"run_litert: images must be float32, got torch.int8"):
        run_litert(file_of(tmp_path), small.to(torch.int8))
    (tmp_path / "text.tflite").write_text("hello, hello")
    with pytest.raises(InputError, match=r"text.tflite must be a .tflite file, got b'o, h' for its mark"):
        run_litert(tmp_path / "text.tflite", small)


def test_without_the_package(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "ai_edge_litert" else find(name))
    with pytest.raises(ImportError, match='run_litert: needs the package ai-edge-litert: .* its extra "litert"'):
        run_litert(litert_file(), torch.zeros(1, 3, 32, 32))
