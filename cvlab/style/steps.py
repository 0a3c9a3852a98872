"""One step of an optimizer on a picture, Adam or L-BFGS."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

OPTIMIZERS = {"adam": 0.03, "lbfgs": 1.0}
"""The optimizers, and their learning rates where none is given."""

Losses = Callable[[], dict[str, Tensor]]


def make_optimizer(name: str, pixels: Tensor, learning_rate: float) -> torch.optim.Optimizer:
    """Make an optimizer of a picture: "adam", or "lbfgs" with a line search, of which a step is one iteration."""
    if name == "adam":
        return torch.optim.Adam([pixels], learning_rate)
    return torch.optim.LBFGS(
        [pixels], learning_rate, max_iter=1, max_eval=25, history_size=20, line_search_fn="strong_wolfe"
    )


def take_step(optimizer: torch.optim.Optimizer, pixels: Tensor, losses: Losses) -> dict[str, float]:
    """Take a step down the total, and give the losses before it.

    L-BFGS asks for the loss and gradient where it stands, which its last line search has mostly computed already: these
    are remembered. Its update reads gradients as one row of numbers, which fails for a picture that lies in memory in
    another order than its shape's.
    """
    first: dict[str, float] = {}

    def closure() -> Tensor:
        seen = optimizer.__dict__.setdefault("seen", {})
        if seen and torch.equal(seen["pixels"], pixels.detach()):
            found, gradient = seen["losses"], seen["gradient"]
        else:
            found = losses()
            (gradient,) = torch.autograd.grad(found["total"], pixels)
            found = {key: value.detach() for key, value in found.items()}
            if isinstance(optimizer, torch.optim.LBFGS):
                seen.update(pixels=pixels.detach().clone(), losses=found, gradient=gradient)
        pixels.grad = gradient.contiguous().clone()
        if not first:
            first.update({key: float(value) for key, value in found.items()})
        return found["total"]

    optimizer.step(closure)
    return first
