"""Random numbers whose stream numpy promises to keep.

Numpy guarantees that `SeedSequence` and the raw 64-bit output of a bit generator never change, but not the
distributions built on them. A still life therefore draws raw words only and makes its own floats from them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")

_BLOCK = 128


class Random:
    """Draw reproducible numbers from a key.

    Args:
        key: non-negative integers, e.g. (seed, split, index); other keys give independent streams.

    Example:
        >>> Random(0, 1, 2).uniform(0, 1) == Random(0, 1, 2).uniform(0, 1)
        True
    """

    def __init__(self, *key: int) -> None:
        self._bits = np.random.PCG64(np.random.SeedSequence(key))
        self._left: list[int] = []

    def word(self) -> int:
        """Draw an integer in [0, 2^64)."""
        if not self._left:
            self._left = self._bits.random_raw(_BLOCK).tolist()
        return self._left.pop()

    def uniform(self, low: float = 0.0, high: float = 1.0) -> float:
        """Draw a float in [low, high)."""
        return low + (high - low) * ((self.word() >> 11) * 2.0**-53)

    def level(self, low: float, high: float, steps: int = 4) -> float:
        """Draw one of a few evenly spaced floats in [low, high], for what is worth keeping in a cache."""
        return round(low + (high - low) * self.integer(0, steps) / (steps - 1), 6)

    def integer(self, low: int, high: int) -> int:
        """Draw an integer in [low, high), both ends as in `range`."""
        return low + (self.word() >> 11) * (high - low) // 2**53

    def chance(self, probability: float) -> bool:
        """Draw True with the given probability."""
        return self.uniform() < probability

    def choice(self, items: Sequence[T]) -> T:
        """Draw one of the items."""
        return items[self.integer(0, len(items))]

    def array(self, *shape: int) -> np.ndarray:
        """Draw a float32 array in [-1, 1), one raw word an entry."""
        words = self._bits.random_raw(int(np.prod(shape))) >> np.uint64(40)
        return (words.astype(np.float32) * np.float32(2.0**-23) - np.float32(1)).reshape(shape)
