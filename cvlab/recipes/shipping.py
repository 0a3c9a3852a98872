"""Make the weights that are shipped: train with each seed, measure on the test split, and write the card."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import torch
from torch import nn

from cvlab import weights
from cvlab._card import card
from cvlab.recipes.detection import DETECTORS
from cvlab.recipes.digits import CLASSIFIERS
from cvlab.recipes.nuclei import NUCLEI
from cvlab.recipes.recipe import Recipe, train
from cvlab.recipes.segmentation import SEGMENTERS
from cvlab.recipes.style import STYLES

RECIPES: dict[str, Recipe] = {**DETECTORS, **SEGMENTERS, **STYLES, **CLASSIFIERS, "nuclei": NUCLEI}
"""The recipes of all that is shipped, by the names of the weights."""


def make(name: str, seeds: Sequence[int] = (0, 1, 2), progress: bool = True) -> dict[str, Any]:
    """Train one of `RECIPES` with each seed, keep the weights of the first, and write the card after each.

    Args:
        name: of the recipe, and of the weights.
        seeds: the first one's weights are shipped; all are on the card.
        progress: whether to show progress.

    Returns:
        The card.
    """
    recipe = RECIPES[name]
    data, tests = recipe.scenes("train", recipe.images), recipe.tests(recipe.TESTED)
    found: list[dict[str, float]] = []
    seconds: list[int] = []
    kept: dict[str, torch.Tensor] = {}
    for seed in seeds:
        start = time.monotonic()
        model, _ = train(recipe, data, seed, progress=progress)
        seconds.append(round(time.monotonic() - start))
        round_weights(model)
        kept = kept or {key: t.clone() for key, t in model.state_dict().items()}
        found.append({key: round(value, 4) for key, value in recipe.measure(model, tests).items() if value == value})
        print(name, "seed", seed, found[-1], f"{seconds[-1]} s", flush=True)
        weights.save(name, kept, describe(recipe, seeds[: len(found)], seconds, found))
    return weights.card(name)


def round_weights(model: nn.Module) -> None:
    """Round weights to float16, as they are stored, so that what is measured is what is shipped."""
    model.load_state_dict({k: t.half().float() if t.is_floating_point() else t for k, t in model.state_dict().items()})


def describe(
    recipe: Recipe, seeds: Sequence[int], seconds: Sequence[int], found: Sequence[dict[str, float]]
) -> dict[str, Any]:
    """Write the card: the recipe, the data, the time of each seed, and what each reached."""
    means = {key: round(sum(each[key] for each in found) / len(found), 4) for key in found[0]}
    return card(
        sum(seconds),
        recipe=asdict(recipe),
        data=recipe.data(),
        seeds=list(seeds),
        seconds_of_seeds=list(seconds),
        threads=torch.get_num_threads(),
        parameters=sum(p.numel() for p in recipe.build(0).parameters()),
        test={"shipped": found[0], "mean": means, "seeds": list(found)},
    )
