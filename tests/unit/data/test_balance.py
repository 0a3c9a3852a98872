import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.utils.class_weight import compute_class_weight
from torch.utils.data import DataLoader, TensorDataset

from cvlab._check import InputError
from cvlab.data.balance import class_weights, oversampler


def test_inverse_by_hand():
    # 3, 1 and 0 members of 4: 1/3, 1 and 0 times s, with s (3 * 1/3 + 1 * 1) / 4 = 1, so s = 2
    assert torch.allclose(class_weights([0, 0, 1, 0], 3), torch.tensor([2 / 3, 2.0, 0.0]))


def test_effective_by_hand():
    # beta 0.5: 3 members count (1 - 1/8) / (1/2) = 7/4 and 1 counts 1; s (3 * 4/7 + 1) / 4 = 1, so s = 28/19
    weights = class_weights([0, 0, 1, 0], 2, method="effective", beta=0.5)
    assert torch.allclose(weights, torch.tensor([4 / 7 * 28 / 19, 28 / 19]))


def test_effective_between_its_limits():
    labels = [0] * 30 + [1] * 10
    even = class_weights(labels, 2, method="effective", beta=0.0)
    assert torch.equal(even, torch.ones(2))
    nearly = class_weights(labels, 2, method="effective", beta=0.999999)
    assert torch.allclose(nearly, class_weights(labels, 2), rtol=1e-4)


def test_inverse_is_scikit_learns_balanced():
    labels = np.random.default_rng(0).integers(0, 7, 200)
    expected = compute_class_weight("balanced", classes=np.arange(7), y=labels)
    assert torch.allclose(class_weights(labels, 7), torch.tensor(expected).float())


@settings(deadline=None, derandomize=True)
@given(st.lists(st.integers(0, 4), min_size=1), st.sampled_from(["inverse", "effective"]))
def test_mean_over_the_samples_is_one(labels, method):
    weights = class_weights(labels, 5, method=method)
    assert weights[labels].mean().item() == pytest.approx(1, rel=1e-5)
    assert [bool(w > 0) for w in weights] == [i in labels for i in range(5)]


def test_no_sample_gives_no_weight():
    assert torch.equal(class_weights([], 3), torch.zeros(3))
    assert torch.equal(class_weights(torch.zeros(0, dtype=torch.int64), 3, method="effective"), torch.zeros(3))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([0, 3], 3), InputError, r"class_weights: labels\[1\] must be from 0 to 2, got 3"),
        (([0, -1], 3), InputError, r"class_weights: labels\[1\] must be from 0 to 2, got -1"),
        (([0.5], 3), InputError, "labels must be whole numbers, got torch.float32"),
        ((["cat"], 3), InputError, "labels must be whole numbers, got"),
        ((torch.zeros(2, 2, dtype=torch.int64), 3), InputError, r"labels must have shape \(N,\), got \(2, 2\)"),
        (([0], 0), InputError, "num_classes must be at least 1, got 0"),
        (([0], 2.0), TypeError, "num_classes must be a whole number, got 2.0"),
    ],
)
def test_class_weights_errors(arguments, error, message):
    with pytest.raises(error, match=message):
        class_weights(*arguments)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "sqrt"}, "method must be one of inverse, effective, got 'sqrt'"),
        ({"beta": 1.0}, r"beta must lie in \[0, 1\), got 1"),
        ({"beta": -0.1}, r"beta must lie in \[0, 1\], got -0.1"),
    ],
)
def test_class_weights_option_errors(options, message):
    with pytest.raises(InputError, match=message):
        class_weights([0, 1], 2, **options)


def test_oversampler_draws_classes_equally_often():
    labels = torch.tensor([7] * 960 + [3] * 30 + [-1] * 10)
    drawn = labels[list(oversampler(labels, 3000))]
    # each class 3000 / 3 times, give or take 26 (the root of 3000 * 1/3 * 2/3): five times that is never left
    for label in (7, 3, -1):
        assert abs(int((drawn == label).sum()) - 1000) < 130


def test_oversampler_draws_members_of_a_class_equally_often():
    drawn = torch.tensor(list(oversampler([0, 0, 1], 4000))).bincount()
    # 1000, 1000 and 2000 times, give or take 27 and 32
    assert (drawn - torch.tensor([1000, 1000, 2000])).abs().max() < 160


def test_oversampler_is_the_same_for_the_same_seed_and_new_in_each_epoch():
    first, again, other = (oversampler([0, 0, 1] * 20, seed=seed) for seed in (0, 0, 1))
    epochs = list(first), list(first)
    assert epochs[0] != epochs[1]
    assert (list(again), list(again)) == epochs
    assert list(other) != epochs[0]


def test_oversampler_in_a_loader():
    labels = torch.tensor([0] * 90 + [1] * 10)
    loader = DataLoader(TensorDataset(labels), batch_size=10, sampler=oversampler(labels))
    drawn = torch.cat([batch for (batch,) in loader])
    assert len(drawn) == 100
    assert 25 <= drawn.sum() <= 75  # 50, give or take 5; without the sampler it is 10


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([],), InputError, "oversampler: labels must hold at least one sample to draw, got none"),
        (([0], 0), InputError, "num_samples must be at least 1, got 0"),
        (([0], 1.5), TypeError, "num_samples must be a whole number, got 1.5"),
        (([0], 1, "a"), TypeError, "seed must be a whole number, got 'a'"),
        (([True],), InputError, "labels must be whole numbers, got torch.bool"),
    ],
)
def test_oversampler_errors(arguments, error, message):
    with pytest.raises(error, match=message):
        oversampler(*arguments)
