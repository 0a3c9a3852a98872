"""Put shipped weights into a network."""

from __future__ import annotations

from typing import TypeVar

from torch import nn

from cvlab import _check
from cvlab import weights as shipped

Model = TypeVar("Model", bound=nn.Module)


def load_weights(model: Model, name: str) -> Model:
    """Load shipped weights into a network, and give it back in evaluation mode.

    Args:
        model: The network; has `num_classes`.
        name: One of `cvlab.weights.names()`.

    Raises:
        InputError: if the weights are for another number of classes.
        ValueError: if there are no weights of this name.
    """
    known = len(shipped.card(name)["data"]["kinds"]) + 1
    if known != model.num_classes:
        raise _check.InputError(
            f"{type(model).__name__}: the weights {name!r} are for {known} classes with the background, "
            f"got num_classes={model.num_classes}"
        )
    model.load_state_dict(shipped.load(name))
    return model.eval()


def load_backbone(model: nn.Module, name: str) -> None:
    """Put what fits of shipped weights into a network that shares layers with theirs, its backbone for instance.

    Args:
        model: The network; where its backbone has a neck, the layers are those of the backbone's `body`.
        name: One of `cvlab.weights.names()`.

    Raises:
        ValueError: if there are no weights of this name.
    """
    own = model.state_dict()
    body = any(key.startswith("backbone.body.") for key in own)
    known = {key.replace("backbone.", "backbone.body.", 1) if body else key: t for key, t in shipped.load(name).items()}
    fitting = {key: t for key, t in known.items() if key in own and own[key].shape == t.shape}
    model.load_state_dict(fitting, strict=False)
