"""Faster and Mask R-CNN: hard cases, a mirrored picture, masks that are one pixel off, and what is kept."""

import pytest
import torch
from region_samples import mask, same, target
from torch import nn

from cvlab import weights
from cvlab.models import faster_small
from cvlab.ops import masks_to_boxes


@pytest.fixture
def images():
    g = torch.Generator().manual_seed(0)
    return [torch.rand(3, h, w, generator=g) for h, w in ((32, 32), (20, 40), (64, 48))]


def _targets(images):
    return [target([[4, 4, 16, 18], [2, 10, 14, 19]], [1, 2], image.shape[1:]) for image in images]


def test_a_network_that_proposes_nothing(images):
    """It still learns from the objects' own boxes, and finds nothing."""
    model = mask()
    model.rpn.min_size = 1000.0
    found = model(images)
    for each, image in zip(found, images, strict=True):
        assert {name: tuple(value.shape) for name, value in each.items()} == {
            "boxes": (0, 4), "scores": (0,), "labels": (0,), "masks": (0, 1, *image.shape[1:]),
        }  # fmt: skip
    losses = model.train()(images, _targets(images))
    assert all(value.isfinite() for value in losses.values())
    assert losses["loss_mask"] > 0
    sum(losses.values()).backward()


def test_all_samples_background(images):
    """No region has an object, so there is no mask to learn; the loss is 0, and a sum of losses has all its slopes."""
    losses = mask(positive_share=0.0).train()(images, _targets(images))
    assert losses["loss_mask"] == losses["loss_box_reg"] == 0
    assert losses["loss_mask"].requires_grad
    sum(losses.values()).backward()


def test_given_proposals_take_the_place_of_its_own(images):
    model, boxes = mask(score_thresh=0.0), torch.tensor([[2.0, 3.0, 14.0, 17.0]])
    losses = model.train()(images, _targets(images), [boxes] * 3)
    assert sorted(losses) == ["loss_box_reg", "loss_classifier", "loss_mask"]
    for parameter in model.box_head.offsets.parameters():
        nn.init.zeros_(parameter)
    found = model.eval()(images, proposals=[boxes] * 3)
    for each in found:
        assert each["labels"].sort().values.tolist() == [1, 2]
        torch.testing.assert_close(each["boxes"], boxes.expand(2, 4), atol=1e-4, rtol=0)


def test_proposals_are_in_each_images_own_pixels(images):
    """The proposals on the canvas, each without its padding and its enlargement."""
    model = mask()
    whole = [
        torch.tensor([[0.0, 0.0, 32.0, 32.0]]),
        torch.tensor([[0.0, 8.0, 32.0, 24.0]]),
        torch.tensor([[4.0, 0, 28, 32]]),
    ]
    model.rpn.forward = lambda maps, size, areas: (whole, [torch.ones(1)] * 3, None)
    for each, image in zip(model.propose(images), images, strict=True):
        assert each["boxes"].tolist() == [[0, 0, image.shape[2], image.shape[1]]]
        assert each["scores"].tolist() == [1.0]


def _mirror(boxes, width):
    return torch.stack((width - boxes[:, 2], boxes[:, 1], width - boxes[:, 0], boxes[:, 3]), 1)


def test_a_mirrored_picture_has_mirrored_detections():
    """With weights that are the same from the left and from the right; numbers agree to 1e-3.

    Images fill the canvas: in the padding all anchors of a row are alike, and ties go to the left.
    """
    g = torch.Generator().manual_seed(0)
    images = [torch.rand(3, side, side, generator=g) for side in (32, 50, 16)]
    model = mask(score_thresh=0.4)
    with torch.no_grad():
        for layer in model.modules():
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
                layer.weight.copy_((layer.weight + layer.weight.flip(-1)) / 2)
        first = model.box_head.first.weight.view(16, 3, 4, 4)
        first.copy_((first + first.flip(-1)) / 2)
        for layer in (model.rpn.head.offsets, model.box_head.offsets):
            layer.weight.view(-1, 4, *layer.weight.shape[1:])[:, 0] = 0  # nothing moves to one side
            layer.bias.view(-1, 4)[:, 0] = 0
    expected = model(images)
    found = model([image.flip(2) for image in images])
    assert sum(len(each["boxes"]) for each in expected) > 10
    back = [
        each | {"boxes": _mirror(each["boxes"], image.shape[2]), "masks": each["masks"].flip(3)}
        for each, image in zip(found, images, strict=True)
    ]
    same(back, expected, atol=1e-3)


