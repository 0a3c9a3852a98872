"""The iPhone: networks as Core ML programs in float16, their weights compressed to 8 bits or to palettes."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import logging
import re
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn

from cvlab import _check

PRECISIONS = ("float16", "float32")
BITS = (8, 6, 4)
"""Bits of a compressed weight: 8 for whole numbers with a scale for each channel, 6 and 4 for places in a palette."""

_LEAST_WEIGHTS = 512  # a tensor with fewer is left as it is: scales and palettes need room too
_SUFFIX = ".mlpackage"
_NOISE = re.compile(
    r"scikit-learn version .* is not supported"  # only the converter of scikit-learn's models needs it
    r"|Torch version .* has not been tested"
    r"|Failed to load _ML"  # what runs programs is there on a Mac only
    r"|.*natively supported by torch.compile as an opaque value type"
)


def export_coreml(
    model: nn.Module,
    path: str | Path,
    example: Tensor,
    *,
    precision: str = "float16",
    outputs: Sequence[str] = (),
    method: str = "forward",
) -> Path:
    """Write a network as a Core ML program, as iPhones and Macs run it, for iOS 17 and later.

    Args:
        model: the network, in evaluation mode, on the CPU.
        path: the package, a folder whose name ends in ".mlpackage"; one that is there is replaced.
        example: (B, ...) float32, of the only shape that the program will take; its input is called `images`.
        precision: "float16" or "float32", for weights and for what lies between operations; what goes in is float32.
        outputs: names for what comes out, as many as there are; by default those that torch gives to the operations.
        method: which of the model's methods is the network, such as "network" for the raw maps of an `SSD`; it gives a
            tensor or a tuple of tensors.

    Returns:
        The path.

    Raises:
        InputError: if the model is in training mode, a weight is NaN or infinite, or another argument is wrong.
        ImportError: if coremltools is missing.

    Notes:
        The converter joins batch normalisation with the convolution before it. Where a constant does not fit in
        float16, its operation stays in float32.

    Example:
        >>> from cvlab.models import digit_net
        >>> export_coreml(digit_net(), "digits.mlpackage", torch.zeros(1, 3, 32, 32))  # doctest: +SKIP
        PosixPath('digits.mlpackage')
    """
    op = "export_coreml"
    path = _package(op, path)
    _check_network(op, model, example, precision, method)
    ct = import_coremltools(op)
    with quiet():
        program = _exported(model, example, method)
        _check_outputs(op, outputs, program)
        package = ct.convert(
            program,
            outputs=[ct.TensorType(name=name) for name in outputs] or None,
            convert_to="mlprogram",
            compute_precision=ct.precision.FLOAT16 if precision == "float16" else ct.precision.FLOAT32,
            minimum_deployment_target=ct.target.iOS17,
            skip_model_load=True,
        )
        package.save(str(path))
    return path


def compress_coreml(path: str | Path, out: str | Path, *, bits: int) -> Path:
    """Compress the weights of a package; they are unpacked again before, or while, the program runs.

    Args:
        path: the package.
        out: the compressed one; another place than `path`.
        bits: 8 for whole numbers from -127 to 127 with a scale for each output channel; 6 or 4 for places in a palette
            of 64 or 16 numbers for each tensor, chosen by k-means.

    Returns:
        The path of the compressed package. Tensors of fewer than 512 numbers are left as they are.

    Raises:
        InputError: if there is no such package, `out` is no name for another one, or there is no way to have so many
            bits.
        ImportError: if coremltools is missing.

    References:
        Han, S., Mao, H. and Dally, W. J. (2016). Deep compression: compressing deep neural networks with pruning,
        trained quantization and Huffman coding. ICLR. Section 3.
    """
    op = "compress_coreml"
    if bits not in BITS:
        raise _check.InputError(f"{op}: bits must be one of {', '.join(map(str, BITS))}, got {bits!r}")
    out = _package(op, out)
    if out.resolve() == Path(path).resolve():
        raise _check.InputError(f"{op}: out must be another place than the package itself, got {out.name!r} twice")
    package = load_package(op, path)
    with quiet():
        import coremltools.optimize.coreml as optimize

        if bits == 8:
            how = optimize.OpLinearQuantizerConfig(mode="linear_symmetric", weight_threshold=_LEAST_WEIGHTS)
            compressed = optimize.linear_quantize_weights(package, optimize.OptimizationConfig(global_config=how))
        else:
            how = optimize.OpPalettizerConfig(mode="kmeans", nbits=bits, weight_threshold=_LEAST_WEIGHTS)
            compressed = optimize.palettize_weights(package, optimize.OptimizationConfig(global_config=how))
        compressed.save(str(out))
    return out


def package_size(path: str | Path) -> int:
    """Count the bytes of all files of a package.

    Args:
        path: the package, a folder.

    Returns:
        Bytes.

    Raises:
        InputError: if there is no such folder.
    """
    _check_there("package_size", Path(path))
    return sum(file.stat().st_size for file in Path(path).rglob("*") if file.is_file())


def installed() -> bool:
    """Tell whether coremltools is installed."""
    return importlib.util.find_spec("coremltools") is not None


def import_coremltools(op: str) -> Any:
    """Import coremltools, without what it says about things that are not needed here.

    Args:
        op: the operation that needs it, for the message.

    Returns:
        The module.

    Raises:
        ImportError: if it is missing.
    """
    if not installed():
        raise ImportError(f'{op} needs coremltools: install this package with its extra "coreml"')
    with quiet():
        import coremltools

        return coremltools


def load_package(op: str, path: str | Path) -> Any:
    """Read a package, without compiling it, which only a Mac can do.

    Args:
        op: the operation that needs it, for the message.
        path: the package.

    Returns:
        The `MLModel` of coremltools.

    Raises:
        InputError: if there is no such folder, or it is no package.
        ImportError: if coremltools is missing.
    """
    path = Path(path)
    _check_there(op, path)
    ct = import_coremltools(op)
    try:
        with quiet():
            return ct.models.MLModel(str(path), skip_model_load=True)
    except Exception as error:  # what is raised for a damaged package depends on where it is damaged
        raise _check.InputError(f"{op}: {path.name} must be a package of Core ML, but it cannot be read") from error


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep progress bars and the messages that mean nothing here off the screen; all others come through."""
    from tqdm import tqdm

    loggers = [logging.getLogger(name) for name in ("coremltools", "torch.utils._pytree")]
    for logger in loggers:
        logger.addFilter(_matters)
    bar = functools.partialmethod(tqdm.__init__, disable=True)
    try:
        with warnings.catch_warnings(), mock.patch.object(tqdm, "__init__", bar):
            warnings.filterwarnings(
                "ignore", "Function _TORCH_OPS_REGISTRY", DeprecationWarning
            )  # of its own functions
            yield
    finally:
        for logger in loggers:
            logger.removeFilter(_matters)


