"""What the objects lie on: wood, cloth, stone, marble, plaster, or a photograph out of focus.

Each maker returns the linear albedo (3, h, w) and a relief (h, w): how much more or less lamp light than a level
plane each pixel gets. Lengths are in units of the image's short side.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from cvlab.data import photos
from cvlab.data.still_life.noise import at, clamp, colour, look, mix, pool, step, upsample, wave
from cvlab.data.still_life.parts import texture_shift
from cvlab.data.still_life.rng import Random
from cvlab.data.still_life.surface import Light

f32 = np.float32
Ground = tuple[np.ndarray, np.ndarray, str]

# Photographs serve one split only, so that a model is never tested on a background it was trained on.
PHOTOS = {
    "train": ("coffee", "chelsea", "china", "camera", "brick"),
    "val": ("astronaut", "grass"),
    "test": ("flower", "rocket", "gravel"),
}


def axes(
    height: int, width: int, angle: tuple[float, float], shift: tuple[float, float]
) -> tuple[np.ndarray, np.ndarray]:
    """Return coordinates (u, v) turned by the angle whose (cosine, sine) is given, in units of the short side."""
    unit = 1 / min(height, width)
    x = ((np.arange(width) - width / 2) * unit).astype(np.float32)
    y = ((np.arange(height) - height / 2) * unit).astype(np.float32)[:, None]
    c, s = f32(angle[0]), f32(angle[1])
    return x * c + y * s + f32(shift[0]), y * c - x * s + f32(shift[1])


def heading(random: Random) -> tuple[float, float]:
    """Draw a direction, more often along the image's sides than across."""
    if random.chance(0.5):
        c, s = 1.0, random.uniform(-0.12, 0.12)
    else:
        c, s = random.uniform(-1, 1), random.uniform(0.2, 1)
    norm = (c * c + s * s) ** 0.5
    c, s = c / norm, s / norm
    return (s, c) if random.chance(0.4) else (c, s)


WOODS = (  # dark grain, light grain, name
    ("#2a170d", "#553220", "dark wood"),
    ("#5c3a20", "#94673c", "walnut wood"),
    ("#8a6238", "#c59a64", "oak"),
    ("#a58b6a", "#d9c4a2", "pale wood"),
    ("#4c4840", "#8c877c", "grey wood"),
    ("#3a1c10", "#7c4024", "red wood"),
)


def wood(random: Random, height: int, width: int, light: Light, split: str) -> Ground:
    """Planks with grain, rings and dark joints."""
    dark, pale, name = random.choice(WOODS)
    u, v = axes(height, width, heading(random), (random.uniform(0, 3), random.uniform(0, 3)))
    shift, board = texture_shift(random), random.uniform(0.22, 0.5)
    row = v * f32(1 / board)
    plank = np.floor(row)
    joint = np.abs(row - plank - f32(0.5))
    own = plank * f32(0.6180339)
    own = own - np.floor(own)  # a number of its own for each plank
    u = u + own * f32(3.7)
    bend = look("smooth", at(u * f32(0.4), v + own, 120, shift))
    grain = look("fibre", at(u * f32(0.5), v * f32(1.5) + own, 150, shift))
    fine = look("fibre", at(u, v * f32(3) + own, 190, shift))
    rings = wave((v * f32(0.7) + own) * f32(7) + bend * f32(0.55))
    t = clamp(f32(0.45) + rings * f32(0.14) + grain * f32(0.17) + fine * f32(0.07) + (own - f32(0.5)) * f32(0.35))
    albedo = mix(colour(dark), colour(pale), t)
    gap = step(joint, 0.5 - 0.004 / board - 0.6 / min(height, width) / board, 0.5)
    albedo = albedo * (1 - gap * f32(0.8))
    pores = clamp(fine - f32(1.1))
    return albedo * (1 - pores * f32(0.35)), 1 + grain * f32(0.05) - gap * f32(0.3), f"on {name}"


CLOTHS = (  # threads, stripe, name
    ("#d9d0bd", "#7c2c24", "a linen cloth"),
    ("#cfc9bc", "#34506e", "a linen cloth"),
    ("#33475c", "#c8c0ac", "a blue cloth"),
    ("#3c4a36", "#b8ae8c", "a green cloth"),
    ("#6e2a24", "#c9a46a", "a red cloth"),
    ("#2c2a2e", "#8a8272", "a black cloth"),
    ("#a88a62", "#5c3c24", "a brown cloth"),
    ("#8c98a0", "#e0dcd0", "a grey cloth"),
)


