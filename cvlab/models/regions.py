"""What regions learn: the object that each overlaps, or background."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from cvlab.losses import smooth_l1_loss
from cvlab.ops import box_iou, encode_boxes, match_argmax, sample_balanced

BETA = 1 / 9
"""Where the loss of offsets turns from a parabola into a straight line, as in torchvision."""


class Samples(NamedTuple):
    """Regions drawn for training; for each image those with objects first.

    Attributes:
        boxes: for each image (N_i, 4) xyxy.
        labels: for each image (N_i,), 0 for background.
        objects: for each image (P_i,), which object the first P_i regions have.
        offsets: (N, 4), from the regions to their objects, over all images; 0 for background.
    """

    boxes: list[Tensor]
    labels: list[Tensor]
    objects: list[Tensor]
    offsets: Tensor

    @property
    def object_boxes(self) -> list[Tensor]:
        """The regions with objects, for each image (P_i, 4)."""
        return [boxes[: len(objects)] for boxes, objects in zip(self.boxes, self.objects, strict=True)]


@torch.no_grad()
def sample_regions(
    proposals: Sequence[Tensor],
    truth: Sequence[dict[str, Tensor]],
    number: int,
    positive_share: float,
    iou_thresh: float,
    weights: tuple[float, float, float, float],
) -> Samples:
    """Draw the regions that the heads learn from, among the proposals and the objects' own boxes.

    Args:
        proposals: for each image (P_i, 4) xyxy; P_i may be 0.
        truth: for each image `boxes` (G_i, 4) and `labels` (G_i,); G_i may be 0.
        number: of regions drawn for each image.
        positive_share: the largest share of objects among them.
        iou_thresh: from this IoU on a region learns an object.
        weights: of the offsets.

    Returns:
        The samples. The objects' own boxes are among the candidates, so that there is something to learn from even
        while the proposals are bad.
    """
    boxes, labels, which, offsets = [], [], [], []
    for own, target in zip(proposals, truth, strict=True):
        candidates = torch.cat((own, target["boxes"]))
        matches = match_argmax(box_iou(target["boxes"], candidates), iou_thresh, iou_thresh)
        objects, background = sample_balanced(torch.where(matches >= 0, 1, 0), number, positive_share)
        drawn, found = torch.cat((objects, background)), matches[objects]
        boxes.append(candidates[drawn])
        labels.append(functional.pad(target["labels"][found], (0, len(background))))
        which.append(found)
        to_object = encode_boxes(target["boxes"][found], candidates[objects], weights)
        offsets.append(functional.pad(to_object, (0, 0, 0, len(background))))
    return Samples(boxes, labels, which, torch.cat(offsets))


def region_losses(logits: Tensor, offsets: Tensor, samples: Samples) -> dict[str, Tensor]:
    """Compute the losses of the box head.

    Args:
        logits: (N, K), K classes with the background.
        offsets: (N, K, 4), for each class.
        samples: N regions.

    Returns:
        `loss_classifier`, the mean cross-entropy, and `loss_box_reg`, the smooth L1 loss of the true class's offsets,
        summed over the regions with objects and divided by N, so that each object counts the same in every batch.
    """
    labels = torch.cat(samples.labels)
    objects = (labels > 0).nonzero()[:, 0]
    distance = smooth_l1_loss(offsets[objects, labels[objects]], samples.offsets[objects], beta=BETA, reduction="sum")
    classes = functional.cross_entropy(logits, labels, reduction="sum")
    count = max(1, len(labels))
    return {"loss_classifier": classes / count, "loss_box_reg": distance / count}
