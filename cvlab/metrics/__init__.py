"""How good a detector or a segmentation is, and what goes wrong.

Of detectors: average precision as COCO and VOC count it, curves and confusion. Predictions and targets are
torchvision's dictionaries, one for each image. Labels count from 1; 0 is the background.

Of segmentations: IoU, Dice and boundary F score of label maps, and the objects of instance maps, one by one.
"""

from cvlab.metrics.anchors import anchor_recall, best_anchor_iou
from cvlab.metrics.boundary import BoundaryScores, boundary_f, boundary_f_reference
from cvlab.metrics.confusion import confusion_matrix
from cvlab.metrics.curves import PrecisionRecall, average_precision, precision_recall
from cvlab.metrics.detection import DetectionMetrics
from cvlab.metrics.errors import DetectionErrors, detection_errors
from cvlab.metrics.instance_metrics import InstanceMetrics, InstanceResult
from cvlab.metrics.instances import (
    InstanceCounts,
    InstanceMatch,
    InstanceTable,
    instance_counts,
    instance_iou,
    match_instances,
)
from cvlab.metrics.keypoints import keypoint_distances
from cvlab.metrics.matching import match_detections, match_detections_reference
from cvlab.metrics.proposals import proposal_recall
from cvlab.metrics.result import DetectionResult
from cvlab.metrics.segmentation import SegmentationMetrics, pixel_confusion
from cvlab.metrics.segmentation_result import SegmentationResult
from cvlab.metrics.voc import VocResult, voc_ap
from cvlab.metrics.worst import ImageErrors, worst_images

__all__ = [
    "BoundaryScores",
    "DetectionErrors",
    "DetectionMetrics",
    "DetectionResult",
    "ImageErrors",
    "InstanceCounts",
    "InstanceMatch",
    "InstanceMetrics",
    "InstanceResult",
    "InstanceTable",
    "PrecisionRecall",
    "SegmentationMetrics",
    "SegmentationResult",
    "VocResult",
    "anchor_recall",
    "average_precision",
    "best_anchor_iou",
    "boundary_f",
    "boundary_f_reference",
    "confusion_matrix",
    "detection_errors",
    "instance_counts",
    "instance_iou",
    "keypoint_distances",
    "match_detections",
    "match_detections_reference",
    "match_instances",
    "pixel_confusion",
    "precision_recall",
    "proposal_recall",
    "voc_ap",
    "worst_images",
]
