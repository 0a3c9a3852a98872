"""A network in whole numbers with Python's own, one at a time: slow, and written from the definitions alone."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

from cvlab.quant.integer_model import IntegerLayer, IntegerModel

Map = Any  # lists of lists of lists of int: rows of pixels, channels last; or a list of int


def register(value: int) -> int:
    """What is left of a number in 32 bits."""
    return (value + 2**31) % 2**32 - 2**31


def away(value: Fraction) -> int:
    """Round to the nearest, halves away from 0."""
    return int(math.copysign(math.floor(abs(value) + Fraction(1, 2)), value))


def scaled(total: int, multiplier: int, shift: int, rounding: str) -> int:
    assert register(total) == total, "a sum does not fit into 32 bits"
    if rounding == "single":
        return register(math.floor(Fraction(total * multiplier) * Fraction(2) ** (shift - 31) + Fraction(1, 2)))
    high = Fraction(register(total << max(shift, 0)) * multiplier, 2**31)
    first = math.floor(high + Fraction(1, 2)) if high >= 0 else math.ceil(high - Fraction(1, 2) + Fraction(1, 2**31))
    return away(Fraction(min(first, 2**31 - 1), 2 ** max(-shift, 0)))


def clipped(value: int, bounds: tuple[int, int]) -> int:
    return min(max(value, bounds[0]), bounds[1])


def one(value: Any, k: int) -> int:
    """A number for channel k, of one for each or one for all."""
    values = [int(v) for v in getattr(value, "ravel", lambda: [value])()]
    return values[k if len(values) > 1 else 0]


def result(layer: IntegerLayer, total: int, k: int = 0) -> int:
    how = layer.rescale
    return clipped(
        scaled(int(total), one(how.multiplier, k), one(how.shift, k), how.rounding) + how.offset, how.activation
    )


def weighted(layer: IntegerLayer, x: Map) -> Map:
    if layer.op == "linear":
        rows = layer.weights.tolist()
        offset = layer.options["input_offset"]
        return [
            result(layer, int(layer.bias[k]) + sum((v + offset) * w for v, w in zip(x, rows[k], strict=True)), k)
            for k in range(len(rows))
        ]
    height, width, channels = len(x), len(x[0]), len(x[0][0])
    o, weights = layer.options, layer.weights.tolist()
    kh, kw = layer.weights.shape[:2] if layer.op == "depthwise" else layer.weights.shape[1:3]
    h, w, out = layer.shape
    sums = [[[int(layer.bias[k]) for k in range(out)] for _ in range(w)] for _ in range(h)]

    def product(r: int, c: int, i: int, j: int, k: int) -> int:
        pixel = [v + o["input_offset"] for v in x[r][c]]
        if layer.op == "depthwise":
            return pixel[k // (out // channels)] * weights[i][j][k]
        return sum(v * u for v, u in zip(pixel, weights[k][i][j], strict=True))

    for r in range(height):
        for c in range(width):
            for i in range(kh):
                for j in range(kw):
                    if layer.op == "conv_transpose":  # this pixel lays its kernel down
                        at, by = r * o["stride"][0] + i - o["padding"][0], c * o["stride"][1] + j - o["padding"][1]
                    else:  # the windows that this pixel lies in
                        at, rest = divmod(r + o["padding"][0] - i, o["stride"][0])
                        by, other = divmod(c + o["padding"][1] - j, o["stride"][1])
                        if rest or other:
                            continue
                    if 0 <= at < h and 0 <= by < w:
                        for k in range(out):
                            sums[at][by][k] += product(r, c, i, j, k)
    return [[[result(layer, v, k) for k, v in enumerate(pixel)] for pixel in row] for row in sums]


def pooled(layer: IntegerLayer, x: Map) -> Map:
    o, (h, w, channels) = layer.options, layer.shape

    def pixel(r: int, c: int, k: int) -> int:
        rows = range(r * o["stride"][0] - o["padding"][0], r * o["stride"][0] - o["padding"][0] + o["size"][0])
        columns = range(c * o["stride"][1] - o["padding"][1], c * o["stride"][1] - o["padding"][1] + o["size"][1])
        inside = [x[i][j][k] for i in rows for j in columns if 0 <= i < len(x) and 0 <= j < len(x[0])]
        found = max(inside) if layer.op == "max_pool" else away(Fraction(sum(inside), len(inside)))
        return clipped(found, o["activation"])

    return [[[pixel(r, c, k) for k in range(channels)] for c in range(w)] for r in range(h)]


def mean(layer: IntegerLayer, x: Map) -> Map:
    offset = layer.options["input_offset"]
    found = [result(layer, sum(p[k] + offset for row in x for p in row)) for k in range(layer.shape[-1])]
    return found if len(layer.shape) == 1 else [[found]]


def each(function: Any, *maps: Map) -> Map:
    """Do something with each number."""
    if isinstance(maps[0], list):
        return [each(function, *parts) for parts in zip(*maps, strict=True)]
    return function(*maps)


def add(layer: IntegerLayer, a: Map, b: Map) -> Map:
    o = layer.options

    def total(*pair: int) -> int:
        parts = zip(pair, o["offsets"], o["multipliers"], o["shifts"], strict=True)
        return result(
            layer, sum(scaled((v + z) * 2 ** o["left_shift"], m, s, layer.rescale.rounding) for v, z, m, s in parts)
        )

    return each(total, a, b)


def softmax(layer: IntegerLayer, x: Map) -> Map:
    if isinstance(x[0], list):
        return [softmax(layer, part) for part in x]
    values = [int(layer.table[max(x) - v]) for v in x]
    return [
        min(127, math.floor(Fraction(256 * v, sum(values)) + Fraction(sum(values) // 2, sum(values))) - 128)
        for v in values
    ]


def flat(x: Map) -> list[int]:
    return [v for part in x for v in flat(part)] if isinstance(x, list) else [x]


SLOW = {
    **dict.fromkeys(("conv", "depthwise", "conv_transpose", "linear"), weighted),
    **dict.fromkeys(("max_pool", "avg_pool"), pooled),
    "mean": mean,
    "add": add,
    "table": lambda layer, x: each(lambda v: int(layer.table[v + 128]), x),
    "softmax": softmax,
    "flatten": lambda layer, x: flat(x),
    "upsample": lambda layer, x: [
        [pixel for pixel in row for _ in range(layer.options["factor"][1])]
        for row in x
        for _ in range(layer.options["factor"][0])
    ],
}


def slow_run(model: IntegerModel, x: Any) -> list[Map]:
    """Compute all outputs of one input (H, W, C)."""
    values = {model.input: x.tolist()}
    for layer in model.layers:
        values[layer.name] = SLOW[layer.op](layer, *(values[name] for name in layer.inputs))
    return [values[name] for name in model.outputs]
