"""How the networks of style transfer learn: their crops, their losses, and a few steps of each."""

from __future__ import annotations

import math

import pytest
import torch

from cvlab import models, recipes
from cvlab.data import painting
from cvlab.experiments.self_supervised import self_supervised, turn_loss
from cvlab.recipes import crops, distil
from cvlab.style import FeatureExtractor


@pytest.fixture(autouse=True)
def few_still_lifes(monkeypatch):
    monkeypatch.setattr(crops, "STILL_LIFES", 3)
    crops.pictures.cache_clear()
    yield
    crops.pictures.cache_clear()


def test_a_crop_depends_on_its_number_alone():
    first, again = (crops.Crops(24, "train", 50) for _ in range(2))
    for i in (0, 49, 7):
        image, target = first[i]
        assert (image.shape, image.dtype, target) == ((3, 24, 24), torch.uint8, {})
        assert torch.equal(image, again[i][0])
    assert not torch.equal(first[0][0], first[1][0])
    assert not torch.equal(first[0][0], crops.Crops(24, "train", 50, seed=1)[0][0])
    assert len(first) == 50
    with pytest.raises(IndexError, match="there are 50, got 50"):
        first[50]


def test_no_photograph_is_in_both_splits():
    train, test = (crops.pictures(split)[0] for split in ("train", "test"))
    assert len(test) == len(crops.HELD_OUT)
    assert not any(a.shape == b.shape and torch.equal(a, b) for a in train for b in test)


def test_no_crop_of_the_training_is_in_the_test():
    for photographs in (0.0, 1.0):
        train, test = (
            [crops.Crops(24, split, 30, photographs=photographs, wild=False)[i][0] for i in range(30)]
            for split in ("train", "test")
        )
        assert not any(torch.equal(a, b) for a in train for b in test)


def test_colours_change_only_where_it_is_wished():
    plain = [crops.Crops(24, "train", 20, photographs=0.0, wild=wild)[5][0] for wild in (False, True)]
    assert plain[0].shape == plain[1].shape
    assert not torch.equal(*plain)


class Teacher(torch.nn.Sequential):
    """Seven layers with the sizes of the small network's maps."""

    def __init__(self):
        pool = torch.nn.AvgPool2d(2)
        widths = [96, *(out for _, out in models.style_features.__globals__["FIRES"])]
        torch.manual_seed(0)
        layers = []
        for i, (before, out) in enumerate(zip([3, *widths[:-1]], widths, strict=True)):
            convolution = torch.nn.Conv2d(before, out, 3 if i else 7, 1 if i else 2, 1 if i else 3)
            layers.append(torch.nn.Sequential(*([pool] if i in (1, 4) else []), convolution, torch.nn.ReLU()))
        super().__init__(*layers)


@pytest.fixture
def teacher(monkeypatch):
    extractor = FeatureExtractor(Teacher(), [str(i) for i in range(7)])
    monkeypatch.setattr(distil, "teacher", lambda: extractor)
    monkeypatch.setattr(distil, "TAPS", extractor.layers)
    return extractor


def test_distillation_learns_the_teachers_maps(teacher):
    images = torch.stack([crops.Crops(32, "train", 4)[i][0] for i in range(4)])
    torch.manual_seed(1)
    model = models.style_features().train()
    loss, optimizer = distil.DistilLoss(steps=12), torch.optim.Adam(model.parameters(), 2e-3)
    values = []
    for _ in range(12):
        optimizer.zero_grad()
        value = loss(model, images, {})["distance"]
        value.backward()
        optimizer.step()
        values.append(float(value.detach()))
    assert loss.done == 12
    assert values[5] < 0.8 * values[0], "while it is given the teacher's maps"
    assert all(math.isfinite(value) for value in values)
    found = recipes.RECIPES["style_features"].measure(model.eval(), [(image, {}) for image in images])
    assert set(found) == {f"R2_{i}" for i in range(7)}


def test_share_of_variance_that_is_linear():
    maps = torch.randn(8, 5, 6, 6, generator=torch.Generator().manual_seed(0))
    mixed = torch.einsum("oc,bchw->bohw", torch.randn(4, 5, generator=torch.Generator().manual_seed(1)), maps) + 3
    assert distil.explained(maps, mixed) == pytest.approx(1, abs=1e-3)
    alien = torch.randn(8, 4, 6, 6, generator=torch.Generator().manual_seed(2))
    assert distil.explained(maps, alien) < 0.1


