"""Numbers too large for a type, and types too narrow for a result: computed in a wider one, or refused."""

import math

import pytest
import torch

from cvlab import ops
from cvlab._check import InputError

FAMILY = [ops.box_iou, ops.generalized_box_iou, ops.distance_box_iou, ops.complete_box_iou]
SIGNED = [torch.int16, torch.int32, torch.int64]


@pytest.mark.parametrize("function", FAMILY)
def test_boxes_whose_areas_overflow(function):
    for big in ([0.0, 0.0, 1e20, 1e20], [-3e38, 0.0, 3e38, 1.0], [1e30, 1e30, 1e30, 1e30]):
        boxes = torch.tensor([[0.0, 0.0, 1.0, 1.0], big])
        with pytest.raises(InputError, match=rf"{function.__name__}: boxes1\[1\] is too large to compute areas"):
            function(boxes, boxes)
        if big[2] < 1e38:
            assert function(boxes.double(), boxes.double()).isfinite().all()
    with pytest.raises(InputError, match=r"boxes1\[0\] is too large"):
        function(torch.tensor([[0.0, 0.0, 1e160, 1.0]], dtype=torch.float64), boxes.double())
    with pytest.raises(InputError, match=r"boxes1\[0\] is too large"):
        function(torch.tensor([[0, 0, 2**40, 1]]), torch.tensor([[0, 0, 1, 1]]))


@pytest.mark.parametrize("function", FAMILY)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.int32, torch.int64])
def test_the_largest_boxes_allowed(function, dtype):
    limit = {torch.float64: 2.0**509, torch.int32: 2**29, torch.int64: 2**29}.get(dtype, 2.0**61)
    boxes = torch.tensor([[-limit, -limit, limit, limit], [-limit] * 4, [limit] * 4, [0, 0, 1, 1]], dtype=dtype)
    values = function(boxes, boxes)
    assert values.isfinite().all()
    assert values[0, 0] == pytest.approx(1.0, abs=1e-6)
    assert ops.box_area(boxes)[0] == pytest.approx(4.0 * limit**2)


def test_nms_refuses_them_however_many():
    boxes, scores = torch.tensor([[0.0, 0.0, 1e20, 1.0]]), torch.ones(1)
    for count in (1, 30, 300):
        with pytest.raises(InputError, match=r"^nms: boxes\[0\] is too large"):
            ops.nms(boxes.repeat(count, 1), scores.repeat(count), 0.5)
    with pytest.raises(InputError, match=r"^nms_reference: boxes\[0\] is too large"):
        ops.nms_reference(boxes, scores, 0.5)
    with pytest.raises(InputError, match=r"^nms_reference: scores\[0\] is NaN"):
        ops.nms_reference(boxes / 1e10, scores * math.nan, 0.5)


