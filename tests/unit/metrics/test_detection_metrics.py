"""COCO's numbers by hand, the result's views, and what is refused."""

import math

import numpy as np
import pytest
import torch
from torchvision import tv_tensors

from cvlab._check import InputError
from cvlab.metrics import DetectionMetrics, average_precision

NAMES = ["AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl"]


def prediction(boxes, labels, scores):
    return {"boxes": torch.tensor(boxes).reshape(-1, 4), "labels": torch.tensor(labels), "scores": torch.tensor(scores)}


def target(boxes, labels, **others):
    return {"boxes": torch.tensor(boxes).reshape(-1, 4), "labels": torch.tensor(labels), **others}


A, B, FAR = [0.0, 0.0, 20.0, 20.0], [100.0, 0.0, 150.0, 50.0], [300.0, 300.0, 340.0, 340.0]
NOTHING = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64), "scores": torch.zeros(0)}


@pytest.fixture
def metrics():
    """Class 1: A and B, of which A is found, and a false alarm before it. Class 2: one object, found too small."""
    metrics = DetectionMetrics(["apple", "pear", "plum"])
    metrics.update(
        [prediction([A, FAR], [1, 1], [0.8, 0.9]), prediction([[0.0, 0.0, 62.0, 100.0]], [2], [0.3])],
        [target([A, B], [1, 1]), target([[0.0, 0.0, 100.0, 100.0]], [2])],
    )
    return metrics


def test_twelve_numbers_by_hand(metrics):
    result = metrics.compute()
    assert list(result) == NAMES
    assert len(result) == 12
    # Apples: F T of 2 objects at every threshold: precision 1/2 up to recall 1/2: 51 of 101 recalls, 51 / 202.
    # Pears: IoU 0.62: found at 0.5, 0.55, 0.6, with precision 1; not at the other seven.
    apples, pears = 51 / 202, 3 / 10
    assert result["AP"] == pytest.approx((apples + pears) / 2)
    assert result["AP50"] == pytest.approx((apples + 1) / 2)
    assert result["AP75"] == pytest.approx(apples / 2)
    # Areas: A has 400 (small), B 2,500 (medium), FAR 1,600 (medium), the pear 10,000 (large).
    assert result["APs"] == pytest.approx(1.0)  # FAR is medium and found nothing: it does not count
    assert result["APm"] == 0
    assert result["APl"] == pytest.approx(pears)
    assert result["AR1"] == pytest.approx((0 + pears) / 2)  # the surest apple is the false alarm
    assert result["AR10"] == result["AR100"] == pytest.approx((1 / 2 + pears) / 2)
    assert [result[k] for k in ("ARs", "ARm", "ARl")] == pytest.approx([1, 0, pears])


def test_per_class(metrics):
    table = metrics.compute().per_class
    assert list(table.index) == ["apple", "pear", "plum"]
    assert list(table.columns) == ["objects", "AP", "AP50", "AR100"]
    assert table["objects"].tolist() == [2, 1, 0]
    assert table["AP50"].tolist() == pytest.approx([51 / 202, 1, math.nan], nan_ok=True)
    assert table["AR100"].tolist() == pytest.approx([0.5, 0.3, math.nan], nan_ok=True)
    without = DetectionMetrics(iou_thresholds=[0.6], max_detections=[5])
    without.update([prediction([A], [7], [0.5])], [target([B], [4])])
    assert list(without.compute().per_class.columns) == ["objects", "AP", "AR5"]
    assert list(without.compute().per_class.index) == [4, 7]
    assert list(without.compute()) == ["AP", "APs", "APm", "APl", "AR5", "ARs", "ARm", "ARl"]


