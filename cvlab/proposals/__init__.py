"""Regions that may hold an object, proposed without a network: selective search."""

from cvlab.proposals.grouping import Grouping, Merge, hierarchical_grouping, hierarchical_grouping_reference
from cvlab.proposals.search import initial_segments, selective_search
from cvlab.proposals.similarity import SIMILARITIES, Regions, describe_regions, similarity

__all__ = [
    "SIMILARITIES",
    "Grouping",
    "Merge",
    "Regions",
    "describe_regions",
    "hierarchical_grouping",
    "hierarchical_grouping_reference",
    "initial_segments",
    "selective_search",
    "similarity",
]
