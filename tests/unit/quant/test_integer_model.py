"""Networks in whole numbers alone: as the network that only computes as if, and bit for bit as by hand."""

from __future__ import annotations

import ast
import re
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from quant_samples import ROUNDINGS, Branches, extreme_inputs, quantized_digits, random_model, shaken, to_last
from slow_integers import slow_run
from torch import nn
from torch.nn import functional

from cvlab import quant
from cvlab._check import InputError
from cvlab.quant import layers
from cvlab.quant.integer import Rescale, conv_transpose2d_int8
from cvlab.quant.tables import exp_table, lookup_table, softmax_int8


def images(count: int = 24, height: int = 11, width: int = 13) -> torch.Tensor:
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(3))


def each_layer_within_a_step(model: quant.QuantModel, whole: quant.IntegerModel, x: np.ndarray) -> None:
    """Compare each layer with what the other network makes of the same whole numbers."""
    found = {whole.input: x}
    whole.run(x, found.__setitem__)
    real: dict[str, torch.Tensor] = {}
    for name, value in found.items():
        node = next((node for node in model.graph.nodes if node.name == name), None)
        if node is not None and node.op == "flatten":
            real[name] = real[node.inputs[0]].flatten(1)
            continue
        first = torch.from_numpy(value)
        real[name] = quant.dequantize(first.permute(0, 3, 1, 2) if value.ndim == 4 else first, model.map_params(name))
        if node is not None:
            weights = (model._weight(node), model.biases[name]) if node.weight is not None else ()
            with torch.no_grad():
                expected = model._map(name, layers.compute(node, [real[each] for each in node.inputs], *weights))
            off = (expected - real[name]).abs() / model.map_params(name).scale
            assert off.max() < 1.01, name
            assert off.mean() < (0.3 if node.op in ("mean", "avg_pool") else 0.1), name  # means often lie in the middle


@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_digits_agree_with_the_network_that_computes_as_if(rounding):
    sample = quantized_digits()
    whole = quant.to_integer(sample.model, rounding=rounding)
    maps, found = {}, {}
    outputs = whole.run(sample.x, found.__setitem__)
    with torch.no_grad():
        expected = sample.model._compute(
            sample.images, lambda n, v: maps.setdefault(n, sample.model._map(n, v)), rounded=True
        )
    assert (outputs[0].argmax(1) == expected[0].argmax(1).numpy()).mean() >= 0.98
    for name, value in found.items():
        off = np.abs(value - to_last(quant.quantize(maps[name], sample.model.map_params(name))))
        assert off.mean() < 0.5, name
        assert np.quantile(off, 0.999) <= 4, name
    each_layer_within_a_step(sample.model, whole, sample.x[:100])
    assert torch.equal(
        whole(sample.images[:5]), quant.dequantize(torch.from_numpy(outputs[0][:5]), whole.params["linear"])
    )


NETS = {
    "branches": Branches,
    "activations": lambda: nn.Sequential(
        nn.Conv2d(3, 5, 3), nn.Hardswish(), nn.Conv2d(5, 4, 1), nn.SiLU(), nn.Conv2d(4, 4, 3, 2), nn.Hardtanh(-0.1, 0.3)
    ),
    "pools": lambda: nn.Sequential(
        nn.MaxPool2d(3, 2, 1, ceil_mode=True), nn.Conv2d(3, 4, 2), nn.AvgPool2d(2, ceil_mode=True), nn.ReLU(),
        nn.Upsample(scale_factor=2),
    ),
    "flattened": lambda: nn.Sequential(nn.Conv2d(3, 4, 3, 2), nn.ReLU(), nn.Flatten(), nn.Linear(120, 7), nn.Sigmoid()),
    "softmax of maps": lambda: nn.Sequential(nn.ConvTranspose2d(3, 4, 3, 2, 1), nn.BatchNorm2d(4), nn.Softmax(1)),
}  # fmt: skip


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("name", NETS)
def test_small_networks_are_off_by_a_step_in_each_layer(name, per_channel):
    torch.manual_seed(0)
    model = quant.quantize_model(shaken(NETS[name]()), [images()], per_channel=per_channel)
    whole = quant.to_integer(model)
    each_layer_within_a_step(model, whole, whole.quantize_input(images()))
    with torch.no_grad():
        expected, got = model(images()), whole(images())
    pairs = zip(expected, got, strict=True) if isinstance(expected, tuple) else [(expected, got)]
    for (e, g), where in zip(pairs, model.graph.outputs, strict=True):
        assert e.shape == g.shape
        assert ((e - g).abs() / model.map_params(where).scale).mean() < 1


