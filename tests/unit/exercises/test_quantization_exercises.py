"""The exercises on quantization and on devices: other solutions pass, common mistakes are found and named."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from cvlab import exercises
from cvlab.exercises.quantization import EXERCISES
from cvlab.quant.targets.memory import Life, plan


def scale_and_zero(low, high):
    low, high = min(low, 0.0), max(high, 0.0)
    scale = (high - low) / 255
    return scale, min(range(-128, 128), key=lambda zero: abs((-128 - zero) * scale - low))


def round_trip(x, scale, zero_point):
    return torch.fake_quantize_per_tensor_affine(x, scale, zero_point, -128, 127)


def straight_through(x, scale, zero_point, upstream):
    leaf = x.clone().requires_grad_()
    torch.fake_quantize_per_tensor_affine(leaf, scale, zero_point, -128, 127).backward(upstream)
    return leaf.grad


def step_gradient(x, step, low, high):
    result = []
    for value in (x.double() / step).tolist():
        result.append(low if value <= low else high if value >= high else round(value) - value)
    return torch.tensor(result)


def fold_norm(weight, bias, gamma, beta, mean, variance):
    conv = nn.Conv2d(3, 3, weight.shape[2:])
    norm = nn.BatchNorm2d(3)
    conv.weight.data, conv.bias.data = weight.clone(), bias.clone()
    norm.weight.data, norm.bias.data, norm.running_mean, norm.running_var = gamma, beta, mean, variance
    fused = nn.utils.fusion.fuse_conv_bn_eval(conv.eval(), norm.eval())
    return fused.weight, fused.bias


def whole_bias(bias, input_scale, weight_scales):
    pairs = zip(bias.double().tolist(), weight_scales.double().tolist(), strict=True)
    return torch.tensor([round(b / (input_scale * s)) for b, s in pairs])


def corrected_bias(weights, bias, zero_point):
    x = torch.arange(weights.shape[1])
    return weights @ (x - zero_point) + bias - weights @ x


def multiplier_and_shift(value):
    shift = math.floor(math.log2(value)) + 1 if value else 0
    multiplier = round(value * 2.0 ** (31 - shift))
    return (multiplier, shift) if multiplier < 2**31 else (2**30, shift + 1)


def rounding_shift(x, right):
    half = (1 << right) >> 1
    return torch.where(x < 0, -((-x + half) >> right), (x + half) >> right)


def sigmoid_table(scale, zero_point):
    shares = [1 / (1 + math.exp(-(q - zero_point) * scale)) for q in range(-128, 128)]
    return torch.tensor([min(round(256 * share) - 128, 127) for share in shares])


def whole_softmax(x, table):
    numbers = x.tolist()
    powers = [int(table[max(numbers) - each]) for each in numbers]
    total = sum(powers)
    return torch.tensor([min((power * 256 + total // 2) // total - 128, 127) for power in powers])


def pair_sum(x, w):
    total = 0
    for i in range(0, len(x), 2):
        pair = int(x[i] * w[i] + x[i + 1] * w[i + 1])
        total += min(max(pair, -32768), 32767)
    return total


def half_spacing(x):
    return float(np.spacing(np.float16(abs(x))))


def chain_memory(shapes):
    sizes = [h * w * c for h, w, c in shapes]
    return max(sizes[i] + sizes[i + 1] for i in range(len(sizes) - 1))


def conv_bytes(outputs, inputs, kernel, groups):
    layer = nn.Conv2d(inputs, outputs, kernel, groups=groups)
    return layer.weight.numel() + (4 + 4 + 1) * layer.bias.numel()


@pytest.mark.parametrize("name", EXERCISES)
def test_another_way_to_quantize_passes(name):
    verdict = exercises.check(name, globals()[name])
    assert verdict.ok, verdict.message
    assert EXERCISES[name].mistakes


@pytest.mark.parametrize(("name", "hint"), [(name, hint) for name, it in EXERCISES.items() for hint in it.mistakes])
def test_a_common_mistake_in_quantizing_is_found_and_named(name, hint):
    verdict = exercises.check(name, EXERCISES[name].mistakes[hint])
    assert not verdict.ok
    assert "Input" in verdict.message
    assert verdict.message.endswith(f"\n  {hint}")


def forgotten_zero(low, high):
    return (high - low) / 255, -128 - round(low / ((high - low) / 255))


def early_clamp(x, scale, zero_point):
    whole = torch.round(x / scale).clamp(-128, 127) + zero_point
    return (whole - zero_point) * scale


def thirty_two_bits_lost(bias, input_scale, weight_scales):
    whole = (bias / (input_scale * weight_scales)).round()
    return whole.clamp(-128, 127).to(torch.int8)


def exponentials_from_127(x, table):
    powers = table[127 - x]
    return ((powers * 256 + powers.sum() // 2) // powers.sum() - 128).clamp(-128, 127)


def wrapped(x, w):
    products = x * w
    pairs = products[::2] + products[1::2]
    return pairs.to(torch.int16).sum(dtype=torch.int64)


MISTAKES = {
    "scale_and_zero": (forgotten_zero, "let the range reach it"),
    "round_trip": (early_clamp, "after the zero point has been added"),
    "straight_through": (lambda x, s, z, u: u * ((x / s + z).abs() < 1e9), "the result does not move with x"),
    "step_gradient": (
        lambda x, s, low, high: (x / s).clamp(low, high).round() - (x / s).clamp(low, high),
        "the bound is its gradient",
    ),
    "fold_norm": (
        lambda w, b, g, t, m, v: (
            torch.einsum("kcij,k->kcij", w, g / (v + 1e-5).sqrt()),
            b + t - m * g / (v + 1e-5).sqrt(),
        ),
        "own bias goes through",
    ),
    "whole_bias": (thirty_two_bits_lost, "need not fit into 8"),
    "corrected_bias": (lambda w, b, z: w.sum(1) * z + b, "The sign"),
    "multiplier_and_shift": (lambda v: (math.floor(math.frexp(v)[0] * 2**31), math.frexp(v)[1]), "cuts the fraction"),
    "rounding_shift": (lambda x, r: torch.div(x, 2**r, rounding_mode="floor"), "A shift alone rounds down"),
    "sigmoid_table": (
        lambda s, z: (torch.sigmoid(s * (torch.arange(-128, 128).double() - z)) * 256).round() - 128,
        "cut off at 127",
    ),
    "whole_softmax": (exponentials_from_127, "not from 127"),
    "pair_sum": (wrapped, "wrap around"),
    "half_spacing": (lambda x: torch.finfo(torch.float16).eps, "at 1 only"),
    "chain_memory": (lambda shapes: 2 * max(h * w * c for h, w, c in shapes), "more than is needed"),
    "conv_bytes": (lambda k, c, n, g: k * n * n * (c // g) + 4 * k, "multipliers and shifts are missing"),
}


@pytest.mark.parametrize("name", EXERCISES)
def test_the_same_mistake_in_quantizing_written_otherwise_gets_the_hint(name):
    mistake, hint = MISTAKES[name]
    assert hint in exercises.check(name, mistake).message


def moved(result):
    return tuple(map(moved, result)) if isinstance(result, tuple) else result + 3.25


@pytest.mark.parametrize("name", EXERCISES)
def test_another_mistake_in_quantizing_gets_no_hint(name):
    message = exercises.check(name, lambda *arguments: moved(globals()[name](*arguments))).message
    assert "largest difference" in message.splitlines()[-1]


@pytest.mark.parametrize("name", ["rounding_shift", "sigmoid_table", "corrected_bias", "whole_bias"])
def test_whole_numbers_may_come_as_real_ones(name):
    assert exercises.check(name, lambda *arguments: globals()[name](*arguments).float()).ok


@pytest.mark.parametrize("case", list(EXERCISES["chain_memory"].cases()), ids=lambda case: case.description)
def test_the_planner_needs_no_more_for_these_chains(case):
    (shapes,) = case.arguments
    lives = {str(i): Life(math.prod(shape), i, i + 1) for i, shape in enumerate(shapes)}
    assert plan(lives, align=1)[1] == chain_memory(shapes)
