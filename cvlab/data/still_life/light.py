"""From layers to a photograph: soft shadows, shade in the corners, colour thrown back, and a camera."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from cvlab.data.still_life.noise import TILE, clamp, pool, tile, upsample
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
    """Draw a lamp: anywhere round the table, 37 to 58 degrees high, larger or smaller."""
    while True:
        x, y = random.uniform(-1, 1), random.uniform(-1, 1)
        norm = (x * x + y * y) ** 0.5
        if 0.2 < norm < 1:
            break
    high = random.uniform(0.75, 1.6)  # height over distance
    length = (1 + high * high) ** 0.5
    key, sky, ground = random.choice(MOODS)
    direction = (x / norm / length, y / norm / length, high / length)
    colours = [np.array(c, np.float32) for c in (key, sky, ground)]
    return Light(direction, *colours, spread=random.uniform(0.25, 0.6))


def _double(a: np.ndarray, height: int, width: int) -> np.ndarray:
    """Enlarge (h, w) to twice its size by straight lines between pixel centres, and crop to (height, width)."""
    near, far = f32(0.75), f32(0.25)
    rows = np.empty((2 * a.shape[0], a.shape[1]), np.float32)
    rows[::2] = rows[1::2] = a * near
    a = a * far
    rows[2::2] += a[:-1]
    rows[1:-1:2] += a[1:]
    rows[0] += a[0]
    rows[-1] += a[-1]
    out = np.empty((rows.shape[0], 2 * rows.shape[1]), np.float32)
    out[:, ::2] = out[:, 1::2] = rows * near
    rows = rows * far
    out[:, 2::2] += rows[:, :-1]
    out[:, 1:-1:2] += rows[:, 1:]
    out[:, 0] += rows[:, 0]
    out[:, -1] += rows[:, -1]
    return out[:height, :width]


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
    padded = np.zeros((h + 2 * reach, w + 2 * reach), np.float32)
    padded[reach : reach + h, reach : reach + w] = high
    hidden = np.zeros_like(high)
    s = 1.2
    while s < reach:
        dx, dy = round(s * lx / flat), round(s * ly / flat)
        far = (dx * dx + dy * dy) ** 0.5
        there = padded[reach + dy : reach + dy + h, reach + dx : reach + dx + w]
        soft = light.spread * far * (1 + rise * rise) ** 0.5 * 0.8 + 0.7
        np.maximum(hidden, (there - high) * f32(1 / soft) + f32(0.5 - far * rise / soft), out=hidden)
        s = s * 1.08 + 0.5
    seen = 1 - np.minimum(hidden, 1)
    seen = seen * seen * (3 - 2 * seen)
    for _ in range(2):  # smooth away the steps of the walk
        seen[1:-1] = (seen[:-2] + seen[2:]) * f32(0.25) + seen[1:-1] * f32(0.5)
        seen[:, 1:-1] = (seen[:, :-2] + seen[:, 2:]) * f32(0.25) + seen[:, 1:-1] * f32(0.5)
    return seen


def expose(layers: np.ndarray, light: Light, random: Random) -> np.ndarray:
    """Put the layers together and take the photograph.

    Args:
        layers: (7, h, w): colour by the lamp (3), colour by the room (3), height in pixels (1).
        light: the lamp and the room.
        random: where exposure, grain and vignette are drawn from.

    Returns:
        uint8 (3, h, w).
    """
    height, width = layers.shape[1:]
    high = pool(_padded(layers[6], 2), 2) * f32(0.5)  # shadows are soft: half the resolution will do
    seen = _double(lamp_visibility(high, light), height, width)

    # Near tall things the sky is hidden (ambient occlusion), and their colour is thrown back on their neighbours.
    block = 2 ** max(1, (min(height, width) // 24).bit_length() - 1)
    coarse = pool(_padded(layers, block), block)
    whole = (block * coarse.shape[1], block * coarse.shape[2])
    around = upsample(coarse[6], *whole)[:height, :width]
    shut = clamp((around - layers[6]) * f32(2.3 / min(height, width) * 4), 0, 0.62)
    stand = np.minimum(coarse[6] * f32(9 / min(height, width)), 1)
    thrown = upsample(coarse[:3] * stand, *whole)[:, :height, :width] * f32(0.17)
    out = layers[:3] * seen
    out += layers[3:6] * ((1 - shut) * (f32(0.55) + f32(0.45) * seen))
    out += layers[3:6] * thrown * (shut * 2)

    level = f32(random.uniform(0.85, 1.2))
    out *= _vignette(height, width) * level
    np.sqrt(np.maximum(out, 0, out=out), out=out)  # photon noise is even in square roots of brightness
    grain = f32(random.uniform(0.0, 0.016))
    for c in range(3):
        rows = (np.arange(height) + random.integer(0, TILE)) & (TILE - 1)
        columns = (np.arange(width) + random.integer(0, TILE)) & (TILE - 1)
        out[c] += tile("white").take(columns, 1).take(rows, 0) * grain
    index = clamp(out * f32(1023 / 2.5), 0, 1023).astype(np.int32)
    return _film().take(index)


@lru_cache(maxsize=16)
def _vignette(height: int, width: int) -> np.ndarray:
    """Darken the corners, as lenses do."""
    y = (np.arange(height, dtype=np.float32)[:, None] + f32(0.5)) / height * 2 - 1
    x = (np.arange(width, dtype=np.float32) + f32(0.5)) / width * 2 - 1
    r2 = (x * x + y * y) * f32(0.5)
    return 1 - f32(0.45) * r2 * (f32(0.4) + f32(0.6) * r2)


@lru_cache(maxsize=1)
def _film() -> np.ndarray:
    """Tabulate the film: square root of linear light in [0, 2.5] to an 8-bit sRGB value, with a soft shoulder."""
    x = (np.linspace(0, 2.5, 1024) ** 2) * 0.55
    x = x * (1 + x / 9.0) / (1 + 0.5 * x)  # highlights roll off
    x = np.clip(x, 0, 1)
    srgb = np.where(x <= 0.0031308, 12.92 * x, 1.055 * x ** (1 / 2.4) - 0.055)
    contrast = srgb + 0.10 * (srgb - 0.5) * srgb * (1 - srgb) * 4
    return np.clip(np.round(contrast * 255), 0, 255).astype(np.uint8)
