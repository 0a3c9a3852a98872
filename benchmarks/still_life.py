"""How many still lifes one core renders in a second of its time; there is no peer to compare with.

Run it with `python -m benchmarks.still_life`.
"""

from __future__ import annotations

import time

import torch

from cvlab.data import StillLife


def per_second(make: object, first: int, count: int, repeats: int = 3) -> float:
    """Return the best of several rates, in items per second of processor time."""
    best = float("inf")
    for repeat in range(repeats):
        start = time.process_time()
        for i in range(count):
            make(first + repeat * count + i)
        best = min(best, (time.process_time() - start) / count)
    return 1 / best


def rows() -> list[dict[str, object]]:
    """Measure the default settings at two sizes, and a large table."""
    torch.set_num_threads(1)
    result = []
    for size, count, floor in (((128, 128), 100, 100), ((256, 256), 50, 30), ((480, 720), 8, None)):
        data = StillLife(size=size)
        data[0]  # makes the noise tiles
        result.append(
            {
                "what": "StillLife",
                "size": size,
                "images/s per core": round(per_second(data.__getitem__, 1, count), 1),
                "at least": floor,
            }
        )
    return result


if __name__ == "__main__":
    for row in rows():
        print("  ".join(f"{name}: {value}" for name, value in row.items()))
