"""The recipe of the classifier of digits."""

from dataclasses import replace

from cvlab import recipes
from cvlab.recipes import CLASSIFIERS


def test_a_short_training_learns_more_than_chance():
    recipe = replace(CLASSIFIERS["digit_net"], images=2000, steps=120, ema=None, warmup=10)
    model, history = recipes.train(recipe, recipe.scenes("train", recipe.images), seed=0, progress=False)
    assert recipe.measure(model, recipe.scenes("val", 200))["accuracy"] > 0.25
    assert recipe.kinds == tuple("0123456789")
