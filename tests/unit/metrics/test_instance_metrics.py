"""Objects paired by hand, the Data Science Bowl's measure, and the picture on which accuracy is 0.99 and it is 0."""

import math

import numpy as np
import pytest
import torch
from torchvision import tv_tensors

from cvlab import engine
from cvlab._check import InputError
from cvlab.data import StillLife, instances_from_masks
from cvlab.metrics import InstanceMetrics, instance_counts, instance_iou, match_instances, pixel_confusion
from cvlab.metrics.instances import DSB_THRESHOLDS

# True objects 1 (4 pixels) and 7 (3 pixels); prediction 1 has 3 of the 4 pixels of the first, 2 has 2 of the other's 3.
TRUTH = torch.tensor([[1, 1, 1, 1, 0, 7, 7, 7]])
SAID = torch.tensor([[1, 1, 1, 0, 0, 2, 2, 0]])
NOTHING = torch.zeros(1, 8, dtype=torch.int64)


def masks(*rows):
    return torch.tensor(rows, dtype=torch.bool).reshape(len(rows), 1, -1)


def evaluate(predictions, targets, **settings):
    metrics = InstanceMetrics(**settings)
    metrics.update(predictions, targets)
    return metrics.compute()


def row(found, length):
    """Lay a true object of `length` pixels and a prediction of its first `found` pixels."""
    truth, said = torch.zeros(2, 1, length, dtype=torch.int64)
    truth[0], said[0, :found] = 1, 1
    return said, truth


def test_table_by_hand():
    table = instance_iou(SAID, TRUTH)
    assert table.predicted.tolist() == [1, 2]
    assert table.truth.tolist() == [1, 7]
    assert table.iou.tolist() == [[3 / 4, 0], [0, 2 / 3]]
    assert torch.equal(instance_iou(TRUTH, SAID).iou, table.iou.t())


def test_numbers_with_gaps_however_large():
    far = SAID.where(SAID != 2, 10**12)
    table = instance_iou(far, TRUTH * 10**9)
    assert table.predicted.tolist() == [1, 10**12]
    assert table.truth.tolist() == [10**9, 7 * 10**9]
    assert torch.equal(table.iou, instance_iou(SAID, TRUTH).iou)
    assert match_instances(far, TRUTH).pairs.tolist() == [[1, 1], [10**12, 7]]
    full = torch.tensor([[10**12, 10**12, 5]])  # no background
    assert instance_iou(full, full).predicted.tolist() == [5, 10**12]


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.uint16, torch.int32])
def test_integers_of_every_width(dtype):
    assert instance_iou(SAID.to(dtype), tv_tensors.Mask(TRUTH.to(dtype))).iou.tolist() == [[3 / 4, 0], [0, 2 / 3]]


def test_masks_are_as_good_as_maps():
    said = masks([1, 1, 1, 0, 0, 0, 0, 0], [0] * 8, [0, 0, 0, 0, 0, 1, 1, 0])
    truth = masks([1, 1, 1, 1, 0, 0, 0, 0], [0, 0, 0, 0, 0, 1, 1, 1])
    for a, b in ((said, truth), (said, TRUTH), (SAID, truth)):
        assert instance_iou(a, b).iou.tolist() == [[3 / 4, 0], [0, 2 / 3]]
    assert instance_iou(said, truth).predicted.tolist() == [1, 3]  # the mask without a pixel is no object
    assert match_instances(said, truth).fp == 0


def test_masks_may_overlap():
    said = masks([1, 1, 1, 0], [0, 0, 0, 0], [0, 1, 1, 1])  # IoU 2/4 with each other
    table = instance_iou(said, torch.tensor([[1, 1, 2, 2]]))
    assert table.predicted.tolist() == [1, 3]
    assert table.iou.tolist() == [[2 / 3, 1 / 4], [1 / 4, 2 / 3]]
    turned = instance_iou(torch.tensor([[1, 1, 2, 2]]), said)
    assert torch.equal(turned.iou, table.iou.t())
    twice = masks([1, 1, 1, 0], [1, 1, 1, 0])  # both have IoU 3/4 with the one object: one of them is a false alarm
    found = match_instances(twice, torch.tensor([[1, 1, 1, 1]]))
    assert (found.tp, found.fp, found.fn) == (1, 1, 0)
    assert found.mean_matched_score == 3 / 4


