"""R-CNN: every proposed region is warped to one size and goes through the network on its own."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn
from torch.nn import functional

from cvlab import _check
from cvlab.models._inputs import check_images, plain_targets
from cvlab.models.fast_rcnn import Proposer
from cvlab.ops import batched_nms, box_iou, clip_boxes_to_image, decode_boxes, encode_boxes, roi_align
from cvlab.preprocess import IMAGENET_MEAN, IMAGENET_STD

UNIT = (1.0, 1.0, 1.0, 1.0)
PARTS = ("proposals", "warping", "features", "classifier and boxes", "suppression")
"""What detection is made of, in order."""


class RCNN(nn.Module):
    """A detector of independent parts: proposals, a network's features, a linear classifier, a linear box regression.

    The network is not trained here: `fit` fits the two linear parts to its features.

    Args:
        backbone: maps images (B, 3, H, W) to a list of feature maps; has the list `channels`.
        num_classes: with the background, which is class 0.
        proposer: a function from an image (3, H, W) to boxes (P, 4) xyxy; None where proposals are always given.
        size: side of a warped region, pixels.
        context: how much is added around a region before it is warped, as a share of its sides.
        batch_size: regions that go through the network together.
        score_thresh: detections below are dropped.
        nms_thresh: IoU above which the weaker of two detections of a class is suppressed.
        detections_per_img: how many detections of an image there are at most.
        mean: of the channels, in [0, 1], subtracted from images.
        std: of the channels, by which they are then divided.

    Returns:
        Called with images, for each a dictionary of `boxes`, `scores` and `labels`, as torchvision's detectors give
        them in evaluation.

    Raises:
        InputError: if a number is out of range or, when called, it is not fitted yet, an image is bad, or there are no
            proposals.

    References:
        Girshick et al. (2014). Rich feature hierarchies for accurate object detection. CVPR.
    """

    def __init__(
        self,
        backbone: nn.Module,
        num_classes: int,
        *,
        proposer: Proposer | None = None,
        size: int = 64,
        context: float = 0.1,
        batch_size: int = 256,
        score_thresh: float = 0.05,
        nms_thresh: float = 0.3,
        detections_per_img: int = 100,
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
    ) -> None:
        super().__init__()
        _check.fraction("RCNN", "score_thresh", score_thresh)
        _check.fraction("RCNN", "nms_thresh", nms_thresh)
        _check.positive("RCNN", "size, batch_size, detections_per_img", [size, batch_size, detections_per_img])
        _check.positive("RCNN", "(context,)", (context,), zero=True)
        self.backbone, self.num_classes, self.proposer = backbone.eval(), num_classes, proposer
        self.size, self.context, self.batch_size = size, context, batch_size
        self.score_thresh, self.nms_thresh, self.detections_per_img = score_thresh, nms_thresh, detections_per_img
        count = 4 * sum(backbone.channels)  # 2 x 2 cells of each map
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32)[:, None, None], persistent=False)
        self.register_buffer("class_weight", torch.zeros(num_classes, count))
        self.register_buffer("class_bias", torch.zeros(num_classes))
        self.register_buffer("box_weight", torch.zeros(num_classes, 4, count + 1))  # the last one is the bias
        self.register_buffer("fitted", torch.tensor(False))

    def warp(self, image: Tensor, boxes: Tensor) -> Tensor:
        """Cut regions out of an image and bring each to a square, whatever its shape.

        Args:
            image: (3, H, W) uint8, or float in [0, 1].
            boxes: (N, 4) xyxy, pixels.

        Returns:
            (N, 3, size, size) float; 0 outside the image.
        """
        pixels = image.as_subclass(Tensor).float()
        pixels = pixels / 255 if image.dtype == torch.uint8 else pixels
        margin = (boxes[:, 2:] - boxes[:, :2]) * self.context
        grown = torch.cat((boxes[:, :2] - margin, boxes[:, 2:] + margin), 1)
        return roi_align(pixels[None], [grown], self.size, sampling_ratio=-1, aligned=True)

    @torch.no_grad()
    def features(self, regions: Tensor) -> Tensor:
        """Send warped regions (N, 3, size, size) through the network, and give (N, F): each map's four quarters."""
        self.backbone.eval()
        found = [self.class_weight.new_zeros(0, self.class_weight.shape[1])]
        for some in regions.split(self.batch_size):
            maps = self.backbone((some - self.mean) / self.std)
            found.append(torch.cat([functional.adaptive_avg_pool2d(m, 2).flatten(1) for m in maps], 1))
        return torch.cat(found)

    def fit(
        self,
        images: Sequence[Tensor],
        targets: Sequence[dict[str, Any]],
        proposals: Sequence[Tensor] | None = None,
        *,
        negatives: float = 3.0,
        ridge: float = 100.0,
        seed: int = 0,
    ) -> RCNN:
        """Fit the classifier and the box regression to labelled images.

        Regions that overlap an object by 0.5 learn its class, regions below 0.3 are background, the others do not
        count. Regions from 0.6 on learn the way to their object's box, by least squares with a penalty.

        Args:
            images: each (3, H, W).
            targets: for each `boxes` (G, 4) and `labels` (G,) from 1.
            proposals: for each (P, 4); None to ask the proposer.
            negatives: background regions kept for each one with an object.
            ridge: the penalty on the squares of the box regression's weights.
            seed: of the choice of background.

        Returns:
            The detector itself.

        Raises:
            InputError: if there is no object at all, or something is wrong with an image or target.
        """
        check_images("RCNN.fit", images)
        plain = plain_targets("RCNN.fit", targets, images, self.num_classes)
        if not any(len(target["boxes"]) for target in plain):
            raise _check.InputError("RCNN.fit: there must be an object in some image, got none")
        rows, labels, overlaps, offsets = [], [], [], []
        for i, (image, target) in enumerate(zip(images, plain, strict=True)):
            given = self._proposals(image) if proposals is None else proposals[i]
            boxes = torch.cat((target["boxes"], given))
            overlap, which = self._best(boxes, target["boxes"])
            useful = ((overlap >= 0.5) | (overlap < 0.3)).nonzero()[:, 0]
            boxes, overlap, which = boxes[useful], overlap[useful], which[useful]
            rows.append(self.features(self.warp(image, boxes)))
            overlaps.append(overlap)
            if len(target["boxes"]):
                labels.append(torch.where(overlap >= 0.5, target["labels"][which], 0))
                offsets.append(encode_boxes(target["boxes"][which], boxes, UNIT))
            else:
                labels.append(torch.zeros(len(boxes), dtype=torch.int64))
                offsets.append(torch.zeros(len(boxes), 4))
        self._fit_classes(torch.cat(rows), torch.cat(labels), negatives, seed)
        near = torch.cat(overlaps) >= 0.6
        self._fit_boxes(torch.cat(rows)[near], torch.cat(labels)[near], torch.cat(offsets)[near], ridge)
        self.fitted.fill_(True)
        return self

    @staticmethod
    def _best(boxes: Tensor, objects: Tensor) -> tuple[Tensor, Tensor]:
        """Find for each box the IoU with the object it overlaps most, and which."""
        if len(objects) == 0:
            return torch.zeros(len(boxes)), torch.zeros(len(boxes), dtype=torch.int64)
        return box_iou(boxes, objects).max(1)

    def _fit_classes(self, rows: Tensor, labels: Tensor, negatives: float, seed: int) -> None:
        """Fit the classifier on all regions with objects and some of the background."""
        objects, background = (labels > 0).nonzero()[:, 0], (labels == 0).nonzero()[:, 0]
        shuffled = torch.randperm(len(background), generator=torch.Generator().manual_seed(seed))
        chosen = torch.cat((objects, background[shuffled[: int(negatives * len(objects)) + 1]]))
        mean, std = rows[chosen].mean(0), rows[chosen].std(0) + 1e-6
        model = LogisticRegression(C=0.01, max_iter=300)
        model.fit(((rows[chosen] - mean) / std).numpy(), labels[chosen].numpy())
        weight = torch.from_numpy(model.coef_).float()
        if len(model.classes_) == 2:  # one row for the second class against the first
            weight = torch.cat((-weight, weight)) / 2
            bias = torch.from_numpy(model.intercept_).float().repeat(2) * torch.tensor([-0.5, 0.5])
        else:
            bias = torch.from_numpy(model.intercept_).float()
        known = torch.from_numpy(model.classes_)
        self.class_weight.zero_()
        self.class_bias.fill_(-1e4)  # classes never seen are never found
        self.class_weight[known] = weight / std
        self.class_bias[known] = bias - weight @ (mean / std)

    def _fit_boxes(self, rows: Tensor, labels: Tensor, offsets: Tensor, ridge: float) -> None:
        """Solve (X^T X + ridge I) w = X^T y for each class; the bias is not punished."""
        self.box_weight.zero_()
        for label in labels.unique().tolist():
            own = torch.cat((rows[labels == label], torch.ones(int((labels == label).sum()), 1)), 1).double()
            penalty = ridge * torch.eye(own.shape[1], dtype=torch.float64)
            penalty[-1, -1] = 1e-6
            solved = torch.linalg.solve(own.t() @ own + penalty, own.t() @ offsets[labels == label].double())
            self.box_weight[label] = solved.t().float()

    def _proposals(self, image: Tensor) -> Tensor:
        if self.proposer is None:
            raise _check.InputError("RCNN: there must be proposals for each image, or a proposer")
        return self.proposer(image)

    def classify(self, rows: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
        """Score regions and move them to where the objects are.

        Args:
            rows: (N, F) features.
            boxes: (N, 4) the regions.

        Returns:
            Scores (N, K - 1) of the classes from 1 on, and a box for each class (N, K - 1, 4).
        """
        scores = (rows @ self.class_weight.t() + self.class_bias).softmax(1)[:, 1:]
        shifts = torch.einsum("nf,kcf->nkc", functional.pad(rows, (0, 1), value=1.0), self.box_weight[1:])
        return scores, decode_boxes(shifts, boxes[:, None], UNIT)

    def suppress(self, scores: Tensor, boxes: Tensor, size: tuple[int, int]) -> dict[str, Tensor]:
        """Keep of each class the best boxes that do not overlap a better one.

        Args:
            scores: (N, K - 1).
            boxes: (N, K - 1, 4).
            size: height and width of the image, pixels.
        """
        region, label = (scores > self.score_thresh).nonzero().unbind(1)
        found, score = clip_boxes_to_image(boxes[region, label], size), scores[region, label]
        whole = ((found[:, 2:] - found[:, :2]) > 0).all(1)
        found, score, label = found[whole], score[whole], label[whole] + 1
        kept = batched_nms(found, score, label, self.nms_thresh)[: self.detections_per_img]
        return {"boxes": found[kept], "scores": score[kept], "labels": label[kept]}

    def forward(
        self, images: Sequence[Tensor], targets: Any = None, proposals: Sequence[Tensor] | None = None
    ) -> list[dict[str, Tensor]]:
        """Detect; `targets` are not looked at, it learns by `fit` alone."""
        check_images("RCNN", images)
        given = [None] * len(images) if proposals is None else proposals
        return [self.detect(image, boxes)[0] for image, boxes in zip(images, given, strict=True)]

    @torch.no_grad()
    def detect(self, image: Tensor, proposals: Tensor | None = None) -> tuple[dict[str, Tensor], dict[str, float]]:
        """Detect in one image, with a stopwatch.

        Args:
            image: (3, H, W).
            proposals: (P, 4); None to ask the proposer.

        Returns:
            The detections, and the seconds of each of `PARTS`.
        """
        if not bool(self.fitted):
            raise _check.InputError("RCNN: it must be fitted before it can detect, see RCNN.fit")
        marks = [time.perf_counter()]

        def done(value: Any) -> Any:
            marks.append(time.perf_counter())
            return value

        boxes = done(self._proposals(image) if proposals is None else proposals)
        regions = done(self.warp(image, boxes))
        rows = done(self.features(regions))
        scores, moved = done(self.classify(rows, boxes))
        found = done(self.suppress(scores, moved, (image.shape[1], image.shape[2])))
        seconds = [end - start for start, end in zip(marks, marks[1:], strict=False)]
        return found, dict(zip(PARTS, seconds, strict=True))
