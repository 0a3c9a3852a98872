"""Banana, apple and pear.

Each function draws an individual from a `Random` and returns its parts and key points in the object's frame.
"""

from __future__ import annotations

import numpy as np

from cvlab.data.still_life.noise import at, clamp, colour, look, mix, slopes, step, turn, wave
from cvlab.data.still_life.parts import leaf, stem, texture_shift, visible, wrapped
from cvlab.data.still_life.rng import Random
from cvlab.data.still_life.surface import Fruit, Part, Surface, along, revolve

f32 = np.float32


def banana(random: Random) -> Fruit:
    """A bent yellow fruit with facets, brown freckles, a stalk and a dark tip."""
    spread = random.uniform(0.75, 1.1)  # half the angle of the arc
    radius = 0.95 / float(np.sin(spread))
    fat = random.level(0.235, 0.285)
    ripe, freckles, green = random.uniform(0, 1), random.uniform(0.1, 1.0), random.uniform(0, 0.8)
    shift, side = texture_shift(random), random.choice((-1.0, 1.0))
    knots = (
        (-1.1, 0.0),
        (-1.02, 0.058),
        (-0.95, 0.06),
        (-0.86, 0.062),
        (-0.74, 0.15),
        (-0.5, fat * 0.88),
        (-0.1, fat),
        (0.35, fat * 0.96),
        (0.72, fat * 0.66),
        (0.92, 0.12),
        (0.99, 0.075),
        (1.04, 0.0),
    )
    sag = radius * (1 - float(np.cos(spread)))
    centre = f32(side * (radius - sag * 0.55))

    def paint(x: np.ndarray, y: np.ndarray, pixel: float) -> Surface:
        gx = x - centre
        rho = np.sqrt(gx * gx + y * y) + f32(1e-4)
        v = (f32(radius) - rho) * f32(side)  # across, positive towards +x on either side
        sine = y / rho
        s2 = sine * sine
        s = sine * (1 + f32(0.17) * s2 + f32(0.11) * s2 * s2) * f32(1 / spread)  # the angle, -1 .. 1 from end to end
        w2, dw2 = along(s, knots)
        field = w2 - v * v - np.maximum(gx * f32(side), 0)  # not on the far side of the circle
        ds = dw2 * f32(side / spread) / (rho * rho)
        across = v * f32(2 * side) / rho
        slope = (across * gx + ds * y, across * y - ds * gx)
        w = np.sqrt(np.maximum(w2, f32(0.003)))
        a = v / w
        edge = wave(a * f32(0.62) + f32(0.31))  # three flat sides, the ridges between them
        facet = (edge - a) * f32(0.55)
        facet = facet * f32(-side) / rho
        bump = (facet * gx, facet * y)
        index = at(a * f32(0.5), s, 62, shift)
        cloud, grain = look("smooth", index), look("fine", index)
        body = mix(colour("#e8b014"), colour("#f7d23c"), clamp(f32(0.5) + cloud * f32(0.22) + f32(0.35 - 0.5 * ripe)))
        ends = clamp(np.abs(s + f32(0.05)) * f32(2.4) - f32(1.35 + 0.5 * ripe))
        albedo = mix(body, colour("#a9b53a"), ends * f32(0.3 + 0.6 * green))
        ridge = clamp(1 - np.abs(np.abs(a) - f32(0.4)) * f32(9))
        albedo = mix(albedo, colour("#b98a22"), ridge * f32(0.32 + 0.25 * ripe))
        spots = look("spots", at(a * f32(0.42), s, 84, shift)) * step(grain + cloud, -0.9, 0.9)
        albedo = mix(albedo, colour("#5a3310"), clamp(spots * f32(1.5) - f32(0.35)) * f32(freckles * 0.85))
        streak = look("fibre", at(s, a, 34, shift))
        albedo = mix(albedo, colour("#7a5018"), step(streak, 1.3, 2.3) * f32(0.3 * freckles))
        dark = step(np.abs(s - f32(-0.02)), 0.93, 1.0)
        albedo = mix(albedo, colour("#2c1c0c"), dark * f32(0.9))
        return Surface(field, slope, albedo, bump, 0.2, 4, 0.45, base=fat)

    end_x = float(centre) - side * radius * float(np.cos(spread * 0.94))
    end_y = radius * float(np.sin(spread * 0.94))
    parts = [Part((-0.62, -1.12, 0.62, 1.12), paint)]
    return Fruit(parts, (end_x, -end_y), (end_x, end_y), (float(centre) - side * radius, 0.0))


APPLES = (  # ground colour, blush, how much blush
    ("#e6c05a", "#a80f1c", 0.75),
    ("#d8b34c", "#c01a22", 0.55),
    ("#cfd06a", "#c8323c", 0.3),
    ("#9fc13c", "#b8c84a", 0.2),
    ("#86b02c", "#a8c040", 0.2),
    ("#e0a040", "#7c0a16", 0.95),
    ("#efcf60", "#d24a30", 0.4),
)


