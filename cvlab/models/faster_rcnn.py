"""Faster R-CNN: the proposals come from the network itself, from the same feature maps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from cvlab.models._canvas import Canvas, make_canvas
from cvlab.models._inputs import check_images
from cvlab.models._weights import load_weights
from cvlab.models.backbones import SmallBackbone
from cvlab.models.fast_rcnn import FastRCNN, Losses
from cvlab.models.fpn import Necked
from cvlab.models.rpn import RegionProposals
from cvlab.ops import AnchorGenerator


class FasterRCNN(FastRCNN):
    """Fast R-CNN with a region proposal network on the same maps.

    Args:
        backbone: as `FastRCNN` takes it.
        num_classes: with the background.
        rpn: proposes the regions.
        options: of `FastRCNN`.

    Returns:
        As `FastRCNN`; in training there are the losses `loss_objectness` and `loss_rpn_box_reg` too. Proposals that are
        given take the place of the network's own.

    References:
        Ren et al. (2015). Faster R-CNN: towards real-time object detection with region proposal networks. NIPS.
    """

    def __init__(self, backbone: nn.Module, num_classes: int, rpn: RegionProposals, **options: Any) -> None:
        super().__init__(backbone, num_classes, **options)
        self.rpn = rpn

    def regions(
        self,
        maps: Sequence[Tensor],
        canvas: Canvas,
        truth: Sequence[dict[str, Tensor]] | None,
        given: Sequence[Tensor] | None,
    ) -> tuple[list[Tensor], Losses]:
        """Give the network's proposals, and their losses in training."""
        if given is not None:
            return super().regions(maps, canvas, truth, given)
        boxes, _, outputs = self.rpn(maps, canvas.size, canvas.areas)
        return boxes, {} if truth is None else self.rpn.losses(outputs, [target["boxes"] for target in truth])

    @torch.no_grad()
    def propose(self, images: Sequence[Tensor]) -> list[dict[str, Tensor]]:
        """Give the network's proposals themselves.

        Args:
            images: as the model takes them.

        Returns:
            For each image `boxes` (P, 4) xyxy in its pixels and `scores` (P,), the objectness, best first.
        """
        check_images(type(self).__name__, images)
        canvas = make_canvas(images, self.size, self.longest, self.mean, self.std, self.antialias)
        boxes, scores, _ = self.rpn(self.backbone(canvas.batch), canvas.size, canvas.areas)
        return self.in_images([{"boxes": b, "scores": s} for b, s in zip(boxes, scores, strict=True)], canvas)


def small_parts(width: int = 64) -> tuple[nn.Module, RegionProposals]:
    """Make the backbone and the region proposal network of the small models.

    Args:
        width: channels of the one map, at stride 4.
    """
    backbone = Necked(SmallBackbone((24, 48, 96, 160), (1, 2, 1)), "merge", width)
    anchors = AnchorGenerator([(0.14, 0.22, 0.33, 0.46)], [0.5, 1.0, 2.0])
    return backbone, RegionProposals(width, anchors)


def faster_small(num_classes: int = 11, *, weights: str | None = None, **options: Any) -> FasterRCNN:
    """Make the small Faster R-CNN: 128 x 128 pixels, one map at stride 4 with twelve anchors in each cell.

    Args:
        num_classes: with the background; 11 for all kinds of still life.
        weights: name of shipped weights, such as "faster_small"; None for random ones.
        options: of `FastRCNN`.

    Returns:
        The detector.

    Raises:
        InputError: if the weights are for another number of classes.
    """
    backbone, rpn = small_parts()
    model = FasterRCNN(backbone, num_classes, rpn, **{"size": 128, "hidden": 128, **options})
    return model if weights is None else load_weights(model, weights)
