"""Geometric augmentation: any chain of flips, turns, crops and bends as one warp, with everything that moves along."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn
from torchvision import tv_tensors
from torchvision.transforms.v2 import functional as v2

from cvlab import _check
from cvlab.augment import affine, targets
from cvlab.augment.steps import Elastic, Size, Step
from cvlab.augment.warp import GREY, Fill, Warp

TRIES = 10


def as_image(image: Any, op: str) -> Tensor:
    """Take a picture as a tensor (C, H, W), float or uint8; a Pillow picture becomes uint8.

    Raises:
        TypeError: if it is neither.
        InputError: if it has another shape, no pixels, or another type.
    """
    if isinstance(image, Image.Image):
        if image.mode not in ("L", "RGB"):
            raise _check.InputError(f"{op}: a Pillow image must have mode L or RGB, got {image.mode}: use read_image")
        image = v2.pil_to_tensor(image)
    if not isinstance(image, Tensor):
        raise TypeError(f"{op}: image must be a tensor (C, H, W) or a Pillow image, got {type(image).__name__}")
    image = targets.plain(image)
    _check.shape(op, "image", image, ("C", "H", "W"))
    if image.numel() == 0:
        raise _check.InputError(f"{op}: image must have pixels, got shape {tuple(image.shape)}")
    if not (image.dtype == torch.uint8 or image.is_floating_point()):
        raise _check.InputError(f"{op}: image must be float in [0, 1] or uint8, got {image.dtype}")
    return image


class Geometric(nn.Module):
    """Move a picture and everything in it: the steps are drawn, joined into one map, and carried out once.

    It takes its place in `torchvision.transforms.v2.Compose` like any transform.

    Args:
        steps: such as `Flip`, `ShiftScaleRotate`, `Perspective`, `ResizedCrop`, `Resize`, in the order in which they
            are to act, and at most one `Elastic`, which acts last.
        fill: the value of pixels that come from outside the picture, in [0, 1]: one number or one for each channel.
        min_visibility: an object is dropped when less than this share of what was in the picture still is, in [0, 1].
        min_side: an object is dropped when a side of its box is shorter, pixels.
        keep_one: draw again, up to ten times, while a picture with objects would lose them all.

    Returns:
        Called as `transform(image)` or `transform(image, target)`, the new image, or both. Images are (C, H, W), float
        or uint8, or Pillow pictures; the target is a dictionary as in `cvlab.augment.targets`, or the label
        of the whole
        picture, which comes back as it is. Nothing is changed in place.

    Raises:
        TypeError: if a step has no `draw`, the image is no image or the target no dictionary.
        InputError: if a number is out of its range, or the target does not fit the image.

    Notes:
        A chain of torchvision's transforms interpolates at each step, which blurs; clips the boxes at each step, so
        that one no longer knows how much of an object is left; and turns boxes into boxes around turned boxes. Here
        the picture is interpolated once; with masks, each box is the box of the moved mask.

    Example:
        >>> from cvlab.augment import Flip
        >>> from cvlab.data import StillLife
        >>> image, target = StillLife(size=64)[0]
        >>> turn = Geometric([Flip(1.0)])
        >>> mirrored, moved = turn(image, target)
        >>> bool((mirrored == image.flip(-1)).all()), moved["boxes"].shape == target["boxes"].shape
        (True, True)
        >>> twice, back = turn(mirrored, moved)
        >>> bool((twice == image).all()), bool((back["boxes"] == target["boxes"]).all())
        (True, True)
    """

    def __init__(
        self,
        steps: Sequence[Step | Elastic],
        *,
        fill: Fill = GREY,
        min_visibility: float = 0.25,
        min_side: float = 1.0,
        keep_one: bool = False,
    ) -> None:
        super().__init__()
        for i, step in enumerate(steps):
            if not (hasattr(step, "draw") or isinstance(step, Elastic)):
                raise TypeError(f"Geometric: steps[{i}] must be a step such as Flip(), got {step!r}")
        self.steps = [step for step in steps if not isinstance(step, Elastic)]
        bends = [step for step in steps if isinstance(step, Elastic)]
        if len(bends) > 1:
            raise _check.InputError(f"Geometric: steps must have at most one Elastic, got {len(bends)}")
        self.elastic = bends[0] if bends else None
        _check.fraction("Geometric", "min_visibility", min_visibility)
        _check.positive("Geometric", "min_side", [min_side], zero=True)
        self.fill, self.min_visibility, self.min_side, self.keep_one = fill, min_visibility, min_side, keep_one

    def extra_repr(self) -> str:
        """List the steps, for `print`."""
        return ", ".join(map(repr, [*self.steps, *([self.elastic] if self.elastic else [])]))

    def draw(self, size: Size) -> Warp:
        """Draw the steps for a picture of `size` = (height, width), and join them."""
        matrix, now = affine.identity(), size
        for step in self.steps:
            own, now = step.draw(now)
            matrix = own @ matrix
        return Warp(matrix, size, now, self.elastic.draw_field(now) if self.elastic else None)

    def forward(self, image: Any, target: Mapping[str, Any] | int | Tensor | None = None) -> Any:
        """Draw a map and carry it out."""
        picture = as_image(image, "Geometric")
        size = tuple(picture.shape[1:])
        is_label = isinstance(target, int) or (isinstance(target, Tensor) and target.dim() == 0)
        known = None if target is None or is_label else targets.checked(target, size, "Geometric")
        for _ in range(TRIES):
            warp = self.draw(size)
            found = None if known is None else targets.warped(known, warp, self.min_visibility, self.min_side)
            if not (self.keep_one and self._lost(known, found)):
                break
        moved = tv_tensors.Image(warp.image(picture, self.fill))
        if found is None:
            return (moved, target) if is_label else moved
        return moved, targets.wrapped(found, warp.new)

    @staticmethod
    def _lost(before: targets.Target | None, after: targets.Target | None) -> bool:
        """Tell whether there were objects, and none is left."""
        if before is None or after is None:
            return False
        return targets.number_of_objects(before) > 0 and targets.number_of_objects(after) == 0
