"""What must hold for all boxes, tried on boxes that hypothesis makes up."""

import hypothesis.strategies as st
import torch
from hypothesis import given, settings

from cvlab import ops

settings.register_profile("cvlab", deadline=None, max_examples=60, derandomize=True)
settings.load_profile("cvlab")


@st.composite
def boxes(draw, low=0, high=12, smallest=0, dtype=torch.float64):
    """Boxes with small whole-number corners: sums and products are exact, and coincidences are common."""
    count = draw(st.integers(low, high))
    corner = st.tuples(st.integers(-20, 20), st.integers(-20, 20), st.integers(smallest, 25), st.integers(smallest, 25))
    rows = [(x, y, x + w, y + h) for x, y, w, h in draw(st.lists(corner, min_size=count, max_size=count))]
    return torch.tensor(rows, dtype=dtype).reshape(-1, 4)


@st.composite
def scored(draw, high=40):
    """Boxes with scores that are all different."""
    found = draw(boxes(high=high, dtype=torch.float32))
    scores = draw(st.permutations(range(len(found))))
    return found, torch.tensor(scores, dtype=torch.float32)


thresholds = st.sampled_from([0.0, 0.25, 0.3, 0.5, 0.7, 1.0])


@given(boxes(), boxes())
def test_iou_is_symmetric_and_a_share(a, b):
    iou = ops.box_iou(a, b)
    assert torch.equal(iou, ops.box_iou(b, a).t())
    assert bool(((iou >= 0) & (iou <= 1)).all())


@given(boxes(smallest=1))
def test_iou_with_itself_is_one(a):
    assert torch.equal(ops.box_iou(a, a).diagonal(), torch.ones(len(a), dtype=a.dtype))


@given(boxes(), boxes(), st.integers(-64, 64), st.sampled_from([0.25, 0.5, 2.0, 8.0]))
def test_iou_does_not_see_translation_and_scale(a, b, shift, scale):
    assert torch.equal(ops.box_iou((a + shift) * scale, (b + shift) * scale), ops.box_iou(a, b))


@given(boxes(), boxes())
def test_generalised_forms_never_exceed_iou(a, b):
    iou = ops.box_iou(a, b)
    for function in (ops.generalized_box_iou, ops.distance_box_iou, ops.complete_box_iou):
        values = function(a, b)
        assert bool(values.isfinite().all())
        assert bool((values <= iou + 1e-12).all())
        assert bool((values >= -2 - 1e-6).all())
    assert bool((ops.generalized_box_iou(a, b) >= -1).all())


@given(boxes(smallest=1), boxes(smallest=1))
def test_rotated_iou_without_rotation_is_iou(a, b):
    def turn(x, degrees):
        upright = ops.box_convert(x, "xyxy", "cxcywh")
        return torch.cat((upright, torch.full((len(x), 1), degrees, dtype=x.dtype)), 1)

    torch.testing.assert_close(
        ops.box_iou(turn(a, 0.0), turn(b, 180.0), fmt="cxcywhr"), ops.box_iou(a, b), atol=1e-5, rtol=0
    )


@given(boxes(), st.sampled_from(["xywh", "cxcywh"]))
def test_convert_round_trip(a, fmt):
    there = ops.box_convert(a, "xyxy", fmt)
    assert torch.equal(ops.box_convert(there, fmt, "xyxy"), a)
    assert torch.equal(ops.box_area(there, fmt), ops.box_area(a))


@given(boxes())
def test_clipped_boxes_lie_inside(a):
    clipped = ops.clip_boxes_to_image(a, (10, 14))
    assert bool((clipped >= 0).all())
    assert bool((clipped <= torch.tensor([14, 10, 14, 10])).all())
    assert torch.equal(ops.clip_boxes_to_image(clipped, (10, 14)), clipped)
    assert bool((ops.box_area(clipped) <= ops.box_area(a)).all())


@given(scored(), thresholds)
def test_nms_is_its_reference(case, threshold):
    assert torch.equal(ops.nms(*case, threshold), ops.nms_reference(*case, threshold))


