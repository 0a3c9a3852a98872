"""Read every image of a folder, and write down what each is, or why it cannot be read."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import torch
from PIL import Image

from cvlab.data.files import read_image
from cvlab.data.hashing import content_hash, dhash
from cvlab.data.report_scan import Findings, Picture

SPLITS = ("train", "val", "valid", "validation", "test")
"""Folders of these names hold a split each."""

ALL = "all"
"""What the only split is called where there are no splits."""

SUFFIXES = (".avif", ".bmp", ".gif", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
"""Endings of the names of image files."""

_ORIENTATION = 0x0112  # the EXIF tag


def scan_folder(folder: Path) -> Findings:
    """Read all images below a folder; see `DataReport.from_folder`."""
    found = Findings()
    for split, label, path in _files(folder, found):
        _read(split, label, path, folder, found)
    if not found.pictures and not found.problems:
        found.problem("folder", ".", "holds no image")
    return found


def _files(folder: Path, found: Findings) -> Iterator[tuple[str, str | None, Path]]:
    """Walk through (split, class, file); the class is None for a file outside of any class's folder."""
    entries = _entries(folder, folder, found)
    homes = [entry for entry in entries if os.path.isdir(entry) and entry.name.lower() in SPLITS]
    homes.sort(key=lambda home: SPLITS.index(home.name.lower()))
    for entry in entries if homes else ():
        if entry not in homes:
            found.note("left out", _shown(entry, folder), "is no split")
    for home in homes or [folder]:
        split = _shown(home, folder) if homes else ALL
        found.splits.append(split)
        yield from ((split, label, path) for label, path in _classes(home, folder, found))


def _classes(home: Path, folder: Path, found: Findings) -> Iterator[tuple[str | None, Path]]:
    """Walk through (class, file) of a split."""
    entries = _entries(home, folder, found)
    classes = [entry for entry in entries if os.path.isdir(entry)]
    above = tuple(os.path.realpath(place) for place in (folder, home))
    for entry in entries:
        if entry not in classes:
            if classes and _is_image(entry):
                found.note("no class", _shown(entry, folder), "is in no class's folder")
            yield None, entry
            continue
        inside = list(_walk(entry, folder, found, above))
        if not any(_is_image(path) for path in inside):
            found.problem("empty class", _shown(entry, folder), "holds no image")
        for path in inside:
            yield _printable(entry.name), path


def _walk(home: Path, folder: Path, found: Findings, above: tuple[str, ...]) -> Iterator[Path]:
    """Walk through all files below a folder; a link that leads back to a folder above is not followed."""
    real = os.path.realpath(home)
    if real in above:
        found.note("left out", _shown(home, folder), "is a link back to a folder above")
        return
    for entry in _entries(home, folder, found):
        if os.path.isdir(entry) and not _is_image(entry):
            yield from _walk(entry, folder, found, (*above, real))
        else:
            yield entry


def _entries(home: Path, folder: Path, found: Findings) -> list[Path]:
    """List what a folder holds, in order, without hidden entries; an unreadable one holds nothing."""
    try:
        return sorted(entry for entry in home.iterdir() if not entry.name.startswith("."))
    except OSError as error:
        found.problem("folder", _shown(home, folder), f"cannot be opened: {error.strerror}")
        return []


def _is_image(path: Path) -> bool:
    """Tell whether a file should be an image, by its name."""
    return path.suffix.lower() in SUFFIXES


def _shown(path: Path, folder: Path) -> str:
    """Write a path below the folder the same way on every system."""
    return _printable(path.relative_to(folder).as_posix())


def _printable(name: str) -> str:
    """Escape what is no text in a file's name: line breaks, and bytes of another encoding."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name)


def _read(split: str, label: str | None, path: Path, folder: Path, found: Findings) -> None:
    """Read one file into the findings."""
    where = _shown(path, folder)
    if not _is_image(path):
        return found.note("left out", where, "is no image by its name")
    try:
        fault = _unreadable(path)
        if fault:
            return found.problem("broken file", where, fault)
        image = read_image(path, torch.uint8)
        mode, remarks = _header(path)
    except Exception as error:  # damaged files raise whatever their decoder runs into
        return found.problem("broken file", where, _reason(error, path))
    for kind, what in remarks:
        found.note(kind, where, what)
    labels = () if label is None else (label,)
    height, width = image.shape[1:]
    found.pictures.append(Picture(split, where, (height, width), content_hash(image), dhash(image), labels, mode=mode))
    return None


def _unreadable(path: Path) -> str:
    """Tell apart what is no file; opening a pipe, for one, would wait for ever."""
    if path.is_file() or path.is_dir():
        return ""
    return "is a link to nothing" if path.is_symlink() else "is no regular file"


def _header(path: Path) -> tuple[str, list[tuple[str, str]]]:
    """Give a file's mode, and (kind, what) of all that changes when it is read as RGB of 8 bits."""
    with Image.open(path) as file:
        mode, orientation = file.mode, file.getexif().get(_ORIENTATION, 1)
        transparent = "transparency" in file.info or mode in ("RGBA", "LA", "PA", "RGBa", "La")
    remarks = []
    if mode.startswith(("I", "F")):
        remarks.append(("mode", f"has more than 8 bits ({mode}): they are rounded"))
    elif mode not in ("1", "L", "P", "RGB") and not transparent:
        remarks.append(("mode", f"has colours in {mode}: they are converted to RGB"))
    if transparent:
        remarks.append(("mode", f"has transparency ({mode}): it is laid on white"))
    if orientation in range(2, 9):
        remarks.append(("turned", f"is stored turned (EXIF orientation {orientation}): boxes must fit it upright"))
    return mode, remarks


def _reason(error: Exception, path: Path) -> str:
    """Shorten an error's message to what a list of files needs."""
    text = (str(error).splitlines() or [""])[0] or type(error).__name__
    text = text.removeprefix("read_image: ").replace(f"{str(path)!r} ", "").replace(str(path), path.name)
    return text if text.startswith(("is ", "cannot ")) else f"cannot be read: {text}"
