"""Necks: sums by hand, torchvision's pyramid with the same weights, and what a neck says of its maps."""

import pytest
import torch
from torch import nn
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

from cvlab.models import FPN, Necked, SmallBackbone


def _through(conv):
    """Let a convolution give its input unchanged."""
    nn.init.dirac_(conv.weight)
    nn.init.zeros_(conv.bias)


def test_sums_by_hand():
    pyramid = FPN([1, 1], 1, extra=True)
    for conv in [*pyramid.lateral, *pyramid.smooth]:
        _through(conv)
    fine, coarse = torch.arange(9.0).view(1, 1, 3, 3), torch.tensor([[[[10.0, 20.0], [30.0, 40.0]]]])
    first, second, third = pyramid([fine, coarse])
    # 3 fine cells share 2 coarse ones: the first two see the first
    assert first[0, 0].tolist() == [[10, 11, 22], [13, 14, 25], [36, 37, 48]]
    assert torch.equal(second, coarse)
    assert third.flatten().tolist() == [10.0]  # every second cell


@pytest.mark.parametrize("extra", [False, True])
def test_it_is_torchvisions(extra):
    torch.manual_seed(0)
    ours = FPN([4, 6, 8], 5, extra)
    theirs = FeaturePyramidNetwork([4, 6, 8], 5, LastLevelMaxPool() if extra else None)
    for i in range(3):
        theirs.inner_blocks[i][0].load_state_dict(ours.lateral[i].state_dict())
        theirs.layer_blocks[i][0].load_state_dict(ours.smooth[i].state_dict())
    maps = [torch.randn(2, c, h, w) for c, h, w in ((4, 13, 10), (6, 7, 5), (8, 4, 3))]
    expected = list(theirs({str(i): m for i, m in enumerate(maps)}).values())
    found = ours(maps)
    assert len(found) == len(expected) == 3 + extra
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)


def test_maps_of_another_number():
    with pytest.raises(ValueError, match="longer|shorter"):
        FPN([4, 4], 4)([torch.zeros(1, 4, 8, 8)])


@pytest.mark.parametrize("neck", ["merge", "fpn", "fpn_extra"])
def test_channels_and_strides_are_those_of_its_maps(neck):
    backbone = Necked(SmallBackbone((4, 6, 8, 10), (1, 1, 1)), neck, 12)
    maps = backbone(torch.zeros(1, 3, 64, 96))
    assert len(maps) == len(backbone.channels) == len(backbone.strides)
    for m, channels, stride in zip(maps, backbone.channels, backbone.strides, strict=True):
        assert m.shape == (1, channels, 64 // stride, 96 // stride)


def test_every_neck_has_a_name():
    with pytest.raises(ValueError, match="Necked: neck must be one of merge, fpn, fpn_extra, got 'pan'"):
        Necked(SmallBackbone(), "pan")
