"""Pasting and cutting of masks against torchvision, against sampling as detectron2 does it, and there and back."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn.functional import grid_sample
from torchvision.models.detection.roi_heads import paste_masks_in_image, project_masks_on_boxes

from cvlab import ops

NUCLEI = Path(__file__).parents[3] / "shared" / "data" / "nuclei" / "labels"


def _cases(count, seed):
    """Yield pictures' sizes and boxes of all sizes, many of which the border cuts."""
    g = torch.Generator().manual_seed(seed)
    for _ in range(count):
        size = tuple(torch.randint(5, 90, (2,), generator=g).tolist())
        corner = torch.rand(6, 2, generator=g) * 100 - 20
        boxes = torch.cat((corner, corner + torch.rand(6, 2, generator=g) ** 2 * 80 + 0.1), 1)
        yield size, boxes, torch.rand(6, 1, int(torch.randint(1, 30, (1,), generator=g)), 1, generator=g)


@pytest.mark.parametrize("padding", [0, 1, 2])
def test_like_torchvision(padding):
    compared = 0
    for size, boxes, column in _cases(40, 0):
        masks = column * column.transpose(2, 3).flip(0)
        inside = torch.tensor([0.0, 0.0, *size[::-1]])
        seen = ops.box_iou(boxes, inside[None])[:, 0] > 0  # torchvision fails for boxes outside
        theirs = paste_masks_in_image(masks[seen], boxes[seen], size, padding)
        ours = ops.paste_masks(masks, boxes, size, padding)
        torch.testing.assert_close(ours[seen], theirs.reshape(-1, *size), atol=1e-5, rtol=0)
        compared += int(seen.sum())
    assert compared > 60


def test_what_torchvision_makes_of_thin_boxes():
    boxes = torch.tensor([[4.0, 3.0, 4.0, 3.0], [4.9, 3.0, 5.1, 9.0], [-0.6, -0.6, 0.2, 0.2], [0.0, 0.0, 10.0, 0.3]])
    masks = torch.rand(4, 1, 7, 7, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(
        ops.paste_masks(masks, boxes, (10, 11)), paste_masks_in_image(masks, boxes, (10, 11))[:, 0]
    )


def _sampled(mask, box, size):
    """Look up the middle of every pixel in the box, in units in which it goes from -1 to 1; 0 beyond the mask."""
    y, x = torch.meshgrid(*(torch.arange(n, dtype=mask.dtype) + 0.5 for n in size), indexing="ij")
    u, v = (x - box[0]) / (box[2] - box[0]), (y - box[1]) / (box[3] - box[1])
    grid = torch.stack((u, v), -1) * 2 - 1
    return grid_sample(mask[None, None], grid[None], padding_mode="zeros", align_corners=False)[0, 0]


def test_without_rounding_every_pixel_is_looked_up():
    for size, boxes, column in _cases(25, 1):
        masks, boxes = (column * column.transpose(2, 3).flip(0))[:, 0].double(), boxes.double()
        ours = ops.paste_masks(masks, boxes, size, rounded=False)
        theirs = torch.stack([_sampled(mask, box, size) for mask, box in zip(masks, boxes, strict=True)])
        torch.testing.assert_close(ours, theirs, atol=1e-9, rtol=0)


@pytest.mark.parametrize("size", [1, 7, 28])
def test_targets_like_torchvision(size):
    g = torch.Generator().manual_seed(2)
    for shape, boxes, _ in _cases(10, 2):
        masks = torch.rand(6, *shape, generator=g) < 0.5
        theirs = project_masks_on_boxes(masks.float(), boxes, torch.arange(6), size)
        torch.testing.assert_close(ops.mask_targets(masks, boxes, size, aligned=False), theirs, atol=2e-5, rtol=0)


def _nuclei(count):
    for file in sorted(NUCLEI.glob("*.png"))[:count]:
        labels = torch.from_numpy(np.array(Image.open(file)).astype(np.int64))
        yield labels == labels.unique()[1:, None, None]


def test_there_and_back_on_nuclei():
    """Cut to 28 x 28 cells, pasted and cut at one half again: whoever keeps the half pixels keeps the nuclei."""
    if not NUCLEI.is_dir():
        pytest.skip("the nuclei are not beside this repository")
    mean = {}
    for aligned in (True, False):
        for rounded in (True, False):
            overlaps = []
            for masks in _nuclei(12):
                boxes = ops.masks_to_boxes(masks, half_open=True)
                masks, boxes = masks[:40], boxes[:40]
                pasted = ops.paste_masks(
                    ops.mask_targets(masks, boxes, 28, aligned), boxes, masks.shape[1:], 1, rounded
                )
                overlaps.append(ops.mask_iou(pasted > 0.5, masks).diagonal())
            mean[aligned, rounded] = torch.cat(overlaps).mean().item()
    assert mean[True, False] > 0.99  # 0.999; without either half pixel 0.90
    assert mean[True, False] > max(value for key, value in mean.items() if key != (True, False)) + 0.04
