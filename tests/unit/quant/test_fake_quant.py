"""A network that computes as if quantized: how far off it is, what it refuses, and that it can be trained."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from quant_samples import Branches, shaken
from torch import nn
from torch.nn import functional

from cvlab import quant
from cvlab._check import InputError
from cvlab.quant import graph, layers
from cvlab.quant.lsq import LearnedStep


def images(count: int = 16, seed: int = 1) -> torch.Tensor:
    return torch.rand(count, 3, 11, 13, generator=torch.Generator().manual_seed(seed))


def small(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    body = (nn.Conv2d(3, 6, 3, 2, 1), nn.BatchNorm2d(6), nn.ReLU6(), nn.Conv2d(6, 6, 3, groups=6), nn.BatchNorm2d(6))
    return shaken(nn.Sequential(*body, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 4)), seed)


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("bits", range(2, 9))
def test_every_map_and_weight_is_off_by_half_a_scale_at_most(bits, per_channel):
    x = images()
    options = {"weight_bits": bits, "activation_bits": bits, "edge_bits": bits, "per_channel": per_channel}
    model = quant.quantize_model(shaken(Branches()), [x], **options)
    for node in model.graph.nodes:
        if node.weight is None:
            continue
        params, weight = model.weight_params(node), model.weights[node.name].detach()
        assert (params.scale.numel() > 1) == (per_channel and node.op != "linear")
        scale = (
            params.scale
            if params.axis is None
            else params.scale.movedim(0, -1).reshape([-1 if d == params.axis else 1 for d in range(weight.dim())])
        )
        assert ((quant.fake_quantize(weight, params) - weight).abs() <= scale / 2 * (1 + 1e-5)).all()
        assert quant.quantize(weight, params).abs().max() <= 2 ** (bits - 1) - 1

    def watch(name, value):
        params = model.map_params(name)
        value = value.clamp(max=255 / 256) if name in ("sigmoid", "softmax") else value  # 1 itself cannot be told
        off = (quant.fake_quantize(value, params) - value).abs().max()
        assert off <= float(params.scale) * (0.5 + 1e-4), name
        assert 2 <= len(quant.quantize(value, params).unique()) <= 2**params.bits
        return value

    with torch.no_grad():
        layers.run(model.graph, x, watch)
        one = model(x)[0]
    assert len(one.unique()) <= 2**bits


@pytest.mark.parametrize("observer", quant.OBSERVERS)
def test_all_observers_and_more_bits_are_closer(observer):
    net, x = small(), images(64)
    with torch.no_grad():
        found = [
            float(
                (
                    quant.quantize_model(net, x.split(16), observer=observer, weight_bits=b, activation_bits=b)(x)
                    - net(x)
                )
                .square()
                .mean()
                .sqrt()
            )
            for b in (3, 5, 8)
        ]
    assert found[0] > found[1] > found[2]
    assert found[2] < 0.02 * net(x).std()


def test_edges_have_bits_of_their_own():
    model = quant.quantize_model(small(), [images()], weight_bits=3, activation_bits=4, edge_bits=7)
    assert [model.bits[node.name] for node in model.graph.nodes if node.weight is not None] == [7, 3, 7]
    assert list(model.weights) == list(model.bits)
    assert [model.map_params(name).bits for name in (model.graph.input, *(n.name for n in model.graph.nodes))] == [
        7, 4, 4, 4, 4, 7
    ]  # fmt: skip


def test_nets_without_weights_and_with_instance_norm():
    pooled = quant.quantize_model(nn.MaxPool2d(2).eval(), [images()])
    assert (pooled(images()) - functional.max_pool2d(images(), 2)).abs().max() < 0.003
    net = shaken(nn.Sequential(nn.Conv2d(3, 4, 3), nn.InstanceNorm2d(4, affine=True)))
    with torch.no_grad():
        assert (quant.quantize_model(net, [images()])(images()) - net(images())).abs().max() < 0.3


@pytest.mark.parametrize(
    ("batches", "message"),
    [
        ([], "one batch"),
        ([torch.full((1, 3, 11, 13), math.nan)], "batch 0"),
        ([images(), torch.full((1, 3, 11, 13), math.inf)], "batch 1"),
    ],
)
def test_calibration_refuses_no_data_and_bad_data(batches, message):
    traced = graph.trace(small(), images(1))
    with pytest.raises(InputError, match=f"calibrate: .*{message}"):
        quant.QuantModel(traced).calibrate(batches)
    with pytest.raises(InputError, match="quantize_model: .* got none"):
        quant.quantize_model(small(), [])


def test_what_comes_before_calibration_is_refused():
    model = quant.QuantModel(graph.trace(small(), images(1)))
    for op, call in (("QuantModel", model), ("learn_steps", model.learn_steps)):
        with pytest.raises(InputError, match=f"{op}: .*call calibrate first"):
            call(images())
    with pytest.raises(InputError, match="to_integer: .*call calibrate first"):
        quant.to_integer(model)
    for options, message in (
        ({"weight_bits": 9}, "weight_bits must be from 2 to 8, got 9"),
        ({"activation_bits": 1}, "activation_bits"),
        ({"observer": "best"}, "observer must be one of minmax"),
    ):
        with pytest.raises(InputError, match=message):
            quant.QuantModel(model.graph, **options)


@pytest.mark.parametrize("observer", quant.OBSERVERS)
@pytest.mark.parametrize("fill", [0.0, 0.7, -1e-42])
def test_constant_maps_and_channels(observer, fill):
    net = small()
    with torch.no_grad():
        net[0].weight[2] = 0
        net[3].weight[1] = 1e-42  # below what float32 can tell well
    x = torch.full((2, 3, 11, 13), fill)
    model = quant.quantize_model(net, [x], observer=observer)
    with torch.no_grad():
        assert (model(x) - net(x)).abs().max() < 0.02
    assert all(params.scale.min() > 0 and params.scale.isfinite().all() for params in model.params.values())


def test_input_range():
    x = images()
    model = quant.quantize_model(small(), [x * 0.5], input_range=(0, 1))
    assert model.params[model.graph.input].scale.item() == pytest.approx(1 / 255)
    assert model.params[model.graph.input].zero_point.item() == -128
    assert quant.quantize(torch.tensor([0, 1 / 255, 0.6, 1]), model.params[model.graph.input]).tolist() == [
        -128, -127, 25, 127
    ]  # fmt: skip


def test_only_weights_are_rounded():
    model = quant.quantize_model(small(), [images()], round_activations=False, weight_bits=2, edge_bits=2)
    assert len(model(images()).unique()) > 4 * 4
    with pytest.raises(InputError, match="round_activations=False"):
        quant.to_integer(model)


def loss_of(model, x, labels):
    return functional.cross_entropy(model(x), labels)


@pytest.mark.parametrize("learned", [False, True])
def test_training_reaches_everything_and_lowers_the_loss(learned):
    x, labels = images(32), torch.arange(32) % 4
    model = quant.quantize_model(small(), [x], weight_bits=4, activation_bits=4)
    if learned:
        model.learn_steps(x)
    before = loss_of(model, x, labels)
    before.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    for _ in range(20):
        optimizer.zero_grad()
        loss_of(model, x, labels).backward()
        optimizer.step()
    assert loss_of(model, x, labels) < before - 0.01


def test_calibration_looks_at_the_weights_as_they_are_now():
    model = quant.quantize_model(small(), [images()])
    before = float(model.map_params(model.graph.outputs[0]).scale)
    with torch.no_grad():
        model.weights[list(model.weights)[-1]].mul_(3)
        model.biases[list(model.biases)[-1]].mul_(3)
    model.calibrate([images()])
    assert float(model.map_params(model.graph.outputs[0]).scale) == pytest.approx(3 * before, rel=0.01)


@pytest.mark.parametrize("scaled", [False, True])
def test_gradient_of_a_learned_step(scaled):
    start = torch.tensor([1.0, -1.0, 1.0, -1.0])
    step = LearnedStep(start, -4, 3, gradient_scale=scaled)
    assert step.step.item() == pytest.approx(2 / 3**0.5)  # 2 <|v|> / sqrt(Q_P)
    with torch.no_grad():
        step.step.fill_(0.5)
    v = torch.tensor([0.1, 0.4, -0.7, -1.6, 1.3, 9.0, -9.0], requires_grad=True)
    given = torch.tensor([1.0, 2.0, 3.0, 5.0, 7.0, 11.0, 13.0])
    got = step(v)
    (got * given).sum().backward()
    assert got.tolist() == pytest.approx([0, 0.5, -0.5, -1.5, 1.5, 1.5, -2])
    by_hand = [0 - 0.2, 1 - 0.8, -1 + 1.4, -3 + 3.2, 3 - 2.6, 3, -4]  # equation 3: round(v / s) - v / s, or Q
    total = sum(a * b for a, b in zip(by_hand, given.tolist(), strict=True))
    assert step.step.grad.item() == pytest.approx(total / ((7 * 3) ** 0.5 if scaled else 1), rel=1e-5)
    assert v.grad.tolist() == [1, 2, 3, 5, 7, 0, 0]  # equation 5: straight through, 0 where cut off


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_learned_steps_become_whole_numbers(bits):
    x, labels = images(64), torch.arange(64) % 4
    model = quant.quantize_model(small(), [x], weight_bits=bits, activation_bits=bits, input_range=(0, 1)).learn_steps(
        x
    )
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02)
    for _ in range(10):
        optimizer.zero_grad()
        loss_of(model, x, labels).backward()
        optimizer.step()
    whole = quant.to_integer(model)
    for layer in whole.layers:
        if layer.weights is not None:
            assert np_abs_max(layer.weights) <= 2 ** (model.bits[layer.name] - 1) - 1
    with torch.no_grad():
        expected = model(x)
    steps = ((whole(x) - expected) / model.map_params(model.graph.outputs[0]).scale).abs()
    assert steps.mean() < (1 if bits == 2 else 0.5)  # the bias is a whole number of a coarse scale
    assert steps.max() <= 3
    broken = copy.deepcopy(model)
    with torch.no_grad():
        next(iter(broken.learned.values())).step.fill_(-0.1)
    with pytest.raises(InputError, match="a learned step must be above 0"):
        quant.to_integer(broken)


def np_abs_max(weights) -> int:
    return int(abs(weights.astype(int)).max())


@pytest.mark.parametrize(
    ("start", "low", "high", "message"),
    [([0.0], -1, 1, "other than 0"), ([math.nan], -1, 1, "start"), ([1.0], 1, 3, "low"), ([1.0], -1, 0, "high")],
)
def test_learned_step_refuses(start, low, high, message):
    with pytest.raises(InputError, match=message):
        LearnedStep(torch.tensor(start), low, high)
