"""What a CPU can do with whole numbers of 8 bits, and what goes wrong where it cannot.

Without VNNI, AVX2 multiplies uint8 by int8 with an instruction that adds neighbouring products in 16 bits. Two products
of 255 and 127 are 64,770, but the largest number there is 32,767: the sum is cut off, silently.
"""

from __future__ import annotations

import importlib.util
import platform
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cvlab import _check

_FLAGS = {
    "avx2": ("avx2",),
    "avx512_vnni": ("avx512_vnni", "avx512vnni"),
    "avx_vnni": ("avx_vnni",),
    "amx_int8": ("amx_int8",),
    "dotprod": ("asimddp", "dotprod"),
}
_X86, _ARM = ("x86_64", "amd64", "i386", "i686", "x86"), ("aarch64", "arm64")
_CHANNELS, _OUTPUTS, _SIDE = 64, 32, 8


def cpu_features() -> dict[str, bool | None]:
    """Say which instructions for whole numbers of 8 bits this CPU has.

    Returns:
        For "avx2", "avx512_vnni", "avx_vnni", "amx_int8" (x86) and "dotprod" (ARM) whether this CPU has it; None where
        this system does not say.

    Notes:
        Linux says it in a file. Elsewhere it is asked of torch, and of the package py-cpuinfo where it is installed;
        what these do not mention counts as unknown.
    """
    machine = platform.machine().lower()
    file = Path("/proc/cpuinfo")
    if file.is_file():
        found = read_features(file.read_text(encoding="utf-8", errors="replace"))
        if any(value is not None for value in found.values()):
            return _of_machine(found, machine)
    return _of_machine(_asked(), machine)


def read_features(text: str) -> dict[str, bool | None]:
    """Read in the text of Linux's `/proc/cpuinfo` what all processors have.

    Args:
        text: lines of a name, a colon and a value; "flags" (x86) and "Features" (ARM) count.

    Returns:
        As `cpu_features`; None for all where there is no such line.

    Example:
        >>> read_features("processor : 0" + chr(10) + "flags : fma avx2")["avx2"]
        True
    """
    lines = [line.partition(":") for line in text.splitlines()]
    flags = [set(value.lower().split()) for name, _, value in lines if name.strip().lower() in ("flags", "features")]
    if not flags:
        return dict.fromkeys(_FLAGS)
    common = set.intersection(*flags)
    return {name: not common.isdisjoint(words) for name, words in _FLAGS.items()}


def saturates(features: dict[str, bool | None]) -> bool | None:
    """Say whether products of uint8 and int8 are added in 16 bits, where they may be cut off.

    Args:
        features: as `cpu_features` gives them.

    Returns:
        True with AVX2 and neither VNNI nor AMX; False with one of these, or with ARM's dot product; None where the
        features do not tell.

    Example:
        >>> saturates({"avx2": True, "avx512_vnni": False, "avx_vnni": False, "amx_int8": False, "dotprod": False})
        True

    Notes:
        onnxruntime has a remedy, off by default: its session option `session.x64quantprecision` turns int8 weights
        outside [-64, 63] into uint8 ones on such a CPU, which are multiplied exactly, but more slowly.
    """
    better = [features[name] for name in ("avx512_vnni", "avx_vnni", "amx_int8")]
    if any(better) or features["dotprod"]:
        return False
    return True if features["avx2"] and None not in better else None


def add_pairs_int16(x: np.ndarray, w: np.ndarray) -> np.ndarray:
    """Add products as AVX2 does: neighbouring pairs in 16 bits, cut off; the pairs exactly.

    Args:
        x: (N, K) uint8, K even.
        w: (O, K) int8.

    Returns:
        (N, O) int64.

    Raises:
        InputError: if the types or shapes are others.

    Notes:
        The instruction is VPMADDUBSW.

    Example:
        >>> add_pairs_int16(np.full((1, 4), 255, np.uint8), np.full((1, 4), 127, np.int8)), 4 * 255 * 127
        (array([[65534]]), 129540)
    """
    fits = x.ndim == w.ndim == 2 and x.shape[1] == w.shape[1] and x.shape[1] % 2 == 0
    if not fits or (x.dtype, w.dtype) != (np.uint8, np.int8):
        raise _check.InputError(
            f"add_pairs_int16: x must be uint8 (N, K) and w int8 (O, K) with K even, "
            f"got {x.dtype} {x.shape} and {w.dtype} {w.shape}"
        )
    products = x[:, None].astype(np.int64) * w[None].astype(np.int64)  # (N, O, K)
    pairs = products.reshape(*products.shape[:2], -1, 2).sum(-1)  # (N, O, K / 2)
    return np.clip(pairs, -(2**15), 2**15 - 1).sum(-1)


