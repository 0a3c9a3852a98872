"""Raw detections without a trained network: a template matcher for discs, a noisy oracle, and targets played back.

All give what a detector's last layer gives: far too many overlapping boxes with scores, waiting for non-maximum
suppression. The matcher is a real detector. The other two know the truth and spoil it by a stated amount, which makes
them measuring instruments: one can count exactly what anchors and post-processing lose.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from skimage.feature import match_template
from torch import Tensor

from cvlab import _check
from cvlab.ops import (
    box_convert,
    box_iou,
    clip_boxes_to_image,
    decode_boxes,
    detection_targets,
    nms,
    remove_small_boxes,
)

_MARGIN = 5  # pixels of dark surround in a disc template


def disc_template(diameter: int) -> np.ndarray:
    """Draw a bright, anti-aliased disc on a dark ground.

    Args:
        diameter: of the disc, pixels.

    Returns:
        (diameter + 10, diameter + 10) float64 in [0, 1].

    Example:
        >>> disc_template(40).shape, float(disc_template(40)[25, 25])
        ((50, 50), 1.0)
    """
    side = diameter + 2 * _MARGIN
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    return np.clip(diameter / 2 + 0.5 - np.hypot(x, y), 0, 1)


def detect_discs(image: Tensor, diameters: Sequence[int], score_threshold: float = 0.6) -> tuple[Tensor, Tensor]:
    """Find bright discs by sliding templates of several sizes over a grey image.

    Args:
        image: (1, H, W) float in [0, 1].
        diameters: the sizes to try, whole pixels.
        score_threshold: smallest normalised cross-correlation that counts as a hit, in [-1, 1].

    Returns:
        Boxes (N, 4) float32, xyxy pixels, and scores (N,) float32 of every position and size whose correlation is above
        the threshold, so many boxes for each disc.

    Raises:
        TypeError: the image is no tensor.
        InputError: the image has another layout or type or is smaller than the largest template, there is no diameter
            or one below 1, or the threshold is outside [-1, 1].

    Example:
        >>> image = torch.zeros(1, 60, 80)
        >>> image[0, 10:50, 20:60] = torch.as_tensor(disc_template(30)).float()
        >>> boxes, scores = detect_discs(image, [30], score_threshold=0.999)
        >>> boxes
        tensor([[25., 15., 55., 45.]])

    References:
        Lewis, J. P. (1995). Fast normalized cross-correlation. Vision Interface.
    """
    op = "detect_discs"
    _check.numeric(op, "image", image, floating=True)
    _check.shape(op, "image", image, (1, "H", "W"))
    _check.finite(op, "image", image)
    _check.positive(op, "diameters", diameters)
    for i, diameter in enumerate(diameters):
        if diameter % 1:
            raise _check.InputError(f"{op}: diameters[{i}] must be a whole number of pixels, got {diameter}")
    if not -1 <= score_threshold <= 1:
        raise _check.InputError(f"{op}: score_threshold must lie in [-1, 1], got {score_threshold}")
    needed = max(diameters) + 2 * _MARGIN
    if min(image.shape[1:]) < needed:
        raise _check.InputError(
            f"{op}: a disc of {max(diameters)} pixels needs an image of at least {needed} x {needed}, "
            f"got {image.shape[1]} x {image.shape[2]}"
        )
    found, scores = [], []
    for diameter in diameters:
        correlation = match_template(image[0].detach().cpu().double().numpy(), disc_template(diameter))
        y, x = np.nonzero(correlation > score_threshold)
        found.append(np.stack([x, y, x + diameter, y + diameter], axis=1) + _MARGIN)
        scores.append(correlation[y, x])
    return torch.as_tensor(np.concatenate(found)).float(), torch.as_tensor(np.concatenate(scores)).float()


class DiscDetector:
    """Detects bright discs, with torchvision's calling convention for detectors.

    Args:
        diameters: the sizes to try, whole pixels.
        score_threshold: as in `detect_discs`.
        iou_threshold: of the suppression that follows.

    Returns:
        Called with a list of images (C, H, W) float in [0, 1], of which it looks at the first channel, it
        gives a list of
        dictionaries `boxes` (N, 4), `scores` (N,) and `labels` (N,), all 1, best first.

    Example:
        >>> image = torch.zeros(1, 60, 80)
        >>> image[0, 10:50, 20:60] = torch.as_tensor(disc_template(30)).float()
        >>> DiscDetector([30])([image])[0]["boxes"]
        tensor([[25., 15., 55., 45.]])
    """

    def __init__(self, diameters: Sequence[int], score_threshold: float = 0.6, iou_threshold: float = 0.1) -> None:
        self.diameters, self.score_threshold, self.iou_threshold = diameters, score_threshold, iou_threshold

    def __call__(self, images: Sequence[Tensor]) -> list[dict[str, Tensor]]:
        """Detect discs on each image."""
        return [self._one(image[:1]) for image in images]

    def _one(self, grey: Tensor) -> dict[str, Tensor]:
        boxes, scores = detect_discs(grey, self.diameters, self.score_threshold)
        kept = nms(boxes, scores, self.iou_threshold)
        return {
            "boxes": boxes[kept],
            "scores": scores[kept],
            "labels": torch.ones(len(kept), dtype=torch.int64),
        }


def noisy_detections(
    boxes: Tensor,
    labels: Tensor,
    image_size: tuple[int, int],
    *,
    num_labels: int,
    per_object: int = 8,
    jitter: float = 0.1,
    false_alarms: int = 5,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor, Tensor]:
    """Spoil the truth by a stated amount: several shifted boxes for each object, and some boxes around nothing.

    Args:
        boxes: (N, 4) float, the objects, xyxy pixels.
        labels: (N,) int64, from 1 to num_labels.
        image_size: height and width, pixels.
        num_labels: how many categories there are; false alarms draw from all of them.
        per_object: detections around each object.
        jitter: standard deviation of centre and log size, relative to the object's size.
        false_alarms: detections around nothing in particular.
        generator: source of the randomness.

    Returns:
        boxes (M, 4) float, scores (M,) float in [0, 1], labels (M,) int64. A detection around an object scores higher
        the less it was moved; a false alarm scores below 0.5.

    Raises:
        TypeError: boxes or labels are no tensor.
        InputError: the boxes are not (N, 4) float with x1 <= x2 and y1 <= y2, there is not one label for each, or a
            number is below its least: 1 for num_labels, 0 for per_object, jitter and false_alarms.

    Example:
        >>> g = torch.Generator().manual_seed(0)
        >>> truth, labels = torch.tensor([[10.0, 10.0, 40.0, 30.0]]), torch.tensor([3])
        >>> boxes, scores, labels = noisy_detections(truth, labels, (64, 64), num_labels=8, generator=g)
        >>> boxes.shape, labels[:8].tolist()
        (torch.Size([13, 4]), [3, 3, 3, 3, 3, 3, 3, 3])
    """
    op = "noisy_detections"
    _check.numeric(op, "boxes", boxes, floating=True)
    _check.boxes(op, "boxes", boxes, dims="N")
    _check.tensor(op, "labels", labels)
    _check.length(op, "labels", labels, len(boxes), "box")
    least = {"num_labels": (num_labels, 1), "per_object": (per_object, 0), "jitter": (jitter, 0)}
    for name, (value, lowest) in (least | {"false_alarms": (false_alarms, 0)}).items():
        if not lowest <= value < float("inf"):
            raise _check.InputError(f"{op}: {name} must be finite and at least {lowest}, got {value}")
    height, width = image_size
    centres = box_convert(boxes, "xyxy", "cxcywh").repeat_interleave(per_object, 0)  # (N * per_object, 4)
    noise = torch.randn(centres.shape, generator=generator) * jitter
    moved = torch.cat([centres[:, :2] + noise[:, :2] * centres[:, 2:], centres[:, 2:] * noise[:, 2:].exp()], 1)
    scores = torch.exp(-noise.square().sum(1) / (2 * (2 * jitter) ** 2)) if jitter else torch.ones(len(moved))

    size = torch.tensor([width, height], dtype=boxes.dtype)
    alarm_sides = (0.1 + 0.2 * torch.rand(false_alarms, 2, generator=generator)) * size
    alarm_centres = torch.rand(false_alarms, 2, generator=generator) * size
    alarm_scores = torch.rand(false_alarms, generator=generator) * 0.5
    alarm_labels = torch.randint(1, num_labels + 1, (false_alarms,), generator=generator)

    found = torch.cat([moved, torch.cat([alarm_centres, alarm_sides], 1)])
    found = clip_boxes_to_image(box_convert(found, "cxcywh", "xyxy"), image_size)
    keep = remove_small_boxes(found, 1.0)
    all_scores = torch.cat([scores, alarm_scores])
    all_labels = torch.cat([labels.repeat_interleave(per_object), alarm_labels])
    return found[keep], all_scores[keep], all_labels[keep]


def replay_targets(
    anchors: Tensor, boxes: Tensor, labels: Tensor, error: float = 0.0, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Answer as a network would that predicts its targets exactly, or with noise of a stated size.

    Args:
        anchors: (A, 4) float, xyxy pixels.
        boxes: (N, 4) float, the objects of one image, xyxy pixels.
        labels: (N,) int64, from 1.
        error: standard deviation of the noise added to each offset, in the offsets' own (weighted) units.
        generator: source of the noise.

    Returns:
        boxes (M, 4) float, decoded from each anchor that has an object; scores (M,), the IoU of the anchor with the
        object it fits best; labels (M,) int64.

    Example:
        >>> anchors = torch.tensor([[0.0, 0.0, 10.0, 10.0], [30.0, 30.0, 40.0, 40.0]])
        >>> replay_targets(anchors, torch.tensor([[1.0, 1.0, 11.0, 9.0]]), torch.tensor([4]))
        (tensor([[ 1.,  1., 11.,  9.]]), tensor([0.6667]), tensor([4]))
    """
    target = detection_targets(anchors, boxes[None], labels[None])
    hit = target.mask[0]
    offsets = target.offsets[0, hit]  # (M, 4)
    if error:
        offsets = offsets + error * torch.randn(offsets.shape, generator=generator)
    scores = box_iou(boxes, anchors[hit]).amax(0) if len(boxes) else offsets.new_zeros(0)
    return decode_boxes(offsets, anchors[hit]), scores, target.labels[0, hit]


