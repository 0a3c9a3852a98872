"""Thick short brush strokes along a swirling current, with lights in its eddies."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from cvlab.data.paintings.fields import Canvas, Field, colours, picked, ramp
from cvlab.data.still_life.rng import Random

DEEP = colours(["#081235", "#0d2258", "#163f8c", "#2b64b4", "#5b97cf", "#a9cfe0"])
GLOW = colours(["#5b97cf", "#a8c9b4", "#f3e2a0", "#f9cf48", "#f2a029", "#df6a1f"])
ACCENTS = colours(["#f4b63a", "#e8742a", "#f6e7b2", "#3f9aa8", "#5a3d8c"])

LAYERS = ((0.26, 0.070, 3.4), (0.16, 0.042, 2.6), (0.105, 0.027, 1.9), (0.065, 0.016, 0.4))
"""Length and width of the strokes, in units, and how often each layer covers the canvas."""

BRISTLES = 9
JOINTS = 9  # points of a stroke's curve
POINTS = 1_000_000  # painted at a time: bounds memory


class Current:
    """A current without sources, made of a smooth field and a few eddies, and the light of those eddies.

    Args:
        random: where it is drawn from.
        canvas: on which it flows.
    """

    def __init__(self, random: Random, canvas: Canvas) -> None:
        self.field = Field(random, 0.9)
        self.eddies: list[tuple[float, float, float, float]] = []
        count = max(4, round(5 * canvas.width * canvas.height))
        for _ in range(60 * count):
            x, y = random.uniform(0.05, 0.95) * canvas.width, random.uniform(0.05, 0.95) * canvas.height
            radius, turn = random.uniform(0.08, 0.2), 1.0 if random.chance(0.65) else -1.0
            apart = all(math.hypot(x - ex, y - ey) > 1.25 * (radius + er) for ex, ey, er, _ in self.eddies)
            if apart and len(self.eddies) < count:
                self.eddies.append((x, y, radius, turn))
        self.middles = [self._middle(*eddy) for eddy in self.eddies]

    def _middle(self, x: float, y: float, radius: float, turn: float) -> tuple[float, float, float]:
        """Climb the stream function to the place round which an eddy turns; give it with the eddy's radius."""
        for _ in range(30):
            flow_x, flow_y = self.direction(np.array(x), np.array(y))
            x, y = x - turn * 0.02 * radius * float(flow_y), y + turn * 0.02 * radius * float(flow_x)
        return x, y, radius

    def height(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Compute the stream function, along whose level lines the current flows."""
        flow = 1.3 * y + 0.09 * self.field(x, y)
        for ex, ey, radius, turn in self.eddies:
            flow = flow + turn * 4.4 * radius * np.exp(-((x - ex) ** 2 + (y - ey) ** 2) / (2.4 * radius**2))
        return flow

    def direction(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Compute the unit vector of the current."""
        dx, dy = self.field.slope(x, y)
        dx, dy = 0.09 * dx, 1.3 + 0.09 * dy
        for ex, ey, radius, turn in self.eddies:
            ax, ay, wide = x - ex, y - ey, 2.4 * radius**2
            pull = turn * 4.4 * radius * np.exp(-(ax**2 + ay**2) / wide) * (-2 / wide)
            dx, dy = dx + pull * ax, dy + pull * ay
        norm = np.sqrt(dx**2 + dy**2) + 1e-6
        return dy / norm, -dx / norm

    def light(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Compute how much of an eddy's light falls on places: 1 in its middle."""
        shine = [np.exp(-((x - mx) ** 2 + (y - my) ** 2) / (0.75 * r) ** 2) for mx, my, r in self.middles]
        return np.max(shine, 0)


class Batch(NamedTuple):
    """Strokes of one size.

    Attributes:
        curve: (N, JOINTS, 4) x, y and the direction there, along each stroke.
        width: (N,) in units.
        hair: (N, BRISTLES, 3) in [-1, 1]: where each bristle starts, where it ends, how much paint it carries.
        tint: (N, BRISTLES, 3) what each bristle adds to the colour.
        colour: (N, 3).
    """

    curve: np.ndarray
    width: np.ndarray
    hair: np.ndarray
    tint: np.ndarray
    colour: np.ndarray

    def parts(self, count: int) -> Iterator[Batch]:
        """Give some of them at a time, in order."""
        for first in range(0, len(self.width), count):
            yield Batch(*(values[first : first + count] for values in self))


def strokes(random: Random, canvas: Canvas) -> np.ndarray:
    """Paint layers of strokes, from large to small, and let light fall on the thick paint.

    Args:
        random: where everything is drawn from.
        canvas: to paint on.

    Returns:
        (rows, columns, 3) float32.
    """
    current, mood = Current(random, canvas), Field(random, 0.7)
    ground = ramp(np.stack([DEEP[1], GLOW[-2]]), current.light(*canvas.places()))  # what shows between strokes
    paint = ground.reshape(-1, 3).astype(np.float32)
    relief = np.zeros(len(paint), np.float32)
    for length, width, cover in LAYERS:
        shape = tuple(max(3, math.ceil(1.9 * side * canvas.scale)) for side in (length, width))
        for batch in _batch(random, canvas, current, mood, (length, width, cover)).parts(
            max(1, POINTS // math.prod(shape))
        ):
            _apply(canvas, batch, shape, paint, relief)
    shape = canvas.rows, canvas.columns
    return _lit(paint.reshape(*shape, 3), relief.reshape(shape), canvas)


def _batch(random: Random, canvas: Canvas, current: Current, mood: Field, layer: tuple[float, float, float]) -> Batch:
    """Draw the strokes of one layer."""
    length, width, cover = layer
    count = max(8, round(cover * canvas.width * canvas.height / (length * width)))
    x, y = ((random.array(count) * 0.6 + 0.5) * side for side in (canvas.width, canvas.height))
    colour = _colours(random, current, mood, x, y)
    scales = random.array(count, 2) * 0.28 + 1
    hair, tint = random.array(count, BRISTLES, 3), random.array(count, BRISTLES, 3) * 0.03
    return Batch(_curves(current, x, y, length * scales[:, 0]), width * scales[:, 1], hair, tint, colour)


def _colours(random: Random, current: Current, mood: Field, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Choose the colour of strokes (N, 3): bands along the current, lights, and now and then something else."""
    jitter, kind, pick = random.array(3, len(x))
    bands = 0.5 + 0.5 * np.sin(26 * current.height(x, y))
    deep = ramp(DEEP, 0.10 + 0.62 * bands**1.4 + 0.13 * mood(x, y) + 0.14 * jitter)
    light = current.light(x, y)
    glow = ramp(GLOW, 1.15 * light + 0.16 * jitter)
    share = np.clip((light + 0.12 * kind - 0.20) / 0.14, 0, 1)[:, None]
    colour = deep + (glow - deep) * share
    accent = (kind > 0.93) & (light < 0.5)
    return np.where(accent[:, None], picked(ACCENTS, pick), colour)


def _curves(current: Current, x: np.ndarray, y: np.ndarray, length: np.ndarray) -> np.ndarray:
    """Follow the current from each stroke's first point: (N, JOINTS, 4) of x, y and the direction there."""
    points, step = [], length / (JOINTS - 1)
    for _ in range(JOINTS):
        dx, dy = current.direction(x, y)
        points.append(np.stack([x, y, dx, dy], 1))
        dx, dy = current.direction(x + dx * step / 2, y + dy * step / 2)  # half a step ahead: circles stay closed
        x, y = x + dx * step, y + dy * step
    return np.stack(points, 1).astype(np.float32)


def _between(table: np.ndarray, places: int) -> np.ndarray:
    """Blend (N, K, C) along its second axis to (N, places, C)."""
    at = np.linspace(0, table.shape[1] - 1, places, dtype=np.float32)
    low = np.minimum(at.astype(int), table.shape[1] - 2)
    part = (at - low)[:, None]
    return table[:, low] * (1 - part) + table[:, low + 1] * part


def _apply(canvas: Canvas, batch: Batch, shape: tuple[int, int], paint: np.ndarray, relief: np.ndarray) -> None:
    """Put strokes over what is painted: each a sheet of `shape` points, of which the last at a pixel is seen."""
    along, across = shape
    u = np.linspace(0, 1, along, dtype=np.float32)
    side = np.linspace(-0.5, 0.5, across, dtype=np.float32)
    hair = _between(batch.hair, across)  # (N, across, 3)
    pixel, point = _points(canvas, batch, u, side, hair)
    top = np.full(len(paint), -1, np.int64)
    np.maximum.at(top, pixel, point)
    pixel = np.flatnonzero(top >= 0)
    stroke, i, j = np.unravel_index(top[pixel], (len(batch.width), along, across))
    load = hair[stroke, j, 2]
    paint[pixel] = batch.colour[stroke] * (1 + 0.13 * load[:, None]) + _between(batch.tint, across)[stroke, j]
    rounded = 1 - (2 * side[j]) ** 4
    thick = batch.width[stroke] * (0.34 * rounded + 0.13 * load + 0.16 * np.exp(-8 * u[i]))
    relief[pixel] = 0.35 * relief[pixel] + thick


def _points(
    canvas: Canvas, batch: Batch, u: np.ndarray, side: np.ndarray, hair: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Find the pixels that the strokes' points fall on, and the points' numbers, later strokes having higher ones."""
    line = _between(batch.curve, len(u))  # (N, along, 4)
    belly = np.minimum(1, 0.55 + 3.2 * u) * np.minimum(1, 0.35 + 2.2 * (1 - u))
    reach = batch.width[:, None, None] * belly[None, :, None] * side  # (N, along, across)
    column = np.floor((line[..., 0, None] - line[..., 3, None] * reach) * canvas.scale).astype(np.int32)
    row = np.floor((line[..., 1, None] + line[..., 2, None] * reach) * canvas.scale).astype(np.int32)
    edge = 0.06 * (2 * side) ** 2
    first, last = edge + 0.05 + 0.05 * hair[..., 0], 0.92 - 2 * edge + 0.08 * hair[..., 1]  # (N, across)
    seen = (u[:, None] > first[:, None]) & (u[:, None] < last[:, None])
    seen &= (column >= 0) & (column < canvas.columns) & (row >= 0) & (row < canvas.rows)
    point = np.flatnonzero(seen)
    return row.reshape(-1)[point] * canvas.columns + column.reshape(-1)[point], point


def _lit(paint: np.ndarray, relief: np.ndarray, canvas: Canvas) -> np.ndarray:
    """Let light from the upper left fall on the paint's relief."""
    down, right = np.gradient(relief * np.float32(canvas.scale))
    slope = (down + right) * 0.5
    shade = 1 + 0.42 * np.tanh(1.5 * slope)
    gloss = np.clip(slope - 0.35, 0, 0.5)[..., None]
    return np.clip(paint * shade[..., None] + 0.16 * gloss, 0, 1)
