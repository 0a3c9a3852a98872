"""Image files and label maps: read into tensors with every conversion told, and written so that nothing is lost."""

from __future__ import annotations

import io
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from cvlab import _check
from cvlab.preprocess import _pixels

FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}
"""What `save_image` writes, by the file's ending. Only PNG keeps every pixel."""


def read_image(path: str | Path, dtype: torch.dtype = torch.float32) -> Tensor:
    """Read an image file as RGB.

    Args:
        path: A file that Pillow can read (JPEG, PNG, WebP, TIFF, ...).
        dtype: torch.float32 for values in [0, 1], or torch.uint8 for 0 to 255.

    Returns:
        (3, H, W) of that dtype, turned upright as the file's EXIF orientation says. Of an animation, the first picture.

    Raises:
        FileNotFoundError: There is no such file.
        InputError: The file is a folder, empty, no image, a damaged one, or may not be read, its pixels have no known
            range (floats, or whole numbers beyond 65535), or the dtype is another.

    Notes:
        Everything becomes RGB of 8 bits. Grey is repeated for the three channels, palettes are looked up, and CMYK is
        converted without a colour profile. Grey of 16 bits is divided by 257 and rounded; colours of 16 bits lose their
        lower byte inside Pillow. Transparent pixels are laid on white: the colours that files hide beneath them are
        arbitrary, and torchvision's and OpenCV's readers bring them out.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     save_image(f"{folder}/grey.png", torch.full((1, 2, 3), 0.2))
        ...     image = read_image(f"{folder}/grey.png", torch.uint8)
        >>> image.shape, image[:, 0, 0].tolist()
        (torch.Size([3, 2, 3]), [51, 51, 51])
    """
    with _reading("read_image", Path(path)):
        pixels = decode(Path(path))
    return as_tensor(pixels, dtype, "read_image")


def read_mask(path: str | Path) -> Tensor:
    """Read a label map: a picture whose values are numbers of classes or objects.

    Args:
        path: A grey image of 1, 8 or 16 bits, or one with a palette, whose indices are the labels, as in Pascal VOC.

    Returns:
        (H, W) int64, turned upright as the file's EXIF orientation says.

    Raises:
        FileNotFoundError: There is no such file.
        InputError: The file is a folder, empty, no image, a damaged one, may not be read, or holds colours or
            transparency instead of labels.

    Notes:
        A grey JPEG is read too, but its labels are spoiled: compression makes values up beside every edge.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     save_mask(f"{folder}/labels.png", torch.tensor([[0, 7], [255, 300]]))
        ...     read_mask(f"{folder}/labels.png")
        tensor([[  0,   7],
                [255, 300]])
    """
    with _reading("read_mask", Path(path)), Image.open(path) as image:
        if image.mode not in ("1", "L", "P") and not image.mode.startswith("I"):
            raise ValueError(
                f"it holds colours (mode {image.mode}), and labels are wanted: map each colour to its label, then save "
                "that with save_mask"
            )
        return torch.from_numpy(np.asarray(ImageOps.exif_transpose(image)).astype(np.int64))


def save_image(path: str | Path, image: Tensor, *, quality: int = 90) -> None:
    """Write an image file in the format that its ending names.

    A file of that name is replaced, but only once the new one is complete.

    Args:
        path: Ends in .png, which keeps every pixel, or .jpg, .jpeg or .webp, which do not.
        image: (C, H, W) float in [0, 1], rounded to 256 levels, or uint8. C is 3 for RGB or 1 for grey.
        quality: From 1 to 100, for JPEG and WebP.

    Raises:
        InputError: The ending is another, the image has another layout or type or values outside [0, 1], or the quality
            is not from 1 to 100.
        FileNotFoundError: There is no folder to write into.
        OSError: The file cannot be written.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     save_image(f"{folder}/small.jpg", torch.rand(3, 8, 8), quality=50)
        ...     read_image(f"{folder}/small.jpg").shape
        torch.Size([3, 8, 8])
    """
    op, path = "save_image", Path(path)
    ending = path.suffix.lower()
    if ending not in FORMATS:
        raise _check.InputError(f"{op}: {str(path)!r} must end in one of {', '.join(FORMATS)}")
    _pixels.quality(op, quality)
    options = {} if ending == ".png" else {"quality": quality}
    _write(op, path, _pixels.to_pillow(op, image), FORMATS[ending], options)


