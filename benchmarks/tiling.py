"""cvlab.ops.tiling: what tiles cost beside the whole picture, and the memory that they take."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.timing import Row
from cvlab import ops
from cvlab.models import unet_small

SIDE = 4096
CASES = ((256, 64), (512, 64), (1024, 64))  # tile, overlap

MEASURE = """
import json, sys, time
import torch
from cvlab import ops
from cvlab.models import unet_small

torch.set_num_threads(1)
side, tile, overlap, work = json.loads(sys.argv[1])

def memory(field):
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith(field)) * 1024

network, weights = unet_small(11).eval(), torch.randn(11, 3, 1, 1)
function = network if work == "network" else lambda tiles: torch.nn.functional.conv2d(tiles.float(), weights)
image = torch.randint(256, (3, side, side), dtype=torch.uint8)
with torch.no_grad():
    function(image[None, :, :64, :64])
    before, start = memory("VmRSS"), time.perf_counter()
    if tile:
        ops.predict_tiles(function, image, tile=tile, overlap=overlap, stride=16, batch_size=1)
    else:
        logits = function(image[None])
        (logits["out"] if isinstance(logits, dict) else logits)[0].argmax(0).to(torch.uint8)
print(json.dumps([time.perf_counter() - start, memory("VmHWM") - before]))
"""


def naive(logits: Tensor, side: int, tile: int, overlap: int) -> Tensor:
    """Blend with sums and weights of the whole picture in memory."""
    starts, weights = ops.tile_weights(side, tile, overlap, window="hann")
    sums, total = torch.zeros(len(logits), side, side), torch.zeros(side, side)
    for y, row in zip(starts, weights, strict=True):
        for x, column in zip(starts, weights, strict=True):
            window = (row[:, None] * column).float()
            sums[:, y : y + len(row), x : x + len(column)] += logits * window
            total[y : y + len(row), x : x + len(column)] += window
    return (sums / total).argmax(0)


def rows() -> Iterator[Row]:
    """Yield all rows."""
    g = torch.Generator().manual_seed(0)
    network, image = unet_small(11).eval(), torch.rand(3, 1024, 1024, generator=g)
    for tile, overlap in ((256, 64), (512, 64)):
        yield Row(
            f"U-Net on 1024 x 1024, tiles of {tile}, overlap {overlap}",
            lambda tile=tile, overlap=overlap: ops.predict_tiles(network, image, tile=tile, overlap=overlap, stride=16),
            {"torch": torch.no_grad()(lambda: network(image[None])["out"][0].argmax(0))},
            seconds=20,
        )
    large, logits = torch.zeros(1, 2048, 2048), torch.randn(1, 11, 512, 512, generator=g)

    def ours() -> Tensor:
        settings = {"tile": 512, "overlap": 128, "window": "hann", "batch_size": 1}
        return ops.predict_tiles(lambda tiles: logits, large, **settings)

    def check() -> None:
        assert (ours() != naive(logits[0], 2048, 512, 128)).float().mean() < 1e-4

    name = "blending alone, 11 classes, 2048 x 2048, tiles of 512, overlap 128"
    yield Row(name, ours, {"torch": lambda: naive(logits[0], 2048, 512, 128)}, check)


def measured(side: int, tile: int, overlap: int, work: str) -> tuple[float, float]:
    """Give the seconds and the growth of memory in bytes, in a process of its own."""
    command = [sys.executable, "-c", MEASURE, json.dumps([side, tile, overlap, work])]
    return tuple(json.loads(subprocess.check_output(command, text=True).splitlines()[-1]))


def NOTES() -> str:  # noqa: N802
    """Measure memory."""
    lines = [
        'In the first rows "torch" predicts the whole picture at once; the tiles have 1.6 and 2.3 times its pixels. In '
        "the last it keeps sums and weights of the whole picture.\n",
        f"Labels of {SIDE} x {SIDE} pixels, 11 classes, tiles one at a time: by how much the process grows at most. "
        "The picture, 50 MB, is in memory before.\n",
        "| | s | MB |\n|---|---:|---:|",
    ]
    if not Path("/proc/self/status").exists():
        return lines[0]
    for tile, overlap in CASES:
        for work, name in (("", "a 1 x 1 convolution"), ("network", "`unet_small`")):
            seconds, growth = measured(SIDE, tile, overlap, work)
            lines.append(f"| {name}, tiles of {tile}, overlap {overlap} | {seconds:.1f} | {growth / 1e6:.0f} |")
    for side in (1024, 2048):
        seconds, growth = measured(side, 0, 0, "network")
        lines.append(f"| `unet_small`, {side} x {side} at once | {seconds:.1f} | {growth / 1e6:.0f} |")
    return "\n".join(lines)
