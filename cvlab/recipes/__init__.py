"""Recipes: how the shipped weights are made, from data and settings to the card. `cvlab train NAME` follows one."""

from cvlab.recipes.detection import DETECTORS, DetectionRecipe, held_out
from cvlab.recipes.digits import CLASSIFIERS, DigitRecipe
from cvlab.recipes.distil import DistilRecipe
from cvlab.recipes.fast_style import FastStyleLoss, FastStyleRecipe
from cvlab.recipes.nuclei import NUCLEI, NucleiRecipe
from cvlab.recipes.recipe import Recipe, options_of, scenes, train, turned
from cvlab.recipes.segmentation import SEGMENTERS, SegmentationRecipe, TouchingRecipe
from cvlab.recipes.shipping import RECIPES, make
from cvlab.recipes.style import STYLES

__all__ = [
    "CLASSIFIERS",
    "DigitRecipe",
    "DETECTORS",
    "DetectionRecipe",
    "DistilRecipe",
    "FastStyleLoss",
    "FastStyleRecipe",
    "NUCLEI",
    "NucleiRecipe",
    "RECIPES",
    "Recipe",
    "SEGMENTERS",
    "STYLES",
    "SegmentationRecipe",
    "TouchingRecipe",
    "held_out",
    "make",
    "options_of",
    "scenes",
    "train",
    "turned",
]
