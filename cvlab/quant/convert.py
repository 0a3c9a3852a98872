"""From a network that computes as if quantized to one in whole numbers alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch

from cvlab import _check
from cvlab.quant.affine import QuantParams, quantize
from cvlab.quant.fixed_point import ROUNDINGS, quantize_multiplier
from cvlab.quant.graph import Node, check_flattened, flattened
from cvlab.quant.integer import Array, Pair, Rescale
from cvlab.quant.integer_model import IntegerLayer, IntegerModel, Shape
from cvlab.quant.model import QuantModel
from cvlab.quant.tables import FUNCTIONS, exp_table, lookup_table

LEFT_SHIFT = 20
"""Bits by which the summands of an addition are made finer."""


def to_integer(model: QuantModel, *, rounding: str = "double") -> IntegerModel:
    """Make a network in whole numbers alone.

    Args:
        model: calibrated, and trained if need be.
        rounding: how sums are brought to 8 bits; see `multiply_by_quantized_multiplier`.

    Returns:
        The network, with weights int8, biases and sums int32, multipliers of 31 bits with shifts.

    Raises:
        InputError: if the model is not calibrated, keeps its maps in floating point, sums do not fit into 32 bits, or a
            layer has no integer form; the message names it.

    Notes:
        Where a channel's weights are so small beside its bias that the bias would not fit into 30 bits, as in channels
        that have died, its scale is made larger; what its weights lose is nothing beside that bias. Where all its
        weights are 0, any scale would do for them, and it is chosen so that the bias is kept to 30 bits.
    """
    _check.choice("to_integer", "rounding", rounding, ROUNDINGS)
    if not model.params:
        raise _check.InputError("to_integer: the scales are not known yet, call calibrate first")
    if not model.round_activations:
        raise _check.InputError("to_integer: the model must round its maps too, got round_activations=False")
    check_flattened("to_integer", model.graph)
    layers = tuple(_layer(model, node, rounding) for node in model.graph.nodes)
    names = (model.graph.input, *model.graph.outputs)
    params = {name: model.map_params(name) for name in names}
    return IntegerModel(model.graph.input, _last(model.graph.shape), layers, model.graph.outputs, params)


def scale_of(params: QuantParams) -> tuple[float, int]:
    """Give a scale and a zero point as plain numbers."""
    return float(params.scale), int(params.zero_point)


def _last(shape: Shape) -> Shape:
    """Turn (C, h, w) into (h, w, C)."""
    return (*shape[1:], shape[0])


@dataclass(frozen=True)
class _Place:
    """A layer, with the scales around it."""

    model: QuantModel
    node: Node
    rounding: str

    @property
    def source(self) -> tuple[float, int]:
        return scale_of(self.model.map_params(self.node.inputs[0]))

    @property
    def target(self) -> tuple[float, int]:
        return scale_of(self.model.map_params(self.node.name))

    @property
    def bounds(self) -> Pair:
        """The smallest and the largest whole number of the result: what its bits and its activation allow."""
        params = self.model.map_params(self.node.name)
        scale, zero = scale_of(params)
        low, high = params.low, params.high
        if self.node.clamp is None:
            return low, high
        ends = (int(np.clip(zero + np.rint(bound / scale), low, high)) for bound in self.node.clamp)
        return next(ends), next(ends)

    def rescale(self, real: Array | float) -> Rescale:
        """Write factors of sums as multipliers and shifts."""
        pairs = [quantize_multiplier(float(value)) for value in np.atleast_1d(real)]
        multipliers, shifts = (np.array(each) for each in zip(*pairs, strict=True))
        return Rescale(multipliers, shifts, self.target[1], self.bounds, self.rounding)

    def size(self, name: str) -> Shape:
        """The shape (h, w, C) of a map."""
        return _last(self.model.graph.shapes[name])


def _layer(model: QuantModel, node: Node, rounding: str) -> IntegerLayer:
    if node.op not in _CONVERSIONS:
        known = ", ".join(sorted(_CONVERSIONS))
        hint = _INSTEAD.get(node.op, f"use what has one: {known}")
        raise _check.InputError(f"to_integer: {node.op!r} (at {node.name}) has no integer form; {hint}")
    return _CONVERSIONS[node.op](_Place(model, node, rounding))


_INSTEAD = {
    "instance_norm": "use BatchNorm2d, or run this network in floating point",
    "pad_reflect": "pad with zeros, or run this network in floating point",
}


def _weighted(place: _Place) -> IntegerLayer:
    """Convert a convolution, transposed or not, or a linear layer."""
    model, node = place.model, place.node
    real_bias = model.biases[node.name].detach().double()
    _check.finite("to_integer", f"the bias of {node.name}", real_bias)
    weights, params = _whole_weights(model, node, real_bias / place.source[0])
    scales = params.scale.double().numpy().reshape(-1)
    op, options, weights = _arranged(place, weights)
    bias = np.rint(real_bias.numpy() / (place.source[0] * scales)).astype(np.int32)
    _check_sums(node.name, op, weights, bias, options["input_offset"])
    real = np.broadcast_to(place.source[0] * scales / place.target[0], bias.shape)
    shape = place.size(node.name)
    return IntegerLayer(node.name, op, node.inputs, shape, options, weights, bias, None, place.rescale(real))


def _whole_weights(model: QuantModel, node: Node, bias: torch.Tensor) -> tuple[Array, QuantParams]:
    """Quantize weights, with scales with which each bias, over the scale of the input, fits into 30 bits."""
    params, real = model.weight_params(node), model.weights[node.name].detach()
    over = [d for d in range(real.dim()) if d != params.axis]
    alive = (quantize(real, params) != 0).sum(over, keepdim=True) > 0
    least = bias.abs() / 2**30 * (1 + 1e-6)
    scale = params.scale.double() * alive.reshape(params.scale.shape)
    scale = torch.maximum(scale, least if params.axis is not None else least.max())
    params = replace(params, scale=torch.where(scale > 0, scale, 1).float())
    largest = 2 ** (params.bits - 1) - 1
    whole = quantize(real, params).clamp(-largest, largest) * alive
    return whole.to(torch.int8).numpy(), params


def _check_sums(name: str, op: str, weights: Array, bias: Array, offset: int) -> None:
    """Refuse a layer whose sums could overflow."""
    over = (0, 1) if op == "depthwise" else tuple(range(1, weights.ndim))
    farthest = max(127 + offset, 128 - offset)
    if (np.abs(weights.astype(np.int64)).sum(over) * farthest + np.abs(bias.astype(np.int64))).max() >= 2**31:
        raise _check.InputError(f"to_integer: the sums of {name} do not fit into 32 bits; it has too many inputs")


def _arranged(place: _Place, weights: Array) -> tuple[str, dict, Array]:
    """Name the layer's kind, and bring its weights from torch's order to channels last."""
    node = place.node
    options = {"input_offset": -place.source[1]}
    if node.op == "linear":
        return "linear", options, _channels_last(place, weights)
    options |= {"stride": node.options["stride"], "padding": node.options["padding"]}
    options["output_size"] = place.size(node.name)[:2]
    groups, channels = node.options["groups"], place.size(node.inputs[0])[2]
    if node.op == "conv_transpose":
        if groups != 1:
            raise _check.InputError(f"to_integer: transposed convolutions need groups=1, got {groups} at {node.name}")
        options["input_size"] = place.size(node.inputs[0])[:2]
        return "conv_transpose", options, np.ascontiguousarray(weights.transpose(1, 2, 3, 0))  # (K, kh, kw, C)
    if groups == 1:
        return "conv", options, np.ascontiguousarray(weights.transpose(0, 2, 3, 1))  # (K, kh, kw, C)
    if groups == channels:
        return "depthwise", options, np.ascontiguousarray(weights[:, 0].transpose(1, 2, 0))  # (kh, kw, C m)
    raise _check.InputError(
        f"to_integer: groups must be 1, or as many as there are channels ({channels}), got {groups} at {node.name}"
    )


def _channels_last(place: _Place, weights: Array) -> Array:
    """Reorder the columns of a linear layer's weights where it takes a flattened map."""
    columns = weights.reshape(len(weights), *flattened(place.model.graph, place.node.name))  # (K, C, h, w)
    return np.ascontiguousarray(np.moveaxis(columns, 1, -1).reshape(len(weights), -1))


