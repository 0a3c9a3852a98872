"""Balanced sampling: how many of each, and that every candidate has the same chance."""

import pytest
import torch

from cvlab.ops import sample_balanced


def _labels(objects, background, ignored=0):
    return torch.cat([torch.full((objects,), 3), torch.zeros(background).long(), torch.full((ignored,), -1)])


@pytest.mark.parametrize(
    ("objects", "background", "expected"),
    [(10, 100, (4, 12)), (2, 100, (2, 14)), (0, 100, (0, 16)), (100, 5, (4, 5)), (0, 0, (0, 0)), (3, 1, (3, 1))],
)
def test_how_many(objects, background, expected):
    labels = _labels(objects, background, ignored=7)
    positive, negative = sample_balanced(labels, 16, 0.25)  # 4 objects at most
    assert (len(positive), len(negative)) == expected
    assert (labels[positive] > 0).all()
    assert (labels[negative] == 0).all()
    assert len(torch.cat([positive, negative]).unique()) == sum(expected)


def test_each_has_the_same_chance_and_the_generator_decides():
    labels, g = _labels(8, 24), torch.Generator().manual_seed(0)
    drawn = torch.zeros(32)
    for _ in range(2000):
        drawn[torch.cat(sample_balanced(labels, 8, 0.5, g))] += 1
    torch.testing.assert_close(drawn[:8] / 2000, torch.full((8,), 0.5), atol=0.05, rtol=0)  # 4 of 8
    torch.testing.assert_close(drawn[8:] / 2000, torch.full((24,), 1 / 6), atol=0.04, rtol=0)  # 4 of 24
    one, other = (sample_balanced(labels, 8, 0.5, torch.Generator().manual_seed(5)) for _ in range(2))
    assert torch.equal(torch.cat(one), torch.cat(other))


def test_bad_input():
    with pytest.raises(ValueError, match="labels must be signed integers"):
        sample_balanced(torch.zeros(3), 2, 0.5)
    with pytest.raises(ValueError, match=r"labels must have shape \(N,\)"):
        sample_balanced(torch.zeros(3, 1).long(), 2, 0.5)
    with pytest.raises(ValueError, match="number"):
        sample_balanced(torch.zeros(3).long(), 0, 0.5)
    with pytest.raises(ValueError, match=r"positive_share must lie in \[0, 1\], got 1.5"):
        sample_balanced(torch.zeros(3).long(), 2, 1.5)
