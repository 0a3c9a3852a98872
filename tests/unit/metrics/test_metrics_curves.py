"""Precision, recall and average precision, by hand and against scikit-learn."""

import math

import numpy as np
import pytest
import torch
from matplotlib import pyplot as plt
from sklearn.metrics import precision_recall_curve

from cvlab._check import InputError
from cvlab.metrics import PrecisionRecall, average_precision, precision_recall

# Ten detections of five objects; those at place 1, 2, 4 and 7 are correct.
SCORES = [0.95, 0.9, 0.85, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2]
CORRECT = [True, True, False, True, False, False, True, False, False, False]


def test_ten_detections_by_hand():
    curve = precision_recall(SCORES, CORRECT, num_objects=5)
    found = [1, 2, 2, 3, 3, 3, 4, 4, 4, 4]
    assert curve.recall.tolist() == [k / 5 for k in found]
    assert curve.precision.tolist() == [k / n for n, k in enumerate(found, 1)]
    assert curve.scores.tolist() == SCORES
    # The envelope is 1 up to recall 0.4, then 3/4 up to 0.6, 4/7 up to 0.8, and 0.
    area = 0.4 * 1 + 0.2 * 3 / 4 + 0.2 * 4 / 7
    eleven = (5 * 1 + 2 * 3 / 4 + 2 * 4 / 7) / 11  # recalls 0 to 0.4; 0.5, 0.6; 0.7, 0.8
    coco = (41 * 1 + 20 * 3 / 4 + 20 * 4 / 7) / 101  # recalls 0 to 0.40; 0.41 to 0.60; 0.61 to 0.80
    for method, expected in (("every_point", area), ("voc07", eleven), ("coco", coco)):
        assert average_precision(curve.recall, curve.precision, method) == pytest.approx(expected, abs=1e-12)
    assert average_precision(curve.recall, curve.precision) == pytest.approx(coco)


def test_the_envelope_fills_dents():
    # One wrong detection first: precision 0, 1/2, 2/3. The envelope is 2/3 everywhere up to recall 1.
    curve = precision_recall([3, 2, 1], [0, 1, 1], 2)
    for method in ("coco", "voc07", "every_point"):
        assert average_precision(curve.recall, curve.precision, method) == pytest.approx(2 / 3)


def test_order_and_ties():
    # Sorted by score it is T F T; of the two at 0.5 the first given goes first.
    curve = precision_recall(torch.tensor([0.5, 0.9, 0.5]), torch.tensor([False, True, True]), 2)
    assert curve.recall.tolist() == [0.5, 0.5, 1.0]
    swapped = precision_recall([0.5, 0.9, 0.5], [True, True, False], 2)
    assert swapped.recall.tolist() == [0.5, 1.0, 1.0]


def test_recalls_of_tenths():
    # 3 of 10 found reach recall 0.3 exactly; in binary, 3 * 0.1 would be more than 0.3.
    curve = precision_recall(np.arange(3), np.ones(3), 10)
    assert average_precision(curve.recall, curve.precision, "voc07") == pytest.approx(4 / 11)


def test_nothing():
    empty = precision_recall([], [], 3)
    assert [len(v) for v in empty] == [0, 0, 0]
    for method in ("coco", "voc07", "every_point"):
        assert average_precision([], [], method) == 0
        none_to_find = precision_recall([0.5], [False], 0)
        assert math.isnan(average_precision(none_to_find.recall, none_to_find.precision, method))
        assert average_precision([0.0, 0.0], [0.0, 0.0], method) == 0


def test_against_scikit_learn():
    rng = np.random.default_rng(0)
    scores, correct = rng.permutation(200) / 200, rng.random(200) < 0.4
    curve = precision_recall(scores, correct, int(correct.sum()))
    precision, recall, thresholds = precision_recall_curve(correct, scores)
    # theirs goes up by score, and ends with a point (0, 1) of no detection
    np.testing.assert_allclose(curve.precision, precision[:-1][::-1])
    np.testing.assert_allclose(curve.recall, recall[:-1][::-1])
    np.testing.assert_allclose(curve.scores, thresholds[::-1])


def test_plot():
    ax = precision_recall(SCORES, CORRECT, 5).plot()
    envelope, points = ax.lines
    heights = [1, 1, 3 / 4, 3 / 4, 3 / 5, 4 / 7, 4 / 7, 4 / 8, 4 / 9, 4 / 10]  # of each, the largest from there on
    assert envelope.get_ydata().tolist() == pytest.approx([1, *heights])
    assert envelope.get_xdata()[0] == 0
    assert len(points.get_xdata()) == 10
    own = plt.figure().add_subplot()
    empty = precision_recall([], [], 5)
    assert empty.plot(own) is own
    plt.close("all")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0.5, 0.4], [True], 2), "correct must have one value for each of 2 scores, got 1"),
        (([[0.5]], [True], 2), r"scores must have shape \(N,\), got \(1, 1\)"),
        (([0.5, math.nan], [True, False], 2), r"scores\[1\] is not finite"),
        (([0.5], [0.5], 2), "correct must be true or false, got 0.5"),
        (([0.5, 0.4], [True, True], 1), "num_objects must be a whole number, at least the 2 found, got 1"),
        (([0.5], [True], 1.5), "num_objects must be a whole number"),
    ],
)
def test_precision_recall_refuses(arguments, message):
    with pytest.raises(InputError, match=f"^precision_recall: {message}"):
        precision_recall(*arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0.1, 0.2], [1.0]), "recall and precision must have the same length, got 2 and 1"),
        (([0.1, 0.2], [1.0, 1.5]), r"precision\[1\] must lie in \[0, 1\], got 1.5"),
        (([0.1, 1.2], [1.0, 1.0]), r"recall\[1\] must lie in \[0, 1\], got 1.2"),
        (([0.1, math.nan], [1.0, 1.0]), r"recall\[1\] is not finite"),
        (([0.1, 0.3, 0.2], [1.0, 1.0, 1.0]), r"recall must not fall, but does at \[2\]"),
        (([0.1], [1.0], "area"), "method must be one of coco, voc07, every_point, got 'area'"),
    ],
)
def test_average_precision_refuses(arguments, message):
    with pytest.raises(InputError, match=f"^average_precision: {message}"):
        average_precision(*arguments)


def test_a_curve_is_a_tuple():
    recall, precision, scores = precision_recall([0.5], [True], 1)
    assert isinstance(PrecisionRecall(recall, precision, scores).recall, torch.Tensor)
    assert recall.dtype == precision.dtype == scores.dtype == torch.float64
