"""Report what is in a data set and what is wrong with it, before a network is trained on it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from cvlab import _check
from cvlab.data.checks import Names, Problem
from cvlab.data.report_compare import compare, lack, natural, unseen
from cvlab.data.report_folder import scan_folder
from cvlab.data.report_items import scan_datasets
from cvlab.data.report_scan import Findings, Picture

if TYPE_CHECKING:
    import numpy as np

_MOST_CLASSES = 20  # lines of the printed table
_MOST_EXAMPLES = 5  # lines for each kind of problem


@dataclass(frozen=True, repr=False)
class DataReport:
    """Tell what is in a data set and what is wrong with it.

    `print(report)` gives a short text, `report.plot()` a picture, `report.ok` whether there is no problem.

    Attributes:
        splits: The splits' names, in order; "all" where there are none.
        pictures: What is known about each image that could be read.
        problems: Faults, each with `kind`, `where` and `what`:

            - "broken file", "item": a file that cannot be read, an item that raises or is no pair;
            - "image", "target", "box", "mask", "label": as `cvlab.data.checks.check_target` lists them;
            - "duplicate": several images of one split with the same pixels;
            - "leak": images of several splits that have the same pixels or look alike;
            - "folder", "empty class": nothing to read there.
        notes: What is no fault but worth knowing, in the same form: "no objects", "near duplicate", "odd size",
            "missing class", "mode" and "turned" (what reading a file changes), "range" (values outside of [0, 1]),
            "left out" (what is no image, or outside of the splits), "no class" and "limit".

    Notes:
        Images look alike if their difference hashes are near; `cvlab.data.hashing.near_duplicates` tells how near, how
        often that fails, and how to keep such images together in a split. Within one split it is a note only, because
        frames of a video look alike without being wrong.

        Every image is decoded once, one after another. Random augmentation hides equal images: give data sets without.

    Example:
        >>> from cvlab.data import StillLife
        >>> splits = {split: StillLife(size=48, split=split, length=20) for split in ("train", "val")}
        >>> report = DataReport.from_datasets(splits, names=("background", *StillLife.KINDS))
        >>> report.ok, report
        (True, DataReport(40 images in 2 splits, 10 classes; 0 problems, 0 notes))
        >>> report.counts("train")["banana"]  # objects, images
        (8, 7)
    """

    splits: tuple[str, ...]
    pictures: tuple[Picture, ...]
    problems: tuple[Problem, ...]
    notes: tuple[Problem, ...]

    @classmethod
    def from_folder(cls, path: str | Path) -> DataReport:
        """Read all images of a folder.

        Args:
            path: A folder that holds images, or a folder for each class as torchvision's `ImageFolder` has them, or
                such folders inside "train", "val" (or "valid", "validation") and "test". A class may have folders
                inside. Hidden files are not looked at.

        Returns:
            The report, whatever is in the folder.

        Raises:
            FileNotFoundError: If there is no such folder.
        """
        folder = Path(path)
        if not folder.is_dir():
            raise FileNotFoundError(f"DataReport.from_folder: there is no folder {str(folder)!r}")
        return _report(cls, scan_folder(folder), None)

    @classmethod
    def from_datasets(
        cls, datasets: Mapping[str, Any], names: Names | None = None, limit: int | None = None
    ) -> DataReport:
        """Read the items of data sets.

        Args:
            datasets: The data set of each split, with a length and items (image, target). An image is a tensor
                (C, H, W), float in [0, 1] or uint8, or a Pillow image or an array (H, W[, C]). A target is a dict of
                boxes (N, 4), labels (N,) and perhaps masks (N, H, W), as torchvision's detection models take it, or a
                class number.
            names: The classes' names: a mapping from label to name, or a list; its entry 0 is the background in
                detection. By default classes are called by their numbers, and no label is too large.
            limit: Check at most so many items of each data set, evenly spread.

        Returns:
            The report, whatever the data sets' items are.

        Raises:
            TypeError: If `datasets` is no mapping, one of them has no length or no items, or names or limit are of
                another type.
            InputError: If there is no data set, or the limit is below 1.
        """
        op = "DataReport.from_datasets"
        if not isinstance(datasets, Mapping):
            raise TypeError(f"{op}: datasets must be a dict from split to data set, got {type(datasets).__name__}")
        if not datasets:
            raise _check.InputError(f"{op}: datasets must hold at least one data set, got none")
        for split, dataset in datasets.items():
            if not (hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__")):
                raise TypeError(f"{op}: datasets[{split!r}] must have a length and items, got {type(dataset).__name__}")
        if names is not None and (isinstance(names, str) or not isinstance(names, (Mapping, Sequence))):
            raise TypeError(f"{op}: names must be a list or a dict from label to name, got {names!r}")
        if limit is not None and (isinstance(limit, bool) or not hasattr(limit, "__index__")):
            raise TypeError(f"{op}: limit must be a whole number or None, got {limit!r}")
        if limit is not None and limit < 1:
            raise _check.InputError(f"{op}: limit must be at least 1, got {limit}")
        return _report(cls, scan_datasets(datasets, names, limit), names)

    @property
    def ok(self) -> bool:
        """Whether there is no problem; notes do not count."""
        return not self.problems

    @property
    def detection(self) -> bool:
        """Whether images have boxes, not one class each."""
        return any(picture.box_sides is not None for picture in self.pictures)

    @property
    def classes(self) -> list[str]:
        """The classes' names, the most frequent first."""
        total = Counter(label for picture in self.pictures for label in picture.labels)
        return sorted(total, key=lambda name: (-total[name], natural(name)))

    def counts(self, split: str) -> dict[str, tuple[int, int]]:
        """Count the objects of each class in a split, and the images they are in.

        Args:
            split: One of `splits`.

        Returns:
            For each of `classes` (objects, images). Where images have a class instead of objects, both are the same.

        Raises:
            InputError: If there is no such split.
        """
        _check.choice("DataReport.counts", "split", split, self.splits)
        own = [picture.labels for picture in self.pictures if picture.split == split]
        objects = Counter(label for labels in own for label in labels)
        images = Counter(label for labels in own for label in set(labels))
        return {name: (objects[name], images[name]) for name in self.classes}

    def plot(self) -> np.ndarray:
        """Draw the balance of the classes, the sizes of the images and the sizes of the boxes.

        Returns:
            An array of three matplotlib Axes; two where there are no boxes.

        Raises:
            InputError: If there is no image.
        """
        from cvlab.data.report_plot import draw

        return draw(self)

    def __repr__(self) -> str:
        parts = [_number(len(self.pictures), "image"), _number(len(self.splits), "split")]
        found = [_number(len(self.problems), "problem"), _number(len(self.notes), "note")]
        return f"DataReport({' in '.join(parts)}, {_number(len(self.classes), 'class')}; {', '.join(found)})"

    def __str__(self) -> str:
        tables = (_split_table(self), _class_table(self), _modes(self))
        listed = (_listed(self.problems, "problem"), _listed(self.notes, "note"))
        return "\n\n".join([repr(self)[len("DataReport(") : -1], *filter(None, tables), *filter(None, listed)])


