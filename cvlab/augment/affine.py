"""Geometric maps as 3 x 3 matrices: build them, join them, and move points, boxes and masks' outlines with them.

A matrix maps where something was to where it is now: `(x', y', 1) ~ M (x, y, 1)`, in pixels, with the origin at the
corner of the top left pixel and y downwards. Steps are joined by multiplying, the first step rightmost, so a whole
chain of flips, turns and crops costs one warp of the picture and blurs it once.

References:
    Hartley, R. and Zisserman, A. (2004). Multiple View Geometry in Computer Vision, 2nd edition, section 2.4.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from cvlab import _check


def _matrix(*rows: Sequence[float]) -> Tensor:
    return torch.tensor(rows, dtype=torch.float64)


def identity() -> Tensor:
    """Make the matrix that moves nothing, (3, 3) float64."""
    return torch.eye(3, dtype=torch.float64)


def translation(dx: float, dy: float) -> Tensor:
    """Make the matrix that shifts by (dx, dy) pixels, to the right and down; (3, 3) float64."""
    return _matrix((1, 0, dx), (0, 1, dy), (0, 0, 1))


def scaling(sx: float, sy: float) -> Tensor:
    """Make the matrix that stretches by `sx` and `sy`, both above 0, away from the origin; (3, 3) float64.

    Raises:
        InputError: if a factor is not finite and above 0.
    """
    _check.positive("scaling", "factors", (sx, sy))
    return _matrix((sx, 0, 0), (0, sy, 0), (0, 0, 1))


def rotation(degrees: float) -> Tensor:
    """Make the matrix that turns around the origin; (3, 3) float64.

    Args:
        degrees: the angle. Positive angles turn clockwise as seen on the screen, because y points down.

    Notes:
        torchvision's `affine` turns the same way, its `rotate` the other.

    Example:
        >>> warp_points(torch.tensor([[1.0, 0.0]]), rotation(90)).round(decimals=6)
        tensor([[0., 1.]])
    """
    _check.number("rotation", "degrees", degrees)
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return _matrix((c, -s, 0), (s, c, 0), (0, 0, 1))


def shearing(degrees: float) -> Tensor:
    """Make the matrix that slants upright lines: x grows by y tan(degrees); (3, 3) float64.

    Args:
        degrees: the slant, between -90 and 90, both excluded.

    Raises:
        InputError: if the angle is not between -90 and 90.
    """
    if not -90 < degrees < 90:
        raise _check.InputError(f"shearing: degrees must lie between -90 and 90, got {degrees!r}")
    return _matrix((1, math.tan(math.radians(degrees)), 0), (0, 1, 0), (0, 0, 1))


def horizontal_flip(width: float) -> Tensor:
    """Make the matrix that swaps left and right in a picture of that width: x becomes width - x; (3, 3) float64."""
    return _matrix((-1, 0, width), (0, 1, 0), (0, 0, 1))


def vertical_flip(height: float) -> Tensor:
    """Make the matrix that swaps top and bottom in a picture of that height: y becomes height - y; (3, 3) float64."""
    return _matrix((1, 0, 0), (0, -1, height), (0, 0, 1))


def about(matrix: Tensor, centre: tuple[float, float]) -> Tensor:
    """Apply a map around another fixed point than the origin; (3, 3) float64.

    Args:
        matrix: (3, 3), such as a rotation.
        centre: (x, y) of the point that is to stay, pixels.

    Example:
        >>> turn = about(rotation(90), centre=(5.0, 5.0))
        >>> warp_points(torch.tensor([[5.0, 5.0], [10.0, 5.0]]), turn).round(decimals=4)
        tensor([[ 5.,  5.],
                [ 5., 10.]])
    """
    x, y = centre
    return translation(x, y) @ matrix @ translation(-x, -y)


def crop_to(box: Sequence[float], size: tuple[int, int]) -> Tensor:
    """Make the matrix that cuts out a box and stretches it to a new size; (3, 3) float64.

    Args:
        box: x1, y1, x2, y2 in pixels, with area.
        size: (height, width) of what it becomes.

    Raises:
        InputError: if the box or the size has no area.

    Example:
        >>> warp_points(torch.tensor([[10.0, 20.0], [30.0, 30.0]]), crop_to((10, 20, 30, 30), (100, 200)))
        tensor([[  0.,   0.],
                [200., 100.]])
    """
    x1, y1, x2, y2 = (float(v) for v in box)
    _check.positive("crop_to", "sides of the box", (x2 - x1, y2 - y1))
    _check.positive("crop_to", "size", size, of="height, width")
    return scaling(size[1] / (x2 - x1), size[0] / (y2 - y1)) @ translation(-x1, -y1)


def perspective(start: Tensor, end: Tensor) -> Tensor:
    """Find the perspective map that brings four points to four others; (3, 3) float64.

    Args:
        start: (4, 2) points, xy pixels, no three on one line.
        end: (4, 2) where they are to go.

    Raises:
        InputError: if a shape is wrong, or three of the points lie on one line.

    Notes:
        Each pair gives two equations that are linear in the first eight entries of the matrix; the ninth is 1.

    Example:
        >>> square = torch.tensor([[0.0, 0.0], [4.0, 0.0], [4.0, 4.0], [0.0, 4.0]])
        >>> perspective(square, square + 1).round(decimals=6)
        tensor([[1., 0., 1.],
                [0., 1., 1.],
                [0., 0., 1.]], dtype=torch.float64)
    """
    for name, points in (("start", start), ("end", end)):
        _check.numeric("perspective", name, points)
        _check.shape("perspective", name, points, (4, 2))
        _check.finite("perspective", name, points)
    rows, values = [], []
    for (x, y), (u, v) in zip(start.tolist(), end.tolist(), strict=True):
        rows += [(x, y, 1, 0, 0, 0, -u * x, -u * y), (0, 0, 0, x, y, 1, -v * x, -v * y)]
        values += [u, v]
    try:
        entries = torch.linalg.solve(_matrix(*rows), torch.tensor(values, dtype=torch.float64))
    except RuntimeError as error:
        raise _check.InputError("perspective: no three of the four points may lie on one line") from error
    return torch.cat([entries, entries.new_ones(1)]).reshape(3, 3)


def warp_points(points: Tensor, matrix: Tensor) -> Tensor:
    """Move points.

    Args:
        points: (..., 2) float, xy pixels.
        matrix: (3, 3).

    Returns:
        (..., 2), of the points' dtype; the arithmetic is float64.

    Raises:
        InputError: if a shape or type is wrong.
    """
    _check.numeric("warp_points", "points", points, floating=True)
    _check.shape("warp_points", "points", points, ("...", 2))
    _check.shape("warp_points", "matrix", matrix, (3, 3))
    m = matrix.to(points.device, torch.float64)
    moved = points.double() @ m[:, :2].t() + m[:, 2]  # (..., 3), homogeneous
    return (moved[..., :2] / moved[..., 2:]).to(points.dtype)


def pixel_centres(size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Give x (W,) and y (H, 1) of the centres of a picture's pixels, float64; together they broadcast to (H, W)."""
    height, width = size
    return torch.arange(width, dtype=torch.float64) + 0.5, torch.arange(height, dtype=torch.float64)[:, None] + 0.5


