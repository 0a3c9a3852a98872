"""Things on the table that are none of the kinds: they carry no label."""

from __future__ import annotations

import numpy as np

from cvlab.data.still_life.noise import at, clamp, colour, look, mix, slopes, step, turn, wave
from cvlab.data.still_life.parts import leaf, texture_shift, wrapped
from cvlab.data.still_life.rng import Random
from cvlab.data.still_life.surface import Part, Surface, ball, capsule, disc, revolve

f32 = np.float32


def plate(random: Random) -> list[Part]:
    """A glazed plate with a raised rim."""
    glaze = random.choice(("#cfc8b8", "#b9c0bb", "#7c9096", "#39424c", "#b59c80", "#d4cdbf", "#4f6257", "#8c4a38"))
    line = random.choice(("#8a5a34", "#3c5a78", "#b08a50", glaze))

    def paint(x: np.ndarray, y: np.ndarray, pixel: float) -> Surface:
        q = x * x + y * y
        field, slope = disc(q, (2 * x, 2 * y), 0.11, 6)
        r = np.sqrt(q) + f32(1e-3)
        grain = look("smooth", at(x, y, 40))
        albedo = mix(colour(glaze), colour("#fff8ea"), clamp(f32(0.12) + grain * f32(0.05)))
        albedo = mix(albedo, colour(line), step(np.abs(r - f32(0.93)), 0.03, 0.012) * f32(0.75))
        albedo = mix(albedo, colour("#9c7a4c"), step(np.abs(r - f32(0.985)), 0.03, 0.0) * f32(0.5))
        well = step(np.abs(r - f32(0.66)), 0.075, 0.0)
        tilt = (well * f32(-0.75) + step(r, 0.66, 0.74) * f32(-0.12)) / r
        return Surface(field, slope, albedo, (x * tilt, y * tilt), 0.34, 6, 0.15)

    return [Part((-1.03, -1.03, 1.03, 1.03), paint)]


def cup(random: Random) -> list[Part]:
    """A cup of coffee or tea from above, with its handle."""
    glaze = random.choice(("#ece6da", "#3f5568", "#7c8f80", "#b5553c", "#2c2c30", "#d8c4a4"))
    drink = random.choice(("#38190a", "#2a1208", "#5e2e12", "#6e2c08"))
    way = random.uniform(-0.4, 0.4)

    def wall(x: np.ndarray, y: np.ndarray, pixel: float) -> Surface:
        q = x * x + y * y
        r = np.sqrt(q) + f32(1e-3)
        field, slope = disc(q * f32(1 / 0.5184), (x * f32(2 / 0.5184), y * f32(2 / 0.5184)), 0.3, 6)
        inside = step(r, 0.64, 0.615)
        tilt = (step(np.abs(r - f32(0.615)), 0.05, 0.0) * f32(-1.3)) / r
        crema = look("smooth", at(x, y, 70))
        liquid = mix(colour(drink), colour("#9a5c26"), clamp(step(r, 0.1, 0.62) * f32(0.6) + crema * f32(0.1)))
        albedo = mix(colour(glaze), liquid, inside)
        depth = step(r, 0.45, 0.62) * inside
        return Surface(field, slope, albedo * (1 - f32(0.45) * depth), (x * tilt, y * tilt), 0.22, 7, 0.1, base=0.45)

    def handle(x: np.ndarray, y: np.ndarray, pixel: float) -> Surface:
        field, slope, _ = capsule(x, y, (0.0, -0.66), (way, -0.98), 0.11, 0.095)
        return Surface(field, slope, colour(glaze)[:, None, None] * np.ones_like(field), None, 0.5, 6, 0.1, base=0.4)

    return [Part((min(0, way) - 0.15, -1.1, max(0, way) + 0.15, -0.5), handle), Part((-0.76, -0.76, 0.76, 0.76), wall)]


CORK = ((-0.97, 0.0), (-0.95, 0.4), (-0.88, 0.47), (-0.75, 0.49), (0.75, 0.49), (0.88, 0.47), (0.95, 0.4), (0.97, 0.0))


