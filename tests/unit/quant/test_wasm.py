"""The browser's program: bit for bit in WebAssembly, with nothing that a page would have to give it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from quant_samples import Branches, extreme_inputs, quantized_digits, random_model, shaken, to_last

from cvlab._check import InputError
from cvlab.quant import graph, layers
from cvlab.quant.targets.c_source import float_c, integer_c
from cvlab.quant.targets.wasm import WasmProgram, build_wasm

pytest.importorskip("ziglang")
wasmtime = pytest.importorskip("wasmtime")


@pytest.fixture(scope="module")
def module() -> bytes:
    return build_wasm(integer_c(quantized_digits().whole))


def test_digits_bit_for_bit(module):
    sample = quantized_digits()
    program = WasmProgram(module, integer_c(sample.whole))
    assert np.array_equal(program(sample.x[:200])[0], sample.whole.run(sample.x[:200])[0])
    assert program(sample.x[:0])[0].shape == (0, 10)
    with pytest.raises(InputError, match=r"WasmProgram: x must be int8 \(B, 32, 32, 3\), got float32"):
        program(sample.x.astype(np.float32))


def test_module_imports_nothing_and_exports_what_a_page_needs(module):
    made = wasmtime.Module(wasmtime.Engine(), module)
    assert list(made.imports) == []
    assert {each.name for each in made.exports} == {"memory", "input", "output", "maps", "run"}
    assert len(module) < 170_000


@pytest.mark.parametrize("seed", range(40, 46))
def test_random_networks_bit_for_bit(seed):
    whole = random_model(seed, 20)
    program = integer_c(whole)
    x = extreme_inputs(whole.shape, 30, seed)
    for got, expected in zip(WasmProgram(build_wasm(program), program)(x), whole.run(x), strict=True):
        assert np.array_equal(got, expected)


@pytest.mark.parametrize("which", ["digits", "branches"])
def test_floating_point_is_close_to_torch(which):
    x = torch.rand(5, 3, 11, 13, generator=torch.Generator().manual_seed(0))
    if which == "digits":
        traced, x = quantized_digits().model.graph, quantized_digits().images[:20]
    else:
        traced = graph.trace(shaken(Branches()), x[:1])
    program = float_c(traced)
    for got, expected in zip(WasmProgram(build_wasm(program), program)(to_last(x)), layers.run(traced, x), strict=True):
        assert np.abs(got - to_last(expected)).max() < 1e-4
