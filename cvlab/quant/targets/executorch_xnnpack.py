"""Phones: a network as a program of ExecuTorch, whose operators XNNPACK computes on ARM and x86 CPUs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from cvlab import _check
from cvlab.quant.targets import _ready


def export_pte(
    model: nn.Module, path: str | Path, calibration: Tensor | None = None, *, size: tuple[int, int] = (32, 32)
) -> Path:
    """Write a network as a program of ExecuTorch for one image at a time.

    Args:
        model: takes images (1, 3, H, W) and gives a tensor or several; in evaluation mode, on the CPU.
        path: the file, whose name should end in ".pte"; it holds the weights too.
        calibration: images (N, 3, H, W) float as those that will come: the program then computes with int8, each
            channel of a weight with a scale of its own. None: it computes in float.
        size: height and width of the images, where there are none to calibrate with.

    Returns:
        The path.

    Raises:
        InputError: if the model is in training mode, there are no images to calibrate with, or weights or images hold
            NaN or infinity.
        ImportError: if executorch or torchao is missing.

    Notes:
        It takes some ten seconds, most of them to copy notes from one form of the graph to the next.
    """
    op = "export_pte"
    _ready.needs(op, "executorch", "torchao")
    _ready.network(op, model)
    if calibration is None:
        example = torch.zeros(1, 3, *size)
    else:
        calibration = _ready.images(op, "calibration", calibration)
        example = torch.zeros(1, *calibration.shape[1:])
        model = _quantized(model, calibration)
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower

    program = torch.export.export(model, (example,))
    lowered = to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()])
    Path(path).write_bytes(lowered.to_executorch().buffer)
    return Path(path)


def _quantized(model: nn.Module, calibration: Tensor) -> torch.fx.GraphModule:
    """Put quantizers where XNNPACK computes with int8."""
    from executorch.backends.xnnpack.quantizer import xnnpack_quantizer as xnnpack
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    quantizer = xnnpack.XNNPACKQuantizer()
    quantizer.set_global(xnnpack.get_symmetric_quantization_config(is_per_channel=True))
    prepared = prepare_pt2e(torch.export.export(model, (calibration[:1],)).module(), quantizer)
    with torch.no_grad():
        for image in calibration.split(1):
            prepared(image)
    return convert_pt2e(prepared)


def load_pte(path: str | Path) -> Any:
    """Load a program of ExecuTorch, to be run with one thread.

    Args:
        path: the file, as `export_pte` writes it.

    Returns:
        Its method `forward`, whose `execute([image])` gives a list of tensors, which the next call overwrites.

    Raises:
        InputError: if there is no such file.
        ImportError: if executorch is missing.

    Notes:
        ExecuTorch has one pool of threads in a process; its size becomes 1.
    """
    _ready.needs("load_pte", "executorch")
    if not Path(path).is_file():
        raise _check.InputError(f"load_pte: path must name a file, got {os.fspath(path)!r}")
    from executorch.extension.pybindings import portable_lib
    from executorch.runtime import Runtime

    if portable_lib._threadpool_get_thread_count() != 1:
        portable_lib._unsafe_reset_threadpool(1)
    return Runtime.get().load_program(Path(path)).load_method("forward")


def run_pte(path: str | Path, images: Tensor) -> list[np.ndarray]:
    """Run a program of ExecuTorch on images, one after the other, with one thread.

    Args:
        path: the file, as `export_pte` writes it.
        images: (B, 3, H, W) float, of the program's size.

    Returns:
        What comes out, in the order of the network's outputs, that of all images joined.

    Raises:
        InputError: if there is no such file, or the images are none or of another size.
        ImportError: if executorch is missing.
    """
    op = "run_pte"
    images = _ready.images(op, "images", images)
    forward = load_pte(path)
    size = tuple(forward.metadata.input_tensor_meta(0).sizes())
    if size[1:] != tuple(images.shape[1:]):
        raise _check.InputError(
            f"{op}: images must have shape (B, {', '.join(map(str, size[1:]))}), got {tuple(images.shape)}"
        )
    found = [[out.numpy().copy() for out in forward.execute([image])] for image in images.split(1)]
    return [np.concatenate(parts) for parts in zip(*found, strict=True)]
