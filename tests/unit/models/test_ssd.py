"""The SSD: order of channels and anchors, decoding, and the way of boxes through the letterbox, by hand."""

import math

import pytest
import torch
from ssd_samples import by_hand, silenced, spread
from torch import nn
from torchvision import tv_tensors

from cvlab import ops
from cvlab.losses import MultiBoxLoss
from cvlab.models import SSD, SmallBackbone, SSDHead, ssd_small
from cvlab.models._inputs import batch_images
from cvlab.ops import AnchorGenerator
from cvlab.preprocess import letterbox, stretch


@pytest.fixture(scope="module")
def small():
    torch.manual_seed(0)
    return spread(ssd_small()).eval()


@pytest.fixture(scope="module")
def images():
    generator = torch.Generator().manual_seed(0)
    return [torch.rand(3, h, w, generator=generator) for h, w in ((128, 128), (50, 90), (200, 40))]


def target(boxes, labels):
    return {"boxes": torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4), "labels": torch.tensor(labels).long()}


def same(a, b, atol=1e-5):
    for one, other in zip(a, b, strict=True):
        assert sorted(one) == sorted(other) == ["boxes", "labels", "scores"]
        assert torch.equal(one["labels"], other["labels"])
        torch.testing.assert_close(one["scores"], other["scores"], atol=atol, rtol=0)
        torch.testing.assert_close(one["boxes"], other["boxes"], atol=100 * atol, rtol=0)


# the heads and their order


def test_shapes():
    logits, offsets = by_hand().network(torch.zeros(5, 3, 16, 16))
    assert logits.shape == (5, 9, 3)  # 2 x 2 cells x 2 anchors + 1
    assert offsets.shape == (5, 9, 4)


def test_each_channel_is_one_class_of_one_anchor():
    for level, anchors, rows in ((0, 2, range(8)), (1, 1, range(8, 9))):
        for i in range(anchors):
            for j in range(3):
                model = by_hand()
                model.head.classes[level].bias.data[3 * i + j] = 5.0
                logits, _ = model.network(torch.zeros(1, 3, 16, 16))
                expected = torch.zeros(9, 3)
                expected[[r for r in rows if (r - rows[0]) % anchors == i], j] = 5.0
                assert torch.equal(logits[0], expected)


def test_each_channel_is_one_offset_of_one_anchor():
    for i in range(2):
        for k in range(4):
            model = by_hand()
            model.head.offsets[0].bias.data[4 * i + k] = 5.0
            _, offsets = model.network(torch.zeros(1, 3, 16, 16))
            expected = torch.zeros(9, 4)
            expected[i:8:2, k] = 5.0
            assert torch.equal(offsets[0], expected)


