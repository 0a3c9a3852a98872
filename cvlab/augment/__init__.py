"""Augmentation: training pictures made different, together with their boxes, masks and key points.

Geometric steps are joined into one warp, colour steps into one map of RGB. The classes here are transforms of
`(image, target)` that take their place in `torchvision.transforms.v2.Compose`; what torchvision has (blur, noise, JPEG,
RandAugment, MixUp and CutMix of labels) is used from there. Random numbers come from torch's global generator: `seeded`
and `Augmented` make them reproducible.
"""

from cvlab.augment import affine, colour
from cvlab.augment.geometric import Geometric
from cvlab.augment.mixing import cutmix, cutout, mixup
from cvlab.augment.mosaic import copy_paste, mosaic
from cvlab.augment.photometric import ColourJitter, ImageOnly, RandomJPEG, degrade
from cvlab.augment.recipes import for_classification, for_detection, for_segmentation
from cvlab.augment.seeded import Augmented, seeded
from cvlab.augment.steps import Crop, Elastic, Flip, Perspective, Resize, ResizedCrop, ShiftScaleRotate, Transpose
from cvlab.augment.views import predict_boxes, predict_masks, views
from cvlab.augment.warp import Warp

__all__ = [
    "Augmented",
    "ColourJitter",
    "Crop",
    "Elastic",
    "Flip",
    "Geometric",
    "ImageOnly",
    "Perspective",
    "RandomJPEG",
    "Resize",
    "ResizedCrop",
    "ShiftScaleRotate",
    "Transpose",
    "Warp",
    "affine",
    "colour",
    "copy_paste",
    "cutmix",
    "cutout",
    "degrade",
    "for_classification",
    "for_detection",
    "for_segmentation",
    "mixup",
    "mosaic",
    "predict_boxes",
    "predict_masks",
    "seeded",
    "views",
]
