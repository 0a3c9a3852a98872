"""Fast, Faster and Mask R-CNN: conventions, hard cases, bad input, and that they learn."""

import pytest
import torch
from torch import Tensor

from cvlab import engine, models, ops
from cvlab.data import StillLife
from cvlab.models._canvas import make_canvas
from cvlab.models.roi_keypoints import decode_keypoints, keypoint_cells, keypoint_loss

NAMES = {
    "fast": ["loss_box_reg", "loss_classifier"],
    "faster": ["loss_box_reg", "loss_classifier", "loss_objectness", "loss_rpn_box_reg"],
    "mask": ["loss_box_reg", "loss_classifier", "loss_mask", "loss_objectness", "loss_rpn_box_reg"],
}


def _model(kind, **options):
    torch.manual_seed(0)
    if kind == "fast":
        backbone, _ = models.small_parts()
        return models.FastRCNN(backbone, 11, hidden=32, **options)
    return {"faster": models.faster_small, "mask": models.mask_small}[kind](hidden=32, **options)


def _items(count=2, size=96):
    data = StillLife(size=size, split="val")
    images, targets = zip(*[data[i] for i in range(count)], strict=True)
    keys = ("boxes", "labels", "masks")
    plain = [{key: t[key].as_subclass(Tensor) for key in keys} for t in targets]
    return [image.as_subclass(Tensor) for image in images], plain


def _with_proposals(targets):
    return [t | {"proposals": torch.cat([t["boxes"] + 2, torch.tensor([[0.0, 0.0, 60.0, 50.0]])])} for t in targets]


@pytest.mark.parametrize("kind", NAMES)
def test_torchvisions_convention(kind):
    images, targets = _items()
    model = _model(kind)
    losses = model.train()(images, _with_proposals(targets) if kind == "fast" else targets)
    assert sorted(losses) == NAMES[kind]
    sum(losses.values()).backward()
    unused = {"rpn." if kind == "fast" else "-"}
    assert all(p.grad is not None or n.startswith(tuple(unused)) for n, p in model.named_parameters())
    given = [t["boxes"] for t in targets] if kind == "fast" else None
    with torch.no_grad():
        found = model.eval()(images, proposals=given)
    for each, image in zip(found, images, strict=True):
        assert (each["boxes"][:, 2:] > each["boxes"][:, :2]).all()
        assert each["boxes"].min() >= 0
        assert each["boxes"].max() <= 96
        assert each["scores"].tolist() == sorted(each["scores"].tolist(), reverse=True)
        assert 1 <= int(each["labels"].min()) <= int(each["labels"].max()) <= 10
        if kind == "mask":
            assert each["masks"].shape == (len(each["boxes"]), 1, *image.shape[1:])
            assert 0 <= each["masks"].min() <= each["masks"].max() <= 1


@pytest.mark.parametrize("kind", ["faster", "mask"])
def test_images_of_any_size_and_type_and_none_with_objects(kind):
    images = [torch.rand(3, 50, 200), (torch.rand(3, 77, 40) * 255).byte(), torch.rand(3, 1, 1)]
    none = [
        {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0).long(), "masks": torch.zeros(0, *i.shape[1:]).bool()}
        for i in images
    ]
    model = _model(kind, size=64)
    losses = model.train()(images, none)
    assert all(torch.isfinite(value) for value in losses.values())
    assert losses["loss_box_reg"] == losses["loss_rpn_box_reg"] == 0
    assert kind == "faster" or losses["loss_mask"] == 0
    sum(losses.values()).backward()
    with torch.no_grad():
        found = model.eval()(images)
    for each, image in zip(found, images, strict=True):
        height, width = image.shape[1:]
        assert each["boxes"][:, [0, 2]].max() <= width
        assert each["boxes"][:, [1, 3]].max() <= height
        if kind == "mask":
            assert each["masks"].shape[2:] == (height, width)


