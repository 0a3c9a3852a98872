"""Run all benchmarks, print the ratios, and write them to RESULTS.md beside this file.

    python -m benchmarks [AREA ...]

With areas (file names without .py) only those are run, and nothing is written.
"""

import datetime
import importlib
import importlib.metadata
import sys
import time
from pathlib import Path

import torch

from benchmarks.timing import compare, processor

FOLDER = Path(__file__).parent
PEERS = ["torchvision", "d2l", "torch", "PIL", "albumentations", "pycocotools"]
HEAD = f"| | cvlab | {' | '.join(PEERS)} |\n|---|---:|{'---:|' * len(PEERS)}"


def _areas() -> list[str]:
    return sorted(f.stem for f in FOLDER.glob("*.py") if f.stem not in ("__init__", "__main__", "timing"))


def _line(name: str, seconds: float, ratios: dict[str, float]) -> str:
    cells = [
        f"{ratios[p]:.1f}" if p in ratios and ratios[p] < 20 else f"{ratios[p]:.0f}" if p in ratios else ""
        for p in PEERS
    ]
    return f"| {name} | {seconds * 1e3:.3g} ms | {' | '.join(cells)} |"


def _preface() -> str:
    versions = []
    for name in ("torch", "torchvision", "d2l", "numpy", "pillow", "albumentations", "pycocotools"):
        versions.append(f"{name} {importlib.metadata.version(name)}")
    today = datetime.datetime.now(datetime.UTC).date()
    python = ".".join(map(str, sys.version_info[:3]))
    return f"""# Benchmarks

Written by `python -m benchmarks` on {today}, {processor()}, one thread, Python {python}, {", ".join(versions)}.

Under the name of a peer stands its time divided by ours: above 1, cvlab is faster. Both are called in turn in one
process, and the shortest time of each counts. Where cvlab and a peer should give the same, that is checked before.
Our time includes the checks of the input, which the peers do not make.
"""


def main(chosen: list[str]) -> None:
    """Run the areas chosen, or all."""
    torch.set_num_threads(1)
    text, start = [_preface()], time.perf_counter()
    print(text[0])
    for area in chosen or _areas():
        module = importlib.import_module(f"benchmarks.{area}")
        text.append(f"\n## {area}\n")
        print(text[-1])
        for i, row in enumerate(module.rows()):
            if i == 0:
                text.append(HEAD)
                print(HEAD)
            text.append(_line(row.name, *compare(row)))
            print(text[-1], flush=True)
        notes = getattr(module, "NOTES", "")
        notes = notes() if callable(notes) else notes
        if notes:
            text.append(f"\n{notes.strip()}" if text[-1][:1] == "|" else notes.strip())
            print(text[-1])
    if not chosen:
        (FOLDER / "RESULTS.md").write_text("\n".join(text) + "\n")
    print(f"\n{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main(sys.argv[1:])
