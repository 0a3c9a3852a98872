"""COCO's run-length encoding of masks: the lengths of runs of 0 and 1, column by column, as a short text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cvlab import _check

Rle = dict[str, Any]


def rle_encode(mask: Tensor) -> Rle:
    """Write a mask as the lengths of its runs.

    Pixels are read column by column. The first run counts zeros, and is 0 where the mask begins with a one.

    Args:
        mask: (H, W) bool.

    Returns:
        A dictionary of `size`, height and width, and `counts`, bytes; byte for byte what pycocotools writes.

    Raises:
        InputError: The mask is not (H, W) bool.

    Example:
        >>> rle_encode(torch.tensor([[False, True], [False, True]]))  # two zeros, two ones
        {'size': [2, 2], 'counts': b'22'}

    References:
        Lin et al. (2014). Microsoft COCO. The text is described in `maskApi.c` of its tools.
    """
    return {"size": list(mask.shape), "counts": pack_counts(run_lengths(mask))}


def run_lengths(mask: Tensor) -> list[int]:
    """Count the runs of a mask (H, W) bool, column by column, the zeros first.

    Example:
        >>> run_lengths(torch.tensor([[True, False, False], [True, False, True]]))  # 1 1, 0 0, 0 1
        [0, 2, 3, 1]
    """
    _check.tensor("rle_encode", "mask", mask)
    _check.shape("rle_encode", "mask", mask, ("H", "W"))
    if mask.dtype != torch.bool:
        raise _check.InputError(f"rle_encode: mask must be bool, got {mask.dtype}")
    pixels = mask.detach().cpu().numpy().T.ravel()  # column by column
    changes = np.flatnonzero(pixels[1:] != pixels[:-1]) + 1
    ends = np.concatenate((changes, [pixels.size]))
    lengths: list[int] = np.diff(ends, prepend=0).tolist()
    return [0, *lengths] if pixels.size and pixels[0] else lengths


def pack_counts(counts: Sequence[int]) -> bytes:
    """Write counts as text: from the fourth on the difference to the count two before, five bits in a character.

    A character holds five bits, the lowest first, and a sixth that says that more follow; 48 is added to make it
    printable. The highest bit of the last five is the sign.

    Example:
        >>> pack_counts([5, 40, 3, 41])  # 5; 8 and 1 more 32; 3; the difference 1
        b'5X131'
    """
    text = bytearray()
    for i, count in enumerate(counts):
        value = count - counts[i - 2] if i > 2 else count
        while True:
            bits, value = value & 31, value >> 5
            more = value != (-1 if bits & 16 else 0)
            text.append(48 + bits + 32 * more)
            if not more:
                break
    return bytes(text)


def unpack_counts(text: bytes) -> list[int]:
    """Read the text that `pack_counts` writes.

    Raises:
        InputError: A character is not one of the 64 allowed, or the last number breaks off.

    Example:
        >>> unpack_counts(b"5X131")
        [5, 40, 3, 41]
    """
    counts: list[int] = []
    value = shift = 0
    for place, character in enumerate(text):
        code = character - 48
        if not 0 <= code < 64:
            raise _check.InputError(f"rle_decode: counts[{place}] is no character of an RLE: {chr(character)!r}")
        value |= (code & 31) << shift
        shift += 5
        if code & 32:
            continue
        if code & 16:
            value -= 1 << shift
        counts.append(value + counts[-2] if len(counts) > 2 else value)
        value = shift = 0
    if shift:
        raise _check.InputError("rle_decode: counts break off in the middle of a number")
    return counts


def rle_decode(rle: Mapping[str, Any]) -> Tensor:
    """Read a mask from its runs.

    Args:
        rle: {"size": [H, W], "counts": ...}, the counts as bytes or text, or as a list of whole numbers.

    Returns:
        (H, W) bool.

    Raises:
        InputError: A key is missing, the counts are damaged, a run is negative, or the runs do not fill the mask.

    Example:
        >>> rle_decode({"size": [2, 2], "counts": [2, 2]})
        tensor([[False,  True],
                [False,  True]])
    """
    height, width, counts = _read(rle)
    values = np.arange(len(counts)) % 2 == 1
    pixels = np.repeat(values, counts)
    return torch.from_numpy(pixels.reshape(width, height).T.copy())


def rle_area(rle: Mapping[str, Any]) -> int:
    """Count the pixels of a mask without unpacking it; see `rle_decode`.

    Example:
        >>> rle_area({"size": [2, 3], "counts": [1, 2, 3]})
        2
    """
    return sum(_read(rle)[2][1::2])


def rle_to_box(rle: Mapping[str, Any]) -> Tensor:
    """Give the box (4,) float32 xyxy, half-open, round a mask; four zeros for an empty one; see `rle_decode`.

    Example:
        >>> rle_to_box({"size": [2, 3], "counts": [3, 2, 1]})  # rows 1, 0 of columns 1, 2
        tensor([1., 0., 3., 2.])
    """
    mask = rle_decode(rle)
    if not bool(mask.any()):
        return torch.zeros(4)
    rows, columns = mask.any(1).nonzero()[:, 0], mask.any(0).nonzero()[:, 0]
    return torch.tensor([int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1], dtype=torch.float32)


def _read(rle: Mapping[str, Any]) -> tuple[int, int, list[int]]:
    """Check an encoding, and give height, width and counts."""
    op = "rle_decode"
    for name in ("size", "counts"):
        if name not in rle:
            raise _check.InputError(f"{op}: an RLE must have {name!r}, got {sorted(rle)}")
    _check.positive(op, "size", rle["size"], "height, width", zero=True)
    height, width = (int(v) for v in rle["size"])
    given = rle["counts"]
    text = given.encode() if isinstance(given, str) else given
    counts = unpack_counts(text) if isinstance(text, bytes) else [int(v) for v in text]
    if any(count < 0 for count in counts):
        raise _check.InputError(f"{op}: a run must not be negative, got {min(counts)}")
    if sum(counts) != height * width:
        raise _check.InputError(
            f"{op}: the runs must fill {height} x {width} = {height * width} pixels, got {sum(counts)}"
        )
    return height, width, counts
