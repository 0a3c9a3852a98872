"""cvlab.ops.roi against torchvision's operators."""

from collections.abc import Callable, Iterator

import torch
import torchvision
from torch import Tensor
from torchvision.models.detection.roi_heads import project_masks_on_boxes

from benchmarks.timing import Row
from cvlab import ops
from cvlab.data import StillLife

NOTES = """
RoIAlign with two samples along each side of a bin and `aligned=True`; RoIPool likewise. `B x C x H x W` is the map's
shape, regions are those of each image. Up to some 40 x 40 cells `roi_align` is two matrix products, on larger maps it
gathers. The forward pass alone is a little faster than torchvision's on small maps and slower on large ones; both
passes together are faster, because torchvision's backward pass adds cell by cell. RoIPool is many times slower than
torchvision's operator: it is here to be understood, and no shipped model uses it.
"""


def boxes_in(count: int, size: float, generator: torch.Generator) -> Tensor:
    """Draw boxes of all sizes inside a square picture."""
    corner = torch.rand(count, 2, generator=generator) * size * 0.7
    side = torch.rand(count, 2, generator=generator) * size * 0.28 + 0.02 * size
    return torch.cat([corner, corner + side], 1)


def both_ways(pool: Callable[[], Tensor], weights: Tensor) -> Callable[[], None]:
    """Give a function that runs forward and backward."""
    return lambda: pool().backward(weights)


def rows() -> Iterator[Row]:
    """Yield all rows."""
    g = torch.Generator().manual_seed(0)
    cases = ((16, 64, 32, 32, 7), (16, 64, 32, 8, 14), (1, 256, 32, 128, 7), (1, 64, 32, 128, 7), (1, 256, 100, 512, 7))
    for batch, channels, side, count, size in cases:
        maps = torch.randn(batch, channels, side, side, generator=g, requires_grad=True)
        boxes = [boxes_in(count, 128, g) for _ in range(batch)]
        name = f"{batch} x {channels} x {side} x {side}, {count} regions of {size} x {size}"

        def ours(maps: Tensor = maps, boxes: list[Tensor] = boxes, size: int = size) -> Tensor:
            return ops.roi_align(maps, boxes, size, maps.shape[-1] / 128, 2, True)

        def theirs(maps: Tensor = maps, boxes: list[Tensor] = boxes, size: int = size) -> Tensor:
            return torchvision.ops.roi_align(maps, boxes, size, maps.shape[-1] / 128, 2, True)

        def check(ours: Callable = ours, theirs: Callable = theirs) -> None:
            torch.testing.assert_close(ours(), theirs(), atol=1e-4, rtol=0)

        weights = torch.randn(batch * count, channels, size, size, generator=g)
        yield Row(f"roi_align {name}, forward", torch.no_grad()(ours), {"torchvision": torch.no_grad()(theirs)}, check)
        yield Row(f"roi_align {name}, both ways", both_ways(ours, weights), {"torchvision": both_ways(theirs, weights)})
    maps, boxes = torch.randn(16, 64, 32, 32, generator=g), [boxes_in(32, 128, g) for _ in range(16)]
    yield Row(
        "roi_pool 16 x 64 x 32 x 32, 32 regions of 7 x 7, forward",
        lambda: ops.roi_pool(maps, boxes, 7, 0.25),
        {"torchvision": lambda: torchvision.ops.roi_pool(maps, boxes, 7, 0.25)},
    )
    target = StillLife(128, "train", count=(6, 9))[0][1]
    masks, boxes = (target[name].as_subclass(Tensor) for name in ("masks", "boxes"))
    count = len(masks)
    yield Row(
        f"mask_targets, {count} masks of 128 x 128",
        lambda: ops.mask_targets(masks, boxes),
        {"torchvision": lambda: project_masks_on_boxes(masks.float(), boxes, torch.arange(count), 28)},
    )
