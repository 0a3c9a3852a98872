"""Losses of detection and segmentation: which errors a network is told of, and how loudly."""

from cvlab.losses.border import border_weights, border_weights_reference, separate_touching
from cvlab.losses.boxes import (
    complete_box_iou_loss,
    distance_box_iou_loss,
    generalized_box_iou_loss,
    smooth_l1_loss,
)
from cvlab.losses.classification import hard_negative_cross_entropy, mine_hard_negatives, sigmoid_focal_loss
from cvlab.losses.frequency import frequency_weights
from cvlab.losses.multibox import MultiBoxLoss
from cvlab.losses.segmentation import SegmentationLoss, dice_loss, pixel_cross_entropy

__all__ = [
    "MultiBoxLoss",
    "SegmentationLoss",
    "border_weights",
    "border_weights_reference",
    "complete_box_iou_loss",
    "dice_loss",
    "distance_box_iou_loss",
    "frequency_weights",
    "generalized_box_iou_loss",
    "hard_negative_cross_entropy",
    "mine_hard_negatives",
    "pixel_cross_entropy",
    "separate_touching",
    "sigmoid_focal_loss",
    "smooth_l1_loss",
]
