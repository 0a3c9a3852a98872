"""Losses of detection: which errors a network is told of, and how loudly."""

from cvlab.losses.boxes import (
    complete_box_iou_loss,
    distance_box_iou_loss,
    generalized_box_iou_loss,
    smooth_l1_loss,
)
from cvlab.losses.classification import hard_negative_cross_entropy, mine_hard_negatives, sigmoid_focal_loss
from cvlab.losses.multibox import MultiBoxLoss

__all__ = [
    "MultiBoxLoss",
    "complete_box_iou_loss",
    "distance_box_iou_loss",
    "generalized_box_iou_loss",
    "hard_negative_cross_entropy",
    "mine_hard_negatives",
    "sigmoid_focal_loss",
    "smooth_l1_loss",
]