def _pool(place: _Place) -> IntegerLayer:
    node = place.node
    options = {key: node.options[key] for key in ("size", "stride", "padding")}
    options |= {"output_size": place.size(node.name)[:2], "activation": place.bounds}
    return IntegerLayer(node.name, node.op, node.inputs, place.size(node.name), options)


def _mean(place: _Place) -> IntegerLayer:
    node = place.node
    h, w, channels = place.size(node.inputs[0])
    shape = (1, 1, channels) if node.options["keepdim"] else (channels,)
    options, multiplier, shift = mean_options(place.source, place.target, h * w)
    rescale = Rescale(multiplier, shift, place.target[1], place.bounds, place.rounding)
    return IntegerLayer(node.name, "mean", node.inputs, shape, options, rescale=rescale)


def mean_options(source: tuple[float, int], target: tuple[float, int], count: int) -> tuple[dict, int, int]:
    """Write the factor of a sum of `count` numbers as TFLite does, the division in the multiplier."""
    multiplier, shift = quantize_multiplier(source[0] / target[0])
    bits = min(count.bit_length() - 1, 31 + shift)
    return {"input_offset": -source[1]}, (multiplier << bits) // count, shift - bits


def _add(place: _Place) -> IntegerLayer:
    node = place.node
    pair = [scale_of(place.model.map_params(name)) for name in node.inputs]
    options, multiplier, shift = add_options(pair[0], pair[1], place.target)
    rescale = Rescale(multiplier, shift, place.target[1], place.bounds, place.rounding)
    return IntegerLayer(node.name, "add", node.inputs, place.size(node.name), options, rescale=rescale)


