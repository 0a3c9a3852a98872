"""Read a .tflite file as a plain list of operations, without the runtime: the format's description is enough."""

from __future__ import annotations

import importlib.util
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cvlab import _check

Array = np.ndarray[Any, np.dtype[Any]]

_OP = "read_tflite"
_MARK = b"TFL3"  # bytes 4 to 7 of every file of this format
_BROKEN = (struct.error, IndexError, KeyError, TypeError, ValueError, AttributeError, OverflowError)
_DTYPES = (
    *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float16", "float32", "float64"),
)
_PAIRS = {
    "stride": ("strideH", "strideW"),
    "dilation": ("dilationHFactor", "dilationWFactor"),
    "filter": ("filterHeight", "filterWidth"),
}
_CONSTANTS = {
    "MEAN": "axis",
    "SUM": "axis",
    "REDUCE_MAX": "axis",
    "RESHAPE": "shape",
    "PAD": "paddings",
    "PADV2": "paddings",
    "TRANSPOSE": "permutation",
}
"""Operations whose second input, where it is constant, is one of their options."""


@dataclass(frozen=True, eq=False)
class TfliteTensor:
    """Numbers that go in or out of an operation, or that the file holds.

    Attributes:
        name: as the converter gave it.
        shape: channels last; 1 for the number of images, also where any will do.
        dtype: of the numbers.
        scales: (N,) float32: one for all, or one for each place along `quantized_dimension`; (0,) if not quantized.
        zero_points: (N,) int64, as many as there are scales.
        quantized_dimension: the dimension of the channels, if there is more than one scale.
        data: of `shape`, read-only; None for what is computed.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    scales: Array
    zero_points: Array
    quantized_dimension: int
    data: Array | None


@dataclass(frozen=True, eq=False)
class TfliteOp:
    """One operation.

    Attributes:
        kind: its name in the format, such as "CONV_2D"; the name that a custom operation gave itself.
        inputs: numbers of tensors; -1 for an optional one that is missing.
        outputs: numbers of tensors.
        options: all fields that the format has for this kind, and what constant inputs say: `stride`, `dilation` and
            `filter` (height, width), `padding` "SAME" or "VALID", `activation` "NONE", "RELU", "RELU6" and so on,
            `depth_multiplier`, `beta`, `keep_dims`; `axis`, `shape`, `paddings` and `permutation` as nested lists.
    """

    kind: str
    inputs: list[int]
    outputs: list[int]
    options: dict[str, Any]


@dataclass(frozen=True, eq=False)
class TfliteGraph:
    """What a file computes.

    Attributes:
        tensors: all of them; operations name them by their place here.
        ops: in the order in which they run.
        inputs: numbers of tensors.
        outputs: numbers of tensors.
    """

    tensors: list[TfliteTensor]
    ops: list[TfliteOp]
    inputs: list[int]
    outputs: list[int]

    def kinds(self) -> list[str]:
        """List the kinds of the operations, in the order in which they run."""
        return [op.kind for op in self.ops]


def read_tflite(path: str | Path) -> TfliteGraph:
    """Read a file with one graph, as converters write it for phones and microcontrollers.

    Args:
        path: of the file.

    Returns:
        Its tensors and operations.

    Raises:
        InputError: if this is no such file, it is cut off or damaged, it holds more than one graph, or a type of
            numbers that NumPy does not have.
        ImportError: if ai-edge-litert is missing.

    Notes:
        Numbers of a tensor are a view of the file's bytes, so that a file of any size is read at once.

    Example:
        >>> from cvlab.quant.targets.litert import litert_file
        >>> graph = read_tflite(litert_file())
        >>> graph.kinds()[:3], graph.tensors[graph.inputs[0]].shape
        (['PAD', 'CONV_2D', 'DEPTHWISE_CONV_2D'], (1, 32, 32, 3))

    References:
        The format is described by `tflite_schema.fbs` of LiteRT, whose Python form comes with its package.
    """
    schema = _schema()
    path = Path(path)
    content = path.read_bytes()
    if content[4:8] != _MARK:
        raise _check.InputError(f"{_OP}: {path.name} must be a .tflite file with the mark TFL3, got {content[4:8]!r}")
    try:
        model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
        return _graph(schema, model, content)
    except _check.InputError:
        raise
    except _BROKEN as error:
        raise _check.InputError(f"{_OP}: {path.name} is damaged or cut off after {len(content)} bytes") from error


def _schema() -> Any:
    """Import the description of the format."""
    if importlib.util.find_spec("ai_edge_litert") is None:
        raise ImportError(f'{_OP}: needs the package ai-edge-litert: install this one with its extra "litert"')
    from ai_edge_litert import schema_py_generated

    return schema_py_generated


def _graph(schema: Any, model: Any, content: bytes) -> TfliteGraph:
    if len(model.subgraphs) != 1:
        raise _check.InputError(f"{_OP}: the file must hold one graph, got {len(model.subgraphs)}")
    graph = model.subgraphs[0]
    tensors = [_tensor(schema, tensor, model.buffers, content) for tensor in graph.tensors]
    ops = [_operation(schema, op, model.operatorCodes[op.opcodeIndex], tensors) for op in _whole(graph.operators)]
    result = TfliteGraph(tensors, ops, _numbers(graph.inputs), _numbers(graph.outputs))
    _check_numbers(result)
    return result


def _check_numbers(graph: TfliteGraph) -> None:
    """Refuse numbers of tensors that do not exist."""
    lists = [graph.inputs, graph.outputs, *(op.inputs for op in graph.ops), *(op.outputs for op in graph.ops)]
    for number in (n for numbers in lists for n in numbers):
        if not -1 <= number < len(graph.tensors):
            raise _check.InputError(f"{_OP}: a tensor's number must be below {len(graph.tensors)}, got {number}")


def _tensor(schema: Any, tensor: Any, buffers: Sequence[Any], content: bytes) -> TfliteTensor:
    name = (tensor.name or b"").decode()
    kind = _names(schema.TensorType)[tensor.type].lower()
    if kind not in _DTYPES:
        raise _check.InputError(f"{_OP}: tensor {name!r} must be of a type that NumPy has, got {kind.upper()}")
    dtype = np.dtype(kind)
    shape = tuple(_numbers(tensor.shape))
    found = tensor.quantization
    scales = np.asarray([] if found is None else _whole(found.scale), dtype=np.float32)
    zeros = np.asarray([] if found is None else _whole(found.zeroPoint), dtype=np.int64)
    axis = 0 if found is None else int(found.quantizedDimension)
    data = _data(name, buffers[tensor.buffer], dtype, shape, content)
    if len(zeros) not in (0, len(scales)):
        raise _check.InputError(f"{_OP}: tensor {name!r} has {len(scales)} scales and {len(zeros)} zero points")
    zeros = zeros if len(zeros) else np.zeros(len(scales), np.int64)
    return TfliteTensor(name, shape, dtype, scales, zeros, axis, data)


def _data(name: str, buffer: Any, dtype: np.dtype[Any], shape: tuple[int, ...], content: bytes) -> Array | None:
    """View the bytes of a constant as numbers, wherever in the file they lie."""
    if buffer.data is not None and len(buffer.data):
        raw = np.asarray(buffer.data, dtype=np.uint8)
    elif buffer.size:  # behind the description, as converters of large networks write it
        raw = np.frombuffer(content, np.uint8)[buffer.offset : buffer.offset + buffer.size]
    else:
        return None
    wanted = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    if len(raw) != wanted:
        raise _check.InputError(f"{_OP}: tensor {name!r} of shape {shape} must have {wanted} bytes, got {len(raw)}")
    values = raw.view(dtype).reshape(shape)
    values.flags.writeable = False
    return values


def _operation(schema: Any, op: Any, code: Any, tensors: Sequence[TfliteTensor]) -> TfliteOp:
    number = max(code.builtinCode, code.deprecatedBuiltinCode)  # old files have only the second, of 8 bits
    kind = _names(schema.BuiltinOperator).get(number, f"OPERATION_{number}")  # of a newer format than is installed
    if kind == "CUSTOM":
        kind = (code.customCode or b"").decode()
    inputs = _numbers(op.inputs)
    options = {**_fields(schema, op.builtinOptions), **_from_inputs(kind, inputs, tensors)}
    return TfliteOp(kind, inputs, _numbers(op.outputs), options)


def _fields(schema: Any, found: Any) -> dict[str, Any]:
    """Give the format's fields in this package's names."""
    fields = {} if found is None else dict(vars(found))
    options: dict[str, Any] = {}
    for name, (down, across) in _PAIRS.items():
        if down in fields:
            options[name] = (fields.pop(down), fields.pop(across))
    if "fusedActivationFunction" in fields:
        options["activation"] = _names(schema.ActivationFunctionType)[fields.pop("fusedActivationFunction")]
    if "padding" in fields:
        options["padding"] = _names(schema.Padding)[fields.pop("padding")]
    for name, value in fields.items():
        plain = value.tolist() if isinstance(value, np.ndarray | np.generic) else value
        options[re.sub("(?=[A-Z])", "_", name).lower()] = plain
    return options


def _from_inputs(kind: str, inputs: Sequence[int], tensors: Sequence[TfliteTensor]) -> dict[str, Any]:
    """Give what the second input says: the size of a filter, axes, a shape."""
    second = tensors[inputs[1]] if len(inputs) > 1 and inputs[1] >= 0 else None
    if second is None:
        return {}
    if kind in ("CONV_2D", "DEPTHWISE_CONV_2D"):
        return {"filter": second.shape[1:3]}
    if kind in _CONSTANTS and second.data is not None:
        return {_CONSTANTS[kind]: second.data.tolist()}
    return {}


def _names(enum: Any) -> dict[int, str]:
    """Give the names of an enumeration by their numbers."""
    return {number: name for name, number in vars(enum).items() if isinstance(number, int)}


def _whole(values: Any) -> Any:
    """Give a list, empty where the file has none."""
    return [] if values is None else values


def _numbers(values: Any) -> list[int]:
    return [int(n) for n in _whole(values)]
