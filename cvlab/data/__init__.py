"""Data sets: still lifes rendered on demand, and real photographs that come with the libraries."""

from cvlab.data import photos
from cvlab.data.photos import read_image
from cvlab.data.still_life import StillLife, collate, hero

__all__ = ["StillLife", "collate", "hero", "photos", "read_image"]
