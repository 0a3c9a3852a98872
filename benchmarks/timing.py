"""Time functions that do the same, in turn, in one process: what disturbs one disturbs the others too."""

import platform
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Row:
    """One line of the table.

    A file benchmarks/AREA.py has a function `rows()` that yields these; nothing else is needed for a new area.

    Attributes:
        name: What is done, and on how much.
        ours: cvlab's way. It takes nothing; where it returns a float, that is the time it measured itself, in seconds.
        peers: The same by others, by name.
        check: Fails unless all give the same; called once, before anything is timed.
        seconds: About how long to go on.
    """

    name: str
    ours: Callable[[], object]
    peers: dict[str, Callable[[], object]]
    check: Callable[[], None] = field(default=lambda: None)
    seconds: float = 2.0


def once(function: Callable[[], object]) -> float:
    """Time one call, in seconds."""
    start = time.perf_counter()
    result = function()
    return result if isinstance(result, float) else time.perf_counter() - start


def compare(row: Row) -> tuple[float, dict[str, float]]:
    """Call all in turn, again and again, and take the shortest time of each.

    Returns:
        Our time in seconds, and for each peer its time divided by ours.
    """
    row.check()
    functions = {"": row.ours, **row.peers}
    times = {name: [once(function)] for name, function in functions.items()}  # the first call warms up, too
    start, rounds = time.perf_counter(), 0
    while rounds < 3 or (time.perf_counter() - start < row.seconds and rounds < 1000):
        rounds += 1
        for name, function in functions.items():
            times[name].append(once(function))
    ours = min(times[""])
    return ours, {name: min(times[name]) / ours for name in row.peers}


def processor() -> str:
    """Name this machine's processor."""
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
