"""How much memory a picture's size takes, and which size would fit."""

from __future__ import annotations

import math
import os
from pathlib import Path

import torch
from torch import Tensor

from cvlab import _check
from cvlab.style.features import FeatureExtractor

PROBE = 96
"""Side of the picture on which the memory is measured, pixels."""


def activation_bytes(features: FeatureExtractor, size: tuple[int, int], dtype: torch.dtype | None = None) -> int:
    """Measure the memory that a forward pass keeps for the way back, each tensor counted once.

    Args:
        features: the extractor; runs once on a picture of this size.
        size: (H, W), pixels.
        dtype: of autocast; None for none.

    Returns:
        Bytes.
    """
    kept: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    weights = {p.untyped_storage().data_ptr() for p in features.parameters()}
    device = features.mean.device
    picture = torch.rand(1, 3, *size, device=device).requires_grad_()
    with (
        torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
        torch.autocast(device.type, dtype=dtype, enabled=dtype is not None),
    ):
        maps = features(picture)
        for tensor in maps.values():
            keep(tensor)
    return sum(t.untyped_storage().nbytes() for pointer, t in kept.items() if pointer not in weights)


def available_bytes(device: torch.device) -> int | None:
    """Give the memory that is free, or None where the system does not tell."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    facts = Path("/proc/meminfo")
    if facts.is_file():
        lines = dict(line.split(":", 1) for line in facts.read_text(encoding="ascii").splitlines())
        if "MemAvailable" in lines:
            return int(lines["MemAvailable"].split()[0]) * 1024
    names = os.sysconf_names if hasattr(os, "sysconf_names") else {}
    if "SC_PHYS_PAGES" in names:  # all there is, where nobody tells what is free
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return None


def check_memory(op: str, features: FeatureExtractor, size: tuple[int, int], dtype: torch.dtype | None = None) -> None:
    """Refuse a picture too large for the memory that is free, and name the size that would fit.

    Args:
        op: the operation, for the message.
        features: the extractor.
        size: (H, W) of the picture, pixels.
        dtype: of autocast; None for none.

    Raises:
        InputError: if one and a half times what a forward pass keeps (gradients come on top) is more than is free.
    """
    free = available_bytes(features.mean.device)
    pixels = size[0] * size[1]
    if free is None or pixels <= 512**2:
        return
    needed = 1.5 * activation_bytes(features, (PROBE, PROBE), dtype) * pixels / PROBE**2
    if needed > free:
        scale = math.sqrt(0.9 * free / needed)
        raise _check.InputError(
            f"{op}: a picture of {size[0]} x {size[1]} needs about {needed / 1e9:.1f} GB, and {free / 1e9:.1f} GB are "
            f"free; {int(size[0] * scale)} x {int(size[1] * scale)} would fit"
        )
