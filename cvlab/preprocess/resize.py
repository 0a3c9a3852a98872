"""Resizing as two matrix products, and the pictures that show what goes wrong without a filter."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor

from cvlab import _check
from cvlab.preprocess import _pixels

METHODS = ("nearest", "bilinear", "bicubic")
"""How a new pixel comes from the old ones, the closest one, or a weighted mean of 2, or of 4, in each direction."""

_REACH = {"bilinear": 1, "bicubic": 2}  # how far from its centre a kernel is above zero, pixels


def resize_weights(n_in: int, n_out: int, method: str = "bilinear", antialias: bool = True) -> Tensor:
    """Make the matrix that resizes a row of pixels: each new pixel is a weighted mean of old ones.

    The centre of new pixel i lies at (i + 0.5) n_in / n_out among the old ones, whose centres are at 0.5, 1.5, ... The
    method's kernel, centred there, gives the weights.

    Args:
        n_in: The number of pixels there are, at least 1.
        n_out: The number of pixels wanted, at least 1.
        method: One of `METHODS`.
        antialias: When shrinking, stretch the kernel by n_in / n_out, so that every old pixel counts. Without it the
            pixels between the kernels are not seen at all. It means nothing to "nearest".

    Returns:
        (n_out, n_in) float64; each row sums to 1.

    Raises:
        InputError: A number of pixels is not a whole number above 0, or the method is unknown.

    Notes:
        The bicubic kernel has a = -0.5 with `antialias` and a = -0.75 without; weights of pixels beyond the edge are
        left out with it, and given to the last pixel without. So do Pillow (always with) and
        `torch.nn.functional.interpolate`. "nearest" is torch's "nearest-exact"; its plain "nearest" is shifted by up to
        half a pixel.

    Example:
        >>> resize_weights(4, 2, "bilinear")  # a tent of 4 pixels' width at 1 and 3: 0.75, 0.75, 0.25 divided by 1.75
        tensor([[0.4286, 0.4286, 0.1429, 0.0000],
                [0.0000, 0.1429, 0.4286, 0.4286]], dtype=torch.float64)
        >>> resize_weights(4, 2, "bilinear", antialias=False)
        tensor([[0.5000, 0.5000, 0.0000, 0.0000],
                [0.0000, 0.0000, 0.5000, 0.5000]], dtype=torch.float64)

    References:
        Keys (1981). Cubic convolution interpolation for digital image processing. IEEE Transactions on Acoustics,
        Speech, and Signal Processing 29(6), equation 15 (a = -0.5).
    """
    op = "resize_weights"
    _check.choice(op, "method", method, METHODS)
    n_in, n_out = _pixels.size(op, "(n_in, n_out)", (n_in, n_out))
    if method == "nearest":
        return torch.nn.functional.one_hot(_nearest(n_in, n_out), n_in).double()
    centres = (torch.arange(n_out, dtype=torch.float64)[:, None] + 0.5) * (n_in / n_out)  # (n_out, 1)
    if antialias:
        stretch = max(n_in / n_out, 1.0)
        weights = _kernel((torch.arange(n_in) + 0.5 - centres) / stretch, method, a=-0.5)
    else:
        beyond = _REACH[method]
        weights = _kernel(torch.arange(-beyond, n_in + beyond) + 0.5 - centres, method, a=-0.75)
        weights[:, beyond] += weights[:, :beyond].sum(1)  # what falls beyond the edge belongs to the last pixel
        weights[:, -beyond - 1] += weights[:, -beyond:].sum(1)
        weights = weights[:, beyond:-beyond]
    return weights / weights.sum(1, keepdim=True)


def _kernel(x: Tensor, method: str, a: float) -> Tensor:
    """Evaluate a tent of width 2, or Keys' cubic of width 4 whose slope at 1 is `a`."""
    x = x.abs()
    if method == "bilinear":
        return (1 - x).clamp(min=0)
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = a * (((x - 5) * x + 8) * x - 4)
    return torch.where(x < 1, near, torch.where(x < 2, far, 0.0))


def _nearest(n_in: int, n_out: int) -> Tensor:
    """Find the old pixel in which each new pixel's centre lies, in whole numbers: floor((i + 0.5) n_in / n_out)."""
    return (2 * torch.arange(n_out) + 1) * n_in // (2 * n_out)


