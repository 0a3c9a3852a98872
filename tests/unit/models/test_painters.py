"""The network that paints in one pass, and the small loss network: shapes, sizes, types, and what they refuse."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from cvlab import models, weights
from cvlab._check import InputError
from cvlab.data import StillLife


def pictures(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("size", [(16, 16), (17, 23), (64, 48), (130, 31)])
def test_painted_pictures_have_the_size_of_those_that_came(size):
    model = models.fast_style()
    with torch.no_grad():
        painted = model(pictures(2, 3, *size))
    assert painted.shape == (2, 3, *size)
    assert 0 < float(painted.min()) < float(painted.max()) < 1


def test_bytes_are_painted_like_fractions():
    images = (255 * pictures(1, 3, 32, 32)).round().to(torch.uint8)
    model = models.fast_style()
    with torch.no_grad():
        torch.testing.assert_close(model(images), model(images / 255))


def test_the_same_weights_paint_the_same_bytes():
    first, again = models.FastStyleNet(), models.FastStyleNet()
    again.load_state_dict(first.state_dict())
    images = pictures(1, 3, 37, 50)
    with torch.no_grad():
        painted = first(images)
        assert torch.equal(painted, first(images))
        assert torch.equal(painted, again(images))
        memory = images.contiguous(memory_format=torch.channels_last)
        torch.testing.assert_close(first(memory), painted, atol=1e-5, rtol=1e-5)


def test_each_picture_is_painted_by_itself():
    model, images = models.fast_style(), pictures(3, 3, 32, 40)
    with torch.no_grad():
        torch.testing.assert_close(model(images)[1], model(images[1:2])[0], atol=1e-5, rtol=1e-5)


def test_contrast_of_the_picture_does_not_matter():
    """Instance normalisation takes it away, but for the number that keeps it from dividing by zero."""
    model, images = models.fast_style(), pictures(1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(model(images), model(0.5 + 0.7 * (images - 0.5)), atol=2e-3, rtol=0)


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (torch.zeros(3, 32, 32), "images"),
        (torch.zeros(1, 4, 32, 32), "images"),
        (torch.zeros(1, 3, 15, 32), r"at least 16 pixels along each side, got \(15, 32\)"),
        (torch.zeros(1, 3, 32, 32, dtype=torch.int64), "uint8, or float"),
    ],
)
def test_what_is_no_picture_is_refused(images, words):
    with pytest.raises(InputError, match=words):
        models.fast_style()(images)


@pytest.mark.parametrize("name", ["fast_style_strokes", "fast_style_mosaic"])
def test_shipped_painters_change_the_picture_and_keep_its_shapes(name):
    """The painted still life is another picture, yet its edges are where the fruits' were."""
    image = StillLife(size=96, split="test")[1][0].as_subclass(torch.Tensor)[None]
    with torch.no_grad():
        painted = models.fast_style(name)(image)
    assert float((painted - image).abs().mean()) > 0.1

    def edges(x):
        x = torch.nn.functional.avg_pool2d(x.mean(1, keepdim=True), 3, 1, 1)
        return (x.diff(dim=2)[..., 1:].abs() + x.diff(dim=3)[:, :, 1:].abs()).flatten()

    agreement = torch.corrcoef(torch.stack([edges(painted), edges(image)]))[0, 1]
    assert float(agreement) > 0.1
    assert sum(p.numel() for p in models.fast_style(name).parameters()) < 100_000


def test_unknown_weights_are_refused():
    for make in (models.fast_style, models.style_features):
        with pytest.raises(ValueError, match="cubism"):
            make("cubism")


def test_maps_of_the_loss_network():
    model = models.style_features("style_features")
    with torch.no_grad():
        maps = model(pictures(2, 3, 64, 80))
    sizes = [(32, 40), *[(16, 20)] * 3, *[(8, 10)] * 3]
    assert [tuple(each.shape[2:]) for each in maps] == sizes
    assert [each.shape[1] for each in maps] == [96, *(out for _, out in models.style_features.__globals__["FIRES"])]
    assert all(float(each.min()) >= 0 for each in maps)
    assert not model.training


def test_random_filters_are_the_same_for_the_same_seed():
    images = pictures(1, 3, 32, 40)
    first, again, other = (models.MultiScaleFilters(channels=4, seed=seed)(images) for seed in (1, 1, 2))
    assert [tuple(each.shape) for each in first] == [(1, 4, 32, 40)] * 6
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(first, other, strict=True))
    assert all(float(each.abs().max()) < 1e-5 for each in models.MultiScaleFilters(4)(torch.full((1, 3, 32, 32), 0.5)))


def test_shipped_style_networks_are_small():
    for name in ("style_features", "fast_style_strokes", "fast_style_mosaic"):
        assert (Path(weights.__file__).parent / f"{name}.safetensors").stat().st_size < 3_000_000
