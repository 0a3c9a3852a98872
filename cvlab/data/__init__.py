"""Data sets: still lifes rendered on demand, real photographs, your own files; and their checking and splitting."""

from cvlab.data import photos, synthetic_nuclei
from cvlab.data.balance import class_weights, oversampler
from cvlab.data.digits import digits
from cvlab.data.files import read_image, read_mask, save_image, save_mask
from cvlab.data.hashing import dhash, near_duplicates
from cvlab.data.label_maps import (
    colors_from_labels,
    instances_from_masks,
    labels_from_colors,
    masks_from_instances,
    resize_labels,
    voc_palette,
)
from cvlab.data.memory import InMemory
from cvlab.data.paintings import PAINTINGS, painting
from cvlab.data.report import DataReport
from cvlab.data.splits import folds, split
from cvlab.data.still_life import StillLife, collate, hero

__all__ = [
    "PAINTINGS",
    "painting",
    "DataReport",
    "InMemory",
    "StillLife",
    "class_weights",
    "collate",
    "colors_from_labels",
    "dhash",
    "digits",
    "folds",
    "hero",
    "instances_from_masks",
    "labels_from_colors",
    "masks_from_instances",
    "near_duplicates",
    "oversampler",
    "photos",
    "read_image",
    "read_mask",
    "resize_labels",
    "save_image",
    "save_mask",
    "split",
    "synthetic_nuclei",
    "voc_palette",
]
