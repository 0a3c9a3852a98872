"""Recipes: how the shipped weights are made, from data and settings to the card. `cvlab train NAME` follows one."""

from cvlab.recipes.detection import DETECTORS, DetectionRecipe, held_out, make, options_of, scenes, train, turned

__all__ = ["DETECTORS", "DetectionRecipe", "held_out", "make", "options_of", "scenes", "train", "turned"]
