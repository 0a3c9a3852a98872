"""What fruits and things share: textures that fade out when too fine, stems and leaves."""

from __future__ import annotations

import numpy as np

from cvlab.data.still_life.noise import clamp, colour, mix, step, wave
from cvlab.data.still_life.rng import Random
from cvlab.data.still_life.surface import Part, Surface, capsule

f32 = np.float32


def texture_shift(random: Random) -> tuple[int, int]:
    """Draw where on the noise tiles this individual's skin lies."""
    return random.integer(0, 256), random.integer(0, 256)


def visible(period: float, pixel: float) -> float:
    """Fade a texture out where its period comes near two pixels, instead of letting it flicker."""
    return min(1.0, max(0.0, period / pixel / 2 - 0.6))


def wrapped(x: np.ndarray, field: np.ndarray, scale: float = 1.0) -> np.ndarray:
    """Stretch a coordinate towards the outline, as a texture is that lies round a ball."""
    return x * (f32(1.45) - f32(0.45 / scale) * clamp(field, 0, scale))


def stem(
    start: tuple[float, float],
    end: tuple[float, float],
    r0: float,
    r1: float,
    base: float,
    bow: float = 0.0,
    low: str = "#4a3a1c",
    high: str = "#8a6a3a",
) -> Part:
    """Make a woody stem."""

    def paint(x: np.ndarray, y: np.ndarray, pixel: float) -> Surface:
        field, slope, s = capsule(x, y, start, end, r0, r1, bow)
        return Surface(field, slope, mix(colour(low), colour(high), s), gloss=0.12, shine=4, soft=0.1, base=base)

    r = max(r0, r1) + abs(bow) + 0.06
    xs, ys = sorted((start[0], end[0])), sorted((start[1], end[1]))
    return Part((xs[0] - r, ys[0] - r, xs[1] + r, ys[1] + r), paint)


def leaf(start: tuple[float, float], end: tuple[float, float], width: float, base: float, tone: float) -> Part:
    """Make a pointed leaf with a midrib and side veins, from start to end."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    half = (dx * dx + dy * dy) ** 0.5 / 2
    ex, ey = f32(dx / half / 2), f32(dy / half / 2)
    mx, my = f32((start[0] + end[0]) / 2), f32((start[1] + end[1]) / 2)

    def paint(x: np.ndarray, y: np.ndarray, pixel: float) -> Surface:
        v = ((x - mx) * ex + (y - my) * ey) * f32(1 / half)  # -1 .. 1 along
        u = ((y - my) * ex - (x - mx) * ey) * f32(1 / width)
        u = u + f32(0.25) * (v * v - f32(0.3))
        body = 1 - v * v
        w = body * (1 - f32(0.35) * v)
        q = u * u - w * np.abs(w)
        dv = -4 * v * np.abs(w) * (1 - f32(0.35) * v) + 2 * f32(-0.35) * body * np.abs(w)
        du, dw = 2 * u / f32(width), (u * v - dv) / f32(half)
        thick = f32(0.012)
        gx, gy = dw * ex - du * ey, dw * ey + du * ex
        veins = wave((v + np.abs(u) * f32(0.45)) * f32(3.2)) * f32(visible(half / 3.2, pixel))
        rib = step(np.abs(u), 0.13, 0.02)
        albedo = mix(colour("#1f4a16"), colour("#5d8a2c"), clamp(f32(tone) + veins * f32(0.12)))
        albedo = mix(albedo, colour("#a9bf6a"), rib * f32(0.7))
        tilt = clamp(u * f32(1.6), -1, 1) * f32(2.2) + veins * f32(0.5)
        bump = (-ey * tilt, ex * tilt)
        return Surface(-q * thick, (-gx * thick, -gy * thick), albedo, bump, 0.22, 3, 0.4, base=base)

    r = width + 0.05
    xs, ys = sorted((start[0], end[0])), sorted((start[1], end[1]))
    return Part((xs[0] - r, ys[0] - r, xs[1] + r, ys[1] + r), paint)
