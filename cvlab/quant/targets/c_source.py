"""Plain C of a network: one file without any library, for whatever has a C compiler."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from cvlab import _check
from cvlab.quant.graph import Graph, Node, check_flattened, flattened
from cvlab.quant.integer import INT8, Array, Rescale
from cvlab.quant.integer_model import IntegerLayer, IntegerModel, Shape
from cvlab.quant.targets.memory import Life, plan

KERNELS = Path(__file__).parent / "c"
"""The layers in C, written by hand: `int8.c`, `float.c`."""

C_TYPES = {"int8": "int8_t", "int32": "int32_t", "float32": "float"}
LARGEST_SOFTMAX = 2048
"""Channels of a softmax in whole numbers; with more its sum would not fit into 32 bits."""


@dataclass(frozen=True)
class Step:
    """One layer as C: its constants, and the call that computes it.

    Attributes:
        name: of the layer and of its map.
        inputs: names of the maps that it takes.
        shape: of its map, channels last.
        call: the statement, with {0}, {1} for the inputs, {y} for the map, and {NAME} for a constant; empty for a layer
            that only gives another name to its input.
        constants: by name.
        scratch: numbers of working memory besides, for a row of sums.
    """

    name: str
    inputs: tuple[str, ...]
    shape: Shape
    call: str
    constants: dict[str, Array] = field(default_factory=dict)
    scratch: int = 0


@dataclass(frozen=True)
class CProgram:
    """A network as C.

    Attributes:
        source: the text of `net.c`.
        header: the text of `net.h`.
        input_shape: (H, W, C).
        output_shapes: of each output, one behind the other in what `net_run` writes.
        dtype: "int8" or "float32".
        arena: bytes of working memory.
        constants: bytes of weights, biases, multipliers and tables.
        places: where each map lies in the working memory, in numbers from its start; for maps that can be looked at.
    """

    source: str
    header: str
    input_shape: Shape
    output_shapes: tuple[Shape, ...]
    dtype: str
    arena: int
    constants: int
    places: dict[str, int]

    def write(self, folder: str | Path) -> Path:
        """Write `net.c` and `net.h` into a folder."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "net.c").write_text(self.source, encoding="utf-8")
        (folder / "net.h").write_text(self.header, encoding="utf-8")
        return folder


def integer_c(model: IntegerModel, *, keep: bool = False) -> CProgram:
    """Write a network in whole numbers as C.

    Args:
        model: the network.
        keep: whether all maps stay in memory after a run, so that they can be looked at.

    Returns:
        The program, whose `net_run(x, y)` takes (H, W, C) int8 and writes the outputs, which are bit for bit those of
        `model.run`.
    """
    steps = [_INTEGER[layer.op](layer, _before(model, layer)) for layer in model.layers]
    return _program("int8", steps, model.input, model.shape, model.outputs, keep)


def float_c(graph: Graph, *, keep: bool = False) -> CProgram:
    """Write a traced network as C in floating point; see `integer_c`."""
    shapes = {name: _last(shape) for name, shape in graph.shapes.items()}
    for node in graph.nodes:
        if node.op not in (*_FLOAT, "linear"):
            raise _check.InputError(f"float_c: {node.op!r} (at {node.name}) is not written in C")
    check_flattened("float_c", graph)
    steps = [
        _float_linear(node, shapes, flattened(graph, node.name))
        if node.op == "linear"
        else _FLOAT[node.op](node, shapes)
        for node in graph.nodes
    ]
    return _program("float32", steps, graph.input, shapes[graph.input], graph.outputs, keep)


