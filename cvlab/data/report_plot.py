"""Draw a data set's report: how its classes are balanced, and how large its images and boxes are."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from cvlab import _check
from cvlab._palette import OKABE_ITO
from cvlab.plot.colors import INK
from cvlab.plot.output import MUTED, STYLE
from cvlab.plot.pictures import PAGE_WIDTH

if TYPE_CHECKING:
    from cvlab.data.report import DataReport

# Colours that mean nothing else in the book, one for each split, and a line for each.
_LOOKS = ((OKABE_ITO["blue"], "-"), (OKABE_ITO["reddish purple"], "--"), (INK, "-."), (MUTED, ":"))
_MOST_CLASSES = 12  # rows of bars
_FEWEST_ROWS = 5  # fewer classes leave room below, or their bars would be slabs
_BINS = 16


def draw(report: DataReport) -> np.ndarray:
    """Draw the panels; see `DataReport.plot`."""
    if not report.pictures:
        raise _check.InputError("DataReport.plot: the report must hold at least one image, got none")
    panels = ("sizes", "boxes") if any(picture.box_sides for picture in report.pictures) else ("sizes",)
    with mpl.rc_context(STYLE):
        figure = plt.figure(figsize=(PAGE_WIDTH, 5.4 if len(panels) == 2 else 4.2))
        axes = figure.subplot_mosaic([["classes", panel] for panel in panels], width_ratios=(1.15, 1))
        _classes(report, axes["classes"])
        _sizes(report, axes["sizes"])
        if "boxes" in axes:
            _boxes(report, axes["boxes"])
        for ax in axes.values():
            ax.tick_params(length=0, which="both")
        if len(report.splits) > 1:
            figure.legend(*axes["classes"].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return np.array([axes[name] for name in ("classes", *panels)])


def _classes(report: DataReport, ax: Axes) -> None:
    """Draw for each class a bar for each split: its share of the split's objects, so that splits can be compared."""
    names, word = report.classes[:_MOST_CLASSES], "objects" if report.detection else "images"
    height = 0.8 / len(report.splits)
    for i, split in enumerate(report.splits):
        objects = {name: count for name, (count, _) in report.counts(split).items()}
        total = sum(objects.values())
        shares = [100 * objects[name] / max(total, 1) for name in names]
        places = np.arange(len(names)) + (i - (len(report.splits) - 1) / 2) * height
        color = _LOOKS[i % len(_LOOKS)][0]
        bars = ax.barh(places, shares, height=0.9 * height, color=color, label=f"{split}: {total:,} {word}")
        if len(report.splits) == 1:
            ax.bar_label(bars, [f"{objects[name]:,}" for name in names], padding=4, fontsize=12, color=MUTED)
            ax.margins(x=0.15)
    ax.set_yticks(range(len(names)), [name if len(name) <= 18 else f"{name[:17]}…" for name in names])
    ax.set_ylim(max(len(names), _FEWEST_ROWS) - 0.4, -0.6)
    ax.grid(axis="y", visible=False)
    ax.spines["left"].set_visible(False)
    few = len(names) < len(report.classes)
    ax.set_title(f"The {len(names)} largest of {len(report.classes)} classes" if few else "Classes")
    ax.set_xlabel(f"share of the {'split' if len(report.splits) > 1 else 'data set'}'s {word}, %")


def _sizes(report: DataReport, ax: Axes) -> None:
    """Draw a point for each size of image, the larger the more images have it."""
    sizes = Counter(picture.size for picture in report.pictures)
    heights, widths = np.array(list(sizes)).T
    share = np.array(list(sizes.values())) / max(sizes.values())
    ax.scatter(widths, heights, s=20 + 120 * share, color=MUTED, alpha=0.6, linewidths=0)
    ax.set_xlim(0, 1.15 * widths.max())
    ax.set_ylim(0, 1.2 * heights.max())
    height, width = np.median([picture.size for picture in report.pictures], axis=0)
    ax.set_title(f"Images, {'all' if len(sizes) == 1 else 'median'} {height:g} × {width:g}")
    ax.set_xlabel("width, pixels")
    ax.set_ylabel("height, pixels")


def _boxes(report: DataReport, ax: Axes) -> None:
    """Draw how the boxes' sizes are spread, in steps of equal ratio."""
    sides = [_box_sides(report, split) for split in report.splits]
    every = np.concatenate(sides)
    edges = np.geomspace(every.min() / 1.05, every.max() * 1.05, _BINS + 1)
    for i, own in enumerate(sides):
        color, line = _LOOKS[i % len(_LOOKS)]
        shares = 100 * np.histogram(own, edges)[0] / max(len(own), 1)
        ax.stairs(shares, edges, color=color, linestyle=line, linewidth=2)
    ax.set_xscale("log")
    narrow = edges[-1] < 16 * edges[0]
    ax.xaxis.set_major_locator(LogLocator(base=2, subs=(1, 1.5) if narrow else (1,)))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda side, _: f"{side:g}"))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_ylim(bottom=0)
    ax.set_title(f"Boxes, median {np.median(every):.3g}")
    ax.set_xlabel("square root of the area, pixels")
    ax.set_ylabel("share, %")


def _box_sides(report: DataReport, split: str) -> np.ndarray:
    own = (picture.box_sides or () for picture in report.pictures if picture.split == split)
    return np.array([side for sides in own for side in sides])