def _matters(record: logging.LogRecord) -> bool:
    return _NOISE.match(record.getMessage()) is None


class _Network(nn.Module):
    """Calls one method of a model, so that the input has always the same name."""

    def __init__(self, model: nn.Module, method: str) -> None:
        super().__init__()
        self.model, self.method = model, method

    def forward(self, images: Tensor) -> Any:
        return getattr(self.model, self.method)(images)


def _exported(model: nn.Module, example: Tensor, method: str) -> torch.export.ExportedProgram:
    """Turn a network into a program of core operations; aliases, which the converter does not know, are left out."""
    program = torch.export.export(_Network(model, method).eval(), (example,), strict=False)
    return program.run_decompositions({torch.ops.aten.alias.default: lambda x: x})


def _check_network(op: str, model: nn.Module, example: Tensor, precision: str, method: str) -> None:
    if not isinstance(model, nn.Module):
        raise TypeError(f"{op}: model must be a torch.nn.Module, got {type(model).__name__}")
    if model.training:
        raise _check.InputError(f"{op}: the model is in training mode, call model.eval() first")
    if not callable(getattr(model, method, None)):
        raise _check.InputError(f"{op}: method must be one that {type(model).__name__} has, got {method!r}")
    _check.choice(op, "precision", precision, PRECISIONS)
    _check.tensor(op, "example", example)
    if example.dtype != torch.float32:
        raise _check.InputError(f"{op}: example must be torch.float32, got {example.dtype}")
    for name, value in (*model.named_parameters(), *model.named_buffers()):
        _check.finite(op, name, value)


def _check_outputs(op: str, outputs: Sequence[str], program: torch.export.ExportedProgram) -> None:
    count = len(program.graph_signature.user_outputs)
    if outputs and (isinstance(outputs, str) or len(outputs) != count or len(set(outputs)) != count):
        raise _check.InputError(f"{op}: outputs must be {count} different names, got {outputs!r}")


def _check_there(op: str, path: Path) -> None:
    if not path.is_dir():
        raise _check.InputError(f"{op}: {path.name} must be a package, a folder that is there")


def _package(op: str, path: str | Path) -> Path:
    path = Path(path)
    if path.suffix != _SUFFIX:
        raise _check.InputError(f"{op}: the name of a package must end in {_SUFFIX}, got {path.name!r}")
    return path
