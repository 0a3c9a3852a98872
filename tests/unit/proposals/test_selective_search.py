"""Selective search: similarities by hand, the grouping against its plain form, what comes out, and what is refused."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

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


def test_two_colours_by_hand():
    """A picture of 4 x 4, one black column: one merge, of which colour says 0, size 1 - 16 / 16 = 0, and fill 1 - 0."""
    image = np.ones((4, 4, 3))
    image[:, 0] = 0.0
    segments = (image[..., 0] > 0.5).astype(np.int64)
    for measures, expected in ((["colour"], 0), (["size"], 0), (["fill"], 1), (["colour", "size", "fill"], 1)):
        grouping = proposals.hierarchical_grouping(image, segments, measures)
        assert grouping.merges == [(0, 1, 2, expected, (0, 0, 4, 4))]
        assert grouping.boxes.tolist() == [[0, 0, 1, 4], [1, 0, 4, 4], [0, 0, 4, 4]]
        assert grouping.levels.tolist() == [1, 1, 2]


def test_narrow_integers_number_regions_too():
    image = _hwc(_item()[0])
    segments = np.arange(96 * 96).reshape(96, 96) // 512  # 18 regions; 18 * 25 bins do not fit into a byte
    wide, narrow = (proposals.hierarchical_grouping(image, segments.astype(kind)) for kind in (np.int64, np.uint8))
    assert wide.merges == narrow.merges


@settings(max_examples=50, deadline=None)
@given(
    st.tuples(st.integers(1, 6), st.integers(1, 6)).flatmap(
        lambda size: arrays(np.int64, size, elements=st.integers(0, 5))
    ),
    st.sets(st.sampled_from(proposals.SIMILARITIES), min_size=1).map(sorted),
)
def test_each_merge_is_of_neighbours_and_boxes_both(labels, measures):
    segments = np.unique(labels, return_inverse=True)[1].reshape(labels.shape)
    image = np.random.default_rng(0).random((*labels.shape, 3))
    grouping = proposals.hierarchical_grouping(image, segments, measures)
    current, boxes = segments.copy(), grouping.boxes
    count = int(segments.max()) + 1
    assert len(grouping.merges) == count - 1
    for k, merge in enumerate(grouping.merges):
        assert merge.new == count + k
        one, other = (np.pad(current == i, 1) for i in (merge.first, merge.second))
        assert any((np.roll(one, step, axis) & other).any() for axis in (0, 1) for step in (1, -1))
        current[(current == merge.first) | (current == merge.second)] = merge.new
        rows, columns = np.nonzero(current == merge.new)
        hull = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        assert merge.box == hull == tuple(boxes[merge.new])
        assert -1e-9 <= merge.similarity <= len(measures) + 1e-9
    assert boxes[-1].tolist() == [0, 0, labels.shape[1], labels.shape[0]]


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


def test_the_seed_decides_the_order():
    image, _ = _item(1, 64)
    first, again, other = (proposals.selective_search(image, seed=seed, repeated=1.0) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert sorted(first.tolist()) == sorted(other.tolist())  # only the order
    assert len(first) == len(first.unique(dim=0))  # no box comes twice, even where all are asked for
    assert [0, 0, 64, 64] in first.tolist()


def test_bytes_and_floats_give_the_same():
    image = (_item(2, 64)[0] * 255).round().to(torch.uint8)
    assert torch.equal(proposals.selective_search(image), proposals.selective_search(image.double() / 255))


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


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_proposals": 0}, "max_proposals must be a whole number, at least 1, got 0"),
        ({"max_proposals": 2.5}, "max_proposals must be a whole number, at least 1, got 2.5"),
        ({"min_size": -1}, "min_size must be a whole number, at least 1, got -1"),
        ({"sigma": -0.5}, "sigma must be finite and at least 0, got -0.5"),
        ({"seed": -1}, "seed must be a whole number, at least 0, got -1"),
        ({"repeated": 2.0}, r"repeated must lie in \[0, 1\], got 2.0"),
    ],
)
def test_bad_settings(options, message):
    with pytest.raises(ValueError, match=f"selective_search: {message}"):
        proposals.selective_search(torch.zeros(3, 4, 4), **options)


def test_bad_scale():
    with pytest.raises(ValueError, match="initial_segments: scale must be finite and above 0, got 0"):
        proposals.initial_segments(np.zeros((4, 4, 3)), 0.0)


@pytest.mark.parametrize(
    ("image", "segments", "message"),
    [
        (
            np.zeros((4, 4)),
            np.zeros((4, 4), int),
            r"image must have shape \(H, W, 3\), H and W at least 1, got \(4, 4\)",
        ),
        (np.zeros((4, 4, 3), int), np.zeros((4, 4), int), "image must be floating point, got int64"),
        (np.full((4, 4, 3), 255.0), np.zeros((4, 4), int), r"image must lie in \[0, 1\], got values from 255 to 255"),
        (np.full((4, 4, 3), np.nan), np.zeros((4, 4), int), "got values from nan to nan"),
        (np.zeros((4, 4, 3)), np.zeros((4, 5), int), r"segments must have shape \(4, 4\), got \(4, 5\)"),
        (np.zeros((4, 4, 3)), np.zeros((4, 4)), "segments must be integers, got float64"),
        (np.zeros((4, 4, 3)), np.eye(4, dtype=int) * 2, "from 0 to R - 1, got 2 different ones from 0 to 2"),
        (np.zeros((4, 4, 3)), np.eye(4, dtype=int) - 1, "from 0 to R - 1, got 2 different ones from -1 to 0"),
        (np.zeros((4, 4, 3)), np.eye(4, dtype=int) * 10**15, "got 2 different ones from 0 to 1000000000000000"),
    ],
)
@pytest.mark.parametrize("function", [proposals.describe_regions, proposals.hierarchical_grouping])
def test_bad_images_and_segments(function, image, segments, message):
    with pytest.raises(ValueError, match=f"{function.__name__}: .*{message}"):
        function(image, segments)


def test_bad_kinds_of_arguments():
    with pytest.raises(TypeError, match="selective_search: image must be a torch.Tensor, got ndarray"):
        proposals.selective_search(np.zeros((3, 4, 4)))
    with pytest.raises(TypeError, match="initial_segments: image must be a numpy.ndarray, got Tensor"):
        proposals.initial_segments(torch.zeros(4, 4, 3))
    with pytest.raises(TypeError, match="hierarchical_grouping: segments must be a numpy.ndarray, got list"):
        proposals.hierarchical_grouping(np.zeros((1, 1, 3)), [[0]])


@pytest.mark.parametrize(
    ("measures", "message"),
    [
        ([], r"measures must be a sequence of colour, texture, size, fill, got \[\]"),
        ("fill", "measures must be a sequence of colour, texture, size, fill, got 'fill'"),
        (["size", "form"], r"measures\[1\] must be one of colour, texture, size, fill, got 'form'"),
    ],
)
def test_bad_measures(measures, message):
    image, segments = np.zeros((1, 2, 3)), np.array([[0, 1]])
    with pytest.raises(ValueError, match=f"hierarchical_grouping: {message}"):
        proposals.hierarchical_grouping(image, segments, measures)
    with pytest.raises(ValueError, match=f"similarity: {message}"):
        proposals.similarity(proposals.describe_regions(image, segments), 0, 1, measures)
