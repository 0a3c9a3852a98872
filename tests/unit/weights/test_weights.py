"""Shipped weights: files and cards belong together, and each network reaches what its card says."""

import json
from pathlib import Path

import pytest
import torch

from cvlab import models, recipes, weights
from cvlab.data import StillLife

NAMES = weights.names()
ONE_SEED = ("center_small", "nuclei", "style_features", "fast_style_strokes", "fast_style_mosaic")
"""Networks trained once: one that the chapters only mention, and those whose result is judged by looking."""

TEACHER = Path(__file__).resolve().parents[4] / "shared/data/weights/squeezenet1_0_imagenet.safetensors"
KEYS = {
    "AP": ("AP", "AP50"),
    "mIoU": ("mIoU", "accuracy"),
    "style": ("content", "style", "tv"),
    "R2_1": ("R2_1", "R2_9"),
    "accuracy": ("accuracy",),
}
"""What is compared of a card's figures, by one that is on it."""


def test_there_are_weights_for_each_recipe_and_no_others():
    assert sorted(recipes.RECIPES) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_card_describes_the_file(name):
    card, path = weights.card(name), weights.FOLDER / f"{name}.safetensors"
    assert card["bytes"] == path.stat().st_size <= weights.LARGEST
    assert card["sha256"] == weights.digest(path)
    assert card["still_life_version"] == StillLife.VERSION, "the pictures have changed: train again"
    assert len(card["seeds"]) == len(card["test"]["seeds"]) == len(card["seconds_of_seeds"])
    assert len(card["seeds"]) >= (1 if name in ONE_SEED else 3)
    seeds = card["test"]["seeds"]
    for key, mean in card["test"]["mean"].items():
        assert mean == pytest.approx(sum(each[key] for each in seeds) / len(seeds), abs=1e-4)
    assert card["test"]["shipped"] == seeds[0]


@pytest.mark.parametrize("name", NAMES)
def test_recipe_on_the_card_is_the_recipe_in_the_code(name):
    from dataclasses import asdict

    assert weights.card(name)["recipe"] == json.loads(json.dumps(asdict(recipes.RECIPES[name])))


@pytest.mark.parametrize("name", NAMES)
def test_network_reaches_what_its_card_says(name, monkeypatch):
    """Rendered and measured anew: the same pictures and weights, so the same figures but for rounding."""
    card = weights.card(name)
    recipe = recipes.RECIPES[name]
    if name == "style_features":
        if not TEACHER.is_file():
            pytest.skip("the weights of SqueezeNet, from which it learned, are not beside the checkout")
        monkeypatch.setenv("CVLAB_SQUEEZENET", str(TEACHER))
    model = getattr(models, recipe.model)(weights=name)
    count = card["data"]["test"][2]
    tests = recipes.scenes(recipe.size, "test", count) if name in recipes.DETECTORS else recipe.tests(count)
    found = recipe.measure(model, tests)
    for key in next(keys for known, keys in KEYS.items() if known in found):
        assert found[key] == pytest.approx(card["test"]["shipped"][key], abs=2e-3)


@pytest.mark.parametrize("name", NAMES)
def test_all_together_are_small(name):
    assert sum(weights.card(each)["bytes"] for each in NAMES) <= 24e6
    assert all(t.dtype in (torch.float32, torch.int64) for t in weights.load(name).values())


def test_weights_for_other_classes_are_refused():
    with pytest.raises(ValueError, match="'ssd_small' are for 11 classes with the background, got num_classes=4"):
        models.ssd_small(4, weights="ssd_small")


def test_unknown_name():
    with pytest.raises(ValueError, match="there are .*ssd_small.*, got 'resnet'"):
        weights.load("resnet")
    with pytest.raises(ValueError, match="got 'resnet'"):
        weights.card("resnet")


def test_save_rounds_to_half_and_reads_back(tmp_path, monkeypatch):
    state = {"w": torch.tensor([[1.0, 1 / 3], [2.0, -3.0]]).t(), "n": torch.tensor(7)}
    path = weights.save("tiny", state, {"why": "test"}, tmp_path)
    monkeypatch.setattr(weights, "FOLDER", tmp_path)
    loaded = weights.load("tiny")
    assert loaded["w"].dtype == torch.float32
    assert torch.equal(loaded["w"], state["w"].half().float())
    assert loaded["n"].item() == 7
    assert weights.card("tiny")["why"] == "test"
    assert weights.card("tiny")["numbers"] == 4
    assert weights.card("tiny")["bytes"] == path.stat().st_size
    assert weights.names() == ["tiny"]


def test_damaged_file_is_refused(tmp_path, monkeypatch):
    path = weights.save("tiny", {"w": torch.ones(3)}, {}, tmp_path)
    monkeypatch.setattr(weights, "FOLDER", tmp_path)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match="tiny.safetensors is damaged or was replaced"):
        weights.load("tiny")


def test_too_large_is_refused_and_nothing_written(tmp_path):
    with pytest.raises(ValueError, match="large has 3200000 bytes in float16, more than 3000000"):
        weights.save("large", {"w": torch.zeros(1_600_000)}, {}, tmp_path)
    assert not list(tmp_path.iterdir())
