"""Label maps: pictures whose values are numbers of classes, or of instances; from colours and masks, and back.

A label is a name, not an amount: between class 5 and class 9 there is no class 7. So label maps are never interpolated.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from cvlab import _check

IGNORED = 255
"""The label of pixels that do not count."""

VOID = (224, 224, 192)
"""The colour in which Pascal VOC paints pixels that do not count: the one that its palette gives to 255."""

Palette = Tensor | Sequence[Sequence[int]]
_INTEGERS = (torch.uint8, torch.uint16, torch.int8, torch.int16, torch.int32, torch.int64)


def plain_labels(op: str, name: str, labels: Tensor, dims: Sequence[int | str] = ("H", "W")) -> Tensor:
    """Take a label map out of its `tv_tensors` class, and refuse what is none.

    Args:
        op: The caller's name, for messages.
        name: The argument's name, for messages.
        labels: Integers from 0 on.
        dims: The shape that it must have.

    Returns:
        The same numbers as a plain tensor of int64.

    Raises:
        TypeError: It is no tensor.
        InputError: It has another shape, is of floats, complex numbers or booleans, or a label is below 0.
    """
    _check.shape(op, name, labels, dims)
    if labels.dtype not in _INTEGERS:
        raise _check.InputError(f"{op}: {name} must be integers, got {labels.dtype}")
    numbers = labels.detach().as_subclass(Tensor).long()
    if numbers.numel() and int(numbers.min()) < 0:
        place = (numbers < 0).nonzero()[0].tolist()
        raise _check.InputError(f"{op}: {name}{place} must be at least 0, got {int(numbers[tuple(place)])}")
    return numbers


def voc_palette(num: int = 21) -> Tensor:
    """Make the first colours of Pascal VOC's palette.

    The number of a class, written in bits, deals its bits out in turn to red, green and blue, the lowest first; each
    colour receives its highest bit first. So neighbouring numbers get colours far apart: 1 (binary 001) is red 128, 2
    (010) is green 128, 4 (100) is blue 128, and 8 (1000) is red again, with 64.

    Args:
        num: How many colours, from 1 to 256. VOC has 21: the background, which is black, and 20 classes.

    Returns:
        (num, 3) uint8, red, green and blue.

    Raises:
        InputError: The number is no whole number from 1 to 256.

    Example:
        >>> voc_palette(4)
        tensor([[  0,   0,   0],
                [128,   0,   0],
                [  0, 128,   0],
                [128, 128,   0]], dtype=torch.uint8)
    """
    if not isinstance(num, int) or not 1 <= num <= 256:
        raise _check.InputError(f"voc_palette: num must be a whole number from 1 to 256, got {num!r}")
    numbers = torch.arange(num)
    palette = torch.zeros(num, 3, dtype=torch.int64)
    for bit in range(8):
        palette[:, bit % 3] |= (numbers >> bit & 1) << (7 - bit // 3)
    return palette.to(torch.uint8)


def labels_from_colors(picture: Tensor, palette: Palette, ignore_color: Sequence[int] | None = VOID) -> Tensor:
    """Turn a picture whose colours stand for classes into a label map.

    Args:
        picture: (3, H, W) uint8, red, green and blue, as `read_image` gives it with `dtype=torch.uint8`.
        palette: (K, 3) whole numbers from 0 to 255; row k is the colour of class k. No colour twice, and at most 255.
        ignore_color: The colour of pixels that do not count, Pascal VOC's by default; None where there is none.

    Returns:
        (H, W) uint8, the class of each pixel, 255 where it is ignored.

    Raises:
        TypeError: The picture is no tensor.
        InputError: The picture has another shape or dtype, the palette is not as above or has the colour to ignore, or
            a pixel has a colour that is neither; the first one is named. Pictures that were saved as JPEG have many.

    Notes:
        `read_mask` reads files with a palette without this: their pixels are the labels already.

    Example:
        >>> picture = torch.tensor([[0, 128, 224], [0, 0, 224], [0, 0, 192]], dtype=torch.uint8)[:, None]  # (3, 1, 3)
        >>> labels_from_colors(picture, voc_palette())
        tensor([[  0,   1, 255]], dtype=torch.uint8)
    """
    op = "labels_from_colors"
    _check.shape(op, "picture", picture, (3, "H", "W"))
    if picture.dtype != torch.uint8:
        raise _check.InputError(f"{op}: picture must be torch.uint8, from 0 to 255, got {picture.dtype}")
    colors = _palette(op, palette, ignore_color).to(picture.device)  # (K + 1, 3), or (K, 3) without one to ignore
    codes, order = _codes(colors.t()).sort()
    pixels = _codes(picture.as_subclass(Tensor))  # (H, W)
    place = torch.searchsorted(codes, pixels).clamp(max=len(codes) - 1)
    unknown = codes[place] != pixels
    if bool(unknown.any()):
        y, x = unknown.nonzero()[0].tolist()
        other = "is not in the palette" if ignore_color is None else "is neither in the palette nor the one to ignore"
        raise _check.InputError(
            f"{op}: the colour of picture[:, {y}, {x}], {tuple(picture[:, y, x].tolist())}, {other}; "
            f"{int(unknown.sum())} of {unknown.numel()} pixels have such colours"
        )
    labels = order[place]
    return (labels if ignore_color is None else labels.where(labels < len(colors) - 1, IGNORED)).to(torch.uint8)


def colors_from_labels(labels: Tensor, palette: Palette, ignore_color: Sequence[int] | None = VOID) -> Tensor:
    """Paint a label map in the colours of a palette.

    Args:
        labels: (H, W) integers, from 0 to K - 1, or 255 for pixels that do not count.
        palette: (K, 3) whole numbers from 0 to 255, as in `labels_from_colors`.
        ignore_color: The colour of pixels that do not count; None where there must not be any.

    Returns:
        (3, H, W) uint8.

    Raises:
        TypeError: The labels are no tensor.
        InputError: The labels have another shape or dtype, the palette is not as above, or a label has no colour; the
            first one is named.

    Example:
        >>> colors_from_labels(torch.tensor([[0, 1, 255]]), voc_palette())[:, 0].t()
        tensor([[  0,   0,   0],
                [128,   0,   0],
                [224, 224, 192]], dtype=torch.uint8)
    """
    op = "colors_from_labels"
    numbers = plain_labels(op, "labels", labels)
    colors = _palette(op, palette, ignore_color).to(numbers.device)
    known = len(colors) if ignore_color is None else len(colors) - 1
    ignored = numbers == IGNORED if ignore_color is not None else torch.zeros_like(numbers, dtype=torch.bool)
    wrong = (numbers >= known) & ~ignored
    if bool(wrong.any()):
        y, x = wrong.nonzero()[0].tolist()
        other = "" if ignore_color is None else f" or be {IGNORED} (ignored)"
        got = int(numbers[y, x])
        raise _check.InputError(f"{op}: labels[{y}, {x}] must lie from 0 to {known - 1}{other}, got {got}")
    place = numbers.masked_fill(ignored, known)
    return colors.to(torch.uint8)[place].permute(2, 0, 1).contiguous()  # (H, W, 3) -> (3, H, W)


def _palette(op: str, palette: Palette, ignore_color: Sequence[int] | None) -> Tensor:
    """Check a palette and give it as int64, with the colour to ignore as its last row, where there is one."""
    colors = torch.as_tensor(palette)
    _check.shape(op, "palette", colors, ("K", 3))
    if colors.dtype not in _INTEGERS:
        raise _check.InputError(f"{op}: palette must be integers from 0 to 255, got {colors.dtype}")
    most = IGNORED + 1 if ignore_color is None else IGNORED
    if not 1 <= len(colors) <= most:
        raise _check.InputError(f"{op}: palette must have from 1 to {most} colours, got {len(colors)}")
    rows = [tuple(row) for row in colors.tolist()]
    names = [f"palette[{k}]" for k in range(len(rows))]
    if ignore_color is not None:
        rows, names = [*rows, tuple(ignore_color)], [*names, "ignore_color"]
    for i, (name, row) in enumerate(zip(names, rows, strict=True)):
        if len(row) != 3 or not all(isinstance(v, int) and 0 <= v <= 255 for v in row):
            raise _check.InputError(f"{op}: {name} must be three whole numbers from 0 to 255, got {row}")
        first = rows.index(row)
        if first < i:
            raise _check.InputError(f"{op}: {name} must be another colour than {names[first]}, both are {row}")
    return torch.tensor(rows)


def _codes(colors: Tensor) -> Tensor:
    """Write each colour (3, ...) as one number."""
    red, green, blue = colors.int()
    return (red << 16) + (green << 8) + blue


def instances_from_masks(masks: Tensor) -> Tensor:
    """Lay the masks of objects over one another to an instance map.

    Args:
        masks: (N, H, W) bool, or 0 and 1.

    Returns:
        (H, W) int64, 0 for the background and i + 1 for the pixels of mask i. Where masks overlap, the later one is on
        top; a mask that is empty, or wholly covered, leaves its number unused.

    Raises:
        TypeError: It is no tensor.
        InputError: It has another shape.

    Example:
        >>> instances_from_masks(torch.tensor([[[1, 1, 0, 0]], [[0, 1, 1, 0]]]).bool())
        tensor([[1, 2, 2, 0]])
    """
    _check.shape("instances_from_masks", "masks", masks, ("N", "H", "W"))
    instances = masks.new_zeros(masks.shape[1:], dtype=torch.int64).as_subclass(Tensor)
    for i, mask in enumerate(masks.as_subclass(Tensor).bool()):
        instances.masked_fill_(mask, i + 1)
    return instances


def masks_from_instances(instances: Tensor) -> Tensor:
    """Take an instance map apart into one mask for each object.

    Args:
        instances: (H, W) integers, 0 for the background.

    Returns:
        (N, H, W) bool, a mask for each number above 0 that occurs, in rising order; none of them is empty.

    Raises:
        TypeError: It is no tensor.
        InputError: It has another shape or dtype, or a number is below 0.

    Example:
        >>> masks_from_instances(torch.tensor([[1, 4, 4, 0]])).int().tolist()
        [[[1, 0, 0, 0]], [[0, 1, 1, 0]]]
    """
    numbers = plain_labels("masks_from_instances", "instances", instances)
    present = numbers.unique()
    return numbers == present[present > 0][:, None, None]  # (N, H, W)


def resize_labels(labels: Tensor, size: tuple[int, int]) -> Tensor:
    """Bring label maps to another size by nearest neighbours, which invents no label.

    Args:
        labels: (..., H, W) integers or bool.
        size: (height, width) of the result, pixels.

    Returns:
        (..., height, width) in the dtype of `labels`: each pixel takes the label of the old pixel that its centre falls
        into; where it falls between two, of the one to the right or below. So enlarging by a whole factor repeats each
        pixel, and shrinking by an odd one takes the middle pixel of each block.

    Raises:
        TypeError: It is no tensor.
        InputError: The labels are floats, have no pixels, or the size is not two whole numbers above 0.

    Notes:
        torch's `interpolate(mode="nearest-exact")`, but in whole numbers. Its `mode="nearest"` takes the first pixel
        of each block, which moves everything by up to half a pixel of the smaller picture.

    Example:
        >>> resize_labels(torch.tensor([[0, 0, 0, 5, 5, 5, 9, 9, 9]]), (1, 3))
        tensor([[0, 5, 9]])
    """
    op = "resize_labels"
    _check.shape(op, "labels", labels, ("...", "H", "W"))
    if labels.is_floating_point() or labels.is_complex():
        raise _check.InputError(f"{op}: labels must be integers or bool, got {labels.dtype}")
    if 0 in labels.shape[-2:]:
        raise _check.InputError(f"{op}: labels must have pixels, got shape {tuple(labels.shape)}")
    if len(size) != 2 or not all(isinstance(side, int) and side > 0 for side in size):
        raise _check.InputError(f"{op}: size must be (height, width), whole numbers above 0, got {size!r}")
    rows, columns = (_sources(old, new, labels.device) for old, new in zip(labels.shape[-2:], size, strict=True))
    return labels.as_subclass(Tensor)[..., rows[:, None], columns]


def _sources(old: int, new: int, device: torch.device) -> Tensor:
    """Find the old pixel under the centre of each new one along one side: (i + 1/2) old / new, rounded down."""
    return (2 * torch.arange(new, device=device) + 1) * old // (2 * new)
