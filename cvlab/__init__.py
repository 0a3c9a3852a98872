"""Practical computer vision, from scratch and tested: the package behind the book.

`import cvlab` loads nothing heavy: the subpackages, and torch with them, are imported when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

__version__ = "0.1.0"

_MODULES = (
    "augment",
    "data",
    "engine",
    "exercises",
    "experiments",
    "instances",
    "interactive",
    "losses",
    "metrics",
    "models",
    "ops",
    "plot",
    "preprocess",
    "quant",
    "recipes",
    "style",
    "weights",
)
_FUNCTIONS = {"source": "_source", "profile": "_profile"}

__all__ = [
    "augment",
    "data",
    "engine",
    "exercises",
    "experiments",
    "instances",
    "interactive",
    "losses",
    "metrics",
    "models",
    "ops",
    "plot",
    "preprocess",
    "profile",
    "quant",
    "recipes",
    "source",
    "style",
    "weights",
]

if TYPE_CHECKING:
    from cvlab import (
        augment,
        data,
        engine,
        exercises,
        experiments,
        instances,
        interactive,
        losses,
        metrics,
        models,
        ops,
        plot,
        preprocess,
        quant,
        recipes,
        style,
        weights,
    )
    from cvlab._profile import profile
    from cvlab._source import source


def __getattr__(name: str) -> object:
    if name in _MODULES:
        return importlib.import_module(f"cvlab.{name}")
    if name in _FUNCTIONS:
        value = getattr(importlib.import_module(f"cvlab.{_FUNCTIONS[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'cvlab' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
