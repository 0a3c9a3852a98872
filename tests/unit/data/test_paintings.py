"""Pictures like paintings: the same for the same seed, colours as described, and sizes that are refused."""

from __future__ import annotations

import pytest
import torch

from cvlab._check import InputError
from cvlab.data import PAINTINGS, painting
from cvlab.preprocess import resize


@pytest.mark.parametrize("name", PAINTINGS)
def test_a_painting_is_a_function_of_its_seed(name):
    first = painting(name, (40, 56), seed=3)
    assert (first.shape, first.dtype) == ((3, 40, 56), torch.float32)
    assert 0 <= float(first.min()) < 0.3
    assert 0.6 < float(first.max()) <= 1
    assert torch.equal(first, painting(name, (40, 56), seed=3))
    assert float((first - painting(name, (40, 56), seed=4)).abs().mean()) > 0.05


@pytest.mark.parametrize("name", PAINTINGS)
def test_another_size_is_the_same_composition(name):
    large, small = painting(name, 128), painting(name, 64)
    shrunk = resize(resize(large, (16, 16)), (64, 64))
    other = resize(resize(painting(name, 128, seed=1), (16, 16)), (64, 64))
    coarse = resize(resize(small, (16, 16)), (64, 64))
    assert float((shrunk - coarse).abs().mean()) < 0.4 * float((other - coarse).abs().mean())


def test_the_colours_are_those_of_the_description():
    red, green, blue = painting("strokes", 96).mean((1, 2)).tolist()
    assert blue > green > red, "deep blues"
    assert float(painting("mosaic", 96).amax(0).quantile(0.1)) < 0.35, "dark lead"
    paper = painting("waves", 96)[:, :24].flatten(1).median(1).values.tolist()
    assert paper[0] > paper[1] > paper[2] > 0.5, "warm paper"


def test_names_sizes_and_seeds_that_cannot_be():
    with pytest.raises(InputError, match="strokes.*mosaic.*waves"):
        painting("starry night")
    for size in (15, 1025, 32.5, True, (32, 8)):
        with pytest.raises(InputError, match="size must be a whole number from 16 to 1024"):
            painting("waves", size)
    with pytest.raises(InputError, match=r"a number or \(height, width\)"):
        painting("waves", (32, 32, 3))
    for seed in (-1, 2**64, 0.5):
        with pytest.raises(InputError, match="seed must be a whole number"):
            painting("waves", 16, seed)
