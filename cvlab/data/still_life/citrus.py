"""Fruit shown whole or cut in half: orange, lemon, lime, kiwi."""

from __future__ import annotations

import numpy as np

from cvlab.data.still_life.noise import at, clamp, colour, look, mix, slopes, step, turn, wave
from cvlab.data.still_life.parts import leaf, texture_shift, visible, wrapped
from cvlab.data.still_life.rng import Random
from cvlab.data.still_life.surface import Fruit, Part, Surface, disc, revolve

f32 = np.float32


def _peel(index: np.ndarray, deep: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the bumps of a dimpled peel."""
    sx, sy = slopes("pores")
    return sx.take(index) * f32(deep), sy.take(index) * f32(deep)


def _cut(random: Random, zest: str, flesh: str, juice: str) -> Fruit:
    """Make the cut face of a citrus fruit: zest, pith, and segments of juice sacs between pale walls."""
    count, spin = random.integer(9, 12), random.uniform(0, 1)
    shift = texture_shift(random)
    ox, oy = random.uniform(-0.05, 0.05), random.uniform(-0.05, 0.05)

    def paint(x: np.ndarray, y: np.ndarray, pixel: float) -> Surface:
        q = x * x + y * y
        field, slope = disc(q, (2 * x, 2 * y), 0.28, 5)
        r = np.sqrt(q)
        px, py = x - f32(ox), y - f32(oy)
        rc = np.sqrt(px * px + py * py)
        angle = turn(px, py) * f32(count) + f32(spin)
        d = np.abs(angle - np.floor(angle) - f32(0.5))  # 0.5 on the walls
        gap = (f32(0.5) - d) * rc * f32(6.28 / count)  # distance to the wall
        wall = step(gap, 0.03 + pixel * 0.3, 0.008)
        round_end = clamp((d - f32(0.28)) * 2)
        pith = step(r + round_end * round_end * f32(0.25), 0.79, 0.83)
        core = step(rc, 0.13, 0.07)
        # juice sacs: long drops that point to the middle, bent a little
        ripple = wave(rc * f32(4.3) + angle * f32(0.37))
        sac = wave(angle * f32(4) + ripple * f32(0.22)) * f32(0.8) + wave(rc * f32(7) + angle * f32(2.6)) * f32(0.6)
        sac = sac * f32(visible(1.2 / count, pixel))
        grain = look("fine", at(x, y, 60, shift))
        albedo = mix(
            colour(flesh),
            colour(juice),
            clamp(f32(0.45) + sac * f32(0.15) + grain * f32(0.04) + (r - f32(0.5)) * f32(0.35)),
        )
        pale = np.maximum(np.maximum(wall, pith), core)
        albedo = mix(albedo, colour("#eee0b4"), pale * f32(0.9))
        albedo = mix(albedo, colour(zest), step(r, 0.9, 0.945))
        k = (1 - pale) * f32(0.25)
        bump = (sac * k, grain * k)
        return Surface(field, slope, albedo, bump, 0.2, 5, 0.35, base=0.1)

    return Fruit([Part((-1.04, -1.04, 1.04, 1.04), paint)], (ox, oy), (ox, oy), seen=(False, False))


def orange(random: Random) -> Fruit:
    """A dimpled ball with a small green star where the stem was; sometimes cut in half."""
    if random.chance(0.22):
        return _cut(random, "#f07a10", "#f0921c", "#de5a08")
    skin = random.choice(("#ee7f12", "#f08c1c", "#e8700c"))
    shift, squash = texture_shift(random), random.uniform(0.95, 1.0)
    navel = (random.uniform(-0.35, 0.35), random.uniform(-0.75, -0.35))
    with_leaf = random.chance(0.3)

    def paint(x: np.ndarray, y: np.ndarray, pixel: float) -> Surface:
        s = f32(1 / squash**2)
        field, slope = 1 - x * x - y * y * s, (-2 * x, -2 * y * s)
        index = at(wrapped(x, field), wrapped(y, field), 80, shift)
        seen = visible(0.1, pixel)
        pores = look("pores", index) * f32(seen)
        cloud = look("smooth", at(x, y, 40, shift))
        albedo = mix(colour(skin), colour("#f8a02c"), clamp(f32(0.4) + cloud * f32(0.2)))
        albedo = albedo * (1 - f32(0.16) * pores)
        dx, dy = x - f32(navel[0]), y - f32(navel[1])
        r2 = dx * dx + dy * dy
        star = r2 * (f32(1.6) + wave(turn(dx, dy) * 5) * f32(0.7))
        dip = 1 / (1 + r2 * f32(30))
        albedo = albedo * (1 - f32(0.25) * dip * dip)
        albedo = mix(albedo, colour("#6f7a34"), step(star, 0.03, 0.014))
        albedo = mix(albedo, colour("#cbb98a"), step(r2, 0.006, 0.002))
        bx, by = _peel(index, 0.75 * seen)
        return Surface(
            field, slope, albedo, (bx - dx * dip * dip * 4, by - dy * dip * dip * 4), 0.34, 4, 0.28, base=0.95
        )

    parts = [Part((-1.04, -1.02, 1.04, 1.02), paint)]
    if with_leaf:
        end = (navel[0] + random.choice((-1, 1)) * random.uniform(0.6, 0.8), navel[1] - random.uniform(0.1, 0.4))
        parts.append(leaf(navel, end, random.uniform(0.18, 0.24), 1.55, random.uniform(0.2, 0.7)))
    return Fruit(parts, navel, (-navel[0], -navel[1]), seen=(True, False))


def _nubbed(random: Random, skins: tuple[str, ...], tint: str, nub: float, wide: float, shoulder: float) -> Fruit:
    """Make a whole lemon or lime: an oval with a nub at each end."""
    skin, shift = random.choice(skins), texture_shift(random)
    w = wide * random.level(0.95, 1.05)
    bend = random.uniform(-0.07, 0.07)
    s = shoulder
    knots = (
        (-1.0, 0.0),
        (-0.97, nub * 0.75),
        (-0.9, nub),
        (-0.8, w * s),
        (-0.5, w * 0.83),
        (-0.1, w),
        (0.2, w * 0.98),
        (0.55, w * 0.78),
        (0.82, w * s),
        (0.93, nub * 1.15),
        (1.02, nub * 0.8),
        (1.06, 0.0),
    )

    def paint(x: np.ndarray, y: np.ndarray, pixel: float) -> Surface:
        field, slope, _ = revolve(x, y, knots, bend)
        index = at(wrapped(x, field, w * w), y, 80, shift)
        seen = visible(0.1, pixel)
        cloud = look("smooth", at(x, y, 40, shift))
        albedo = mix(colour(skin), colour(tint), clamp(f32(0.35) + cloud * f32(0.25) + np.abs(y) ** 3 * f32(0.4)))
        albedo = albedo * (1 - f32(0.15) * look("pores", index) * f32(seen))
        scar = step(x * x + (y + f32(1.0)) ** 2, 0.02, 0.006)
        albedo = mix(albedo, colour("#6a6a2c"), scar * f32(0.85))
        return Surface(field, slope, albedo, _peel(index, 0.62 * seen), 0.4, 5, 0.35, base=w)

    ends = (-bend * 0.8, -0.9), (-bend * 0.8, 0.9)
    return Fruit([Part((-w - 0.12, -1.06, w + 0.12, 1.12), paint)], *ends)


def lemon(random: Random) -> Fruit:
    """A bright yellow oval with a nub at each end; sometimes cut in half."""
    if random.chance(0.25):
        return _cut(random, "#f2cc1c", "#ecd45e", "#dcb42e")
    return _nubbed(random, ("#f2cb14", "#f4d220", "#efc40e"), "#dcd03a", 0.16, 0.68, 0.47)


def lime(random: Random) -> Fruit:
    """A small green oval; sometimes cut in half."""
    if random.chance(0.3):
        return _cut(random, "#3f7a1a", "#a9c860", "#76a436")
    return _nubbed(random, ("#3f7d1c", "#4c8a20", "#356e1a"), "#8fae3a", 0.1, 0.8, 0.5)


def kiwi(random: Random) -> Fruit:
    """A brown furry egg, or its cut face: green rays from a pale heart, ringed with black seeds."""
    shift = texture_shift(random)
    wide = random.level(0.74, 0.84)
    if random.chance(0.4):
        knots = (
            (-0.98, 0.0),
            (-0.9, wide * 0.4),
            (-0.55, wide * 0.82),
            (0.0, wide),
            (0.55, wide * 0.82),
            (0.9, wide * 0.4),
            (0.98, 0.0),
        )

        def whole(x: np.ndarray, y: np.ndarray, pixel: float) -> Surface:
            field, slope, _ = revolve(x, y, knots)
            u = wrapped(x, field, wide * wide)
            fur, grain = look("fibre", at(y * f32(1.6), u, 110, shift)), look("fine", at(u, y, 90, shift))
            cloud = look("smooth", at(x, y, 40, shift))
            t = clamp(f32(0.42) + fur * f32(0.07) + grain * f32(0.17) + cloud * f32(0.12))
            albedo = mix(colour("#523c1a"), colour("#8e703a"), t)
            albedo = mix(albedo, colour("#3a2812"), step(x * x + (y + f32(0.9)) ** 2, 0.03, 0.006))
            return Surface(field, slope, albedo, (fur * f32(0.14), grain * f32(0.14)), 0.06, 3, 0.1, 0.16, base=wide)

        return Fruit([Part((-wide - 0.1, -1.02, wide + 0.1, 1.02), whole)], (0.0, -0.86), (0.0, 0.86))
    count, spin, wide = random.integer(24, 31), random.uniform(0, 1), random.uniform(0.88, 1.0)

    def cut(x: np.ndarray, y: np.ndarray, pixel: float) -> Surface:
        xx = x * f32(1 / wide)
        q = xx * xx + y * y
        field, slope = disc(q, (2 * xx * f32(1 / wide), 2 * y), 0.3, 5)
        r = np.sqrt(q)
        ax = x * f32(1.25)  # the heart is a little longer than wide
        rc = np.sqrt(ax * ax + y * y)
        angle = turn(ax, y) * f32(count) + f32(spin)
        ray = wave(angle) * f32(visible(2.2 / count, pixel))
        grain = look("fine", at(x, y, 70, shift))
        fibre = look("fibre", at(r * f32(0.4), angle * f32(0.16), 64, shift))
        t = clamp((rc - f32(0.2)) * f32(1.25) + ray * f32(0.1) + fibre * f32(0.1) + grain * f32(0.04))
        albedo = mix(colour("#a9c048"), colour("#4f8a16"), t)
        albedo = mix(albedo, colour("#dfe2ac"), step(rc + ray * f32(0.03) + grain * f32(0.012), 0.36, 0.24))
        cell = np.floor(angle)
        d = angle - cell - f32(0.5)
        odd = cell - 2 * np.floor(cell * f32(0.5))
        place = rc - f32(0.43) - odd * f32(0.1)
        seed = step(d * d * f32(10) + place * place * f32(230), 1.2, 0.6) * f32(max(0.55, visible(2.6 / count, pixel)))
        albedo = mix(albedo, colour("#14100a"), seed * f32(0.92))
        albedo = mix(albedo, colour("#b9c86c"), step(r, 0.86, 0.93) * f32(0.5))
        albedo = mix(albedo, colour("#5c4020"), step(r, 0.935, 0.965))
        return Surface(field, slope, albedo, (ray * f32(0.3), grain * f32(0.2)), 0.2, 5, 0.3, base=0.1)

    return Fruit([Part((-1.04, -1.04, 1.04, 1.04), cut)], (0.0, 0.0), (0.0, 0.0), seen=(False, False))
