"""A network in whole numbers alone, layer by layer: what is turned into C, and what all devices are compared with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cvlab import _check
from cvlab.quant.affine import QuantParams, dequantize, quantize
from cvlab.quant.integer import (
    Array,
    Rescale,
    add_int8,
    avg_pool_int8,
    conv2d_int8,
    conv_transpose2d_int8,
    depthwise_conv2d_int8,
    fully_connected_int8,
    max_pool_int8,
    mean_int8,
)
from cvlab.quant.tables import lookup, softmax_int8

Shape = tuple[int, ...]


@dataclass(frozen=True)
class IntegerLayer:
    """One layer in whole numbers.

    Attributes:
        name: of the layer and of its map.
        op: a key of `INTEGER_LAYERS`.
        inputs: names of the maps that it takes.
        shape: (h, w, C) of its map, or (C,).
        options: the other arguments of the layer's function in `cvlab.quant.integer`.
        weights: int8, as that function takes them; None where there are none.
        bias: (K,) int32.
        table: 256 numbers, for functions by table.
        rescale: how sums become int8 again.
    """

    name: str
    op: str
    inputs: tuple[str, ...]
    shape: Shape
    options: dict[str, Any] = field(default_factory=dict)
    weights: Array | None = None
    bias: Array | None = None
    table: Array | None = None
    rescale: Rescale | None = None

    @property
    def multiplications(self) -> int:
        """Count the products that one image takes."""
        if self.weights is None:
            return 0
        per_output = {"depthwise": self.weights[..., 0].size, "conv_transpose": 0}.get(self.op, self.weights[0].size)
        if self.op == "conv_transpose":
            return int(np.prod(self.options["input_size"])) * self.weights.size
        return int(np.prod(self.shape)) * per_output


def _conv(layer: IntegerLayer, x: Array) -> Array:
    return conv2d_int8(x, layer.weights, layer.bias, layer.rescale, **layer.options)


def _depthwise(layer: IntegerLayer, x: Array) -> Array:
    return depthwise_conv2d_int8(x, layer.weights, layer.bias, layer.rescale, **layer.options)


def _conv_transpose(layer: IntegerLayer, x: Array) -> Array:
    options = {key: value for key, value in layer.options.items() if key != "input_size"}
    return conv_transpose2d_int8(x, layer.weights, layer.bias, layer.rescale, **options)


def _linear(layer: IntegerLayer, x: Array) -> Array:
    return fully_connected_int8(x, layer.weights, layer.bias, layer.rescale, **layer.options)


def _upsample(layer: IntegerLayer, x: Array) -> Array:
    down, across = layer.options["factor"]
    return x.repeat(down, 1).repeat(across, 2)


INTEGER_LAYERS: dict[str, Callable[..., Array]] = {
    "conv": _conv,
    "depthwise": _depthwise,
    "conv_transpose": _conv_transpose,
    "linear": _linear,
    "max_pool": lambda layer, x: max_pool_int8(x, **layer.options),
    "avg_pool": lambda layer, x: avg_pool_int8(x, **layer.options),
    "mean": lambda layer, x: mean_int8(x, layer.rescale, **layer.options).reshape(len(x), *layer.shape),
    "add": lambda layer, a, b: add_int8(a, b, layer.rescale, **layer.options),
    "table": lambda layer, x: lookup(x, layer.table),
    "softmax": lambda layer, x: softmax_int8(x, layer.table),
    "flatten": lambda layer, x: x.reshape(len(x), *layer.shape),
    "upsample": _upsample,
}
"""By name, what each layer computes."""


@dataclass(frozen=True)
class IntegerModel:
    """A network in whole numbers.

    Attributes:
        input: name of the input.
        shape: (H, W, C) of the input.
        layers: each after those that it needs.
        outputs: names of the maps that come out.
        params: scale and zero point of the input and of the outputs, by name: what the world outside needs.
    """

    input: str
    shape: Shape
    layers: tuple[IntegerLayer, ...]
    outputs: tuple[str, ...]
    params: dict[str, QuantParams]

    def run(self, x: Array, watch: Callable[[str, Array], None] | None = None) -> tuple[Array, ...]:
        """Compute in whole numbers alone.

        Args:
            x: (B, H, W, C) int8, quantized with the parameters of the input.
            watch: is given the name and the map of each layer.

        Returns:
            The outputs, int8, (B, h, w, C) or (B, C).

        Raises:
            InputError: if x is not int8 or has another shape.
        """
        if x.dtype != np.int8 or x.shape[1:] != self.shape:
            wanted = ", ".join(map(str, self.shape))
            raise _check.InputError(f"IntegerModel: x must be int8 (B, {wanted}), got {x.dtype} {x.shape}")
        values = {self.input: x}
        for layer in self.layers:
            values[layer.name] = INTEGER_LAYERS[layer.op](layer, *(values[name] for name in layer.inputs))
            if watch is not None:
                watch(layer.name, values[layer.name])
        return tuple(values[name] for name in self.outputs)

    def quantize_input(self, images: Tensor) -> Array:
        """Bring images (B, C, H, W) float to what `run` takes."""
        return quantize(images, self.params[self.input]).permute(0, 2, 3, 1).to(torch.int8).contiguous().numpy()

    def __call__(self, images: Tensor) -> Any:
        """Compute real numbers from real numbers: quantize, `run`, and dequantize."""
        return self.real(self.run(self.quantize_input(images)))

    def real(self, outputs: Sequence[Array]) -> Any:
        """Bring what `run` gives, or a device, back to real numbers; maps are (B, C, h, w) again."""
        found = []
        for name, value in zip(self.outputs, outputs, strict=True):
            real = dequantize(torch.from_numpy(value), self.params[name])
            found.append(real.permute(0, 3, 1, 2) if real.dim() == 4 else real)
        return found[0] if len(found) == 1 else tuple(found)

    @property
    def bytes(self) -> int:
        """Count the bytes of weights, biases, multipliers and tables."""
        return sum(constant_bytes(layer) for layer in self.layers)


def constant_bytes(layer: IntegerLayer) -> int:
    """Count the bytes of a layer's weights and biases, multipliers and shifts, and tables."""
    total = sum(0 if array is None else array.nbytes for array in (layer.weights, layer.bias, layer.table))
    return total + (0 if layer.bias is None else 5 * len(layer.bias))  # a multiplier of 4 bytes, a shift of 1
