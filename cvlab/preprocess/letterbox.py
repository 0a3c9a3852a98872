"""Pictures of any size into a network's input of one size, and what it finds there back into the picture.

Pixel coordinates start at the corner of the upper left pixel, whose centre is at (0.5, 0.5); resizing is then a plain
multiplication, and padding an addition, for boxes and points alike.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from cvlab import _check
from cvlab.ops.boxes import clip_boxes_to_image, upcast
from cvlab.preprocess import _pixels
from cvlab.preprocess.resize import resize

Size = tuple[int, int]

GREY = 114 / 255
"""The grey that YOLO's letterbox pads with."""


@dataclass(frozen=True)
class ResizeMap:
    """Carries pictures, masks, boxes and points from an image into a network's input, and back.

    `letterbox` and `stretch` make it. The picture is resized to `content`, and lies at `offset` inside `size`.

    Attributes:
        image_size: (height, width) of the image, pixels.
        size: (height, width) of the input, pixels.
        content: (rows, columns) of the resized picture inside the input, pixels.
        offset: (top, left) of it, pixels.

    Raises:
        InputError: A size is not two whole numbers above 0, or the content does not lie inside the input.

    Example:
        >>> to_input = letterbox((300, 400), (200, 200))
        >>> to_input
        ResizeMap(image_size=(300, 400), size=(200, 200), content=(150, 200), offset=(25, 0))
        >>> boxes = to_input.boxes(torch.tensor([[40.0, 100.0, 80.0, 200.0]]))
        >>> boxes  # halved, and 25 lower
        tensor([[ 20.,  75.,  40., 125.]])
        >>> to_input.undo_boxes(boxes)
        tensor([[ 40., 100.,  80., 200.]])
    """

    image_size: Size
    size: Size
    content: Size
    offset: Size

    def __post_init__(self) -> None:
        for name in ("image_size", "size", "content"):
            object.__setattr__(self, name, _pixels.size("ResizeMap", name, getattr(self, name)))
        for start, length, whole in zip(self.offset, self.content, self.size, strict=True):
            if start % 1 or start < 0 or start + length > whole:
                raise _check.InputError(
                    f"ResizeMap: content {self.content} at offset {self.offset} must lie inside size {self.size}, "
                    "in whole pixels"
                )

    @property
    def scale(self) -> tuple[float, float]:
        """The factors (sy, sx) by which the image grows, content divided by image_size.

        They may differ a little in a letterbox too, because its content is whole pixels.
        """
        return self.content[0] / self.image_size[0], self.content[1] / self.image_size[1]

    def image(self, image: Tensor, fill: float = GREY, method: str = "bilinear", antialias: bool = True) -> Tensor:
        """Resize and pad an image.

        Args:
            image: (..., H, W) float or uint8, of `image_size`.
            fill: The padding's value in [0, 1], for uint8 too.
            method: As `resize` takes it.
            antialias: As `resize` takes it.

        Returns:
            (..., height, width) of `size` and the same dtype.

        Raises:
            InputError: The image has another size or dtype, the fill is outside [0, 1], or the method is unknown.
        """
        op = "ResizeMap.image"
        self._check_pixels(op, "image", image, self.image_size)
        _check.fraction(op, "fill", fill)
        value = round(fill * 255) if image.dtype == torch.uint8 else fill
        return self._pad(resize(image, self.content, method, antialias), value)

    def masks(self, masks: Tensor) -> Tensor:
        """Resize masks by the nearest pixel and pad them with False, label maps with 0.

        Args:
            masks: (..., H, W) bool, or integers as labels, of `image_size`.

        Returns:
            (..., height, width) of `size` and the same dtype.

        Raises:
            InputError: The masks have another size, or are floats.
        """
        op = "ResizeMap.masks"
        self._check_pixels(op, "masks", masks, self.image_size, only_images=False)
        if masks.is_floating_point() or masks.is_complex():
            raise _check.InputError(f"{op}: masks must be bool or integers, got {masks.dtype}")
        return self._pad(resize(masks, self.content, "nearest"), 0)

    def boxes(self, boxes: Tensor) -> Tensor:
        """Carry boxes into the input.

        Args:
            boxes: (..., 4) xyxy, pixels of the image.

        Returns:
            (..., 4) xyxy, pixels of the input, in the same float dtype, float32 for integers.

        Raises:
            InputError: The boxes have another shape, are not finite, or have x2 < x1 or y2 < y1.

        Notes:
            In float32 a box comes back from `undo_boxes` to within a thousandth of a pixel for images of up to 8000
            pixels: there, two neighbouring float32 numbers already lie 0.0005 apart. In float64 it is 1e-10.
        """
        _check.boxes("ResizeMap.boxes", "boxes", boxes)
        return self._forward(boxes.unflatten(-1, (2, 2))).flatten(-2)  # (..., 2, 2) as (x1, y1), (x2, y2)

    def points(self, points: Tensor) -> Tensor:
        """Carry points into the input.

        Args:
            points: (..., 2) as (x, y), pixels of the image.

        Returns:
            (..., 2) as (x, y), pixels of the input, in the same float dtype, float32 for integers.

        Raises:
            InputError: The points have another shape or are not finite.
        """
        _check_points("ResizeMap.points", points)
        return self._forward(points)

    def undo_image(self, image: Tensor, method: str = "bilinear", antialias: bool = True) -> Tensor:
        """Cut the padding off an image of the input's size, and resize the rest to the size of the image.

        Args:
            image: (..., height, width) float or uint8, of `size`.
            method: As `resize` takes it.
            antialias: As `resize` takes it.

        Returns:
            (..., H, W) of `image_size` and the same dtype.

        Raises:
            InputError: The image has another size or dtype, or the method is unknown.
        """
        self._check_pixels("ResizeMap.undo_image", "image", image, self.size)
        return resize(self._crop(image), self.image_size, method, antialias)

    def undo_masks(self, masks: Tensor) -> Tensor:
        """Cut the padding off masks, and resize the rest to the size of the image.

        Args:
            masks: (..., height, width) of `size`: bool or label maps, by the nearest pixel, or probabilities as floats,
                bilinear.

        Returns:
            (..., H, W) of `image_size` and the same dtype. Where the letterbox did not shrink, bool masks and label
            maps that went through `masks` come back bit by bit.

        Raises:
            InputError: The masks have another size.
        """
        self._check_pixels("ResizeMap.undo_masks", "masks", masks, self.size, only_images=False)
        method = "bilinear" if masks.is_floating_point() else "nearest"
        return resize(self._crop(masks), self.image_size, method)

    def undo_boxes(self, boxes: Tensor, clip: bool = True) -> Tensor:
        """Carry boxes back into the image.

        Args:
            boxes: (..., 4) xyxy, pixels of the input.
            clip: Cut off what lies outside the image, in the padding.

        Returns:
            (..., 4) xyxy, pixels of the image, in the same float dtype, float32 for integers.

        Raises:
            InputError: The boxes have another shape, are not finite, or have x2 < x1 or y2 < y1.
        """
        _check.boxes("ResizeMap.undo_boxes", "boxes", boxes)
        back = self._backward(boxes.unflatten(-1, (2, 2))).flatten(-2)  # (..., 2, 2) as (x1, y1), (x2, y2)
        return clip_boxes_to_image(back, self.image_size) if clip else back

    def undo_points(self, points: Tensor) -> Tensor:
        """Carry points back into the image.

        Args:
            points: (..., 2) as (x, y), pixels of the input.

        Returns:
            (..., 2) as (x, y), pixels of the image, in the same float dtype, float32 for integers. Points in the
            padding lie outside it.

        Raises:
            InputError: The points have another shape or are not finite.
        """
        _check_points("ResizeMap.undo_points", points)
        return self._backward(points)

    def _forward(self, xy: Tensor) -> Tensor:
        wide = _wide(xy)
        old, new, start = self._sides(wide)
        return _narrow(wide * new / old + start, xy.dtype)

    def _backward(self, xy: Tensor) -> Tensor:
        wide = _wide(xy)
        old, new, start = self._sides(wide)
        return _narrow((wide - start) * old / new, xy.dtype)

    def _sides(self, xy: Tensor) -> Tensor:
        """Give image_size, content and offset as rows of (3, 2), x first."""
        return xy.new_tensor([size[::-1] for size in (self.image_size, self.content, self.offset)])

    def _pad(self, content: Tensor, value: float) -> Tensor:
        (height, width), (rows, columns), (top, left) = self.size, self.content, self.offset
        sides = (left, width - columns - left, top, height - rows - top)
        return torch.nn.functional.pad(content, sides, value=value)

    def _crop(self, pixels: Tensor) -> Tensor:
        (rows, columns), (top, left) = self.content, self.offset
        return pixels[..., top : top + rows, left : left + columns]

    def _check_pixels(self, op: str, name: str, value: Tensor, size: Size, only_images: bool = True) -> None:
        _pixels.image(op, name, value, only_images)
        if tuple(value.shape[-2:]) != size:
            raise _check.InputError(
                f"{op}: {name} must have shape (..., {size[0]}, {size[1]}), got {tuple(value.shape)}"
            )


