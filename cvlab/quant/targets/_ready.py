"""What must hold before a network is quantized for a device, and messages where it does not."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from cvlab import _check


def needs(op: str, *packages: str) -> None:
    """Refuse to go on without a package."""
    for package in packages:
        if importlib.util.find_spec(package) is None:
            raise ImportError(f"{op}: needs the packages {' and '.join(packages)}, but there is no {package}")


def network(op: str, model: nn.Module) -> None:
    """Refuse a network in training mode, or with a weight that is NaN or infinite."""
    if model.training:
        raise _check.InputError(f"{op}: the model is in training mode, call model.eval() first")
    for name, value in model.state_dict().items():
        if isinstance(value, Tensor):
            _check.finite(op, name, value)


def images(op: str, name: str, value: Tensor) -> Tensor:
    """Refuse what is no batch (B, 3, H, W) of finite numbers; give it as float32 on the CPU."""
    _check.numeric(op, name, value, floating=True)
    _check.shape(op, name, value, ("B", 3, "H", "W"))
    if value.numel() == 0:
        raise _check.InputError(f"{op}: {name} must hold at least one image, got shape {tuple(value.shape)}")
    _check.finite(op, name, value)
    return value.detach().to("cpu", torch.float32).contiguous()


@contextlib.contextmanager
def quiet(name: str) -> Iterator[None]:
    """Let a logger say nothing below an error."""
    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
