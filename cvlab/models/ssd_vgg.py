"""SSD300 on VGG-16: the detector of the paper, at 300 x 300 pixels, which takes torchvision's weights."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from cvlab import _check
from cvlab.models._weights import check_keys
from cvlab.models.ssd import SSD
from cvlab.ops import AnchorGenerator

MEAN = (0.48235, 0.45882, 0.40784)
"""The means of red, green and blue that are subtracted, those of Caffe's VGG-16 divided by 255."""

STD = (1 / 255, 1 / 255, 1 / 255)
"""By what they are then divided, so that the network sees values around -128 to 128."""

_SCALES = (0.07, 0.15, 0.33, 0.51, 0.69, 0.87, 1.05)
_RATIOS = ((2,), (2, 3), (2, 3), (2, 3), (2,), (2,))
_RENAMED = {
    "head.classification_head.module_list.": "head.classes.",
    "head.regression_head.module_list.": "head.offsets.",
}


def _convs(*channels: int) -> list[nn.Module]:
    """Make 3 x 3 convolutions from each number of channels to the next, each followed by ReLU."""
    pairs = zip(channels[:-1], channels[1:], strict=True)
    return [layer for a, b in pairs for layer in (nn.Conv2d(a, b, 3, padding=1), nn.ReLU(inplace=True))]


def _narrow_wide(inputs: int, narrow: int, outputs: int, **options: int) -> nn.Sequential:
    """Make a 1 x 1 convolution to few channels, and a 3 x 3 convolution to many."""
    first, second = nn.Conv2d(inputs, narrow, 1), nn.Conv2d(narrow, outputs, 3, **options)
    return nn.Sequential(first, nn.ReLU(inplace=True), second, nn.ReLU(inplace=True))


class VGG16Features(nn.Module):
    """The backbone of SSD300: VGG-16 up to conv5_3, its two linear layers as convolutions, and eight layers more.

    The first map, conv4_3, has much larger values than the others: each of its pixels is brought to length 1 and each
    channel multiplied by a scale that is learnt, 20 at first. The third pooling rounds sizes up. The fifth has stride
    1, so that the resolution stays; instead, the kernel of fc6 looks at every sixth pixel (dilation).

    Returns:
        Called with images (B, 3, H, W), six maps, shallow first. `channels` and `strides` describe them.

    Notes:
        Parameters have torchvision's names. Convolutions start with He's normal distribution.

    Example:
        >>> with torch.device("meta"):  # shapes only, nothing is computed
        ...     [tuple(m.shape) for m in VGG16Features()(torch.empty(1, 3, 300, 300))]
        [(1, 512, 38, 38), (1, 1024, 19, 19), (1, 512, 10, 10), (1, 256, 5, 5), (1, 256, 3, 3), (1, 256, 1, 1)]

    References:
        Simonyan, Zisserman (2015). Very deep convolutional networks. Table 1, D. Liu et al. (2016). SSD. Figure 2,
        section 3.1. Liu, Rabinovich, Berg (2016). ParseNet. Section 3.3.
    """

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            *_convs(3, 64, 64),
            nn.MaxPool2d(2),
            *_convs(64, 128, 128),
            nn.MaxPool2d(2),
            *_convs(128, 256, 256, 256),
            nn.MaxPool2d(2, ceil_mode=True),  # 75 to 38
            *_convs(256, 512, 512, 512),
        )
        self.scale_weight = nn.Parameter(torch.full((512,), 20.0))
        linear = nn.Sequential(
            nn.MaxPool2d(3, stride=1, padding=1),
            nn.Conv2d(512, 1024, 3, padding=6, dilation=6),
            nn.ReLU(inplace=True),
            nn.Conv2d(1024, 1024, 1),
            nn.ReLU(inplace=True),
        )
        self.extra = nn.ModuleList(
            [
                nn.Sequential(nn.MaxPool2d(2), *_convs(512, 512, 512, 512), linear),
                _narrow_wide(1024, 256, 512, stride=2, padding=1),
                _narrow_wide(512, 128, 256, stride=2, padding=1),
                _narrow_wide(256, 128, 256),
                _narrow_wide(256, 128, 256),
            ]
        )
        self.channels, self.strides = [512, 1024, 512, 256, 256, 256], [8, 16, 32, 64, 100, 300]
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                nn.init.zeros_(layer.bias)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Compute the maps."""
        x = self.features(images)
        maps = [self.scale_weight[:, None, None] * functional.normalize(x, dim=1)]
        for block in self.extra:
            x = block(x)
            maps.append(x)
        return maps


class SSD300Anchors(AnchorGenerator):
    """Makes the 8,732 anchors of SSD300: in each cell two squares, and boxes of the ratios 2 and 1/2, or 3 and 1/3 too.

    The second square is the geometric mean of this map's scale and the next one's. No anchor has a side longer than the
    image's.

    Notes:
        They are those of torchvision's `DefaultBoxGenerator` with the settings of its `ssd300_vgg16`, in its order.

    Example:
        >>> anchors = SSD300Anchors()
        >>> anchors.anchors_per_cell
        [4, 6, 6, 6, 4, 4]
        >>> last = anchors([(38, 38), (19, 19), (10, 10), (5, 5), (3, 3), (1, 1)], (300, 300))[5]
        >>> last[2]  # width 0.87 * sqrt(2) = 1.23 images, cut to 1; height 0.87 / sqrt(2) = 0.615
        tensor([  0.0000,  57.7226, 300.0000, 242.2774])

    References:
        Liu et al. (2016). SSD. Section 2.2, choosing scales and aspect ratios for default boxes.
    """

    def __init__(self) -> None:
        squares = [(s, math.sqrt(s * larger)) for s, larger in zip(_SCALES[:-1], _SCALES[1:], strict=True)]
        ratios = [[1.0, *(r for wide in some for r in (wide, 1 / wide))] for some in _RATIOS]
        super().__init__(squares, ratios, pairing="first", strides=[8, 16, 32, 64, 100, 300])

    def forward(self, maps: Sequence[Tensor | tuple[int, int]], image_size: tuple[int, int]) -> list[Tensor]:
        """Make the anchors; see `AnchorGenerator`."""
        return [_limit_sides(boxes, image_size) for boxes in super().forward(maps, image_size)]


def _limit_sides(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Shrink boxes (N, 4) about their centres where a side is longer than the image's."""
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    half = torch.minimum(boxes[:, 2:] - boxes[:, :2], boxes.new_tensor([size[1], size[0]])) / 2
    return torch.cat((centre - half, centre + half), dim=1)


