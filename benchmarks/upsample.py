"""cvlab.ops.transposed and upsample against torch's functions."""

from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.roi import both_ways
from benchmarks.timing import Row, compare
from cvlab import ops

TEXT = """
`B x C x H x W` is the map, to as many channels. `trans_conv` is one matrix product for each image and group, then
`functional.fold`; torch on a CPU has kernels that make no columns in between, which counts most where the product is
small: for groups, and for a kernel of 3 with stride 1. `pixel_shuffle` is a permutation in both.

The forms that explain, forward, beside `trans_conv` on the same. `trans_conv_as_matrix` fills its matrix each time.

| | ms | times `trans_conv` |
|---|---:|---:|
"""

CASES = (  # batch, channels, side, kernel, stride, padding, groups
    (1, 64, 32, 4, 2, 1, 1),
    (8, 64, 32, 4, 2, 1, 1),
    (1, 11, 16, 16, 8, 4, 1),
    (8, 11, 16, 16, 8, 4, 1),
    (8, 11, 16, 16, 8, 4, 11),
    (8, 256, 14, 2, 2, 0, 1),
    (4, 128, 28, 3, 2, 1, 1),
    (1, 64, 56, 3, 1, 1, 1),
    (1, 21, 8, 64, 32, 16, 1),
)
CLEAR = (  # channels, side, kernel, stride, padding, form
    (11, 16, 16, 8, 4, ops.trans_conv_as_conv),
    (11, 16, 16, 8, 4, ops.trans_conv_reference),
    (4, 16, 4, 2, 1, ops.trans_conv_as_conv),
    (4, 16, 4, 2, 1, ops.trans_conv_reference),
    (4, 16, 4, 2, 1, ops.trans_conv_as_matrix),
)


def close(ours: Callable[[], Tensor], theirs: Callable[[], Tensor]) -> Callable[[], None]:
    """Give a function that fails unless both give the same."""
    return lambda: torch.testing.assert_close(ours(), theirs(), atol=1e-3, rtol=1e-4)


def same_gradients(one: Callable[[], Tensor], other: Callable[[], Tensor], inputs: list[Tensor], slope: Tensor) -> None:
    """Fail unless both functions give the same gradients."""
    for a, b in zip(*(torch.autograd.grad(way(), inputs, slope) for way in (one, other)), strict=True):
        torch.testing.assert_close(a, b, atol=1e-2, rtol=1e-3)


def rows() -> Iterator[Row]:
    """Yield all rows."""
    g = torch.Generator().manual_seed(0)
    for batch, channels, side, kernel, stride, padding, groups in CASES:
        x = torch.randn(batch, channels, side, side, generator=g)
        weight = torch.randn(channels, channels // groups, kernel, kernel, generator=g)
        inputs = [x.requires_grad_(), weight.requires_grad_()]
        settings = {"stride": stride, "padding": padding, "groups": groups}
        name = f"trans_conv {batch} x {channels} x {side} x {side}, kernel {kernel}, stride {stride}"
        name += f", {groups} groups" if groups > 1 else ""

        def ours(inputs: list[Tensor] = inputs, settings: dict[str, int] = settings) -> Tensor:
            return ops.trans_conv(*inputs, **settings)

        def theirs(inputs: list[Tensor] = inputs, settings: dict[str, int] = settings) -> Tensor:
            return functional.conv_transpose2d(*inputs, **settings)

        check = close(ours, theirs)
        yield Row(f"{name}, forward", torch.no_grad()(ours), {"torch": torch.no_grad()(theirs)}, check)
        slope = torch.randn(ours().shape, generator=g)
        check = lambda a=ours, b=theirs, c=inputs, d=slope: same_gradients(a, b, c, d)  # noqa: E731
        yield Row(f"{name}, both ways", both_ways(ours, slope), {"torch": both_ways(theirs, slope)}, check)
    yield from other_rows(g)


def other_rows(g: torch.Generator) -> Iterator[Row]:
    """Yield the rows of pixel shuffle and unpooling."""
    for batch, channels, side, factor in ((8, 256, 32, 2), (1, 192, 64, 8)):
        x = torch.randn(batch, channels, side, side, generator=g)
        large = functional.pixel_shuffle(x, factor)
        for way, other, map_ in (
            (ops.pixel_shuffle, functional.pixel_shuffle, x),
            (ops.pixel_unshuffle, functional.pixel_unshuffle, large),
        ):
            ours = lambda way=way, map_=map_, factor=factor: way(map_, factor)  # noqa: E731
            theirs = lambda other=other, map_=map_, factor=factor: other(map_, factor)  # noqa: E731
            shape = " x ".join(str(side) for side in map_.shape)
            yield Row(f"{way.__name__} {shape}, factor {factor}", ours, {"torch": theirs}, close(ours, theirs))
    x = torch.randn(8, 64, 64, 64, generator=g)
    pooled, places = functional.max_pool2d(x, 2, return_indices=True)
    unpool = lambda: ops.max_unpool(pooled, places, (64, 64))  # noqa: E731
    theirs = lambda: functional.max_unpool2d(pooled, places, 2)  # noqa: E731
    yield Row("max_unpool 8 x 64 x 32 x 32, windows of 2", unpool, {"torch": theirs}, close(unpool, theirs))


def NOTES() -> str:  # noqa: N802
    """Measure the forms that explain, which are too slow for a ratio."""
    g, lines = torch.Generator().manual_seed(0), []
    for channels, side, kernel, stride, padding, way in CLEAR:
        x = torch.randn(1, channels, side, side, generator=g)
        weight = torch.randn(channels, channels, kernel, kernel, generator=g)
        fast, slow = (partial(form, x, weight, stride=stride, padding=padding) for form in (ops.trans_conv, way))
        seconds, ratios = compare(Row(way.__name__, fast, {"slow": slow}, close(fast, slow), seconds=1.0))
        name = f"{way.__name__} 1 x {channels} x {side} x {side}, kernel {kernel}, stride {stride}"
        times = ratios["slow"]
        lines.append(f"| {name} | {seconds * times * 1e3:.3g} | {times:.3g} |")
    return TEXT + "\n".join(lines)