def test_the_best_pairs_are_chosen_below_one_half():
    # Truth 1 and 2 of 4 pixels each; prediction 1 covers half of both, prediction 2 the rest of the second.
    truth = torch.tensor([[1, 1, 1, 1, 2, 2, 2, 2]])
    said = torch.tensor([[0, 0, 1, 1, 1, 2, 2, 2]])
    # IoU of prediction 1: 2/5 and 1/6, of prediction 2: 0 and 3/4
    found = match_instances(said, truth, 0.1)
    assert found.pairs.tolist() == [[1, 1], [2, 2]]
    # Prediction 1 fits both objects, prediction 2 only one, the one that 1 fits best: two pairs are better than one.
    truth = torch.tensor([[1, 1, 1, 1, 2, 2, 2, 2]])
    said = torch.tensor([[2, 1, 1, 1, 1, 1, 0, 0]])
    # IoU of prediction 1: 3/6 and 2/7, of prediction 2: 1/4 and 0
    found = match_instances(said, truth, 0.2)
    assert found.pairs.tolist() == [[1, 2], [2, 1]]
    assert found.mean_matched_score == pytest.approx((2 / 7 + 1 / 4) / 2)
    assert match_instances(said, truth, 0.26).pairs.tolist() == [[1, 1]]  # of one pair the better
    # Even where the one pair has 7/9, and the two have 1/11 and 1/8.
    truth = torch.tensor([[1] * 8 + [2] * 4])
    said = torch.tensor([[2] + [1] * 8 + [0] * 3])
    assert match_instances(said, truth, 0.05).pairs.tolist() == [[1, 2], [2, 1]]
    assert match_instances(said, truth, 0.1).pairs.tolist() == [[1, 1]]


def test_scores_by_hand():
    found = match_instances(SAID, TRUTH, 0.7)  # only 3/4 is above
    assert (found.threshold, found.tp, found.fp, found.fn) == (0.7, 1, 1, 1)
    assert found.precision == found.recall == found.f1 == 1 / 2
    assert found.accuracy == 1 / 3
    assert found.mean_matched_score == 3 / 4
    assert found.mean_true_score == 3 / 8  # of two true objects
    assert found.panoptic_quality == 3 / 8  # 0.75 / (1 + 1/2 + 1/2)
    assert found.pairs.tolist() == [[1, 1]]


def test_scores_of_other_counts():
    # Three predictions, of which one is the second true object, and two true ones:
    truth = torch.tensor([[1, 1, 0, 2, 2, 2, 0, 0, 0]])
    said = torch.tensor([[0, 0, 1, 3, 3, 3, 0, 5, 5]])
    found = match_instances(said, truth)
    assert (found.tp, found.fp, found.fn) == (1, 2, 1)
    assert found.precision == 1 / 3
    assert found.recall == 1 / 2
    assert found.f1 == 2 / 5
    assert found.accuracy == 1 / 4
    assert found.mean_true_score == 1 / 2
    assert found.panoptic_quality == 1 / 2.5
    assert found.pairs.tolist() == [[3, 2]]


def test_a_moved_square():
    # 10 x 10 pixels, moved by 5 rows: 50 shared pixels of 150, IoU 1/3; by 2 rows: 80 of 120, 2/3.
    truth = torch.zeros(100, 100, dtype=torch.int64)
    truth[10:20, 10:20] = 1
    assert match_instances(truth.roll(5, 0), truth).accuracy == 0
    found = match_instances(truth.roll(2, 0), truth)
    assert (found.accuracy, found.panoptic_quality) == (1, pytest.approx(2 / 3))
    assert match_instances(truth.roll(5, 0), truth, 0.3).mean_true_score == pytest.approx(1 / 3)


def test_with_nothing_in_one_or_both():
    nothing = match_instances(NOTHING, NOTHING)
    assert nothing[1:4] == (0, 0, 0)
    assert nothing[4:11] == (1.0,) * 7
    assert nothing.pairs.shape == (0, 2)
    for said, truth, counts in ((SAID, NOTHING, (0, 2, 0)), (NOTHING, TRUTH, (0, 0, 2))):
        found = match_instances(said, truth)
        assert found[1:4] == counts
        assert found[4:11] == (0.0,) * 7
    for empty in (torch.zeros(0, 1, 8, dtype=torch.bool), NOTHING, masks([0] * 8)):
        assert instance_iou(empty, TRUTH).iou.shape == (0, 2)
    assert instance_iou(NOTHING[:, :0], NOTHING[:, :0]).iou.shape == (0, 0)
    assert instance_iou(masks([1, 1], [0, 1]), torch.zeros(1, 2, dtype=torch.int64)).iou.shape == (2, 0)


def test_an_iou_must_be_greater_than_the_threshold():
    # 20 pixels, of which 10 to 19 are found: IoU 0.5 to 0.95 exactly, each the next threshold.
    assert DSB_THRESHOLDS == (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)
    for k in range(10):
        counts = instance_counts(*row(10 + k, 20))
        assert counts.tp.tolist() == [1] * k + [0] * (10 - k)
        assert counts.fp.tolist() == counts.fn.tolist() == [0] * k + [1] * (10 - k)
    assert match_instances(*row(20, 20), threshold=1.0).tp == 0
    assert match_instances(*row(1, 20), threshold=0.0).tp == 1
    assert match_instances(*row(0, 20), threshold=0.0).tp == 0


