"""Prediction for pictures of any size: overlapping tiles, whose logits are blended before any softmax.

A picture that is too large for a network and its memory is predicted tile by tile. Near a tile's inner edges the
network sees its own zero padding in place of the picture. So tiles overlap, the pixels near those edges do not count,
and where several tiles know a pixel, their logits are averaged with weights that fade towards the edges.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from cvlab import _check
from cvlab.ops import _tiling
from cvlab.ops._tiling import Logits, Sliceable, whole

WINDOWS = ("flat", "linear", "hann")


def tile_starts(size: int, tile: int, overlap: int, stride: int = 1) -> list[int]:
    """Place tiles along one dimension of a picture.

    Args:
        size: Length of the picture, pixels.
        tile: Length of a tile, pixels.
        overlap: How many pixels neighbours share at least.
        stride: Of the network's coarsest map, pixels. All starts are multiples of it, so that each tile's cells are
            those of the whole picture.

    Returns:
        The first pixel of each tile, ascending. The last tile is moved back to end with the picture; where that is no
        multiple of the stride, it starts at the next one and is shorter than the others. A picture no longer than a
        tile has one tile.

    Raises:
        InputError: A number is not whole, the tile is shorter than the stride, the overlap not in [0, tile) or so large
            that no step of a stride is left, or the last tile would be shorter than the stride.

    Example:
        >>> tile_starts(100, tile=40, overlap=8)  # ends at 40, 72, 100
        [0, 32, 60]
        >>> tile_starts(100, tile=40, overlap=8, stride=16)  # the last one is cut to 36
        [0, 32, 64]
    """
    return _starts("tile_starts", size, tile, overlap, stride)


def tile_window(length: int, before: int, after: int, margin: int = 0, kind: str = "linear") -> Tensor:
    """Give the weights of one tile's pixels along one dimension.

    Within `margin` pixels of an inner edge they are 0, and over the rest of the overlap they rise to 1. The weights of
    two neighbours sum to 1 at each pixel, but for "flat".

    Args:
        length: Of the tile, pixels.
        before: How many of them the tile before has, too; 0 at the edge of the picture, where all count in full.
        after: How many of them the tile after has, too.
        margin: How far the padding at an inner edge is felt, pixels.
        kind: How the weights rise: "linear", "hann" (a half wave of the cosine), or "flat" (at once).

    Returns:
        (length,) float64.

    Raises:
        InputError: A number is not whole, `before` or `after` exceeds the length or is smaller than two margins, or the
            kind is none of these.

    Example:
        >>> tile_window(8, before=0, after=4, kind="linear")
        tensor([1.0000, 1.0000, 1.0000, 1.0000, 0.8750, 0.6250, 0.3750, 0.1250],
               dtype=torch.float64)
        >>> tile_window(8, before=4, after=0, margin=1)
        tensor([0.0000, 0.2500, 0.7500, 1.0000, 1.0000, 1.0000, 1.0000, 1.0000],
               dtype=torch.float64)
    """
    op = "tile_window"
    length, margin = whole(op, "length", length, 1), whole(op, "margin", margin, 0)
    _check.choice(op, "kind", kind, WINDOWS)
    for name, shared in (("before", before), ("after", after)):
        if whole(op, name, shared, 0) > length:
            raise _check.InputError(f"{op}: {name} must not exceed the length {length}, got {shared}")
        if 0 < shared < 2 * margin:
            raise _check.InputError(f"{op}: {name} must be 0 or at least two margins, {2 * margin}, got {shared}")
    return _rise(length, before, margin, kind) * _rise(length, after, margin, kind).flip(0)


def tile_weights(
    size: int, tile: int, overlap: int, stride: int = 1, margin: int = 0, window: str = "linear"
) -> tuple[list[int], list[Tensor]]:
    """Place tiles along one dimension of a picture, with weights that sum to 1 at every pixel.

    Args:
        size: As in `tile_starts`.
        tile: As in `tile_starts`.
        overlap: As in `tile_starts`; at least two margins, so that every pixel counts in some tile.
        stride: As in `tile_starts`.
        margin: As in `tile_window`.
        window: As `kind` of `tile_window`.

    Returns:
        The first pixel of each tile, and the weights of its pixels, (length of the tile,) float64.

    Raises:
        InputError: As `tile_starts` and `tile_window`, or the overlap is smaller than two margins.

    Notes:
        The weight of a pixel of a picture is the product of that of its row and that of its column.

    Example:
        >>> starts, weights = tile_weights(7, tile=4, overlap=2, window="flat")
        >>> starts
        [0, 2, 3]
        >>> weights[1]  # pixels 2 to 5: pixel 3 lies in three tiles
        tensor([0.5000, 0.3333, 0.5000, 0.5000], dtype=torch.float64)
    """
    return _weights("tile_weights", size, tile, overlap, stride, margin, window)


def predict_tiles(
    function: Callable[[Tensor], Logits],
    image: Tensor | Sliceable,
    *,
    tile: int,
    overlap: int,
    stride: int = 1,
    margin: int = 0,
    window: str = "linear",
    batch_size: int = 4,
    result: str | Callable[[Tensor], Tensor] = "labels",
    out: Any = None,
    device: torch.device | str | None = None,
) -> Any:
    """Predict a picture of any size by overlapping tiles, whose logits are averaged before any softmax.

    Tiles are worked through row by row, and rows of pixels that no later tile reaches are finished at once, so that
    beside the result only the logits of one row of tiles are kept.

    Args:
        function: Maps a batch (B, C, h, w) of tiles to logits (B, K, h, w), or to a dictionary with these under "out",
            as segmentation networks do. It is called without gradients.
        image: (C, H, W), a tensor, or anything else that has a shape and can be cut, such as a numpy memory map. The
            tiles have its dtype.
        tile: Height and width of a tile, pixels; best a multiple of the stride.
        overlap: How many pixels neighbours share at least; at least two margins.
        stride: Of the network's coarsest map, pixels. Tiles start at multiples of it.
        margin: How far the padding at a tile's inner edge is felt, pixels. With the radius of the network's receptive
            field, or more, the result is that for the whole picture at once.
        window: How weights rise over the overlap: "linear", "hann" or "flat".
        batch_size: How many tiles are predicted at once; the last of a row stands alone where it is narrower.
        result: "labels" (H, W), the class with the largest logit, uint8, or int16 for more than 256 classes;
            "probabilities" (K, H, W), the softmax; "logits" (K, H, W); or a function that maps the logits (K, h, W) of
            some rows to a tensor (..., h, W), pixel by pixel.
        out: A tensor, array or memory map to write into, of the result's shape and dtype.
        device: Where tiles are brought before `function` sees them; None leaves them where they are.

    Returns:
        `out` where it is given, else a tensor on the device of `image`, or on the CPU. Logits and probabilities are
        float32, or float64 where the function's are.

    Raises:
        TypeError: `image` cannot be cut, or the function gives no tensor.
        InputError: As `tile_weights`; a network is in training mode; the logits are not of the tiles' size, not finite,
            or their number of classes changes; there is but one class to choose from; or `out` does not fit.

    Notes:
        The logits that are kept take 4 K tile W bytes; turn a picture that is much wider than high. Networks that
        resize their logits to the picture's size, as torchvision's do, agree with the whole picture only where all
        sides are multiples of the stride.

    Example:
        >>> image = torch.zeros(1, 6, 8)
        >>> image[..., 5:] = 1.0
        >>> predict_tiles(lambda tiles: torch.cat([0.5 - tiles, tiles - 0.5], 1), image, tile=4, overlap=2)[0]
        tensor([0, 0, 0, 0, 0, 1, 1, 1], dtype=torch.uint8)

        A photograph on disk, channels last: ``np.moveaxis(np.load("photo.npy", mmap_mode="r"), -1, 0)``.

    References:
        Ronneberger et al. (2015). U-Net. Section 2, overlap-tile strategy.
    """
    op = "predict_tiles"
    size = _tiling.image_size(op, image)
    batch_size = whole(op, "batch_size", batch_size, 1)
    tops, rows = _weights(op, size[0], tile, overlap, stride, margin, window)
    lefts, columns = _weights(op, size[1], tile, overlap, stride, margin, window)
    finished = _tiling.Result(op, result, out, size, image.device if isinstance(image, Tensor) else "cpu")
    band = None  # (K, tile, W), sums of weighted logits, from the first row of the current tiles on
    for top, row, following in zip(tops, rows, [*tops[1:], size[0]], strict=True):
        for numbers in _tiling.in_batches([len(column) for column in columns], batch_size):
            places = [slice(lefts[i], lefts[i] + len(columns[i])) for i in numbers]
            tiles = torch.stack([_tiling.cut(image, slice(top, top + len(row)), place) for place in places])
            where = f"{op}, tiles from row {top}, column {lefts[numbers[0]]} on"
            logits = _tiling.logits_of(where, function, tiles.to(device), None if band is None else len(band))
            if band is None:
                band = logits.new_zeros(logits.shape[1], len(row), size[1])
            for i, place, values in zip(numbers, places, logits, strict=True):
                weights = row.to(values)[:, None] * columns[i].to(values)  # (h, w)
                band[:, : len(row), place].addcmul_(values, weights)
            del tiles, logits, values  # make room for the next ones
        assert band is not None
        finished.write(band[:, : following - top], top)
        _tiling.move_up(band, following - top)
    return finished.out


def with_flips(
    function: Callable[[Tensor], Logits], horizontal: bool = True, vertical: bool = True
) -> Callable[[Tensor], Logits]:
    """Wrap a network so that it gives the mean of its logits for a picture and for its mirror images, turned back.

    Args:
        function: Maps pictures (B, C, h, w) to logits (B, K, h, w), or to a dictionary with these under "out".
        horizontal: Whether left and right are exchanged.
        vertical: Whether above and below are exchanged. With both there are four images, and four times the work.

    Returns:
        A function as `function`; it gives a tensor, or a dictionary with "out", as that one does.

    Raises:
        TypeError: When called, `function` gives no tensor.
        InputError: When called, the pictures or logits have no four dimensions, or a network is in training mode.

    Example:
        >>> rising = lambda images: torch.arange(4.0).expand(1, 1, 2, 4)  # whatever it sees
        >>> with_flips(rising)(torch.zeros(1, 3, 2, 4))[0, 0, 0]
        tensor([1.5000, 1.5000, 1.5000, 1.5000])
    """
    op = "with_flips"
    flips: list[list[int]] = [[]] + [[3]] * horizontal + [[2]] * vertical + [[2, 3]] * (horizontal and vertical)

    def mean_over_flips(images: Tensor) -> Logits:
        _check.shape(op, "images", images, ("B", "C", "h", "w"))
        _tiling.refuse_training(op, function)
        total, named = None, False
        for dims in flips:
            found = function(images.flip(dims))
            named = isinstance(found, Mapping)
            logits = _tiling.tensor_of(op, found, ("B", "K", "h", "w")).flip(dims)
            total = logits if total is None else total + logits
        assert total is not None
        return {"out": total / len(flips)} if named else total / len(flips)

    return mean_over_flips


def _starts(op: str, size: int, tile: int, overlap: int, stride: int) -> list[int]:
    """Do the work of `tile_starts` under the name of the operation that was called."""
    size, tile, stride = whole(op, "size", size, 1), whole(op, "tile", tile, 1), whole(op, "stride", stride, 1)
    overlap = whole(op, "overlap", overlap, 0)
    if tile < stride:
        raise _check.InputError(f"{op}: tile must not be smaller than the network's stride {stride}, got {tile}")
    if overlap >= tile:
        raise _check.InputError(f"{op}: overlap must be smaller than the tile {tile}, got {overlap}")
    step = (tile - overlap) // stride * stride
    if step == 0:
        got = f"{tile} - {overlap} = {tile - overlap}"
        raise _check.InputError(f"{op}: tile - overlap must be at least the network's stride {stride}, got {got}")
    last = math.ceil(max(size - tile, 0) / stride) * stride
    if last and size - last < stride:
        raise _check.InputError(
            f"{op}: the last tile must not be smaller than the network's stride {stride}, got {size - last} of "
            f"{size} pixels; a tile of {2 * stride - 1} or more avoids it"
        )
    return [*range(0, last, step), last]


def _weights(
    op: str, size: int, tile: int, overlap: int, stride: int, margin: int, window: str
) -> tuple[list[int], list[Tensor]]:
    """Do the work of `tile_weights` under the name of the operation that was called."""
    starts = _starts(op, size, tile, overlap, stride)
    if overlap < 2 * whole(op, "margin", margin, 0):
        raise _check.InputError(f"{op}: overlap must be at least two margins, {2 * margin}, got {overlap}")
    _check.choice(op, "window", window, WINDOWS)
    ends = [min(start + int(tile), size) for start in starts]
    shared = [0, *(end - start for end, start in zip(ends, starts[1:], strict=False)), 0]
    windows = [
        tile_window(end - start, before, after, margin, window)
        for start, end, before, after in zip(starts, ends, shared, shared[1:], strict=False)
    ]
    total = torch.zeros(size, dtype=torch.float64)
    for start, end, weights in zip(starts, ends, windows, strict=True):
        total[start:end] += weights
    return starts, [w / total[start:end] for start, end, w in zip(starts, ends, windows, strict=True)]


def _rise(length: int, shared: int, margin: int, kind: str) -> Tensor:
    """Give weights (length,) that rise from 0 to 1 over the shared pixels, but for a margin at both their ends."""
    if shared == 0:
        return torch.ones(length, dtype=torch.float64)
    places = torch.arange(length, dtype=torch.float64) + 0.5 - margin
    share = (places / max(shared - 2 * margin, 0.5)).clamp(0, 1)  # 0.5: nothing left, from 0 to 1 at once
    if kind == "hann":
        return (share * (math.pi / 2)).sin() ** 2
    return share.ceil() if kind == "flat" else share
