"""Ranges of pixel values: standardised by channel, symmetric about zero, and a data set's own mean and spread."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from cvlab import _check
from cvlab.preprocess import _pixels

IMAGENET_MEAN = (0.485, 0.456, 0.406)
"""Mean of red, green and blue over ImageNet's training images in [0, 1], as most pretrained networks expect."""

IMAGENET_STD = (0.229, 0.224, 0.225)
"""Standard deviation of red, green and blue, used with `IMAGENET_MEAN`."""


def normalize(images: Tensor, mean: Sequence[float] | Tensor, std: Sequence[float] | Tensor) -> Tensor:
    """Subtract a mean from each channel and divide by a standard deviation.

    Args:
        images: (..., C, H, W) float in [0, 1].
        mean: C numbers, in the same unit.
        std: C numbers above 0.

    Returns:
        (..., C, H, W) of the same dtype, (images - mean) / std.

    Raises:
        InputError: The images are not float (uint8 must be divided by 255 first), or there are not C numbers, or they
            are not finite, or a std is not above 0.

    Example:
        >>> grey = torch.full((3, 1, 1), 0.5)
        >>> normalize(grey, IMAGENET_MEAN, IMAGENET_STD).flatten()  # (0.5 - 0.485) / 0.229 = 0.0655, ...
        tensor([0.0655, 0.1964, 0.4178])
    """
    shift, factor = _statistics("normalize", images, mean, std)
    return (images - shift) / factor


def denormalize(images: Tensor, mean: Sequence[float] | Tensor, std: Sequence[float] | Tensor) -> Tensor:
    """Undo `normalize`: multiply each channel by the standard deviation and add the mean.

    Args:
        images: (..., C, H, W) float, normalised.
        mean: The C numbers that were subtracted.
        std: The C numbers that were divided by.

    Returns:
        (..., C, H, W) of the same dtype, images * std + mean.

    Raises:
        InputError: As `normalize`.

    Example:
        >>> zero = torch.zeros(3, 1, 1)
        >>> denormalize(zero, IMAGENET_MEAN, IMAGENET_STD).flatten()
        tensor([0.4850, 0.4560, 0.4060])
    """
    shift, factor = _statistics("denormalize", images, mean, std)
    return images * factor + shift


def _statistics(
    op: str, images: Tensor, mean: Sequence[float] | Tensor, std: Sequence[float] | Tensor
) -> tuple[Tensor, Tensor]:
    """Check images and statistics, and give the latter as (C, 1, 1) of the images' dtype."""
    _check.tensor(op, "images", images)
    if images.dtype == torch.uint8:
        raise _check.InputError(f"{op}: images must be float in [0, 1], got torch.uint8: divide by 255 first")
    _check.numeric(op, "images", images, floating=True)
    _check.shape(op, "images", images, ("...", "C", "H", "W"))
    shift, factor = torch.as_tensor(mean).to(images), torch.as_tensor(std).to(images)
    for name, values in (("mean", shift), ("std", factor)):
        _check.length(op, name, values, images.shape[-3], "channel")
        _check.finite(op, name, values)
    if _check.readable(factor) and not bool((factor > 0).all()):
        raise _check.InputError(f"{op}: std must be above 0 in every channel, got {factor.tolist()}")
    return shift[:, None, None], factor[:, None, None]


def to_symmetric(images: Tensor) -> Tensor:
    """Map pixel values onto [-1, 1], as networks ending in a tanh, and many mobile ones, expect.

    Args:
        images: Any shape, uint8 or float in [0, 1].

    Returns:
        The same shape in [-1, 1], 2 x - 1, and x / 127.5 - 1 in float32 for uint8.

    Raises:
        InputError: The dtype is another, or a float lies outside [0, 1].

    Example:
        >>> to_symmetric(torch.tensor([0, 51, 255], dtype=torch.uint8))
        tensor([-1.0000, -0.6000,  1.0000])
    """
    op = "to_symmetric"
    _check.tensor(op, "images", images)
    if images.dtype == torch.uint8:
        return images.float() / 127.5 - 1
    if not images.is_floating_point():
        raise _check.InputError(f"{op}: images must be float in [0, 1] or uint8, got {images.dtype}")
    _check.fractions(op, "images", images)
    return 2 * images - 1


