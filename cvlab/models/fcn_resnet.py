"""FCN on a dilated ResNet-50, which takes torchvision's weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from cvlab import _check
from cvlab.models._segmentation import Segmenter
from cvlab.models._weights import check_keys
from cvlab.models.resnet import ResNet50


class FCNResNet50(Segmenter):
    """A head on the last map of a dilated ResNet-50, at stride 8, whose logits are interpolated to the picture's size.

    Args:
        num_classes: with the background; 21 for VOC.
        aux: whether a second head, on the map before, gives logits too, for a loss that helps training.
        options: `mean` and `std` of the channels; by default those of ImageNet, so that images go in as they are.

    Returns:
        Called with images (B, 3, H, W), uint8 or float in [0, 1], a dictionary with `out`, (B, K, H, W), and `aux`
        likewise where there is a second head.

    Raises:
        InputError: if there are fewer than two classes or, when called, the images are bad.

    Notes:
        torchvision's `fcn_resnet50` takes images that are already normalised; give `mean=(0, 0, 0), std=(1, 1, 1)` for
        the same. Its batch normalisations are trained on; here those of the backbone stay fixed.

    References:
        Long, J., Shelhamer, E. and Darrell, T. (2015). Fully convolutional networks. CVPR.
    """

    def __init__(self, num_classes: int = 21, *, aux: bool = False, **options: Any) -> None:
        super().__init__(num_classes, 8, **options)
        self.backbone = ResNet50(eps=1e-5, dilated=True)
        self.classifier = _head(2048, num_classes)
        self.aux_classifier = _head(1024, num_classes) if aux else None

    def forward(self, images: Any) -> dict[str, Tensor]:
        """Compute the logits of pictures."""
        pictures = self.normalised(images)
        *_, before, last = self.backbone(pictures)
        found = {"out": self.classifier(last)}
        if self.aux_classifier is not None:
            found["aux"] = self.aux_classifier(before)
        size = pictures.shape[-2:]
        return {
            name: functional.interpolate(x, size=size, mode="bilinear", align_corners=False)
            for name, x in found.items()
        }


def _head(channels: int, num_classes: int) -> nn.Sequential:
    narrow = channels // 4
    return nn.Sequential(
        nn.Conv2d(channels, narrow, 3, padding=1, bias=False),
        nn.BatchNorm2d(narrow),
        nn.ReLU(),
        nn.Dropout(0.1),
        nn.Conv2d(narrow, num_classes, 1),
    )


def fcn_resnet50(
    num_classes: int = 21, *, state_dict: Mapping[str, Tensor] | None = None, **options: Any
) -> FCNResNet50:
    """Make FCN on a dilated ResNet-50.

    Args:
        num_classes: with the background; 21 for VOC.
        state_dict: weights of torchvision's `fcn_resnet50` or of this one; None for random ones.
        options: of `FCNResNet50`; where weights have a second head and `aux` is not given, there will be one.

    Returns:
        The network, 33 million parameters; in evaluation mode where weights are given.

    Raises:
        InputError: if a key is missing or too many, or the weights are for another number of classes.
    """
    if state_dict is None:
        return FCNResNet50(num_classes, **options)
    known = {key: t for key, t in state_dict.items() if not _counter_of_frozen(key)}
    has_aux = any(key.startswith("aux_classifier.") for key in known)
    model = FCNResNet50(num_classes, **{"aux": has_aux, **options})
    if model.aux_classifier is None:
        known = {key: t for key, t in known.items() if not key.startswith("aux_classifier.")}
    check_keys("fcn_resnet50", "an FCN on ResNet-50", known, list(model.state_dict()))
    classes = len(known["classifier.4.bias"])
    if classes != num_classes:
        raise _check.InputError(f"fcn_resnet50: the weights are for {classes} classes, got num_classes={num_classes}")
    model.load_state_dict(known)
    return model.eval()


def _counter_of_frozen(key: str) -> bool:
    """Tell whether this counts the batches of a normalisation that stays fixed here."""
    return key.startswith("backbone.") and key.endswith("num_batches_tracked")
