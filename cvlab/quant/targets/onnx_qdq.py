"""Server CPUs: a network as an ONNX file of whole numbers, which onnxruntime quantizes and runs.

The file holds pairs of QuantizeLinear and DequantizeLinear (QDQ) around the operators of the float network. A runtime
that knows an operator on whole numbers takes it in place of the float one between two pairs; others compute in float.
"""

from __future__ import annotations

import contextlib
import io
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from cvlab import _check
from cvlab.quant.targets import _ready
from cvlab.quant.targets.cpu import cpu_features, saturates

_TYPES = {"uint8": "QUInt8", "int8": "QInt8"}
_METHODS = {"minmax": "MinMax", "entropy": "Entropy", "percentile": "Percentile"}


def export_onnx_float(
    model: nn.Module, path: str | Path, images: Tensor, *, outputs: Sequence[str] | None = None
) -> Path:
    """Write a network as an ONNX file of float numbers.

    Args:
        model: takes images (B, 3, H, W) and gives a tensor or several; in evaluation mode, on the CPU.
        path: the file, whose name should end in ".onnx"; it holds the weights too.
        images: (B, 3, H, W) float, of the size that will come; their number does not matter, that in use may be any.
        outputs: names of what comes out; None for those that the exporter chooses.

    Returns:
        The path.

    Raises:
        InputError: if the model is in training mode, or its weights or the images hold NaN or infinity.
        ImportError: if onnx or onnxscript is missing.
    """
    op = "export_onnx_float"
    _ready.needs(op, "onnx", "onnxscript")
    _ready.network(op, model)
    images = _ready.images(op, "images", images)
    torch.onnx.export(
        model,
        (torch.zeros(2, *images.shape[1:]),),
        path,
        dynamo=True,
        dynamic_shapes=({0: torch.export.Dim("batch")},),
        input_names=["images"],
        output_names=outputs,
        external_data=False,
        verbose=False,
    )
    return Path(path)


def export_onnx_int8(
    model: nn.Module,
    path: str | Path,
    calibration: Tensor,
    *,
    outputs: Sequence[str] | None = None,
    **options: Any,
) -> Path:
    """Write a network as an ONNX file of whole numbers of 8 bits.

    Args:
        model: as `export_onnx_float` takes it.
        path: the file, whose name should end in ".onnx".
        calibration: images (N, 3, H, W) float as those that will come; see `quantize_onnx`.
        outputs: names of what comes out; None for those that the exporter chooses.
        options: of `quantize_onnx`.

    Returns:
        The path.

    Raises:
        InputError: if the model is in training mode, there are no images to calibrate with, or weights or images hold
            NaN or infinity.
        ImportError: if onnx, onnxscript or onnxruntime is missing.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 2)).eval()
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = export_onnx_int8(net, Path(folder) / "net.onnx", torch.rand(4, 3, 8, 8))
        ...     [logits] = run_onnx(path, torch.rand(5, 3, 8, 8))
        >>> logits.shape
        (5, 2)
    """
    op = "export_onnx_int8"
    _ready.needs(op, "onnx", "onnxscript", "onnxruntime")
    _ready.network(op, model)
    calibration = _ready.images(op, "calibration", calibration)
    with tempfile.TemporaryDirectory() as folder:
        start = export_onnx_float(model, Path(folder) / "float.onnx", calibration, outputs=outputs)
        return quantize_onnx(start, path, calibration, **options)