def saturation(
    wmax: int, activation_dtype: str = "uint8", weight_dtype: str = "int8", seed: int = 0
) -> dict[str, float]:
    """Compare one convolution of whole numbers in onnxruntime with the exact result.

    It has 64 channels, large activations, and weights from 0.7 `wmax` to `wmax`.

    Args:
        wmax: the largest weight, at least 1.
        activation_dtype: "uint8" or "int8".
        weight_dtype: "uint8" or "int8".
        seed: of activations and weights.

    Returns:
        `right`, the share of outputs that are exact, and the means `expected`, `found`, and `int16`, which sums of
        pairs in 16 bits would give (NaN but for uint8 by int8).

    Raises:
        InputError: if a type is another, activations are int8 and weights uint8 (onnxruntime has no such convolution),
            or the numbers of a type end below `wmax`.
        ImportError: if onnx or onnxruntime is missing.

    Notes:
        With weights up to 64 a pair is at most 2 * 255 * 64 = 32,640, and nothing can be cut off.
    """
    from cvlab.quant.targets._ready import needs

    op = "saturation"
    needs(op, "onnx", "onnxruntime")
    for name, dtype in (("activation_dtype", activation_dtype), ("weight_dtype", weight_dtype)):
        _check.choice(op, name, dtype, ("uint8", "int8"))
    if (activation_dtype, weight_dtype) == ("int8", "uint8"):
        raise _check.InputError(f"{op}: onnxruntime has no convolution of int8 activations and uint8 weights")
    if isinstance(wmax, bool) or not isinstance(wmax, int) or not 1 <= wmax <= np.iinfo(weight_dtype).max:
        raise _check.InputError(f"{op}: wmax must be from 1 to {np.iinfo(weight_dtype).max}, got {wmax!r}")
    rng, high = np.random.default_rng(seed), int(np.iinfo(activation_dtype).max)
    x = rng.integers(high - 60, high + 1, (_SIDE * _SIDE, _CHANNELS)).astype(activation_dtype)  # (pixels, channels)
    w = rng.integers(int(wmax * 0.7), wmax + 1, (_OUTPUTS, _CHANNELS)).astype(weight_dtype)
    scale = 2.0 ** np.ceil(np.log2(_CHANNELS * wmax))  # a power of two, so that dividing by it is exact

    def rescale(sums: np.ndarray) -> np.ndarray:
        return np.clip(np.rint(sums / scale), 0, high)

    expected, found = rescale(x.astype(np.int64) @ w.T.astype(np.int64)), _in_onnxruntime(x, w, scale)
    pairs = (x.dtype, w.dtype) == (np.uint8, np.int8)
    return {
        "right": float((expected == found).mean()),
        "expected": float(expected.mean()),
        "found": float(found.mean()),
        "int16": float(rescale(add_pairs_int16(x, w)).mean()) if pairs else float("nan"),
    }


def _in_onnxruntime(x: np.ndarray, w: np.ndarray, scale: float) -> np.ndarray:
    """Convolve pixels (P, C) with w (O, C), divide by the scale, and give (P, O) int64."""
    import onnx
    import onnxruntime
    from onnx import helper, numpy_helper

    image = np.ascontiguousarray(x.T).reshape(1, _CHANNELS, _SIDE, _SIDE)  # (pixels, channels) -> (1, C, H, W)
    one, zero = np.float32(1), np.zeros((), x.dtype)
    values = {
        "x_scale": one,
        "x_zero": zero,
        "w": w[:, :, None, None],
        "w_scale": one,
        "w_zero": np.zeros((), w.dtype),
        "y_scale": np.float32(scale),
        "y_zero": zero,
    }
    graph = helper.make_graph(
        [helper.make_node("QLinearConv", ["x", *values], ["y"])],
        "convolution",
        [helper.make_tensor_value_info("x", helper.np_dtype_to_tensor_dtype(x.dtype), image.shape)],
        [helper.make_tensor_value_info("y", helper.np_dtype_to_tensor_dtype(x.dtype), [1, len(w), _SIDE, _SIDE])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in values.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    [y] = session.run(None, {"x": image})
    return y.reshape(len(w), -1).T.astype(np.int64)


def _asked() -> dict[str, bool | None]:
    """Ask torch, and py-cpuinfo where it is installed."""
    known: dict[str, Any] = dict(getattr(torch.cpu, "get_capabilities", dict)())
    if torch.backends.cpu.get_cpu_capability() in ("AVX2", "AVX512"):
        known["avx2"] = True
    if importlib.util.find_spec("cpuinfo") is not None:
        import cpuinfo

        known |= dict.fromkeys(cpuinfo.get_cpu_info().get("flags", ()), True)
    return {name: next((bool(known[word]) for word in words if word in known), None) for name, words in _FLAGS.items()}


def _of_machine(found: dict[str, bool | None], machine: str) -> dict[str, bool | None]:
    """Set to False what belongs to other machines."""
    if machine in _X86:
        return {**found, "dotprod": False}
    if machine in _ARM:
        return {name: value if name == "dotprod" else False for name, value in found.items()}
    return found
