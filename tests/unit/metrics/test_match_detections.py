"""Which object each detection takes, by hand."""

import pytest
import torch

from cvlab._check import InputError
from cvlab.metrics import match_detections, match_detections_reference, matching

BOTH = pytest.mark.parametrize("match", [match_detections, match_detections_reference])


def bars(*spans):
    """Boxes of height 10 from x1 to x2: their IoU is that of the spans."""
    return torch.tensor([[a, 0.0, b, 10.0] for a, b in spans]).reshape(-1, 4)


@BOTH
def test_the_surest_chooses_first(match):
    objects = bars((0, 10), (20, 30))
    # IoU with the first object: 8/10 and 1. The first detection has the higher score and takes it.
    assert match(bars((0, 8), (0, 10)), torch.tensor([0.9, 0.8]), objects).tolist() == [0, -1]
    assert match(bars((0, 8), (0, 10)), torch.tensor([0.8, 0.9]), objects).tolist() == [-1, 0]
    assert match(bars((0, 8), (0, 10)), torch.tensor([0.9, 0.9]), objects).tolist() == [0, -1]  # of equals the first


@BOTH
def test_the_best_object_left(match):
    # Detection (0, 10) has IoU 1 with object 0 and 8/12 with object 1. The second of its kind takes what is left.
    objects = bars((0, 10), (2, 12))
    assert match(bars((0, 10), (0, 10), (0, 10)), torch.tensor([0.9, 0.8, 0.7]), objects).tolist() == [0, 1, -1]


@BOTH
def test_equal_overlap_takes_the_last(match):
    assert match(bars((5, 15)), torch.tensor([0.5]), bars((0, 10), (10, 20)), iou_threshold=0.3).tolist() == [1]


@BOTH
def test_the_threshold_counts(match):
    objects, scores = bars((0, 10)), torch.tensor([0.5])
    assert match(bars((0, 5)), scores, objects).tolist() == [0]  # IoU 1/2
    assert match(bars((0, 5)), scores, objects, iou_threshold=0.500001).tolist() == [-1]
    assert match(bars((0, 10)), scores, objects, iou_threshold=1.0).tolist() == [0]
    nearly = bars((0, 10)).double() * (1 - 1e-12)  # what rounding makes of the same box
    assert match(nearly, scores, objects, iou_threshold=1.0).tolist() == [0]
    assert match(bars((50, 60)), scores, objects, iou_threshold=0.0).tolist() == [0]  # nothing is asked for


@BOTH
def test_crowds(match):
    # The detections lie in the crowd, object 0, with all of their area. The first takes object 1 all the same.
    objects, crowd = bars((0, 100), (0, 10)), torch.tensor([True, False])
    boxes, scores = bars((0, 8), (0, 8), (0, 8), (200, 208)), torch.tensor([0.9, 0.8, 0.7, 0.6])
    assert match(boxes, scores, objects, iscrowd=crowd).tolist() == [1, 0, 0, -1]
    assert match(boxes, scores, objects, iscrowd=torch.tensor([0, 0])).tolist() == [1, -1, -1, -1]


@BOTH
def test_classes_do_not_mix(match):
    objects, labels = bars((0, 10), (0, 10)), torch.tensor([2, 1])
    boxes, scores = bars((0, 10), (0, 10), (0, 10)), torch.tensor([0.7, 0.8, 0.9])
    found = match(boxes, scores, objects, labels=torch.tensor([1, 2, 3]), gt_labels=labels)
    assert found.tolist() == [1, 0, -1]


@BOTH
def test_nothing(match):
    none = torch.zeros(0, 4)
    assert match(none, torch.zeros(0), none).shape == (0,)
    assert match(bars((0, 1)), torch.tensor([0.5]), none).tolist() == [-1]
    assert match(none, torch.zeros(0), bars((0, 1))).dtype == torch.int64


@BOTH
def test_refusals(match):
    objects, scores = bars((0, 10)), torch.tensor([0.5])
    with pytest.raises(InputError, match=rf"{match.__name__}: iou_threshold must lie in \[0, 1\], got 1.5"):
        match(objects, scores, objects, iou_threshold=1.5)
    with pytest.raises(InputError, match="labels and gt_labels must both be given, or neither"):
        match(objects, scores, objects, labels=torch.tensor([1]))
    with pytest.raises(InputError, match="target 0: box 0 has x2 <= x1"):
        match(objects, scores, bars((10, 10)))
    with pytest.raises(TypeError, match="gt_boxes must be a torch.Tensor, got list"):
        match(objects, scores, [[0, 0, 1, 1]])


def test_many_groups_in_several_blocks(monkeypatch):
    """Blocks are cut between groups: with tiny ones the result is the same."""
    generator = torch.Generator().manual_seed(0)
    corner = torch.randint(0, 12, (120, 2), generator=generator).float()
    boxes = torch.cat((corner, corner + torch.randint(1, 12, (120, 2), generator=generator)), 1)
    labels = torch.randint(1, 8, (120,), generator=generator)
    scores = torch.rand(80, generator=generator)
    arguments = {"labels": labels[:80], "gt_labels": labels[80:], "iou_threshold": 0.3}
    expected = match_detections_reference(boxes[:80], scores, boxes[80:], **arguments)
    assert int((expected >= 0).sum()) > 10
    for block in (1, 7, 100, 1 << 18):
        monkeypatch.setattr(matching, "_BLOCK", block)
        assert torch.equal(match_detections(boxes[:80], scores, boxes[80:], **arguments), expected)
