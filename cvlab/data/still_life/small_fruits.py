"""Plum, peach and strawberry."""

from __future__ import annotations

import numpy as np

from cvlab.data.still_life.noise import at, clamp, colour, look, mix, step, turn, wave
from cvlab.data.still_life.parts import leaf, stem, texture_shift, visible, wrapped
from cvlab.data.still_life.rng import Random
from cvlab.data.still_life.surface import Fruit, Part, Surface, along, revolve

f32 = np.float32


def _seam(x: np.ndarray, y: np.ndarray, place: float, deep: float) -> tuple[np.ndarray, np.ndarray]:
    """Return how dark the crease from stem to tip is, and how it tips the normal's x."""
    d = (x - f32(place) * (1 - y * y)) * f32(7)
    near = 1 / (1 + d * d)
    return near * near, -d * near * near * f32(deep)


def plum(random: Random) -> Fruit:
    """A dark oval fruit with a seam, dusted with bloom."""
    skin = random.choice(("#3a1238", "#2a1440", "#4c1430", "#54204c"))
    wide, shift, bloom = random.level(0.76, 0.86), texture_shift(random), random.uniform(0.35, 1.0)
    place = random.uniform(0.12, 0.4) * random.choice((-1, 1))
    knots = (
        (-0.93, 0.0),
        (-0.84, wide * 0.46),
        (-0.5, wide * 0.84),
        (0.0, wide),
        (0.5, wide * 0.86),
        (0.84, wide * 0.46),
        (0.96, 0.0),
    )

    def paint(x: np.ndarray, y: np.ndarray, pixel: float) -> Surface:
        field, slope, _ = revolve(x, y, knots)
        near, tip = _seam(x, y, place, 0.7)
        cloud = look("smooth", at(x, y, 46, shift))
        grain = look("fine", at(wrapped(x, field), y, 60, shift))
        red = clamp(f32(0.25) + cloud * f32(0.2) + y * f32(0.25))
        albedo = mix(colour(skin), colour("#7c1c34"), red)
        dust = clamp(f32(0.42) + cloud * f32(0.26) + grain * f32(0.1) - near * f32(0.3)) * f32(bloom * 0.62)
        albedo = mix(albedo, colour("#7d80b4"), dust)
        hollow = step(x * x + (y + f32(0.86)) ** 2, 0.045, 0.004)
        albedo = albedo * (1 - f32(0.55) * near) * (1 - f32(0.6) * hollow)
        return Surface(field, slope, albedo, (tip, tip * 0), 0.34, 5, 0.12, 0.06, base=wide)

    parts = [Part((-0.94, -1.0, 0.94, 1.02), paint)]
    if random.chance(0.5):
        parts.append(
            stem((0, -0.84), (random.uniform(-0.15, 0.15), -1.15), 0.04, 0.05, wide, 0.05, "#4a4a1c", "#7a6a36")
        )
    return Fruit(parts, (0.0, -0.8), (0.0, 0.83))


def peach(random: Random) -> Fruit:
    """A downy round fruit, yellow blushing to crimson, with a deep seam."""
    shift, lean = texture_shift(random), random.uniform(-0.8, 0.8)
    amount, place = random.uniform(0.3, 0.62), random.uniform(0.1, 0.42) * random.choice((-1, 1))
    knots = (
        (-0.9, 0.0),
        (-0.82, 0.44),
        (-0.6, 0.77),
        (-0.2, 0.95),
        (0.1, 0.97),
        (0.5, 0.83),
        (0.76, 0.56),
        (0.9, 0.24),
        (0.97, 0.0),
    )

    def paint(x: np.ndarray, y: np.ndarray, pixel: float) -> Surface:
        field, slope, _ = revolve(x, y, knots)
        near, tip = _seam(x, y, place, 1.0)
        index = at(wrapped(x, field), wrapped(y, field), 70, shift)
        cloud, grain = look("smooth", at(x, y, 42, shift)), look("fine", index)
        red = clamp(f32(amount) + x * f32(lean * 0.75) - y * f32(0.3) + cloud * f32(0.26) + grain * f32(0.07))
        albedo = mix(colour("#f3b04e"), colour("#e2643a"), clamp(red * 2))
        albedo = mix(albedo, colour("#a81e2e"), clamp(red * 2 - 1))
        dx, dy = x - f32(place * 0.25), y + f32(0.74)
        dip = 1 / (1 + (dx * dx + dy * dy * 2) * f32(22))
        albedo = albedo * (1 - f32(0.45) * near * step(y, 0.9, 0.0)) * (1 - f32(0.55) * dip * dip)
        bump = (tip - dx * dip * dip * 4, -dy * dip * dip * 6)
        return Surface(field, slope, albedo, bump, 0.05, 3, 0.35, 0.34, base=0.92)

    parts = [Part((-1.03, -0.98, 1.03, 1.03), paint)]
    if random.chance(0.3):
        way = random.choice((-1, 1))
        parts.append(
            leaf((place * 0.25, -0.72), (way * random.uniform(0.55, 0.8), -0.98), 0.15, 1.3, random.uniform(0.3, 0.8))
        )
    parts.append(stem((place * 0.25, -0.76), (place * 0.25 + 0.03, -0.9), 0.06, 0.055, 1.2))
    return Fruit(parts, (place * 0.25, -0.76), (0.0, 0.83))


