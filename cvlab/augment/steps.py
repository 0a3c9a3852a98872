"""The random steps of geometric augmentation: each draws a matrix for a picture of a given size.

Random numbers come from torch's global generator, as in torchvision's transforms: `torch.manual_seed`, or
`cvlab.augment.seeded`, decides them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from cvlab import _check
from cvlab.augment import affine
from cvlab.preprocess import letterbox

Size = tuple[int, int]


class Step(Protocol):
    """What `Geometric` takes: draws a matrix, and the new size, for a picture of a given size."""

    def draw(self, size: Size) -> tuple[Tensor, Size]:
        """Draw (3, 3) float64 and the new (height, width), for a picture of `size` = (height, width)."""


def uniform(low: float, high: float) -> float:
    """Draw a number between `low` and `high` from torch's global generator."""
    return low + (high - low) * torch.rand(()).item()


def chance(p: float) -> bool:
    """Toss a coin that shows heads with probability `p`, from torch's global generator."""
    return torch.rand(()).item() < p


@dataclass(frozen=True)
class Flip:
    """Swap left and right, or top and bottom, at random.

    Args:
        horizontal: probability of swapping left and right.
        vertical: probability of swapping top and bottom: for pictures without an upright, such as from above.
    """

    horizontal: float = 0.5
    vertical: float = 0.0

    def __post_init__(self) -> None:
        _check.fraction("Flip", "horizontal", self.horizontal)
        _check.fraction("Flip", "vertical", self.vertical)

    def draw(self, size: Size) -> tuple[Tensor, Size]:
        """Draw the matrix; see `Step`."""
        across, down = chance(self.horizontal), chance(self.vertical)
        made = affine.horizontal_flip(size[1]) if across else affine.identity()
        return (affine.vertical_flip(size[0]) @ made if down else made), size


@dataclass(frozen=True)
class Transpose:
    """Swap rows and columns at random: with flips both ways, all eight symmetries of a square.

    Args:
        p: probability that it is done; for pictures without an upright, such as from above.
    """

    p: float = 0.5

    def __post_init__(self) -> None:
        _check.fraction("Transpose", "p", self.p)

    def draw(self, size: Size) -> tuple[Tensor, Size]:
        """Draw the matrix; see `Step`."""
        if not chance(self.p):
            return affine.identity(), size
        return torch.eye(3, dtype=torch.float64)[[1, 0, 2]], (size[1], size[0])


@dataclass(frozen=True)
class ShiftScaleRotate:
    """Move, enlarge or shrink, turn and slant the picture around its middle, each by a random amount.

    Args:
        shift: largest shift, as a share of width and height, either way.
        scale: largest change of size: the factor is drawn between 1 / (1 + scale) and 1 + scale, as likely up as down.
        rotate: largest angle either way, degrees.
        shear: largest slant either way, degrees, below 90.
        p: probability that anything is done.
    """

    shift: float = 0.0625
    scale: float = 0.1
    rotate: float = 15.0
    shear: float = 0.0
    p: float = 1.0

    def __post_init__(self) -> None:
        _check.positive("ShiftScaleRotate", "amounts", (self.shift, self.scale, self.rotate, self.shear), zero=True)
        _check.fraction("ShiftScaleRotate", "p", self.p)
        if self.shear >= 90:
            raise _check.InputError(f"ShiftScaleRotate: shear must be below 90 degrees, got {self.shear}")

    def draw(self, size: Size) -> tuple[Tensor, Size]:
        """Draw the matrix; see `Step`."""
        h, w = size
        most = math.log1p(self.scale)
        factor = math.exp(uniform(-most, most))
        turn = affine.rotation(uniform(-self.rotate, self.rotate)) @ affine.shearing(uniform(-self.shear, self.shear))
        moved = affine.translation(uniform(-self.shift, self.shift) * w, uniform(-self.shift, self.shift) * h)
        made = moved @ affine.about(turn @ affine.scaling(factor, factor), (w / 2, h / 2))
        return (made if chance(self.p) else affine.identity()), size