@pytest.mark.parametrize(("row", "column"), [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_what_a_cell_sees_is_said_of_the_anchors_in_it(row, column):
    model = by_hand()
    model.head.classes[0].weight.data[:, 0, 1, 1] = 1.0  # copies red at the cell itself
    image = torch.zeros(1, 3, 16, 16)
    image[0, 0, 8 * row : 8 * row + 8, 8 * column : 8 * column + 8] = 1.0
    logits, _ = model.network(image)
    found = model.anchors[logits[0].any(1)]
    x, y = 8 * column + 4.0, 8 * row + 4.0  # the cell's centre
    assert found.tolist() == [[x - 2, y - 2, x + 2, y + 2], [x - 4, y - 4, x + 4, y + 4]]


def test_a_head_wants_anchors_for_every_map():
    with pytest.raises(ValueError, match="shorter"):
        SSDHead([8, 8], [2], 3)


# from what the heads say to detections


def test_candidates_are_the_best_of_each_class_decoded_and_clipped():
    model = by_hand(score_thresh=0.3, topk_candidates=2)
    logits = torch.full((1, 9, 3), -20.0)
    logits[..., 0] = 0.0  # background, but for these (log of the odds against background):
    logits[0, 4, 1], logits[0, 7, 1], logits[0, 8, 1] = math.log(4), math.log(9), math.log(2)  # 0.8, 0.9; third: 0.67
    logits[0, 2, 2] = math.log(0.25)  # 0.2: below the threshold
    offsets = torch.zeros(1, 9, 4)
    offsets[0, 4, 0] = 10 * 0.5  # half the anchor's width of 4 to the right
    offsets[0, 7, 3] = 5 * math.log(3)  # three times as high: 24 pixels around y = 12
    image, label, scores, boxes = model.candidates(logits, offsets)
    assert image.tolist() == [0, 0]
    assert label.tolist() == [1, 1]
    torch.testing.assert_close(scores, torch.tensor([0.9, 0.8]))
    # anchor 7: cell (1, 1), 8 pixels: (8, 8, 16, 16), made (8, 0, 16, 24), clipped; anchor 4: (2, 10, 6, 14) + 2
    torch.testing.assert_close(boxes, torch.tensor([[8.0, 0.0, 16.0, 16.0], [4.0, 10.0, 8.0, 14.0]]))


def test_one_anchor_may_be_two_classes_and_classes_do_not_suppress_each_other():
    model = by_hand(score_thresh=0.2)
    logits = torch.full((1, 9, 3), -20.0)
    logits[..., 0] = 0.0
    logits[0, 0] = 0.0  # a third each
    (found,) = model.detections(logits, torch.zeros(1, 9, 4), [letterbox((16, 16), (16, 16))])
    assert found["labels"].sort()[0].tolist() == [1, 2]
    assert found["boxes"].tolist() == [[2, 2, 6, 6]] * 2


def test_suppression_is_within_each_image():
    model = by_hand(2, nms_thresh=0.2)
    logits = torch.full((2, 9, 2), -20.0)
    logits[..., 0] = 0.0
    logits[0, 0, 1] = logits[0, 1, 1] = logits[1, 1, 1] = 3.0
    logits[0, 0, 1] = 4.0  # 4 x 4 inside 8 x 8: IoU 0.25
    found = model.detections(logits, torch.zeros(2, 9, 4), [letterbox((16, 16), (16, 16))] * 2)
    assert [f["boxes"].tolist() for f in found] == [[[2, 2, 6, 6]], [[0, 0, 8, 8]]]


def test_boxes_come_back_through_the_letterbox_and_those_in_the_padding_go():
    model = by_hand(2, nms_thresh=1.0)
    model.head.classes[0].bias.data[1] = 3.0  # the four small anchors
    model.head.classes[0].bias.data[3] = -9.0
    model.head.classes[1].bias.data[1] = -9.0
    (found,) = model([torch.zeros(3, 32, 8)])  # content 16 x 4 at (0, 6): halved, 6 to the right
    # anchors at x 2 to 6 end where the picture begins; at x 10 to 14 they begin where it ends
    assert found["boxes"].shape == (0, 4)
    (found,) = model([torch.zeros(3, 32, 16)])  # content 16 x 8 at (0, 4)
    # x 2 to 6 is (2 - 4) * 2 to (6 - 4) * 2 = -4 to 4, clipped to 0; x 10 to 14 is 12 to 20, clipped to 16
    boxes = sorted(found["boxes"].tolist())
    assert boxes == [[0, 4, 4, 12], [0, 20, 4, 28], [12, 4, 16, 12], [12, 20, 16, 28]]


def test_stretched_images_have_no_padding():
    model = by_hand(2, nms_thresh=1.0, resize="stretch")
    model.head.classes[1].bias.data[1] = 3.0
    model.head.classes[0].bias.data[[1, 3]] = -9.0
    (found,) = model([torch.zeros(3, 32, 8)])  # the middle 4 to 12, times 2 and divided by 2
    assert found["boxes"].tolist() == [[2, 8, 6, 24]]


def test_no_more_than_asked_for_best_first(small, images):
    assert small.detections_per_img == 100
    found = small(images)
    assert max(len(f["boxes"]) for f in found) == 100
    for f, image in zip(found, images, strict=True):
        assert torch.equal(f["scores"], f["scores"].sort(descending=True)[0])
        assert f["scores"].min() > small.score_thresh
        assert 1 <= f["labels"].min() <= f["labels"].max() <= 10
        height, width = image.shape[1:]
        assert bool((f["boxes"] >= 0).all() & (f["boxes"] <= torch.tensor([width, height, width, height])).all())


def test_nothing_but_background():
    model = by_hand()
    for conv, anchors in zip(model.head.classes, (2, 1), strict=True):
        conv.bias.data.view(anchors, 3)[:, 0] = 9.0
    for found in model([torch.zeros(3, 20, 30), torch.zeros(3, 16, 16)]):
        assert found["boxes"].shape == (0, 4)
        assert found["scores"].shape == (0,)
        assert found["labels"].dtype == torch.int64


# images of all kinds


def test_one_by_one_is_all_at_once(small, images):
    with torch.no_grad():
        same(small(images), [small([image])[0] for image in images])


def test_a_batch_is_a_list(small, images):
    batch = torch.stack([images[0], images[0].flip(2)])
    same(small(batch), small(list(batch)))


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (7, 5)])
def test_images_smaller_than_the_stride(small, size):
    (found,) = small([torch.rand(3, *size)])
    assert len(found["boxes"]) > 0
    assert bool((found["boxes"] <= torch.tensor([size[1], size[0]] * 2)).all())


