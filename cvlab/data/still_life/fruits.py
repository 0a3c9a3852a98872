"""Soft and stone fruit: banana, apple, pear, plum, strawberry, peach.

Each function draws an individual from a `Random` and returns the parts it is made of, in the object's frame.
"""

from __future__ import annotations

import numpy as np

from cvlab.data.still_life.noise import at, colour, look, mix, slopes, step, turn, wave
from cvlab.data.still_life.rng import Random
from cvlab.data.still_life.surface import Part, Surface, along, capsule, disc, revolve

f32 = np.float32


def texture_shift(random: Random) -> tuple[int, int]:
    """Draw where on the noise tiles this individual's skin lies."""
    return random.integer(0, 256), random.integer(0, 256)


def visible(period: float, pixel: float) -> float:
    """Fade a texture out where its period comes near two pixels, instead of letting it flicker."""
    return min(1.0, max(0.0, period / pixel / 2 - 0.6))


def wrapped(x: np.ndarray, field: np.ndarray, scale: float = 1.0) -> np.ndarray:
    """Stretch a coordinate towards the outline, as a texture is that lies round a ball."""
    return x * (f32(1.45) - f32(0.45 / scale) * np.clip(field, 0, scale))


def stem(
    start: tuple[float, float], end: tuple[float, float], r0: float, r1: float, base: float, bow: float = 0.0,
    low: str = "#4a3a1c", high: str = "#8a6a3a",
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
        albedo = mix(colour("#1f4a16"), colour("#5d8a2c"), np.clip(f32(tone) + veins * f32(0.12), 0, 1))
        albedo = mix(albedo, colour("#a9bf6a"), rib * f32(0.7))
        tilt = np.clip(u * f32(1.6), -1, 1) * f32(2.2) + veins * f32(0.5)
        bump = (-ey * tilt, ex * tilt)
        return Surface(-q * thick, (-gx * thick, -gy * thick), albedo, bump, 0.22, 3, 0.4, base=base)

    r = width + 0.05
    xs, ys = sorted((start[0], end[0])), sorted((start[1], end[1]))
    return Part((xs[0] - r, ys[0] - r, xs[1] + r, ys[1] + r), paint)


def banana(random: Random) -> list[Part]:
    """A bent yellow fruit with facets, brown freckles, a stalk and a dark tip."""
    spread = random.uniform(0.75, 1.1)  # half the angle of the arc
    radius = 0.95 / float(np.sin(spread))
    fat = random.uniform(0.235, 0.285)
    ripe, freckles, green = random.uniform(0, 1), random.uniform(0.1, 1.0), random.uniform(0, 0.8)
    shift, side = texture_shift(random), random.choice((-1.0, 1.0))
    knots = (
        (-1.1, 0.0), (-1.02, 0.058), (-0.95, 0.06), (-0.86, 0.062), (-0.74, 0.15), (-0.5, fat * 0.88), (-0.1, fat),
        (0.35, fat * 0.96), (0.72, fat * 0.66), (0.92, 0.12), (0.99, 0.075), (1.04, 0.0),
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
        field = w2 - v * v
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
        body = mix(colour("#e8b014"), colour("#f7d23c"), np.clip(f32(0.5) + cloud * f32(0.22) + f32(0.35 - 0.5 * ripe), 0, 1))
        ends = np.clip(np.abs(s + f32(0.05)) * f32(2.4) - f32(1.35 + 0.5 * ripe), 0, 1)
        albedo = mix(body, colour("#a9b53a"), ends * f32(0.3 + 0.6 * green))
        ridge = np.clip(1 - np.abs(np.abs(a) - f32(0.4)) * f32(9), 0, 1)
        albedo = mix(albedo, colour("#b98a22"), ridge * f32(0.22 + 0.2 * ripe))
        spots = look("spots", at(a * f32(0.42), s, 84, shift)) * step(grain + cloud, -0.9, 0.9)
        albedo = mix(albedo, colour("#5a3310"), np.clip(spots * f32(1.5) - f32(0.35), 0, 1) * f32(freckles * 0.85))
        streak = look("fibre", at(s, a, 34, shift))
        albedo = mix(albedo, colour("#7a5018"), step(streak, 1.3, 2.3) * f32(0.3 * freckles))
        dark = step(np.abs(s - f32(-0.02)), 0.93, 1.0)
        albedo = mix(albedo, colour("#2c1c0c"), dark * f32(0.9))
        return Surface(field, slope, albedo, bump, 0.2, 4, 0.45, base=fat)

    return [Part((-0.62, -1.12, 0.62, 1.12), paint)]


APPLES = (  # ground colour, blush, how much blush
    ("#e6c05a", "#a80f1c", 0.75), ("#d8b34c", "#c01a22", 0.55), ("#cfd06a", "#c8323c", 0.3),
    ("#9fc13c", "#b8c84a", 0.2), ("#86b02c", "#a8c040", 0.2), ("#e0a040", "#7c0a16", 0.95), ("#efcf60", "#d24a30", 0.4),
)


def apple(random: Random) -> list[Part]:
    """A round fruit with broad shoulders, streaks that run from the stem's hollow, and pale pores."""
    ground, blush, amount = random.choice(APPLES)
    wide = random.uniform(0.93, 1.0)
    hollow = (random.uniform(-0.1, 0.1), random.uniform(-0.62, -0.42))
    shift, lean = texture_shift(random), random.uniform(-0.5, 0.5)
    knots = ((-0.93, 0.0), (-0.86, 0.42), (-0.68, 0.76 * wide), (-0.35, 0.95 * wide), (0.0, 0.98 * wide),
             (0.4, 0.86 * wide), (0.7, 0.6 * wide), (0.86, 0.36 * wide), (0.93, 0.0))

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
        red = np.clip(f32(amount) + streak * f32(0.17) + cloud * f32(0.2) + side, 0, 1)
        red = red * step(rho, 0.02, 0.42 - 0.3 * amount)
        albedo = mix(colour(ground), colour(blush), red)
        albedo = mix(albedo, colour("#8a7a38"), step(rho, 0.26, 0.02) * f32(0.75))
        dots = look("spots", at(wrapped(x, field), wrapped(y, field), 92, shift))
        albedo = mix(albedo, colour("#f0dca8"), step(dots, 0.35, 0.8) * f32(0.4 * visible(0.06, pixel)))
        albedo = albedo * (1 - f32(0.5) * dip * dip)
        return Surface(field, slope, albedo, bump, 0.5, 6, 0.22, base=0.9)

    tip = (hollow[0] + random.uniform(-0.2, 0.2), -1.0 + random.uniform(-0.08, 0.1))
    parts = [Part((-1.04, -1.0, 1.04, 1.0), paint)]
    if random.chance(0.35):
        way = random.choice((-1, 1))
        end = (way * random.uniform(0.5, 0.8), -0.9 - random.uniform(-0.05, 0.15))
        parts.append(leaf((hollow[0], hollow[1] - 0.12), end, random.uniform(0.16, 0.22), 1.5, random.uniform(0.3, 0.8)))
    parts.append(stem((hollow[0], hollow[1] + 0.02), tip, 0.045, 0.062, 1.45, random.uniform(-0.1, 0.1)))
    return parts


PEARS = (("#c9c04a", "#b8902c"), ("#b3bf45", "#8f9a30"), ("#d8c65a", "#c4682e"), ("#b08a48", "#8a5a26"), ("#a9b84a", "#a03a2a"))


def pear(random: Random) -> list[Part]:
    """A slender neck on a round belly, freckled with russet, blushing on one side."""
    skin, blush = random.choice(PEARS)
    neck, belly = random.uniform(0.25, 0.34), random.uniform(0.6, 0.68)
    bend, shift, lean = random.uniform(-0.1, 0.1), texture_shift(random), random.uniform(-1, 1)
    knots = ((-0.86, 0.0), (-0.82, neck * 0.55), (-0.72, neck * 0.86), (-0.55, neck), (-0.32, neck * 1.16), (-0.02, belly * 0.8),
             (0.3, belly), (0.6, belly * 0.94), (0.82, belly * 0.66), (0.93, belly * 0.36), (0.97, 0.0))
    rust = random.uniform(0.3, 1.0)

    def paint(x: np.ndarray, y: np.ndarray, pixel: float) -> Surface:
        field, slope, _ = revolve(x, y, knots, bend)
        index = at(wrapped(x, field, 0.45), y, 70, shift)
        cloud, grain = look("smooth", at(x, y, 36, shift)), look("fine", index)
        dots = look("spots", at(wrapped(x, field, 0.45), y, 110, shift))
        warm = np.clip(x * f32(0.55 * lean) + f32(0.22) + cloud * f32(0.14) + y * f32(0.12), 0, 1)
        albedo = mix(colour(skin), colour(blush), warm)
        russet = step(cloud * f32(0.5) + grain * f32(0.55), 0.5, 1.8) * f32(0.5 * rust)
        albedo = mix(albedo, colour("#7c4e22"), russet)
        albedo = mix(albedo, colour("#6a4a20"), step(dots, 0.3, 0.75) * f32(0.5 * visible(0.05, pixel)))
        albedo = mix(albedo, colour("#6b4c22"), step(y, -0.66, -0.86) * f32(0.55))
        eye = (x + f32(bend * 0.8)) ** 2 + (y - f32(0.9)) ** 2 * 3
        albedo = mix(albedo, colour("#3a2814"), step(eye, 0.03, 0.006) * f32(0.9))
        sx, sy = slopes("fine")
        k = f32(0.035 * visible(0.06, pixel))
        return Surface(field, slope, albedo, (sx.ravel()[index] * k, sy.ravel()[index] * k), 0.24, 4, 0.3, base=belly)

    top = (-bend * 0.72, -0.78)
    end = (top[0] + random.uniform(-0.16, 0.16), -1.12)
    parts = [Part((-0.8, -0.95, 0.8, 1.04), paint)]
    if random.chance(0.25):
        parts.append(leaf((top[0], -0.86), (random.choice((-1, 1)) * 0.62, -0.85), 0.16, belly, random.uniform(0.3, 0.8)))
    parts.append(stem(top, end, 0.04, 0.058, belly, random.uniform(-0.08, 0.08)))
    return parts


def _seam(x: np.ndarray, y: np.ndarray, place: float, deep: float) -> tuple[np.ndarray, np.ndarray]:
    """Return how dark the crease from stem to tip is, and how it tips the normal's x."""
    d = (x - f32(place) * (1 - y * y)) * f32(7)
    near = 1 / (1 + d * d)
    return near * near, -d * near * near * f32(deep)


def plum(random: Random) -> list[Part]:
    """A dark oval fruit with a seam, dusted with bloom."""
    skin = random.choice(("#3a1238", "#2a1440", "#4c1430", "#54204c"))
    wide, shift, bloom = random.uniform(0.76, 0.86), texture_shift(random), random.uniform(0.35, 1.0)
    place = random.uniform(0.12, 0.4) * random.choice((-1, 1))
    knots = ((-0.93, 0.0), (-0.84, wide * 0.46), (-0.5, wide * 0.84), (0.0, wide), (0.5, wide * 0.86), (0.84, wide * 0.46), (0.96, 0.0))

    def paint(x: np.ndarray, y: np.ndarray, pixel: float) -> Surface:
        field, slope, _ = revolve(x, y, knots)
        near, tip = _seam(x, y, place, 0.7)
        cloud = look("smooth", at(x, y, 46, shift))
        grain = look("fine", at(wrapped(x, field), y, 60, shift))
        red = np.clip(f32(0.25) + cloud * f32(0.2) + y * f32(0.25), 0, 1)
        albedo = mix(colour(skin), colour("#7c1c34"), red)
        dust = np.clip(f32(0.42) + cloud * f32(0.26) + grain * f32(0.1) - near * f32(0.3), 0, 1) * f32(bloom * 0.62)
        albedo = mix(albedo, colour("#7d80b4"), dust)
        hollow = step(x * x + (y + f32(0.86)) ** 2, 0.045, 0.004)
        albedo = albedo * (1 - f32(0.55) * near) * (1 - f32(0.6) * hollow)
        return Surface(field, slope, albedo, (tip, tip * 0), 0.34, 5, 0.12, 0.06, base=wide)

    parts = [Part((-0.94, -1.0, 0.94, 1.02), paint)]
    if random.chance(0.5):
        parts.append(stem((0, -0.84), (random.uniform(-0.15, 0.15), -1.15), 0.04, 0.05, wide, 0.05, "#4a4a1c", "#7a6a36"))
    return parts


def peach(random: Random) -> list[Part]:
    """A downy round fruit, yellow blushing to crimson, with a deep seam."""
    shift, lean = texture_shift(random), random.uniform(-0.8, 0.8)
    amount, place = random.uniform(0.3, 0.62), random.uniform(0.1, 0.42) * random.choice((-1, 1))
    knots = ((-0.9, 0.0), (-0.82, 0.44), (-0.6, 0.77), (-0.2, 0.95), (0.1, 0.97), (0.5, 0.83), (0.76, 0.56), (0.9, 0.24), (0.97, 0.0))

    def paint(x: np.ndarray, y: np.ndarray, pixel: float) -> Surface:
        field, slope, _ = revolve(x, y, knots)
        near, tip = _seam(x, y, place, 1.0)
        index = at(wrapped(x, field), wrapped(y, field), 70, shift)
        cloud, grain = look("smooth", at(x, y, 42, shift)), look("fine", index)
        red = np.clip(f32(amount) + x * f32(lean * 0.75) - y * f32(0.3) + cloud * f32(0.26) + grain * f32(0.07), 0, 1)
        albedo = mix(colour("#f3b04e"), colour("#e2643a"), np.clip(red * 2, 0, 1))
        albedo = mix(albedo, colour("#a81e2e"), np.clip(red * 2 - 1, 0, 1))
        dx, dy = x - f32(place * 0.25), y + f32(0.74)
        dip = 1 / (1 + (dx * dx + dy * dy * 2) * f32(22))
        albedo = albedo * (1 - f32(0.45) * near * step(y, 0.9, 0.0)) * (1 - f32(0.55) * dip * dip)
        bump = (tip - dx * dip * dip * 4, -dy * dip * dip * 6)
        return Surface(field, slope, albedo, bump, 0.05, 3, 0.35, 0.34, base=0.92)

    parts = [Part((-1.03, -0.98, 1.03, 1.03), paint)]
    if random.chance(0.3):
        way = random.choice((-1, 1))
        parts.append(leaf((place * 0.25, -0.72), (way * random.uniform(0.55, 0.8), -0.98), 0.15, 1.3, random.uniform(0.3, 0.8)))
    parts.append(stem((place * 0.25, -0.76), (place * 0.25 + 0.03, -0.9), 0.06, 0.055, 1.2))
    return parts


def strawberry(random: Random) -> list[Part]:
    """A red cone sown with yellow seeds, under a green star of leaves."""
    wide, shift = random.uniform(0.66, 0.78), texture_shift(random)
    bend, rows = random.uniform(-0.1, 0.1), random.uniform(4.6, 5.6)
    skin = random.choice(("#b8101c", "#c81a20", "#a00c1c"))
    knots = ((-0.84, 0.0), (-0.76, wide * 0.5), (-0.58, wide * 0.86), (-0.3, wide), (0.05, wide * 0.9), (0.45, wide * 0.64),
             (0.78, wide * 0.34), (0.93, wide * 0.14), (0.98, 0.0))

    def paint(x: np.ndarray, y: np.ndarray, pixel: float) -> Surface:
        field, slope, xb = revolve(x, y, knots, bend)
        w = np.sqrt(np.maximum(along(y, knots)[0], f32(0.01)))
        u = np.clip(xb / w, -1, 1)
        u = u * (1 + f32(0.35) * u * u) * f32(3.1)  # nearly the angle round the axis
        v = y * f32(rows)
        row = np.floor(v)
        u = u + row * f32(0.5)
        du, dv = u - np.floor(u) - f32(0.5), v - row - f32(0.5)
        near = np.clip(1 - (du * du * f32(6) + dv * dv * f32(5)), 0, 1)
        seen = f32(visible(1 / rows, pixel))
        seed = step(du * du * f32(70) + dv * dv * f32(26), 1.3, 0.6) * seen
        cloud = look("smooth", at(x, y, 40, shift))
        albedo = mix(colour(skin), colour("#e03a24"), np.clip(f32(0.3) + cloud * f32(0.25), 0, 1))
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
        albedo = mix(colour("#2f5a1a"), colour("#86a848"), np.clip(q * f32(0.6) + t * f32(0.25), 0, 1))
        lift = q * f32(1.1)
        return Surface(f32(0.02) * (1 - q), slope, albedo, (x * lift, py * lift), 0.15, 4, 0.4, base=wide * 1.35)

    parts = [Part((-0.9, -0.9, 0.9, 1.04), paint), Part((-0.68, -1.16, 0.68, -0.3), calyx)]
    parts.append(stem((0, -0.76), (random.uniform(-0.2, 0.2), -1.12), 0.045, 0.04, wide * 1.4, 0.05, "#5f7a2c", "#8fa850"))
    return parts