def _wide(xy: Tensor) -> Tensor:
    """Give coordinates in float32, or float64 where they are."""
    xy = upcast(xy)
    return xy if xy.is_floating_point() else xy.float()


def _narrow(xy: Tensor, dtype: torch.dtype) -> Tensor:
    return xy.to(dtype) if dtype.is_floating_point else xy


def _check_points(op: str, points: Tensor) -> None:
    _check.numeric(op, "points", points)
    _check.shape(op, "points", points, ("...", 2))
    _check.finite(op, "points", points)


def letterbox(image_size: Size, size: Size, *, align: str = "centre", enlarge: bool = True) -> ResizeMap:
    """Plan to resize an image by one factor, as large as it fits, and to pad the rest.

    Args:
        image_size: (height, width) of the image, pixels.
        size: (height, width) of the network's input, pixels.
        align: "centre" pads both sides; "corner" puts the picture into the upper left, and pads right and below.
        enlarge: Let smaller images grow. Without it they keep their size.

    Returns:
        The `ResizeMap`. Its content is rounded to whole pixels, but never to none.

    Raises:
        InputError: A size is not two whole numbers above 0, or the alignment is unknown.

    Notes:
        Content and offset are those of `PIL.ImageOps.pad` (a half is rounded to the even number), and so may differ by
        one pixel from YOLO's own code, which also may pad less than `size` asks for.

    Example:
        >>> letterbox((480, 640), (416, 416)).content
        (312, 416)
        >>> letterbox((480, 640), (416, 416)).offset, letterbox((480, 640), (416, 416), align="corner").offset
        ((52, 0), (0, 0))
    """
    op = "letterbox"
    _check.choice(op, "align", align, ("centre", "corner"))
    image_height, image_width = _pixels.size(op, "image_size", image_size)
    height, width = _pixels.size(op, "size", size)
    if not enlarge and image_height <= height and image_width <= width:
        rows, columns = image_height, image_width
    elif image_width / image_height > width / height:
        rows, columns = max(round(image_height / image_width * width), 1), width
    else:
        rows, columns = height, max(round(image_width / image_height * height), 1)
    offset = (round((height - rows) / 2), round((width - columns) / 2)) if align == "centre" else (0, 0)
    return ResizeMap((image_height, image_width), (height, width), (rows, columns), offset)


def stretch(image_size: Size, size: Size) -> ResizeMap:
    """Plan to resize an image to the whole input, by different factors for height and width.

    Args:
        image_size: (height, width) of the image, pixels.
        size: (height, width) of the network's input, pixels.

    Returns:
        The `ResizeMap`, without padding.

    Raises:
        InputError: A size is not two whole numbers above 0.

    Example:
        >>> stretch((300, 400), (150, 300)).scale
        (0.5, 0.75)
    """
    whole = _pixels.size("stretch", "size", size)
    return ResizeMap(_pixels.size("stretch", "image_size", image_size), whole, whole, (0, 0))