def strawberry(random: Random) -> Fruit:
    """A red cone sown with yellow seeds, under a green star of leaves."""
    wide, shift = random.level(0.66, 0.78), texture_shift(random)
    bend, rows = random.uniform(-0.1, 0.1), random.uniform(4.6, 5.6)
    skin = random.choice(("#b8101c", "#c81a20", "#a00c1c"))
    knots = (
        (-0.84, 0.0),
        (-0.76, wide * 0.5),
        (-0.58, wide * 0.86),
        (-0.3, wide),
        (0.05, wide * 0.9),
        (0.45, wide * 0.64),
        (0.78, wide * 0.34),
        (0.93, wide * 0.14),
        (0.98, 0.0),
    )

    def paint(x: np.ndarray, y: np.ndarray, pixel: float) -> Surface:
        field, slope, xb = revolve(x, y, knots, bend)
        w = np.sqrt(np.maximum(along(y, knots)[0], f32(0.01)))
        u = clamp(xb / w, -1, 1)
        u = u * (1 + f32(0.35) * u * u) * f32(3.1)  # nearly the angle round the axis
        v = y * f32(rows)
        row = np.floor(v)
        u = u + row * f32(0.5)
        du, dv = u - np.floor(u) - f32(0.5), v - row - f32(0.5)
        near = clamp(1 - (du * du * f32(6) + dv * dv * f32(5)))
        seen = f32(visible(1 / rows, pixel))
        seed = step(du * du * f32(70) + dv * dv * f32(26), 1.3, 0.6) * seen
        cloud = look("smooth", at(x, y, 40, shift))
        albedo = mix(colour(skin), colour("#e03a24"), clamp(f32(0.3) + cloud * f32(0.25)))
        albedo = mix(albedo, colour("#ecc9a0"), step(y + cloud * f32(0.1), -0.5, -0.8) * f32(0.6))
        albedo = albedo * (1 - f32(0.45) * near * near * seen)
        albedo = mix(albedo, colour("#e6bd4a"), seed * f32(0.85))
        k = near * (1 - seed) * seen * f32(2.4)
        return Surface(field, slope, albedo, (du * k, dv * k), 0.5, 5, 0.3, base=wide)

    count, spin = random.integer(6, 9), random.uniform(0, 1)
    long = random.uniform(0.5, 0.62)

    def calyx(x: np.ndarray, y: np.ndarray, pixel: float) -> Surface:
        py = (y + f32(0.74)) * f32(1.7)
        r = np.sqrt(x * x + py * py) + f32(1e-3)
        t = wave(turn(x, py) * count + f32(spin))
        petal = f32(long) * (f32(0.62) + f32(0.38) * t)
        q = r / petal
        g = f32(-0.02) / petal / r
        slope = (x * g, py * g * f32(1.7))
        albedo = mix(colour("#2f5a1a"), colour("#86a848"), clamp(q * f32(0.6) + t * f32(0.25)))
        lift = q * f32(1.1)
        return Surface(f32(0.02) * (1 - q), slope, albedo, (x * lift, py * lift), 0.15, 4, 0.4, base=wide * 1.35)

    parts = [Part((-0.9, -0.9, 0.9, 1.04), paint), Part((-0.68, -1.16, 0.68, -0.3), calyx)]
    parts.append(
        stem((0, -0.76), (random.uniform(-0.2, 0.2), -1.12), 0.045, 0.04, wide * 1.4, 0.05, "#5f7a2c", "#8fa850")
    )
    return Fruit(parts, (0.0, -0.74), (-bend * 0.72, 0.85))
