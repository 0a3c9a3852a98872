"""The SSD300 on VGG-16 with torchvision's weights gives what torchvision's gives."""

import pytest
import torch
from torchvision.models.detection import ssd300_vgg16 as torchvision_ssd300
from torchvision.models.detection.image_list import ImageList

from cvlab._check import InputError
from cvlab.models.ssd_vgg import SSD300Anchors, from_torchvision, ssd300_vgg16

COARSE = (38, 19, 10, 5, 3, 1)


@pytest.fixture(scope="module")
def theirs():
    """Make torchvision's model with random weights, whose boxes stay near their anchors, as trained ones do."""
    torch.manual_seed(0)
    model = torchvision_ssd300(weights=None, weights_backbone=None).eval()
    for conv in model.head.regression_head.module_list:
        conv.weight.data.mul_(0.1)
    return model


@pytest.fixture(scope="module")
def ours(theirs):
    return ssd300_vgg16(state_dict=theirs.state_dict())


@pytest.fixture(scope="module")
def images():
    """Two pictures with large and small patches; one is shrunk in one direction, the other enlarged in both."""
    generator = torch.Generator().manual_seed(1)
    made = [torch.rand(1, 3, *size, generator=generator) for size in ((20, 30), (30, 24))]
    sizes = ((240, 400), (280, 200))
    return [torch.nn.functional.interpolate(m, size)[0] for m, size in zip(made, sizes, strict=True)]


def test_anchors(theirs):
    maps = [torch.zeros(1, 1, side, side) for side in COARSE]
    expected = theirs.anchor_generator(ImageList(torch.zeros(1, 3, 300, 300), [(300, 300)]), maps)[0]
    made = SSD300Anchors()([(side, side) for side in COARSE], (300, 300))
    assert [len(m) for m in made] == [5776, 2166, 600, 150, 36, 4]
    torch.testing.assert_close(torch.cat(made), expected, atol=1e-4, rtol=0)
    assert SSD300Anchors().anchors_per_cell == theirs.anchor_generator.num_anchors_per_location()


def test_detections(theirs, ours, images):
    with torch.no_grad():
        expected, found = theirs(images), ours(images)
    for one, other in zip(found, expected, strict=True):
        assert len(one["boxes"]) == 200
        assert len(one["labels"].unique()) > 5
        assert one["scores"].max() - one["scores"].min() > 0.05
        assert torch.equal(one["labels"], other["labels"])
        torch.testing.assert_close(one["scores"], other["scores"], atol=1e-4, rtol=0)
        torch.testing.assert_close(one["boxes"], other["boxes"], atol=1e-4, rtol=1e-6)


def test_losses(theirs, ours, images):
    """One picture is enough: three objects, none of which wants another's anchor."""
    boxes = torch.tensor([[20.0, 30.0, 180.0, 200.0], [250.0, 40.0, 390.0, 230.0], [5.0, 180.0, 40.0, 220.0]])
    targets = [{"boxes": boxes, "labels": torch.tensor([3, 90, 1])}]
    try:
        with torch.no_grad():
            expected, made = theirs.train()(images[:1], targets), ours.train()(images[:1], targets)
    finally:
        theirs.eval()
        ours.eval()
    assert sorted(made) == sorted(expected)
    for name, value in made.items():
        assert value.item() == pytest.approx(expected[name].item(), rel=1e-4), name


def test_parameters_are_torchvisions(theirs, ours):
    assert sum(p.numel() for p in ours.parameters()) == sum(p.numel() for p in theirs.parameters()) == 35_641_826
    renamed = from_torchvision(theirs.state_dict())
    assert sorted(renamed) == sorted(ours.state_dict())
    assert from_torchvision(renamed) == renamed  # once renamed, it stays
    for name in ("score_thresh", "nms_thresh", "topk_candidates", "detections_per_img"):
        assert getattr(ours, name) == getattr(theirs, name), name
    assert ours.iou_thresh == theirs.proposal_matcher.high_threshold == 0.5
    assert ours.mean.flatten().tolist() == pytest.approx(theirs.transform.image_mean)
    assert ours.std.flatten().tolist() == pytest.approx(theirs.transform.image_std)


def test_weights_that_do_not_fit(theirs):
    state = dict(theirs.state_dict())
    with pytest.raises(InputError) as caught:
        ssd300_vgg16(21, state_dict=state)
    assert str(caught.value) == "ssd300_vgg16: the weights are for 91 classes, got num_classes=21"
    state["extra"] = state.pop("head.classification_head.module_list.3.bias")
    with pytest.raises(InputError) as caught:
        from_torchvision(state)
    assert str(caught.value) == (
        "from_torchvision: these are not the weights of an ssd300_vgg16: 1 key missing (head.classes.3.bias) and 1 key "
        "too many (extra)"
    )
    with pytest.raises(InputError, match=r"71 keys missing \(backbone.scale_weight, .*, \.\.\.\)$"):
        from_torchvision({})
