"""cvlab.metrics against pycocotools: COCO's twelve numbers, of boxes and of masks."""

import contextlib
import io
from collections.abc import Iterator

import numpy as np
import torch
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from benchmarks.timing import Row
from cvlab.metrics import DetectionMetrics

CLASSES = 10
SIZE = (480, 640)
NOTES = """
10 classes, about 7 objects an image. Ours is timed from torchvision's dictionaries to the numbers, in batches of 50
images; pycocotools with its data already loaded and indexed. Masks are ellipses in images of 480 x 640 pixels; ours
come as pixels, one byte each, and are packed within the time; those of pycocotools once with their encoding timed, once
encoded before.
"""


def make(images: int, detections: int) -> tuple[list[dict], list[dict]]:
    """Make about 7 objects and up to `detections` detections an image: some near objects, the others anywhere."""
    rng = np.random.default_rng(0)
    predictions, targets = [], []
    for _ in range(images):
        g, n = rng.poisson(7), rng.integers(detections // 3, detections + 1)
        corner, side = rng.random((g + n, 2)) * 500, np.exp(rng.uniform(2, 5.5, (g + n, 2)))
        boxes = np.concatenate((corner, corner + side), 1)
        true, found, labels = boxes[:g], boxes[g:], rng.integers(1, CLASSES + 1, g + n)
        if g:
            near, own = rng.integers(0, g, n), rng.random(n) < 0.4
            size = (true[:, 2:] - true[:, :2])[near]
            shifted = true[near] + np.tile(size, 2) * rng.normal(0, 0.06, (n, 4))
            found[own], labels[g:][own] = shifted[own], labels[:g][near][own]
        found[:, 2:] = np.maximum(found[:, 2:], found[:, :2] + 1)
        scores = torch.from_numpy(rng.random(n).astype(np.float32))
        boxes, labels = torch.from_numpy(boxes).float(), torch.from_numpy(labels)
        predictions.append({"boxes": boxes[g:], "labels": labels[g:], "scores": scores})
        targets.append({"boxes": boxes[:g], "labels": labels[:g]})
    return predictions, targets


def draw(boxes: torch.Tensor) -> torch.Tensor:
    """Draw the ellipse (N, H, W) bool in each box."""
    y, x = (torch.arange(side)[None] + 0.5 for side in SIZE)
    x1, y1, x2, y2 = boxes.unbind(1)
    across = ((2 * x - (x1 + x2)[:, None]) / (x2 - x1)[:, None]) ** 2  # (N, W)
    down = ((2 * y - (y1 + y2)[:, None]) / (y2 - y1)[:, None]) ** 2  # (N, H)
    return across[:, None] + down[:, :, None] <= 1


def encode(masks: torch.Tensor) -> list[dict]:
    """Encode masks as pycocotools wants them."""
    return coco_mask.encode(np.asfortranarray(masks.permute(1, 2, 0).numpy().view(np.uint8)))


def load(predictions: list[dict], targets: list[dict], kind: str = "bbox") -> COCOeval:
    """Give pycocotools the same."""
    tables: tuple[list[dict], list[dict]] = ([], [])
    for i, pair in enumerate(zip(targets, predictions, strict=True)):
        for table, entry in zip(tables, pair, strict=True):
            boxes = entry["boxes"].double()
            sizes = boxes[:, 2:] - boxes[:, :2]
            rows, areas = torch.cat((boxes[:, :2], sizes), 1).tolist(), sizes.prod(1).tolist()
            masks: list = encode(entry["masks"]) if kind == "segm" else [None] * len(rows)
            for j, (row, label, area, mask) in enumerate(
                zip(rows, entry["labels"].tolist(), areas, masks, strict=True)
            ):
                one = {"id": len(table) + 1, "image_id": i, "category_id": label, "bbox": row, "area": area}
                one |= {"segmentation": mask, "area": float(coco_mask.area(mask))} if mask else {}
                table.append(one | ({"score": entry["scores"][j].item()} if "scores" in entry else {"iscrowd": 0}))
    with contextlib.redirect_stdout(io.StringIO()):
        sets = []
        for table in tables:
            one = COCO()
            one.dataset = {
                "info": {},
                "images": [{"id": i, "height": SIZE[0], "width": SIZE[1]} for i in range(len(targets))],
                "categories": [{"id": c + 1} for c in range(CLASSES)],
                "annotations": table,
            }
            one.createIndex()
            sets.append(one)
        return COCOeval(*sets, kind)


def _row(images: int, detections: int, masks: str = "") -> Row:
    predictions, targets = make(images, detections)
    for entry in predictions + targets if masks else []:
        entry["masks"] = draw(entry["boxes"])
    evaluation = load(predictions, targets, "segm" if masks else "bbox")

    def ours() -> object:
        metrics = DetectionMetrics([f"class {c}" for c in range(CLASSES)], iou_type="masks" if masks else "boxes")
        for i in range(0, images, 50):
            metrics.update(predictions[i : i + 50], targets[i : i + 50])
        return metrics.compute()

    def theirs() -> object:
        if masks == "encoded within the time":
            for entry in predictions + targets:
                encode(entry["masks"])
        with contextlib.redirect_stdout(io.StringIO()):
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
        return evaluation.stats

    def check() -> None:
        np.testing.assert_allclose(list(ours().values()), theirs(), rtol=0, atol=1e-6)

    name = f"`DetectionMetrics` {images:,} images, up to {detections} detections each"
    name += f", masks {masks}" if masks else ""
    return Row(name, ours, {"pycocotools": theirs}, check, seconds=0)


def rows() -> Iterator[Row]:
    """Yield all rows."""
    for images, detections in ((100, 30), (500, 100), (5000, 30)):
        yield _row(images, detections)
    for masks in ("encoded within the time", "encoded before"):
        yield _row(200, 20, masks)
