"""A network as a list of layers: what quantization works on, whatever module it was."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from cvlab import _check

Clamp = tuple[float, float]


@dataclass(frozen=True)
class Node:
    """One layer.

    Attributes:
        name: of the layer, and of the map that it gives.
        op: what it does, a key of `cvlab.quant.layers.LAYERS`.
        inputs: names of the maps that it takes.
        options: such as `stride` and `padding`; each a pair, down and across.
        weight: as torch has it for this layer; None where there is none.
        bias: likewise.
        clamp: the bounds between which the result is cut off; that of a ReLU is (0, infinity).
    """

    name: str
    op: str
    inputs: tuple[str, ...]
    options: dict[str, Any] = field(default_factory=dict)
    weight: Tensor | None = None
    bias: Tensor | None = None
    clamp: Clamp | None = None


@dataclass(frozen=True)
class Graph:
    """A network with one input.

    Attributes:
        input: name of the input.
        shape: (C, H, W) of the input.
        nodes: the layers, each after those that it needs.
        outputs: names of the maps that come out.
        shapes: the shape of each map, by its name, without the batch.
    """

    input: str
    shape: tuple[int, ...]
    nodes: tuple[Node, ...]
    outputs: tuple[str, ...]
    shapes: dict[str, tuple[int, ...]]

    def node(self, name: str) -> Node:
        """Give the layer of a name."""
        return next(node for node in self.nodes if node.name == name)

    def users(self, name: str) -> list[Node]:
        """Give the layers that take a map."""
        return [node for node in self.nodes if name in node.inputs]


def trace(model: nn.Module, example: Tensor) -> Graph:
    """Write down the layers of a network, with batch normalisation folded into weights and activations fused.

    Args:
        model: in evaluation mode; takes one tensor, and gives a tensor or a tuple of tensors.
        example: (B, C, H, W) float, an input of the size that the network will be used with.

    Returns:
        The layers. Each convolution has a bias, and its ReLU or ReLU6 as `clamp`.

    Raises:
        InputError: if the model is in training mode, its weights hold NaN or infinity, the example has another shape,
            or a layer is not supported; the message names the layer, and what to use instead.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU()).eval()
        >>> graph = trace(net, torch.zeros(1, 3, 8, 8))
        >>> [(node.op, node.clamp) for node in graph.nodes], graph.shapes[graph.outputs[0]]
        ([('conv', (0.0, inf))], (8, 8, 8))
    """
    if any(module.training for module in model.modules()):
        raise _check.InputError("trace: the model is in training mode, call model.eval() first")
    for name, value in model.state_dict().items():
        if value.is_floating_point():
            _check.finite("trace", name, value)
    _check.shape("trace", "example", example, ("B", "C", "H", "W"))
    program = torch.export.export(model, (example,), strict=False)
    return simplified(_read(program))


def _read(program: torch.export.ExportedProgram) -> Graph:
    """Translate the operators of a program, one by one."""
    signature = program.graph_signature
    given = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
    held = {**program.state_dict, **program.constants}
    given |= signature.inputs_to_lifted_tensor_constants
    values = {name: held[key].detach().clone() for name, key in given.items()}  # training goes on without this graph
    nodes: list[Node] = []
    shapes: dict[str, tuple[int, ...]] = {}
    alias: dict[str, str] = {}
    for each in program.graph.nodes:
        if each.op == "placeholder" and each.name in signature.user_inputs:
            shapes[each.name] = tuple(each.meta["val"].shape[1:])
        elif each.op == "call_function":
            node = _translated(each, values, alias)
            if node is None:
                alias[each.name] = alias.get(each.args[0].name, each.args[0].name)
                continue
            nodes.append(node)
            shapes[each.name] = tuple(each.meta["val"].shape[1:])
    (source,) = signature.user_inputs
    outputs = tuple(alias.get(name, name) for name in signature.user_outputs)
    return Graph(source, shapes[source], tuple(nodes), outputs, shapes)


def _translated(call: torch.fx.Node, values: dict[str, Tensor], alias: dict[str, str]) -> Node | None:
    """Make a layer of a call of an operator; None for what changes nothing."""
    kind = call.target.__name__.split(".")[0].rstrip("_")
    given = [each for each in (*call.args, *call.kwargs.values()) if isinstance(each, torch.fx.Node)]
    maps = [each for each in given if each.name not in values]
    rank = len(maps[0].meta["val"].shape) if maps else 0
    if _is_nothing(kind, call, rank):
        return None
    if kind not in _TRANSLATIONS:
        raise _unsupported(kind, call.name)
    if len(maps) > 1 and kind != "add":
        raise _unsupported(f"{kind} with weights that are computed", call.name)
    if any(each.meta["val"].shape != maps[0].meta["val"].shape for each in maps):
        raise _unsupported("a sum of maps of different shapes", call.name)
    if rank not in _RANKS.get(kind, (4,)):
        raise _unsupported(f"{kind} of {rank} dimensions", call.name)
    inputs = tuple(alias.get(each.name, each.name) for each in maps)
    schema = call.target._schema.arguments
    options = {a.name: a.default_value for a in schema if a.default_value is not None}
    options |= {a.name: value for a, value in zip(schema, call.args, strict=False)} | dict(call.kwargs)
    tensors = {key: values[v.name] for key, v in options.items() if isinstance(v, torch.fx.Node) and v.name in values}
    plain = {key: value for key, value in options.items() if not isinstance(value, torch.fx.Node)}
    return _TRANSLATIONS[kind](Node(call.name, kind, inputs), plain | {"rank": rank}, tensors)


def _is_nothing(kind: str, call: torch.fx.Node, rank: int) -> bool:
    """Tell whether a call gives the map that it takes."""
    if "dropout" in kind and call.args[2]:
        raise _unsupported("dropout that goes on outside training", call.name)
    if kind == "pad":
        return not any(call.args[1])
    if kind == "to":
        return call.meta["val"].dtype == call.args[0].meta["val"].dtype
    return kind in _SKIPPED or (kind == "flatten" and rank == 2)


def _unsupported(kind: str, where: str) -> _check.InputError:
    known = ", ".join(sorted(_TRANSLATIONS))
    instead = _INSTEAD.get(kind, f"write it with what is: {known}")
    return _check.InputError(f"trace: {kind!r} (at {where}) is not supported; {instead}")


def _pair(value: Sequence[int] | int) -> tuple[int, int]:
    if isinstance(value, int):
        return value, value
    return (value[0], value[-1])


def _conv(node: Node, options: dict[str, Any], tensors: dict[str, Tensor]) -> Node:
    if _pair(options["dilation"]) != (1, 1):
        raise _unsupported("dilated convolution", node.name)
    kept = {"stride": _pair(options["stride"]), "groups": options["groups"]}
    if isinstance(options["padding"], str):
        raise _unsupported("padding by name", node.name)
    kept["padding"] = _pair(options["padding"])
    transposed = node.op.startswith("conv_transpose")
    if transposed:
        kept["output_padding"] = _pair(options["output_padding"])
    weight = tensors["weight"]
    channels = weight.shape[1] * kept["groups"] if transposed else weight.shape[0]
    bias = tensors.get("bias", weight.new_zeros(channels))
    return replace(node, op="conv_transpose" if transposed else "conv", options=kept, weight=weight, bias=bias)


def _linear(node: Node, options: dict[str, Any], tensors: dict[str, Tensor]) -> Node:
    weight = tensors["weight"]
    return replace(node, op="linear", weight=weight, bias=tensors.get("bias", weight.new_zeros(len(weight))))


def _norm(node: Node, options: dict[str, Any], tensors: dict[str, Tensor]) -> Node:
    if node.op == "instance_norm":
        if not options["use_input_stats"] or "weight" not in tensors:
            raise _unsupported("instance_norm with running statistics, or without affine=True", node.name)
        kept = {"eps": options["eps"]}
        return replace(node, op="instance_norm", options=kept, weight=tensors["weight"], bias=tensors["bias"])
    if "running_var" not in tensors:
        raise _unsupported("batch_norm without running statistics", node.name)
    scale = (tensors["running_var"] + options["eps"]).rsqrt() * tensors.get("weight", 1.0)
    shift = tensors.get("bias", 0.0) - tensors["running_mean"] * scale
    return replace(node, op="batch_norm", weight=scale, bias=shift)


def _pool(node: Node, options: dict[str, Any], tensors: dict[str, Tensor]) -> Node:
    kept = {"size": _pair(options["kernel_size"]), "padding": _pair(options["padding"])}
    kept["stride"] = _pair(options["stride"] or options["kernel_size"])
    if _pair(options.get("dilation", 1)) != (1, 1) or options.get("divisor_override"):
        raise _unsupported(f"{node.op} with dilation, or a divisor of its own", node.name)
    if node.op == "avg_pool2d" and kept["padding"] != (0, 0) and options["count_include_pad"]:
        raise _unsupported("avg_pool2d that counts its padding", node.name)
    kept["ceil_mode"] = options["ceil_mode"]
    return replace(node, op=node.op.removesuffix("2d"), options=kept)


def _mean(node: Node, options: dict[str, Any], tensors: dict[str, Tensor]) -> Node:
    if node.op == "mean":
        whole = sorted(d % 4 for d in options.get("dim") or ()) == [2, 3]
    else:
        whole = options["output_size"] == [1, 1]
    if not whole:
        raise _unsupported("a mean over other dimensions than the two of the map", node.name)
    return replace(node, op="mean", options={"keepdim": options.get("keepdim", node.op != "mean")})


def _activation(low: float, high: float) -> Callable[..., Node]:
    def make(node: Node, options: dict[str, Any], tensors: dict[str, Tensor]) -> Node:
        bounds = (options.get("min_val", low), options.get("max_val", high))
        return replace(node, op="clamp", clamp=(float(bounds[0]), float(bounds[1])))

    return make


def _plain(op: str, **fixed: Any) -> Callable[..., Node]:
    def make(node: Node, options: dict[str, Any], tensors: dict[str, Tensor]) -> Node:
        if tensors or (op == "add" and (len(node.inputs) != 2 or options["alpha"] != 1)):
            raise _unsupported(f"{node.op} with a constant", node.name)
        return replace(node, op=op, options=dict(fixed))

    return make


def _softmax(node: Node, options: dict[str, Any], tensors: dict[str, Tensor]) -> Node:
    if options["dim"] % options["rank"] != 1:
        raise _unsupported("a softmax over another dimension than the channels", node.name)
    return replace(node, op="softmax")


def _flatten(node: Node, options: dict[str, Any], tensors: dict[str, Tensor]) -> Node:
    if options["start_dim"] != 1 or options["end_dim"] not in (-1, 3):
        raise _unsupported("flatten of other dimensions than those behind the batch", node.name)
    return replace(node, op="flatten")


def _upsample(node: Node, options: dict[str, Any], tensors: dict[str, Tensor]) -> Node:
    factors = options.get("scale_factors")
    if not factors or any(f != int(f) for f in factors):
        raise _unsupported("enlargement to a size, or by a broken factor", node.name)
    return replace(node, op="upsample", options={"factor": (int(factors[0]), int(factors[1]))})


def _pad(node: Node, options: dict[str, Any], tensors: dict[str, Tensor]) -> Node:
    left, right, top, bottom = sides = options["pad"] if len(options["pad"]) == 4 else (0, 1, 0, 1)
    if options["mode"] != "reflect" or left != right or top != bottom or min(sides) < 0:
        raise _unsupported(f"padding in mode {options['mode']!r}, or not alike on both sides", node.name)
    return replace(node, op="pad_reflect", options={"padding": (top, left)})


_TRANSLATIONS: dict[str, Callable[..., Node]] = {
    "conv2d": _conv,
    "conv_transpose2d": _conv,
    "linear": _linear,
    "batch_norm": _norm,
    "instance_norm": _norm,
    "max_pool2d": _pool,
    "avg_pool2d": _pool,
    "adaptive_avg_pool2d": _mean,
    "mean": _mean,
    "relu": _activation(0.0, float("inf")),
    "relu6": _activation(0.0, 6.0),
    "hardtanh": _activation(-1.0, 1.0),
    "add": _plain("add"),
    "sigmoid": _plain("sigmoid"),
    "hardswish": _plain("hard_swish"),
    "silu": _plain("silu"),
    "softmax": _softmax,
    "flatten": _flatten,
    "upsample_nearest2d": _upsample,
    "pad": _pad,
}
_RANKS = {
    "linear": (2,),
    **dict.fromkeys(("relu", "relu6", "hardtanh", "add", "sigmoid", "hardswish", "silu", "softmax"), (2, 4)),
    "batch_norm": (2, 4),
}
"""Dimensions of the maps that an operator may take, the batch counted in, where they are not 4 alone."""
_SKIPPED = ("alias", "dropout", "detach", "contiguous", "clone", "feature_dropout", "_assert_tensor_metadata")
_INSTEAD = {
    "gelu": "use ReLU, ReLU6 or Hardswish, which integer hardware has",
    "leaky_relu": "use ReLU or ReLU6",
    "layer_norm": "use BatchNorm2d, which disappears into the weights",
    "group_norm": "use BatchNorm2d, which disappears into the weights",
    "batch_norm": "let it follow a convolution or a linear layer, into which it disappears",
    "upsample_bilinear2d": "enlarge with mode='nearest', or with a transposed convolution that holds bilinear weights",
    "dilated convolution": "use dilation 1",
    "padding by name": "give the padding in pixels",
    "scaled_dot_product_attention": "quantize convolutional networks; attention needs other means",
    "cat": "give the maps out one by one",
    **dict.fromkeys(("view", "reshape"), "use flatten(1) after the mean over the map"),
    "avg_pool2d that counts its padding": "give count_include_pad=False, or no padding",
    "batch_norm without running statistics": "leave track_running_stats=True",
    "instance_norm with running statistics, or without affine=True": "give affine=True, track_running_stats=False",
}


def flattened(graph: Graph, name: str) -> tuple[int, ...]:
    """Give the shape of the map that a layer's input was before it was flattened, or that of the input itself.

    Where channels lie last, the numbers of a flattened map have another order than torch's, which the columns of the
    linear layer that takes them must follow.

    Args:
        graph: the network.
        name: of a linear layer.

    Returns:
        (C, h, w), or (D,).
    """
    (source,) = graph.node(name).inputs
    before = next((node for node in graph.nodes if node.name == source), None)
    return graph.shapes[before.inputs[0] if before is not None and before.op == "flatten" else source]


def check_flattened(op: str, graph: Graph) -> None:
    """Refuse flattened maps that are taken by others than linear layers: with channels last, their order is another."""
    for node in graph.nodes:
        channels, *sides = graph.shapes[node.inputs[0]]
        if node.op != "flatten" or channels == 1 or sides == [1, 1]:
            continue
        if node.name in graph.outputs or any(user.op != "linear" for user in graph.users(node.name)):
            raise _check.InputError(
                f"{op}: flatten (at {node.name}) of a map {(channels, *sides)} must go to linear layers alone; "
                "activate the map before it is flattened, or give the map out"
            )


def simplified(graph: Graph) -> Graph:
    """Fold batch normalisation into the weights before it, and fuse activations with the layer before them.

    Args:
        graph: as read.

    Returns:
        A graph that computes the same with fewer layers.

    Raises:
        InputError: if a batch normalisation follows nothing that it could disappear into.

    References:
        Jacob et al. (2018), section 3.2.
    """
    for node in graph.nodes:
        if node.op not in ("batch_norm", "clamp"):
            continue
        before = next((each for each in graph.nodes if each.name == node.inputs[0]), None)
        alone = before is not None and len(graph.users(before.name)) == 1 and before.name not in graph.outputs
        if node.op == "batch_norm":
            if not alone or before.op not in ("conv", "conv_transpose", "linear") or before.clamp:
                raise _unsupported("batch_norm", node.name)
            merged = fold_batch_norm(before, node)
        elif alone and before.op in ("conv", "conv_transpose", "linear", "add") and before.clamp is None:
            merged = replace(before, name=node.name, clamp=node.clamp)
        else:
            continue
        nodes = tuple(merged if each is node else each for each in graph.nodes if each is not before)
        graph = replace(graph, nodes=nodes)
    return graph


def fold_batch_norm(layer: Node, norm: Node) -> Node:
    """Put the scale and the shift of a batch normalisation into the weights and the bias before it.

    Args:
        layer: a convolution, transposed or not, or a linear layer.
        norm: whose `weight` and `bias` (C,) are scale and shift, running mean and variance counted in.

    Returns:
        The layer, under the name of the normalisation.

    Example:
        >>> layer = Node("a", "linear", ("x",), weight=torch.ones(1, 2), bias=torch.ones(1))
        >>> norm = Node("b", "batch_norm", ("a",), weight=torch.tensor([3.0]), bias=torch.tensor([0.5]))
        >>> folded = fold_batch_norm(layer, norm)
        >>> folded.weight.tolist(), folded.bias.tolist()
        ([[3.0, 3.0]], [3.5])
    """
    shape = [1] * layer.weight.dim()
    if layer.op == "conv_transpose":  # (C, K / groups, kh, kw)
        groups = layer.options["groups"]
        grouped = layer.weight.unflatten(0, (groups, -1)) * norm.weight.reshape(groups, 1, -1, 1, 1)
        weight = grouped.flatten(0, 1)
    else:
        shape[0] = -1
        weight = layer.weight * norm.weight.reshape(shape)
    return replace(layer, name=norm.name, weight=weight, bias=layer.bias * norm.weight + norm.bias)
