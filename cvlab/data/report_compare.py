"""Compare the images of a data set with one another: copies, leaks between splits, odd sizes, missing classes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from statistics import median

from cvlab.data.checks import Names, Problem
from cvlab.data.hashing import near_duplicates
from cvlab.data.report_scan import Picture

ODD = 4
"""A side this many times longer or shorter than the median is odd."""


def compare(pictures: Sequence[Picture], splits: Sequence[str]) -> tuple[list[Problem], list[Problem]]:
    """Find what only shows when images are compared.

    Returns:
        The problems (equal images, and images of several splits that look alike), and the notes (images of one split
        that look alike, odd sizes, classes that a split lacks).
    """
    same: dict[str, list[Picture]] = defaultdict(list)
    for picture in pictures:
        same[picture.content].append(picture)
    equal = [_copies(group, "have the same pixels", "duplicate") for group in same.values() if len(group) > 1]
    alike = [_copies(group, "look alike", "near duplicate") for group in _alike(list(same.values()))]
    problems = equal + [found for found in alike if found.kind == "leak"]
    notes = [found for found in alike if found.kind != "leak"]
    return problems, [*notes, *_odd_sizes(pictures), *_missing(pictures, splits)]


def _alike(same: list[list[Picture]]) -> Iterable[list[Picture]]:
    """Join groups of equal pictures into groups of those that look alike."""
    for group in near_duplicates([pictures[0].look for pictures in same]):
        yield [picture for index in group for picture in same[index]]


def _copies(group: Sequence[Picture], how: str, kind: str) -> Problem:
    """Describe pictures that should be one: a leak if they are in several splits."""
    labels = {tuple(sorted(picture.labels)) for picture in group if picture.labels}
    if len(labels) > 1:
        single = all(len(label) == 1 for label in labels)
        how += f" under different labels{': ' + ', '.join(sorted(label[0] for label in labels)) if single else ''}"
    first = {picture.split: picture for picture in reversed(group)}
    ordered = sorted(group, key=lambda picture: picture is not first[picture.split])  # one of each split comes first
    return Problem("leak" if len(first) > 1 else kind, tuple(picture.where for picture in ordered), how)


def _odd_sizes(pictures: Sequence[Picture]) -> Iterable[Problem]:
    """Find images that are far larger or smaller than most."""
    if not pictures:
        return
    middle = [median(picture.size[axis] for picture in pictures) for axis in (0, 1)]
    for picture in pictures:
        ratios = [side / usual for side, usual in zip(picture.size, middle, strict=True)]
        if max(ratios) > ODD or min(ratios) < 1 / ODD:
            height, width = picture.size
            what = f"is {height} x {width}; the median is {middle[0]:g} x {middle[1]:g}"
            yield Problem("odd size", (picture.where,), what)


def _missing(pictures: Sequence[Picture], splits: Sequence[str]) -> Iterable[Problem]:
    """Find the classes that one split has and another, labelled too, lacks."""
    classes: dict[str, set[str]] = {split: set() for split in splits}
    for picture in pictures:
        classes[picture.split].update(picture.labels)
    every = set().union(*classes.values())
    for split, present in classes.items():
        lacking = sorted(every - present, key=natural)
        if present and lacking:
            yield lack(split, lacking)


def lack(where: str, classes: Sequence[str]) -> Problem:
    """Write down classes that are missing, the first ten by name."""
    more = f" and {len(classes) - 10} more" if len(classes) > 10 else ""
    return Problem("missing class", (where,), f"lacks {', '.join(classes[:10])}{more}")


def unseen(pictures: Sequence[Picture], names: Names | None) -> list[str]:
    """List the names that no image has; the background's, entry 0 of the names for detection, is not asked for."""
    if names is None:
        return []
    detection = any(picture.box_sides is not None for picture in pictures)
    pairs = names.items() if isinstance(names, Mapping) else enumerate(names)
    present = {label for picture in pictures for label in picture.labels}
    return [name for label, name in pairs if name not in present and not (detection and label == 0)]


def natural(name: str) -> tuple[bool, int, str]:
    """Sort numbers by their value, before words."""
    return (False, int(name), "") if name.isdecimal() else (True, 0, name)