def test_counts_by_hand():
    counts = instance_counts(SAID, TRUTH, [0.7, 0.5, 0.9])
    assert counts.tp.tolist() == [1, 2, 0]
    assert counts.fp.tolist() == counts.fn.tolist() == [1, 0, 2]


def test_average_precision_by_hand():
    # IoU 0.875: above eight thresholds, up to 0.85. IoU 0.75: above five. Without objects: 1. A false alarm: 0.
    pairs = [row(7, 8), row(6, 8), (NOTHING, NOTHING), (SAID, NOTHING)]
    result = evaluate(*zip(*pairs, strict=True))
    assert result.per_image.tolist() == pytest.approx([0.8, 0.5, 1, 0])
    assert result["AP"] == pytest.approx(2.3 / 4)
    assert result["AP50"] == 3 / 4
    assert result["AP75"] == 2 / 4  # 0.75 is not above 0.75
    # All together: two true objects and four predicted. Above 0.5 to 0.7 both are found: 2 / 4; above 0.75 to 0.85 one:
    # 1 / (1 + 3 + 1); above 0.9 none.
    assert result["AP_pooled"] == pytest.approx((5 * 2 / 4 + 3 * 1 / 5) / 10)
    assert result["PQ"] == pytest.approx((7 / 8 + 6 / 8) / (2 + 2 / 2))


def test_pictures_count_alike_or_by_their_objects():
    many = torch.arange(1, 101).reshape(10, 10)  # a hundred objects of one pixel, none of them found
    result = evaluate([torch.zeros_like(many), SAID], [many, SAID])
    assert result["AP"] == 1 / 2
    assert result["AP_pooled"] == pytest.approx(2 / 102)


def test_two_objects_found_as_one_cost_everything():
    # Two rectangles of 580 pixels with a gap of 20 pixels between them, found as one of 1180: IoU 580 / 1180 < 0.5.
    truth = torch.zeros(100, 100, dtype=torch.int64)
    truth[30:50, 20:49], truth[30:50, 50:79] = 1, 2
    merged = torch.zeros_like(truth)
    merged[30:50, 20:79] = 1
    counts = pixel_confusion(merged > 0, truth > 0, 2)
    assert counts.tolist() == [[8820, 20], [0, 1160]]  # accuracy 0.998
    result = evaluate([merged], [truth])
    assert set(result.values()) == {0.0}
    merged[30:50, 50:79], merged[30:50, 49] = 2, 0  # told apart
    assert evaluate([merged], [truth])["AP"] == 1


def test_tiny_objects_missed_cost_everything():
    # A hundred objects of one pixel in a picture of 10,000: who finds none of them has 99% of the pixels right.
    truth = torch.zeros(100, 100, dtype=torch.int64)
    truth[5::10, 5::10] = torch.arange(1, 101).reshape(10, 10)
    nothing = torch.zeros_like(truth)
    counts = pixel_confusion(nothing > 0, truth > 0, 2)
    assert float(counts.diag().sum()) / float(counts.sum()) == 0.99
    assert evaluate([nothing], [truth])["AP"] == 0


def test_batches_do_not_matter():
    pairs = [row(7, 8), row(6, 8), (NOTHING, NOTHING), (SAID, NOTHING), (SAID, TRUTH)]
    expected = evaluate(*zip(*pairs, strict=True))
    metrics = InstanceMetrics()
    for said, truth in pairs:
        metrics.update([said], [truth])
    assert metrics.num_images == 5
    assert dict(metrics.compute()) == dict(expected)
    metrics.reset()
    assert metrics.num_images == 0
    assert dict(metrics.compute()) == dict(InstanceMetrics().compute())
    together = InstanceMetrics()
    together.update(torch.stack((SAID, NOTHING)), torch.stack((TRUTH, TRUTH)).to(torch.uint8))
    assert together.compute().per_image.tolist() == pytest.approx([(4 * 1 + 1 / 3) / 10, 0])


def test_other_thresholds():
    result = evaluate([SAID], [TRUTH], thresholds=[0.7, 0.25])
    assert list(result) == ["AP", "AP_pooled"]
    assert result["AP"] == pytest.approx((1 / 3 + 1) / 2)
    assert list(evaluate([SAID], [TRUTH], thresholds=np.array([0.5]))) == ["AP", "AP50", "AP_pooled", "PQ"]


def test_without_pictures_and_without_objects_nothing_is_nan():
    assert set(InstanceMetrics().compute().values()) == {0.0}
    assert InstanceMetrics().compute().per_image.shape == (0,)
    assert not InstanceMetrics().compute().per_threshold.isna().any(axis=None)
    assert "nan" not in str(InstanceMetrics().compute())
    assert set(evaluate([NOTHING], [NOTHING]).values()) == {1.0}


