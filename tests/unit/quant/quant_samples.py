"""What the tests of quantization share: the digits' network in all its forms, small networks, and random ones."""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from cvlab import quant
from cvlab.data import digits
from cvlab.models import digit_net
from cvlab.quant import integer
from cvlab.quant.integer_model import IntegerLayer, IntegerModel
from cvlab.quant.tables import exp_table

ROUNDINGS = ("double", "single")


class Digits(NamedTuple):
    net: nn.Module
    model: quant.QuantModel
    whole: IntegerModel
    images: Tensor
    x: np.ndarray


@functools.cache
def quantized_digits() -> Digits:
    net = digit_net("digit_net")
    calibration, images = (digits(count, split)[0].float() / 255 for count, split in ((200, "train"), (300, "test")))
    model = quant.quantize_model(net, [calibration], input_range=(0, 1))
    whole = quant.to_integer(model)
    return Digits(net, model, whole, images, whole.quantize_input(images))


def shaken(net: nn.Module, seed: int = 0) -> nn.Module:
    """Give random statistics and gains to all normalisation, and put the network in evaluation mode."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in net.modules():
            for name in ("running_mean", "bias"):
                if isinstance(getattr(module, name, None), Tensor):
                    getattr(module, name).normal_(0, 0.3, generator=generator)
            for name in ("running_var", "weight"):
                value = getattr(module, name, None)
                if isinstance(value, Tensor) and value.dim() == 1:
                    value.uniform_(0.3, 3, generator=generator)
    return net.eval()


class Branches(nn.Module):
    """Odd sizes, a map that is used twice, residual sums, and three outputs, two of which are inputs of others."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 5, 3, 2, 1), nn.BatchNorm2d(5), nn.ReLU6())
        self.side = nn.Sequential(nn.Conv2d(5, 5, (3, 1), padding=(1, 0), groups=5), nn.BatchNorm2d(5))
        self.up = nn.ConvTranspose2d(5, 3, 3, 2, 1, output_padding=1)
        self.head = nn.Linear(5, 7)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        a = self.stem(x)
        b = torch.relu(a + self.side(a))
        c = b + b
        return b, self.up(c).sigmoid(), self.head(c.mean((2, 3))).softmax(-1)


def to_last(x: Tensor) -> np.ndarray:
    return x.detach().permute(0, 2, 3, 1).contiguous().numpy() if x.dim() == 4 else x.detach().numpy()


def random_model(seed: int, layers: int = 16, rounding: str | None = None) -> IntegerModel:
    """Make a network of random layers on random maps, with numbers over all their range; what is left comes out."""
    rng = np.random.default_rng(seed)
    shapes = {"x": (int(rng.integers(5, 10)), int(rng.integers(5, 10)), int(rng.choice([1, 3, 5, 8])))}
    made: list[IntegerLayer] = []
    while len(made) < layers:
        op = str(rng.choice(list(MAKERS)))
        rows = [name for name, shape in shapes.items() if len(shape) == 1]
        source = str(rng.choice(rows if op == "linear" and rows else list(shapes)))
        layer = MAKERS[op](rng, f"{op}/{len(made)}", source, shapes, rounding or str(rng.choice(ROUNDINGS)))
        if layer is not None and np.prod(layer.shape) < 3000:
            made.append(layer)
            shapes[layer.name] = layer.shape
    taken = {name for layer in made for name in layer.inputs}
    inner = [layer.name for layer in made if layer.op == "conv"][:1]  # an output that is also an input
    flat = {layer.name for layer in made if layer.op == "flatten"}
    names = [
        layer.name for layer in made if layer.name not in flat and (layer.name not in taken or layer.name in inner)
    ]
    return IntegerModel("x", shapes["x"], tuple(made), tuple(names), {})


def _rescale(rng, channels, rounding, one=False):
    if rng.random() < 0.3:  # an activation
        low, high = sorted(int(v) for v in rng.integers(-128, 128, 2))
    else:
        low, high = -128, 127
    count = 1 if one else channels
    multipliers = rng.integers(2**30, 2**31, count)
    shifts = rng.integers(-14, -4, count)
    extreme = rng.random(count) < 0.15
    multipliers[extreme] = rng.choice([0, 2**30, 2**31 - 1], extreme.sum())
    shifts[extreme] = rng.choice([-31, -1, 0, 1, 5], extreme.sum())
    if one:
        multipliers, shifts = int(multipliers[0]), int(shifts[0])
    return integer.Rescale(multipliers, shifts, int(rng.integers(-128, 128)), (low, high), rounding)


