"""The extractor of maps: it hooks any module, stops early, cleans up, and counts the memory that maps take."""

from __future__ import annotations

import pytest
import torch
import torchvision
from torch import nn

from cvlab import style
from cvlab._check import InputError


class Counting(nn.Module):
    """Four layers, and a list of those that ran."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Conv2d(3, 4, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)
        self.b = nn.Conv2d(4, 5, 3, stride=2)
        self.c = nn.Conv2d(5, 2, 1)
        self.ran: list[str] = []

    def forward(self, x):
        for name in ("a", "relu", "b", "c"):
            self.ran.append(name)
            x = getattr(self, name)(x)
        return x


def test_maps_and_early_exit():
    network = Counting()
    images = torch.rand(2, 3, 8, 10)
    extractor = style.FeatureExtractor(network, ["b", "a"])
    maps = extractor(images)
    assert list(maps) == ["b", "a"], "in the order that was asked for"
    assert network.ran == ["a", "relu", "b"]
    torch.testing.assert_close(maps["a"], network.a(images))
    torch.testing.assert_close(maps["b"], network.b(network.a(images).relu()))
    assert bool((maps["a"] < 0).any()), "the ReLU behind it has not changed the map"


def test_pictures_are_normalised():
    network, images = Counting(), torch.rand(1, 3, 8, 8)
    mean, std = (0.5, 0.4, 0.3), (0.2, 0.3, 0.4)
    found = style.FeatureExtractor(network, ["a"], mean, std)(images)["a"]
    normal = (images - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]
    torch.testing.assert_close(found, network.a(normal))


def test_gradients_are_those_of_a_plain_pass_and_weights_are_frozen():
    network, images = Counting(), torch.rand(1, 3, 8, 8, requires_grad=True)
    extractor = style.FeatureExtractor(network, ["c"])
    extractor(images)["c"].square().sum().backward()
    ours, images.grad = images.grad.clone(), None
    network.c(network.b(network.a(images).relu())).square().sum().backward()
    torch.testing.assert_close(ours, images.grad)
    assert all(p.grad is None and not p.requires_grad for p in network.parameters())


def test_a_function_is_called_as_soon_as_a_map_is_there():
    network, seen = Counting(), []
    extractor = style.FeatureExtractor(network, ["a", "b"])

    def each(name, maps):
        seen.append((name, list(network.ran)))
        return maps.mean()

    found = extractor(torch.rand(1, 3, 8, 8), each)
    assert [name for name, _ in seen] == ["a", "b"]
    assert seen[0][1] == ["a"]
    assert all(value.dim() == 0 for value in found.values())


def test_no_hook_stays_even_after_an_error():
    network = Counting()
    extractor = style.FeatureExtractor(network, ["a", "b"])
    extractor(torch.rand(1, 3, 8, 8))
    with pytest.raises(RuntimeError):
        extractor(torch.rand(1, 5, 8, 8))
    with pytest.raises(ValueError, match="mine"):
        extractor(torch.rand(1, 3, 8, 8), lambda name, maps: (_ for _ in ()).throw(ValueError("mine")))
    assert all(not module._forward_hooks for module in network.modules())


def test_it_never_trains():
    extractor = style.FeatureExtractor(nn.Sequential(nn.Conv2d(3, 4, 1), nn.Dropout()), ["1"]).train()
    images = torch.rand(1, 3, 4, 4)
    torch.testing.assert_close(extractor(images)["1"], extractor(images)["1"])


@pytest.mark.parametrize("layers", [["3", "6"], ["0"]])
def test_torchvision_networks(layers):
    network = torchvision.models.squeezenet1_0().features
    images = torch.rand(1, 3, 64, 64)
    found = style.FeatureExtractor(network, layers)(images)
    for name in layers:
        torch.testing.assert_close(found[name], network[: int(name) + 1](images))


def test_layers_deep_inside_a_network():
    """VGG with normalisation, whose means of a batch must not be taken, and a residual network."""
    vgg = torchvision.models.vgg.make_layers([8, "M", 12, 12], batch_norm=True)
    residual = torchvision.models.resnet18(num_classes=2)
    images = torch.rand(2, 3, 64, 64)
    found = style.FeatureExtractor(vgg, ["6", "2"])(images)
    torch.testing.assert_close(found["6"], vgg[:7](images))
    torch.testing.assert_close(found["2"], vgg[:3](images))
    alone = style.FeatureExtractor(vgg, ["6"])(images[:1])["6"]
    torch.testing.assert_close(alone, found["6"][:1])
    ran = []
    residual.layer2.register_forward_hook(lambda *_: ran.append("layer2"))
    found = style.FeatureExtractor(residual, ["layer1.0.conv1", "layer1"])(images)
    start = residual.maxpool(residual.relu(residual.bn1(residual.conv1(images))))
    torch.testing.assert_close(found["layer1"], residual.layer1(start))
    torch.testing.assert_close(found["layer1.0.conv1"], residual.layer1[0].conv1(start))
    assert ran == []


def test_unknown_layers_are_named_with_those_there_are():
    with pytest.raises(InputError, match="no layers 'd', 'e'; there are a, relu, b, c"):
        style.FeatureExtractor(Counting(), ["a", "d", "e"])


@pytest.mark.parametrize("layers", [[], ["a", "a"]])
def test_layers_must_be_named_once(layers):
    with pytest.raises(InputError, match="named, each once"):
        style.FeatureExtractor(Counting(), layers)


def test_a_layer_that_does_not_run_is_named():
    network = Counting()
    network.unused = nn.Conv2d(3, 3, 1)
    with pytest.raises(InputError, match="did not run unused"):
        style.FeatureExtractor(network, ["a", "unused"])(torch.rand(1, 3, 8, 8))


def test_bytes_kept_for_the_way_back():
    """A convolution of 1 x 1 keeps its input and a ReLU its result: two maps, the picture among them, and the last."""
    network = nn.Sequential(nn.Conv2d(3, 8, 1), nn.ReLU(), nn.Conv2d(8, 4, 1))
    extractor = style.FeatureExtractor(network, ["2"])
    size, floats = 40 * 50, 4
    needed = style.activation_bytes(extractor, (40, 50))
    assert needed == pytest.approx((3 + 8 + 4) * size * floats, abs=16)  # a number or two beside the maps
    assert style.activation_bytes(extractor, (80, 50)) == pytest.approx(2 * needed, abs=16)