def test_a_mask_one_pixel_off_costs_what_it_should():
    """A region of 8 x 8 pixels and cells, in it an object of 4 x 4; the head says with logits of 50 where it is."""
    model, image = mask(positive_share=1.0).train(), torch.rand(3, 32, 32)
    given = {"boxes": torch.tensor([[8.0, 8.0, 16.0, 16.0]]), "labels": torch.tensor([1])}
    true = torch.zeros(1, 32, 32, dtype=torch.bool)
    true[:, 10:14, 10:14] = True
    answer = torch.full((1, 3, 8, 8), -50.0)
    answer[:, 1, 2:6, 2:6] = 50.0
    model.mask_head.forward = lambda regions: answer
    nothing = [torch.zeros(0, 4)]
    assert model([image], [given | {"masks": true}], nothing)["loss_mask"].item() == pytest.approx(0, abs=1e-6)
    # one to the right: a column of 4 is missing and one of 4 too many, 50 each, of 64 cells
    off = model([image], [given | {"masks": true.roll(1, 2)}], nothing)["loss_mask"]
    assert off.item() == pytest.approx(8 * 50 / 64)
    half = model([image], [given | {"boxes": given["boxes"] + torch.tensor([0.5, 0, 0.5, 0]), "masks": true}], nothing)
    assert half["loss_mask"].item() == pytest.approx(4 * 50 / 64)  # half of each cell in two columns


def test_the_mask_is_that_of_the_detections_class(images):
    """The head fills the masks of class 2 and leaves those of class 1 empty."""
    model, boxes = mask(score_thresh=0.0), torch.tensor([[4.0, 4.0, 12.0, 16.0]])
    for parameter in model.box_head.offsets.parameters():
        nn.init.zeros_(parameter)
    model.mask_head.forward = lambda regions: (
        torch.tensor([9.0, -50.0, 50.0]).view(1, 3, 1, 1).expand(len(regions), 3, 8, 8)
    )
    found = model(images[:1], proposals=[boxes])[0]
    one, two = ((found["labels"] == label).nonzero().item() for label in (1, 2))
    assert not (found["masks"][one] > 0.5).any()
    assert masks_to_boxes(found["masks"][two] > 0.5, half_open=True).tolist() == boxes.tolist()


def test_key_points_in_the_images_own_pixels():
    """An image of 8 x 16 pixels, twice as large on the canvas; a region of 8 x 4 pixels in 8 x 8 cells."""
    model = mask(keypoints=["tip"], keypoint_widths=(4,), score_thresh=0.0, positive_share=1.0, detections_per_img=1)
    for parameter in model.box_head.offsets.parameters():
        nn.init.zeros_(parameter)
    answer = torch.zeros(1, 1, 8, 8)
    answer[0, 0, 3, 5] = 50.0
    model.keypoint_head.forward = lambda regions: answer
    image, boxes = torch.rand(3, 8, 16), torch.tensor([[4.0, 2.0, 12.0, 6.0]])
    found = model([image], proposals=[boxes])[0]
    assert found["boxes"].tolist() == boxes.tolist()
    assert found["keypoints"].tolist() == [[[4 + 5.5, 2 + 3.5 / 2]]]  # the cell's middle
    assert found["keypoints_scores"].tolist() == [[1.0]]
    given = target(boxes.tolist(), [1], (8, 16))
    model.train()
    for x, loss in ((9.0, 0), (9.9, 0), (10.0, 50)):  # the next cell begins at 10
        points = {"keypoints": torch.tensor([[[x, 3.6, 2.0]]])}
        assert model([image], [given | points], [boxes[:0]])["loss_keypoint"].item() == pytest.approx(loss, abs=1e-6)
    with pytest.raises(TypeError, match="MaskRCNN: target 0: keypoints must be a torch.Tensor, got list"):
        model([image], [given | {"keypoints": [[1.0, 2.0, 1.0]]}])
    with pytest.raises(ValueError, match="MaskRCNN: target 0 must have 'keypoints_visible'"):
        model([image], [given | {"keypoints": torch.zeros(1, 1, 2)}])


def test_state_is_all_there_is(images):
    model, again = mask(), mask(num_classes=3)
    for parameter in again.parameters():
        nn.init.normal_(parameter)
    again.load_state_dict(model.state_dict())
    same(again(images), model(images), atol=0)


def test_one_image_and_many(images):
    model = mask()
    same([model([image])[0] for image in images], model(images))


def test_channels_last_gives_the_same(images):
    model = mask()
    expected = model(images)
    same(model.to(memory_format=torch.channels_last)(images), expected)


def test_autocast_finds_in_float32(images):
    with torch.autocast("cpu", torch.bfloat16):
        found = mask(keypoints=2, keypoint_widths=(4,))(images)
    assert {value.dtype for each in found for name, value in each.items() if name != "labels"} == {torch.float32}


def test_in_float64(images):
    model = mask(keypoints=2, keypoint_widths=(4,)).double()
    found = model(images)
    assert all(bool(each["boxes"].isfinite().all()) for each in found)
    points = {"keypoints": torch.full((2, 2, 2), 9.0), "keypoints_visible": torch.ones(2, 2)}
    losses = model.train()(images, [t | points for t in _targets(images)])
    assert all(value.isfinite() for value in losses.values())


def test_shipped_weights_are_for_their_classes():
    if "faster_small" not in weights.names():
        pytest.skip("faster_small has not been trained yet")
    with pytest.raises(ValueError, match="the weights 'faster_small' are for 11 classes with the background, got num_"):
        faster_small(5, weights="faster_small")
