"""SSD: one network that looks at several feature maps at once, and says at each anchor which class and which box.

Large objects are found on deep, coarse maps, small ones on shallow, fine maps.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from cvlab import _check
from cvlab.losses import MultiBoxLoss
from cvlab.models._inputs import batch_images, check_images, plain_targets
from cvlab.models._weights import load_weights
from cvlab.models.backbones import SmallBackbone
from cvlab.ops import AnchorGenerator, batched_nms, clip_boxes_to_image, decode_boxes, detection_targets, pad_targets
from cvlab.preprocess import IMAGENET_MEAN, IMAGENET_STD, ResizeMap, letterbox, stretch

Size = tuple[int, int]


class SSDHead(nn.Module):
    """Two 3 x 3 convolutions on each map: one for the classes of all anchors, one for their offsets.

    Of the class convolution, channel i K + j is anchor i's logit of class j, K classes with the background; of the
    other, channel 4 i + k is anchor i's k-th offset. The results of all maps are joined in the order of the anchors:
    map by map, row by row, cell by cell, anchor by anchor.

    Args:
        channels: of each map.
        anchors_per_cell: on each map.
        num_classes: K, with the background.

    Returns:
        Called with a list of maps, logits (B, A, K) and offsets (B, A, 4).
    """

    def __init__(self, channels: Sequence[int], anchors_per_cell: Sequence[int], num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        pairs = list(zip(channels, anchors_per_cell, strict=True))
        self.classes = nn.ModuleList(nn.Conv2d(c, a * num_classes, 3, padding=1) for c, a in pairs)
        self.offsets = nn.ModuleList(nn.Conv2d(c, a * 4, 3, padding=1) for c, a in pairs)

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Compute logits and offsets."""
        logits = torch.cat([_rows(conv(m), self.num_classes) for conv, m in zip(self.classes, maps, strict=True)], 1)
        offsets = torch.cat([_rows(conv(m), 4) for conv, m in zip(self.offsets, maps, strict=True)], 1)
        return logits, offsets


def _rows(x: Tensor, length: int) -> Tensor:
    return x.permute(0, 2, 3, 1).reshape(x.shape[0], -1, length)  # (B, a * length, h, w) -> (B, h * w * a, length)


