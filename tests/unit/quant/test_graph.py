"""A traced network computes what the module does; what cannot be traced is refused by name."""

from __future__ import annotations

import pytest
import torch
from quant_samples import Branches, quantized_digits, shaken
from torch import nn
from torch.nn import functional

from cvlab._check import InputError
from cvlab.quant import graph, layers

X = torch.randn(2, 3, 13, 11, generator=torch.Generator().manual_seed(0))


class Calls(nn.Module):
    """A function as a module, behind a convolution."""

    def __init__(self, function) -> None:
        super().__init__()
        self.conv, self.function = nn.Conv2d(3, 4, 3), function

    def forward(self, x):
        return self.function(self.conv(x))


def after_conv(*modules: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 4, 3), *modules)


NETS = {
    "conv": lambda: nn.Conv2d(3, 4, (3, 2), (2, 1), (1, 0), bias=False),
    "depthwise": lambda: nn.Conv2d(3, 6, 3, groups=3),
    "transposed": lambda: nn.ConvTranspose2d(3, 4, 3, 2, 1, output_padding=1),
    "transposed in groups": lambda: nn.Sequential(
        nn.Conv2d(3, 4, 1), nn.ConvTranspose2d(4, 6, 3, 2, groups=2, bias=False), nn.BatchNorm2d(6), nn.ReLU()
    ),
    "norm after conv": lambda: after_conv(nn.BatchNorm2d(4), nn.ReLU6()),
    "norm without gains": lambda: after_conv(nn.BatchNorm2d(4, affine=False)),
    "norm after depthwise": lambda: nn.Sequential(nn.Conv2d(3, 6, 3, groups=3, bias=False), nn.BatchNorm2d(6)),
    "norm after transposed": lambda: nn.Sequential(nn.ConvTranspose2d(3, 4, 2), nn.BatchNorm2d(4), nn.Hardtanh()),
    "norm after linear": lambda: nn.Sequential(
        nn.Flatten(), nn.Linear(429, 5, bias=False), nn.BatchNorm1d(5), nn.ReLU()
    ),
    **{
        type(act).__name__: lambda act=act: after_conv(act)
        for act in (nn.ReLU(), nn.ReLU6(), nn.Hardtanh(-0.2, 0.4), nn.Hardswish(), nn.SiLU(), nn.Sigmoid())
    },
    "softmax of maps": lambda: after_conv(nn.Softmax(1)),
    "softmax of the last": lambda: after_conv(nn.Flatten(), nn.Softmax(-1)),
    "max pool": lambda: nn.MaxPool2d(3, 2, 1),
    "max pool, up": lambda: nn.MaxPool2d((2, 3), ceil_mode=True),
    "mean pool": lambda: nn.AvgPool2d(3, 2, 1, ceil_mode=True, count_include_pad=False),
    "mean pool, up": lambda: nn.AvgPool2d(2, ceil_mode=True),
    "nearest": lambda: nn.Upsample(scale_factor=(2, 3)),
    "reflected": lambda: nn.Conv2d(3, 4, 3, padding=(2, 1), padding_mode="reflect"),
    "instance norm": lambda: after_conv(nn.InstanceNorm2d(4, affine=True)),
    "mean over the map": lambda: nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(), nn.Linear(3, 2)),
    "mean, kept": lambda: Calls(lambda x: x.mean((-1, -2), keepdim=True)),
    "mean, dropped": lambda: Calls(lambda x: x.mean((3, 2))),
    "twice itself": lambda: Calls(lambda x: x + x),
    "in place": lambda: Calls(lambda x: functional.relu(x, inplace=True) + x),
    "sum in place": lambda: Calls(lambda x: functional.relu6(x).add_(x)),
    "activated twice": lambda: Calls(lambda x: functional.hardtanh(functional.relu(x))),
    "used before its activation": lambda: Calls(lambda x: (x + functional.relu(x), x)),
    "flattened twice": lambda: Calls(lambda x: x.flatten(1).flatten(1).float().contiguous()),
    "the input itself": lambda: Calls(lambda x: (x,)),
    "branches": Branches,
    "painter": lambda: nn.Sequential(
        nn.Conv2d(3, 4, 3, 2, 1, padding_mode="reflect"),
        nn.InstanceNorm2d(4, affine=True),
        nn.ReLU(),
        nn.Upsample(scale_factor=2),
        nn.Conv2d(4, 3, 5, padding=2, padding_mode="reflect"),
        nn.Sigmoid(),
    ),
}


@pytest.mark.parametrize("name", NETS)
def test_graph_computes_what_the_module_does(name):
    torch.manual_seed(0)
    net = shaken(NETS[name]())
    traced = graph.trace(net, X[:1])
    with torch.no_grad():
        expected = net(X)
    expected = expected if isinstance(expected, tuple) else (expected,)
    got = layers.run(traced, X)
    assert len(got) == len(expected)
    for g, e, where in zip(got, expected, traced.outputs, strict=True):
        assert g.shape[1:] == traced.shapes[where]
        torch.testing.assert_close(g, e, rtol=1e-5, atol=1e-5)


