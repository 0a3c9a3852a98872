"""cvlab.metrics against pycocotools: COCO's twelve numbers."""

import contextlib
import io
from collections.abc import Iterator

import numpy as np
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from benchmarks.timing import Row
from cvlab.metrics import DetectionMetrics

CLASSES = 10
NOTES = """
Boxes only, 10 classes, about 7 objects an image. Ours is timed from torchvision's dictionaries to the numbers, in
batches of 50 images; pycocotools with its data already loaded and indexed.
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


def load(predictions: list[dict], targets: list[dict]) -> COCOeval:
    """Give pycocotools the same."""
    tables: tuple[list[dict], list[dict]] = ([], [])
    for i, pair in enumerate(zip(targets, predictions, strict=True)):
        for table, entry in zip(tables, pair, strict=True):
            boxes = entry["boxes"].double()
            sizes = boxes[:, 2:] - boxes[:, :2]
            rows = torch.cat((boxes[:, :2], sizes), 1).tolist()
            for j, (row, label, area) in enumerate(
                zip(rows, entry["labels"].tolist(), sizes.prod(1).tolist(), strict=True)
            ):
                one = {"id": len(table) + 1, "image_id": i, "category_id": label, "bbox": row, "area": area}
                table.append(one | ({"score": entry["scores"][j].item()} if "scores" in entry else {"iscrowd": 0}))
    with contextlib.redirect_stdout(io.StringIO()):
        sets = []
        for table in tables:
            one = COCO()
            one.dataset = {
                "info": {},
                "images": [{"id": i} for i in range(len(targets))],
                "categories": [{"id": c + 1} for c in range(CLASSES)],
                "annotations": table,
            }
            one.createIndex()
            sets.append(one)
        return COCOeval(*sets, "bbox")


def _row(images: int, detections: int) -> Row:
    predictions, targets = make(images, detections)
    evaluation = load(predictions, targets)

    def ours() -> object:
        metrics = DetectionMetrics([f"class {c}" for c in range(CLASSES)])
        for i in range(0, images, 50):
            metrics.update(predictions[i : i + 50], targets[i : i + 50])
        return metrics.compute()

    def theirs() -> object:
        with contextlib.redirect_stdout(io.StringIO()):
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
        return evaluation.stats

    def check() -> None:
        np.testing.assert_allclose(list(ours().values()), theirs(), rtol=0, atol=1e-6)

    name = f"`DetectionMetrics` {images:,} images, up to {detections} detections each"
    return Row(name, ours, {"pycocotools": theirs}, check, seconds=0)


def rows() -> Iterator[Row]:
    """Yield all rows."""
    for images, detections in ((100, 30), (500, 100), (5000, 30)):
        yield _row(images, detections)