def test_no_proposals_at_all():
    images, targets = _items()
    model = _model("fast")
    with torch.no_grad():
        found = model.eval()(images, proposals=[torch.zeros(0, 4), torch.zeros(0, 4)])
    assert [len(each["boxes"]) for each in found] == [0, 0]
    losses = model.train()(images, [t | {"proposals": torch.zeros(0, 4)} for t in targets])  # the objects themselves
    assert torch.isfinite(sum(losses.values()))
    mask = _model("mask").eval()
    with torch.no_grad():
        found = mask(images, proposals=[torch.zeros(0, 4), targets[1]["boxes"]])
    assert found[0]["masks"].shape == (0, 1, 96, 96)


def test_proposals_outside_the_picture_are_dropped():
    """A region that clipping leaves without area can hold nothing, and would have no log of its width."""
    images, targets = _items(1)
    outside = torch.tensor([[-50.0, -50.0, -10.0, -10.0], [95.9, 10.0, 300.0, 40.0], [200.0, 0.0, 300.0, 50.0]])
    model = _model("fast").eval()
    with torch.no_grad():
        assert len(model(images, proposals=[outside])[0]["boxes"]) == 0
    losses = model.train()(images, [targets[0] | {"proposals": outside}])
    assert torch.isfinite(sum(losses.values()))


def test_a_proposer_is_asked_for_each_image():
    images, targets = _items()
    asked = []

    def proposer(image):
        asked.append(image)
        return torch.tensor([[10.0, 10.0, 60.0, 60.0]])

    model = _model("fast", proposer=proposer).eval()
    with torch.no_grad():
        model(images)
    assert len(asked) == 2
    assert asked[0] is images[0]


def test_canvas_by_hand():
    """A picture twice as wide as high: enlarged by 2 to 64 x 32, 16 rows of padding above and below."""
    image, mean, std = torch.full((3, 16, 32), 0.75), torch.full((3, 1, 1), 0.5), torch.full((3, 1, 1), 0.25)
    canvas = make_canvas([image], (64, 64), None, mean, std, True)
    assert canvas.areas.tolist() == [[0, 16, 64, 48]]
    assert canvas.batch[0, :, 16:48].unique().tolist() == [1.0]
    assert canvas.batch[0, :, :16].unique().tolist() == [0.0]
    free = make_canvas([image, torch.rand(3, 20, 20)], (32, 32), 48, mean, std, True)  # 48 is the longest side
    assert [plan.content for plan in free.plans] == [(24, 48), (32, 32)]
    assert free.size == (32, 64)  # multiples of 32


def test_masks_come_back_in_the_pictures_own_pixels():
    """Where box and mask are known, so is the pasted mask: all ones fill their box."""
    model = _model("mask", size=64).eval()
    model.on_canvas = lambda maps, boxes, canvas: [
        {"boxes": torch.tensor([[10.0, 20.0, 30.0, 40.0]]), "scores": torch.ones(1), "labels": torch.ones(1).long()}
    ]
    model.mask_head.forward = lambda regions: torch.full((1, 11, 28, 28), 50.0)
    with torch.no_grad():
        found = model([torch.rand(3, 16, 32)])[0]  # enlarged by 2, 16 rows of padding
    assert found["boxes"].tolist() == [[5.0, 2.0, 15.0, 12.0]]
    inside = found["masks"][0, 0] > 0.5
    assert ops.masks_to_boxes(inside[None], half_open=True).tolist() == [[5.0, 2.0, 15.0, 12.0]]


@pytest.mark.parametrize("kind", ["faster", "mask"])
def test_same_seed_same_losses_and_state(kind):
    images, targets = _items()
    model, again = _model(kind).train(), _model(kind).train()
    again.load_state_dict(model.state_dict())
    losses = []
    for each in (model, again):
        torch.manual_seed(3)
        losses.append({name: value.item() for name, value in each(images, targets).items()})
    assert losses[0] == losses[1]


def test_in_bfloat16_and_channels_last():
    images, targets = _items()
    model = _model("mask").to(memory_format=torch.channels_last).train()
    with torch.autocast("cpu", torch.bfloat16):
        losses = model(images, targets)
    assert all(value.dtype == torch.float32 for value in losses.values())
    sum(losses.values()).backward()


