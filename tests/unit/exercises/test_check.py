"""Checks: right answers pass, wrong ones are told where and by how much, and nothing raises."""

import re

import pytest
import torch

from cvlab import exercises
from cvlab.exercises import boxes as topic
from cvlab.exercises.check import Case, Exercise, _registry
from cvlab.ops import box_iou, encode_boxes, nms


def no_union_fix(a, b):
    """IoU as often first written: NaN where both boxes are empty."""
    low = torch.maximum(a[:, None, :2], b[:, :2])
    high = torch.minimum(a[:, None, 2:], b[:, 2:])
    shared = (high - low).clamp(min=0).prod(2)
    areas = (a[:, 2:] - a[:, :2]).prod(1)[:, None] + (b[:, 2:] - b[:, :2]).prod(1)
    return shared / (areas - shared)


def no_clamp(a, b):
    low = torch.maximum(a[:, None, :2], b[:, :2])
    high = torch.minimum(a[:, None, 2:], b[:, 2:])
    shared = (high - low).prod(2)
    areas = (a[:, 2:] - a[:, :2]).prod(1)[:, None] + (b[:, 2:] - b[:, :2]).prod(1)
    return shared / (areas - shared)


@pytest.mark.parametrize("name", exercises.names())
def test_the_reference_passes_its_own_check(name):
    verdict = exercises.check(name, _registry()[name].reference)
    assert verdict.ok
    assert verdict.message.startswith(f"{name}: correct on all ")


@pytest.mark.parametrize("name", exercises.names())
def test_every_exercise_tries_random_and_awkward_inputs(name):
    descriptions = [case.description for case in _registry()[name].cases()]
    assert len(descriptions) >= 5
    assert len(set(descriptions)) == len(descriptions)


def test_a_forgotten_clamp_is_found_and_located():
    verdict = exercises.check("box_iou", no_clamp)
    assert not verdict
    assert "far apart, on both axes" in verdict.message
    assert "largest difference" in verdict.message
    assert "at index (0, 0)" in verdict.message


def test_nan_counts_as_a_difference():
    verdict = exercises.check("box_iou", no_union_fix)
    assert "two empty boxes (IoU 0, not NaN)" in verdict.message
    assert "largest difference nan" in verdict.message


def test_the_difference_is_a_number_at_a_place():
    verdict = exercises.check("encode_boxes", lambda boxes, anchors: encode_boxes(boxes, anchors) + 0.25)
    assert "largest difference 0.25 at index (0, 0)" in verdict.message


def test_wrong_shape_is_told():
    verdict = exercises.check("box_iou", lambda a, b: box_iou(a, b).diagonal())
    assert "shape (" in verdict.message
    assert "is right" in verdict.message


def test_an_error_in_the_answer_is_reported_not_raised():
    verdict = exercises.check("nms", lambda boxes, scores, t: boxes["x"])
    assert "your function raised" in verdict.message


def test_changing_the_input_is_reported():
    def greedy(boxes, scores, t):
        keep = nms(boxes, scores, t)
        scores.zero_()
        return keep

    assert "changed its input in place" in exercises.check("nms", greedy).message


def test_nms_that_suppresses_at_the_threshold_is_found():
    verdict = exercises.check("nms", lambda b, s, t: nms(b, s, max(t - 1e-3, 0.0)))
    assert "IoU exactly at the threshold" in verdict.message


def test_chain_suppression_is_found():
    """A box that is itself suppressed must not suppress: keep what overlaps no better box at all is wrong."""

    def one_shot(boxes, scores, t):
        order = scores.argsort(descending=True)
        overlap = box_iou(boxes[order], boxes[order]).triu(1) > t
        return order[~overlap.any(0)]

    assert "a chain" in exercises.check("nms", one_shot).message


def test_tuple_results_are_compared_part_by_part():
    assert (
        "result 1"
        in exercises.check("anchor_shape", lambda s, r, h, w: (topic._anchor_shape(s, r, h, w)[0], 1.0)).message
    )
    assert "expected 2 results" in exercises.check("anchor_shape", lambda s, r, h, w: (1.0,)).message


def test_something_that_is_no_tensor_is_shown():
    assert "got      'later'" in exercises.check("box_iou", lambda a, b: "later").message


SQUARE = Exercise(
    lambda x: x * x,
    lambda: [Case("0", (0.0,)), Case("2", (2.0,)), Case("3", (3.0,))],
    mistakes={"This doubles.": lambda x: 2 * x, "This halves.": lambda x: x / 2},
)


@pytest.mark.parametrize(
    ("answer", "end"),
    [
        (lambda x: x + x, "  This doubles."),
        (lambda x: 2 * x if x < 3 else 7.0, "largest difference 2"),
        (lambda x: x + 1, "largest difference 1"),
    ],
    ids=["a mistake on all inputs", "on some", "another one"],
)
def test_a_common_mistake_gets_its_hint(answer, end, monkeypatch):
    monkeypatch.setitem(topic.EXERCISES, "square", SQUARE)
    assert exercises.check("square", answer).message.endswith(end)


class Unprintable:
    def __repr__(self):
        raise RuntimeError("no text")


class UnprintableError(Exception):
    def __str__(self):
        raise RuntimeError("no text")


def fail(error):
    raise error


@pytest.mark.parametrize(
    ("change", "shown"),
    [
        (lambda iou: iou.to(torch.complex64), r"\+0\.j"),
        (lambda iou: iou * (1 + 1j), r"j"),
        (lambda iou: iou.to("meta"), "device='meta'"),
        (lambda iou: iou.to_sparse(), "layout=torch.sparse_coo"),
        (lambda iou: torch.quantize_per_tensor(iou, 0.1, 0, torch.quint8), "quint8"),
        (lambda iou: torch.nested.nested_tensor([iou[0], iou[0, :1]]), "nested_tensor"),
    ],
)
@pytest.mark.filterwarnings("ignore")  # what torch thinks of quantised and nested tensors
def test_tensors_that_hold_no_plain_numbers_are_refused(change, shown):
    verdict = exercises.check("box_iou", lambda a, b: change(box_iou(a, b)))
    assert not verdict
    assert "an ordinary tensor of real numbers is wanted" in verdict.message
    assert re.search(shown, verdict.message)


def test_another_precision_and_a_gradient_are_fine():
    assert exercises.check("box_iou", lambda a, b: box_iou(a, b).to(torch.float64).requires_grad_()).ok


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda a, b: Unprintable(), "got      an object of type Unprintable that cannot be shown"),
        (lambda a, b: [Unprintable()] * 2, "got      an object of type list that cannot be shown"),
        (lambda a, b: "x" * 9999, r"got      'x{199} \.\.\."),
        (lambda a, b: {"iou": 1}, "got      {'iou': 1}"),
        (
            lambda a, b: fail(UnprintableError()),
            "raised UnprintableError: an object of type UnprintableError that cannot be shown",
        ),
        (lambda a, b: fail(SystemExit(3)), "your function raised SystemExit: 3"),
        (lambda a, b: a.resize_(0), "changed its input in place"),
        (3, "your function raised TypeError"),
    ],
)
def test_odd_answers_are_told_and_never_raise(answer, message):
    verdict = exercises.check("box_iou", answer)
    assert not verdict
    assert re.search(message, verdict.message)


def test_unknown_exercise_lists_the_known_ones():
    with pytest.raises(KeyError, match="no exercise 'iou'; there are: box_convert, box_iou"):
        exercises.check("iou", lambda: None)
