"""Observers: bounds by hand, whatever the order of the batches, and what they refuse."""

from __future__ import annotations

import pytest
import torch

from cvlab import quant
from cvlab._check import InputError

OBSERVERS = {
    "min-max": quant.MinMaxObserver,
    "moving": quant.MovingAverageObserver,
    "mse": quant.HistogramObserver,
    "percentile": lambda **options: quant.HistogramObserver("percentile", **options),
}


def normal(count: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, generator=torch.Generator().manual_seed(seed))


def error(x: torch.Tensor, params: quant.QuantParams) -> float:
    return float((quant.fake_quantize(x, params) - x).square().mean())


def test_min_max_of_all_batches_and_channels():
    batches = normal(240).reshape(4, 3, 5, 4)
    one, each = quant.MinMaxObserver(), quant.MinMaxObserver(axis=1)
    for batch in batches.split(1):
        one.update(batch)
        each.update(batch)
    assert [float(b) for b in one.bounds()] == pytest.approx([float(batches.min()), float(batches.max())])
    low, high = each.bounds()
    torch.testing.assert_close(low.float(), batches.amin((0, 2, 3)))
    torch.testing.assert_close(high.float(), batches.amax((0, 2, 3)))
    params = each.params()
    assert params.axis == 1
    assert params.scale.shape == (3,)
    assert (quant.fake_quantize(batches, params) - batches).abs().max() <= params.scale.max() / 2 + 1e-6


def test_moving_average_by_hand():
    observer = quant.MovingAverageObserver(momentum=0.25)
    for low, high in ((-1.0, 2.0), (-3.0, 6.0), (0.0, 2.0)):
        observer.update(torch.tensor([low, high]))
    low, high = observer.bounds()
    assert float(low) == pytest.approx(((-1 * 0.75) + (-3 * 0.25)) * 0.75)
    assert float(high) == pytest.approx((2 * 0.75 + 6 * 0.25) * 0.75 + 2 * 0.25)


@pytest.mark.parametrize("percentile", [90.0, 99.0, 100.0])
def test_percentiles_are_those_of_all_numbers(percentile):
    x = normal(20_000)
    observer = quant.HistogramObserver("percentile", percentile=percentile)
    for batch in x.sort().values.split(1000):  # each batch widens the histogram
        observer.update(batch)
    left = (1 - percentile / 100) / 2
    expected = torch.quantile(x, torch.tensor([left, 1 - left]))
    bins = float(x.max() - x.min()) / 2048
    assert [float(b) for b in observer.bounds()] == pytest.approx(expected.tolist(), abs=12 * bins)
    assert float(observer.counts.sum()) == 20_000


def test_cutting_off_helps_where_few_numbers_are_large():
    x = normal(20_000)
    x[:5] *= 40
    plain, best = quant.MinMaxObserver(bits=4), quant.HistogramObserver(bits=4)
    plain.update(x)
    best.update(x)
    assert error(x, best.params()) < 0.5 * error(x, plain.params())
    assert float(best.bounds()[1]) < 0.5 * float(plain.bounds()[1])


def test_nothing_is_cut_off_where_all_numbers_are_as_frequent():
    x = torch.linspace(-1, 1, 4001)
    best, plain = quant.HistogramObserver(), quant.MinMaxObserver()
    best.update(x)
    plain.update(x)
    assert float(best.bounds()[1]) >= 0.97
    assert error(x, best.params()) <= 1.05 * error(x, plain.params())


@pytest.mark.parametrize("name", OBSERVERS)
@pytest.mark.parametrize("symmetric", [False, True])
def test_every_observer_gives_parameters(name, symmetric):
    observer = OBSERVERS[name](bits=6, symmetric=symmetric)
    observer.update(normal(500).relu())
    observer.update(normal(500, seed=1).relu())
    params = observer.params()
    assert (params.bits, params.signed) == (6, True)
    assert (int(params.zero_point) == 0) == symmetric
    constant = OBSERVERS[name]()
    constant.update(torch.zeros(7))
    assert quant.fake_quantize(torch.zeros(3), constant.params()).tolist() == [0, 0, 0]


@pytest.mark.parametrize("name", OBSERVERS)
def test_no_data_and_bad_data_are_refused(name):
    observer = OBSERVERS[name]()
    with pytest.raises(InputError, match="there is no data yet; call update first"):
        observer.params()
    with pytest.raises(InputError, match="x must hold numbers"):
        observer.update(torch.zeros(0, 3))
    with pytest.raises(InputError, match="finite"):
        observer.update(torch.tensor([1.0, float("nan")]))
    with pytest.raises(InputError, match="bits must be from 2 to 16"):
        OBSERVERS[name](bits=1)


def test_settings_that_cannot_be_are_refused():
    with pytest.raises(InputError, match="momentum must be above 0"):
        quant.MovingAverageObserver(momentum=0)
    with pytest.raises(InputError, match="percentile must be above 50"):
        quant.HistogramObserver("percentile", percentile=101)
    with pytest.raises(InputError, match=r"mse.*percentile"):
        quant.HistogramObserver("entropy")
