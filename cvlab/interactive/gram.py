"""A Gram matrix entry by entry: two channels of a map, their product, and what stays when the places are shuffled."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from cvlab import _check
from cvlab._check import InputError
from cvlab.interactive.figure import StaticFigure
from cvlab.interactive.state import as_names, as_picture, as_tensor

QUESTION = "Which channels answer in the same places? And what does shuffling change?"
MOST_CHANNELS, MOST_CELLS = 16, 64 * 64


def gram(
    image: Any,
    maps: Any,
    names: Sequence[str] | None = None,
    *,
    pair: tuple[int, int] = (0, 1),
    question: str = QUESTION,
) -> StaticFigure:
    """Make an explorer of a layer's Gram matrix: choose an entry, and see the two channels and their product.

    Buttons shuffle the places of all channels together, which changes no entry, or those of one channel alone.

    Args:
        image: what the network saw: a (3, H, W) tensor, float in [0, 1] or uint8, or an (H, W, 3) array.
        maps: (C, h, w) maps of 2 to 16 channels, at most 4,096 places.
        names: of the channels; None for their numbers.
        pair: row and column of the entry at first.
        question: what the figure asks its reader.

    Returns:
        The figure, for the last line of a notebook cell.

    Raises:
        InputError: for maps of another shape, too many channels or places, numbers that are not finite, and a pair
            outside the matrix.

    Notes:
        G[i, j] is the mean over all places of the product of channels i and j, divided by the number of channels, as
        `cvlab.style.gram_matrix` has it. Maps go into the page in 256 steps for each channel, so the entries shown are
        off by about a hundredth.

    Example:
        >>> import torch
        >>> gram(torch.zeros(3, 32, 32), torch.rand(4, 8, 8), names=["red", "edges", "dots", "sky"])
        <interactive figure: gram>
    """
    op = "gram"
    values = as_tensor(op, "maps", maps)
    _check.shape(op, "maps", values, ("C", "h", "w"))
    channels, rows, columns = values.shape
    if not 2 <= channels <= MOST_CHANNELS or not 1 <= rows * columns <= MOST_CELLS:
        raise InputError(
            f"{op}: maps must have 2 to {MOST_CHANNELS} channels and at most {MOST_CELLS} places, got "
            f"{tuple(values.shape)}"
        )
    if not all(0 <= index < channels for index in pair):
        raise InputError(f"{op}: pair must be two channels from 0 to {channels - 1}, got {pair}")
    lows, highs = values.amin((1, 2)).clamp(max=0), values.amax((1, 2))
    alt = (
        f"The Gram matrix of {channels} channels as a chart of {channels} by {channels} squares. For a chosen entry "
        "the two channels' maps and their product are shown; its mean is the entry. Shuffling the places of all "
        "channels together changes no entry."
    )
    return StaticFigure(
        op,
        alt,
        question=question,
        picture=as_picture(op, image),
        names=as_names(op, "names", names, channels, "channel")[:channels],
        rows=rows,
        columns=columns,
        maps=_png(values, lows, highs),
        ranges=[[float(f"{a:.6g}"), float(f"{b:.6g}")] for a, b in zip(lows.tolist(), highs.tolist(), strict=True)],
        pair=[int(index) for index in pair],
    )


def _png(values: Tensor, lows: Tensor, highs: Tensor) -> str:
    """Write maps as one grey picture, channel below channel, each from its lowest number, or 0, to its highest."""
    span = (highs - lows).clamp(min=1e-12)[:, None, None]
    grey = ((values - lows[:, None, None]) / span * 255).round().flatten(0, 1).numpy().astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(grey).save(file, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
