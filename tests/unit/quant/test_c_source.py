"""The generated C: bit for bit the network in whole numbers, without anything that a sanitizer finds."""

from __future__ import annotations

import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from quant_samples import ROUNDINGS, Branches, extreme_inputs, quantized_digits, random_model, shaken, to_last
from slow_integers import slow_run
from torch import nn

from cvlab import quant
from cvlab._check import InputError
from cvlab.quant import graph, layers
from cvlab.quant.integer import Rescale
from cvlab.quant.integer_model import IntegerLayer, IntegerModel
from cvlab.quant.targets.c_source import CProgram, float_c, integer_c
from cvlab.quant.targets.memory import Life, plan
from cvlab.quant.targets.toolchain import NativeProgram, compile_c, has_compiler, split_outputs

needs_zig = pytest.mark.skipif(not has_compiler(), reason="the package ziglang is missing")
HOST = shutil.which("gcc") or shutil.which("clang")
SANITIZED = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-O1", "-g", "-Wall", "-Werror", "-std=c11")
MAIN = """#include <stdio.h>
#include <stdlib.h>
#include "net.h"
int main(void) { /* in memory of their own, so that what is read or written beside them is found */
  Number *x = malloc(INPUT_NUMBERS * sizeof *x), *y = malloc(OUTPUT_NUMBERS * sizeof *y);
  while (fread(x, sizeof *x, INPUT_NUMBERS, stdin) == INPUT_NUMBERS) {
    net_run(x, y);
    fwrite(y, sizeof *y, OUTPUT_NUMBERS, stdout);
  }
  free(x), free(y);
}
"""


def run_sanitized(program: CProgram, x: np.ndarray, folder: Path) -> tuple[np.ndarray, ...]:
    program.write(folder)
    (folder / "main.c").write_text(MAIN)
    subprocess.run([HOST, *SANITIZED, "net.c", "main.c", "-o", "net"], cwd=folder, check=True)
    options = {"ASAN_OPTIONS": "detect_leaks=0"}  # leaks cannot be told where processes may not be traced
    done = subprocess.run([folder / "net"], input=x.tobytes(), capture_output=True, env=options, check=False)
    assert done.returncode == 0, done.stderr.decode()
    numbers = np.frombuffer(done.stdout, x.dtype).reshape(len(x), -1)
    return split_outputs(program, numbers)


@cache
def painter() -> graph.Graph:
    conv = nn.Conv2d(3, 4, 3, 2, 1, padding_mode="reflect")
    body = (
        nn.InstanceNorm2d(4, affine=True),
        nn.SiLU(),
        nn.Upsample(scale_factor=2),
        nn.AvgPool2d(3, 2, 1, True, False),
    )
    tail = (nn.Conv2d(4, 4, 3, groups=4), nn.Hardswish(), nn.Flatten(), nn.Linear(4 * 5 * 6, 6), nn.Softmax(1))
    torch.manual_seed(0)
    return graph.trace(shaken(nn.Sequential(conv, *body, *tail)), torch.zeros(1, 3, 11, 13))


@needs_zig
@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_digits_bit_for_bit(rounding):
    sample = quantized_digits()
    whole = quant.to_integer(sample.model, rounding=rounding)
    x = np.concatenate([sample.x[:200], extreme_inputs(whole.shape, 10)])
    native = NativeProgram(integer_c(whole))
    expected = whole.run(x)[0]
    assert np.array_equal(native(x)[0], expected)
    assert len(np.unique(expected)) > 100
    with ThreadPoolExecutor(4) as pool:  # threads do not spoil each other's working memory
        for got in pool.map(native, [x[:50]] * 8):
            assert np.array_equal(got[0], expected[:50])
    assert np.array_equal(native(np.asfortranarray(x[:6]))[0], expected[:6])
    assert np.array_equal(native(x[:20:3])[0], expected[:20:3])
    assert native(x[:0])[0].shape == (0, 10)
    for bad in (x.astype(np.int16), x[0], x[:, :, :, :2]):
        with pytest.raises(InputError, match="NativeProgram: x must be int8"):
            native(bad)


