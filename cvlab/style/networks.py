"""Loss networks: whose layers say what a picture shows, and how it is painted."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
import torchvision
from safetensors.torch import load_file
from torch import Tensor, nn

from cvlab import _check
from cvlab.models import MultiScaleFilters, style_features
from cvlab.preprocess import IMAGENET_MEAN, IMAGENET_STD


@dataclass(frozen=True)
class LossNetwork:
    """A network, and which of its layers count for what.

    Attributes:
        module: takes pictures (B, 3, H, W).
        content: weights of the layers whose maps are to stay, by name.
        style: weights of the layers whose statistics are to be the style's, by name.
        mean: of the channels, in [0, 1], subtracted from pictures; None where the module does it.
        std: by which they are then divided.
    """

    module: nn.Module
    content: Mapping[str, float]
    style: Mapping[str, float]
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None


SMALL_STYLE = ("stem", "fires.0", "fires.1", "fires.3", "fires.5")
"""Layers of the small network that count for style."""


def small() -> LossNetwork:
    """Give the network that is shipped."""
    return LossNetwork(style_features("style_features"), {"fires.1": 1.0}, dict.fromkeys(SMALL_STYLE, 1.0))


def random() -> LossNetwork:
    """Give the shipped network's layers with random weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = style_features()
    return LossNetwork(module, {"fires.1": 1.0}, dict.fromkeys(SMALL_STYLE, 1.0))


def filters() -> LossNetwork:
    """Give random filters of six sizes, which are not trained."""
    return LossNetwork(MultiScaleFilters(), {"filters.2": 1.0}, {f"filters.{i}": 1.0 for i in range(6)})


def squeezenet(path: str | Path | None = None, download: bool = False) -> LossNetwork:
    """Give SqueezeNet 1.0, trained on ImageNet; see `loss_network`."""
    state = _imagenet("squeezenet", torchvision.models.SqueezeNet1_0_Weights.IMAGENET1K_V1, path, download)
    model = torchvision.models.squeezenet1_0()
    model.load_state_dict(state)
    style = {name: 1.0 for name in ("1", "3", "4", "7", "9")}
    return LossNetwork(model.features, {"4": 1.0}, style, IMAGENET_MEAN, IMAGENET_STD)


def vgg19(path: str | Path | None = None, download: bool = False) -> LossNetwork:
    """Give VGG-19, trained on ImageNet, with means instead of maxima as in the paper; see `loss_network`."""
    state = _imagenet("vgg19", torchvision.models.VGG19_Weights.IMAGENET1K_V1, path, download)
    model = torchvision.models.vgg19()
    model.load_state_dict(state)
    module = nn.Sequential(*(nn.AvgPool2d(2) if isinstance(m, nn.MaxPool2d) else m for m in model.features))
    style = {name: 1.0 for name in ("1", "6", "11", "20", "29")}  # relu1_1, relu2_1, ..., relu5_1
    return LossNetwork(module, {"22": 1.0}, style, IMAGENET_MEAN, IMAGENET_STD)  # relu4_2


NETWORKS: dict[str, Callable[..., LossNetwork]] = {
    "small": small,
    "filters": filters,
    "random": random,
    "squeezenet": squeezenet,
    "vgg19": vgg19,
}
"""The loss networks by name; the last two need a file of weights."""


def loss_network(name: str = "small", path: str | Path | None = None, download: bool = False) -> LossNetwork:
    """Give a loss network with the layers that suit it.

    Args:
        name: "small", which is shipped; "filters" or "random", which are not trained; "squeezenet" or "vgg19" with
            torchvision's ImageNet weights.
        path: of a file with the weights of the last two (.pth of torchvision's, or .safetensors); None for the one that
            CVLAB_SQUEEZENET or CVLAB_VGG19 names in the environment, or else the one in torch's cache.
        download: whether to fetch it into the cache where it is not there.

    Raises:
        InputError: if the name is unknown.
        FileNotFoundError: if weights are needed and not there, and may not be downloaded.

    Example:
        >>> sorted(loss_network("filters").style)
        ['filters.0', 'filters.1', 'filters.2', 'filters.3', 'filters.4', 'filters.5']
    """
    _check.choice("loss_network", "name", name, tuple(NETWORKS))
    return NETWORKS[name](path, download) if name in ("squeezenet", "vgg19") else NETWORKS[name]()


def _imagenet(
    name: str, entry: torchvision.models.WeightsEnum, path: str | Path | None, download: bool
) -> dict[str, Tensor]:
    """Read weights from a file or torch's cache, or fetch them."""
    cached = Path(torch.hub.get_dir()) / "checkpoints" / entry.url.rsplit("/", 1)[-1]
    path = path or os.environ.get(f"CVLAB_{name.upper()}")
    file = Path(path) if path else cached
    if file.is_file():
        return load_file(file) if file.suffix == ".safetensors" else torch.load(file, weights_only=True)
    if not path and download:
        return entry.get_state_dict(progress=True, check_hash=True)
    raise FileNotFoundError(
        f"loss_network: the ImageNet weights are not at {file}; give their path, or download=True to fetch "
        f"{entry.meta['_file_size']:.0f} MB"
    )
