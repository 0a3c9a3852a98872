"""Regions of interest: parts of a feature map, each brought to the same small size.

RoIAlign averages interpolated samples at exact places. RoIPool, which came before it, rounds to whole cells and takes
the largest value in each bin.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from cvlab import _check
from cvlab.ops.boxes import upcast

Boxes = Tensor | Sequence[Tensor]
_GATHER_COST = 12  # what one gathered value costs, in multiplications of a matrix product
_CHUNK = 2**24  # most values of a temporary tensor


def roi_align(
    input: Tensor,  # the name that torchvision has
    boxes: Boxes,
    output_size: int | tuple[int, int],
    spatial_scale: float = 1.0,
    sampling_ratio: int = -1,
    aligned: bool = False,
) -> Tensor:
    """Cut regions out of feature maps: the average of interpolated samples in each bin of a grid.

    A bin's average is a weighted sum of cells whose weights are a product of one weight for the row and one for the
    column. So a region is two matrix products, rows (P, H) times map (H, W) times columns (W, P); on large maps, of
    which a region covers little, the few cells that count are gathered instead.

    Args:
        input: (B, C, H, W) float, feature maps.
        boxes: (K, 5) float, the number of the image and xyxy in pixels; or for each image (K_i, 4) xyxy.
        output_size: (rows, columns) of bins, or one number for both.
        spatial_scale: Cells for each pixel, 1 / stride.
        sampling_ratio: Samples along each side of a bin; 0 or less for as many as the bin has cells, rounded up.
        aligned: Place cell (0, 0)'s centre at pixel (0.5, 0.5) / spatial_scale, as is right; without it all samples lie
            half a cell too far to the right and below, and regions are at least one cell wide and high.

    Returns:
        (K, C, rows, columns) in the dtype of `input`; computed in float32 at least.

    Raises:
        InputError: A shape or dtype is wrong, a box is not finite or upside down, an image's number does not exist, or
            a size or scale is not above 0.

    Notes:
        torchvision's `roi_align`, which takes boxes upside down too. There is no gradient to the boxes. Two matrix
        products take time in proportion to the map's area: on the CPU they are faster than torchvision's operator in
        training on maps of up to some 40 x 40 cells.

    Example:
        >>> ramp = torch.arange(5.0).expand(1, 1, 5, 5)  # each cell's value is its column
        >>> roi_align(ramp, [torch.tensor([[1.0, 1.0, 3.0, 3.0]])], 2, aligned=True)[0, 0]
        tensor([[1., 2.],
                [1., 2.]])

    References:
        He et al. (2017). Mask R-CNN. Section 3, RoIAlign.
    """
    op = "roi_align"
    size = _size(op, output_size)
    image, corners = _rois(op, input, boxes, spatial_scale)
    maps = upcast(input)
    starts, sides = _frames(corners, spatial_scale, aligned)
    rows = _samples(starts[:, 1], sides[:, 1], size[0], sampling_ratio, maps.shape[2])
    columns = _samples(starts[:, 0], sides[:, 0], size[1], sampling_ratio, maps.shape[3])
    if len(image) == 0:
        return (maps.sum() * 0 + maps.new_zeros(0, maps.shape[1], *size)).to(input.dtype)
    height, width = maps.shape[2:]
    products = size[0] * height * width + size[0] * size[1] * width  # for each channel
    gathered = size[0] * size[1] * rows[0].shape[2] * columns[0].shape[2] * 4 * _GATHER_COST
    if products > gathered and maps.shape[1] >= 8:
        return _by_gathering(maps, image, rows, columns).to(input.dtype)
    return _by_products(maps, image, _matrix(rows, height), _matrix(columns, width)).to(input.dtype)


def roi_pool(input: Tensor, boxes: Boxes, output_size: int | tuple[int, int], spatial_scale: float = 1.0) -> Tensor:
    """Cut regions out of feature maps: rounded to whole cells, the largest value in each bin of a grid.

    Args:
        input: (B, C, H, W) float, feature maps.
        boxes: As `roi_align` takes them.
        output_size: (rows, columns) of bins, or one number for both.
        spatial_scale: Cells for each pixel, 1 / stride.

    Returns:
        (K, C, rows, columns) in the dtype of `input`; 0 in bins outside the map.

    Raises:
        InputError: As `roi_align`.

    Notes:
        torchvision's `roi_pool`. Where several cells of a bin are largest, they share the gradient; torchvision gives
        it to the first.

    Example:
        >>> ramp = torch.arange(5.0).expand(1, 1, 5, 5)
        >>> roi_pool(ramp, [torch.tensor([[1.4, 1.0, 2.6, 3.0]])], 2)[0, 0]  # columns 1.4 to 2.6 become 1 to 3
        tensor([[2., 3.],
                [2., 3.]])

    References:
        Girshick (2015). Fast R-CNN. Section 2.1.
    """
    op = "roi_pool"
    size = _size(op, output_size)
    image, corners = _rois(op, input, boxes, spatial_scale)
    rows, columns = roi_pool_bins(corners, size, spatial_scale)
    height, width = input.shape[2:]
    pooled = [input.new_zeros(0, input.shape[1], *size) + input.sum() * 0]
    step = max(1, _CHUNK // max(1, input.shape[1] * size[0] * width * (1 + int(_longest(rows)))))
    for some in torch.split(torch.arange(len(image), device=input.device), step):
        maps = input[image[some]]  # (k, C, H, W)
        tall = _largest(maps.transpose(2, 3), rows[some], height).transpose(2, 3)  # (k, C, P, W)
        pooled.append(_largest(tall, columns[some], width))  # (k, C, P, P)
    return torch.cat(pooled)


def roi_pool_bins(
    boxes: Tensor, output_size: int | tuple[int, int], spatial_scale: float = 1.0
) -> tuple[Tensor, Tensor]:
    """Give the whole cells that belong to each bin of RoIPool, before they are cut at the map's edge.

    Args:
        boxes: (K, 4) float, xyxy, pixels.
        output_size: (rows, columns) of bins, or one number for both.
        spatial_scale: Cells for each pixel.

    Returns:
        First and end of each bin's rows (K, rows, 2) and columns (K, columns, 2), int64; the end is not included.
        Neighbouring bins may share a cell.

    Example:
        >>> roi_pool_bins(torch.tensor([[1.4, 1.0, 2.6, 3.0]]), 2)[1]  # columns 1, 2, 3: 1.5 for each bin
        tensor([[[1, 3],
                 [2, 4]]])
    """
    size = _size("roi_pool_bins", output_size)
    _check.boxes("roi_pool_bins", "boxes", boxes, dims="K")
    scaled = upcast(boxes) * spatial_scale
    whole = torch.where(scaled >= 0, (scaled + 0.5).floor(), (scaled - 0.5).ceil())  # a half away from zero
    bins = []
    for axis, count in ((1, size[0]), (0, size[1])):
        start, length = whole[:, axis, None], (whole[:, axis + 2, None] - whole[:, axis, None] + 1).clamp(min=1)
        share = length / count  # (K, 1)
        number = torch.arange(count, device=boxes.device, dtype=scaled.dtype)
        first, end = (number * share).floor() + start, ((number + 1) * share).ceil() + start
        bins.append(torch.stack((first, end), 2).long())
    return bins[0], bins[1]


def roi_align_points(
    box: Tensor,
    output_size: int | tuple[int, int],
    spatial_scale: float = 1.0,
    sampling_ratio: int = -1,
    aligned: bool = False,
) -> Tensor:
    """Give the places at which RoIAlign reads the map.

    Args:
        box: (4,) float, xyxy, pixels.
        output_size: (rows, columns) of bins, or one number for both.
        spatial_scale: As in `roi_align`.
        sampling_ratio: As in `roi_align`.
        aligned: As in `roi_align`.

    Returns:
        (rows, columns, a, b, 2) xy in cells, a x b samples in each bin; a cell's value stands at its whole number.

    Example:
        >>> roi_align_points(torch.tensor([1.0, 1.0, 3.0, 3.0]), 1, sampling_ratio=2, aligned=True)[0, 0, 0]
        tensor([[1., 1.],
                [2., 1.]])
    """
    size = _size("roi_align_points", output_size)
    _check.boxes("roi_align_points", "box", box)
    starts, sides = _frames(upcast(box)[None], spatial_scale, aligned)
    y, x = (
        _places(starts[:, axis], sides[:, axis], count, sampling_ratio)[0][0]
        for axis, count in ((1, size[0]), (0, size[1]))
    )
    shape = (*size, y.shape[1], x.shape[1])
    return torch.stack((x[None, :, None, :].expand(shape), y[:, None, :, None].expand(shape)), -1)


def assign_levels(
    boxes: Tensor, lowest: int, highest: int, canonical_size: float = 224, canonical_level: int = 4
) -> Tensor:
    """Choose the map of a pyramid for each box: large boxes on coarse maps.

    Args:
        boxes: (K, 4) float, xyxy, pixels.
        lowest: Level of the finest map; level k has stride 2^k.
        highest: Level of the coarsest map.
        canonical_size: Side of a box, the root of its area, that belongs to the canonical level.
        canonical_level: That level.

    Returns:
        (K,) int64, the level.

    Raises:
        InputError: The boxes are not (K, 4), not finite or upside down, or the levels are the wrong way round.

    Example:
        >>> sides = torch.tensor([56.0, 112.0, 223.0, 224.0, 900.0])
        >>> assign_levels(torch.stack([0 * sides, 0 * sides, sides, sides], 1), 2, 5)
        tensor([2, 3, 3, 4, 5])

    References:
        Lin et al. (2017). Feature pyramid networks. Equation 1.
    """
    op = "assign_levels"
    _check.boxes(op, "boxes", boxes, dims="K")
    _check.positive(op, "(canonical_size,)", (canonical_size,))
    if lowest > highest:
        raise _check.InputError(f"{op}: lowest must not exceed highest, got {lowest} and {highest}")
    wide = upcast(boxes)
    side = ((wide[:, 2] - wide[:, 0]) * (wide[:, 3] - wide[:, 1])).sqrt()
    level = torch.floor(canonical_level + torch.log2(side / canonical_size) + 1e-6)
    return level.clamp(lowest, highest).long()


def multiscale_roi_align(
    maps: Sequence[Tensor],
    boxes: Sequence[Tensor],
    output_size: int | tuple[int, int],
    image_size: tuple[int, int],
    sampling_ratio: int = 2,
    aligned: bool = False,
    canonical_size: float = 224,
    canonical_level: int = 4,
) -> Tensor:
    """Cut each region out of the map of a pyramid that suits its size.

    Args:
        maps: Each (B, C, h, w) float; the finest first.
        boxes: For each image (K_i, 4) float, xyxy, pixels.
        output_size: As in `roi_align`.
        image_size: (height, width) of the images, pixels; each map's scale is the power of two nearest to its share.
        sampling_ratio: As in `roi_align`.
        aligned: As in `roi_align`.
        canonical_size: As in `assign_levels`.
        canonical_level: As in `assign_levels`.

    Returns:
        (K, C, rows, columns), the regions of all images one after the other.

    Raises:
        InputError: There is no map, or as `roi_align`.

    Notes:
        torchvision's `MultiScaleRoIAlign`, which always has `aligned=False`.

    Example:
        >>> maps = [torch.full((1, 1, 32, 32), 2.0), torch.full((1, 1, 16, 16), 3.0)]  # strides 4 and 8
        >>> small, large = torch.tensor([[0.0, 0.0, 50.0, 50.0]]), torch.tensor([[0.0, 0.0, 120.0, 120.0]])
        >>> multiscale_roi_align(maps, [torch.cat([small, large])], 1, (128, 128)).flatten()
        tensor([2., 3.])
    """
    op = "multiscale_roi_align"
    if len(maps) == 0:
        raise _check.InputError(f"{op}: there must be one map or more, got none")
    steps = [round(torch.log2(torch.tensor(image_size[0] / m.shape[-2])).item()) for m in maps]
    rois = _numbered(op, boxes, maps[0])
    settings = (sampling_ratio, aligned)
    if len(maps) == 1:
        return roi_align(maps[0], rois, output_size, 2.0 ** -steps[0], *settings)
    levels = assign_levels(rois[:, 1:], steps[0], steps[-1], canonical_size, canonical_level)
    regions = maps[0].new_zeros(len(rois), maps[0].shape[1], *_size(op, output_size))
    for level, m in zip(steps, maps, strict=True):
        which = (levels == level).nonzero()[:, 0]
        part = roi_align(m, rois[which], output_size, 2.0**-level, *settings)
        regions = regions.index_put((which,), part.to(regions.dtype))
    return regions


def _size(op: str, output_size: int | tuple[int, int]) -> tuple[int, int]:
    size = (output_size, output_size) if isinstance(output_size, int) else tuple(output_size)
    _check.positive(op, "output_size", size, "rows, columns")
    return int(size[0]), int(size[1])


def _numbered(op: str, boxes: Boxes, like: Tensor) -> Tensor:
    """Give boxes as (K, 5), the number of the image first."""
    if isinstance(boxes, Tensor):
        _check.shape(op, "boxes", boxes, ("K", 5))
        return boxes
    for i, own in enumerate(boxes):
        _check.shape(op, f"boxes of image {i}", own, ("K", 4))
    numbers = torch.repeat_interleave(torch.tensor([len(own) for own in boxes], device=like.device))
    joined = torch.cat([own.new_zeros(0, 4) for own in boxes[:1]] + list(boxes)) if len(boxes) else like.new_zeros(0, 4)
    return torch.cat((numbers[:, None].to(joined.dtype), joined), 1)


def _rois(op: str, input: Tensor, boxes: Boxes, spatial_scale: float) -> tuple[Tensor, Tensor]:
    """Check the arguments, and give the image (K,) and corners (K, 4) of each region."""
    _check.numeric(op, "input", input, floating=True)
    _check.shape(op, "input", input, ("B", "C", "H", "W"))
    _check.positive(op, "(spatial_scale,)", (spatial_scale,))
    if not isinstance(boxes, Tensor) and len(boxes) != len(input):
        raise _check.InputError(f"{op}: there must be boxes for {len(input)} images, got {len(boxes)}")
    rois = _numbered(op, boxes, input)
    _check.numeric(op, "boxes", rois, floating=True)
    _check.boxes(op, "boxes", rois[:, 1:], dims="K")
    image = rois[:, 0].long()
    if _check.readable(rois) and len(image) and not 0 <= int(image.min()) <= int(image.max()) < len(input):
        row = int(((image < 0) | (image >= len(input))).nonzero()[0])
        raise _check.InputError(f"{op}: boxes[{row}] must be of an image 0 to {len(input) - 1}, got {int(image[row])}")
    return image, upcast(rois[:, 1:].detach())


def _frames(corners: Tensor, scale: float, aligned: bool) -> tuple[Tensor, Tensor]:
    """Give the upper left corner (K, 2) xy and the sides (K, 2) of each region, in cells."""
    scaled = corners * scale - (0.5 if aligned else 0.0)
    sides = scaled[:, 2:] - scaled[:, :2]
    return scaled[:, :2], sides if aligned else sides.clamp(min=1.0)


def _places(start: Tensor, side: Tensor, bins: int, ratio: int) -> tuple[Tensor, Tensor]:
    """Give along one axis the samples' places (K, P, s), and the number of samples that each region really has (K,)."""
    counts = torch.full_like(start, ratio) if ratio > 0 else (side / bins).ceil()
    most = max(1, ratio if ratio > 0 else int(counts.max()) if len(counts) else 1)
    inside = (torch.arange(most, device=start.device, dtype=start.dtype) + 0.5) / counts.clamp(min=1)[:, None]  # (K, s)
    number = torch.arange(bins, device=start.device, dtype=start.dtype)[:, None]  # (P, 1)
    width = (side / bins)[:, None, None]
    return start[:, None, None] + (number + inside[:, None]) * width, counts