def add_options(a: tuple[float, int], b: tuple[float, int], target: tuple[float, int]) -> tuple[dict, int, int]:
    """Bring two summands to twice the larger scale, finer by `LEFT_SHIFT` bits, and from there to the result's."""
    common = 2 * max(a[0], b[0])
    pairs = [quantize_multiplier(scale / common) for scale in (a[0], b[0])]
    back = quantize_multiplier(common / (2**LEFT_SHIFT * target[0]))
    options = {
        "offsets": (-a[1], -b[1]),
        "multipliers": (pairs[0][0], pairs[1][0]),
        "shifts": (pairs[0][1], pairs[1][1]),
        "left_shift": LEFT_SHIFT,
    }
    return options, *back


def _table(place: _Place) -> IntegerLayer:
    node = place.node
    table = lookup_table(node.op, place.source, place.target, place.bounds)
    return IntegerLayer(node.name, "table", node.inputs, place.size(node.name), table=table)


def _softmax(place: _Place) -> IntegerLayer:
    node = place.node
    return IntegerLayer(node.name, "softmax", node.inputs, place.size(node.name), table=exp_table(place.source[0]))


def _plain(place: _Place) -> IntegerLayer:
    node = place.node
    return IntegerLayer(node.name, node.op, node.inputs, place.size(node.name), dict(node.options))


_CONVERSIONS: dict[str, Callable[[_Place], IntegerLayer]] = {
    "conv": _weighted,
    "conv_transpose": _weighted,
    "linear": _weighted,
    "max_pool": _pool,
    "avg_pool": _pool,
    "mean": _mean,
    "add": _add,
    "softmax": _softmax,
    "flatten": _plain,
    "upsample": _plain,
    **dict.fromkeys(FUNCTIONS, _table),
}
