"""Fast R-CNN by hand: a head that says what the test wants, proposals that the test gives."""

import math
import re

import pytest
import torch
from region_samples import fast, same, silenced, target

from cvlab._check import InputError
from cvlab.models import FastRCNN, faster_small

BOX = torch.tensor([[4.0, 4.0, 12.0, 20.0]])
IMAGE = torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(0))


def _saying(label, score_of_others=-9.0, **options):
    """Make a model that sees one class in every region."""
    model = fast(**options)
    with torch.no_grad():
        model.box_head.classes.bias.fill_(score_of_others)
        model.box_head.classes.bias[label] = 0.0
    return model


def test_regions_come_back_in_each_images_own_pixels():
    """Offsets 0: the detection is the proposal, through letterboxes of three factors and back."""
    images = [torch.rand(3, 64, 32), torch.rand(3, 16, 64), torch.rand(3, 8, 8)]
    proposals = [torch.tensor([[8.0, 16.0, 24.0, 48.0]]), torch.tensor([[4.0, 2.0, 20.0, 14.0]]), torch.eye(4)[:0]]
    found = _saying(2)(images, proposals=proposals)
    assert [each["boxes"].tolist() for each in found] == [p.tolist() for p in proposals]
    assert [each["labels"].tolist() for each in found] == [[2], [2], []]
    assert found[0]["scores"].item() == pytest.approx(1 / (1 + 2 * math.exp(-9)))


def test_offsets_by_hand():
    """A region of 8 x 16 pixels moves right by a quarter of its width, and grows to twice its height."""
    model = _saying(1)
    with torch.no_grad():  # weights 10, 10, 5, 5
        model.box_head.offsets.bias.view(3, 4)[1] = torch.tensor([10 * 0.25, 0.0, 0.0, 5 * math.log(2)])
    found = model([IMAGE], proposals=[BOX])[0]
    torch.testing.assert_close(found["boxes"], torch.tensor([[6.0, 0.0, 14.0, 28.0]]))  # y -4 is cut off


def test_suppression_is_by_class_and_the_number_is_limited():
    twice = torch.cat([BOX, BOX + 0.5])
    one = _saying(1)([IMAGE], proposals=[twice])[0]
    assert one["labels"].tolist() == [1]
    model = fast(score_thresh=0.3)  # all classes have 1 / 3
    assert sorted(model([IMAGE], proposals=[twice])[0]["labels"].tolist()) == [1, 2]
    model.detections_per_img = 1
    assert len(model([IMAGE], proposals=[twice])[0]["labels"]) == 1
    model.score_thresh = 0.34
    assert len(model([IMAGE], proposals=[twice])[0]["labels"]) == 0
    two = _saying(1)([IMAGE, IMAGE], proposals=[BOX, BOX])  # an image does not suppress another
    assert [len(each["labels"]) for each in two] == [1, 1]


def test_losses_by_hand():
    """All logits 0: log 3 for each region. The object at its own box has offset 0; half the box has log 2 in height."""
    proposals = torch.tensor([[4.0, 4.0, 12.0, 12.0], [20.0, 20.0, 30.0, 30.0]])
    model = fast(positive_share=1.0, rois_per_image=10).train()
    losses = model([IMAGE], [target(BOX.tolist(), [2]) | {"proposals": proposals}])
    assert losses["loss_classifier"].item() == pytest.approx(math.log(3))
    # IoU 1 / 2: the centre moves down by half the region's height, times 10; the height doubles, 5 log 2; less 1 / 18
    # each, as beta is 1 / 9; three regions
    assert losses["loss_box_reg"].item() == pytest.approx((5 + 5 * math.log(2) - 2 / 18) / 3, rel=1e-5)


def test_all_samples_background():
    model = fast(positive_share=0.0).train()
    losses = model([IMAGE], [target(BOX.tolist(), [2]) | {"proposals": BOX + 12}])
    assert losses["loss_box_reg"] == 0
    assert losses["loss_classifier"].item() == pytest.approx(math.log(3))
    sum(losses.values()).backward()
    slope = model.box_head.classes.bias.grad
    assert slope[0] < 0 < slope[1]  # the background's logit shall rise


