"""Mask R-CNN: Faster R-CNN that also says which pixels of a region belong to the object."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from cvlab.models._canvas import Canvas
from cvlab.models._inputs import keypoint_names, plain_keypoints, plain_masks
from cvlab.models._weights import load_weights
from cvlab.models.fast_rcnn import Losses
from cvlab.models.faster_rcnn import FasterRCNN, small_parts
from cvlab.models.regions import Samples
from cvlab.models.roi_heads import KeypointHead, MaskHead
from cvlab.models.roi_keypoints import decode_keypoints, keypoint_cells, keypoint_loss
from cvlab.models.rpn import RegionProposals
from cvlab.ops import mask_targets, paste_masks


class MaskRCNN(FasterRCNN):
    """Faster R-CNN with a mask head beside the box head.

    Args:
        backbone: as `FastRCNN` takes it.
        num_classes: with the background.
        rpn: proposes the regions.
        mask_size: side of the regions that the mask head sees, cells; its masks are twice as large.
        mask_widths: channels of its convolutions.
        keypoints: names of the key points of every object, or their number; 0 for no key point head.
        keypoint_widths: channels of that head's convolutions.
        rounded: whether boxes are brought to whole pixels before masks are pasted into them, as torchvision does.
        options: of `FastRCNN`.

    Returns:
        As `FasterRCNN`; targets have `masks` (G, H, W) bool too, there is the loss `loss_mask`, and detections have
        `masks` (N, 1, H, W), the probability of each pixel of the image, as torchvision's. Where there are key points,
        targets have them as `CenterNet`'s do, there is the loss `loss_keypoint`, and detections have `keypoints`
        (N, n, 2) xy and `keypoints_scores` (N, n).

    References:
        He et al. (2017). Mask R-CNN. ICCV.
    """

    def __init__(
        self,
        backbone: nn.Module,
        num_classes: int,
        rpn: RegionProposals,
        *,
        mask_size: int = 14,
        mask_widths: Sequence[int] = (64, 64),
        keypoints: int | Sequence[str] = 0,
        keypoint_widths: Sequence[int] = (64, 64),
        rounded: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(backbone, num_classes, rpn, **options)
        self.mask_size, self.rounded = mask_size, rounded
        self.mask_head = MaskHead(backbone.channels[0], mask_widths, num_classes)
        self.keypoints = keypoint_names(type(self).__name__, keypoints)
        if self.keypoints:
            self.keypoint_head = KeypointHead(backbone.channels[0], keypoint_widths, len(self.keypoints))

    def truth(self, targets: Sequence[dict[str, Any]] | None, images: Sequence[Tensor]) -> list[dict[str, Tensor]]:
        """Give the checked targets, with masks and key points."""
        op = type(self).__name__
        plain = plain_masks(op, super().truth(targets, images), targets, images)
        for i, own in enumerate(plain if self.keypoints else []):
            own["keypoints"], own["visible"] = plain_keypoints(op, i, targets[i], len(own["boxes"]), self.keypoints)
        return plain

    def losses(
        self, maps: Sequence[Tensor], samples: Samples, truth: Sequence[dict[str, Tensor]], canvas: Canvas
    ) -> Losses:
        """Compute the losses of the box head, and of the mask and key point heads on the regions with objects alone."""
        losses = super().losses(maps, samples, truth, canvas)
        boxes = samples.object_boxes
        regions = self.cut_out(maps, boxes, canvas, self.mask_size)
        in_image = [plan.undo_boxes(box, clip=False) for plan, box in zip(canvas.plans, boxes, strict=True)]
        losses["loss_mask"] = self._mask_loss(regions, samples, truth, in_image)
        if self.keypoints:
            losses["loss_keypoint"] = self._keypoint_loss(regions, samples, truth, in_image)
        return losses

    def _mask_loss(
        self, regions: Tensor, samples: Samples, truth: Sequence[dict[str, Tensor]], boxes: Sequence[Tensor]
    ) -> Tensor:
        """Compare the true class's mask with the object's; boxes in the images' own pixels."""
        logits = self.mask_head(regions)
        labels = torch.cat([own[: len(box)] for own, box in zip(samples.labels, boxes, strict=True)])
        wanted = torch.cat(
            [
                mask_targets(target["masks"][which], box, 2 * self.mask_size)
                for target, which, box in zip(truth, samples.objects, boxes, strict=True)
            ]
        )
        own = logits[torch.arange(len(labels), device=labels.device), labels].float()  # (P, 28, 28)
        sums = functional.binary_cross_entropy_with_logits(own, wanted, reduction="sum")
        return sums / max(1, wanted.numel())

    def _keypoint_loss(
        self, regions: Tensor, samples: Samples, truth: Sequence[dict[str, Tensor]], boxes: Sequence[Tensor]
    ) -> Tensor:
        """Compare the key points' maps with the cells in which the points lie."""
        logits = self.keypoint_head(regions).float()
        cells = [
            keypoint_cells(target["keypoints"][which], target["visible"][which], box, logits.shape[-1])
            for target, which, box in zip(truth, samples.objects, boxes, strict=True)
        ]
        return keypoint_loss(logits, torch.cat(cells))

    @torch.no_grad()
    def detections(self, maps: Sequence[Tensor], boxes: Sequence[Tensor], canvas: Canvas) -> list[dict[str, Tensor]]:
        """Find boxes, compute the mask of each one's class in the box, and paste it into the image."""
        found = self.on_canvas(maps, boxes, canvas)
        regions = self.cut_out(maps, [each["boxes"] for each in found], canvas, self.mask_size)
        logits = self.mask_head(regions)
        labels = torch.cat([each["labels"] for each in found])
        own = logits[torch.arange(len(labels), device=labels.device), labels].float().sigmoid()
        counts = [len(each["labels"]) for each in found]
        small = own.split(counts)
        found = self.in_images(found, canvas)
        if self.keypoints:
            points = decode_keypoints(self.keypoint_head(regions).float(), torch.cat([e["boxes"] for e in found]))
            for each, own_points, scores in zip(found, *(part.split(counts) for part in points), strict=True):
                each["keypoints"], each["keypoints_scores"] = own_points, scores
        for each, masks, plan in zip(found, small, canvas.plans, strict=True):
            pasted = paste_masks(masks, each["boxes"], plan.image_size, rounded=self.rounded)
            each["masks"] = pasted[:, None]  # (N, 1, H, W)
        return found


def mask_small(num_classes: int = 11, *, weights: str | None = None, **options: Any) -> MaskRCNN:
    """Make the small Mask R-CNN: `faster_small` with a mask head of two convolutions.

    Args:
        num_classes: with the background; 11 for all kinds of still life.
        weights: name of shipped weights, such as "mask_small"; None for random ones.
        options: of `MaskRCNN`.

    Returns:
        The detector.

    Raises:
        InputError: if the weights are for another number of classes.
    """
    backbone, rpn = small_parts()
    model = MaskRCNN(backbone, num_classes, rpn, **{"size": 128, "hidden": 128, **options})
    return model if weights is None else load_weights(model, weights)
