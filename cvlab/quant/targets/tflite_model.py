"""A network in whole numbers from the very file that a phone runs, so that it can run where no LiteRT is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cvlab import _check
from cvlab.quant.affine import QuantParams
from cvlab.quant.convert import add_options, mean_options
from cvlab.quant.fixed_point import quantize_multiplier
from cvlab.quant.integer import INT8, Array, Pair, Rescale
from cvlab.quant.integer_model import IntegerLayer, IntegerModel
from cvlab.quant.tables import exp_table
from cvlab.quant.targets.tflite_reader import TfliteGraph, TfliteOp, TfliteTensor, read_tflite

OP = "integer_from_tflite"


def integer_from_tflite(path: str | Path) -> IntegerModel:
    """Read a .tflite file whose numbers are all int8 as a network in whole numbers.

    Args:
        path: of the file.

    Returns:
        The network. It gives, bit for bit, what LiteRT's reference kernels give; a softmax at its end, which is another
        table here, may differ by two steps of 1/256.

    Raises:
        InputError: if the file is none, is not quantized to int8, or holds an operation that is not supported.
        ImportError: if ai-edge-litert is missing, which knows the format.

    Example:
        >>> from cvlab.quant.targets.litert import litert_file
        >>> model = integer_from_tflite(litert_file())
        >>> model.shape, len(model.layers), model.layers[-1].shape
        ((32, 32, 3), 17, (10,))

    References:
        Jacob et al. (2018), section 2. The rules of rounding are those of the kernels in `tflite/kernels/internal`.
    """
    graph = read_tflite(path)
    (source,), layers, padded = graph.inputs, [], {}
    for op in graph.ops:
        if op.kind == "PAD":
            padded[op.outputs[0]] = op
            continue
        if op.kind not in _OPERATIONS:
            known = ", ".join(sorted(_OPERATIONS))
            raise _check.InputError(f"{OP}: {op.kind} is not supported; there are {known}")
        layers.append(_OPERATIONS[op.kind](_Place(graph, op, padded.get(op.inputs[0]))))
    if any(number in op.inputs[:1] and op.kind not in _CONVOLUTIONS for number in padded for op in graph.ops):
        raise _check.InputError(f"{OP}: PAD is supported before a convolution alone")
    params = {_name(i): _params(graph.tensors[i]) for i in (source, *graph.outputs)}
    shape = graph.tensors[source].shape[1:]
    return IntegerModel(_name(source), shape, tuple(layers), tuple(map(_name, graph.outputs)), params)


def _name(number: int) -> str:
    return f"t{number}"


def _scale(tensor: TfliteTensor) -> tuple[float, int]:
    """Give scale and zero point of a map."""
    if tensor.dtype != np.int8 or len(tensor.scales) != 1:
        raise _check.InputError(f"{OP}: {tensor.name!r} must be int8 with one scale, got {tensor.dtype}")
    return float(tensor.scales[0]), int(tensor.zero_points[0])


def _params(tensor: TfliteTensor) -> QuantParams:
    scale, zero = _scale(tensor)
    return QuantParams(torch.tensor(scale), torch.tensor(zero))


@dataclass(frozen=True)
class _Place:
    """An operation, with the maps around it."""

    graph: TfliteGraph
    op: TfliteOp
    pad: TfliteOp | None

    @property
    def before(self) -> int:
        """The number of the map that comes in, padding left out."""
        return self.op.inputs[0] if self.pad is None else self.pad.inputs[0]

    @property
    def source(self) -> TfliteTensor:
        return self.graph.tensors[self.before]

    @property
    def target(self) -> TfliteTensor:
        return self.graph.tensors[self.op.outputs[0]]

    def constant(self, place: int) -> TfliteTensor | None:
        """Give an input that the file holds."""
        number = self.op.inputs[place] if place < len(self.op.inputs) else -1
        return None if number < 0 else self.graph.tensors[number]

    @property
    def bounds(self) -> Pair:
        """The smallest and the largest number that the activation lets through."""
        scale, zero = _scale(self.target)
        activation = self.op.options.get("activation", "NONE")
        if activation not in ("NONE", "RELU", "RELU6"):
            raise _check.InputError(f"{OP}: the activation {activation} is not supported; there are RELU and RELU6")
        low = INT8[0] if activation == "NONE" else max(INT8[0], zero)
        high = min(INT8[1], zero + int(np.floor(6 / scale + 0.5))) if activation == "RELU6" else INT8[1]
        return low, high

    def layer(self, op: str, **rest: Any) -> IntegerLayer:
        inputs = rest.pop("inputs", (_name(self.before),))
        return IntegerLayer(_name(self.op.outputs[0]), op, inputs, self.target.shape[1:], **rest)

    def rescale(self, factors: Array, rounding: str) -> Rescale:
        pairs = [quantize_multiplier(float(factor)) for factor in factors]
        multipliers, shifts = (np.array(each) for each in zip(*pairs, strict=True))
        return Rescale(multipliers, shifts, _scale(self.target)[1], self.bounds, rounding)


def _same(size: int, kernel: int, stride: int) -> int:
    """Compute how much of SAME padding comes before: half of it, rounded down."""
    out = -(-size // stride)
    return max(0, (out - 1) * stride + kernel - size) // 2


def _window(place: _Place, kernel: Pair) -> dict[str, Any]:
    """Give stride, padding and size of the result."""
    o = place.op.options
    if tuple(o.get("dilation", (1, 1))) != (1, 1):
        raise _check.InputError(f"{OP}: dilated convolutions are not supported, got {o['dilation']}")
    if place.pad is not None:
        paddings = place.pad.options["paddings"]
        if o["padding"] != "VALID" or any(paddings[0]) or any(paddings[3]):
            raise _check.InputError(f"{OP}: PAD must be of rows and columns, before padding VALID, got {paddings}")
        padding = (paddings[1][0], paddings[2][0])
    elif o["padding"] == "SAME":
        padding = tuple(_same(n, k, s) for n, k, s in zip(place.source.shape[1:3], kernel, o["stride"], strict=True))
    else:
        padding = (0, 0)
    return {"stride": tuple(o["stride"]), "padding": padding, "output_size": place.target.shape[1:3]}


def _weighted(place: _Place) -> IntegerLayer:
    weights, bias = place.constant(1), place.constant(2)
    if weights is None or weights.data is None or weights.data.dtype != np.int8 or weights.zero_points.any():
        raise _check.InputError(f"{OP}: the weights of {place.op.kind} must be int8 in the file, with zero point 0")
    (scale, zero), target = _scale(place.source), _scale(place.target)[0]
    kind, arranged, options, rounding = _arranged(place, weights.data)
    channels = place.target.shape[-1]
    factors = np.broadcast_to(scale * weights.scales.astype(np.float64) / target, (channels,))
    sums = np.zeros(channels, np.int32) if bias is None or bias.data is None else bias.data.astype(np.int32)
    options = {"input_offset": -zero, **options}
    return place.layer(
        kind, options=options, weights=np.array(arranged), bias=sums, rescale=place.rescale(factors, rounding)
    )


def _arranged(place: _Place, weights: Array) -> tuple[str, Array, dict[str, Any], str]:
    """Give the layer's kind, its weights in our order, its window, and how LiteRT's kernel rounds."""
    if place.op.kind == "CONV_2D":
        return "conv", weights, _window(place, weights.shape[1:3]), "double"
    if place.op.kind == "DEPTHWISE_CONV_2D":
        return "depthwise", weights[0], _window(place, weights.shape[1:3]), "double"
    return "linear", weights, {}, "single"  # the kernel of linear layers alone rounds once


def _average_pool(place: _Place) -> IntegerLayer:
    size = tuple(place.op.options["filter"])
    options = {"size": size, "activation": place.bounds, **_window(place, size)}
    return place.layer("max_pool" if place.op.kind == "MAX_POOL_2D" else "avg_pool", options=options)


def _mean(place: _Place) -> IntegerLayer:
    axes = sorted(np.atleast_1d(place.op.options["axis"]).tolist())
    if axes != [1, 2]:
        raise _check.InputError(f"{OP}: MEAN must be over rows and columns, axes [1, 2], got {axes}")
    source, target = _scale(place.source), _scale(place.target)
    count = place.source.shape[1] * place.source.shape[2]
    options, multiplier, shift = mean_options(source, target, count)
    return place.layer("mean", options=options, rescale=Rescale(multiplier, shift, target[1], place.bounds))


def _add(place: _Place) -> IntegerLayer:
    pair = [_scale(place.graph.tensors[i]) for i in place.op.inputs]
    options, multiplier, shift = add_options(pair[0], pair[1], _scale(place.target))
    how = Rescale(multiplier, shift, _scale(place.target)[1], place.bounds)
    return place.layer("add", inputs=tuple(map(_name, place.op.inputs)), options=options, rescale=how)


def _softmax(place: _Place) -> IntegerLayer:
    return place.layer("softmax", table=exp_table(_scale(place.source)[0] * place.op.options.get("beta", 1.0)))


_CONVOLUTIONS = ("CONV_2D", "DEPTHWISE_CONV_2D")
_OPERATIONS: dict[str, Callable[[_Place], IntegerLayer]] = {
    "CONV_2D": _weighted,
    "DEPTHWISE_CONV_2D": _weighted,
    "FULLY_CONNECTED": _weighted,
    "AVERAGE_POOL_2D": _average_pool,
    "MAX_POOL_2D": _average_pool,
    "MEAN": _mean,
    "ADD": _add,
    "SOFTMAX": _softmax,
    "RESHAPE": lambda place: place.layer("flatten"),
}
"""By the name in the format, what each becomes here."""
