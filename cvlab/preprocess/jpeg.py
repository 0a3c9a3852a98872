"""JPEG: what storing a picture with loss does to it, by Pillow, and in the few lines that cause the loss."""

from __future__ import annotations

import io
import math

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from cvlab import _check
from cvlab.preprocess import _pixels

SUBSAMPLINGS = ("4:4:4", "4:2:2", "4:2:0")
"""How many colour values are stored, one for each pixel, for each pair, or for each 2 x 2."""

_LUMINANCE = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)  # the example of the standard's annex K, which libjpeg scales by the quality


def jpeg_bytes(image: Tensor, quality: int = 75, subsampling: str = "4:2:0") -> bytes:
    """Store an image as JPEG, and give the file's bytes.

    Args:
        image: (C, H, W) float in [0, 1], rounded to 256 levels, or uint8. C is 3 for RGB or 1 for grey.
        quality: From 1, the smallest file, to 100. It is no percentage: it scales the quantization table.
        subsampling: How finely the colours are stored, one of `SUBSAMPLINGS`; grey has none.

    Returns:
        The bytes of the file.

    Raises:
        InputError: The image has another layout or type or values outside [0, 1], the quality is not from 1 to 100, or
            the subsampling is unknown.

    Example:
        >>> grey = torch.full((1, 64, 64), 0.5)
        >>> jpeg_bytes(grey)[:3].hex(" "), len(jpeg_bytes(grey)) < 64 * 64
        ('ff d8 ff', True)
    """
    return _encode("jpeg_bytes", image, quality, subsampling)


def _encode(op: str, image: Tensor, quality: int, subsampling: str) -> bytes:
    _pixels.quality(op, quality)
    _check.choice(op, "subsampling", subsampling, SUBSAMPLINGS)
    file = io.BytesIO()
    _pixels.to_pillow(op, image).save(file, "JPEG", quality=quality, subsampling=subsampling)
    return file.getvalue()


def jpeg(image: Tensor, quality: int = 75, subsampling: str = "4:2:0") -> Tensor:
    """Give what comes back when an image is stored as JPEG and read again.

    Args:
        image: (C, H, W) float in [0, 1], rounded to 256 levels, or uint8. C is 3 for RGB or 1 for grey.
        quality: From 1, the smallest file, to 100.
        subsampling: How finely the colours are stored, one of `SUBSAMPLINGS`; grey has none.

    Returns:
        (C, H, W) of the same dtype, on the same device.

    Raises:
        InputError: As `jpeg_bytes`.

    Example:
        >>> ramp = torch.arange(0, 256, 16, dtype=torch.uint8).expand(1, 16, 16)
        >>> back = jpeg(ramp, quality=20)
        >>> back.shape, back.dtype, bool((back == ramp).all())
        (torch.Size([1, 16, 16]), torch.uint8, False)
    """
    with Image.open(io.BytesIO(_encode("jpeg", image, quality, subsampling))) as stored:
        pixels = torch.from_numpy(np.array(stored)).reshape(*image.shape[1:], image.shape[0])  # (H, W, C)
    back = pixels.permute(2, 0, 1).contiguous().to(image.device)
    return back if image.dtype == torch.uint8 else back.to(image.dtype) / 255