def _conv(rng, name, source, shapes, rounding):
    if len(shapes[source]) < 3:
        return None
    height, width, channels = shapes[source]
    kind = name.split("/")[0]
    kernel = [int(k) for k in rng.integers(1, 5, 2)]
    stride, padding = (tuple(int(v) for v in rng.integers(low, 3, 2)) for low in (1, 0))
    options = {"input_offset": int(rng.integers(-127, 129)), "stride": stride, "padding": padding}
    if kind == "conv_transpose":
        size = [(n - 1) * s - 2 * p + k for n, s, p, k in zip((height, width), stride, padding, kernel, strict=True)]
        size = [n + int(rng.integers(0, s)) for n, s in zip(size, stride, strict=True)]
        options["input_size"] = (height, width)
    else:
        size = [(n + 2 * p - k) // s + 1 for n, s, p, k in zip((height, width), stride, padding, kernel, strict=True)]
    if min(size) < 1:
        return None
    options["output_size"] = tuple(size)
    out = channels * int(rng.integers(1, 4)) if kind == "depthwise" else int(rng.choice([1, 2, 3, 4, 5, 7, 9]))
    shape = (*kernel, out) if kind == "depthwise" else (out, *kernel, channels)
    weights = rng.integers(-128, 128, shape).astype(np.int8)
    bias = rng.integers(-(2**16), 2**16, out).astype(np.int32)
    rescale = _rescale(rng, out, rounding)
    return IntegerLayer(name, kind, (source,), (*size, out), options, weights, bias, None, rescale)


def _linear(rng, name, source, shapes, rounding):
    if len(shapes[source]) != 1:
        return None
    out = int(rng.choice([1, 4, 6, 10]))
    weights = rng.integers(-128, 128, (out, *shapes[source])).astype(np.int8)
    bias = rng.integers(-(2**20), 2**20, out).astype(np.int32)
    options = {"input_offset": int(rng.integers(-127, 129))}
    return IntegerLayer(name, "linear", (source,), (out,), options, weights, bias, None, _rescale(rng, out, rounding))


def _pool(rng, name, source, shapes, rounding):
    if len(shapes[source]) < 3:
        return None
    *sides, channels = shapes[source]
    size, stride = ([int(v) for v in rng.integers(1, 4, 2)] for _ in range(2))
    padding = [int(rng.integers(0, k // 2 + 1)) for k in size]
    up = int(rng.integers(0, 2))  # ceil_mode: a last window that begins within the map
    counts = [(n + 2 * p - k + up * (s - 1)) // s + 1 for n, k, s, p in zip(sides, size, stride, padding, strict=True)]
    counts = [c - 1 if (c - 1) * s >= n + p else c for c, n, s, p in zip(counts, sides, stride, padding, strict=True)]
    if min(counts) < 1 or any(n < k for n, k in zip(sides, size, strict=True)):
        return None
    options = {"size": size, "stride": stride, "padding": padding, "output_size": tuple(counts)}
    options["activation"] = _rescale(rng, 1, rounding).activation
    return IntegerLayer(name, name.split("/")[0], (source,), (*counts, channels), options)


def _mean(rng, name, source, shapes, rounding):
    if len(shapes[source]) < 3:
        return None
    shape = (1, 1, shapes[source][2]) if rng.random() < 0.5 else (shapes[source][2],)
    options = {"input_offset": int(rng.integers(-127, 129))}
    return IntegerLayer(name, "mean", (source,), shape, options, rescale=_rescale(rng, 1, rounding, one=True))


def _add(rng, name, source, shapes, rounding):
    other = str(rng.choice([each for each, shape in shapes.items() if shape == shapes[source]]))
    one, two = (quant.quantize_multiplier(value) for value in (0.5, rng.uniform(0.001, 0.5)))
    options = {"offsets": tuple(int(v) for v in rng.integers(-127, 129, 2)), "left_shift": 20}
    options |= {"multipliers": (one[0], two[0]), "shifts": (one[1], two[1])}
    back = quant.quantize_multiplier(rng.uniform(0.3, 3) / 2**20)
    how = integer.Rescale(*back, int(rng.integers(-128, 128)), (-128, 127), rounding)
    return IntegerLayer(name, "add", (source, other), shapes[source], options, rescale=how)


def _table(rng, name, source, shapes, rounding):
    return IntegerLayer(name, "table", (source,), shapes[source], table=rng.integers(-128, 128, 256).astype(np.int8))


def _softmax(rng, name, source, shapes, rounding):
    table = exp_table(float(rng.choice([1e-4, 0.05, 0.4, 30])))
    return IntegerLayer(name, "softmax", (source,), shapes[source], table=table)


def _flatten(rng, name, source, shapes, rounding):
    return IntegerLayer(name, "flatten", (source,), (int(np.prod(shapes[source])),))


def _upsample(rng, name, source, shapes, rounding):
    if len(shapes[source]) < 3:
        return None
    down, across = (int(v) for v in rng.integers(1, 4, 2))
    h, w, c = shapes[source]
    return IntegerLayer(name, "upsample", (source,), (h * down, w * across, c), {"factor": (down, across)})


MAKERS = {
    **dict.fromkeys(("conv", "depthwise", "conv_transpose"), _conv),
    **dict.fromkeys(("max_pool", "avg_pool"), _pool),
    "linear": _linear,
    "mean": _mean,
    "add": _add,
    "table": _table,
    "softmax": _softmax,
    "flatten": _flatten,
    "upsample": _upsample,
}


def extreme_inputs(shape: tuple[int, ...], count: int, seed: int = 0) -> np.ndarray:
    """Make random numbers, the first ones all at an end, the next ones all at one or the other."""
    rng = np.random.default_rng(seed)
    x = rng.integers(-128, 128, (max(6, count), *shape)).astype(np.int8)
    x[0], x[1] = -128, 127
    x[2:6] = rng.choice([-128, 127], (4, *shape))
    return x[:count]