@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("name", NETS)
def test_small_networks_bit_for_bit_by_hand(name, rounding):
    torch.manual_seed(1)
    whole = quant.to_integer(quant.quantize_model(shaken(NETS[name]()), [images(4, 7, 5)]) if name != "flattened" else
                             quant.quantize_model(shaken(NETS[name]()), [images(4)]), rounding=rounding)  # fmt: skip
    x = extreme_inputs(whole.shape, 3)
    for one, *got in zip(x, *whole.run(x), strict=True):
        for expected, g in zip(slow_run(whole, one), got, strict=True):
            assert expected == g.tolist()


@pytest.mark.parametrize("seed", range(6))
def test_random_networks_bit_for_bit_by_hand(seed):
    whole = random_model(seed, 9)
    x = extreme_inputs(whole.shape, 3, seed)[::2]  # all lowest, and mixed ends
    for one, *got in zip(x, *whole.run(x), strict=True):
        for expected, g in zip(slow_run(whole, one), got, strict=True):
            assert expected == g.tolist()


@pytest.mark.parametrize(
    ("stride", "padding", "extra"), [((1, 1), (0, 0), (0, 0)), ((2, 3), (1, 2), (1, 2)), ((3, 2), (2, 0), (0, 1))]
)
def test_transposed_convolution_against_torch(stride, padding, extra):
    rng = np.random.default_rng(0)
    x, weights = extreme_inputs((4, 5, 3), 8), rng.integers(-3, 4, (5, 4, 3, 3)).astype(np.int8)
    bias = rng.integers(-50, 50, 5)
    real = functional.conv_transpose2d(
        torch.from_numpy(x.astype(np.float64) + 9).permute(0, 3, 1, 2),
        torch.from_numpy(weights.astype(np.float64)).permute(3, 0, 1, 2),
        torch.from_numpy(bias.astype(np.float64)),
        stride,
        padding,
        extra,
    )
    expected = to_last(real)
    options = {"input_offset": 9, "stride": stride, "padding": padding, "output_size": expected.shape[1:3]}
    got = conv_transpose2d_int8(x, weights, bias, Rescale(2**30, 1), **options)
    assert np.array_equal(got, expected.clip(-128, 127))
    assert len(np.unique(got)) > 100


def floats_in(call) -> list[object]:
    """Run something, and give all floating point in it: values of names, results, and what stands in executed lines."""
    found, lines = [], set()

    def look(value: object) -> None:
        if isinstance(value, float | np.floating | torch.Tensor) or getattr(value, "dtype", np.dtype(int)).kind == "f":
            found.append(value)
        for each in value.values() if isinstance(value, dict) else value if isinstance(value, tuple | list) else ():
            look(each)

    def trace(frame, event, value):
        if Path(frame.f_code.co_filename).parent != Path(quant.__file__).parent:
            return None
        lines.add((frame.f_code.co_filename, frame.f_lineno))
        look([*frame.f_locals.values(), value if event == "return" else None])
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(before)
    assert len(lines) > 20
    for file in {file for file, _ in lines}:
        for node in ast.walk(ast.parse(Path(file).read_text(encoding="utf-8"))):
            real = isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Div)
            real |= isinstance(node, ast.Constant) and isinstance(node.value, float)
            real |= isinstance(node, ast.Attribute) and node.attr in (
                "mean",
                "exp",
                "rint",
                "float32",
                "float64",
                "double",
            )
            if real and any(
                (file, n) in lines for n in range(getattr(node, "lineno", 0), getattr(node, "end_lineno", -1) + 1)
            ):
                found.append((file, node.lineno))
    return found


@pytest.mark.parametrize("which", ["digits", *range(6)])
def test_no_floating_point_between_input_and_output(which):
    whole = quantized_digits().whole if which == "digits" else random_model(which, 20)
    for layer in whole.layers:
        arrays = [layer.weights, layer.bias, layer.table, *vars(layer.rescale or Rescale(0, 0)).values()]
        assert all(np.asarray(a).dtype.kind in "iuUO" for a in (*arrays, *layer.options.values()))
    assert floats_in(lambda: whole.run(extreme_inputs(whole.shape, 2))) == []
    if which == "digits":
        images = quantized_digits().images[:2]
        assert floats_in(lambda: whole(images))  # the watch does see what it is to see


@pytest.mark.parametrize("function", ["sigmoid", "hard_swish", "silu"])
@pytest.mark.parametrize("scale", [0.01, 0.08, 9.0])
def test_tables_are_within_half_a_step(function, scale):
    x = (torch.arange(-128, 128) - 17).double() * scale
    real = {"sigmoid": torch.sigmoid, "hard_swish": functional.hardswish, "silu": functional.silu}[function](x)
    target = quant.choose_qparams(float(real.min()), float(real.max()))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        table = lookup_table(function, (scale, 17), (float(target.scale), int(target.zero_point)))
    found = (table - float(target.zero_point)) * float(target.scale)
    assert np.abs(found - real.numpy()).max() <= float(target.scale) * 0.51


