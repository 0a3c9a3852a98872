"""What a network's layers say of a picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from cvlab import _check


class _Done(Exception):  # noqa: N818
    """Ends a network's forward pass once all layers asked for have spoken."""


class FeatureExtractor(nn.Module):
    """Compute the maps of some layers of a network, and stop after the deepest of them.

    The network is put into evaluation mode, its weights are frozen, and activations that overwrite their input are
    told not to: otherwise a convolution's map would be changed by the ReLU behind it.

    Args:
        network: any module that takes a batch of pictures.
        layers: names of modules inside it, as `named_modules` gives them; each must give one tensor.
        mean: of the channels, in [0, 1], subtracted from the pictures; None where the network does it itself.
        std: by which they are then divided.

    Returns:
        Called with images (B, 3, H, W), float, a dictionary from each layer's name, in the order of `layers`, to its
        map, usually (B, C, h, w). Gradients reach the images.

    Raises:
        InputError: if no layer is named, one is unknown (the message lists those there are) or one is named twice;
            when called, if a layer did not run.

    Example:
        >>> network = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 4, 1))
        >>> extractor = FeatureExtractor(network, ["1", "2"])
        >>> {name: tuple(x.shape) for name, x in extractor(torch.rand(1, 3, 32, 48)).items()}
        {'1': (1, 8, 32, 48), '2': (1, 8, 16, 24)}
    """

    def __init__(
        self,
        network: nn.Module,
        layers: Sequence[str],
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        self.layers = tuple(layers)
        _known(network, self.layers)
        self.network = network.eval().requires_grad_(False)
        for module in network.modules():
            if getattr(module, "inplace", False):
                module.inplace = False  # type: ignore[assignment]
        for name, values in (("mean", mean or (0.0,)), ("std", std or (1.0,))):
            self.register_buffer(name, torch.tensor(values)[:, None, None], persistent=False)

    def train(self, mode: bool = True) -> FeatureExtractor:
        """Stay in evaluation mode whatever is asked for: a loss network does not learn."""
        return super().train(False)

    def forward(self, images: Tensor, each: Callable[[str, Tensor], Any] | None = None) -> dict[str, Any]:
        """Compute the maps.

        Args:
            images: (B, 3, H, W), float.
            each: a function of a layer's name and map, called as soon as the map is there; its results are given
                instead of the maps. A loss taken here takes its way back layer by layer, and less memory: gradients of
                all maps are never there at once.
        """
        found: dict[str, Any] = {}

        def keep(name: str, out: Tensor) -> None:
            found[name] = out if each is None else each(name, out)
            if len(found) == len(self.layers):
                raise _Done

        modules = dict(self.network.named_modules())
        hooks = [modules[n].register_forward_hook(lambda _m, _i, out, n=n: keep(n, out)) for n in self.layers]
        try:
            self.network((images - self.mean) / self.std)
        except _Done:
            pass
        finally:
            for hook in hooks:
                hook.remove()
        silent = [name for name in self.layers if name not in found]
        if silent:
            raise _check.InputError(f"FeatureExtractor: the network did not run {', '.join(silent)}")
        return {name: found[name] for name in self.layers}


def _known(network: nn.Module, layers: Sequence[str]) -> None:
    known = [name for name, _ in network.named_modules() if name]
    unknown = [name for name in layers if name not in known]
    if unknown:
        raise _check.InputError(
            f"FeatureExtractor: there are no layers {', '.join(map(repr, unknown))}; there are {', '.join(known)}"
        )
    if not layers or len(set(layers)) < len(layers):
        raise _check.InputError(f"FeatureExtractor: layers must be named, each once, got {list(layers)}")