def from_symmetric(images: Tensor) -> Tensor:
    """Map values in [-1, 1] back onto [0, 1].

    Args:
        images: Any shape, float in [-1, 1].

    Returns:
        The same shape and dtype, (x + 1) / 2. Nothing is clamped.

    Raises:
        InputError: The images are not float.

    Example:
        >>> from_symmetric(torch.tensor([-1.0, -0.6, 1.0]))
        tensor([0.0000, 0.2000, 1.0000])
    """
    _check.numeric("from_symmetric", "images", images, floating=True)
    return (images + 1) / 2


class ChannelStats:
    """Computes mean and standard deviation of each channel of a data set in one pass, however it is cut into batches.

    Batches are joined by their counts, means and sums of squared deviations, all in float64, so that nothing cancels:
    the textbook's mean of squares minus square of the mean loses all digits where the spread is small beside the mean.
    Images may have different sizes; every pixel counts the same.

    Attributes:
        count: The number of pixels seen, each with all its channels.

    Example:
        >>> stats = ChannelStats()
        >>> stats.update(torch.tensor([0.0, 0.5]).reshape(1, 1, 2))
        >>> stats.update(torch.tensor([1.0]).reshape(1, 1, 1))
        >>> stats.count, stats.mean.item(), round(stats.std.item(), 4)  # sqrt((0.25 + 0 + 0.25) / 3) = 0.4082
        (3, 0.5, 0.4082)

    References:
        Chan, Golub and LeVeque (1983). Algorithms for computing the sample variance. The American Statistician 37(3),
        equation 2.1.
    """

    def __init__(self) -> None:
        self.count = 0
        self._mean: Tensor | None = None  # (C,) float64
        self._deviations: Tensor | None = None  # (C,) float64, sums of squared deviations from the mean

    def update(self, images: Tensor) -> None:
        """Take in more images.

        Args:
            images: (C, H, W) or (B, C, H, W), float, or uint8 that counts as value / 255. B = 0 changes nothing.

        Raises:
            InputError: The layout or dtype is another, an image has no pixels, a value is not finite, or the number of
                channels differs from that of earlier images.
        """
        op = "ChannelStats.update"
        _pixels.image(op, "images", images)
        if images.dim() not in (3, 4) or images.shape[-3] == 0:
            got = tuple(images.shape)
            raise _check.InputError(f"{op}: images must have shape (C, H, W) or (B, C, H, W) with C above 0, got {got}")
        _check.finite(op, "images", images)
        values = images.detach().double().movedim(-3, 0).flatten(1).cpu()  # (C, B * H * W)
        if values.shape[1]:
            mean = values.mean(1)
            deviations = torch.linalg.vector_norm(values - mean[:, None], dim=1).square()
            white = 255 if images.dtype == torch.uint8 else 1
            self._join(op, values.shape[1], mean / white, deviations / white**2)

    def merge(self, other: ChannelStats) -> None:
        """Take in all that another one has seen, as when several processes share a data set.

        Args:
            other: It stays as it is.

        Raises:
            InputError: Its number of channels is another.
        """
        if other._mean is not None and other._deviations is not None:
            self._join("ChannelStats.merge", other.count, other._mean, other._deviations)

    def _join(self, op: str, count: int, mean: Tensor, deviations: Tensor) -> None:
        if self._mean is None or self._deviations is None:
            self.count, self._mean, self._deviations = count, mean.clone(), deviations.clone()
            return
        if len(mean) != len(self._mean):
            raise _check.InputError(f"{op}: expected {len(self._mean)} channels as before, got {len(mean)}")
        total = self.count + count
        step = mean - self._mean
        self._mean = self._mean + step * (count / total)
        self._deviations = self._deviations + deviations + step.square() * (self.count * (count / total))
        self.count = total

    @property
    def mean(self) -> Tensor:
        """The mean of each channel, (C,) float64."""
        if self._mean is None:
            raise _check.InputError("ChannelStats.mean: no image has been taken in yet")
        return self._mean.clone()

    @property
    def std(self) -> Tensor:
        """The standard deviation of each channel over all pixels (divided by their number), (C,) float64."""
        if self._deviations is None:
            raise _check.InputError("ChannelStats.std: no image has been taken in yet")
        return (self._deviations / self.count).sqrt()
