"""Rendered digits: the same seed gives the same bytes, and splits share no handwriting."""

import pytest
import torch

from cvlab import _check
from cvlab.data import digits
from cvlab.data.digits import _SPLITS, _originals


def test_the_same_arguments_give_the_same_bytes():
    one, other = digits(20, "val", 3), digits(20, "val", 3)
    assert torch.equal(one[0], other[0])
    assert torch.equal(one[1], other[1])
    assert not torch.equal(one[0], digits(20, "val", 4)[0])
    assert not torch.equal(one[1], digits(20, "train", 3)[1])


def test_shapes_types_and_kinds():
    images, labels = digits(500)
    assert images.shape == (500, 3, 32, 32)
    assert images.dtype == torch.uint8
    assert set(labels.tolist()) == set(range(10))


def test_ink_is_brighter_than_the_ground():
    images, _ = digits(200, "test")
    flat = images.float().flatten(1)
    assert bool((flat.quantile(0.98, 1) > flat.median(1).values + 10).all())


def test_splits_cover_the_originals_without_sharing_any():
    count = len(_originals()[1])
    places = [set(range(count)[part]) for part in _SPLITS.values()]
    assert sum(map(len, places)) == count == len(set.union(*places))


@pytest.mark.parametrize(("arguments", "message"), [((0,), "count"), ((5, "all"), "split")])
def test_bad_arguments(arguments, message):
    with pytest.raises(_check.InputError, match=f"digits: {message}"):
        digits(*arguments)
