"""Rendered pictures of nuclei with instance maps, for a network to learn from before it sees real ones.

Two kinds, as under a microscope: fluorescent nuclei, bright on dark, and stained tissue, dark on bright. Sizes, shapes,
crowding, brightness, texture, blur and noise vary far more than in any one real picture.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.random import Generator
from scipy import ndimage
from torch import Tensor

SIZE, FLUORESCENT = 256, 0.6
"""Sides of a picture, pixels; how many of the pictures are fluorescent, the others are tissue."""

LEAST = 16
"""Pixels that a nucleus shows at least."""


class Blob(NamedTuple):
    """A nucleus before it is drawn: centre, radius, length by width, and the angle of its length."""

    y: float
    x: float
    radius: float
    aspect: float
    turn: float


def picture(seed: int, size: int = SIZE) -> tuple[Tensor, Tensor]:
    """Render a picture.

    Args:
        seed: the same one gives the same picture.
        size: of its sides, pixels.

    Returns:
        A picture (3, H, W) uint8, and its instance map (H, W) int64, which may have no nucleus at all.
    """
    rng = np.random.default_rng([7, seed])
    values, instances = (fluorescent if rng.random() < FLUORESCENT else tissue)(rng, size)
    shown = torch.from_numpy(values.round().astype(np.uint8)).permute(2, 0, 1).contiguous()
    return shown, torch.from_numpy(largest_parts(instances))


def fluorescent(rng: Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Render bright nuclei on dark: a picture (n, n, 3), 0 to 255, and the instance map."""
    radius = np.exp(rng.uniform(np.log(3.5), np.log(24)))
    count = int(np.clip((n / radius / 2) ** 2 * rng.uniform(0.03, 0.5), 2, 130))
    blobs = places(rng, n, radius, count, rng.choice([0, 0.3, 0.7, 0.95]), rng.choice([0.12, 0.3, 0.5]))
    if rng.random() < 0.4:  # small ones among them
        blobs += places(rng, n, radius * rng.uniform(0.4, 0.7), count // 4, 0.5, 0.2)
    instances, depth = drawn(rng, n, blobs)
    light = glow(rng, n, radius, instances, depth, len(blobs))
    ground = rng.uniform(0, 0.25) * (1 + 0.3 * noise(rng, n, n / 4))
    haze = ndimage.gaussian_filter(light, radius * rng.uniform(0.5, 1.5)) * rng.choice([0, 0.1, 0.3, 0.5])
    faint = rubbish(rng, n, radius)
    values = ndimage.gaussian_filter(light, rng.uniform(0.4, 1.4)) + haze + faint + np.maximum(ground, 0)
    values = values / max(np.quantile(values, 0.999), 1e-3)
    photons = np.exp(rng.uniform(4, 8))
    values = rng.poisson(values * photons) / photons + rng.normal(0, rng.uniform(0, 0.015), (n, n))
    values = np.clip(values, 0, 1) ** rng.uniform(0.7, 1.6) * 255
    return np.repeat(values[..., None], 3, 2), instances


def glow(rng: Generator, n: int, radius: float, instances: np.ndarray, depth: np.ndarray, count: int) -> np.ndarray:
    """Compute the light of nuclei (n, n): each has its brightness, its texture, and a border that is soft or bright."""
    bright = np.exp(rng.normal(0, rng.choice([0.15, 0.35, 0.6]), count))
    texture = noise(rng, n, max(0.7, radius * rng.uniform(0.08, 0.25))) * rng.uniform(0.03, 0.3)
    dome = np.minimum(depth * rng.uniform(1.5, 8), 1) ** 0.7
    if rng.random() < 0.25:
        dome = dome * (1 - 0.4 * np.clip(depth, 0, 1))
    return of_each(instances, bright) * (0.35 + 0.65 * dome) * np.clip(1 + texture, 0.2, 2.5)


def rubbish(rng: Generator, n: int, radius: float) -> np.ndarray:
    """Render what shines and is no nucleus (n, n): some out of focus, and threads."""
    faint = np.zeros((n, n), np.float32)
    if rng.random() < 0.5:
        far, _ = drawn(rng, n, places(rng, n, radius * rng.uniform(0.6, 1.6), rng.integers(1, 6), 0, 0.8))
        faint = blurred(far, radius * rng.uniform(0.3, 0.8)) * rng.uniform(0.05, 0.25)
    if rng.random() < 0.3:
        threads = noise(rng, n, (1.2, 14), rng.uniform(0, 180))
        faint = faint + np.maximum(threads - 1.2, 0) * rng.uniform(0.02, 0.12)
    return faint


def tissue(rng: Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Render dark nuclei on bright stained ground: a picture (n, n, 3), 0 to 255, and the instance map."""
    radius = np.exp(rng.uniform(np.log(4.5), np.log(26)))
    count = int(np.clip((n / radius / 2) ** 2 * rng.uniform(0.05, 0.6), 2, 90))
    turn = rng.uniform(0, np.pi) if rng.random() < 0.5 else None
    blobs = places(rng, n, radius, count, rng.choice([0, 0.4, 0.8]), rng.choice([0.15, 0.4, 0.8]), turn)
    instances, depth = drawn(rng, n, blobs)
    pale, ink = stains(rng)
    angle = np.degrees(turn if turn is not None else rng.uniform(0, 3.1))
    ground = noise(rng, n, (1.5, 12), angle) * rng.uniform(0.01, 0.06)
    ground = ground + noise(rng, n, rng.uniform(5, 20)) * rng.uniform(0.01, 0.08)
    around = blurred(instances, radius * 0.7) * rng.choice([0, 0.15, 0.35])
    far, _ = drawn(rng, n, places(rng, n, radius * rng.uniform(0.6, 1.2), rng.integers(0, 6), 0, 0.5, turn))
    behind = ground + around + blurred(far, radius * 0.35) * rng.uniform(0.05, 0.35)
    dark = np.clip(rng.normal(rng.uniform(0.55, 0.95), 0.12, len(blobs)), 0.3, 1.1)
    texture = noise(rng, n, max(0.7, radius * rng.uniform(0.06, 0.2))) * rng.uniform(0.05, 0.25)
    rim = np.clip(1 - depth * 6, 0, 1) * rng.uniform(-0.1, 0.25)
    stain = of_each(instances, dark) * np.clip(1 + texture + rim, 0.2, 1.6)
    stain = ndimage.gaussian_filter(stain, rng.uniform(0.4, 1.2))
    stain = np.maximum(stain, np.clip(behind, -0.2, 0.8) * (1 - np.clip(stain, 0, 1)) + stain)
    values = pale + (ink - pale) * stain[..., None]
    values = values + noise(rng, n, rng.uniform(0, 0.8))[..., None] * rng.uniform(1, 5)
    values = values + noise(rng, n, n / 4)[..., None] * rng.uniform(0, 4)
    return np.clip(values, 0, 255), instances


def stains(rng: Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw the colours of the ground and of nuclei."""
    purple = rng.random() < 0.5
    pale = np.array([185.0, 165.0, 222.0] if purple else [215.0, 222.0, 216.0])
    ink = np.array([75.0, 45.0, 165.0] if purple else [110.0, 30.0, 110.0])
    return pale + rng.normal(0, 10, 3), ink + rng.normal(0, 20, 3)


def places(
    rng: Generator, n: int, radius: float, count: int, crowd: float, spread: float, turn: float | None = None
) -> list[Blob]:
    """Draw where nuclei lie.

    Args:
        rng: the random numbers.
        n: sides of the picture, pixels.
        radius: the usual one, pixels.
        count: how many are tried; fewer find room.
        crowd: how many of them lie beside one before, a share.
        spread: of the logarithm of length by width.
        turn: the angle that all share about; None for any.
    """
    blobs: list[Blob] = []
    for _ in range(count):
        r, aspect = radius * np.exp(rng.normal(0, 0.18)), np.exp(abs(rng.normal(0, spread)))
        angle = rng.uniform(0, np.pi) if turn is None else turn + rng.normal(0, 0.25)
        for _ in range(8):
            y, x = centre(rng, n, r, blobs, crowd)
            inside = -r < y < n + r and -r < x < n + r
            if inside and all((y - b.y) ** 2 + (x - b.x) ** 2 > (0.8 * (r + b.radius)) ** 2 for b in blobs):
                blobs.append(Blob(y, x, r, aspect, angle))
                break
    return blobs


def centre(rng: Generator, n: int, radius: float, blobs: list[Blob], crowd: float) -> tuple[float, float]:
    """Draw the centre of one nucleus: anywhere, or touching one before."""
    if not blobs or rng.random() >= crowd:
        y, x = rng.uniform(-radius / 2, n + radius / 2, 2)
        return y, x
    other, angle = blobs[rng.integers(len(blobs))], rng.uniform(0, 2 * np.pi)
    distance = (radius + other.radius) * rng.uniform(0.85, 1.25)
    return other.y + distance * np.sin(angle), other.x + distance * np.cos(angle)


def drawn(rng: Generator, n: int, blobs: list[Blob]) -> tuple[np.ndarray, np.ndarray]:
    """Draw nuclei, later ones on top: the instance map, and how deep inside a pixel lies, 0 to 1."""
    instances, depth = np.zeros((n, n), np.int64), np.zeros((n, n), np.float32)
    for number, blob in enumerate(blobs, 1):
        reach = int(blob.radius * blob.aspect**0.5 * 1.4) + 2
        top, left = max(0, int(blob.y) - reach), max(0, int(blob.x) - reach)
        rows, columns = slice(top, min(n, int(blob.y) + reach + 1)), slice(left, min(n, int(blob.x) + reach + 1))
        if rows.start >= rows.stop or columns.start >= columns.stop:
            continue
        inner = inwards(rng, blob, *np.mgrid[rows, columns])
        instances[rows, columns][inner > 0] = number
        depth[rows, columns][inner > 0] = inner[inner > 0]
    return instances, depth


def inwards(rng: Generator, blob: Blob, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Compute how deep pixels lie in an ellipse with a wavy outline: 1 in the centre, 0 on the outline."""
    y, x = y - blob.y, x - blob.x
    along = (x * np.cos(blob.turn) + y * np.sin(blob.turn)) / blob.aspect**0.5
    across = (y * np.cos(blob.turn) - x * np.sin(blob.turn)) * blob.aspect**0.5
    angle = np.arctan2(across, along)
    outline = np.ones_like(angle)
    for waves in (2, 3, 4, 5):
        outline += rng.normal(0, 0.09 / waves**0.7) * np.cos(waves * angle + rng.uniform(0, 6.3))
    return 1 - np.hypot(along, across) / (blob.radius * outline)


def noise(rng: Generator, n: int, sigma: float | tuple[float, float], angle: float | None = None) -> np.ndarray:
    """Draw smooth noise (n, n) of mean 0 and deviation 1; with two sigmas it has fibres, turned by degrees."""
    wide = n if angle is None else n + 2 * int(4 * np.max(sigma))
    values = ndimage.gaussian_filter(rng.standard_normal((wide, wide)).astype(np.float32), sigma, mode="wrap")
    if angle is not None:
        middle = slice((wide - n) // 2, (wide - n) // 2 + n)
        values = ndimage.rotate(values, angle, reshape=False, order=1, mode="wrap")[middle, middle]
    return (values - values.mean()) / (values.std() + 1e-6)


def of_each(instances: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Give each pixel the value of its nucleus, 0 outside."""
    return np.concatenate([[0], values])[instances].astype(np.float32)


def blurred(instances: np.ndarray, sigma: float) -> np.ndarray:
    """Blur the mask of an instance map."""
    return ndimage.gaussian_filter((instances > 0).astype(np.float32), sigma)


def largest_parts(instances: np.ndarray) -> np.ndarray:
    """Keep the largest part of each nucleus that others cover in part, and number anew what is large enough."""
    kept, number = np.zeros_like(instances), 0
    for i, box in enumerate(ndimage.find_objects(instances), 1):
        if box is None:
            continue
        parts, _ = ndimage.label(instances[box] == i)
        sizes = np.bincount(parts.ravel())[1:]
        if sizes.max() >= LEAST:
            number += 1
            kept[box][parts == 1 + sizes.argmax()] = number
    return kept
