"""Detectors with regions so small that much in them can be worked out by hand."""

import torch
from torch import nn
from torch.nn import functional

from cvlab.models import FastRCNN, MaskRCNN, RegionProposals
from cvlab.ops import AnchorGenerator

PLAIN = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}


class Means(nn.Module):
    """Gives the image's means over 4 x 4 pixels."""

    channels = [3]
    strides = [4]

    def forward(self, images):
        return [functional.avg_pool2d(images, 4)]


def silenced(head):
    """Set all weights to zero."""
    for parameter in head.parameters():
        nn.init.zeros_(parameter)
    return head


def fast(num_classes=3, **options):
    """Make a Fast R-CNN of 32 x 32 pixels that says nothing: all classes alike, all offsets 0."""
    settings = {"size": 32, "roi_size": 2, "hidden": 4, **PLAIN, **options}
    model = FastRCNN(Means(), num_classes, **settings).eval()
    silenced(model.box_head)
    return model


def mask(num_classes=3, **options):
    """Make a Mask R-CNN of 32 x 32 pixels with random weights, large enough that it has something to say."""
    torch.manual_seed(0)
    rpn = RegionProposals(3, AnchorGenerator([(8.0, 16.0)], [0.5, 1.0], unit="pixel", pairing="all_by_ratio"))
    settings = {"size": 32, "roi_size": 4, "hidden": 16, "mask_size": 4, "mask_widths": (6,), **PLAIN, **options}
    model = MaskRCNN(Means(), num_classes, rpn, **settings).eval()
    for layer in (rpn.head.conv, rpn.head.objectness, model.box_head.classes):
        nn.init.normal_(layer.weight)
    nn.init.constant_(rpn.head.conv.bias, 5.0)  # nowhere 0 after ReLU, where anchors would tie
    return model


def target(boxes, labels, size=None):
    """Make a target; with the image's size, each object fills its box."""
    made = {"boxes": torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4), "labels": torch.tensor(labels).long()}
    if size is not None:
        made["masks"] = torch.zeros(len(labels), *size, dtype=torch.bool)
        for own, (x1, y1, x2, y2) in zip(made["masks"], made["boxes"].int().tolist(), strict=True):
            own[y1:y2, x1:x2] = True
    return made


def same(found, expected, atol=1e-4):
    """Say whether detections are the same, in the same order."""
    for one, other in zip(found, expected, strict=True):
        assert sorted(one) == sorted(other)
        for name, value in other.items():
            torch.testing.assert_close(one[name], value, atol=atol, rtol=0)
