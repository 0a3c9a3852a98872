"""Rendered nuclei: the same for a seed, two kinds, whole, and seen."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from cvlab.data import synthetic_nuclei


@pytest.fixture(scope="module")
def rendered():
    return [synthetic_nuclei.picture(seed, 128) for seed in range(24)]


def test_a_seed_gives_a_picture(rendered):
    again = synthetic_nuclei.picture(3, 128)
    assert torch.equal(again[0], rendered[3][0])
    assert torch.equal(again[1], rendered[3][1])
    assert not torch.equal(rendered[4][0], rendered[3][0])


def test_pictures_are_of_two_kinds(rendered):
    grey = [bool((picture[0] == picture[2]).all()) for picture, _ in rendered]
    assert 8 <= sum(grey) <= 20
    for (picture, instances), fluorescent in zip(rendered, grey, strict=True):
        assert picture.shape == (3, 128, 128)
        assert picture.dtype == torch.uint8
        assert instances.dtype == torch.int64
        ground = picture.float().mean(0)[instances == 0].median()
        assert (ground < 128) == fluorescent


def test_nuclei_are_whole_and_differ_from_the_ground(rendered):
    differences = []
    for picture, instances in rendered:
        numbers = instances.unique().tolist()
        assert numbers == list(range(len(numbers)))  # none is missing
        for number in numbers[1:]:
            assert ndimage.label(instances.numpy() == number)[1] == 1
            assert int((instances == number).sum()) >= synthetic_nuclei.LEAST
        if len(numbers) > 1:
            values = picture.float().mean(0)
            differences.append(abs(float(values[instances > 0].mean() - values[instances == 0].mean())))
    assert len(differences) > 18
    assert np.median(differences) > 30


def test_some_nuclei_touch(rendered):
    def touching(instances):
        a, b = instances[:, :-1], instances[:, 1:]
        return int(((a != b) & (a > 0) & (b > 0)).sum())

    assert sum(touching(instances) > 5 for _, instances in rendered) >= 8