@pytest.mark.parametrize("fmt", ["xyxy", "xywh"])
def test_areas_of_integers(fmt):
    big = torch.tensor([[0, 0, 60000, 60000]], dtype=torch.int32)
    assert ops.box_area(big, fmt).item() == 3_600_000_000
    assert ops.box_iou(big, big, fmt).item() == 1
    assert ops.generalized_box_iou(big, big).item() == 1


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float16])
@pytest.mark.parametrize("fmt", ["xywh", "cxcywh"])
def test_narrow_types_in_other_formats(dtype, fmt):
    side = 200 if dtype == torch.uint8 else 60000
    boxes = torch.tensor([[side, side, side, side], [side, side, side, side // 2]]).to(dtype)
    assert torch.equal(ops.box_iou(boxes, boxes, fmt), ops.box_iou(boxes.double(), boxes.double(), fmt).float())


def test_a_result_must_fit_its_type():
    with pytest.raises(InputError, match=r"box_convert: the result in xyxy does not fit torch.uint8: 300"):
        ops.box_convert(torch.tensor([[200, 0, 100, 9]], dtype=torch.uint8), "xywh", "xyxy")
    with pytest.raises(InputError, match=r"the result in xywh does not fit torch.int16: 60000"):
        ops.box_convert(torch.tensor([[-30000, 0, 30000, 9]], dtype=torch.int16), "xyxy", "xywh")
    with pytest.raises(InputError, match=r"the result in xyxy does not fit torch.float16: 120000"):
        ops.box_convert(torch.tensor([[60000, 0, 60000, 9]], dtype=torch.float16), "xywh", "xyxy")
    with pytest.raises(InputError, match=r"the result in xyxyxyxy does not fit torch.uint8: -20"):
        ops.box_convert(torch.tensor([[0, 0, 40, 20, 0]], dtype=torch.uint8), "cxcywhr", "xyxyxyxy")
    centre = ops.box_convert(torch.tensor([[60000.0, 0, 64000, 9]]).half(), "xyxy", "cxcywh")
    assert centre[0, 0] == 62000  # whose sum would have overflowed
    assert ops.box_convert(torch.tensor([[200, 0, 250, 9]], dtype=torch.uint8), "xyxy", "cxcywh")[0, 0] == 225


@pytest.mark.parametrize("fmt", ["cxcywhr", "xywhr"])
def test_rotated_boxes_with_negative_sides(fmt):
    for column, name in ((2, "width"), (3, "height")):
        boxes = torch.tensor([[5.0, 5, 4, 2, 30], [5.0, 5, 4, 2, 30]])
        boxes[1, column] = -1
        with pytest.raises(InputError, match=rf"box_iou: boxes1\[1\] has {name} < 0"):
            ops.box_iou(boxes, boxes, fmt)
        with pytest.raises(InputError, match=rf"box_convert: boxes\[1\] has {name} < 0"):
            ops.box_convert(boxes, fmt, "xyxyxyxy")


def test_rotated_areas_in_half_precision():
    boxes = torch.tensor([[0.0, 0.0, 300.0, 300.0, 0.0]]).half()  # 90,000 exceeds float16
    assert ops.box_iou(boxes, boxes, "cxcywhr").item() == pytest.approx(1)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.float16, torch.float32])
def test_clip_to_a_size_beyond_the_type(dtype):
    boxes = torch.tensor([[1, 2, 100, 120]]).to(dtype)
    assert torch.equal(ops.clip_boxes_to_image(boxes, (100_000, 300)), boxes)
    clipped = ops.clip_boxes_to_image(boxes, (100, 50))
    assert clipped.tolist() == [[1, 2, 50, 100]]
    assert clipped.dtype == dtype


def test_clip_refuses_sizes():
    boxes = torch.tensor([[0.0, 0.0, 5.0, 5.0]])
    for size, message in [
        ((9,), r"size must be \(height, width\), got 1 numbers"),
        (9, "size must be a sequence of numbers, got 9"),
        ((9, -1), r"size\[1\] must be finite and at least 0, got -1"),
        ((math.nan, 9), r"size\[0\] must be finite"),
        (("9", 9), r"size\[0\] must be finite and at least 0, got '9'"),
    ]:
        with pytest.raises(InputError, match="clip_boxes_to_image: " + message):
            ops.clip_boxes_to_image(boxes, size)
    assert ops.clip_boxes_to_image(boxes, (0, 0)).tolist() == [[0, 0, 0, 0]]


def test_remove_small_boxes():
    with pytest.raises(InputError, match=r"remove_small_boxes: boxes must have shape \(N, 4\), got \(1, 1, 4\)"):
        ops.remove_small_boxes(torch.ones(1, 1, 4), 1.0)
    wide = torch.tensor([[-30000, -30000, 30000, 30000]], dtype=torch.int16)
    assert ops.remove_small_boxes(wide, 100).tolist() == [0]


NOT_INTEGERS = [torch.tensor([1.0, math.nan, 2.0]), torch.tensor([1, 2, 1]).byte(), torch.ones(3).bool()]


@pytest.mark.parametrize("labels", NOT_INTEGERS)
def test_labels_and_classes_are_signed_integers(labels):
    boxes = torch.tensor([0.0, 0.0, 9.0, 9.0]).repeat(3, 1)
    message = f"must be signed integers, such as torch.int64, got {labels.dtype}"
    with pytest.raises(InputError, match="detection_targets: labels " + message):
        ops.detection_targets(boxes, boxes[None], labels[None])
    with pytest.raises(InputError, match="pad_targets: labels of target 0 " + message):
        ops.pad_targets([{"boxes": boxes, "labels": labels}])
    with pytest.raises(InputError, match="batched_nms: idxs " + message):
        ops.batched_nms(boxes, torch.ones(3), labels, 0.5)


@pytest.mark.parametrize("dtype", [torch.int8, *SIGNED])
def test_every_signed_type_will_do(dtype):
    boxes, labels = torch.tensor([0.0, 0.0, 9.0, 9.0]).repeat(3, 1), torch.tensor([1, 2, 1], dtype=dtype)
    assert ops.batched_nms(boxes, torch.ones(3), labels, 0.5).tolist() == [0, 1]
    assert ops.detection_targets(boxes[:1], boxes[None], labels[None]).labels.tolist() == [[1]]


def test_what_is_no_tensor_is_named():
    boxes = torch.tensor([[0.0, 0.0, 9.0, 9.0]])
    for call, name in [
        (lambda: ops.masks_to_boxes([[1]]), "masks_to_boxes: masks"),
        (lambda: ops.batched_nms([[0, 0, 1, 1]], None, None, 0.5), "batched_nms: boxes"),
        (lambda: ops.batched_nms(boxes, torch.ones(1), [1], 0.5), "batched_nms: idxs"),
        (lambda: ops.pad_targets([{"boxes": [[0, 0, 1, 1]], "labels": [1]}]), "pad_targets: boxes of target 0"),
        (lambda: ops.pad_targets([{"boxes": boxes, "labels": [1]}]), "pad_targets: labels of target 0"),
    ]:
        with pytest.raises(TypeError, match=f"^{name} must be a torch.Tensor, got list"):
            call()


@pytest.mark.parametrize("threshold", ["0.5", None, 1j, [0.5]])
def test_thresholds_are_numbers(threshold):
    boxes = torch.tensor([[0.0, 0.0, 9.0, 9.0]])
    with pytest.raises(InputError, match=r"nms: iou_threshold must lie in \[0, 1\], got "):
        ops.nms(boxes, torch.ones(1), threshold)