def test_curves(metrics):
    result = metrics.compute()
    apples = result.curve("apple")
    assert apples.recall.tolist() == [0.0, 0.5]
    assert apples.precision.tolist() == [0.0, 0.5]
    assert apples.scores.tolist() == pytest.approx([0.9, 0.8])
    assert torch.equal(result.curve(1).recall, apples.recall)
    assert result.curve(2, iou=0.65).recall.tolist() == [0.0]
    everything = result.curve()  # 3 objects: F T, then the pear
    assert everything.recall.tolist() == pytest.approx([0, 1 / 3, 2 / 3])
    assert everything.precision.tolist() == pytest.approx([0, 1 / 2, 2 / 3])
    assert len(result.curve("plum").recall) == 0
    table = result.per_class
    assert average_precision(*apples[:2]) == pytest.approx(table["AP50"]["apple"])
    with pytest.raises(InputError, match=r"iou must be one of 0.5, 0.55, .*, 0.95, got 0.52"):
        result.curve(1, 0.52)
    with pytest.raises(InputError, match="label must be one of apple, pear, plum, got 4"):
        result.curve(4)


def test_views(metrics):
    result = metrics.compute()
    lines = str(result).splitlines()
    assert lines[0].split() == NAMES[:6]
    assert lines[1].split() == ["0.276", "0.626", "0.126", "1.000", "0.000", "0.300"]
    assert lines[3].split() == NAMES[6:]
    assert repr(result).startswith("DetectionResult(AP=0.276, AP50=0.626")
    html = result._repr_html_()
    assert html.count("<th") == html.count("<td") == 12
    assert dict(result)["AP"] == result["AP"]
    with pytest.raises(KeyError):
        result["mAP"]


def test_crowds_do_not_count():
    metrics = DetectionMetrics()
    crowd = target([[0.0, 0.0, 100.0, 100.0], A], [1, 1], iscrowd=torch.tensor([1, 0]))
    metrics.update(
        [prediction([A, [50.0, 50.0, 90.0, 90.0], [60.0, 50.0, 90.0, 90.0]], [1, 1, 1], [0.1, 0.9, 0.8])], [crowd]
    )
    result = metrics.compute()
    assert result["AP"] == 1  # two lie in the crowd, and the third is right
    assert result.per_class["objects"].tolist() == [1]
    assert len(result.curve(1).recall) == 1


def test_area_given_instead_of_the_boxs():
    for area, name in ((1024.0, ("s", "m")), (1024.5, ("m",)), (9216.0, ("m", "l")), (None, ("s",))):
        metrics = DetectionMetrics()
        others = {} if area is None else {"area": torch.tensor([area])}
        metrics.update([prediction([A], [1], [0.5])], [target([A], [1], **others)])
        result = metrics.compute()
        assert [n for n in "sml" if not math.isnan(result[f"AP{n}"])] == list(name)
        assert all(result[f"AP{n}"] == 1 for n in name)


def test_own_ranges():
    metrics = DetectionMetrics(area_ranges={"_tiny": (0, 500), "_huge": (500, 1e6)})
    metrics.update([prediction([A], [1], [0.5])], [target([A, B], [1, 1])])
    result = metrics.compute()
    assert result["AP_tiny"] == 1
    assert result["AP_huge"] == 0


def test_at_most_so_many_detections():
    # Three false alarms, then the object. With two detections counted it is not found.
    boxes = prediction([FAR, FAR, FAR, A], [1] * 4, [0.9, 0.8, 0.7, 0.6])
    for limit, expected in ((2, 0), (3, 0), (4, 1 / 4), (50, 1 / 4)):
        metrics = DetectionMetrics(max_detections=[limit])
        metrics.update([boxes], [target([A], [1])])
        assert metrics.compute()["AP"] == pytest.approx(expected)


def test_nothing_at_all():
    metrics = DetectionMetrics()
    assert np.isnan(list(metrics.compute().values())).all()
    metrics.update([NOTHING, NOTHING], [NOTHING, NOTHING])
    assert np.isnan(list(metrics.compute().values())).all()
    assert metrics.compute().per_class.shape == (0, 4)
    assert len(metrics.compute().curve().recall) == 0
    assert str(metrics.compute()).splitlines()[1].split() == ["-"] * 6
    metrics.update([NOTHING], [target([A], [1])])
    assert metrics.compute()["AP"] == metrics.compute()["AR100"] == 0
    metrics.reset()
    metrics.update([prediction([A], [1], [0.5])], [NOTHING])
    assert math.isnan(metrics.compute()["AP"])