BOX = torch.tensor([[10.0, 10.0, 40.0, 40.0]])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"boxes": torch.tensor([[10.0, 4.0, 10.0, 9.0]])},
            r"MaskRCNN: target 1: box \[0\] has x2 <= x1|box .*x2 <= x1",
        ),
        ({"labels": torch.tensor([11])}, "target 1: label 0 must lie from 1 to 10"),
        ({"labels": torch.tensor([1, 2])}, "labels must have shape"),
        ({"masks": torch.zeros(1, 95, 96).bool()}, r"target 1: masks must have shape \(1, 96, 96\), got \(1, 95, 96\)"),
        ({"masks": torch.zeros(2, 96, 96).bool()}, r"masks must have shape \(1, 96, 96\), got \(2, 96, 96\)"),
        ({"masks": torch.zeros(1, 96, 96)}, "masks must be bool, or integers 0 and 1, got torch.float32"),
        ({"masks": torch.full((1, 96, 96), 7)}, "masks must be bool, or integers 0 and 1"),
        ({"masks": None}, "target 1 must have 'masks'"),
    ],
)
def test_bad_targets(change, message):
    images, targets = _items()
    bad = {"boxes": BOX, "labels": torch.tensor([1]), "masks": torch.zeros(1, 96, 96).bool(), **change}
    bad = {name: value for name, value in bad.items() if value is not None}
    model = _model("mask").train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises((ValueError, TypeError), match=message):
        model(images, [targets[0], bad])
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize(
    ("proposals", "message"),
    [
        ([BOX], "proposals for 2 images, got 1"),
        ([BOX, torch.zeros(2, 5)], r"image 1: proposals must have shape \(P, 4\), got \(2, 5\)"),
        ([BOX, torch.tensor([[0.0, float("nan"), 1.0, 1.0]])], "image 1: proposals.* not finite"),
        ([BOX, torch.tensor([[5.0, 0.0, 1.0, 1.0]])], "image 1: proposals.* has x2 < x1"),
        (None, "proposals for each image, or a proposer"),
    ],
)
def test_bad_proposals(proposals, message):
    images, _ = _items()
    with pytest.raises(ValueError, match=message):
        _model("fast").eval()(images, proposals=proposals)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pool": "max"}, "FasterRCNN: pool must be one of align, pool, got 'max'"),
        ({"score_thresh": 2}, r"score_thresh must lie in \[0, 1\]"),
        ({"rois_per_image": 0}, "rois_per_image"),
        ({"size": (10,)}, r"size must be \(height, width\)"),
        ({"num_classes": 1}, "num_classes counts the background, so it is at least 2, got 1"),
    ],
)
def test_bad_settings(options, message):
    with pytest.raises(ValueError, match=message):
        models.faster_small(**options)


def test_pool_needs_one_map():
    backbone = models.Necked(models.SmallBackbone(), "fpn", 16)
    assert backbone.channels == [16, 16, 16]
    with pytest.raises(ValueError, match="the backbone must give one map"):
        models.FastRCNN(backbone, 3, pool="pool")
    with pytest.raises(ValueError, match="maps of one width"):
        models.FastRCNN(models.SmallBackbone(), 3)
    model = models.FastRCNN(models.small_parts()[0], 11, pool="pool", hidden=16).eval()
    images, targets = _items(1)
    with torch.no_grad():
        assert model(images, proposals=[targets[0]["boxes"]])[0]["boxes"].shape[1] == 4


def test_a_pyramid_trains():
    backbone = models.Necked(models.SmallBackbone((8, 8, 16, 16), (1, 1, 1)), "fpn_extra", 16)
    anchors = ops.AnchorGenerator([(0.1,), (0.2,), (0.4,), (0.6,)], [1.0])
    model = models.MaskRCNN(backbone, 11, models.RegionProposals(16, anchors), size=96, mask_widths=(8,), hidden=16)
    images, targets = _items()
    sum(model.train()(images, targets).values()).backward()
    assert all(p.grad is not None for p in model.backbone.neck.smooth.parameters())