def save_mask(path: str | Path, mask: Tensor) -> None:
    """Write a label map as PNG, which keeps every label; formats that compress with loss are refused.

    A file of that name is replaced, but only once the new one is complete.

    Args:
        path: Ends in .png.
        mask: (H, W) integers from 0 to 65535, or bool. The file has 8 bits a pixel up to label 255, 16 above.

    Raises:
        InputError: The ending is another, the mask has another shape or dtype, or a label is outside 0 to 65535.
        FileNotFoundError: There is no folder to write into.
        OSError: The file cannot be written.

    Example:
        >>> save_mask("labels.jpg", torch.zeros(4, 4, dtype=torch.int64))
        Traceback (most recent call last):
        cvlab._check.InputError: save_mask: 'labels.jpg' must end in .png: JPEG and WebP would change labels
    """
    op, path = "save_mask", Path(path)
    if path.suffix.lower() != ".png":
        why = ": JPEG and WebP would change labels" if path.suffix.lower() in FORMATS else ""
        raise _check.InputError(f"{op}: {str(path)!r} must end in .png{why}")
    _check.tensor(op, "mask", mask)
    if mask.is_floating_point() or mask.is_complex():
        raise _check.InputError(f"{op}: mask must be integers or bool, got {mask.dtype}")
    _check.shape(op, "mask", mask, ("H", "W"))
    if mask.numel() == 0:
        raise _check.InputError(f"{op}: mask must have at least one pixel, got shape {tuple(mask.shape)}")
    labels = mask.detach().cpu().numpy()
    wrong = np.argwhere((labels < 0) | (labels > 65535))
    if len(wrong):
        y, x = wrong[0].tolist()
        raise _check.InputError(f"{op}: mask[{y}, {x}] must lie in 0 to 65535, got {labels[y, x]}")
    _write(op, path, Image.fromarray(labels.astype(np.uint8 if labels.max() < 256 else np.uint16)), "PNG", {})


def decode(path: Path) -> np.ndarray:
    """Read a file as (3, H, W) uint8, with the conversions that `read_image` tells."""
    with Image.open(path) as image:
        upright = ImageOps.exif_transpose(image)  # a camera held sideways says so in the file's EXIF data
    return np.ascontiguousarray(np.asarray(_to_rgb(upright)).transpose(2, 0, 1))


def as_tensor(pixels: np.ndarray, dtype: torch.dtype, op: str) -> Tensor:
    """Copy uint8 pixels into a tensor of uint8, or of float32 in [0, 1]."""
    if dtype not in (torch.float32, torch.uint8):
        raise _check.InputError(f"{op}: dtype must be torch.float32 or torch.uint8, got {dtype}")
    image = torch.from_numpy(pixels.copy())
    return image if dtype == torch.uint8 else image.to(torch.float32) / 255


def _to_rgb(image: Image.Image) -> Image.Image:
    image = _to_8_bits(image)
    if image.getbands()[-1] not in ("A", "a") and "transparency" not in image.info:
        return image.convert("RGB")
    clear = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", clear.size, "white"), clear).convert("RGB")


def _to_8_bits(image: Image.Image) -> Image.Image:
    """Scale grey values of 16 bits, 0 to 65535, to 0 to 255: Pillow itself would cut them off at 255."""
    if not image.mode.startswith(("I", "F")):
        return image
    values = np.asarray(image)
    if image.mode == "F" or values.min() < 0 or values.max() > 65535:
        raise ValueError(f"pixels of mode {image.mode} from {values.min():g} to {values.max():g} have no known range")
    return Image.fromarray((values / 257).round().astype(np.uint8))


@contextmanager
def _reading(op: str, path: Path) -> Iterator[None]:
    """Name operation and file in every error that reading it raises."""
    if path.is_dir():
        raise _check.InputError(f"{op}: {str(path)!r} is a folder, not a file")
    if not path.is_file():
        raise FileNotFoundError(f"{op}: there is no file {str(path)!r}")
    if path.stat().st_size == 0:
        raise _check.InputError(f"{op}: {str(path)!r} is empty (0 bytes)")
    try:
        yield
    except UnidentifiedImageError as error:
        raise _check.InputError(f"{op}: {str(path)!r} is not an image that Pillow can read") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:  # SyntaxError: a broken PNG
        raise _check.InputError(f"{op}: {str(path)!r} cannot be read: {error}") from error


def _write(op: str, path: Path, image: Image.Image, format: str, options: dict[str, int]) -> None:
    """Write a new file beside the old one and put it in its place, so that a failure leaves the old one."""
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{op}: there is no folder {str(path.parent)!r}")
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        content = io.BytesIO()
        image.save(content, format, **options)
        beside.write_bytes(content.getvalue())
        os.replace(beside, path)
    except (OSError, ValueError) as error:  # ValueError: more pixels than the format can hold
        beside.unlink(missing_ok=True)
        raise OSError(f"{op}: {str(path)!r} cannot be written: {error}") from error
