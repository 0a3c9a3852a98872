"""Recipes: how the shipped weights are made, from data and settings to the card. `cvlab train NAME` follows one."""

from cvlab.recipes.detection import DETECTORS, DetectionRecipe, held_out
from cvlab.recipes.recipe import Recipe, options_of, scenes, train, turned
from cvlab.recipes.segmentation import SEGMENTERS, SegmentationRecipe, TouchingRecipe
from cvlab.recipes.shipping import RECIPES, make

__all__ = [
    "DETECTORS",
    "DetectionRecipe",
    "RECIPES",
    "Recipe",
    "SEGMENTERS",
    "SegmentationRecipe",
    "TouchingRecipe",
    "held_out",
    "make",
    "options_of",
    "scenes",
    "train",
    "turned",
]
