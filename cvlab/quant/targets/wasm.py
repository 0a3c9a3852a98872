"""The browser: the same C as WebAssembly, which every browser runs, offline too, at nearly the machine's own speed."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from cvlab.quant.integer import Array
from cvlab.quant.targets.c_source import KERNELS, CProgram
from cvlab.quant.targets.toolchain import check_input, compile_c, split_outputs

OPTIONS = ("-O3", "-msimd128", "-ffreestanding", "-nostdlib", "-std=c11", "-Wl,--no-entry", "-Wl,--strip-all")
"""Of the compiler; simd128 is what all browsers have since 2021 (Safari: 2023)."""


def build_wasm(program: CProgram) -> bytes:
    """Compile a network to a WebAssembly module.

    Args:
        program: as `integer_c` or `float_c` gives it.

    Returns:
        The module. It exports `memory`, `run()`, and the addresses `input()`, `output()` and `maps()`, the last of the
        working memory; it imports nothing.

    Raises:
        ImportError: if the package ziglang is missing.
        RuntimeError: if the compiler refuses.
    """
    with tempfile.TemporaryDirectory() as place:
        folder = program.write(place)
        flags = [*OPTIONS, f"-I{folder}"]
        sources = [folder / "net.c", KERNELS / "wasm.c"]
        return compile_c(sources, "wasm32-freestanding", Path(place) / "net.wasm", flags).read_bytes()


class WasmProgram:
    """A WebAssembly module of a network, run outside a browser by wasmtime.

    Args:
        module: as `build_wasm` gives it.
        program: what it was made of.

    Returns:
        Called with (B, H, W, C) of the program's type, the outputs, each (B, ...).

    Raises:
        ImportError: if the package wasmtime is missing.
    """

    def __init__(self, module: bytes, program: CProgram) -> None:
        try:
            import wasmtime
        except ImportError as error:
            raise ImportError("WasmProgram: needs the package wasmtime") from error
        self.program = program
        self._store: Any = wasmtime.Store()
        instance = wasmtime.Instance(self._store, wasmtime.Module(self._store.engine, module), [])
        self._exports = instance.exports(self._store)

    def __call__(self, x: Array) -> tuple[Array, ...]:
        """Compute the outputs of a batch."""
        check_input("WasmProgram", self.program, x)
        memory, store = self._exports["memory"], self._store
        source, target = (self._exports[name](store) for name in ("input", "output"))
        numbers = sum(int(np.prod(shape)) for shape in self.program.output_shapes)
        found = []
        for one in x:
            memory.write(store, np.ascontiguousarray(one).tobytes(), source)
            self._exports["run"](store)
            found.append(np.frombuffer(bytes(memory.read(store, target, target + numbers * x.itemsize)), dtype=x.dtype))
        return split_outputs(self.program, np.array(found, dtype=x.dtype).reshape(len(x), numbers))
