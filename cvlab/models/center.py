"""CenterNet: an object is the point at its centre. No anchors, no matching, no suppression of overlapping boxes.

One map says how likely a cell holds the centre of an object of each class; others say where in the cell, how large the
object is and, if asked, where its key points are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from cvlab import _check
from cvlab import weights as shipped
from cvlab.losses import smooth_l1_loss
from cvlab.losses.center import penalty_reduced_focal_loss
from cvlab.models._inputs import batch_images, check_images, keypoint_names, plain_keypoints, plain_targets
from cvlab.models._weights import load_weights
from cvlab.models.backbones import ConvNormAct, SmallBackbone
from cvlab.models.center_targets import CenterTargets, center_targets, decode_centers
from cvlab.models.fpn import MergeMaps
from cvlab.preprocess import IMAGENET_MEAN, IMAGENET_STD, ResizeMap, letterbox

Size = tuple[int, int]


class CenterHead(nn.Module):
    """Says of each cell everything there is to say: a hidden 3 x 3 convolution and a 1 x 1 convolution for each map.

    Args:
        width: channels of the map that comes in.
        outputs: channels of each map that goes out, by name.
        prior: the probability that the map `heatmap` gives to every class of every cell before training.

    Returns:
        Called with (B, width, h, w), a dictionary of maps (B, channels, h, w).
    """

    def __init__(self, width: int, outputs: dict[str, int], prior: float = 0.01) -> None:
        super().__init__()
        self.maps = nn.ModuleDict(
            {name: nn.Sequential(ConvNormAct(width, width), nn.Conv2d(width, c, 1)) for name, c in outputs.items()}
        )
        nn.init.constant_(self.maps["heatmap"][1].bias, math.log(prior / (1 - prior)))

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Compute the maps."""
        return {name: branch(x) for name, branch in self.maps.items()}


