"""The loss of a detector with anchors: classes for all anchors, boxes for those that have an object."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional

from cvlab import _check
from cvlab.losses.boxes import (
    complete_box_iou_loss,
    distance_box_iou_loss,
    generalized_box_iou_loss,
    smooth_l1_loss,
)
from cvlab.losses.classification import hard_negative_cross_entropy, sigmoid_focal_loss
from cvlab.ops import DetectionTargets, decode_boxes

IOU_LOSSES: dict[str, Callable[..., Tensor]] = {
    "giou": generalized_box_iou_loss,
    "diou": distance_box_iou_loss,
    "ciou": complete_box_iou_loss,
}


class MultiBoxLoss(nn.Module):
    """Compares what a detector says of each anchor with what it should say.

    Args:
        classification: "mining" for cross-entropy with hard negatives, "all" for cross-entropy of every anchor, "focal"
            for the focal loss of each class against all others, in which the background's logit is not used.
        box: "smooth_l1" on offsets, or "giou", "diou", "ciou" on decoded boxes.
        ratio: Negatives for each positive, as in `hard_negative_cross_entropy`.
        box_weight: Factor of the boxes' loss.

    Returns:
        Called with logits (B, A, K), offsets (B, A, 4), `DetectionTargets` and anchors (A, 4), it gives a dictionary
        with "classification" and "bbox_regression", each one number divided by the number of anchors with an object.

    Raises:
        InputError: A word is unknown.

    References:
        Liu et al. (2016). SSD. Equation 1.
    """

    def __init__(
        self, classification: str = "mining", box: str = "smooth_l1", *, ratio: float = 3.0, box_weight: float = 1.0
    ) -> None:
        super().__init__()
        _check.choice("MultiBoxLoss", "classification", classification, ("mining", "all", "focal"))
        _check.choice("MultiBoxLoss", "box", box, ("smooth_l1", *IOU_LOSSES))
        _check.positive("MultiBoxLoss", "ratio, box_weight", [ratio, box_weight])
        self.classification, self.box, self.ratio, self.box_weight = classification, box, ratio, box_weight

    def extra_repr(self) -> str:
        """Show the settings."""
        return f"classification={self.classification!r}, box={self.box!r}, box_weight={self.box_weight}"

    def scores(self, logits: Tensor) -> Tensor:
        """Turn logits (..., K) into the scores of the K - 1 classes that are not background, as they were trained."""
        return logits[..., 1:].sigmoid() if self.classification == "focal" else logits.softmax(-1)[..., 1:]

    def forward(self, logits: Tensor, offsets: Tensor, targets: DetectionTargets, anchors: Tensor) -> dict[str, Tensor]:
        """Compute the two losses."""
        count = targets.mask.sum().clamp(min=1)
        return {
            "classification": self._classes(logits, targets) / count,
            "bbox_regression": self.box_weight * self._boxes(offsets, targets, anchors) / count,
        }

    def _classes(self, logits: Tensor, targets: DetectionTargets) -> Tensor:
        if self.classification == "focal":
            truth = functional.one_hot(targets.labels, logits.shape[-1])[..., 1:].to(logits.dtype)  # (B, A, K - 1)
            return sigmoid_focal_loss(logits[..., 1:], truth, reduction="sum")
        ratio = self.ratio if self.classification == "mining" else float("inf")
        return hard_negative_cross_entropy(logits, targets.labels, ratio, reduction="sum")

    def _boxes(self, offsets: Tensor, targets: DetectionTargets, anchors: Tensor) -> Tensor:
        predicted, true = offsets[targets.mask], targets.offsets[targets.mask]  # (P, 4)
        if self.box == "smooth_l1":
            return smooth_l1_loss(predicted, true, reduction="sum")
        if _check.readable(predicted) and not bool(predicted.detach().isfinite().all()):
            return predicted.sum() * float("nan")  # no box has such offsets; who trains is to see that the loss is none
        own = anchors.expand(len(offsets), -1, 4)[targets.mask]  # (P, 4)
        return IOU_LOSSES[self.box](decode_boxes(predicted, own), decode_boxes(true, own), reduction="sum")
