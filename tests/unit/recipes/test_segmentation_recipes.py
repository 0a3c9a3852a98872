"""Recipes of segmentation networks: what they learn from, and that instances come out of what they say."""

from dataclasses import replace

import pytest
import torch

from cvlab import engine, recipes
from cvlab.data import StillLife, instances_from_masks
from cvlab.losses import border_weights, separate_touching
from cvlab.recipes.segmentation import instances_of

KINDS = replace(recipes.SEGMENTERS["fcn_small"], images=6, steps=3, batch_size=3, mixed_precision=None)
TOUCHING = replace(recipes.SEGMENTERS["unet_touching"], images=6, steps=3, batch_size=3, mixed_precision=None)


@pytest.mark.parametrize("recipe", [KINDS, TOUCHING], ids=["kinds", "touching"])
def test_same_seed_same_network_and_its_numbers(recipe):
    data, tests = recipe.scenes("train", 6), recipe.tests(4)
    (a, _), (b, _), (c, _) = (recipes.train(recipe, data, seed, progress=False) for seed in (0, 0, 1))
    same, other = zip(a.state_dict().values(), b.state_dict().values(), strict=True), c.state_dict().values()
    assert all(torch.equal(x, y) for x, y in same)
    assert not all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), other, strict=True))
    found = recipe.measure(a, tests)
    assert all(0 <= value <= 1 for value in found.values())
    assert ("AP" if recipe is TOUCHING else "mIoU") in found


def test_crowded_scenes_have_gaps_and_weights():
    image, target = TOUCHING.scenes("train", 3)[1]
    made, truth = StillLife(size=128, split="train", count=(5, 9), dtype=torch.uint8)[1]
    assert torch.equal(image, made.as_subclass(torch.Tensor))
    apart = separate_touching(instances_from_masks(truth["masks"]))
    assert torch.equal(target["semantic"].bool(), apart > 0)
    assert torch.equal(target["weights"], border_weights(apart, w0=TOUCHING.w0, sigma=TOUCHING.sigma))
    assert target["weights"].max() > 2
    assert (target["weights"][target["semantic"] == 1] == 1).all()


def test_weights_turn_with_the_picture():
    data = TOUCHING.scenes("train", 1)
    shown = recipes.turned(data, seed=0)
    _, before = data[0]
    seen = set()
    for epoch in range(12):
        shown.set_epoch(epoch)
        image, target = shown[0]
        assert image.shape == (3, 128, 128)
        assert torch.equal(target["weights"].flatten().sort().values, before["weights"].flatten().sort().values)
        heavy = target["weights"].as_subclass(torch.Tensor) > 2
        assert not bool((heavy & (target["semantic"].as_subclass(torch.Tensor) == 1)).any())
        seen.add(target["weights"].numpy().tobytes())
    assert len(seen) > 3


def test_instances_are_components_grown_by_the_gap():
    """Two blocks with a gap of two columns: each grows by one into the gap, nowhere else; a speck is left out."""
    fruit = torch.zeros(20, 30, dtype=torch.bool)
    fruit[5:15, 3:13] = fruit[5:15, 15:25] = True
    fruit[0, 28:30] = fruit[1, 27:30] = True
    logits = torch.stack([torch.zeros(20, 30), torch.where(fruit, 1.0, -1.0)])
    found = instances_of(logits)
    assert found.unique().tolist() == [0, 1, 2]
    assert (found[5:15, 3:14] == 1).all()
    assert (found[5:15, 14:25] == 2).all()
    assert (found[:, :3] == 0).all()
    assert (found[:, 25:] == 0).all()
    assert (found[:4] == 0).all()


def test_all_pixels_ignored_trains():
    data = [(torch.zeros(3, 64, 64, dtype=torch.uint8), {"semantic": torch.full((64, 64), 255, dtype=torch.uint8)})] * 4
    model = KINDS.build(0)
    history = engine.fit(model, data, steps=2, batch_size=2, progress=False, **KINDS.fit_options())
    assert (history.frame["loss"] == 0).all()