class CenterNet(nn.Module):
    """A detector without anchors on any backbone, with torchvision's calling convention.

    Args:
        backbone: maps images (B, 3, H, W) to a list of feature maps, the finest first, each half as fine as the one
            before; has the lists `channels` and `strides`. The finest map's stride is the detector's.
        num_classes: with the background, which is class 0.
        size: (height, width) of the network's input, pixels; images of any size are letterboxed to it.
        keypoints: names of the key points of every object, or their number; 0 for none.
        width: channels of the merged map and of the hidden layer of each head.
        mean: of the channels, in [0, 1], subtracted from images.
        std: of the channels, by which they are then divided.
        min_iou: how wide the peaks of the true heat map are, see `gaussian_radius`.
        offset_weight: factor of the offsets' loss.
        size_weight: factor of the sizes' loss.
        keypoint_weight: factor of the key points' loss.
        score_thresh: detections whose score is not above it are dropped.
        detections_per_img: how many detections of an image there are at most.

    Returns:
        Called in training with images and targets, a dictionary of losses; called in evaluation with images, for each a
        dictionary of `boxes` (N, 4) xyxy in that image's pixels, `scores` (N,), `labels` (N,) and, where there are key
        points, `keypoints` (N, n, 2) xy, best first. Images are a list of (3, H, W), uint8 or float in [0, 1], of any
        sizes; a target has `boxes`, `labels` from 1 and, where there are key points, `keypoints` (G, n, 2) with
        `keypoints_visible` (G, n), or `keypoints` (G, n, 3) whose last column is 0 for points that do not count.

    Raises:
        InputError: if numbers do not fit each other, the input is smaller than the deepest map's stride, or, when
            called, an image or a target is bad; the message names which.

    Notes:
        torchvision's Keypoint R-CNN gives `keypoints` a third column, which is always 1, and clips them to the image.
        Here a key point may lie outside: of an object that the image's edge cuts off, it is still where it is.

        Key points that look alike, such as a banana's two ends, take much longer to learn than boxes: as long as the
        network cannot tell which is which, any point between them has the same expected error, and it says the middle.

    References:
        Zhou, Wang, Krähenbühl (2019). Objects as points.
    """

    def __init__(
        self,
        backbone: nn.Module,
        num_classes: int,
        *,
        size: int | Size = 128,
        keypoints: int | Sequence[str] = 0,
        width: int = 64,
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
        min_iou: float = 0.7,
        offset_weight: float = 1.0,
        size_weight: float = 0.1,
        keypoint_weight: float = 1.0,
        score_thresh: float = 0.05,
        detections_per_img: int = 100,
    ) -> None:
        super().__init__()
        op = "CenterNet"
        _check.fraction(op, "score_thresh", score_thresh)
        _check.fraction(op, "min_iou", min_iou)
        weights = (offset_weight, size_weight, keypoint_weight)
        _check.positive(op, "(offset_weight, size_weight, keypoint_weight)", weights, zero=True)
        if num_classes < 2:
            raise _check.InputError(f"{op}: num_classes counts the background, so it is at least 2, got {num_classes}")
        strides = list(backbone.strides)
        if any(b != 2 * a for a, b in zip(strides[:-1], strides[1:], strict=True)):
            raise _check.InputError(f"{op}: each of the backbone's strides must be twice the last, got {strides}")
        self.size = (size, size) if isinstance(size, int) else tuple(size)
        if min(self.size) < max(strides):
            raise _check.InputError(
                f"{op}: size must be at least the deepest map's stride, {max(strides)} pixels, got {self.size}"
            )
        self.keypoints = keypoint_names(op, keypoints)
        self.backbone, self.num_classes, self.stride, self.min_iou = backbone, num_classes, strides[0], min_iou
        self.merge = MergeMaps(backbone.channels, width)
        outputs = {"heatmap": num_classes - 1, "offset": 2, "size": 2}
        if self.keypoints:
            outputs["keypoints"] = 2 * len(self.keypoints)
        self.head = CenterHead(width, outputs)
        self.weights = {"offset": offset_weight, "size": size_weight, "keypoints": keypoint_weight}
        self.score_thresh, self.detections_per_img = score_thresh, detections_per_img
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32)[:, None, None], persistent=False)

    def network(self, batch: Tensor) -> dict[str, Tensor]:
        """Compute what the heads say.

        Args:
            batch: (B, 3, height, width) float in [0, 1], of the network's `size`.

        Returns:
            The maps `heatmap` (B, K - 1, h, w) as logits, `offset` and `size` (B, 2, h, w) and, where there are key
            points, `keypoints` (B, 2n, h, w), in cells.
        """
        return self.head(self.merge(self.backbone((batch - self.mean) / self.std)))

    def forward(self, images: Sequence[Tensor], targets: Sequence[dict[str, Any]] | None = None) -> Any:
        """Compute losses in training, detections in evaluation."""
        check_images("CenterNet", images)
        to_input = [letterbox(tuple(image.shape[1:]), self.size) for image in images]
        batch = batch_images(images, to_input)
        if not self.training:
            return self.detections(self.network(batch), to_input)
        plain = plain_targets("CenterNet", targets, images, self.num_classes)
        for i, (target, m) in enumerate(zip(plain, to_input, strict=True)):
            if self.keypoints:
                points, visible = plain_keypoints("CenterNet", i, targets[i], len(target["boxes"]), self.keypoints)
                target["keypoints"], target["keypoints_visible"] = m.points(points), visible
            target["boxes"] = m.boxes(target["boxes"])
        map_size = (math.ceil(self.size[0] / self.stride), math.ceil(self.size[1] / self.stride))
        learn = center_targets(plain, self.num_classes, map_size, self.stride, self.min_iou)
        return self.losses(self.network(batch), learn)

    def losses(self, maps: dict[str, Tensor], targets: CenterTargets) -> dict[str, Tensor]:
        """Compare what the heads say with what they should say.

        Args:
            maps: As `network` gives them.
            targets: As `center_targets` gives them.

        Returns:
            The losses `heatmap`, `offset`, `size` and, where there are key points, `keypoints`, each one number. They
            are divided by the number of objects, the last by that of visible key points.
        """
        objects = max(len(targets.cells), 1)
        focal = penalty_reduced_focal_loss(maps["heatmap"].float(), targets.heatmap, reduction="sum")
        found = {"heatmap": focal / objects}
        image, row, column = targets.cells.unbind(1)
        for name, truth in (("offset", targets.offset), ("size", targets.size)):
            said = maps[name][image, :, row, column].float()  # (P, 2)
            found[name] = self.weights[name] * smooth_l1_loss(said, truth, beta=0, reduction="sum") / objects
        if self.keypoints:
            said = maps["keypoints"][image, :, row, column].float().unflatten(1, (-1, 2))  # (P, 2n) -> (P, n, 2)
            visible = targets.visible
            distance = smooth_l1_loss(said[visible], targets.keypoints[visible], beta=0, reduction="sum")
            found["keypoints"] = self.weights["keypoints"] * distance / visible.sum().clamp(min=1)
        return found

    @torch.no_grad()
    def detections(self, maps: dict[str, Tensor], to_input: Sequence[ResizeMap]) -> list[dict[str, Tensor]]:
        """Turn what the heads say into detections: local maxima, decoded, and sent back into each image.

        Args:
            maps: As `network` gives them.
            to_input: How each image came to the network's size.

        Returns:
            For each image `boxes`, `scores`, `labels` and, where there are key points, `keypoints`.
        """
        centers = decode_centers(maps, self.stride, self.detections_per_img, self.score_thresh)
        found = []
        for i, m in enumerate(to_input):
            mine = centers.image == i
            boxes = m.undo_boxes(centers.boxes[mine])
            whole = ((boxes[:, 2:] - boxes[:, :2]) > 0).all(1)  # nothing is left of a box that lies in the padding
            own = {"boxes": boxes[whole], "scores": centers.scores[mine][whole], "labels": centers.labels[mine][whole]}
            if self.keypoints:
                own["keypoints"] = m.undo_points(centers.keypoints[mine][whole])
            found.append(own)
        return found


def center_small(num_classes: int = 11, *, weights: str | None = None, **options: Any) -> CenterNet:
    """Make the small CenterNet: 128 x 128 pixels, on the backbone of `ssd_small`.

    Args:
        num_classes: with the background; 11 for all kinds of still life.
        weights: name of shipped weights, such as "center_small", which has key points; None for random ones.
        options: of `CenterNet`.

    Returns:
        The detector; 1.4 million parameters.

    Raises:
        InputError: if the weights are for another number of classes.
    """
    trained = {} if weights is None else shipped.card(weights)["recipe"]["options"]
    model = CenterNet(SmallBackbone(), num_classes, **{"size": 128, **trained, **options})
    return model if weights is None else load_weights(model, weights)
