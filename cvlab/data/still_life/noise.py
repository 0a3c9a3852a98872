"""Smooth noise, small resamplers and colour mixing: plain arithmetic, so the same on every machine.

Array code here and in the rest of the renderer uses only operations that IEEE 754 rounds exactly: sums, products,
quotients, square roots, comparisons, look-ups. Sines and powers of arrays are left out on purpose: their last digit
differs between processors.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from cvlab.data.still_life.rng import Random

TILE = 256  # side of a noise tile; a power of two, so that an index wraps round by a bit mask


@lru_cache(maxsize=64)
def spline(size_in: int, size_out: int, periodic: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Return the 4 tap positions (4, size_out) and weights (4, size_out) of a cubic B-spline resampler."""
    where = (np.arange(size_out) + 0.5) * (size_in / size_out) - 0.5
    cell = np.floor(where)
    t = where - cell
    weights = np.stack([(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3]) / 6
    taps = cell.astype(np.int64) + np.arange(-1, 3)[:, None]
    taps = taps % size_in if periodic else np.clip(taps, 0, size_in - 1)
    return taps, weights.astype(np.float32)


def upsample(a: np.ndarray, height: int, width: int, periodic: bool = False) -> np.ndarray:
    """Enlarge the last two axes smoothly by a cubic B-spline (it also blurs a little, which noise and bokeh like).

    Args:
        a: float32 array (..., h, w).
        height: new number of rows.
        width: new number of columns.
        periodic: let the array wrap round at its edges.

    Returns:
        float32 array (..., height, width).
    """
    taps, weights = spline(a.shape[-1], width, periodic)
    wide = a.take(taps[0], -1) * weights[0]
    for k in (1, 2, 3):
        wide += a.take(taps[k], -1) * weights[k]
    taps, weights = spline(a.shape[-2], height, periodic)
    out = wide.take(taps[0], -2) * weights[0][:, None]
    for k in (1, 2, 3):
        out += wide.take(taps[k], -2) * weights[k][:, None]
    return out  # (..., height, width)


def pool(a: np.ndarray, factor: int) -> np.ndarray:
    """Shrink the last two axes by the mean of factor x factor blocks; a ragged edge is dropped."""
    h, w = a.shape[-2] // factor, a.shape[-1] // factor
    a = a[..., : h * factor, : w * factor]
    rows = a[..., ::factor, :].copy()
    for k in range(1, factor):
        rows += a[..., k::factor, :]
    out = rows[..., ::factor].copy()
    for k in range(1, factor):
        out += rows[..., k::factor]
    return out * np.float32(1 / factor**2)


@lru_cache(maxsize=16)
def tile(name: str) -> np.ndarray:
    """Return a periodic (256, 256) noise tile by name, made once and kept (256 KiB each).

    "smooth" are soft clouds, "fine" is grain, "fibre" runs along the rows, "spots" are sparse round dots in [0, 1],
    "pores" are close dimples, "white" is independent in every pixel.
    """
    if name == "spots":
        return _spots(320, 1.6, 4.2)
    if name == "pores":
        return _spots(1500, 3.0, 4.6)
    octaves = {
        "smooth": [(4, 4, 1.0), (8, 8, 0.55), (16, 16, 0.3), (32, 32, 0.16), (64, 64, 0.08)],
        "fine": [(32, 32, 0.5), (64, 64, 0.8), (128, 128, 1.0), (256, 256, 0.7)],
        "fibre": [(32, 4, 0.8), (64, 4, 1.0), (128, 8, 0.9), (256, 16, 0.7)],
        "white": [(256, 256, 1.0)],
    }[name]
    random = Random(20, sum(name.encode()))
    total = sum(np.float32(c) * upsample(random.array(a, b), TILE, TILE, periodic=True) for a, b, c in octaves)
    if name == "white":  # a sum of four uniforms: close to a normal distribution
        total = (
            random.array(TILE, TILE) + random.array(TILE, TILE) + random.array(TILE, TILE) + random.array(TILE, TILE)
        )
    total = total - np.float32(
        math.fsum(total.ravel().tolist()) / TILE**2
    )  # fsum is exact: no order of summing matters
    spread = math.sqrt(math.fsum((total * total).ravel().tolist()) / TILE**2)
    return np.ascontiguousarray(total * np.float32(1 / spread))


def _spots(count: int, small: float, large: float) -> np.ndarray:
    """Draw round soft spots at random places of a periodic tile; overlapping ones take the maximum."""
    random = Random(21, count)
    out = np.zeros((TILE, TILE), np.float32)
    reach = np.arange(-7, 8)
    for _ in range(count):
        cy, cx, r = random.uniform(0, TILE), random.uniform(0, TILE), random.uniform(small, large)
        ys, xs = int(cy) + reach, int(cx) + reach
        d2 = ((ys - cy) ** 2)[:, None] + (xs - cx) ** 2
        index = np.ix_(ys % TILE, xs % TILE)
        out[index] = np.maximum(out[index], np.clip(1 - d2 / r**2, 0, 1).astype(np.float32))
    return out


@lru_cache(maxsize=8)
def slopes(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the derivatives (d/dx, d/dy) of a tile, for bumps."""
    t = tile(name)
    dx, dy = (np.roll(t, -1, axis) - np.roll(t, 1, axis) for axis in (1, 0))
    return np.ascontiguousarray(dx / 2), np.ascontiguousarray(dy / 2)


def at(u: np.ndarray, v: np.ndarray, scale: float, shift: tuple[int, int] = (0, 0)) -> np.ndarray:
    """Turn coordinates into flat indices of a tile: `scale` texels a unit, wrapped round.

    Args:
        u: column coordinate, broadcastable with v.
        v: row coordinate.
        scale: texels per unit.
        shift: whole texels to move by, so that no two objects wear the same piece of the tile.
    """
    s = np.float32(scale)
    i = (u * s + np.float32(shift[0] + 4096)).astype(np.int32) & (TILE - 1)
    j = (v * s + np.float32(shift[1] + 4096)).astype(np.int32) & (TILE - 1)
    return j * TILE + i


def look(name: str, index: np.ndarray) -> np.ndarray:
    """Read a tile at flat indices from `at`."""
    return tile(name).take(index)


def wave(t: np.ndarray) -> np.ndarray:
    """A sine-like wave of period 1 made of parabolas: 0 at 0, 1 at 1/4, -1 at 3/4."""
    t = t - np.floor(t)
    t = t + t - 1
    return 4 * t * (np.abs(t) - 1)


def turn(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The direction of (x, y) as a fraction of a full turn in [0, 1), to about a hundredth, without an arctangent."""
    s = np.abs(x) + np.abs(y) + np.float32(1e-6)
    a = y / s  # the angle of the diamond |x| + |y| = 1, in quarter turns
    t = np.abs(a)
    a = a * (1 - np.float32(0.48) * (1 - t) * (1 - t - t))  # towards the angle of the circle
    a = np.where(x < 0, 2 - a, a)
    return np.where(a < 0, a + 4, a) * np.float32(0.25)


def clamp(t: np.ndarray, low: float = 0.0, high: float = 1.0) -> np.ndarray:
    """Limit values to [low, high]; on small arrays faster than numpy's own clip."""
    out = np.maximum(t, np.float32(low))
    return np.minimum(out, np.float32(high), out=out)


def step(t: np.ndarray, low: float, high: float) -> np.ndarray:
    """A soft step: 0 below low, 1 above high, a smooth cubic between (low > high gives a falling one)."""
    t = clamp((t - np.float32(low)) * np.float32(1 / (high - low)))
    return t * t * (3 - 2 * t)


def mix(a: np.ndarray, b: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Blend colours: a where t = 0, b where t = 1; colours (3,) or (3, h, w), t (h, w)."""
    a = a[:, None, None] if a.ndim == 1 else a
    b = b[:, None, None] if b.ndim == 1 else b
    out = (b - a) * t
    out += a
    return out


@lru_cache(maxsize=512)
def colour(code: str) -> np.ndarray:
    """Turn "#rrggbb" (sRGB) into linear light, float32 (3,)."""
    values = [int(code[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in values]
    return np.array(linear, np.float32)
