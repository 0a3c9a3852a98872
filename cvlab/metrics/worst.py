"""Which images to look at first: those with the most errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from torch import Tensor

from cvlab import _check
from cvlab.metrics.errors import detection_errors


class ImageErrors(NamedTuple):
    """The errors in one image: its index, and how many there are of each kind that occurs."""

    index: int
    counts: dict[str, int]

    def __str__(self) -> str:
        return ", ".join(f"{count} {kind}" for kind, count in self.counts.items()) or "no error"


def worst_images(
    predictions: Sequence[Mapping[str, Tensor]],
    targets: Sequence[Mapping[str, Tensor]],
    count: int = 20,
    *,
    iou_threshold: float = 0.5,
    score_threshold: float = 0.5,
) -> list[ImageErrors]:
    """Find the images in which a detector makes the most errors.

    Args:
        predictions: For each image `boxes`, `labels` and `scores`.
        targets: For each image `boxes` and `labels`.
        count: How many images are wanted.
        iou_threshold: From this IoU on a detection finds an object.
        score_threshold: Detections below it are not looked at.

    Returns:
        At most `count` images, most errors first, among equals in their order; images without errors last.

    Raises:
        InputError: As `detection_errors`, or there are not as many targets as predictions.

    Example:
        >>> import torch
        >>> box, one = torch.tensor([[0.0, 0.0, 9.0, 9.0]]), torch.tensor([1])
        >>> targets = [{"boxes": box, "labels": one}] * 2
        >>> found = {"boxes": box, "labels": one, "scores": torch.tensor([0.9])}
        >>> nothing = {key: value[:0] for key, value in found.items()}
        >>> [str(image) for image in worst_images([found, nothing], targets)]
        ['1 missed', 'no error']
    """
    if len(predictions) != len(targets):
        raise _check.InputError(
            f"worst_images: there must be a target for each prediction, got {len(targets)} and {len(predictions)}"
        )
    found = []
    for i, pair in enumerate(zip(predictions, targets, strict=True)):
        errors = detection_errors(
            [pair[0]], [pair[1]], iou_threshold=iou_threshold, score_threshold=score_threshold
        ).counts
        found.append(ImageErrors(i, {kind: n for kind, n in errors.items() if n}))
    return sorted(found, key=lambda image: -sum(image.counts.values()))[:count]
