"""Masks: overlap, targets and pasting by hand, against the plain loop, and what they refuse."""

import pytest
import torch

from cvlab import ops
from cvlab._check import InputError
from cvlab.ops import masks as module

BOX = torch.tensor([[0.0, 0.0, 2.0, 2.0]])
SQUARE = torch.ones(1, 2, 2)


def _rows(*ranges, width=4, height=4):
    """Make masks whose rows a to b are full."""
    masks = torch.zeros(len(ranges), height, width, dtype=torch.bool)
    for mask, (a, b) in zip(masks, ranges, strict=True):
        mask[a:b] = True
    return masks


def test_iou_by_hand():
    """Rows 0-1 have 8 pixels; with rows 1-3 (12) they share 4 of 16, with rows 0-1 all, with rows 2-3 none."""
    iou = ops.mask_iou(_rows((0, 2)), _rows((1, 4), (0, 2), (2, 4)))
    assert iou.dtype == torch.float64
    assert iou.tolist() == [[4 / 16, 1, 0]]


def test_iou_with_a_crowd_is_over_the_first_mask():
    """Rows 0-1 lie half in rows 1-3: 4 of 8 pixels; rows 2-3 lie in them altogether."""
    crowd = torch.tensor([True, False])
    iou = ops.mask_iou(_rows((0, 2), (2, 4)), _rows((1, 4), (1, 4)), crowd)
    assert iou.tolist() == [[4 / 8, 4 / 16], [1, 8 / 12]]


@pytest.mark.parametrize("crowd", [None, torch.tensor([True, False])])
def test_empty_masks_have_iou_zero(crowd):
    assert ops.mask_iou(_rows((0, 0)), _rows((0, 0), (0, 2)), crowd).tolist() == [[0, 0]]


def test_iou_of_no_masks_and_of_masks_without_pixels():
    assert ops.mask_iou(_rows(), _rows((0, 1))).shape == (0, 1)
    assert ops.mask_iou(_rows((0, 1)), _rows(), torch.zeros(0)).shape == (1, 0)
    assert ops.mask_iou(_rows((0, 0), height=0), _rows((0, 0), height=0)).tolist() == [[0]]


@pytest.mark.parametrize("at_once", [1, 7, 100, 1000])
def test_iou_is_the_same_in_parts(monkeypatch, at_once):
    g = torch.Generator().manual_seed(0)
    first, second = (torch.rand(n, 13, 17, generator=g) < 0.4 for n in (5, 3))
    whole = ops.mask_iou(first, second)
    plain = torch.tensor([[(a & b).sum() / (a | b).sum().double() for b in second] for a in first])
    assert torch.equal(whole, plain)
    monkeypatch.setattr(module, "_AT_ONCE", at_once)
    assert torch.equal(ops.mask_iou(first, second), whole)


def test_iou_of_more_pixels_than_float32_counts(monkeypatch):
    """2^24 + 2 pixels: a sum in float32 could not tell 2^24 + 1 from 2^24."""
    full = torch.ones(1, 2, 2**23 + 1, dtype=torch.bool)
    less = full.clone()
    less[0, 0, 0] = False
    assert ops.mask_iou(full, less).item() == (2**24 + 1) / (2**24 + 2)


@pytest.mark.parametrize(
    ("first", "second", "crowd", "message"),
    [
        (_rows((0, 1)), _rows((0, 1), width=5), None, r"mask_iou: masks1 and masks2 .* \(4, 4\) and \(4, 5\)"),
        (_rows((0, 1)).float(), _rows((0, 1)), None, "mask_iou: masks1 must be bool, got torch.float32"),
        (_rows((0, 1)), _rows((0, 1)).byte(), None, "mask_iou: masks2 must be bool, got torch.uint8"),
        (_rows((0, 1)), _rows((0, 1))[0], None, r"mask_iou: masks2 must have shape \(N, H, W\), got \(4, 4\)"),
        (_rows((0, 1)), _rows((0, 1)), torch.zeros(2), r"mask_iou: iscrowd must have shape \(1,\), one for each mask"),
    ],
)
def test_iou_refuses(first, second, crowd, message):
    with pytest.raises(InputError, match=message):
        ops.mask_iou(first, second, crowd)


def test_iou_refuses_lists():
    with pytest.raises(TypeError, match="mask_iou: masks2 must be a torch.Tensor, got list"):
        ops.mask_iou(_rows((0, 1)), [[True]])


def test_targets_lie_where_the_mask_lies_only_if_aligned():
    """The mask begins at x = 16, 8 pixels into a box of 16: 8 columns of 16. Unaligned it seems to begin at 15.5."""
    mask = torch.zeros(1, 32, 32, dtype=torch.bool)
    mask[:, :, 16:] = True
    box = torch.tensor([[8.0, 8.0, 24.0, 24.0]])
    aligned, plain = (ops.mask_targets(mask, box, 16, aligned)[0, 5].tolist() for aligned in (True, False))
    assert aligned == [0.0] * 8 + [1.0] * 8
    assert plain == [0.0] * 7 + [0.5] + [1.0] * 8


