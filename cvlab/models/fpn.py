"""Necks: what joins the maps of a backbone, so that fine maps know what coarse ones saw."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

from cvlab import _check
from cvlab.models.backbones import ConvNormAct


class MergeMaps(nn.Module):
    """Adds coarse maps to fine ones, from the coarsest on, so that the finest knows what all of them saw.

    Each map is brought to `width` channels by a 1 x 1 convolution; the sum so far is doubled in height and width by
    repeating each cell, added to the next finer map, and smoothed by a 3 x 3 convolution.

    Args:
        channels: of each map, the finest first.
        width: channels of the result.

    Returns:
        Called with a list of maps, each half as high and wide as the one before (rounded up), a map (B, width, h, w) of
        the first one's size.

    References:
        Lin et al. (2017). Feature pyramid networks for object detection. Section 3.
    """

    def __init__(self, channels: Sequence[int], width: int) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(ConvNormAct(c, width, 1, act=False) for c in channels)
        self.smooth = nn.ModuleList(ConvNormAct(width, width) for _ in channels[1:])

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Merge the maps."""
        lateral = [conv(m) for conv, m in zip(self.lateral, maps, strict=True)]
        x = lateral.pop()
        for smooth in self.smooth:
            finer = lateral.pop()
            h, w = finer.shape[-2:]
            x = smooth(finer + functional.interpolate(x, scale_factor=2.0)[..., :h, :w])
        return x


class FPN(nn.Module):
    """A feature pyramid: all maps of the backbone with the same number of channels, each told what coarser ones saw.

    Each map is brought to `width` channels by a 1 x 1 convolution; from the coarsest on, the sum so far is enlarged to
    the next finer map's size by repeating cells, and added to it. A 3 x 3 convolution smooths each result.

    Args:
        channels: of each map, the finest first.
        width: channels of the results.
        extra: whether one coarser map more is made of every second cell of the coarsest.

    Returns:
        Called with a list of maps, as many maps (B, width, h, w) of the same sizes, or one more.

    Notes:
        torchvision's `FeaturePyramidNetwork`, with `LastLevelMaxPool` for `extra`.

    References:
        Lin et al. (2017). Feature pyramid networks for object detection. Section 3.
    """

    def __init__(self, channels: Sequence[int], width: int, extra: bool = False) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(nn.Conv2d(c, width, 1) for c in channels)
        self.smooth = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in channels)
        self.extra = extra
        for conv in [*self.lateral, *self.smooth]:
            nn.init.kaiming_uniform_(conv.weight, a=1)
            nn.init.zeros_(conv.bias)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Compute the pyramid."""
        sums = [conv(m) for conv, m in zip(self.lateral, maps, strict=True)]
        for i in reversed(range(len(sums) - 1)):
            sums[i] = sums[i] + functional.interpolate(sums[i + 1], size=sums[i].shape[-2:])
        pyramid = [conv(s) for conv, s in zip(self.smooth, sums, strict=True)]
        return [*pyramid, functional.max_pool2d(pyramid[-1], 1, stride=2)] if self.extra else pyramid


class Necked(nn.Module):
    """A backbone followed by a neck, which is a backbone again.

    Args:
        body: maps images to a list of maps, shallow first; has `channels` and `strides`.
        neck: "merge" for one map of the finest resolution, "fpn" for a pyramid of all, "fpn_extra" for one map more.
        width: channels of what comes out.

    Returns:
        Called with images (B, 3, H, W), a list of maps; `channels` and `strides` describe them.

    Example:
        >>> import torch
        >>> from cvlab.models import SmallBackbone
        >>> backbone = Necked(SmallBackbone(maps=4), "merge", 64)
        >>> backbone.channels, backbone.strides, backbone(torch.zeros(1, 3, 128, 128))[0].shape
        ([64], [4], torch.Size([1, 64, 32, 32]))
    """

    def __init__(self, body: nn.Module, neck: str = "merge", width: int = 64) -> None:
        super().__init__()
        _check.choice("Necked", "neck", neck, ("merge", "fpn", "fpn_extra"))
        self.body = body
        self.neck = MergeMaps(body.channels, width) if neck == "merge" else FPN(body.channels, width, neck != "fpn")
        self.strides = list(body.strides[:1] if neck == "merge" else body.strides)
        if neck == "fpn_extra":
            self.strides.append(2 * self.strides[-1])
        self.channels = [width] * len(self.strides)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Compute the maps."""
        maps = self.neck(self.body(images))
        return [maps] if isinstance(maps, Tensor) else maps
