"""Predict: run a model over a data set, and keep what it says of each item."""

from __future__ import annotations

from typing import Any

import torch
from accelerate.utils import send_to_device
from torch import nn

from cvlab.engine.batches import Collate, list_collate
from cvlab.engine.evaluation import batches_of, in_mode


def predict(
    model: nn.Module, data: Any, *, batch_size: int = 32, collate: Collate = list_collate
) -> tuple[list[Any], list[Any]]:
    """Run a model over a data set, on the device where the model is.

    Args:
        model: The model; each of its modules keeps its mode, and nothing in it changes.
        data: A data set with items (image, target) by index, or a DataLoader that gives pairs (images, targets).
        batch_size: Items of a batch, at least 1.
        collate: Makes a pair (images, targets) from a list of items.

    Returns:
        The predictions and the targets, each a list with one for each item, in the order of the data; predictions are
        on the CPU.

    Raises:
        InputError: `data` is empty.

    Example:
        >>> class Double(nn.Module):
        ...     def forward(self, images): return [2 * image for image in images]
        >>> predict(Double(), [(torch.tensor(3), "three"), (torch.tensor(4), "four")])
        ([tensor(6), tensor(8)], ['three', 'four'])
    """
    batches = batches_of(data, "data", batch_size, collate, num_workers=0, seed=0, shuffle=False)
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    predictions: list[Any] = []
    targets: list[Any] = []
    with torch.no_grad(), in_mode(model, losses=False):
        for batch in batches.epoch(0):
            predictions += send_to_device(model(send_to_device(batch.images, device)), "cpu")
            targets += batch.targets
    return predictions, targets
