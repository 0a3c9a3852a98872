"""Backbones: shapes, and blocks that do by hand what they say."""

import pytest
import torch
from torch import nn

from cvlab._check import InputError
from cvlab.models import ConvNormAct, ResidualBlock, SmallBackbone, ssd_256, ssd_small
from cvlab.models.backbones import SmallBackbone as Direct


def shapes(maps):
    return [tuple(m.shape) for m in maps]


def test_maps_of_the_small_backbone():
    backbone = SmallBackbone((4, 6, 8, 10, 12), (1, 2, 1, 1), maps=3).eval()
    assert backbone.channels == [8, 10, 12]
    assert backbone.strides == [8, 16, 32]
    assert shapes(backbone(torch.zeros(2, 3, 64, 96))) == [(2, 8, 8, 12), (2, 10, 4, 6), (2, 12, 2, 3)]
    assert Direct is SmallBackbone


@pytest.mark.parametrize("maps", [1, 4])
def test_as_many_maps_as_asked_for(maps):
    backbone = SmallBackbone((4, 4, 4, 4, 4), maps=maps).eval()
    assert len(backbone(torch.zeros(1, 3, 32, 32))) == maps == len(backbone.channels) == len(backbone.strides)
    assert backbone.strides == [4, 8, 16, 32][-maps:]


def test_sides_that_are_no_multiple_of_the_stride_are_rounded_up():
    # 33: 17, 9, 5, 3, 2; 1 stays 1
    backbone = SmallBackbone((4, 4, 4, 4, 4), maps=4).eval()
    expected = [(9, 1), (5, 1), (3, 1), (2, 1)]
    assert [tuple(m.shape[2:]) for m in backbone(torch.zeros(1, 3, 33, 1))] == expected


def test_depths_are_residual_blocks():
    backbone = SmallBackbone((4, 4, 4), (3, 1), maps=1)
    assert [len(stage) for stage in backbone.stages] == [3, 1]


def test_convolution_norm_activation():
    block = ConvNormAct(1, 2, kernel=5, stride=2)
    assert block[0].bias is None
    assert block[0].padding == (2, 2)
    assert isinstance(block[1], nn.BatchNorm2d)
    assert block(torch.randn(4, 1, 9, 9)).shape == (4, 2, 5, 5)
    assert block(torch.randn(4, 1, 9, 9)).min() == 0
    assert ConvNormAct(1, 2, act=False)(torch.randn(4, 1, 9, 9)).min() < 0


def test_a_block_whose_body_is_silent_gives_its_input():
    block = ResidualBlock(2, 2).eval()
    nn.init.zeros_(block.body[1][1].weight)
    x = torch.randn(1, 2, 5, 5)
    assert torch.equal(block(x), x.relu())


def test_the_shortcut_averages_before_it_halves():
    block = ResidualBlock(1, 1, stride=2).eval()
    nn.init.zeros_(block.body[1][1].weight)
    pool, project = block.shortcut
    nn.init.ones_(project[0].weight)
    project[1].eps = 0.0
    x = torch.tensor([[1.0, 3.0, 5.0], [5.0, 7.0, 9.0], [2.0, 4.0, 6.0]])[None, None]
    # (1 + 3 + 5 + 7) / 4, (5 + 9) / 2 at the edge, (2 + 4) / 2, 6
    torch.testing.assert_close(block(x)[0, 0], torch.tensor([[4.0, 7.0], [3.0, 6.0]]))
    assert isinstance(pool, nn.AvgPool2d)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"widths": ()}, "SmallBackbone: widths must not be empty"),
        ({"widths": (8, 0, 8), "depths": (1, 1)}, "SmallBackbone: widths[1] must be finite and above 0, got 0"),
        ({"depths": (1, 0, 1, 1)}, "SmallBackbone: depths[1] must be finite and above 0, got 0"),
        (
            {"depths": (1, 1)},
            "SmallBackbone: there must be one depth for each width after the first, and 1 to 2 maps, got 5 widths, "
            "2 depths, 3 maps",
        ),
        (
            {"maps": 5},
            "SmallBackbone: there must be one depth for each width after the first, and 1 to 4 maps, got 5 widths, "
            "4 depths, 5 maps",
        ),
    ],
)
def test_numbers_that_do_not_fit(options, message):
    with pytest.raises(InputError) as caught:
        SmallBackbone(**options)
    assert str(caught.value) == message


@pytest.mark.parametrize(("make", "millions", "anchors"), [(ssd_small, 1.4, 1344), (ssd_256, 1.5, 5440)])
def test_the_sizes_that_are_told(make, millions, anchors):
    # 4 (16^2 + 8^2 + 4^2) = 1,344; 4 (32^2 + 16^2 + 8^2 + 4^2) = 5,440
    model = make()
    assert sum(p.numel() for p in model.parameters()) / 1e6 == pytest.approx(millions, abs=0.05)
    assert model.anchors.shape == (anchors, 4)