def lost_and_doubled(target: dict, boxes: Tensor, labels: Tensor, iou_threshold: float = 0.5) -> tuple[int, int]:
    """Count what post-processing got wrong: objects that no detection shows, and detections beyond an object's first.

    Args:
        target: the truth, with `boxes` (N, 4) xyxy pixels and `labels` (N,).
        boxes: (M, 4) float, the detections that are left.
        labels: (M,) int64, their categories.
        iou_threshold: a detection shows an object of its own category that it overlaps at least this much.

    Returns:
        The number of lost objects, and the number of surplus detections.

    Example:
        >>> here, there = [0.0, 0.0, 9.0, 9.0], [20.0, 0.0, 29.0, 9.0]
        >>> truth = {"boxes": torch.tensor([here, there]), "labels": torch.tensor([1, 2])}
        >>> twice = torch.tensor([[0.0, 0.0, 9.0, 9.0], [0.0, 0.0, 9.0, 8.0]])
        >>> lost_and_doubled(truth, twice, torch.tensor([1, 1]))
        (1, 1)
    """
    shows = (box_iou(target["boxes"], boxes) >= iou_threshold) & (target["labels"][:, None] == labels)  # (N, M)
    found = shows.sum(1)
    return int((found == 0).sum()), int((found - 1).clamp(min=0).sum())