def test_it_learns_two_pictures_by_heart():
    images, targets = _items(2, 128)
    torch.manual_seed(0)
    model = models.mask_small()
    models.load_backbone(model, "ssd_small")
    before = ops.box_iou(targets[0]["boxes"], model.eval().propose(images)[0]["boxes"][:10]).amax(1).mean()
    data = list(zip(images, targets, strict=True))
    engine.fit(model, data, steps=150, batch_size=2, learning_rate=2e-3, warmup=5, progress=False)
    with torch.no_grad():
        found = model(images)
    for each, target in zip(found, targets, strict=True):
        sure = each["scores"] > 0.3
        overlap = ops.box_iou(target["boxes"], each["boxes"][sure])
        assert (overlap.amax(1) > 0.7).float().mean() >= 0.75
        hit = overlap.amax(1) > 0.7
        assert torch.equal(each["labels"][sure][overlap.argmax(1)][hit], target["labels"][hit])
        masks = ops.mask_iou(target["masks"], each["masks"][sure][:, 0] > 0.5)
        assert masks.amax(1)[hit].mean() > 0.75
    after = ops.box_iou(targets[0]["boxes"], model.propose(images)[0]["boxes"][:10]).amax(1).mean()
    assert after > before + 0.1


def test_key_points():
    data = StillLife(size=96, split="val")
    keys = ("boxes", "labels", "masks", "keypoints", "keypoints_visible")
    items = [
        ({key: data[i][1][key].as_subclass(Tensor) for key in keys}, data[i][0].as_subclass(Tensor)) for i in (0, 1)
    ]
    targets, images = zip(*items, strict=True)
    model = _model("mask", keypoints=StillLife.KEYPOINTS, keypoint_widths=(8,))
    losses = model.train()(list(images), list(targets))
    assert losses["loss_keypoint"].item() == pytest.approx(6.66, abs=1.5)  # log(28 * 28): nothing is known yet
    sum(losses.values()).backward()
    with torch.no_grad():
        found = model.eval()(list(images))
    for each in found:
        assert each["keypoints"].shape == (len(each["boxes"]), 3, 2)
        low, high = each["boxes"][:, None, :2], each["boxes"][:, None, 2:]
        assert ((each["keypoints"] >= low) & (each["keypoints"] <= high)).all()
        assert (each["keypoints_scores"] > 0).all()
    hidden = [{**t, "keypoints_visible": torch.zeros_like(t["keypoints_visible"])} for t in targets]
    assert model.train()(list(images), hidden)["loss_keypoint"] == 0
    with pytest.raises(ValueError, match="MaskRCNN: target 0 must have 'keypoints'"):
        model(list(images), [{key: t[key] for key in keys[:3]} for t in targets])
    with pytest.raises(ValueError, match=r"keypoints must have shape \(\d, 3, 2\), for stem, tip, centre"):
        model(list(images), [{**t, "keypoints": t["keypoints"][:, :2]} for t in targets])
    with pytest.raises(ValueError, match="keypoints must be names, or a number of at least 0, got -1"):
        _model("mask", keypoints=-1)


def test_points_and_cells_by_hand():
    """A region of 20 x 40 pixels in 4 x 4 cells: a cell is 5 wide and 10 high."""
    box = torch.tensor([[10.0, 20.0, 30.0, 60.0]])
    points = torch.tensor([[[17.0, 45.0], [29.9, 59.9], [30.0, 40.0], [9.0, 40.0]]])
    seen = torch.tensor([[True, True, True, True]])
    assert keypoint_cells(points, seen, box, 4).tolist() == [[2 * 4 + 1, 15, -1, -1]]
    assert keypoint_cells(points, ~seen, box, 4).tolist() == [[-1] * 4]
    logits = torch.zeros(1, 1, 4, 4)
    logits[0, 0, 2, 1], logits[0, 0, 2, 2], logits[0, 0, 1, 1] = 9.0, 5.0, 3.0
    found, score = decode_keypoints(logits, box)
    # the middle of cell (2, 1) is x = 10 + 1.5 * 5, y = 20 + 2.5 * 10; a quarter to the right and up
    assert found[0, 0].tolist() == [17.5 + 1.25, 45 - 2.5]
    assert score.item() == pytest.approx(logits.flatten().softmax(0).max().item())
    loss = keypoint_loss(logits, torch.tensor([[9]]))
    assert loss.item() == pytest.approx(-logits.flatten().log_softmax(0)[9].item())
    assert keypoint_loss(logits, torch.tensor([[-1]])) == 0
