"""The SSD in training, in other precisions and layouts, and in other places."""

import math

import pytest
import torch
from ssd_samples import by_hand, same, silenced, spread, target
from torch import nn

from cvlab import ops
from cvlab.losses import MultiBoxLoss
from cvlab.models import SSD, SmallBackbone, ssd_small
from cvlab.ops import AnchorGenerator


@pytest.fixture(scope="module")
def images():
    generator = torch.Generator().manual_seed(0)
    return [torch.rand(3, h, w, generator=generator) for h, w in ((128, 128), (50, 90), (200, 40))]


def test_losses_by_hand():
    model = by_hand(3).train()  # all logits 0: log 3 for each anchor
    # the box is anchor 0 twice as large: (2, 2, 6, 6) times 2; an image of 32 pixels is halved
    losses = model([torch.zeros(3, 32, 32)], [target([[4, 4, 12, 12]], [2])])
    # 1 positive with offsets 0, and all 8 others
    assert losses["classification"].item() == pytest.approx(9 * math.log(3))
    assert losses["bbox_regression"].item() == 0.0
    # one pixel to the right: 10 * 0.5 / 4 = 1.25 is above 1, so 0.75
    losses = model([torch.zeros(3, 32, 32)], [target([[5, 4, 13, 12]], [2])])
    assert losses["bbox_regression"].item() == pytest.approx(0.75)


def test_targets_are_left_as_they_are():
    given = target([[4, 4, 12, 12]], [2])
    before = given["boxes"].clone()
    by_hand().train()([torch.zeros(3, 32, 64)], [given])
    assert torch.equal(given["boxes"], before)
    assert sorted(given) == ["boxes", "labels"]


@pytest.mark.parametrize("dtype", [torch.int64, torch.float64, torch.float16])
def test_boxes_of_any_type_train(dtype):
    given = target([[4, 4, 12, 12]], [2])
    model, image = by_hand().train(), torch.zeros(3, 32, 32)
    other = {"boxes": given["boxes"].to(dtype), "labels": given["labels"].to(torch.int32)}
    losses, expected = model([image], [other]), model([image], [given])
    assert losses == expected
    assert losses["bbox_regression"].dtype == torch.float32


@pytest.mark.parametrize("classification", ["mining", "focal"])
def test_images_without_objects_train(classification, images):
    torch.manual_seed(0)
    model = ssd_small(loss=MultiBoxLoss(classification)).train()
    none = [target([], []), {"boxes": torch.zeros(0), "labels": torch.zeros(0)}]
    losses = model(images[:2], none)
    assert losses["bbox_regression"].item() == 0.0
    assert losses["classification"].item() > 0
    sum(losses.values()).backward()
    slopes = [p.grad for p in model.parameters() if p.grad is not None]
    assert all(bool(g.isfinite().all()) for g in slopes)
    assert any(bool(g.any()) for g in slopes)


def test_focal_starts_with_small_scores():
    model = ssd_small(loss=MultiBoxLoss("focal"))
    bias = model.head.classes[0].bias
    torch.testing.assert_close(bias.sigmoid(), torch.full_like(bias, 0.01))


def test_it_learns_two_pictures_by_heart():
    torch.manual_seed(0)
    anchors = AnchorGenerator([(0.3, 0.4), (0.6,)])
    model = SSD(SmallBackbone((8, 16, 32, 32), (1, 1, 1), maps=2), 3, anchors, size=64)
    pictures = torch.full((2, 3, 64, 64), 0.5)
    pictures[0, :, 10:34, 30:52] = torch.tensor([1.0, 0.0, 0.0])[:, None, None]
    pictures[1, :, 25:63, 8:45] = torch.tensor([0.0, 0.0, 1.0])[:, None, None]
    learn = [target([[30, 10, 52, 34]], [1]), target([[8, 25, 45, 63]], [2])]
    optimizer = torch.optim.Adam(model.parameters(), 5e-3)
    for _ in range(40):
        loss = sum(model(list(pictures), learn).values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.eval()
    for found, wanted in zip(model(list(pictures)), learn, strict=True):
        assert found["labels"][0] == wanted["labels"][0]
        assert found["scores"][0] > 0.8
        assert ops.box_iou(found["boxes"][:1], wanted["boxes"]).item() > 0.7


def test_buffers_move_but_are_not_saved():
    model = by_hand()
    assert not {"anchors", "mean", "std"} & set(model.state_dict())
    assert model.double().anchors.dtype == torch.float64
    moved = model.to("meta")
    assert {moved.anchors.device.type, moved.mean.device.type, moved.std.device.type} == {"meta"}


def test_in_float64(images):
    model = by_hand().double()
    assert model.network(torch.zeros(1, 3, 16, 16))[0].dtype == torch.float64
    model(images)


def test_channels_last_gives_the_same(images):
    torch.manual_seed(0)
    model = spread(ssd_small()).eval()
    batch = torch.rand(2, 3, 128, 128)
    with torch.no_grad():
        logits, offsets = model.network(batch)
        found = model(images)
        model.to(memory_format=torch.channels_last)
        maps = model.backbone(batch.to(memory_format=torch.channels_last))
        last = model.network(batch.to(memory_format=torch.channels_last))
        same(model(images), found)
    assert all(m.is_contiguous(memory_format=torch.channels_last) for m in maps)
    torch.testing.assert_close(last, (logits, offsets), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast(dtype, images):
    torch.manual_seed(0)
    model = SSD(SmallBackbone((4, 8, 8), (1, 1), maps=1), 3, AnchorGenerator([(0.3, 0.5)]), size=32).train()
    learn = [target([[10, 10, 60, 60]], [1]), target([[5, 5, 40, 40]], [2])]
    expected = model(images[:2], learn)
    with torch.autocast("cpu", dtype=dtype):
        losses = model(images[:2], learn)
        assert model.network(torch.zeros(2, 3, 32, 32))[0].dtype == dtype
        sum(losses.values()).backward()
        found = model.eval()(images[:2])
    for name, value in losses.items():
        assert value.dtype == torch.float32
        assert value.item() == pytest.approx(expected[name].item(), rel=0.05)
    assert all(bool(p.grad.isfinite().all()) for p in model.parameters())
    assert all(f["boxes"].dtype == torch.float32 for f in found)


def test_the_backbone_stays_in_the_mode_it_was_in():
    backbone = SmallBackbone((4, 4, 4), (1, 1), maps=1)
    before = backbone.stem[1].running_mean.clone()
    SSD(backbone, 2, AnchorGenerator([(0.5,)]), size=16)
    assert backbone.training
    assert torch.equal(backbone.stem[1].running_mean, before)
    assert isinstance(backbone.stem[1], nn.BatchNorm2d)


def test_a_backbone_may_be_elsewhere_already():
    model = SSD(SmallBackbone((4, 4, 4), (1, 1), maps=1).to("meta"), 2, AnchorGenerator([(0.5,)]), size=16)
    assert model.anchors.tolist() == AnchorGenerator([(0.5,)])([(2, 2)], (16, 16))[0].tolist()


def test_sizes_need_not_be_square():
    model = silenced(SSD(SmallBackbone((4, 4, 4), (1, 1), maps=1), 2, AnchorGenerator([(0.5,)]), size=(16, 32)))
    assert model.anchors.shape == (2 * 4, 4)  # stride 8
    assert model.eval().network(torch.zeros(1, 3, 16, 32))[0].shape == (1, 8, 2)