def quantize_onnx(
    start: str | Path,
    path: str | Path,
    calibration: Tensor,
    *,
    per_channel: bool = True,
    reduce_range: bool | None = None,
    activations: str = "uint8",
    method: str = "minmax",
) -> Path:
    """Quantize an ONNX file of float numbers to whole numbers of 8 bits.

    Args:
        start: the file of float numbers, with one input, images.
        path: the file to write.
        calibration: images (N, 3, H, W) float as those that will come, from which the ranges of all activations are
            taken; a hundred are often enough.
        per_channel: whether each channel of a weight has a scale of its own.
        reduce_range: whether weights have 7 bits, so that no sum of two products can overflow 16 bits; None to do so
            where this CPU may need it (`saturates`). A file made here for another CPU should say what that one needs.
        activations: type of the numbers between the operators, "uint8" or "int8". The weights are int8.
        method: how the ranges are found, "minmax", "entropy" or "percentile" (99.999 percent).

    Returns:
        The path of the new file.

    Raises:
        InputError: if there is no such file, there are no images to calibrate with, they hold NaN or infinity, or a
            choice is unknown.
        ImportError: if onnx or onnxruntime is missing.
    """
    op = "quantize_onnx"
    _ready.needs(op, "onnx", "onnxruntime")
    _check.choice(op, "activations", activations, list(_TYPES))
    _check.choice(op, "method", method, list(_METHODS))
    calibration = _ready.images(op, "calibration", calibration)
    _file(op, start)
    if reduce_range is None:
        reduce_range = saturates(cpu_features()) is not False
    from onnxruntime import quantization as ort
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):  # it prints its progress
        prepared = Path(folder) / "prepared.onnx"
        quant_pre_process(start, prepared, skip_symbolic_shape=True)
        ort.quantize_static(
            prepared,
            path,
            _reader(prepared, calibration),
            quant_format=ort.QuantFormat.QDQ,
            calibrate_method=ort.CalibrationMethod[_METHODS[method]],
            activation_type=ort.QuantType[_TYPES[activations]],
            weight_type=ort.QuantType.QInt8,
            per_channel=per_channel,
            reduce_range=reduce_range,
        )
    return Path(path)


def _reader(path: Path, calibration: Tensor) -> Any:
    """Give what hands images to the quantizer, in batches of one size, as its histograms need them."""
    from onnxruntime.quantization import CalibrationDataReader

    size = max(d for d in range(1, 33) if len(calibration) % d == 0)
    batches = iter(calibration.split(size))
    name = onnx_session(path).get_inputs()[0].name

    class Reader(CalibrationDataReader):
        """Gives one batch after the other, and None after the last."""

        def get_next(self) -> dict[str, np.ndarray] | None:
            """Give the next batch."""
            batch = next(batches, None)
            return None if batch is None else {name: batch.numpy()}

    return Reader()


def _file(op: str, path: str | Path) -> None:
    """Refuse a path where there is no file."""
    if not Path(path).is_file():
        raise _check.InputError(f"{op}: path must name a file, got {os.fspath(path)!r}")


def onnx_session(path: str | Path, *, profile: str | Path | None = None) -> Any:
    """Open an ONNX file in onnxruntime, on the CPU with one thread.

    Args:
        path: the file.
        profile: with what the name of a file begins into which the runtime writes how long each operator took, once
            `end_profiling` is called; None for none.

    Returns:
        An `onnxruntime.InferenceSession`.

    Raises:
        InputError: if there is no such file.
        ImportError: if onnxruntime is missing.
    """
    _ready.needs("onnx_session", "onnxruntime")
    import onnxruntime

    _file("onnx_session", path)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    if profile is not None:
        options.enable_profiling, options.profile_file_prefix = True, os.fspath(profile)
    return onnxruntime.InferenceSession(os.fspath(path), options, providers=["CPUExecutionProvider"])


def run_onnx(path: str | Path, images: Tensor) -> list[np.ndarray]:
    """Run an ONNX file on images, with one thread.

    Args:
        path: the file, as `export_onnx_float` or `export_onnx_int8` writes it.
        images: (B, 3, H, W) float.

    Returns:
        What comes out, in the order of the network's outputs.

    Raises:
        InputError: if there is no such file, or the images are none.
        ImportError: if onnxruntime is missing.
    """
    images = _ready.images("run_onnx", "images", images)
    session = onnx_session(path)
    return session.run(None, {session.get_inputs()[0].name: images.numpy()})
