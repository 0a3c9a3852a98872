"""Photometric augmentation: other light, colours, noise, blur and compression; nothing moves, so targets stay."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torchvision import tv_tensors
from torchvision.transforms import v2

from cvlab import _check, preprocess
from cvlab.augment import colour
from cvlab.augment.geometric import as_image
from cvlab.augment.steps import chance, uniform


class ColourJitter(nn.Module):
    """Change brightness, contrast, saturation and hue at random, all in one pass over the picture.

    Args:
        brightness: the factor is drawn between 1 - brightness and 1 + brightness, and not below 0.
        contrast: likewise.
        saturation: likewise.
        hue: the turn of the hue is drawn between -hue and hue, in turns, at most 0.5.
        p: probability that anything is done.

    Returns:
        Called as `transform(image)` or `transform(image, target)`; the target comes back as it is. Images are
        (3, H, W), float in [0, 1] or uint8; grey ones (1, H, W) get brightness and contrast only.

    Raises:
        InputError: if an amount is out of its range, or the image no image of 1 or 3 channels.

    Notes:
        torchvision's `ColorJitter` draws the order of the steps at random and cuts colours off after each; here the
        order is fixed and they are cut off once. Its hue turns in HSV, ours around the grey axis: see
        `cvlab.augment.colour.hue`. The rest is the same: without colours to cut off, both agree to one grey level.

    Example:
        >>> image = torch.rand(3, 8, 8, generator=torch.Generator().manual_seed(0))
        >>> ColourJitter(0.4, 0.4, 0.4, 0.05)(image).shape
        torch.Size([3, 8, 8])
    """

    def __init__(
        self,
        brightness: float = 0.2,
        contrast: float = 0.2,
        saturation: float = 0.2,
        hue: float = 0.02,
        p: float = 1.0,
    ) -> None:
        super().__init__()
        _check.positive("ColourJitter", "amounts", (brightness, contrast, saturation, hue), zero=True)
        _check.fraction("ColourJitter", "p", p)
        if hue > 0.5:
            raise _check.InputError(f"ColourJitter: hue must be at most 0.5 turns, got {hue}")
        self.brightness, self.contrast, self.saturation, self.hue, self.p = brightness, contrast, saturation, hue, p

    def extra_repr(self) -> str:
        """List the amounts, for `print`."""
        return f"{self.brightness}, {self.contrast}, {self.saturation}, {self.hue}, p={self.p}"

    def draw(self, mean_rgb: Tensor) -> Tensor:
        """Draw a colour map (3, 4) for a picture of mean colour `mean_rgb` (3,)."""
        factors = [uniform(max(0, 1 - m), 1 + m) for m in (self.brightness, self.contrast, self.saturation)]
        return colour.jitter(mean_rgb, *factors, uniform(-self.hue, self.hue))

    def forward(self, image: Any, target: Any = None) -> Any:
        """Draw a colour map and apply it."""
        picture = as_image(image, "ColourJitter")
        if picture.shape[0] not in (1, 3):
            raise _check.InputError(f"ColourJitter: image must have 1 or 3 channels, got {picture.shape[0]}")
        if chance(self.p):
            picture = self._changed(picture)
        made = tv_tensors.Image(picture)
        return made if target is None else (made, target)

    def _changed(self, picture: Tensor) -> Tensor:
        grey = picture.shape[0] == 1
        picture = picture.expand(3, -1, -1) if grey else picture
        mean = picture.flatten(1).float().mean(1) / (255 if picture.dtype == torch.uint8 else 1)
        changed = colour.apply(picture, self.draw(mean))
        return changed.float().mean(0, keepdim=True).to(picture.dtype) if grey else changed


class ImageOnly(nn.Module):
    """Apply a transform of the image alone, with a probability, and pass the target on as it is.

    Args:
        transform: a function of the image, such as `v2.GaussianBlur(5)`. It must not move anything.
        p: probability that it is applied.
        dtype: the type it needs, torch.uint8 or torch.float32; the image is converted, and back afterwards. None: any.

    Example:
        >>> blur = ImageOnly(v2.GaussianBlur(3, sigma=1.0), p=1.0)
        >>> blur(torch.zeros(3, 8, 8), {"labels": []})[1]
        {'labels': []}
    """

    def __init__(self, transform: Callable[[Tensor], Tensor], p: float = 1.0, dtype: torch.dtype | None = None) -> None:
        super().__init__()
        _check.fraction("ImageOnly", "p", p)
        self.transform, self.p, self.dtype = transform, p, dtype

    def forward(self, image: Any, target: Any = None) -> Any:
        """Toss the coin, and apply the transform."""
        made = tv_tensors.Image(as_image(image, "ImageOnly"))
        if chance(self.p):
            given = made.dtype
            there = made if self.dtype is None else v2.functional.to_dtype(made, self.dtype, scale=True)
            made = v2.functional.to_dtype(tv_tensors.Image(self.transform(there)), given, scale=True)
        return made if target is None else (made, target)


class RandomJPEG(nn.Module):
    """Store a picture as JPEG of random quality and read it back.

    Args:
        quality: lowest and highest quality, whole numbers from 1 to 100.
        subsampling: of the colours, as in `cvlab.preprocess.jpeg`.

    Returns:
        Called as `transform(image)` with (C, H, W), float in [0, 1] or uint8, it gives the same shape and type.

    Raises:
        InputError: if the qualities are out of range.

    Notes:
        The same bytes as torchvision's `v2.JPEG`, which works on uint8 only and on torchvision's own codec.
    """

    def __init__(self, quality: tuple[int, int] = (30, 95), subsampling: str = "4:2:0") -> None:
        super().__init__()
        _check.positive("RandomJPEG", "quality", quality, of="lowest, highest")
        if not 1 <= quality[0] <= quality[1] <= 100:
            raise _check.InputError(f"RandomJPEG: quality must be (lowest, highest) from 1 to 100, got {quality}")
        self.quality, self.subsampling = quality, subsampling

    def forward(self, image: Tensor) -> Tensor:
        """Draw a quality and store the picture."""
        chosen = int(torch.randint(self.quality[0], self.quality[1] + 1, ()))
        return preprocess.jpeg(as_image(image, "RandomJPEG"), chosen, self.subsampling)


def degrade(noise: float = 0.03, blur: float = 1.5, jpeg: tuple[int, int] = (30, 95), p: float = 0.2) -> nn.Module:
    """Make what cameras and files do to a picture: Gaussian blur, then noise, then JPEG compression, each at random.

    Args:
        noise: standard deviation of the noise, as a share of white.
        blur: largest standard deviation of the blur, pixels.
        jpeg: lowest and highest quality, 1 to 100.
        p: probability of each of the three.

    Returns:
        A transform of `(image)` or `(image, target)`.

    Raises:
        InputError: if an amount is out of its range.
    """
    _check.positive("degrade", "noise", [noise], zero=True)
    _check.positive("degrade", "blur", [blur])
    side = 2 * max(1, round(3 * blur)) + 1
    return v2.Compose(
        [
            ImageOnly(v2.GaussianBlur(side, sigma=(min(0.1, blur), blur)), p),
            ImageOnly(v2.GaussianNoise(sigma=noise), p, torch.float32),
            ImageOnly(RandomJPEG(jpeg), p),
        ]
    )
