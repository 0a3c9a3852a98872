"""What the paintings share: a canvas in units of its shorter side, smooth random fields on it, and colours.

Everything random is drawn in these units, never per pixel, so that a painting of one seed has the same composition at
every size.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from PIL import ImageColor

from cvlab.data.still_life.rng import Random

SUPERSAMPLE = 2
"""Pixels painted along each side of a pixel that is given out."""


class Canvas:
    """The place where a painting is made: `SUPERSAMPLE` times as many pixels as asked for along each side.

    Args:
        height: of the painting, pixels.
        width: of the painting, pixels.
    """

    def __init__(self, height: int, width: int) -> None:
        self.rows, self.columns = SUPERSAMPLE * height, SUPERSAMPLE * width
        self.scale = float(min(self.rows, self.columns))  # painted pixels in one unit
        self.height, self.width = self.rows / self.scale, self.columns / self.scale  # the shorter of them is 1

    def places(self) -> tuple[np.ndarray, np.ndarray]:
        """Give the pixels' centres: x (1, columns) and y (rows, 1), float32."""
        x = (np.arange(self.columns, dtype=np.float32) + 0.5) / np.float32(self.scale)
        y = (np.arange(self.rows, dtype=np.float32) + 0.5) / np.float32(self.scale)
        return x[None], y[:, None]


def reduced(painted: np.ndarray) -> np.ndarray:
    """Average the painted pixels (rows, columns, 3) to (height, width, 3)."""
    rows, columns, channels = painted.shape
    blocks = painted.reshape(rows // SUPERSAMPLE, SUPERSAMPLE, columns // SUPERSAMPLE, SUPERSAMPLE, channels)
    return blocks.mean((1, 3))


class Field:
    """A smooth random field: a sum of plane waves of random direction, with mean 0 and variance 1.

    Args:
        random: where the waves are drawn from.
        wavelength: of the waves, in units; half as long ones are there too.
        waves: how many.
    """

    def __init__(self, random: Random, wavelength: float, waves: int = 10) -> None:
        turns = [random.uniform(0, 2 * math.pi) for _ in range(waves)]
        steps = [2 * math.pi / (wavelength * random.uniform(0.5, 1)) for _ in range(waves)]
        self.kx = [step * math.cos(turn) for step, turn in zip(steps, turns, strict=True)]
        self.ky = [step * math.sin(turn) for step, turn in zip(steps, turns, strict=True)]
        self.phase = [random.uniform(0, 2 * math.pi) for _ in range(waves)]
        self.height = math.sqrt(2 / waves)

    def __call__(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Compute the field at places."""
        return self.height * sum(np.cos(kx * x + ky * y + p) for kx, ky, p in self._waves())

    def slope(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Compute the field's derivatives along x and along y."""
        down = [(kx, ky, -self.height * np.sin(kx * x + ky * y + p)) for kx, ky, p in self._waves()]
        return sum(kx * d for kx, _, d in down), sum(ky * d for _, ky, d in down)

    def _waves(self) -> zip:
        return zip(self.kx, self.ky, self.phase, strict=True)


def colours(codes: Sequence[str]) -> np.ndarray:
    """Give colours such as "#1f4f9c" as (N, 3) float32 in [0, 1]."""
    return np.array([ImageColor.getrgb(code) for code in codes], np.float32) / 255


def picked(table: np.ndarray, draw: np.ndarray) -> np.ndarray:
    """Take one of the colours (N, 3) for each number drawn from [-1, 1)."""
    return table[((draw * 0.5 + 0.5) * len(table)).astype(np.int64)]


def ramp(table: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Take colours (..., 3) out of a table (N, 3): t = 0 is its first, 1 its last, between them it blends."""
    place = np.clip(t, 0, 1) * (len(table) - 1)
    low = np.minimum(place.astype(np.int64), len(table) - 2)
    return table[low] + (table[low + 1] - table[low]) * (place - low)[..., None]


def covered(distance: np.ndarray, scale: float) -> np.ndarray:
    """Turn a signed distance to a shape, in units and negative inside, to how much of each pixel it covers."""
    return np.clip(0.5 - distance * scale, 0, 1)
