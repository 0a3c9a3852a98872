"""What an SSD refuses, and how it says so."""

import math
import re

import pytest
import torch
from ssd_samples import Averages, by_hand

from cvlab import weights
from cvlab._check import InputError
from cvlab.losses import MultiBoxLoss
from cvlab.models import SSD, ssd_small
from cvlab.models.ssd import load_weights
from cvlab.ops import AnchorGenerator

TWO = AnchorGenerator([(0.5,), (0.5,)])
IMAGE = torch.zeros(3, 32, 32)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_classes": 1}, "num_classes counts the background, so it is at least 2, got 1"),
        ({"anchors": AnchorGenerator([(0.5,)])}, "the backbone gives 2 maps, but there are anchors for 1"),
        ({"size": 15}, "size must be at least the deepest map's stride, 16 pixels, got (15, 15)"),
        ({"size": (64, 8)}, "size must be at least the deepest map's stride, 16 pixels, got (64, 8)"),
        ({"size": (64,)}, "size must be (height, width), got 1 numbers"),
        ({"size": (64, -1)}, "size[1] must be finite and above 0, got -1"),
        ({"resize": "crop"}, "resize must be one of letterbox, stretch, got 'crop'"),
        ({"iou_thresh": 1.5}, "iou_thresh must lie in [0, 1], got 1.5"),
        ({"score_thresh": math.nan}, "score_thresh must lie in [0, 1], got nan"),
        ({"nms_thresh": -0.1}, "nms_thresh must lie in [0, 1], got -0.1"),
        ({"topk_candidates": 0}, "topk_candidates, detections_per_img[0] must be finite and above 0, got 0"),
        ({"detections_per_img": -5}, "topk_candidates, detections_per_img[1] must be finite and above 0, got -5"),
    ],
)
def test_settings(options, message):
    with pytest.raises(InputError) as caught:
        SSD(Averages(), **{"num_classes": 3, "anchors": TWO, "size": 16, **options})
    assert str(caught.value) == f"SSD: {message}"


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ([], "there must be one image or more, got none"),
        (torch.zeros(3, 32, 32), "images must be a list of (3, H, W), got one tensor (3, 32, 32)"),
        ([IMAGE, torch.zeros(1, 32, 32)], "image 1 must have shape (3, H, W), H and W at least 1, got (1, 32, 32)"),
        ([torch.zeros(32, 32, 3)], "image 0 must have shape (3, H, W), H and W at least 1, got (32, 32, 3)"),
        ([torch.zeros(3, 0, 32)], "image 0 must have shape (3, H, W), H and W at least 1, got (3, 0, 32)"),
        ([torch.zeros(3, 8, 8).long()], "image 0 must be uint8, or float in [0, 1], got torch.int64"),
    ],
)
@pytest.mark.parametrize("training", [True, False])
def test_images(images, message, training):
    with pytest.raises(InputError) as caught:
        by_hand().train(training)(images, [{}] * len(images))
    assert str(caught.value) == f"SSD: {message}"


def test_an_image_that_is_no_tensor():
    with pytest.raises(TypeError, match="SSD: image 1 must be a torch.Tensor, got str"):
        by_hand()([IMAGE, "photo.jpg"])


INTEGERS = "signed integers, such as torch.int64, got torch.float32"
GOOD = {"boxes": torch.tensor([[1.0, 1.0, 9.0, 9.0]]), "labels": torch.tensor([1])}


