"""DetectionMetrics against pycocotools, on sets made to be awkward."""

import contextlib
import io

import numpy as np
import pytest
import torch
from required import required

from cvlab.metrics import DetectionMetrics

coco = required("pycocotools.coco")
cocoeval = required("pycocotools.cocoeval")


def _annotation(box, label, image, **others):
    x1, y1, x2, y2 = box
    return {"bbox": [x1, y1, x2 - x1, y2 - y1], "category_id": label, "image_id": image, **others}


def evaluate(predictions, targets, num_labels, max_detections=(1, 10, 100)):
    """Run pycocotools on torchvision's dictionaries."""
    truth, found = [], []
    for i, (prediction, target) in enumerate(zip(predictions, targets, strict=True)):
        boxes, labels = target["boxes"].double(), target["labels"].tolist()
        area = target.get("area", (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])).tolist()
        crowd = target.get("iscrowd", torch.zeros(len(boxes))).int().tolist()
        for j, box in enumerate(boxes.tolist()):
            truth.append(_annotation(box, labels[j], i, id=len(truth) + 1, iscrowd=crowd[j], area=area[j]))
        rows = zip(*(prediction[k].tolist() for k in ("boxes", "labels", "scores")), strict=True)
        found += [_annotation(box, label, i, score=score) for box, label, score in rows]
    with contextlib.redirect_stdout(io.StringIO()):
        one = coco.COCO()
        one.dataset = {
            "images": [{"id": i} for i in range(len(targets))],
            "categories": [{"id": c + 1} for c in range(num_labels)],
            "annotations": truth,
            "info": {},
        }
        one.createIndex()
        run = cocoeval.COCOeval(one, one.loadRes(found), "bbox")
        run.params.maxDets = list(max_detections)
        run.evaluate()
        run.accumulate()
        if tuple(max_detections) == (1, 10, 100):
            run.summarize()
    return run


def make(seed, images=6, num_labels=3, side=16, objects=6, found=12, scale=1, ties=True, crowds=0.2, areas=False):
    """Draw boxes on a coarse grid, so that equal IoUs and scores, and IoUs right at a threshold, are common."""
    rng = np.random.default_rng(seed)

    def boxes(count):
        corner = rng.integers(0, side, (count, 2))
        return torch.tensor(np.concatenate((corner, corner + rng.integers(1, side, (count, 2))), 1) * float(scale))

    predictions, targets = [], []
    for _ in range(images):
        g, n = rng.integers(0, objects + 1), rng.integers(0, found + 1)
        true, guess = boxes(g), boxes(n)
        if g and n:  # most guesses are near an object
            near = torch.from_numpy(rng.integers(0, g, n))
            shift = torch.from_numpy(rng.integers(-2, 3, (n, 4)) * float(scale))
            moved = true[near] + shift * torch.from_numpy(rng.random((n, 1)) < 0.8)
            fine = (moved[:, 2:] > moved[:, :2]).all(1) & torch.from_numpy(rng.random(n) < 0.9)
            guess[fine] = moved[fine]
        target = {"boxes": true, "labels": torch.from_numpy(rng.integers(1, num_labels + 1, g))}
        target["iscrowd"] = torch.from_numpy(rng.random(g) < crowds)
        if areas:
            target["area"] = torch.from_numpy(rng.choice([0.0, 500.0, 1024.0, 5000.0, 9216.0, 20000.0], g))
        score = rng.integers(0, 5, n) / 4 if ties else rng.random(n)
        labels = torch.from_numpy(rng.integers(1, num_labels + 1, n))
        predictions.append({"boxes": guess, "labels": labels, "scores": torch.from_numpy(score)})
        targets.append(target)
    return predictions, targets


