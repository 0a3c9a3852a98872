"""Stained glass: a sun over hills and water, cut into pieces that dark lead holds together."""

from __future__ import annotations

import math

import numpy as np
from scipy.spatial import cKDTree

from cvlab.data.paintings.fields import Canvas, Field, colours, covered, picked
from cvlab.data.still_life.rng import Random

GLASS = (
    colours(["#1d4fa8", "#2f6fc4", "#173a86", "#4b93d4", "#6a4fb0", "#2a86b8"]),  # the sky
    colours(["#f7c22e", "#f39a1e", "#fbdc6a", "#ee7420"]),  # the sun's halo
    colours(["#d8261f", "#ee4f22", "#c01a3c", "#f2702a"]),  # the sun
    colours(["#7a2f86", "#a03a8a", "#5a2f92", "#c2467e"]),  # far hills
    colours(["#1f8a4c", "#4fae3f", "#116a52", "#9cc63a", "#2f9a6a"]),  # near hills
    colours(["#0f8f9c", "#1767a0", "#36b7b0", "#123f7c", "#7fd4c8"]),  # water
)
LEAD = colours(["#16151b", "#4c4a55"])
PIECES = 105
"""Pieces of glass in a square of side 1, before the picture's outlines cut them."""
HALF_LEAD = 0.0068
"""Half the width of the lead, in units."""


def mosaic(random: Random, canvas: Canvas) -> np.ndarray:
    """Lay glass of rich colours into a leaded picture.

    Args:
        random: where everything is drawn from.
        canvas: to paint on.

    Returns:
        (rows, columns, 3) float32.
    """
    x, y = canvas.places()
    region, outline = _picture(random, canvas, x, y)
    points = _points(random, canvas)
    cell, seam, offset = _cells(points, x, y)
    glass = _glass(random, canvas, region, cell, offset, len(points))
    edge = np.minimum(seam, outline)
    near = np.clip(edge / 0.03, 0, 1)[..., None]
    glass = glass * (0.72 + 0.28 * np.sqrt(near))  # the light fades towards the lead
    return _leaded(glass, edge, canvas)


def _picture(random: Random, canvas: Canvas, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Say which part of the picture each pixel shows, an index into `GLASS`, and how far the next outline is."""
    sun_x, sun_y = random.uniform(0.3, 0.7) * canvas.width, random.uniform(0.26, 0.4) * canvas.height
    radius = random.uniform(0.11, 0.15)
    away = np.sqrt((x - sun_x) ** 2 + (y - sun_y) ** 2)
    region = np.zeros((canvas.rows, canvas.columns), np.int64)
    outline = np.full(region.shape, 1.0, np.float32)
    hills = [
        y - level * canvas.height - _crest(random, x, high, long)
        for level, high, long in ((0.6, 0.07, 1.4), (0.73, 0.06, 1.1), (0.87, 0.035, 0.6))
    ]
    for part, inside in enumerate((radius * 1.75 - away, radius - away, *hills), 1):
        region = np.where(inside > 0, part, region)
        outline = np.where(inside > 0, inside, np.minimum(outline, -inside))
    return region, outline


def _crest(random: Random, x: np.ndarray, high: float, wavelength: float) -> np.ndarray:
    """Draw the crest of hills: how far it lies below its mean height at each x."""
    turn = 2 * math.pi * x / wavelength
    first, second = (random.uniform(0, 2 * math.pi) for _ in range(2))
    return high * (np.sin(turn + first) + 0.35 * np.sin(2.3 * turn + second))


def _points(random: Random, canvas: Canvas) -> np.ndarray:
    """Scatter the pieces' middles (N, 2), then move each to the middle of its piece, so that none is too small."""
    margin = 0.1
    size = np.array([canvas.width, canvas.height]) + 2 * margin
    count = round(PIECES * size[0] * size[1])
    points = (random.array(count, 2) * 0.5 + 0.5) * size - margin
    sample = (random.array(60 * count, 2) * 0.5 + 0.5) * size - margin
    for _ in range(4):
        owner = cKDTree(points).query(sample)[1]
        total = np.maximum(np.bincount(owner, minlength=count), 1)
        sums = [np.bincount(owner, sample[:, axis], minlength=count) for axis in (0, 1)]
        points = np.where((total > 1)[:, None], np.stack(sums, 1) / total[:, None], points)
    return points


def _cells(points: np.ndarray, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find the piece of each pixel, how far its seam with the next one is, and where in the piece the pixel lies."""
    tree = cKDTree(points)
    bands = [_band(tree, points, x, y[first : first + 64]) for first in range(0, len(y), 64)]  # bounds memory
    owner, seam, offset = (np.concatenate(parts) for parts in zip(*bands, strict=True))
    return owner, seam, offset


def _band(tree: cKDTree, points: np.ndarray, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    place = np.stack(np.broadcast_arrays(x, y), -1)  # (rows, columns, 2)
    near, owner = tree.query(place, k=4)  # (rows, columns, 4)
    first = points[owner[..., :1]]
    apart = np.linalg.norm(points[owner[..., 1:]] - first, axis=-1)
    seam = ((near[..., 1:] ** 2 - near[..., :1] ** 2) / (2 * apart)).min(-1)  # distance to the nearest bisector
    return owner[..., 0], seam.astype(np.float32), (place - first[..., 0, :]).astype(np.float32)


def _glass(
    random: Random, canvas: Canvas, region: np.ndarray, cell: np.ndarray, offset: np.ndarray, count: int
) -> np.ndarray:
    """Colour the glass: one colour a piece, brighter to one side, with faint streaks and bubbles."""
    pick, bright, turn = random.array(3, len(GLASS), count)
    table = np.stack([picked(part, pick[i]) for i, part in enumerate(GLASS)])
    colour = table[region, cell] * (1 + 0.14 * bright[region, cell])[..., None]
    angle = np.pi * turn[region, cell]
    slant = (offset[..., 0] * np.cos(angle) + offset[..., 1] * np.sin(angle)) / 0.05
    x, y = canvas.places()
    streak = Field(random, 0.11)(x + 0.02 * bright[region, cell], 0.35 * y + 0.3 * turn[region, cell])
    light = 1 + 0.15 * np.clip(slant, -1.2, 1.2) + 0.045 * streak
    return colour * light[..., None] + 0.05 * np.clip(slant, 0, 1)[..., None]


def _leaded(glass: np.ndarray, edge: np.ndarray, canvas: Canvas) -> np.ndarray:
    """Lay the lead over the seams: round bars on which light from the upper left leaves a thin shine."""
    share = covered(edge - HALF_LEAD, canvas.scale)[..., None]
    bar = np.sqrt(np.clip(1 - (edge / HALF_LEAD) ** 2, 0, 1))
    down, right = np.gradient(bar * np.float32(HALF_LEAD * canvas.scale))
    shine = np.clip(0.6 * (down + right), 0, 1)[..., None]
    return np.clip(glass * (1 - share) + (LEAD[0] + (LEAD[1] - LEAD[0]) * shine) * share, 0, 1)
