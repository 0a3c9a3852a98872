"""A detector so small that everything in it can be worked out by hand."""

import torch
from torch import nn
from torch.nn import functional

from cvlab.models import SSD
from cvlab.ops import AnchorGenerator


class Averages(nn.Module):
    """Gives the image's means over 8 x 8 and 16 x 16 pixels: at 16 pixels, maps of 2 x 2 and one cell."""

    channels = [3, 3]
    strides = [8, 16]

    def forward(self, images):
        return [functional.avg_pool2d(images, 8), functional.avg_pool2d(images, 16)]


def by_hand(num_classes=3, **options):
    """Make an SSD on `Averages`: 2 anchors of 4 and 8 pixels in each of 4 cells, and one of 8 in the last: A = 9."""
    anchors = AnchorGenerator([(4.0, 8.0), (8.0,)], unit="pixel")
    settings = {"size": 16, "mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0), **options}
    return silenced(SSD(Averages(), num_classes, anchors, **settings)).eval()


def silenced(model):
    """Set the heads to zero."""
    for parameter in model.head.parameters():
        nn.init.zeros_(parameter)
    return model


def spread(model, seed=0):
    """Let random heads say more different things than they do at first, so that detections differ."""
    generator = torch.Generator().manual_seed(seed)
    for conv in model.head.classes:
        nn.init.normal_(conv.weight, std=0.3, generator=generator)
    for conv in model.head.offsets:
        nn.init.normal_(conv.weight, std=0.05, generator=generator)
    return model


def target(boxes, labels):
    return {"boxes": torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4), "labels": torch.tensor(labels).long()}


def same(a, b, atol=1e-5):
    for one, other in zip(a, b, strict=True):
        assert sorted(one) == sorted(other) == ["boxes", "labels", "scores"]
        assert torch.equal(one["labels"], other["labels"])
        torch.testing.assert_close(one["scores"], other["scores"], atol=atol, rtol=0)
        torch.testing.assert_close(one["boxes"], other["boxes"], atol=100 * atol, rtol=0)
