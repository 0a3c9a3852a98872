"""Data sets: still lifes rendered on demand, real photographs, your own files; and their checking and splitting."""

from cvlab.data import photos
from cvlab.data.balance import class_weights, oversampler
from cvlab.data.files import read_image, read_mask, save_image, save_mask
from cvlab.data.hashing import dhash, near_duplicates
from cvlab.data.memory import InMemory
from cvlab.data.report import DataReport
from cvlab.data.splits import folds, split
from cvlab.data.still_life import StillLife, collate, hero

__all__ = [
    "DataReport",
    "InMemory",
    "StillLife",
    "class_weights",
    "collate",
    "dhash",
    "folds",
    "hero",
    "near_duplicates",
    "oversampler",
    "photos",
    "read_image",
    "read_mask",
    "save_image",
    "save_mask",
    "split",
]
