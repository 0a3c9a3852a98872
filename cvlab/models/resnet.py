"""ResNet-50: the backbone of torchvision's detectors, with batch normalisations that stay as they are."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class FrozenBatchNorm(nn.Module):
    """A batch normalisation whose statistics and factors are fixed: one multiplication and one addition.

    Args:
        channels: of the map.
        eps: added to the variance; torchvision has 0 with its COCO weights.
    """

    def __init__(self, channels: int, eps: float = 0.0) -> None:
        super().__init__()
        self.eps = eps
        for name, value in (("weight", 1.0), ("bias", 0.0), ("running_mean", 0.0), ("running_var", 1.0)):
            self.register_buffer(name, torch.full((channels,), value))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (B, channels, H, W)."""
        factor = self.weight * (self.running_var + self.eps).rsqrt()
        return x * factor[:, None, None] + (self.bias - self.running_mean * factor)[:, None, None]


class Bottleneck(nn.Module):
    """Three convolutions, narrow in the middle, whose result is added to a shortcut.

    Args:
        inputs: channels that come in.
        narrow: channels of the 3 x 3 convolution; four times as many go out.
        stride: of the 3 x 3 convolution.
        eps: as `FrozenBatchNorm` takes it.
        dilation: of the 3 x 3 convolution.

    References:
        He et al. (2016). Deep residual learning. Figure 5. The stride stands in the 3 x 3 convolution, as torchvision
        has it, not in the first one.
    """

    def __init__(self, inputs: int, narrow: int, stride: int = 1, eps: float = 0.0, dilation: int = 1) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(inputs, narrow, 1, bias=False), FrozenBatchNorm(narrow, eps)
        self.conv2 = nn.Conv2d(narrow, narrow, 3, stride, dilation, dilation, bias=False)
        self.bn2 = FrozenBatchNorm(narrow, eps)
        self.conv3, self.bn3 = nn.Conv2d(narrow, 4 * narrow, 1, bias=False), FrozenBatchNorm(4 * narrow, eps)
        same = inputs == 4 * narrow and stride == 1
        fitting = [nn.Conv2d(inputs, 4 * narrow, 1, stride, bias=False), FrozenBatchNorm(4 * narrow, eps)]
        self.downsample = None if same else nn.Sequential(*fitting)

    def forward(self, x: Tensor) -> Tensor:
        """Compute (B, 4 narrow, H / stride, W / stride)."""
        shortcut = x if self.downsample is None else self.downsample(x)
        x = functional.relu(self.bn1(self.conv1(x)))
        x = functional.relu(self.bn2(self.conv2(x)))
        return functional.relu(self.bn3(self.conv3(x)) + shortcut)


class ResNet50(nn.Module):
    """ResNet-50 without its classifier; gives the maps of its four stages.

    Args:
        eps: as `FrozenBatchNorm` takes it.
        dilated: whether the last two stages dilate their kernels in the place of halving their maps.

    Returns:
        Called with images (B, 3, H, W), four maps; `channels` and `strides` (4, 8, 16, 32, or 4, 8, 8, 8 where dilated)
        describe them.

    Notes:
        Parameters have torchvision's names. In a dilated stage, the first block still has the dilation of the stage
        before, as torchvision has it.

    Example:
        >>> with torch.device("meta"):  # shapes only, nothing is computed
        ...     [tuple(m.shape) for m in ResNet50()(torch.empty(1, 3, 224, 224))]
        [(1, 256, 56, 56), (1, 512, 28, 28), (1, 1024, 14, 14), (1, 2048, 7, 7)]

    References:
        He et al. (2016). Deep residual learning for image recognition. Table 1.
    """

    def __init__(self, eps: float = 0.0, dilated: bool = False) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False), FrozenBatchNorm(64, eps)
        before, dilation = 64, 1
        for stage, (narrow, depth) in enumerate(((64, 3), (128, 4), (256, 6), (512, 3)), 1):
            halves = stage > 1 and not (dilated and stage > 2)
            blocks = [Bottleneck(before, narrow, 2 if halves else 1, eps, dilation)]
            dilation *= 2 if dilated and stage > 2 else 1
            blocks += [Bottleneck(4 * narrow, narrow, 1, eps, dilation) for _ in range(depth - 1)]
            self.add_module(f"layer{stage}", nn.Sequential(*blocks))
            before = 4 * narrow
        self.channels, self.strides = [256, 512, 1024, 2048], [4, 8, 8, 8] if dilated else [4, 8, 16, 32]
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: Tensor) -> list[Tensor]:
        """Compute the maps."""
        x = functional.max_pool2d(functional.relu(self.bn1(self.conv1(images))), 3, 2, 1)
        maps = []
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = stage(x)
            maps.append(x)
        return maps