def apple(random: Random) -> Fruit:
    """A round fruit with broad shoulders, streaks that run from the stem's hollow, and pale pores."""
    ground, blush, amount = random.choice(APPLES)
    wide = random.level(0.93, 1.0)
    hollow = (random.uniform(-0.1, 0.1), random.uniform(-0.62, -0.42))
    shift, lean = texture_shift(random), random.uniform(-0.5, 0.5)
    knots = (
        (-0.93, 0.0),
        (-0.86, 0.42),
        (-0.68, 0.76 * wide),
        (-0.35, 0.95 * wide),
        (0.0, 0.98 * wide),
        (0.4, 0.86 * wide),
        (0.7, 0.6 * wide),
        (0.86, 0.36 * wide),
        (0.93, 0.0),
    )

    def paint(x: np.ndarray, y: np.ndarray, pixel: float) -> Surface:
        field, slope, _ = revolve(x, y, knots)
        dx, dy = x - f32(hollow[0]), (y - f32(hollow[1])) * f32(1.35)
        r2 = dx * dx + dy * dy
        dip = 1 / (1 + r2 * f32(16))
        bump = (-dx * dip * dip * f32(4.5), -dy * dip * dip * f32(4.5))
        rho = np.sqrt(r2)
        angle = turn(dx, dy)
        streak = look("fibre", at(rho * f32(0.35), angle * 4, 64, shift))
        cloud = look("smooth", at(x, y, 40, shift))
        side = (x * f32(lean) - y * f32(0.2)) * f32(0.7)
        red = clamp(f32(amount) + streak * f32(0.17) + cloud * f32(0.2) + side)
        red = red * step(rho, 0.02, 0.42 - 0.3 * amount)
        albedo = mix(colour(ground), colour(blush), red)
        albedo = mix(albedo, colour("#8a7a38"), step(rho, 0.26, 0.02) * f32(0.75))
        dots = look("spots", at(wrapped(x, field), wrapped(y, field), 118, shift))
        albedo = mix(albedo, colour("#f0dca8"), step(dots, 0.2, 1.0) * f32(0.42 * visible(0.06, pixel)))
        albedo = albedo * (1 - f32(0.5) * dip * dip)
        return Surface(field, slope, albedo, bump, 0.5, 6, 0.22, base=0.9)

    tip = (hollow[0] + random.uniform(-0.2, 0.2), -1.0 + random.uniform(-0.08, 0.1))
    parts = [Part((-1.04, -1.0, 1.04, 1.0), paint)]
    if random.chance(0.35):
        way = random.choice((-1, 1))
        end = (way * random.uniform(0.5, 0.8), -0.9 - random.uniform(-0.05, 0.15))
        parts.append(
            leaf((hollow[0], hollow[1] - 0.12), end, random.uniform(0.16, 0.22), 1.5, random.uniform(0.3, 0.8))
        )
    parts.append(stem((hollow[0], hollow[1] + 0.02), tip, 0.045, 0.062, 1.45, random.uniform(-0.1, 0.1)))
    return Fruit(parts, hollow, (0.0, 0.8))


PEARS = (
    ("#c9c04a", "#b8902c"),
    ("#b3bf45", "#8f9a30"),
    ("#d8c65a", "#c4682e"),
    ("#b08a48", "#8a5a26"),
    ("#a9b84a", "#a03a2a"),
)


def pear(random: Random) -> Fruit:
    """A slender neck on a round belly, freckled with russet, blushing on one side."""
    skin, blush = random.choice(PEARS)
    neck, belly = random.level(0.25, 0.34), random.level(0.6, 0.68)
    bend, shift, lean = random.uniform(-0.1, 0.1), texture_shift(random), random.uniform(-1, 1)
    knots = (
        (-0.86, 0.0),
        (-0.82, neck * 0.55),
        (-0.72, neck * 0.86),
        (-0.55, neck),
        (-0.32, neck * 1.16),
        (-0.02, belly * 0.8),
        (0.3, belly),
        (0.6, belly * 0.94),
        (0.82, belly * 0.66),
        (0.93, belly * 0.36),
        (0.97, 0.0),
    )
    rust = random.uniform(0.3, 1.0)

    def paint(x: np.ndarray, y: np.ndarray, pixel: float) -> Surface:
        field, slope, _ = revolve(x, y, knots, bend)
        index = at(wrapped(x, field, 0.45), y, 70, shift)
        cloud, grain = look("smooth", at(x, y, 36, shift)), look("fine", index)
        dots = look("spots", at(wrapped(x, field, 0.45), y, 110, shift))
        warm = clamp(x * f32(0.55 * lean) + f32(0.22) + cloud * f32(0.14) + y * f32(0.12))
        albedo = mix(colour(skin), colour(blush), warm)
        russet = step(cloud * f32(0.5) + grain * f32(0.55), 0.5, 1.8) * f32(0.5 * rust)
        albedo = mix(albedo, colour("#7c4e22"), russet)
        albedo = mix(albedo, colour("#6a4a20"), step(dots, 0.3, 0.75) * f32(0.5 * visible(0.05, pixel)))
        albedo = mix(albedo, colour("#6b4c22"), step(y, -0.66, -0.86) * f32(0.55))
        eye = (x + f32(bend * 0.8)) ** 2 + (y - f32(0.9)) ** 2 * 3
        albedo = mix(albedo, colour("#3a2814"), step(eye, 0.03, 0.006) * f32(0.9))
        sx, sy = slopes("fine")
        k = f32(0.035 * visible(0.06, pixel))
        return Surface(field, slope, albedo, (sx.take(index) * k, sy.take(index) * k), 0.24, 4, 0.3, base=belly)

    top = (-bend * 0.72, -0.78)
    end = (top[0] + random.uniform(-0.16, 0.16), -1.12)
    parts = [Part((-0.8, -0.95, 0.8, 1.04), paint)]
    if random.chance(0.25):
        parts.append(
            leaf((top[0], -0.86), (random.choice((-1, 1)) * 0.62, -0.85), 0.16, belly, random.uniform(0.3, 0.8))
        )
    parts.append(stem(top, end, 0.04, 0.058, belly, random.uniform(-0.08, 0.08)))
    return Fruit(parts, (top[0], -0.76), (-bend * 0.76, 0.87))