def test_losses_of_the_painter():
    loss = recipes.FastStyleLoss(painting("waves", 64), (1.0, 10.0, 2.0))
    images = torch.stack([crops.Crops(48, "train", 2)[i][0] for i in range(2)])
    torch.manual_seed(0)
    model = models.FastStyleNet(width=4, blocks=1)
    terms = loss(model, images, {})
    assert set(terms) == {"content", "style", "tv"}
    assert all(float(term.detach()) > 0 for term in terms.values())
    sum(terms.values()).backward()
    assert all(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in model.last.parameters())
    plain = loss.terms(images / 255, images / 255)
    assert float(plain["content"]) == pytest.approx(0, abs=1e-6), (
        "a picture that stays as it is keeps all of its content"
    )
    style = painting("waves", 64)[None]
    assert float(loss.terms(style, style)["style"]) == pytest.approx(0, abs=1e-6), "and the style itself has the style"


def test_a_few_steps_of_the_painter():
    recipe = recipes.RECIPES["fast_style_strokes"]
    images = torch.stack([crops.Crops(32, "train", 2)[i][0] for i in range(2)])
    loss = recipes.FastStyleLoss(painting("strokes", 64), recipe.weights)
    torch.manual_seed(0)
    model = models.FastStyleNet(width=4, blocks=1)
    optimizer, values = torch.optim.Adam(model.parameters(), 1e-2), []
    for _ in range(15):
        optimizer.zero_grad()
        total = sum(loss(model, images, {}).values())
        total.backward()
        optimizer.step()
        values.append(float(total.detach()))
    assert values[-1] < 0.8 * values[0]


def test_the_painter_is_measured():
    recipe = recipes.RECIPES["fast_style_mosaic"]
    data = [crops.Crops(32, "test", 2)[i] for i in range(2)]
    torch.manual_seed(0)
    found = recipe.measure(models.FastStyleNet(width=4, blocks=1), data)
    assert set(found) == {"content", "style", "tv", "style before"}
    assert all(math.isfinite(value) and value > 0 for value in found.values())
    same = recipe.measure(torch.nn.Identity(), data)
    assert same["content"] == pytest.approx(0, abs=1e-6)
    assert same["style"] == same["style before"] == found["style before"]


def test_the_recipes_give_crops():
    fast, features = recipes.RECIPES["fast_style_strokes"], recipes.RECIPES["style_features"]
    for recipe, wild in ((fast, False), (features, True)):
        data = recipe.scenes("test", 7)
        assert (data.split, data.wild, len(data), data.size) == ("test", wild, 7, recipe.size)
    assert isinstance(features.fit_options()["loss"], distil.DistilLoss)
    assert recipes.RECIPES["fast_style_mosaic"].style == "mosaic"


def test_cards_say_what_the_networks_learned_from():
    assert recipes.RECIPES["style_features"].data()["teacher"].startswith("torchvision's SqueezeNet 1.0")
    assert recipes.RECIPES["fast_style_mosaic"].data()["painting"] == ["mosaic", 256, 0]


def test_self_supervision_gives_a_loss_network():
    network = self_supervised(steps=2)
    with torch.no_grad():
        maps = network(torch.rand(1, 3, 48, 48))
    assert len(maps) == 7
    assert all(bool(each.isfinite().all()) for each in maps)


def test_crops_are_turned_by_quarters():
    images = torch.stack([crops.Crops(16, "train", 6)[i][0] for i in range(6)])
    seen = []

    def knows(pictures):
        seen.append(pictures)
        return 50 * torch.nn.functional.one_hot(torch.arange(6) % 4, 4).float()

    assert float(turn_loss(knows, images, {})) == pytest.approx(0, abs=1e-6)
    for i, turned in enumerate(seen[0]):
        torch.testing.assert_close(turned.rot90(-i, (1, 2)), images[i] / 255)


def test_self_supervision_follows_its_seed_and_leaves_the_generator_alone():
    before = torch.random.get_rng_state()
    first, again, other = (self_supervised(steps=1, seed=seed).stem[0].weight for seed in (0, 0, 1))
    assert torch.equal(before, torch.random.get_rng_state())
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
