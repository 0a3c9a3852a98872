"""Networks of the book, written from scratch."""

from cvlab.models.backbones import ConvNormAct, ResidualBlock, SmallBackbone
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
    "predict",
    "ssd_256",
    "ssd_small",
]
