"""Quantization against torch's own operators, C in whole numbers against C in floating point, and large networks."""

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from benchmarks.timing import Row
from cvlab import experiments
from cvlab.data import digits
from cvlab.experiments.devices import integer_model
from cvlab.interactive.page_networks import PAINT_SIDE, painter, quantized_detector
from cvlab.models import digit_net
from cvlab.quant import MinMaxObserver, choose_qparams, fake_quantize, trace
from cvlab.quant.targets.c_source import float_c, integer_c
from cvlab.quant.targets.toolchain import NativeProgram
from cvlab.quant.targets.wasm import WasmProgram, build_wasm


def rows() -> Iterator[Row]:
    """Yield all rows."""
    x = torch.randn(1_000_000, generator=torch.Generator().manual_seed(0))
    params = choose_qparams(-3.0, 3.0)
    numbers = float(params.scale), int(params.zero_point), params.low, params.high

    def same() -> None:
        torch.testing.assert_close(fake_quantize(x, params), torch.fake_quantize_per_tensor_affine(x, *numbers))

    theirs = {"torch": lambda: torch.fake_quantize_per_tensor_affine(x, *numbers)}
    yield Row("fake_quantize, a million numbers", lambda: fake_quantize(x, params), theirs, same)
    theirs = {"torch": lambda: torch.aminmax(x)}
    yield Row("MinMaxObserver, a million numbers", lambda: MinMaxObserver().update(x), theirs)
    images = digits(1, "test")[0].float() / 255
    net, model = digit_net("digit_net"), integer_model()
    whole, real = NativeProgram(integer_c(model)), NativeProgram(float_c(trace(net, images)))
    q, last = model.quantize_input(images), images.permute(0, 2, 3, 1).contiguous().numpy()
    with torch.no_grad():
        peers = {"torch": lambda: net(images)}
        yield Row("digit_net, one picture, int8 in C", lambda: whole(q), peers)
        yield Row("digit_net, one picture, float32 in C", lambda: real(last), peers)


def NOTES() -> str:  # noqa: N802
    """Measure large networks in WebAssembly, and print what is kept of all devices."""
    kept = experiments.load("devices")
    head = ["bytes", "accuracy", "agreement", "time against float", "in batches of 16", "instructions", "flash", "ram"]
    lines = [f"| device | numbers | {' | '.join(head)} |", f"|---|---|{'---:|' * len(head)}"]
    for row in kept["rows"]:
        cells = [_cell(row.get(key)) for key in head]
        lines.append(f"| {row['device']} | {row['numbers']} | {' | '.join(cells)} |")
    found = kept["detector"]
    precision = ", ".join(f"{n} {found[n]['AP']:.3f}" for n in ("float", "int8 in onnxruntime", "int8 in C"))
    lines.append(
        f"\nSSD, AP on {kept['card']['tested']} test images: {precision}; {found['bytes']:,} bytes of constants."
    )
    lines.append(
        "\nIn WebAssembly, run by wasmtime, one thread, shortest of five:\n\n| network | bytes | ms |\n|---|---:|---:|"
    )
    detector = quantized_detector()
    programs: dict[str, Any] = {
        "SSD, 128 x 128, int8": integer_c(detector),
        f"fast style, {PAINT_SIDE} x {PAINT_SIDE}, float32": painter("strokes"),
    }
    for name, program in programs.items():
        module = build_wasm(program)
        run = WasmProgram(module, program)
        x = np.zeros((1, *program.input_shape), program.dtype)
        lines.append(f"| {name} | {len(module):,} | {_shortest(lambda run=run, x=x: run(x)):.0f} |")
    return "Of the small classifier on each device (`cvlab.experiments.devices`, kept):\n\n" + "\n".join(lines)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int) else f"{value:.3f}"


def _shortest(call: Any) -> float:
    times = []
    for _ in range(5):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times) * 1000
