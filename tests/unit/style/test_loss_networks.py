"""The loss networks: what is shipped, what is random, and ImageNet's from a file, the cache or a server."""

from __future__ import annotations

import functools
import hashlib
import http.server
import threading

import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torchvision.models import WeightsEnum
from torchvision.models._api import Weights

from cvlab import style
from cvlab._check import InputError
from cvlab.style import networks


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """No weights of this machine: an empty cache, and no file named in the environment."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "cache"))
    for name in ("CVLAB_SQUEEZENET", "CVLAB_VGG19"):
        monkeypatch.delenv(name, raising=False)


@functools.cache
def state() -> dict:
    torch.manual_seed(0)
    return torchvision.models.squeezenet1_0().state_dict()


@pytest.mark.parametrize("name", ["small", "filters", "random"])
def test_networks_that_need_no_file(name):
    network = style.loss_network(name)
    layers = list(dict.fromkeys([*network.content, *network.style]))
    maps = style.FeatureExtractor(network.module, layers, network.mean, network.std)(torch.rand(1, 3, 64, 80))
    assert all(each.dim() == 4 and bool(each.isfinite().all()) for each in maps.values())
    again = style.FeatureExtractor(style.loss_network(name).module, layers, network.mean, network.std)
    images = torch.rand(1, 3, 64, 64)
    extractor = style.FeatureExtractor(network.module, layers, network.mean, network.std)
    for one, other in zip(extractor(images).values(), again(images).values(), strict=True):
        assert torch.equal(one, other), "the same weights each time"


def test_random_weights_leave_the_generator_alone():
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    style.loss_network("random")
    assert torch.equal(before, torch.random.get_rng_state())


def test_filters_have_mean_zero_and_norm_one():
    for each in style.loss_network("filters").module.filters:
        weight = each.weight
        torch.testing.assert_close(weight.mean((2, 3)), torch.zeros(weight.shape[:2]), atol=1e-6, rtol=0)
        torch.testing.assert_close(weight.flatten(1).norm(dim=1), torch.ones(len(weight)))


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@pytest.mark.parametrize("way", ["path", "environment"])
def test_weights_from_a_file(tmp_path, monkeypatch, suffix, way):
    file = tmp_path / f"squeezenet{suffix}"
    save_file(state(), file) if suffix == ".safetensors" else torch.save(state(), file)
    if way == "environment":
        monkeypatch.setenv("CVLAB_SQUEEZENET", str(file))
    network = style.loss_network("squeezenet", file if way == "path" else None)
    assert torch.equal(network.module[0].weight, state()["features.0.weight"])
    assert set(network.content) | set(network.style) <= {name for name, _ in network.module.named_modules()}


class ThinVgg(torch.nn.Module):
    """VGG-19 with a sixteenth of its channels, and without the layers that sort pictures."""

    def __init__(self) -> None:
        super().__init__()
        plan = [step if step == "M" else int(step) // 16 for step in torchvision.models.vgg.cfgs["E"]]
        self.features = torchvision.models.vgg.make_layers(plan)


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@pytest.mark.parametrize("way", ["path", "environment"])
def test_vgg_has_means_in_place_of_maxima(tmp_path, monkeypatch, suffix, way):
    """The layers' names are those of the paper: the ReLU of conv1_1, conv2_1, ..., conv5_1, and of conv4_2."""
    monkeypatch.setattr(networks.torchvision.models, "vgg19", ThinVgg)
    torch.manual_seed(0)
    weights, file = ThinVgg().state_dict(), tmp_path / f"vgg{suffix}"
    save_file(weights, file) if suffix == ".safetensors" else torch.save(weights, file)
    if way == "environment":
        monkeypatch.setenv("CVLAB_VGG19", str(file))
    network = style.loss_network("vgg19", file if way == "path" else None)
    modules = dict(network.module.named_modules())
    assert torch.equal(modules["34"].weight, weights["features.34.weight"])
    assert not any(isinstance(module, torch.nn.MaxPool2d) for module in modules.values())
    assert sum(isinstance(module, torch.nn.AvgPool2d) for module in modules.values()) == 5
    convolutions = [modules[str(int(name) - 1)].out_channels for name in (*network.style, *network.content)]
    assert convolutions == [4, 8, 16, 32, 32, 32]
    assert all(isinstance(modules[name], torch.nn.ReLU) for name in (*network.style, *network.content))


def test_the_real_vgg_has_the_thin_ones_layers():
    with torch.device("meta"):
        real, thin = torchvision.models.vgg19().features, ThinVgg().features
    assert [type(module) for module in real] == [type(module) for module in thin]


@pytest.mark.parametrize("name", ["squeezenet", "vgg19"])
def test_missing_weights_are_said(name):
    with pytest.raises(FileNotFoundError, match=r"ImageNet weights are not at .*download=True to fetch \d+ MB"):
        style.loss_network(name)


def test_a_path_without_a_file_is_said_even_if_downloading_is_allowed(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere.pth"):
        style.loss_network("squeezenet", tmp_path / "nowhere.pth", download=True)


def test_an_unknown_network_is_refused():
    with pytest.raises(InputError, match="small.*filters.*random.*squeezenet.*vgg19"):
        style.loss_network("resnet")


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A server on the loopback address that has the weights, in place of torchvision's."""
    folder = tmp_path / "served"
    folder.mkdir()
    torch.save(state(), folder / "squeezenet.pth")
    data = (folder / "squeezenet.pth").read_bytes()
    name = f"squeezenet1_0-{hashlib.sha256(data).hexdigest()[:8]}.pth"
    (folder / name).write_bytes(data)
    asked: list[str] = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=str(folder))

        def log_message(self, *_):
            asked.append(self.path)

    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{running.server_port}/{name}"

    class Served(WeightsEnum):
        IMAGENET1K_V1 = Weights(url=url, transforms=None, meta={"_file_size": 4.8})

    monkeypatch.setattr(networks.torchvision.models, "SqueezeNet1_0_Weights", Served)
    yield folder / name, asked
    running.shutdown()
    running.server_close()


def test_weights_are_fetched_once(server):
    _, asked = server
    network = style.loss_network("squeezenet", download=True)
    assert torch.equal(network.module[0].weight, state()["features.0.weight"])
    count = len(asked)
    assert count >= 1
    style.loss_network("squeezenet")  # from the cache
    assert len(asked) == count


def test_damaged_weights_are_not_kept(server):
    file, _ = server
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    with pytest.raises(RuntimeError, match="hash"):
        style.loss_network("squeezenet", download=True)
    with pytest.raises(FileNotFoundError):
        style.loss_network("squeezenet")
