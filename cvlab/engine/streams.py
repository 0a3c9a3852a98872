"""Random streams: seed torch, numpy and Python together, and put them back."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def mix(*seed: int) -> int:
    """Mix several whole numbers into one seed of 63 bits; the order counts.

    Args:
        seed: Non-negative whole numbers, at least one.

    Returns:
        A whole number from 0 to 2^63 - 1.

    Example:
        >>> mix(0, 1) == mix(0, 1), mix(0, 1) == mix(1, 0)
        (True, False)
    """
    return int(np.random.SeedSequence(seed).generate_state(1, np.uint64)[0] >> np.uint64(1))


def seed_all(*seed: int) -> None:
    """Set the global random generators of torch (on all devices), numpy and Python.

    Args:
        seed: Non-negative whole numbers, at least one; they are mixed.
    """
    mixed = _seed_cpu(*seed)
    if torch.cuda.is_initialized():  # else torch would note down each call, to repeat them all at the start of CUDA
        torch.cuda.manual_seed_all(mixed)
    if torch.backends.mps.is_available():
        torch.mps.manual_seed(mixed)


def _seed_cpu(*seed: int) -> int:
    mixed = mix(*seed)
    torch.default_generator.manual_seed(mixed)
    random.seed(mixed)
    np.random.seed(mixed % 2**32)  # noqa: NPY002  data sets draw from numpy's global generator
    return mixed


@contextmanager
def random_stream(*seed: int) -> Iterator[None]:
    """Run a block with random numbers of its own, and put the global generators back afterwards.

    Those of the CPU only: data are made there, and generators of other devices are left alone.

    Args:
        seed: Non-negative whole numbers, at least one; they are mixed.

    Example:
        >>> with random_stream(1, 5):
        ...     a = torch.rand(3)
        >>> with random_stream(1, 5):
        ...     b = torch.rand(3)
        >>> bool((a == b).all())
        True
    """
    states = torch.get_rng_state(), np.random.get_state(), random.getstate()  # noqa: NPY002
    try:
        _seed_cpu(*seed)
        yield
    finally:
        torch.set_rng_state(states[0])
        np.random.set_state(states[1])  # noqa: NPY002
        random.setstate(states[2])


@contextmanager
def kept_generators() -> Iterator[None]:
    """Put the global generators back after a block, those of CUDA devices too where they are in use."""
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
    with random_stream(0):
        try:
            yield
        finally:
            if cuda:
                torch.cuda.set_rng_state_all(cuda)
