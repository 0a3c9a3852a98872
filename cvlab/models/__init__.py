"""Networks of the book, written from scratch."""

from cvlab.models._weights import load_backbone
from cvlab.models.backbones import ConvNormAct, ResidualBlock, SmallBackbone
from cvlab.models.center import CenterNet, center_small
from cvlab.models.center_targets import CenterTargets, center_targets, decode_centers, gaussian_radius
from cvlab.models.digit_net import DepthwiseSeparable, DigitNet, digit_net
from cvlab.models.export import AllAnchors, BestDetections, export_fast_style, export_onnx, export_program
from cvlab.models.fast_rcnn import FastRCNN
from cvlab.models.fast_style import FastStyleNet, fast_style
from cvlab.models.faster_rcnn import FasterRCNN, faster_small, small_parts
from cvlab.models.fcn import FCN, Upsample, fcn_small
from cvlab.models.fcn_resnet import FCNResNet50, fcn_resnet50
from cvlab.models.filters import MultiScaleFilters
from cvlab.models.fpn import FPN, MergeMaps, Necked
from cvlab.models.mask_rcnn import MaskRCNN, mask_small
from cvlab.models.nuclei import find_nuclei
from cvlab.models.patches import as_convolution, multiplications, patch_classifier
from cvlab.models.raw import PaintCore, RawMaps, joined, normalised, with_maps
from cvlab.models.rcnn import RCNN
from cvlab.models.rcnn_resnet import faster_rcnn_resnet50_fpn, mask_rcnn_resnet50_fpn, rename_rcnn
from cvlab.models.receptive_field import layers_of, receptive_field, seen_pixels
from cvlab.models.regions import Samples, region_losses, sample_regions
from cvlab.models.resnet import FrozenBatchNorm, ResNet50
from cvlab.models.roi_heads import BoxHead, KeypointHead, MaskHead
from cvlab.models.rpn import RegionProposals, RPNHead
from cvlab.models.small import SmallClassifier, accuracy, fit, predict
from cvlab.models.squeeze_unet import SqueezeUNet, squeeze_unet
from cvlab.models.ssd import SSD, SSDHead, ssd_256, ssd_small
from cvlab.models.ssd_vgg import SSD300Anchors, VGG16Features, from_torchvision, ssd300_vgg16
from cvlab.models.style_features import StyleFeatures, style_features
from cvlab.models.unet import UNet, UpBlock, unet_small, unet_touching

__all__ = [
    "PaintCore",
    "RawMaps",
    "joined",
    "normalised",
    "with_maps",
    "DepthwiseSeparable",
    "DigitNet",
    "digit_net",
    "FastStyleNet",
    "fast_style",
    "MultiScaleFilters",
    "StyleFeatures",
    "style_features",
    "FCN",
    "FCNResNet50",
    "UNet",
    "UpBlock",
    "Upsample",
    "fcn_resnet50",
    "fcn_small",
    "SqueezeUNet",
    "squeeze_unet",
    "find_nuclei",
    "unet_small",
    "unet_touching",
    "RCNN",
    "faster_rcnn_resnet50_fpn",
    "mask_rcnn_resnet50_fpn",
    "rename_rcnn",
    "FrozenBatchNorm",
    "ResNet50",
    "FPN",
    "MergeMaps",
    "Necked",
    "FastRCNN",
    "FasterRCNN",
    "faster_small",
    "small_parts",
    "MaskRCNN",
    "mask_small",
    "Samples",
    "region_losses",
    "sample_regions",
    "BoxHead",
    "KeypointHead",
    "MaskHead",
    "RegionProposals",
    "RPNHead",
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
    "as_convolution",
    "center_small",
    "center_targets",
    "decode_centers",
    "export_fast_style",
    "export_onnx",
    "export_program",
    "fit",
    "from_torchvision",
    "gaussian_radius",
    "layers_of",
    "load_backbone",
    "multiplications",
    "patch_classifier",
    "predict",
    "receptive_field",
    "seen_pixels",
    "ssd300_vgg16",
    "ssd_256",
    "ssd_small",
]
