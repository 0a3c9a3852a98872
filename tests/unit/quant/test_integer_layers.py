"""Layers in whole numbers: loops by hand, real arithmetic within a step, and the published vectors of CMSIS-NN."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from cvlab import quant
from cvlab._check import InputError

LITERALS = Path(__file__).resolve().parents[4] / "shared/oracles/literals.json"
published = pytest.mark.skipif(not LITERALS.is_file(), reason="the published vectors are not beside this repository")


def vectors(name: str) -> dict:
    found = json.loads(LITERALS.read_text(encoding="utf-8"))["cmsis_nn_s8"][name]
    return {key.removeprefix(f"{name}_"): value for key, value in found.items()}


def options(v: dict) -> dict:
    return {
        "input_offset": v["input_offset"],
        "stride": (v["stride_y"], v["stride_x"]),
        "padding": (v["pad_y"], v["pad_x"]),
        "output_size": (v["output_h"], v["output_w"]),
    }


def rescale(v: dict) -> quant.Rescale:
    bounds = (v["out_activation_min"], v["out_activation_max"])
    return quant.Rescale(v["output_mult"], v["output_shift"], v["output_offset"], bounds)


def int8(values, *shape: int) -> np.ndarray:
    return np.array(values, dtype=np.int8).reshape(shape)


@published
@pytest.mark.parametrize("name", ["basic", "conv_2"])
def test_published_convolutions(name):
    v = vectors(name)
    x = int8(v["input"], v["input_batches"], v["input_h"], v["input_w"], v["in_ch"])
    weights = int8(v["weights"], v["out_ch"], v["filter_y"], v["filter_x"], v["in_ch"])
    got = quant.conv2d_int8(x, weights, v["biases"], rescale(v), **options(v))
    assert got.ravel().tolist() == v["output_ref"]


@published
def test_published_depthwise_convolution():
    v = vectors("depthwise_2")
    x = int8(v["input"], 1, v["input_h"], v["input_w"], v["in_ch"])
    weights = int8(v["weights"], v["filter_y"], v["filter_x"], v["out_ch"])
    got = quant.depthwise_conv2d_int8(x, weights, v["biases"], rescale(v), **options(v))
    assert got.ravel().tolist() == v["output_ref"]


@published
def test_published_pools():
    for name, pool in (("avgpooling_1", quant.avg_pool_int8), ("maxpooling_1", quant.max_pool_int8)):
        v = vectors(name)
        x = int8(v["input_tensor"], v["batch_size"], v["input_h"], v["input_w"], v["input_c"])
        got = pool(
            x,
            (v["filter_h"], v["filter_w"]),
            (v["stride_h"], v["stride_w"]),
            padding=(v["padding_h"], v["padding_w"]),
            activation=(v["activation_min"], v["activation_max"]),
        )
        assert got.ravel().tolist() == v["output"]


@published
def test_published_addition():
    v = vectors("add")
    got = quant.add_int8(
        int8(v["input1"], -1),
        int8(v["input2"], -1),
        rescale(v),
        offsets=(v["input1_offset"], v["input2_offset"]),
        multipliers=(v["input1_mult"], v["input2_mult"]),
        shifts=(v["input1_shift"], v["input2_shift"]),
        left_shift=v["left_shift"],
    )
    assert got.tolist() == v["output_ref"]


# --- against real arithmetic: at most one step away ---

RNG = np.random.default_rng(0)
PLAIN = quant.Rescale(2**30, 1)


def random_int8(*shape: int) -> np.ndarray:
    return RNG.integers(-128, 128, shape).astype(np.int8)


@pytest.mark.parametrize(("stride", "padding"), [((1, 1), (0, 0)), ((2, 1), (1, 0)), ((2, 2), (1, 1))])
@pytest.mark.parametrize("depthwise", [False, True])
@pytest.mark.parametrize("rounding", ["double", "single"])
def test_convolutions_follow_real_arithmetic(stride, padding, depthwise, rounding):
    x, bias = random_int8(2, 7, 9, 4), RNG.integers(-4000, 4000, 8)
    scales = RNG.uniform(1e-4, 4e-3, 8)
    m, s = zip(*(quant.quantize_multiplier(value) for value in scales), strict=True)
    weights = random_int8(3, 2, 8) if depthwise else random_int8(8, 3, 2, 4)
    layer = quant.depthwise_conv2d_int8 if depthwise else quant.conv2d_int8
    output = quant.Rescale(m, s, -7, (-90, 110), rounding)
    got = layer(x, weights, bias, output, input_offset=5, stride=stride, padding=padding)
    kernel = weights.transpose(2, 0, 1)[:, None] if depthwise else weights.transpose(0, 3, 1, 2)
    real = functional.conv2d(
        torch.from_numpy(x.transpose(0, 3, 1, 2).astype(np.float64) + 5),
        torch.from_numpy(kernel.astype(np.float64)),
        torch.from_numpy(bias.astype(np.float64)),
        stride,
        padding,
        groups=4 if depthwise else 1,
    )
    expected = (real * torch.from_numpy(scales)[:, None, None] - 7).clamp(-90, 110).permute(0, 2, 3, 1).numpy()
    assert got.shape == expected.shape
    assert np.abs(got - expected).max() <= 1.0
    assert len(np.unique(got)) > 50


def test_linear_layer_is_a_convolution_of_one_place():
    x, weights, bias = random_int8(3, 20), random_int8(6, 20), RNG.integers(-900, 900, 6)
    output = quant.Rescale(*quant.quantize_multiplier(0.0021), offset=1)
    got = quant.fully_connected_int8(x, weights, bias, output, input_offset=3)
    as_map = quant.conv2d_int8(x[:, None, None], weights[:, None, None], bias, output, input_offset=3)
    assert np.array_equal(got, as_map[:, 0, 0])


@pytest.mark.parametrize("padding", [(0, 0), (1, 1)])
def test_pools_follow_real_arithmetic(padding):
    x = random_int8(2, 8, 6, 3)
    real = torch.from_numpy(x.transpose(0, 3, 1, 2).astype(np.float64))
    largest = functional.max_pool2d(real, (3, 2), (2, 2), padding).permute(0, 2, 3, 1).numpy()
    assert np.array_equal(quant.max_pool_int8(x, (3, 2), (2, 2), padding=padding), largest)
    mean = functional.avg_pool2d(real, (3, 2), (2, 2), padding, count_include_pad=False).permute(0, 2, 3, 1).numpy()
    away = np.sign(mean) * np.floor(np.abs(mean) + 0.5)
    assert np.array_equal(quant.avg_pool_int8(x, (3, 2), (2, 2), padding=padding), away)


def test_addition_follows_real_arithmetic():
    a, b, scales, result = random_int8(300), random_int8(300), (0.05, 0.11), 0.13
    twice = 2 * max(scales)
    pairs = [quant.quantize_multiplier(scale / twice) for scale in scales]
    out = quant.quantize_multiplier(twice / (2**20 * result))
    got = quant.add_int8(
        a,
        b,
        quant.Rescale(*out, offset=2),
        offsets=(4, -9),
        multipliers=(pairs[0][0], pairs[1][0]),
        shifts=(pairs[0][1], pairs[1][1]),
        left_shift=20,
    )
    expected = ((a.astype(float) + 4) * scales[0] + (b.astype(float) - 9) * scales[1]) / result + 2
    assert np.abs(got - expected.clip(-128, 127)).max() <= 0.501


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: quant.max_pool_int8(np.zeros((1, 4, 4, 1)), (2, 2), (2, 2)), "x must be int8, got float64"),
        (lambda: quant.max_pool_int8(random_int8(1, 4, 4, 1), (5, 2), (1, 1)), "a window of 5 is larger than 4"),
        (
            lambda: quant.conv2d_int8(random_int8(1, 4, 4, 3), random_int8(2, 1, 1, 4), [0], PLAIN, input_offset=0),
            "the 4 channels of the weights, got 3",
        ),
        (
            lambda: quant.depthwise_conv2d_int8(
                random_int8(1, 4, 4, 3), random_int8(1, 1, 4), [0], PLAIN, input_offset=0
            ),
            "a multiple of 3",
        ),
        (
            lambda: quant.add_int8(
                random_int8(3),
                random_int8(4),
                PLAIN,
                offsets=(0, 0),
                multipliers=(1, 1),
                shifts=(0, 0),
                left_shift=20,
            ),
            "a and b must have one shape",
        ),
    ],
)
def test_what_cannot_be_is_refused(call, words):
    with pytest.raises(InputError, match=words):
        call()
