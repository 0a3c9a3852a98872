"""Carry out a geometric map: on a picture, on masks, on points and on boxes, all by the same rule.

Pictures are filled backwards: each pixel of the result looks up where it came from. Points go forwards. The two agree
because one matrix, and one field of displacements where there is one, stands behind both.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from cvlab import _check
from cvlab.augment import affine

Fill = float | Sequence[float]
GREY = 114 / 255  # what lies outside the picture, by default: about the mean of photographs


@dataclass(frozen=True)
class Warp:
    """A geometric map from a picture of one size to a picture of another.

    Attributes:
        matrix: (3, 3) float64, from the old picture to the new one, in pixels, as in `cvlab.augment.affine`.
        old: (height, width) of the old picture.
        new: (height, width) of the new one.
        field: (2, H, W) or None: after the matrix, bend. The pixel at p shows what would be at p + field(p), with
            x and y in pixels. It must be smooth: no steeper than 1, or it would fold the picture.

    Example:
        >>> flip = Warp(affine.horizontal_flip(4), (1, 4), (1, 4))
        >>> flip.image(torch.tensor([[[0.0, 0.1, 0.2, 0.3]]]))
        tensor([[[0.3000, 0.2000, 0.1000, 0.0000]]])
        >>> flip.boxes(torch.tensor([[0.0, 0.0, 1.0, 1.0]]))
        tensor([[3., 0., 4., 1.]])
    """

    matrix: Tensor
    old: tuple[int, int]
    new: tuple[int, int]
    field: Tensor | None = None

    def image(self, image: Tensor, fill: Fill = GREY) -> Tensor:
        """Warp a picture with bilinear interpolation, and with antialiasing where it shrinks.

        Args:
            image: (C, H, W), float in [0, 1] or uint8.
            fill: the value outside the old picture, in [0, 1]: one number, or one for each channel.

        Returns:
            (C, H', W') of the same dtype; flips, and shifts by whole pixels, are exact.

        Raises:
            InputError: if the picture has another size or type than it should.
        """
        self._fits("image", image)
        if not (image.dtype == torch.uint8 or image.is_floating_point()):
            raise _check.InputError(f"Warp.image: image must be float or uint8, got {image.dtype}")
        outside = _fill(image, fill)
        straight = self._straight()
        if straight is not None:
            return _paste(image, straight, self.new, outside, "bilinear")
        return self._sample(image, outside)

    def masks(self, masks: Tensor) -> Tensor:
        """Warp masks or label maps (..., H, W) of any dtype: each pixel takes the nearest one's value, outside is 0.

        Raises:
            InputError: if the masks have another size than the old picture.
        """
        self._fits("masks", masks)
        straight = self._straight()
        if straight is not None:
            return _paste(masks, straight, self.new, masks.new_zeros(()), "nearest-exact")
        source = self.sources()
        h, w = self.old
        # a thousandth of a pixel aside: where a source lies between two pixels, rounding does not choose at random
        x, y = (source + 1e-3).floor().long().unbind(-1)  # (H', W') each
        inside = (x >= 0) & (x < w) & (y >= 0) & (y < h)
        place = (y.clamp(0, h - 1) * w + x.clamp(0, w - 1)).flatten()  # (H' W')
        found = masks.flatten(-2).gather(-1, place.expand(*masks.shape[:-2], -1)).unflatten(-1, self.new)
        return torch.where(inside, found, found.new_zeros(()))

    def points(self, points: Tensor) -> Tensor:
        """Move points (..., 2), xy pixels; they may end outside of the new picture."""
        moved = affine.warp_points(points, self.matrix)
        return moved if self.field is None else _unbend(moved, self.field)

    def boxes(self, boxes: Tensor) -> Tensor:
        """Move boxes (N, 4), xyxy pixels: the upright boxes around their moved outlines, not clipped."""
        if self.field is None:
            return affine.warp_boxes(boxes, self.matrix)
        return affine.enclosing(self.points(_outlines(boxes)))

    def sources(self) -> Tensor:
        """Tell for each pixel of the new picture where its centre lies in the old one, (H', W', 2) float32 xy."""
        x, y = affine.pixel_centres(self.new)
        if self.field is not None:
            x, y = x + self.field[0], y + self.field[1]  # (H', W')
        return torch.stack(affine.warp_xy(x, y, torch.linalg.inv(self.matrix)), dim=-1).float()

    def covered(self) -> Tensor:
        """Tell which pixels of the old picture have their centre in the new one, (H, W) bool."""
        straight = self._straight()
        if straight is not None:
            x1, y1, x2, y2 = straight[0]
            made = torch.zeros(self.old, dtype=torch.bool)
            made[y1:y2, x1:x2] = True
            return made
        y, x = torch.arange(self.old[0])[:, None] + 0.5, torch.arange(self.old[1]) + 0.5
        if self.field is not None:
            return self._covered_bent(self.field)
        u, v, depth = (float(a) * x + float(b) * y + float(c) for a, b, c in self.matrix)  # (H, W) each
        return (depth > 0) & (u >= 0) & (u < self.new[1] * depth) & (v >= 0) & (v < self.new[0] * depth)

    def _covered_bent(self, field: Tensor) -> Tensor:
        """Tell the same where there is a field: only what lies near an edge may be bent across it."""
        h, w = self.new
        u, v = affine.warp_xy(*affine.pixel_centres(self.old), self.matrix)
        room = torch.stack([u, w - u, v, h - v]).amin(0)  # (H, W), how far inside; negative outside
        inside, near = room >= 0, room.abs() <= field.abs().max()
        bent = _unbend(torch.stack([u[near], v[near]], dim=-1), field)  # (P, 2)
        inside[near] = ((bent >= 0) & (bent < torch.tensor([w, h]))).all(1)
        return inside

    def shrinks(self) -> float:
        """Tell how much lengths grow at the middle of the new picture, at most 1: below 1 the picture shrinks."""
        h, w = self.new
        middle = torch.tensor([w / 2, h / 2], dtype=torch.float64)
        steps = torch.tensor([[0, 0], [0.5, 0], [0, 0.5]], dtype=torch.float64)
        at = affine.warp_points(middle + steps, torch.linalg.inv(self.matrix))
        area = torch.linalg.det(torch.stack([at[1] - at[0], at[2] - at[0]])).abs() / 0.25
        return min(1.0, float(area) ** -0.5)

    def _fits(self, name: str, value: Tensor) -> None:
        _check.shape(f"Warp.{name}", name, value, ("...", *self.old))

    def _sample(self, image: Tensor, outside: Tensor) -> Tensor:
        """Look up each pixel's source; shrink first, with antialiasing, what would be shrunk by more than a quarter."""
        picture = image if image.dtype in (torch.float32, torch.float64) else image.float()
        shrink = self.shrinks()
        if shrink < 0.75:
            h, w = (max(1, round(side * shrink)) for side in self.old)
            picture = functional.interpolate(picture[None], (h, w), mode="bilinear", antialias=True)[0]
        h, w = self.old
        grid = (self.sources() * torch.tensor([2 / w, 2 / h]) - 1).to(picture)  # the picture spans -1 to 1
        shifted = (picture - outside.to(picture))[None]  # what lies outside is 0 there
        found = functional.grid_sample(shifted, grid[None], mode="bilinear", align_corners=False)[0]
        found = found + outside.to(picture)
        return found.round().clamp(0, 255).to(torch.uint8) if image.dtype == torch.uint8 else found.to(image.dtype)

    def _straight(self) -> tuple[tuple[int, int, int, int], tuple[int, int, int, int], bool, bool] | None:
        """Describe a map without turning or bending, between whole pixels: (source, target, flipped x, flipped y).

        The part of the old picture that is seen, and where it goes, are boxes x1, y1, x2, y2. Other maps give None.
        """
        (sx, slant, dx), (shear, sy, dy), (px, py, w) = self.matrix.tolist()
        if self.field is not None or slant or shear or px or py:
            return None
        sources, targets, flips = [], [], []
        for axis, (factor, shift) in enumerate(((sx / w, dx / w), (sy / w, dy / w))):
            span = _seen(factor, shift, self.old[1 - axis], self.new[1 - axis])
            if span is None:
                return None
            sources.append(span[0])
            targets.append(span[1])
            flips.append(factor < 0)
        (x1, x2), (y1, y2) = sources
        (u1, u2), (v1, v2) = targets
        return (x1, y1, x2, y2), (u1, v1, u2, v2), flips[0], flips[1]