@needs_zig
@pytest.mark.parametrize("seed", range(8))
def test_random_networks_bit_for_bit(seed):
    whole = random_model(seed, 24)
    x = extreme_inputs(whole.shape, 200, seed)
    got = NativeProgram(integer_c(whole, keep=seed % 2 == 0), ("-O2",))(x)
    for name, g, expected in zip(whole.outputs, got, whole.run(x), strict=True):
        assert np.array_equal(g, expected), name


def test_random_networks_hold_all_layers():
    made = [layer for seed in range(8) for layer in random_model(seed, 24).layers]
    assert {layer.op for layer in made} == set(quant.integer_model.INTEGER_LAYERS)
    outputs = [
        value for seed in range(8) for value in random_model(seed, 24).run(extreme_inputs(random_model(seed).shape, 9))
    ]
    assert np.mean([len(np.unique(value)) for value in outputs]) > 20


@pytest.mark.skipif(HOST is None, reason="there is no C compiler on this machine")
@pytest.mark.parametrize("seed", [*range(20, 26), "digits", "float"])
def test_sanitizers_find_nothing(seed, tmp_path):
    if seed == "float":
        x = np.random.default_rng(0).normal(0, 1, (20, 11, 13, 3)).astype(np.float32)
        (got,) = run_sanitized(float_c(painter()), x, tmp_path)
        real = layers.run(painter(), torch.from_numpy(x.transpose(0, 3, 1, 2).copy()))[0]
        assert np.abs(got - real.numpy()).max() < 1e-4
        return
    whole = quantized_digits().whole if seed == "digits" else random_model(seed, 24)
    x = extreme_inputs(whole.shape, 8 if seed == "digits" else 40)
    for g, expected in zip(run_sanitized(integer_c(whole), x, tmp_path), whole.run(x), strict=True):
        assert np.array_equal(g, expected)


@needs_zig
@pytest.mark.parametrize("which", ["digits", "branches", "painter"])
def test_floating_point_is_close_to_torch(which):
    x = torch.rand(9, 3, 11, 13, generator=torch.Generator().manual_seed(0)) * 4 - 2
    if which == "digits":
        traced, x = quantized_digits().model.graph, quantized_digits().images[:50]
    elif which == "branches":
        traced = graph.trace(shaken(Branches()), x[:1])
    else:
        traced = painter()
    got = NativeProgram(float_c(traced))(to_last(x))
    for g, expected in zip(got, layers.run(traced, x), strict=True):
        assert np.abs(g - to_last(expected)).max() < 1e-4


@needs_zig
def test_every_small_sum_is_rounded_bit_for_bit():
    cases = [(m, s, r) for m in (2**30, 3 * 2**29, 2**31 - 1) for s in (-3, -2, -1, 0, 1, 2) for r in ROUNDINGS]
    made = [
        IntegerLayer(f"m{i}", "mean", ("x",), (256,), {"input_offset": 0}, rescale=Rescale(m, s, 0, (-128, 127), r))
        for i, (m, s, r) in enumerate(cases)
    ]
    whole = IntegerModel("x", (1, 1, 256), tuple(made), tuple(layer.name for layer in made), {})
    x = np.arange(-128, 128, dtype=np.int8).reshape(1, 1, 1, 256)
    by_hand, numpy = slow_run(whole, x[0]), whole.run(x)
    for got, expected, slow in zip(NativeProgram(integer_c(whole), ("-O2",))(x), numpy, by_hand, strict=True):
        assert got[0].tolist() == expected[0].tolist() == slow
    assert not np.array_equal(numpy[0], numpy[1])  # the roundings differ


def odd_names() -> IntegerModel:
    table = np.arange(-128, 128).astype(np.int8)[::-1].copy()
    names = ("model/conv;1 {y}", "by", "int", "größe")
    chain = [IntegerLayer(name, "table", (before,), (2, 3, 1), table=table) for before, name in pairwise(("x", *names))]
    return IntegerModel("x", (2, 3, 1), tuple(chain), (names[1], names[3]), {})


@needs_zig
def test_layers_may_have_any_name():
    x = extreme_inputs((2, 3, 1), 20)
    for got in NativeProgram(integer_c(odd_names()))(x):
        assert np.array_equal(got, x)


