"""Surfaces seen from above, and the light on them.

A surface is given by the square of its half thickness, F(x, y) = z^2: positive inside the outline, negative outside.
One function then gives everything that is needed to draw it:

- the outline is F = 0, and -F / |grad F| is, to first order, the signed distance to it: anti-aliased edges;
- the height is z = sqrt(F): what casts a shadow;
- the surface is the zero set of z^2 - F(x, y), so its normal is (-dF/dx, -dF/dy, 2z) / norm: shading. It is smooth up
  to the outline, where the slope dz/dx itself is infinite.

For a ball F = 1 - x^2 - y^2, and the normal is (x, y, z), as it should be.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from cvlab.data.still_life.noise import clamp


@dataclass(slots=True)
class Surface:
    """What a part of an object is like at each pixel of a window; lengths in units of the object's half size.

    Attributes:
        field: F = z^2, (h, w).
        slope: dF/dx and dF/dy, (h, w) each.
        albedo: linear colour, (3, h, w) or (3, 1, 1).
        bump: what to add to the normal's x and y, or None.
        gloss: strength of the highlight.
        shine: the highlight's exponent is 2 to this power: 3 is waxy, 7 is wet.
        soft: how far light creeps round the edge of shadow inside the flesh, 0 to 1.
        fuzz: strength of the pale rim of down (peach, kiwi).
        base: height of the middle plane above what the object lies on.
    """

    field: np.ndarray
    slope: tuple[np.ndarray, np.ndarray]
    albedo: np.ndarray
    bump: tuple[np.ndarray, np.ndarray] | None = None
    gloss: float = 0.3
    shine: int = 5
    soft: float = 0.3
    fuzz: float = 0.0
    base: float = 0.0


@dataclass(slots=True)
class Part:
    """A piece of an object: its bounding box in the object's frame, and a function of (x, y, pixel) giving its surface.

    The object's frame has its origin in the object's middle, x to the right, y down, and the stem at about (0, -1).
    `pixel` is the size of a pixel in that frame; textures finer than it are to be left out.
    """

    box: tuple[float, float, float, float]
    paint: Callable[[np.ndarray, np.ndarray, float], Surface]


@dataclass(slots=True)
class Fruit:
    """One individual: its parts, and where its stem, tip and centre are in its frame.

    `seen` tells of the stem and of the tip whether they are on the upper side: those of a fruit cut in half are not.
    """

    parts: list[Part]
    stem: tuple[float, float]
    tip: tuple[float, float]
    centre: tuple[float, float] = (0.0, 0.0)
    seen: tuple[bool, bool] = (True, True)


@lru_cache(maxsize=256)
def _profile(knots: tuple[tuple[float, float], ...], reach: float) -> tuple[np.ndarray, np.ndarray]:
    """Tabulate w^2(y) and its derivative over [-reach, reach] for a body of revolution with radii at the knots."""
    y = np.linspace(-reach, reach, 1024)
    at = np.array([k[0] for k in knots])
    squared = np.array([k[1] ** 2 for k in knots])
    slope = np.gradient(squared, at, edge_order=2)
    cell = np.clip(np.searchsorted(at, y, side="right") - 1, 0, len(at) - 2)
    gap = at[cell + 1] - at[cell]
    t = np.clip((y - at[cell]) / gap, 0, 1)
    a, b = squared[cell], squared[cell + 1]
    p, q = slope[cell] * gap, slope[cell + 1] * gap
    table = a + t * (p + t * (3 * (b - a) - 2 * p - q + t * (2 * (a - b) + p + q)))  # a cubic Hermite spline
    table = np.where(y > at[-1], squared[-1] + np.minimum(slope[-1], -0.2) * (y - at[-1]), table)
    table = np.where(y < at[0], squared[0] + np.maximum(slope[0], 0.2) * (y - at[0]), table)
    for _ in range(3):
        wide = np.pad(table, 6, mode="edge")
        table = sum(wide[k : k + 1024] for k in range(13)) / 13
    return table.astype(np.float32), np.gradient(table, y).astype(np.float32)


def along(y: np.ndarray, knots: tuple[tuple[float, float], ...], reach: float = 1.4) -> tuple[np.ndarray, np.ndarray]:
    """Look up w^2(y) and its derivative for radii given at knots ((y, radius), ...) along an axis."""
    index = clamp((y + np.float32(reach)) * np.float32(1023 / (2 * reach)), 0, 1023).astype(np.int32)
    table, slope = _profile(knots, reach)
    return table.take(index), slope.take(index)


def revolve(
    x: np.ndarray, y: np.ndarray, knots: tuple[tuple[float, float], ...], bend: float = 0.0
) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray], np.ndarray]:
    """Return F, its slopes and the bent x of a body of revolution about the y axis, x bent by `bend` y^2."""
    x = x + np.float32(bend) * y * y
    w2, dw2 = along(y, knots)
    return w2 - x * x, (-2 * x, dw2 - np.float32(4 * bend) * x * y), x


def ball(x: np.ndarray, y: np.ndarray, a: float = 1.0, b: float = 1.0) -> tuple[np.ndarray, tuple]:
    """Return F and its slopes for an ellipsoid with half axes a and b, its thickness the smaller of the two."""
    h = np.float32(min(a, b) ** 2)
    p, q = x * np.float32(1 / a**2), y * np.float32(1 / b**2)
    return h * (1 - p * x - q * y), (-2 * h * p, -2 * h * q)


def disc(q: np.ndarray, slope: tuple[np.ndarray, np.ndarray], thick: float, power: int = 3) -> tuple[np.ndarray, tuple]:
    """Return F and its slopes for a flat disc with a round edge: `q` is 0 in the middle and 1 at the outline."""
    q = np.minimum(q, 4)
    high = q
    for _ in range(power - 1):
        high = high * q  # q^power
    c = np.float32(thick**2)
    factor = -c * power * (high / np.maximum(q, 1e-6))
    return c * (1 - high), (factor * slope[0], factor * slope[1])


def capsule(
    x: np.ndarray,
    y: np.ndarray,
    start: tuple[float, float],
    end: tuple[float, float],
    r0: float,
    r1: float,
    bow: float = 0.0,
) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray], np.ndarray]:
    """Return F, its slopes and the position 0..1 along a tapered, slightly bowed stick from start to end."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    length = (dx * dx + dy * dy) ** 0.5
    ex, ey = np.float32(dx / length), np.float32(dy / length)
    px, py = x - np.float32(start[0]), y - np.float32(start[1])
    s = clamp((px * ex + py * ey) * np.float32(1 / length))
    off = s * np.float32(length)
    curve = np.float32(4 * bow) * s * (1 - s)
    gx, gy = px - off * ex + curve * ey, py - off * ey - curve * ex
    r = np.float32(r0) + np.float32(r1 - r0) * s
    return r * r - gx * gx - gy * gy, (-2 * gx, -2 * gy), s


