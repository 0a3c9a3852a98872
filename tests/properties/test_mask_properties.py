"""What must hold for all masks, run lengths and polygons, tried on such that hypothesis makes up."""

import hypothesis.strategies as st
import numpy as np
import torch
from hypothesis import given, settings
from hypothesis.extra.numpy import arrays

from cvlab import ops

properties = settings(deadline=None, max_examples=60, derandomize=True)
sides = st.integers(1, 9)
counts = st.lists(st.integers(0, 2**40), max_size=30)


@st.composite
def masks(draw, low=0, high=4, count=1):
    """Lists of `count` tensors (N, H, W) bool, all of one H and W."""
    height, width = draw(sides), draw(sides)
    shape = st.integers(low, high).map(lambda n: (n, height, width))
    return [torch.from_numpy(draw(arrays(bool, draw(shape)))) for _ in range(count)]


@st.composite
def quarters(draw, most=24):
    """Three to eight corners at quarters of a pixel."""
    corner = st.tuples(st.integers(0, 4 * most), st.integers(0, 4 * most))
    return np.array(draw(st.lists(corner, min_size=3, max_size=8))) / 4


def _encode(many):
    return [ops.rle_encode(mask) for mask in many]


@given(masks(count=2))
@properties
def test_iou_is_symmetric_and_a_share(pair):
    a, b = pair
    iou = ops.mask_iou(a, b)
    assert torch.equal(iou, ops.mask_iou(b, a).t())
    assert bool(((iou >= 0) & (iou <= 1)).all())
    assert torch.equal(ops.mask_iou(a, a).diagonal(), a.flatten(1).any(1).double())  # 1, of empty masks 0
    assert torch.equal(iou > 0, (a[:, None] & b[None]).flatten(2).any(2))


@given(masks(count=2))
@properties
def test_iou_does_not_see_flips_and_transposition(pair):
    a, b = pair
    iou = ops.mask_iou(a, b)
    assert torch.equal(ops.mask_iou(a.flip(1), b.flip(1)), iou)
    assert torch.equal(ops.mask_iou(a.transpose(1, 2), b.transpose(1, 2)), iou)


@given(masks(count=2), st.data())
@properties
def test_iou_of_runs_is_that_of_masks(pair, data):
    a, b = pair
    crowd = torch.tensor(data.draw(st.lists(st.booleans(), min_size=len(b), max_size=len(b))), dtype=torch.bool)
    assert torch.equal(ops.rle_iou(_encode(a), _encode(b)), ops.mask_iou(a, b))
    assert torch.equal(ops.rle_iou(_encode(a), _encode(b), crowd.tolist()), ops.mask_iou(a, b, crowd))
    assert bool((ops.mask_iou(a, b, crowd) >= ops.mask_iou(a, b)).all())  # a crowd never takes away


@given(masks())
@properties
def test_runs_keep_masks_areas_and_boxes(one):
    (many,) = one
    for mask, rle in zip(many, _encode(many), strict=True):
        assert torch.equal(ops.rle_decode(rle), mask)
        assert torch.equal(ops.rle_decode({"size": rle["size"], "counts": ops.run_lengths(mask)}), mask)
        assert ops.rle_area(rle) == int(mask.sum())
        assert torch.equal(ops.rle_to_box(rle), ops.masks_to_boxes(mask[None], half_open=True)[0])
        assert all(run > 0 for run in ops.run_lengths(mask)[1:])


@given(counts)
@properties
def test_text_keeps_counts(numbers):
    text = ops.pack_counts(numbers)
    assert ops.unpack_counts(text) == numbers
    assert all(48 <= character < 112 for character in text)


@given(quarters(), st.integers(0, 7), st.booleans())
@properties
def test_polygons_have_no_first_corner(corners, start, backwards):
    turned = np.roll(corners[::-1] if backwards else corners, start, axis=0)
    size = (26, 27)
    assert torch.equal(ops.polygons_to_mask([turned], size), ops.polygons_to_mask([corners], size))


@given(quarters(), st.integers(0, 9), st.integers(0, 9))
@properties
def test_polygons_move_with_the_picture(corners, right, down):
    moved = ops.polygons_to_mask([corners + (right, down)], (40, 41))
    assert torch.equal(moved[down : down + 26, right : right + 27], ops.polygons_to_mask([corners], (26, 27)))


@given(quarters(), quarters())
@properties
def test_polygons_together_are_their_union(a, b):
    one, two = (ops.polygons_to_mask([polygon], (26, 27)) for polygon in (a, b))
    assert torch.equal(ops.polygons_to_mask([a, b], (26, 27)), one | two)


@given(sides, sides, sides, sides)
@properties
def test_whole_rectangles_fill_their_pixels(x, y, width, height):
    rectangle = [x, y, x + width, y, x + width, y + height, x, y + height]
    expected = torch.zeros(20, 21, dtype=torch.bool)
    expected[y : y + height, x : x + width] = True
    assert torch.equal(ops.polygons_to_mask([rectangle], (20, 21)), expected)


@st.composite
def pasted(draw):
    """A mask (1, M, M) float64 and a box (1, 4) at quarters of a pixel, for a picture of 16 x 18."""
    cells = draw(st.integers(1, 6))
    values = draw(arrays(np.float64, (1, cells, cells), elements=st.sampled_from([0.0, 0.25, 0.5, 1.0])))
    x, y, w, h = (draw(st.integers(low, 60)) / 4 for low in (-20, -20, 1, 1))
    return torch.from_numpy(values), torch.tensor([[x, y, x + w, y + h]], dtype=torch.float64)


@given(pasted(), st.booleans())
@properties
def test_pasted_masks_are_probabilities_and_the_plain_loop(case, rounded):
    mask, box = case
    picture = ops.paste_masks(mask, box, (16, 18), rounded=rounded)
    assert bool(((picture >= 0) & (picture <= 1 + 1e-12)).all())
    if rounded:
        torch.testing.assert_close(picture[0], ops.paste_mask_reference(mask[0], box[0], (16, 18)))


@given(pasted())
@properties
def test_pasting_without_rounding_flips_with_the_picture(case):
    mask, box = case
    flipped = torch.stack((18 - box[:, 2], box[:, 1], 18 - box[:, 0], box[:, 3]), 1)
    there = ops.paste_masks(mask, box, (16, 18), rounded=False).flip(2)
    torch.testing.assert_close(ops.paste_masks(mask.flip(2), flipped, (16, 18), rounded=False), there)


@given(masks(low=1, high=1), st.integers(0, 5), st.integers(0, 5))
@properties
def test_targets_of_one_cell_a_pixel_come_back(one, x, y):
    (mask,) = one
    side = min(mask.shape[1:])
    box = torch.tensor([[float(x), float(y), float(x + side), float(y + side)]])
    picture = torch.zeros(1, 16, 16, dtype=torch.bool)
    picture[0, y : y + side, x : x + side] = mask[0, :side, :side]
    small = ops.mask_targets(picture, box, side)
    torch.testing.assert_close(small, mask[:, :side, :side].float())
    torch.testing.assert_close(ops.paste_masks(small, box, (16, 16), rounded=False), picture.float(), atol=1e-5, rtol=0)
