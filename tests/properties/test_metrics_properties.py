"""What must hold for the metrics of all detections."""

import hypothesis.strategies as st
import numpy as np
import torch
from hypothesis import assume, given, settings

from cvlab.metrics import (
    DetectionMetrics,
    average_precision,
    confusion_matrix,
    detection_errors,
    match_detections,
    match_detections_reference,
    precision_recall,
    voc_ap,
)

settings.register_profile("cvlab", deadline=None, max_examples=60, derandomize=True)
settings.load_profile("cvlab")

CLASSES = 3
box = st.tuples(st.integers(0, 8), st.integers(0, 8), st.integers(1, 8), st.integers(1, 8))


@st.composite
def entry(draw, most, scored):
    """Boxes with small whole-number corners, so that equal IoUs are common, and few different scores."""
    rows = draw(st.lists(st.tuples(box, st.integers(1, CLASSES), st.integers(0, 4), st.booleans()), max_size=most))
    boxes = torch.tensor([[x, y, x + w, y + h] for (x, y, w, h), *_ in rows], dtype=torch.float64).reshape(-1, 4)
    found = {"boxes": boxes, "labels": torch.tensor([row[1] for row in rows], dtype=torch.int64)}
    if scored:
        return {**found, "scores": torch.tensor([row[2] / 4 for row in rows])}
    return {**found, "iscrowd": torch.tensor([row[2] == 0 and row[3] for row in rows], dtype=torch.bool)}


image = st.tuples(entry(12, True), entry(6, False))
images = st.lists(image, min_size=1, max_size=4).map(lambda pairs: tuple(map(list, zip(*pairs, strict=True))))


def evaluate(predictions, targets, size=100):
    metrics = DetectionMetrics([f"class {c}" for c in range(CLASSES)])
    for i in range(0, len(targets), size):
        metrics.update(predictions[i : i + size], targets[i : i + size])
    return np.array(list(metrics.compute().values()))


@given(image, st.sampled_from([0.0, 0.25, 1 / 3, 0.5, 0.75, 1.0]), st.booleans())
def test_the_fast_matching_is_the_clear_one(pair, threshold, by_class):
    found, true = pair
    labels = {"labels": found["labels"], "gt_labels": true["labels"]} if by_class else {}
    arguments = {**labels, "iscrowd": true["iscrowd"], "iou_threshold": threshold}
    fast = match_detections(found["boxes"], found["scores"], true["boxes"], **arguments)
    assert torch.equal(fast, match_detections_reference(found["boxes"], found["scores"], true["boxes"], **arguments))
    taken = fast[fast >= 0]
    once = taken[~true["iscrowd"][taken]]
    assert len(once.unique()) == len(once)


@given(images)
def test_batches_do_not_matter(sets):
    np.testing.assert_array_equal(evaluate(*sets), evaluate(*sets, size=1))


@given(images, st.integers(-50, 50))
def test_translation_and_the_scale_of_scores_do_not_matter(sets, shift):
    predictions, targets = sets
    moved = [{**p, "boxes": p["boxes"] + shift, "scores": 10 * p["scores"] ** 3 - 7} for p in predictions]
    expected = evaluate(predictions, targets)
    np.testing.assert_array_equal(evaluate(moved, [{**t, "boxes": t["boxes"] + shift} for t in targets]), expected)


@given(images)
def test_numbers_are_shares(sets):
    values = evaluate(*sets)
    assert ((values >= 0) & (values <= 1) | np.isnan(values)).all()


@given(images)
def test_the_truth_itself_is_perfect(sets):
    targets = [{**t, "iscrowd": torch.zeros_like(t["iscrowd"])} for t in sets[1]]
    assume(all(len(t["boxes"]) == len(t["boxes"].unique(dim=0)) for t in targets))
    predictions = [{**t, "scores": torch.ones(len(t["boxes"]))} for t in targets]
    values = evaluate(predictions, targets)
    np.testing.assert_array_equal(np.delete(values, 6)[~np.isnan(np.delete(values, 6))], 1)  # but for AR1
    per_class = list(voc_ap(predictions, targets).per_class.values())
    np.testing.assert_allclose(per_class, 1)
    assert not any(detection_errors(predictions, targets).counts.values())


@given(images)
def test_the_matrix_counts_everything_once(sets):
    predictions, targets = sets
    matrix = confusion_matrix(predictions, targets, CLASSES + 1, score_threshold=0.5)
    for label in range(1, CLASSES + 1):
        objects = sum(int(((t["labels"] == label) & ~t["iscrowd"]).sum()) for t in targets)
        detections = sum(int(((p["labels"] == label) & (p["scores"] >= 0.5)).sum()) for p in predictions)
        assert int(matrix[label].sum()) == objects
        assert int(matrix[:, label].sum()) <= detections  # those of crowds are left out
    assert matrix[0, 0] == 0


@given(images)
def test_errors_agree_with_the_evaluation(sets):
    predictions, targets = sets
    result = detection_errors(predictions, targets)
    np.testing.assert_array_equal(result.ap, evaluate(predictions, targets)[1])
    if not np.isnan(result.ap):
        assert all(-1e-12 <= gain <= 1 - result.ap + 1e-12 for gain in result.gains.values())


@given(images)
def test_errors_count_every_false_alarm_once(sets):
    predictions, targets = sets
    wrong = 0
    for p, t in zip(predictions, targets, strict=True):
        taken = match_detections(
            p["boxes"], p["scores"], t["boxes"], labels=p["labels"], gt_labels=t["labels"], iscrowd=t["iscrowd"]
        )
        wrong += int((taken < 0).sum())
    counts = detection_errors(predictions, targets).counts
    assert sum(counts.values()) - counts["missed"] == wrong


@given(st.lists(st.tuples(st.integers(0, 6), st.booleans()), max_size=30), st.integers(0, 5))
def test_average_precision_is_monotone(rows, unfound):
    scores, hits = [r[0] for r in rows], [r[1] for r in rows]
    objects = sum(hits) + unfound
    assume(objects > 0)
    curve = precision_recall(scores, hits, objects)
    noisier = precision_recall([*scores, 7], [*hits, False], objects)  # one more false alarm, before all others
    for method in ("coco", "voc07", "every_point"):
        value = average_precision(curve.recall, curve.precision, method)
        assert 0 <= average_precision(noisier.recall, noisier.precision, method) <= value <= 1
