"""Draw the history of a training; see `History.plot`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from cvlab import _check
from cvlab._palette import OKABE_ITO
from cvlab.engine.history import COLUMNS
from cvlab.plot.output import MUTED, STYLE

if TYPE_CHECKING:
    from cvlab.engine.history import History
    from cvlab.engine.lr_finder import LearningRates

_WIDTH = 10.0  # inches: the page


def draw(history: History, metric: str | None = None) -> np.ndarray:
    """Draw the panels; see `History.plot`."""
    if not history.steps:
        raise _check.InputError("History.plot: the history must have at least one step, got none")
    names = [name for name in history.metrics.columns if name not in COLUMNS[:3]]
    if metric is not None:
        _check.choice("History.plot", "metric", metric, names)
    chosen = metric or (names[0] if names else None)
    panels = 2 if chosen is None else 3
    with mpl.rc_context(STYLE):
        figure, axes = plt.subplots(1, panels, figsize=(_WIDTH, 3.4), width_ratios=(1.6, *[1] * (panels - 1)))
        _losses(history, axes[0])
        _rate(history, axes[1])
        if chosen is not None:
            _metric(history, axes[2], chosen)
        for ax in axes:
            ax.set_xlabel("step")
            ax.set_xlim(0, None)
            ax.tick_params(length=0, which="both")
    return axes


def _losses(history: History, ax: Axes) -> None:
    """Draw the loss of each step faintly, and over it the moving mean."""
    frame = history.frame
    smooth = smoothed(frame["loss"].to_numpy(float))
    ax.plot(
        frame["step"], frame["loss"], color=OKABE_ITO["blue"], alpha=0.25, linewidth=1, linestyle="-", label="each step"
    )
    ax.plot(frame["step"], smooth, color=OKABE_ITO["blue"], linestyle="-", label="moving mean")
    low, high = np.nanmin(smooth), np.nanmax(smooth)
    ax.set_ylim(min(0.0, low), 1.1 * high if high > 0 else None)
    ax.set_title(f"Loss, {smooth[-1]:.3g} at the end")
    ax.legend(loc="upper right")


def _rate(history: History, ax: Axes) -> None:
    frame = history.frame
    ax.plot(frame["step"], frame["learning_rate"], color=MUTED, linestyle="-")
    ax.set_ylim(0, None)
    ax.yaxis.set_major_locator(MaxNLocator(5))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda rate, _: f"{rate:g}"))
    ax.set_title("Learning rate")


def _metric(history: History, ax: Axes, name: str) -> None:
    """Draw a metric's points; a metric that is a fraction has an axis from 0 to 1."""
    metrics = history.metrics
    values = metrics[name].to_numpy(float)
    ax.plot(metrics["step"], values, color=OKABE_ITO["reddish purple"], marker="o", linestyle="-")
    if np.nanmin(values, initial=0.0) >= 0:
        ax.set_ylim(0, 1 if np.nanmax(values, initial=0.0) <= 1 and name != "loss" else None)
    ax.set_title(f"{'Held-out loss' if name == 'loss' else name}, {values[-1]:.3g} at the end")


def smoothed(values: np.ndarray) -> np.ndarray:
    """Compute the moving mean over the last twentieth of all values, at least one.

    Args:
        values: (N,) floats.

    Returns:
        (N,) floats; the first ones are means over the few values there are.

    Example:
        >>> smoothed(np.arange(4.0)).tolist()
        [0.0, 1.0, 2.0, 3.0]
    """
    window = max(1, len(values) // 20)
    return pd.Series(values).rolling(window, min_periods=1).mean().to_numpy()


def draw_rates(found: LearningRates) -> Axes:
    """Draw losses against learning rates; see `LearningRates.plot`."""
    frame = found.frame
    with mpl.rc_context(STYLE):
        _, ax = plt.subplots(figsize=(8.0, 4.0))
        ax.plot(frame["learning_rate"], frame["loss"], color=OKABE_ITO["blue"], alpha=0.25, linewidth=1, linestyle="-")
        ax.plot(frame["learning_rate"], frame["smoothed"], color=OKABE_ITO["blue"], linestyle="-")
        marks = (("minimum", found.minimum, ":"), ("steepest fall", found.steepest, "--"))
        for name, rate, line in marks:
            ax.axvline(rate, color=MUTED, linestyle=line, linewidth=1.5, label=f"{name}, {rate:.2g}")
        label = f"suggestion, {found.suggestion:.2g}"
        ax.axvline(found.suggestion, color=OKABE_ITO["reddish purple"], linestyle="-", label=label)
        ax.set_xscale("log")
        smooth = frame["smoothed"]
        low, high = smooth.min(), smooth.iloc[: smooth.argmin() + 1].max()
        ax.set_ylim(low - 0.1 * (high - low), high + 0.5 * (high - low)) if high > low else None
        ax.set_xlabel("learning rate")
        ax.set_title("Loss at rising learning rates")
        ax.legend()
    return ax
