"""The recipe of the network of nuclei: what it learns from, how, and where it begins."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torchvision.models import squeezenet1_0

from cvlab import recipes
from cvlab.data import synthetic_nuclei
from cvlab.models import SqueezeUNet
from cvlab.recipes import nuclei

TINY = replace(recipes.NUCLEI, size=64, steps=3, batch_size=2, mixed_precision=None)


@pytest.fixture
def squeezenet(monkeypatch):
    """SqueezeNet's layers with random weights, where those of ImageNet would be fetched."""
    torch.manual_seed(1)
    features = squeezenet1_0().features
    monkeypatch.setattr(nuclei, "loss_network", lambda name, download: SimpleNamespace(module=features))
    return features


def test_training_begins_with_squeezenet_and_a_seed_gives_a_network(squeezenet):
    begun = TINY.build(0)
    for name, weight in squeezenet.state_dict().items():
        assert torch.equal(begun.features.state_dict()[name], weight)
    data = TINY.scenes("train", 3)
    (a, history), (b, _), (c, _) = (recipes.train(TINY, data, seed, progress=False) for seed in (0, 0, 1))
    assert all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))
    assert not torch.equal(a.score.weight, c.score.weight)
    assert not torch.equal(a.score.weight, begun.score.weight)
    assert {"gapped", "whole"} <= set(history.frame.columns)


def test_the_card_says_where_it_began():
    assert recipes.NUCLEI.data()["begun with"].startswith("torchvision's SqueezeNet 1.0")
    assert recipes.NUCLEI.data()["kinds"] == ["nucleus"]


def test_no_picture_of_the_training_is_in_the_test():
    tests = [picture for picture, _ in recipes.NUCLEI.tests(4)]
    learned = [synthetic_nuclei.picture(seed)[0] for seed in range(12)]
    assert not any(torch.equal(a, b) for a in tests for b in learned)


def test_nuclei_are_learned_with_gaps():
    for picture, target in (learned := recipes.NUCLEI.scenes("train", 6)):
        assert picture.shape[1:] == target["semantic"].shape == target["weights"].shape
        assert set(target["semantic"].unique().tolist()) <= {0, 1, 2}
    gaps = [target["weights"][target["semantic"] == 2] for _, target in learned]
    assert sum(len(weights) > 0 for weights in gaps) >= 3
    assert torch.cat(gaps).mean() > 3  # elsewhere mostly 1
    assert {picture.shape[1] for picture, _ in learned} == {256, 358, 460}
    unweighted = replace(recipes.NUCLEI, w0=0.0).scenes("train", 2)
    assert all((target["weights"] == 1).all() for _, target in unweighted)


def test_the_two_answers_are_asked_for_what_they_say():
    """Logits that answer both questions rightly cost nothing; nuclei without gaps as the first answer cost much."""
    labels = torch.zeros(1, 8, 8, dtype=torch.uint8)
    labels[:, 2:6, 1:4], labels[:, 2:6, 4], labels[:, 2:6, 5:7] = 1, 2, 1
    targets = {"semantic": labels, "weights": torch.where(labels == 2, 11.0, 1.0)}
    right = torch.stack([labels == 1, labels > 0], 1).float() * 40 - 20
    wrong = torch.stack([labels > 0, labels > 0], 1).float() * 40 - 20
    for logits, least, most in ((right, 0, 1e-6), (wrong, 5, 20)):
        loss = nuclei.two_masks(lambda images, logits=logits: {"out": logits}, torch.zeros(1, 3, 8, 8), targets)
        assert least <= loss["gapped"] <= most
        assert loss["whole"] < 1e-6


def test_what_squeezenet_knows_is_changed_with_care():
    model = SqueezeUNet(2)
    groups = nuclei.careful(model, 3e-3)([{"params": list(model.parameters()), "weight_decay": 0.0}]).param_groups
    rates = {id(parameter): group["lr"] for group in groups for parameter in group["params"]}
    assert len(rates) == len(list(model.parameters()))
    assert all(rates[id(parameter)] == pytest.approx(3e-4) for parameter in model.features.parameters())
    assert all(rates[id(parameter)] == 3e-3 for parameter in model.up.parameters())


def test_brightness_changes_and_the_target_stays():
    picture = torch.full((3, 4, 4), 100, dtype=torch.uint8)
    target = {"semantic": torch.zeros(4, 4)}
    made = [nuclei.brighter(picture, target) for _ in range(20)]
    assert len({int(bright[0, 0, 0]) for bright, _ in made}) > 10
    assert all(bright.dtype == torch.uint8 and same is target for bright, same in made)


def test_measured_by_what_is_found(squeezenet):
    found = TINY.measure(
        TINY.build(0), [(picture[:, :64, :64], instances[:64, :64]) for picture, instances in TINY.tests(2)]
    )
    assert 0 <= found["AP"] <= found["AP50"] <= 1
