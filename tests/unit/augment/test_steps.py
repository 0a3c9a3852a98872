"""Random steps: what is drawn has the size it says."""

import pytest
import torch

from cvlab.augment import Elastic, seeded


@pytest.mark.parametrize("size", [(1, 1), (8, 8), (40, 60)])
def test_bending_has_the_strength_it_says_in_pictures_of_any_size(size):
    """At every corner, 400 fields have 800 numbers, whose standard deviation is known to 1 / sqrt(1600) = 2.5 %."""
    with seeded(0):
        fields = torch.stack([Elastic(2.5, 10.0, p=1.0).draw_field(size) for _ in range(400)])
    assert fields.shape == (400, 2, *size)
    for y in (0, -1):
        for x in (0, -1):
            assert fields[..., y, x].std().item() == pytest.approx(2.5, rel=0.1)


def test_bending_is_as_smooth_as_it_says():
    """A field smoothed by a Gaussian of width s varies as exp(-d^2 / 4 s^2): at a distance of 2 s, by 1/e."""
    with seeded(0):
        fields = torch.stack([Elastic(1.0, 4.0, p=1.0).draw_field((64, 64)) for _ in range(20)])
    for near, far in ((fields[..., :-8], fields[..., 8:]), (fields[..., :-8, :], fields[..., 8:, :])):
        assert (near * far).mean().item() == pytest.approx(0.368, abs=0.04)
