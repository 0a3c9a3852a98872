"""Mask R-CNN: Faster R-CNN that also says which pixels of a region belong to the object."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from cvlab.models._canvas import Canvas
from cvlab.models._inputs import plain_masks
from cvlab.models._weights import load_weights
from cvlab.models.fast_rcnn import Losses
from cvlab.models.faster_rcnn import FasterRCNN, small_parts
from cvlab.models.regions import Samples
from cvlab.models.roi_heads import MaskHead
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
        rounded: whether boxes are brought to whole pixels before masks are pasted into them, as torchvision does.
        options: of `FastRCNN`.

    Returns:
        As `FasterRCNN`; targets have `masks` (G, H, W) bool too, there is the loss `loss_mask`, and detections have
        `masks` (N, 1, H, W), the probability of each pixel of the image, as torchvision's.

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
        rounded: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(backbone, num_classes, rpn, **options)
        self.mask_size, self.rounded = mask_size, rounded
        self.mask_head = MaskHead(backbone.channels[0], mask_widths, num_classes)

    def truth(self, targets: Sequence[dict[str, Any]] | None, images: Sequence[Tensor]) -> list[dict[str, Tensor]]:
        """Give the checked targets, with masks."""
        return plain_masks(type(self).__name__, super().truth(targets, images), targets, images)

    def losses(
        self, maps: Sequence[Tensor], samples: Samples, truth: Sequence[dict[str, Tensor]], canvas: Canvas
    ) -> Losses:
        """Compute the losses of the box head and the mask head, the latter on the regions with objects alone."""
        losses = super().losses(maps, samples, truth, canvas)
        boxes = samples.object_boxes
        logits = self.mask_logits(maps, boxes, canvas)
        labels = torch.cat([own[: len(box)] for own, box in zip(samples.labels, boxes, strict=True)])
        wanted = torch.cat(
            [
                mask_targets(target["masks"][which], plan.undo_boxes(box, clip=False), 2 * self.mask_size)
                for target, which, plan, box in zip(truth, samples.objects, canvas.plans, boxes, strict=True)
            ]
        )
        own = logits[torch.arange(len(labels), device=labels.device), labels].float()  # (P, 28, 28)
        sums = functional.binary_cross_entropy_with_logits(own, wanted, reduction="sum")
        return losses | {"loss_mask": sums / max(1, wanted.numel())}

    def mask_logits(self, maps: Sequence[Tensor], boxes: Sequence[Tensor], canvas: Canvas) -> Tensor:
        """Compute the masks (N, K, 2 mask_size, 2 mask_size) of the regions of all images."""
        return self.mask_head(self.cut_out(maps, boxes, canvas, self.mask_size))

    @torch.no_grad()
    def detections(self, maps: Sequence[Tensor], boxes: Sequence[Tensor], canvas: Canvas) -> list[dict[str, Tensor]]:
        """Find boxes, compute the mask of each one's class in the box, and paste it into the image."""
        found = self.on_canvas(maps, boxes, canvas)
        logits = self.mask_logits(maps, [each["boxes"] for each in found], canvas)
        labels = torch.cat([each["labels"] for each in found])
        own = logits[torch.arange(len(labels), device=labels.device), labels].float().sigmoid()
        small = own.split([len(each["labels"]) for each in found])
        found = self.in_images(found, canvas)
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
