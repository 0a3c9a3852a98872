"""The exercises of the chapter on transposed convolution."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from cvlab import ops
from cvlab.exercises.boxes import _generator
from cvlab.exercises.check import Case, Exercise


def _size(pixels: int, kernel: int, stride: int, padding: int, output_padding: int) -> int:
    return ops.trans_conv_out_size(pixels, kernel, stride, padding, output_padding)


def _sizes() -> Iterator[Case]:
    yield Case("one pixel lays down the whole kernel", (1, 5, 3, 0, 0))
    yield Case("stride 1: the kernel less one is added", (6, 3, 1, 0, 0))
    yield Case("kernel 4, stride 2, padding 1: twice as many", (8, 4, 2, 1, 0))
    yield Case("padding takes away on both sides", (8, 4, 2, 2, 0))
    yield Case("output padding counts once", (4, 3, 2, 1, 1))
    yield Case("kernel 16, stride 8, padding 4", (16, 16, 8, 4, 0))
    yield Case("a kernel smaller than the stride", (4, 2, 3, 0, 0))


def _laid(x: Tensor, kernel: Tensor, stride: int) -> Tensor:
    return ops.trans_conv(x[None, None], kernel[None, None], stride=stride)[0, 0]


def _maps() -> Iterator[Case]:
    small = torch.tensor([[0.0, 1.0], [2.0, 3.0]])
    yield Case("the chapter's example", (small, small, 1))
    yield Case("the same with stride 2: nothing overlaps", (small, small, 2))
    yield Case("one pixel", (torch.tensor([[2.0]]), torch.tensor([[1.0, 2.0], [3.0, 4.0]]), 3))
    yield Case("a stride larger than the kernel leaves zeros", (small, small, 3))
    g = _generator(60)
    yield Case("a wide map, a high kernel", (torch.rand(2, 4, generator=g), torch.rand(3, 2, generator=g), 2))
    yield Case("a kernel that is not symmetric", (torch.rand(3, 3, generator=g), torch.rand(3, 3, generator=g), 1))


def _stretched(x: Tensor, stride: int) -> Tensor:
    return ops.insert_zeros(x[None, None], stride)[0, 0]


def _pictures() -> Iterator[Case]:
    yield Case("two by two, one zero between", (torch.tensor([[1.0, 2.0], [3.0, 4.0]]), 2))
    yield Case("stride 1 changes nothing", (torch.tensor([[1.0, 2.0], [3.0, 4.0]]), 1))
    yield Case("one pixel has no neighbours", (torch.tensor([[5.0]]), 4))
    yield Case("one row", (torch.tensor([[1.0, 2.0, 3.0]]), 3))
    yield Case("random", (torch.rand(3, 4, generator=_generator(61)), 3))


def _tent(size: int) -> Tensor:
    return ops.bilinear_kernel(1, size)[0, 0]


def _tents() -> Iterator[Case]:
    yield Case("4 pixels: no pixel in the middle", (4,))
    yield Case("3 pixels: a 1 in the middle", (3,))
    yield Case("1 pixel", (1,))
    yield Case("2 pixels", (2,))
    yield Case("16 pixels, for a stride of 8", (16,))
    yield Case("5 pixels", (5,))


def _copies(pixels: int, kernel: int, stride: int) -> Tensor:
    return ops.overlap_counts(pixels, kernel, stride)


def _settings() -> Iterator[Case]:
    yield Case("kernel 3, stride 2: 1, 1, 2, 1, 2, 1, 1", (3, 3, 2))
    yield Case("kernel 4, stride 2: even but for the edge", (4, 4, 2))
    yield Case("kernel 2, stride 2: one copy each", (5, 2, 2))
    yield Case("kernel 1, stride 3: holes", (3, 1, 3))
    yield Case("kernel 5, stride 3", (4, 5, 3))


def _shuffled(x: Tensor, factor: int) -> Tensor:
    return ops.pixel_shuffle(x[None], factor)[0]


def _channels() -> Iterator[Case]:
    yield Case("four channels of one pixel: a square, row by row", (torch.arange(4.0).reshape(4, 1, 1), 2))
    yield Case("eight channels: two of four", (torch.arange(8.0).reshape(8, 1, 1), 2))
    yield Case("four channels of two pixels", (torch.arange(8.0).reshape(4, 1, 2), 2))
    yield Case("factor 1 changes nothing", (torch.arange(6.0).reshape(3, 1, 2), 1))
    yield Case("random, factor 3", (torch.rand(18, 2, 4, generator=_generator(62)), 3))


EXERCISES = {
    "trans_conv_size": Exercise(_size, _sizes),
    "lay_down": Exercise(_laid, _maps),
    "stretch": Exercise(_stretched, _pictures),
    "tent": Exercise(_tent, _tents),
    "copies": Exercise(_copies, _settings),
    "shuffle": Exercise(_shuffled, _channels),
}
