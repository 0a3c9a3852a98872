"""Average precision of masks, and recall of proposals, against pycocotools on sets made to be awkward."""

import contextlib
import io

import numpy as np
import pytest
import torch
from required import required

from cvlab import ops
from cvlab.metrics import DetectionMetrics, proposal_recall
from cvlab.metrics.detection import IOU_THRESHOLDS

coco = required("pycocotools.coco")
cocoeval = required("pycocotools.cocoeval")
coco_mask = required("pycocotools.mask")


def encode(mask):
    return coco_mask.encode(np.asfortranarray(mask.numpy().astype(np.uint8)))


def load(annotations, images, num_labels, size):
    tool = coco.COCO()
    tool.dataset = {
        "info": {},
        "images": [{"id": i, "height": size[0], "width": size[1]} for i in range(images)],
        "categories": [{"id": c + 1} for c in range(num_labels)],
        "annotations": annotations,
    }
    tool.createIndex()
    return tool


def evaluate(predictions, targets, num_labels, size):
    """Run pycocotools, iouType "segm", on the same masks."""
    truth, found = [], []
    for i, (prediction, target) in enumerate(zip(predictions, targets, strict=True)):
        area = target.get("area", target["masks"].flatten(1).sum(1)).tolist()
        for j, (mask, label) in enumerate(zip(target["masks"], target["labels"].tolist(), strict=True)):
            one = {"id": len(truth) + 1, "image_id": i, "category_id": label, "segmentation": encode(mask)}
            truth.append({**one, "iscrowd": int(target["iscrowd"][j]), "area": area[j]})
        for mask, label, score in zip(*(prediction[k] for k in ("masks", "labels", "scores")), strict=True):
            one = {"image_id": i, "category_id": int(label), "segmentation": encode(mask)}
            found.append({**one, "score": float(score)})
    with contextlib.redirect_stdout(io.StringIO()):
        tool = load(truth, len(targets), num_labels, size)
        run = cocoeval.COCOeval(tool, tool.loadRes(found), "segm")
        run.evaluate()
        run.accumulate()
        run.summarize()
    return run.stats


def shift(masks, dy, dx):
    """Move masks by some pixels; what comes in is empty."""
    moved = torch.zeros_like(masks)
    h, w = masks.shape[1:]
    moved[:, max(dy, 0) : h + min(dy, 0), max(dx, 0) : w + min(dx, 0)] = masks[
        :, max(-dy, 0) : h + min(-dy, 0), max(-dx, 0) : w + min(-dx, 0)
    ]
    return moved


def box_of(masks):
    """Give some box with an area; the metric of masks does not look at it."""
    return torch.tensor([[0.0, 0.0, 1.0, 1.0]]).repeat(len(masks), 1)


def make(
    seed,
    images=6,
    num_labels=3,
    size=(24, 31),
    objects=6,
    found=12,
    ties=True,
    crowds=0.2,
    areas=False,
    empty=0.1,
    moves=2,
):
    """Draw unions of two rectangles; most guesses are an object moved a little, some are empty."""
    rng = np.random.default_rng(seed)
    h, w = size

    def draw(count):
        masks = torch.zeros(count, h, w, dtype=torch.bool)
        for mask in masks:
            for _ in range(2):
                y, x = rng.integers(0, h), rng.integers(0, w)
                mask[y : y + rng.integers(1, h + 1), x : x + rng.integers(1, w + 1)] = True
        return masks

    predictions, targets = [], []
    for _ in range(images):
        g, n = rng.integers(0, objects + 1), rng.integers(0, found + 1)
        true, guess = draw(g), draw(n)
        labels, true_labels = (torch.from_numpy(rng.integers(1, num_labels + 1, k)) for k in (n, g))
        for j in range(n):
            if g and rng.random() < 0.85:
                near = rng.integers(0, g)
                guess[j] = shift(true[near : near + 1], *rng.integers(-moves, moves + 1, 2))[0]
                labels[j] = true_labels[near] if rng.random() < 0.8 else labels[j]
            if rng.random() < empty:
                guess[j] = False
        score = torch.from_numpy(rng.integers(0, 5, n) / 4 if ties else rng.random(n))
        target = {"boxes": box_of(true), "labels": true_labels, "masks": true}
        target["iscrowd"] = torch.from_numpy(rng.random(g) < crowds)
        if areas:
            target["area"] = torch.from_numpy(rng.choice([0.0, 500.0, 1024.0, 5000.0, 9216.0, 20000.0], g))
        predictions.append({"boxes": box_of(guess), "labels": labels, "scores": score, "masks": guess})
        targets.append(target)
    return predictions, targets


def ours(predictions, targets, num_labels, batch=2):
    metrics = DetectionMetrics([f"class {c}" for c in range(num_labels)], iou_type="masks")
    for i in range(0, len(targets), batch):
        metrics.update(predictions[i : i + batch], targets[i : i + batch])
    return metrics.compute()


def compare(predictions, targets, num_labels):
    size = next(tuple(e["masks"].shape[1:]) for e in predictions + targets)
    theirs = evaluate(predictions, targets, num_labels, size)
    result = ours(predictions, targets, num_labels)
    np.testing.assert_allclose(list(result.values()), np.where(theirs == -1, np.nan, theirs), rtol=0, atol=1e-9)
    return result


