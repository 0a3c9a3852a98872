"""Convert the classifier of digits to a .tflite file of int8, the one in cvlab/quant/files, and write its card.

The converter brings about 6 GB of packages, so it has an environment of its own; here it is named ENV:

    python3.11 -m venv ENV
    ENV/bin/pip install --editable . litert-torch ai-edge-quantizer
    ENV/bin/python tools/litert_convert.py

Run from the repository's root it takes half a minute. The network gets channels-last input, then becomes a file of
floats, then one of int8 whose ranges come from pictures of the validation split. The input is quantized as q = p - 128,
so that bytes of a picture need no arithmetic to go in.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import json
import platform
import tempfile
import time
from pathlib import Path
from typing import Any

import litert_torch
import numpy as np
import torch
from ai_edge_quantizer import quantizer, recipe
from ai_edge_quantizer.calibrator import Calibrator
from ai_edge_quantizer.utils import qsv_utils

from cvlab import weights
from cvlab.data import digits
from cvlab.models import digit_net
from cvlab.quant.targets.litert import run_litert

NAME = "digit_net"
FOLDER = Path(__file__).resolve().parents[1] / "cvlab" / "quant" / "files"
CALIBRATION = 200
TEST = 1000
PACKAGES = ("torch", "litert-torch", "litert-converter", "ai-edge-quantizer", "ai-edge-litert", "numpy")


def main() -> None:
    """Convert, quantize, measure, and write both files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where to write to")
    parser.add_argument("--float", type=Path, dest="full", help="where to keep the file of floats too")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        full = arguments.full or Path(scratch) / f"{NAME}.tflite"
        start = time.monotonic()
        convert(full)
        converted = time.monotonic()
        path = arguments.folder / f"{NAME}_int8.tflite"
        path.parent.mkdir(parents=True, exist_ok=True)
        quantize(full, path)
        seconds = {"convert": round(converted - start, 1), "quantize": round(time.monotonic() - converted, 1)}
        card = describe(full, path, seconds)
    path.with_suffix(".json").write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(card, indent=1))


def convert(path: Path) -> None:
    """Write the network as a file of floats with input (1, 32, 32, 3)."""
    model = litert_torch.to_channel_last_io(digit_net(NAME), args=[0]).eval()
    litert_torch.convert(model, (torch.zeros(1, 32, 32, 3),)).export(str(path))


def quantize(full: Path, path: Path) -> None:
    """Write the file of int8.

    The range of each map is that of all pictures together: the quantizer's own choice, a moving average over them,
    keeps only 0.95 of what it had at each picture, so that the one black and the one white pixel would be forgotten.
    """
    job = quantizer.Quantizer(str(full), recipe.static_wi8_ai8())
    calibrator = Calibrator(full.read_bytes(), num_threads=1, qsv_update_func=qsv_utils.min_max_update)
    calibrator.calibrate({"serving_default": calibration()}, job._recipe_manager)
    job.quantize(calibrator.get_model_qsvs(), serialize_to_path=str(path), enable_progress_report=False)
    path.chmod(0o644)  # the quantizer makes it executable


def calibration() -> list[dict[str, Any]]:
    """Give pictures (1, 32, 32, 3) float; the first has a black and a white pixel, so that the range is [0, 1]."""
    pictures, _ = digits(CALIBRATION, "val")
    pictures[0, :, 0, 0], pictures[0, :, 0, 1] = 0, 255
    floats = (pictures.float() / 255).permute(0, 2, 3, 1).contiguous().numpy()
    return [{"args_0": floats[i : i + 1]} for i in range(len(floats))]


def describe(full: Path, path: Path, seconds: dict[str, float]) -> dict[str, Any]:
    """Say how the file was made and what it reaches."""
    return {
        "made": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "seconds": seconds,
        "python": platform.python_version(),
        "versions": {name: importlib.metadata.version(name) for name in PACKAGES},
        "source": {"weights": NAME, "sha256": weights.card(NAME)["sha256"]},
        "calibration": {"data": ["val", 0, CALIBRATION], "ranges": "minimum and maximum of all"},
        "test": {"data": ["test", 0, TEST], "accuracy": accuracies(full, path)},
        "float_bytes": full.stat().st_size,
        "bytes": path.stat().st_size,
        "sha256": weights.digest(path),
    }


@torch.inference_mode()
def accuracies(full: Path, path: Path) -> dict[str, float]:
    """Measure the network itself, the file of floats, and the file of int8 with each kind of kernels."""
    pictures, labels = digits(TEST, "test")
    images = pictures.float() / 255
    answers = {"torch": digit_net(NAME)(images).numpy(), "float": run_litert(full, images, kernels="builtin").outputs}
    for kernels in ("reference", "builtin", "xnnpack"):
        answers[f"int8 {kernels}"] = run_litert(path, images, kernels=kernels).outputs
    return {name: float(np.mean(out.argmax(1) == labels.numpy())) for name, out in answers.items()}


if __name__ == "__main__":
    main()