@dataclass(frozen=True)
class Perspective:
    """Look at the picture from aside: each corner moves inwards by a random amount.

    Args:
        distortion: how far a corner may move, as a share of half the width and half the height, below 1.
        p: probability that anything is done.

    Notes:
        The same distribution as torchvision's `RandomPerspective`, without its rounding to whole pixels.
    """

    distortion: float = 0.3
    p: float = 0.5

    def __post_init__(self) -> None:
        _check.fraction("Perspective", "distortion", self.distortion)
        _check.fraction("Perspective", "p", self.p)
        if self.distortion == 1:
            raise _check.InputError("Perspective: distortion must be below 1, or corners could meet")

    def draw(self, size: Size) -> tuple[Tensor, Size]:
        """Draw the matrix; see `Step`."""
        h, w = size
        start = torch.tensor([[0, 0], [w, 0], [w, h], [0, h]], dtype=torch.float64)
        inwards = torch.rand(4, 2, dtype=torch.float64) * self.distortion / 2
        end = start + (torch.tensor([w / 2, h / 2]) - start).sign() * inwards * torch.tensor([w, h])
        return (affine.perspective(start, end) if chance(self.p) else affine.identity()), size


@dataclass(frozen=True)
class ResizedCrop:
    """Cut out a random part, of random area and aspect ratio, and stretch it to a fixed size.

    Args:
        size: (height, width) of the result, pixels.
        area: smallest and largest share of the picture's area.
        ratio: smallest and largest width / height of the part.

    Notes:
        The distribution of torchvision's `RandomResizedCrop`, whole pixels included: where ten draws do not fit into
        the picture, the largest part in the middle that has an allowed ratio.

    References:
        Szegedy, C. et al. (2015). Going deeper with convolutions. CVPR. Section 6.
    """

    size: Size
    area: tuple[float, float] = (0.25, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)

    def __post_init__(self) -> None:
        _check.positive("ResizedCrop", "size", self.size, of="height, width")
        for name in ("area", "ratio"):
            bounds: Sequence[float] = getattr(self, name)
            _check.positive("ResizedCrop", name, bounds, of="smallest, largest")
            if bounds[0] > bounds[1]:
                raise _check.InputError(f"ResizedCrop: {name} must be (smallest, largest), got {bounds}")
        if self.area[1] > 1:
            raise _check.InputError(f"ResizedCrop: area must be at most 1, got {self.area}")

    def draw(self, size: Size) -> tuple[Tensor, Size]:
        """Draw the matrix; see `Step`."""
        return affine.crop_to(self.box(size), self.size), self.size

    def box(self, size: Size) -> tuple[int, int, int, int]:
        """Draw the part to cut out, x1, y1, x2, y2."""
        h, w = size
        for _ in range(10):
            wanted = uniform(*self.area) * h * w
            ratio = math.exp(uniform(math.log(self.ratio[0]), math.log(self.ratio[1])))
            width, height = round(math.sqrt(wanted * ratio)), round(math.sqrt(wanted / ratio))
            if 0 < width <= w and 0 < height <= h:
                x, y = (int(torch.randint(room + 1, ())) for room in (w - width, h - height))
                return x, y, x + width, y + height
        ratio = min(max(w / h, self.ratio[0]), self.ratio[1])
        width, height = min(w, max(1, round(h * ratio))), min(h, max(1, round(w / ratio)))
        x, y = (w - width) // 2, (h - height) // 2
        return x, y, x + width, y + height


