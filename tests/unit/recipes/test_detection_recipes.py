"""Recipes: the same seed gives the same network, and `cvlab train` writes weights with their card."""

from dataclasses import replace

import pytest
import torch

from cvlab import __main__ as command
from cvlab import recipes, weights
from cvlab.data import StillLife
from cvlab.recipes import detection, shipping

TINY = replace(detection.DETECTORS["ssd_small"], images=6, steps=3, batch_size=3, mixed_precision=None)


def same(a, b):
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


@pytest.fixture(scope="module")
def data():
    return recipes.scenes(128, "train", 6)


def test_scenes_are_those_of_the_split(data):
    image, target = data[4]
    expected, truth = StillLife(size=128, split="train", dtype=torch.uint8)[4]
    assert torch.equal(image, expected.as_subclass(torch.Tensor))
    assert torch.equal(target["boxes"], truth["boxes"].as_subclass(torch.Tensor))


def test_turned_gives_the_eight_symmetries_and_moves_the_boxes(data):
    shown = recipes.turned(data, seed=0)
    image, target = data[0]
    seen = set()
    for epoch in range(60):
        shown.set_epoch(epoch)
        picture, moved = shown[0]
        seen.add(picture.numpy().tobytes())
        x1, y1, x2, y2 = target["boxes"][0].tolist()
        sides = sorted([x2 - x1, y2 - y1])
        a1, b1, a2, b2 = moved["boxes"][0].tolist()
        assert sorted([a2 - a1, b2 - b1]) == pytest.approx(sides)
    views = {v.contiguous().numpy().tobytes() for k in range(4) for v in _turns(image, k)}
    assert seen == views
    assert len(views) == 8


def _turns(image, k):
    turned = torch.rot90(image, k, (1, 2))
    return turned, turned.flip(-1)


def test_same_seed_same_network_other_seed_another(data):
    (a, _), (b, _), (c, _) = (recipes.train(TINY, data, seed, progress=False) for seed in (0, 0, 1))
    assert same(a, b)
    assert not same(a, c)


def test_starts_from_weights_that_fit():
    recipe = replace(TINY, model="ssd_256", start="ssd_small")
    built, known = recipe.build(0).state_dict(), weights.load("ssd_small")
    assert torch.equal(built["backbone.stem.0.weight"], known["backbone.stem.0.weight"])
    assert built["head.classes.2.weight"].shape != known["head.classes.2.weight"].shape


def test_command_trains_and_writes_weights_with_their_card(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(shipping.RECIPES, "ssd_small", TINY)
    monkeypatch.setattr(recipes.Recipe, "TESTED", 4)
    monkeypatch.setattr(weights, "FOLDER", tmp_path)
    threads = torch.get_num_threads()
    try:
        command.main(["train", "ssd_small", "--seeds", "5", "6", "7"])
    finally:
        torch.set_num_threads(threads)
    card = weights.card("ssd_small")
    assert card["seeds"] == [5, 6, 7]
    assert card["recipe"]["steps"] == 3
    assert card["parameters"] == sum(p.numel() for p in TINY.build(0).parameters())
    assert card["data"]["test"] == ["test", 0, 4]
    command.main(["weights"])
    assert capsys.readouterr().out.splitlines()[-1].startswith("ssd_small {")


def test_command_refuses_an_unknown_name(capsys):
    with pytest.raises(SystemExit):
        command.main(["train", "resnet"])
    assert "there are recipes for ssd_small" in capsys.readouterr().err
