"""The recipes of the networks of style transfer."""

from __future__ import annotations

from cvlab.recipes.distil import DistilRecipe
from cvlab.recipes.fast_style import FastStyleRecipe
from cvlab.recipes.recipe import Recipe

STYLES: dict[str, Recipe] = {
    "style_features": DistilRecipe(
        "style_features", images=28_000, steps=3500, batch_size=8, learning_rate=2e-3, ema=0.99, augment=False
    ),
    **{
        f"fast_style_{name}": FastStyleRecipe(
            "fast_style", images=6000, steps=1500, batch_size=4, ema=0.98, augment=False, style=name, weights=weights
        )
        for name, weights in (("strokes", (1.0, 10.0, 1.0)), ("mosaic", (1.0, 20.0, 1.0)))
    },
}
"""The recipes of the networks shipped, by the names of their weights."""
