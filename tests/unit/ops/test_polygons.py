"""Polygons: by hand, and what is refused."""

import numpy as np
import pytest
import torch

from cvlab import ops
from cvlab._check import InputError


def test_whole_rectangles_cover_their_pixels():
    """From column 1 to 4 and row 2 to 5: half-open, 3 x 3 pixels."""
    mask = ops.polygons_to_mask([[1, 2, 4, 2, 4, 5, 1, 5]], (7, 6))
    expected = torch.zeros(7, 6, dtype=torch.bool)
    expected[2:5, 1:4] = True
    assert torch.equal(mask, expected)


@pytest.mark.parametrize("start", range(4))
@pytest.mark.parametrize("step", [1, -1])
def test_start_and_direction_do_not_matter(start, step):
    corners = np.roll(np.array([[1, 2], [4, 2], [4, 5], [1, 5]])[::step], start, axis=0)
    assert ops.polygons_to_mask([corners.ravel().tolist()], (7, 6)).sum() == 9


def test_a_triangle_by_hand():
    """Below the diagonal of 4 x 4: in column x, of middle x + 0.5, the diagonal lies at row x + 0.5: rows x to 3."""
    mask = ops.polygons_to_mask([[0, 0, 4, 4, 0, 4]], (4, 4))
    assert mask.int().tolist() == [[1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0], [1, 1, 1, 1]]


def test_covered_twice_is_a_hole_within_one_polygon_but_not_between_two():
    outer, inner = [0, 0, 6, 0, 6, 6, 0, 6], [2, 2, 4, 2, 4, 4, 2, 4]
    assert ops.polygons_to_mask([outer, inner], (6, 6)).sum() == 36
    both = [*outer, 0, 0, *inner, 2, 2]  # one outline, from the corner to the inner square and back
    assert ops.polygons_to_mask([both], (6, 6)).sum() == 36 - 4


def test_cut_at_the_border_and_outside():
    assert ops.polygons_to_mask([[-5, -5, 2, -5, 2, 2, -5, 2]], (4, 5)).nonzero().tolist() == [
        [0, 0],
        [0, 1],
        [1, 0],
        [1, 1],
    ]
    assert ops.polygons_to_mask([[-50, -50, 50, -50, 50, 50, -50, 50]], (4, 5)).all()
    for shift in (10, -10):
        away = [v + shift for v in (0, 0, 3, 0, 3, 3, 0, 3)]
        assert not ops.polygons_to_mask([away], (4, 5)).any()


def test_no_polygons_and_no_area():
    assert ops.polygons_to_mask([], (2, 3)).tolist() == [[False] * 3] * 2
    assert not ops.polygons_to_mask([[1, 1, 1, 1, 1, 1]], (3, 3)).any()
    assert not ops.polygons_to_mask([[0, 1, 3, 1, 0, 1]], (3, 3)).any()


def test_arrays_and_pairs():
    square = np.array([[0, 0], [2, 0], [2, 2], [0, 2]])
    for polygon in (square, square.tolist(), torch.from_numpy(square), square.ravel().astype(np.float32)):
        assert ops.polygons_to_mask([polygon], (3, 3)).sum() == 4


SQUARE = [0, 0, 2, 0, 2, 2]


@pytest.mark.parametrize(
    ("polygons", "size", "message"),
    [
        ([SQUARE, [0, 0, 1, 1]], (4, 4), "polygon 1 must have three corners or more, got 2"),
        ([[]], (4, 4), "polygon 0 must have three corners or more, got 0"),
        ([[*SQUARE, 1]], (4, 4), "polygon 0 must have an x and a y for each corner, got 7 numbers"),
        (SQUARE, (4, 4), "polygon 0 must have an x and a y for each corner, got 1 numbers"),
        ([[*SQUARE, 1, float("nan")]], (4, 4), "coordinates of polygon 0 must be finite, got nan"),
        ([[*SQUARE, 1, float("-inf")]], (4, 4), "coordinates of polygon 0 must be finite, got -inf"),
        ([[*SQUARE, 1e12, 1]], (4, 4), r"coordinates of polygon 0 must lie within 1000000 pixels, got 1e\+12"),
        (["ab"], (4, 4), "polygon 0 must be a list of numbers, got 'ab'"),
        ({"size": [4, 4], "counts": b"0"}, (4, 4), "polygon 0 must be a list of numbers, got 'size'"),  # a crowd's RLE
        ([SQUARE], (4,), r"size must be \(height, width\), got 1 numbers"),
        ([SQUARE], (4, 0), r"size\[1\] must be finite and above 0, got 0"),
        ([SQUARE], (4, 4.5), r"size must be whole numbers of pixels, got \(4, 4.5\)"),
    ],
)
def test_refuses(polygons, size, message):
    with pytest.raises(InputError, match=f"polygons_to_mask: {message}"):
        ops.polygons_to_mask(polygons, size)
