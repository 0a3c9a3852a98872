"""What is refused, and what the message says."""

import math

import pytest
import torch

from cvlab import ops
from cvlab._check import InputError

GOOD = torch.tensor([[0.0, 0.0, 9.0, 9.0], [1.0, 1.0, 5.0, 5.0], [2.0, 2.0, 8.0, 8.0]])
SCORES = torch.tensor([0.9, 0.8, 0.7])
LABELS = torch.tensor([1, 2, 1])
IOU = torch.tensor([[0.5, 0.1], [0.0, 0.7]])

TAKES_BOXES = {
    "box_convert": lambda b: ops.box_convert(b, "xyxy", "xywh"),
    "box_area": ops.box_area,
    "clip_boxes_to_image": lambda b: ops.clip_boxes_to_image(b, (9, 9)),
    "remove_small_boxes": lambda b: ops.remove_small_boxes(b, 1.0),
    "box_iou": lambda b: ops.box_iou(b, GOOD),
    "generalized_box_iou": lambda b: ops.generalized_box_iou(GOOD, b),
    "distance_box_iou": lambda b: ops.distance_box_iou(b, GOOD),
    "complete_box_iou": lambda b: ops.complete_box_iou(GOOD, b),
    "nms": lambda b: ops.nms(b, SCORES, 0.5),
    "batched_nms": lambda b: ops.batched_nms(b, SCORES, LABELS, 0.5),
    "soft_nms": lambda b: ops.soft_nms(b, SCORES),
    "encode_boxes": lambda b: ops.encode_boxes(b, GOOD),
    "decode_boxes": lambda b: ops.decode_boxes(torch.zeros(3, 4), b),
    "detection_targets": lambda b: ops.detection_targets(GOOD, b[None], LABELS[None]),
}


def _changed(row, column, value):
    boxes = GOOD.clone()
    boxes[row, column] = value
    return boxes


@pytest.mark.parametrize("name", TAKES_BOXES)
@pytest.mark.parametrize(
    ("boxes", "message"),
    [
        (_changed(1, 0, 6.0), r"\[(0, )?1\] has x2 <=? x1: \[6, 1, 5, 5\]"),
        (_changed(2, 1, 9.5), r"\[(0, )?2\] has y2 <=? y1: \[2, 9.5, 8, 8\]"),
        (_changed(0, 3, math.nan), r"\[(0, )?0\] is not finite: \[0, 0, 9, nan\]"),
        (_changed(1, 2, math.inf), r"\[(0, )?1\] is not finite: \[1, 1, inf, 5\]"),
        (_changed(1, 0, -math.inf), r"\[(0, )?1\] is not finite"),
        (GOOD[:, :3], r"must have shape \(.*4\), got \(.*3, 3\)"),
        (GOOD > 0, r"must be .* got torch.bool"),
        (GOOD.to(torch.complex64), r"must be .* got torch.complex64"),
    ],
)
def test_bad_boxes(name, boxes, message):
    with pytest.raises(InputError, match=rf"^{name}: (boxes|boxes1|boxes2|anchors).*{message}"):
        TAKES_BOXES[name](boxes)


@pytest.mark.parametrize("name", TAKES_BOXES)
def test_good_boxes_pass(name):
    TAKES_BOXES[name](GOOD)


def test_the_message_of_the_design():
    boxes = torch.tensor([[0.0, 0, 1, 1], [0.0, 0, 1, 1], [0.0, 0, 1, 1], [10.0, 4, 9, 9]])
    with pytest.raises(InputError) as error:
        ops.box_iou(boxes, boxes)
    assert str(error.value) == "box_iou: boxes1[3] has x2 < x1: [10, 4, 9, 9]"


def test_an_input_error_is_what_torchvision_raises_too():
    assert issubclass(InputError, ValueError)
    assert issubclass(InputError, RuntimeError)


def test_a_list_is_no_tensor():
    with pytest.raises(TypeError, match="^nms: boxes must be a torch.Tensor, got list"):
        ops.nms([[0, 0, 1, 1]], SCORES, 0.5)


