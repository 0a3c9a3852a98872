"""What all weights must be."""

from __future__ import annotations

import math

from torch import Tensor

from cvlab import _check


def at_least_0(op: str, name: str, values: Tensor) -> None:
    """Refuse weights that are negative, infinite or NaN, naming the first place."""
    if not _check.readable(values) or values.numel() == 0:
        return
    low, high = (float(x) for x in values.detach().aminmax())
    if low >= 0 and high < math.inf:
        return
    place = (~((values >= 0) & (values < math.inf))).nonzero()[0].tolist()
    raise _check.InputError(f"{op}: {name}{place} must be finite and at least 0, got {float(values[tuple(place)]):g}")
