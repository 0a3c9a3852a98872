"""Read predictions and targets: check every image, and lay all of them out as flat numpy columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor

from cvlab import _check

IGNORE_KEYS = ("iscrowd", "difficult")
"""Keys of targets that mark objects which count neither when found nor when missed: COCO's and VOC's."""


class Detections(NamedTuple):
    """Columns of all detections: image (N,), label (N,), box (N, 4) float64, score, area (N,) float64 and row (N,).

    Where the overlaps of masks are kept in one vector, those of a detection with its image's objects begin at `row`.
    """

    image: np.ndarray
    label: np.ndarray
    box: np.ndarray
    score: np.ndarray
    area: np.ndarray
    row: np.ndarray


class Objects(NamedTuple):
    """Columns of all objects: image (G,), label (G,), box (G, 4) float64, ignored (G,) bool, area (G,) float64.

    `column` (G,) numbers the objects of each image.
    """

    image: np.ndarray
    label: np.ndarray
    box: np.ndarray
    ignored: np.ndarray
    area: np.ndarray
    column: np.ndarray


Table = TypeVar("Table", Detections, Objects)


def select(table: Table, rows: np.ndarray) -> Table:
    """Take the rows with these indices, or where this mask is true."""
    return type(table)(*(column[rows] for column in table))


def concatenate(tables: Sequence[Table]) -> Table:
    """Put tables below each other; at least one."""
    return type(tables[0])(*(np.concatenate(columns) for columns in zip(*tables, strict=True)))


def read(
    op: str,
    predictions: Sequence[Mapping[str, Tensor]],
    targets: Sequence[Mapping[str, Tensor]],
    num_labels: int | None = None,
    ignore: str = "iscrowd",
) -> tuple[Detections, Objects]:
    """Give the predictions and targets of some images as tables, or say which box of which image is wrong.

    Args:
        op: The operation, for messages.
        predictions: For each image `boxes` (N, 4) xyxy, `labels` (N,) and `scores` (N,).
        targets: For each image `boxes` (G, 4) xyxy, `labels` (G,), and possibly `area` (G,) and the `ignore` key (G,).
        num_labels: The largest label allowed; None allows all from 1 on.
        ignore: One of `IGNORE_KEYS`.

    Returns:
        The two tables, sorted by image, numbered from 0. An area not given is that of the box.

    Raises:
        TypeError: An argument is no list, an entry no dictionary, a value no tensor.
        InputError: Something else is wrong with a value.
    """
    for name, value in (("predictions", predictions), ("targets", targets)):
        if isinstance(value, Mapping | Tensor | str) or not isinstance(value, Sequence):
            raise TypeError(f"{op}: {name} must be a list of dictionaries, one an image, got {type(value).__name__}")
    if len(predictions) != len(targets):
        raise _check.InputError(
            f"{op}: predictions and targets must be of the same number, got {len(predictions)} and {len(targets)}"
        )
    image, found = _columns(op, "prediction", predictions, ("scores",), (), num_labels)
    area, none = _areas(found["boxes"]), np.zeros(len(image), np.int64)
    detections = Detections(image, found["labels"], found["boxes"], found["scores"], area, none)
    image, true = _columns(op, "target", targets, (), (ignore, "area"), num_labels)
    area = np.where(np.isnan(true["area"]), _areas(true["boxes"]), true["area"])
    column = np.arange(len(image)) - np.searchsorted(image, image)
    return detections, Objects(image, true["labels"], true["boxes"], true[ignore] != 0, area, column)


def _areas(boxes: np.ndarray) -> np.ndarray:
    size = boxes[:, 2:] - boxes[:, :2]
    return size[:, 0] * size[:, 1]


def _columns(
    op: str,
    kind: str,
    entries: Sequence[Mapping[str, Tensor]],
    needed: tuple[str, ...],
    optional: tuple[str, ...],
    num_labels: int | None,
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Check all entries, and join them to the image of every row and a column for each key."""
    names = ("boxes", "labels", *needed, *optional)
    rows = [_entry(f"{op}: {kind} {i}", entry, names, optional) for i, entry in enumerate(entries)]
    counts = np.array([len(row[0]) for row in rows], dtype=np.int64)
    image = np.repeat(np.arange(len(rows)), counts)
    joined = {name: _join(name, [row[c] for row in rows]) for c, name in enumerate(names)}

    def first(bad: np.ndarray) -> tuple[str, int, int]:
        row = int(bad.argmax())
        return f"{op}: {kind} {image[row]}", row - int(counts[: image[row]].sum()), row

    _check_boxes(joined["boxes"], first)
    _check_labels(joined["labels"], num_labels, first)
    if "scores" in joined and not np.isfinite(joined["scores"]).all():
        where, j, row = first(~np.isfinite(joined["scores"]))
        raise _check.InputError(f"{where}: score {j} is not finite: {joined['scores'][row]}")
    return image, joined