def resize(image: Tensor, size: tuple[int, int], method: str = "bilinear", antialias: bool = True) -> Tensor:
    """Resize images: multiply rows, then columns, of pixels by the matrices of `resize_weights`.

    Args:
        image: (..., H, W) float or uint8, any leading dimensions; "nearest" takes masks (bool) and label maps (any
            integers) too.
        size: The (height, width) wanted, pixels.
        method: One of `METHODS`.
        antialias: Let every pixel count when shrinking, as in `resize_weights`.

    Returns:
        (..., height, width) of the same dtype; uint8 rounded and clamped. Floats are not clamped; "bicubic" may
        overshoot by about a tenth beside an edge.

    Raises:
        InputError: The image is neither float nor uint8 and the method not "nearest", it has no pixels, the size is not
            two whole numbers above 0, or the method is unknown.

    Notes:
        Floats equal those of `torch.nn.functional.interpolate` to 1e-5. uint8 is within one level of Pillow, but for
        "bicubic" beside black and white: Pillow cuts the overshoot off between the two directions, this only at the
        end. Where a centre falls on the edge between two pixels, "nearest" takes the later one; Pillow and torch, which
        find it in floats, at times take the earlier.

    Example:
        >>> row = torch.tensor([[[0.0, 0.0, 1.0, 1.0]]])
        >>> resize(row, (1, 2)), resize(row, (1, 2), antialias=False)
        (tensor([[[0.1429, 0.8571]]]), tensor([[[0., 1.]]]))
    """
    op = "resize"
    _check.choice(op, "method", method, METHODS)
    height, width = _pixels.size(op, "size", size)
    _pixels.image(op, "image", image, only_images=method != "nearest")
    rows, columns = image.shape[-2:]
    if method == "nearest":
        chosen_rows, chosen_columns = _nearest(rows, height), _nearest(columns, width)
        return image.index_select(-2, chosen_rows.to(image.device)).index_select(-1, chosen_columns.to(image.device))
    wide = image if image.dtype in (torch.float32, torch.float64) else image.float()
    kind = wide.dtype, wide.device
    down = torch.cat([w @ wide[..., i:j, :] for i, j, w in _blocks(rows, height, method, antialias, *kind)], -2)
    resized = torch.cat([down[..., i:j] @ w.T for i, j, w in _blocks(columns, width, method, antialias, *kind)], -1)
    # straight to uint8, torch takes four times as long
    return resized.round_().clamp_(0, 255).short().byte() if image.dtype == torch.uint8 else resized.to(image.dtype)


@lru_cache(maxsize=64)
def _blocks(
    n_in: int, n_out: int, method: str, antialias: bool, dtype: torch.dtype, device: torch.device
) -> list[tuple[int, int, Tensor]]:
    """Cut the matrix of weights into 16 rows at a time, each with only the columns i to j in which one is not 0."""
    parts = []
    with torch.inference_mode(False):  # they are kept, and a later call may need them for gradients
        for rows in resize_weights(n_in, n_out, method, antialias).to(device, dtype).split(16):
            used = rows.any(0).nonzero()
            i, j = int(used[0]), int(used[-1]) + 1
            parts.append((i, j, rows[:, i:j].clone()))
    return parts


def zone_plate(size: int) -> Tensor:
    """Draw rings that grow finer outwards, the picture on which aliasing is seen best.

    The value r pixels from the centre is (1 + cos(pi r^2 / size)) / 2. Its frequency there is r / size periods a pixel:
    0.5 at the middle of each edge, which is the finest that pixels can hold (the Nyquist frequency).

    Args:
        size: Height and width, pixels, at least 1.

    Returns:
        (1, size, size) float32 in [0, 1].

    Raises:
        InputError: The size is not a whole number above 0.

    Example:
        >>> zone_plate(3)[0]  # r^2 is 0, 1 or 2: (1 + cos(pi / 3)) / 2 = 0.75, (1 + cos(2 pi / 3)) / 2 = 0.25
        tensor([[0.2500, 0.7500, 0.2500],
                [0.7500, 1.0000, 0.7500],
                [0.2500, 0.7500, 0.2500]])
    """
    size, _ = _pixels.size("zone_plate", "size", (size, size))
    x = torch.arange(size, dtype=torch.float64) + 0.5 - size / 2
    squared = x**2 + x[:, None] ** 2
    return ((1 + torch.cos(math.pi / size * squared)) / 2).float()[None]


def spectrum(image: Tensor) -> Tensor:
    """Compute which frequencies a picture holds, as a picture: the logarithm of its Fourier transform's magnitude.

    Args:
        image: (C, H, W) float or uint8, C 1 or 3; colours are weighted to grey by 0.299, 0.587 and 0.114.

    Returns:
        (1, H, W) float32 in [0, 1], log(1 + magnitude), divided by its largest value. The mean is at row H // 2 and
        column W // 2; frequencies grow outwards to half a period a pixel at the edges.

    Raises:
        InputError: The layout or dtype is another, there are no pixels, or a value is not finite.

    Example:
        >>> stripes = torch.tensor([0.0, 1.0]).repeat(4, 2)[None]  # a period of 2 pixels, the finest, beside the mean
        >>> spectrum(stripes)[0]
        tensor([[0., 0., 0., 0.],
                [0., 0., 0., 0.],
                [1., 0., 1., 0.],
                [0., 0., 0., 0.]])
    """
    op = "spectrum"
    _pixels.picture(op, "image", image)
    _check.finite(op, "image", image)
    values = image.detach().cpu().double() / (255 if image.dtype == torch.uint8 else 1)
    weights = values.new_tensor([0.299, 0.587, 0.114] if len(image) == 3 else [1.0])
    grey = torch.einsum("c,chw->hw", weights, values)
    magnitude = torch.fft.fftshift(torch.fft.fft2(grey)).abs()
    logarithm = magnitude.log1p()
    return (logarithm / logarithm.max().clamp(min=1e-12)).float()[None]
