"""Sums of products in 16 bits: by hand, and what this CPU does, whichever it is."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cvlab.quant.targets import cpu
from cvlab.quant.targets.cpu import add_pairs_int16, cpu_features, read_features, saturates, saturation

pytest.importorskip("onnx", reason="onnx is not installed")
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

NONE = {"avx2": False, "avx512_vnni": False, "avx_vnni": False, "amx_int8": False, "dotprod": False}


def test_pairs_are_cut_off_and_their_sum_is_not():
    x = np.array([[255, 255, 1, 0, 255, 255]], np.uint8)
    w = np.array([[127, 127, -5, 9, -128, -128], [64, 64, 0, 0, 64, 64]], np.int8)
    assert add_pairs_int16(x, w).tolist() == [[32767 - 5 - 32768, 2 * 32640]]


def test_pairs_of_7_bits_are_exact():
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (20, 64)).astype(np.uint8)
    w = rng.integers(-64, 65, (10, 64)).astype(np.int8)
    assert np.array_equal(add_pairs_int16(x, w), x.astype(int) @ w.T.astype(int))


@pytest.mark.parametrize(
    ("x", "w"),
    [
        (np.zeros((2, 4), np.int8), np.zeros((3, 4), np.int8)),
        (np.zeros((2, 4), np.uint8), np.zeros((3, 4), np.uint8)),
        (np.zeros((2, 4), np.uint8), np.zeros((3, 6), np.int8)),
        (np.zeros((2, 3), np.uint8), np.zeros((3, 3), np.int8)),
        (np.zeros(4, np.uint8), np.zeros((3, 4), np.int8)),
    ],
)
def test_pairs_need_their_types_and_shapes(x, w):
    with pytest.raises(ValueError, match="add_pairs_int16: x must be uint8"):
        add_pairs_int16(x, w)


@pytest.mark.parametrize(
    ("text", "has", "bad"),
    [
        ("processor\t: 0\nflags\t\t: fpu sse4_1 fma avx2\n", {"avx2"}, True),
        ("flags : avx2 avx512f avx512bw\n", {"avx2"}, True),  # AVX-512 alone is no help
        ("flags : avx2 avx512_vnni avx_vnni amx_int8\n", {"avx2", "avx512_vnni", "avx_vnni", "amx_int8"}, False),
        ("flags : avx2 avx_vnni\n", {"avx2", "avx_vnni"}, False),
        ("flags : avx2 avx_vnni\n\nflags : avx2\n", {"avx2"}, True),  # not all processors have it
        ("Features\t: fp asimd asimddp\n", {"dotprod"}, False),
        ("Features\t: fp asimd\n", set(), None),
    ],
)
def test_features_are_read(text, has, bad):
    found = read_features(text)
    assert {name for name, value in found.items() if value} == has
    assert None not in found.values()
    assert saturates(found) is bad


def test_what_is_not_said_is_unknown():
    found = read_features("model name : something with avx2\n")
    assert found == dict.fromkeys(NONE)
    assert saturates(found) is None
    assert saturates({**dict.fromkeys(NONE), "avx2": True}) is None
    assert saturates({**dict.fromkeys(NONE), "avx_vnni": True}) is False


def test_features_of_this_cpu():
    found = cpu_features()
    assert set(found) == set(NONE)
    assert set(found.values()) <= {True, False, None}


@pytest.mark.parametrize(("machine", "unknown"), [("arm64", {"dotprod"}), ("AMD64", set(NONE) - {"dotprod"})])
def test_without_a_file_of_linux_others_are_asked(monkeypatch, tmp_path, machine, unknown):
    monkeypatch.setattr(cpu, "Path", lambda name: tmp_path / "none")
    monkeypatch.setattr(cpu, "_asked", lambda: dict.fromkeys(NONE))
    monkeypatch.setattr(cpu.platform, "machine", lambda: machine)
    found = cpu_features()
    assert {name for name, value in found.items() if value is None} == unknown


def test_torch_and_cpuinfo_agree_with_linux():
    asked, found = cpu._asked(), cpu_features()
    for name, value in asked.items():
        assert value is None or found[name] is None or value == found[name]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("wmax", [1, 31, 63, 64])
def test_weights_of_7_bits_are_always_exact(wmax, seed):
    for dtype in ("uint8", "int8"):
        found = saturation(wmax, dtype, "int8", seed)
        assert found["right"] == 1
        assert found["found"] == found["expected"] > 0
    assert saturation(wmax, seed=seed)["int16"] == saturation(wmax, seed=seed)["expected"]


@pytest.mark.parametrize("wmax", [127, 255])
def test_uint8_by_uint8_is_always_exact(wmax):
    found = saturation(wmax, "uint8", "uint8")
    assert found["right"] == 1
    assert math.isnan(found["int16"])


def test_weights_of_8_bits_are_wrong_where_the_cpu_saturates():
    found = saturation(127)
    assert found["int16"] < 0.8 * found["expected"]
    bad = saturates(cpu_features())
    assert bad is None or (found["right"] < 0.1) == bad
    assert (found["found"] < 0.9 * found["expected"]) == (found["right"] < 0.9)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0,), "wmax must be from 1 to 127, got 0"),
        ((128,), "wmax must be from 1 to 127, got 128"),
        ((256, "uint8", "uint8"), "wmax must be from 1 to 255, got 256"),
        ((63.0,), "wmax must be from 1 to 127, got 63.0"),
        ((63, "int16"), "activation_dtype must be one of"),
        ((63, "int8", "float"), "weight_dtype must be one of"),
        ((63, "int8", "uint8"), "no convolution of int8 activations and uint8 weights"),
    ],
)
def test_what_cannot_be_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        saturation(*arguments)