def cloth(random: Random, height: int, width: int, light: Light, split: str) -> Ground:
    """A woven cloth with soft folds, sometimes with stripes along an edge."""
    thread, stripe, name = random.choice(CLOTHS)
    way = heading(random)
    shift = texture_shift(random)
    lx, ly, lz = light.direction
    # Folds: ridges that run one way, bent by clouds; made small and enlarged, for they are smooth.
    h, w = max(height // 4, 8), max(width // 4, 8)
    u, v = axes(h, w, heading(random), (random.uniform(0, 3), random.uniform(0, 3)))
    cloud = look("smooth", at(u * f32(0.7), v * f32(0.7), 64, shift))
    warp = (v * f32(random.uniform(0.9, 2.2)) + cloud * f32(random.uniform(0.1, 0.3))) + u * f32(
        random.uniform(-0.4, 0.4)
    )
    crest = wave(warp)
    fold = crest * np.abs(crest) * f32(0.5) + crest * f32(0.3) + cloud * f32(0.5)
    fold = upsample(pool(upsample(fold, h, w), 2), height, width) * f32(random.uniform(0.045, 0.1) * min(height, width))
    relief = np.ones((height, width), np.float32)
    relief[:, 1:-1] -= (fold[:, 2:] - fold[:, :-2]) * f32(lx / lz * 0.5)
    relief[1:-1] -= (fold[2:] - fold[:-2]) * f32(ly / lz * 0.5)
    relief[:, [0, -1]], relief[[0, -1]] = relief[:, [1, -2]], relief[[1, -2]]
    relief = np.maximum(relief, f32(0.1))
    # Threads follow the folds a little.
    u, v = axes(height, width, way, (random.uniform(0, 3), random.uniform(0, 3)))
    u, v = u + fold * f32(0.004), v + fold * f32(0.003)
    count = f32(min(random.uniform(70, 110), min(height, width) * 0.36))
    warp_thread, weft_thread = wave(u * count), wave(v * count)
    slub = look("fibre", at(u * f32(0.5), v, 220, shift)) + look("fibre", at(v * f32(0.5), u, 220, shift))
    weave = warp_thread * weft_thread * f32(0.1) + slub * f32(0.055)
    albedo = colour(thread)[:, None, None] * (1 + weave)
    if random.chance(0.45):
        edge, gap = random.uniform(-0.35, 0.35), random.uniform(0.035, 0.06)
        away = np.abs(v - v[height // 2, width // 2] - f32(edge))
        bands = np.maximum(step(away, gap * 0.42, gap * 0.34), step(np.abs(away - f32(gap)), gap * 0.2, gap * 0.12))
        albedo = mix(albedo, colour(stripe)[:, None, None] * (1 + weave), bands * f32(0.85))
    return albedo, relief, f"on {name}"


def slate(random: Random, height: int, width: int, light: Light, split: str) -> Ground:
    """Dark split stone with a rough grain."""
    dark, pale, name = random.choice(
        (("#26282b", "#4a4d50", "slate"), ("#3c3a38", "#6c6864", "stone"), ("#6e675c", "#a59c8c", "sandstone")),
    )
    u, v = axes(height, width, heading(random), (random.uniform(0, 3), random.uniform(0, 3)))
    shift = texture_shift(random)
    cloud = look("smooth", at(u, v, 100, shift))
    index = at(u + cloud * f32(0.02), v * f32(1.3), 170, shift)
    grain = look("fine", index)
    t = clamp(f32(0.45) + cloud * f32(0.2) + grain * f32(0.06))
    albedo = mix(colour(dark), colour(pale), t)
    ridge = clamp(1 - np.abs(look("smooth", at(u * f32(0.6), v, 90, (shift[1], shift[0])))) * f32(9))
    return albedo, 1 + grain * f32(0.05) + cloud * f32(0.05) - ridge * f32(0.2), f"on {name}"


def marble(random: Random, height: int, width: int, light: Light, split: str) -> Ground:
    """Polished white or green stone with veins."""
    body, vein, name = random.choice(
        (
            ("#e6e3dd", "#8a8884", "white marble"),
            ("#e2d8c8", "#a8825a", "cream marble"),
            ("#2a3a34", "#9cb0a2", "green marble"),
        )
    )
    way, origin, shift = heading(random), (random.uniform(0, 3), random.uniform(0, 3)), texture_shift(random)
    u, v = axes(
        40 * height // min(height, width), 40 * width // min(height, width), way, origin
    )  # small, then enlarged
    a = look("smooth", at(u, v * f32(0.6), 40, shift))
    b = look("smooth", at(u * f32(0.7) + a * f32(0.1), v * f32(0.7), 40, (shift[1], shift[0])))
    a, b = upsample(np.stack([a, b]), height, width)
    u, v = axes(height, width, way, origin)
    wander = look("fine", at(u, v, 64, shift)) * f32(0.012)
    thin = clamp(1 - np.abs(b + f32(0.3) * a + wander) * f32(13))
    wide = clamp(1 - np.abs(b - f32(0.25)) * f32(2.2))
    grain = look("fine", at(u, v, 200, shift))
    t = clamp(thin * thin * f32(0.65) + wide * wide * f32(0.34) + a * f32(0.06) + grain * f32(0.02) + f32(0.06))
    return mix(colour(body), colour(vein), t), 1 + a * f32(0.01), f"on {name}"


PLASTERS = (
    ("#d8cfc0", "pale plaster"),
    ("#c2a48c", "pink plaster"),
    ("#9fb0ac", "green plaster"),
    ("#b9a27c", "yellow plaster"),
    ("#7d8a99", "blue plaster"),
    ("#5c544e", "brown plaster"),
    ("#b0887c", "rose plaster"),
)


def plaster(random: Random, height: int, width: int, light: Light, split: str) -> Ground:
    """A painted board with brush marks and clouds of colour."""
    code, name = random.choice(PLASTERS)
    u, v = axes(height, width, heading(random), (random.uniform(0, 3), random.uniform(0, 3)))
    shift = texture_shift(random)
    cloud = look("smooth", at(u, v, 84, shift))
    brush = look("fibre", at(u * f32(0.4) + cloud * f32(0.05), v, 150, shift))
    grain = look("fine", at(u, v, 180, shift))
    albedo = colour(code)[:, None, None] * (1 + cloud * f32(0.09) + brush * f32(0.025))
    warm = colour("#a07850")[:, None, None] - albedo
    albedo = albedo + warm * clamp(cloud * f32(0.12) - f32(0.06))
    return albedo, 1 + grain * f32(0.035) + brush * f32(0.035), f"on {name}"


@lru_cache(maxsize=12)
def _blurred(name: str) -> np.ndarray:
    """Return a photograph in linear light at a short side of about 100 pixels, (3, h, w): out of focus."""
    image = photos.load(name).numpy()
    small = pool(image, max(1, min(image.shape[1:]) // 100))
    return (np.round(small * 255) / 255).astype(np.float32) ** 2  # close to linear light, and exactly rounded


def photograph(random: Random, height: int, width: int, light: Light, split: str) -> Ground:
    """A piece of a real photograph, thrown out of focus."""
    image = _blurred(random.choice(PHOTOS[split]))
    side = random.uniform(0.3, 0.85) * min(image.shape[1] / height, image.shape[2] / width)
    h, w = max(4, int(side * height)), max(4, int(side * width))
    top, left = random.integer(0, image.shape[1] - h + 1), random.integer(0, image.shape[2] - w + 1)
    crop = image[:, top : top + h, left : left + w]
    crop = crop[:, :, ::-1] if random.chance(0.5) else crop
    soft = upsample(crop, height, width)
    return soft * f32(random.uniform(0.75, 1.05)) + f32(0.01), np.ones((1, 1), np.float32), "on a blurred photograph"


BACKGROUNDS = {"wood": wood, "cloth": cloth, "slate": slate, "marble": marble, "plaster": plaster, "photo": photograph}
USUAL = ("wood", "wood", "wood", "cloth", "cloth", "cloth", "slate", "marble", "plaster", "photo", "photo", "photo")
