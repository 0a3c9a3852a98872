"""The SSD: order of channels and anchors, decoding, and the way of boxes through the letterbox, by hand."""

import math

import pytest
import torch
from ssd_samples import by_hand, same, spread, target
from torchvision import tv_tensors

from cvlab.models import SSDHead, ssd_small
from cvlab.models._inputs import batch_images
from cvlab.preprocess import letterbox, stretch


@pytest.fixture(scope="module")
def small():
    torch.manual_seed(0)
    return spread(ssd_small()).eval()


@pytest.fixture(scope="module")
def images():
    generator = torch.Generator().manual_seed(0)
    return [torch.rand(3, h, w, generator=generator) for h, w in ((128, 128), (50, 90), (200, 40))]


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
