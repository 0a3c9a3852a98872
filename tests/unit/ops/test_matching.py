"""Matching and offsets, by hand."""

import itertools
import math

import pytest
import torch

from cvlab import ops
from cvlab._check import InputError

# The two objects both want anchor 0; the second has to take what is left for it.
IOU = torch.tensor([[0.9, 0.8, 0.1, 0.6], [0.7, 0.6, 0.2, 0.0]])


@pytest.mark.parametrize("match", [ops.match_bipartite, ops.match_bipartite_reference])
def test_bipartite_by_hand(match):
    # Threshold 0.5: anchors 0, 1, 3 -> object 0. Then 0.9 is taken: (0, 0). Left for object 1: 0.6 at anchor 1.
    assert match(IOU).tolist() == [0, 1, -1, 0]
    assert match(IOU, threshold=0.85).tolist() == [0, 1, -1, -1]


@pytest.mark.parametrize("match", [ops.match_bipartite, ops.match_bipartite_reference])
def test_bipartite_edges(match):
    assert match(torch.zeros(0, 3)).tolist() == [-1, -1, -1]
    assert match(torch.zeros(3, 0)).shape == (0,)
    assert match(torch.zeros(2, 3)).tolist() == [0, 1, -1]  # every object gets an anchor, the lowest free one
    assert match(torch.tensor([[0.3], [0.4], [0.2]])).tolist() == [1]  # more objects than anchors
    assert match(torch.tensor([[0.6, 0.6], [0.6, 0.6]])).tolist() == [0, 1]  # equal entries


def test_steps_say_what_is_crossed_out():
    first, second = ops.match_bipartite_steps(IOU)
    assert first == ops.MatchStep(0, 0, pytest.approx(0.9), [0], [0])
    assert second == ops.MatchStep(1, 1, pytest.approx(0.6), [0, 1], [0, 1])


def test_argmax_by_hand():
    iou = torch.tensor([[0.8, 0.5, 0.1, 0.0], [0.0, 0.1, 0.2, 0.2]])
    assert ops.match_argmax(iou, 0.7, 0.3).tolist() == [0, -2, -1, -1]
    # Object 1 is best overlapped by anchors 2 and 3 alike: both are matched with what they overlap most, object 1.
    assert ops.match_argmax(iou, 0.7, 0.3, allow_low_quality=True).tolist() == [0, -2, 1, 1]
    assert ops.match_argmax(torch.tensor([[0.7, 0.3]]), 0.7, 0.3).tolist() == [0, -2]  # the thresholds count as above
    assert ops.match_argmax(torch.zeros(0, 2), 0.7, 0.3).tolist() == [-1, -1]


BOX, ANCHOR = torch.tensor([[12.0, 20.0, 32.0, 30.0]]), torch.tensor([[10.0, 20.0, 20.0, 40.0]])


def test_encode_by_hand():
    # Centres (22, 25) and (15, 30), sizes (20, 10) and (10, 20).
    plain = [7 / 10, -5 / 20, math.log(2), math.log(0.5)]
    assert ops.encode_boxes(BOX, ANCHOR, weights=(1, 1, 1, 1))[0].tolist() == pytest.approx(plain)
    weighted = [v * w for v, w in zip(plain, (10, 10, 5, 5), strict=True)]
    assert ops.encode_boxes(BOX, ANCHOR)[0].tolist() == pytest.approx(weighted)
    assert ops.encode_boxes(BOX, ANCHOR, variances=(0.1, 0.1, 0.2, 0.2))[0].tolist() == pytest.approx(weighted)


def test_decode_is_the_inverse_and_broadcasts():
    deltas = ops.encode_boxes(BOX, ANCHOR, variances=(0.1, 0.1, 0.2, 0.2))
    torch.testing.assert_close(ops.decode_boxes(deltas, ANCHOR, variances=(0.1, 0.1, 0.2, 0.2)), BOX)
    per_class = ops.decode_boxes(deltas[:, None].expand(1, 3, 4), ANCHOR[:, None])
    torch.testing.assert_close(per_class, BOX.expand(1, 3, 4))


