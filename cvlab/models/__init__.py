"""Networks of the book, written from scratch."""

from cvlab.models.backbones import ConvNormAct, ResidualBlock, SmallBackbone
from cvlab.models.receptive_field import layers_of, receptive_field, seen_pixels
from cvlab.models.small import SmallClassifier, accuracy, fit, predict
from cvlab.models.ssd import SSD, SSDHead, ssd_256, ssd_small

__all__ = [
    "SSD",
    "ConvNormAct",
    "ResidualBlock",
    "SSDHead",
    "SmallBackbone",
    "SmallClassifier",
    "accuracy",
    "fit",
    "layers_of",
    "predict",
    "receptive_field",
    "seen_pixels",
    "ssd_256",
    "ssd_small",
]