def _seen(factor: float, shift: float, old: int, new: int) -> tuple[tuple[int, int], tuple[int, int]] | None:
    """Find, on one axis, which part of 0..old is seen in 0..new under x -> factor x + shift, if it has whole ends."""
    ends = sorted((0 * factor + shift, old * factor + shift))
    target = max(0.0, ends[0]), min(float(new), ends[1])
    if target[0] >= target[1]:
        return None
    source = sorted((t - shift) / factor for t in target)
    whole = [round(v) for v in (*source, *target)]
    if any(abs(a - b) > 1e-6 for a, b in zip(whole, (*source, *target), strict=True)):
        return None
    return (whole[0], whole[1]), (whole[2], whole[3])


def _paste(image: Tensor, straight: tuple, new: tuple[int, int], outside: Tensor, mode: str) -> Tensor:
    """Cut out, flip and stretch a part of a picture or of masks, and lay it where it belongs."""
    (x1, y1, x2, y2), (u1, v1, u2, v2), flipped_x, flipped_y = straight
    part = image[..., y1:y2, x1:x2]
    part = part.flip(-1) if flipped_x else part
    part = part.flip(-2) if flipped_y else part
    size = (v2 - v1, u2 - u1)
    if part.shape[-2:] != size:
        part = _stretch(part, size, mode)
    if size == new:
        return part.clone() if part._base is not None or part.is_inference() else part  # never the picture itself
    made = outside.to(image.dtype).expand(*image.shape[:-2], *new).clone()
    made[..., v1:v2, u1:u2] = part
    return made


