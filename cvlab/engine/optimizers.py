"""Optimizers, and which parameters weight decay pulls towards zero."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn
from torch.optim import SGD, AdamW, Optimizer

from cvlab import _check

OPTIMIZERS = ("adamw", "sgd")
"""The optimizers that have a name."""


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Split the trainable parameters into those that decay and those that do not.

    Weights of convolutions and linear layers decay; biases and the scales of normalisations, all parameters with at
    most one dimension, do not: they are few, and pulling them to zero only shifts what a layer gives.

    Args:
        model: The model.
        weight_decay: At least 0.

    Returns:
        The groups as optimizers take them, the decaying one first; a group without parameters is left out.

    Raises:
        InputError: There is no trainable parameter, or the decay is negative.

    Example:
        >>> groups = parameter_groups(nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)), 0.01)
        >>> [(group["weight_decay"], len(group["params"])) for group in groups]
        [(0.01, 1), (0.0, 3)]
    """
    _check.positive("parameter_groups", "(weight_decay,)", (weight_decay,), zero=True)
    trainable = [p for p in model.parameters() if p.requires_grad]
    if not trainable:
        raise _check.InputError("parameter_groups: the model must have a parameter that requires a gradient, got none")
    groups = [
        {"params": [p for p in trainable if p.dim() > 1], "weight_decay": float(weight_decay)},
        {"params": [p for p in trainable if p.dim() <= 1], "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def make_optimizer(
    model: nn.Module,
    optimizer: str | Callable[[list[dict[str, Any]]], Optimizer],
    learning_rate: float,
    weight_decay: float,
) -> Optimizer:
    """Make an optimizer for a model that is already on its device.

    Args:
        model: The model.
        optimizer: "adamw"; "sgd", with momentum 0.9; or a function of the parameter groups, whose own learning rates
            then hold and `learning_rate` does not.
        learning_rate: Above 0.
        weight_decay: At least 0; not applied to biases and normalisations.

    Returns:
        The optimizer. Each of its groups tells its full learning rate as "initial_lr".

    Raises:
        InputError: A name is unknown, or a number is out of range.
        TypeError: The function gives no optimizer.

    Example:
        >>> make_optimizer(nn.Linear(2, 1), "sgd", 0.1, 0.0).param_groups[0]["initial_lr"]
        0.1
    """
    groups = parameter_groups(model, weight_decay)
    _check.positive("fit", "(learning_rate,)", (learning_rate,))
    if callable(optimizer):
        made = optimizer(groups)
        if not isinstance(made, Optimizer):
            raise TypeError(f"fit: optimizer must give a torch.optim.Optimizer, got {type(made).__name__}")
    else:
        _check.choice("fit", "optimizer", optimizer, OPTIMIZERS)
        made = (
            AdamW(groups, lr=float(learning_rate))
            if optimizer == "adamw"
            else SGD(groups, lr=float(learning_rate), momentum=0.9)
        )
    for group in made.param_groups:
        group["initial_lr"] = float(group["lr"])
    return made
