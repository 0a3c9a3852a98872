"""One network on many devices: how large, how right, how fast, and what of it was run and what only emulated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cvlab import _check
from cvlab._check import InputError
from cvlab.interactive.figure import StaticFigure

QUESTION = "Which device would you ship this network on?"
UNITS = ("ratio", "ms", "instructions")
"""Of costs: time against float on the same machine, milliseconds of an image, instructions of an image."""
CHECKED = ("run", "emulated", "read back")
MOST_ROWS = 24

_NEEDED = ("device", "format", "size", "accuracy", "checked")
_OTHERS = ("agreement", "cost", "unit", "ram", "size_limit", "ram_limit", "note")


def device_table(rows: Sequence[Mapping[str, Any]], *, question: str = QUESTION) -> StaticFigure:
    """Make a comparison of devices in which the reader says what matters and how much room there is.

    Args:
        rows: 1 to 24 devices, each a mapping. It must have `device` and `format`, a name and the kind of numbers,
            together different in each row; `size`, bytes of what is shipped; `accuracy` in [0, 1]; and `checked`, one
            of "run", "emulated" and "read back", for what is known of the device. It may have `agreement`, the share
            of answers that are those of float; `cost` with `unit`, one of "ratio" (time against float on the same
            machine), "ms" and "instructions" (of one image); `ram`, bytes of working memory; `size_limit` and
            `ram_limit`, bytes that the device has for them; and `note`, a sentence on how it was checked. What is
            not known may be None.
        question: what the figure asks its reader.

    Returns:
        The figure, for the last line of a notebook cell.

    Raises:
        InputError: if there are no rows or too many, one lacks something or has something else, a number is out of
            range, or a cost has no unit.

    Notes:
        Costs of different units are never compared: each unit has bars of its own, and sorted by time the units stand
        one after the other.

    Example:
        >>> phone = {"device": "phone", "format": "int8", "size": 186_000, "accuracy": 0.985, "checked": "run"}
        >>> chip = {**phone, "device": "Cortex-M3", "checked": "emulated", "ram": 50_000, "ram_limit": 65_536}
        >>> device_table([phone, chip])
        <interactive figure: device_table>
    """
    op = "device_table"
    if not isinstance(rows, Sequence) or isinstance(rows, str) or not 1 <= len(rows) <= MOST_ROWS:
        got = len(rows) if hasattr(rows, "__len__") else type(rows).__name__
        raise InputError(f"{op}: rows must be a sequence of 1 to {MOST_ROWS} devices, got {got}")
    shown = [_row(op, f"rows[{i}]", row) for i, row in enumerate(rows)]
    names = [(row["device"], row["format"]) for row in shown]
    for i, name in enumerate(names):
        if name in names[:i]:
            raise InputError(f"{op}: rows must be different devices or formats, got {' '.join(name)!r} twice")
    alt = (
        f"A comparison of one network in {len(shown)} forms on devices "
        f"({'; '.join(dict.fromkeys(device for device, _ in names))}): size, accuracy, time and working memory as "
        "numbers and bars. Sliders say how large it may be and how right it must be; what does not fit turns grey."
    )
    return StaticFigure(op, alt, question=question, rows=shown)


def _row(op: str, where: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """Check one row, and give it with all keys."""
    if not isinstance(row, Mapping):
        raise InputError(f"{op}: {where} must be a mapping, got {type(row).__name__}")
    if missing := [key for key in _NEEDED if row.get(key) is None]:
        raise InputError(f"{op}: {where} must have {', '.join(_NEEDED)}, got no {', '.join(missing)}")
    if unknown := [str(key) for key in row if key not in (*_NEEDED, *_OTHERS)]:
        raise InputError(f"{op}: {where} may have {', '.join(_OTHERS)}, got {', '.join(unknown)}")
    one = {key: row.get(key) for key in (*_NEEDED, *_OTHERS)}
    for key in ("device", "format", "note"):
        one[key] = str(one[key] or "").strip()
    if not one["device"] or not one["format"]:
        raise InputError(f"{op}: {where} must have a device and a format, got an empty one")
    _check.choice(op, f"{where}['checked']", one["checked"], CHECKED)
    for key in ("accuracy", "agreement"):
        if one[key] is not None:
            _check.fraction(op, f"{where}[{key!r}]", one[key])
            one[key] = float(one[key])
    for key in ("size", "cost", "ram", "size_limit", "ram_limit"):
        if one[key] is not None:
            _check.number(op, f"{where}[{key!r}]", one[key])
            if one[key] <= 0:
                raise InputError(f"{op}: {where}[{key!r}] must be above 0, got {one[key]!r}")
            one[key] = float(one[key])
    if one["cost"] is None:
        one["unit"] = None
    else:
        _check.choice(op, f"{where}['unit']", one["unit"], UNITS)
    return one
