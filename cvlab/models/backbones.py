"""Backbones: from an image to feature maps, each at half the resolution of the one before."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from cvlab import _check


class ConvNormAct(nn.Sequential):
    """A convolution without bias, batch normalisation, and ReLU.

    Args:
        inputs: channels that come in.
        outputs: channels that go out.
        kernel: side of the kernel, odd.
        stride: step of the kernel, pixels.
        act: whether ReLU follows.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1, act: bool = True) -> None:
        conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
        super().__init__(conv, nn.BatchNorm2d(outputs), *([nn.ReLU(inplace=True)] if act else []))


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions, whose result is added to a shortcut.

    Where the size changes, the shortcut averages 2 x 2 pixels before its 1 x 1 convolution, so that it looks at all of
    them (ResNet-D).

    Args:
        inputs: channels that come in.
        outputs: channels that go out.
        stride: 1, or 2 to halve height and width (rounded up).

    References:
        He, K. et al. (2016). Deep residual learning. He, T. et al. (2019). Bag of tricks. Section 4.2.
    """

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.body = nn.Sequential(ConvNormAct(inputs, outputs, stride=stride), ConvNormAct(outputs, outputs, act=False))
        halve = [nn.AvgPool2d(2, ceil_mode=True)] if stride == 2 else []
        same = stride == 1 and inputs == outputs
        self.shortcut = nn.Identity() if same else nn.Sequential(*halve, ConvNormAct(inputs, outputs, 1, act=False))
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """Compute (B, outputs, H / stride, W / stride)."""
        return self.act(self.body(x) + self.shortcut(x))


class SmallBackbone(nn.Module):
    """A residual network small enough to train on a CPU in minutes.

    A strided convolution halves the image, then each stage halves it again and adds one more residual block where
    `depths` asks for it.

    Args:
        widths: channels of the first convolution (stride 2) and of each stage (strides 4, 8, 16, ...).
        depths: residual blocks in each stage, the first of which halves the map.
        maps: how many of the last stages' maps are given out.

    Returns:
        Called with images (B, 3, H, W), a list of maps, shallow first. `channels` and `strides` describe them.

    Raises:
        InputError: if the numbers do not fit each other.

    Example:
        >>> import torch
        >>> backbone = SmallBackbone()
        >>> backbone.strides, [tuple(m.shape) for m in backbone(torch.zeros(1, 3, 128, 128))]
        ([8, 16, 32], [(1, 96, 16, 16), (1, 160, 8, 8), (1, 160, 4, 4)])
    """

    def __init__(
        self,
        widths: Sequence[int] = (24, 48, 96, 160, 160),
        depths: Sequence[int] = (1, 2, 1, 1),
        maps: int = 3,
    ) -> None:
        super().__init__()
        op = "SmallBackbone"
        _check.positive(op, "widths", widths)
        _check.positive(op, "depths", depths)
        if len(depths) != len(widths) - 1 or not 1 <= maps <= len(depths):
            raise _check.InputError(
                f"{op}: there must be one depth for each width after the first, and 1 to {len(depths)} maps, got "
                f"{len(widths)} widths, {len(depths)} depths, {maps} maps"
            )
        self.stem = ConvNormAct(3, widths[0], stride=2)
        self.stages = nn.ModuleList(
            nn.Sequential(ResidualBlock(before, after, 2), *(ResidualBlock(after, after) for _ in range(depth - 1)))
            for before, after, depth in zip(widths[:-1], widths[1:], depths, strict=True)
        )
        self.channels = list(widths[-maps:])
        self.strides = [2 ** (i + 2) for i in range(len(depths))][-maps:]

    def forward(self, images: Tensor) -> list[Tensor]:
        """Compute the maps."""
        x, maps = self.stem(images), []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps[-len(self.channels) :]
