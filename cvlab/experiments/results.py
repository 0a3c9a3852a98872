"""Keep the results of experiments beside the package, with all that is needed to judge and repeat them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cvlab._card import card

__all__ = ["card", "load", "save", "summary"]

FOLDER = Path(__file__).parent


def save(name: str, results: dict[str, Any]) -> Path:
    """Write results to NAME.json."""
    path = FOLDER / f"{name}.json"
    path.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    return path


def load(name: str) -> dict[str, Any]:
    """Read the kept results of an experiment.

    Args:
        name: such as "augmentation".

    Returns:
        A dictionary; "card" tells how the results were made, the other entries are results.

    Raises:
        ValueError: if there are no results of that name.

    Example:
        >>> load("augmentation")["card"]["seeds"]
        [0, 1, 2]
    """
    path = FOLDER / f"{name}.json"
    if not path.is_file():
        raise ValueError(f"experiments.load: there are {sorted(f.stem for f in FOLDER.glob('*.json'))}, got {name!r}")
    return json.loads(path.read_text(encoding="utf-8"))


def summary(values: Sequence[Sequence[float]]) -> tuple[np.ndarray, np.ndarray]:
    """Give mean and standard deviation over seeds: (seeds, points) becomes two arrays (points,).

    Example:
        >>> mean, spread = summary([[0.5, 0.9], [0.7, 0.9]])
        >>> mean.round(2).tolist(), spread.round(2).tolist()
        ([0.6, 0.9], [0.14, 0.0])
    """
    table = np.asarray(values, dtype=float)
    return table.mean(axis=0), table.std(axis=0, ddof=1)
