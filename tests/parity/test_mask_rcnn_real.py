"""Mask R-CNN on real pictures: nuclei under the microscope, and COCO's outlines, from targets to metrics."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cvlab.data import read_image
from cvlab.metrics import DetectionMetrics
from cvlab.models import mask_small
from cvlab.ops import mask_iou, mask_targets, masks_to_boxes, paste_masks, polygons_to_mask

DATA = Path(__file__).resolve().parents[2] / ".." / "shared" / "data"
COUNT = 3


def _target(masks, labels):
    """Make a target of the objects that have pixels."""
    real = masks.flatten(1).any(1)
    return {"boxes": masks_to_boxes(masks[real], half_open=True), "labels": labels[real], "masks": masks[real]}


def _nuclei():
    folder = DATA / "nuclei"
    if not folder.is_dir():
        pytest.skip("the nuclei are not beside this repository")
    for file in sorted((folder / "images").glob("*.png"))[:COUNT]:
        instances = torch.from_numpy(np.array(Image.open(folder / "labels" / file.name)).astype(np.int64))
        numbers = instances.unique()[1:]
        yield read_image(file, torch.uint8), _target(instances == numbers[:, None, None], torch.ones_like(numbers))


def _coco():
    folder = DATA / "coco128"
    if not folder.is_dir():
        pytest.skip("the photographs of COCO are not beside this repository")
    for file in sorted((folder / "polygons").glob("*.txt"))[:COUNT]:
        image = read_image(folder / "images" / f"{file.stem}.jpg", torch.uint8)
        height, width = image.shape[1:]
        rows = [np.array(line.split(), float) for line in file.read_text().splitlines()]
        outlines = [row[1:].reshape(-1, 2) * (width, height) for row in rows if len(row) >= 7]
        masks = torch.stack([polygons_to_mask([outline.ravel().tolist()], (height, width)) for outline in outlines])
        yield image, _target(masks, torch.tensor([int(row[0]) for row in rows if len(row) >= 7]))  # COCO's own numbers


@pytest.fixture(scope="module", params=[(_nuclei, 2), (_coco, 91)], ids=["nuclei", "coco"])
def pictures(request):
    made, num_classes = request.param
    images, targets = zip(*made(), strict=True)
    assert sum(len(target["boxes"]) for target in targets) > 10
    return list(images), list(targets), num_classes


def test_small_masks_keep_the_shapes(pictures):
    """What a head of 28 x 28 cells learns, pasted back, is nearly the object: what it loses no training gives back.

    Nuclei are smaller than 28 pixels and come back whole; half a pixel to the side costs them an eighth.
    """
    images, targets, num_classes = pictures
    metrics = DetectionMetrics(iou_type="masks")
    for image, target in zip(images, targets, strict=True):
        size, boxes = tuple(image.shape[1:]), target["boxes"]
        small, off = (mask_targets(target["masks"], boxes, 28, aligned=aligned) for aligned in (True, False))
        pasted = paste_masks(small, boxes, size, rounded=False)
        overlap, half, two = (
            mask_iou(p > 0.5, target["masks"]).diagonal().mean().item()
            for p in (
                pasted,
                paste_masks(off, boxes, size, rounded=False),
                paste_masks(small, boxes + 2, size, rounded=False),
            )
        )
        assert overlap > (0.99 if num_classes == 2 else 0.95)
        assert half < overlap - (0.1 if num_classes == 2 else 0.002)
        assert two < overlap - 0.04
        found = {"boxes": boxes, "labels": target["labels"], "scores": torch.ones(len(boxes))}
        metrics.update([found | {"masks": pasted[:, None]}], [target])
    assert metrics.compute()["AP75"] == 1


def test_from_targets_to_metrics(pictures):
    images, targets, num_classes = pictures
    torch.manual_seed(0)
    model = mask_small(num_classes, hidden=32, mask_widths=(8,)).train()
    before = [parameter.clone() for parameter in model.mask_head.parameters()]
    optimizer = torch.optim.SGD(model.parameters(), 0.01)
    losses = model(images, targets)
    assert all(bool(value.isfinite()) for value in losses.values())
    assert 0.3 < losses["loss_mask"] < 3  # about log 2: nothing is known yet
    sum(losses.values()).backward()
    optimizer.step()
    assert all(not torch.equal(a, b) for a, b in zip(model.mask_head.parameters(), before, strict=True))
    with torch.no_grad():
        found = model.eval()(images)
    for each, image in zip(found, images, strict=True):
        assert each["masks"].shape == (len(each["boxes"]), 1, *image.shape[1:])
    metrics = DetectionMetrics(iou_type="masks")
    metrics.update(found, targets)
    assert 0 <= metrics.compute()["AP50"] <= 1