def test_targets_are_shares_of_cells():
    """Four columns in two cells; the mask covers three: 1/2 of the first cell, all of the second."""
    mask = torch.zeros(1, 4, 4, dtype=torch.bool)
    mask[:, :, 1:] = True
    assert ops.mask_targets(mask, torch.tensor([[0.0, 0.0, 4.0, 4.0]]), 2)[0].tolist() == [[0.5, 1.0], [0.5, 1.0]]


def test_targets_outside_the_picture_and_of_no_boxes():
    full = torch.ones(1, 4, 4, dtype=torch.bool)
    assert ops.mask_targets(full, torch.tensor([[10.0, 10.0, 14.0, 14.0]]), 3).abs().max() == 0
    assert ops.mask_targets(full[:0], torch.zeros(0, 4)).shape == (0, 28, 28)


@pytest.mark.parametrize(
    ("boxes", "size", "message"),
    [
        (torch.zeros(3, 4), 28, r"mask_targets: masks must have shape \(3, H, W\), got \(1, 4, 4\)"),
        (torch.zeros(1, 5), 28, r"mask_targets: boxes must have shape \(N, 4\), got \(1, 5\)"),
        (torch.zeros(1, 4), 0, r"mask_targets: \(size,\)\[0\] must be finite and above 0, got 0"),
        (torch.tensor([[3.0, 0.0, 1.0, 1.0]]), 28, r"boxes\[0\] has x2 < x1: \[3, 0, 1, 1\]"),
        (torch.tensor([[0.0, 0.0, 1.0, float("nan")]]), 28, r"boxes\[0\] is not finite"),
    ],
)
def test_targets_refuse(boxes, size, message):
    with pytest.raises(InputError, match=message):
        ops.mask_targets(torch.zeros(1, 4, 4, dtype=torch.bool), boxes, size)


def test_pasting_by_hand():
    """Two cells 0 and 1 in a box of four columns, from 1 to 5: cells end at 3, their middles are at 2 and 4.

    Pixel middles 1.5, 2.5, 3.5, 4.5 lie at -0.25, 0.25, 0.75, 1.25 cells from the first cell's middle. Without a rim
    what lies beyond the middles is as the nearest cell; with a rim of 0 it falls: at 1.25 to 0.75 of the last cell, and
    half a cell outside the box, at pixel 5 (1.75), still 0.25 is left.
    """
    mask, box = torch.tensor([[[0.0, 1.0], [0.0, 1.0]]]), torch.tensor([[1.0, 0.0, 5.0, 4.0]])
    bare = ops.paste_masks(mask, box, (4, 7), padding=0, rounded=False)[0]
    assert bare[1].tolist() == [0, 0, 0.25, 0.75, 1, 0, 0]
    rim = ops.paste_masks(mask, box, (4, 7), rounded=False)[0]
    assert rim[1].tolist() == [0, 0, 0.25, 0.75, 0.75, 0.25, 0]
    assert rim[0].tolist() == [0.75 * v for v in rim[1].tolist()]  # the rim above


def test_rounding_moves_a_mask():
    """A box from 2.9 to 6.9 becomes 2 to 7 (both ends kept, in torchvision's way): the centre goes from 4.9 to 4.5."""
    box = torch.tensor([[2.9, 2.9, 6.9, 6.9]])
    columns = torch.arange(12) + 0.5
    centres = []
    for rounded in (True, False):
        pasted = ops.paste_masks(torch.ones(1, 28, 28), box, (12, 12), padding=0, rounded=rounded)[0]
        covered = columns[pasted[5] > 0.5]
        centres.append((covered.min() + covered.max()).item() / 2)
    assert centres == [4.5, 5.0]  # columns 2 to 6; columns 3 to 6, whose middles lie in the box


def test_boxes_that_touch_share_no_pixel_unless_rounded():
    """A pixel's middle on the edge between two boxes, 2.5, belongs to the second alone."""
    boxes = torch.tensor([[0.5, 0.5, 2.5, 4.5], [2.5, 0.5, 4.5, 4.5]])
    pasted = ops.paste_masks(torch.ones(2, 4, 4), boxes, (6, 6), padding=0, rounded=False)
    assert pasted.sum(0).max() == 1
    assert pasted[:, 2].sum(1).tolist() == [2, 2]
    both = ops.paste_masks(torch.ones(2, 4, 4), boxes, (6, 6), padding=0, rounded=True)
    assert both.sum(0).max() == 2  # rounded boxes overlap by a column


@pytest.mark.parametrize("rounded", [True, False])
@pytest.mark.parametrize(
    "box", [[100.0, 100, 120, 120], [-50.0, -50, -10, -10], [2.0, 90, 5, 99], [-1e18, -9, -1e17, 9]]
)
def test_boxes_outside_give_nothing(box, rounded):
    assert ops.paste_masks(torch.ones(1, 28, 28), torch.tensor([box]), (6, 8), rounded=rounded).abs().max() == 0