def _program(
    dtype: str, steps: Sequence[Step], source: str, shape: Shape, outputs: Sequence[str], keep: bool
) -> CProgram:
    """Join kernels, constants and calls."""
    size = np.dtype(dtype).itemsize
    shapes = {source: shape, **{step.name: step.shape for step in steps}}
    alias = {step.name: step.inputs[0] for step in steps if not step.call}

    def origin(name: str) -> str:
        return origin(alias[name]) if name in alias else name

    ends = [origin(name) for name in outputs]
    if source in ends or len(set(ends)) < len(ends):
        raise _check.InputError("a program in C needs outputs of different layers, none of them the input itself")
    lives = _lives(steps, origin, shapes, size, [source, *ends])
    places, arena = plan(lives, reuse=not keep)
    where = {source: "x", **{name: f"arena + {place // size}" for name, place in places.items()}}
    start = 0
    for name in ends:
        where[name] = f"y + {start}"
        start += int(np.prod(shapes[name]))
    constants = [
        _constant(_identifier(i, key), value) for i, step in enumerate(steps) for key, value in step.constants.items()
    ]
    calls = [
        "  " + step.call.format(*(where[origin(n)] for n in step.inputs), y=where[step.name], **_names(i, step))
        for i, step in enumerate(steps)
        if step.call
    ]
    scratch = max([1, *(step.scratch for step in steps)])
    number, wide = C_TYPES[dtype], "int32_t" if dtype == "int8" else "float"
    header = (
        "#include <stdint.h>\n"
        f"#define INPUT_NUMBERS {int(np.prod(shape))}\n#define OUTPUT_NUMBERS {start}\n"
        f"#define ARENA_NUMBERS {max(1, arena // size)}\ntypedef {number} Number;\n"
        "extern Number arena[];\nvoid net_run(const Number *x, Number *y);\n"
    )
    parts = [
        '#include "net.h"\n#ifdef __wasm_simd128__\n#include <wasm_simd128.h>\n#endif\n',
        f"\n_Alignas(16) Number arena[ARENA_NUMBERS];\nstatic {wide} scratch[{scratch}];\n",
        '#pragma GCC diagnostic ignored "-Wunused-function"\n',
        (KERNELS / "both.c").read_text(encoding="utf-8"),
        (KERNELS / ("int8.c" if dtype == "int8" else "float.c")).read_text(encoding="utf-8"),
        *constants,
        "\nvoid net_run(const Number *x, Number *y) {\n" + "\n".join(calls) + "\n}\n",
    ]
    bytes_held = sum(value.nbytes for step in steps for value in step.constants.values())
    return CProgram(
        "".join(parts),
        header,
        shape,
        tuple(shapes[name] for name in outputs),
        dtype,
        arena + scratch * 4,
        bytes_held,
        {name: place // size for name, place in places.items()},
    )


def _lives(
    steps: Sequence[Step], origin: Callable[[str], str], shapes: dict[str, Shape], size: int, outside: Sequence[str]
) -> dict[str, Life]:
    """Find how long each map is needed that is neither input nor output."""
    lives: dict[str, Life] = {}
    for i, step in enumerate(steps):
        for name in map(origin, step.inputs):
            if name in lives:
                lives[name] = Life(lives[name].size, lives[name].first, i)
        if step.call and step.name not in outside:
            lives[step.name] = Life(int(np.prod(shapes[step.name])) * size, i, i)
    return lives


def _identifier(number: int, key: str) -> str:
    """Name a constant after its layer's number: layers' own names may be anything."""
    return f"layer{number}_{key}"


def _names(number: int, step: Step) -> dict[str, str]:
    return {key: _identifier(number, key) for key in step.constants}


def _constant(name: str, value: Array) -> str:
    """Write an array as C."""
    flat = value.reshape(-1)
    texts = [f"{float(v)!r}f" for v in flat] if value.dtype == np.float32 else [str(int(v)) for v in flat]
    rows = ",\n".join(",".join(texts[i : i + 24]) for i in range(0, len(texts), 24))
    kind = C_TYPES[value.dtype.name]
    return f"static const {kind} {name}[] = {{\n{rows}}};\n"


def _last(shape: Shape) -> Shape:
    return (*shape[1:], shape[0]) if len(shape) == 3 else shape


def _sides(shape: Shape) -> tuple[int, int, int]:
    """Give h, w and C of a map, 1 and 1 where it has no places."""
    return (shape[0], shape[1], shape[2]) if len(shape) == 3 else (1, 1, shape[0])


def _numbers(*values: Any) -> str:
    return ", ".join(str(int(v)) for v in values)


# Whole numbers


def _before(model: IntegerModel, layer: IntegerLayer) -> Shape:
    """Give the shape of a layer's first input."""
    name = layer.inputs[0]
    return model.shape if name == model.input else next(each.shape for each in model.layers if each.name == name)


def _to(how: Rescale) -> str:
    numbers = _numbers(how.offset, *how.activation, how.rounding == "double")
    return f"(Result){{{{{numbers}}}}}"  # doubled, since the call is a format


def _scaled(layer: IntegerLayer) -> tuple[dict[str, Array], str]:
    """Give a layer's multipliers and shifts as constants, one for each channel, and what its result is bound to."""
    how, channels = layer.rescale, layer.shape[-1]
    constants = {
        "multiplier": np.broadcast_to(how.multiplier, (channels,)).astype(np.int32),
        "shift": np.broadcast_to(how.shift, (channels,)).astype(np.int8),
    }
    return constants, _to(how)


def _integer_conv(layer: IntegerLayer, before: Shape) -> Step:
    o, (h, w, k) = layer.options, _sides(layer.shape)
    constants, to = _scaled(layer)
    constants |= {"weights": layer.weights, "bias": layer.bias.astype(np.int32)}
    kernel = layer.weights.shape[:2] if layer.op == "depthwise" else layer.weights.shape[1:3]
    if layer.op == "linear":
        kernel, kind = (1, 1), "conv"
    else:
        kind = layer.op
    if layer.op == "linear":
        before = (int(np.prod(before)),)
    sizes = _numbers(*kernel, *o.get("stride", (1, 1)), *o.get("padding", (0, 0)), o["input_offset"])
    call = (
        f"{kind}({{0}}, {_numbers(*_sides(before))}, {{y}}, {_numbers(h, w, k)}, {sizes}, "
        f"{{weights}}, {{bias}}, {{multiplier}}, {{shift}}, {to});"
    )
    return Step(layer.name, layer.inputs, layer.shape, call, constants, k if layer.op == "depthwise" else 0)


def _integer_pool(layer: IntegerLayer, before: Shape) -> Step:
    o, (h, w, _) = layer.options, _sides(layer.shape)
    sizes = _numbers(*o["size"], *o["stride"], *o.get("padding", (0, 0)))
    to = _to(Rescale(0, 0, 0, o.get("activation", INT8)))
    call = f"{layer.op}({{0}}, {_numbers(*_sides(before))}, {{y}}, {_numbers(h, w)}, {sizes}, {to});"
    return Step(layer.name, layer.inputs, layer.shape, call)


def _integer_mean(layer: IntegerLayer, before: Shape) -> Step:
    h, w, c = _sides(before)
    how = layer.rescale
    numbers = _numbers(h * w, c)
    factor = _numbers(layer.options["input_offset"], how.multiplier, how.shift)
    call = f"mean({{0}}, {numbers}, {{y}}, {factor}, {_to(how)});"
    return Step(layer.name, layer.inputs, layer.shape, call)


def _integer_add(layer: IntegerLayer, before: Shape) -> Step:
    o, how = layer.options, layer.rescale
    each = [(o["offsets"][i], o["multipliers"][i], o["shifts"][i]) for i in (0, 1)]
    numbers = np.array([*each[0], *each[1], o["left_shift"]], dtype=np.int32)
    to = _to(how)
    call = f"add({{0}}, {{1}}, {np.prod(layer.shape)}, {{y}}, {{how}}, {_numbers(how.multiplier, how.shift)}, {to});"
    return Step(layer.name, layer.inputs, layer.shape, call, {"how": numbers})


def _integer_table(layer: IntegerLayer, before: Shape) -> Step:
    call = f"by_table({{0}}, {np.prod(layer.shape)}, {{y}}, {{table}});"
    return Step(layer.name, layer.inputs, layer.shape, call, {"table": layer.table})


def _integer_softmax(layer: IntegerLayer, before: Shape) -> Step:
    h, w, c = _sides(layer.shape)
    if c > LARGEST_SOFTMAX:
        raise _check.InputError(f"integer_c: a softmax may have {LARGEST_SOFTMAX} channels, got {c} at {layer.name}")
    call = f"softmax({{0}}, {_numbers(h * w, c)}, {{y}}, {{table}});"
    return Step(layer.name, layer.inputs, layer.shape, call, {"table": layer.table})


def _upsample(name: str, inputs: tuple[str, ...], shape: Shape, before: Shape, factor: tuple[int, int]) -> Step:
    call = f"upsample({{0}}, {_numbers(*_sides(before))}, {{y}}, {_numbers(*factor)});"
    return Step(name, inputs, shape, call)


_INTEGER: dict[str, Callable[[IntegerLayer, Shape], Step]] = {
    "conv": _integer_conv,
    "depthwise": _integer_conv,
    "conv_transpose": _integer_conv,
    "linear": _integer_conv,
    "max_pool": _integer_pool,
    "avg_pool": _integer_pool,
    "mean": _integer_mean,
    "add": _integer_add,
    "table": _integer_table,
    "softmax": _integer_softmax,
    "flatten": lambda layer, before: Step(layer.name, layer.inputs, layer.shape, ""),
    "upsample": lambda layer, before: _upsample(layer.name, layer.inputs, layer.shape, before, layer.options["factor"]),
}


# Floating point

Shapes = dict[str, Shape]


def _float32(values: Tensor) -> Array:
    return values.detach().float().numpy()


def _bounds(node: Node) -> str:
    low, high = node.clamp or (-np.inf, np.inf)
    texts = [f"{max(min(bound, 3.4e38), -3.4e38)!r}f" for bound in (float(low), float(high))]
    return f"(Result){{{{{', '.join(texts)}}}}}"


def _float_conv(node: Node, shapes: Shapes) -> Step:
    weight, o = _float32(node.weight), node.options
    before, (h, w, k) = _sides(shapes[node.inputs[0]]), _sides(shapes[node.name])
    kind = node.op
    if node.op == "conv" and o["groups"] == before[2] and o["groups"] > 1:
        kind, arranged = "depthwise", weight[:, 0].transpose(1, 2, 0)  # (kh, kw, C m)
    elif o["groups"] != 1:
        raise _check.InputError(
            f"float_c: groups must be 1 or the number of channels, got {o['groups']} at {node.name}"
        )
    elif node.op == "conv":
        arranged = weight.transpose(2, 3, 1, 0)  # (kh, kw, C, K)
    else:
        arranged = weight.transpose(2, 3, 0, 1)  # of (C, K, kh, kw)
    sizes = _numbers(*weight.shape[2:], *o["stride"], *o["padding"])
    places = f"{{0}}, {_numbers(*before)}, {{y}}, {_numbers(h, w, k)}"
    call = f"{kind}({places}, {sizes}, {{weights}}, {{bias}}, {_bounds(node)});"
    constants = {"weights": np.ascontiguousarray(arranged), "bias": _float32(node.bias)}
    return Step(node.name, node.inputs, shapes[node.name], call, constants, k)


def _float_linear(node: Node, shapes: Shapes, before: Shape) -> Step:
    outputs, inputs = node.weight.shape
    columns = _float32(node.weight).reshape(outputs, *before)  # (K, C, h, w)
    weights = np.moveaxis(columns, 1, -1).reshape(outputs, inputs)
    constants = {"weights": np.ascontiguousarray(weights.T), "bias": _float32(node.bias)}
    numbers = _numbers(1, 1, outputs, 1, 1, 1, 1, 0, 0)
    call = f"conv({{0}}, {_numbers(1, 1, inputs)}, {{y}}, {numbers}, {{weights}}, {{bias}}, {_bounds(node)});"
    return Step(node.name, node.inputs, shapes[node.name], call, constants, outputs)


def _float_pool(node: Node, shapes: Shapes) -> Step:
    o, (h, w, _) = node.options, _sides(shapes[node.name])
    sizes = _numbers(*o["size"], *o["stride"], *o["padding"])
    call = f"{node.op}({{0}}, {_numbers(*_sides(shapes[node.inputs[0]]))}, {{y}}, {_numbers(h, w)}, {sizes});"
    return Step(node.name, node.inputs, shapes[node.name], call)


def _float_mean(node: Node, shapes: Shapes) -> Step:
    h, w, c = _sides(shapes[node.inputs[0]])
    return Step(node.name, node.inputs, shapes[node.name], f"mean({{0}}, {_numbers(h * w, c)}, {{y}});")


def _float_each(node: Node, shapes: Shapes) -> Step:
    bounds = f", {_bounds(node)}" if node.op == "clamp" else ""
    call = f"{node.op}({{0}}, {np.prod(shapes[node.name])}, {{y}}{bounds});"
    return Step(node.name, node.inputs, shapes[node.name], call)


def _float_add(node: Node, shapes: Shapes) -> Step:
    call = f"add({{0}}, {{1}}, {np.prod(shapes[node.name])}, {{y}}, {_bounds(node)});"
    return Step(node.name, node.inputs, shapes[node.name], call)


def _float_softmax(node: Node, shapes: Shapes) -> Step:
    h, w, c = _sides(shapes[node.name])
    return Step(node.name, node.inputs, shapes[node.name], f"softmax({{0}}, {_numbers(h * w, c)}, {{y}});")


def _float_norm(node: Node, shapes: Shapes) -> Step:
    h, w, c = _sides(shapes[node.name])
    call = f"instance_norm({{0}}, {_numbers(h * w, c)}, {{y}}, {{gain}}, {{bias}}, {float(node.options['eps'])!r}f);"
    constants = {"gain": _float32(node.weight), "bias": _float32(node.bias)}
    return Step(node.name, node.inputs, shapes[node.name], call, constants)


def _float_pad(node: Node, shapes: Shapes) -> Step:
    before = _sides(shapes[node.inputs[0]])
    call = f"pad_reflect({{0}}, {_numbers(*before)}, {{y}}, {_numbers(*node.options['padding'])});"
    return Step(node.name, node.inputs, shapes[node.name], call)


_FLOAT: dict[str, Callable[[Node, Shapes], Step]] = {
    "conv": _float_conv,
    "conv_transpose": _float_conv,
    "max_pool": _float_pool,
    "avg_pool": _float_pool,
    "mean": _float_mean,
    "add": _float_add,
    "clamp": _float_each,
    "sigmoid": _float_each,
    "hard_swish": _float_each,
    "silu": _float_each,
    "softmax": _float_softmax,
    "instance_norm": _float_norm,
    "pad_reflect": _float_pad,
    "flatten": lambda node, shapes: Step(node.name, node.inputs, shapes[node.name], ""),
    "upsample": lambda node, shapes: _upsample(
        node.name, node.inputs, shapes[node.name], shapes[node.inputs[0]], node.options["factor"]
    ),
}
