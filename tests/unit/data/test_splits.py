import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cvlab._check import InputError
from cvlab.data.splits import folds, split

LABELS = torch.tensor([0] * 120 + [1] * 60 + [2] * 20)


def covers(parts, n):
    return torch.equal(torch.cat(list(parts)).sort().values, torch.arange(n))


def test_split_by_hand():
    # 70, 15 and 15% of 120, 60 and 20 are 84, 42, 14 and twice 18, 9, 3: exact, so there is nothing to round
    parts = split(LABELS)
    assert [LABELS[part].bincount().tolist() for part in parts] == [[84, 42, 14], [18, 9, 3], [18, 9, 3]]
    assert covers(parts, 200)
    assert all(part.dtype == torch.int64 and torch.equal(part, part.sort().values) for part in parts)


def test_sizes_are_exact_without_labels():
    # 11 * (0.5, 0.3, 0.2) = 5.5, 3.3, 2.2: the largest remainder is rounded up
    parts = split(None, (0.5, 0.3, 0.2), n=11)
    assert [len(part) for part in parts] == [6, 3, 2]
    assert covers(parts, 11)


def test_parts_keep_the_order_of_sizes():
    assert [len(part) for part in split(LABELS, (0.1, 0.6, 0.3))] == [20, 120, 60]


def test_samples_are_shuffled():
    train, _ = split(None, (0.5, 0.5), n=100)
    assert not torch.equal(train, torch.arange(50))


@pytest.mark.parametrize("groups", [None, np.arange(200) // 4])
def test_split_is_the_same_for_the_same_seed(groups):
    first, again, other = (split(LABELS, groups=groups, seed=seed) for seed in (3, 3, 4))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0], other[0])


def test_labels_may_be_texts():
    words = [("cat", "dog", "owl")[label] for label in LABELS]
    assert all(torch.equal(a, b) for a, b in zip(split(words), split(LABELS), strict=True))


def test_no_sample():
    assert [part.tolist() for part in split([])] == [[], [], []]
    assert [part.tolist() for part in split([], groups=[])] == [[], [], []]
    assert [(train.tolist(), val.tolist()) for train, val in folds(None, 2, n=0)] == [([], []), ([], [])]


@settings(deadline=None, derandomize=True, max_examples=60)
@given(
    st.lists(st.integers(3, 12), min_size=1, max_size=5),
    st.sampled_from([(0.7, 0.15, 0.15), (0.4, 0.3, 0.3), (0.34, 0.33, 0.33), (0.25, 0.5, 0.25)]),
    st.integers(0, 9),
)
def test_classes_keep_their_proportions(members, sizes, seed):
    labels = torch.repeat_interleave(torch.arange(len(members)), torch.tensor(members))
    assume(int(len(labels) * min(sizes)) >= len(members))  # or a part is refused as too small for all classes
    parts = split(labels, sizes, seed=seed)
    assert covers(parts, len(labels))
    for part, size in zip(parts, sizes, strict=True):
        assert abs(len(part) - len(labels) * size) < 1
        shares = labels[part].bincount(minlength=len(members))
        # two roundings, one for each cut, and the sizes' own
        assert (shares - torch.tensor(members) * size).abs().max() < 2.5


def test_groups_stay_together_and_proportions_stay():
    generator = np.random.default_rng(0)
    groups = generator.integers(0, 150, 1000)
    labels = np.where(groups < 30, 1, 0)  # a whole group has one class: about 20% are of class 1
    parts = split(labels, groups=groups)
    assert covers(parts, 1000)
    owners = [set(groups[part]) for part in parts]
    assert sum(map(len, owners)) == len(set(groups))  # so none is in two parts
    for part, size in zip(parts, (0.7, 0.15, 0.15), strict=True):
        assert abs(len(part) / 1000 - size) < 0.01
        assert abs(labels[part].mean() - labels.mean()) < 0.02


def test_groups_without_labels_by_hand():
    # 6, 3, 2 and 1 samples for 50 and 50%: the six go first, then all others to the other part, which lacks more
    groups = list("aaaaaabbbccd")
    parts = split(None, (0.5, 0.5), groups=groups)
    assert sorted({groups[i] for i in part} for part in parts) == sorted([{"a"}, {"b", "c", "d"}])


def test_every_part_gets_a_group():
    parts = split(None, groups=["a"] * 50 + ["b", "c"])
    assert all(len(part) for part in parts)