@dataclass(slots=True)
class Light:
    """A large lamp and the room: direction to the lamp (x, y, z) in image axes, and linear colours."""

    direction: tuple[float, float, float]
    key: np.ndarray
    sky: np.ndarray
    ground: np.ndarray
    spread: float


def shade(surface: Surface, direction: tuple, light: Light, pixel: float) -> tuple[np.ndarray, np.ndarray]:
    """Light a surface.

    Args:
        surface: what to light.
        direction: the direction to the lamp in the object's frame.
        light: the lamp and the room.
        pixel: size of a pixel in the object's frame.

    Returns:
        The coverage (h, w) in [0, 1], and (7, h, w): the colour due to the lamp (3), the colour due to the room (3),
        both linear, and the height (1) in units of the object's half size.
    """
    field, (fx, fy) = surface.field, surface.slope
    steep = np.sqrt(fx * fx + fy * fy) + np.float32(1e-4)
    cover = clamp(np.float32(0.5) + field / (steep * np.float32(pixel)))
    z = np.sqrt(np.maximum(field, 0))
    nx, ny = fx * np.float32(-0.5), fy * np.float32(-0.5)
    if surface.bump is not None:
        nx, ny = nx + surface.bump[0] * z, ny + surface.bump[1] * z
    inverse = 1 / np.sqrt(nx * nx + ny * ny + z * z + np.float32(1e-6))
    nz = z * inverse
    norm = (direction[0] ** 2 + direction[1] ** 2 + (direction[2] + 1) ** 2) ** 0.5
    lx, ly, lz = (np.float32(v) for v in direction)
    hx, hy, hz = np.float32(direction[0] / norm), np.float32(direction[1] / norm), np.float32((direction[2] + 1) / norm)
    facing = (nx * lx + ny * ly) * inverse + nz * lz  # the cosine between normal and lamp
    glint = clamp((nx * hx + ny * hy) * inverse + nz * hz)  # with the direction half way between lamp and eye
    for _ in range(3):
        glint = glint * glint
    sharp = glint
    for _ in range(surface.shine - 3):
        sharp = sharp * sharp
    rim = 1 - nz
    rim = rim * rim
    shine = np.float32(surface.gloss) * (sharp * np.float32(0.9) + glint * np.float32(0.11))
    fresnel = np.float32(0.14 * min(surface.gloss, 1.0)) * rim * rim
    if surface.fuzz:
        glow = np.float32(surface.fuzz) * rim
        shine += glow * clamp(facing + np.float32(0.3))
        fresnel += glow * np.float32(0.4)

    key, sky, ground = (c[:, None, None] for c in (light.key, light.sky, light.ground))
    wrap = [0.06 + reach * surface.soft for reach in (0.5, 0.34, 0.26)]  # red light travels farthest inside the flesh
    gain = np.array([1 / (1 + w) for w in wrap], np.float32)[:, None, None]
    lit = clamp((facing + np.array(wrap, np.float32)[:, None, None]) * gain)  # (3, h, w)
    out = np.empty((7, *field.shape), np.float32)
    out[:3] = (surface.albedo * lit + shine) * key
    up = nz * np.float32(0.5) + np.float32(0.5)
    out[3:6] = surface.albedo * ((sky - ground) * up + ground) + fresnel * sky
    out[6] = np.float32(surface.base) + z
    return cover, out