def test_decode_limits_the_size():
    huge = torch.tensor([[0.0, 0.0, 1e4, 1e4]])
    limited = ops.decode_boxes(huge, ANCHOR)
    assert (limited[0, 2] - limited[0, 0]).item() == pytest.approx(10 * 1000 / 16)
    assert ops.decode_boxes(huge, ANCHOR, max_log_size=None).isinf().any()


def test_gradients_of_offsets():
    boxes, anchors = BOX.double().requires_grad_(), ANCHOR.double().requires_grad_()
    assert torch.autograd.gradcheck(ops.encode_boxes, (boxes, anchors))
    deltas = torch.tensor([[0.5, -0.3, 1.0, -2.0]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(ops.decode_boxes, (deltas, anchors))


def test_targets_by_hand():
    anchors = torch.tensor([[0.0, 0, 10, 10], [10.0, 0, 20, 10], [0.0, 10, 10, 20], [10.0, 10, 20, 20]])
    pad = [-1.0, -1, -1, -1]
    boxes = torch.tensor([[[1.0, 0, 11, 10], [10.0, 10, 20, 15]], [pad, pad], [[0.0, 0, 20, 20], pad]])
    labels = torch.tensor([[5, 7], [-1, -1], [2, -1]])
    targets = ops.detection_targets(anchors, boxes, labels)
    # The third image's object overlaps all four by a quarter: below the threshold, so only the first has it.
    assert targets.labels.tolist() == [[5, 0, 0, 7], [0, 0, 0, 0], [2, 0, 0, 0]]
    assert torch.equal(targets.mask, targets.labels > 0)
    assert targets.offsets.shape == (3, 4, 4)
    assert targets.offsets[0, 0].tolist() == pytest.approx([1, 0, 0, 0])  # moved by a tenth of the width, times 10
    assert targets.offsets[0, 3].tolist() == pytest.approx([0, -2.5, 0, 5 * math.log(0.5)])
    assert targets.offsets[~targets.mask].abs().sum() == 0


def test_targets_of_a_batch_are_those_of_its_images():
    generator = torch.Generator().manual_seed(0)
    anchors = ops.grid_anchors((6, 5), (60, 50), [0.2, 0.4], [1.0, 2.0])
    corner = torch.rand(7, 4, 2, generator=generator) * 30
    boxes = torch.cat((corner, corner + 5 + 20 * torch.rand(7, 4, 2, generator=generator)), -1)
    labels = torch.randint(1, 9, (7, 4), generator=generator)
    labels[torch.rand(7, 4, generator=generator) < 0.4] = -1
    batch = ops.detection_targets(anchors, boxes, labels)
    for i in range(7):
        own = labels[i] > 0
        match = ops.match_bipartite_reference(ops.box_iou(boxes[i][own], anchors))
        expected = torch.where(match >= 0, torch.cat((labels[i][own], torch.zeros(1, dtype=torch.int64)))[match], 0)
        assert torch.equal(batch.labels[i], expected)
        found = match >= 0
        encoded = ops.encode_boxes(boxes[i][own][match[found]], anchors[found])
        torch.testing.assert_close(batch.offsets[i][found], encoded)


@pytest.mark.parametrize(("batch", "objects", "count"), [(0, 2, 3), (2, 0, 3), (2, 2, 0)])
def test_targets_of_nothing(batch, objects, count):
    anchors = torch.tensor([0.0, 0, 9, 9]).repeat(count, 1)
    boxes = torch.tensor([0.0, 0, 9, 9]).repeat(batch, objects, 1)
    targets = ops.detection_targets(anchors, boxes, torch.ones(batch, objects, dtype=torch.int64))
    assert targets.labels.shape == targets.mask.shape == (batch, count)
    assert targets.offsets.shape == (batch, count, 4)


def test_pad_targets():
    one = {"boxes": torch.tensor([[0.0, 0, 9, 9], [1.0, 1, 5, 5]]), "labels": torch.tensor([2, 3])}
    none = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)}
    boxes, labels = ops.pad_targets([one, none])
    assert labels.tolist() == [[2, 3], [-1, -1]]
    assert boxes.shape == (2, 2, 4)
    assert torch.equal(boxes[0], one["boxes"])
    assert ops.pad_targets([none])[0].shape == (1, 0, 4)


