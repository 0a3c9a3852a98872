"""Still lifes: an endless data set of rendered fruit with exact ground truth."""

from cvlab.data.still_life.dataset import StillLife, collate, hero
from cvlab.data.still_life.scene import KINDS, VERSION, Scene, render

__all__ = ["KINDS", "VERSION", "Scene", "StillLife", "collate", "hero", "render"]