@pytest.mark.parametrize("scale", [1e-4, 0.03, 0.2, 5.0])
def test_softmax_is_within_a_step(scale):
    x = extreme_inputs((11,), 300)
    real = torch.softmax(torch.from_numpy(x).double() * scale, 1).numpy()
    assert np.abs((softmax_int8(x, exp_table(scale)) + 128.0) / 256 - real).max() <= 1 / 256


def with_weights(channel: float, bias: float) -> quant.QuantModel:
    net = nn.Sequential(nn.Conv2d(3, 4, 3)).eval()
    with torch.no_grad():
        net[0].weight[1], net[0].bias[1] = channel, bias
    return quant.quantize_model(net, [images() * 255])


@pytest.mark.parametrize("channel", [0.0, 1e-42, 1e-20])
@pytest.mark.parametrize("bias", [0.0, 0.3, -40.0])
def test_dead_channels_keep_their_bias(channel, bias):
    model = with_weights(channel, bias)
    with torch.no_grad():
        off = (quant.to_integer(model)(images() * 255) - model(images() * 255)).abs()
    assert off[:, 1].max() <= model.map_params("conv2d").scale * 1.01


def test_odd_inputs():
    sample = quantized_digits()
    expected = sample.whole.run(sample.x[:4])[0]
    assert sample.whole.run(sample.x[:0])[0].shape == (0, 10)
    assert np.array_equal(sample.whole.run(np.asfortranarray(sample.x[:4]))[0], expected)
    assert np.array_equal(sample.whole.run(sample.x[:8:2])[0], sample.whole.run(sample.x)[0][:8:2])
    for bad in (sample.x.astype(np.uint8), sample.x[0], sample.x[:, :31], sample.x.transpose(0, 3, 1, 2)):
        with pytest.raises(InputError, match=re.escape(f"x must be int8 (B, 32, 32, 3), got {bad.dtype} {bad.shape}")):
            sample.whole.run(bad)


def test_what_has_no_form_in_whole_numbers_is_named():
    x = images(2)
    conv = nn.Conv2d(3, 4, 3)
    for net, message in (
        (nn.Sequential(conv, nn.InstanceNorm2d(4, affine=True)), r"'instance_norm' \(at .*BatchNorm2d"),
        (nn.Conv2d(3, 4, 3, padding=1, padding_mode="reflect"), r"'pad_reflect' \(at .*zeros"),
        (
            nn.Sequential(conv, nn.Conv2d(4, 4, 1, groups=2)),
            r"groups must be 1, or .*channels \(4\), got 2 at conv2d_1",
        ),
        (
            nn.Sequential(conv, nn.ConvTranspose2d(4, 4, 1, groups=2)),
            "transposed convolutions need groups=1, got 2 at conv_transpose2d",
        ),
        (nn.Sequential(conv, nn.Flatten(), nn.ReLU(), nn.Linear(396, 2)), "flatten .*linear layers alone"),
        (nn.Sequential(conv, nn.Flatten()), "flatten .*linear layers alone"),
    ):
        with pytest.raises(InputError, match=f"to_integer: {message}"):
            quant.to_integer(quant.quantize_model(net.eval(), [x]))
    model = quant.quantize_model(conv.eval(), [x])
    with pytest.raises(InputError, match="rounding must be one of double, single"):
        quant.to_integer(model, rounding="up")
    with torch.no_grad():
        model.biases["conv2d"][0] = float("nan")
    with pytest.raises(InputError, match="to_integer: the bias of conv2d"):
        quant.to_integer(model)
    wide = nn.Sequential(nn.Flatten(), nn.Linear(3 * 200 * 150, 2)).eval()
    nn.init.ones_(wide[1].weight)
    with pytest.raises(InputError, match="to_integer: the sums of linear do not fit into 32 bits"):
        quant.to_integer(quant.quantize_model(wide, [images(1, 200, 150)]))


def test_counts_of_multiplications_and_bytes():
    net = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.Conv2d(4, 8, 3, groups=4), nn.ConvTranspose2d(8, 2, 2, 2)).eval()
    whole = quant.to_integer(quant.quantize_model(net, [images(2)]))  # 11 x 13, 6 x 7, 4 x 5, 8 x 10
    assert [layer.multiplications for layer in whole.layers] == [6 * 7 * 4 * 27, 4 * 5 * 8 * 9, 4 * 5 * 8 * 2 * 4]
    assert whole.bytes == (4 * 27 + 8 * 9 + 8 * 2 * 4) + (4 + 8 + 2) * (4 + 4 + 1)
    assert replace(whole.layers[0], weights=None).multiplications == 0
    assert layers.LAYERS.keys() >= {layer.op for layer in whole.layers} - {"depthwise"}