def test_images_without_objects_may_have_any_shape():
    metrics = DetectionMetrics()
    empty = {"boxes": torch.tensor([]), "labels": torch.tensor([]), "scores": torch.tensor([])}
    metrics.update([empty], [{"boxes": torch.tensor([]), "labels": torch.tensor([]), "area": torch.tensor([])}])
    assert metrics.num_images == 1


def test_batches_and_more_later(metrics):
    first = dict(metrics.compute())
    metrics.update([prediction([B], [3], [0.5])], [target([B], [3])])
    second = metrics.compute()
    assert metrics.num_images == 3
    assert second["AP75"] == pytest.approx((2 * first["AP75"] + 1) / 3)
    metrics.reset()
    assert metrics.num_images == 0
    assert math.isnan(metrics.compute()["AP"])


def test_takes_what_detectors_and_data_sets_give():
    boxes = tv_tensors.BoundingBoxes([A], format="XYXY", canvas_size=(50, 50), dtype=torch.float32)
    guess = {"boxes": torch.tensor([A], dtype=torch.float16, requires_grad=True), "labels": torch.tensor([1])}
    metrics = DetectionMetrics(("background", "apple"))
    metrics.update(
        ({**guess, "scores": torch.tensor([0.5], dtype=torch.bfloat16), "masks": torch.zeros(1, 1, 50, 50)},),
        ({"boxes": boxes, "labels": torch.tensor([1], dtype=torch.int32), "image_id": 7},),
    )
    assert metrics.compute()["AP"] == 1
    assert metrics.compute().per_class.index.tolist() == ["apple"]
    wrong = tv_tensors.BoundingBoxes([A], format="XYWH", canvas_size=(50, 50))
    with pytest.raises(InputError, match="target 0: boxes must be in the format XYXY, got XYWH; see box_convert"):
        metrics.update([NOTHING], [{"boxes": wrong, "labels": torch.tensor([1])}])


def test_later_changes_of_the_tensors_do_not_matter():
    guess, truth = prediction([A], [1], [0.5]), target([A], [1])
    guess["boxes"] = guess["boxes"].double()
    metrics = DetectionMetrics()
    metrics.update([guess], [truth])
    guess["boxes"] += 100
    truth["labels"] += 1
    assert metrics.compute()["AP"] == 1


GOOD = prediction([A, B], [1, 2], [0.5, 0.6])


