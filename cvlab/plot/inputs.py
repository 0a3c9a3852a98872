"""What may be drawn: turn tensors, arrays and pictures into checked NumPy arrays."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

Names = Mapping[int, str] | Sequence[str]


def array(values: Any, name: str, operation: str) -> np.ndarray:
    """Copy tensor, array or list `values` to a NumPy array of numbers on the CPU."""
    try:
        if isinstance(values, torch.Tensor):
            values = values.detach().cpu().as_subclass(torch.Tensor)
            values = (values.float() if values.dtype == torch.bfloat16 else values).numpy()
        found = np.asarray(values)
    except (TypeError, ValueError, RuntimeError) as error:  # rows of unequal lengths, or a tensor without values
        raise ValueError(f"{operation}: {name} must be a rectangular array of numbers ({error})") from error
    if found.dtype.kind not in "biuf":
        raise TypeError(f"{operation}: {name} must be an array of numbers, got {type(values).__name__} {found.dtype}")
    return found


def pixels(image: Any, operation: str) -> np.ndarray:
    """Turn an image into an array that matplotlib draws: (H, W) or (H, W, 3), float in [0, 1] or uint8.

    A tensor is channels first, (C, H, W) with C 1 or 3. A NumPy array or a Pillow image is channels last, (H, W),
    (H, W, 1) or (H, W, 3), the way scikit-image and Pillow have them. A plain (H, W) is grey in both.
    """
    first = isinstance(image, torch.Tensor)
    picture = array(image, "image", operation)
    layout = "(C, H, W) with C 1 or 3, as a tensor" if first else "(H, W) or (H, W, C) with C 1 or 3, as an array"
    channels = 1 if picture.ndim == 2 else picture.shape[0 if first else -1] if picture.ndim == 3 else 0
    if channels not in (1, 3) or picture.size == 0:
        raise ValueError(f"{operation}: image must have shape {layout}, got {picture.shape}")
    if picture.ndim == 3:
        picture = np.moveaxis(picture, 0, -1) if first else picture  # (H, W, C)
        picture = picture[..., 0] if channels == 1 else picture
    if picture.dtype == np.uint8:
        return picture
    if not np.issubdtype(picture.dtype, np.floating):
        raise TypeError(f"{operation}: image must be float in [0, 1] or uint8, got {picture.dtype}")
    low, high = float(picture.min()), float(picture.max())  # NaN when any value is
    if not (low >= -1e-3 and high <= 1 + 1e-3):
        raise ValueError(f"{operation}: image values must be in [0, 1], got {low:.4g} to {high:.4g}")
    return np.clip(picture.astype(np.float32), 0, 1)


def rows(values: Any, last: tuple[int, ...], name: str, operation: str) -> np.ndarray:
    """Turn `values` into a float array (N, ...) whose further lengths end in one of `last`; an empty list is N = 0."""
    found = array(values, name, operation)
    if found.ndim == 1 and found.size == 0:
        found = found.reshape(0, last[0])
    if found.ndim != 2 or found.shape[1] not in last:
        shape = " or ".join(f"(N, {n})" for n in last)
        raise ValueError(f"{operation}: {name} must have shape {shape}, got {found.shape}")
    found = found.astype(np.float64)
    bad = np.flatnonzero(~np.isfinite(found).all(axis=1))
    if bad.size:
        raise ValueError(f"{operation}: {name} must be finite, got {found[bad[0]].tolist()} at index {bad[0]}")
    return found


def box_rows(boxes: Any, operation: str) -> np.ndarray:
    """Check boxes (N, 4), xyxy in absolute pixels with x1 <= x2 and y1 <= y2."""
    found = rows(boxes, (4,), "boxes", operation)
    bad = np.flatnonzero((found[:, 2:] < found[:, :2]).any(axis=1))
    if bad.size:
        raise ValueError(
            f"{operation}: boxes must have x1 <= x2 and y1 <= y2, got {found[bad[0]].tolist()} at index {bad[0]}"
        )
    return found


def per_item(values: Any, count: int, name: str, operation: str) -> list | None:
    """Turn one value for each of `count` items into a list; None stays None."""
    if values is None:
        return None
    found = values.tolist() if isinstance(values, (torch.Tensor, np.ndarray)) else values
    if isinstance(found, str) or not isinstance(found, Iterable):
        raise ValueError(f"{operation}: {name} must have one value for each of {count} items, got {found!r} alone")
    found = list(found)
    if len(found) != count:
        raise ValueError(f"{operation}: {name} must have one value for each of {count} items, got {len(found)}")
    return found


def label_name(label: int | str, names: Names | None, operation: str) -> str:
    """Name one label: looked up in `names` where it is a number, itself where it is text."""
    if isinstance(label, str) or names is None:
        return str(label)
    try:
        if int(label) < 0 and not isinstance(names, Mapping):
            raise IndexError  # or a list would be read from its end
        return str(names[int(label)])
    except (IndexError, KeyError):
        raise ValueError(f"{operation}: names must have an entry for every label, got none for label {label}") from None
