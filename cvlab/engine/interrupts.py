"""Ctrl-C at the right moment: never halfway through a change of the weights."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


class Interrupts:
    """Let Ctrl-C through at once, but for blocks in which it is held back until they are complete.

    A context manager, which takes over the signal and gives it back. Outside of the main thread, where Python delivers
    no signals, it does nothing.

    Example:
        >>> with Interrupts() as interrupts, interrupts.held():
        ...     pass  # Ctrl-C here raises KeyboardInterrupt after this line
    """

    def __init__(self) -> None:
        self._held = self._pending = False
        self._previous: Any = None

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            self._previous = signal.getsignal(signal.SIGINT)
            signal.signal(signal.SIGINT, self._receive)
        return self

    def __exit__(self, *error: object) -> None:
        if self._previous is not None:
            signal.signal(signal.SIGINT, self._previous)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self._held:
            self._pending = True
        elif callable(self._previous):
            self._previous(number, frame)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Run a block that Ctrl-C does not break; it takes effect right after the block."""
        self._held = True
        try:
            yield
        finally:
            self._held = False
        if self._pending:
            self._pending = False
            self._receive(signal.SIGINT, None)
