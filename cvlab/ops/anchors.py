"""Anchors: boxes of a few sizes and shapes around the centre of every cell of a feature map.

An anchor's scale says its size, its ratio says width / height. The two are kept apart: a ratio never changes the area.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

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


def _check_arguments(op: str, sizes: Sequence[Sequence[float]], pairing: str) -> None:
    for name, values in zip(("map_size", "image_size"), sizes, strict=True):
        if len(values) != 2:
            raise _check.InputError(f"{op}: {name} must be (height, width), got {tuple(values)}")
        _check.positive(op, name, values)
    _check.choice(op, "pairing", pairing, PAIRINGS)


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
        InputError: A size, scale or ratio is not above 0, or `pairing` or `unit` is unknown.

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
    _check_arguments("grid_anchors", (map_size, image_size), pairing)
    _check.positive("grid_anchors", "scales", scales)
    _check.positive("grid_anchors", "ratios", ratios)
    _check.choice("grid_anchors", "unit", unit, ("image", "pixel"))
    unit_length = math.sqrt(image_size[0] * image_size[1]) if unit == "image" else 1.0
    shapes = _pair([s * unit_length for s in scales], ratios, pairing)
    half_sides = [(s * math.sqrt(r) / 2, s / math.sqrt(r) / 2) for s, r in shapes]
    if rounded:
        half_sides = [(round(w), round(h)) for w, h in half_sides]
    half = torch.tensor([[(-w, -h), (w, h)] for w, h in half_sides], dtype=dtype, device=device)  # (A, 2 corners, xy)

    step_y, step_x = stride or (image_size[0] / map_size[0], image_size[1] / map_size[1])
    x = torch.arange(map_size[1], dtype=dtype, device=device).add_(offset).mul_(step_x)
    y = torch.arange(map_size[0], dtype=dtype, device=device).add_(offset).mul_(step_y)
    x = x[None, :, None, None] + half[..., 0]  # (1, w, A, 2 corners)
    y = y[:, None, None, None] + half[..., 1]  # (h, 1, A, 2 corners)
    shape = (*map_size, len(shapes), 2)
    return torch.stack((x.expand(shape), y.expand(shape)), dim=-1).reshape(-1, 4)  # (h, w, A, 2 corners, xy)


class AnchorGenerator(nn.Module):
    """Makes the anchors of several feature maps.

    Args:
        scales: For each map its scales.
        ratios: Width / height: for each map its ratios, or one sequence for all maps.
        pairing: As in `grid_anchors`.
        unit: "image" for scales relative to the image (SSD), "pixel" for sizes in pixels (Faster R-CNN).
        offset: As in `grid_anchors`.
        strides: "exact" for image size over map size; "floor" for the same rounded down, as torchvision has it; or for
            each map the side of its cells in pixels, as detectron2 has it.
        rounded: As in `grid_anchors`.

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
        _check.choice("AnchorGenerator", "pairing", pairing, PAIRINGS)
        self.scales = [list(s) for s in scales]
        self.ratios = [list(r) for r in ratios if isinstance(r, Sequence)]
        if not self.ratios:  # one sequence for all maps
            self.ratios = [[r for r in ratios if not isinstance(r, Sequence)]] * len(self.scales)
        for name, values in (("ratios", self.ratios), ("strides", strides)):
            if not isinstance(values, str) and len(values) != len(self.scales):
                raise _check.InputError(
                    f"AnchorGenerator: {name} must be for {len(self.scales)} maps, got {len(values)}"
                )
        if isinstance(strides, str):
            _check.choice("AnchorGenerator", "strides", strides, ("exact", "floor"))
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
            height, width = feature_map.shape[-2:]
        else:
            height, width = feature_map
        stride: tuple[float, float] | None = None
        if self.strides == "floor":
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
