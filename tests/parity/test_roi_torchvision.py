"""cvlab.ops.roi and the pasting of masks against torchvision, and against values that others published."""

import json
from pathlib import Path

import pytest
import torch
import torchvision
from torchvision.models.detection.roi_heads import paste_masks_in_image, project_masks_on_boxes

from cvlab import ops
from cvlab.ops import roi

LITERALS = Path(__file__).parents[3] / "shared" / "oracles" / "literals.json"


def _boxes(count, side, seed=0):
    """Make boxes of all sizes, some partly and some wholly outside, one without area."""
    g = torch.Generator().manual_seed(seed)
    centre, size = torch.rand(count, 2, generator=g) * side * 1.4 - side * 0.2, torch.rand(count, 2, generator=g) * side
    boxes = torch.cat([centre - size / 2, centre + size / 2], 1)
    if count:
        boxes[0] = torch.tensor([10.0, 20.0, 10.0, 20.0])
        boxes[-1] = torch.tensor([-90.0, -90.0, -70.0, -60.0])
    return boxes


def _maps(channels, seed=0):
    return torch.randn(3, channels, 20, 25, generator=torch.Generator().manual_seed(seed), requires_grad=True)


@pytest.mark.parametrize("form", ["products", "gathering", "masks"])
@pytest.mark.parametrize("aligned", [False, True])
@pytest.mark.parametrize("ratio", [-1, 1, 2, 3])
@pytest.mark.parametrize("size", [7, (3, 5)])
def test_roi_align(form, aligned, ratio, size, monkeypatch):
    monkeypatch.setattr(roi, "_GATHER_COST", 0 if form == "gathering" else 1e9)
    maps, boxes = _maps(3 if form == "masks" else 9), [_boxes(9, 80), _boxes(0, 80), _boxes(6, 80, 1)]
    theirs = torchvision.ops.roi_align(maps, boxes, size, 0.25, ratio, aligned)
    ours = ops.roi_align(maps, boxes, size, 0.25, ratio, aligned)
    torch.testing.assert_close(ours, theirs, atol=2e-5, rtol=0)
    weights = torch.randn_like(theirs)
    slopes = [torch.autograd.grad(each, maps, weights)[0] for each in (ours, theirs)]
    torch.testing.assert_close(*slopes, atol=5e-5, rtol=0)


@pytest.mark.parametrize("size", [1, 4, (7, 2)])
def test_roi_pool(size):
    maps, boxes = _maps(4), [_boxes(9, 80), _boxes(0, 80), _boxes(6, 80, 1)]
    theirs, ours = (pool(maps, boxes, size, 0.25) for pool in (torchvision.ops.roi_pool, ops.roi_pool))
    assert torch.equal(ours, theirs)
    weights = torch.randn_like(theirs)
    slopes = [torch.autograd.grad(each, maps, weights)[0] for each in (ours, theirs)]
    torch.testing.assert_close(*slopes, atol=1e-5, rtol=0)


def test_rows_with_the_image_first():
    maps, boxes = _maps(8), _boxes(7, 80)
    rows = torch.cat([torch.tensor([2.0, 0, 1, 2, 0, 0, 1])[:, None], boxes], 1)
    for name, options in (("roi_align", {"sampling_ratio": 2, "aligned": True}), ("roi_pool", {})):
        theirs, ours = (getattr(module, name)(maps, rows, 5, 0.25, **options) for module in (torchvision.ops, ops))
        torch.testing.assert_close(ours, theirs, atol=2e-5, rtol=0)


@pytest.mark.parametrize("levels", [1, 4])
def test_several_maps(levels):
    sizes = [(64 // 2**i, 96 // 2**i) for i in range(levels)]
    maps = {str(i): torch.randn(2, 8, *size) for i, size in enumerate(sizes)}
    g = torch.Generator().manual_seed(3)
    start, side = torch.rand(60, 2, generator=g) * 200, torch.rand(60, 2, generator=g) ** 3 * 380 + 1
    boxes = torch.cat([start, start + side], 1).split([40, 20])
    theirs = torchvision.ops.MultiScaleRoIAlign(list(maps), 7, 2)(maps, list(boxes), [(256, 384)] * 2)
    ours = ops.multiscale_roi_align(list(maps.values()), boxes, 7, (256, 384))
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)


def test_published_values():
    if not LITERALS.is_file():
        pytest.skip("the published values are not beside this repository")
    known = json.loads(LITERALS.read_text())["detectron2"]["roi_align"]
    image = torch.arange(25.0).reshape(1, 1, 5, 5)
    box = torch.tensor([known["box"]], dtype=torch.float32)
    for aligned, key in ((True, "aligned_true"), (False, "aligned_false")):
        if key in known:
            found = ops.roi_align(image, [box], tuple(known["out"]), 1.0, 0, aligned)
            torch.testing.assert_close(found[0, 0], torch.tensor(known[key], dtype=torch.float32))
            for row in range(2):  # and the plain loop
                slow = ops.roi_align_reference(image[0], box[0], 4, sampling_ratio=1, aligned=aligned)
                torch.testing.assert_close(slow[0, row], torch.tensor(known[key][row], dtype=torch.float32))


def test_pasting():
    g = torch.Generator().manual_seed(0)
    for size in ((128, 141), (60, 33)):
        inside = torch.tensor([0.0, 0.0, *size[::-1]])
        boxes = _boxes(40, size[0], 4)
        boxes = boxes[ops.box_iou(boxes, inside[None])[:, 0] > 0]  # theirs fails for boxes outside
        masks = torch.rand(len(boxes), 1, 28, 28, generator=g)
        assert len(boxes) > 20
        theirs = paste_masks_in_image(masks, boxes, size)[:, 0]
        torch.testing.assert_close(ops.paste_masks(masks, boxes, size), theirs, atol=2e-5, rtol=0)


def test_mask_targets():
    masks, boxes = torch.rand(12, 90, 70, generator=torch.Generator().manual_seed(0)) > 0.5, _boxes(12, 80, 2)
    theirs = project_masks_on_boxes(masks.float(), boxes, torch.arange(12), 28)
    torch.testing.assert_close(ops.mask_targets(masks, boxes, aligned=False), theirs, atol=2e-5, rtol=0)
