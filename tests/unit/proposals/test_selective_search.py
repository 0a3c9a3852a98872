"""Selective search: similarities by hand, the grouping against its plain form, what comes out, and what is refused."""

import numpy as np
import pytest
import torch

from cvlab import metrics, ops, proposals
from cvlab.data import StillLife


def _item(i=0, size=96):
    image, target = StillLife(size=size, split="val")[i]
    return image.as_subclass(torch.Tensor), target["boxes"].as_subclass(torch.Tensor)


def _hwc(image):
    return image.permute(1, 2, 0).double().numpy()


def test_similarities_by_hand():
    """A picture of 4 x 6: black on the left, white on the right, two columns each of three regions."""
    image = np.zeros((4, 6, 3))
    image[:, 4:] = 1.0
    segments = np.arange(6)[None].repeat(4, 0) // 2
    regions = proposals.describe_regions(image, segments)
    assert regions.size.tolist() == [8, 8, 8]
    assert regions.box.tolist() == [[0, 0, 2, 4], [2, 0, 4, 4], [4, 0, 6, 4]]
    np.testing.assert_allclose(regions.colour.sum(1), 1)
    np.testing.assert_allclose(regions.texture.sum(1), 1)

    def alike(i, j, measure):
        return float(proposals.similarity(regions, i, j, [measure]))

    assert alike(0, 1, "colour") == pytest.approx(1)
    assert alike(0, 2, "colour") == pytest.approx(0)
    assert alike(0, 1, "size") == pytest.approx(1 - 16 / 24)
    assert alike(0, 1, "fill") == pytest.approx(1)
    assert alike(0, 2, "fill") == pytest.approx(1 - 8 / 24)  # the middle lies in the box around both
    every = proposals.similarity(regions, 0, 1)
    assert float(every) == pytest.approx(sum(alike(0, 1, m) for m in proposals.SIMILARITIES))


def test_a_merged_region_needs_no_pixels():
    image, _ = _item()
    segments = proposals.initial_segments(_hwc(image))
    count = int(segments.max()) + 1
    regions = proposals.describe_regions(_hwc(image), segments).with_room()
    regions.merge(0, 3, count)
    joined = np.where(segments == 3, 0, segments)
    joined = np.unique(joined, return_inverse=True)[1].reshape(joined.shape)
    anew = proposals.describe_regions(_hwc(image), joined)
    for name in ("size", "box", "colour", "texture"):
        np.testing.assert_allclose(getattr(regions, name)[count], getattr(anew, name)[0], atol=1e-9)


@pytest.mark.parametrize("item", [0, 3, 7])
def test_grouping_is_that_of_the_plain_form(item):
    image, _ = _item(item)
    segments = proposals.initial_segments(_hwc(image), 200.0)
    grouping = proposals.hierarchical_grouping(_hwc(image), segments)
    count = int(segments.max()) + 1
    members = {i: frozenset([i]) for i in range(count)}
    for merge, parts in zip(
        grouping.merges, proposals.hierarchical_grouping_reference(_hwc(image), segments), strict=True
    ):
        assert {members[merge.first], members[merge.second]} == set(parts)
        members[merge.new] = members[merge.first] | members[merge.second]
    assert len(grouping.merges) == count - 1
    assert grouping.boxes[-1].tolist() == [0, 0, 96, 96]
    assert grouping.levels[:count].tolist() == [1] * count
    assert grouping.levels.max() <= count


def test_the_order_of_merges_by_hand():
    """Two dark halves of a square are more alike than either and the light ground."""
    image = np.ones((8, 8, 3))
    image[2:6, 2:6] = 0.0
    segments = np.zeros((8, 8), np.int64)
    segments[2:6, 2:4], segments[2:6, 4:6] = 1, 2
    merges = proposals.hierarchical_grouping(image, segments).merges
    assert [(m.first, m.second, m.new, m.box) for m in merges] == [(1, 2, 3, (2, 2, 6, 6)), (0, 3, 4, (0, 0, 8, 8))]


@pytest.mark.parametrize("mode", ["single", "fast", "quality"])
def test_boxes_are_inside_different_and_the_same_again(mode):
    image, _ = _item(1, 64)
    boxes = proposals.selective_search(image, mode)
    assert boxes.dtype == torch.float32
    assert (boxes[:, 2:] > boxes[:, :2]).all()
    assert boxes.min() >= 0
    assert boxes.max() <= 64
    overlap = ops.box_iou(boxes, boxes).fill_diagonal_(0)
    assert overlap.max() <= 0.8
    assert torch.equal(boxes, proposals.selective_search(image, mode))
    assert len(proposals.selective_search(image, mode, max_proposals=3)) == 3


def test_more_groupings_find_more():
    items = [_item(i) for i in range(8)]
    found = {}
    for mode in ("single", "quality"):
        boxes = [proposals.selective_search(image, mode) for image, _ in items]
        found[mode] = metrics.proposal_recall(boxes, [b for _, b in items], (1000,), 0.7)[1000]
    assert found["quality"] > found["single"]


def test_recall_on_still_lifes():
    items = [_item(i, 128) for i in range(20)]
    boxes = [proposals.selective_search(image) for image, _ in items]
    recall = metrics.proposal_recall(boxes, [b for _, b in items], (10, 50))
    assert recall[10] > 0.4
    assert recall[50] > 0.9


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (2, 2), (5, 3)])
def test_tiny_and_even_pictures(size):
    boxes = proposals.selective_search(torch.full((3, *size), 0.5))
    assert boxes.tolist() == [[0, 0, size[1], size[0]]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((torch.zeros(1, 8, 8),), r"image must have shape \(3, H, W\)"),
        ((torch.zeros(3, 0, 8),), "H and W at least 1"),
        ((torch.full((3, 4, 4), 3.0),), r"must lie in \[0, 1\]"),
        ((torch.zeros(3, 4, 4).long(),), "must be floating point"),
        ((torch.zeros(3, 4, 4), "slow"), "mode must be one of single, fast, quality, got 'slow'"),
    ],
)
def test_bad_input(arguments, message):
    with pytest.raises(ValueError, match=message):
        proposals.selective_search(*arguments)


@pytest.mark.parametrize("options", [{"max_proposals": 0}, {"min_size": -1}, {"repeated": 2.0}])
def test_bad_settings(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        proposals.selective_search(torch.zeros(3, 4, 4), **options)
