"""How good a detector is: average precision as COCO and VOC count it, curves, confusion, and what goes wrong.

Predictions and targets are torchvision's dictionaries, one for each image. Labels count from 1; 0 is the background.
"""

from cvlab.metrics.anchors import anchor_recall, best_anchor_iou
from cvlab.metrics.confusion import confusion_matrix
from cvlab.metrics.curves import PrecisionRecall, average_precision, precision_recall
from cvlab.metrics.detection import DetectionMetrics
from cvlab.metrics.errors import DetectionErrors, detection_errors
from cvlab.metrics.keypoints import keypoint_distances
from cvlab.metrics.matching import match_detections, match_detections_reference
from cvlab.metrics.proposals import proposal_recall
from cvlab.metrics.result import DetectionResult
from cvlab.metrics.voc import VocResult, voc_ap
from cvlab.metrics.worst import ImageErrors, worst_images

__all__ = [
    "DetectionErrors",
    "DetectionMetrics",
    "DetectionResult",
    "ImageErrors",
    "PrecisionRecall",
    "VocResult",
    "anchor_recall",
    "average_precision",
    "best_anchor_iou",
    "confusion_matrix",
    "detection_errors",
    "keypoint_distances",
    "match_detections",
    "match_detections_reference",
    "precision_recall",
    "proposal_recall",
    "voc_ap",
    "worst_images",
]
