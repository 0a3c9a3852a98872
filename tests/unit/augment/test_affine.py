"""Matrices of geometric maps: by hand, and against torchvision in tests/parity."""

import math

import pytest
import torch

from cvlab import _check
from cvlab.augment import affine


def moved(x, y, matrix):
    return affine.warp_points(torch.tensor([[x, y]], dtype=torch.float64), matrix)[0].tolist()


@pytest.mark.parametrize(
    ("matrix", "expected"),
    [
        (affine.identity(), (3, 2)),
        (affine.translation(10, -1), (13, 1)),
        (affine.scaling(2, 0.5), (6, 1)),
        (affine.rotation(90), (-2, 3)),  # clockwise on the screen: right goes down
        (affine.shearing(45), (5, 2)),  # x + y tan 45
        (affine.horizontal_flip(10), (7, 2)),
        (affine.vertical_flip(10), (3, 8)),
        (affine.about(affine.rotation(180), (5, 5)), (7, 8)),
        (affine.crop_to((1, 1, 3, 3), (20, 40)), (40, 10)),
    ],
)
def test_a_point_by_hand(matrix, expected):
    assert moved(3, 2, matrix) == pytest.approx(expected)


def test_a_chain_acts_from_right_to_left():
    chain = affine.scaling(2, 2) @ affine.translation(1, 0)
    assert moved(3, 2, chain) == pytest.approx((8, 4))


def test_perspective_brings_each_corner_to_its_place():
    start = torch.tensor([[0.0, 0], [8, 0], [8, 6], [0, 6]], dtype=torch.float64)
    end = torch.tensor([[1.0, 0.5], [7, 1], [8, 6], [-1, 5]], dtype=torch.float64)
    matrix = affine.perspective(start, end)
    torch.testing.assert_close(affine.warp_points(start, matrix), end)
    # the diagonals cross where they crossed before: straight lines stay straight
    a, b, c, d = end.tolist()
    t = ((b[0] - a[0]) * (b[1] - d[1]) - (b[1] - a[1]) * (b[0] - d[0])) / (
        (c[0] - a[0]) * (b[1] - d[1]) - (c[1] - a[1]) * (b[0] - d[0])
    )
    crossing = (a[0] + t * (c[0] - a[0]), a[1] + t * (c[1] - a[1]))
    assert moved(4, 3, matrix) == pytest.approx(crossing)


def test_box_of_a_turned_box():
    # a 10 x 10 square turned by 45 degrees about its centre reaches 5 sqrt 2 in each direction
    turned = affine.warp_boxes(torch.tensor([[0.0, 0, 10, 10]]), affine.about(affine.rotation(45), (5, 5)))
    reach = 5 * math.sqrt(2)
    assert turned[0].tolist() == pytest.approx([5 - reach, 5 - reach, 5 + reach, 5 + reach])


def test_no_boxes_and_no_points():
    assert affine.warp_boxes(torch.zeros(0, 4), affine.rotation(3)).shape == (0, 4)
    assert affine.warp_points(torch.zeros(0, 2), affine.rotation(3)).shape == (0, 2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: affine.scaling(0, 1), r"scaling: factors\[0\] must be finite and above 0, got 0"),
        (lambda: affine.rotation(float("nan")), "rotation: degrees must be a finite number"),
        (lambda: affine.shearing(90), "shearing: degrees must lie between -90 and 90, got 90"),
        (lambda: affine.crop_to((5, 0, 5, 2), (2, 2)), r"crop_to: sides of the box\[0\] must be finite and above 0"),
        (lambda: affine.crop_to((0, 0, 5, 2), (2, 0)), r"crop_to: size\[1\] must be"),
        (
            lambda: affine.perspective(torch.zeros(3, 2), torch.zeros(4, 2)),
            r"start must have shape \(4, 2\), got \(3, 2\)",
        ),
        (lambda: affine.perspective(torch.zeros(4, 2), torch.rand(4, 2)), "no three of the four points"),
        (lambda: affine.warp_points(torch.zeros(2, 3), affine.identity()), r"points must have shape \(..., 2\)"),
        (lambda: affine.warp_points(torch.zeros(2, 2), torch.eye(2)), r"matrix must have shape \(3, 3\), got \(2, 2\)"),
        (
            lambda: affine.warp_boxes(torch.zeros(2, 2), affine.identity()),
            r"boxes must have shape \(N, 4\), got \(2, 2\)",
        ),
        (lambda: affine.warp_boxes(torch.zeros(2, 4, dtype=torch.int64), affine.identity()), "must be floating point"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(_check.InputError, match=message):
        call()
