"""A classifier of patches, and the same as a network for pictures of any size."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from cvlab import _check


def patch_classifier(num_classes: int) -> nn.Sequential:
    """Make a small classifier of patches of 32 x 32 pixels, without padding: two convolutions, one linear layer.

    Args:
        num_classes: how many numbers it gives.

    Returns:
        A network that maps (B, 3, 32, 32) to (B, num_classes). Its last layer takes 32 x 5 x 5 features.
    """
    return nn.Sequential(
        nn.Conv2d(3, 16, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(800, num_classes),
    )


def as_convolution(classifier: nn.Sequential, features: tuple[int, int, int]) -> nn.Sequential:
    """Turn a classifier that ends with `Flatten` and `Linear` into one that takes pictures of any size.

    Args:
        classifier: the network; it is left as it is.
        features: (C, h, w), what is flattened.

    Returns:
        A network that maps (B, 3, H, W) to (B, num_classes, H', W'), with copies of the same weights.

    Raises:
        InputError: if the network does not end like this, or the features are not as many as the last layer takes.

    Example:
        >>> network = as_convolution(patch_classifier(11), (32, 5, 5))
        >>> network(torch.zeros(1, 3, 32, 32)).shape, network(torch.zeros(1, 3, 128, 96)).shape
        (torch.Size([1, 11, 1, 1]), torch.Size([1, 11, 25, 17]))

    References:
        Long, J., Shelhamer, E. and Darrell, T. (2015). Fully convolutional networks. CVPR. Section 3.1.
    """
    *body, flatten, linear = classifier
    if not (isinstance(flatten, nn.Flatten) and isinstance(linear, nn.Linear)):
        got = f"{type(flatten).__name__} and {type(linear).__name__}"
        raise _check.InputError(f"as_convolution: the classifier must end with Flatten and Linear, got {got}")
    channels, height, width = features
    if channels * height * width != linear.in_features:
        raise _check.InputError(f"as_convolution: the last layer takes {linear.in_features} features, got {features}")
    last = nn.Conv2d(channels, linear.out_features, (height, width), bias=linear.bias is not None)
    weights = linear.weight.detach().reshape(-1, channels, height, width)  # features are flattened in this order
    last.load_state_dict({"weight": weights} | ({} if linear.bias is None else {"bias": linear.bias.detach()}))
    return nn.Sequential(*copy.deepcopy(body), last)


@torch.no_grad()
def multiplications(network: nn.Module, x: Tensor) -> int:
    """Count the multiplications of all convolutions and linear layers while a network runs.

    Args:
        network: the network.
        x: its input.

    Example:
        >>> multiplications(nn.Conv2d(3, 8, 3, padding=1), torch.zeros(2, 3, 10, 10))  # 2 * 100 places * 8 * 27
        43200
    """
    total = 0

    def count(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal total
        total += output.numel() * layer.weight[0].numel()

    layers = [layer for layer in network.modules() if isinstance(layer, (nn.Conv2d, nn.Linear))]
    hooks = [layer.register_forward_hook(count) for layer in layers]
    try:
        network(x)
    finally:
        for hook in hooks:
            hook.remove()
    return total
