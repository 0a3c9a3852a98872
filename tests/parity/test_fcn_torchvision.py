"""FCN on ResNet-50 gives torchvision's logits with torchvision's weights."""

import pytest
import torch
from torchvision.models.segmentation import fcn_resnet50

from cvlab import models

PLAIN = {"mean": (0, 0, 0), "std": (1, 1, 1)}


@pytest.fixture(scope="module")
def theirs():
    """Random weights, with normalisations that do something, and logits of a common size."""
    torch.manual_seed(0)
    model = fcn_resnet50(weights=None, weights_backbone=None, num_classes=21, aux_loss=True).eval()
    for layer in model.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.running_mean.normal_(0, 0.1)
            layer.running_var.uniform_(0.5, 1.5)
            layer.weight.data.uniform_(0.2, 0.6)
            layer.bias.data.normal_(0, 0.1)
    return model


@pytest.mark.parametrize("size", [(64, 96), (97, 65)])
def test_logits_are_equal(theirs, size):
    pictures = torch.rand(2, 3, *size)
    ours = models.fcn_resnet50(state_dict=theirs.state_dict(), **PLAIN)
    with torch.no_grad():
        got, expected = ours(pictures), theirs(pictures)
    for name in ("out", "aux"):
        assert expected[name].std() > 0.01
        torch.testing.assert_close(got[name], expected[name], atol=1e-4, rtol=1e-4)


def test_pictures_go_in_as_they_are(theirs):
    """Without further options, the network normalises with ImageNet's numbers, as torchvision's users do by hand."""
    pictures = torch.rand(1, 3, 64, 64)
    mean, std = (torch.tensor(v)[:, None, None] for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    with torch.no_grad():
        got = models.fcn_resnet50(state_dict=theirs.state_dict())(pictures)["out"]
        expected = theirs((pictures - mean) / std)["out"]
    torch.testing.assert_close(got, expected, atol=1e-4, rtol=1e-4)


def test_weights_without_the_second_head():
    torch.manual_seed(1)
    model = fcn_resnet50(weights=None, weights_backbone=None, num_classes=4, aux_loss=False).eval()
    pictures = torch.rand(1, 3, 48, 48)
    with torch.no_grad():
        got = models.fcn_resnet50(4, state_dict=model.state_dict(), **PLAIN)(pictures)
        expected = model(pictures)["out"]
    assert list(got) == ["out"]
    torch.testing.assert_close(got["out"], expected, atol=1e-4, rtol=1e-4)