def test_tables():
    result = evaluate([SAID], [TRUTH])
    table = result.per_threshold
    assert table.index.tolist() == list(DSB_THRESHOLDS)
    assert table["TP"].tolist() == [2, 2, 2, 2, 1, 0, 0, 0, 0, 0]
    assert table["accuracy"].tolist() == [1, 1, 1, 1, 1 / 3, 0, 0, 0, 0, 0]
    assert table.loc[0.7, "panoptic_quality"] == 3 / 8
    lines = str(result).splitlines()
    assert lines[0].split() == ["AP", "AP50", "AP75", "AP_pooled", "PQ"]
    assert lines[-1].split() == ["0.95", "0", "2", "2", "0.000"]
    assert result._repr_html_().count("<table>") == 2
    assert repr(result).startswith("InstanceResult(AP=0.433, AP50=1.000")


def test_still_lifes_against_themselves():
    for _, target in (StillLife(size=96, split="test", count=(4, 6))[i] for i in range(3)):
        result = evaluate([instances_from_masks(target["masks"])], [target["masks"]])
        assert result["AP"] == result["PQ"] == 1


def test_the_engine_takes_it_as_a_metric():
    class Network(torch.nn.Module):
        def forward(self, images):
            return [image[0].long() for image in images]

    class Found(InstanceMetrics):
        def update(self, predictions, targets):
            super().update(predictions, [target["instances"] for target in targets])

    items = [(SAID[None].float(), {"instances": TRUTH}), (TRUTH[None].float(), {"instances": TRUTH})]
    assert engine.evaluate(Network(), items, Found())["AP"] == pytest.approx((13 / 30 + 1) / 2)


@pytest.mark.parametrize(
    ("said", "truth", "message"),
    [
        (SAID.float(), TRUTH, r"predicted must be integers, got torch.float32"),
        (SAID.bool(), TRUTH, r"predicted must be integers \(H, W\) or bool \(N, H, W\), got torch.bool \(1, 8\)"),
        (SAID, TRUTH[None], r"truth must be integers \(H, W\) or bool \(N, H, W\), got torch.int64 \(1, 1, 8\)"),
        (SAID[:, :7], TRUTH, r"predicted and truth must be of one size, got \(1, 7\) and \(1, 8\)"),
        (masks([1, 0]), TRUTH, r"predicted and truth must be of one size, got \(1, 2\) and \(1, 8\)"),
        (SAID, TRUTH - 1, r"truth\[0, 4\] must be at least 0, got -1"),
    ],
)
def test_what_is_refused(said, truth, message):
    for function in (instance_iou, match_instances, instance_counts):
        with pytest.raises(InputError, match=f"{function.__name__}: {message}"):
            function(said, truth)


def test_what_is_no_tensor_is_refused():
    with pytest.raises(TypeError, match=r"instance_iou: truth must be a torch\.Tensor, got ndarray"):
        instance_iou(SAID, TRUTH.numpy())


def test_what_update_refuses_leaves_no_trace():
    metrics = InstanceMetrics()
    with pytest.raises(InputError, match=r"InstanceMetrics.update: targets\[1\]\[0, 4\] must be at least 0, got -1"):
        metrics.update([SAID, SAID], [TRUTH, TRUTH - 1])
    with pytest.raises(InputError, match=r"predictions\[1\] and targets\[1\] must be of one size"):
        metrics.update([SAID, SAID], [TRUTH, TRUTH[:, 1:]])
    with pytest.raises(InputError, match="predictions and targets must be of the same number, got 1 and 2"):
        metrics.update([SAID], [TRUTH, TRUTH])
    for wrong in (SAID, masks([1, 0]), {"instances": SAID}, "maps", iter([SAID])):
        with pytest.raises(TypeError, match="targets must be a list of instance maps or masks, one entry a picture"):
            metrics.update([SAID], wrong)
    with pytest.raises(TypeError, match=r"predictions\[0\] must be a torch\.Tensor, got list"):
        metrics.update([[[1, 0]]], [TRUTH])
    assert metrics.num_images == 0


@pytest.mark.parametrize("thresholds", [[], 0.5, "0.5", [0.5, 1.5], [math.nan], [-0.1]])
def test_thresholds_that_are_refused(thresholds):
    with pytest.raises(InputError, match="InstanceMetrics: thresholds"):
        InstanceMetrics(thresholds)
    with pytest.raises(InputError, match="instance_counts: thresholds"):
        instance_counts(SAID, TRUTH, thresholds)
    if thresholds == [0.5, 1.5]:
        with pytest.raises(InputError, match=r"match_instances: threshold must lie in \[0, 1\], got 1.5"):
            match_instances(SAID, TRUTH, 1.5)
