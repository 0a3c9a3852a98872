"""Weights of classes from how often they occur, for losses in which each class is to be heard."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from cvlab import _check
from cvlab.losses._weights import at_least_0

KINDS = ("median", "inverse", "log")


def frequency_weights(counts: Tensor | Sequence[Any], kind: str = "median") -> Tensor:
    """Compute a weight for each class from how many pixels it has: the larger the rarer.

    With f the frequency of a class, its pixels divided by all pixels, the weight is

    - "median": the median of the frequencies, divided by f;
    - "inverse": 1 / f, divided by the number of classes, so that the mean over all pixels is 1;
    - "log": 1 / log(1.02 + f), which stays between 1.4 and 50.5 however rare the class is.

    Args:
        counts: (K,) pixels of each class; or (N, K), those in each picture.
        kind: "median", "inverse" or "log".

    Returns:
        (K,) float32. A class that does not occur has the weight 0, and takes no part in median and mean.

    Raises:
        InputError: The counts have another shape, one is negative or not finite, all are 0, or the kind is unknown.

    Notes:
        With counts of each picture, "median" divides by the pixels of the pictures in which the class occurs, as Eigen
        and Fergus do. "inverse" is `cvlab.data.class_weights` of all pixels' labels.

    Example:
        >>> frequency_weights([6, 3, 1, 0])  # frequencies 0.6, 0.3, 0.1: their median is 0.3
        tensor([0.5000, 1.0000, 3.0000, 0.0000])

    References:
        Eigen, Fergus (2015). Predicting depth, surface normals and semantic labels with a common multi-scale
        architecture. ICCV. Paszke et al. (2016). ENet. A deep neural network architecture for real-time semantic
        segmentation.
    """
    op = "frequency_weights"
    _check.choice(op, "kind", kind, KINDS)
    found = torch.as_tensor(counts).double()
    rows = found[None] if found.dim() == 1 else found  # (N, K)
    if rows.dim() != 2:
        raise _check.InputError(f"{op}: counts must have shape (K,) or (N, K), got {tuple(found.shape)}")
    at_least_0(op, "counts", found)
    pixels, present = rows.sum(0), rows.sum(0) > 0
    if not bool(present.any()):
        raise _check.InputError(f"{op}: counts must not all be 0")
    whole = rows.sum() if kind != "median" else ((rows > 0) * rows.sum(1, keepdim=True)).sum(0)
    frequency = (pixels / whole)[present]
    weights = torch.zeros_like(pixels)
    if kind == "log":
        weights[present] = 1 / torch.log(1.02 + frequency)
    else:
        scale = frequency.quantile(0.5) if kind == "median" else 1 / len(frequency)
        weights[present] = scale / frequency
    return weights.float()