def cork(random: Random) -> list[Part]:
    """A wine cork on its side."""
    shift, stain = texture_shift(random), random.choice(("#5a1424", "#b08850"))

    def paint(x: np.ndarray, y: np.ndarray, pixel: float) -> Surface:
        field, slope, _ = revolve(x, y, CORK)
        index = at(x, y, 80, shift)
        grain, cloud = look("fine", index), look("smooth", at(x, y, 60, shift))
        albedo = mix(colour("#a87c4a"), colour("#d8b483"), clamp(f32(0.5) + grain * f32(0.16) + cloud * f32(0.14)))
        pits = look("spots", at(x, y, 96, shift))
        albedo = mix(albedo, colour("#5c3c1e"), step(pits, 0.15, 0.7) * f32(0.75))
        albedo = mix(albedo, colour(stain), step(y, 0.6, 0.95) * f32(0.6))
        return Surface(field, slope, albedo, (grain * f32(0.1), cloud * f32(0.1)), 0.06, 3, 0.1, base=0.48)

    return [Part((-0.6, -1.05, 0.6, 1.05), paint)]


def walnut(random: Random) -> list[Part]:
    """A wrinkled nut with a seam."""
    shift, wide = texture_shift(random), random.uniform(0.78, 0.88)

    def paint(x: np.ndarray, y: np.ndarray, pixel: float) -> Surface:
        field, slope = ball(x, y, wide, 0.96)
        u = x + look("smooth", at(x, y, 60, shift)) * f32(0.03)
        index = at(wrapped(x, field), wrapped(y, field), 150, shift)
        brain = look("smooth", index)
        fold = clamp(1 - np.abs(brain) * f32(2.2))
        seam = step(np.abs(u), 0.08, 0.01)
        albedo = mix(colour("#b08452"), colour("#54341a"), clamp(fold * f32(0.55) + seam * f32(0.5)))
        sx, sy = slopes("smooth")
        k = f32(-3.2) * np.sign(brain)
        bump = (-sx.take(index) * k - u * seam * 5, -sy.take(index) * k)
        return Surface(field, slope, albedo, bump, 0.12, 4, 0.08, base=wide)

    return [Part((-0.96, -1.02, 0.96, 1.02), paint)]


def coin(random: Random) -> list[Part]:
    """An old coin with a raised rim and a worn relief."""
    metal, light = random.choice((("#6a4420", "#a87038"), ("#70706c", "#a8a8a2"), ("#7c6026", "#b4943c")))
    shift = texture_shift(random)

    def paint(x: np.ndarray, y: np.ndarray, pixel: float) -> Surface:
        q = x * x + y * y
        field, slope = disc(q, (2 * x, 2 * y), 0.12, 6)
        r = np.sqrt(q) + f32(1e-3)
        index = at(x, y, 60, shift)
        inner = step(r, 0.72, 0.6)
        sx, sy = slopes("smooth")
        relief = look("smooth", index)
        albedo = mix(colour(metal), colour(light), clamp(f32(0.5) + relief * f32(0.25) * inner))
        tilt = step(np.abs(r - f32(0.82)), 0.06, 0.0) * f32(-0.9) / r
        k = inner * f32(2.4)
        return Surface(
            field, slope, albedo, (x * tilt + sx.take(index) * k, y * tilt + sy.take(index) * k), 0.45, 4, 0.0
        )

    return [Part((-1.03, -1.03, 1.03, 1.03), paint)]


def knife(random: Random) -> list[Part]:
    """A kitchen knife with a wooden handle."""
    wood, shift = random.choice(("#4a2a16", "#7c5228", "#2a1c16")), texture_shift(random)

    def blade(x: np.ndarray, y: np.ndarray, pixel: float) -> Surface:
        back = f32(0.13)
        t = clamp((y + f32(1.08)) * f32(1.25))
        edge = f32(-0.15) + (1 - t) ** 2 * f32(0.28)
        mid, half = (back + edge) * f32(0.5), (back - edge) * f32(0.5)
        u = x - mid
        end = np.minimum(f32(0.25) - y, 0) * f32(0.5)
        field = (half * half - u * u) * f32(0.02) + np.where(y > 0.25, -np.abs(end), 0)
        field = field - np.maximum(f32(-1.04) - y, 0)
        brush = look("fibre", at(y, x, 60, shift))
        albedo = mix(colour("#5c636a"), colour("#8f969c"), clamp(f32(0.5) + brush * f32(0.12)))
        bevel = step(x, -0.02, -0.08) * f32(-0.5) + f32(0.12) + brush * f32(0.02)
        flat = f32(0.04)
        bump = (bevel, y * f32(0.12))
        return Surface(field, (u * -flat, u * 0 + 1e-4), albedo, bump, 0.6, 4, 0.0, base=0.05)

    def handle(x: np.ndarray, y: np.ndarray, pixel: float) -> Surface:
        field, slope, s = capsule(x, y, (0.0, 0.3), (0.02, 0.95), 0.115, 0.13, 0.02)
        grain = look("fibre", at(y * f32(0.5), x, 120, shift))
        albedo = mix(colour(wood), colour("#b98a58"), clamp(f32(0.22) + grain * f32(0.16)))
        rivet = step(x * x + (wave(s * 1.5 + f32(0.05)) * f32(0.1)) ** 2, 0.003, 0.001)
        albedo = mix(albedo, colour("#c8c4b8"), rivet * step(np.abs(s - f32(0.5)), 0.45, 0.4))
        return Surface(field, slope, albedo, None, 0.3, 5, 0.05, base=0.08)

    return [Part((-0.2, -1.1, 0.2, 0.3), blade), Part((-0.2, 0.14, 0.2, 1.12), handle)]


