"""What the shipped detectors reach, and what the training in the chapter reaches in its minute.

`python -m benchmarks.shipped` trains as the chapter does, three seeds, two threads, and keeps the results; the
benchmarks only print them, and what stands on the cards.
"""

import time
from collections.abc import Iterator
from dataclasses import replace

import torch

from benchmarks.timing import Row
from cvlab import weights
from cvlab.experiments import load
from cvlab.experiments.results import card, save
from cvlab.recipes import DETECTORS, held_out, scenes, train

SEEDS = (0, 1, 2)
LIVE = replace(DETECTORS["ssd_small"], images=1500, steps=180, ema=0.95, mixed_precision=None)
"""The recipe of the chapter on SSD, where it trains before the reader's eyes."""


def main() -> None:
    """Train as in the chapter, and keep what is reached."""
    torch.set_num_threads(2)
    start = time.monotonic()
    data, tests = scenes(LIVE.size, "train", LIVE.images), scenes(LIVE.size, "test", 1000)
    runs = []
    for seed in SEEDS:
        model, history = train(LIVE, data, seed, progress=False)
        found = held_out(model, tests)
        seconds = round(history.frame["seconds"].iloc[-1], 1)
        runs.append({key: round(found[key], 4) for key in ("AP", "AP50")} | {"seconds": seconds})
        print(runs[-1], flush=True)
    about = card(time.monotonic() - start, seeds=list(SEEDS), steps=LIVE.steps, images=LIVE.images, threads=2)
    save("live", {"runs": runs, "card": about})


def rows() -> Iterator[Row]:
    """Give nothing to time: see `NOTES`."""
    return iter(())


def NOTES() -> str:  # noqa: N802
    """Print cards, and what was kept."""
    lines = [
        "On still lifes of ten kinds that nothing was trained or chosen on; means of the seeds on each card.\n",
        "| | AP50 | AP | seeds | minutes each | parameters | file |\n|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name in weights.names():
        about = weights.card(name)
        mean, seconds = about["test"]["mean"], about["seconds_of_seeds"]
        lines.append(
            f"| {name} | {mean['AP50']:.3f} | {mean['AP']:.3f} | {len(about['seeds'])} | "
            f"{sum(seconds) / len(seconds) / 60:.0f} | {about['parameters']:,} | {about['bytes'] / 1e6:.1f} MB |"
        )
    live = load("live")
    reached = ", ".join(f"{run['AP50']:.3f}" for run in live["runs"])
    seconds = ", ".join(f"{run['seconds']:.0f}" for run in live["runs"])
    lines.append(
        f"\nThe chapter's own training, {live['card']['steps']} steps on two threads in float32, reaches AP50 "
        f"{reached} in {seconds} s (three seeds, kept from {live['card']['made']})."
    )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
