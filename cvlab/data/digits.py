"""Pictures of digits: real handwriting, turned, shifted, coloured and made noisy, without a download."""

from __future__ import annotations

import functools

import torch
from torch import Tensor
from torch.nn import functional

from cvlab import _check

SIDE = 32
_SPLITS = {"train": slice(0, 1200), "val": slice(1200, 1400), "test": slice(1400, None)}


def digits(count: int, split: str = "train", seed: int = 0) -> tuple[Tensor, Tensor]:
    """Render handwritten digits of 32 x 32 pixels, bright on darker ground, in random colours, places and noise.

    The handwriting is that of scikit-learn's 1,797 digits of 8 x 8 pixels; the splits share no original.

    Args:
        count: of the pictures.
        split: "train", "val" or "test".
        seed: of everything random.

    Returns:
        Pictures (count, 3, 32, 32) uint8, and the digits that they show (count,) int64.

    Raises:
        InputError: if the split is unknown, or the count is not positive.

    Example:
        >>> images, labels = digits(4, "test")
        >>> images.shape, labels.shape
        (torch.Size([4, 3, 32, 32]), torch.Size([4]))

    References:
        Alpaydin, E. and Kaynak, C. (1998). Optical recognition of handwritten digits. UCI machine learning repository.
    """
    _check.choice("digits", "split", split, _SPLITS)
    _check.positive("digits", "count", [count])
    originals, labels = (values[_SPLITS[split]] for values in _originals())
    generator = torch.Generator().manual_seed(seed * len(_SPLITS) + list(_SPLITS).index(split))

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(count, *shape, generator=generator)

    chosen = torch.randint(len(labels), (count,), generator=generator)
    ink = _placed(originals[chosen], uniform(1.0, 1.4), uniform(-0.3, 0.3), uniform(-0.25, 0.25, 2))
    ground = uniform(0, 0.5, 3, 1, 1)
    colour = ground + uniform(0.25, 0.65, 3, 1, 1)
    noise = uniform(0, 0.15, 1, 1, 1) * torch.randn(count, 3, SIDE, SIDE, generator=generator)
    pictures = (torch.lerp(ground, colour, ink) + noise).clamp(0, 1)
    return (pictures * 255).round().to(torch.uint8), labels[chosen]


@functools.cache
def _originals() -> tuple[Tensor, Tensor]:
    """Read the 1,797 digits (N, 1, 8, 8) in [0, 1], and their labels, in one shuffled order."""
    from sklearn.datasets import load_digits

    data = load_digits()
    order = torch.randperm(len(data.target), generator=torch.Generator().manual_seed(7))
    ink = torch.tensor(data.images / 16, dtype=torch.float32)[:, None]
    return ink[order], torch.tensor(data.target)[order]


def _placed(ink: Tensor, zoom_out: Tensor, angle: Tensor, shift: Tensor) -> Tensor:
    """Turn, shrink and shift digits (N, 1, 8, 8) on a canvas of 32 x 32; angles in radians, shifts in half canvases."""
    cos, sin = zoom_out * angle.cos(), zoom_out * angle.sin()
    rows = torch.stack([torch.stack([cos, -sin, shift[:, 0]], 1), torch.stack([sin, cos, shift[:, 1]], 1)], 1)
    grid = functional.affine_grid(rows, [len(ink), 1, SIDE, SIDE], align_corners=False)
    return functional.grid_sample(ink, grid, align_corners=False)
