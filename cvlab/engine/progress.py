"""A progress bar of plain text, of which a notebook keeps the last line only."""

from __future__ import annotations

import sys
import time
from typing import Any

from tqdm import tqdm

_PAUSE = 0.5  # seconds between two looks of the bar on a screen
_PAUSE_IN_FILE = 30.0  # and in a file, where each leaves a line


class Progress:
    """Show how far a training is.

    In a terminal it is tqdm's bar on stderr. In a notebook it is one line of text that is replaced while the training
    runs, and whose last state alone is saved: no widget, and no heap of carriage returns in the file.

    Args:
        total: What the end counts as: steps, or seconds.
        unit: What is counted.
        shown: Whether to show anything at all.
    """

    def __init__(self, total: float, unit: str = "step", shown: bool = True) -> None:
        self._total, self._unit, self._shown = total, unit, shown
        self._start = time.monotonic()
        self._first: float | None = None
        self._looked = -float("inf")
        self._handle: Any = None
        self._bar: tqdm | None = None
        if not shown:
            return
        if _in_notebook():
            from IPython.display import display

            self._handle = display({"text/plain": ""}, raw=True, display_id=True)
        else:
            pause = _PAUSE if sys.stderr.isatty() else _PAUSE_IN_FILE
            self._bar = tqdm(total=total, unit=unit, leave=False, mininterval=pause, maxinterval=pause)

    def update(self, done: float, text: str) -> None:
        """Show that `done` of the total is done, and a short text; cheap where nothing is due."""
        done = round(done, 1)
        if self._bar is not None:
            self._bar.postfix = text
            self._bar.update(done - self._bar.n)
        elif self._handle is not None and time.monotonic() - self._looked > _PAUSE:
            self._looked = time.monotonic()
            self._first = done if self._first is None else self._first
            elapsed = self._looked - self._start
            line = tqdm.format_meter(
                done, self._total, elapsed, ncols=80, unit=self._unit, initial=self._first, postfix=text
            )
            self._handle.update({"text/plain": line}, raw=True)

    def close(self, text: str) -> None:
        """Leave one line of text where the bar was."""
        if self._bar is not None:
            self._bar.close()
            print(text, file=sys.stderr, flush=True)
        elif self._handle is not None:
            self._handle.update({"text/plain": text}, raw=True)


def _in_notebook() -> bool:
    """Tell whether a kernel runs this, so that `display` reaches a page."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and hasattr(shell, "kernel")
