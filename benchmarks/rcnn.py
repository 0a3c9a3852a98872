"""cvlab.models.mask_rcnn against torchvision's Mask R-CNN with the same backbone, heads and sampling."""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.detection import MaskRCNN as TorchvisionMaskRCNN
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.models.detection.rpn import AnchorGenerator
from torchvision.ops import MultiScaleRoIAlign

from benchmarks.timing import Row
from cvlab import models
from cvlab.data import StillLife

BATCH, SIZE, CLASSES = 16, 128, 11
SIDES = tuple(round(128 * share) for share in (0.14, 0.22, 0.33, 0.46))

NOTES = """
Still lifes of 128 x 128 pixels with 1 to 5 fruits. "torchvision" is its `MaskRCNN` with cvlab's backbone (one map at
stride 4), 12 anchors in each cell, and heads, sampling (64 anchors, 32 regions an image) and thresholds as ours; "with
its own heads" has torchvision's default heads and sampling on the same backbone (two layers of 1,024, four
convolutions of 256, 256 anchors, 2,000 proposals, 512 regions). A training step is forward and backward, without the
optimizer.
"""


class _Named(nn.Module):
    """Gives the backbone's one map as torchvision wants it, and takes bytes."""

    def __init__(self) -> None:
        super().__init__()
        self.body, _ = models.small_parts()
        self.out_channels = self.body.channels[0]

    def forward(self, x: Tensor) -> OrderedDict[str, Tensor]:
        """Compute the map, by name."""
        return OrderedDict({"0": self.body(x)[0]})


class _OfBytes(TorchvisionMaskRCNN):
    """torchvision's Mask R-CNN, given uint8 images and bool masks like ours."""

    def forward(self, images: list[Tensor], targets: list[dict[str, Any]] | None = None) -> Any:
        """Compute losses in training, detections in evaluation."""
        floats = [image / 255 if image.dtype == torch.uint8 else image for image in images]
        if targets is not None:
            targets = [{**target, "masks": target["masks"].to(torch.uint8)} for target in targets]
        return super().forward(floats, targets)


def torchvision_mask_rcnn(own_heads: bool = False) -> nn.Module:
    """Make torchvision's Mask R-CNN on our backbone, with heads and sampling like ours or with its own."""
    backbone = _Named()
    width = backbone.out_channels
    options: dict[str, Any] = {
        "min_size": SIZE,
        "max_size": SIZE,
        "rpn_anchor_generator": AnchorGenerator((SIDES,), ((0.5, 1.0, 2.0),)),
        "box_roi_pool": MultiScaleRoIAlign(["0"], 7, 2),
        "mask_roi_pool": MultiScaleRoIAlign(["0"], 14, 2),
    }
    if own_heads:
        return _OfBytes(backbone, CLASSES, **options)
    return _OfBytes(
        backbone,
        None,
        **options,
        rpn_pre_nms_top_n_train=300,
        rpn_post_nms_top_n_train=64,
        rpn_pre_nms_top_n_test=300,
        rpn_post_nms_top_n_test=100,
        rpn_batch_size_per_image=64,
        box_batch_size_per_image=32,
        box_head=TwoMLPHead(width * 49, 128),
        box_predictor=FastRCNNPredictor(128, CLASSES),
        mask_head=MaskRCNNHeads(width, (64, 64), 1),
        mask_predictor=MaskRCNNPredictor(64, 64, CLASSES),
    )


def items() -> tuple[list[Tensor], list[dict[str, Tensor]]]:
    """Render a batch."""
    pairs = [StillLife(SIZE, "train")[i] for i in range(BATCH)]
    images = [image.as_subclass(Tensor).contiguous() for image, _ in pairs]
    return images, [{name: t[name].as_subclass(Tensor) for name in ("boxes", "labels", "masks")} for _, t in pairs]


def rows() -> Iterator[Row]:
    """Yield all rows."""
    images, targets = items()

    def step(model: nn.Module) -> Callable[[], None]:
        def run() -> None:
            model.train().zero_grad()
            sum(model(images, targets).values()).backward()

        return run

    torch.manual_seed(0)
    ours, last, theirs = models.mask_small(), models.mask_small(), torchvision_mask_rcnn()
    last, theirs_last = (m.to(memory_format=torch.channels_last) for m in (last, torchvision_mask_rcnn()))
    name = f"training step, {BATCH} images"
    yield Row(f"{name}, default layout", step(ours), {"torchvision": step(theirs)}, seconds=15)
    yield Row(f"{name}, both `channels_last`", step(last), {"torchvision": step(theirs_last)}, seconds=15)
    yield Row(f"{name}, torchvision with its own heads", step(last), {"torchvision": step(torchvision_mask_rcnn(True))})
    trained, same = models.mask_small(weights="mask_small"), torchvision_mask_rcnn()
    copy_weights(trained, same)
    same.eval()
    for count in (1, BATCH):
        some = images[:count]
        yield Row(
            f"detection with masks, {count} image{'s' if count > 1 else ''}",
            torch.inference_mode()(lambda some=some: trained(some)),
            {"torchvision": torch.inference_mode()(lambda some=some: same(some))},
            seconds=5,
        )


def copy_weights(ours: models.MaskRCNN, theirs: nn.Module) -> None:
    """Give torchvision's the weights of ours."""
    theirs.backbone.body.load_state_dict(ours.backbone.state_dict())
    heads = theirs.roi_heads
    pairs = {
        theirs.rpn.head.conv[0][0]: ours.rpn.head.conv,
        theirs.rpn.head.cls_logits: ours.rpn.head.objectness,
        theirs.rpn.head.bbox_pred: ours.rpn.head.offsets,
        heads.box_head.fc6: ours.box_head.first,
        heads.box_head.fc7: ours.box_head.second,
        heads.box_predictor.cls_score: ours.box_head.classes,
        heads.box_predictor.bbox_pred: ours.box_head.offsets,
        heads.mask_predictor.conv5_mask: ours.mask_head.enlarge,
        heads.mask_predictor.mask_fcn_logits: ours.mask_head.masks,
    }
    pairs |= {heads.mask_head[i][0]: conv for i, conv in enumerate(ours.mask_head.convs)}
    for theirs_layer, own in pairs.items():
        theirs_layer.load_state_dict(own.state_dict())
