"""The device, the precision and the processes of a training: `accelerate`, without its memory between trainings."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from accelerate import Accelerator
from accelerate.state import AcceleratorState

from cvlab import _check

PRECISIONS = ("bf16", "fp16")
"""The kinds of mixed precision."""


@contextmanager
def accelerator_for(mixed_precision: str | None) -> Iterator[Accelerator]:
    """Give an Accelerator of some precision for a block.

    Args:
        mixed_precision: None, "bf16" or "fp16".

    Raises:
        InputError: The precision is unknown, or it is "fp16" on a CPU.

    Notes:
        `accelerate` keeps the precision of the first Accelerator for the life of the process and refuses another. Here
        each block has its own, and that of a surrounding program is put back afterwards.
    """
    if mixed_precision is not None:
        _check.choice("fit", "mixed_precision", mixed_precision, PRECISIONS)
    shared = AcceleratorState._shared_state
    before = dict(shared)
    shared.clear()
    try:
        accelerator = Accelerator(mixed_precision=mixed_precision or "no")
        if mixed_precision == "fp16" and accelerator.device.type == "cpu":  # which accelerate ignores
            raise _check.InputError('fit: mixed_precision "fp16" needs a GPU, got a CPU; "bf16" works there')
        yield accelerator
    finally:
        shared.clear()
        shared.update(before)
