"""cvlab.ops.masks, rle and polygons against torchvision and pycocotools."""

from collections.abc import Iterator

import numpy as np
import torch
from pycocotools import mask as coco
from torch import Tensor
from torchvision.models.detection.roi_heads import paste_masks_in_image

from benchmarks.roi import boxes_in
from benchmarks.timing import Row
from cvlab import ops

NOTES = """
Masks are rough ellipses in pictures of 480 x 640. pycocotools works on run lengths in C, written for pixels as columns;
what it takes to bring masks (N, H, W) into that form and back is within its time. `polygons_to_mask` is from corners to
pixels. Masks are pasted as torchvision does; without rounding the time is the same.
"""


def ellipses(count: int, height: int, width: int, generator: torch.Generator) -> Tensor:
    """Draw masks (count, height, width) bool with wavy outlines."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    cx, cy, a, b = (torch.rand(4, count, 1, 1, generator=generator) * 0.5 + 0.2).unbind()
    u, v = (x / width - cx) / (0.5 * a), (y / height - cy) / (0.5 * b)
    return u**2 + v**2 < 1 + 0.1 * torch.sin(9 * torch.atan2(v, u))


def packed(masks: Tensor) -> np.ndarray:
    """Bring masks (N, H, W) bool into the form that pycocotools encodes, (H, W, N) with whole columns."""
    return np.asfortranarray(masks.permute(1, 2, 0).numpy().view(np.uint8))


def rows() -> Iterator[Row]:
    """Yield all rows."""
    g = torch.Generator().manual_seed(0)
    for number, size in ((8, 128), (100, 256), (100, 800)):
        small, where = torch.rand(number, 1, 28, 28, generator=g), boxes_in(number, size, g)

        def ours(small: Tensor = small, where: Tensor = where, size: int = size) -> Tensor:
            return ops.paste_masks(small, where, (size, size))

        def theirs(small: Tensor = small, where: Tensor = where, size: int = size) -> Tensor:
            return paste_masks_in_image(small, where, (size, size))[:, 0]

        def check(ours=ours, theirs=theirs) -> None:  # type: ignore[no-untyped-def]
            torch.testing.assert_close(ours(), theirs(), atol=2e-5, rtol=0)

        yield Row(f"paste_masks, {number} masks into {size} x {size}", ours, {"torchvision": theirs}, check)
    yield from overlap_rows(g)
    yield from code_rows(g)


def overlap_rows(g: torch.Generator) -> Iterator[Row]:
    """Yield the rows of IoU."""
    first, second = ellipses(30, 480, 640, g), ellipses(20, 480, 640, g)
    codes1, codes2 = coco.encode(packed(first)), coco.encode(packed(second))
    crowd = [0] * len(second)

    def theirs() -> np.ndarray:
        return coco.iou(coco.encode(packed(first)), coco.encode(packed(second)), crowd)

    def check() -> None:
        np.testing.assert_allclose(ops.mask_iou(first, second).numpy(), theirs(), atol=1e-12)
        assert torch.equal(ops.rle_iou(codes1, codes2), ops.mask_iou(first, second))

    yield Row("mask_iou, 30 masks and 20", lambda: ops.mask_iou(first, second), {"pycocotools": theirs}, check)
    yield Row(
        "rle_iou, 30 masks and 20",
        lambda: ops.rle_iou(codes1, codes2),
        {"pycocotools": lambda: coco.iou(codes1, codes2, crowd)},
    )


def code_rows(g: torch.Generator) -> Iterator[Row]:
    """Yield the rows of run lengths and polygons."""
    masks = ellipses(20, 480, 640, g)
    codes = coco.encode(packed(masks))

    def unpacked() -> Tensor:
        return torch.from_numpy(coco.decode(codes)).permute(2, 0, 1).contiguous().bool()

    def check() -> None:
        assert [ops.rle_encode(mask)["counts"] for mask in masks] == [code["counts"] for code in codes]
        assert torch.equal(torch.stack([ops.rle_decode(code) for code in codes]), unpacked())

    yield Row(
        "rle_encode, 20 masks",
        lambda: [ops.rle_encode(mask) for mask in masks],
        {"pycocotools": lambda: coco.encode(packed(masks))},
        check,
    )
    yield Row(
        "rle_decode, 20 masks", lambda: torch.stack([ops.rle_decode(code) for code in codes]), {"pycocotools": unpacked}
    )
    angle = np.linspace(0, 2 * np.pi, 100, endpoint=False)
    corners = np.stack([320 + 250 * np.cos(angle) * (1 + 0.1 * np.sin(9 * angle)), 240 + 200 * np.sin(angle)], 1)
    polygon = corners.ravel().tolist()

    def filled() -> np.ndarray:
        return coco.decode(coco.merge(coco.frPyObjects([polygon], 480, 640)))

    yield Row(
        "polygons_to_mask, 100 corners",
        lambda: ops.polygons_to_mask([polygon], (480, 640)),
        {"pycocotools": filled},
        lambda: np.testing.assert_array_equal(ops.polygons_to_mask([polygon], (480, 640)).numpy(), filled()),
    )