def _stretch(part: Tensor, size: tuple[int, int], mode: str) -> Tensor:
    flat = part.reshape(1, -1, *part.shape[-2:])  # (1, C, H, W): interpolate wants a batch
    if flat.shape[1] == 0:
        return part.new_zeros(*part.shape[:-2], *size)
    if mode == "bilinear":
        half = flat.dtype in (torch.float16, torch.bfloat16)  # which torch does not interpolate on a CPU
        made = functional.interpolate(flat.float() if half else flat, size, mode=mode, antialias=True).to(flat.dtype)
    else:
        rows, columns = (
            ((torch.arange(n) + 0.5) * (old / n)).long() for n, old in zip(size, part.shape[-2:], strict=True)
        )
        made = flat.index_select(-2, rows)
        made = made.gather(-1, columns.expand(*made.shape[:-1], -1))
    return made.reshape(*part.shape[:-2], *size)


def _fill(image: Tensor, fill: Fill) -> Tensor:
    """Give the outside's value as a tensor (C, 1, 1) or (1, 1, 1), in the picture's range."""
    values = [fill] if isinstance(fill, (int, float)) else [float(v) for v in fill]
    if len(values) not in (1, image.shape[0]):
        raise _check.InputError(
            f"Warp.image: fill must be one number or one for each of {image.shape[0]} channels, got {fill!r}"
        )
    for i, value in enumerate(values):
        _check.fraction("Warp.image", f"fill[{i}]", value)
    values = [round(255 * value) for value in values] if image.dtype == torch.uint8 else values
    return torch.tensor(values, dtype=torch.float32)[:, None, None]


def _outlines(boxes: Tensor) -> Tensor:
    """Give points on the outlines of boxes, (N, P, 2) xy, 4 pixels apart at most, for maps that bend straight lines."""
    if len(boxes) == 0:
        return boxes.new_zeros(0, 4, 2)
    points = max(16, math.ceil(float((boxes[:, 2:] - boxes[:, :2]).max()) / 4))
    along = torch.arange(points, dtype=boxes.dtype) / points
    corner = affine.corners(boxes)  # (N, 4, 2)
    following = corner.roll(-1, dims=1)
    between = corner[:, :, None] + along[:, None] * (following - corner)[:, :, None]  # (N, 4, points, 2)
    return between.flatten(1, 2)  # (N, 4 points, 2)


def _unbend(points: Tensor, field: Tensor, rounds: int = 100) -> Tensor:
    """Solve p + field(p) = q for p, by putting p back in: p <- q - field(p) comes nearer where the field is smooth.

    Most points have come to rest, to 0.0001 pixels, after a few rounds, and are left alone from then on.
    """
    h, w = field.shape[1:]
    size = torch.tensor([2 / w, 2 / h])
    goal = points.reshape(-1, 2).float()  # (P, 2)
    found, moving = goal.clone(), torch.arange(len(goal))
    for _ in range(rounds):
        if len(moving) == 0:
            break
        here = found[moving]
        bent = functional.grid_sample(
            field[None].float(), here[None, None] * size - 1, padding_mode="border", align_corners=False
        )
        found[moving] = goal[moving] - bent[0, :, 0].t()  # (1, 2, 1, M) -> (M, 2)
        moving = moving[((found[moving] - here).abs() > 1e-4).any(1)]
    return found.reshape(points.shape).to(points.dtype)
