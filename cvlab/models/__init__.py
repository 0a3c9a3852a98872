"""Networks of the book, written from scratch."""

from cvlab.models.backbones import ConvNormAct, ResidualBlock, SmallBackbone
from cvlab.models.export import AllAnchors, BestDetections, export_onnx, export_program
from cvlab.models.receptive_field import layers_of, receptive_field, seen_pixels
from cvlab.models.small import SmallClassifier, accuracy, fit, predict
from cvlab.models.ssd import SSD, SSDHead, ssd_256, ssd_small
from cvlab.models.ssd_vgg import SSD300Anchors, VGG16Features, from_torchvision, ssd300_vgg16

__all__ = [
    "SSD",
    "AllAnchors",
    "BestDetections",
    "ConvNormAct",
    "ResidualBlock",
    "SSD300Anchors",
    "SSDHead",
    "SmallBackbone",
    "SmallClassifier",
    "VGG16Features",
    "accuracy",
    "export_onnx",
    "export_program",
    "fit",
    "from_torchvision",
    "layers_of",
    "predict",
    "receptive_field",
    "seen_pixels",
    "ssd300_vgg16",
    "ssd_256",
    "ssd_small",
]
