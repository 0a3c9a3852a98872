"""COCO's run-length encoding of masks: the lengths of runs of 0 and 1, column by column, as a short text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cvlab import _check
from cvlab.ops._size import whole_size

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
        InputError: A character is not one of the 64 allowed, a number has more than 60 bits, or the last breaks off.

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
            if shift > 55:
                raise _check.InputError(f"rle_decode: counts[{place}] belongs to a number of more than 60 bits")
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
    return fill_runs(*_read(rle))


def fill_runs(height: int, width: int, counts: Sequence[int] | np.ndarray) -> Tensor:
    """Write runs that fill a mask (height, width) bool, column by column, the zeros first."""
    pixels = np.repeat(np.arange(len(counts)) % 2 == 1, counts)
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


def rle_iou(
    rles1: Sequence[Mapping[str, Any]], rles2: Sequence[Mapping[str, Any]], iscrowd: Sequence[bool] | None = None
) -> Tensor:
    """Compute the intersection over union of each mask with each other mask, without unpacking them.

    Args:
        rles1: N masks of one size, as `rle_decode` takes them.
        rles2: M masks of the same size.
        iscrowd: M marks of masks that stand for crowds: there the intersection is divided by the first mask's area.

    Returns:
        (N, M) float64, as `mask_iou`; 0 where both masks are empty.

    Raises:
        InputError: The masks are of different sizes, there is not one crowd mark for each, or as `rle_decode`.

    Notes:
        pycocotools' `iou` gives NaN for an empty mask over a crowd.

    Example:
        >>> rle_iou([{"size": [2, 3], "counts": [0, 4, 2]}], [{"size": [2, 3], "counts": [2, 4]}])  # 2 pixels of 6
        tensor([[0.3333]], dtype=torch.float64)
    """
    op = "rle_iou"
    if iscrowd is not None and len(iscrowd) != len(rles2):
        raise _check.InputError(f"{op}: iscrowd must have one mark for each of {len(rles2)} masks, got {len(iscrowd)}")
    read = [_read(rle) for rle in (*rles1, *rles2)]
    for i, (height, width, _) in enumerate(read):
        if (height, width) != read[0][:2]:
            where = f"rles1[{i}]" if i < len(rles1) else f"rles2[{i - len(rles1)}]"
            raise _check.InputError(f"{op}: all masks must be of size {read[0][:2]}, got {(height, width)} in {where}")
    runs = [_Runs(counts) for *_, counts in read]
    iou = torch.zeros(len(rles1), len(rles2), dtype=torch.float64)
    for j, second in enumerate(runs[len(rles1) :]):
        crowd = iscrowd is not None and bool(iscrowd[j])
        for i, first in enumerate(runs[: len(rles1)]):
            both = first.shared(second)
            iou[i, j] = both / max(first.area if crowd else first.area + second.area - both, 1)
    return iou


class _Runs:
    """Holds where runs end, and how many ones there are up to there: between two ends that number is a straight line.

    So the ones of another mask within a run are the difference of its line at the run's end and start.
    """

    def __init__(self, counts: Sequence[int]) -> None:
        self.ends = np.cumsum([0, *counts])
        self.ones = np.cumsum([0, *(count * (i % 2) for i, count in enumerate(counts))])
        self.area = int(self.ones[-1])

    def shared(self, other: _Runs) -> int:
        """Count the pixels that are ones in both."""
        up_to = np.interp(self.ends, other.ends, other.ones)  # whole numbers, exact
        return int(np.diff(up_to)[1::2].sum())


def _read(rle: Mapping[str, Any]) -> tuple[int, int, list[int]]:
    """Check an encoding, and give height, width and counts."""
    op = "rle_decode"
    if not isinstance(rle, Mapping):
        raise TypeError(f"{op}: an RLE must be a dictionary, got {type(rle).__name__}")
    for name in ("size", "counts"):
        if name not in rle:
            raise _check.InputError(f"{op}: an RLE must have {name!r}, got {sorted(rle)}")
    height, width = whole_size(op, rle["size"], zero=True)
    counts = _whole_counts(op, rle["counts"])
    if min(counts, default=0) < 0:
        raise _check.InputError(f"{op}: a run must not be negative, got {min(counts)}")
    if sum(counts) != height * width:
        raise _check.InputError(
            f"{op}: the runs must fill {height} x {width} = {height * width} pixels, got {sum(counts)}"
        )
    return height, width, counts


def _whole_counts(op: str, counts: object) -> list[int]:
    """Give counts, as text or as numbers, as whole numbers."""
    if isinstance(counts, str):
        counts = counts.encode()
    if isinstance(counts, bytes | bytearray):
        return unpack_counts(bytes(counts))
    if isinstance(counts, np.ndarray | Tensor):
        counts = counts.tolist()
    if not isinstance(counts, Sequence):
        raise TypeError(f"{op}: counts must be bytes, text or numbers, got {type(counts).__name__}")
    for i, count in enumerate(counts):
        if not isinstance(count, Real) or count % 1 != 0:
            raise _check.InputError(f"{op}: counts[{i}] must be a whole number, got {count!r}")
    return [int(count) for count in counts]
