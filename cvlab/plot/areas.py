"""Draw masks on a picture, and matrices of numbers as colours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import Normalize, to_rgb

from cvlab.plot.colors import Color, resolve, text_on
from cvlab.plot.inputs import Names, array, label_name, per_item, pixels
from cvlab.plot.sizes import figure_size, font_size, halo, line_width
from cvlab.plot.tags import add_tag


def masks(
    masks: Any,
    ax: Axes | None = None,
    *,
    labels: Any = None,
    names: Names | None = None,
    color: Color = None,
    alpha: float = 0.45,
) -> Axes:
    """Tint the areas of masks and draw their outlines.

    Args:
        masks: (N, H, W) bool, the pixels of each object; H and W are those of the picture they are drawn on, if there
            is one. N = 0 draws nothing.
        ax: The Axes to draw on; the current ones if None.
        labels: N class numbers or texts, written on the masks if `names` is given or they are texts.
        names: What to write for a class number: a list or a mapping.
        color: As in `boxes`, one for each mask. Default: "class", one for each label, or for each mask without labels.
        alpha: Opacity of the tint, 0 for outlines alone.

    Returns:
        The Axes drawn on.

    Raises:
        TypeError: If the masks are not bool.
        ValueError: If a shape, a length or a colour is not as above.
    """
    from skimage.measure import find_contours

    operation = "plot.masks"
    found = array(masks, "masks", operation)
    if found.ndim != 3:
        raise ValueError(f"{operation}: masks must have shape (N, H, W), got {found.shape}")
    if found.dtype != bool:
        raise TypeError(f"{operation}: masks must be bool, got {found.dtype} (compare probabilities with a threshold)")
    label_list = per_item(labels, len(found), "labels", operation)
    ax = plt.gca() if ax is None else ax
    chosen = resolve(color, label_list, len(found), "class", operation)
    _, height, width = found.shape
    _check_size(ax, height, width, operation)
    tint = np.zeros((height, width, 4), np.float32)
    line = line_width(ax, len(found))
    for i, (mask, own) in enumerate(zip(found, chosen, strict=True)):
        tint[mask] = (*to_rgb(own), alpha)
        # find_contours has pixel centres at whole numbers, and one row was added around: half a pixel back in all
        outlines = [c[:, ::-1] - 0.5 for c in find_contours(np.pad(mask, 1).astype(float), 0.5)]
        ax.add_collection(
            LineCollection(outlines, colors=[own], linewidths=line, path_effects=halo(ax, line)), autolim=False
        )
        if label_list is not None and (names is not None or isinstance(label_list[i], str)) and mask.any():
            add_tag(ax, label_name(label_list[i], names, operation), _middle(mask), own, font_size(ax), centred=True)
    if len(found):
        ax.imshow(tint, extent=(0, width, height, 0), interpolation="nearest")
    return ax


def _check_size(ax: Axes, height: int, width: int, operation: str) -> None:
    """Refuse masks of another size than the picture on `ax`."""
    if not ax.images:
        return
    left, right, bottom, top = ax.images[0].get_extent()
    size = abs(bottom - top), abs(right - left)
    if size != (height, width):
        raise ValueError(
            f"{operation}: masks must have the picture's size {size[0]:g} x {size[1]:g}, got {height} x {width}"
        )


def _middle(mask: np.ndarray) -> tuple[float, float, float, float]:
    """Find the pixel of a mask, as an empty box xyxy, that is nearest to its centre of mass."""
    at = np.argwhere(mask)
    y, x = at[np.square(at - at.mean(axis=0)).sum(axis=1).argmin()] + 0.5
    return x, y, x, y


def heatmap(
    values: Any,
    ax: Axes | None = None,
    *,
    image: Any = None,
    alpha: float = 0.6,
    limits: tuple[float, float] | None = None,
    cmap: str = "viridis",
    colorbar: bool = True,
    numbers: str | None = None,
    rows: Sequence[str] | None = None,
    columns: Sequence[str] | None = None,
) -> Axes:
    """Draw a matrix of numbers as colours, alone or over a picture.

    Args:
        values: (H, W) finite numbers.
        ax: The Axes to draw on; those of a new figure if None.
        image: A picture to lay the colours over, as in `image`; the matrix is stretched over it.
        alpha: Opacity of the colours over a picture.
        limits: The values of the two ends of the colour scale, the lower first; by default the smallest and the
            largest.
        cmap: matplotlib's name of the colour map; the default keeps its order for colour-blind eyes and in grey.
        colorbar: Whether to draw the scale.
        numbers: A format such as ".2f" with which to write every value in its cell; None writes none.
        rows: H texts for the left edge.
        columns: W texts for the top edge.

    Returns:
        The Axes drawn on.

    Raises:
        TypeError: If the values are no numbers.
        ValueError: If the matrix is not (H, W) or not finite, the limits are no range, or a length is wrong.

    Example:
        >>> import torch
        >>> from cvlab import plot
        >>> ax = plot.heatmap(torch.tensor([[0.0, 0.5], [1.0, 0.25]]), numbers=".2f")
        >>> [text.get_text() for text in ax.texts]
        ['0.00', '0.50', '1.00', '0.25']
    """
    operation = "plot.heatmap"
    found = array(values, "values", operation)
    if found.ndim != 2 or found.size == 0:
        raise ValueError(f"{operation}: values must have shape (H, W), got {found.shape}")
    found = found.astype(np.float64)
    if not np.isfinite(found).all():
        y, x = np.argwhere(~np.isfinite(found))[0].tolist()
        raise ValueError(f"{operation}: values must be finite, got {found[y, x]} at ({y}, {x})")
    picture = None if image is None else pixels(image, operation)
    height, width = found.shape if picture is None else picture.shape[:2]
    if ax is None:
        ax = plt.figure(figsize=figure_size(height, width), layout="constrained").add_subplot()
    if picture is not None:
        ax.imshow(
            picture, cmap="gray", vmin=0, vmax=255 if picture.dtype == np.uint8 else 1, extent=(0, width, height, 0)
        )
    low, high = (found.min(), found.max()) if limits is None else _limits(limits, operation)
    scale = Normalize(float(low), float(high))
    shown = ax.imshow(
        found,
        cmap=cmap,
        norm=scale,
        alpha=None if picture is None else alpha,
        extent=(0, width, height, 0),
        interpolation="nearest" if picture is None else "bilinear",
    )
    _cell_names(ax, found.shape, rows, columns, operation)
    if numbers is not None:
        _write(ax, found, numbers, shown)
    if colorbar:
        bar = ax.figure.colorbar(shown, ax=ax, shrink=0.85)
        bar.outline.set_visible(False)
    return ax


def _limits(limits: Any, operation: str) -> np.ndarray:
    """Check the ends of a colour scale: two finite numbers, the lower first."""
    ends = array(limits, "limits", operation)
    if ends.shape != (2,) or not np.isfinite(ends).all() or ends[0] >= ends[1]:
        raise ValueError(f"{operation}: limits must be two finite numbers, the lower first, got {limits!r}")
    return ends


def _cell_names(
    ax: Axes, shape: tuple, rows: Sequence[str] | None, columns: Sequence[str] | None, operation: str
) -> None:
    """Name the rows at the left and the columns at the top; without names there are no ticks."""
    row_names = per_item(rows, shape[0], "rows", operation) or []
    column_names = per_item(columns, shape[1], "columns", operation) or []
    ax.set_yticks(np.arange(len(row_names)) + 0.5, row_names)
    ax.set_xticks(np.arange(len(column_names)) + 0.5, column_names)
    ax.tick_params(length=0, top=False, labeltop=True, bottom=False, labelbottom=False)
    ax.grid(False)
    ax.spines[:].set_visible(False)


def _write(ax: Axes, values: np.ndarray, form: str, shown: Any) -> None:
    """Write every value in the middle of its cell, in the ink that is read best there."""
    size = font_size(ax)
    for (y, x), value in np.ndenumerate(values):
        ink = text_on(shown.cmap(shown.norm(value)))
        ax.text(x + 0.5, y + 0.5, format(value, form), ha="center", va="center", color=ink, fontsize=size)
