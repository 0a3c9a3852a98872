"""The region proposal network and what regions learn: by hand, and against torchvision's."""

import pytest
import torch
from torch import nn
from torchvision.models.detection import rpn as torchvision_rpn
from torchvision.models.detection.anchor_utils import AnchorGenerator as TheirAnchors
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.models.detection.roi_heads import fastrcnn_loss

from cvlab import models, ops

WEIGHTS = (10.0, 10.0, 5.0, 5.0)


def _anchors(scales=((16.0, 32.0),)):
    return ops.AnchorGenerator(
        scales, [2.0, 1.0, 0.5], pairing="all_by_ratio", unit="pixel", offset=0, strides="floor", rounded=True
    )


@pytest.mark.parametrize("levels", [1, 2])
def test_proposals_and_losses_are_torchvisions(levels):
    torch.manual_seed(0)
    scales = [(16, 32), (48, 64)][:levels]
    ours = models.RegionProposals(8, _anchors(scales), anchors_per_image=10**6, before_nms=(50, 50), after_nms=(20, 20))
    head = torchvision_rpn.RPNHead(8, 6)
    for name in ("conv", "objectness", "offsets"):
        nn.init.normal_(getattr(ours.head, name).weight, std=0.1)
    head.conv[0][0].load_state_dict(ours.head.conv.state_dict())
    head.cls_logits.load_state_dict(ours.head.objectness.state_dict())
    head.bbox_pred.load_state_dict(ours.head.offsets.state_dict())
    theirs = torchvision_rpn.RegionProposalNetwork(
        TheirAnchors(tuple(scales), ((0.5, 1.0, 2.0),) * levels),
        head, 0.7, 0.3, 10**6, 0.5, {"training": 50, "testing": 50}, {"training": 20, "testing": 20}, 0.7,
    )  # fmt: skip
    maps = [torch.randn(2, 8, 16 // 2**i, 16 // 2**i) for i in range(levels)]
    sizes = [(64, 64), (48, 60)]
    objects = [torch.tensor([[5.0, 8.0, 30.0, 28.0], [20.0, 30.0, 60.0, 61.0]]), torch.tensor([[1.0, 1.0, 17.0, 18.0]])]
    batch = ImageList(torch.zeros(2, 3, 64, 64), sizes)
    expected, losses = theirs.train()(batch, dict(enumerate(maps)), [{"boxes": b} for b in objects])
    areas = torch.tensor([[0.0, 0.0, w, h] for h, w in sizes])
    boxes, scores, outputs = ours.train()(maps, (64, 64), areas)
    for one, other, score in zip(boxes, expected, scores, strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=0)
        assert score.tolist() == sorted(score.tolist(), reverse=True)
    found = ours.losses(outputs, objects)
    assert sorted(found) == sorted(losses)
    for name, value in losses.items():
        torch.testing.assert_close(found[name], value)


def test_heads_are_torchvisions():
    torch.manual_seed(0)
    box, mask, regions = models.BoxHead(8, 7, 32, 5), models.MaskHead(8, (16, 12), 5), torch.randn(6, 8, 7, 7)
    mlp, predictor = TwoMLPHead(8 * 49, 32), FastRCNNPredictor(32, 5)
    mlp.fc6.load_state_dict(box.first.state_dict())
    mlp.fc7.load_state_dict(box.second.state_dict())
    predictor.cls_score.load_state_dict(box.classes.state_dict())
    predictor.bbox_pred.load_state_dict(box.offsets.state_dict())
    logits, offsets = predictor(mlp(regions))
    torch.testing.assert_close(box(regions)[0], logits)
    torch.testing.assert_close(box(regions)[1].flatten(1), offsets)
    convs, last = MaskRCNNHeads(8, (16, 12), 1), MaskRCNNPredictor(12, 12, 5)
    for i in range(2):
        convs[i][0].load_state_dict(mask.convs[i].state_dict())
    last.conv5_mask.load_state_dict(mask.enlarge.state_dict())
    last.mask_fcn_logits.load_state_dict(mask.masks.state_dict())
    assert mask(regions).shape == (6, 5, 14, 14)
    torch.testing.assert_close(mask(regions), last(convs(regions)))
    points = models.KeypointHead(8, (16,), 3)(regions)
    assert points.shape == (6, 3, 14, 14)


def test_losses_of_regions_are_torchvisions():
    torch.manual_seed(0)
    truth = [{"boxes": torch.tensor([[10.0, 10.0, 30.0, 40.0]]), "labels": torch.tensor([2])}]
    proposals = [torch.tensor([[11.0, 9.0, 31.0, 42.0], [50.0, 50.0, 60.0, 70.0], [8.0, 14.0, 30.0, 41.0]])]
    samples = models.sample_regions(proposals, truth, 8, 0.5, 0.5, WEIGHTS)
    logits, offsets = torch.randn(4, 5), torch.randn(4, 5, 4)
    labels, classes = samples.labels, offsets.flatten(1)
    classifier, distance = fastrcnn_loss(logits, classes, labels, [samples.offsets])
    found = models.region_losses(logits, offsets, samples)
    torch.testing.assert_close(found["loss_classifier"], classifier)
    torch.testing.assert_close(found["loss_box_reg"], distance)


def test_samples_by_hand():
    """Two of three proposals overlap the object by half; the object's own box is a candidate too."""
    truth = [{"boxes": torch.tensor([[0.0, 0.0, 10.0, 10.0]]), "labels": torch.tensor([4])}]
    proposals = [torch.tensor([[0.0, 0.0, 10.0, 6.0], [0.0, 0.0, 10.0, 4.0], [0.0, 0.0, 5.0, 10.0]])]
    samples = models.sample_regions(proposals, truth, 100, 1.0, 0.5, WEIGHTS)
    assert sorted(samples.boxes[0][:3, 2:].tolist()) == [[5.0, 10.0], [10.0, 6.0], [10.0, 10.0]]  # IoU 0.5, 0.6, 1
    assert samples.labels[0].tolist() == [4, 4, 4, 0]
    assert samples.objects[0].tolist() == [0, 0, 0]
    assert [len(b) for b in samples.object_boxes] == [3]
    shallow = samples.offsets[samples.boxes[0][:, 3] == 6][0]  # 2 down of 6 high; log(10 / 6)
    torch.testing.assert_close(shallow, torch.tensor([0.0, 10 * 2 / 6, 0.0, 5 * 0.5108256]))
    assert samples.offsets[3].tolist() == [0, 0, 0, 0]


def test_without_proposals_or_objects():
    empty = [{"boxes": torch.zeros(0, 4), "labels": torch.zeros(0).long()}]
    samples = models.sample_regions([torch.zeros(0, 4)], empty, 8, 0.25, 0.5, WEIGHTS)
    assert [len(part) for part in (samples.boxes[0], samples.labels[0], samples.objects[0], samples.offsets)] == [0] * 4
    logits = torch.randn(0, 5, requires_grad=True)
    losses = models.region_losses(logits, torch.zeros(0, 5, 4, requires_grad=True), samples)
    assert {name: value.item() for name, value in losses.items()} == {"loss_classifier": 0, "loss_box_reg": 0}
    sum(losses.values()).backward()
    some = models.sample_regions([torch.rand(5, 4).sort(1).values * 20], empty, 8, 0.25, 0.5, WEIGHTS)
    assert some.labels[0].tolist() == [0] * 5  # all background


def test_labels_of_anchors():
    rpn = models.RegionProposals(8, _anchors())
    anchors = torch.tensor(
        [[0.0, 0.0, 10.0, 10.0], [0.0, 0.0, 10.0, 4.0], [0.0, 0.0, 10.0, 2.0], [40.0, 0.0, 50.0, 10.0]]
    )
    boxes = torch.tensor([[0.0, 0.0, 10.0, 10.0], [49.0, 0.0, 59.0, 10.0]])  # the last anchor is the second's best
    assert rpn.match(anchors, boxes).tolist() == [0, -2, -1, 1]
    assert rpn.match(anchors, torch.zeros(0, 4)).tolist() == [-1] * 4


def test_bad_settings():
    with pytest.raises(ValueError, match=r"as many anchors in a cell, got \[3, 6\]"):
        models.RegionProposals(8, _anchors([(16,), (32, 64)]))
    with pytest.raises(ValueError, match=r"nms_thresh must lie in \[0, 1\], got 2"):
        models.RegionProposals(8, _anchors(), nms_thresh=2)
    with pytest.raises(ValueError, match="after_nms"):
        models.RegionProposals(8, _anchors(), after_nms=(10,))
