"""Put figures on the page: their common style, and pictures with a text for those who cannot see them."""

from __future__ import annotations

import base64
import io
import sys
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from PIL import Image

from cvlab._palette import OKABE_ITO
from cvlab.plot.colors import INK

MUTED = "#59636E"  # axis lines and tick labels
JPEG_QUALITY = 85
DENSITY = {"jpeg": 1.5, "png": 2.0}  # dots for each pixel of the page: sharp on dense screens, small in the file

# Figures have a white card of their own: dark text and exact colours on it, whatever the page around is.
STYLE = {
    "figure.dpi": 72,  # one point is one pixel of the page, and the page is 10 inches wide
    "figure.figsize": (8.0, 4.5),
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "figure.constrained_layout.use": True,
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same on every machine
    "font.size": 13,
    "axes.titlesize": 14,
    "axes.titlelocation": "left",
    "axes.labelsize": 13,
    "xtick.labelsize": 12,
    "ytick.labelsize": 12,
    "legend.fontsize": 12,
    "legend.frameon": False,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.edgecolor": MUTED,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E3E6E8",
    "grid.linewidth": 1.0,
    "lines.linewidth": 2.2,
    "image.cmap": "viridis",
    # Only colours that mean nothing else; the line styles tell curves apart without colour.
    "axes.prop_cycle": mpl.cycler(
        color=[OKABE_ITO[name] for name in ("blue", "reddish purple", "black")], linestyle=["-", "--", "-."]
    ),
}


def style() -> None:
    """Give all figures from here on the look of the book; a notebook calls it once, at its start.

    Notes:
        It sets matplotlib's global parameters. For a few figures only, use `with matplotlib.rc_context(plot.STYLE)`
        with the dictionary of `cvlab.plot.output`.
    """
    mpl.rcParams.update(STYLE)


def show(drawn: Any, alt: str, *, density: float | None = None) -> None:
    """Show a figure in the notebook with a text that says what is to be seen on it, and close it.

    Pictures are encoded as JPEG of quality 85, plots without pictures as PNG with at most 256 colours. The text goes
    into the output's metadata, from which the book takes the page's `alt`, and stands for the figure where only text
    can be shown. Outside of notebooks the figure opens in matplotlib's window, if it has one.

    Args:
        drawn: A Figure, Axes, or an array of Axes as `grid` returns it.
        alt: What a reader who cannot see the figure has to know: one or two sentences, not empty.
        density: Dots of the file for each pixel of the page; by default 1.5 for pictures and 2 for plots.

    Raises:
        TypeError: If `drawn` is none of these.
        ValueError: If `alt` is empty.
    """
    figure = figure_of(drawn)
    if not isinstance(alt, str) or not alt.strip():
        raise ValueError(f"plot.show: alt must say what the figure shows, got {alt!r}")
    if not _in_notebook():
        plt.show()
        return
    from IPython.display import display

    kind = "jpeg" if any(_is_photograph(shown) for ax in figure.axes for shown in ax.images) else "png"
    data, width = encode(figure, kind, density)
    plt.close(figure)  # or the notebook would show it once more
    mime = f"image/{kind}"
    text = " ".join(alt.split())
    content = {mime: base64.b64encode(data).decode(), "text/plain": text}
    display(content, raw=True, metadata={mime: {"alt": text, "width": width}})


def figure_of(drawn: Any) -> Figure:
    """Find the Figure of a Figure, of Axes or of an array of Axes."""
    if isinstance(drawn, (np.ndarray, list, tuple)) and np.size(drawn) == 0:
        raise TypeError("plot.show: drawn must be a Figure, Axes or an array of Axes, got none")
    first = np.asarray(drawn, dtype=object).ravel()[0] if isinstance(drawn, (np.ndarray, list, tuple)) else drawn
    figure = first if isinstance(first, Figure) else getattr(first, "figure", None)
    if not isinstance(figure, Figure):
        raise TypeError(f"plot.show: drawn must be a Figure, Axes or an array of Axes, got {type(drawn).__name__}")
    return figure


def _is_photograph(shown: AxesImage) -> bool:
    """Tell pictures, in colour or in grey, from matrices drawn as colours."""
    return shown.get_array().ndim == 3 or shown.get_cmap().name == "gray"


def encode(figure: Figure, kind: str, density: float | None = None) -> tuple[bytes, int]:
    """Encode a figure as "jpeg" or "png"; return the bytes and the width in pixels of the page.

    The same figure gives the same bytes: nothing of the time or of the program is written into them.
    """
    density = DENSITY[kind] if density is None else density
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=72 * density, bbox_inches="tight", pad_inches=0.05)
    picture = Image.open(buffer).convert("RGB")
    small = io.BytesIO()
    if kind == "jpeg":
        picture.save(small, "JPEG", quality=JPEG_QUALITY, optimize=True, progressive=True)
    else:
        picture.quantize(256, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(
            small, "PNG", optimize=True
        )
    return small.getvalue(), round(picture.width / density)


def _in_notebook() -> bool:
    """Tell whether a kernel runs this, so that `display` reaches a page."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and hasattr(shell, "kernel")
