"""One small classifier on every device: what its file weighs, whether its answers stay, and what they cost.

`python -m cvlab.experiments.devices` makes `devices.json` again, in some minutes on one core. What is missing of the
packages is left out.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cvlab.data import digits
from cvlab.experiments.quantization import CALIBRATED, TESTED, calibration
from cvlab.experiments.results import card, save
from cvlab.models import DigitNet, RawMaps, digit_net, normalised, ssd_small, with_maps
from cvlab.quant import IntegerModel, quantize_model, run, to_integer, trace
from cvlab.quant.targets.c_source import CProgram, float_c, integer_c
from cvlab.quant.targets.coreml import compress_coreml, export_coreml, package_size
from cvlab.quant.targets.cortex_m import BOARDS, build_firmware, emulate
from cvlab.quant.targets.cpu import cpu_features
from cvlab.quant.targets.executorch_xnnpack import export_pte, load_pte
from cvlab.quant.targets.litert import litert_file, run_litert
from cvlab.quant.targets.mil_interpreter import run_mil
from cvlab.quant.targets.onnx_qdq import export_onnx_float, export_onnx_int8, onnx_session
from cvlab.quant.targets.tflite_model import integer_from_tflite
from cvlab.quant.targets.toolchain import NativeProgram
from cvlab.quant.targets.wasm import WasmProgram, build_wasm
from cvlab.recipes import held_out, scenes

EMULATED = 200
"""Digits that the emulated microcontroller reads; the first one's instructions are counted."""

Answers = Callable[[Tensor], Any]
Row = dict[str, Any]


class Judge:
    """Compares answers on the test digits with the float network's, and measures times in turn with it."""

    def __init__(self) -> None:
        self.model: DigitNet = digit_net("digit_net")
        self.images, self.labels = digits(TESTED, "test")
        self.inputs = self.images.float() / 255
        with torch.no_grad():
            self.expected = self.model(self.inputs).argmax(1)

    def row(self, device: str, numbers: str, size: int, answers: Answers, checked: str, **more: Any) -> Row:
        """Measure one way to run the network; `answers` gives logits (B, K) of images (B, 3, 32, 32) in [0, 1]."""
        count = more.pop("count", TESTED)
        found = torch.as_tensor(np.concatenate([np.asarray(answers(b)) for b in self.inputs[:count].split(50)])).argmax(
            1
        )
        row = {"device": device, "numbers": numbers, "bytes": size, "checked": checked, "images": count}
        row["accuracy"] = round(float((found == self.labels[:count]).double().mean()), 4)
        row["agreement"] = round(float((found == self.expected[:count]).double().mean()), 4)
        row |= more
        print(row, flush=True)
        return row


def ratio(one: Callable[[], Any], other: Callable[[], Any], rounds: int = 15, calls: int = 20) -> float:
    """Compute how many times as long as `other` `one` takes: the median over rounds in which both take turns."""
    found = []
    for _ in range(rounds + 1):
        times = []
        for function in (one, other):
            start = time.perf_counter()
            for _ in range(calls):
                function()
            times.append(time.perf_counter() - start)
        found.append(times[0] / times[1])
    return round(float(np.median(found[1:])), 2)


def integer_model() -> IntegerModel:
    """Calibrate the shipped classifier, and make whole numbers of it."""
    return to_integer(quantize_model(digit_net("digit_net"), calibration(), input_range=(0, 1)))


def server(judge: Judge, folder: Path) -> Iterator[Row]:
    """Run ONNX files in onnxruntime, with one thread."""
    one, many = judge.inputs[:1].numpy(), judge.inputs[:16].numpy()
    calibrated = torch.cat(calibration())
    path = export_onnx_float(judge.model, folder / "float.onnx", calibrated)
    plain = _session(path)
    yield judge.row("server CPU, onnxruntime", "float32", path.stat().st_size, lambda b: plain(b.numpy()), "run")
    settings: dict[str, dict[str, Any]] = {
        "int8, per channel": {"reduce_range": False},
        "int8, 7-bit weights": {"reduce_range": True},
        "int8, per tensor": {"per_channel": False, "reduce_range": False},
    }
    for name, options in settings.items():
        path = export_onnx_int8(judge.model, folder / "int8.onnx", calibrated, **options)
        whole = _session(path)
        times = {
            "time against float": ratio(lambda whole=whole: whole(one), lambda: plain(one)),
            "in batches of 16": ratio(lambda whole=whole: whole(many), lambda: plain(many), calls=5),
        }
        size = path.stat().st_size
        yield judge.row("server CPU, onnxruntime", name, size, lambda b, run=whole: run(b.numpy()), "run", **times)


