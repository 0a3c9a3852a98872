"""Compile the C of a network for any machine with `zig cc`, a C compiler for all targets in one Python package."""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import os
import platform
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cvlab import _check
from cvlab.quant.integer import Array
from cvlab.quant.targets.c_source import CProgram


def has_compiler() -> bool:
    """Tell whether `zig cc` is there: the package ziglang, of the extra `mcu`."""
    return importlib.util.find_spec("ziglang") is not None


def compile_c(sources: Sequence[str | Path], target: str, output: str | Path, options: Sequence[str] = ()) -> Path:
    """Compile C with `zig cc`.

    Args:
        sources: files.
        target: such as "thumb-freestanding-eabi", "wasm32-freestanding" or "native".
        output: the file to write.
        options: of the compiler, in addition.

    Returns:
        The output.

    Raises:
        ImportError: if the package ziglang is missing.
        RuntimeError: if the compiler refuses; the message holds what it says.
    """
    if not has_compiler():
        raise ImportError("compile_c: needs the package ziglang; install the extra mcu")
    machine = [] if target == "native" else ["-target", target]
    command = [sys.executable, "-m", "ziglang", "cc", *machine, *options, *map(str, sources), "-o", str(output)]
    with tempfile.TemporaryDirectory() as cache:  # nothing is left behind, and nothing outside is needed
        folders = {"ZIG_LOCAL_CACHE_DIR": cache, "ZIG_GLOBAL_CACHE_DIR": _cache()}
        done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **folders}, check=False)
    if done.returncode:
        raise RuntimeError(f"compile_c: the compiler refuses: {done.stderr.strip()[-2000:]}")
    return Path(output)


@functools.cache
def _cache() -> str:
    """Give a folder for what the compiler builds once for each target: its own small library."""
    folder = Path(tempfile.gettempdir()) / f"cvlab-zig-{os.getuid() if hasattr(os, 'getuid') else 'user'}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if hasattr(os, "getuid") and folder.stat().st_uid != os.getuid():  # somebody else's, who could put anything there
        return tempfile.mkdtemp(prefix="cvlab-zig-")
    return str(folder)


class NativeProgram:
    """A network in C, compiled for this machine and loaded: as fast as the plain C is.

    Args:
        program: as `integer_c` or `float_c` gives it.
        options: of the compiler.

    Returns:
        Called with (B, H, W, C) int8 or float32, the outputs, each with its shape behind B. Threads take turns, since a
        program has one working memory.
    """

    def __init__(self, program: CProgram, options: Sequence[str] = ("-O3", "-march=native")) -> None:
        self.program = program
        self._folder = tempfile.TemporaryDirectory()
        folder = program.write(self._folder.name)
        suffix = {"Darwin": "dylib", "Windows": "dll"}.get(platform.system(), "so")
        flags = ["-shared", "-fPIC", "-std=c11", *options]
        library = compile_c([folder / "net.c"], "native", folder / f"net.{suffix}", flags)
        self._run: Any = ctypes.CDLL(str(library)).net_run
        self._run.restype = None
        self._turn = threading.Lock()

    def __call__(self, x: Array) -> tuple[Array, ...]:
        """Compute the outputs of a batch."""
        check_input("NativeProgram", self.program, x)
        sizes = [int(np.prod(shape)) for shape in self.program.output_shapes]
        x = np.ascontiguousarray(x)
        y = np.empty((len(x), sum(sizes)), dtype=self.program.dtype)
        with self._turn:
            for one, result in zip(x, y, strict=True):
                self._run(one.ctypes.data_as(ctypes.c_void_p), result.ctypes.data_as(ctypes.c_void_p))
        return split_outputs(self.program, y)


def check_input(op: str, program: CProgram, x: Array) -> None:
    """Refuse what a program does not take."""
    if x.dtype != np.dtype(program.dtype) or x.shape[1:] != program.input_shape:
        wanted = f"{program.dtype} (B, {', '.join(map(str, program.input_shape))})"
        raise _check.InputError(f"{op}: x must be {wanted}, got {x.dtype} {x.shape}")


def split_outputs(program: CProgram, y: Array) -> tuple[Array, ...]:
    """Cut rows of all outputs (B, numbers) into (B, *shape) each."""
    sizes = [int(np.prod(shape)) for shape in program.output_shapes]
    parts = np.split(y, np.cumsum(sizes)[:-1], axis=1)
    return tuple(p.reshape(len(y), *shape) for p, shape in zip(parts, program.output_shapes, strict=True))