@pytest.mark.parametrize("rounded", [True, False])
def test_the_soft_edge_ends_half_a_cell_outside(rounded):
    """Two cells in 40 pixels, 20 each: a box that ends 12 pixels before the picture is not seen, one of 5 is."""
    for end, seen in ((-12.0, False), (-5.0, True)):
        pasted = ops.paste_masks(SQUARE, torch.tensor([[end - 40, 0, end, 8]]), (8, 8), rounded=rounded)
        assert bool(pasted.any()) == seen


def test_empty_boxes():
    """A box of no width covers no pixel; torchvision's rounding makes a pixel of it."""
    empty = torch.tensor([[1.5, 1.5, 1.5, 1.5]])
    for padding in (0, 1):
        assert ops.paste_masks(SQUARE, empty, (4, 4), padding, rounded=False).abs().max() == 0
        assert ops.paste_masks(SQUARE, empty, (4, 4), padding)[0].nonzero().tolist() == [[1, 1]]


@pytest.mark.parametrize("shape", [(0, 28, 28), (0, 1, 28, 28)])
def test_pasting_nothing(shape):
    assert ops.paste_masks(torch.zeros(shape), torch.zeros(0, 4), (5, 6)).shape == (0, 5, 6)


def test_pasting_keeps_the_dtype_and_takes_whole_boxes():
    for dtype in (torch.float16, torch.float32, torch.float64):
        pasted = ops.paste_masks(SQUARE.to(dtype), torch.tensor([[1, 0, 3, 2]]), (3, 4), rounded=False)
        assert pasted.dtype == dtype
        assert pasted.sum() == 4


def test_pasting_is_the_plain_loop():
    g = torch.Generator().manual_seed(0)
    boxes = [[1.2, 2.7, 9.9, 8.1], [-4.0, -3.5, 6.0, 7.2], [3.0, 3.0, 3.0, 3.0], [5.5, 1.0, 30.0, 30.0]]
    for box in torch.tensor(boxes, dtype=torch.float64):
        mask = torch.rand(5, 5, generator=g, dtype=torch.float64)
        fast = ops.paste_masks(mask[None], box[None], (11, 13))[0]
        torch.testing.assert_close(fast, ops.paste_mask_reference(mask, box, (11, 13)))


def test_pasting_lets_gradients_through():
    mask = torch.rand(2, 3, 3, dtype=torch.float64, requires_grad=True)
    boxes = torch.tensor([[0.3, 1, 4, 5], [2, 2, 6, 4]])
    assert torch.autograd.gradcheck(lambda m: ops.paste_masks(m, boxes, (6, 6)), mask)


@pytest.mark.parametrize(
    ("masks", "boxes", "size", "padding", "message"),
    [
        (torch.ones(4), BOX, (4, 4), 1, r"masks must have shape \(N, M, M\), got \(4,\)"),
        (torch.ones(1, 2, 4, 4), BOX, (4, 4), 1, r"masks must have shape \(N, M, M\), got \(1, 2, 4, 4\)"),
        (torch.ones(1, 3, 4), BOX, (4, 4), 1, r"masks must be square, of one cell or more, got \(1, 3, 4\)"),
        (torch.ones(1, 0, 0), BOX, (4, 4), 1, r"masks must be square, of one cell or more, got \(1, 0, 0\)"),
        (SQUARE.int(), BOX, (4, 4), 1, "masks must be floating point, got torch.int32"),
        (SQUARE * float("nan"), BOX, (4, 4), 1, r"masks\[0, 0, 0\] is not finite: nan"),
        (torch.ones(2, 4, 4), BOX, (4, 4), 1, "there must be one mask for each of 1 boxes, got 2"),
        (SQUARE, torch.zeros(4), (4, 4), 1, r"boxes must have shape \(N, 4\), got \(4,\)"),
        (SQUARE, torch.tensor([[3.0, 0, 1, 1]]), (4, 4), 1, r"boxes\[0\] has x2 < x1: \[3, 0, 1, 1\]"),
        (SQUARE, BOX * float("inf"), (4, 4), 1, r"boxes\[0\] is not finite"),
        (SQUARE, BOX, (4,), 1, r"size must be \(height, width\), got 1 numbers"),
        (SQUARE, BOX, (0, 4), 1, r"size\[0\] must be finite and above 0, got 0"),
        (SQUARE, BOX, (4, 4.5), 1, r"size must be whole numbers of pixels, got \(4, 4.5\)"),
        (SQUARE, BOX, (4, 4), -1, "padding must be a whole number of at least 0, got -1"),
        (SQUARE, BOX, (4, 4), 0.5, "padding must be a whole number of at least 0, got 0.5"),
    ],
)
def test_pasting_refuses(masks, boxes, size, padding, message):
    with pytest.raises(InputError, match=f"paste_masks: {message}"):
        ops.paste_masks(masks, boxes, size, padding)


def test_pasting_refuses_lists():
    with pytest.raises(TypeError, match=r"paste_masks: masks must be a torch\.Tensor, got list"):
        ops.paste_masks([[[1.0]]], BOX, (4, 4))