def test_offsets_compile():
    for function, dynamic in itertools.product((ops.encode_boxes, ops.decode_boxes), (False, True)):
        compiled = torch.compile(function, fullgraph=True, backend="aot_eager", dynamic=dynamic)
        torch.testing.assert_close(compiled(BOX / 10, ANCHOR), function(BOX / 10, ANCHOR))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_single(dtype):
    boxes = torch.tensor([[100.0, 100, 164, 228]]).to(dtype)
    anchors = torch.tensor([[101.3, 99.6, 171.9, 230.2]])  # not numbers of half precision
    exact = ops.encode_boxes(boxes.double(), anchors.double())
    assert torch.equal(ops.encode_boxes(boxes, anchors), ops.encode_boxes(boxes.float(), anchors))
    targets = ops.detection_targets(anchors, boxes[None], torch.tensor([[1]]))
    assert targets.offsets.dtype == dtype
    assert torch.equal(targets.offsets[0], exact.to(dtype))
    decoded = ops.decode_boxes(exact.to(dtype), anchors)
    assert decoded.dtype == dtype
    assert torch.equal(decoded, ops.decode_boxes(exact.to(dtype).double(), anchors.double()).to(dtype))


@pytest.mark.parametrize("limit", [math.nan, math.inf, "4"])
def test_decode_refuses_a_limit_that_is_no_number(limit):
    with pytest.raises(InputError, match="decode_boxes: max_log_size must be a finite number"):
        ops.decode_boxes(torch.zeros(1, 4), ANCHOR, max_log_size=limit)


def test_shapes_that_do_not_broadcast():
    two, three = ANCHOR.repeat(2, 1), ANCHOR.repeat(3, 1)
    with pytest.raises(InputError, match=r"encode_boxes: boxes and anchors .* broadcast, got \(2, 4\) and \(3, 4\)"):
        ops.encode_boxes(two, three)
    with pytest.raises(InputError, match=r"decode_boxes: deltas and anchors .* broadcast, got \(2, 4\) and \(3, 4\)"):
        ops.decode_boxes(two, three)


MATCH = [
    ops.match_bipartite,
    ops.match_bipartite_reference,
    lambda iou: ops.match_argmax(iou, 0.7, 0.3, allow_low_quality=True),
    lambda iou: torch.tensor([step[:2] for step in ops.match_bipartite_steps(iou)]),
]


@pytest.mark.parametrize("match", MATCH)
def test_matching_has_no_gradient(match):
    matches = match(IOU.clone().requires_grad_())
    assert not matches.requires_grad
    assert torch.equal(matches, match(IOU))


@pytest.mark.parametrize("match", MATCH)
def test_matching_refuses_what_is_no_iou(match):
    for value in (-1.0, -0.01, 1.01):
        iou = IOU.clone()
        iou[1, 2] = value
        with pytest.raises(InputError, match=rf"iou\[1, 2\] must lie in \[0, 1\], got {value:g}"):
            match(iou)
    match(IOU / IOU.max() * (1 + 5e-7))  # rounding


def test_offsets_of_targets_have_a_gradient():
    boxes, anchors = BOX[None].double().requires_grad_(), ANCHOR.double().requires_grad_()
    labels = torch.tensor([[1]])
    assert torch.autograd.gradcheck(lambda b, a: ops.detection_targets(a, b, labels).offsets, (boxes, anchors))
