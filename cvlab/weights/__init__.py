"""Shipped weights: small networks, each a file NAME.safetensors with a card NAME.json beside it.

The card says how they were made (data, seeds, steps, time, versions) and what they reach on data held out.
`cvlab train NAME` makes them again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

FOLDER = Path(__file__).parent
LARGEST = 3_000_000
"""Bytes that one file of weights may have."""


def names() -> list[str]:
    """List the names of the weights that there are."""
    return sorted(path.stem for path in FOLDER.glob("*.safetensors"))


def card(name: str) -> dict[str, Any]:
    """Read how weights were made, and what they reach.

    Args:
        name: One of `names`.

    Raises:
        ValueError: There are no weights of this name.
    """
    return json.loads(_file(name).with_suffix(".json").read_text(encoding="utf-8"))


def load(name: str) -> dict[str, Tensor]:
    """Load weights.

    Args:
        name: One of `names`.

    Returns:
        A state dictionary, float32; the files hold float16.

    Raises:
        ValueError: There are no weights of this name, or the file is not the one that its card describes.
    """
    path = _file(name)
    if digest(path) != card(name)["sha256"]:
        raise ValueError(f"weights: {path.name} is damaged or was replaced: its SHA-256 is not that of its card")
    return {key: t.float() if t.is_floating_point() else t for key, t in load_file(path).items()}


def save(name: str, state: Mapping[str, Tensor], about: Mapping[str, Any], folder: Path | None = None) -> Path:
    """Write weights in float16, and their card.

    Args:
        name: Of the file, without suffix.
        state: The state dictionary.
        about: The card; the SHA-256, size and number of parameters are added to it.
        folder: Where to; by default beside the others.

    Returns:
        The file's path.

    Raises:
        ValueError: The file would be larger than `LARGEST`; nothing is written.
    """
    half = {
        key: t.detach().cpu().contiguous().to(torch.float16 if t.is_floating_point() else t.dtype)
        for key, t in state.items()
    }
    size = sum(t.nbytes for t in half.values())
    if size > LARGEST:
        raise ValueError(f"weights: {name} has {size} bytes in float16, more than {LARGEST}")
    path = (folder or FOLDER) / f"{name}.safetensors"
    save_file(half, path)
    count = sum(t.numel() for t in half.values() if t.is_floating_point())
    full = {**about, "numbers": count, "bytes": path.stat().st_size, "sha256": digest(path)}
    path.with_suffix(".json").write_text(json.dumps(full, indent=1) + "\n", encoding="utf-8")
    return path


def digest(path: Path) -> str:
    """Compute the SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _file(name: str) -> Path:
    path = FOLDER / f"{name}.safetensors"
    if not path.is_file():
        raise ValueError(f"weights: there are {', '.join(names()) or 'none'}, got {name!r}")
    return path
