"""Where quantized networks run: for each device a way to get there, a way to run or emulate it here, and a check."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

from cvlab import _check
from cvlab._repository import URL

EXTRAS: dict[str, tuple[str, ...]] = {
    "mcu": ("ziglang", "unicorn", "capstone", "elftools"),
    "coreml": ("coremltools",),
    "litert": ("ai_edge_litert",),
    "executorch": ("executorch",),
}
"""By the name of the extra, the modules that it brings."""


def missing(extra: str) -> list[str]:
    """List the modules of an extra that are not installed.

    Args:
        extra: a name of `EXTRAS`.

    Raises:
        InputError: if there is no such extra.
    """
    _check.choice("missing", "extra", extra, EXTRAS)
    return [module for module in EXTRAS[extra] if importlib.util.find_spec(module) is None]


def install_command(*extras: str) -> str:
    """Give the command that installs the book's package with extras."""
    return f'pip install "cvlab-book[{",".join(extras)}] @ git+{URL}"'


def report() -> str:
    """Say which extras are there, and which command brings the others."""
    lines = [f"{extra}: {'missing ' + ', '.join(missing(extra)) if missing(extra) else 'there'}" for extra in EXTRAS]
    absent = [extra for extra in EXTRAS if missing(extra)]
    return "\n".join(lines + ([f"to get what is missing: {install_command(*absent)}"] if absent else []))


def shown(extra: str, make: Callable[[], Any], kept: str = "") -> Any:
    """Make a result if its extra is installed; if not, say how to get it, and what was kept.

    Args:
        extra: a name of `EXTRAS`.
        make: makes the result.
        kept: what is known of it from elsewhere.

    Returns:
        What `make` gives, or a text.

    Raises:
        InputError: if there is no such extra.

    Example:
        >>> shown("mcu", lambda: 42) if not missing("mcu") else 42
        42
    """
    if not missing(extra):
        return make()
    return f"needs {', '.join(missing(extra))}: {install_command(extra)}\n{kept}".rstrip()
