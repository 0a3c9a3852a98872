"""The region proposal network: hard cases, and a mirrored picture."""

import pytest
import torch

from cvlab.models import RegionProposals, RPNHead
from cvlab.ops import AnchorGenerator, box_iou

ANCHORS = AnchorGenerator([(8.0, 16.0)], [1.0, 2.0], pairing="all_by_ratio", unit="pixel")  # 4 in each cell


def _rpn(**options):
    torch.manual_seed(0)
    return RegionProposals(4, ANCHORS, **options)


def _random(rpn, seed=0, images=2, side=4):
    """Logits and offsets at random, anchors of cells of 8 pixels, and pictures that fill their canvas."""
    g = torch.Generator().manual_seed(seed)
    anchors = rpn.anchors([torch.zeros(images, 4, side, side)], (8 * side, 8 * side))
    n = len(anchors[0])
    areas = torch.tensor([[0.0, 0.0, 8.0 * side, 8.0 * side]]).expand(images, 4)
    return torch.randn(images, n, generator=g), 0.2 * torch.randn(images, n, 4, generator=g), anchors[0], areas


def test_order_of_the_heads_channels():
    """Anchor a of cell (y, x) is row (y w + x) A + a, as the anchors are."""
    head, m = RPNHead(2, 3), torch.rand(1, 2, 2, 4)
    (logits,), (offsets,) = head([m])
    hidden = head.conv(m).relu()
    assert logits[0, (1 * 4 + 2) * 3 + 1] == head.objectness(hidden)[0, 1, 1, 2]
    assert offsets[0, (1 * 4 + 2) * 3 + 1].tolist() == head.offsets(hidden)[0, 4:8, 1, 2].tolist()


def test_boxes_pushed_out_of_the_picture_are_dropped():
    """Two anchors of 8 pixels; the first is moved left by three times its width, so clipping leaves nothing."""
    rpn = _rpn().eval()
    anchors = torch.tensor([[0.0, 0.0, 8.0, 8.0], [8.0, 8.0, 16.0, 16.0]])
    offsets = torch.tensor([[[-3.0, 0.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0]]])
    boxes, scores = rpn.propose([torch.tensor([[9.0, 0.0]])], [offsets], [anchors], torch.tensor([[0.0, 0.0, 20, 20]]))
    assert boxes[0].tolist() == [[16.0, 8.0, 20.0, 16.0]]  # moved by its own width, cut at the picture's end
    assert scores[0].tolist() == [0.5]


def test_no_proposal_in_one_image_or_in_any():
    rpn = _rpn().eval()
    logits, offsets, anchors, areas = _random(rpn)
    areas = torch.stack([areas[0], torch.zeros(4)])  # nothing is left of what lies in the second
    boxes, scores = rpn.propose([logits], [offsets], [anchors], areas)
    assert len(boxes[0]) > 0
    assert boxes[1].shape == (0, 4)
    assert scores[1].shape == (0,)
    rpn.min_size = 1000
    assert [len(b) for b in rpn.propose([logits], [offsets], [anchors], areas)[0]] == [0, 0]


def test_an_image_does_not_suppress_another():
    rpn = _rpn().eval()
    logits, offsets, anchors, areas = _random(rpn)
    together, scores = rpn.propose([logits], [offsets], [anchors], areas)
    for i in range(2):
        alone, score = rpn.propose([logits[[i]]], [offsets[[i]]], [anchors], areas[[i]])
        assert torch.equal(together[i], alone[0])
        assert torch.equal(scores[i], score[0])
        overlap = box_iou(alone[0], alone[0]).fill_diagonal_(0)
        assert overlap.max() <= rpn.nms_thresh


def test_limits_before_and_after_suppression():
    rpn = _rpn(before_nms=(10, 6), after_nms=(3, 100))
    logits, offsets, anchors, areas = _random(rpn)
    rpn.nms_thresh = 1.0  # nothing is suppressed
    best = logits.sort(1, descending=True).values.sigmoid()
    for phase, wanted in ((True, 3), (False, 6)):
        _, scores = rpn.train(phase).propose([logits], [offsets], [anchors], areas)
        torch.testing.assert_close(torch.stack(scores), best[:, :wanted])


def test_a_mirrored_picture_has_mirrored_proposals():
    """Anchors lie the same from the left and from the right; coordinates agree to 1e-4 pixels."""
    rpn = _rpn().eval()
    logits, offsets, anchors, _ = _random(rpn, images=1)
    areas = torch.tensor([[3.0, 0.0, 32.0, 30.0]])
    boxes, scores = rpn.propose([logits], [offsets], [anchors], areas)
    # (1, h w A, ...) -> (1, h, w, A, ...), the columns the other way round, and shifts to the other side
    turned = offsets.view(1, 4, 4, 4, 4).flip(2).reshape(1, -1, 4) * torch.tensor([-1.0, 1.0, 1.0, 1.0])
    mirrored, again = rpn.propose(
        [logits.view(1, 4, 4, 4).flip(2).reshape(1, -1)], [turned], [anchors], torch.tensor([[0.0, 0.0, 29.0, 30.0]])
    )
    assert len(boxes[0]) > 5
    torch.testing.assert_close(again[0], scores[0])
    back = 32 - mirrored[0][:, [2, 1, 0, 3]] * torch.tensor([1, -1, 1, -1]) - torch.tensor([0.0, 32.0, 0.0, 32.0])
    torch.testing.assert_close(back, boxes[0], atol=1e-4, rtol=0)


def test_losses_by_hand():
    """One object on one of two anchors: log 2 for each, and half of 9 u^2 for a shift of u = 0.1 widths."""
    rpn = _rpn(anchors_per_image=2)
    anchors = torch.tensor([[0.0, 0.0, 10.0, 10.0], [20.0, 20.0, 30.0, 30.0]])
    outputs = torch.zeros(1, 2), torch.zeros(1, 2, 4), anchors
    losses = rpn.losses(outputs, [torch.tensor([[1.0, 0.0, 11.0, 10.0]])])  # IoU 9 / 11
    assert losses["loss_objectness"].item() == pytest.approx(0.6931472)
    assert losses["loss_rpn_box_reg"].item() == pytest.approx(0.5 * 9 * 0.1**2 / 2)  # beta 1 / 9, 2 anchors drawn


def test_without_objects_only_objectness_learns():
    rpn = _rpn().train()
    _, _, outputs = rpn([torch.rand(2, 4, 4, 4)], (32, 32), torch.tensor([[0.0, 0.0, 32.0, 32.0]] * 2))
    losses = rpn.losses(outputs, [torch.zeros(0, 4)] * 2)
    assert losses["loss_rpn_box_reg"] == 0
    assert losses["loss_objectness"] > 0
    sum(losses.values()).backward()
    assert all(bool(p.grad.isfinite().all()) for p in rpn.parameters())
    assert rpn.head.objectness.weight.grad.any()
