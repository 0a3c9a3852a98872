"""Check targets and predictions of a detector, and turn them into plain numbers, few enough for a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cvlab._check import InputError
from cvlab.interactive.state import as_boxes, as_classes, as_fractions, as_names


def as_target(op: str, name: str, value: Any) -> dict[str, Any]:
    """Return `boxes` and `labels` of a target as lists; anything else it has is left out."""
    _entries(op, name, value, ("boxes", "labels"))
    boxes = as_boxes(op, f"boxes of {name}", value["boxes"])
    return {"boxes": boxes, "labels": as_classes(op, f"labels of {name}", value["labels"], len(boxes))}


def as_prediction(op: str, name: str, value: Any, most: int) -> dict[str, Any]:
    """Return the `most` best detections, best first: boxes to a tenth of a pixel, scores to three decimals."""
    _entries(op, name, value, ("boxes", "scores", "labels"))
    found = as_target(op, name, value)
    scores = as_fractions(op, f"scores of {name}", value["scores"], len(found["boxes"]))
    best = sorted(range(len(scores)), key=lambda i: -scores[i])[:most]  # stable: of equal ones the first stays first
    return {
        "boxes": [[round(number, 1) for number in found["boxes"][i]] for i in best],
        "scores": [round(scores[i], 3) for i in best],
        "labels": [found["labels"][i] for i in best],
    }


def names_of(op: str, names: Sequence[str] | None, *labels: Sequence[int]) -> list[str]:
    """Return a name for each label from 0 to the largest there is: `names[label]`."""
    return as_names(op, "names", names, 1 + max((label for some in labels for label in some), default=-1), "class")


def same_length(op: str, count: int, least: int, most: int, **lists: Any) -> None:
    """Refuse lists that are not all for `count` pictures, and a `count` that is not from `least` to `most`."""
    if not least <= count <= most:
        raise InputError(f"{op}: images must be {least} to {most} pictures, got {count}")
    for name, values in lists.items():
        if isinstance(values, Mapping) or not hasattr(values, "__len__") or len(values) != count:
            got = len(values) if hasattr(values, "__len__") and not isinstance(values, Mapping) else repr(values)
            raise InputError(f"{op}: {name} must be one for each of {count} pictures, got {got}")


def _entries(op: str, name: str, value: Any, wanted: Sequence[str]) -> None:
    if not isinstance(value, Mapping) or any(key not in value for key in wanted):
        got = sorted(map(str, value)) if isinstance(value, Mapping) else type(value).__name__
        raise InputError(f"{op}: {name} must be a dictionary with {', '.join(wanted)}, got {got}")
