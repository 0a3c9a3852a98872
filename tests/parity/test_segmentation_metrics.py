"""The measures of segmentation against scikit-learn, torchmetrics, scikit-image and loops, on random maps."""

import numpy as np
import pytest
import torch
from required import required
from skimage.segmentation import find_boundaries
from sklearn import metrics as sk

from cvlab.metrics import (
    InstanceMetrics,
    SegmentationMetrics,
    boundary_f,
    boundary_f_reference,
    instance_counts,
    instance_iou,
    match_instances,
    pixel_confusion,
)
from cvlab.metrics.boundary import count_boundaries

K = 6


def maps(seed, images=3, size=(24, 31), ignored=0.1, most=K):
    """Make truth with areas of a few pixels, and a prediction that is right in four pixels of five."""
    g = torch.Generator().manual_seed(seed)
    coarse = torch.randint(most, (images, -(-size[0] // 4), -(-size[1] // 4)), generator=g)
    truth = coarse.repeat_interleave(4, 1).repeat_interleave(4, 2)[:, : size[0], : size[1]].contiguous()
    said = truth.where(torch.rand(truth.shape, generator=g) < 0.8, torch.randint(most, truth.shape, generator=g))
    truth = truth.masked_fill(torch.rand(truth.shape, generator=g) < ignored, 255)
    return said, truth


def flat(said, truth):
    """Give what scikit-learn takes: truth first, without what is ignored."""
    counted = truth != 255
    return truth[counted].numpy(), said[counted].numpy()


@pytest.mark.parametrize("seed", range(4))
def test_scikit_learn(seed):
    said, truth = maps(seed)
    pair = flat(said, truth)
    metrics = SegmentationMetrics(K)
    for i in range(len(said)):
        metrics.update(said[i : i + 1], truth[i : i + 1])
    result = metrics.compute()
    np.testing.assert_array_equal(result.confusion, sk.confusion_matrix(*pair, labels=range(K)))
    np.testing.assert_allclose(result.iou, sk.jaccard_score(*pair, average=None), rtol=1e-12)
    np.testing.assert_allclose(result.dice, sk.f1_score(*pair, average=None), rtol=1e-12)
    np.testing.assert_allclose(result.precision, sk.precision_score(*pair, average=None), rtol=1e-12)
    np.testing.assert_allclose(result.accuracy, sk.recall_score(*pair, average=None), rtol=1e-12)
    expected = {
        "accuracy": sk.accuracy_score(*pair),
        "mean_accuracy": sk.balanced_accuracy_score(*pair),
        "mIoU": sk.jaccard_score(*pair, average="macro"),
        "mIoU_foreground": sk.jaccard_score(*pair, average="macro", labels=range(1, K)),
        "fwIoU": sk.jaccard_score(*pair, average="weighted"),
        "Dice": sk.f1_score(*pair, average="macro"),
    }
    assert dict(result) == pytest.approx(expected, rel=1e-12)


def test_scikit_learn_where_classes_are_absent():
    # 2 is true but never predicted, 3 predicted but never true, 4 and 5 occur nowhere: without a list of labels
    # scikit-learn averages over those that occur in one of both, as we do.
    truth = torch.tensor([[[0, 0, 1, 2, 2, 1]]])
    said = torch.tensor([[[0, 1, 1, 3, 0, 1]]])
    metrics = SegmentationMetrics(K)
    metrics.update(said, truth)
    result = metrics.compute()
    pair = flat(said, truth)
    assert result["mIoU"] == pytest.approx(sk.jaccard_score(*pair, average="macro", zero_division=0))
    assert result["Dice"] == pytest.approx(sk.f1_score(*pair, average="macro", zero_division=0))
    with pytest.warns(UserWarning, match="y_pred contains classes not in y_true"):
        expected = sk.balanced_accuracy_score(*pair)
    assert result["mean_accuracy"] == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("most", [K, K - 2])  # all classes occur, or the last two nowhere
def test_torchmetrics_classification(seed, most):
    functional = required("torchmetrics.functional.classification")
    said, truth = maps(seed, most=most)
    metrics = SegmentationMetrics(K)
    metrics.update(torch.nn.functional.one_hot(said, K).movedim(-1, 1).float(), {"semantic": truth.to(torch.uint8)})
    result = metrics.compute()
    options = {"num_classes": K, "ignore_index": 255}
    assert torch.equal(result.confusion, functional.multiclass_confusion_matrix(said, truth, **options))
    expected = {
        "accuracy": functional.multiclass_accuracy(said, truth, average="micro", **options),
        "mean_accuracy": functional.multiclass_accuracy(said, truth, average="macro", **options),
        "mIoU": functional.multiclass_jaccard_index(said, truth, average="macro", **options),
        "fwIoU": functional.multiclass_jaccard_index(said, truth, average="weighted", **options),
        "Dice": functional.multiclass_f1_score(said, truth, average="macro", **options),
    }
    for name, value in expected.items():
        assert result[name] == pytest.approx(float(value), abs=1e-6), name
    classes = functional.multiclass_jaccard_index(said, truth, average=None, **options)
    torch.testing.assert_close(result.iou[:most].float(), classes[:most])


@pytest.mark.parametrize("seed", range(3))
def test_torchmetrics_segmentation(seed):
    segmentation = required("torchmetrics.segmentation")
    said, truth = maps(seed, images=1, ignored=0)  # of one picture: those of several are averaged there, not summed
    metrics = SegmentationMetrics(K)
    metrics.update(said, truth)
    result = metrics.compute()
    mean_iou = segmentation.MeanIoU(K, input_format="index")
    dice = segmentation.DiceScore(K, average="macro", input_format="index")
    for peer, name in ((mean_iou, "mIoU"), (dice, "Dice")):
        peer.update(said, truth)
        assert result[name] == pytest.approx(float(peer.compute()), abs=1e-6)
    foreground = segmentation.MeanIoU(K, include_background=False, input_format="index")
    foreground.update(said, truth)
    assert result["mIoU_foreground"] == pytest.approx(float(foreground.compute()), abs=1e-6)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("tolerance", [0, 1, 1.5, 2, 3.2])
def test_boundaries_against_distances(seed, tolerance):
    said, truth = maps(seed, images=1, size=(17, 22), ignored=0.15 * (seed % 2))
    mine = boundary_f(said[0], truth[0], K, tolerance)
    theirs = boundary_f_reference(said[0], truth[0], K, tolerance)
    for a, b in zip(mine, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0, equal_nan=True)


def test_the_same_boundary_pixels_as_scikit_image():
    said, truth = maps(0, images=1, ignored=0)
    counts = count_boundaries(said[0], truth[0], K, 2.0, None)
    for labels, numbers in ((said[0], counts.predicted), (truth[0], counts.truth)):
        edge = find_boundaries(labels.numpy(), connectivity=1, mode="thick")
        assert numbers.tolist() == np.bincount(labels.numpy()[edge], minlength=K).tolist()


def blobs(seed, size=(40, 50), most=9):
    """Make true objects, and predictions that are the same moved a little; some are left out, some are added."""
    rng = np.random.default_rng(seed)
    truth, said = np.zeros((2, *size), np.int64)
    for k in range(1, rng.integers(2, most + 1)):
        y, x = rng.integers(0, size[0] - 12), rng.integers(0, size[1] - 12)
        h, w = rng.integers(4, 12, 2)
        truth[y : y + h, x : x + w] = k * 3  # numbers with gaps
        dy, dx = rng.integers(0, 3, 2)
        if rng.random() < 0.8:
            said[y + dy : y + dy + h, x + dx : x + dx + w] = k
    said[:3, :3] = 40
    return torch.from_numpy(said), torch.from_numpy(truth)


@pytest.mark.parametrize("seed", range(8))
def test_instances_against_scikit_learn_and_loops(seed):
    said, truth = blobs(seed)
    table = instance_iou(said, truth)
    assert table.predicted.tolist() == [n for n in said.unique().tolist() if n]
    assert table.truth.tolist() == [n for n in truth.unique().tolist() if n]
    expected = [
        [sk.jaccard_score(((truth == t).flatten()), (said == p).flatten()) for t in table.truth]
        for p in table.predicted
    ]
    np.testing.assert_allclose(table.iou, expected, rtol=1e-12)
    counts = instance_counts(said, truth)
    for i, percent in enumerate(range(50, 100, 5)):
        tp = sum(value > percent / 100 for values in expected for value in values)
        assert (counts.tp[i], counts.fp[i], counts.fn[i]) == (tp, len(expected) - tp, len(expected[0]) - tp)


@pytest.mark.parametrize("seed", range(4))
def test_panoptic_quality_of_torchmetrics(seed):
    detection = required("torchmetrics.detection")
    peer = detection.PanopticQuality(things={1}, stuffs={0}, return_per_class=True, return_sq_and_rq=True)
    metrics = InstanceMetrics()
    for i in range(3):
        said, truth = blobs(3 * seed + i)
        metrics.update([said], [truth])
        coloured = [torch.stack(((ids > 0).long(), ids), -1)[None] for ids in (said, truth)]  # (1, H, W, 2)
        peer.update(*coloured)
    result = metrics.compute()
    # Rows by class, things first: quality, the pairs' mean IoU, and 2 TP / (2 TP + FP + FN).
    quality, matched, f1 = peer.compute()[0].tolist()
    at_half = result.per_threshold.loc[0.5]
    assert result["PQ"] == pytest.approx(quality, abs=1e-6)
    assert at_half["mean_matched_score"] == pytest.approx(matched, abs=1e-6)
    assert at_half["f1"] == pytest.approx(f1, abs=1e-6)


def test_the_kernel_of_the_bowl():
    """Written anew from the competition's rules: for each threshold a table of IoUs above it, and its empty lines."""
    scores, metrics = [], InstanceMetrics()
    for seed in range(5):
        said, truth = blobs(seed)
        metrics.update([said], [truth])
        iou = np.array([[float(((said == p) & (truth == t)).sum()) / float(((said == p) | (truth == t)).sum())
                         for t in truth.unique()[1:]] for p in said.unique()[1:]])  # fmt: skip
        of_picture = []
        for percent in range(50, 100, 5):
            above = iou > percent / 100
            tp, fp, fn = (above.sum(0) == 1).sum(), (above.sum(1) == 0).sum(), (above.sum(0) == 0).sum()
            of_picture.append(tp / (tp + fp + fn))
        scores.append(np.mean(of_picture))
        assert match_instances(said, truth).accuracy == pytest.approx(of_picture[0])
    assert metrics.compute().per_image.tolist() == pytest.approx(scores)
    assert metrics.compute()["AP"] == pytest.approx(np.mean(scores))


def test_confusion_of_many_pixels_against_scikit_learn():
    said, truth = maps(9, images=2, size=(400, 500))
    pair = flat(said, truth)
    np.testing.assert_array_equal(pixel_confusion(said, truth, K), sk.confusion_matrix(*pair, labels=range(K)))