def test_digit_net_loses_its_normalisation():
    sample = quantized_digits()
    traced = sample.model.graph
    with torch.no_grad():
        torch.testing.assert_close(
            layers.run(traced, sample.images[:50])[0], sample.net(sample.images[:50]), rtol=1e-4, atol=1e-4
        )
    assert [node.op for node in traced.nodes] == ["conv"] * 15 + ["mean", "flatten", "linear"]
    assert all(node.clamp == (0.0, 6.0) for node in traced.nodes[:15])


def test_graph_stays_when_the_module_goes_on_training():
    net = nn.Conv2d(3, 4, 3).eval()
    traced = graph.trace(net, X)
    before = layers.run(traced, X)[0]
    with torch.no_grad():
        net.weight.zero_(), net.bias.zero_()
    assert torch.equal(layers.run(traced, X)[0], before)


def test_double_precision():
    net = nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.Flatten(), nn.Linear(396, 2, bias=False)).double().eval()
    torch.testing.assert_close(layers.run(graph.trace(net, X.double()), X.double())[0], net(X.double()))


UNSUPPORTED = {
    "gelu": (nn.GELU(), "Hardswish"),
    "leaky_relu": (nn.LeakyReLU(), "ReLU6"),
    "dilated": (nn.Conv2d(4, 4, 3, dilation=2), "dilation 1"),
    "padding by name": (nn.Conv2d(4, 4, 3, padding="same"), "in pixels"),
    "cat": (lambda x: torch.cat([x, x], 1), "one by one"),
    "bilinear": (nn.Upsample(scale_factor=2, mode="bilinear"), "nearest"),
    "enlargement to a size": (nn.Upsample(size=40), "not supported"),
    "layer_norm": (nn.LayerNorm([4, 11, 9]), "BatchNorm2d"),
    "group_norm": (nn.GroupNorm(2, 4), "BatchNorm2d"),
    "instance_norm": (nn.InstanceNorm2d(4), "affine=True"),
    "instance_norm with running": (nn.InstanceNorm2d(4, affine=True, track_running_stats=True), "affine=True"),
    "batch_norm without": (nn.BatchNorm2d(4, track_running_stats=False), "track_running_stats=True"),
    "batch_norm": (nn.Sequential(nn.ReLU(), nn.BatchNorm2d(4)), "follow a convolution"),
    "counts its padding": (nn.AvgPool2d(3, 2, 1), "count_include_pad=False"),
    "divisor": (nn.AvgPool2d(2, divisor_override=3), "not supported"),
    "max_pool2d with dilation": (nn.MaxPool2d(2, dilation=2), "not supported"),
    "a mean over": (lambda x: x.mean(), "not supported"),
    "mean over": (lambda x: x.mean((1, 2)), "not supported"),
    "the two of the map": (nn.AdaptiveAvgPool2d(2), "not supported"),
    "softmax over": (nn.Softmax(3), "not supported"),
    "constant": (lambda x: x + 1, "not supported"),
    "add": (lambda x: torch.add(x, x.relu(), alpha=2), "not supported"),
    "different shapes": (lambda x: x + x.mean((2, 3), keepdim=True), "not supported"),
    "linear of 4": (nn.Linear(9, 2), "not supported"),
    "flatten of other": (lambda x: x.flatten(2), "not supported"),
    "view": (lambda x: x.view(1, -1), "flatten"),
    "outside training": (lambda x: functional.dropout(x), "not supported"),
    "padding in mode": (nn.ZeroPad2d(1), "not supported"),
    "not alike": (nn.ReflectionPad2d((1, 2, 1, 1)), "not supported"),
    "mul": (lambda x: x * x.sigmoid(), "not supported"),
}


@pytest.mark.parametrize("what", UNSUPPORTED)
def test_what_is_not_supported_is_named(what):
    function, instead = UNSUPPORTED[what]
    net = Calls(function).eval()
    with pytest.raises(InputError, match=f"(?s)trace: .*{what}.* \\(at .*\\) is not supported") as caught:
        graph.trace(net, X[:1])
    assert instead in str(caught.value)


def test_training_mode_bad_weights_and_bad_examples_are_refused():
    with pytest.raises(InputError, match=r"training mode, call model.eval\(\)"):
        graph.trace(nn.Sequential(nn.Conv2d(3, 4, 3), nn.Dropout()).train(), X)
    for bad in (float("nan"), float("inf")):
        net = nn.Sequential(nn.Conv2d(3, 4, 3)).eval()
        with torch.no_grad():
            net[0].weight[1, 2, 0, 0] = bad
        with pytest.raises(InputError, match="trace: 0.weight"):
            graph.trace(net, X)
    with pytest.raises(InputError, match=r"example must have shape \(B, C, H, W\), got \(3, 13, 11\)"):
        graph.trace(nn.Conv2d(3, 4, 3).eval(), X[0])