@dataclass(frozen=True)
class Crop:
    """Cut out a part of a fixed size at a random place, without scaling: no pixel is interpolated.

    Args:
        size: (height, width) of the part, pixels; one number for a square.
        pad: how many pixels the part may reach beyond each edge of the picture.

    Notes:
        torchvision's `RandomCrop(size, padding=pad)`, but that it puts a picture smaller than the part wholly into it.
        What lies outside the picture gets `Geometric`'s `fill`; in masks, label maps and `weights` it is 0.
    """

    size: Size | int
    pad: int = 0

    def __post_init__(self) -> None:
        size = (self.size, self.size) if isinstance(self.size, int) else tuple(self.size)
        _check.positive("Crop", "size", size, of="height, width")
        _check.positive("Crop", "pad", [self.pad], zero=True)
        if not all(isinstance(number, int) for number in (*size, self.pad)):
            raise _check.InputError(f"Crop: size and pad must be whole numbers, got {self.size!r} and {self.pad!r}")
        object.__setattr__(self, "size", size)

    def draw(self, size: Size) -> tuple[Tensor, Size]:
        """Draw the matrix; see `Step`."""
        bounds = (sorted((-self.pad, old + self.pad - new)) for old, new in zip(size, self.size, strict=True))
        y, x = (low + int(torch.randint(high - low + 1, ())) for low, high in bounds)
        return affine.translation(-x, -y), self.size


@dataclass(frozen=True)
class Resize:
    """Bring the picture to a fixed size without chance: with its aspect ratio kept and padding, or stretched.

    Args:
        size: (height, width) of the result, pixels.
        keep_ratio: whether to keep the ratio and pad (letterbox), or to stretch.
    """

    size: Size
    keep_ratio: bool = True

    def __post_init__(self) -> None:
        _check.positive("Resize", "size", self.size, of="height, width")

    def draw(self, size: Size) -> tuple[Tensor, Size]:
        """Give the matrix; see `Step`."""
        if not self.keep_ratio:
            return affine.crop_to((0, 0, size[1], size[0]), self.size), self.size
        fitted = letterbox(size, self.size)
        (sy, sx), (top, left) = fitted.scale, fitted.offset
        return affine.translation(left, top) @ affine.scaling(sx, sy), self.size


@dataclass(frozen=True)
class Elastic:
    """Bend the picture as if it were printed on rubber: a smooth random displacement of every pixel.

    In a chain it always comes last: it bends the result of the other steps.

    Args:
        strength: standard deviation of the displacement along each axis, pixels; at most a quarter of the smoothness,
            so that nothing is folded.
        smoothness: standard deviation of the Gaussian that smooths the displacements, pixels.
        p: probability that anything is done.

    Notes:
        torchvision's `ElasticTransform(alpha, sigma)` smooths uniform noise and multiplies by alpha; the displacement
        that comes out shrinks as sigma grows. Here `strength` is that displacement itself.

    References:
        Simard, P., Steinkraus, D. and Platt, J. (2003). Best practices for convolutional neural networks applied to
        visual document analysis. ICDAR. Section 2.
    """

    strength: float = 3.0
    smoothness: float = 12.0
    p: float = 0.5

    def __post_init__(self) -> None:
        _check.positive("Elastic", "strength", [self.strength], zero=True)
        _check.positive("Elastic", "smoothness", [self.smoothness])
        _check.fraction("Elastic", "p", self.p)
        if self.strength > 0.25 * self.smoothness:
            raise _check.InputError(
                f"Elastic: strength must be at most 0.25 x smoothness = {0.25 * self.smoothness:g}, or the picture "
                f"would fold; got {self.strength:g}"
            )

    def draw_field(self, size: Size) -> Tensor | None:
        """Draw the displacements (2, H, W) of a picture of `size`, x and y in pixels, or None."""
        if not chance(self.p):
            return None
        reach = math.ceil(3 * self.smoothness)
        weights = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / self.smoothness) ** 2)
        noise = torch.randn(2, 1, *(side + 2 * reach for side in size))  # wide enough to need no padding
        smooth = functional.conv2d(functional.conv2d(noise, weights[None, None, None]), weights[None, None, :, None])
        # a sum of independent numbers with weights w has the variance sum w^2; here that is so along both axes
        return smooth[:, 0] * (self.strength / weights.square().sum())  # (2, 1, H, W) -> (2, H, W)
