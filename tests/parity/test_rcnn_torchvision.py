"""Faster and Mask R-CNN on ResNet-50 against torchvision's, with random weights copied across."""

import functools

import pytest
import torch
from torch import nn
from torchvision.models.detection import FasterRCNN, MaskRCNN
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
from torchvision.ops import FrozenBatchNorm2d

from cvlab import models

SIZE, CLASSES = 160, 7
OPTIONS = {"rpn_pre_nms_top_n_test": 200, "rpn_post_nms_top_n_test": 80, "box_score_thresh": 0.1}


@functools.cache
def _theirs(kind):
    """Make torchvision's with random weights, scaled so that there are detections of all classes and sizes."""
    torch.manual_seed(0)
    backbone = resnet_fpn_backbone(
        backbone_name="resnet50", weights=None, norm_layer=functools.partial(FrozenBatchNorm2d, eps=0.0)
    )
    model = kind(backbone, CLASSES, min_size=SIZE, max_size=240, **OPTIONS)
    with torch.no_grad():
        for name, norm in backbone.named_modules():
            if isinstance(norm, FrozenBatchNorm2d):
                norm.weight.uniform_(0.5, 1) if "bn3" not in name else norm.weight.fill_(0.2)
                norm.running_var.uniform_(0.8, 1.5)
        model.rpn.head.cls_logits.weight.mul_(20)
        model.roi_heads.box_predictor.cls_score.weight.mul_(3)
        if kind is MaskRCNN:
            model.roi_heads.mask_predictor.mask_fcn_logits.weight.mul_(3)
    return model.eval()


def _ours(theirs, build, **options):
    settings = {"size": SIZE, "longest": 240, "score_thresh": 0.1}
    model = build(CLASSES, state_dict=theirs.state_dict(), **settings, **options)
    model.rpn.before_nms = (200, 200)
    model.rpn.after_nms = (80, 80)
    return model


def _images():
    g = torch.Generator().manual_seed(1)
    return [torch.rand(3, *size, generator=g) for size in ((120, 150), (200, 90), (64, 64))]


@pytest.mark.parametrize(
    ("kind", "build"),
    [(FasterRCNN, models.faster_rcnn_resnet50_fpn), (MaskRCNN, models.mask_rcnn_resnet50_fpn)],
    ids=["faster", "mask"],
)
def test_same_weights_same_detections(kind, build):
    theirs = _theirs(kind)
    with torch.no_grad():
        expected, found = theirs(_images()), _ours(theirs, build)(_images())
    assert sum(len(each["boxes"]) for each in expected) >= 30
    assert len({label for each in expected for label in each["labels"].tolist()}) >= 2
    for one, other in zip(found, expected, strict=True):
        assert one["labels"].tolist() == other["labels"].tolist()
        for name in ("boxes", "scores", "masks") if kind is MaskRCNN else ("boxes", "scores"):
            assert one[name].shape == other[name].shape
            torch.testing.assert_close(one[name], other[name], atol=1e-3, rtol=0)


def test_old_names_and_counters_are_understood():
    state = _theirs(MaskRCNN).state_dict()
    old = {"backbone.body.bn1.num_batches_tracked": torch.tensor(1)}
    for key, value in state.items():
        for new, before in (("inner_blocks.0.0.", "inner_blocks.0."), ("rpn.head.conv.0.0.", "rpn.head.conv.")):
            key = key.replace(new, before)
        for i in range(4):
            key = key.replace(f"roi_heads.mask_head.{i}.0.", f"roi_heads.mask_head.mask_fcn{i + 1}.")
        old[key] = value
    assert sorted(models.rename_rcnn(old)) == sorted(models.rename_rcnn(state))


def test_other_weights_are_refused():
    state = _theirs(FasterRCNN).state_dict()
    with pytest.raises(ValueError, match="FasterRCNN: the weights are for 7 classes, got num_classes=91"):
        models.faster_rcnn_resnet50_fpn(state_dict=state)
    with pytest.raises(ValueError, match=r"these are not the weights of a MaskRCNN on ResNet-50: 12 keys"):
        models.mask_rcnn_resnet50_fpn(CLASSES, state_dict=state)
    with pytest.raises(ValueError, match="keys too many"):
        models.faster_rcnn_resnet50_fpn(CLASSES, state_dict=state | nn.Linear(2, 2).state_dict())
