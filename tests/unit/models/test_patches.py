"""A classifier of patches and its convolutional twin give the same numbers."""

import pytest
import torch
from torch import nn

from cvlab import models


@pytest.mark.parametrize("bias", [True, False])
def test_every_place_has_the_numbers_of_its_patch(bias):
    torch.manual_seed(0)
    patches = models.patch_classifier(5)
    if not bias:
        patches[-1] = nn.Linear(800, 5, bias=False)
    whole = models.as_convolution(patches, (32, 5, 5))
    picture = torch.rand(1, 3, 52, 44)
    with torch.no_grad():
        answers = whole(picture)[0]
        assert answers.shape == (5, 6, 4)
        for i in range(6):
            for j in range(4):
                patch = picture[..., 4 * i : 4 * i + 32, 4 * j : 4 * j + 32]
                torch.testing.assert_close(answers[:, i, j], patches(patch)[0], atol=1e-5, rtol=1e-5)


def test_the_classifier_is_left_as_it_is():
    patches = models.patch_classifier(5)
    whole = models.as_convolution(patches, (32, 5, 5))
    with torch.no_grad():
        whole[0].weight.zero_()
    assert patches[0].weight.abs().sum() > 0
    assert isinstance(patches[-1], nn.Linear)


def test_multiplications_by_hand():
    network = nn.Sequential(nn.Conv2d(2, 4, 3, groups=2), nn.Flatten(), nn.Linear(4 * 16, 3))
    # 16 places, 4 channels, 1 x 3 x 3 weights each; 3 outputs of 64 weights; two pictures
    assert models.multiplications(network, torch.zeros(2, 2, 6, 6)) == 2 * (16 * 4 * 9 + 3 * 64)
    assert not any(layer._forward_hooks for layer in network)


@pytest.mark.parametrize(
    ("network", "features", "message"),
    [
        (nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()), (1, 1, 1), "must end with Flatten and Linear, got Conv2d and"),
        (models.patch_classifier(3), (32, 5, 4), r"the last layer takes 800 features, got \(32, 5, 4\)"),
    ],
)
def test_what_cannot_be_turned(network, features, message):
    with pytest.raises(ValueError, match=message):
        models.as_convolution(network, features)