def cinnamon(random: Random) -> list[Part]:
    """A rolled stick of cinnamon bark."""
    shift = texture_shift(random)

    def paint(x: np.ndarray, y: np.ndarray, pixel: float) -> Surface:
        u = np.abs(x) - f32(0.1)
        end = y * y
        end = end * end
        end = end * end
        field = f32(0.0121) * (1 - end * end) - u * u
        side = np.where(x < 0, f32(2), f32(-2))
        slope = (u * side, end * end * y * f32(-0.19) / np.maximum(y * y, f32(0.01)))
        bark, grain = look("fibre", at(y * f32(0.5), x, 100, shift)), look("fine", at(x, y, 90, shift))
        albedo = mix(colour("#4a220e"), colour("#8f5226"), clamp(f32(0.5) + bark * f32(0.24) + grain * f32(0.1)))
        albedo = albedo * (1 - f32(0.75) * step(np.abs(x), 0.035, 0.0)) * (1 - f32(0.5) * step(np.abs(y), 0.9, 1.0))
        return Surface(field, slope, albedo, (bark * f32(0.35), grain * f32(0.2)), 0.05, 3, 0.05, base=0.11)

    return [Part((-0.26, -1.06, 0.26, 1.06), paint)]


def sprig(random: Random) -> list[Part]:
    """A twig with three leaves."""
    twig = lambda start, end, width: leaf(start, end, width, 0.12, random.uniform(0.1, 0.9))  # noqa: E731

    def stick(x: np.ndarray, y: np.ndarray, pixel: float) -> Surface:
        field, slope, s = capsule(x, y, (0.05, 0.95), (0.0, -0.3), 0.035, 0.02, 0.06)
        return Surface(field, slope, mix(colour("#5a4424"), colour("#6f8436"), s), None, 0.15, 4, 0.1, base=0.08)

    parts = [Part((-0.2, -0.4, 0.2, 1.02), stick)]
    parts.append(twig((0.02, 0.35), (0.75, -0.1), 0.17))
    parts.append(twig((0.0, 0.1), (-0.72, -0.32), 0.17))
    parts.append(twig((0.0, -0.22), (random.uniform(-0.2, 0.2), -1.02), 0.18))
    return parts


def berries(random: Random) -> list[Part]:
    """Three blueberries."""
    parts = []
    for cx, cy in ((-0.45, 0.3), (0.5, 0.35), (0.0, -0.45)):
        r, dust = random.uniform(0.38, 0.48), random.uniform(0.2, 0.6)

        def paint(
            x: np.ndarray, y: np.ndarray, pixel: float, cx: float = cx, cy: float = cy, r: float = r, dust: float = dust
        ) -> Surface:
            px, py = x - f32(cx), y - f32(cy)
            field, slope = ball(px, py, r, r)
            cloud = look("smooth", at(x, y, 80))
            albedo = mix(colour("#141c3c"), colour("#6f7fb4"), clamp(f32(dust) + cloud * f32(0.15)))
            q = (px * px + py * py) * f32(1 / r**2)
            star = q * (f32(1.4) + wave(turn(px, py) * 5) * f32(0.6))
            albedo = albedo * (1 - f32(0.75) * step(star, 0.16, 0.06))
            return Surface(field, slope, albedo, None, 0.25, 5, 0.1, 0.05, base=r)

        parts.append(Part((cx - r - 0.06, cy - r - 0.06, cx + r + 0.06, cy + r + 0.06), paint))
    return parts


PROPS = {  # name: (maker, smallest and largest half size as a fraction of the image's short side)
    "sprig": (sprig, 0.12, 0.2),
    "walnut": (walnut, 0.075, 0.1),
    "coin": (coin, 0.045, 0.065),
    "cork": (cork, 0.08, 0.1),
    "cinnamon": (cinnamon, 0.14, 0.2),
    "berries": (berries, 0.07, 0.09),
    "cup": (cup, 0.17, 0.23),
    "knife": (knife, 0.3, 0.42),
    "plate": (plate, 0.26, 0.38),
}
