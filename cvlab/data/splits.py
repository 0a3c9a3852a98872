"""Divide a data set into parts: with the classes in the same proportions, and what belongs together kept together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cvlab import _check

Values = Tensor | np.ndarray | Sequence[Any]


def split(
    labels: Values | None,
    sizes: Sequence[float] = (0.7, 0.15, 0.15),
    *,
    groups: Values | None = None,
    n: int | None = None,
    seed: int = 0,
) -> tuple[Tensor, ...]:
    """Divide samples at random into parts of given sizes, each with the same proportions of classes.

    Args:
        labels: (N,) the samples' classes, whole numbers or texts; None if they have none.
        sizes: The parts' shares of the samples, each above 0, with the sum 1.
        groups: (N,) whole numbers or texts. Samples with the same one (patient, video, near duplicates) never come into
            different parts.
        n: The number of samples, needed where there are neither labels nor groups.
        seed: Another seed divides differently; a whole number from 0 to 2^32 - 1.

    Returns:
        For each part the indices of its samples, int64, in rising order.

    Raises:
        TypeError: If labels or groups are no sequence of whole numbers or texts.
        InputError: If the sizes are no such shares, labels, groups and n do not fit, a class has fewer members than
            there are parts, there are fewer groups than parts, a part would have fewer samples than there are
            classes, or the seed is out of range.

    Notes:
        Without groups, scikit-learn's `train_test_split` takes out one part after the other, the smallest first, so
        that each part has its exact size. A class of few members may miss a small part: 15% of 3 are 0 or 1.

        With groups, sizes and proportions are met as well as whole groups can: the largest groups go first, each to the
        part that lacks most of what the group has, counted as shares of its classes. No part stays without a group.
        scikit-learn's grouped splitters know either no classes or no parts of different sizes.

    Example:
        >>> labels = torch.tensor([0] * 60 + [1] * 40)
        >>> [labels[part].bincount().tolist() for part in split(labels, sizes=(0.7, 0.2, 0.1))]
        [[42, 28], [12, 8], [6, 4]]
        >>> [part.tolist() for part in split(None, sizes=(0.6, 0.4), groups=["a", "b", "a", "a", "b"])]
        [[0, 2, 3], [1, 4]]
    """
    op = "split"
    _shares(op, sizes)
    classes, owners = _inputs(op, labels, groups, n, seed, len(sizes))
    if len(classes) == 0:
        return tuple(torch.empty(0, dtype=torch.int64) for _ in sizes)
    if owners is not None:
        return _grouped(classes, owners, np.array(sizes), seed)
    counts = _counts(len(classes), sizes)
    least = min(counts)
    if least <= classes.max():
        wanted = f"{classes.max() + 1} samples, one for each class" if labels is not None else "1 sample"
        part = f"part {counts.index(least)} of {len(classes)} samples"
        raise _check.InputError(f"{op}: each part must have at least {wanted}, got {least} for {part}")
    return _ungrouped(classes, counts, seed)


def folds(
    labels: Values | None, k: int = 5, *, groups: Values | None = None, n: int | None = None, seed: int = 0
) -> list[tuple[Tensor, Tensor]]:
    """Divide samples for cross-validation: k times, each time with another k-th of them for validation.

    Args:
        labels: (N,) the samples' classes, whole numbers or texts, in the same proportions in each fold; None if they
            have none.
        k: The number of folds, at least 2.
        groups: (N,) whole numbers or texts. Samples with the same one are never in training and in validation.
        n: The number of samples, needed where there are neither labels nor groups.
        seed: Another seed divides differently; a whole number from 0 to 2^32 - 1.

    Returns:
        k pairs (train, val) of indices, int64, in rising order. Each sample is in one val.

    Raises:
        TypeError: If labels or groups are no sequence of whole numbers or texts, or k is no whole number.
        InputError: If k is below 2 or above the number of samples, labels, groups and n do not fit, a class has fewer
            members than there are folds, there are fewer groups than folds, or the seed is out of range.

    Notes:
        These are scikit-learn's KFold, StratifiedKFold and StratifiedGroupKFold. Its GroupKFold draws nothing at
        random before version 1.6, so groups without labels are taken as groups of one class.

    Example:
        >>> labels = torch.tensor([0] * 60 + [1] * 40)
        >>> [(len(train), labels[val].bincount().tolist()) for train, val in folds(labels, k=4)]
        [(75, [15, 10]), (75, [15, 10]), (75, [15, 10]), (75, [15, 10])]
    """
    from sklearn.model_selection import KFold, StratifiedGroupKFold, StratifiedKFold  # slow to import

    op = "folds"
    if isinstance(k, bool) or not hasattr(k, "__index__"):
        raise TypeError(f"{op}: k must be a whole number, got {k!r}")
    if k < 2:
        raise _check.InputError(f"{op}: k must be at least 2, got {k}")
    classes, owners = _inputs(op, labels, groups, n, seed, k)
    if len(classes) == 0:
        return [(torch.empty(0, dtype=torch.int64), torch.empty(0, dtype=torch.int64)) for _ in range(k)]
    kind = StratifiedGroupKFold if owners is not None else KFold if labels is None else StratifiedKFold
    pairs = kind(k, shuffle=True, random_state=seed).split(classes, classes, owners)
    return [(torch.from_numpy(train), torch.from_numpy(val)) for train, val in pairs]


def _ungrouped(classes: np.ndarray, counts: Sequence[int], seed: int) -> tuple[Tensor, ...]:
    """Take parts of `counts` samples out of all, the smallest first: so every class lasts for the parts that follow."""
    from sklearn.model_selection import train_test_split  # slow to import

    order = sorted(range(len(counts)), key=lambda part: counts[part])
    parts: dict[int, np.ndarray] = {}
    rest = np.arange(len(classes))
    for part in order[:-1]:
        rest, parts[part] = train_test_split(
            rest, test_size=counts[part], random_state=seed, stratify=classes[rest] if classes.any() else None
        )
    parts[order[-1]] = rest
    return tuple(torch.from_numpy(np.sort(parts[part])) for part in range(len(counts)))


def _grouped(classes: np.ndarray, owners: np.ndarray, sizes: np.ndarray, seed: int) -> tuple[Tensor, ...]:
    """Give whole groups to parts, the largest first, each to the part that lacks most of what it has."""
    have = np.zeros((owners.max() + 1, classes.max() + 1))  # (G, K)
    np.add.at(have, (owners, classes), 1)
    shares = have / have.sum(0)  # of each class
    lack = np.repeat(sizes[:, None], have.shape[1], axis=1)  # (P, K), shares of each class that a part still wants
    shuffled = np.random.default_rng(seed).permutation(len(have))
    order = shuffled[np.argsort(-have.sum(1)[shuffled], kind="stable")]
    part_of, filled = np.empty(len(have), np.int64), np.zeros(len(sizes), bool)
    for left, group in zip(range(len(order), 0, -1), order, strict=True):
        wanted = lack @ shares[group]  # (P,)
        if left == np.count_nonzero(~filled):
            wanted[filled] = -np.inf  # the last groups are for the parts without any
        best = wanted.argmax()
        part_of[group], filled[best] = best, True
        lack[best] -= shares[group]
    return tuple(torch.from_numpy(np.flatnonzero(part_of[owners] == part)) for part in range(len(sizes)))


def _counts(n: int, sizes: Sequence[float]) -> list[int]:
    """Round shares of `n` to whole numbers with the sum `n`: the largest remainders are rounded up."""
    counts = [math.floor(n * size + 1e-9) for size in sizes]
    remainders = [count - n * size for count, size in zip(counts, sizes, strict=True)]
    for part in sorted(range(len(sizes)), key=remainders.__getitem__)[: n - sum(counts)]:
        counts[part] += 1
    return counts


def _shares(op: str, sizes: Sequence[float]) -> None:
    """Refuse sizes that are not two or more shares with the sum 1."""
    _check.positive(op, "sizes", sizes)
    if len(sizes) < 2 or not math.isclose(sum(sizes), 1, abs_tol=1e-6):
        raise _check.InputError(f"{op}: sizes must be at least 2 shares with the sum 1, got {tuple(sizes)}")


def _inputs(
    op: str, labels: Values | None, groups: Values | None, n: int | None, seed: int, parts: int
) -> tuple[np.ndarray, np.ndarray | None]:
    """Number the samples' classes and groups from 0, two arrays (N,); without labels all are of class 0."""
    if isinstance(seed, bool) or not hasattr(seed, "__index__") or not 0 <= seed < 2**32:
        raise _check.InputError(f"{op}: seed must be a whole number from 0 to 2^32 - 1, got {seed!r}")
    classes = None if labels is None else _numbered(op, "labels", labels)
    owners = None if groups is None else _numbered(op, "groups", groups)
    lengths = [len(values) for values in (classes, owners) if values is not None]
    lengths += [] if n is None else [_check_n(op, n)]
    if not lengths:
        raise _check.InputError(f"{op}: n, the number of samples, must be given where there are no labels and groups")
    if len(set(lengths)) > 1:
        raise _check.InputError(f"{op}: labels, groups and n must agree, got {' and '.join(map(str, lengths))} samples")
    if classes is not None:
        _enough(op, classes, labels, parts)
    have, noun = (lengths[0], "samples") if owners is None else (owners.max(initial=-1) + 1, "groups")
    if lengths[0] > 0 and have < parts:
        raise _check.InputError(f"{op}: {parts} parts need at least {parts} {noun}, got {have}")
    return np.zeros(lengths[0], np.int64) if classes is None else classes, owners