def warp_xy(x: Tensor, y: Tensor, matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Move points whose x and y stand in two tensors that broadcast: `warp_points`, but quick for whole pictures.

    Args:
        x: float64, pixels.
        y: likewise.
        matrix: (3, 3).

    Returns:
        x and y, of the shape to which both broadcast.

    Example:
        >>> x, y = warp_xy(*pixel_centres((2, 3)), translation(10, 20))
        >>> x[0].tolist(), y[:, 0].tolist()
        ([10.5, 11.5, 12.5], [20.5, 21.5])
    """
    across, down, depth = (a * x + (b * y + c) for a, b, c in matrix.tolist())
    return across / depth, down / depth


def corners(boxes: Tensor) -> Tensor:
    """Give the four corners of boxes, clockwise from the top left one: (N, 4) xyxy becomes (N, 4, 2) xy."""
    return boxes[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2)  # (N, 4, 2)


def enclosing(points: Tensor) -> Tensor:
    """Give the upright boxes around sets of points: (N, P, 2) xy becomes (N, 4) xyxy."""
    return torch.cat([points.amin(1), points.amax(1)], dim=1)


def warp_boxes(boxes: Tensor, matrix: Tensor) -> Tensor:
    """Move boxes: the upright boxes around their moved corners, not clipped.

    Args:
        boxes: (N, 4) float, xyxy pixels.
        matrix: (3, 3).

    Returns:
        (N, 4), of the boxes' dtype.

    Raises:
        InputError: if a shape or type is wrong.

    Notes:
        The box around a turned *box* is larger than the box around the turned *object*, by up to a factor of 2 in area
        for a square turned by 45 degrees. With a mask, take the box of the moved mask instead.

    Example:
        >>> turned = warp_boxes(torch.tensor([[0.0, 0.0, 10.0, 10.0]]), about(rotation(45), (5.0, 5.0)))
        >>> turned.round(decimals=2)
        tensor([[-2.0700, -2.0700, 12.0700, 12.0700]])
    """
    _check.numeric("warp_boxes", "boxes", boxes, floating=True)
    _check.shape("warp_boxes", "boxes", boxes, ("N", 4))
    return enclosing(warp_points(corners(boxes), matrix))
