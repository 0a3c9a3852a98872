"""What each layer of a graph computes, in floating point: the reference for all that is quantized."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor
from torch.nn import functional

from cvlab.quant.graph import Graph, Node

Watch = Callable[[str, Tensor], Tensor]


def _conv(node: Node, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return functional.conv2d(
        x, weight, bias, node.options["stride"], node.options["padding"], groups=node.options["groups"]
    )


def _conv_transpose(node: Node, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    o = node.options
    return functional.conv_transpose2d(
        x, weight, bias, o["stride"], o["padding"], o["output_padding"], groups=o["groups"]
    )


def _pool(node: Node, x: Tensor) -> Tensor:
    o = node.options
    if node.op == "max_pool":
        return functional.max_pool2d(x, o["size"], o["stride"], o["padding"], ceil_mode=o["ceil_mode"])
    return functional.avg_pool2d(x, o["size"], o["stride"], o["padding"], o["ceil_mode"], count_include_pad=False)


def _upsample(node: Node, x: Tensor) -> Tensor:
    down, across = node.options["factor"]
    return x.repeat_interleave(down, 2).repeat_interleave(across, 3)


def _pad_reflect(node: Node, x: Tensor) -> Tensor:
    down, across = node.options["padding"]
    return functional.pad(x, (across, across, down, down), mode="reflect")


LAYERS: dict[str, Callable[..., Tensor]] = {
    "conv": _conv,
    "conv_transpose": _conv_transpose,
    "linear": lambda node, x, weight, bias: functional.linear(x, weight, bias),
    "instance_norm": lambda node, x, weight, bias: functional.instance_norm(
        x, weight=weight, bias=bias, eps=node.options["eps"]
    ),
    "max_pool": _pool,
    "avg_pool": _pool,
    "mean": lambda node, x: x.mean((2, 3), keepdim=node.options["keepdim"]),
    "clamp": lambda node, x: x,
    "add": lambda node, a, b: a + b,
    "sigmoid": lambda node, x: x.sigmoid(),
    "hard_swish": lambda node, x: functional.hardswish(x),
    "silu": lambda node, x: functional.silu(x),
    "softmax": lambda node, x: x.softmax(1),
    "flatten": lambda node, x: x.flatten(1),
    "upsample": _upsample,
    "pad_reflect": _pad_reflect,
}
"""By the name of the layer, a function of the node, its inputs, and its weight and bias where it has them."""


def compute(node: Node, inputs: list[Tensor], weight: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
    """Compute one layer, with its own weight and bias or with others, and cut off what its clamp says."""
    if node.weight is not None:
        inputs = [*inputs, node.weight if weight is None else weight, node.bias if bias is None else bias]
    found = LAYERS[node.op](node, *inputs)
    return found if node.clamp is None else found.clamp(*node.clamp)


def run(graph: Graph, x: Tensor, watch: Watch | None = None) -> tuple[Tensor, ...]:
    """Compute a graph in floating point.

    Args:
        graph: the network.
        x: (B, C, H, W) float, of the graph's shape.
        watch: is given the name and the value of the input and of each map, and gives what to go on with.

    Returns:
        The outputs, in the graph's order.
    """
    watch = watch or (lambda name, value: value)
    values = {graph.input: watch(graph.input, x)}
    for node in graph.nodes:
        values[node.name] = watch(node.name, compute(node, [values[name] for name in node.inputs]))
    return tuple(values[name] for name in graph.outputs)
