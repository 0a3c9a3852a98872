"""Networks quantized by torchao: as right as in float, for any number of images, and what is refused."""

from __future__ import annotations

import importlib.util
import shutil

import pytest
import torch
from torch import nn

from cvlab.data import digits
from cvlab.models import digit_net
from cvlab.quant.targets import torchao_pt2e
from cvlab.quant.targets.torchao_pt2e import compile_pt2e, quantize_pt2e

pytest.importorskip("torchao", reason="torchao is not installed")


class Two(nn.Module):
    """Has two outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 2, 1)

    def forward(self, images):
        maps = self.first(images).relu()
        return maps.mean((2, 3)), self.second(maps)


def rand(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def two():
    torch.manual_seed(0)
    return Two().eval()


def quantizers(module: torch.fx.GraphModule) -> list[tuple[float, ...]]:
    """Give the smallest and largest whole number of all activations."""
    nodes = [node for node in module.graph.nodes if "quantize_per_tensor" in str(node.target)]
    return [tuple(node.args[3:5]) for node in nodes]


def test_int8_is_as_right_as_float():
    model = digit_net("digit_net")
    images, labels = digits(500, "test")
    images = images.float() / 255
    quantized = quantize_pt2e(model, digits(100, "train")[0].float() / 255)
    with torch.no_grad():
        found, expected = quantized(images).argmax(1), model(images).argmax(1)
    assert abs(float((found == labels).float().mean() - (expected == labels).float().mean())) <= 0.015
    assert float((found == expected).float().mean()) >= 0.97
    convolutions = [node for node in quantized.graph.nodes if "conv2d" in str(node.target)]
    assert len(convolutions) == 15
    assert all("dequantize_per_channel" in str(node.args[1].target) for node in convolutions)


def test_several_outputs_and_any_number_of_images(two):
    quantized = quantize_pt2e(two, rand(8, 3, 9, 7))
    quantized.eval()  # an exported graph refuses this, unless it is told to allow it
    for count in (1, 5):
        images = rand(count, 3, 9, 7)
        with torch.no_grad():
            for found, expected in zip(quantized(images), two(images), strict=True):
                torch.testing.assert_close(found, expected, atol=0.02, rtol=0.02)
                assert not torch.equal(found, expected)


@pytest.mark.parametrize(("saturating", "largest"), [(None, 127), (False, 255)])
def test_the_cpu_decides_on_the_range_unless_it_is_said(two, monkeypatch, saturating, largest):
    monkeypatch.setattr(torchao_pt2e, "saturates", lambda features: saturating)
    assert set(quantizers(quantize_pt2e(two, rand(2, 3, 9, 7)))) == {(0, largest)}
    said = quantize_pt2e(two, rand(2, 3, 9, 7), reduce_range=largest == 255)
    assert set(quantizers(said)) == {(0, 382 - largest)}


@pytest.mark.skipif(shutil.which("g++") is None, reason="there is no C++ compiler")
def test_compiled_is_as_called(two):
    images = rand(4, 3, 9, 7)
    quantized = quantize_pt2e(two, images)
    compiled = compile_pt2e(quantized, images)
    with torch.no_grad():
        for found, expected in zip(compiled(images.flip(0)), quantized(images.flip(0)), strict=True):
            torch.testing.assert_close(found, expected, atol=0.01, rtol=0.01)  # a step of one output's scale
    with pytest.raises(ValueError, match=r"compile_pt2e: images must have shape \(4, 3, 9, 7\), got \(2, 3, 9, 7\)"):
        compiled(images[:2])


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (rand(0, 3, 9, 7), "calibration must hold at least one image"),
        (rand(3, 9, 7), r"calibration must have shape \(B, 3, H, W\)"),
        (rand(2, 3, 9, 7).log() * 0 + float("nan"), r"calibration\[0, 0, 0, 0\] is not finite"),
    ],
)
def test_calibration_that_cannot_be_is_refused(two, images, message):
    with pytest.raises(ValueError, match=f"quantize_pt2e: {message}"):
        quantize_pt2e(two, images)


def test_models_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="quantize_pt2e: the model is in training mode"):
        quantize_pt2e(Two(), rand(2, 3, 9, 7))
    model = Two().eval()
    model.second.bias.data[1] = float("inf")
    with pytest.raises(ValueError, match=r"quantize_pt2e: second.bias\[1\] is not finite: inf"):
        quantize_pt2e(model, rand(2, 3, 9, 7))


def test_a_missing_package_is_named(two, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == "torchao" else find(name, *a))
    with pytest.raises(ImportError, match="quantize_pt2e: needs the packages torchao, but there is no torchao"):
        quantize_pt2e(two, rand(2, 3, 9, 7))
