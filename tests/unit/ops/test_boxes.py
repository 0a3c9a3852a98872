"""Formats, areas, clipping and boxes around masks, by hand."""

import pytest
import torch

from cvlab import ops

BOX = torch.tensor([[10.0, 20.0, 30.0, 60.0]])


@pytest.mark.parametrize(
    ("fmt", "expected"),
    [
        ("xyxy", [10, 20, 30, 60]),
        ("xywh", [10, 20, 20, 40]),  # 30 - 10, 60 - 20
        ("cxcywh", [20, 40, 20, 40]),  # halfway between 10 and 30, 20 and 60
    ],
)
def test_convert_there_and_back(fmt, expected):
    converted = ops.box_convert(BOX, "xyxy", fmt)
    assert converted.tolist() == [expected]
    assert ops.box_convert(converted, fmt, "xyxy").tolist() == BOX.tolist()


def test_convert_returns_a_copy():
    same = ops.box_convert(BOX, "xyxy", "xyxy")
    assert same.data_ptr() != BOX.data_ptr()


def test_convert_rotated_by_a_quarter_turn():
    # 4 wide, 2 high about (0, 0), a quarter turn counter-clockwise on the page: the upper left corner (-2, -1) goes to
    # the lower left, (-1, 2).
    box = torch.tensor([[0.0, 0.0, 4.0, 2.0, 90.0]])
    corner = ops.box_convert(box, "cxcywhr", "xywhr")
    torch.testing.assert_close(corner, torch.tensor([[-1.0, 2.0, 4.0, 2.0, 90.0]]))
    corners = ops.box_convert(box, "cxcywhr", "xyxyxyxy")
    torch.testing.assert_close(corners, torch.tensor([[-1.0, 2, -1, -2, 1, -2, 1, 2]]), atol=1e-6, rtol=0)


def test_area_is_width_times_height_with_nothing_added():
    assert ops.box_area(BOX).item() == 20 * 40
    assert ops.box_area(torch.tensor([[10.0, 20.0, 3.0, 4.0]]), fmt="xywh").item() == 12


def test_area_of_half_precision_does_not_overflow():
    big = torch.tensor([[0.0, 0.0, 1000.0, 1000.0]], dtype=torch.float16)  # 1e6 exceeds the largest float16, 65504
    assert ops.box_area(big).item() == 1e6


def test_clip_takes_height_first():
    clipped = ops.clip_boxes_to_image(torch.tensor([[-5.0, -5.0, 50.0, 50.0], [45.0, 0.0, 60.0, 9.0]]), (30, 40))
    assert clipped.tolist() == [[0, 0, 40, 30], [40, 0, 40, 9]]


def test_remove_small_keeps_a_side_of_exactly_the_minimum():
    boxes = torch.tensor([[0.0, 0.0, 2.0, 2.0], [0.0, 0.0, 1.9, 9.0], [0.0, 0.0, 9.0, 2.0]])
    assert ops.remove_small_boxes(boxes, 2.0).tolist() == [0, 2]


def test_masks_to_boxes_by_hand():
    masks = torch.zeros(3, 5, 7, dtype=torch.bool)
    masks[0, 1:3, 2:6] = True  # rows 1 and 2, columns 2 to 5
    masks[1, 4, 6] = True  # one pixel in the corner
    inclusive = ops.masks_to_boxes(masks)
    half_open = ops.masks_to_boxes(masks, half_open=True)
    assert inclusive.tolist() == [[2, 1, 5, 2], [6, 4, 6, 4], [0, 0, 0, 0]]
    assert half_open.tolist() == [[2, 1, 6, 3], [6, 4, 7, 5], [0, 0, 0, 0]]
    assert ops.box_area(half_open[:2]).tolist() == [8, 1]  # half-open: the area is the number of pixels


@pytest.mark.parametrize(
    ("call", "shape"),
    [
        (lambda b: ops.box_convert(b, "xyxy", "cxcywh"), (0, 4)),
        (ops.box_area, (0,)),
        (lambda b: ops.clip_boxes_to_image(b, (10, 10)), (0, 4)),
        (lambda b: ops.remove_small_boxes(b, 1.0), (0,)),
        (lambda b: ops.masks_to_boxes(b.reshape(0, 4, 4)), (0, 4)),
    ],
)
def test_no_boxes(call, shape):
    assert call(torch.zeros(0, 4)).shape == shape
