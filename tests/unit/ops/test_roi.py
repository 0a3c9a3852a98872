"""Regions of interest: by hand, against the plain loops, and what they refuse."""

import pytest
import torch

from cvlab import ops

RAMP = torch.arange(12.0).expand(1, 1, 10, 12)  # each cell's value is its column


def _ramp(slope_x, slope_y, dtype=torch.float64):
    y, x = torch.meshgrid(torch.arange(10, dtype=dtype), torch.arange(12, dtype=dtype), indexing="ij")
    return (slope_x * x + slope_y * y)[None, None]


def test_align_is_exact_on_a_ramp_and_pool_is_off_by_up_to_a_cell():
    """A bin's average on a ramp is the value at its middle: cell x has its middle at pixel x + 0.5, stride 4."""
    for shift in (0.0, 0.7, 1.9, 3.3):
        box = torch.tensor([[8.0 + shift, 8.0, 32.0 + shift, 32.0]], dtype=torch.float64)
        aligned = ops.roi_align(_ramp(1, 0), [box], 3, 0.25, 2, True)[0, 0, 0]
        middles = (8 + shift + torch.tensor([4.0, 12.0, 20.0], dtype=torch.float64)) / 4 - 0.5
        torch.testing.assert_close(aligned, middles)
        plain = ops.roi_align(_ramp(1, 0), [box], 3, 0.25, 2, False)[0, 0, 0]
        torch.testing.assert_close(plain, middles + 0.5)  # half a cell too far
    pooled = [ops.roi_pool(RAMP, [torch.tensor([[s, 8.0, 24 + s, 32.0]])], 3, 0.25)[0, 0, 0] for s in (8.0, 9.9)]
    assert torch.equal(*pooled)  # 8 and 9.9 pixels are cell 2 alike
    later = ops.roi_pool(RAMP, [torch.tensor([[10.1, 8.0, 34.1, 32.0]])], 3, 0.25)[0, 0, 0]
    assert torch.equal(later, pooled[0] + 1)  # 0.2 pixels more are a whole cell


def test_pool_by_hand():
    """Columns round(1.4) = 1 to round(6.6) = 7, seven cells in three bins: 1 to 3, 3 to 5, 5 to 7 (ends included)."""
    box = torch.tensor([[1.4, 0.0, 6.6, 2.0]])
    rows, columns = ops.roi_pool_bins(box, 3)
    assert columns[0].tolist() == [[1, 4], [3, 6], [5, 8]]
    assert rows[0].tolist() == [[0, 1], [1, 2], [2, 3]]
    assert ops.roi_pool(RAMP, [box], 3)[0, 0, 0].tolist() == [3, 5, 7]


@pytest.mark.parametrize("aligned", [True, False])
def test_against_the_plain_loops(aligned):
    g = torch.Generator().manual_seed(0)
    feature = torch.randn(5, 11, 14, generator=g)
    for box in ([4.0, 6.0, 40.0, 30.0], [-9.0, 3.0, 30.0, 60.0], [20.0, 20.0, 21.0, 20.5], [50.0, 50.0, 80.0, 90.0]):
        corners = torch.tensor(box)
        for bins, ratio in ((1, 1), (2, 3), (7, 2)):
            slow = ops.roi_align_reference(feature, corners, bins, 0.25, ratio, aligned)
            fast = ops.roi_align(feature[None], [corners[None]], bins, 0.25, ratio, aligned)[0]
            torch.testing.assert_close(fast, slow, atol=1e-5, rtol=0)
            assert torch.equal(
                ops.roi_pool(feature[None], [corners[None]], bins, 0.25)[0],
                ops.roi_pool_reference(feature, corners, bins, 0.25),
            )


def test_points_are_where_align_reads():
    feature, box = (
        torch.randn(1, 9, 9, generator=torch.Generator().manual_seed(1)),
        torch.tensor([3.0, 5.0, 17.0, 15.0]),
    )
    for aligned in (True, False):
        points = ops.roi_align_points(box, (2, 3), 0.5, 2, aligned)
        assert points.shape == (2, 3, 2, 2, 2)
        read = torch.stack([ops.bilinear_sample(feature, y, x)[0] for x, y in points.reshape(-1, 2).tolist()])
        found = ops.roi_align(feature[None], [box[None]], (2, 3), 0.5, 2, aligned)[0, 0]
        torch.testing.assert_close(read.reshape(6, 4).mean(1).reshape(2, 3), found)