@pytest.mark.parametrize("count", [3, 300])
@pytest.mark.parametrize("function", [ops.nms, ops.nms_reference])
def test_nms_refuses(function, count):
    boxes, scores = GOOD.repeat(count // 3, 1), SCORES.repeat(count // 3)
    for threshold in (-0.1, 1.1, math.nan):
        with pytest.raises(InputError, match=r"iou_threshold must lie in \[0, 1\], got"):
            function(boxes, scores, threshold)
    with pytest.raises(InputError, match=rf"scores must have shape \({count},\), one for each box, got \(2,\)"):
        function(boxes, scores[:2], 0.5)
    with pytest.raises(InputError, match=rf"boxes must have shape \(N, 4\), got \({count}, 5\)"):
        function(torch.cat((boxes, boxes[:, :1]), 1), scores, 0.5)
    with pytest.raises(InputError, match="scores must be floating point, got torch.int64"):
        function(boxes, scores.long(), 0.5)


@pytest.mark.parametrize("count", [3, 300])
def test_nan_scores(count):
    boxes, scores = GOOD.repeat(count // 3, 1), SCORES.repeat(count // 3)
    scores[2] = math.nan
    for call in (
        lambda: ops.nms(boxes, scores, 0.5),
        lambda: ops.batched_nms(boxes, scores, LABELS.repeat(count // 3), 0.5),
    ):
        with pytest.raises(InputError, match=r"scores\[2\] is NaN"):
            call()
    with pytest.raises(InputError, match=r"soft_nms: scores\[2\] is not finite"):
        ops.soft_nms(boxes, scores)


def test_few_boxes_are_checked_as_many_are():
    for boxes in (_changed(1, 0, 6.0), _changed(0, 3, math.nan), _changed(1, 2, math.inf)):
        with pytest.raises(InputError, match=r"^nms: boxes\["):
            ops.nms(boxes, SCORES, 0.5)


def test_batched_and_soft_refuse():
    with pytest.raises(InputError, match=r"batched_nms: idxs must have shape \(3,\)"):
        ops.batched_nms(GOOD, SCORES, LABELS[:2], 0.5)
    with pytest.raises(InputError, match="soft_nms: method must be one of linear, gaussian, got 'cubic'"):
        ops.soft_nms(GOOD, SCORES, method="cubic")
    with pytest.raises(InputError, match=r"soft_nms: sigma\[0\] must be finite and above 0"):
        ops.soft_nms(GOOD, SCORES, sigma=0.0)


def test_unknown_formats():
    with pytest.raises(InputError, match="box_convert: out_fmt must be one of xyxy, .* got 'yxyx'"):
        ops.box_convert(GOOD, "xyxy", "yxyx")
    with pytest.raises(InputError, match="box_area: fmt must be one of xyxy, xywh, cxcywh, got 'xywhr'"):
        ops.box_area(GOOD, fmt="xywhr")
    with pytest.raises(InputError, match="box_iou: fmt must be one of"):
        ops.box_iou(GOOD, GOOD, fmt="rle")
    with pytest.raises(NotImplementedError, match="do not mix"):
        ops.box_convert(GOOD, "xyxy", "xywhr")


@pytest.mark.parametrize("fmt", ["xywh", "cxcywh"])
def test_negative_sides_in_other_formats(fmt):
    with pytest.raises(InputError, match=r"box_iou: boxes1\[1\] has width < 0"):
        ops.box_iou(_changed(1, 2, -1.0), GOOD, fmt=fmt)
    with pytest.raises(InputError, match=r"box_area: boxes\[0\] has height < 0"):
        ops.box_area(_changed(0, 3, -1.0), fmt=fmt)
    with pytest.raises(InputError, match=r"box_area: boxes\[2\] is not finite"):
        ops.box_area(_changed(2, 0, math.nan), fmt=fmt)


def test_integer_boxes_are_checked_without_wrapping_round():
    with pytest.raises(InputError, match=r"has x2 < x1"):
        ops.box_area(torch.tensor([[200, 0, 100, 50]], dtype=torch.uint8))
    assert ops.box_area(torch.tensor([[-30000, 0, 30000, 10]], dtype=torch.int16)).item() == 600000


def test_half_precision_sides_may_overflow():
    assert ops.box_area(torch.tensor([[-6e4, 0, 6e4, 1]], dtype=torch.float16)).item() == pytest.approx(12e4, rel=1e-3)


@pytest.mark.parametrize("side", [0, 1])
def test_no_offsets_without_an_area(side):
    flat = _changed(1, side, 5.0)
    name = "x2 <= x1" if side == 0 else "y2 <= y1"
    with pytest.raises(InputError, match=rf"encode_boxes: boxes\[1\] has {name}"):
        ops.encode_boxes(flat, GOOD)
    with pytest.raises(InputError, match=rf"encode_boxes: anchors\[1\] has {name}"):
        ops.encode_boxes(GOOD, flat)
    with pytest.raises(InputError, match=rf"detection_targets: boxes\[0, 1\] has {name}"):
        ops.detection_targets(GOOD, flat[None], LABELS[None])


def test_weights_and_variances():
    with pytest.raises(InputError, match="give weights or variances, not both"):
        ops.encode_boxes(GOOD, GOOD, weights=(1, 1, 1, 1), variances=(1, 1, 1, 1))
    with pytest.raises(InputError, match=r"decode_boxes: weights must be \(x, y, width, height\), got 2 numbers"):
        ops.decode_boxes(GOOD, GOOD, weights=(1, 1))
    with pytest.raises(InputError, match=r"encode_boxes: variances\[3\] must be finite and above 0, got 0"):
        ops.encode_boxes(GOOD, GOOD, variances=(1, 1, 1, 0))
    with pytest.raises(InputError, match=r"decode_boxes: deltas\[1, 2\] is not finite"):
        ops.decode_boxes(_changed(1, 2, math.nan), GOOD)


def test_matching_refuses():
    with pytest.raises(InputError, match=r"match_bipartite: iou must have shape \(G, A\), got \(2,\)"):
        ops.match_bipartite(IOU[0])
    with pytest.raises(InputError, match=r"match_bipartite: threshold must lie in \[0, 1\], got 2"):
        ops.match_bipartite(IOU, 2)
    with pytest.raises(InputError, match=r"match_argmax: iou\[0, 1\] is not finite"):
        ops.match_argmax(torch.tensor([[0.5, math.nan]]), 0.7, 0.3)
    with pytest.raises(InputError, match="match_argmax: low must not exceed high, got 0.7 and 0.3"):
        ops.match_argmax(IOU, 0.3, 0.7)


def test_targets_refuse():
    boxes, labels = GOOD[None], LABELS[None].clone()
    with pytest.raises(InputError, match=r"detection_targets: labels must have shape \(1, 3\), got \(1, 2\)"):
        ops.detection_targets(GOOD, boxes, labels[:, :2])
    labels[0, 2] = 0
    with pytest.raises(InputError, match=r"labels must be 1 or above, or -1 for padding, got 0 at \[0, 2\]"):
        ops.detection_targets(GOOD, boxes, labels)
    with pytest.raises(InputError, match=r"pad_targets: labels of target 1 must have shape \(3,\)"):
        ops.pad_targets([{"boxes": GOOD, "labels": LABELS}, {"boxes": GOOD, "labels": LABELS[:1]}])
    with pytest.raises(InputError, match="pad_targets: targets must not be empty"):
        ops.pad_targets([])


def test_anchors_refuse():
    with pytest.raises(InputError, match=r"grid_anchors: scales\[1\] must be finite and above 0, got -1"):
        ops.grid_anchors((2, 2), (9, 9), [1.0, -1.0])
    with pytest.raises(InputError, match="grid_anchors: ratios must not be empty"):
        ops.grid_anchors((2, 2), (9, 9), [1.0], [])
    with pytest.raises(InputError, match=r"grid_anchors: map_size\[0\] must be finite and above 0, got 0"):
        ops.grid_anchors((0, 2), (9, 9), [1.0])
    with pytest.raises(InputError, match="grid_anchors: pairing must be one of"):
        ops.grid_anchors((2, 2), (9, 9), [1.0], pairing="some")
    with pytest.raises(InputError, match="AnchorGenerator: ratios must be for 2 maps, got 1"):
        ops.AnchorGenerator([[0.1], [0.2]], [[1.0]])
    with pytest.raises(InputError, match="AnchorGenerator: expected 2 maps, got 1"):
        ops.AnchorGenerator([[0.1], [0.2]])([(4, 4)], (64, 64))


def test_masks_of_a_wrong_shape():
    with pytest.raises(InputError, match=r"masks_to_boxes: masks must have shape \(N, H, W\), got \(4, 4\)"):
        ops.masks_to_boxes(torch.ones(4, 4))