def _session(path: Path) -> Callable[[np.ndarray], np.ndarray]:
    session = onnx_session(path)
    name = session.get_inputs()[0].name
    return lambda images: session.run(None, {name: images})[0]


def iphone(judge: Judge, folder: Path) -> Iterator[Row]:
    """Write Core ML packages, read them back, and execute their operations in float16."""
    device = "iPhone, Core ML"
    example = judge.inputs[:1]
    packages = {
        p: export_coreml(judge.model, folder / f"{p}.mlpackage", example, precision=p) for p in ("float32", "float16")
    }
    for bits in (8, 6, 4):
        name = "8-bit weights" if bits == 8 else f"{bits}-bit palette"
        packages[name] = compress_coreml(packages["float16"], folder / f"{bits}.mlpackage", bits=bits)
    for name, path in packages.items():
        dtype = torch.float32 if name == "float32" else torch.float16

        def answers(batch: Tensor, path: Path = path, dtype: torch.dtype = dtype) -> Tensor:
            return next(iter(run_mil(path, batch, dtype=dtype).values())).float()

        how = f"read back, operations executed in {str(dtype).removeprefix('torch.')}"
        yield judge.row(device, name, package_size(path), answers, how)


def android(judge: Judge, folder: Path) -> Iterator[Row]:
    """Run the shipped LiteRT file with each kind of kernels, and ExecuTorch programs."""
    path, device = litert_file(), "Android, LiteRT"
    for kernels in ("reference", "xnnpack"):

        def answers(batch: Tensor, kernels: str = kernels) -> np.ndarray:
            return run_litert(path, batch, kernels=kernels).outputs.astype(np.int32)

        yield judge.row(
            device, f"int8, {kernels} kernels", path.stat().st_size, answers, "run on this CPU, not on a phone"
        )
    one = judge.inputs[:1]
    programs = {
        "float32": export_pte(judge.model, folder / "float.pte"),
        "int8": export_pte(judge.model, folder / "int8.pte", torch.cat(calibration())[:100]),
    }
    runs = {name: load_pte(path) for name, path in programs.items()}
    for name, path in programs.items():

        def each(batch: Tensor, method: Any = runs[name]) -> np.ndarray:
            return np.concatenate([method.execute([image[None].contiguous()])[0].numpy().copy() for image in batch])

        times = {"time against float": ratio(lambda: each(one, runs["int8"]), lambda: each(one, runs["float32"]))}
        more = times if name == "int8" else {}
        yield judge.row(
            "Android, ExecuTorch", name, path.stat().st_size, each, "run on this CPU, not on a phone", **more
        )


def microcontroller(judge: Judge) -> Iterator[Row]:
    """Emulate a Cortex-M3: the calibrated network, the phone's own file, and floating point."""
    board = BOARDS["lm3s6965"]
    models = {"int8": integer_model(), "int8, from the .tflite file": integer_from_tflite(litert_file())}
    for name, model in models.items():
        program = integer_c(model)
        firmware = build_firmware(program)
        counted = emulate(firmware, model.quantize_input(judge.inputs[:1])).instructions

        def answers(batch: Tensor, firmware: Any = firmware, model: Any = model) -> np.ndarray:
            return emulate(firmware, model.quantize_input(batch), count=False).outputs[0].astype(np.int32)

        more = _firmware(firmware, board) | {"instructions": counted, "count": EMULATED}
        yield judge.row("Cortex-M3", name, program.constants, answers, "emulated", **more)
    program = float_c(trace(judge.model, judge.inputs[:1]))
    firmware = build_firmware(program)
    run_one = emulate(firmware, _last(judge.inputs[:1]))
    more = _firmware(firmware, board) | {"instructions": run_one.instructions}
    compiled = NativeProgram(program)
    how = "emulated for one picture; the same C, compiled for this CPU, for the others"
    yield judge.row("Cortex-M3", "float32 by software", program.constants, lambda b: compiled(_last(b))[0], how, **more)


def _firmware(firmware: Any, board: Any) -> Row:
    limits = {"flash": firmware.flash, "ram": firmware.ram, "fits": firmware.fits}
    return limits | {"flash limit": board.flash, "ram limit": board.ram}


def _last(images: Tensor) -> np.ndarray:
    return images.permute(0, 2, 3, 1).contiguous().numpy()


