"""Train evenly on classes that are not even: weights for the loss, or a sampler that draws rare classes more often."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.utils.data import WeightedRandomSampler

from cvlab import _check


def class_weights(
    labels: Tensor | Sequence[int], num_classes: int, *, method: str = "inverse", beta: float = 0.999
) -> Tensor:
    """Compute a weight for each class, the larger the rarer it is, for the loss.

    With n the members of a class, the weight is proportional to

    - "inverse": 1 / n. All members of a class together weigh as much as those of any other.
    - "effective": (1 - beta) / (1 - beta^n). The more members, the less a further one adds, because it resembles
      those before: the class counts for (1 - beta^n) / (1 - beta) of them, between n for rare classes and
      1 / (1 - beta) for frequent ones.

    Args:
        labels: (N,) whole numbers from 0 to `num_classes` - 1, one for each sample.
        num_classes: K.
        method: "inverse" or "effective".
        beta: For "effective", in [0, 1): 0 weighs all classes alike, near 1 is near "inverse".

    Returns:
        (K,) float32. The mean of the weights over the N samples, sum(weights[labels]) / N, is 1, so the loss keeps its
        scale. A class without members has the weight 0.

    Raises:
        TypeError: If the number of classes is no whole number.
        InputError: If the labels are no whole numbers (N,) in that range, there is no class, the method is another or
            beta is outside of [0, 1).

    Notes:
        scikit-learn's `compute_class_weight("balanced")` gives the same as "inverse" where all classes have members;
        others it refuses. In Cui et al. the mean over the classes is 1 instead, so that the loss becomes smaller the
        more uneven the data are.

        `torch.nn.CrossEntropyLoss(weight)` divides by the sum of the weights of a batch, so there the scale is free.

    Example:
        >>> class_weights([0, 0, 0, 1], num_classes=3)  # 2 / 3 three times and 2 once: the mean is 1
        tensor([0.6667, 2.0000, 0.0000])
        >>> class_weights([0, 0, 0, 1], num_classes=3, method="effective", beta=0.5)  # (4 / 7, 1) * 28 / 19
        tensor([0.8421, 1.4737, 0.0000])

    References:
        Cui, Y. et al. (2019). Class-balanced loss based on effective number of samples. CVPR, equations 2 and 3.
    """
    op = "class_weights"
    if isinstance(num_classes, bool) or not hasattr(num_classes, "__index__"):
        raise TypeError(f"{op}: num_classes must be a whole number, got {num_classes!r}")
    if num_classes < 1:
        raise _check.InputError(f"{op}: num_classes must be at least 1, got {num_classes}")
    _check.choice(op, "method", method, ("inverse", "effective"))
    _check.fraction(op, "beta", beta)
    if beta == 1:
        raise _check.InputError(f"{op}: beta must lie in [0, 1), got 1; the limit is method='inverse'")
    found = _labels(op, labels)
    wrong = torch.nonzero((found < 0) | (found >= num_classes)).flatten()
    if len(wrong):
        at = int(wrong[0])
        raise _check.InputError(f"{op}: labels[{at}] must be from 0 to {num_classes - 1}, got {int(found[at])}")
    members = torch.bincount(found, minlength=num_classes).double()
    counted = members if method == "inverse" else (1 - beta**members) / (1 - beta)
    weights = torch.where(members > 0, 1 / counted, 0.0)
    return (weights * len(found) / (weights * members).sum().clamp(min=1e-300)).float()


def oversampler(labels: Tensor | Sequence[int], num_samples: int | None = None, seed: int = 0) -> WeightedRandomSampler:
    """Make a sampler that draws every class equally often, however many members it has.

    Each draw takes one of the classes with equal chance, and then one of its members; so members of rare classes come
    several times in an epoch.

    Args:
        labels: (N,) whole numbers of any value, one for each sample.
        num_samples: The number of draws in an epoch; N by default.
        seed: Another seed draws differently. Every epoch draws anew, the same after the same seed.

    Returns:
        A sampler of indices for `torch.utils.data.DataLoader(..., sampler=...)`.

    Raises:
        TypeError: If the number of draws or the seed is no whole number.
        InputError: If the labels are no whole numbers (N,), there is none, or there is less than one draw.

    Example:
        >>> labels = torch.tensor([0] * 900 + [1] * 100)
        >>> drawn = labels[list(oversampler(labels))]
        >>> 0.45 < drawn.float().mean() < 0.55  # of the rare class, which has a tenth of the samples
        tensor(True)
    """
    op = "oversampler"
    found = _labels(op, labels)
    if len(found) == 0:
        raise _check.InputError(f"{op}: labels must hold at least one sample to draw, got none")
    for name, value in (("num_samples", len(found) if num_samples is None else num_samples), ("seed", seed)):
        if isinstance(value, bool) or not hasattr(value, "__index__"):
            raise TypeError(f"{op}: {name} must be a whole number, got {value!r}")
    draws = len(found) if num_samples is None else num_samples
    if draws < 1:
        raise _check.InputError(f"{op}: num_samples must be at least 1, got {draws}")
    _, place, members = found.unique(return_inverse=True, return_counts=True)
    generator = torch.Generator().manual_seed(seed)
    return WeightedRandomSampler((1 / members.double())[place], draws, replacement=True, generator=generator)


def _labels(op: str, labels: Tensor | Sequence[int]) -> Tensor:
    """Give labels as (N,) int64 on the CPU."""
    if isinstance(labels, Tensor):
        found = labels.detach().cpu().as_subclass(Tensor)
    else:
        try:
            found = torch.as_tensor(labels if len(labels) else torch.empty(0, dtype=torch.int64))
        except (TypeError, ValueError, RuntimeError) as error:
            raise _check.InputError(f"{op}: labels must be whole numbers, got {labels!r}") from error
    if found.is_floating_point() or found.is_complex() or found.dtype == torch.bool:
        raise _check.InputError(f"{op}: labels must be whole numbers, got {found.dtype}")
    _check.shape(op, "labels", found, ("N",))
    return found.long()
