"""Faster R-CNN and Mask R-CNN on ResNet-50 with a feature pyramid, which take torchvision's weights."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeVar

from torch import Tensor

from cvlab import _check
from cvlab.models._weights import check_keys
from cvlab.models.faster_rcnn import FasterRCNN
from cvlab.models.fpn import Necked
from cvlab.models.mask_rcnn import MaskRCNN
from cvlab.models.resnet import ResNet50
from cvlab.models.rpn import RegionProposals
from cvlab.ops import AnchorGenerator

Model = TypeVar("Model", bound=FasterRCNN)

_RENAMED = (
    (r"^backbone\.fpn\.inner_blocks\.(\d)\.(0\.)?", r"backbone.neck.lateral.\1."),
    (r"^backbone\.fpn\.layer_blocks\.(\d)\.(0\.)?", r"backbone.neck.smooth.\1."),
    (r"^rpn\.head\.conv\.(0\.0\.)?", "rpn.head.conv."),
    (r"^rpn\.head\.cls_logits\.", "rpn.head.objectness."),
    (r"^rpn\.head\.bbox_pred\.", "rpn.head.offsets."),
    (r"^roi_heads\.box_head\.fc6\.", "box_head.first."),
    (r"^roi_heads\.box_head\.fc7\.", "box_head.second."),
    (r"^roi_heads\.box_predictor\.cls_score\.", "box_head.classes."),
    (r"^roi_heads\.box_predictor\.bbox_pred\.", "box_head.offsets."),
    (r"^roi_heads\.mask_head\.(\d)\.0\.", r"mask_head.convs.\1."),
    (r"^roi_heads\.mask_predictor\.conv5_mask\.", "mask_head.enlarge."),
    (r"^roi_heads\.mask_predictor\.mask_fcn_logits\.", "mask_head.masks."),
)


def rename_rcnn(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the weights of torchvision's `fasterrcnn_resnet50_fpn` or `maskrcnn_resnet50_fpn`, old files too.

    Args:
        state_dict: from torchvision, or already renamed.

    Returns:
        The same tensors under the names that they have here; counters of batches are left out.
    """
    renamed = {}
    for key, value in state_dict.items():
        if key.endswith("num_batches_tracked"):
            continue
        key = re.sub(r"mask_head\.mask_fcn([1-4])\.", lambda m: f"mask_head.{int(m[1]) - 1}.0.", key)
        for theirs, ours in _RENAMED:
            key = re.sub(theirs, ours, key)
        renamed[key] = value
    return renamed


def faster_rcnn_resnet50_fpn(
    num_classes: int = 91, *, state_dict: Mapping[str, Tensor] | None = None, **options: Any
) -> FasterRCNN:
    """Make Faster R-CNN on ResNet-50 with a feature pyramid, with torchvision's settings.

    Args:
        num_classes: with the background; 91 for COCO with the numbers that it leaves out.
        state_dict: weights of torchvision's `fasterrcnn_resnet50_fpn` or of this one; None for random ones.
        options: of `FasterRCNN`, and `eps` of the normalisations: 0 for the weights that torchvision trained on COCO,
            1e-5 for others.

    Returns:
        The detector, 41.8 million parameters with 91 classes; in evaluation mode where weights are given.

    Raises:
        InputError: if a key is missing or too many, or the weights are for another number of classes.

    Notes:
        Detections are torchvision's. Training differs where it draws at random, and accepts images without objects.

    References:
        Ren et al. (2015). Faster R-CNN. Lin et al. (2017). Feature pyramid networks.
    """
    return _filled(FasterRCNN(*_parts(num_classes, options), **_settings(options)), state_dict)


def mask_rcnn_resnet50_fpn(
    num_classes: int = 91, *, state_dict: Mapping[str, Tensor] | None = None, **options: Any
) -> MaskRCNN:
    """Make Mask R-CNN on ResNet-50 with a feature pyramid, with torchvision's settings.

    Args:
        num_classes: with the background; 91 for COCO with the numbers that it leaves out.
        state_dict: weights of torchvision's `maskrcnn_resnet50_fpn` or of this one; None for random ones.
        options: of `MaskRCNN`, and `eps` as in `faster_rcnn_resnet50_fpn`.

    Returns:
        The detector, 44.4 million parameters with 91 classes; in evaluation mode where weights are given.

    Raises:
        InputError: if a key is missing or too many, or the weights are for another number of classes.

    Notes:
        Detections and masks are torchvision's. In training the masks' targets lie half a pixel from torchvision's, see
        `cvlab.ops.mask_targets`.

    References:
        He et al. (2017). Mask R-CNN. ICCV.
    """
    masks = {"mask_widths": (256, 256, 256, 256), "rounded": True}
    return _filled(MaskRCNN(*_parts(num_classes, options), **{**masks, **_settings(options)}), state_dict)


def _parts(num_classes: int, options: dict[str, Any]) -> tuple[Necked, int, RegionProposals]:
    """Make the backbone and the region proposal network; `eps` is taken out of the options."""
    backbone = Necked(ResNet50(options.pop("eps", 0.0)), "fpn_extra", 256)
    anchors = AnchorGenerator(
        [[side] for side in (32, 64, 128, 256, 512)],
        [2.0, 1.0, 0.5],
        pairing="all_by_ratio",
        unit="pixel",
        offset=0,
        strides="floor",
        rounded=True,
    )
    rpn = RegionProposals(256, anchors, anchors_per_image=256, before_nms=(2000, 1000), after_nms=(2000, 1000))
    return backbone, num_classes, rpn


def _settings(options: dict[str, Any]) -> dict[str, Any]:
    fixed = {"size": 800, "longest": 1333, "antialias": False, "aligned": False, "hidden": 1024, "rois_per_image": 512}
    return {**fixed, **options}


def _filled(model: Model, state_dict: Mapping[str, Tensor] | None) -> Model:
    if state_dict is None:
        return model
    renamed = rename_rcnn(state_dict)
    op = type(model).__name__
    check_keys(op, f"a {op} on ResNet-50", renamed, list(model.state_dict()))
    known = len(renamed["box_head.classes.bias"])
    if known != model.num_classes:
        raise _check.InputError(f"{op}: the weights are for {known} classes, got num_classes={model.num_classes}")
    model.load_state_dict(renamed)
    return model.eval()
