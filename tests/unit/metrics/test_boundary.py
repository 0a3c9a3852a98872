"""Boundary F score by hand: who is near whom, and what is left out."""

import math

import pytest
import torch

from cvlab._check import InputError
from cvlab.metrics import boundary_f, boundary_f_reference
from cvlab.metrics.boundary import near_steps


def square(top, left, side=6, size=(16, 20)):
    labels = torch.zeros(size, dtype=torch.int64)
    labels[top : top + side, left : left + side] = 1
    return labels


def test_the_truth_itself_is_perfect():
    scores = boundary_f(square(4, 5), square(4, 5), 2, tolerance=0)
    assert scores.precision.tolist() == scores.recall.tolist() == scores.f.tolist() == [1, 1]
    assert scores.mean == 1


def test_a_column_moved_by_hand():
    # One row, class 1 from column 6 on. True boundary pixels: 5 of class 0, 6 of class 1. Predicted one further to the
    # left, from column 3 on: 2 and 3. So they lie 3 pixels apart.
    truth = torch.tensor([[0] * 6 + [1] * 6])
    said = torch.tensor([[0] * 3 + [1] * 9])
    for tolerance, expected in ((0, 0), (2, 0), (2.999, 0), (3, 1), (100, 1)):
        assert boundary_f(said, truth, 2, tolerance).mean == expected


def test_precision_and_recall_by_hand():
    # Truth: one border, of 1 pixel a class. Prediction: that border, and an island of class 1 of one pixel, 5 pixels
    # away from it, with two pixels of class 0 beside it.
    truth = torch.tensor([[0] * 10 + [1] * 4])
    said = truth.clone()
    said[0, 4] = 1
    scores = boundary_f(said, truth, 2, tolerance=1)
    assert scores.precision.tolist() == pytest.approx([1 / 3, 1 / 2])
    assert scores.recall.tolist() == [1, 1]
    assert scores.f.tolist() == pytest.approx([1 / 2, 2 / 3])  # 2 p r / (p + r)
    assert scores.mean == pytest.approx((1 / 2 + 2 / 3) / 2)
    turned = boundary_f(truth, said, 2, tolerance=1)
    assert turned.precision.tolist() == [1, 1]
    assert turned.recall.tolist() == pytest.approx([1 / 3, 1 / 2])


def test_distance_is_euclidean():
    truth, said = torch.zeros(2, 9, 9, dtype=torch.int64)
    truth[4, 4] = said[7, 6] = 1  # 3 down, 2 to the right
    for tolerance, expected in ((3.6, 0), (math.sqrt(13), 1), (3.61, 1)):
        assert float(boundary_f(said, truth, 2, tolerance).f[1]) == expected


def test_corners_do_not_touch():
    # The pixels diagonal to the single one share no side with it.
    truth = torch.zeros(3, 3, dtype=torch.int64)
    truth[1, 1] = 1
    said = torch.zeros(3, 3, dtype=torch.int64)
    said[0, 0] = 1
    # Class 0: true boundary (0, 1), (1, 0), (1, 2), (2, 1); predicted (0, 1), (1, 0).
    scores = boundary_f(said, truth, 2, tolerance=0)
    assert scores.precision.tolist() == [1, 0]
    assert scores.recall.tolist() == [0.5, 0]


def test_classes_are_not_near_each_other():
    truth, said = square(4, 5), square(4, 5) * 2
    scores = boundary_f(said, truth, 4, tolerance=5)
    assert scores.f.tolist()[:3] == [1, 0, 0]  # 1 is in the truth alone, 2 in the prediction alone
    assert math.isnan(scores.f[3])  # in none of both
    assert scores.precision[1] == scores.recall[2] == 0
    assert scores.mean == pytest.approx(1 / 3)


def test_without_boundaries_the_mean_is_zero():
    flat = torch.ones(5, 5, dtype=torch.int64)
    for said, truth in ((flat, flat), (flat[:0], flat[:0]), (flat[:1, :1], flat[:1, :1]), (flat * 0, flat)):
        scores = boundary_f(said, truth, 3)
        assert scores.f.isnan().all()
        assert scores.mean == 0
    scores = boundary_f(flat * 0, square(1, 1, 3, (5, 5)), 2)  # a boundary in the truth alone
    assert scores.f.tolist() == [0, 0]


