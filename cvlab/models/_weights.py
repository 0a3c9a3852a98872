"""Put shipped weights into a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

from torch import Tensor, nn

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


def check_keys(op: str, what: str, state: Mapping[str, Tensor], expected: Sequence[str]) -> None:
    """Refuse weights of another network.

    Args:
        op: The function, for the message.
        what: Whose weights they should be, for the message.
        state: The weights, already renamed.
        expected: The keys that there must be.

    Raises:
        InputError: if a key is missing or too many; the message names up to five of each.
    """
    missing = [key for key in expected if key not in state]
    unknown = [key for key in state if key not in set(expected)]
    if missing or unknown:
        found = " and ".join(_some(keys, word) for keys, word in ((missing, "missing"), (unknown, "too many")) if keys)
        raise _check.InputError(f"{op}: these are not the weights of {what}: {found}")


def _some(keys: Sequence[str], word: str) -> str:
    more = ", ..." if len(keys) > 5 else ""
    return f"{len(keys)} {'key' if len(keys) == 1 else 'keys'} {word} ({', '.join(keys[:5])}{more})"


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
