"""The same results as d2l 0.17.0 where it is right, and what it does where it is not."""

import warnings

import pytest
import torch
from required import required

from cvlab import ops

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    d2l = required("d2l.torch")

pytestmark = pytest.mark.filterwarnings("ignore:torch.meshgrid")


def _boxes(count, seed):
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(count, 2, generator=generator) * 0.7
    return torch.cat((corner, corner + 0.05 + 0.25 * torch.rand(count, 2, generator=generator)), 1)


def test_iou():
    torch.testing.assert_close(ops.box_iou(_boxes(20, 0), _boxes(30, 1)), d2l.box_iou(_boxes(20, 0), _boxes(30, 1)))


@pytest.mark.parametrize("size", [(8, 8), (5, 9), (12, 7)])
def test_anchors_by_the_documented_relation(size):
    """Where map and image have one shape, d2l's scale s is s * sqrt(H / W) here."""
    height, width = size
    theirs = d2l.multibox_prior(torch.zeros(1, 1, height, width), [0.75, 0.5, 0.25], [1, 2, 0.5])[0]
    scales = [s * (height / width) ** 0.5 for s in (0.75, 0.5, 0.25)]
    mine = ops.grid_anchors(size, size, scales, [1, 2, 0.5], pairing="first")
    torch.testing.assert_close(mine / torch.tensor([width, height, width, height]), theirs)


def test_d2l_halves_areas_on_a_wide_map():
    """On a 10 x 20 map over a square image an anchor of scale 0.5 should have a quarter of the area."""
    theirs = d2l.multibox_prior(torch.zeros(1, 1, 10, 20), [0.5], [1])[0]
    mine = ops.grid_anchors((10, 20), (1, 1), [0.5])
    assert ops.box_area(theirs[:1]).item() == pytest.approx(0.125)
    assert ops.box_area(mine[:1]).item() == pytest.approx(0.25)


@pytest.mark.parametrize("seed", range(8))
def test_assignment(seed):
    anchors, truth = _boxes(60, seed), _boxes(7, seed + 50)
    theirs = d2l.assign_anchor_to_bbox(truth, anchors, "cpu")
    assert torch.equal(ops.match_bipartite(ops.box_iou(truth, anchors)), theirs)


def test_targets():
    anchors = ops.grid_anchors((6, 6), (1, 1), [0.2, 0.4], [1, 2, 0.5])
    boxes = torch.stack([_boxes(4, seed) for seed in range(5)])
    labels = torch.randint(0, 3, (5, 4), generator=torch.Generator().manual_seed(9))
    offset, mask, classes = d2l.multibox_target(anchors[None], torch.cat((labels[..., None].float(), boxes), -1))
    mine = ops.detection_targets(anchors, boxes, labels + 1)
    assert torch.equal(mine.labels, classes)
    assert torch.equal(mine.mask[..., None].expand(-1, -1, 4).reshape(5, -1).float(), mask)
    torch.testing.assert_close(mine.offsets.reshape(5, -1), offset, atol=1e-4, rtol=1e-4)  # d2l adds 1e-6 in the log


def test_d2l_takes_padding_for_objects():
    anchors = ops.grid_anchors((4, 4), (1, 1), [0.3])
    nothing = torch.full((1, 2, 5), -1.0)
    _, mask, classes = d2l.multibox_target(anchors[None], nothing)
    assert mask.sum() > 0
    mine = ops.detection_targets(anchors, nothing[..., 1:], nothing[..., 0].long())
    assert mine.mask.sum() == 0
    assert mine.labels.sum() == 0
    assert classes.shape == mine.labels.shape


def test_offsets_there_and_back():
    anchors, boxes = _boxes(30, 3), _boxes(30, 4)
    theirs = d2l.offset_boxes(anchors, boxes)
    torch.testing.assert_close(ops.encode_boxes(boxes, anchors), theirs, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(ops.decode_boxes(theirs, anchors), d2l.offset_inverse(anchors, theirs))


@pytest.mark.parametrize("count", [5, 200])
def test_nms(count):
    boxes = _boxes(count, 5)
    scores = torch.randperm(count, generator=torch.Generator().manual_seed(6)) / count
    assert torch.equal(ops.nms(boxes, scores, 0.3), d2l.nms(boxes, scores, 0.3))


def test_d2l_suppresses_across_classes():
    anchors = torch.tensor([[0.1, 0.1, 0.5, 0.5], [0.1, 0.1, 0.5, 0.5]])
    probabilities = torch.tensor([[0.0, 0.0], [0.9, 0.1], [0.1, 0.8]])
    found = d2l.multibox_detection(probabilities[None], torch.zeros(1, 8), anchors[None])[0]
    assert found[:, 0].tolist() == [0, -1]
    confidence, classes = probabilities[1:].max(0)
    assert ops.batched_nms(anchors, confidence, classes, 0.5).tolist() == [0, 1]
