"""The breakdown of errors, by hand."""

import math

import pytest
import torch

from cvlab._check import InputError
from cvlab.metrics import detection_errors


def bars(*spans):
    return torch.tensor([[a, 0.0, b, 10.0] for a, b in spans]).reshape(-1, 4)


def errors(found, objects, **arguments):
    """Evaluate one image: `found` has (span, label, score), `objects` has (span, label)."""
    spans, labels, scores = zip(*found, strict=True) if found else ((), (), ())
    prediction = {"boxes": bars(*spans), "labels": torch.tensor(labels, dtype=torch.int64)}
    true_spans, true = zip(*objects, strict=True) if objects else ((), ())
    crowd = arguments.pop("iscrowd", None)
    target = {"boxes": bars(*true_spans), "labels": torch.tensor(true, dtype=torch.int64)}
    target |= {} if crowd is None else {"iscrowd": torch.tensor(crowd)}
    return detection_errors([{**prediction, "scores": torch.tensor(scores)}], [target], **arguments)


def only(result):
    """Give the kind of the only error."""
    assert sum(result.counts.values()) == 1
    return next(kind for kind, count in result.counts.items() if count)


OBJECT = ((0, 10), 1)
FOUND = ((0, 10), 1, 0.9)


@pytest.mark.parametrize(
    ("wrong", "objects", "kind"),
    [
        (((0, 4), 1, 0.5), [OBJECT], "localisation"),  # IoU 4/10
        (((0, 1), 1, 0.5), [OBJECT], "localisation"),  # 1/10, at the border
        (((0, 10), 2, 0.5), [OBJECT], "class"),
        (((0, 5), 2, 0.5), [OBJECT], "class"),  # 5/10, at the border
        (((0, 4), 2, 0.5), [OBJECT], "both"),
        (((50, 60), 1, 0.5), [OBJECT], "background"),
        (((0, 1), 2, 0.5), [OBJECT], "background"),  # 1/10 of another class
    ],
)
def test_one_false_alarm(wrong, objects, kind):
    result = errors([wrong], objects)
    explained = kind in ("localisation", "class")
    assert result.counts[kind] == 1
    assert result.counts["missed"] == (0 if explained else 1)
    assert sum(result.counts.values()) == (1 if explained else 2)
    assert result.ap == 0
    # Mending puts it at the object, of which it is the only detection; removing it finds nothing.
    assert result.gains[kind] == (1 if explained else 0)
    assert result.gains["missed"] == (0 if explained else 1)


def test_duplicates():
    result = errors([FOUND, ((0, 9), 1, 0.8), ((50, 60), 1, 0.7)], [OBJECT, ((50, 60), 1)])
    assert only(result) == "duplicate"
    # T F T: 51 recalls with precision 1, 50 with 2/3. Without the duplicate AP is 1.
    assert result.ap == pytest.approx((51 + 50 * 2 / 3) / 101)
    assert result.gains["duplicate"] == pytest.approx(1 - result.ap)


def test_two_errors_at_one_object():
    # Both are badly placed at one object: the surer one is put right, the other removed.
    result = errors([((0, 4), 1, 0.5), ((0, 3), 1, 0.6)], [OBJECT])
    assert result.counts["localisation"] == 2
    assert result.gains["localisation"] == 1
    # If the object has been found, both are removed: nothing to gain behind it, much before it.
    behind = errors([FOUND, ((0, 4), 1, 0.5)], [OBJECT])
    assert behind.gains["localisation"] == 0
    before = errors([((0, 10), 1, 0.1), ((0, 4), 1, 0.5)], [OBJECT])
    assert before.ap == pytest.approx(0.5)
    assert before.gains["localisation"] == pytest.approx(0.5)


def test_a_mended_class_moves():
    result = errors([((0, 10), 2, 0.9), ((20, 30), 2, 0.8)], [((0, 10), 1), ((20, 30), 2)])
    assert only(result) == "class"
    # Class 1 has AP 0, class 2 has F T: 1/2. Mended, both are 1.
    assert result.ap == pytest.approx((0 + 1 / 2) / 2)
    assert result.gains["class"] == pytest.approx(1 - result.ap)


def test_the_surest_of_several_classes_is_mended():
    # A 2 and a 3 lie on the 1. The surer one, the 3, becomes the hit, before the false alarm.
    result = errors([((0, 10), 2, 0.5), ((0, 10), 3, 0.9), ((50, 60), 1, 0.7)], [OBJECT])
    assert result.counts["class"] == 2
    assert result.gains["class"] == 1


def test_missed():
    result = errors([FOUND], [OBJECT, ((50, 60), 1), ((80, 90), 1), ((80, 90), 2)])
    assert result.counts["missed"] == sum(result.counts.values()) == 3
    # Class 1: 1 of 3 found, 34 of 101 recalls. Class 2: nothing. Without the missed ones both are 1.
    assert result.ap == pytest.approx((34 / 101 + 0) / 2)
    assert result.gains["missed"] == pytest.approx(1 - result.ap)


def test_crowds_are_no_errors():
    result = errors([FOUND, ((30, 40), 1, 0.95)], [OBJECT, ((20, 90), 1)], iscrowd=[False, True])
    assert result.ap == 1
    assert set(result.counts.values()) == {0}
    # Of another class than the crowd's it is a false alarm, and a crowd is no object that it could have meant.
    other = errors([FOUND, ((30, 40), 2, 0.95)], [OBJECT, ((20, 90), 1)], iscrowd=[False, True])
    assert only(other) == "background"


def test_thresholds():
    faint = ((50, 60), 1, 0.2)
    assert only(errors([FOUND, faint], [OBJECT])) == "background"
    assert not any(errors([FOUND, faint], [OBJECT], score_threshold=0.5).counts.values())
    assert errors([((0, 4), 1, 0.5)], [OBJECT], background_iou=0.4).counts["localisation"] == 1
    assert errors([((0, 4), 1, 0.5)], [OBJECT], background_iou=0.45).counts["background"] == 1
    assert not any(errors([((0, 4), 1, 0.5)], [OBJECT], iou_threshold=0.4).counts.values())


def test_nothing():
    result = errors([], [])
    assert math.isnan(result.ap)
    assert set(result.counts.values()) == {0}
    assert errors([], [OBJECT]).gains["missed"] == 1
    assert math.isnan(errors([FOUND], []).ap)
    assert errors([FOUND], []).counts["background"] == 1


def test_views():
    result = errors([((0, 4), 1, 0.5)], [OBJECT])
    lines = str(result).splitlines()
    assert lines[0] == "AP 0.000"
    assert lines[2].split() == ["localisation", "1", "1.000"]
    assert result._repr_html_().count("<tr>") == 7


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"iou_threshold": 1.1}, r"iou_threshold must lie in \[0, 1\], got 1.1"),
        ({"background_iou": 0}, "background_iou must lie between 0 and iou_threshold, got 0 and 0.5"),
        ({"background_iou": 0.5}, "background_iou must lie between 0 and iou_threshold, got 0.5 and 0.5"),
        ({"background_iou": math.nan}, "background_iou must lie between 0 and iou_threshold, got nan"),
        ({"score_threshold": math.inf}, "score_threshold must be a finite number, got inf"),
    ],
)
def test_refusals(arguments, message):
    with pytest.raises(InputError, match=f"^detection_errors: {message}"):
        errors([FOUND], [OBJECT], **arguments)
