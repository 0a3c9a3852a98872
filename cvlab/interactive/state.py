"""Check what a figure is given, and turn it into plain numbers and a small embedded picture."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

LIMIT = 40_000  # bytes of the embedded JPEG, before base64


def as_array(value: Any, what: str) -> np.ndarray:
    """Return a tensor, an array or nested lists as a float64 array; `what` begins every error message."""
    if hasattr(value, "detach"):  # a torch tensor, on whatever device and with or without gradient
        value = value.detach().cpu().double().numpy()
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{what} must be numbers in a rectangular array, got {value!r}") from error
    bad = np.argwhere(~np.isfinite(array))
    if len(bad):
        index = tuple(int(i) for i in bad[0])
        raise ValueError(f"{what} must be finite, got {array[index]} at index {list(index)}")
    return array


def as_boxes(value: Any, what: str) -> list[list[float]]:
    """Return boxes (N, 4), xyxy in pixels, as nested lists; N = 0 may also come as an empty list."""
    array = as_array(value, what)
    if array.size == 0 and array.ndim <= 2:
        return []
    if array.ndim != 2 or array.shape[1] != 4:
        raise ValueError(f"{what} must have shape (N, 4), got {array.shape}")
    for i, (x1, y1, x2, y2) in enumerate(array.tolist()):
        if x2 < x1 or y2 < y1:
            raise ValueError(f"{what}: box {i} has x2 < x1 or y2 < y1: {[x1, y1, x2, y2]}")
    return array.tolist()


def as_box(value: Any, what: str) -> list[float]:
    """Return one box (4,), xyxy in pixels, as a list."""
    array = as_array(value, what)
    if array.shape != (4,):
        raise ValueError(f"{what} must have shape (4,), got {array.shape}")
    return as_boxes(array[None], what)[0]


def as_unit(value: Any, what: str) -> float:
    """Return a number in [0, 1]."""
    number = as_array(value, what)
    if number.ndim or not 0 <= number <= 1:
        raise ValueError(f"{what} must be one number in [0, 1], got {value!r}")
    return float(number)


def as_names(value: Sequence[str] | None, count: int, default: str, what: str) -> list[str]:
    """Return `count` names; without any given, `default` with the numbers from 0 on."""
    if value is None:
        return [f"{default} {i}" for i in range(count)]
    if isinstance(value, str) or len(value) != count:
        raise ValueError(f"{what} must be {count} strings, got {value!r}")
    return [str(name) for name in value]


def as_picture(image: Any, what: str) -> dict[str, Any]:
    """Return an image as its size in pixels and a JPEG data URI of at most 40 kB.

    Args:
        image: (3, H, W) float tensor in [0, 1] or uint8 tensor, or (H, W, 3) or (H, W) array, or a PIL image.
        what: the beginning of an error message.

    Returns:
        `{"width": W, "height": H, "src": "data:image/jpeg;base64,..."}`; the embedded picture may be smaller than
        W x H, the coordinates of boxes are always pixels of the image that was given.
    """
    rgb = _as_rgb(image, what)
    return {"width": rgb.width, "height": rgb.height, "src": _data_uri(rgb)}


def canvas(boxes: list[list[float]]) -> dict[str, Any]:
    """Return an empty picture that holds all `boxes` with a margin."""
    far = np.asarray(boxes or [[0, 0, 320, 200]]).max(axis=0)
    margin = 0.08 * max(far[2], far[3], 1)
    return {"width": math.ceil(far[2] + margin), "height": math.ceil(far[3] + margin), "src": None}


def _as_rgb(image: Any, what: str) -> Image.Image:
    if isinstance(image, Image.Image):
        return image.convert("RGB")
    is_tensor = hasattr(image, "detach")
    array = image.detach().cpu().numpy() if is_tensor else np.asarray(image)
    if is_tensor and array.ndim == 3:
        array = np.moveaxis(array, 0, -1)  # (C, H, W) -> (H, W, C)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.size == 0 or not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] == 3)):
        raise ValueError(f"{what}: image must be a (3, H, W) tensor or an (H, W, 3) array, got {np.shape(image)}")
    if array.dtype != np.uint8:
        if not np.isfinite(array).all() or array.min() < -1e-3 or array.max() > 1 + 1e-3:
            raise ValueError(f"{what}: a float image must be in [0, 1], got {array.min()} to {array.max()}")
        array = np.rint(array.clip(0, 1) * 255).astype(np.uint8)
    return Image.fromarray(array).convert("RGB")


def _data_uri(image: Image.Image) -> str:
    """Encode `image` as JPEG: the widest, then the finest, that keeps to the limit."""
    for side in (720, 640, 560, 480, 400, 320, 240, 160):
        small = image.copy()
        small.thumbnail((side, side), Image.Resampling.LANCZOS)
        for quality in (85, 78, 70):
            buffer = io.BytesIO()
            small.save(buffer, "JPEG", quality=quality, optimize=True)
            if buffer.tell() <= LIMIT:
                return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
    raise ValueError(f"image: no JPEG of at most {LIMIT} bytes found for size {image.size}")
