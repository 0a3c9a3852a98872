"""COCO's evaluation of detections, batch by batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cvlab import _check
from cvlab.metrics._inputs import Detections, Objects, concatenate, read
from cvlab.metrics._masks import mask_overlaps
from cvlab.metrics._outcomes import judge
from cvlab.metrics.result import DetectionResult

IOU_THRESHOLDS = tuple(np.linspace(0.5, 0.95, 10).tolist())
"""COCO's ten thresholds, 0.5, 0.55, ..., 0.95."""

AREA_RANGES = {"s": (0.0, 32.0**2), "m": (32.0**2, 96.0**2), "l": (96.0**2, float("inf"))}
"""COCO's small, medium and large objects, by their areas in square pixels; both ends are included."""


class DetectionMetrics:
    """Collects predictions and targets, and computes COCO's twelve numbers from them.

    Args:
        class_names: The names of the classes with labels 1, 2, ...; a first name "background" or "__background__" is
            that of label 0. None takes every label that occurs for a class.
        iou_thresholds: IoU from which on a detection may take an object, each in (0, 1], rising.
        area_ranges: Name, smallest and largest area of objects that are evaluated apart, beside all together.
        max_detections: How many detections of one image and class count at most, rising; precision uses the last.
        iou_type: "boxes", or "masks" to compare the objects' pixels; areas are then numbers of pixels.
        mask_threshold: From this value on a pixel of a mask of probabilities is inside.

    Raises:
        InputError: A threshold, a range or a number is not as above, or a name comes twice.

    Notes:
        The numbers are those of pycocotools, which stops at objects of 10^10 square pixels and writes -1 where this
        writes NaN. Scores equal in two images are sorted by the order of the images given here, and by the image's
        number there. Targets may have "iscrowd", and "area": pixels of the object's mask, as COCO has them. An area
        goes stale when images are resized: without it the box's is used, or the number of the mask's pixels. Masks are
        not kept: only the IoUs of an image's detections with its objects are. A mask without a pixel overlaps nothing.

    Example:
        >>> import torch
        >>> metrics = DetectionMetrics(["banana", "apple"])
        >>> box = torch.tensor([[0.0, 0.0, 50.0, 40.0]])
        >>> shifted = torch.tensor([[0.0, 0.0, 50.0, 36.0]])  # IoU 0.9: 9 of 10 thresholds, but for rounding
        >>> prediction = {"boxes": shifted, "labels": torch.tensor([1]), "scores": torch.tensor([0.8])}
        >>> metrics.update([prediction], [{"boxes": box, "labels": torch.tensor([1])}])
        >>> result = metrics.compute()
        >>> result["AP50"], round(result["AP"], 3), result["APl"]
        (1.0, 0.9, nan)

    References:
        Lin et al. (2014). Microsoft COCO: common objects in context.
    """

    def __init__(
        self,
        class_names: Sequence[str] | None = None,
        *,
        iou_thresholds: Sequence[float] = IOU_THRESHOLDS,
        area_ranges: Mapping[str, tuple[float, float]] = AREA_RANGES,
        max_detections: Sequence[int] = (1, 10, 100),
        iou_type: str = "boxes",
        mask_threshold: float = 0.5,
    ) -> None:
        op = "DetectionMetrics"
        _check.choice(op, "iou_type", iou_type, ("boxes", "masks"))
        _check.fraction(op, "mask_threshold", mask_threshold)
        self.iou_type, self.mask_threshold = iou_type, float(mask_threshold)
        self.class_names = None if class_names is None else names_of_labels(op, class_names)
        _check.positive(op, "iou_thresholds", iou_thresholds)
        _check.positive(op, "max_detections", max_detections)
        if max(iou_thresholds) > 1 or any(a >= b for a, b in zip(iou_thresholds, iou_thresholds[1:], strict=False)):
            raise _check.InputError(f"{op}: iou_thresholds must rise and not exceed 1, got {list(iou_thresholds)}")
        rising = all(a < b for a, b in zip(max_detections, max_detections[1:], strict=False))
        if not rising or any(m != int(m) for m in max_detections):
            raise _check.InputError(f"{op}: max_detections must be whole numbers that rise, got {list(max_detections)}")
        for name, (low, high) in area_ranges.items():
            if not 0 <= low < high:
                raise _check.InputError(f"{op}: area_ranges[{name!r}] must have 0 <= low < high, got {(low, high)}")
        self.iou_thresholds = tuple(float(t) for t in iou_thresholds)
        self.area_ranges = dict(area_ranges)
        self.max_detections = tuple(int(m) for m in max_detections)
        self.reset()

    def reset(self) -> None:
        """Forget all images."""
        self._detections: list[Detections] = []
        self._objects: list[Objects] = []
        self._overlaps: list[np.ndarray] = []
        self._num_overlaps = 0
        self.num_images = 0

    def update(self, predictions: Sequence[Mapping[str, Any]], targets: Sequence[Mapping[str, Any]]) -> None:
        """Add the predictions and targets of some images; where one is refused, none is added.

        Args:
            predictions: For each image a dictionary with `boxes` (N, 4) xyxy in pixels, `labels` (N,) signed integers
                from 1 on, and `scores` (N,) finite. N may be 0. On any device. For masks also `masks`: (N, H, W) or
                (N, 1, H, W) bool, integers 0 and 1, or float probabilities, or a list of N encodings as `rle_decode`
                takes them.
            targets: For each image a dictionary with `boxes` (G, 4), `labels` (G,), and possibly `iscrowd` (G,) and
                `area` (G,). G may be 0. For masks also `masks`, likewise.

        Raises:
            TypeError: An argument is no list of dictionaries of tensors.
            InputError: The two are not of the same number, a key is missing, a shape or type is wrong, a box is not
                finite or without area, a label is not one of the classes, a score or an area is not finite, or masks
                are of another number or size, or of wrong values.
        """
        op = "DetectionMetrics.update"
        num_labels = None if self.class_names is None else len(self.class_names)
        detections, objects = read(op, predictions, targets, num_labels)
        if self.iou_type == "masks":
            detections, objects, overlaps = mask_overlaps(
                op, predictions, targets, detections, objects, self.mask_threshold
            )
            detections = detections._replace(row=detections.row + self._num_overlaps)
            self._overlaps.append(overlaps)
            self._num_overlaps += len(overlaps)
        self._detections.append(detections._replace(image=detections.image + self.num_images))
        self._objects.append(objects._replace(image=objects.image + self.num_images))
        self.num_images += len(targets)

    def compute(self) -> DetectionResult:
        """Evaluate all images so far; more may be added afterwards."""
        if not self._objects:
            self.update([], [])
        detections, objects = concatenate(self._detections), concatenate(self._objects)
        ranges = np.array([(0.0, np.inf), *self.area_ranges.values()])
        overlaps = np.concatenate(self._overlaps) if self._overlaps else None
        outcomes = judge(detections, objects, np.array(self.iou_thresholds), ranges, self.max_detections[-1], overlaps)
        classes: dict[int, str | int]
        if self.class_names is None:
            classes = {label: label for label in np.union1d(detections.label, objects.label).tolist()}
        else:
            classes = dict(enumerate(self.class_names, 1))
        return DetectionResult(
            outcomes, classes, np.array(self.iou_thresholds), list(self.area_ranges), self.max_detections
        )


def names_of_labels(op: str, class_names: Sequence[str]) -> list[str]:
    """Give the names of labels 1, 2, ..., without that of the background."""
    if isinstance(class_names, str) or not all(isinstance(name, str) for name in class_names):
        raise _check.InputError(f"{op}: class_names must be a sequence of texts, got {class_names!r}")
    names = list(class_names)
    if names and names[0] in ("background", "__background__"):
        names = names[1:]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise _check.InputError(f"{op}: class_names must differ, got {twice!r} twice")
    return names
