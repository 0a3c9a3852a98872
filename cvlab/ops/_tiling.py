"""What `predict_tiles` is made of: tiles cut out of a picture, logits read and added up, rows that are finished."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from cvlab import _check

RESULTS = ("labels", "probabilities", "logits")
ROWS = 64  # so many are turned into the result at a time
LABELS = (torch.uint8, torch.int16, torch.int32)
Logits = Tensor | Mapping[str, Tensor]


class Sliceable(Protocol):
    """What has a shape and can be cut like a tensor: numpy's arrays and memory maps, for instance."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Give the sizes along all dimensions."""

    def __getitem__(self, key: Any) -> Any:
        """Cut out a part."""


def whole(op: str, name: str, value: float, least: int) -> int:
    """Refuse what is not a whole number of at least so much, and give it as an integer."""
    _check.number(op, name, value)
    if value % 1 or value < least:
        raise _check.InputError(f"{op}: {name} must be a whole number of at least {least}, got {value!r}")
    return int(value)


def image_size(op: str, image: Tensor | Sliceable) -> tuple[int, int]:
    """Refuse what is not a picture (C, H, W) that can be cut, and give its height and width."""
    if not (hasattr(image, "shape") and hasattr(image, "__getitem__")):
        raise TypeError(f"{op}: image must be a tensor or an array, got {type(image).__name__}")
    shape = tuple(image.shape)
    if len(shape) != 3 or min(shape) < 1:
        raise _check.InputError(f"{op}: image must have shape (C, H, W), none of them 0, got {shape}")
    return shape[1], shape[2]


def cut(image: Tensor | Sliceable, rows: slice, columns: slice) -> Tensor:
    """Give a part of the picture as a tensor; of what is not a tensor it is a copy, in the machine's byte order."""
    part = image[..., rows, columns]
    if isinstance(part, Tensor):
        return part.as_subclass(Tensor)
    array = np.asarray(part)
    return torch.from_numpy(np.array(array, dtype=array.dtype.newbyteorder("=")))


def in_batches(widths: Sequence[int], batch_size: int) -> Iterator[list[int]]:
    """Yield the numbers of neighbouring tiles of one width, at most so many at a time."""
    batch: list[int] = []
    for i, width in enumerate(widths):
        if batch and (len(batch) == batch_size or width != widths[batch[0]]):
            yield batch
            batch = []
        batch.append(i)
    yield batch


def refuse_training(op: str, function: Callable[[Tensor], Logits]) -> None:
    """Refuse a network whose batch norms and dropouts still work as in training."""
    if isinstance(function, nn.Module) and function.training:
        raise _check.InputError(f"{op}: the network is in training mode, call its eval() first")


def tensor_of(op: str, found: Logits, shape: Sequence[int | str]) -> Tensor:
    """Give the logits themselves, which may be the entry "out" of a dictionary, and refuse another shape."""
    if isinstance(found, Mapping):
        if "out" not in found:
            raise _check.InputError(f"{op}: a dictionary of logits must have 'out', got {list(found)}")
        found = found["out"]
    _check.numeric(op, "logits", found, floating=True)
    _check.shape(op, "logits", found, shape)
    return found


def logits_of(op: str, function: Callable[[Tensor], Logits], tiles: Tensor, classes: int | None) -> Tensor:
    """Call the network without gradients, and check that its logits (B, K, h, w) belong to the tiles.

    Args:
        op: The operation, and where in the picture, for messages.
        function: As `predict_tiles` takes it.
        tiles: (B, C, h, w).
        classes: K of the tiles before; None for the first ones.

    Returns:
        (B, K, h, w), float32 or float64.
    """
    refuse_training(op, function)
    batch, _, height, width = tiles.shape
    with torch.no_grad():
        logits = tensor_of(op, function(tiles), (batch, classes or "K", height, width))
    _check.finite(op, "logits", logits)
    return logits if logits.dtype == torch.float64 else logits.float()


def move_up(band: Tensor, rows: int) -> None:
    """Move (K, h, W) up by so many rows, in place; zeros come in from below."""
    for plane in band:  # one at a time: a copy of all would be as large again
        plane[: len(plane) - rows] = plane[rows:].clone()
        plane[len(plane) - rows :] = 0


class Result:
    """The result for the whole picture, made when its first rows are known.

    Args:
        op: The operation, for messages.
        kind: As `predict_tiles` takes `result`.
        out: Likewise.
        size: Height and width of the picture.
        device: Of a tensor that is made here.
    """

    def __init__(self, op: str, kind: Any, out: Any, size: tuple[int, int], device: torch.device | str) -> None:
        if not callable(kind):
            _check.choice(op, "result", kind, RESULTS)
        self.op, self.kind, self.out, self.size, self.device = op, kind, out, size, device

    def write(self, logits: Tensor, top: int) -> None:
        """Turn the logits (K, h, W) of the rows from `top` on into what is asked for, and put it in its place."""
        for some in torch.split(logits, ROWS, 1):
            rows = self.kind(some) if callable(self.kind) else self.turned(some)
            _check.shape(self.op, "what result gives", rows, ("...", *some.shape[1:]))
            self.prepare((*rows.shape[:-2], *self.size), rows.dtype)
            part = (..., slice(top, top + some.shape[1]), slice(None))
            self.out[part] = rows if isinstance(self.out, Tensor) else rows.cpu().numpy()
            top += some.shape[1]

    def turned(self, logits: Tensor) -> Tensor:
        """Compute labels (h, W) or probabilities (K, h, W)."""
        if self.kind == "logits":
            return logits
        classes = len(logits)
        if classes < 2:
            raise _check.InputError(
                f"{self.op}: {self.kind} need two classes or more, got {classes}; for a single logit give a function, "
                "such as result=lambda logits: logits[0] > 0"
            )
        if self.kind == "probabilities":
            return logits.softmax(0)
        return logits.max(0).indices.to(next(dtype for dtype in LABELS if classes - 1 <= torch.iinfo(dtype).max))

    def prepare(self, shape: tuple[int, ...], dtype: torch.dtype) -> None:
        """Make the result, or check that what is there can hold it."""
        if self.out is None:
            self.out = torch.empty(shape, dtype=dtype, device=self.device)
        if tuple(self.out.shape) != shape:
            raise _check.InputError(f"{self.op}: out must have shape {shape}, got {tuple(self.out.shape)}")
        names = [str(getattr(each, "name", each)).removeprefix("torch.") for each in (dtype, self.out.dtype)]
        if names[0] != names[1]:
            raise _check.InputError(f"{self.op}: out must be {names[0]}, got {names[1]}")