class SSD(nn.Module):
    """A single-shot detector on any backbone, with torchvision's calling convention.

    Args:
        backbone: maps images (B, 3, H, W) to a list of feature maps; has the lists `channels` and `strides`.
        num_classes: with the background, which is class 0.
        anchors: makes the anchors of each map.
        size: (height, width) of the network's input, pixels; images of any size are brought to it.
        resize: "letterbox" keeps the aspect ratio and pads, "stretch" does not, as torchvision's SSD.
        antialias: let every pixel count when an image shrinks; torchvision's SSD does not.
        mean: of the channels, in [0, 1], subtracted from images.
        std: of the channels, by which they are then divided.
        loss: which errors count, and how scores are made of logits.
        iou_thresh: from this IoU on an anchor learns an object.
        score_thresh: detections below are dropped.
        nms_thresh: IoU above which the weaker of two detections of a class is suppressed.
        topk_candidates: how many detections of each class of each image go into the suppression.
        detections_per_img: how many come out of it.

    Returns:
        Called in training with images and targets, a dictionary of losses; called in evaluation with images, for each a
        dictionary of `boxes` (N, 4) xyxy in that image's pixels, `scores` (N,) and `labels` (N,), best first. Images
        are a list of (3, H, W), uint8 or float in [0, 1], of any sizes; a target has `boxes` and `labels` from 1.

    Raises:
        InputError: if numbers do not fit each other, the input is smaller than the deepest map's stride, or, when
            called, an image or a target is bad; the message names which.

    References:
        Liu et al. (2016). SSD: single shot multibox detector. ECCV.
    """

    def __init__(
        self,
        backbone: nn.Module,
        num_classes: int,
        anchors: AnchorGenerator,
        *,
        size: int | Size = 128,
        resize: str = "letterbox",
        antialias: bool = True,
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
        loss: MultiBoxLoss | None = None,
        iou_thresh: float = 0.5,
        score_thresh: float = 0.05,
        nms_thresh: float = 0.45,
        topk_candidates: int = 100,
        detections_per_img: int = 100,
    ) -> None:
        super().__init__()
        _check.choice("SSD", "resize", resize, ("letterbox", "stretch"))
        for name, value in (("iou_thresh", iou_thresh), ("score_thresh", score_thresh), ("nms_thresh", nms_thresh)):
            _check.fraction("SSD", name, value)
        _check.positive("SSD", "topk_candidates, detections_per_img", [topk_candidates, detections_per_img])
        if num_classes < 2:
            raise _check.InputError(f"SSD: num_classes counts the background, so it is at least 2, got {num_classes}")
        if len(backbone.channels) != len(anchors.anchors_per_cell):
            raise _check.InputError(
                f"SSD: the backbone gives {len(backbone.channels)} maps, but there are anchors for "
                f"{len(anchors.anchors_per_cell)}"
            )
        self.size = (size, size) if isinstance(size, int) else tuple(size)
        _check.positive("SSD", "size", self.size, "height, width")
        if min(self.size) < max(backbone.strides):
            raise _check.InputError(
                f"SSD: size must be at least the deepest map's stride, {max(backbone.strides)} pixels, got {self.size}"
            )
        self.backbone, self.num_classes = backbone, num_classes
        self.resize, self.antialias = resize, antialias
        self.loss = loss or MultiBoxLoss()
        self.head = SSDHead(backbone.channels, anchors.anchors_per_cell, num_classes)
        self.iou_thresh, self.score_thresh, self.nms_thresh = iou_thresh, score_thresh, nms_thresh
        self.topk_candidates, self.detections_per_img = topk_candidates, detections_per_img
        self.register_buffer(
            "anchors", torch.cat(anchors(_map_sizes(backbone, self.size), self.size)), persistent=False
        )
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32)[:, None, None], persistent=False)
        if self.loss.classification == "focal":  # so that at first every class of every anchor has the score 0.01
            for conv in self.head.classes:
                nn.init.constant_(conv.bias, -math.log(99))

    def network(self, batch: Tensor) -> tuple[Tensor, Tensor]:
        """Compute what the heads say.

        Args:
            batch: (B, 3, height, width) float in [0, 1], of the network's `size`.

        Returns:
            Logits (B, A, K) and offsets (B, A, 4) of the A `anchors`.
        """
        return self.head(self.backbone((batch.to(self.mean.dtype) - self.mean) / self.std))

    def forward(self, images: Sequence[Tensor], targets: Sequence[dict[str, Any]] | None = None) -> Any:
        """Compute losses in training, detections in evaluation."""
        check_images("SSD", images)
        plan = letterbox if self.resize == "letterbox" else stretch
        to_input = [plan(tuple(image.shape[1:]), self.size) for image in images]
        batch = batch_images(images, to_input, self.antialias)
        if not self.training:
            return self.detections(*self.network(batch), to_input)
        plain = plain_targets("SSD", targets, images, self.num_classes)
        for target, m in zip(plain, to_input, strict=True):
            target["boxes"] = m.boxes(target["boxes"])
        boxes, labels = pad_targets(plain)
        learn = detection_targets(self.anchors, boxes, labels, self.iou_thresh)
        logits, offsets = self.network(batch)
        return self.loss(logits.float(), offsets.float(), learn, self.anchors)

    @torch.no_grad()
    def detections(self, logits: Tensor, offsets: Tensor, to_input: Sequence[ResizeMap]) -> list[dict[str, Tensor]]:
        """Turn what the heads say into detections: the best candidates of each class, decoded, suppressed, sent back.

        Args:
            logits: (B, A, K).
            offsets: (B, A, 4).
            to_input: How each image came to the network's size.

        Returns:
            For each image `boxes`, `scores` and `labels`.
        """
        image, label, scores, boxes = self.candidates(logits, offsets)
        group = image * self.num_classes + label
        kept = batched_nms(boxes, scores, group, self.nms_thresh)  # best first, over all images
        found = []
        for i, m in enumerate(to_input):
            mine = kept[image[kept] == i][: self.detections_per_img]
            own = m.undo_boxes(boxes[mine])
            whole = ((own[:, 2:] - own[:, :2]) > 0).all(1)  # nothing is left of a box that lies in the padding
            found.append({"boxes": own[whole], "scores": scores[mine][whole], "labels": label[mine][whole]})
        return found

    def candidates(self, logits: Tensor, offsets: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Choose of each class of each image the best anchors above the threshold, and decode their boxes.

        Args:
            logits: (B, A, K).
            offsets: (B, A, 4).

        Returns:
            For each of N candidates its image (N,), label (N,), score (N,), and box (N, 4), xyxy in pixels of the
            input, clipped to it.
        """
        scores = self.loss.scores(logits.float())  # (B, A, K - 1)
        best, anchor = scores.transpose(1, 2).topk(min(self.topk_candidates, scores.shape[1]), dim=2)  # (B, K - 1, n)
        image, label, rank = (best > self.score_thresh).nonzero().unbind(1)
        anchor = anchor[image, label, rank]
        boxes = decode_boxes(offsets[image, anchor].float(), self.anchors[anchor])
        return image, label + 1, best[image, label, rank], clip_boxes_to_image(boxes, self.size)


def _map_sizes(backbone: nn.Module, size: Size) -> list[Size]:
    training = backbone.training
    device = next((p.device for p in backbone.parameters()), None)
    with torch.no_grad():
        maps = backbone.eval()(torch.zeros(1, 3, *size, device=device))
    backbone.train(training)
    return [(m.shape[-2], m.shape[-1]) for m in maps]


def ssd_small(num_classes: int = 11, *, weights: str | None = None, **options: Any) -> SSD:
    """Make the small SSD: 128 x 128 pixels, three maps at strides 8, 16 and 32, four anchors in each cell.

    Args:
        num_classes: with the background; 11 for all kinds of still life.
        weights: name of shipped weights, such as "ssd_small"; None for random ones.
        options: of `SSD`.

    Returns:
        The detector; 1.4 million parameters.

    Raises:
        InputError: if the weights are for another number of classes.
    """
    anchors = AnchorGenerator([(0.13, 0.18), (0.25, 0.33), (0.42, 0.5)], [1.0, 2.0, 0.5], pairing="first")
    model = SSD(SmallBackbone(), num_classes, **{"anchors": anchors, "size": 128, **options})
    return model if weights is None else load_weights(model, weights)


def ssd_256(num_classes: int = 11, *, weights: str | None = None, **options: Any) -> SSD:
    """Make the SSD for 256 x 256 pixels: four maps at strides 8 to 64, four anchors in each cell.

    Args:
        num_classes: with the background; 11 for all kinds of still life.
        weights: name of shipped weights, such as "ssd_256"; None for random ones.
        options: of `SSD`.

    Returns:
        The detector; 1.5 million parameters.

    Raises:
        InputError: if the weights are for another number of classes.
    """
    backbone = SmallBackbone((24, 48, 96, 128, 128, 128), (1, 2, 1, 1, 1), maps=4)
    scales = [(0.1, 0.13), (0.18, 0.24), (0.3, 0.36), (0.43, 0.5)]
    anchors = AnchorGenerator(scales, [1.0, 2.0, 0.5], pairing="first")
    model = SSD(backbone, num_classes, **{"anchors": anchors, "size": 256, **options})
    return model if weights is None else load_weights(model, weights)
