"""The border weights of U-Net: what to do so that a network keeps apart what touches."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from cvlab import _check
from cvlab.data.label_maps import plain_labels
from cvlab.losses._weights import at_least_0


def border_weights(
    instances: Tensor,
    *,
    w0: float = 10.0,
    sigma: float = 5.0,
    class_weights: Sequence[float] | None = None,
    inside: bool = False,
) -> Tensor:
    """Compute the weight that each pixel's loss has: the larger, the narrower the gap between two objects.

    It is w(x) = w_c(x) + w0 exp(-(d1 + d2)^2 / (2 sigma^2)), with d1 the distance to the nearest object and d2 that to
    the second nearest.

    Args:
        instances: (H, W) integers, 0 for the background, another number for each object; numbers may be missing.
        w0: The largest weight that a gap can add.
        sigma: How wide gaps may be, pixels: where d1 + d2 is 2 sigma, w0 / e^2 is added.
        class_weights: w_c of the background and of objects; None for 1 and 1.
        inside: Add the second term to the pixels of objects too, whose d1 is 0.

    Returns:
        (H, W) float32. Distances are exact, from a pixel's centre to the nearest pixel's centre of an object, so that
        in a gap of one pixel d1 = d2 = 1. With fewer than two objects the second term is 0.

    Raises:
        TypeError: The instances are no tensor.
        InputError: The instances have another shape or dtype, a number is below 0, w0 is negative or sigma not above 0,
            or the class weights are not two numbers of at least 0.

    Notes:
        Ronneberger et al. use it for the background between cells. Where objects touch, there is none: make room with
        `separate_touching` before.

    Example:
        >>> border_weights(torch.tensor([[1, 1, 0, 2, 2, 0, 0, 0]]), sigma=1.0)  # 1 + 10 exp(-(1 + 1)^2 / 2) in the gap
        tensor([[1.0000, 1.0000, 2.3534, 1.0000, 1.0000, 1.0000, 1.0000, 1.0000]])

    References:
        Ronneberger et al. (2015). U-Net. Equation 2.
    """
    numbers, weights = _start("border_weights", instances, w0, sigma, class_weights)
    if w0 > 0 and len(np.unique(numbers[numbers > 0])) >= 2:
        nearest, second = nearest_two(numbers)
        gap = w0 * np.exp(-((nearest + second) ** 2) / (2 * sigma**2))
        weights += gap if inside else gap * (numbers == 0)
    return torch.from_numpy(weights.astype(np.float32)).to(instances.device)


def nearest_two(instances: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Measure how far each pixel is from the nearest object, and how far from the second nearest.

    One distance transform finds the nearest object. A transform for every other object would find the second; far fewer
    will do. Write the objects' numbers in bits: two different numbers differ in at least one. So for each bit, one
    transform measures the distance to the objects whose bit is 0, one to those whose bit is 1. Whatever bits the
    nearest object has, all others are among those that differ from it in some bit: the least of these distances is the
    answer. For 100 objects these are 14 transforms.

    Args:
        instances: (H, W) integers, 0 for the background, at least two objects.

    Returns:
        Two arrays (H, W) float64, pixels; the first is 0 inside objects.

    Example:
        >>> nearest_two(np.array([[1, 0, 0, 2]]))
        (array([[0., 1., 1., 0.]]), array([[3., 2., 2., 3.]]))
    """
    objects = np.unique(instances[instances > 0])
    codes = np.searchsorted(objects, instances)  # from 0 in steps of 1; those of the background are not used
    outside = instances == 0
    first, (rows, columns) = ndimage.distance_transform_edt(outside, return_indices=True)
    owner = codes[rows, columns]  # (H, W), the nearest object
    second = np.full(instances.shape, np.inf)
    for bit in range(int(len(objects) - 1).bit_length()):
        for value in (0, 1):
            others = ndimage.distance_transform_edt(outside | (codes >> bit & 1 != value))
            np.minimum(second, others, out=second, where=owner >> bit & 1 != value)
    return first, second


def border_weights_reference(
    instances: Tensor,
    *,
    w0: float = 10.0,
    sigma: float = 5.0,
    class_weights: Sequence[float] | None = None,
    inside: bool = False,
) -> Tensor:
    """Compute the same as `border_weights`, pixel by pixel, from all pixels of all objects.

    Args:
        instances: As there.
        w0: As there.
        sigma: As there.
        class_weights: As there.
        inside: As there.

    Returns:
        (H, W) float32.
    """
    numbers, weights = _start("border_weights_reference", instances, w0, sigma, class_weights)
    objects = [np.argwhere(numbers == number) for number in np.unique(numbers[numbers > 0])]  # (P, 2) each
    for y, x in np.ndindex(numbers.shape):
        if len(objects) >= 2 and (inside or numbers[y, x] == 0):
            d1, d2 = sorted(np.sqrt(((pixels - (y, x)) ** 2).sum(1)).min() for pixels in objects)[:2]
            weights[y, x] += w0 * np.exp(-((d1 + d2) ** 2) / (2 * sigma**2))
    return torch.from_numpy(weights.astype(np.float32)).to(instances.device)


def _start(
    op: str, instances: Tensor, w0: float, sigma: float, class_weights: Sequence[float] | None
) -> tuple[np.ndarray, np.ndarray]:
    """Check what is given; give the instances, and the weight of each pixel's class, float64."""
    numbers = plain_labels(op, "instances", instances).cpu().numpy()
    _check.positive(op, "w0", [w0], zero=True)
    _check.positive(op, "sigma", [sigma])
    weights = torch.as_tensor((1.0, 1.0) if class_weights is None else class_weights, dtype=torch.float64)
    _check.shape(op, "class_weights", weights, (2,))
    at_least_0(op, "class_weights", weights)
    return numbers, weights.cpu().numpy()[(numbers > 0).astype(int)]


def separate_touching(instances: Tensor, width: int = 1) -> Tensor:
    """Make room between objects that touch: what is near another object becomes background.

    Args:
        instances: (H, W) integers, 0 for the background, another number for each object.
        width: How near, pixels; 1 for the eight neighbours. Both objects give way, so that where they touched there is
            a gap of 2 `width` pixels.

    Returns:
        (H, W) in the dtype of `instances`. An object that is thin, and touched all along, may lose all its pixels.

    Raises:
        TypeError: The instances are no tensor.
        InputError: The instances have another shape or dtype, a number is below 0, or the width is no whole number
            above 0.

    Notes:
        `cvlab.instances.grow` gives the gap back.

    Example:
        >>> separate_touching(torch.tensor([[1, 1, 1, 2, 2, 2, 0, 3, 3]]))
        tensor([[1, 1, 0, 0, 2, 2, 0, 3, 3]])
    """
    op = "separate_touching"
    numbers = plain_labels(op, "instances", instances)
    if not isinstance(width, int) or width < 1:
        raise _check.InputError(f"{op}: width must be a whole number of at least 1, got {width!r}")
    values = numbers.cpu().numpy()
    side, none = 2 * width + 1, values.max(initial=0) + 1
    largest = ndimage.maximum_filter(values, side, mode="constant", cval=0)
    smallest = ndimage.minimum_filter(np.where(values == 0, none, values), side, mode="constant", cval=none)
    alone = torch.from_numpy((largest == values) & (smallest == values)).to(instances.device)
    return instances.detach().as_subclass(Tensor) * alone
