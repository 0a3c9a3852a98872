"""The measurements behind the chapters: what takes too long to be run live is run once, and its results are kept.

`load("augmentation")` gives the kept results, with the machine, versions and seeds they were made with;
`python -m cvlab.experiments.augmentation` makes them again.
"""

from cvlab.experiments.fruit import fruit_crops
from cvlab.experiments.results import load, summary

__all__ = ["fruit_crops", "load", "summary"]