@settings(deadline=None, derandomize=True, max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 12)), min_size=1, max_size=60), st.integers(0, 9))
def test_groups_are_never_torn(samples, seed):
    labels, groups = (torch.tensor(column) for column in zip(*samples, strict=True))
    assume(len(groups.unique()) >= 2)
    assume(labels.unique(return_counts=True)[1].min() >= 2)
    parts = split(labels, (0.8, 0.2), groups=groups, seed=seed)
    assert covers(parts, len(samples))
    assert all(len(part) for part in parts)
    assert not set(groups[parts[0]].tolist()) & set(groups[parts[1]].tolist())


def test_folds_by_hand():
    # a fifth of 120, 60 and 20
    pairs = folds(LABELS)
    assert len(pairs) == 5
    for train, val in pairs:
        assert LABELS[val].bincount().tolist() == [24, 12, 4]
        assert covers((train, val), 200)
    assert covers([val for _, val in pairs], 200)


def test_folds_without_labels():
    pairs = folds(None, 3, n=10)
    assert sorted(len(val) for _, val in pairs) == [3, 3, 4]
    assert covers([val for _, val in pairs], 10)


@pytest.mark.parametrize("labels", [LABELS, None])
def test_folds_keep_groups(labels):
    groups = np.arange(200) // 4  # 50 groups
    pairs = folds(labels, groups=groups)
    assert covers([val for _, val in pairs], 200)
    for train, val in pairs:
        assert covers((train, val), 200)
        assert not set(groups[train]) & set(groups[val])
        assert len(val) == 40
        if labels is not None:
            assert LABELS[val].bincount().tolist() == [24, 12, 4]


def test_folds_are_the_same_for_the_same_seed():
    first, again, other = (folds(LABELS, seed=seed) for seed in (3, 3, 4))
    assert all(torch.equal(a[1], b[1]) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0][1], other[0][1])


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"sizes": (0.7, 0.2)}, InputError, r"split: sizes must be at least 2 shares with the sum 1, got \(0.7, 0.2\)"),
        ({"sizes": (1.0,)}, InputError, "sizes must be at least 2 shares"),
        ({"sizes": (1.2, -0.2)}, InputError, r"split: sizes\[1\] must be finite and above 0, got -0.2"),
        ({"labels": [0, 0, 0, 7, 7]}, InputError, "at least 3 members, one for each part, got 2 for class 7"),
        ({"labels": ["a", "a", "b"], "sizes": (0.5, 0.5)}, InputError, "got 1 for class 'b'"),
        (
            {"labels": [0, 0, 0, 1, 1, 1]},
            InputError,
            "each part must have at least 2 samples, one for each class, got 1 for part 1 of 6 samples",
        ),
        ({"labels": None, "n": 3, "sizes": (0.9, 0.05, 0.05)}, InputError, "at least 1 sample, got 0 for part 1 of 3"),
        ({"labels": None, "n": 2}, InputError, "3 parts need at least 3 samples, got 2"),
        ({"groups": [0] * 100 + [1] * 100}, InputError, "3 parts need at least 3 groups, got 2"),
        ({"groups": [0, 1]}, InputError, "labels, groups and n must agree, got 200 and 2 samples"),
        ({"labels": None}, InputError, "n, the number of samples, must be given"),
        ({"n": -1}, InputError, "n must be a whole number of at least 0, got -1"),
        ({"labels": [0.5, 1.0]}, TypeError, "split: labels must be whole numbers or texts, got float64"),
        ({"labels": torch.zeros(2, 2).long()}, InputError, r"labels must have shape \(N,\), got \(2, 2\)"),
        ({"seed": -1}, InputError, r"seed must be a whole number from 0 to 2\^32 - 1, got -1"),
        ({"seed": 1.5}, InputError, "seed must be a whole number"),
    ],
)
def test_split_errors(arguments, error, message):
    with pytest.raises(error, match=message):
        split(**{"labels": LABELS} | arguments)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"k": 1}, InputError, "folds: k must be at least 2, got 1"),
        ({"k": 2.0}, TypeError, "folds: k must be a whole number, got 2.0"),
        ({"k": 21}, InputError, "folds: each class must have at least 21 members, .* got 20 for class 2"),
        ({"labels": None, "n": 4}, InputError, "5 parts need at least 5 samples, got 4"),
        ({"groups": [0, 1] * 100}, InputError, "5 parts need at least 5 groups, got 2"),
    ],
)
def test_folds_errors(arguments, error, message):
    with pytest.raises(error, match=message):
        folds(**{"labels": LABELS} | arguments)
