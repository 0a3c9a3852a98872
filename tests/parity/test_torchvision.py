"""The same results as torchvision, wherever the names are the same, on random and on awkward boxes."""

import pytest
import torch
from torchvision import ops as tv
from torchvision.models.detection._utils import BoxCoder, Matcher, SSDMatcher
from torchvision.models.detection.anchor_utils import AnchorGenerator as TorchvisionAnchors
from torchvision.models.detection.image_list import ImageList

from cvlab import ops

IOUS = ["box_iou", "generalized_box_iou", "distance_box_iou", "complete_box_iou"]


def _random(count, seed, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(count, 2, generator=generator, dtype=torch.float64) * 512
    side = torch.rand(count, 2, generator=generator, dtype=torch.float64) * 70 + 10
    return torch.cat((corner, corner + side), 1).to(dtype)


def _clustered(count, seed, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    centres = _random(max(3, count // 50), seed, torch.float64)
    chosen = centres[torch.randint(len(centres), (count,), generator=generator)]
    boxes = chosen + 3 * torch.randn(count, 4, generator=generator, dtype=torch.float64)
    return torch.cat((torch.minimum(boxes[:, :2], boxes[:, 2:] - 4), boxes[:, 2:]), 1).to(dtype)


def _whole(count, seed, dtype=torch.float32):
    """Whole-number corners: many IoUs equal the threshold exactly, many boxes coincide, some are empty."""
    generator = torch.Generator().manual_seed(seed)
    corner = torch.randint(0, 40, (count, 2), generator=generator)
    return torch.cat((corner, corner + torch.randint(0, 12, (count, 2), generator=generator)), 1).to(dtype)


def _scores(count, seed):
    return torch.randperm(count, generator=torch.Generator().manual_seed(seed)) / max(count, 1)


@pytest.mark.parametrize("name", IOUS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_iou(name, dtype):
    a, b = _random(60, 0, dtype), _clustered(90, 1, dtype)
    mine, theirs = getattr(ops, name)(a, b), getattr(tv, name)(a, b)
    assert mine.dtype == theirs.dtype
    torch.testing.assert_close(mine, theirs, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("name", IOUS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.int32, torch.int64, torch.int16])
def test_iou_of_other_types(name, dtype):
    a = _whole(20, 2).to(dtype)
    a[:, 2:] += 1
    mine, theirs = getattr(ops, name)(a, a), getattr(tv, name)(a, a)
    assert mine.dtype == theirs.dtype
    torch.testing.assert_close(mine, theirs, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("fmt", ["xywh", "cxcywh"])
def test_formats(fmt):
    a, b = _random(20, 3), _random(30, 4)
    for box in (a, b):
        torch.testing.assert_close(ops.box_convert(box, "xyxy", fmt), tv.box_convert(box, "xyxy", fmt), atol=0, rtol=0)
    x, y = tv.box_convert(a, "xyxy", fmt), tv.box_convert(b, "xyxy", fmt)
    torch.testing.assert_close(ops.box_convert(x, fmt, "xyxy"), tv.box_convert(x, fmt, "xyxy"))
    if "fmt" in tv.box_iou.__code__.co_varnames:
        torch.testing.assert_close(ops.box_area(x, fmt), tv.box_area(x, fmt))
        torch.testing.assert_close(ops.box_iou(x, y, fmt), tv.box_iou(x, y, fmt))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize(("source", "target"), [("cxcywh", "xyxy"), ("xyxy", "cxcywh"), ("xywh", "xyxy")])
def test_conversion_bit_for_bit(source, target, dtype):
    boxes = tv.box_convert(_random(500, 27, torch.float64), "xyxy", source).to(dtype)
    if source == "xyxy":
        boxes[:, 2:] = torch.maximum(boxes[:, 2:], boxes[:, :2])
    assert torch.equal(ops.box_convert(boxes, source, target), tv.box_convert(boxes, source, target))


@pytest.mark.parametrize("dtype", [torch.int16, torch.int32, torch.int64, torch.uint8, torch.float16])
@pytest.mark.parametrize("source", ["xyxy", "xywh", "cxcywh"])
@pytest.mark.parametrize("target", ["xyxy", "xywh", "cxcywh"])
def test_conversion_gives_the_same_type(source, target, dtype):
    boxes = torch.tensor([[40, 50, 60, 70]]).to(dtype)
    mine, theirs = ops.box_convert(boxes, source, target), tv.box_convert(boxes, source, target)
    assert mine.dtype == theirs.dtype
    assert torch.equal(mine, theirs)


ROTATED = ["cxcywhr", "xywhr", "xyxyxyxy"]


@pytest.mark.parametrize("source", ROTATED)
@pytest.mark.parametrize("target", ROTATED)
@pytest.mark.parametrize("dtype", [torch.float64, torch.int64])
def test_rotated_formats(source, target, dtype):
    generator = torch.Generator().manual_seed(5)
    boxes = torch.cat(
        (tv.box_convert(_random(40, 5), "xyxy", "cxcywh"), torch.rand(40, 1, generator=generator) * 170), 1
    )
    try:
        boxes = tv.box_convert(boxes.double(), "cxcywhr", source).to(dtype)
        expected = tv.box_convert(boxes, source, target)
    except ValueError:
        pytest.skip("this torchvision has no rotated formats")
    # Whole numbers: an angle on the brink of two may be rounded either way.
    torch.testing.assert_close(
        ops.box_convert(boxes, source, target), expected, atol=1.0 if dtype == torch.int64 else 1e-4, rtol=1e-6
    )


@pytest.mark.parametrize("fmt", ROTATED)
def test_rotated_iou(fmt):
    if "fmt" not in tv.box_iou.__code__.co_varnames:
        pytest.skip("this torchvision has no rotated IoU")
    generator = torch.Generator().manual_seed(6)
    near = tv.box_convert(_clustered(60, 6), "xyxy", "cxcywh")
    boxes = torch.cat((near, torch.rand(60, 1, generator=generator) * 360 - 180), 1)
    boxes = tv.box_convert(boxes, "cxcywhr", fmt)
    mine, theirs = ops.box_iou(boxes, boxes, fmt), tv.box_iou(boxes, boxes, fmt)
    assert (theirs > 0.1).sum() > 200
    torch.testing.assert_close(mine, theirs, atol=2e-5, rtol=1e-4)


def test_clip_small_and_masks():
    boxes = _random(50, 7) - 100
    assert torch.equal(ops.clip_boxes_to_image(boxes, (200, 300)), tv.clip_boxes_to_image(boxes, (200, 300)))
    assert torch.equal(ops.remove_small_boxes(boxes, 40.0), tv.remove_small_boxes(boxes, 40.0))
    masks = torch.rand(20, 30, 40, generator=torch.Generator().manual_seed(8)) > 0.995
    assert torch.equal(ops.masks_to_boxes(masks), tv.masks_to_boxes(masks))


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.5, 0.7, 1.0])
@pytest.mark.parametrize("count", [0, 1, 10, 30, 130, 400, 1600, 3000])
@pytest.mark.parametrize("make", [_random, _clustered, _whole])
def test_nms_index_for_index(make, count, threshold):
    boxes, scores = make(count, count + 11), _scores(count, count)
    assert torch.equal(ops.nms(boxes, scores, threshold), tv.nms(boxes, scores, threshold))


@pytest.mark.parametrize("make", [_random, _clustered])
def test_nms_in_double_and_with_ties(make):
    boxes, scores = make(700, 12, torch.float64), _scores(700, 12).double()
    assert torch.equal(ops.nms(boxes, scores, 0.4), tv.nms(boxes, scores, 0.4))
    tied = (scores * 10).round()
    assert torch.equal(ops.nms(boxes, tied, 0.4), tv.nms(boxes, tied, 0.4))


@pytest.mark.parametrize("extent", [4.0, 40.0, 4000.0])
def test_nms_with_boxes_of_very_different_widths(extent):
    boxes = _random(2500, 13)
    boxes[:, 2] += extent * _scores(2500, 14) ** 4 * 10
    scores = _scores(2500, 15)
    for threshold in (0.1, 0.6, 0.9):
        assert torch.equal(ops.nms(boxes, scores, threshold), tv.nms(boxes, scores, threshold))


@pytest.mark.parametrize("classes", [1, 5, 80])
@pytest.mark.parametrize("count", [20, 900, 3000])
@pytest.mark.parametrize("make", [_random, _clustered])
def test_batched_nms(make, count, classes):
    boxes, scores = make(count, 16), _scores(count, 17)
    idxs = torch.randint(classes, (count,), generator=torch.Generator().manual_seed(18))
    expected = tv.boxes._batched_nms_vanilla(boxes, scores, idxs, 0.5)
    assert torch.equal(ops.batched_nms(boxes, scores, idxs, 0.5), expected)


def test_coder():
    boxes, anchors, weights = _random(50, 19), _random(50, 20), (10.0, 10.0, 5.0, 5.0)
    coder = BoxCoder(weights)
    deltas = coder.encode_single(boxes, anchors)
    torch.testing.assert_close(ops.encode_boxes(boxes, anchors), deltas)
    wild = deltas * 3  # some beyond the limit
    assert (wild[:, 2:] / 5 > 4.2).any()
    torch.testing.assert_close(ops.decode_boxes(wild, anchors), coder.decode_single(wild, anchors))


@pytest.mark.parametrize("low_quality", [False, True])
def test_matcher(low_quality):
    iou = tv.box_iou(_random(9, 21), _random(400, 22))
    iou = (iou * 20).round() / 20  # with equal entries
    theirs = Matcher(0.5, 0.3, low_quality)(iou)
    assert torch.equal(ops.match_argmax(iou, 0.5, 0.3, low_quality), theirs)


def test_bipartite_is_the_ssd_matcher_where_no_anchor_is_wanted_twice():
    anchors = _random(400, 23)
    boxes = anchors[::50] + 1.0
    iou = tv.box_iou(boxes, anchors)
    assert torch.equal(ops.match_bipartite(iou, 0.5), SSDMatcher(0.5)(iou))


@pytest.mark.parametrize("image", [(256, 320), (250, 333)])
def test_anchor_generator(image):
    maps = [torch.zeros(1, 1, 32, 40), torch.zeros(1, 1, 16, 20), torch.zeros(1, 1, 8, 11)]
    theirs = TorchvisionAnchors(((32, 40), (64, 80), (128, 160)), ((0.5, 1.0, 2.0),) * 3)
    expected = theirs(ImageList(torch.zeros(1, 3, *image), [image]), maps)[0]
    mine = ops.AnchorGenerator(
        [(32, 40), (64, 80), (128, 160)],
        [1 / 0.5, 1 / 1.0, 1 / 2.0],
        pairing="all_by_ratio",
        unit="pixel",
        offset=0.0,
        strides="floor",
        rounded=True,
    )
    assert mine.anchors_per_cell == theirs.num_anchors_per_location()
    assert torch.equal(torch.cat(mine(maps, image)), expected)


deprecated = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:FutureWarning")


@deprecated
@pytest.mark.parametrize("name", IOUS)
def test_torchscript(name):
    boxes = _random(20, 24)
    scripted = torch.jit.script(getattr(ops, name))
    torch.testing.assert_close(scripted(boxes, boxes), getattr(ops, name)(boxes, boxes))


@deprecated
def test_torchscript_of_the_others():
    boxes, scores = _clustered(50, 25), _scores(50, 26)
    classes = torch.arange(50) % 3
    batched = torch.jit.script(ops.batched_nms)(boxes, scores, classes, 0.5)
    assert torch.equal(batched, ops.batched_nms(boxes, scores, classes, 0.5))
    assert torch.equal(torch.jit.script(ops.nms)(boxes, scores, 0.5), ops.nms(boxes, scores, 0.5))
    assert torch.equal(torch.jit.script(ops.box_area)(boxes), ops.box_area(boxes))
    converted = torch.jit.script(ops.box_convert)(boxes, "xyxy", "cxcywh")
    assert torch.equal(converted, ops.box_convert(boxes, "xyxy", "cxcywh"))


def test_ops_never_import_torchvision():
    import subprocess
    import sys

    code = "import sys, cvlab.ops; cvlab.ops.nms; assert 'torchvision' not in sys.modules, 'torchvision was imported'"
    subprocess.run([sys.executable, "-c", code], check=True)