def _samples(start: Tensor, side: Tensor, bins: int, ratio: int, length: int) -> tuple[Tensor, Tensor, Tensor]:
    """Give along one axis the lower cell (K, P, s) of each sample, and the weights of it and of the next cell."""
    places, counts = _places(start, side, bins, ratio)
    share = (torch.arange(places.shape[2], device=start.device) < counts[:, None]) / counts.clamp(min=1)[:, None]
    weight = share[:, None] * ((places >= -1) & (places <= length))
    at = places.clamp(0, length - 1)
    low = at.floor().clamp(max=max(0, length - 2))
    upper = at - low
    return low.long(), (1 - upper) * weight, upper * weight


def _matrix(samples: tuple[Tensor, Tensor, Tensor], length: int) -> Tensor:
    """Put the weights of samples into matrices (K, P, length)."""
    low, first, second = samples
    matrix = first.new_zeros(*low.shape[:2], length).scatter_add_(2, low, first)
    return matrix.scatter_add_(2, (low + 1).clamp(max=length - 1), second)


def _by_products(maps: Tensor, image: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Compute rows @ map @ columns^T for each region."""
    count, channels, height, width = len(image), *maps.shape[1:]
    rows, columns = rows.to(maps.dtype), columns.to(maps.dtype)
    if channels < 8:  # masks, for instance: a batch of small products
        parts = [
            rows[k][:, None] @ maps[image[k]] @ columns[k].transpose(1, 2)[:, None]  # (k, C, P, P)
            for k in torch.split(torch.arange(count, device=maps.device), max(1, _CHUNK // (channels * height * width)))
        ]
        return torch.cat(parts)
    order = image.argsort(stable=True)
    parts = []
    for number, mine in zip(*_runs(image[order]), strict=True):
        for k in torch.split(order[mine], max(1, _CHUNK // (rows.shape[1] * channels * width))):
            flat = maps[number].transpose(0, 1).reshape(height, channels * width)  # (C, H, W) -> (H, C W)
            tall = rows[k].flatten(0, 1) @ flat  # (k P, C W)
            tall = tall.reshape(len(k), -1, width)  # (k, P C, W)
            parts.append((tall @ columns[k].transpose(1, 2)).reshape(len(k), rows.shape[1], channels, -1))
    joined = torch.cat(parts).transpose(1, 2)  # (K, P, C, P) -> (K, C, P, P)
    return joined[order.argsort()] if not torch.equal(order, torch.arange(count, device=order.device)) else joined


def _runs(numbers: Tensor) -> tuple[list[int], list[slice]]:
    """Find the runs of equal numbers in a sorted vector."""
    values, counts = torch.unique_consecutive(numbers, return_counts=True)
    ends = counts.cumsum(0).tolist()
    return values.tolist(), [slice(end - count, end) for end, count in zip(ends, counts.tolist(), strict=True)]


def _by_gathering(
    maps: Tensor, image: Tensor, rows: tuple[Tensor, Tensor, Tensor], columns: tuple[Tensor, Tensor, Tensor]
) -> Tensor:
    """Sum the weighted cells of each bin, looked up in the maps as rows of a table."""
    batch, channels, height, width = maps.shape
    table = maps.permute(0, 2, 3, 1).reshape(-1, channels)  # (B H W, C)
    y, wy = _two_cells(rows, height)  # (K, P, 2 s)
    x, wx = _two_cells(columns, width)
    start = (image * (height * width))[:, None, None, None, None]
    cells = start + y[:, :, None, :, None] * width + x[:, None, :, None, :]  # (K, P, P, 2 s, 2 s)
    weights = (wy[:, :, None, :, None] * wx[:, None, :, None, :]).to(table.dtype)
    bags, each = cells.shape[:3], cells.shape[3] * cells.shape[4]
    sums = functional.embedding_bag(
        cells.reshape(-1, each), table, per_sample_weights=weights.reshape(-1, each), mode="sum"
    )  # (K P P, C)
    return sums.reshape(*bags, channels).permute(0, 3, 1, 2)  # (K, P, P, C) -> (K, C, P, P)


def _two_cells(samples: tuple[Tensor, Tensor, Tensor], length: int) -> tuple[Tensor, Tensor]:
    """Give the two cells of each sample and their weights, side by side."""
    low, first, second = samples
    return torch.cat((low, (low + 1).clamp(max=length - 1)), 2), torch.cat((first, second), 2)


def _longest(ranges: Tensor) -> int:
    """Give the length of the longest range."""
    return int((ranges[..., 1] - ranges[..., 0]).max()) if ranges.numel() else 1


def _largest(values: Tensor, ranges: Tensor, length: int) -> Tensor:
    """Give the largest value in ranges of the last axis: (k, C, n, length) and (k, P, 2) become (k, C, n, P)."""
    first, end = ranges.clamp(0, length).unbind(2)  # (k, P)
    offset = torch.arange(max(1, _longest(ranges.clamp(0, length))), device=values.device)
    cells = torch.minimum(first[..., None] + offset, (end - 1).clamp(min=0)[..., None])  # (k, P, L): the last one again
    k, channels, n, _ = values.shape
    index = cells.flatten(1)[:, None, None].expand(k, channels, n, -1)
    picked = values.gather(3, index).reshape(k, channels, n, *cells.shape[1:])  # (k, C, n, P, L)
    return picked.amax(4).masked_fill((end <= first)[:, None, None], 0.0)