def test_bytes_are_floats(small):
    pixels = torch.randint(256, (3, 128, 128), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    same(small([pixels]), small([pixels.float() / 255]))
    other = torch.rand(3, 128, 128)
    same(small([pixels, other]), small([pixels.float() / 255, other]))


def test_resized_bytes_are_rounded_to_whole_levels():
    pixels = torch.randint(256, (3, 50, 90), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    plan = [letterbox((50, 90), (64, 64))]
    gap = batch_images([pixels], plan) - batch_images([pixels.float() / 255], plan)
    assert gap.abs().max() <= 0.5 / 255 + 1e-6


def test_antialiasing_is_as_asked_for():
    stripes = torch.zeros(3, 48, 48)
    stripes[:, :, ::3] = 1.0  # every third column: a mean of 1/3, but bilinear samples see only the middle of three
    plan = [stretch((48, 48), (16, 16))]
    assert batch_images([stripes], plan, antialias=False).max() < 1e-6
    smooth = batch_images([stripes], plan)
    assert bool((smooth > 0.1).all())
    model = by_hand(resize="stretch", antialias=False)
    seen = []
    model.backbone.register_forward_hook(lambda _, args, __: seen.append(args[0]))
    model([stripes])
    assert seen[0].max() < 1e-6


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_floats_of_any_precision(small, images, dtype):
    (found,) = small([images[0].to(dtype)])
    assert found["boxes"].dtype == found["scores"].dtype == torch.float32
    small([images[0], images[1].to(dtype)])  # and mixed


def test_images_and_boxes_of_torchvision_come_out_plain(small, images):
    wrapped = tv_tensors.Image(images[0])
    same(small([wrapped]), small([images[0]]))
    assert type(small([wrapped])[0]["boxes"]) is torch.Tensor
    own = target([[10, 10, 60, 60]], [1])
    boxes = tv_tensors.BoundingBoxes(own["boxes"], format="XYXY", canvas_size=(128, 128))
    model = by_hand().train()
    losses = model([wrapped], [{**own, "boxes": boxes}])
    assert {name: v.item() for name, v in losses.items()} == {n: v.item() for n, v in model([wrapped], [own]).items()}
    assert all(type(v) is torch.Tensor for v in losses.values())


# training


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


# where it runs, and how


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
