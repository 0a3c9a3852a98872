"""Checkpoints: written whole or not at all, and checked when they are read."""

from __future__ import annotations

import contextlib
import os
import pickle
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import torch

from cvlab import _check


def write_checkpoint(path: str | Path, content: dict[str, Any]) -> None:
    """Write a checkpoint so that the file is the old one or the new one, whatever happens meanwhile.

    It is written beside the file under another name, forced to the disk, and then renamed, which is one step for the
    file system.

    Args:
        path: The file; its folder is made where there is none.
        content: Tensors, numbers, words, and lists and dictionaries of them.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            torch.save(content, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Force the renaming to the disk, where folders can be opened for that."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """Read a checkpoint, after a look at the checksums of all its parts.

    It runs no code from the file: only tensors and plain values are read.

    Args:
        path: The file.

    Returns:
        Its content, with tensors on the CPU.

    Raises:
        InputError: The file is damaged, or no checkpoint; it is left as it is.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
        if damaged is not None:
            raise zipfile.BadZipFile(f"the checksum of {damaged} is wrong")
        content = torch.load(path, map_location="cpu", weights_only=True)
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise KeyError(f"no format {FORMAT}")
    except (zipfile.BadZipFile, pickle.UnpicklingError, RuntimeError, EOFError, KeyError, ValueError) as error:
        raise _check.InputError(
            f"fit: checkpoint {path} cannot be read, it is damaged or of another kind ({error}); it was left as it is: "
            "give another path, or resume=False to write a new one over it"
        ) from error
    return content


FORMAT = "cvlab.engine 1"
"""The mark of a checkpoint, in its entry "format"."""


def check_arguments(path: str | Path, saved: dict[str, Any], given: dict[str, Any]) -> None:
    """Refuse to go on with other arguments than those that a checkpoint was made with.

    Args:
        path: The file, for the message.
        saved: The checkpoint's arguments.
        given: The arguments now.

    Raises:
        InputError: Some differ; all of them are named.
    """
    names = [name for name in {**saved, **given} if saved.get(name) != given.get(name)]
    if names:
        differences = "; ".join(f"{name} was {saved.get(name)!r} and is {given.get(name)!r}" for name in names)
        raise _check.InputError(
            f"fit: checkpoint {path} was made with other arguments: {differences}; "
            "give the same ones, another path, or resume=False to start afresh"
        )


def check_weights(path: str | Path, saved: dict[str, Any], own: dict[str, Any]) -> None:
    """Refuse a checkpoint of a model with other parameters.

    Args:
        path: The file, for the message.
        saved: The checkpoint's `state_dict`.
        own: The model's.

    Raises:
        InputError: Names or shapes differ; the first three are named.
    """
    shapes = [{k: tuple(v.shape) for k, v in d.items() if isinstance(v, torch.Tensor)} for d in (saved, own)]
    names = [name for name in {**shapes[0], **shapes[1]} if shapes[0].get(name) != shapes[1].get(name)]
    if names:
        texts = [f"{name} has shape {shapes[0].get(name)} there and {shapes[1].get(name)} here" for name in names[:3]]
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        raise _check.InputError(f"fit: checkpoint {path} is of another model: {'; '.join(texts)}{more}")