@given(scored(), thresholds)
def test_nms_with_small_heads_is_its_reference(case, threshold):
    """The same with settings under which a few boxes go through all the machinery that thousands do."""
    import sys
    from unittest import mock

    module = sys.modules["cvlab.ops.nms"]
    for sweep in (0, 1000):
        with mock.patch.multiple(module, _FEW=0, _HEAD=3, _LARGEST_HEAD=5, _SWEEP=sweep, _BLOCK=16, _GROUP=2):
            assert torch.equal(ops.nms(*case, threshold), ops.nms_reference(*case, threshold))


@given(scored(), thresholds)
def test_nms_twice_is_nms_once(case, threshold):
    found, scores = case
    kept = ops.nms(found, scores, threshold)
    assert ops.nms(found[kept], scores[kept], threshold).tolist() == list(range(len(kept)))


@given(scored(), thresholds, st.randoms(use_true_random=False))
def test_nms_follows_a_permutation(case, threshold, random):
    found, scores = case
    order = list(range(len(found)))
    random.shuffle(order)
    order = torch.tensor(order, dtype=torch.int64)
    shuffled = ops.nms(found[order], scores[order], threshold)
    assert torch.equal(order[shuffled], ops.nms(found, scores, threshold))


@given(scored(), thresholds, st.data())
def test_batched_nms_is_nms_for_each_class(case, threshold, data):
    found, scores = case
    classes = torch.tensor(data.draw(st.lists(st.integers(0, 3), min_size=len(found), max_size=len(found))))
    expected = []
    for c in range(4):
        own = (classes == c).nonzero()[:, 0]
        expected += own[ops.nms_reference(found[own], scores[own], threshold)].tolist()
    expected.sort(key=lambda i: -float(scores[i]))
    assert ops.batched_nms(found, scores, classes.long(), threshold).tolist() == expected


@given(scored(high=12), st.sampled_from(["linear", "gaussian"]))
def test_soft_nms_only_lowers_and_sorts(case, method):
    found, scores = case
    scores = scores / 40
    kept, lowered = ops.soft_nms(found, scores, method=method, score_threshold=0.0)
    assert sorted(kept.tolist()) == list(range(len(found)))
    assert bool((lowered <= scores[kept]).all())
    assert bool((lowered.diff() <= 0).all())


@given(boxes(smallest=1), st.data())
def test_decode_undoes_encode(anchors, data):
    targets = data.draw(boxes(low=len(anchors), high=len(anchors), smallest=1))
    for weights in ((1, 1, 1, 1), (10, 10, 5, 5)):
        deltas = ops.encode_boxes(targets, anchors, weights)
        torch.testing.assert_close(ops.decode_boxes(deltas, anchors, weights), targets)


@st.composite
def matrices(draw):
    """IoU matrices with few different values, so that equal entries are common."""
    rows, columns = draw(st.integers(0, 5)), draw(st.integers(0, 9))
    values = draw(
        st.lists(st.sampled_from([0.0, 0.2, 0.5, 0.5, 0.8, 1.0]), min_size=rows * columns, max_size=rows * columns)
    )
    return torch.tensor(values).reshape(rows, columns)


@given(matrices(), st.sampled_from([0.0, 0.5, 0.9]))
def test_match_bipartite_is_its_reference(iou, threshold):
    matches = ops.match_bipartite(iou, threshold)
    assert torch.equal(matches, ops.match_bipartite_reference(iou, threshold))
    if iou.shape[0] <= iou.shape[1]:
        assert set(range(iou.shape[0])) <= set(matches.tolist())  # every object has an anchor


@given(boxes(smallest=1, high=5), st.permutations(range(8)), st.data())
def test_padding_is_not_seen(found, order, data):
    anchors = ops.grid_anchors((3, 3), (30, 30), [0.3, 0.6], dtype=torch.float64)
    labels = torch.arange(1, len(found) + 1)
    padded = torch.full((8, 4), -1.0, dtype=torch.float64)
    padded_labels = torch.full((8,), -1)
    places = sorted(order[: len(found)])
    padded[places], padded_labels[places] = found, labels
    bare = ops.detection_targets(anchors, found[None], labels[None])
    full = ops.detection_targets(anchors, padded[None], padded_labels[None])
    for a, b in zip(bare, full, strict=True):
        assert torch.equal(a, b)
