"""Hierarchical grouping: the two neighbours that are most alike become one region, again and again."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from cvlab.proposals.similarity import SIMILARITIES, check_measures, check_segments, describe_regions, similarity


class Merge(NamedTuple):
    """One step: regions `first` and `second` become the region `new`, whose box is (x1, y1, x2, y2)."""

    first: int
    second: int
    new: int
    similarity: float
    box: tuple[int, int, int, int]


@dataclass(frozen=True)
class Grouping:
    """The whole history of a grouping.

    Attributes:
        segments: (H, W) int64, the first regions, numbered from 0 to R - 1.
        boxes: (2 R - 1, 4) xyxy, half-open, of the first regions and then of each merged one.
        merges: the R - 1 steps; the k-th makes region R + k.
    """

    segments: np.ndarray
    boxes: np.ndarray
    merges: list  # of Merge

    @property
    def levels(self) -> np.ndarray:
        """Levels (2 R - 1,), which are 1 for the first regions and one more than their parts' for merged ones."""
        levels = np.ones(len(self.boxes), np.int64)
        for merge in self.merges:
            levels[merge.new] = 1 + max(levels[merge.first], levels[merge.second])
        return levels


def hierarchical_grouping(image: np.ndarray, segments: np.ndarray, measures: Sequence[str] = SIMILARITIES) -> Grouping:
    """Merge the two most similar neighbours until one region is left.

    Args:
        image: (H, W, 3) float in [0, 1], in any colour space.
        segments: (H, W) integers from 0 to R - 1.
        measures: what similarity is made of, see `similarity`.

    Returns:
        The history.

    Raises:
        InputError: if an argument is not as above, or a measure has another name.

    Notes:
        Similarities wait in a heap. A merge adds those of the new region; entries of regions that are gone are skipped
        when they come up. Of equal similarities the pair with the lower numbers goes first.

    Example:
        >>> image = np.ones((4, 4, 3))
        >>> image[1:3, 1:3] = 0.0
        >>> segments = np.array([[0, 0, 0, 0], [0, 1, 2, 0], [0, 1, 2, 0], [0, 0, 0, 0]])
        >>> [(m.first, m.second, m.box) for m in hierarchical_grouping(image, segments).merges]  # the dark halves first
        [(1, 2, (1, 1, 3, 3)), (0, 3, (0, 0, 4, 4))]

    References:
        Uijlings et al. (2013). Selective search for object recognition. Algorithm 1.
    """
    check_segments("hierarchical_grouping", image, segments)
    check_measures("hierarchical_grouping", measures)
    regions = describe_regions(image, segments).with_room()
    count = int(segments.max()) + 1
    near = neighbours(segments, count)
    pairs = [(i, j) for i in range(count) for j in near[i] if i < j]
    heap: list[tuple[float, int, int]] = []
    if pairs:
        first, second = np.array(pairs).T
        alike = similarity(regions, first, second, measures)
        heap = [(-s, i, j) for s, (i, j) in zip(alike.tolist(), pairs, strict=True)]
        heapq.heapify(heap)
    gone, merges = set(), []
    while heap:
        s, i, j = heapq.heappop(heap)
        if i in gone or j in gone:
            continue
        new = count + len(merges)
        regions.merge(i, j, new)
        gone |= {i, j}
        around = sorted((near[i] | near[j]) - {i, j})
        near.append(set(around))
        for k in around:
            near[k] = (near[k] - {i, j}) | {new}
        if around:
            alike = similarity(regions, np.array(around), np.full(len(around), new), measures)
            for k, value in zip(around, alike.tolist(), strict=True):
                heapq.heappush(heap, (-value, k, new))
        merges.append(Merge(i, j, new, -s, tuple(int(v) for v in regions.box[new])))
    return Grouping(segments, regions.box, merges)


def neighbours(segments: np.ndarray, count: int) -> list[set[int]]:
    """List for each region those that share an edge with it."""
    near: list[set[int]] = [set() for _ in range(count)]
    for a, b in ((segments[:, :-1], segments[:, 1:]), (segments[:-1], segments[1:])):
        different = a != b
        for i, j in np.unique(np.stack([a[different], b[different]], 1), axis=0).tolist():
            near[i].add(j)
            near[j].add(i)
    return near


def hierarchical_grouping_reference(
    image: np.ndarray, segments: np.ndarray, measures: Sequence[str] = SIMILARITIES
) -> list[tuple[frozenset[int], frozenset[int]]]:
    """Do `hierarchical_grouping` in the plainest way: measure all regions anew from their pixels before each merge.

    Args:
        image: (H, W, 3) float in [0, 1].
        segments: (H, W) integers from 0 to R - 1.
        measures: as in `hierarchical_grouping`.

    Returns:
        For each step the two regions that merge, as sets of the first regions.
    """
    parts = [frozenset([i]) for i in range(int(segments.max()) + 1)]
    steps = []
    while len(parts) > 1:
        number = np.zeros(int(segments.max()) + 1, np.int64)
        for k, part in enumerate(parts):
            number[list(part)] = k
        current = number[segments]
        regions = describe_regions(image, current)
        near = neighbours(current, len(parts))
        pairs = [(i, j) for i in range(len(parts)) for j in near[i] if i < j]
        alike = [float(similarity(regions, i, j, measures)) for i, j in pairs]
        i, j = pairs[int(np.argmax(alike))]
        steps.append((parts[i], parts[j]))
        parts = [part for k, part in enumerate(parts) if k not in (i, j)] + [parts[i] | parts[j]]
    return steps
