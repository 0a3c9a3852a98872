"""Draw one picture, or many side by side, with what is known about them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from cvlab.plot.areas import masks
from cvlab.plot.colors import Color
from cvlab.plot.inputs import Names, pixels
from cvlab.plot.marks import boxes
from cvlab.plot.sizes import figure_size

PAGE_WIDTH = 10.0  # inches: 720 pixels of the page at 72 dots per inch


def image(
    image: Any,
    ax: Axes | None = None,
    *,
    target: Mapping[str, Any] | None = None,
    names: Names | None = None,
    color: Color = None,
    title: str | None = None,
    ticks: bool = False,
) -> Axes:
    """Draw a picture, and on it what a target or a prediction says.

    Args:
        image: A tensor (C, H, W) or (H, W), or a NumPy array or Pillow picture (H, W[, C]), C 1 or 3;
            float in [0, 1] or uint8. One channel is drawn grey.
        ax: The Axes to draw on; those of a new figure if None.
        target: What to draw over it: "boxes" (N, 4), "masks" (N, H, W), "labels" and "scores" (N,), each if present.
        names: Names of the class numbers, as in `boxes`; they are written on the boxes or, without boxes, on the masks.
        color: As in `boxes`. By default boxes are "truth", with scores "prediction", and masks are coloured by class.
        title: A text above the picture.
        ticks: Whether to show pixel coordinates at the edges.

    Returns:
        The Axes drawn on.

    Raises:
        TypeError: If the picture is neither float nor uint8.
        ValueError: If the layout or the range of values is wrong, or something in the target.

    Example:
        >>> import torch
        >>> from cvlab import plot
        >>> ax = plot.image(torch.rand(3, 32, 48), title="noise")
        >>> ax.images[0].get_extent()  # left, right, bottom, top
        [0, 48, 32, 0]
    """
    picture = pixels(image, "plot.image")
    height, width = picture.shape[:2]
    if ax is None:
        ax = plt.figure(figsize=figure_size(height, width), layout="constrained").add_subplot()
    ax.imshow(picture, cmap="gray", vmin=0, vmax=255 if picture.dtype == np.uint8 else 1, extent=(0, width, height, 0))
    ax.grid(False)
    ax.tick_params(bottom=ticks, left=ticks, labelbottom=ticks, labelleft=ticks)
    ax.spines[:].set_visible(False)
    if title is not None:
        ax.set_title(title)
    if target is not None:
        _draw_target(ax, target, names, color)
    return ax


def _draw_target(ax: Axes, target: Mapping[str, Any], names: Names | None, color: Color) -> None:
    labels = target.get("labels")
    if "masks" in target:
        masks(target["masks"], ax, labels=labels, names=None if "boxes" in target else names, color=color)
    if "boxes" in target:
        boxes(target["boxes"], ax, labels=labels, scores=target.get("scores"), names=names, color=color)


def grid(
    images: Sequence[Any],
    *,
    targets: Sequence[Mapping[str, Any] | None] | None = None,
    captions: Sequence[str] | None = None,
    columns: int | None = None,
    names: Names | None = None,
    color: Color = None,
    width: float = PAGE_WIDTH,
) -> np.ndarray:
    """Draw pictures in rows and columns, each with its target and a caption where given.

    Args:
        images: Pictures as in `image`, at least one; a batch (B, C, H, W) too.
        targets: For each picture what to draw over it, as in `image`, or None.
        captions: For each picture a text below it.
        columns: Pictures in a row; by default as many as look well, at most 6.
        names: Names of the class numbers, as in `boxes`.
        color: As in `image`.
        width: Width of the whole in inches.

    Returns:
        The array of Axes (rows, columns); those after the last picture are empty. `show` takes it as it is.

    Raises:
        TypeError: If the images are no sequence.
        ValueError: If there is no picture, or there are not as many targets or captions as pictures.

    Example:
        >>> import torch
        >>> from cvlab import plot
        >>> plot.grid(torch.rand(5, 3, 16, 16), columns=3).shape
        (2, 3)
    """
    if not hasattr(images, "__len__"):
        raise TypeError(f"plot.grid: images must be a sequence of pictures or a batch, got {type(images).__name__}")
    count = len(images)
    if count == 0:
        raise ValueError("plot.grid: images must hold at least one picture, got none")
    for name, given in (("targets", targets), ("captions", captions)):
        if given is not None and len(given) != count:
            raise ValueError(f"plot.grid: {name} must have one entry for each of {count} images, got {len(given)}")
    if columns is not None and columns < 1:
        raise ValueError(f"plot.grid: columns must be at least 1, got {columns}")
    across = min(count, columns or _columns(count))
    down = -(-count // across)
    shapes = [pixels(picture, f"plot.grid: image {i}").shape for i, picture in enumerate(images)]
    ratios = [shape[0] / shape[1] for shape in shapes]
    text = 0.0 if captions is None else 0.3  # inches below each row
    heights = [width / across * max(ratios[i : i + across]) + text for i in range(0, count, across)]
    figure, axes = plt.subplots(
        down,
        across,
        figsize=(width, sum(heights)),
        squeeze=False,
        layout="constrained",
        height_ratios=heights,
        gridspec_kw={"wspace": 0.03, "hspace": 0.03},
    )
    for i, ax in enumerate(axes.flat):
        if i >= count:
            ax.set_axis_off()
            continue
        ax.set_anchor("S")  # captions of a row stand on one line
        image(images[i], ax, target=None if targets is None else targets[i], names=names, color=color)
        if captions is not None:
            ax.set_xlabel(captions[i])
    return axes


def _columns(count: int) -> int:
    """Choose a number of columns that leaves the fewest holes: 4 or less in one row, otherwise 3 to 6."""
    return count if count <= 4 else min((4, 5, 3, 6), key=lambda n: -count % n)
