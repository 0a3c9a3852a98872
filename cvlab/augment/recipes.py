"""Ready recipes: what to do with training pictures, and with all others, for three kinds of tasks.

A recipe is an ordinary `v2.Compose`; print it to see its steps. Only training is augmented: with `train=False` a recipe
brings pictures to their size, and does nothing at random.
"""

from __future__ import annotations

from torch import nn
from torchvision.transforms import v2

from cvlab import _check
from cvlab.augment.geometric import Geometric
from cvlab.augment.photometric import ColourJitter, ImageOnly, degrade
from cvlab.augment.steps import Elastic, Flip, Resize, ResizedCrop, ShiftScaleRotate

Size = int | tuple[int, int]
POLICIES = {"randaugment": v2.RandAugment, "trivialaugment": v2.TrivialAugmentWide}


def _size(size: Size, op: str) -> tuple[int, int]:
    pair = (size, size) if isinstance(size, int) else tuple(size)
    _check.positive(op, "size", pair, of="height, width")
    return pair


def _strength(strength: float, op: str) -> float:
    _check.positive(op, "strength", [strength], zero=True)
    return float(strength)


def _jitter(strength: float) -> ColourJitter:
    return ColourJitter(0.3 * strength, 0.3 * strength, 0.3 * strength, min(0.5, 0.02 * strength), p=0.8)


def for_classification(
    size: Size, *, train: bool = True, strength: float = 1.0, policy: str | None = None
) -> nn.Module:
    """Make a recipe for pictures with one label each.

    Args:
        size: side of the square result in pixels, or (height, width).
        train: whether anything is done at random.
        strength: 0 changes nothing but the size, 1 is usual, above 1 is more.
        policy: "randaugment" or "trivialaugment" in the place of colour jitter: policies that draw one or two
            operations of many, some of which move the picture, so they are for labels of whole pictures only.

    Returns:
        A transform of `(image)` or `(image, label)`; images keep their type.

    Raises:
        InputError: if the size, the strength or the policy is none of these.

    References:
        Cubuk, E. et al. (2020). RandAugment. CVPR workshops. Müller, S. and Hutter, F. (2021). TrivialAugment. ICCV.

    Example:
        >>> import torch
        >>> image = torch.rand(3, 40, 60, generator=torch.Generator().manual_seed(0))
        >>> for_classification(32)(image).shape, for_classification(32, train=False)(image).shape
        (torch.Size([3, 32, 32]), torch.Size([3, 32, 32]))
    """
    op = "for_classification"
    new, s = _size(size, op), _strength(strength, op)
    if policy is not None:
        _check.choice(op, "policy", policy, tuple(POLICIES))
    if not train:
        return _still(new)
    least = max(0.1, 1 - 0.3 * s)
    moves = Geometric([ResizedCrop(new, (least, 1.0)), Flip(0.5 * min(s, 1.0)), _turn(s)])
    colours = _jitter(s) if policy is None else ImageOnly(POLICIES[policy]())
    return v2.Compose([moves, colours])


def _turn(strength: float) -> ShiftScaleRotate:
    return ShiftScaleRotate(0.05 * strength, 0.1 * strength, 10 * strength, p=0.5)


def for_detection(
    size: Size, *, train: bool = True, strength: float = 1.0, degraded: bool = False, min_visibility: float = 0.25
) -> nn.Module:
    """Make a recipe for pictures with boxes, and perhaps masks and key points: crop, flip, colours.

    Args:
        size: side of the square result in pixels, or (height, width).
        train: whether anything is done at random.
        strength: 0 changes nothing but the size, 1 is usual, above 1 is more.
        degraded: whether to add blur, noise and JPEG compression, each one time in five.
        min_visibility: an object is dropped when less than this share of it is left.

    Returns:
        A transform of `(image, target)`. Images keep their type; uint8 is quickest.

    Raises:
        InputError: if a number is out of its range.
    """
    op = "for_detection"
    new, s = _size(size, op), _strength(strength, op)
    if not train:
        return _still(new)
    crop = ResizedCrop(new, (max(0.1, 1 - 0.7 * s), 1.0))
    moves = Geometric([crop, Flip(0.5 * min(s, 1.0))], min_visibility=min_visibility, keep_one=True)
    return v2.Compose([moves, _jitter(s), *([degrade()] if degraded else [])])


def for_segmentation(
    size: Size, *, train: bool = True, strength: float = 1.0, elastic: bool = False, min_visibility: float = 0.05
) -> nn.Module:
    """Make a recipe for pictures with label maps or instance masks: crop, flip, turn, perhaps bend, colours.

    Args:
        size: side of the square result in pixels, or (height, width).
        train: whether anything is done at random.
        strength: 0 changes nothing but the size, 1 is usual, above 1 is more.
        elastic: whether to bend half of the pictures: for what bends in nature, such as cells, and not for bottles.
        min_visibility: an object is dropped when less than this share of it is left.

    Returns:
        A transform of `(image, target)`. Images keep their type.

    Raises:
        InputError: if a number is out of its range.
    """
    op = "for_segmentation"
    new, s = _size(size, op), _strength(strength, op)
    if not train:
        return _still(new)
    steps = [ResizedCrop(new, (max(0.1, 1 - 0.7 * s), 1.0)), Flip(0.5 * min(s, 1.0)), _turn(s)]
    bend = [Elastic(3.0 * min(s, 1.0), 12.0)] if elastic else []
    return v2.Compose([Geometric([*steps, *bend], min_visibility=min_visibility), _jitter(s)])


def _still(size: tuple[int, int]) -> nn.Module:
    """Bring a picture to its size with its aspect ratio kept, and nothing else; drop nothing."""
    return v2.Compose([Geometric([Resize(size)], min_visibility=0.0, min_side=0.0)])
