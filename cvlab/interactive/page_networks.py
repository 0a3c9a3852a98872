"""Networks that the pages load when they are needed: a detector in whole numbers and a painter, as WebAssembly."""

from __future__ import annotations

import base64
import hashlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from cvlab import weights
from cvlab.data import StillLife
from cvlab.models import PaintCore, RawMaps, fast_style, normalised, ssd_small
from cvlab.quant import IntegerModel, quantize, quantize_model, to_integer, trace
from cvlab.quant.targets.c_source import KERNELS, CProgram, float_c, integer_c
from cvlab.quant.targets.wasm import OPTIONS, build_wasm

PAINT_SIDE = 256
"""Of the pictures that the painter takes, pixels."""

CALIBRATED, SCENES = 200, 16
_TARGETS = ("c_source", "memory", "wasm")
_MODELS = ("backbones", "fast_style", "raw", "ssd")  # what they compute, and what detections are made with
STYLES = {"strokes": "fast_style_strokes", "mosaic": "fast_style_mosaic"}


def quantized_detector() -> IntegerModel:
    """Quantize the shipped SSD, calibrated on still lifes of the validation split."""
    model = ssd_small(weights="ssd_small")
    scenes = StillLife(size=model.size[0], split="val", length=CALIBRATED, dtype=torch.uint8)
    images = torch.stack([scenes[i][0].as_subclass(torch.Tensor) for i in range(CALIBRATED)]).float() / 255
    return to_integer(quantize_model(RawMaps(model).eval(), normalised(model, images).split(50)))


def painter(style: str) -> CProgram:
    """Write the shipped network of a style as C in floating point, for pictures of `PAINT_SIDE`."""
    core = PaintCore(fast_style(STYLES[style])).eval()
    return float_c(trace(core, torch.zeros(1, 3, PAINT_SIDE, PAINT_SIDE)))


def write_page_networks(folder: str | Path) -> list[Path]:
    """Write `detector.js`, `painter_STYLE.js` and `scenes.js`, each a script that says what it holds.

    Args:
        folder: where to, such as `_static/wasm` of the built pages. What is there already and was made of the same
            weights by the same code stays as it is.

    Returns:
        The files.

    Raises:
        ImportError: if the package ziglang is missing.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    makers = {"detector": _detector, "scenes": _scenes}
    makers |= {f"painter_{style}": lambda style=style: _painter(style) for style in STYLES}
    stamp, files = _stamp(), []
    for name, make in makers.items():
        path = folder / f"{name}.js"
        first = f"// {stamp}\n"
        if not (path.is_file() and path.read_text(encoding="utf-8").startswith(first)):
            text = json.dumps(make(), separators=(",", ":"))
            path.write_text(f'{first}(globalThis.cvlabWasm ??= {{}})["{name}"] = {text};\n', encoding="utf-8")
        files.append(path)
    return files


def _stamp() -> str:
    """Give a hash of all that decides what is written."""
    digest = hashlib.sha256(json.dumps([OPTIONS, StillLife.VERSION, CALIBRATED, SCENES, PAINT_SIDE]).encode())
    for name in ("ssd_small", *STYLES.values()):
        digest.update(weights.card(name)["sha256"].encode())
    targets, quant, models = KERNELS.parent, KERNELS.parents[1], KERNELS.parents[2] / "models"
    code = [*KERNELS.glob("*.c"), *quant.glob("*.py"), *(targets / f"{name}.py" for name in _TARGETS)]
    for path in sorted([Path(__file__), *code, *(models / f"{name}.py" for name in _MODELS)]):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:24]


def _detector() -> dict[str, Any]:
    """Describe the detector: its module, how its input is made of bytes, and how boxes are made of its output."""
    model, integer = ssd_small(weights="ssd_small"), quantized_detector()
    program = integer_c(integer)
    levels = torch.arange(256).float()[:, None, None, None].expand(256, 3, 1, 1) / 255
    table = quantize(normalised(model, levels), integer.params[integer.input])[:, :, 0, 0]  # (256, 3)
    parts = [
        {
            "numbers": int(np.prod(shape)),
            "scale": float(integer.params[name].scale),
            "zero": int(integer.params[name].zero_point),
        }
        for name, shape in zip(integer.outputs, program.output_shapes, strict=True)
    ]
    return {
        **_network(program),
        "size": model.size[0],
        "classes": ["background", *StillLife.KINDS],
        "table": table.T.flatten().tolist(),
        "parts": parts,
        "anchors": _base64(model.anchors.numpy()),
        "nms": model.nms_thresh,
        "least": model.score_thresh,
        "candidates": model.topk_candidates,
        "most": model.detections_per_img,
        "multiplications": sum(layer.multiplications for layer in integer.layers),
    }


def _painter(style: str) -> dict[str, Any]:
    return {**_network(painter(style)), "side": PAINT_SIDE}


def _network(program: CProgram) -> dict[str, Any]:
    numbers = sum(int(np.prod(shape)) for shape in program.output_shapes)
    module = np.frombuffer(build_wasm(program), np.uint8)
    return {"module": _base64(module), "dtype": program.dtype, "outputs": numbers}


def _scenes() -> list[str]:
    """Render still lifes of the test split, as JPEG."""
    scenes = StillLife(size=PAINT_SIDE, split="test", length=SCENES, dtype=torch.uint8)
    return [_jpeg(scenes[i][0].permute(1, 2, 0).numpy()) for i in range(SCENES)]


def _jpeg(picture: np.ndarray) -> str:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=92)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()


def _base64(array: np.ndarray) -> str:
    return base64.b64encode(array.tobytes()).decode()
