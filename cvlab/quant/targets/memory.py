"""Where each map lies in the working memory of a device without an operating system."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Life:
    """How long a map is needed.

    Attributes:
        size: bytes.
        first: number of the step that makes it.
        last: number of the last step that reads it.
    """

    size: int
    first: int
    last: int


def plan(lives: Mapping[str, Life], reuse: bool = True, align: int = 16) -> tuple[dict[str, int], int]:
    """Place maps so that those that are needed at the same time do not overlap, the largest first.

    Args:
        lives: of each map, by name.
        reuse: whether memory is used again when a map is needed no more; without, all maps can be looked at afterwards.
        align: each map begins at a multiple of it, bytes.

    Returns:
        The place of each map, bytes, and the bytes of all.

    Example:
        >>> places, total = plan({"a": Life(48, 0, 1), "b": Life(32, 1, 2), "c": Life(48, 2, 3)})
        >>> places, total
        ({'a': 0, 'c': 0, 'b': 48}, 80)
    """
    places: dict[str, int] = {}
    for name in sorted(lives, key=lambda each: -lives[each].size):
        life = lives[name]
        taken = [
            (places[other], places[other] + lives[other].size)
            for other in places
            if not reuse or (lives[other].first <= life.last and life.first <= lives[other].last)
        ]
        places[name] = _gap(sorted(taken), life.size, align)
    return places, max((places[name] + lives[name].size for name in lives), default=0)


def _gap(taken: Sequence[tuple[int, int]], size: int, align: int) -> int:
    """Find the first gap that is large enough between stretches, sorted."""
    start = 0
    for low, high in taken:
        if low - start >= size:
            break
        start = max(start, -(-high // align) * align)
    return start
