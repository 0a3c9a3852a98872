"""Describe how results or weights were made, so that they can be judged and made again."""

from __future__ import annotations

import datetime
import importlib.metadata
import platform
from typing import Any

from cvlab.data import StillLife


def card(seconds: float, **settings: Any) -> dict[str, Any]:
    """Describe how results were made: day, wall time, versions, the renderer's version, and the settings given."""
    versions = {name: importlib.metadata.version(name) for name in ("torch", "torchvision", "numpy", "pillow")}
    return {
        "made": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "seconds": round(seconds),
        "python": platform.python_version(),
        "versions": versions,
        "still_life_version": StillLife.VERSION,
        **settings,
    }