def browser(judge: Judge) -> Iterator[Row]:
    """Run WebAssembly in wasmtime."""
    model = integer_model()
    programs: dict[str, CProgram] = {
        "float32": float_c(trace(judge.model, judge.inputs[:1])),
        "int8": integer_c(model),
    }
    modules = {name: build_wasm(program) for name, program in programs.items()}
    runs = {name: WasmProgram(modules[name], program) for name, program in programs.items()}
    inputs: dict[str, Callable[[Tensor], np.ndarray]] = {"float32": _last, "int8": model.quantize_input}
    one = {name: bring(judge.inputs[:1]) for name, bring in inputs.items()}
    for name in programs:

        def answers(batch: Tensor, name: str = name) -> np.ndarray:
            return runs[name](inputs[name](batch))[0].astype(np.float32)

        times = {
            "time against float": ratio(lambda: runs["int8"](one["int8"]), lambda: runs["float32"](one["float32"]))
        }
        more = times if name == "int8" else {}
        yield judge.row("browser, WebAssembly", name, len(modules[name]), answers, "run in wasmtime", **more)


def figure_rows(rows: list[Row]) -> list[Row]:
    """Bring kept rows to what `cvlab.interactive.device_table` takes."""
    found = []
    for row in rows:
        word = next(word for word in ("emulated", "read back", "run") if row["checked"].startswith(word))
        cost = {"cost": row["instructions"], "unit": "instructions"} if "instructions" in row else {}
        if "time against float" in row:
            cost = {"cost": row["time against float"], "unit": "ratio"}
        one = {"device": row["device"], "format": row["numbers"], "size": row.get("flash", row["bytes"]), **cost}
        one |= {"accuracy": row["accuracy"], "agreement": row["agreement"], "checked": word, "ram": row.get("ram")}
        one |= {"size_limit": row.get("flash limit"), "ram_limit": row.get("ram limit")}
        one["note"] = f"Checked on {row['images']:,} test pictures: {row['checked']}."
        found.append(one)
    return found


def detector(tested: int = TESTED, calibrated: int = 200) -> Row:
    """Quantize the SSD: average precision before and after, in whole numbers by C, and what a chip would need."""
    model = ssd_small(weights="ssd_small")
    val, test = scenes(128, "val", calibrated), scenes(128, "test", tested)
    images = torch.stack([val[i][0] for i in range(calibrated)]).float() / 255
    integer = to_integer(quantize_model(RawMaps(model).eval(), normalised(model, images).split(50)))
    program = integer_c(integer)
    compiled = NativeProgram(program)
    graph = trace(RawMaps(model).eval(), normalised(model, images[:1]))
    found: Row = {"bytes": program.constants, "arena": program.arena}
    found["float bytes"] = sum(n.weight.numel() + n.bias.numel() for n in graph.nodes if n.weight is not None) * 4
    found["multiplications"] = sum(layer.multiplications for layer in integer.layers)
    variants = {
        "float": lambda x: run(graph, x),
        "int8 in C": lambda x: integer.real(compiled(integer.quantize_input(x))),
    }
    with tempfile.TemporaryDirectory() as folder:
        path = export_onnx_int8(RawMaps(model).eval(), Path(folder) / "ssd.onnx", normalised(model, images))
        session = onnx_session(path)
        name = session.get_inputs()[0].name
        variants["int8 in onnxruntime"] = lambda x: [torch.from_numpy(m) for m in session.run(None, {name: x.numpy()})]
        found["onnx bytes"] = path.stat().st_size
        for name_of, maps_of in variants.items():
            result = held_out(with_maps(model, maps_of), test)
            found[name_of] = {key: round(result[key], 4) for key in ("AP", "AP50")}
            print(name_of, found[name_of], flush=True)
    firmware = build_firmware(program, "mps2_an385")
    return found | _firmware(firmware, BOARDS["mps2_an385"]) | {"fits a small board": build_firmware(program).fits}


def main() -> None:
    """Measure all, and keep it."""
    torch.set_num_threads(1)
    began, judge = time.monotonic(), Judge()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        size = sum(t.numel() * 4 for t in judge.model.state_dict().values() if t.is_floating_point())
        rows.append(judge.row("training, PyTorch", "float32", size, lambda b: judge.model(b).detach(), "run"))
        for part in (server(judge, folder), iphone(judge, folder), android(judge, folder)):
            rows.extend(part)
    rows += [*microcontroller(judge), *browser(judge)]
    results = {"rows": rows, "detector": detector(), "cpu": cpu_features()}
    results["card"] = card(time.monotonic() - began, calibrated=CALIBRATED, tested=TESTED, emulated=EMULATED)
    save("devices", results)


if __name__ == "__main__":
    main()
