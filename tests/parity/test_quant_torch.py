"""Quantization and observers must agree with torch's and torchao's own."""

from __future__ import annotations

import pytest
import torch
from required import required

from cvlab import quant

pt2e = required("torchao.quantization.pt2e")

SCHEMES = {  # ours, theirs; symmetric scales of torchao take the mean of both ends, so its range must be symmetric
    "uint8": ({"signed": False}, {"dtype": torch.uint8, "qscheme": torch.per_tensor_affine}, 0, 255),
    "int8": ({}, {"dtype": torch.int8, "qscheme": torch.per_tensor_affine}, -128, 127),
    "symmetric": ({"symmetric": True}, {"dtype": torch.int8, "qscheme": torch.per_tensor_symmetric}, -127, 127),
    "4 bits": ({"bits": 4}, {"dtype": torch.int8, "qscheme": torch.per_tensor_affine}, -8, 7),
}
SHIFTS = {"both signs": (1.0, 0.0), "positive": (0.3, 3.0), "negative": (0.3, -3.0), "askew": (2.0, 1.5)}


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def batches(shift: str) -> list[torch.Tensor]:
    spread, middle = SHIFTS[shift]
    return [normal(6, 4, 5, 5, seed=seed) * spread * (1 + seed) + middle for seed in range(3)]


def same(ours: quant.QuantParams, theirs: tuple[torch.Tensor, torch.Tensor]) -> None:
    scale, zero = theirs
    torch.testing.assert_close(ours.scale.reshape(-1), scale.reshape(-1).float(), rtol=1e-5, atol=0)
    assert ours.zero_point.reshape(-1).tolist() == zero.reshape(-1).tolist()


@pytest.mark.parametrize("shift", SHIFTS)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_min_max(scheme, shift):
    options, other, low, high = SCHEMES[scheme]
    ours, theirs = quant.MinMaxObserver(**options), pt2e.MinMaxObserver(**other, quant_min=low, quant_max=high)
    for batch in batches(shift):
        ours.update(batch)
        theirs(batch)
        same(ours.params(), theirs.calculate_qparams())


@pytest.mark.parametrize("shift", SHIFTS)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_moving_average(scheme, shift):
    options, other, low, high = SCHEMES[scheme]
    ours = quant.MovingAverageObserver(momentum=0.2, **options)
    theirs = pt2e.MovingAverageMinMaxObserver(averaging_constant=0.2, **other, quant_min=low, quant_max=high)
    for batch in batches(shift):
        ours.update(batch)
        theirs(batch)
        same(ours.params(), theirs.calculate_qparams())


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("moving", [False, True])
def test_channels(axis, moving):
    kind = quant.MovingAverageObserver if moving else quant.MinMaxObserver
    other = pt2e.MovingAveragePerChannelMinMaxObserver if moving else pt2e.PerChannelMinMaxObserver
    options = {"averaging_constant": 0.1} if moving else {}
    ours = kind(symmetric=True, axis=axis)
    theirs = other(
        ch_axis=axis, dtype=torch.int8, qscheme=torch.per_channel_symmetric, quant_min=-127, quant_max=127, **options
    )
    for batch in batches("askew"):
        ours.update(batch)
        theirs(batch)
    same(ours.params(), theirs.calculate_qparams())


@pytest.mark.parametrize("bits", [4, 8])
def test_histogram_is_about_as_good(bits):
    """Both search for bounds in their own ways: what counts is the error that is left."""
    x = normal(20_000)
    x[:20] *= 30
    low = -(2 ** (bits - 1))
    ours, plain = quant.HistogramObserver(bits=bits), quant.MinMaxObserver(bits=bits)
    theirs = pt2e.HistogramObserver(
        dtype=torch.int8, qscheme=torch.per_tensor_affine, quant_min=low, quant_max=-low - 1
    )
    for batch in x.split(5000):
        ours.update(batch)
        plain.update(batch)
        theirs(batch)
    scale, zero = theirs.calculate_qparams()

    def error(params: quant.QuantParams) -> float:
        return float((quant.fake_quantize(x, params) - x).square().mean())

    other = quant.QuantParams(scale.reshape(()), zero.reshape(()).long(), bits)
    assert error(other) < error(plain.params())
    assert error(ours.params()) < 1.1 * error(other)


@pytest.mark.parametrize(("bits", "signed"), [(8, True), (8, False), (4, True), (2, False)])
def test_fake_quantize_and_its_gradient(bits, signed):
    params = quant.choose_qparams(-1.5, 2.5, bits=bits, signed=signed)
    x = normal(4000).mul(2).requires_grad_()
    other = x.detach().clone().requires_grad_()
    ours = quant.fake_quantize(x, params)
    theirs = torch.fake_quantize_per_tensor_affine(
        other, params.scale, params.zero_point.int(), params.low, params.high
    )
    apart = (ours - theirs).abs() > 1e-6
    assert int(apart.sum()) <= 1  # torch multiplies by 1 / scale, which can turn over a tie
    ours.square().sum().backward()
    theirs.square().sum().backward()
    torch.testing.assert_close(x.grad[~apart], other.grad[~apart])
    assert 0 < int((x.grad == 0).sum()) < len(x)


def test_ties_go_to_the_even_number_as_in_torch():
    params = quant.QuantParams(torch.tensor(0.25), torch.tensor(3), 8, True)
    x = torch.arange(-40, 40) / 8  # half of these are ties
    theirs = torch.fake_quantize_per_tensor_affine(x, 0.25, 3, -128, 127)
    assert torch.equal(quant.fake_quantize(x, params), theirs)


@pytest.mark.parametrize("axis", [0, 1, 3])
def test_fake_quantize_of_channels(axis):
    x = normal(4, 4, 4, 4) * torch.tensor([1.0, 2.0, 4.0, 8.0])
    observer = quant.MinMaxObserver(axis=axis, symmetric=True)
    observer.update(x * 0.8)
    params = observer.params()
    theirs = torch.fake_quantize_per_channel_affine(x, params.scale, params.zero_point.int(), axis, -128, 127)
    torch.testing.assert_close(quant.fake_quantize(x, params), theirs, atol=1e-5, rtol=0)
