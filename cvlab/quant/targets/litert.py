"""LiteRT, which runs networks on Android: run a .tflite file here, with the kernels that other devices must agree with.

A file of int8 holds whole numbers only, so that its results are a matter of exact arithmetic. The reference kernels
are that arithmetic as it was meant; others are faster, and now and then round to the neighbouring number.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cvlab import _check
from cvlab.quant.affine import QuantParams, quantize

Array = np.ndarray[Any, np.dtype[Any]]

_FOLDER = Path(__file__).resolve().parents[1] / "files"
_FILE = _FOLDER / "digit_net_int8.tflite"
_KERNELS = {"reference": "BUILTIN_REF", "builtin": "BUILTIN_WITHOUT_DEFAULT_DELEGATES", "xnnpack": "BUILTIN"}
_OP = "run_litert"


@dataclass(frozen=True, eq=False)
class LitertRun:
    """What a file gave.

    Attributes:
        outputs: (B, ...) int8, or float32 of a file of floats.
        input_params: scale and zero point of the input; None if it takes floats.
        output_params: scale and zero point of the outputs; None if it gives floats.
    """

    outputs: Array
    input_params: QuantParams | None
    output_params: QuantParams | None


def litert_file() -> Path:
    """Find the shipped file: the classifier of digits with int8 weights, input and output.

    Returns:
        The path of the file, whose input is (1, 32, 32, 3) int8, the bytes of a picture less 128.

    Raises:
        ValueError: if it is not the file that its card describes.

    Example:
        >>> litert_file().name
        'digit_net_int8.tflite'
    """
    if hashlib.sha256(_FILE.read_bytes()).hexdigest() != litert_card()["sha256"]:
        raise ValueError(f"litert_file: {_FILE.name} is damaged or was replaced: its SHA-256 is not that of its card")
    return _FILE


def litert_card() -> dict[str, Any]:
    """Read how the shipped file was made, and what it reaches.

    Returns:
        Day, versions, source and calibration, accuracies on the test split, and the file's SHA-256.
    """
    return json.loads(_FILE.with_suffix(".json").read_text(encoding="utf-8"))


def run_litert(path: str | Path, images: Tensor | Array, *, kernels: str = "reference") -> LitertRun:
    """Run a .tflite file on images, one after the other, on one thread of this machine.

    Args:
        path: of a file with one input (1, H, W, C) and one output, each int8 or float32.
        images: a tensor (B, C, H, W), as in the rest of this package, or an array (B, H, W, C), as the file has it.
            Floats are quantized with the file's scale and zero point if it takes int8; int8 goes in as it is.
        kernels: "reference" for plain loops that do what the format says, "builtin" for optimized ones, "xnnpack" for
            those that a phone's processor uses by default.

    Returns:
        The outputs, with the quantization of input and output.

    Raises:
        InputError: if the file has more than one input or output, or another type; if the images have another shape or
            type; if the kernels are unknown.
        ImportError: if ai-edge-litert is missing.

    Notes:
        Convolutions of "reference" scale sums of 32 bits by whole numbers and round twice, as `quant.Rescale` does;
        those of "xnnpack" scale them in float32 and round once. So most outputs are equal, and others are neighbours.

    Example:
        >>> from cvlab.data import digits
        >>> images, labels = digits(3, "test")
        >>> run = run_litert(litert_file(), images.float() / 255)
        >>> run.outputs.argmax(1).tolist() == labels.tolist(), run.input_params.zero_point.item()
        (True, -128)

    References:
        Jacob, B. et al. (2018). Quantization and training of neural networks for efficient integer-arithmetic-only
        inference. CVPR.
    """
    _check.choice(_OP, "kernels", kernels, tuple(_KERNELS))
    interpreter = _interpreter(path, kernels)
    source, result = _ends(interpreter, Path(path).name)
    batch = _batch(images, source)
    with _without_stderr():  # XNNPACK says in every run that it is there
        interpreter.allocate_tensors()
    outputs = np.empty((len(batch), *result["shape"][1:]), result["dtype"])
    for i in range(len(batch)):
        interpreter.set_tensor(source["index"], batch[i : i + 1])
        interpreter.invoke()
        outputs[i] = interpreter.get_tensor(result["index"])[0]
    return LitertRun(outputs, _params(source), _params(result))


def _interpreter(path: str | Path, kernels: str) -> Any:
    """Make what runs a file."""
    if importlib.util.find_spec("ai_edge_litert") is None:
        raise ImportError(f'{_OP}: needs the package ai-edge-litert: install this one with its extra "litert"')
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    resolver = OpResolverType[_KERNELS[kernels]]
    content = Path(path).read_bytes()
    if content[4:8] != b"TFL3":
        raise _check.InputError(f"{_OP}: {Path(path).name} must be a .tflite file, got {content[4:8]!r} for its mark")
    return Interpreter(model_content=content, experimental_op_resolver_type=resolver, num_threads=1)


@contextlib.contextmanager
def _without_stderr() -> Iterator[None]:
    """Keep what C code writes to the standard error from being seen."""
    kept = os.dup(2)
    with open(os.devnull, "w") as nothing:
        os.dup2(nothing.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _ends(interpreter: Any, name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Give what is known of the one input and the one output."""
    found = []
    for end, details in (("input", interpreter.get_input_details()), ("output", interpreter.get_output_details())):
        if len(details) != 1:
            raise _check.InputError(f"{_OP}: {name} must have one {end}, got {len(details)}")
        if details[0]["dtype"] not in (np.int8, np.float32):
            kind = np.dtype(details[0]["dtype"])
            raise _check.InputError(f"{_OP}: the {end} of {name} must be int8 or float32, got {kind}")
        found.append(details[0])
    return found[0], found[1]


def _batch(images: Tensor | Array, source: dict[str, Any]) -> Array:
    """Bring images into the file's order and type: (B, H, W, C)."""
    x = images.detach().cpu() if isinstance(images, Tensor) else torch.from_numpy(np.array(images))
    if isinstance(images, Tensor) and x.dim() == 4:
        x = x.permute(0, 2, 3, 1)
    size = tuple(int(n) for n in source["shape"])
    if size[0] != 1 or tuple(x.shape[1:]) != size[1:]:
        order = "(B, C, H, W)" if isinstance(images, Tensor) else "(B, H, W, C)"
        raise _check.InputError(
            f"{_OP}: images must have shape {order} that fits the file's input {size}, got {tuple(images.shape)}"
        )
    return _typed(x, source).contiguous().numpy()


def _typed(x: Tensor, source: dict[str, Any]) -> Tensor:
    params = _params(source)
    if params is not None and x.dtype == torch.int8:
        return x
    if not x.is_floating_point():
        wanted = "float32" if params is None else "float or int8"
        raise _check.InputError(f"{_OP}: images must be {wanted}, got {x.dtype}")
    return x.float() if params is None else quantize(x.float(), params).to(torch.int8)


def _params(details: dict[str, Any]) -> QuantParams | None:
    if details["dtype"] != np.int8:
        return None
    scale, zero = details["quantization"]
    return QuantParams(torch.tensor(scale, dtype=torch.float32), torch.tensor(zero, dtype=torch.int64))
