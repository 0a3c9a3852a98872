"""What the shipped networks reach, and what the training in the chapter reaches in its minute.

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
from cvlab.recipes import DETECTORS, NUCLEI, SEGMENTERS, Recipe, held_out, scenes, train

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


TABLES: list[tuple[dict[str, Recipe], tuple[str, ...]]] = [
    (DETECTORS, ("AP50", "AP")),
    ({name: SEGMENTERS[name] for name in ("fcn_small", "unet_small")}, ("mIoU", "accuracy", "boundary_F")),
    ({"unet_touching": SEGMENTERS["unet_touching"], "nuclei": NUCLEI}, ("AP50", "AP")),
]
"""What is shipped, and which of its numbers are shown; AP of the last two is that of instances."""


def table(names: list[str], numbers: tuple[str, ...]) -> list[str]:
    """Write what stands on some cards, a line for each."""
    heads = [*numbers, "seeds", "minutes each", "parameters", "file"]
    lines = [f"| | {' | '.join(heads)} |", f"|---|{'---:|' * len(heads)}"]
    for name in names:
        about = weights.card(name)
        seconds = about["seconds_of_seeds"]
        cells = [
            *(f"{about['test']['mean'][key]:.3f}" for key in numbers),
            str(len(about["seeds"])),
            f"{sum(seconds) / len(seconds) / 60:.0f}",
            f"{about['parameters']:,}",
            f"{about['bytes'] / 1e6:.1f} MB",
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def rows() -> Iterator[Row]:
    """Give nothing to time: see `NOTES`."""
    return iter(())


def NOTES() -> str:  # noqa: N802
    """Print cards, and what was kept."""
    lines = [
        "On pictures that nothing was trained or chosen on, still lifes or nuclei; means of the seeds on each card.\n"
    ]
    for recipes, numbers in TABLES:
        lines += [*table(sorted(recipes), numbers), ""]
    live = load("live")
    reached = ", ".join(f"{run['AP50']:.3f}" for run in live["runs"])
    seconds = ", ".join(f"{run['seconds']:.0f}" for run in live["runs"])
    lines.append(
        f"The chapter on SSD trains for {live['card']['steps']} steps on two threads in float32, and reaches AP50 "
        f"{reached} in {seconds} s (three seeds, kept from {live['card']['made']})."
    )
    lines += ["", *real_nuclei()]
    return "\n".join(lines)


def real_nuclei() -> list[str]:
    """Write what is reached on real pictures of nuclei, as kept by `cvlab.experiments.nuclei`."""
    kept = load("nuclei")
    heads = ("AP", "AP50", "seconds of CPU, one thread")
    lines = [f"| real nuclei | {' | '.join(heads)} |", f"|---|{'---:|' * len(heads)}"]
    for name, run in kept.items():
        lines.append(f"| {name} | {run['AP']:.3f} | {run['AP50']:.3f} | {run['seconds']} |")
    about = next(iter(kept.values()))["card"]
    lines.append(
        "\n44 pictures of the Data Science Bowl 2018: two thirds to learn from, the other for the test, the last one "
        f"if none is named; {about['steps']} steps, one seed, begun with the weights `nuclei` or what is named. "
        f"Kept from {about['made']}."
    )
    return lines


if __name__ == "__main__":
    main()