CASES = {
    "ties": {},
    "distinct scores": {"ties": False},
    "all sizes": {"size": (130, 170), "images": 12, "moves": 12},
    "areas given": {"areas": True},
    "one pixel off": {"moves": 1, "empty": 0.0},
    "many crowds": {"crowds": 0.6, "found": 30},
    "only crowds": {"crowds": 1.0},
    "one class": {"num_labels": 1, "objects": 12, "found": 40},
    "missing classes": {"num_labels": 9, "objects": 2, "found": 4},
    "more than 100 detections": {"num_labels": 1, "found": 300, "images": 3, "objects": 20},
    "few objects": {"objects": 1, "found": 6},
    "empty masks": {"empty": 0.7},
    "a single row of pixels": {"size": (1, 40)},
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("seed", range(3))
def test_all_numbers_are_those_of_pycocotools(name, seed):
    predictions, targets = make(seed, **CASES[name])
    if not any(len(p["boxes"]) for p in predictions):
        pytest.skip("pycocotools cannot load results without a detection")
    compare(predictions, targets, CASES[name].get("num_labels", 3))


def test_the_awkward_sets_are_awkward():
    """What the sets above are for does occur in them: otherwise equality would show little."""
    result = compare(*make(0, **CASES["all sizes"]), 3)
    assert 0 < result["AP"] < result["AP50"] < 1
    assert all(0 < result[k] < 1 for k in ("APs", "APm", "APl"))
    assert result["AR1"] < result["AR10"]
    assert compare(*make(0, **CASES["missing classes"]), 9).per_class["AP"].isna().any()
    assert np.isnan(list(compare(*make(0, **CASES["only crowds"]), 3).values())).all()
    predictions, targets = make(0, **CASES["ties"])
    assert not all(p["masks"].flatten(1).any(1).all() for p in predictions)  # an empty one
    counts = [(len(p["boxes"]), len(t["boxes"])) for p, t in zip(*make(2, **CASES["few objects"]), strict=True)]
    assert any(n and not g for n, g in counts) or any(g and not n for n, g in counts)


def test_images_without_predictions_or_objects():
    predictions, targets = make(5, crowds=0, found=6)
    nothing = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64), "scores": torch.zeros(0)}
    nothing |= {"masks": torch.zeros(0, 24, 31, dtype=torch.bool), "iscrowd": torch.zeros(0)}
    both = (predictions + [nothing] * 3 + predictions[:2], targets[:3] + [nothing] * 3 + targets[3:] + targets[:2])
    compare(*both, 3)


def test_probabilities_and_encodings_give_the_same():
    predictions, targets = make(7, crowds=0.3)
    expected = list(ours(predictions, targets, 3).values())
    soft = [{**p, "masks": torch.where(p["masks"], 0.5, 0.4999)[:, None]} for p in predictions]  # as torchvision's
    np.testing.assert_array_equal(list(ours(soft, targets, 3, batch=100).values()), expected)
    coded = [{**p, "masks": [encode(mask) for mask in p["masks"]]} for p in predictions]
    ours_coded = [{**t, "masks": [ops.rle_encode(mask) for mask in t["masks"]]} for t in targets]
    np.testing.assert_array_equal(list(ours(coded, ours_coded, 3, batch=1).values()), expected)


@pytest.mark.parametrize("seed", range(3))
def test_recall_of_proposals_is_that_of_pycocotools(seed):
    """With objects apart from each other a proposal finds one at most, by our rule as by theirs."""
    rng = np.random.default_rng(seed)
    proposals, boxes, truth, found = [], [], [], []
    for i in range(5):
        cells = rng.permutation(16)[: rng.integers(0, 9)]
        corner = np.stack((cells % 4, cells // 4), 1) * 40.0
        true = np.concatenate((corner, corner + rng.integers(10, 40, (len(cells), 2))), 1)
        anywhere = rng.integers(0, 120, (20, 2))
        guess = np.concatenate((anywhere, anywhere + rng.integers(10, 40, (20, 2))), 1)
        near = true[rng.integers(0, len(true), 20)] + rng.integers(-4, 5, (20, 4)) if len(true) else guess
        guess = rng.permutation(np.concatenate((guess, near)))
        for table, rows in ((truth, true), (found, guess)):
            for place, (x1, y1, x2, y2) in enumerate(rows.tolist()):
                one = {"id": len(table) + 1, "image_id": i, "category_id": 1, "bbox": [x1, y1, x2 - x1, y2 - y1]}
                area = (x2 - x1) * (y2 - y1)
                table.append({**one, "area": area, "iscrowd": 0, "score": 1 - place / 100})
        proposals.append(torch.from_numpy(guess))
        boxes.append(torch.from_numpy(true))
    with contextlib.redirect_stdout(io.StringIO()):
        run = cocoeval.COCOeval(*(load(table, 5, 1, (200, 200)) for table in (truth, found)), "bbox")
        run.params.useCats = 0
        run.params.maxDets = [1, 10, 100]
        run.evaluate()
        run.accumulate()
    expected = run.eval["recall"][:, 0, 0].mean(0)  # (T, M) -> (M,)
    result = proposal_recall(proposals, boxes, (1, 10, 100), IOU_THRESHOLDS)
    assert list(result.values()) == pytest.approx(expected.tolist(), abs=1e-12)
    assert 0 < result[1] < result[10] < result[100] < 1
