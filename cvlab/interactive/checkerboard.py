"""Checkerboards: how many kernel entries each pixel gets when a kernel is laid with a stride, and what cures it."""

from __future__ import annotations

from typing import Any

import torch

from cvlab import _check
from cvlab._check import InputError
from cvlab.interactive.figure import StaticFigure
from cvlab.interactive.grids import as_whole
from cvlab.interactive.state import as_tensor

QUESTION = "Which sizes of the kernel leave no pattern at stride 2, and which at stride 3?"
LEAST_KERNEL, MOST_KERNEL, MOST_STRIDE = 2, 6, 4
MOST_SEED = 2**31 - 1
METHODS = ("transposed", "resize", "shuffle")
KERNELS = ("ones", "random")
PICTURES = ("constant", "smooth")


def checkerboard(
    weight: Any = None,
    *,
    kernel_size: int = 3,
    stride: int = 2,
    method: str = "transposed",
    kernel: str = "ones",
    picture: str = "smooth",
    seed: int = 0,
    question: str = QUESTION,
) -> StaticFigure:
    """Make an explorer of what enlarging by a stride does to a picture, for three ways to do it.

    Args:
        weight: (6, 6) the positive numbers of the random kernel, of which a smaller one is the first rows and columns;
            drawn between 0.1 and 1 with `seed` if None. They go into the page with three digits.
        kernel_size: rows and columns of the kernel at first, 2 to 6.
        stride: how many times the picture is enlarged along each side at first, 1 to 4.
        method: how it is enlarged at first: "transposed" convolution, "resize" to the nearest pixel and then
            convolve, or "shuffle" the channels of a convolution whose kernels were started with ICNR.
        kernel: "ones" or "random", at first.
        picture: "constant" or "smooth", at first.
        seed: of the random kernel.
        question: what the figure asks its reader.

    Returns:
        The figure, for the last line of a notebook cell.

    Raises:
        InputError: for a kernel of another shape or with numbers that are not positive, and for numbers and words out
            of range.

    Notes:
        The kernel is divided by its sum, and multiplied by stride^2 for the transposed convolution, so that the mean of
        a picture stays. The page shows 48 x 48 pixels from the middle of the result, which no border reaches.

    Example:
        >>> checkerboard(kernel_size=4, stride=2, kernel="random")
        <interactive figure: checkerboard>

    References:
        Odena, A., Dumoulin, V. and Olah, C. (2016). Deconvolution and checkerboard artifacts. Distill.
        Aitken, A. et al. (2017). Checkerboard artifact free sub-pixel convolution. arXiv:1707.02937.
    """
    op = "checkerboard"
    _check.choice(op, "method", method, METHODS)
    _check.choice(op, "kernel", kernel, KERNELS)
    _check.choice(op, "picture", picture, PICTURES)
    alt = (
        "A picture enlarged by a kernel that is laid with a stride, as grey levels. Bars show how many entries of the "
        "kernel each pixel of a line gets, and a spectrum shows the pattern this makes. Where the stride does not "
        "divide the kernel it is uneven; resizing before a convolution and shuffling pixels leave it even."
    )
    return StaticFigure(
        op,
        alt,
        question=question,
        weight=_weight(weight, as_whole(op, "seed", seed, 0, MOST_SEED)),
        size=as_whole(op, "kernel_size", kernel_size, LEAST_KERNEL, MOST_KERNEL),
        stride=as_whole(op, "stride", stride, 1, MOST_STRIDE),
        method=method,
        kernel=kernel,
        picture=picture,
    )


def _weight(weight: Any, seed: int) -> list[list[float]]:
    """Return the random kernel with three digits."""
    if weight is None:
        draw = torch.rand(MOST_KERNEL, MOST_KERNEL, generator=torch.Generator().manual_seed(seed))
        weight = 0.1 + 0.9 * draw
    numbers = as_tensor("checkerboard", "weight", weight)
    _check.shape("checkerboard", "weight", numbers, (MOST_KERNEL, MOST_KERNEL))
    wrong = (numbers < 0.001).nonzero().tolist()
    if wrong:
        got = numbers[tuple(wrong[0])].item()
        raise InputError(f"checkerboard: weight{wrong[0]} must be at least 0.001, got {got:g}")
    return [[round(value, 3) for value in line] for line in numbers.tolist()]
