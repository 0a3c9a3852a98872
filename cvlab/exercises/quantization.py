"""The exercises of the chapters on quantization and on devices."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from cvlab.exercises.boxes import _generator
from cvlab.exercises.check import Case, Exercise
from cvlab.quant import (
    LearnedStep,
    Node,
    QuantParams,
    choose_qparams,
    dequantize,
    exp_table,
    fake_quantize,
    float16,
    fold_batch_norm,
    lookup_table,
    quantize,
    quantize_multiplier,
    softmax_int8,
)
from cvlab.quant.fixed_point import _rounding_shift
from cvlab.quant.integer_model import IntegerLayer, constant_bytes
from cvlab.quant.tables import SHARE
from cvlab.quant.targets.cpu import add_pairs_int16
from cvlab.quant.targets.memory import Life, plan

# The arithmetic


def _scale_and_zero(low: float, high: float) -> tuple[float, int]:
    params = choose_qparams(low, high)
    return params.scale.item(), int(params.zero_point)


def _by_steps(steps: int, first: int = -128) -> Callable[[float, float], tuple[float, int]]:
    """Make a function that divides the range by a number of steps, and begins with another whole number."""

    def choose(low: float, high: float) -> tuple[float, int]:
        low, high = min(low, 0.0), max(high, 0.0)
        return (high - low) / steps, round(first - low / (high - low) * steps)

    return choose


def _without_zero(low: float, high: float) -> tuple[float, int]:
    scale = (high - low) / 255
    return scale, round(-128 - low / scale)


def _cut_zero(low: float, high: float) -> tuple[float, int]:
    scale, zero = _without_zero(low, high)
    return scale, min(max(zero, -128), 127)


def _truncated_zero(low: float, high: float) -> tuple[float, int]:
    scale, _ = _scale_and_zero(low, high)
    return scale, math.trunc(-128 - min(low, 0.0) / scale)


def _symmetric(low: float, high: float) -> tuple[float, int]:
    return max(abs(low), abs(high)) / 127, 0


def _turned_zero(low: float, high: float) -> tuple[float, int]:
    scale, zero = _scale_and_zero(low, high)
    return scale, -256 - zero


SCALE_MISTAKES = {
    "The number 0 must have a whole number of its own: let the range reach it before anything else.": _without_zero,
    "Cutting the zero point off is not enough: let the range reach 0 first, then the scale fits it too.": _cut_zero,
    "256 numbers have 255 steps between them.": _by_steps(256),
    "The whole numbers go from -128 to 127 here, not from 0 to 255.": _by_steps(255, 0),
    "The zero point is rounded to the nearest whole number; this cuts its fraction off.": _truncated_zero,
    "This is symmetric: here the smallest number becomes -128 and the largest 127.": _symmetric,
    "The sign: the smallest number divided by the scale, plus the zero point, is -128.": _turned_zero,
}


def _ranges() -> Iterator[Case]:
    yield Case("from -10 to 30: a quarter lies below 0", (-10.0, 30.0))
    yield Case("what ReLU6 gives: 0 is the smallest number", (0.0, 6.0))
    yield Case("all above 0: the range reaches down to 0", (2.0, 6.0))
    yield Case("all below 0: the range reaches up to 0", (-5.0, -1.0))
    yield Case("0 is the largest number", (-3.0, 0.0))
    yield Case("nearly symmetric: the zero point is near the middle", (-1.0, 1.01))
    yield Case("a zero point that must be rounded up", (-0.3, 1.0))


def _params(scale: float, zero_point: int) -> QuantParams:
    return QuantParams(torch.tensor(scale), torch.tensor(zero_point))


def _round_trip(x: Tensor, scale: float, zero_point: int) -> Tensor:
    params = _params(scale, zero_point)
    return dequantize(quantize(x, params), params)


TRIP_MISTAKES = {
    "Cut off after the zero point has been added: -128 and 127 are bounds of the stored number.": lambda x, s, z: (
        s * (x / s).round().clamp(-128, 127)
    ),
    "Nothing is cut off here: there is no whole number below -128 or above 127.": lambda x, s, z: s * (x / s).round(),
    "This cuts the fraction off: round to the nearest.": lambda x, s, z: (
        s * ((x / s).trunc() + z).clamp(-128, 127) - s * z
    ),
    "This rounds down: round to the nearest.": lambda x, s, z: s * ((x / s).floor() + z).clamp(-128, 127) - s * z,
    "This rounds halves away from 0; `round` takes them to the even number.": lambda x, s, z: (
        s * (x.sign() * ((x / s).abs() + 0.5).floor() + z).clamp(-128, 127) - s * z
    ),
    "On the way back the zero point is subtracted before the scale multiplies.": lambda x, s, z: (
        s * ((x / s).round() + z).clamp(-128, 127)
    ),
    "These are the whole numbers; go back to real ones.": lambda x, s, z: ((x / s).round() + z).clamp(-128, 127),
    "The smallest number is -128, not -127.": lambda x, s, z: s * ((x / s).round() + z).clamp(-127, 127) - s * z,
    "These are numbers from 0 to 255; the stored ones go from -128 to 127.": lambda x, s, z: (
        s * ((x / s).round() + z).clamp(0, 255) - s * z
    ),
}


def _tensors() -> Iterator[Case]:
    g = _generator(90)
    yield Case("multiples of the scale stay as they are", (torch.tensor([-1.0, 0.0, 0.5, 12.0]), 0.5, 0))
    yield Case("what lies between goes to the nearest", (torch.tensor([0.1, 0.2, -0.3, -0.45, 1.4]), 0.25, 0))
    yield Case("halves go to the even number", (torch.tensor([0.25, 0.75, 1.25, -0.25, -0.75]), 0.5, 10))
    yield Case("too large and too small", (torch.tensor([99.0, -99.0, 5.0]), 0.5, 0))
    yield Case("0 is exact, whatever the zero point", (torch.zeros(3), 0.1, -37))
    yield Case("numbers from 0 on: zero point -128", (torch.tensor([-0.2, 0.0, 3.01, 6.0, 7.0]), 6 / 255, -128))
    yield Case("most room below 0: zero point 100", (torch.tensor([-30.0, -22.8, 1.0, 2.7, 4.0]), 0.1, 100))
    yield Case("random, two by three", (5 * torch.randn(2, 3, generator=g), 0.03, 20))


def _straight(x: Tensor, scale: float, zero_point: int, upstream: Tensor) -> Tensor:
    leaf = x.clone().requires_grad_()
    return torch.autograd.grad(fake_quantize(leaf, _params(scale, zero_point)), leaf, upstream)[0]


def _whole(x: Tensor, scale: float, zero_point: int) -> Tensor:
    return (x / scale).round() + zero_point


STRAIGHT_MISTAKES = {
    "Where something is cut off, the gradient is 0: the result does not move with x there.": lambda x, s, z, u: u,
    "This is the gradient of rounding itself, 0 everywhere: the straight-through estimator takes 1 instead.": (
        lambda x, s, z, u: torch.zeros_like(u)
    ),
    "-128 and 127 themselves are not cut off.": lambda x, s, z, u: (
        u * ((_whole(x, s, z) > -128) & (_whole(x, s, z) < 127))
    ),
    "Round before you compare: what rounds to 127 is not cut off.": lambda x, s, z, u: (
        u * ((x / s + z >= -128) & (x / s + z <= 127))
    ),
    "The bounds are those of the stored number: add the zero point before you compare.": lambda x, s, z, u: (
        u * ((_whole(x, s, 0) >= -128) & (_whole(x, s, 0) <= 127))
    ),
    "This is the mask: multiply it by the gradient from above.": lambda x, s, z, u: (
        (_whole(x, s, z) >= -128) & (_whole(x, s, z) <= 127)
    ).float(),
    "This lets through what is cut off, and stops the rest.": lambda x, s, z, u: (
        u * ((_whole(x, s, z) < -128) | (_whole(x, s, z) > 127))
    ),
    "The scale divides on the way in and multiplies on the way out: it does not stay in the gradient.": (
        lambda x, s, z, u: u * s * ((_whole(x, s, z) >= -128) & (_whole(x, s, z) <= 127))
    ),
}


def _gradients() -> Iterator[Case]:
    g = _generator(91)
    yield Case("nothing is cut off: the gradient as it came", (torch.tensor([0.3, -2.0, 0.0]), 0.5, 0, torch.ones(3)))
    yield Case(
        "cut off at both ends: 0",
        (torch.tensor([-100.0, 1.0, 100.0]), 0.5, 0, torch.tensor([2.0, 3.0, 4.0])),
    )
    yield Case("exactly -128 and 127", (torch.tensor([-64.0, 63.5]), 0.5, 0, torch.tensor([1.0, -1.0])))
    yield Case("a little beyond, and rounded back", (torch.tensor([-64.2, 63.7, 63.8]), 0.5, 0, torch.ones(3)))
    yield Case("zero point -128: nothing below 0", (torch.tensor([-1.0, 0.0, 50.0, 127.0]), 0.5, -128, torch.ones(4)))
    yield Case(
        "random",
        (40 * torch.randn(3, 5, generator=g), 0.25, 15, torch.randn(3, 5, generator=g)),
    )


def _step_gradient(x: Tensor, step: float, low: int, high: int) -> Tensor:
    layer = LearnedStep(torch.ones(1), low, high, gradient_scale=False)
    layer.step.data.fill_(step)
    pulls = [torch.autograd.grad(layer(one).sum(), layer.step)[0] for one in x]
    return torch.stack(pulls)


def _inside(x: Tensor, step: float, low: int, high: int) -> Tensor:
    return (x / step > low) & (x / step < high)


STEP_MISTAKES = {
    "Where something is cut off, the result is a bound times the step: the bound is its gradient, not 0.": (
        lambda x, s, low, high: ((x / s).round() - x / s) * _inside(x, s, low, high)
    ),
    "The quotient x / step moves with the step, too: inside, subtract it.": lambda x, s, low, high: (
        (x / s).round().clamp(low, high)
    ),
    "Rounding goes straight through: inside, there is more than -x / step.": lambda x, s, low, high: torch.where(
        _inside(x, s, low, high), -x / s, (x / s).clamp(low, high)
    ),
    "Inside, it is the rounded quotient less the quotient, not the other way round.": lambda x, s, low, high: (
        torch.where(_inside(x, s, low, high), x / s - (x / s).round(), (x / s).clamp(low, high))
    ),
    "This has x's unit: the step must not be multiplied in once more.": lambda x, s, low, high: (
        s * _step_gradient(x, s, low, high)
    ),
    "Beyond the bounds nothing depends on x / step: there the gradient is the bound alone.": lambda x, s, low, high: (
        (x / s).round().clamp(low, high) - x / s
    ),
}


def _steps() -> Iterator[Case]:
    g = _generator(92)
    yield Case("multiples of the step pull at nothing", (torch.tensor([0.0, 0.5, -1.0]), 0.5, -4, 3))
    yield Case("rounded up and rounded down", (torch.tensor([0.4, 0.6, -0.4, -0.6]), 0.5, -4, 3))
    yield Case("cut off above and below", (torch.tensor([9.0, -9.0]), 0.5, -4, 3))
    yield Case("what is cut off pulls alike, however far it lies beyond", (torch.tensor([3.0, 30.0]), 0.5, -4, 3))
    yield Case("behind a ReLU: the lower bound is 0", (torch.tensor([-0.3, 0.2, 0.9, 7.0]), 0.25, 0, 15))
    yield Case("random, 4 bits", (2 * torch.randn(12, generator=g), 0.3, -8, 7))


EPS = 1e-5
Folded = tuple[Tensor, Tensor]


def _fold(weight: Tensor, bias: Tensor, gamma: Tensor, beta: Tensor, mean: Tensor, variance: Tensor) -> Folded:
    factor = gamma / (variance + EPS).sqrt()
    layer = Node("a", "conv", ("x",), weight=weight, bias=bias)
    folded = fold_batch_norm(layer, Node("b", "batch_norm", ("a",), weight=factor, bias=beta - mean * factor))
    return folded.weight, folded.bias


def _folded(factor: Tensor, weight: Tensor, bias: Tensor) -> Folded:
    return weight * factor[:, None, None, None], bias


def _norm_factor(gamma: Tensor, variance: Tensor) -> Tensor:
    return gamma / (variance + EPS).sqrt()


FOLD_MISTAKES: dict[str, Callable[..., Folded]] = {
    "The layer's own bias goes through the normalisation too: its factor multiplies it.": lambda w, b, g, t, m, v: (
        _folded(_norm_factor(g, v), w, b + t - m * _norm_factor(g, v))
    ),
    "The layer's own bias is missing.": lambda w, b, g, t, m, v: _fold(w, torch.zeros_like(b), g, t, m, v),
    "The mean is missing in the bias.": lambda w, b, g, t, m, v: _fold(w, b, g, t, torch.zeros_like(m), v),
    "The mean is subtracted before the factor multiplies: the factor belongs to it, too.": lambda w, b, g, t, m, v: (
        _folded(_norm_factor(g, v), w, b * _norm_factor(g, v) - m + t)
    ),
    "The mean is subtracted, not added.": lambda w, b, g, t, m, v: _fold(w, b, g, t, -m, v),
    "Divide by the root of the variance.": lambda w, b, g, t, m, v: _folded(
        g / (v + EPS), w, (b - m) * g / (v + EPS) + t
    ),
    "Epsilon belongs under the root, to the variance.": lambda w, b, g, t, m, v: _folded(
        g / (v.sqrt() + EPS), w, (b - m) * g / (v.sqrt() + EPS) + t
    ),
    "Epsilon is missing: a channel that has died has a variance of nearly 0.": lambda w, b, g, t, m, v: _folded(
        g / v.sqrt(), w, (b - m) * g / v.sqrt() + t
    ),
    "The factor belongs to the output's channels, the first dimension of the weight.": lambda w, b, g, t, m, v: (
        w * _norm_factor(g, v)[None, :, None, None],
        _fold(w, b, g, t, m, v)[1],
    ),
    "The weight has not been multiplied.": lambda w, b, g, t, m, v: (w, _fold(w, b, g, t, m, v)[1]),
}


def _norms() -> Iterator[Case]:
    g = _generator(93)
    one, none = torch.ones(3), torch.zeros(3)
    weight, bias = torch.randn(3, 3, 3, 3, generator=g), torch.randn(3, generator=g)
    shift, mean = torch.randn(2, 3, generator=g)
    variance = torch.tensor([0.2, 1.0, 4.0])
    yield Case("a normalisation that changes next to nothing", (weight, bias, one, none, none, one))
    yield Case("mean and variance", (weight, bias, one, none, mean, variance))
    yield Case("scale and shift", (weight, bias, torch.tensor([2.0, 0.5, 1.0]), shift, none, one))
    yield Case("a layer without bias", (weight, none, torch.tensor([2.0, 0.5, 1.0]), shift, mean, variance))
    yield Case("a scale below 0", (weight, bias, torch.tensor([-1.0, 1.0, 3.0]), shift, mean, variance))
    yield Case(
        "a channel that has died: epsilon counts",
        (0.01 * weight, 0.01 * bias, one, shift, 0.01 * mean, torch.tensor([1e-6, 1.0, 2.0])),
    )
    yield Case("all of it, one by one", (weight[:, :, :1, :1].contiguous(), bias, 1 + shift, mean, shift, variance))


def _whole_bias(bias: Tensor, input_scale: float, weight_scales: Tensor) -> Tensor:
    scales = input_scale * weight_scales.double()
    return quantize(bias.double(), QuantParams(scales, torch.zeros_like(scales).long(), bits=32, axis=0))


BIAS_MISTAKES = {
    "Sums of products have the product of both scales: the input's is not enough.": lambda b, s, w: (b / s).round(),
    "Sums of products have the product of both scales: the weights' is not enough.": lambda b, s, w: (b / w).round(),
    "Divide by the scale; this multiplies.": lambda b, s, w: (b * s * w).round(),
    "A bias is a sum of 32 bits: it need not fit into 8.": lambda b, s, w: (b / (s * w)).round().clamp(-128, 127),
    "Round to the nearest; this cuts the fraction off.": lambda b, s, w: (b / (s * w)).trunc(),
    "Round to the nearest; this rounds down.": lambda b, s, w: (b / (s * w)).floor(),
    "These are not whole numbers yet.": lambda b, s, w: b / (s * w),
    "Each channel has a scale of its own; this takes the largest for all.": lambda b, s, w: (b / (s * w.max())).round(),
    "Each channel has a scale of its own; this takes their mean for all.": lambda b, s, w: (b / (s * w.mean())).round(),
}


def _biases() -> Iterator[Case]:
    g = _generator(94)
    yield Case("a bias of one step, and of none", (torch.tensor([0.002, 0.0]), 0.1, torch.tensor([0.02, 0.02])))
    yield Case("one bias, two scales", (torch.tensor([0.5, 0.5]), 0.02, torch.tensor([0.01, 0.003])))
    yield Case("fractions above and below a half", (torch.tensor([0.0267, -0.0267]), 0.1, torch.tensor([0.1, 0.1])))
    yield Case("far beyond 8 bits", (torch.tensor([3.0, -3.0]), 0.05, torch.tensor([0.001, 0.002])))
    yield Case("weights so large that the bias vanishes", (torch.tensor([0.01]), 1.0, torch.tensor([0.5])))
    random = torch.randn(6, generator=g), 0.0235, 0.001 + 0.01 * torch.rand(6, generator=g)
    yield Case("random, six channels", random)


def _corrected(weights: Tensor, bias: Tensor, zero_point: int) -> Tensor:
    nothing = dequantize(torch.zeros_like(weights[:1]), _params(1.0, zero_point))  # what a stored 0 stands for
    return (nothing.long() * weights).sum(1) + bias


CORRECTION_MISTAKES = {
    "The sign: (x - zero) w is x w less zero times w.": lambda w, b, z: b + z * w.sum(1),
    "The sum of the weights is multiplied by the zero point.": lambda w, b, z: b - w.sum(1),
    "Each product has a weight in it: subtract the zero point times their sum.": lambda w, b, z: b - z,
    "The zero point meets each weight with its sign.": lambda w, b, z: b - z * w.abs().sum(1),
    "This is the zero point times the number of weights: their sum is wanted.": lambda w, b, z: b - z * w.shape[1],
    "Nothing is corrected here.": lambda w, b, z: b,
    "The bias is missing.": lambda w, b, z: -z * w.sum(1),
    "This is one sum over all weights: each output has its own.": lambda w, b, z: b - z * w.sum(),
}


def _rows() -> Iterator[Case]:
    g = _generator(95)
    two = torch.tensor([[1, 2, 3], [-4, 5, 0]])
    yield Case("two outputs of three inputs", (two, torch.tensor([10, -10]), 5))
    yield Case("zero point 0: nothing to correct", (two, torch.tensor([10, -10]), 0))
    yield Case("behind a ReLU: zero point -128", (two, torch.tensor([7, 0]), -128))
    yield Case("weights that add up to 0", (torch.tensor([[100, -60, -40]]), torch.tensor([3]), -77))
    yield Case("no weight but 0", (torch.zeros(2, 4, dtype=torch.int64), torch.tensor([1, 2]), 50))
    weights = torch.randint(-127, 128, (5, 32), generator=g)
    yield Case("random, far beyond 8 bits", (weights, torch.randint(-5000, 5000, (5,), generator=g), -113))


def _fixed(value: float) -> tuple[int, int]:
    return quantize_multiplier(value)


def _fixed_by(bits: int, shift: int = 0) -> Callable[[float], tuple[int, int]]:
    """Make a function with another power of two, and another shift."""

    def write(value: float) -> tuple[int, int]:
        fraction, exponent = math.frexp(value)
        multiplier, exponent = round(fraction * 2**bits), exponent + shift
        return (multiplier // 2, exponent + 1) if multiplier == 2**bits else (multiplier, exponent)

    return write


def _unfinished(value: float) -> tuple[int, int]:
    fraction, shift = math.frexp(value)
    return round(fraction * 2**31), shift


def _cut_fraction(value: float) -> tuple[int, int]:
    fraction, shift = math.frexp(value)
    return int(fraction * 2**31), shift


FIXED_MISTAKES = {
    "Rounding may give 2^31, which does not fit: it is 2^30 with a shift of one more.": _unfinished,
    "Round to the nearest; this cuts the fraction off.": _cut_fraction,
    "With a fraction from a half to 1, the shift is one larger: m lies from 2^30 to 2^31.": _fixed_by(31, -1),
    "This has 30 binary digits: multiply the fraction by 2^31.": _fixed_by(30),
    "This has 32 binary digits and does not fit: multiply the fraction by 2^31.": _fixed_by(32),
    "A shift to the left is above 0 here, one to the right below.": lambda v: (_fixed(v)[0], -_fixed(v)[1]),
    "Without a shift a small number keeps few digits: take out the power of two first.": lambda v: (
        round(v * 2**31),
        0,
    ),
    "The shift is 31 too small: the value is m 2^(s - 31).": lambda v: (_fixed(v)[0], _fixed(v)[1] - 31),
}


def _factors() -> Iterator[Case]:
    yield Case("three quarters", (0.75,))
    yield Case("a quarter: the same digits as a half and as 1", (0.25,))
    yield Case("1: a half, shifted to the left", (1.0,))
    yield Case("0", (0.0,))
    yield Case("a usual one: 0.02 times 0.005 over 0.03", (0.02 * 0.005 / 0.03,))
    yield Case("above 1", (3.7,))
    yield Case("just below 1: rounding carries over", (1 - 2.0**-40,))
    yield Case("very small", (3.3e-9,))


# The devices


def _shifted(x: Tensor, right: int) -> Tensor:
    return torch.from_numpy(_rounding_shift(x.numpy(), np.int64(right)))


SHIFT_MISTAKES = {
    "A shift alone rounds down: add a half first.": lambda x, r: x >> r,
    "This cuts the fraction off: round to the nearest.": lambda x, r: (x / 2**r).trunc(),
    "Halves below 0 go upwards here: they should go away from 0, as those above do.": lambda x, r: (
        (x + (1 << r >> 1)) >> r
    ),
    "Halves go to the even number here: they should go away from 0.": lambda x, r: (x / 2.0**r).round(),
    "This adds a half and then cuts off towards 0: below 0 a half must be subtracted.": lambda x, r: (
        (x + (1 << r >> 1)) / 2**r
    ).trunc(),
    "This divides by 2 to the power of one less.": lambda x, r: _shifted(x, max(r - 1, 0)),
    "This is not rounded.": lambda x, r: x / 2**r,
}


def _shifts() -> Iterator[Case]:
    g = _generator(96)
    yield Case("by 1: halves go away from 0", (torch.tensor([-3, -2, -1, 0, 1, 2, 3]), 1))
    yield Case("no shift at all", (torch.tensor([-7, 0, 7]), 0))
    yield Case("by 4: below, at and above a half", (torch.tensor([7, 8, 9, -7, -8, -9, 24, -24]), 4))
    yield Case("all of it is shifted out", (torch.tensor([100, -100]), 20))
    yield Case("the ends of 32 bits", (torch.tensor([2**31 - 1, -(2**31)]), 10))
    yield Case("random", (torch.randint(-(2**20), 2**20, (3, 4), generator=g), 7))


def _sigmoid_table(scale: float, zero_point: int) -> Tensor:
    return torch.from_numpy(lookup_table("sigmoid", (scale, zero_point), SHARE).astype(np.int64))


def _sigmoid(scale: float, zero_point: int) -> Tensor:
    return torch.sigmoid((torch.arange(-128, 128, dtype=torch.float64) - zero_point) * scale)


SIGMOID_MISTAKES = {
    "Subtract the zero point before the scale multiplies.": lambda s, z: _sigmoid_table(s, 0),
    "The zero point is subtracted, not added.": lambda s, z: _sigmoid_table(s, -z),
    "The result's own zero point is missing: -128 stands for 0.": lambda s, z: (
        (256 * _sigmoid(s, z)).round().clamp(-128, 127)
    ),
    "Shares of 256 without their zero point: -128 stands for 0.": lambda s, z: (256 * _sigmoid(s, z)).round(),
    "128 does not fit into an int8: cut off at 127.": lambda s, z: (256 * _sigmoid(s, z)).round() - 128,
    "The scale of the result is 1/256, not 1/255.": lambda s, z: (255 * _sigmoid(s, z)).round() - 128,
    "Round to the nearest; this rounds down.": lambda s, z: (256 * _sigmoid(s, z)).floor().clamp(max=255) - 128,
    "The first entry is for -128, the smallest number, not for 0.": lambda s, z: _sigmoid_table(s, z).roll(-128),
    "The entries stand in the order from 127 down to -128.": lambda s, z: _sigmoid_table(s, z).flip(0),
    "These are real numbers: divide by 1/256, round, add -128 and cut off.": _sigmoid,
}


def _table_scales() -> Iterator[Case]:
    yield Case("from -12.8 to 12.7: both ends are reached", (0.1, 0))
    yield Case("from -5.6 to 7.15", (0.05, -16))
    yield Case("nothing below 0: the table begins with a half", (0.04, -128))
    yield Case("nothing above 0: the table ends with a half", (0.04, 127))
    yield Case("hardly any distance: all near a half", (0.001, 5))
    yield Case("wide steps: nearly a jump", (2.0, 3))


def _whole_softmax(x: Tensor, table: Tensor) -> Tensor:
    return torch.from_numpy(softmax_int8(x.numpy(), table.numpy()).astype(np.int64))


def _powers(x: Tensor, table: Tensor) -> Tensor:
    return table[x.max() - x]


def _shares(values: Tensor) -> Tensor:
    return (values * 256 + values.sum() // 2) // values.sum()


def _in_int8(shares: Tensor) -> Tensor:
    return (shares - 128).clamp(max=127)


SOFTMAX_MISTAKES = {
    "This rounds down: add half of the divisor before the division.": lambda x, t: _in_int8(
        _powers(x, t) * 256 // _powers(x, t).sum()
    ),
    "256 shares do not fit where one class has them all: cut off at 127.": lambda x, t: _shares(_powers(x, t)) - 128,
    "The result's zero point is missing: -128 stands for 0.": lambda x, t: _shares(_powers(x, t)),
    "Distances are from the largest number there is among them, not from 127.": lambda x, t: _in_int8(
        _shares(t[127 - x])
    ),
    "These are distances from the smallest number: the largest number must have the largest share.": lambda x, t: (
        _in_int8(_shares(t[x - x.min()]))
    ),
    "The scale is 1/256: multiply by 256, not by 255.": lambda x, t: _in_int8(
        (_powers(x, t) * 255 + _powers(x, t).sum() // 2) // _powers(x, t).sum()
    ),
    "Multiply before you divide: a quotient of whole numbers below 1 is 0.": lambda x, t: _in_int8(
        _powers(x, t) // _powers(x, t).sum() * 256
    ),
}


def _logits() -> Iterator[Case]:
    g = _generator(97)
    fine, coarse = (torch.from_numpy(exp_table(scale).astype(np.int64)) for scale in (0.05, 0.1))
    yield Case("four classes", (torch.tensor([10, 0, 0, -100]), coarse))
    yield Case("all alike: a quarter each", (torch.tensor([7, 7, 7, 7]), coarse))
    yield Case("one class has it all", (torch.tensor([-5]), coarse))
    yield Case("a class far ahead", (torch.tensor([-128, 127, -128]), fine))
    yield Case("all of them very small", (torch.tensor([-128, -127, -110]), fine))
    yield Case("random, 21 classes", (torch.randint(-128, 128, (21,), generator=g), fine))


def _pair_sum(x: Tensor, w: Tensor) -> int:
    return int(add_pairs_int16(x.numpy().astype(np.uint8)[None], w.numpy().astype(np.int8)[None])[0, 0])


def _pairs_of(x: Tensor, w: Tensor) -> Tensor:
    return (x * w).reshape(-1, 2).sum(1)


PAIR_MISTAKES = {
    "This is the exact sum: each pair must fit into 16 bits.": lambda x, w: (x * w).sum(),
    "The pairs wrap around here; the instruction cuts them off at the ends.": lambda x, w: (
        (_pairs_of(x, w) + 2**15) % 2**16 - 2**15
    ).sum(),
    "Only the whole sum is cut off here: each pair is, and their sum is not.": lambda x, w: (
        (x * w).sum().clamp(-(2**15), 2**15 - 1)
    ),
    "After the pairs nothing more is cut off: their sum has 32 bits.": lambda x, w: (
        _pairs_of(x, w).clamp(-(2**15), 2**15 - 1).sum().clamp(-(2**15), 2**15 - 1)
    ),
    "A pair are two neighbours, not one number of each half.": lambda x, w: (
        (x * w).reshape(2, -1).sum(0).clamp(-(2**15), 2**15 - 1).sum()
    ),
    "The smallest number of 16 bits is -32768.": lambda x, w: _pairs_of(x, w).clamp(1 - 2**15, 2**15 - 1).sum(),
    "The largest number of 16 bits is 32767.": lambda x, w: _pairs_of(x, w).clamp(-(2**15), 2**15).sum(),
}


def _products() -> Iterator[Case]:
    g = _generator(98)
    yield Case("small numbers: exact", (torch.tensor([1, 2, 3, 4]), torch.tensor([5, -6, 7, 8])))
    yield Case("the largest pair there is", (torch.tensor([255, 255]), torch.tensor([127, 127])))
    yield Case("the smallest pair there is", (torch.tensor([255, 255]), torch.tensor([-128, -128])))
    yield Case("weights up to 64 are safe", (torch.full((6,), 255), torch.full((6,), 64)))
    yield Case("neighbours of different signs are safe", (torch.full((4,), 255), torch.tensor([127, -128, -128, 127])))
    yield Case(
        "a pair cut off at each end: -1, though the sum is -510",
        (torch.full((4,), 255), torch.tensor([127, 127, -128, -128])),
    )
    yield Case(
        "one pair of three is cut off",
        (torch.tensor([255, 200, 9, 8, 255, 10]), torch.tensor([120, 120, -7, 5, 127, 127])),
    )
    yield Case(
        "random, 32 products",
        (torch.randint(128, 256, (32,), generator=g), torch.randint(40, 128, (32,), generator=g)),
    )


def _half_spacing(x: float) -> float:
    return float16.spacing(x)


def _exponent(x: float) -> int:
    return math.frexp(x)[1] - 1


SPACING_MISTAKES = {
    "This is the distance at 1 only: it doubles at each power of two.": lambda x: 2.0**-10,
    "The distance does not grow with x itself, but with its power of two.": lambda x: 2.0**-10 * max(abs(x), 2.0**-14),
    "Below 2^-14 the distance stays as it is: there the exponent has no smaller value.": lambda x: (
        2.0 ** (_exponent(x) - 10)
    ),
    "`frexp` gives a fraction from a half to 1: the exponent is one less.": lambda x: 2 * _half_spacing(x),
    "float16 has 10 bits behind the point, not 11.": lambda x: _half_spacing(x) / 2,
    "This is bfloat16, with 7 bits behind the point; float16 has 10.": lambda x: 8 * _half_spacing(x),
    "This is float32, with 23 bits behind the point; float16 has 10.": lambda x: 2.0**-13 * _half_spacing(x),
}


def _numbers() -> Iterator[Case]:
    yield Case("1: 1/1024", (1.0,))
    yield Case("2047: up to 2048 all whole numbers are there", (2047.0,))
    yield Case("2048: 2049 is missing", (2048.0,))
    yield Case("60000, near the end", (60000.0,))
    yield Case("a tenth", (0.1,))
    yield Case("below 0: as above it", (-3.5,))
    yield Case("a thousandth of a thousandth: already in the last stretch", (1e-6,))
    yield Case("0", (0.0,))


def _bytes(shapes: list[tuple[int, int, int]]) -> list[int]:
    return [math.prod(shape) for shape in shapes]


def _chain_memory(shapes: list[tuple[int, int, int]]) -> int:
    pairs = pairwise(_bytes(shapes))
    return max(plan({"in": Life(a, 0, 1), "out": Life(b, 0, 1)}, align=1)[1] for a, b in pairs)


MEMORY_MISTAKES = {
    "A map that has been read is needed no more: this keeps all of them.": lambda s: sum(_bytes(s)),
    "A layer's input and output are there at the same time: add them.": lambda s: max(_bytes(s)),
    "The two largest maps need not be neighbours.": lambda s: sum(sorted(_bytes(s))[-2:]),
    "The neighbour of the largest map is smaller: this is more than is needed.": lambda s: 2 * max(_bytes(s)),
    "The largest map's larger neighbour is not always in the largest sum: compare all pairs.": lambda s: max(
        a + b for a, b in pairwise(_bytes(s)) if max(a, b) == max(_bytes(s))
    ),
    "These are bytes of float32; an int8 takes one.": lambda s: 4 * _chain_memory(s),
    "A layer needs its input and its output, not three maps.": lambda s: max(
        sum(_bytes(s)[i : i + 3]) for i in range(max(len(s) - 2, 1))
    ),
}


def _chains() -> Iterator[Case]:
    yield Case("one layer: its input and its output", ([(4, 4, 1), (2, 2, 3)],))
    yield Case(
        "a small classifier: the largest sum is not the first", ([(32, 32, 3), (16, 16, 32), (8, 8, 64), (1, 1, 10)],)
    )
    yield Case("the sum in the middle is the largest", ([(8, 8, 3), (8, 8, 16), (8, 8, 24), (4, 4, 32)],))
    yield Case("the two largest are not neighbours", ([(10, 10, 3), (2, 2, 2), (10, 10, 4), (1, 1, 9)],))
    yield Case("the largest map has small neighbours", ([(1, 1, 9), (10, 10, 5), (2, 2, 2), (9, 9, 5), (9, 9, 4)],))
    yield Case("all alike", ([(6, 5, 4)] * 4,))


def _conv_bytes(outputs: int, inputs: int, kernel: int, groups: int) -> int:
    weights = np.zeros((outputs, kernel, kernel, inputs // groups), dtype=np.int8)
    bias = np.zeros(outputs, dtype=np.int32)
    return constant_bytes(IntegerLayer("a", "conv", ("x",), (1, 1, outputs), weights=weights, bias=bias))


CONV_MISTAKES = {
    "The multipliers and shifts are missing: 5 bytes for each output channel.": lambda k, c, n, g: (
        k * c // g * n * n + 4 * k
    ),
    "A bias has 32 bits: 4 bytes, not 1.": lambda k, c, n, g: k * c // g * n * n + 6 * k,
    "The biases are missing: 4 bytes for each output channel.": lambda k, c, n, g: k * c // g * n * n + 5 * k,
    "These are the weights alone.": lambda k, c, n, g: k * c // g * n * n,
    "Groups: each output sees only a part of the inputs.": lambda k, c, n, g: k * c * n * n + 9 * k,
    "There is a bias for each output channel, not for each input channel.": lambda k, c, n, g: (
        k * c // g * n * n + 9 * c
    ),
    "A kernel has as many rows as columns: square its size.": lambda k, c, n, g: k * c // g * n + 9 * k,
    "These are float32 weights: an int8 takes one byte.": lambda k, c, n, g: 4 * k * c // g * n * n + 9 * k,
    "A shift takes 1 byte here, not 4.": lambda k, c, n, g: k * c // g * n * n + 12 * k,
}


def _convs() -> Iterator[Case]:
    yield Case("16 kernels of 3 x 3 on 3 channels", (16, 3, 3, 1))
    yield Case("a layer of one weight", (1, 1, 1, 1))
    yield Case("1 x 1, 64 to 128", (128, 64, 1, 1))
    yield Case("depthwise: as many groups as channels", (32, 32, 3, 32))
    yield Case("two groups", (8, 4, 5, 2))
    yield Case("a classifier's last layer", (10, 128, 1, 1))


EXERCISES = {
    "scale_and_zero": Exercise(_scale_and_zero, _ranges, tolerance=1e-6, mistakes=SCALE_MISTAKES),
    "round_trip": Exercise(_round_trip, _tensors, mistakes=TRIP_MISTAKES),
    "straight_through": Exercise(_straight, _gradients, mistakes=STRAIGHT_MISTAKES),
    "step_gradient": Exercise(_step_gradient, _steps, mistakes=STEP_MISTAKES),
    "fold_norm": Exercise(_fold, _norms, mistakes=FOLD_MISTAKES),
    "whole_bias": Exercise(_whole_bias, _biases, mistakes=BIAS_MISTAKES),
    "corrected_bias": Exercise(_corrected, _rows, mistakes=CORRECTION_MISTAKES),
    "multiplier_and_shift": Exercise(_fixed, _factors, mistakes=FIXED_MISTAKES),
    "rounding_shift": Exercise(_shifted, _shifts, mistakes=SHIFT_MISTAKES),
    "sigmoid_table": Exercise(_sigmoid_table, _table_scales, mistakes=SIGMOID_MISTAKES),
    "whole_softmax": Exercise(_whole_softmax, _logits, mistakes=SOFTMAX_MISTAKES),
    "pair_sum": Exercise(_pair_sum, _products, mistakes=PAIR_MISTAKES),
    "half_spacing": Exercise(_half_spacing, _numbers, tolerance=1e-9, mistakes=SPACING_MISTAKES),
    "chain_memory": Exercise(_chain_memory, _chains, mistakes=MEMORY_MISTAKES),
    "conv_bytes": Exercise(_conv_bytes, _convs, mistakes=CONV_MISTAKES),
}
