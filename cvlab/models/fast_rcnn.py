"""Fast R-CNN: the image goes through the network once, and regions are cut out of its feature maps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from cvlab import _check
from cvlab.models._canvas import Canvas, clip_to_areas, make_canvas
from cvlab.models._inputs import check_images, plain_targets
from cvlab.models.regions import Samples, region_losses, sample_regions
from cvlab.models.roi_heads import BoxHead
from cvlab.ops import batched_nms, decode_boxes, multiscale_roi_align, roi_pool
from cvlab.ops.boxes import upcast
from cvlab.preprocess import IMAGENET_MEAN, IMAGENET_STD

Proposer = Callable[[Tensor], Tensor]
Losses = dict[str, Tensor]


class FastRCNN(nn.Module):
    """A detector that says of each of many proposed regions what is in it and where exactly.

    The proposals come with the images or from a function such as `cvlab.proposals.selective_search`.

    Args:
        backbone: maps images (B, 3, H, W) to a list of maps of one width; has the lists `channels` and `strides`.
        num_classes: with the background, which is class 0.
        proposer: a function from an image (3, H, W) to boxes (P, 4) xyxy; None where proposals are always given.
        size: side, or (height, width), of the canvas to which images are letterboxed, pixels. With `longest`, what the
            shorter side is brought to.
        longest: what the longer side may reach, pixels; the canvas then fits the images. None for letterboxes.
        antialias: let every pixel count when an image shrinks; torchvision does not.
        mean: of the channels, in [0, 1], subtracted from images.
        std: of the channels, by which they are then divided.
        pool: how regions are cut out, "align" (RoIAlign) or "pool" (RoIPool, on one map only).
        aligned: whether RoIAlign places samples half a cell to the left and up, as is right; torchvision's models do
            not.
        roi_size: side of a region, cells.
        sampling_ratio: RoIAlign's samples on each side of a cell.
        hidden: width of the box head's two layers.
        rois_per_image: how many regions of an image are drawn for the loss.
        positive_share: the largest share of objects among them.
        iou_thresh: from this IoU on a region learns an object.
        box_weights: of the offsets.
        score_thresh: detections below are dropped.
        nms_thresh: IoU above which the weaker of two detections of a class is suppressed.
        detections_per_img: how many detections of an image there are at most.
        min_size: detections with a shorter side are dropped, pixels.

    Returns:
        Called in training with images and targets, a dictionary of losses, named as torchvision's; called in evaluation
        with images, for each a dictionary of `boxes` (N, 4) xyxy in that image's pixels, `scores` (N,) and `labels`
        (N,), best first. Images are a list of (3, H, W), uint8 or float in [0, 1], of any sizes; a target has `boxes`,
        `labels` from 1 and may have `proposals` (P, 4) xyxy.

    Raises:
        InputError: if numbers do not fit each other or, when called, an image, a target or proposals are bad or
            missing; the message names which.

    References:
        Girshick (2015). Fast R-CNN. ICCV.
    """

    def __init__(
        self,
        backbone: nn.Module,
        num_classes: int,
        *,
        proposer: Proposer | None = None,
        size: int | tuple[int, int] = 128,
        longest: int | None = None,
        antialias: bool = True,
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
        pool: str = "align",
        aligned: bool = True,
        roi_size: int = 7,
        sampling_ratio: int = 2,
        hidden: int = 256,
        rois_per_image: int = 32,
        positive_share: float = 0.25,
        iou_thresh: float = 0.5,
        box_weights: tuple[float, float, float, float] = (10.0, 10.0, 5.0, 5.0),
        score_thresh: float = 0.05,
        nms_thresh: float = 0.5,
        detections_per_img: int = 100,
        min_size: float = 1e-2,
    ) -> None:
        super().__init__()
        op = type(self).__name__
        _check.choice(op, "pool", pool, ("align", "pool"))
        for name, value in (("iou_thresh", iou_thresh), ("score_thresh", score_thresh), ("nms_thresh", nms_thresh)):
            _check.fraction(op, name, value)
        _check.fraction(op, "positive_share", positive_share)
        _check.positive(op, "rois_per_image, detections_per_img", [rois_per_image, detections_per_img])
        if num_classes < 2:
            raise _check.InputError(f"{op}: num_classes counts the background, so it is at least 2, got {num_classes}")
        if len(set(backbone.channels)) != 1 or (pool == "pool" and len(backbone.channels) != 1):
            wanted = "one map" if pool == "pool" else "maps of one width"
            raise _check.InputError(f"{op}: the backbone must give {wanted}, got channels {backbone.channels}")
        self.size = (size, size) if isinstance(size, int) else tuple(size)
        _check.positive(op, "size", self.size, "height, width")
        self.backbone, self.num_classes, self.proposer = backbone, num_classes, proposer
        self.longest, self.antialias = longest, antialias
        self.pool, self.aligned, self.roi_size, self.sampling_ratio = pool, aligned, roi_size, sampling_ratio
        self.rois_per_image, self.positive_share, self.iou_thresh = rois_per_image, positive_share, iou_thresh
        self.box_weights = box_weights
        self.score_thresh, self.nms_thresh = score_thresh, nms_thresh
        self.detections_per_img, self.min_size = detections_per_img, min_size
        self.box_head = BoxHead(backbone.channels[0], roi_size, hidden, num_classes)
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32)[:, None, None], persistent=False)

    def forward(
        self,
        images: Sequence[Tensor],
        targets: Sequence[dict[str, Any]] | None = None,
        proposals: Sequence[Tensor] | None = None,
    ) -> Any:
        """Compute losses in training, detections in evaluation.

        Args:
            images: see the class.
            targets: see the class.
            proposals: for each image (P_i, 4) xyxy, instead of those of the targets or of the proposer.
        """
        op = type(self).__name__
        check_images(op, images)
        truth = self.truth(targets, images) if self.training else None
        canvas = make_canvas(images, self.size, self.longest, self.mean, self.std, self.antialias)
        for target, plan in zip(truth or [], canvas.plans, strict=bool(truth)):
            target["boxes"] = plan.boxes(target["boxes"])
        maps = self.backbone(canvas.batch)
        given = self._given(images, targets, proposals)
        boxes, losses = self.regions(maps, canvas, truth, given)
        if truth is None:
            return self.detections(maps, boxes, canvas)
        samples = sample_regions(
            boxes, truth, self.rois_per_image, self.positive_share, self.iou_thresh, self.box_weights
        )
        return losses | self.losses(maps, samples, truth, canvas)

    def truth(self, targets: Sequence[dict[str, Any]] | None, images: Sequence[Tensor]) -> list[dict[str, Tensor]]:
        """Give the checked targets; see `plain_targets`."""
        return plain_targets(type(self).__name__, targets, images, self.num_classes)

    def regions(
        self,
        maps: Sequence[Tensor],
        canvas: Canvas,
        truth: Sequence[dict[str, Tensor]] | None,
        given: Sequence[Tensor] | None,
    ) -> tuple[list[Tensor], Losses]:
        """Give the proposals on the canvas, and what losses there are of proposing them: here none."""
        if given is None:
            raise _check.InputError(f"{type(self).__name__}: there must be proposals for each image, or a proposer")
        boxes = []
        for i, own in enumerate(given):
            where = f"{type(self).__name__}: image {i}"
            _check.tensor(where, "proposals", own)
            _check.shape(where, "proposals", own, ("P", 4))
            _check.boxes(where, "proposals", own)
            on_canvas = canvas.plans[i].boxes(own.as_subclass(Tensor).to(canvas.areas.device, torch.float32))
            clipped = clip_to_areas(on_canvas, canvas.areas[i])
            boxes.append(clipped[((clipped[:, 2:] - clipped[:, :2]) >= 1).all(1)])
        return boxes, {}

    def _given(
        self,
        images: Sequence[Tensor],
        targets: Sequence[dict[str, Any]] | None,
        proposals: Sequence[Tensor] | None,
    ) -> Sequence[Tensor] | None:
        """Find the proposals: those given, those of the targets, or the proposer's."""
        if proposals is not None:
            if len(proposals) != len(images):
                op = type(self).__name__
                raise _check.InputError(f"{op}: there must be proposals for {len(images)} images, got {len(proposals)}")
            return proposals
        if targets is not None and all("proposals" in target for target in targets):
            return [target["proposals"] for target in targets]
        return None if self.proposer is None else [self.proposer(image) for image in images]

    def cut_out(self, maps: Sequence[Tensor], boxes: Sequence[Tensor], canvas: Canvas, size: int) -> Tensor:
        """Cut regions out of the maps.

        Args:
            maps: each (B, channels, h, w).
            boxes: for each image (N_i, 4) xyxy, pixels of the canvas.
            canvas: for its size.
            size: side of a region, cells.

        Returns:
            (N, channels, size, size), the regions of all images one after the other.
        """
        maps = [upcast(m) for m in maps]
        if self.pool == "pool":
            return roi_pool(maps[0], list(boxes), size, maps[0].shape[-1] / canvas.size[1])
        return multiscale_roi_align(
            maps, list(boxes), size, canvas.size, sampling_ratio=self.sampling_ratio, aligned=self.aligned
        )

    def losses(
        self, maps: Sequence[Tensor], samples: Samples, truth: Sequence[dict[str, Tensor]], canvas: Canvas
    ) -> Losses:
        """Compute the losses of the heads: here of the box head."""
        logits, offsets = self.box_head(self.cut_out(maps, samples.boxes, canvas, self.roi_size))
        return region_losses(logits.float(), offsets.float(), samples)

    @torch.no_grad()
    def detections(self, maps: Sequence[Tensor], boxes: Sequence[Tensor], canvas: Canvas) -> list[dict[str, Tensor]]:
        """Turn regions into detections in the images' own pixels: here boxes."""
        return self.in_images(self.on_canvas(maps, boxes, canvas), canvas)

    def on_canvas(self, maps: Sequence[Tensor], boxes: Sequence[Tensor], canvas: Canvas) -> list[dict[str, Tensor]]:
        """Classify regions, move them to where the objects are, and suppress what overlaps; pixels of the canvas.

        Args:
            maps: each (B, channels, h, w).
            boxes: for each image the regions (P_i, 4).
            canvas: for its size and the pictures' places.

        Returns:
            For each image `boxes` (N, 4), `scores` (N,) and `labels` (N,), best first.
        """
        logits, offsets = self.box_head(self.cut_out(maps, boxes, canvas, self.roi_size))
        scores = logits.float().softmax(1)[:, 1:]  # (R, K - 1)
        image_of = torch.repeat_interleave(torch.tensor([len(b) for b in boxes], device=scores.device))
        region, label = (scores > self.score_thresh).nonzero().unbind(1)
        label, score, image = label + 1, scores[region, label], image_of[region]
        found = decode_boxes(offsets[region, label].float(), torch.cat(list(boxes))[region], self.box_weights)
        found = clip_to_areas(found, canvas.areas[image])
        large = ((found[:, 2:] - found[:, :2]) >= self.min_size).all(1).nonzero()[:, 0]
        group = image * self.num_classes + label
        kept = large[batched_nms(found[large], score[large], group[large], self.nms_thresh)]
        mine = [kept[image[kept] == i][: self.detections_per_img] for i in range(len(boxes))]
        return [{"boxes": found[m], "scores": score[m], "labels": label[m]} for m in mine]

    def in_images(self, found: Sequence[dict[str, Tensor]], canvas: Canvas) -> list[dict[str, Tensor]]:
        """Carry boxes from the canvas back into the images."""
        return [
            each | {"boxes": plan.undo_boxes(each["boxes"])} for each, plan in zip(found, canvas.plans, strict=True)
        ]
