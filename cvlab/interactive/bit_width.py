"""The numbers of a layer as a histogram, stored in a few bits: what rounding costs, and what clipping costs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from cvlab import _check
from cvlab._check import InputError
from cvlab.interactive.figure import StaticFigure
from cvlab.interactive.grids import as_whole
from cvlab.interactive.state import as_tensor
from cvlab.quant import HistogramObserver, MinMaxObserver

QUESTION = "Which bits, and where to clip?"
BITS = range(2, 9)
MOST_LAYERS, BINS = 8, (32, 4096)


def bit_width(
    layers: Mapping[str, Any],
    *,
    bits: int = 4,
    percentile: float = 99.9,
    bins: int = 2048,
    question: str = QUESTION,
) -> StaticFigure:
    """Make histograms of layers with a bound to drag beyond which numbers are clipped, and the error that is left.

    Buttons put the bound where the observers of `cvlab.quant` do. A layer with numbers below 0 gets a symmetric grid,
    from minus the bound to the bound, as weights have it; one without gets an unsigned one from 0 to the bound.

    Args:
        layers: numbers of 1 to 8 layers by their names, of any shape: weights, or activations of many images.
        bits: at first, from 2 to 8.
        percentile: the share of the numbers that `HistogramObserver` keeps by that method, in percent.
        bins: of the histograms, from 32 to 4096; only the counts go into the page, not the numbers.
        question: what the figure asks its reader.

    Returns:
        The figure, for the last line of a notebook cell.

    Raises:
        InputError: if there are no layers or too many, one has no number but 0 or numbers that are not finite, or bits,
            percentile or bins are out of range.

    Notes:
        Errors are those of the middles of the bins, as `HistogramObserver` counts them. A number counts as clipped
        where its whole number lies beyond the largest or smallest one and is cut off.

    Example:
        >>> import torch
        >>> bit_width({"weights": torch.linspace(-1, 1, 101), "after ReLU": torch.linspace(0, 3, 50)}, bins=64)
        <interactive figure: bit_width>
    """
    op = "bit_width"
    if not isinstance(layers, Mapping) or not 1 <= len(layers) <= MOST_LAYERS:
        got = len(layers) if isinstance(layers, Mapping) else type(layers).__name__
        raise InputError(f"{op}: layers must be numbers of 1 to {MOST_LAYERS} layers by name, got {got}")
    _check.number(op, "percentile", percentile)
    if not 50 < percentile <= 100:
        raise InputError(f"{op}: percentile must be above 50, up to 100, got {percentile}")
    start, count = as_whole(op, "bits", bits, BITS[0], BITS[-1]), as_whole(op, "bins", bins, *BINS)
    shown = [_layer(str(name), as_tensor(op, str(name), values), percentile, count) for name, values in layers.items()]
    alt = (
        f"A histogram of the numbers of a layer ({', '.join(layer['name'] for layer in shown)}), with the levels that "
        f"{start} bits can tell and a bound to drag beyond which numbers are clipped. Beside it the mean squared "
        "error, as the parts of rounding and clipping, and its curve over the bound."
    )
    return StaticFigure(op, alt, question=question, layers=shown, bits=start, percentile=float(percentile))


def _layer(name: str, values: Tensor, percentile: float, bins: int) -> dict[str, Any]:
    """Give a layer's counts, their ends, and where observers put the bound, as shares of the largest absolute value."""
    op = "bit_width"
    if values.numel() == 0 or not bool((values != 0).any()):
        raise InputError(f"{op}: {name} must hold numbers other than 0, got shape {tuple(values.shape)}")
    if bool((values == values.flatten()[0]).all()):
        raise InputError(
            f"{op}: {name} must hold different numbers, got {values.numel()} times {values.max().item():g}"
        )
    symmetric = bool((values < 0).any())
    options: dict[str, Any] = {"signed": symmetric, "symmetric": symmetric}
    seen = MinMaxObserver(**options)
    seen.update(values)
    low, high = (bound.item() for bound in seen.bounds())
    largest = max(-low, high)

    def share(observer: HistogramObserver) -> float:
        observer.update(values)
        return max(abs(bound.item()) for bound in observer.bounds()) / largest

    by_share = HistogramObserver("percentile", percentile=percentile, bins=bins, **options)
    return {
        "name": name,
        "low": low,
        "high": high,
        "symmetric": symmetric,
        "percentile": share(by_share),
        "counts": [int(count) for count in by_share.counts.tolist()],
        "mse": [share(HistogramObserver("mse", bits=each, bins=bins, **options)) for each in BITS],
    }
