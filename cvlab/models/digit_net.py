"""A classifier as phones and microcontrollers have it: depthwise-separable convolutions, and a ReLU that ends at 6."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from cvlab import weights as shipped

Activation = Callable[[], nn.Module]


class DepthwiseSeparable(nn.Sequential):
    """A convolution of 3 x 3 in each channel, and one of 1 x 1 across them, each normalised and activated.

    References:
        Howard, A. et al. (2017). MobileNets. arXiv 1704.04861.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, act: Activation) -> None:
        super().__init__(
            nn.Conv2d(inputs, inputs, 3, stride, 1, groups=inputs, bias=False),
            nn.BatchNorm2d(inputs),
            act(),
            nn.Conv2d(inputs, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
            act(),
        )


class DigitNet(nn.Module):
    """Classify pictures of 32 x 32 pixels with 140 thousand parameters, in the way of MobileNet.

    Args:
        num_classes: number of classes.
        act: makes the activation; None for ReLU6.

    Returns:
        Called with images (B, 3, 32, 32), float in [0, 1], it gives logits (B, num_classes).

    Example:
        >>> import torch
        >>> DigitNet()(torch.zeros(2, 3, 32, 32)).shape
        torch.Size([2, 10])
    """

    def __init__(self, num_classes: int = 10, act: Activation | None = None) -> None:
        act = act or nn.ReLU6
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16), act())
        widths, strides = (16, 32, 64, 64, 128, 128, 256, 256), (1, 2, 1, 2, 1, 2, 1)
        self.blocks = nn.Sequential(
            *(DepthwiseSeparable(*pair, s, act) for *pair, s in zip(widths[:-1], widths[1:], strides, strict=True))
        )
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(widths[-1], num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Compute logits."""
        return self.head(self.pool(self.blocks(self.stem(images))).flatten(1))


def digit_net(weights: str | None = None) -> DigitNet:
    """Make the classifier of digits.

    Args:
        weights: "digit_net" for shipped ones; None for random ones.

    Returns:
        The network, in evaluation mode.

    Raises:
        ValueError: if there are no weights of this name.
    """
    model = DigitNet()
    if weights is not None:
        model.load_state_dict(shipped.load(weights))
    return model.eval()
