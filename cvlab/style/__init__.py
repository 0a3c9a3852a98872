"""Neural style transfer: the losses, the loss networks, and the optimisation of a picture."""

from cvlab.style.colours import luminance, match_colours, with_colours_of
from cvlab.style.features import FeatureExtractor
from cvlab.style.losses import (
    channel_moments,
    content_loss,
    gram_matrix,
    gram_matrix_reference,
    style_loss,
    total_variation,
)
from cvlab.style.memory import activation_bytes
from cvlab.style.networks import NETWORKS, LossNetwork, loss_network
from cvlab.style.objective import Objective
from cvlab.style.pictures import in_range
from cvlab.style.transfer import StyleResult, StyleTransfer

__all__ = [
    "NETWORKS",
    "FeatureExtractor",
    "LossNetwork",
    "Objective",
    "StyleResult",
    "StyleTransfer",
    "activation_bytes",
    "channel_moments",
    "content_loss",
    "gram_matrix",
    "gram_matrix_reference",
    "in_range",
    "loss_network",
    "luminance",
    "match_colours",
    "style_loss",
    "total_variation",
    "with_colours_of",
]