def _entry(where: str, entry: Mapping[str, Tensor], names: tuple[str, ...], optional: tuple[str, ...]) -> list[Tensor]:
    """Give the tensors of one image in the order of `names`, NaN or 0 for optional ones that are not there."""
    if not isinstance(entry, Mapping):
        raise TypeError(f"{where} must be a dictionary, got {type(entry).__name__}")
    for name in names:
        if name not in entry and name not in optional:
            raise _check.InputError(f"{where} must have {name!r}, got {sorted(map(str, entry))}")
        if name in entry:
            _check.tensor(where, name, entry[name])
    boxes = entry["boxes"]
    form = getattr(getattr(boxes, "format", None), "value", "XYXY")  # of torchvision's tv_tensors
    if form != "XYXY":
        raise _check.InputError(f"{where}: boxes must be in the format XYXY, got {form}; see box_convert")
    if boxes.numel():
        _check.numeric(where, "boxes", boxes)
        _check.shape(where, "boxes", boxes, ("N", 4))
    count = len(boxes) if boxes.numel() else 0
    return [_value(where, name, entry, count) for name in names]


def _value(where: str, name: str, entry: Mapping[str, Tensor], count: int) -> Tensor:
    """Give one value of an image as a plain tensor (count,) on the CPU; boxes (count, 4)."""
    if name not in entry:
        return torch.full((count,), float("nan") if name == "area" else 0, dtype=torch.float64)
    value = entry[name].detach().cpu().as_subclass(Tensor)
    if name == "boxes":
        return value if count else torch.zeros(0, 4)
    if count == 0 and value.numel() == 0:  # an image without boxes, whatever the shape and type of its tensors
        return torch.zeros(0, dtype=torch.int64 if name == "labels" else torch.float64)
    _check.length(where, name, value, count, "box")
    if name == "labels":
        _check.integer(where, name, value)
    elif name not in IGNORE_KEYS:
        _check.numeric(where, name, value)
    if name == "area" and not bool(((value >= 0) & (value < float("inf"))).all()):
        j = int((~((value >= 0) & (value < float("inf")))).nonzero()[0])
        raise _check.InputError(f"{where}: area {j} must be finite and at least 0, got {float(value[j]):g}")
    return value


def _join(name: str, values: list[Tensor]) -> np.ndarray:
    """Put the values of all images into one new array."""
    dtype = torch.int64 if name == "labels" else torch.float64
    if not values:
        return torch.zeros((0, 4) if name == "boxes" else (0,), dtype=dtype).numpy()
    return torch.cat([value.to(dtype) for value in values]).numpy()


def _check_boxes(boxes: np.ndarray, first: Any) -> None:
    """Refuse boxes that are not finite or have no area."""
    good = (boxes[:, 2:] > boxes[:, :2]).all(1) & (np.abs(boxes).max(1, initial=0) <= _check.largest(torch.float64))
    if not good.all():
        where, j, row = first(~good)
        _check.boxes(where, f"box {j}", torch.from_numpy(boxes[row]), strict=True)


def _check_labels(labels: np.ndarray, num_labels: int | None, first: Any) -> None:
    """Refuse the background's label and those above the number of classes."""
    bad = labels < 1 if num_labels is None else (labels < 1) | (labels > num_labels)
    if bad.any():
        where, j, row = first(bad)
        allowed = "be 1 or above" if num_labels is None else f"lie from 1 to {num_labels}"
        raise _check.InputError(f"{where}: label {j} must {allowed} (0 is the background), got {labels[row]}")
