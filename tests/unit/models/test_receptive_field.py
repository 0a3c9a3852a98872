"""Receptive fields: by hand, and against the gradient."""

import pytest
import torch
from torch import nn

from cvlab import models


def test_two_layers_by_hand():
    """3 x 3 with stride 2 sees 3 pixels; a 3 x 3 after it reaches one cell, 2 pixels, further on both sides: 7."""
    assert models.receptive_field([(3, 2), (3, 1)]) == (7, 2)
    assert models.receptive_field([]) == (1, 1)
    assert models.receptive_field([(1, 1), (2, 2), (5, 1)]) == (2 + 4 * 2, 2)


def test_bad_layer():
    with pytest.raises(ValueError, match=r"receptive_field: layers\[1\]\[0\] must be finite and above 0"):
        models.receptive_field([(3, 1), (0, 1)])


@pytest.mark.parametrize("layers", [[(3, 1)], [(3, 2), (3, 1)], [(5, 2), (3, 2), (3, 1)]])
def test_the_gradient_is_as_wide_as_the_formula_says(layers):
    convs = nn.Sequential(*(nn.Conv2d(3, 3, k, s, k // 2) for k, s in layers))
    for conv in convs:
        nn.init.constant_(conv.weight, 1.0)
    seen = models.seen_pixels(lambda x: [convs(x)], 48, 0)
    side, _ = models.receptive_field(layers)
    assert seen.max() == 1
    assert int((seen > 0).any(0).sum()) == int((seen > 0).any(1).sum()) == side


def test_layers_of_the_small_backbone_match_its_gradient():
    """The finest map's cell sees 71 pixels, so in an image of 96 its gradient is 0 outside, and not far inside."""
    torch.manual_seed(0)
    backbone = models.SmallBackbone((4, 4, 4, 4), (1, 1, 1), maps=2).eval()
    side, stride = models.receptive_field(models.layers_of(backbone, 0))
    assert (side, stride) == (39, 8)  # 3 + 2*2 + 2*4 + 2*4 + 2*8
    seen = models.seen_pixels(backbone, 96, 0, probes=32)
    wide = int((seen > 0).any(0).sum())
    assert side - 8 <= wide <= side
