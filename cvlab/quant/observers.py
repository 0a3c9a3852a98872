"""Observers: they look at numbers, batch by batch, and say between which bounds to quantize them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from cvlab import _check
from cvlab.quant.affine import QuantParams, choose_qparams, dequantize, quantize


class Observer:
    """What all observers share: `update` looks at a tensor, `params` gives scale and zero point.

    Args:
        bits: of the whole numbers, from 2 to 16.
        signed: whether whole numbers below 0 are used.
        symmetric: whether the zero point is 0.
    """

    def __init__(self, *, bits: int = 8, signed: bool = True, symmetric: bool = False) -> None:
        self.options: dict[str, Any] = {"bits": bits, "signed": signed, "symmetric": symmetric}
        self.axis: int | None = None
        self.low: Tensor | None = None
        self.high: Tensor | None = None
        choose_qparams(0.0, 0.0, **self.options)  # refuses what cannot be

    def update(self, x: Tensor) -> None:
        """Look at some numbers; refuses NaN and infinite ones, and a tensor without any."""
        name = type(self).__name__
        if x.numel() == 0:
            raise _check.InputError(f"{name}: x must hold numbers, got shape {tuple(x.shape)}")
        _check.finite(name, "x", x)
        self._look(x.detach().double())

    def bounds(self) -> tuple[Tensor, Tensor]:
        """Give the bounds."""
        if self.low is None or self.high is None:
            raise _check.InputError(f"{type(self).__name__}: there is no data yet; call update first")
        return self.low, self.high

    def params(self) -> QuantParams:
        """Give scale and zero point; refuses where nothing has been seen."""
        return choose_qparams(*self.bounds(), axis=self.axis, **self.options)

    def _look(self, x: Tensor) -> None:
        raise NotImplementedError


class MinMaxObserver(Observer):
    """Keep the smallest and the largest number that there ever was.

    Args:
        axis: the dimension of the channels, each with bounds of its own; None for one pair for all.
        options: of `Observer`.

    Example:
        >>> observer = MinMaxObserver(signed=False)
        >>> observer.update(torch.tensor([-10.0, 3.0]))
        >>> observer.update(torch.tensor([30.0]))
        >>> [bound.item() for bound in observer.bounds()], observer.params().zero_point.item()
        ([-10.0, 30.0], 64)
    """

    def __init__(self, *, axis: int | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.axis = axis

    def _look(self, x: Tensor) -> None:
        low, high = self._ends(x)
        first = self.low is None
        self.low = low if first else torch.minimum(self.low, low)
        self.high = high if first else torch.maximum(self.high, high)

    def _ends(self, x: Tensor) -> tuple[Tensor, Tensor]:
        rows = x.flatten() if self.axis is None else x.movedim(self.axis, 0).flatten(1)
        return rows.amin(-1), rows.amax(-1)


class MovingAverageObserver(MinMaxObserver):
    """Keep a moving average of each batch's smallest and largest number, so that one odd batch does not decide.

    Args:
        momentum: share of the newest batch, above 0 and at most 1.
        options: of `MinMaxObserver`.
    """

    def __init__(self, *, momentum: float = 0.1, **options: Any) -> None:
        super().__init__(**options)
        if not 0 < momentum <= 1:
            raise _check.InputError(f"MovingAverageObserver: momentum must be above 0 and at most 1, got {momentum}")
        self.momentum = momentum

    def _look(self, x: Tensor) -> None:
        low, high = self._ends(x)
        first = self.low is None
        self.low = low if first else torch.lerp(self.low, low, self.momentum)
        self.high = high if first else torch.lerp(self.high, high, self.momentum)


class HistogramObserver(Observer):
    """Keep a histogram, and choose bounds from it that may cut off a few large numbers to tell the others finer.

    Args:
        method: "mse" tries bounds from a hundredth of the range to all of it, and takes those with the least squared
            error; "percentile" leaves out the same share at both ends.
        percentile: the share that is kept, in percent, for that method.
        bins: of the histogram.
        options: of `Observer`.

    Notes:
        Where a batch goes beyond the histogram, it is widened, and what is in it moves to the bins where its bins'
        middles lie. So bounds are exact to about a bin.
    """

    def __init__(self, method: str = "mse", *, percentile: float = 99.9, bins: int = 2048, **options: Any) -> None:
        super().__init__(**options)
        _check.choice("HistogramObserver", "method", method, ("mse", "percentile"))
        if not 50 < percentile <= 100:
            raise _check.InputError(f"HistogramObserver: percentile must be above 50, up to 100, got {percentile}")
        self.method, self.percentile, self.bins = method, percentile, bins
        self.counts = torch.zeros(bins, dtype=torch.float64)

    def _look(self, x: Tensor) -> None:
        low, high = x.min(), x.max()
        if self.low is not None and self.high is not None:
            low, high = torch.minimum(low, self.low), torch.maximum(high, self.high)
        kept = self._spread(self._middles(), self.counts, low, high) if self.counts.sum() > 0 else self.counts
        self.low, self.high = low, high
        self.counts = kept + self._spread(x.flatten(), torch.ones(x.numel(), dtype=torch.float64), low, high)

    def _spread(self, values: Tensor, weights: Tensor, low: Tensor, high: Tensor) -> Tensor:
        """Count values into bins from low to high."""
        width = (high - low).clamp(min=1e-300) / self.bins
        places = ((values - low) / width).long().clamp(0, self.bins - 1)
        return torch.zeros(self.bins, dtype=torch.float64).index_add_(0, places, weights)

    def _middles(self) -> Tensor:
        low, high = super().bounds()
        return low + (torch.arange(self.bins, dtype=torch.float64) + 0.5) * (high - low) / self.bins

    def bounds(self) -> tuple[Tensor, Tensor]:
        """Give the bounds that the method chooses."""
        low, high = super().bounds()
        if bool(low == high):
            return low, high
        return self._by_share() if self.method == "percentile" else self._by_error(low, high)

    def _by_share(self) -> tuple[Tensor, Tensor]:
        """Leave out the same share at both ends."""
        left = (1 - self.percentile / 100) / 2
        sums, middles = self.counts.cumsum(0) / self.counts.sum(), self._middles()
        first, last = (int((sums < share).sum().clamp(max=self.bins - 1)) for share in (left, 1 - left))
        return middles[first], middles[last]

    def _by_error(self, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
        """Take the bounds whose quantization is off by the least, squared and summed over the histogram."""
        middles = self._middles()

        def error(share: float) -> float:
            params = choose_qparams(low * share, high * share, **self.options)
            found = dequantize(quantize(middles, params), params).double()
            return float((self.counts * (found - middles).square()).sum())

        share = min((k / 100 for k in range(1, 101)), key=error)
        return low * share, high * share
