"""Transposing: rows become columns, and everything in the picture moves along."""

import pytest
import torch

from cvlab._check import InputError
from cvlab.augment import Flip, Geometric, Transpose, seeded
from cvlab.data import StillLife

ALWAYS = Geometric([Transpose(1.0)])


def test_a_matrix_that_swaps_x_and_y():
    matrix, size = Transpose(1.0).draw((30, 40))
    assert size == (40, 30)
    assert (matrix @ torch.tensor([3.0, 7.0, 1.0], dtype=torch.float64)).tolist() == [7.0, 3.0, 1.0]


def test_picture_boxes_and_points_by_hand():
    image = torch.arange(6.0).reshape(1, 2, 3) / 6
    given = {
        "boxes": torch.tensor([[0.0, 1.0, 3.0, 2.0]]),
        "labels": torch.tensor([1]),
        "keypoints": torch.tensor([[[2.5, 1.5]]]),
    }
    made, moved = ALWAYS(image, given)
    torch.testing.assert_close(made.as_subclass(torch.Tensor), image.mT)
    assert moved["boxes"].tolist() == [[1, 0, 2, 3]]
    assert moved["keypoints"].tolist() == [[[1.5, 2.5]]]


def test_masks_and_back():
    image, target = StillLife(48, "test", dtype=torch.uint8)[0]
    made, moved = ALWAYS(image, target)
    assert torch.equal(made.as_subclass(torch.Tensor), image.as_subclass(torch.Tensor).mT)
    assert torch.equal(moved["masks"].as_subclass(torch.Tensor), target["masks"].as_subclass(torch.Tensor).mT)
    back, target_back = ALWAYS(made, moved)
    assert torch.equal(back, image)
    assert torch.equal(target_back["boxes"], target["boxes"])


def test_with_flips_it_makes_all_eight_symmetries():
    image = torch.arange(9.0).reshape(1, 3, 3) / 9
    steps = Geometric([Flip(0.5, 0.5), Transpose()])
    with seeded(0):
        made = {tuple((steps(image) * 9).round().flatten().int().tolist()) for _ in range(200)}
    turned = [torch.rot90(image, k, (1, 2)) for k in range(4)]
    expected = [m for t in turned for m in (t, t.flip(2))]
    assert made == {tuple((m * 9).round().flatten().int().tolist()) for m in expected}
    assert len(made) == 8


@pytest.mark.parametrize(("p", "low", "high"), [(0.0, 0, 0), (1.0, 400, 400), (0.25, 75, 125)])
def test_as_often_as_it_says(p, low, high):
    """Of 400 tosses with 1/4, 100 come, with a standard deviation of sqrt(400 * 3) / 4 = 8.7; 25 off are 2.9 of it."""
    with seeded(0):
        done = sum(Transpose(p).draw((1, 2))[1] == (2, 1) for _ in range(400))
    assert low <= done <= high


@pytest.mark.parametrize("p", [-0.1, 1.1, float("nan")])
def test_a_probability_that_is_none(p):
    with pytest.raises(InputError) as caught:
        Transpose(p)
    assert str(caught.value) == f"Transpose: p must lie in [0, 1], got {p!r}"
