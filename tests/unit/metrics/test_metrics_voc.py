"""VOC's average precision by hand."""

import math

import pytest
import torch

from cvlab._check import InputError
from cvlab.metrics import DetectionMetrics, voc_ap


def bars(*spans):
    return torch.tensor([[a, 0.0, b, 10.0] for a, b in spans]).reshape(-1, 4)


def prediction(spans, scores, labels=None):
    labels = [1] * len(spans) if labels is None else labels
    return {"boxes": bars(*spans), "scores": torch.tensor(scores), "labels": torch.tensor(labels)}


def target(spans, labels=None, **others):
    labels = [1] * len(spans) if labels is None else labels
    return {"boxes": bars(*spans), "labels": torch.tensor(labels), **others}


def test_a_second_detection_of_the_best_object_is_false():
    # Both detections overlap object 0 most (IoU 1). COCO gives the second one object 1 (IoU 8/12), VOC nothing.
    predictions, targets = [prediction([(0, 10), (0, 10)], [0.9, 0.8])], [target([(0, 10), (2, 12)])]
    result = voc_ap(predictions, targets)
    assert result.mean == result.per_class[1] == pytest.approx(0.5)  # recall 1/2 with precision 1
    metrics = DetectionMetrics(iou_thresholds=[0.5])
    metrics.update(predictions, targets)
    assert metrics.compute()["AP50"] == pytest.approx(1)


def test_eleven_points_and_every_point():
    # Hits at places 1 and 3 of 3, of 4 objects: precision 1 and 2/3 at recall 1/4 and 1/2.
    predictions = [prediction([(0, 10), (500, 510)], [0.9, 0.8]), prediction([(0, 10)], [0.7])]
    targets = [target([(0, 10), (20, 30)]), target([(0, 10), (20, 30)])]
    assert voc_ap(predictions, targets).mean == pytest.approx(0.25 * 1 + 0.25 * 2 / 3)
    assert voc_ap(predictions, targets, method="voc07").mean == pytest.approx((3 * 1 + 3 * 2 / 3) / 11)


def test_difficult_objects_do_not_count():
    difficult = {"difficult": torch.tensor([1, 0])}
    predictions = [prediction([(0, 10), (0, 10), (20, 30)], [0.9, 0.8, 0.7])]
    assert voc_ap(predictions, [target([(0, 10), (20, 30)], **difficult)]).mean == pytest.approx(1)
    # If it is not difficult: T F T of 2 objects, 1/2 * 1 + 1/2 * 2/3.
    assert voc_ap(predictions, [target([(0, 10), (20, 30)])]).mean == pytest.approx(5 / 6)


def test_equal_overlap_takes_the_first_and_the_threshold_counts():
    # IoU of (5, 15) with both is 1/3. It takes the first; the second is difficult, and would find nothing.
    objects = target([(0, 10), (10, 20)], difficult=torch.tensor([False, True]))
    assert voc_ap([prediction([(5, 15)], [0.9])], [objects], iou_threshold=1 / 3).mean == pytest.approx(1)
    assert voc_ap([prediction([(0, 5)], [0.9])], [target([(0, 10)])]).mean == pytest.approx(1)  # IoU 1/2
    assert voc_ap([prediction([(0, 5)], [0.9])], [target([(0, 10)])], iou_threshold=0.51).mean == 0


def test_classes():
    predictions = [prediction([(0, 10), (0, 10)], [0.9, 0.8], [1, 2])]
    targets = [target([(0, 10)], [2])]
    result = voc_ap(predictions, targets, ["apple", "pear", "plum"])
    assert result.per_class == pytest.approx({"apple": math.nan, "pear": 1.0, "plum": math.nan}, nan_ok=True)
    assert result.mean == 1
    assert list(voc_ap(predictions, targets).per_class) == [1, 2]


def test_nothing():
    assert math.isnan(voc_ap([], []).mean)
    none = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64), "scores": torch.zeros(0)}
    assert voc_ap([none], [target([(0, 10)])]).mean == 0
    assert math.isnan(voc_ap([prediction([(0, 10)], [0.5])], [none]).per_class[1])


def test_refusals():
    with pytest.raises(InputError, match=r"voc_ap: iou_threshold must lie in \[0, 1\]"):
        voc_ap([], [], iou_threshold=2)
    with pytest.raises(InputError, match="method must be one of"):
        voc_ap([prediction([(0, 10)], [0.5])], [target([(0, 10)])], method="voc12")
    with pytest.raises(InputError, match="voc_ap: target 0: label 0 must lie from 1 to 1"):
        voc_ap([prediction([(0, 10)], [0.5])], [target([(0, 10)], [2])], ["apple"])
    with pytest.raises(InputError, match=r"target 0: difficult must have shape \(1,\)"):
        voc_ap([prediction([(0, 10)], [0.5])], [target([(0, 10)], difficult=torch.tensor([0, 1]))])