def test_where_proposals_come_from():
    """Those of the call go before those of the targets, and these before the proposer's."""
    model = _saying(1, proposer=lambda image: torch.tensor([[0.0, 0.0, 8.0, 8.0]]))
    own = [{"proposals": torch.tensor([[0.0, 0.0, 16.0, 8.0]])}]
    assert model([IMAGE])[0]["boxes"].tolist() == [[0, 0, 8, 8]]
    assert model([IMAGE], own)[0]["boxes"].tolist() == [[0, 0, 16, 8]]
    assert model([IMAGE], own, [BOX])[0]["boxes"].tolist() == BOX.tolist()


def test_targets_are_left_as_they_are():
    image, given = torch.rand(3, 64, 64), target(BOX.tolist(), [2]) | {"proposals": BOX}
    before = {name: value.clone() for name, value in given.items()}
    fast().train()([image], [given])
    assert sorted(given) == sorted(before)
    assert all(torch.equal(given[name], value) for name, value in before.items())


def test_bytes_floats_one_image_and_many():
    torch.manual_seed(0)
    model = fast(num_classes=4, score_thresh=0.0)
    for parameter in model.box_head.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    images = [(torch.rand(3, 32, 32) * 255).byte(), (torch.rand(3, 32, 32) * 255).byte()]
    proposals = [torch.cat([BOX, BOX + 7]), torch.tensor([[1.0, 2.0, 30.0, 31.0]])]
    expected = model(images, proposals=proposals)
    assert len(expected[0]["boxes"]) >= 4
    same(model([image / 255 for image in images], proposals=proposals), expected)
    same([model([i], proposals=[p])[0] for i, p in zip(images, proposals, strict=True)], expected)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast(dtype):
    model = _saying(2)
    given = [target(BOX.tolist(), [2]) | {"proposals": BOX}]
    with torch.autocast("cpu", dtype):
        found = model([IMAGE], proposals=[BOX])[0]
        losses = model.train()([IMAGE], given)
    assert found["boxes"].tolist() == BOX.tolist()
    assert {found["boxes"].dtype, found["scores"].dtype, *(v.dtype for v in losses.values())} == {torch.float32}


def test_in_float64():
    model = _saying(2).double()
    found = model([IMAGE.double()], proposals=[BOX])[0]
    torch.testing.assert_close(found["boxes"].float(), BOX)
    losses = model.train()([IMAGE], [target(BOX.tolist(), [2]) | {"proposals": BOX}])
    assert all(value.isfinite() for value in losses.values())


def test_buffers_are_not_saved():
    model = fast()
    assert not {"mean", "std"} & set(model.state_dict())
    assert model.to("meta").mean.device.type == "meta"


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ([], "there must be one image or more, got none"),
        (torch.zeros(3, 32, 32), "images must be a list of (3, H, W), got one tensor (3, 32, 32)"),
        ([IMAGE, IMAGE[:1]], "image 1 must have shape (3, H, W), H and W at least 1, got (1, 32, 32)"),
        ([IMAGE[:, :0]], "image 0 must have shape (3, H, W), H and W at least 1, got (3, 0, 32)"),
        ([IMAGE.long()], "image 0 must be uint8, or float in [0, 1], got torch.int64"),
    ],
)
@pytest.mark.parametrize("training", [True, False])
def test_bad_images(images, message, training):
    with pytest.raises(InputError) as caught:
        fast().train(training)(images, [{}] * len(images))
    assert str(caught.value) == f"FastRCNN: {message}"


def test_images_and_proposals_that_are_no_tensors():
    with pytest.raises(TypeError, match="FastRCNN: image 1 must be a torch.Tensor, got str"):
        fast()([IMAGE, "photo.jpg"])
    with pytest.raises(TypeError, match="FastRCNN: image 0: proposals must be a torch.Tensor, got list"):
        fast()([IMAGE], proposals=[[[0, 0, 5, 5]]])


def test_no_targets():
    with pytest.raises(InputError, match=re.escape("FastRCNN: training needs a target for each of 1 images, got none")):
        fast().train()([IMAGE], proposals=[BOX])
    with pytest.raises(InputError, match="FastRCNN: training needs a target for each of 2 images, got 1"):
        fast().train()([IMAGE, IMAGE], [target(BOX.tolist(), [1])])


def test_a_backbone_of_several_widths_is_refused():
    model = silenced(faster_small(num_classes=3, hidden=4))
    model.backbone.channels = [64, 32]
    with pytest.raises(
        InputError, match=r"FastRCNN: the backbone must give maps of one width, got channels \[64, 32\]"
    ):
        FastRCNN(model.backbone, 3)