@needs_zig
def test_kept_maps_can_be_looked_at(tmp_path):
    import ctypes

    whole = random_model(3, 12)
    program = integer_c(whole, keep=True)
    program.write(tmp_path)
    options = ["-O1", "-shared", "-fPIC", f"-I{tmp_path}"]
    library = ctypes.CDLL(str(compile_c([tmp_path / "net.c"], "native", tmp_path / "net.so", options)))
    x, y = extreme_inputs(whole.shape, 3)[2], np.empty(10**5, np.int8)
    library.net_run(x.ctypes.data_as(ctypes.c_void_p), y.ctypes.data_as(ctypes.c_void_p))
    arena = np.frombuffer((ctypes.c_int8 * program.arena).in_dll(library, "arena"), np.int8)
    maps: dict[str, np.ndarray] = {}
    whole.run(x[None], maps.__setitem__)
    assert len(program.places) >= 4
    for name, place in program.places.items():
        assert np.array_equal(arena[place : place + maps[name].size], maps[name].ravel()), name


@needs_zig
def test_compiler_errors_are_told(tmp_path):
    (tmp_path / "bad.c").write_text("int f(void) { return nothing; }")
    with pytest.raises(RuntimeError, match="(?s)the compiler refuses: .*nothing"):
        compile_c([tmp_path / "bad.c"], "native", tmp_path / "bad.so", ["-shared"])


def test_what_cannot_be_written_is_refused():
    whole = odd_names()
    for outputs in (("x",), ("by", "by")):
        with pytest.raises(InputError, match="outputs of different layers"):
            integer_c(replace(whole, outputs=outputs))
    wide = IntegerLayer("wide", "softmax", ("x",), (4000,), table=np.zeros(256, np.int32))
    with pytest.raises(InputError, match="a softmax may have 2048 channels, got 4000 at wide"):
        integer_c(IntegerModel("x", (4000,), (wide,), ("wide",), {}))
    grouped = graph.trace(nn.Sequential(nn.Conv2d(4, 4, 1, groups=2)).eval(), torch.zeros(1, 4, 5, 5))
    with pytest.raises(InputError, match="float_c: groups must be 1 .* got 2 at conv2d"):
        float_c(grouped)
    flat = graph.trace(nn.Sequential(nn.Conv2d(3, 4, 1), nn.Flatten(), nn.ReLU()).eval(), torch.zeros(1, 3, 5, 5))
    with pytest.raises(InputError, match=r"float_c: flatten .* map \(4, 5, 5\) must go to linear layers alone"):
        float_c(flat)


def test_sizes_are_those_of_the_constants():
    sample = quantized_digits()
    program = integer_c(sample.whole)
    assert program.constants == sample.whole.bytes
    held = sum(len(numbers.split(",")) for numbers in re.findall(r"int8_t \w+\[\] = \{([^}]*)\}", program.source))
    assert held == sum(
        layer.weights.size + len(layer.bias) for layer in sample.whole.layers if layer.weights is not None
    )
    assert "float" not in program.source.replace("no floating point", "")


@pytest.mark.parametrize("seed", range(30))
def test_maps_that_live_together_do_not_overlap(seed):
    rng = np.random.default_rng(seed)
    rows = rng.integers((1, 0, 0), (500, 20, 6), (15, 3)).tolist()
    lives = {f"m{i}": Life(size, start, start + more) for i, (size, start, more) in enumerate(rows)}
    for reuse in (True, False):
        places, total = plan(lives, reuse)
        at_once = [sum(m.size for m in lives.values() if m.first <= step <= m.last) for step in range(26)]
        assert total >= (max(at_once) if reuse else sum(size for size, _, _ in rows))
        assert all(place % 16 == 0 and 0 <= place <= total - lives[name].size for name, place in places.items())
        for a in lives:
            for b in lives:
                together = lives[a].first <= lives[b].last and lives[b].first <= lives[a].last
                if a < b and (together or not reuse):
                    assert places[a] + lives[a].size <= places[b] or places[b] + lives[b].size <= places[a]
    assert plan({}) == ({}, 0)
