"""From layers to a photograph: soft shadows, shade in the corners, colour thrown back, and a camera."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from cvlab.data.still_life.noise import TILE, pool, tile, upsample
from cvlab.data.still_life.rng import Random
from cvlab.data.still_life.surface import Light

f32 = np.float32

MOODS = (  # lamp, sky and bounced colour, each linear; a window, an evening, a studio, a grey day
    ((3.1, 2.85, 2.5), (0.62, 0.72, 0.9), (0.26, 0.22, 0.18)),
    ((3.5, 2.7, 1.85), (0.5, 0.52, 0.62), (0.26, 0.2, 0.14)),
    ((2.9, 2.85, 2.8), (0.72, 0.74, 0.78), (0.28, 0.26, 0.24)),
    ((2.2, 2.25, 2.35), (1.05, 1.1, 1.18), (0.34, 0.33, 0.32)),
)


def draw_light(random: Random) -> Light:
    """Draw a lamp: anywhere round the table, 30 to 55 degrees high, larger or smaller."""
    while True:
        x, y = random.uniform(-1, 1), random.uniform(-1, 1)
        norm = (x * x + y * y) ** 0.5
        if 0.2 < norm < 1:
            break
    high = random.uniform(0.55, 1.3)  # height over distance
    length = (1 + high * high) ** 0.5
    key, sky, ground = random.choice(MOODS)
    direction = (x / norm / length, y / norm / length, high / length)
    colours = [np.array(c, np.float32) for c in (key, sky, ground)]
    return Light(direction, *colours, spread=random.uniform(0.16, 0.42))


def _bilinear(a: np.ndarray, factor: int, height: int, width: int) -> np.ndarray:
    """Enlarge (..., h, w) by a whole factor by straight lines between pixel centres, and crop."""
    for axis in (-2, -1):
        a = np.moveaxis(a, axis, -1)
        padded = np.concatenate([a[..., :1], a, a[..., -1:]], axis=-1)
        out = np.empty((*a.shape, factor), np.float32)
        for k in range(factor):
            t = (k + 0.5) / factor - 0.5
            low = padded[..., :-2] if t < 0 else padded[..., 1:-1]
            high = padded[..., 1:-1] if t < 0 else padded[..., 2:]
            t = f32(t + 1 if t < 0 else t)
            out[..., k] = low + (high - low) * t
        a = np.moveaxis(out.reshape(*a.shape[:-1], -1), -1, axis)
    return a[..., :height, :width]


def _padded(a: np.ndarray, factor: int) -> np.ndarray:
    """Repeat the last row and column until both sides are multiples of the factor."""
    h, w = -a.shape[-2] % factor, -a.shape[-1] % factor
    return np.pad(a, [(0, 0)] * (a.ndim - 2) + [(0, h), (0, w)], mode="edge") if h or w else a


def lamp_visibility(high: np.ndarray, light: Light) -> np.ndarray:
    """Return how much of the lamp each pixel sees, (h, w) in [0, 1], by walking from it towards the lamp.

    Args:
        high: heights in pixels, (h, w) float32.
        light: the lamp; its `spread` sets how fast a shadow's edge softens with the distance from what throws it.

    Returns:
        float32 (h, w).

    Notes:
        At distance s a ray has risen by s tan(elevation). What stands higher there hides the lamp; what nearly
        does hides a part of it, in proportion to the lamp's apparent size, spread * s.
    """
    lx, ly, lz = light.direction
    flat = (lx * lx + ly * ly) ** 0.5
    rise = lz / flat
    reach = int(float(high.max()) / (rise - min(0.5 * light.spread, 0.3 * rise))) + 2
    h, w = high.shape
    padded = np.pad(high, reach)
    hidden = np.zeros_like(high)
    s = 1.2
    while s < reach:
        dx, dy = round(s * lx / flat), round(s * ly / flat)
        far = (dx * dx + dy * dy) ** 0.5
        there = padded[reach + dy : reach + dy + h, reach + dx : reach + dx + w]
        soft = light.spread * far * (1 + rise * rise) ** 0.5 * 0.8 + 0.7
        np.maximum(hidden, (there - high) * f32(1 / soft) + f32(0.5 - far * rise / soft), out=hidden)
        s = s * 1.13 + 0.55
    seen = 1 - np.minimum(hidden, 1)
    return seen * seen * (3 - 2 * seen)


def expose(layers: np.ndarray, light: Light, random: Random, vignette: float) -> np.ndarray:
    """Put the layers together and take the photograph.

    Args:
        layers: (7, h, w): colour by the lamp (3), colour by the room (3), height in pixels (1).
        light: the lamp and the room.
        random: where exposure, grain and vignette are drawn from.
        vignette: how dark the corners become, 0 to 1.

    Returns:
        uint8 (3, h, w).
    """
    height, width = layers.shape[1:]
    factor = 2 if min(height, width) <= 320 else 3
    high = pool(_padded(layers[6], factor), factor) * f32(1 / factor)
    seen = _bilinear(lamp_visibility(high, light), factor, height, width)

    # Near tall things the sky is hidden (ambient occlusion), and their colour is thrown back on their neighbours.
    block = max(2, min(height, width) // 24)
    coarse = pool(_padded(layers, block), block)
    around = upsample(coarse[6], height, width)
    shut = np.clip((around - layers[6]) * f32(2.3 / min(height, width) * 4), 0, f32(0.62))
    stand = np.minimum(coarse[6] * f32(9 / min(height, width)), 1)
    thrown = upsample(coarse[:3] * stand, height, width) * f32(0.22)
    out = layers[:3] * seen
    out += layers[3:6] * ((1 - shut) * (f32(0.55) + f32(0.45) * seen))
    out += layers[3:6] * thrown * (shut * 2)

    level = f32(random.uniform(0.85, 1.2))
    out *= _vignette(height, width, round(vignette, 2)) * level
    np.sqrt(np.maximum(out, 0, out=out), out=out)  # photon noise is even in square roots of brightness
    grain = f32(random.uniform(0.0, 0.016))
    noise = tile("white")
    rows = (np.arange(height) + random.integer(0, TILE)) & (TILE - 1)
    for c in range(3):
        columns = (np.arange(width) + random.integer(0, TILE)) & (TILE - 1)
        out[c] += noise[rows[:, None], columns] * grain
    index = np.clip(out * f32(1023 / 2.5), 0, 1023).astype(np.int16)
    return _film()[index]


@lru_cache(maxsize=16)
def _vignette(height: int, width: int, strength: float) -> np.ndarray:
    y = (np.arange(height, dtype=np.float32)[:, None] + f32(0.5)) / height * 2 - 1
    x = (np.arange(width, dtype=np.float32) + f32(0.5)) / width * 2 - 1
    r2 = (x * x + y * y) * f32(0.5)
    return 1 - f32(strength) * r2 * (f32(0.4) + f32(0.6) * r2)


@lru_cache(maxsize=1)
def _film() -> np.ndarray:
    """Tabulate the film: square root of linear light in [0, 2.5] to an 8-bit sRGB value, with a soft shoulder."""
    x = (np.linspace(0, 2.5, 1024) ** 2) * 0.78
    x = x * (1 + x / 6.0) / (1 + 0.62 * x)  # highlights roll off
    x = np.clip(x, 0, 1)
    srgb = np.where(x <= 0.0031308, 12.92 * x, 1.055 * x ** (1 / 2.4) - 0.055)
    contrast = srgb + 0.10 * (srgb - 0.5) * srgb * (1 - srgb) * 4
    return np.clip(np.round(contrast * 255), 0, 255).astype(np.uint8)
