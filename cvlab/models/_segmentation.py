"""What the segmentation networks share: pictures in, logits of each pixel out."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from cvlab import _check
from cvlab.models._inputs import check_images
from cvlab.preprocess import IMAGENET_MEAN, IMAGENET_STD


class Segmenter(nn.Module):
    """A network that gives each pixel of a picture a logit for each class.

    A subclass has `network`, which maps normalised pictures (B, 3, H, W) to logits (B, K, H, W).

    Args:
        num_classes: with the background, which is class 0.
        stride: of the coarsest map, pixels; no side of a picture may be shorter.
        mean: of the channels, in [0, 1], subtracted from pictures.
        std: of the channels, by which they are then divided.
    """

    def __init__(
        self,
        num_classes: int,
        stride: int,
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
    ) -> None:
        super().__init__()
        if num_classes < 2:
            raise _check.InputError(
                f"{type(self).__name__}: num_classes counts the background, so it is at least 2, got {num_classes}"
            )
        self.num_classes, self.stride = num_classes, stride
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32)[:, None, None], persistent=False)

    def network(self, pictures: Tensor) -> Tensor:
        """Compute the logits of normalised pictures."""
        raise NotImplementedError

    def forward(self, images: Tensor | Sequence[Tensor]) -> dict[str, Tensor]:
        """Compute the logits of pictures.

        Args:
            images: (B, 3, H, W), or a list of (3, H, W) of one size; uint8, or float in [0, 1].

        Returns:
            A dictionary with `out`, (B, K, H, W), as torchvision's segmentation networks give it.

        Raises:
            InputError: if this is no batch of pictures, or they are smaller than the coarsest map's stride.
        """
        return {"out": self.network(self.normalised(images))}

    def normalised(self, images: Tensor | Sequence[Tensor]) -> Tensor:
        """Check pictures, stack them, and bring their channels to mean 0 and deviation 1 or so."""
        batch = batch_of(type(self).__name__, images, self.stride)
        values = batch.to(self.mean.dtype).div_(255) if batch.dtype == torch.uint8 else batch.to(self.mean.dtype)
        return (values - self.mean) / self.std


def batch_of(op: str, images: Tensor | Sequence[Tensor], least: int) -> Tensor:
    """Stack pictures of one size, or say what is wrong with which of them."""
    check_images(op, images)
    sizes = [tuple(image.shape[1:]) for image in images]
    for i, size in enumerate(sizes):
        if size != sizes[0]:
            raise _check.InputError(
                f"{op}: images of a batch must have one size, got {sizes[0]} and, image {i}, {size}; crop them, or "
                "predict one at a time"
            )
    if min(sizes[0]) < least:
        raise _check.InputError(
            f"{op}: images must have at least {least} pixels along each side, the coarsest map's stride, got {sizes[0]}"
        )
    if isinstance(images, Tensor):
        return images.as_subclass(Tensor)
    return torch.stack([image.as_subclass(Tensor) for image in images])
