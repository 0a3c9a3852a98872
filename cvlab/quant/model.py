"""A network that computes as if it were quantized: for calibration, for measuring, and for training."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from cvlab import _check
from cvlab.quant.affine import QuantParams, choose_qparams, fake_quantize
from cvlab.quant.graph import Graph, Node, trace
from cvlab.quant.layers import Watch, compute
from cvlab.quant.lsq import LearnedStep
from cvlab.quant.observers import HistogramObserver, MinMaxObserver, MovingAverageObserver, Observer

OBSERVERS: dict[str, Callable[..., Observer]] = {
    "minmax": MinMaxObserver,
    "moving": MovingAverageObserver,
    "percentile": lambda **options: HistogramObserver("percentile", **options),
    "mse": lambda **options: HistogramObserver("mse", **options),
}
"""How the bounds of activations are chosen, by name."""

SAME_SCALE = ("max_pool", "avg_pool", "mean", "flatten", "upsample", "pad_reflect")
"""Layers whose result has the scale and the zero point of what goes in."""

SHARES = ("softmax", "sigmoid")
"""Layers whose result lies in [0, 1], with the scale 1/256 and the zero point -128."""


class QuantModel(nn.Module):
    """A traced network with rounding in it: `calibrate` it, then call it, train it, or make an integer model of it.

    Args:
        graph: the network, as `trace` gives it.
        weight_bits: of the weights, from 2 to 8.
        activation_bits: of the maps between layers, from 2 to 8.
        per_channel: whether each output channel of a convolution has its own scale; a linear layer has one for all.
        observer: a name of `OBSERVERS`.
        edge_bits: bits of the input, of the first and of the last layer's weights, and of the outputs, which suffer the
            most.
        round_activations: whether maps are rounded at all; without, only weights are.
        input_range: the bounds of the input, such as (0, 1) for pictures, so that each byte is a whole number; None for
            those that calibration sees.

    Returns:
        Called with (B, C, H, W), the output, or a tuple of outputs where there are more.

    Raises:
        InputError: if bits or the observer are unknown, or it is called before it is calibrated.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()).eval()
        >>> model = quantize_model(net, [torch.rand(8, 3, 16, 16)])
        >>> x = torch.rand(2, 3, 16, 16)
        >>> (model(x) - net(x)).abs().max().item() < 0.1
        True
    """

    def __init__(
        self,
        graph: Graph,
        *,
        weight_bits: int = 8,
        activation_bits: int = 8,
        per_channel: bool = True,
        observer: str = "minmax",
        edge_bits: int = 8,
        round_activations: bool = True,
        input_range: tuple[float, float] | None = None,
    ) -> None:
        super().__init__()
        _check.choice("QuantModel", "observer", observer, OBSERVERS)
        for name, bits in (
            ("weight_bits", weight_bits),
            ("activation_bits", activation_bits),
            ("edge_bits", edge_bits),
        ):
            if not 2 <= bits <= 8:
                raise _check.InputError(f"QuantModel: {name} must be from 2 to 8, got {bits}")
        self.graph, self.per_channel, self.round_activations = graph, per_channel, round_activations
        weighted = [node for node in graph.nodes if node.weight is not None]
        self.weights = nn.ParameterDict([(node.name, node.weight.clone()) for node in weighted])  # dicts, it would sort
        self.biases = nn.ParameterDict([(node.name, node.bias.clone()) for node in weighted])
        names = [node.name for node in weighted]
        self.bits = {name: edge_bits if name in (*names[:1], *names[-1:]) else weight_bits for name in names}
        edges = (graph.input, *graph.outputs)
        self.observers = {
            name: OBSERVERS[observer](bits=edge_bits if name in edges else activation_bits) for name in self._rounded()
        }
        self.params: dict[str, QuantParams] = {}
        self.input_range = input_range
        self.learned = nn.ModuleDict()

    def _rounded(self) -> list[str]:
        """Name the input and the maps that have a scale of their own."""
        return [self.graph.input, *(n.name for n in self.graph.nodes if n.op not in (*SAME_SCALE, *SHARES))]

    @torch.no_grad()
    def calibrate(self, batches: Iterable[Tensor]) -> QuantModel:
        """Let the observers look at the maps of some batches, without any rounding, and choose all scales.

        Raises:
            InputError: if there is no batch, or one holds NaN or infinity.
        """
        seen = 0
        for batch in batches:
            _check.finite("calibrate", f"batch {seen}", batch)
            self._compute(batch, self._watch)
            seen += 1
        if seen == 0:
            raise _check.InputError("calibrate: there must be one batch or more, got none")
        self.params = {name: observer.params() for name, observer in self.observers.items()}
        if self.input_range is not None:
            bits = self.observers[self.graph.input].options["bits"]
            self.params[self.graph.input] = choose_qparams(*self.input_range, bits=bits)
        for node in self.graph.nodes:
            if node.op in SAME_SCALE:
                self.params[node.name] = self.params[node.inputs[0]]
            elif node.op in SHARES:
                self.params[node.name] = choose_qparams(0.0, 255 / 256)
        return self

    def _watch(self, name: str, value: Tensor) -> Tensor:
        if name in self.observers:
            self.observers[name].update(value)
        return value

    def learn_steps(self, batch: Tensor, *, gradient_scale: bool = True) -> QuantModel:
        """Learn the steps of weights and maps from now on (LSQ), one for each tensor; `calibrate` comes first.

        Args:
            batch: an input, from whose maps the first steps are taken.
            gradient_scale: of `LearnedStep`.

        Raises:
            InputError: if it is not calibrated, or all weights of a layer, or all numbers of a map, are 0.
        """
        self._check_calibrated("learn_steps")
        maps: dict[str, Tensor] = {}
        with torch.no_grad():
            self._compute(batch, lambda name, value: maps.setdefault(name, value))
        for name, weight in self.weights.items():
            high = 2 ** (self.bits[name] - 1) - 1
            self.learned[f"weight_{name}"] = LearnedStep(weight, -high, high, gradient_scale=gradient_scale)
        for name in self._rounded()[1:]:
            params, above = self.params[name], bool(maps[name].min() >= 0)
            low = 0 if above else params.low
            high = params.high - params.low if above else params.high
            self.learned[f"map_{name}"] = LearnedStep(maps[name], low, high, gradient_scale=gradient_scale)
        return self

    def weight_params(self, node: Node) -> QuantParams:
        """Give scale and zero point of a layer's weights, as they are now."""
        if f"weight_{node.name}" in self.learned:
            return QuantParams(self._step(f"weight_{node.name}"), torch.tensor(0), self.bits[node.name])
        weight, axis = self.weights[node.name].detach(), self._channels(node)
        if weight.isnan().any():
            raise _check.InputError(f"QuantModel: the weights of {node.name} hold NaN")
        over = [d for d in range(weight.dim()) if d != axis]
        largest = weight.abs().amax(over) if axis is not None else weight.abs().max()
        return choose_qparams(-largest, largest, bits=self.bits[node.name], symmetric=True, axis=axis)

    def map_params(self, name: str) -> QuantParams:
        """Give scale and zero point of the input or of a map, as they are now."""
        node = next((node for node in self.graph.nodes if node.name == name), None)
        if node is not None and node.op in SAME_SCALE:
            return self.map_params(node.inputs[0])
        if f"map_{name}" not in self.learned:
            return self.params[name]
        learned, params = self.learned[f"map_{name}"], self.params[name]
        zero = params.low if learned.low == 0 else 0
        return QuantParams(self._step(f"map_{name}"), torch.tensor(zero), params.bits)

    def _step(self, name: str) -> Tensor:
        step = self.learned[name].step.detach()
        if not 0 < float(step) < float("inf"):
            raise _check.InputError(f"QuantModel: a learned step must be above 0, got {float(step)} ({name})")
        return step

    def _channels(self, node: Node) -> int | None:
        """Say which dimension of the weights has scales of its own."""
        if not self.per_channel or node.op in ("linear", "instance_norm"):
            return None
        return 1 if node.op == "conv_transpose" and node.options["groups"] == 1 else 0

    def forward(self, x: Tensor) -> Any:
        """Compute as if quantized."""
        self._check_calibrated("QuantModel")
        outputs = self._compute(x, self._map, rounded=True)
        return outputs[0] if len(outputs) == 1 else outputs

    def _compute(self, x: Tensor, watch: Watch, rounded: bool = False) -> tuple[Tensor, ...]:
        """Compute with the weights as they are now."""
        values = {self.graph.input: watch(self.graph.input, x)}
        for node in self.graph.nodes:
            inputs, given = [values[name] for name in node.inputs], ()
            if node.name in self.weights:
                given = (self._weight(node) if rounded else self.weights[node.name], self.biases[node.name])
            values[node.name] = watch(node.name, compute(node, inputs, *given))
        return tuple(values[name] for name in self.graph.outputs)

    def _check_calibrated(self, op: str) -> None:
        if not self.params:
            raise _check.InputError(f"{op}: the scales are not known yet, call calibrate first")

    def _weight(self, node: Node) -> Tensor:
        weight, step = self.weights[node.name], f"weight_{node.name}"
        return self.learned[step](weight) if step in self.learned else fake_quantize(weight, self.weight_params(node))

    def _map(self, name: str, value: Tensor) -> Tensor:
        if not self.round_activations:
            return value
        step = f"map_{name}"
        return self.learned[step](value) if step in self.learned else fake_quantize(value, self.map_params(name))


def quantize_model(model: nn.Module, batches: Iterable[Tensor], **options: Any) -> QuantModel:
    """Quantize a trained network by calibration alone.

    Args:
        model: in evaluation mode.
        batches: inputs (B, C, H, W) like those that will come; a few hundred images are enough.
        options: of `QuantModel`.

    Returns:
        The network as if quantized.

    Raises:
        InputError: if the model is in training mode, has a layer that is not supported, or there is no batch.
    """
    batches = list(batches)
    if not batches:
        raise _check.InputError("quantize_model: there must be one batch for calibration or more, got none")
    return QuantModel(trace(model, batches[0]), **options).calibrate(batches)
