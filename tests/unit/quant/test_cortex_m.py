"""A microcontroller without floating point: the firmware fits, and computes bit for bit what the whole numbers say."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch
from quant_samples import extreme_inputs, quantized_digits, random_model
from torch import nn

from cvlab._check import InputError
from cvlab.quant import graph, layers, quantize_model, to_integer
from cvlab.quant.targets.c_source import float_c, integer_c
from cvlab.quant.targets.cortex_m import BOARDS, Firmware, build_firmware, emulate, has_qemu, run_qemu, summary

for package in ("ziglang", "elftools", "unicorn", "capstone"):
    pytest.importorskip(package)
needs_gcc = pytest.mark.skipif(not shutil.which("arm-none-eabi-gcc"), reason="arm-none-eabi-gcc is not installed")
needs_qemu = pytest.mark.skipif(not has_qemu(), reason="qemu-system-arm is not installed")


@pytest.fixture(scope="module")
def digits() -> Firmware:
    return build_firmware(integer_c(quantized_digits().whole))


@pytest.fixture(scope="module")
def floats() -> tuple[graph.Graph, Firmware]:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Hardswish(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 3))
    traced = graph.trace(net.eval(), torch.zeros(1, 1, 5, 6))
    return traced, build_firmware(float_c(traced))


def test_digits_fit_and_are_bit_for_bit(digits):
    sample = quantized_digits()
    assert digits.fits
    assert digits.flash <= 170_000
    assert digits.ram <= 20_000
    assert digits.soft_float == ()
    found = emulate(digits, sample.x[:200])
    assert np.array_equal(found.outputs[0], sample.whole.run(sample.x[:200])[0])
    assert 5_000_000 < found.instructions <= 12_000_000
    text = summary(digits, found)
    assert f"flash {digits.flash:,} of 262,144 bytes" in text
    assert text.endswith("functions for floating point in it: 0")
    assert emulate(digits, sample.x[:1]).instructions == found.instructions
    assert emulate(digits, sample.x[:1], count=False).instructions == 0


@pytest.mark.parametrize("seed", [31, 32, 33])
@pytest.mark.parametrize("optimise", ["-O2", "-Os"])
def test_random_networks_bit_for_bit(seed, optimise):
    whole = random_model(seed, 12)
    firmware = build_firmware(integer_c(whole), "mps2_an385", optimise=optimise)
    x = extreme_inputs(whole.shape, 8, seed)
    assert firmware.soft_float == ()
    for got, expected in zip(emulate(firmware, x).outputs, whole.run(x), strict=True):
        assert np.array_equal(got, expected)


@pytest.mark.parametrize("act", [nn.Hardswish(), nn.SiLU()], ids=["hard-swish", "SiLU"])
def test_a_table_beats_the_function(act):
    x = torch.randn(1, 8, 16, 16, generator=torch.Generator().manual_seed(0)) * 4
    model = quantize_model(act.eval(), [x])
    whole, last = to_integer(model), x.permute(0, 2, 3, 1).contiguous().numpy()
    table = emulate(build_firmware(integer_c(whole)), whole.quantize_input(x)).instructions / x.numel()
    real = emulate(build_firmware(float_c(model.graph)), last).instructions / x.numel()
    assert table < 6  # today 4.25, against 265 of hard-swish and 1,513 of SiLU
    assert real > 40 * table


def test_floating_point_calls_functions_for_it(floats):
    traced, firmware = floats
    assert {"__aeabi_fadd", "__aeabi_fmul"} <= set(firmware.soft_float)
    x = torch.randn(3, 1, 5, 6, generator=torch.Generator().manual_seed(0))
    found = emulate(firmware, x.permute(0, 2, 3, 1).numpy())
    assert np.abs(found.outputs[0] - layers.run(traced, x)[0].numpy()).max() < 1e-5
    assert found.instructions > 3000


def test_digits_in_floating_point_do_not_fit():
    program = float_c(quantized_digits().model.graph)
    firmware = build_firmware(program)
    assert not firmware.fits
    assert firmware.soft_float
    assert build_firmware(program, "mps2_an385").fits
    with pytest.raises(InputError, match="does not fit into the board's memory"):
        run_qemu(firmware, np.zeros((1, 32, 32, 3), np.float32))


def test_bad_input_is_refused(digits):
    x = quantized_digits().x
    assert emulate(digits, x[:0]).outputs[0].shape == (0, 10)
    for call in (emulate, run_qemu):
        with pytest.raises(InputError, match=r"x must be int8 \(B, 32, 32, 3\), got uint8"):
            call(digits, x.astype(np.uint8))
    for options in ({"board": "arduino"}, {"compiler": "clang"}):
        with pytest.raises(InputError, match="build_firmware: "):
            build_firmware(digits.program, **options)


@needs_qemu
@pytest.mark.parametrize("board", BOARDS)
@pytest.mark.parametrize("compiler", ["zig", pytest.param("gcc", marks=needs_gcc)])
def test_boards_of_qemu_are_bit_for_bit(board, compiler):
    sample = quantized_digits()
    firmware = build_firmware(integer_c(sample.whole), board, compiler=compiler)
    assert firmware.fits
    assert firmware.soft_float == ()
    x = np.concatenate([sample.x[:20], extreme_inputs(sample.whole.shape, 4)])
    assert np.array_equal(run_qemu(firmware, x)[0], sample.whole.run(x)[0])


@needs_qemu
@needs_gcc
@pytest.mark.parametrize("seed", [31, 34])
def test_random_networks_by_gcc(seed):
    whole = random_model(seed, 16)
    x = extreme_inputs(whole.shape, 12, seed)
    firmware = build_firmware(integer_c(whole), "mps2_an385", compiler="gcc")
    for outputs in (run_qemu(firmware, x), emulate(firmware, x).outputs):
        for got, expected in zip(outputs, whole.run(x), strict=True):
            assert np.array_equal(got, expected)


@needs_qemu
@needs_gcc
def test_floating_point_by_gcc(floats):
    traced, _ = floats
    x = torch.randn(3, 1, 5, 6, generator=torch.Generator().manual_seed(0))
    firmware = build_firmware(float_c(traced), compiler="gcc")
    (got,) = run_qemu(firmware, x.permute(0, 2, 3, 1).numpy())
    assert firmware.soft_float
    assert np.abs(got - layers.run(traced, x)[0].numpy()).max() < 1e-5
