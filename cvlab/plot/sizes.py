"""How large a mark is: lines and letters that suit the picture they lie on."""

from __future__ import annotations

import numpy as np
from matplotlib import patheffects, rcParams
from matplotlib.axes import Axes

LONG_SIDE = 7.0  # inches, the longer side of a picture that gets a figure of its own
SHORT_SIDE = 1.5  # inches, the least width and height


def figure_size(height: float, width: float) -> tuple[float, float]:
    """Choose width and height in inches for a picture of `height` x `width` pixels."""
    scale = LONG_SIDE / max(height, width)
    return max(width * scale, SHORT_SIDE), max(height * scale, SHORT_SIDE)


def side(ax: Axes) -> float:
    """Measure the shorter side of `ax` in points (1/72 inch)."""
    box = ax.get_window_extent()
    return 72 * min(box.width, box.height) / ax.figure.get_dpi()


def line_width(ax: Axes, count: int = 1) -> float:
    """Choose a line width in points: thinner in small pictures and where many boxes crowd."""
    crowd = 1.0 if count <= 20 else max(0.4, float(np.sqrt(20 / count)))
    return float(np.clip(side(ax) / 110, 1.6, 2.8)) * crowd


def font_size(ax: Axes) -> float:
    """Choose the size of labels in points: smaller in small pictures, never under 10."""
    return float(np.clip(side(ax) / 24, 10, rcParams["font.size"]))


def halo(ax: Axes, width: float) -> list[patheffects.AbstractPathEffect]:
    """Edge a line of `width` points with a thin dark rim where there is a picture, so that it is seen on all of it."""
    rim = [patheffects.Stroke(linewidth=width + 1.4, foreground="#000000", alpha=0.5)] if ax.images else []
    return [*rim, patheffects.Normal()]
