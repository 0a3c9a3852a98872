"""Adam and L-BFGS on the same pictures, in the same time.

`python -m cvlab.experiments.style_optimizers` makes `style_optimizers.json` again; it takes some two minutes of one
core.
"""

from __future__ import annotations

import time
from typing import Any

import torch
from torch import Tensor

from cvlab.data import StillLife, painting, photos
from cvlab.experiments.results import card, save
from cvlab.experiments.style import square
from cvlab.style import StyleTransfer, loss_network

SIDE, SECONDS, BETWEEN = 256, 12.0, 4
STEPS = {"adam": (25, 50, 100), "lbfgs": (60,)}
"""Adam's learning rate falls to a tenth over all of its steps, so it is tried with several numbers of them."""


def descent(transfer: StyleTransfer, content: Tensor, style: Tensor, steps: int) -> dict[str, list[float]]:
    """Take steps until they are done or the time is over: total losses, and the CPU seconds they took."""
    found: dict[str, list[float]] = {"seconds": [], "total": []}
    state, seconds = None, 0.0
    for until in range(BETWEEN, steps + 1, BETWEEN):
        start = time.process_time()
        result = transfer.run(content, style, steps=steps, until=until, state=state, progress=False)
        seconds, state = seconds + time.process_time() - start, result.state
        if seconds > SECONDS:
            break
        found["seconds"].append(round(seconds, 2))
        found["total"].append(round(result.history[-1]["total"], 4))
    return found


def main() -> None:
    """Descend, and keep the curves."""
    torch.set_num_threads(1)
    start = time.monotonic()
    style = painting("strokes", SIDE)
    scene = StillLife(size=SIDE, split="test")[10][0].as_subclass(Tensor)
    contents = [square(photos.load("chelsea")), scene, square(photos.load("coffee"))]
    results: dict[str, Any] = {}
    for name, choices in STEPS.items():
        transfer = StyleTransfer(loss_network(), optimizer=name)
        for steps in choices:
            results[f"{name}, {steps} steps"] = [descent(transfer, each, style, steps) for each in contents]
            print(name, steps, [run["total"][-1] for run in results[f"{name}, {steps} steps"]], flush=True)
    results["card"] = card(time.monotonic() - start, side=SIDE, contents=["chelsea", "still life", "coffee"])
    save("style_optimizers", results)


if __name__ == "__main__":
    main()
