"""Anchors: boxes of a few sizes and shapes around the centre of every cell of a feature map.

An anchor's scale says its size, its ratio says width / height. The two are kept apart: a ratio never changes the area.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from cvlab import _check

PAIRINGS = ("all", "all_by_ratio", "first")
"""How scales and ratios go together, and in which order.

- "all": for each scale every ratio, scales outermost, as detectron2 orders them.
- "all_by_ratio": the same, ratios outermost, as torchvision orders them.
- "first": all scales with the first ratio, then the first scale with the other ratios: n + m - 1, as in SSD and d2l.
"""


def _pair(scales: Sequence[float], ratios: Sequence[float], pairing: str) -> list[tuple[float, float]]:
    if pairing == "first":
        return [(s, ratios[0]) for s in scales] + [(scales[0], r) for r in ratios[1:]]
    if pairing == "all":
        return [(s, r) for s in scales for r in ratios]
    return [(s, r) for r in ratios for s in scales]


def _plain_list(values: Any) -> list[Any]:
    """Turn arrays, tensors and sequences of them into lists."""
    if hasattr(values, "tolist"):
        values = values.tolist()
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise _check.InputError(f"AnchorGenerator: scales and ratios must be sequences, got {values!r}")
    return [v.tolist() if hasattr(v, "tolist") else v for v in values]


def _check_placing(op: str, pairing: str, unit: str, offset: float) -> None:
    _check.choice(op, "pairing", pairing, PAIRINGS)
    _check.choice(op, "unit", unit, ("image", "pixel"))
    _check.number(op, "offset", offset)


def grid_anchors(
    map_size: tuple[int, int],
    image_size: tuple[int, int],
    scales: Sequence[float],
    ratios: Sequence[float] = (1.0,),
    *,
    pairing: str = "all",
    unit: str = "image",
    offset: float = 0.5,
    stride: tuple[float, float] | None = None,
    rounded: bool = False,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str | None = None,
) -> Tensor:
    """Make the anchors of one feature map.

    Args:
        map_size: Height h and width w of the map, cells.
        image_size: Height and width of the image, pixels.
        scales: Sizes s. With unit "image" the area of an anchor is s^2 times that of the image; with "pixel" it is s^2.
        ratios: Width / height.
        pairing: "all", "all_by_ratio" or "first": see `PAIRINGS`.
        unit: "image" or "pixel".
        offset: Where in its cell an anchor is centred: 0.5 is the middle, 0 the upper left corner.
        stride: Height and width of a cell, pixels; the image's size over the map's when not given.
        rounded: Round the corners of the anchor about (0, 0) to whole pixels, as torchvision does.
        dtype: Of the result.
        device: Of the result.

    Returns:
        (h * w * A, 4) xyxy, pixels, row by row, cell by cell, with the A anchors of a cell in the order of `pairing`.

    Raises:
        InputError: A size, scale, ratio or stride is not a number above 0, the map's size is not whole, the offset is
            not finite, the dtype is not floating point, or `pairing` or `unit` is unknown.

    Notes:
        On a map or image that is not square d2l's `multibox_prior` measures against the height alone and multiplies
        widths by h / w of the map. It has the scales s * sqrt(H / W) of this function where map and image have the
        same shape, and coordinates in shares of the image: divide by (W, H, W, H).

    Example:
        >>> grid_anchors((1, 2), (100, 200), [0.5], [2.0])  # area 0.25 * 100 * 200 = 5000 = 100 * 50
        tensor([[  0.,  25., 100.,  75.],
                [100.,  25., 200.,  75.]])

    References:
        Ren et al. (2015). Faster R-CNN. Section 3.1.1. Liu et al. (2016). SSD. Section 2.2.
    """
    op = "grid_anchors"
    _check_placing(op, pairing, unit, offset)
    for name, size in (("map_size", map_size), ("image_size", image_size), ("stride", stride)):
        if size is not None:
            _check.positive(op, name, size, "height, width")
    if not all(hasattr(cells, "__index__") for cells in map_size):
        raise _check.InputError(f"{op}: map_size must be whole numbers, got {tuple(map_size)}")
    _check.positive(op, "scales", scales)
    _check.positive(op, "ratios", ratios)
    if not dtype.is_floating_point:
        raise _check.InputError(f"{op}: dtype must be floating point, got {dtype}")
    wide = torch.float64 if dtype == torch.float64 else torch.float32  # rounded to `dtype` once, at the end
    unit_length = math.sqrt(image_size[0] * image_size[1]) if unit == "image" else 1.0
    shapes = _pair([s * unit_length for s in scales], ratios, pairing)
    half_sides = [(s * math.sqrt(r) / 2, s / math.sqrt(r) / 2) for s, r in shapes]
    if rounded:
        half_sides = [(round(w), round(h)) for w, h in half_sides]
    half = torch.tensor([[(-w, -h), (w, h)] for w, h in half_sides], dtype=wide, device=device)  # (A, 2 corners, xy)

    step_y, step_x = stride if stride is not None else (image_size[0] / map_size[0], image_size[1] / map_size[1])
    x = torch.arange(map_size[1], dtype=wide, device=device).add_(offset).mul_(step_x)
    y = torch.arange(map_size[0], dtype=wide, device=device).add_(offset).mul_(step_y)
    x = x[None, :, None, None] + half[..., 0]  # (1, w, A, 2 corners)
    y = y[:, None, None, None] + half[..., 1]  # (h, 1, A, 2 corners)
    shape = (*map_size, len(shapes), 2)
    return torch.stack((x.expand(shape), y.expand(shape)), dim=-1).reshape(-1, 4).to(dtype)  # (h, w, A, 2 corners, xy)


class AnchorGenerator(nn.Module):
    """Makes the anchors of several feature maps.

    Args:
        scales: For each map its scales; sequences or a 2-D array.
        ratios: Width / height: for each map its ratios, or one sequence for all maps; sequences or arrays.
        pairing: As in `grid_anchors`.
        unit: "image" for scales relative to the image (SSD), "pixel" for sizes in pixels (Faster R-CNN).
        offset: As in `grid_anchors`.
        strides: "exact" for image size over map size; "floor" for the same rounded down, as torchvision has it; or for
            each map the side of its cells in pixels, as detectron2 has it.
        rounded: As in `grid_anchors`.

    Raises:
        InputError: A number is not finite or not above 0, a sequence is empty or not for as many maps as the scales, or
            a word is unknown.

    Notes:
        torchvision's anchors: pairing "all_by_ratio", unit "pixel", offset 0, strides "floor", rounded, and ratios
        turned over, because its ratios are height / width. detectron2's: pairing "all", unit "pixel", offset 0, the
        strides given, and ratios turned over likewise.

    Example:
        >>> generator = AnchorGenerator([[0.2, 0.3], [0.5]], [1.0, 2.0], pairing="first")
        >>> generator.anchors_per_cell
        [3, 2]
        >>> [a.shape for a in generator([(4, 4), (2, 2)], (64, 64))]
        [torch.Size([48, 4]), torch.Size([8, 4])]
    """

    def __init__(
        self,
        scales: Sequence[Sequence[float]],
        ratios: Sequence[float] | Sequence[Sequence[float]] = (1.0,),
        *,
        pairing: str = "all",
        unit: str = "image",
        offset: float = 0.5,
        strides: str | Sequence[float] = "exact",
        rounded: bool = False,
    ) -> None:
        super().__init__()
        op = "AnchorGenerator"
        _check_placing(op, pairing, unit, offset)
        self.scales = _plain_list(scales)
        self.ratios = _plain_list(ratios)
        count = len(self.scales)
        nested = [isinstance(r, Sequence) for r in self.ratios]
        if count == 0:
            raise _check.InputError(f"{op}: scales must not be empty")
        if any(nested) and not all(nested):
            raise _check.InputError(f"{op}: ratios must be numbers, or a sequence for each map, not both, got {ratios}")
        if not any(nested):  # one sequence for all maps
            self.ratios = [self.ratios] * count
        for name, values in (("ratios", self.ratios), ("strides", strides)):
            if not isinstance(values, str) and len(values) != count:
                raise _check.InputError(f"{op}: {name} must be for {count} maps, got {len(values)}")
        for i in range(count):
            _check.positive(op, f"scales[{i}]", self.scales[i])
            _check.positive(op, f"ratios[{i}]", self.ratios[i])
        if isinstance(strides, str):
            _check.choice(op, "strides", strides, ("exact", "floor"))
        else:
            _check.positive(op, "strides", strides)
        self.pairing, self.unit, self.offset, self.strides, self.rounded = pairing, unit, offset, strides, rounded

    @property
    def anchors_per_cell(self) -> list[int]:
        """How many anchors each cell of each map has."""
        return [len(_pair(s, r, self.pairing)) for s, r in zip(self.scales, self.ratios, strict=True)]

    def forward(self, maps: Sequence[Tensor | tuple[int, int]], image_size: tuple[int, int]) -> list[Tensor]:
        """Make the anchors.

        Args:
            maps: Feature maps (..., h, w), whose dtype and device the anchors take; or their sizes (h, w).
            image_size: Height and width of the image, pixels.

        Returns:
            For each map (h * w * A, 4) xyxy, pixels.

        Raises:
            InputError: The number of maps is not that of the scales.
        """
        if len(maps) != len(self.scales):
            raise _check.InputError(f"AnchorGenerator: expected {len(self.scales)} maps, got {len(maps)}")
        return [self._one(i, m, image_size) for i, m in enumerate(maps)]

    def _one(self, i: int, feature_map: Tensor | tuple[int, int], image_size: tuple[int, int]) -> Tensor:
        dtype, device = torch.float32, None
        if isinstance(feature_map, Tensor):
            dtype, device = feature_map.dtype, feature_map.device
            _check.shape("AnchorGenerator", f"maps[{i}]", feature_map, ("...", "h", "w"))
            height, width = feature_map.shape[-2:]
        else:
            _check.positive("AnchorGenerator", f"maps[{i}]", feature_map, "height, width")
            height, width = feature_map
        stride: tuple[float, float] | None = None
        if self.strides == "floor":
            _check.positive("AnchorGenerator", "image_size", image_size, "height, width")
            stride = (image_size[0] // height, image_size[1] // width)
        elif not isinstance(self.strides, str):
            stride = (self.strides[i], self.strides[i])
        return grid_anchors(
            (height, width),
            image_size,
            self.scales[i],
            self.ratios[i],
            pairing=self.pairing,
            unit=self.unit,
            offset=self.offset,
            stride=stride,
            rounded=self.rounded,
            dtype=dtype,
            device=device,
        )
