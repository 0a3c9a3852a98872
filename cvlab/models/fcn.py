"""Fully convolutional networks: a classifier at every cell of the feature maps, brought up to the picture's size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from cvlab import _check
from cvlab.models._segmentation import Segmenter
from cvlab.models._weights import load_weights
from cvlab.models.backbones import ConvNormAct, SmallBackbone
from cvlab.ops import bilinear_kernel
from cvlab.preprocess import resize_weights

INITS = ("bilinear", "xavier", "normal", "random")


class Upsample(nn.ConvTranspose2d):
    """A transposed convolution that makes a map `factor` times as high and wide.

    Args:
        channels: of the map.
        factor: even.
        init: of the kernel: "bilinear" interpolates; "xavier"; "normal", with deviation 0.01; "random", PyTorch's own.

    References:
        Long, J., Shelhamer, E. and Darrell, T. (2015). Fully convolutional networks. CVPR. Section 3.3.
    """

    def __init__(self, channels: int, factor: int, init: str = "bilinear") -> None:
        _check.choice("Upsample", "init", init, INITS)
        if factor < 2 or factor % 2:
            raise _check.InputError(f"Upsample: factor must be even and at least 2, got {factor}")
        super().__init__(channels, channels, 2 * factor, factor, factor // 2, bias=False)
        if init == "bilinear":
            self.weight.data.copy_(bilinear_kernel(channels, 2 * factor))
        elif init == "xavier":
            nn.init.xavier_uniform_(self.weight)
        elif init == "normal":
            nn.init.normal_(self.weight, std=0.01)


class Interpolate(nn.Module):
    """Enlarge a map `factor` times by bilinear interpolation, which has no weights: two matrix products.

    Args:
        factor: how many times as high and wide the map (B, C, H, W) becomes.
    """

    def __init__(self, factor: int) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        """Enlarge columns, then rows; channels come last in memory, which makes the loss's and argmax's way short."""
        b, c, h, w = x.shape
        down, across = (resize_weights(n, n * self.factor).to(x) for n in (h, w))
        taller = down @ x.permute(0, 2, 3, 1).reshape(b, h, w * c)
        return (across @ taller.reshape(b, -1, w, c)).permute(0, 3, 1, 2)  # (B, C, H, W)


class FCN(Segmenter):
    """A fully convolutional network with skips.

    A 1 x 1 convolution scores every cell of each map. The coarsest scores are enlarged by a transposed convolution to
    the next finer map, whose scores are added, and so on; the last transposed convolution leads to the picture's size.
    With one map at stride 32 this is FCN-32s, with two FCN-16s, with three FCN-8s.

    Args:
        backbone: maps pictures (B, 3, H, W) to a list of maps, fine to coarse, each half as large as the one before
            (rounded up); has the lists `channels` and `strides`.
        num_classes: with the background, which is class 0.
        hidden: channels of a 3 x 3 convolution between each map and its scores; 0 for none.
        init: of the transposed convolutions, as `Upsample` takes it.
        learned: whether the last enlargement, to the picture's size, is a transposed convolution that is learned; else
            it interpolates, as in the paper, which trains faster.
        options: `mean` and `std` of the channels, as `Segmenter` takes them.

    Returns:
        Called with images (B, 3, H, W), uint8 or float in [0, 1], a dictionary with `out`, the logits (B, K, H, W).

    Raises:
        InputError: if numbers do not fit each other or, when called, the images are bad.

    Example:
        >>> import torch
        >>> model = FCN(SmallBackbone(), 11)
        >>> model(torch.zeros(2, 3, 96, 130))["out"].shape
        torch.Size([2, 11, 96, 130])

    References:
        Long, J., Shelhamer, E. and Darrell, T. (2015). Fully convolutional networks for semantic segmentation. CVPR.
    """

    def __init__(
        self,
        backbone: nn.Module,
        num_classes: int,
        *,
        hidden: int = 0,
        init: str = "bilinear",
        learned: bool = True,
        **options: Any,
    ) -> None:
        super().__init__(num_classes, max(backbone.strides), **options)
        self.backbone = backbone
        self.score = nn.ModuleList(score_head(c, hidden, num_classes) for c in backbone.channels)
        self.upsample = nn.ModuleList(Upsample(num_classes, 2, init) for _ in backbone.channels[1:])
        stride = backbone.strides[0]
        self.enlarge = Upsample(num_classes, stride, init) if learned else Interpolate(stride)

    def scores(self, pictures: Tensor) -> list[Tensor]:
        """Score the cells of each map of normalised pictures: (B, K, h, w) each, fine to coarse."""
        return [head(m) for head, m in zip(self.score, self.backbone(pictures), strict=True)]

    def merge(self, scores: Sequence[Tensor]) -> list[Tensor]:
        """Add up scores from coarse to fine: the sum at each map, coarse to fine."""
        sums = [scores[-1]]
        for upsample, finer in zip(self.upsample, reversed(scores[:-1]), strict=True):
            h, w = finer.shape[-2:]
            sums.append(finer + upsample(sums[-1])[..., :h, :w])
        return sums

    def network(self, pictures: Tensor) -> Tensor:
        """Compute the logits (B, K, H, W) of normalised pictures."""
        h, w = pictures.shape[-2:]
        return self.enlarge(self.merge(self.scores(pictures))[-1])[..., :h, :w]


def score_head(channels: int, hidden: int, num_classes: int) -> nn.Module:
    """Make what turns a map's channels into a score for each class."""
    if hidden == 0:
        return nn.Conv2d(channels, num_classes, 1)
    return nn.Sequential(ConvNormAct(channels, hidden), nn.Conv2d(hidden, num_classes, 1))


def fcn_small(
    num_classes: int = 11, *, skips: int = 2, hidden: int = 64, weights: str | None = None, **options: Any
) -> FCN:
    """Make a small FCN on the backbone of `ssd_small`, with maps at strides 8, 16 and 32.

    Args:
        num_classes: with the background; 11 for all kinds of still life.
        skips: finer maps used beside the coarsest: 0 is FCN-32s, 1 FCN-16s, 2 FCN-8s, 3 uses stride 4 too.
        hidden: as in `FCN`.
        weights: name of shipped weights, such as "fcn_small"; None for random ones.
        options: of `FCN`.

    Returns:
        The network; 1.5 million parameters with two skips.

    Raises:
        InputError: if the weights are for another number of classes.
    """
    if not 0 <= skips <= 3:
        raise _check.InputError(f"fcn_small: skips must lie from 0 to 3, got {skips}")
    model = FCN(SmallBackbone(maps=skips + 1), num_classes, hidden=hidden, **options)
    return model if weights is None else load_weights(model, weights)
