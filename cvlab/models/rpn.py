"""The region proposal network: a small head that says at each anchor whether there is an object, and where."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from cvlab import _check
from cvlab.losses import smooth_l1_loss
from cvlab.models._canvas import clip_to_areas
from cvlab.ops import AnchorGenerator, batched_nms, box_iou, decode_boxes, encode_boxes, match_argmax, sample_balanced

UNIT = (1.0, 1.0, 1.0, 1.0)
"""Weights of the offsets, so that a shift by the anchor's width is 1."""


class RPNHead(nn.Module):
    """A 3 x 3 convolution, then one 1 x 1 convolution for objectness and one for offsets, the same on all maps.

    Args:
        channels: of the maps.
        anchors_per_cell: A, the same on all maps.

    Returns:
        Called with a list of maps, for each a logit (B, h w A) and offsets (B, h w A, 4) of every anchor.
    """

    def __init__(self, channels: int, anchors_per_cell: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)
        self.objectness = nn.Conv2d(channels, anchors_per_cell, 1)
        self.offsets = nn.Conv2d(channels, 4 * anchors_per_cell, 1)
        for conv in (self.conv, self.objectness, self.offsets):
            nn.init.normal_(conv.weight, std=0.01)
            nn.init.zeros_(conv.bias)

    def forward(self, maps: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Compute logits and offsets."""
        logits, offsets = [], []
        for m in maps:
            x = functional.relu(self.conv(m))
            logits.append(self.objectness(x).permute(0, 2, 3, 1).flatten(1))  # (B, A, h, w) -> (B, h w A)
            own = self.offsets(x).permute(0, 2, 3, 1)  # (B, 4 A, h, w) -> (B, h, w, 4 A)
            offsets.append(own.reshape(len(own), -1, 4))  # (B, h w A, 4)
        return logits, offsets


class RegionProposals(nn.Module):
    """Proposes regions: the head on each map, its best anchors decoded, and of those that overlap the best.

    Args:
        channels: of the maps.
        anchors: makes the anchors of each map, equally many in each cell.
        high: from this IoU on an anchor learns that it is an object; the best one of each object always does.
        low: below this IoU it learns that it is background; between the two it does not count.
        anchors_per_image: how many are drawn for the loss.
        positive_share: the largest share of objects among them.
        before_nms: how many of the best anchors of each map go into the suppression, in training and evaluation.
        after_nms: how many proposals of an image come out of it, in training and evaluation.
        nms_thresh: IoU above which the weaker of two proposals of a map is suppressed.
        min_size: proposals with a shorter side are dropped, pixels.

    References:
        Ren et al. (2015). Faster R-CNN: towards real-time object detection with region proposal networks. NIPS.
    """

    def __init__(
        self,
        channels: int,
        anchors: AnchorGenerator,
        *,
        high: float = 0.7,
        low: float = 0.3,
        anchors_per_image: int = 64,
        positive_share: float = 0.5,
        before_nms: tuple[int, int] = (300, 300),
        after_nms: tuple[int, int] = (64, 100),
        nms_thresh: float = 0.7,
        min_size: float = 1e-3,
    ) -> None:
        super().__init__()
        counts = anchors.anchors_per_cell
        if len(set(counts)) != 1:
            raise _check.InputError(f"RegionProposals: each map must have as many anchors in a cell, got {counts}")
        _check.positive("RegionProposals", "anchors_per_image, before_nms", [anchors_per_image, *before_nms])
        _check.positive("RegionProposals", "after_nms", after_nms, "training, evaluation")
        for name, value in (("positive_share", positive_share), ("nms_thresh", nms_thresh)):
            _check.fraction("RegionProposals", name, value)
        self.head = RPNHead(channels, counts[0])
        self.anchors = anchors
        self.high, self.low = high, low
        self.anchors_per_image, self.positive_share = anchors_per_image, positive_share
        self.before_nms, self.after_nms = tuple(before_nms), tuple(after_nms)
        self.nms_thresh, self.min_size = nms_thresh, min_size

    def forward(
        self, maps: Sequence[Tensor], size: tuple[int, int], areas: Tensor
    ) -> tuple[list[Tensor], list[Tensor], tuple[Tensor, Tensor, Tensor]]:
        """Propose regions.

        Args:
            maps: each (B, channels, h, w).
            size: height and width of the canvas, pixels.
            areas: (B, 4) xyxy, where each picture lies on it.

        Returns:
            Boxes (P_i, 4) xyxy and objectness (P_i,) in [0, 1] of each image, best first; and logits (B, N), offsets
            (B, N, 4) and anchors (N, 4), which `losses` takes.
        """
        logits, offsets = self.head(maps)
        anchors = self.anchors([m.detach().float() for m in maps], size)
        boxes, scores = self.propose(logits, offsets, anchors, areas)
        return boxes, scores, (torch.cat(logits, 1).float(), torch.cat(offsets, 1).float(), torch.cat(anchors))

    @torch.no_grad()
    def propose(
        self, logits: Sequence[Tensor], offsets: Sequence[Tensor], anchors: Sequence[Tensor], areas: Tensor
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Choose proposals: decode the best anchors of each map, clip, drop the tiny ones, suppress, keep the best.

        Args:
            logits: for each map (B, n).
            offsets: for each map (B, n, 4).
            anchors: for each map (n, 4).
            areas: (B, 4), see `forward`.

        Returns:
            Boxes and objectness of each image, best first.
        """
        phase = 0 if self.training else 1
        boxes, scores, group = [], [], []
        images = torch.arange(len(areas), device=areas.device)[:, None]  # (B, 1)
        for level, (own, deltas, at) in enumerate(zip(logits, offsets, anchors, strict=True)):
            best, which = own.float().topk(min(self.before_nms[phase], own.shape[1]), dim=1)  # (B, k)
            decoded = decode_boxes(deltas[images, which].float(), at[which], UNIT)
            boxes.append(clip_to_areas(decoded, areas[:, None]))
            scores.append(best)
            group.append((images * len(anchors) + level).expand_as(best))
        every, score, of = (
            torch.cat(boxes, 1).flatten(0, 1),
            torch.cat(scores, 1).flatten(),
            torch.cat(group, 1).flatten(),
        )
        large = ((every[:, 2:] - every[:, :2]) >= self.min_size).all(1).nonzero()[:, 0]
        kept = large[batched_nms(every[large], score[large], of[large], self.nms_thresh)]  # best first, over all images
        image = of[kept] // len(anchors)
        mine = [kept[image == i][: self.after_nms[phase]] for i in range(len(areas))]
        return [every[m] for m in mine], [score[m].sigmoid() for m in mine]

    def losses(self, outputs: tuple[Tensor, Tensor, Tensor], boxes: Sequence[Tensor]) -> dict[str, Tensor]:
        """Compute the two losses: object or not, and the offsets of the anchors with objects.

        Args:
            outputs: logits, offsets and anchors, the third that `forward` gives.
            boxes: for each image its objects (G_i, 4) xyxy, pixels of the canvas.

        Returns:
            `loss_objectness` and `loss_rpn_box_reg`, each divided by the number of anchors drawn.
        """
        logits, offsets, anchors = outputs
        drawn, truth, found, wanted = [], [], [], []
        for i, own in enumerate(boxes):
            matches = self.match(anchors, own)
            labels = torch.where(matches >= 0, 1, torch.where(matches == -1, 0, -1))
            objects, background = sample_balanced(labels, self.anchors_per_image, self.positive_share)
            drawn.append(logits[i, torch.cat((objects, background))])
            truth.append((torch.arange(len(drawn[-1]), device=logits.device) < len(objects)).float())
            found.append(offsets[i, objects])
            wanted.append(encode_boxes(own[matches[objects]], anchors[objects], UNIT))
        answers, shifts = torch.cat(drawn), torch.cat(found)
        count = max(1, len(answers))
        wrong = functional.binary_cross_entropy_with_logits(answers, torch.cat(truth), reduction="sum")
        distance = smooth_l1_loss(shifts, torch.cat(wanted), beta=1 / 9, reduction="sum")
        return {"loss_objectness": wrong / count, "loss_rpn_box_reg": distance / count}

    @torch.no_grad()
    def match(self, anchors: Tensor, boxes: Tensor) -> Tensor:
        """Find for each anchor its object, -1 for background, -2 for what does not count.

        Args:
            anchors: (N, 4) xyxy.
            boxes: (G, 4) xyxy; G may be 0.
        """
        return match_argmax(box_iou(boxes, anchors), self.high, self.low, allow_low_quality=True)
