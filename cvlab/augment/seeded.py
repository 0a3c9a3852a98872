"""Reproducible augmentation: the same seed gives the same pictures, whatever number of workers makes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset


@contextmanager
def seeded(*seed: int) -> Iterator[None]:
    """Run a block with torch's global generator at a fixed state, and put it back afterwards.

    Args:
        seed: one or more non-negative whole numbers, which are mixed: (0, 1) and (1, 0) give different streams.

    Raises:
        ValueError: if there is no seed, or one is negative or no whole number.

    Example:
        >>> with seeded(3):
        ...     a = torch.rand(2)
        >>> with seeded(3):
        ...     b = torch.rand(2)
        >>> bool((a == b).all())
        True
    """
    if not seed or any(isinstance(s, bool) or not hasattr(s, "__index__") or s < 0 for s in seed):
        raise ValueError(f"seeded: seeds must be non-negative whole numbers, at least one, got {seed}")
    state = torch.random.get_rng_state()
    try:
        mixed = np.random.SeedSequence([int(s) for s in seed]).generate_state(1, np.uint64)[0]
        torch.random.default_generator.manual_seed(int(mixed >> np.uint64(1)))
        yield
    finally:
        torch.random.set_rng_state(state)


class Augmented(Dataset):
    """A data set whose items are augmented anew in each epoch, each by its own random stream.

    The stream of an item depends on (seed, epoch, index) alone, so the order in which items are asked for, the number
    of workers and the number of machines change nothing.

    Args:
        dataset: gives items (image, target) by index, and has a length.
        transform: a function of (image, target).
        seed: non-negative.

    Notes:
        The epoch lies in memory that workers share: `set_epoch` reaches workers that are kept alive between epochs
        (`persistent_workers=True`), which a plain attribute would not.

    Example:
        >>> from cvlab.augment import Flip, Geometric
        >>> from cvlab.data import StillLife
        >>> data = Augmented(StillLife(size=32, length=4), Geometric([Flip(0.5)]), seed=1)
        >>> bool((data[2][0] == data[2][0]).all())
        True
    """

    def __init__(self, dataset: Any, transform: Callable[[Any, Any], tuple[Any, Any]], seed: int = 0) -> None:
        if not callable(transform):
            raise TypeError(f"Augmented: transform must be a function of (image, target), got {transform!r}")
        with seeded(seed):  # refuses what is no seed
            pass
        self.dataset, self.transform, self.seed = dataset, transform, seed
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()

    def __len__(self) -> int:
        return len(self.dataset)

    @property
    def epoch(self) -> int:
        """The current epoch, from 0."""
        return int(self._epoch)

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch it is; call it before each pass over the data."""
        with seeded(epoch):
            self._epoch.fill_(epoch)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        item = self.dataset[index]
        with seeded(self.seed, self.epoch, index % len(self)):
            return self.transform(*item)