def compare(predictions, targets, num_labels):
    run = evaluate(predictions, targets, num_labels)
    metrics = DetectionMetrics([f"class {c}" for c in range(num_labels)])
    for i in range(0, len(targets), 2):
        metrics.update(predictions[i : i + 2], targets[i : i + 2])
    result = metrics.compute()
    expected = np.where(run.stats == -1, np.nan, run.stats)
    np.testing.assert_allclose(list(result.values()), expected, rtol=0, atol=1e-9)
    precision = run.eval["precision"][:, :, :, 0, -1]  # (T, R, K)
    recall = run.eval["recall"][:, :, 0, -1]
    table = result.per_class
    for name, values in (("AP", precision.mean((0, 1))), ("AP50", precision[0].mean(0)), ("AR100", recall.mean(0))):
        np.testing.assert_allclose(table[name], np.where(values == -1, np.nan, values), rtol=0, atol=1e-9)
    return result


CASES = {
    "ties": {},
    "distinct scores": {"ties": False},
    "all sizes": {"scale": 9, "images": 10},
    "areas of masks": {"scale": 9, "areas": True},
    "many crowds": {"crowds": 0.6, "found": 30},
    "only crowds": {"crowds": 1.0},
    "one class": {"num_labels": 1, "objects": 12, "found": 40},
    "missing classes": {"num_labels": 9, "objects": 2, "found": 4},
    "more than 100 detections": {"num_labels": 1, "found": 300, "images": 3, "objects": 20},
    "few objects": {"objects": 1, "found": 6},
    "larger": {"images": 60, "num_labels": 4, "scale": 7, "ties": False, "objects": 10, "found": 30},
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("seed", range(8))
def test_all_numbers_are_those_of_pycocotools(name, seed):
    predictions, targets = make(seed, **CASES[name])
    if not any(len(p["boxes"]) for p in predictions):
        pytest.skip("pycocotools cannot load results without a detection")
    compare(predictions, targets, CASES[name].get("num_labels", 3))


def test_the_awkward_sets_are_awkward():
    """What the sets above are for does occur in them: otherwise equality would show little."""
    predictions, targets = make(0, **CASES["all sizes"])
    result = compare(predictions, targets, 3)
    assert 0 < result["AP"] < result["AP50"] < 1
    assert all(0 < result[k] < 1 for k in ("APs", "APm", "APl"))
    assert result["AR1"] < result["AR10"]
    predictions, targets = make(0, **CASES["missing classes"])
    assert compare(predictions, targets, 9).per_class["AP"].isna().any()
    assert np.isnan(list(compare(*make(0, **CASES["only crowds"]), 3).values())).all()


def test_other_limits_on_detections():
    predictions, targets = make(3, found=60, objects=20, num_labels=1, images=4)
    run = evaluate(predictions, targets, 1, (2, 5, 30))
    metrics = DetectionMetrics(["one"], max_detections=(2, 5, 30))
    metrics.update(predictions, targets)
    result = metrics.compute()
    recall = run.eval["recall"][:, :, 0].mean((0, 1))
    assert [result[k] for k in ("AR2", "AR5", "AR30")] == pytest.approx(recall.tolist())
    assert result["AP"] == pytest.approx(run.eval["precision"][:, :, :, 0, -1].mean())


def test_float32_predictions():
    rng = np.random.default_rng(1)
    corner = rng.random((40, 2)) * 100
    boxes = torch.tensor(np.concatenate((corner, corner + 1 + rng.random((40, 2)) * 60), 1), dtype=torch.float32)
    jitter = torch.tensor(rng.normal(0, 3, (40, 4)), dtype=torch.float32)
    scores = torch.tensor(rng.random(40), dtype=torch.float32)
    moved = torch.cat(((boxes + jitter)[:, :2], (boxes + jitter)[:, 2:].maximum(boxes[:, :2] + 8)), 1)
    labels = torch.tensor(rng.integers(1, 3, 40))
    compare([{"boxes": moved, "labels": labels, "scores": scores}], [{"boxes": boxes, "labels": labels}], 2)