def bad(**changes):
    return {**GOOD, **changes}


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ({"labels": torch.tensor([1])}, "target 1 must have 'boxes', got ['labels']"),
        ({"boxes": torch.zeros(0, 4)}, "target 1 must have 'labels', got ['boxes']"),
        (bad(boxes=torch.zeros(1, 5)), "target 1: boxes must have shape (G, 4), got (1, 5)"),
        (bad(boxes=torch.zeros(0, 4)), "target 1: labels must have shape (0,), one for each box, got (1,)"),
        (bad(labels=torch.tensor([1, 2])), "target 1: labels must have shape (1,), one for each box, got (2,)"),
        (bad(labels=torch.tensor([])), f"target 1: labels must be {INTEGERS}"),
        (bad(labels=torch.tensor([1.0])), f"target 1: labels must be {INTEGERS}"),
        (bad(boxes=torch.tensor([[1, math.nan, 9, 9]])), "target 1: box [0] is not finite: [1, nan, 9, 9]"),
        (bad(boxes=torch.tensor([[9.0, 1, 9, 9]])), "target 1: box [0] has x2 <= x1: [9, 1, 9, 9]"),
        (bad(boxes=torch.tensor([[1.0, 9, 9, 2]])), "target 1: box [0] has y2 <= y1: [1, 9, 9, 2]"),
        (bad(labels=torch.tensor([0])), "target 1: label 0 must lie from 1 to 2 (0 is the background), got 0"),
        (bad(labels=torch.tensor([3])), "target 1: label 0 must lie from 1 to 2 (0 is the background), got 3"),
        (bad(labels=torch.tensor([-1])), "target 1: label 0 must lie from 1 to 2 (0 is the background), got -1"),
    ],
)
def test_targets(target, message):
    with pytest.raises(InputError) as caught:
        by_hand(3).train()([IMAGE, IMAGE], [GOOD, target])
    assert str(caught.value) == f"SSD: {message}"


def test_the_box_at_fault_is_named():
    boxes = torch.tensor([[1.0, 1, 9, 9], [2, 2, 8, 8], [5, 5, 4, 9]])
    with pytest.raises(InputError, match=re.escape("target 0: box [2] has x2 <= x1: [5, 5, 4, 9]")):
        by_hand().train()([IMAGE], [{"boxes": boxes, "labels": torch.tensor([1, 1, 1])}])


def test_boxes_that_are_no_tensor():
    with pytest.raises(TypeError, match="SSD: target 0: boxes must be a torch.Tensor, got list"):
        by_hand().train()([IMAGE], [bad(boxes=[[1, 1, 9, 9]])])


@pytest.mark.parametrize(("targets", "got"), [(None, "none"), ([GOOD], "1")])
def test_training_needs_targets(targets, got):
    with pytest.raises(InputError) as caught:
        by_hand().train()([IMAGE, IMAGE], targets)
    assert str(caught.value) == f"SSD: training needs a target for each of 2 images, got {got}"


def test_offsets_that_are_nan_give_a_loss_that_is_nan():
    model = by_hand(loss=MultiBoxLoss(box="giou")).train()
    model.head.offsets[0].bias.data[0] = math.nan
    losses = model([IMAGE], [{"boxes": torch.tensor([[4.0, 4, 12, 12]]), "labels": torch.tensor([1])}])
    assert losses["bbox_regression"].isnan()
    assert losses["classification"].isfinite()


def test_weights_are_loaded_and_must_fit(tmp_path, monkeypatch):
    monkeypatch.setattr(weights, "FOLDER", tmp_path)
    torch.manual_seed(0)
    made = ssd_small(4)
    weights.save("fruit", made.state_dict(), {"data": {"kinds": ["apple", "pear", "lemon"]}}, tmp_path)
    loaded = ssd_small(4, weights="fruit")
    assert not loaded.training
    for key, value in loaded.state_dict().items():
        torch.testing.assert_close(value, made.state_dict()[key], rtol=1e-3, atol=1e-5)
    with pytest.raises(InputError) as caught:
        load_weights(ssd_small(11), "fruit")
    assert str(caught.value) == "SSD: the weights 'fruit' are for 4 classes with the background, got num_classes=11"
    with pytest.raises(ValueError, match="weights: there are fruit, got 'vegetables'"):
        ssd_small(4, weights="vegetables")


@pytest.mark.parametrize("box", ["smooth_l1", "giou", "diou", "ciou"])
@pytest.mark.parametrize("classification", ["mining", "focal"])
def test_training_on_a_picture_with_nan_names_the_batch(box, classification):
    from cvlab import engine
    from cvlab.losses import MultiBoxLoss

    model = ssd_small(loss=MultiBoxLoss(classification, box))
    target = {"boxes": torch.tensor([[8.0, 8.0, 60.0, 60.0]]), "labels": torch.tensor([1])}
    images = [torch.rand(3, 128, 128) for _ in range(4)]
    images[2][0, 5, 5] = float("nan")
    with pytest.raises(engine.TrainingError, match=r"not finite in step \d, epoch 0, items \["):
        engine.fit(model, [(image, target) for image in images], steps=4, batch_size=2, progress=False)
