"""What all of masks ask of a size."""

from __future__ import annotations

from collections.abc import Sequence

from cvlab import _check


def whole_size(op: str, size: Sequence[int], zero: bool = False) -> tuple[int, int]:
    """Refuse what is not (height, width) in whole pixels, above 0 or at least 0, and give it as integers."""
    _check.positive(op, "size", size, "height, width", zero=zero)
    height, width = size
    if height % 1 or width % 1:
        raise _check.InputError(f"{op}: size must be whole numbers of pixels, got {(height, width)}")
    return int(height), int(width)
