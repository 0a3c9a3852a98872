"""A woodcut: waves in indigo on warm paper, a red sun; the lines of the cut swell and fade with the tone."""

from __future__ import annotations

import math

import numpy as np

from cvlab.data.paintings.fields import Canvas, Field, colours, covered, ramp
from cvlab.data.still_life.rng import Random

PAPER = colours(["#f4e8cf"])[0]
INK = colours(["#14254a"])[0]
SUN = colours(["#d9482b"])[0]
SKY = colours(["#e9cfa6", "#f0dfbf", "#f4e8cf", "#f2dcc0", "#e8b896"])
WATER = colours(["#2a5a8c", "#5d93b4", "#a9c9cf", "#e6e3cf"])
ROWS = 9


def waves(random: Random, canvas: Canvas) -> np.ndarray:
    """Print a sky with a sun, then rows of waves from far to near.

    Args:
        random: where everything is drawn from.
        canvas: to print on.

    Returns:
        (rows, columns, 3) float32.
    """
    x, y = canvas.places()
    tone = Field(random, 0.5)(x, y)
    print_ = _sky(random, canvas, x, y, tone)
    for row in range(ROWS):
        print_ = _row(random, canvas, print_, tone, row / (ROWS - 1))
    fibres = Field(random, 0.02, 14)(x, y) * 0.5 + Field(random, 0.006, 14)(x, 0.3 * y)
    return np.clip(print_ * (1 + 0.012 * fibres)[..., None], 0, 1)


def _sky(random: Random, canvas: Canvas, x: np.ndarray, y: np.ndarray, tone: np.ndarray) -> np.ndarray:
    """Print the paper's tint, level lines of thin cloud, and the sun."""
    print_ = ramp(SKY, np.broadcast_to(y / (0.55 * canvas.height), tone.shape))
    sun_x, sun_y = random.uniform(0.25, 0.75) * canvas.width, random.uniform(0.2, 0.3) * canvas.height
    away = np.sqrt((x - sun_x) ** 2 + (y - sun_y) ** 2)
    print_ = _over(print_, SUN, covered(away - random.uniform(0.11, 0.15), canvas.scale))
    pitch = 0.022
    level = y + 0.012 * tone
    cloud = Field(random, 0.8)(0.5 * x, 2.5 * np.round(level / pitch) * pitch)
    half = pitch * np.clip(0.22 * (cloud - 0.35), 0, 0.3)
    lines = covered(_from_line(level, pitch) - half, canvas.scale) * (half > 0)
    return _over(print_, PAPER * 0.99, lines)


def _row(random: Random, canvas: Canvas, print_: np.ndarray, tone: np.ndarray, near: float) -> np.ndarray:
    """Print one row of waves over what lies behind it; `near` is 0 for the farthest and 1 for the nearest."""
    x, y = canvas.places()
    high = 0.028 + 0.085 * near
    crest = _crest(random, canvas, x, high, near)
    slope = np.gradient(crest[0], 1 / canvas.scale)[None]
    below = y - crest
    depth = below / np.sqrt(1 + slope**2)  # distance to the crest, about
    tint = ramp(WATER, below / (2.6 * high) + 0.05 * tone)
    pitch = 0.011 + 0.009 * near
    fall = np.clip(below / (2.8 * high), 0, 1)
    half = pitch * np.clip(0.36 - 0.34 * fall + 0.09 * tone + 0.06 * np.tanh(slope), 0, 0.42)
    cut = _from_line(below / np.sqrt(1 + 0.35 * slope**2), pitch)
    tint = _over(tint, INK, covered(cut - half, canvas.scale) * (half > 0.02 * pitch))
    foam = (0.007 + 0.011 * near) * (1 + 0.25 * tone)
    tint = _over(tint, PAPER, covered(depth - foam, canvas.scale))
    tint = _over(tint, INK, covered(depth - 0.0022 * (1 + near), canvas.scale))
    return _over(print_, tint, covered(-depth, canvas.scale))


def _crest(random: Random, canvas: Canvas, x: np.ndarray, high: float, near: float) -> np.ndarray:
    """Draw the crests of a row, with sharp tops and wide hollows: y at each x."""
    length = 0.16 + 0.30 * near
    swell = Field(random, 2.5 * length)(x, np.zeros_like(x))
    turn = math.pi * (x / length + 0.16 * swell + random.uniform(0, 1))
    top = (1 - np.abs(np.sin(turn))) ** 1.5 * (1.15 + 0.35 * swell)
    return canvas.height * (0.38 + 0.60 * near**1.25) - high * top


def _from_line(value: np.ndarray, pitch: float) -> np.ndarray:
    """Give the distance to the nearest of lines `pitch` apart."""
    return np.abs(value - (np.floor(value / pitch) + 0.5) * pitch)


def _over(print_: np.ndarray, colour: np.ndarray, share: np.ndarray) -> np.ndarray:
    return print_ + (colour - print_) * share[..., None]
