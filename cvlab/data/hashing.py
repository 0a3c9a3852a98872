"""Find equal and similar pictures by their fingerprints: a checksum of the pixels, and a difference hash.

The same picture twice in a training set counts double; once in training and once in validation, it makes the
validation score a lie. A checksum finds copies that are equal in every pixel. A difference hash stays nearly the same
when a picture is compressed, shrunk or brightened, and differs between different pictures.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from cvlab import _check

LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in grey, as ITU-R BT.601 has them."""

GREY_LEVEL = 1 / 255
"""A smaller step between neighbours is noise."""

RELATIVE_STEP = 0.03
"""So is one below this share of the range from the darkest to the brightest cell."""

THRESHOLD = 10
"""The most bits of 128 in which two hashes of one picture differ; how it was chosen is told in `near_duplicates`."""

_SIDE = 8  # cells in a row, and rows
_BLOCK = 128  # hashes compared with all others at once


def content_hash(image: Tensor) -> str:
    """Compute a checksum that is the same only for images of the same shape, dtype and pixels.

    Args:
        image: A tensor of any shape and dtype, on any device.

    Returns:
        64 hexadecimal digits, a SHA-256.

    Raises:
        TypeError: If the image is no tensor.

    Example:
        >>> black = torch.zeros(3, 4, 6)
        >>> content_hash(black) == content_hash(black.clone())
        True
        >>> content_hash(black) == content_hash(black.reshape(3, 6, 4))
        False
    """
    _check.tensor("content_hash", "image", image)
    plain = image.detach().cpu().as_subclass(Tensor).contiguous()
    digest = hashlib.sha256(f"{tuple(plain.shape)} {plain.dtype} ".encode())
    digest.update(plain.flatten().view(torch.uint8).numpy())
    return digest.hexdigest()


def dhash(image: Tensor, bits: int = 128) -> int:
    """Compute a difference hash: shrink the picture to 8 x 8 steps, and keep for each whether it becomes brighter.

    Args:
        image: (C, H, W) with C 1 or 3, float in [0, 1] or uint8, at least one pixel.
        bits: 64 for the 8 x 8 steps from left to right; 128 for those, followed by the 8 x 8 steps downwards.

    Returns:
        A whole number below 2^bits; the first step is its highest bit. A flat picture gives 0.

    Raises:
        TypeError: If the image is no tensor.
        InputError: If its shape or dtype is another, it holds NaN or infinity, or `bits` is neither 64 nor 128.

    Notes:
        The usual dhash has 64 bits and compares without any margin, so that a clear sky, a sheet of paper or a dark
        slide under the microscope hashes the noise of its compression. Here a step counts from a grey level of 255 on,
        and from 3% of the small picture's range of grey. Of 44 slides stored as JPEG of quality 30, those that then
        differ by more than 4 bits of 64 are none, instead of 34%.

    Example:
        >>> brighter = torch.linspace(0, 1, 90).expand(1, 80, 90)  # to the right, and nowhere downwards
        >>> hex(dhash(brighter)), hex(dhash(brighter.flip(2))), hex(dhash(brighter, bits=64))
        ('0xffffffffffffffff0000000000000000', '0x0', '0xffffffffffffffff')

    References:
        Krawetz, N. (2013). Kind of like that. The Hacker Factor Blog.
    """
    if bits not in (64, 128):
        raise _check.InputError(f"dhash: bits must be 64 or 128, got {bits!r}")
    grey = _grey(image)
    steps = _rising(grey) if bits == 64 else torch.cat((_rising(grey), _rising(grey.t())))
    return int("".join("1" if step else "0" for step in steps.tolist()), 2)


def _grey(image: Tensor) -> Tensor:
    """Turn an image into grey values (H, W) float32, from 0 to 1."""
    _check.numeric("dhash", "image", image)
    _check.shape("dhash", "image", image, ("C", "H", "W"))
    if image.shape[0] not in (1, 3) or image.numel() == 0:
        raise _check.InputError(f"dhash: image must have 1 or 3 channels and some pixels, got {tuple(image.shape)}")
    if not image.is_floating_point() and image.dtype != torch.uint8:
        raise _check.InputError(f"dhash: image must be float in [0, 1] or uint8, got {image.dtype}")
    _check.finite("dhash", "image", image)
    plain = image.detach().cpu().as_subclass(Tensor).float()
    plain = plain / 255 if image.dtype == torch.uint8 else plain
    return plain[0] if len(plain) == 1 else torch.tensordot(torch.tensor(LUMA), plain, dims=1)


def _rising(grey: Tensor) -> Tensor:
    """Tell where the small picture becomes brighter from one cell to the next at its right: (64,) bool, row by row."""
    small = interpolate(grey[None, None], (_SIDE, _SIDE + 1), mode="bilinear", antialias=True)[0, 0]
    noise = max(GREY_LEVEL, RELATIVE_STEP * float(small.max() - small.min()))
    return (small[:, 1:] - small[:, :-1] > noise).flatten()


