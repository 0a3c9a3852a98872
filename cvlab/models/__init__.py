"""Networks of the book, written from scratch."""

from cvlab.models.backbones import ConvNormAct, ResidualBlock, SmallBackbone
from cvlab.models.center import CenterNet, center_small
from cvlab.models.center_targets import CenterTargets, center_targets, decode_centers, gaussian_radius
from cvlab.models.export import AllAnchors, BestDetections, export_onnx, export_program
from cvlab.models.receptive_field import layers_of, receptive_field, seen_pixels
from cvlab.models.small import SmallClassifier, accuracy, fit, predict
from cvlab.models.ssd import SSD, SSDHead, ssd_256, ssd_small
from cvlab.models.ssd_vgg import SSD300Anchors, VGG16Features, from_torchvision, ssd300_vgg16

__all__ = [
    "SSD",
    "AllAnchors",
    "BestDetections",
    "CenterNet",
    "CenterTargets",
    "ConvNormAct",
    "ResidualBlock",
    "SSD300Anchors",
    "SSDHead",
    "SmallBackbone",
    "SmallClassifier",
    "VGG16Features",
    "accuracy",
    "center_small",
    "center_targets",
    "decode_centers",
    "export_onnx",
    "export_program",
    "fit",
    "from_torchvision",
    "gaussian_radius",
    "layers_of",
    "predict",
    "receptive_field",
    "seen_pixels",
    "ssd300_vgg16",
    "ssd_256",
    "ssd_small",
]
