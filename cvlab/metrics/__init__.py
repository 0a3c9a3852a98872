"""How good a detector is: average precision as COCO and VOC count it, curves, confusion, and what goes wrong.

Predictions and targets are torchvision's dictionaries, one for each image. Labels count from 1; 0 is the background.
"""

from cvlab.metrics.confusion import confusion_matrix
from cvlab.metrics.curves import PrecisionRecall, average_precision, precision_recall
from cvlab.metrics.detection import DetectionMetrics
from cvlab.metrics.errors import DetectionErrors, detection_errors
from cvlab.metrics.matching import match_detections, match_detections_reference
from cvlab.metrics.result import DetectionResult
from cvlab.metrics.voc import VocResult, voc_ap

__all__ = [
    "DetectionErrors",
    "DetectionMetrics",
    "DetectionResult",
    "PrecisionRecall",
    "VocResult",
    "average_precision",
    "confusion_matrix",
    "detection_errors",
    "match_detections",
    "match_detections_reference",
    "precision_recall",
    "voc_ap",
]