@pytest.mark.parametrize("cost", [0, 1e9])
def test_gradients(cost, monkeypatch):
    monkeypatch.setitem(ops.roi_align.__globals__, "_GATHER_COST", cost)
    g = torch.Generator().manual_seed(0)
    maps = torch.randn(2, 8, 5, 6, generator=g, dtype=torch.float64, requires_grad=True)
    boxes = [torch.tensor([[1.0, 1.0, 9.0, 7.0]]).double(), torch.tensor([[-2.0, 3.0, 4.0, 12.0]]).double()]
    assert torch.autograd.gradcheck(lambda m: ops.roi_align(m, boxes, 2, 0.5, 2, True), maps)
    assert torch.autograd.gradcheck(lambda m: ops.roi_pool(m, boxes, 2, 0.5), maps)


def test_no_regions_leave_a_gradient():
    maps = torch.randn(2, 8, 5, 6, requires_grad=True)
    for regions in (ops.roi_align(maps, torch.zeros(0, 5), 3), ops.roi_pool(maps, torch.zeros(0, 5), 3)):
        assert regions.shape == (0, 8, 3, 3)
        regions.sum().backward()
    assert maps.grad.abs().sum() == 0


def test_half_precision_comes_back_in_its_type():
    maps, box = torch.randn(1, 8, 9, 9), [torch.tensor([[1.0, 1.0, 7.0, 8.0]])]
    half = ops.roi_align(maps.bfloat16(), box, 3, 1.0, 2, True)
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half, ops.roi_align(maps.bfloat16().float(), box, 3, 1.0, 2, True).bfloat16())


@pytest.mark.parametrize("axis", [2, 3])
def test_flipped_map_and_box_give_the_flipped_region(axis):
    maps = torch.randn(1, 8, 10, 12, generator=torch.Generator().manual_seed(0))
    box = torch.tensor([[5.0, 7.0, 31.0, 33.0]])
    length = 4.0 * maps.shape[axis]
    x, y = (0, 1) if axis == 3 else (1, 0)
    flipped = box.clone()
    flipped[:, x], flipped[:, x + 2] = length - box[:, x + 2], length - box[:, x]
    there = ops.roi_align(maps.flip(axis), [flipped], 5, 0.25, 2, True)
    torch.testing.assert_close(there.flip(axis), ops.roi_align(maps, [box], 5, 0.25, 2, True), atol=1e-5, rtol=0)


def test_levels_by_hand():
    """224 pixels are level 4, each halving one level less; clamped to what there is."""
    sides = torch.tensor([10.0, 111.9, 112.0, 224.0, 448.0, 5000.0])
    boxes = torch.stack([sides * 0, sides * 0, sides, sides], 1)
    assert ops.assign_levels(boxes, 2, 5).tolist() == [2, 2, 3, 4, 5, 5]
    assert ops.assign_levels(boxes, 3, 4).tolist() == [3, 3, 3, 4, 4, 4]


@pytest.mark.parametrize(
    ("boxes", "message"),
    [
        (torch.zeros(2, 4), r"boxes must have shape \(K, 5\), got \(2, 4\)"),
        ([torch.zeros(2, 5)], r"boxes of image 0 must have shape \(K, 4\), got \(2, 5\)"),
        ([torch.zeros(0, 4)] * 2, "boxes for 1 images, got 2"),
        (torch.tensor([[0.0, 5.0, 0.0, 1.0, 3.0]]), r"boxes\[0\] has x2 < x1"),
        (torch.tensor([[0.0, float("nan"), 0.0, 1.0, 3.0]]), "not finite"),
        (
            torch.tensor([[0.0, 0.0, 0.0, 1.0, 1.0], [1.0, 0.0, 0.0, 1.0, 1.0]]),
            r"boxes\[1\] must be of an image 0 to 0, got 1",
        ),
    ],
)
def test_bad_boxes(boxes, message):
    for pool in (ops.roi_align, ops.roi_pool):
        with pytest.raises(ValueError, match=message):
            pool(torch.zeros(1, 3, 8, 8), boxes, 2)


def test_other_bad_input():
    box = [torch.tensor([[0.0, 0.0, 4.0, 4.0]])]
    with pytest.raises(ValueError, match=r"roi_align: input must have shape \(B, C, H, W\), got \(3, 8, 8\)"):
        ops.roi_align(torch.zeros(3, 8, 8), box, 2)
    with pytest.raises(ValueError, match="input must be floating point, got torch.uint8"):
        ops.roi_pool(torch.zeros(1, 3, 8, 8, dtype=torch.uint8), box, 2)
    with pytest.raises(ValueError, match=r"output_size\[0\] must be finite and above 0"):
        ops.roi_align(torch.zeros(1, 3, 8, 8), box, 0)
    with pytest.raises(ValueError, match="spatial_scale"):
        ops.roi_align(torch.zeros(1, 3, 8, 8), box, 2, -1.0)
    with pytest.raises(ValueError, match="one map or more, got none"):
        ops.multiscale_roi_align([], box, 2, (8, 8))
    with pytest.raises(ValueError, match="lowest must not exceed highest, got 4 and 2"):
        ops.assign_levels(box[0], 4, 2)