def _numbered(op: str, name: str, values: Values) -> np.ndarray:
    """Number whole numbers or texts from 0, in their order: (N,) int64."""
    found = np.asarray(values.detach().cpu() if isinstance(values, Tensor) else values)
    if found.ndim != 1:
        raise _check.InputError(f"{op}: {name} must have shape (N,), got {found.shape}")
    if len(found) and found.dtype.kind not in "iubUS":
        raise TypeError(f"{op}: {name} must be whole numbers or texts, got {found.dtype}")
    return np.unique(found, return_inverse=True)[1]


def _check_n(op: str, n: int) -> int:
    if isinstance(n, bool) or not hasattr(n, "__index__") or n < 0:
        raise _check.InputError(f"{op}: n must be a whole number of at least 0, got {n!r}")
    return n


def _enough(op: str, classes: np.ndarray, labels: Values, parts: int) -> None:
    """Refuse a class that has not one member for each part."""
    members = np.bincount(classes)
    few = np.flatnonzero(members < parts)
    if len(few):
        label = labels[int(np.flatnonzero(classes == few[0])[0])]
        label = label.item() if hasattr(label, "item") else label
        count = f"{members[few[0]]} for class {label!r}"
        raise _check.InputError(f"{op}: each class must have at least {parts} members, one for each part, got {count}")
