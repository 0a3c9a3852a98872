"""Heads on regions: what is in a region, where exactly, its mask, its key points."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional


class BoxHead(nn.Module):
    """Two linear layers with ReLU on the flattened region, then one linear layer for classes and one for offsets.

    Args:
        channels: of a region.
        size: side of a region, cells.
        hidden: width of the two layers.
        num_classes: K, with the background.

    Returns:
        Called with regions (N, channels, size, size), logits (N, K) and offsets (N, K, 4), which differ by class.

    References:
        Girshick (2015). Fast R-CNN. Section 2.
    """

    def __init__(self, channels: int, size: int, hidden: int, num_classes: int) -> None:
        super().__init__()
        self.first = nn.Linear(channels * size * size, hidden)
        self.second = nn.Linear(hidden, hidden)
        self.classes = nn.Linear(hidden, num_classes)
        self.offsets = nn.Linear(hidden, 4 * num_classes)

    def forward(self, regions: Tensor) -> tuple[Tensor, Tensor]:
        """Compute logits and offsets."""
        x = functional.relu(self.first(regions.flatten(1)))
        x = functional.relu(self.second(x))
        logits, offsets = self.classes(x), self.offsets(x)
        return logits, offsets.reshape(*logits.shape, 4)  # (N, 4 K) -> (N, K, 4)


class MaskHead(nn.Module):
    """3 x 3 convolutions, a transposed convolution that doubles the size, and a mask for each class.

    Args:
        channels: of a region.
        widths: channels of each convolution.
        num_classes: K, with the background, whose mask is not used.

    Returns:
        Called with regions (N, channels, size, size), logits (N, K, 2 size, 2 size).

    Notes:
        A mask for each class, each its own yes or no: classes do not compete for a pixel, the box head has already said
        what is there.

    References:
        He et al. (2017). Mask R-CNN. Section 3, figure 4.
    """

    def __init__(self, channels: int, widths: Sequence[int], num_classes: int) -> None:
        super().__init__()
        before = [channels, *widths[:-1]]
        self.convs = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in zip(before, widths, strict=True))
        self.enlarge = nn.ConvTranspose2d(widths[-1], widths[-1], 2, 2)
        self.masks = nn.Conv2d(widths[-1], num_classes, 1)
        for layer in [*self.convs, self.enlarge, self.masks]:
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            nn.init.zeros_(layer.bias)

    def forward(self, regions: Tensor) -> Tensor:
        """Compute the masks' logits."""
        x = regions
        for conv in self.convs:
            x = functional.relu(conv(x))
        return self.masks(functional.relu(self.enlarge(x)))


class KeypointHead(nn.Module):
    """3 x 3 convolutions and a transposed convolution: for each key point a map of where in the region it is.

    Args:
        channels: of a region.
        widths: channels of each convolution.
        num_keypoints: n.

    Returns:
        Called with regions (N, channels, size, size), logits (N, n, 2 size, 2 size); over each map's cells their
        softmax says how likely the point is there.

    References:
        He et al. (2017). Mask R-CNN. Section 5.
    """

    def __init__(self, channels: int, widths: Sequence[int], num_keypoints: int) -> None:
        super().__init__()
        before = [channels, *widths[:-1]]
        self.convs = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in zip(before, widths, strict=True))
        self.maps = nn.ConvTranspose2d(widths[-1], num_keypoints, 4, 2, padding=1)
        for layer in [*self.convs, self.maps]:
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            nn.init.zeros_(layer.bias)

    def forward(self, regions: Tensor) -> Tensor:
        """Compute the maps' logits."""
        x = regions
        for conv in self.convs:
            x = functional.relu(conv(x))
        return self.maps(x)
