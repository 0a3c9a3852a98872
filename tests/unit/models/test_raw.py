"""The part of a network that devices compute, and detectors whose maps come from elsewhere."""

import pytest
import torch

from cvlab.data import StillLife
from cvlab.models import PaintCore, RawMaps, digit_net, fast_style, joined, normalised, ssd_small, with_maps
from cvlab.quant import quantize_model, to_integer


@pytest.fixture(scope="module")
def ssd():
    return ssd_small(weights="ssd_small")


def test_maps_joined_are_what_the_network_says(ssd):
    images = torch.rand(2, 3, 128, 128)
    with torch.no_grad():
        maps, (logits, offsets) = RawMaps(ssd)(normalised(ssd, images)), ssd.network(images)
    torch.testing.assert_close(joined(maps[:3], ssd.num_classes), logits)
    torch.testing.assert_close(joined(maps[3:], 4), offsets)


def test_a_detector_with_maps_from_elsewhere_leaves_the_model_as_it_was(ssd):
    image = StillLife(size=128, split="test", length=1)[0][0]
    before = ssd([image])[0]
    blind = with_maps(ssd, lambda x: [m * 0 for m in RawMaps(ssd)(x)])([image])[0]
    assert len(blind["boxes"]) != len(before["boxes"])
    assert torch.equal(ssd([image])[0]["boxes"], before["boxes"])


def test_a_quantized_detector_finds_the_same_fruit(ssd):
    scenes = StillLife(size=128, split="val", length=40)
    images = torch.stack([scenes[i][0].as_subclass(torch.Tensor) for i in range(40)])
    whole = with_maps(ssd, to_integer(quantize_model(RawMaps(ssd).eval(), [normalised(ssd, images)])))
    for i in range(3):
        image = StillLife(size=128, split="test", length=3)[i][0]
        found, expected = (
            sorted(d["labels"][d["scores"] > 0.7].tolist()) for d in (whole([image])[0], ssd([image])[0])
        )
        assert found == expected


def test_paint_core_is_the_network_without_what_is_around_it():
    model, picture = fast_style("fast_style_mosaic"), torch.rand(1, 3, 32, 48)
    with torch.no_grad():
        torch.testing.assert_close(PaintCore(model).eval()(2 * picture - 1), model(picture))


def test_digit_net_is_in_evaluation_mode_and_knows_its_weights():
    assert not digit_net("digit_net").training
    with pytest.raises(ValueError, match="got 'digits'"):
        digit_net("digits")
