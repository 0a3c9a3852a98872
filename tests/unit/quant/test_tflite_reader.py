"""Reading .tflite files: what the runtime says of the same file, the network it came from, and files built by hand."""

from __future__ import annotations

import importlib.util
import random

import numpy as np
import pytest
from torch import nn

from cvlab._check import InputError
from cvlab.models import DigitNet
from cvlab.quant.targets.litert import litert_file
from cvlab.quant.targets.tflite_reader import read_tflite

pytest.importorskip("ai_edge_litert", reason="ai-edge-litert is not installed")


@pytest.fixture(scope="module")
def graph():
    return read_tflite(litert_file())


@pytest.fixture(scope="module")
def interpreter():
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    kernels = OpResolverType.BUILTIN_REF
    runtime = Interpreter(str(litert_file()), experimental_op_resolver_type=kernels, num_threads=1)
    runtime.allocate_tensors()
    return runtime


@pytest.fixture
def changed(tmp_path):
    """Write the shipped file with something changed, and read it."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    def write(change):
        model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(litert_file().read_bytes(), 0))
        change(model)
        builder = flatbuffers.Builder(2**18)
        builder.Finish(model.Pack(builder), b"TFL3")
        path = tmp_path / "changed.tflite"
        path.write_bytes(builder.Output())
        return read_tflite(path)

    return write


def test_tensors_are_those_of_the_runtime(graph, interpreter):
    details = {d["index"]: d for d in interpreter.get_tensor_details()}
    assert len(graph.tensors) > 50
    for index, tensor in enumerate(graph.tensors):
        known = details[index]["quantization_parameters"]
        assert tensor.name == details[index]["name"]
        assert tensor.shape == tuple(details[index]["shape"])
        assert tensor.dtype == details[index]["dtype"]
        assert tensor.scales.tolist() == known["scales"].tolist()
        assert tensor.zero_points.tolist() == known["zero_points"].tolist()
        assert tensor.quantized_dimension == known["quantized_dimension"]


def test_constants_are_those_of_the_runtime(graph, interpreter):
    constants = [i for i, tensor in enumerate(graph.tensors) if tensor.data is not None]
    assert len(constants) == 2 * 16 + 2  # weights and biases, the axes of the mean, and the widths of the padding
    for index in constants:
        assert np.array_equal(graph.tensors[index].data, interpreter.get_tensor(index))
        assert graph.tensors[index].data.dtype == graph.tensors[index].dtype


def test_operations_are_those_of_the_runtime(graph, interpreter):
    known = interpreter._get_ops_details()
    assert [(op.kind, op.inputs, op.outputs) for op in graph.ops] == [
        (d["op_name"], d["inputs"].tolist(), d["outputs"].tolist()) for d in known
    ]
    assert graph.inputs == [d["index"] for d in interpreter.get_input_details()]
    assert graph.outputs == [d["index"] for d in interpreter.get_output_details()]


def test_options_are_those_of_the_network(graph):
    layers = [m for m in DigitNet().modules() if isinstance(m, nn.Conv2d)]
    convolutions = [op for op in graph.ops if op.kind in ("CONV_2D", "DEPTHWISE_CONV_2D")]
    assert [op.options["stride"] for op in convolutions] == [layer.stride for layer in layers]
    assert [op.options["filter"] for op in convolutions] == [layer.kernel_size for layer in layers]
    assert [op.kind == "DEPTHWISE_CONV_2D" for op in convolutions] == [layer.groups > 1 for layer in layers]
    assert {op.options["activation"] for op in convolutions} == {"RELU6"}
    assert {op.options["dilation"] for op in convolutions} == {(1, 1)}
    assert {op.options["depth_multiplier"] for op in convolutions if op.kind[0] == "D"} == {1}
    same = [op.options["padding"] == "SAME" for op in convolutions]
    assert same == [layer.kernel_size == (3, 3) and layer.stride == (1, 1) for layer in layers]


def test_options_from_constants(graph):
    kinds = graph.kinds()
    assert kinds.count("PAD") == 4  # before each stride of 2
    assert graph.ops[kinds.index("PAD")].options["paddings"] == [[0, 0], [1, 1], [1, 1], [0, 0]]
    mean = graph.ops[kinds.index("MEAN")].options
    assert sorted(mean["axis"]) == [1, 2]
    assert mean["keep_dims"] is False
    assert kinds[-2:] == ["MEAN", "FULLY_CONNECTED"]
    assert graph.ops[-1].options["activation"] == "NONE"


def test_weights_have_a_scale_for_each_channel_and_zero_point_0(graph):
    for op in (op for op in graph.ops if len(op.inputs) == 3):
        x, weights, bias = (graph.tensors[i] for i in op.inputs)
        axis = 3 if op.kind == "DEPTHWISE_CONV_2D" else 0
        assert weights.quantized_dimension == axis
        assert len(weights.scales) == weights.shape[axis] == len(bias.scales)
        assert not weights.zero_points.any()
        assert np.abs(weights.data.astype(int)).max() == 127
        assert np.allclose(bias.scales, x.scales[0] * weights.scales, rtol=1e-6)


def test_numbers_cannot_be_changed(graph):
    data = next(t.data for t in graph.tensors if t.data is not None)
    with pytest.raises(ValueError, match="read-only"):
        data[:] = 0


def test_written_again_it_reads_the_same(graph, changed):
    again = changed(lambda model: None)
    assert [vars(op) for op in again.ops] == [vars(op) for op in graph.ops]
    for one, other in zip(again.tensors, graph.tensors, strict=True):
        assert (one.name, one.shape, one.dtype) == (other.name, other.shape, other.dtype)
        assert (one.data is None) == (other.data is None)
        assert one.data is None or np.array_equal(one.data, other.data)


def test_an_old_file_names_operations_in_eight_bits(graph, changed):
    def change(model):
        for code in model.operatorCodes:
            code.builtinCode, code.deprecatedBuiltinCode = 0, code.builtinCode

    assert changed(change).kinds() == graph.kinds()


def test_a_custom_operation_and_one_of_a_newer_format(changed):
    def custom(model):
        model.operatorCodes[0].builtinCode = model.operatorCodes[0].deprecatedBuiltinCode = 32
        model.operatorCodes[0].customCode = b"Mine"

    def newer(model):
        model.operatorCodes[0].builtinCode = 9999

    first = changed(lambda model: None).kinds()[0]
    assert changed(custom).kinds().count("Mine") == changed(lambda model: None).kinds().count(first)
    assert "OPERATION_9999" in changed(newer).kinds()


def test_an_optional_input_may_be_missing(changed):
    def change(model):
        node = model.subgraphs[0].operators[-1]
        node.inputs = [*node.inputs[:2], -1]

    assert changed(change).ops[-1].inputs[2] == -1


def test_numbers_without_scales(changed):
    def change(model):
        for tensor in model.subgraphs[0].tensors:
            tensor.quantization = None

    graph = changed(change)
    assert {len(t.scales) for t in graph.tensors} == {len(t.zero_points) for t in graph.tensors} == {0}


def test_what_is_refused(changed):
    def two(model):
        model.subgraphs = model.subgraphs * 2

    def four_bits(model):
        model.subgraphs[0].tensors[2].type = 17

    def other_shape(model):
        model.subgraphs[0].tensors[1].shape = [11]

    def no_such_tensor(model):
        model.subgraphs[0].operators[0].inputs = [999]

    def zero_points(model):
        model.subgraphs[0].tensors[2].quantization.zeroPoint = [0, 0]

    for change, message in (
        (two, "the file must hold one graph, got 2"),
        (four_bits, r"tensor '.*Linear_head;1' must be of a type that NumPy has, got INT4"),
        (other_shape, r"tensor '.*Linear_head;' of shape \(11,\) must have 44 bytes, got 40"),
        (no_such_tensor, "a tensor's number must be below 56, got 999"),
        (zero_points, r"tensor '.*' has 10 scales and 2 zero points"),
    ):
        with pytest.raises(InputError, match=f"^read_tflite: {message}$"):
            changed(change)


def test_another_kind_of_file_is_refused(tmp_path):
    path = tmp_path / "picture.tflite"
    path.write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(InputError, match=r"picture.tflite must be a .tflite file with the mark TFL3, got b'"):
        read_tflite(path)
    path.write_bytes(b"")
    with pytest.raises(InputError, match="got b''"):
        read_tflite(path)
    with pytest.raises(FileNotFoundError):
        read_tflite(tmp_path / "none.tflite")


def test_a_file_that_is_cut_off_or_damaged_never_fails_otherwise(tmp_path):
    content = litert_file().read_bytes()
    path = tmp_path / "damaged.tflite"
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match=f"damaged.tflite is damaged or cut off after {len(content) // 2} bytes"):
        read_tflite(path)
    chance = random.Random(0)
    refused = 0
    for _ in range(30):
        broken = bytearray(content)
        for _ in range(200):  # the description is at both ends, weights in between
            place = chance.choice([chance.randrange(8, 4000), chance.randrange(len(content) - 20000, len(content))])
            broken[place] = chance.randrange(256)
        path.write_bytes(broken)
        try:
            read_tflite(path)
        except InputError:
            refused += 1
    assert refused > 15


def test_without_the_package(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "ai_edge_litert" else find(name))
    with pytest.raises(ImportError, match='read_tflite: needs the package ai-edge-litert: .* its extra "litert"'):
        read_tflite(litert_file())