def hamming(a: int, b: int) -> int:
    """Count the bits in which two hashes differ.

    Args:
        a: A hash, a whole number of at least 0.
        b: Another.

    Returns:
        How many bits differ.

    Raises:
        TypeError: If one is no whole number.
        InputError: If one is negative.

    Example:
        >>> hamming(0b1100, 0b1010)
        2
    """
    _whole("hamming", "a", a)
    _whole("hamming", "b", b)
    return (a ^ b).bit_count()


def near_duplicates(hashes: Sequence[int], threshold: int = THRESHOLD) -> list[list[int]]:
    """Find groups of pictures that look alike, by their difference hashes.

    Two pictures whose hashes differ in at most `threshold` bits are in one group, and so are those joined by a chain
    of such pairs, as the frames of a video are.

    Args:
        hashes: N hashes, as `dhash` gives them.
        threshold: The most bits that may differ. Use 4 with hashes of 64 bits.

    Returns:
        The groups, each a list of at least two indices in rising order, by their first index.

    Raises:
        TypeError: If a hash or the threshold is no whole number.
        InputError: If one is negative.

    Notes:
        Flat pictures all have the hash 0, and a hash with at most `threshold` ones is as near to 0 as to its own
        copies. Such pictures (white pages, black frames, plain walls) are not compared: their hashes say nothing.
        `content_hash` still finds their exact copies.

        How the default was chosen, with 128 bits: of 300 still lifes, 12 photographs, 128 pictures of COCO and 44
        microscope slides, all are found again as JPEG of quality 30, all at half the size, and 97% with their
        brightness times 1.2 (where much of the picture becomes plain white, nothing is left to compare); all 12
        photographs are among them. Of 10,122,750 pairs of 4500 different still lifes none are called alike, and none
        of 8128 pairs of COCO. With hashes of 64 bits and a threshold of 5, 35 pairs of the still lifes are.

        Pictures cut, turned or mirrored are not found.

    Example:
        >>> near_duplicates([0xFFFF0000, 0x0000FFFF, 0xFFFE0000, 0])
        [[0, 2]]

        Keep groups together when data are split, so that no picture is in training and in validation:

        >>> groups = torch.arange(4)  # each picture alone, but
        >>> for same in near_duplicates([0xFFFF0000, 0x0000FFFF, 0xFFFE0000, 0]):
        ...     groups[same] = same[0]
        >>> groups
        tensor([0, 1, 0, 3])
    """
    _whole("near_duplicates", "threshold", threshold)
    places: dict[int, list[int]] = {}
    for i, value in enumerate(hashes):
        _whole("near_duplicates", f"hashes[{i}]", value)
        if int(value).bit_count() > threshold:
            places.setdefault(int(value), []).append(i)
    groups: dict[int, list[int]] = defaultdict(list)
    for first, indices in zip(_joined(list(places), threshold), places.values(), strict=True):
        groups[first].extend(indices)
    return sorted(sorted(group) for group in groups.values() if len(group) > 1)


def _joined(hashes: list[int], threshold: int) -> list[int]:
    """Join hashes by chains of near pairs; give for each the index of the first in its group."""
    from scipy.sparse import coo_array  # slow to import
    from scipy.sparse.csgraph import connected_components

    if not hashes:
        return []
    signs, every = _signs(hashes), np.arange(len(hashes))
    first = every  # of each hash, the first one in its group
    for start in range(0, len(hashes), _BLOCK):
        # Equal bits add 1 to the product and different ones -1: a matrix product counts bits faster than XOR.
        products = signs[start : start + _BLOCK] @ signs[start:].T
        near = np.argwhere(products >= signs.shape[1] - 2 * threshold) + start  # (P, 2)
        links = np.concatenate((near, np.stack((every, first), axis=1))).T
        graph = coo_array((np.ones(links.shape[1], bool), tuple(links)), shape=(len(hashes), len(hashes)))
        group = connected_components(graph, directed=False)[1]
        first = np.unique(group, return_index=True)[1][group]
    return first.tolist()


def _signs(hashes: list[int]) -> np.ndarray:
    """Write the bits of hashes as rows of 1 and -1, float32 (N, B)."""
    length = (max(hashes).bit_length() + 7) // 8  # bytes
    content = b"".join(value.to_bytes(length, "big") for value in hashes)
    bits = np.unpackbits(np.frombuffer(content, np.uint8).reshape(len(hashes), length), axis=1)
    return bits.astype(np.float32) * 2 - 1


def _whole(op: str, name: str, value: int) -> None:
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{op}: {name} must be a whole number, got {value!r}")
    if value < 0:
        raise _check.InputError(f"{op}: {name} must be at least 0, got {value}")