def test_ignored_pixels_have_no_boundary_and_make_none():
    truth, said = square(4, 5), square(4, 5)
    truth[:, 8:] = 255
    said[:, 8:] = 1 - said[:, 8:]  # anything may stand there
    assert boundary_f(said, truth, 2, tolerance=0).mean == 1
    truth[truth == 255] = -1
    assert boundary_f(said, truth, 2, tolerance=0, ignore=-1).mean == 1
    band = torch.tensor([[0, 0, 0, 255, 1, 1, 1]])  # all around is unknown: no boundary is left
    assert boundary_f(torch.tensor([[0, 1, 1, 1, 1, 1, 1]]), band, 2).f.tolist() == [0, 0]  # it has two of its own
    assert boundary_f(torch.tensor([[0, 0, 0, 1, 1, 1, 1]]), band, 2).mean == 0


def test_pictures_do_not_leak_into_each_other():
    # At the right edge of one, at the left edge of the next: in memory the two are neighbours.
    truth, said = torch.zeros(2, 2, 4, 8, dtype=torch.int64)
    truth[0, :, 7], said[1, :, 0] = 1, 1
    assert boundary_f(said, truth, 2, tolerance=3).f.tolist() == [0, 0]
    wide = torch.zeros(2, 4, 8, dtype=torch.int64)
    wide[0, 1, 7], wide[1, 2, 0] = 1, 1  # the end of one row, the start of the next
    assert float(boundary_f(wide[0], wide[1], 2, tolerance=3).f[1]) == 0


def test_several_pictures_are_pooled():
    truth = torch.stack((square(4, 5), square(2, 2)))
    said = torch.stack((square(4, 5), torch.zeros(16, 20, dtype=torch.int64)))
    scores = boundary_f(said, truth, 2, tolerance=0)
    # A square of 6 x 6 has 20 boundary pixels of its own, and 24 around it.
    assert scores.precision.tolist() == [1, 1]
    assert scores.recall.tolist() == [0.5, 0.5]


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.uint16, torch.int64])
def test_integers_of_every_width(dtype):
    truth = square(4, 5)
    truth[0, 0] = 255
    assert boundary_f(square(5, 5).to(dtype), truth.to(dtype), 2, 1).mean == 1
    assert boundary_f(square(4, 5).bool(), truth.to(dtype), 2, 0).mean == 1


def test_the_reference_agrees_by_hand():
    truth = torch.tensor([[0] * 6 + [1] * 6])
    said = torch.tensor([[0] * 3 + [1] * 9])
    assert boundary_f_reference(said, truth, 2, 2.0).mean == 0
    assert boundary_f_reference(said, truth, 2, 3.0).mean == 1


def test_steps_within_the_tolerance():
    assert near_steps(0.5, 3) == [(0, 0)]
    assert near_steps(1, 1) == [(0, 0), (-1, 0), (0, -1), (0, 1), (1, 0)]
    assert len(near_steps(2, 2)) == 13
    assert len(near_steps(5, 5)) == 81  # lattice points of a disc of radius 5


@pytest.mark.parametrize(
    ("said", "truth", "settings", "message"),
    [
        (
            square(1, 1),
            square(1, 1)[:5],
            {},
            r"boundary_f: predicted and truth must have the same shape, got \(16, 20\)",
        ),
        (square(1, 1)[0], square(1, 1)[0], {}, r"truth must have shape \(\.\.\., H, W\), got \(20,\)"),
        (square(1, 1), square(1, 1) * 3, {}, r"truth\[1, 1\] must lie from 0 to 1 or be 255 \(ignored\), got 3"),
        (square(1, 1) * 255, square(1, 1), {}, r"predicted\[1, 1\] must lie from 0 to 1, got 255"),
        (square(1, 1), square(1, 1).double(), {}, "truth must be integers, got torch.float64"),
        (square(1, 1), square(1, 1), {"tolerance": -0.5}, "tolerance must be at least 0, got -0.5"),
        (square(1, 1), square(1, 1), {"tolerance": math.inf}, "tolerance must be a finite number"),
        (square(1, 1), square(1, 1), {"num_classes": 1}, "num_classes must be a whole number from 2 to 32768"),
    ],
)
def test_what_is_refused(said, truth, settings, message):
    with pytest.raises(InputError, match=message):
        boundary_f(said, truth, **{"num_classes": 2, **settings})


def test_what_is_no_tensor_is_refused():
    with pytest.raises(TypeError, match=r"predicted must be a torch\.Tensor, got list"):
        boundary_f([[0, 1]], torch.tensor([[0, 1]]), 2)