@pytest.mark.parametrize(
    ("kind", "change", "message"),
    [
        ("prediction", {"boxes": torch.tensor([A, [10.0, 4.0, 10.0, 9.0]])}, r"box 1 has x2 <= x1: \[10, 4, 10, 9\]"),
        ("prediction", {"boxes": torch.tensor([A, [0.0, 9.0, 10.0, 4.0]])}, r"box 1 has y2 <= y1: \[0, 9, 10, 4\]"),
        ("target", {"boxes": torch.tensor([[math.nan, 0, 1, 1], A])}, r"box 0 is not finite: \[nan, 0, 1, 1\]"),
        ("target", {"boxes": torch.tensor([A, [0, 0, 1, math.inf]])}, r"box 1 is not finite: \[0, 0, 1, inf\]"),
        ("target", {"boxes": torch.tensor([[0, 0, 1e200, 1], A], dtype=torch.float64)}, "box 0 is too large"),
        ("prediction", {"boxes": torch.zeros(2, 5)}, r"boxes must have shape \(N, 4\), got \(2, 5\)"),
        ("prediction", {"boxes": torch.ones(2, 4, dtype=torch.bool)}, "boxes must be float or integer, got torch.bool"),
        (
            "prediction",
            {"labels": torch.tensor([1, 4])},
            r"label 1 must lie from 1 to 3 \(0 is the background\), got 4",
        ),
        ("target", {"labels": torch.tensor([0, 1])}, r"label 0 must lie from 1 to 3 \(0 is the background\), got 0"),
        ("target", {"labels": torch.tensor([1, -1])}, "label 1 must lie from 1 to 3"),
        ("target", {"labels": torch.tensor([1])}, r"labels must have shape \(2,\), one for each box, got \(1,\)"),
        ("target", {"labels": torch.tensor([1.0, 2.0])}, "labels must be signed integers"),
        ("prediction", {"scores": torch.tensor([0.5, math.nan])}, "score 1 is not finite: nan"),
        ("prediction", {"scores": torch.tensor([[0.5, 0.5]])}, r"scores must have shape \(2,\)"),
        ("prediction", {"scores": torch.tensor([True, False])}, "scores must be float or integer"),
        ("target", {"area": torch.tensor([1.0, math.nan])}, "area 1 must be finite and at least 0, got nan"),
        ("target", {"area": torch.tensor([-1.0, 1.0])}, "area 0 must be finite and at least 0, got -1"),
        ("target", {"iscrowd": torch.tensor([True])}, r"iscrowd must have shape \(2,\)"),
        ("target", {"labels": None}, r"must have 'labels', got \['boxes', 'scores'\]"),
        ("prediction", {"scores": None}, r"must have 'scores', got \['boxes', 'labels'\]"),
    ],
)
def test_bad_input_is_named_and_loses_nothing(metrics, kind, change, message):
    before = dict(metrics.compute())
    bad = {k: v for k, v in {**GOOD, **change}.items() if v is not None}
    lists = {"prediction": [GOOD, GOOD, GOOD], "target": [GOOD, GOOD, GOOD]}
    lists[kind][1] = bad
    with pytest.raises(InputError, match=rf"^DetectionMetrics.update: {kind} 1:? {message}"):
        metrics.update(lists["prediction"], lists["target"])
    assert metrics.num_images == 2
    assert dict(metrics.compute()) == before


def test_wrong_containers(metrics):
    with pytest.raises(InputError, match="predictions and targets must be of the same number, got 2 and 1"):
        metrics.update([GOOD, GOOD], [GOOD])
    with pytest.raises(TypeError, match="predictions must be a list of dictionaries, one an image, got dict"):
        metrics.update(GOOD, [GOOD])
    with pytest.raises(TypeError, match="target 0 must be a dictionary, got list"):
        metrics.update([GOOD], [[GOOD]])
    with pytest.raises(TypeError, match="target 0: boxes must be a torch.Tensor, got list"):
        metrics.update([GOOD], [{**GOOD, "boxes": [A]}])
    with pytest.raises(InputError, match=r"prediction 0: label 0 must be 1 or above \(0 is the background\), got 0"):
        DetectionMetrics().update([prediction([A], [0], [0.5])], [GOOD])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"iou_thresholds": []}, "iou_thresholds must not be empty"),
        ({"iou_thresholds": [0.5, 0.5]}, "iou_thresholds must rise and not exceed 1, got"),
        ({"iou_thresholds": [0.5, 1.5]}, "iou_thresholds must rise and not exceed 1, got"),
        ({"iou_thresholds": [0.0]}, r"iou_thresholds\[0\] must be finite and above 0"),
        ({"max_detections": [10, 1]}, "max_detections must be whole numbers that rise, got"),
        ({"max_detections": [1.5]}, "max_detections must be whole numbers that rise, got"),
        ({"area_ranges": {"s": (5, 5)}}, r"area_ranges\['s'\] must have 0 <= low < high, got \(5, 5\)"),
        ({"class_names": "apple"}, "class_names must be a sequence of texts, got 'apple'"),
        ({"class_names": ["a", "b", "a"]}, "class_names must differ, got 'a' twice"),
    ],
)
def test_settings_refused(arguments, message):
    with pytest.raises(InputError, match=f"^DetectionMetrics: {message}"):
        DetectionMetrics(**arguments)
