"""IoU and its generalised forms, by hand, in every precision, and their gradients."""

import math

import pytest
import torch

from cvlab import ops

FAMILY = [ops.box_iou, ops.generalized_box_iou, ops.distance_box_iou, ops.complete_box_iou]
A = torch.tensor([[0.0, 0.0, 10.0, 10.0]])


@pytest.mark.parametrize(
    ("box", "iou"),
    [
        ([0, 0, 10, 10], 1.0),
        ([0, 0, 10, 5], 0.5),  # 50 / 100
        ([5, 0, 15, 10], 1 / 3),  # 50 / (100 + 100 - 50)
        ([5, 5, 15, 15], 25 / 175),
        ([10, 0, 20, 10], 0.0),  # half-open boxes that touch share no pixel
        ([3, 3, 3, 3], 0.0),  # empty
    ],
)
def test_box_iou_by_hand(box, iou):
    other = torch.tensor([box], dtype=torch.float32)
    assert ops.box_iou(A, other).item() == pytest.approx(iou)
    assert ops.box_iou(other, A).item() == pytest.approx(iou)


def test_generalised_forms_by_hand():
    other = torch.tensor([[10.0, 10.0, 20.0, 20.0]])  # hull 20 x 20 = 400, union 200
    assert ops.generalized_box_iou(A, other).item() == pytest.approx(-(400 - 200) / 400)
    # centres (5, 5) and (15, 15): squared distance 200; squared diagonal 800
    assert ops.distance_box_iou(A, other).item() == pytest.approx(-200 / 800)
    wide = torch.tensor([[0.0, 0.0, 20.0, 10.0]])  # IoU 1/2; centres 5 apart, diagonal sqrt(500)
    v = 4 / math.pi**2 * (math.atan(1) - math.atan(2)) ** 2
    expected = 0.5 - 25 / 500 - v / (1 - 0.5 + v) * v
    assert ops.complete_box_iou(A, wide).item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("function", FAMILY)
def test_empty_boxes_stay_finite(function):
    empty = torch.tensor([[1.0, 1, 1, 1], [1, 1, 1, 5], [0, 0, 2, 2], [7, 7, 7, 7]], requires_grad=True)
    values = function(empty, empty)
    values.sum().backward()
    assert values.isfinite().all()
    assert empty.grad.isfinite().all()
    iou = ops.box_iou(empty.detach(), empty.detach())
    assert iou[[0, 1, 3], [0, 1, 3]].tolist() == [0, 0, 0]


def test_blocks_and_plain_path_agree(monkeypatch):
    from cvlab.ops import iou as module

    generator = torch.Generator().manual_seed(0)
    a, b = torch.rand(77, 4, generator=generator), torch.rand(31, 4, generator=generator)
    a[:, 2:] += a[:, :2]
    b[:, 2:] += b[:, :2]
    a[3] = b[5] = torch.tensor([0.5, 0.5, 0.5, 0.5])
    monkeypatch.setattr(module, "_BLOCK", 100)  # several blocks, the last one not full
    blocks = ops.box_iou(a, b)
    plain = ops.box_iou(a.clone().requires_grad_(), b)
    assert torch.equal(blocks, plain.detach())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("function", FAMILY)
def test_every_precision(function, dtype):
    boxes = torch.tensor([[0, 0, 8, 8], [0, 0, 8, 4]], dtype=dtype)
    values = function(boxes, boxes)
    assert values.dtype == (dtype if dtype == torch.float64 else torch.float32)
    assert values.diagonal().tolist() == pytest.approx([1, 1], abs=1e-6)
    assert ops.box_iou(boxes, boxes)[0, 1] == 0.5


@pytest.mark.parametrize("function", FAMILY)
def test_batch_dimensions(function):
    generator = torch.Generator().manual_seed(1)
    a, b = torch.rand(3, 5, 4, generator=generator), torch.rand(3, 2, 4, generator=generator)
    a[..., 2:] += a[..., :2]
    b[..., 2:] += b[..., :2]
    torch.testing.assert_close(function(a, b), torch.stack([function(x, y) for x, y in zip(a, b, strict=True)]))


@pytest.mark.parametrize("function", FAMILY)
def test_no_boxes(function):
    assert function(torch.zeros(0, 4), torch.zeros(3, 4)).shape == (0, 3)
    assert function(torch.zeros(3, 4), torch.zeros(0, 4)).shape == (3, 0)


def test_rotated_by_hand():
    # A 4 x 2 box and itself turned by 90 degrees share a 2 x 2 square: 4 / (8 + 8 - 4).
    boxes = torch.tensor([[5.0, 5.0, 4.0, 2.0, 0.0], [5.0, 5.0, 4.0, 2.0, 90.0], [50.0, 50.0, 1.0, 1.0, 10.0]])
    expected = torch.tensor([[1, 1 / 3, 0], [1 / 3, 1, 0], [0, 0, 1]])
    torch.testing.assert_close(ops.box_iou(boxes, boxes, fmt="cxcywhr"), expected)
    # A unit square turned by 45 degrees cuts off four corners: the octagon 2 (sqrt(2) - 1) is left.
    square = torch.tensor([[0.0, 0.0, 1.0, 1.0, 0.0], [0.0, 0.0, 1.0, 1.0, 45.0]], dtype=torch.float64)
    octagon = 2 * (math.sqrt(2) - 1)
    assert ops.box_iou(square, square, fmt="cxcywhr")[0, 1].item() == pytest.approx(octagon / (2 - octagon))


@pytest.mark.parametrize("function", FAMILY)
def test_gradients(function):
    generator = torch.Generator().manual_seed(2)
    a = torch.rand(4, 4, dtype=torch.float64, generator=generator)
    b = torch.rand(3, 4, dtype=torch.float64, generator=generator)
    a[:, 2:] += a[:, :2] + 0.1
    b[:, 2:] += b[:, :2] + 0.1
    a.requires_grad_()
    if function is ops.complete_box_iou:  # its weight is held constant, so only boxes of one shape can be compared
        b = a.detach() + torch.tensor([0.05, 0.03, 0.05, 0.03])
        squares = torch.cat((b[:, :2], b[:, :2] + 1), 1)
        start = torch.cat((b[:, :2] + 0.2, b[:, :2] + 1.2), 1)
        move = torch.tensor([[0.1, 0.2], [-0.1, 0.1], [0.2, -0.3], [0.1, 0.1]], dtype=torch.float64, requires_grad=True)
        assert torch.autograd.gradcheck(lambda m: function(start + m.repeat(1, 2), squares), (move,))
        return
    b.requires_grad_()
    assert torch.autograd.gradcheck(function, (a, b))
