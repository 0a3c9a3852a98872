"""Check what a figure is given, and turn it into plain numbers and a small embedded picture."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from cvlab import _check

LIMIT = 40_000  # bytes of the embedded JPEG, before base64
MOST_CLASSES = 1000


def as_tensor(op: str, name: str, value: Any) -> Tensor:
    """Return a tensor, an array or nested lists of finite numbers as a float64 tensor on the CPU."""
    if value is None:
        raise _check.InputError(f"{op}: {name} must be numbers in a rectangular array, got None")
    try:
        numbers = (
            value.detach().cpu().double() if isinstance(value, Tensor) else torch.from_numpy(np.array(value, float))
        )
    except (TypeError, ValueError) as error:
        raise _check.InputError(f"{op}: {name} must be numbers in a rectangular array, got {value!r}") from error
    _check.finite(op, name, numbers)
    return numbers


def as_boxes(op: str, name: str, value: Any) -> list[list[float]]:
    """Return boxes (N, 4), xyxy in pixels, as nested lists; N = 0 may also come as an empty list."""
    numbers = as_tensor(op, name, value)
    if tuple(numbers.shape) == (0,):
        return []
    _check.boxes(op, name, numbers, dims="N")
    return numbers.tolist()


def as_box(op: str, name: str, value: Any) -> list[float]:
    """Return one box (4,), xyxy in pixels, as a list."""
    numbers = as_tensor(op, name, value)
    _check.shape(op, name, numbers, (4,))
    _check.boxes(op, name, numbers)
    return numbers.tolist()


def as_fractions(op: str, name: str, value: Any, count: int) -> list[float]:
    """Return `count` numbers in [0, 1], one for each box."""
    numbers = as_tensor(op, name, value)
    _check.length(op, name, numbers, count, "box")
    for i, number in enumerate(numbers.tolist()):
        _check.fraction(op, f"{name}[{i}]", number)
    return numbers.tolist()


def as_classes(op: str, name: str, value: Any, count: int) -> list[int]:
    """Return `count` whole numbers from 0 to 999, one for each box."""
    numbers = as_tensor(op, name, value)
    _check.length(op, name, numbers, count, "box")
    for i, number in enumerate(numbers.tolist()):
        if number % 1 or not 0 <= number < MOST_CLASSES:
            raise _check.InputError(
                f"{op}: {name}[{i}] must be a whole number from 0 to {MOST_CLASSES - 1}, got {number:g}"
            )
    return [int(number) for number in numbers]


def as_names(op: str, name: str, value: Sequence[str] | None, count: int, default: str) -> list[str]:
    """Return at least `count` names; without any given, `default` with the numbers from 0 on."""
    if value is None:
        return [f"{default} {i}" for i in range(count)]
    if isinstance(value, str) or not hasattr(value, "__len__") or len(value) < count:
        raise _check.InputError(f"{op}: {name} must be {count} strings or more, got {value!r}")
    return [str(name) for name in value]


def as_picture(op: str, image: Any) -> dict[str, Any]:
    """Return an image as its size in pixels and a JPEG data URI of at most 40 kB.

    Args:
        op: the figure's name, for error messages.
        image: (3, H, W) float tensor in [0, 1] or uint8 tensor, or (H, W, 3) or (H, W) array, or a PIL image.

    Returns:
        `{"width": W, "height": H, "src": "data:image/jpeg;base64,..."}`; the embedded picture may be smaller than
        W x H, the coordinates of boxes are always pixels of the image that was given.
    """
    rgb = _as_rgb(op, image)
    return {"width": rgb.width, "height": rgb.height, "src": _data_uri(rgb)}


def canvas(boxes: list[list[float]]) -> dict[str, Any]:
    """Return an empty picture that holds all `boxes` with a margin."""
    far = np.asarray(boxes or [[0, 0, 320, 200]]).max(axis=0)
    margin = 0.08 * max(far[2], far[3], 1)
    return {"width": math.ceil(far[2] + margin), "height": math.ceil(far[3] + margin), "src": None}


def _as_rgb(op: str, image: Any) -> Image.Image:
    if isinstance(image, Image.Image):
        return image.convert("RGB")
    is_tensor = isinstance(image, Tensor)
    if is_tensor:
        image = image.detach().cpu()
        image = image.float() if image.dtype == torch.bfloat16 else image  # which NumPy does not know
    array = image.numpy() if is_tensor else np.asarray(image)
    if is_tensor and array.ndim == 3:
        array = np.moveaxis(array, 0, -1)  # (C, H, W) -> (H, W, C)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.size == 0 or not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] == 3)):
        got = tuple(image.shape) if is_tensor else array.shape
        raise _check.InputError(f"{op}: image must be a (3, H, W) tensor or an (H, W, 3) array, got {got}")
    if array.dtype != np.uint8 and array.dtype.kind != "f":
        raise _check.InputError(f"{op}: image must be float in [0, 1] or uint8, got {array.dtype}")
    if array.dtype != np.uint8:
        if not np.isfinite(array).all() or array.min() < -1e-3 or array.max() > 1 + 1e-3:
            raise _check.InputError(f"{op}: a float image must be in [0, 1], got {array.min()} to {array.max()}")
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