def ssd300_vgg16(num_classes: int = 91, *, state_dict: Mapping[str, Tensor] | None = None, **options: Any) -> SSD:
    """Make SSD300 on VGG-16, with torchvision's settings.

    Args:
        num_classes: with the background; 91 for COCO with the numbers that it leaves out.
        state_dict: weights, as the `state_dict()` of torchvision's `ssd300_vgg16` or of this one has them; None for
            random ones.
        options: of `SSD`.

    Returns:
        The detector, 35.6 million parameters with 91 classes; in evaluation mode where weights are given.

    Raises:
        InputError: if a key is missing or too many, or the weights are for another number of classes.

    Notes:
        Detections are those of torchvision's, but for boxes that the image's edge cuts down to nothing, which are left
        out. Losses are the same where no two objects of an image overlap one anchor most, and each image has three
        anchors with objects or more. Torchvision's matching gives such an anchor to one of the two and may leave the
        other without; its mining takes three negatives for each positive, where this takes eight at least.

    References:
        Liu et al. (2016). SSD: single shot multibox detector. ECCV.
    """
    settings = {
        "size": 300,
        "resize": "stretch",
        "antialias": False,
        "mean": MEAN,
        "std": STD,
        "score_thresh": 0.01,
        "nms_thresh": 0.45,
        "topk_candidates": 400,
        "detections_per_img": 200,
    }
    model = SSD(VGG16Features(), num_classes, **{"anchors": SSD300Anchors(), **settings, **options})
    if state_dict is None:
        return model
    renamed = from_torchvision(state_dict)
    known = len(renamed["head.classes.0.bias"]) // 4  # anchors in each cell of the first map
    if known != num_classes:
        raise _check.InputError(f"ssd300_vgg16: the weights are for {known} classes, got num_classes={num_classes}")
    model.load_state_dict(renamed)
    return model.eval()


def from_torchvision(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the weights of torchvision's `ssd300_vgg16` to the names that they have here.

    Args:
        state_dict: from torchvision, or already renamed.

    Returns:
        The same tensors under the keys of `ssd300_vgg16(...).state_dict()`.

    Raises:
        InputError: if a key is missing or too many; the message names up to five of each.
    """
    renamed = {}
    for key, value in state_dict.items():
        for theirs, ours in _RENAMED.items():
            key = key.replace(theirs, ours)
        renamed[key] = value
    with torch.device("meta"):
        expected = [f"backbone.{key}" for key in VGG16Features().state_dict()]
    expected += [f"{head}{i}.{kind}" for head in _RENAMED.values() for i in range(6) for kind in ("weight", "bias")]
    check_keys("from_torchvision", "an ssd300_vgg16", renamed, expected)
    return renamed