def _report(cls: type[DataReport], found: Findings, names: Names | None) -> DataReport:
    """Put together what was found in single images and what shows when they are compared."""
    problems, notes = compare(found.pictures, found.splits)
    lacking = unseen(found.pictures, names)
    if lacking:
        notes.append(lack("the data set", lacking))
    return cls(
        tuple(found.splits),
        tuple(found.pictures),
        (*found.problems, *problems),
        (*found.notes, *notes),
    )


def _number(count: int, word: str) -> str:
    plural = "classes" if word == "class" else f"{word}s"
    return f"{count:,} {word if count == 1 else plural}"


def _table(rows: Sequence[Sequence[str]]) -> str:
    """Align columns: the first at the left, the others at the right."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = []
    for first, *others in rows:
        cells = [first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True))]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def _split_table(report: DataReport) -> str:
    """Write a line for each split: how many images and objects, and how large."""
    rows = [["split", "images", *(["objects"] if report.detection else []), "height", "width"]]
    for split in report.splits:
        own = [picture for picture in report.pictures if picture.split == split]
        objects = [f"{sum(len(picture.labels) for picture in own):,}"] if report.detection else []
        sizes = [_range([picture.size[axis] for picture in own]) for axis in (0, 1)]
        rows.append([split, f"{len(own):,}", *objects, *sizes])
    return _table(rows)


def _range(sides: Sequence[int]) -> str:
    """Write the least, the median and the greatest of some sides, once if they are all the same."""
    if not sides:
        return "-"
    low, high = min(sides), max(sides)
    return str(low) if low == high else f"{low} / {median(sides):g} / {high}"


def _class_table(report: DataReport) -> str:
    """Write a line for each class: its objects in each split, and in how many images they are."""
    classes, shown = report.classes, report.classes[:_MOST_CLASSES]
    if not classes:
        return ""
    columns = [report.counts(split) for split in report.splits]
    rows = [["objects in images" if report.detection else "images of class", *report.splits]]
    for name in shown:
        pairs = [column[name] for column in columns]
        rows.append(
            [name, *(f"{objects:,} in {images:,}" if report.detection else f"{images:,}" for objects, images in pairs)]
        )
    rest = len(classes) - len(shown)
    return _table(rows) + (f"\n... and {rest:,} rarer" if rest else "")


def _modes(report: DataReport) -> str:
    modes = Counter(picture.mode for picture in report.pictures if picture.mode)
    counted = sorted(modes.items(), key=lambda pair: (-pair[1], pair[0]))
    return f"modes of the files: {', '.join(f'{mode} {count:,}' for mode, count in counted)}" if counted else ""


def _listed(found: Iterable[Problem], word: str) -> str:
    """Write problems by kind, a few of each."""
    kinds: dict[str, list[Problem]] = {}
    for problem in found:
        kinds.setdefault(problem.kind, []).append(problem)
    if not kinds:
        return ""
    lines = [_number(sum(map(len, kinds.values())), word)]
    for kind in sorted(kinds):
        own = kinds[kind]
        lines.append(f"  {kind} ({len(own):,})")
        lines += [f"    {problem}" for problem in own[:_MOST_EXAMPLES]]
        if len(own) > _MOST_EXAMPLES:
            lines.append(f"    ... and {len(own) - _MOST_EXAMPLES:,} more")
    return "\n".join(lines)