def quantization_table(quality: int) -> Tensor:
    """Compute the steps to which JPEG rounds the 64 frequencies of a block of brightness.

    Args:
        quality: From 1 to 100. 50 gives the standard's example table; half the steps at 75, all 1 at 100.

    Returns:
        (8, 8) int64 from 1 to 255; rows are vertical frequencies, columns horizontal ones, the mean first.

    Raises:
        InputError: The quality is not from 1 to 100.

    Example:
        >>> quantization_table(50)[0].tolist()
        [16, 11, 10, 16, 24, 40, 51, 61]
        >>> quantization_table(90)[0].tolist()  # a fifth, rounded
        [3, 2, 2, 3, 5, 8, 10, 12]

    References:
        ITU-T T.81 (1992), Table K.1; the scaling is that of the Independent JPEG Group's libjpeg.
    """
    _pixels.quality("quantization_table", quality)
    percent = 5000 // quality if quality < 50 else 200 - 2 * quality
    return ((torch.tensor(_LUMINANCE) * percent + 50) // 100).clamp(1, 255)


def dct_matrix() -> Tensor:
    """Make the matrix of the discrete cosine transform (DCT-II) of 8 values.

    Returns:
        (8, 8) float64, orthonormal; row k samples a cosine of k half periods, at the centres of 8 pixels. `D @ x` are
        the frequencies of x, and `D.T @ (D @ x)` is x again.

    Example:
        >>> constant = torch.full((8,), 10.0, dtype=torch.float64)
        >>> [round(abs(f), 3) for f in (dct_matrix() @ constant).tolist()]  # only the first row sees it: 80 / sqrt(8)
        [28.284, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    """
    frequency = torch.arange(8, dtype=torch.float64)[:, None]
    centre = torch.arange(8, dtype=torch.float64) + 0.5
    matrix = torch.cos(math.pi / 8 * frequency * centre) / 2
    matrix[0] = math.sqrt(1 / 8)
    return matrix


def jpeg_reference(plane: Tensor, quality: int) -> Tensor:
    """Compute in the clear what JPEG makes of one plane of brightness: only the rounding of frequencies loses anything.

    Args:
        plane: (H, W) float or uint8, from 0 to 255. Sides that are no multiple of 8 are continued by their last pixel.
        quality: From 1 to 100, as `quantization_table` takes it.

    Returns:
        (H, W) float64 from 0 to 255, not rounded.

    Raises:
        InputError: The plane has another layout or type, no pixels, or values outside [0, 255], or the quality is not
            from 1 to 100.

    Notes:
        A frequency halfway between two steps is rounded away from zero, as libjpeg does. libjpeg computes its
        transforms in whole numbers, and so may take the other step where a frequency lies close to halfway; that adds
        or takes away a whole wave of one step, tens of grey levels at low qualities. On the photographs of
        `cvlab.data.photos` blocks without a frequency within 0.15 of halfway come out within 0.6 grey levels of
        Pillow's, of which 0.5 are Pillow's rounding of pixels, and all pixels together differ by 1.3 levels at most
        (root mean square over an image, qualities 5 to 100).

    Example:
        >>> plane = torch.full((8, 8), 101.0)  # a mean of 101 - 128 = -27, times 8 is the frequency -216
        >>> round(jpeg_reference(plane, 10)[0, 0].item(), 6)  # -2.7 steps of 80 are rounded to -3: -240 / 8 + 128
        98.0
    """
    _check_plane(plane)
    height, width = plane.shape
    table, dct = quantization_table(quality).double(), dct_matrix()
    blocks = _to_blocks(plane.detach().double().cpu()) - 128  # (rows, columns, 8, 8)
    frequencies = dct @ blocks @ dct.T
    stored = torch.round(frequencies / table * (1 + 1e-9))  # whole numbers, written to the file; a half goes outwards
    decoded = dct.T @ (stored * table) @ dct + 128
    return _from_blocks(decoded)[:height, :width].clamp(0, 255)


def _check_plane(plane: Tensor) -> None:
    op = "jpeg_reference"
    _pixels.image(op, "plane", plane)
    _check.shape(op, "plane", plane, ("H", "W"))
    _check.finite(op, "plane", plane)
    if plane.min() < 0 or plane.max() > 255:
        raise _check.InputError(f"{op}: plane must lie in [0, 255], got {float(plane.min())} to {float(plane.max())}")


def _to_blocks(plane: Tensor) -> Tensor:
    """Cut a plane into blocks (rows, columns, 8, 8), the last row and column repeated until they fill one."""
    height, width = plane.shape
    rows = torch.arange(math.ceil(height / 8) * 8).clamp(max=height - 1)
    columns = torch.arange(math.ceil(width / 8) * 8).clamp(max=width - 1)
    return plane[rows][:, columns].unflatten(1, (-1, 8)).unflatten(0, (-1, 8)).transpose(1, 2)


def _from_blocks(blocks: Tensor) -> Tensor:
    return blocks.transpose(1, 2).flatten(2, 3).flatten(0, 1)  # (rows, 8, columns, 8) -> (8 rows, 8 columns)


def psnr(a: Tensor, b: Tensor) -> float:
    """Compute the peak signal-to-noise ratio of two images.

    Args:
        a: Any shape, float in [0, 1] or uint8.
        b: The same shape and dtype.

    Returns:
        10 log10(peak^2 / mean squared difference) in decibels, with a peak of 1 for floats and 255 for uint8; infinite
        for equal images.

    Raises:
        InputError: Shapes or dtypes differ, there are no values, a value is not finite, or the dtype is neither float
            nor uint8.

    Example:
        >>> round(psnr(torch.zeros(1, 2, 2), torch.full((1, 2, 2), 0.1)), 3)  # 10 log10(1 / 0.01)
        20.0
    """
    op = "psnr"
    _check.tensor(op, "a", a)
    _check.tensor(op, "b", b)
    if a.shape != b.shape or a.dtype != b.dtype:
        got = f"{tuple(a.shape)} {a.dtype} and {tuple(b.shape)} {b.dtype}"
        raise _check.InputError(f"{op}: a and b must have one shape and dtype, got {got}")
    if not a.is_floating_point() and a.dtype != torch.uint8:
        raise _check.InputError(f"{op}: a and b must be float or uint8, got {a.dtype}")
    if a.numel() == 0:
        raise _check.InputError(f"{op}: a and b must not be empty, got shape {tuple(a.shape)}")
    _check.finite(op, "a", a)
    _check.finite(op, "b", b)
    error = (a.detach().cpu().double() - b.detach().cpu().double()).square().mean().item()
    peak = 255 if a.dtype == torch.uint8 else 1
    return 10 * math.log10(peak**2 / error) if error else math.inf
