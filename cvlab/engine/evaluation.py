"""Evaluate a model on held-out data: with a metric, or by its loss."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

import torch
from accelerate.utils import send_to_device
from torch import Tensor, nn
from torch.utils.data import DataLoader

from cvlab import _check
from cvlab.engine.batches import Batches, Collate, DatasetBatches, LoaderBatches, list_collate

Loss = Callable[[nn.Module, Any, Any], Tensor | Mapping[str, Tensor]]


class Metric(Protocol):
    """What `fit` and `evaluate` need of a metric."""

    def reset(self) -> None:
        """Forget everything."""

    def update(self, predictions: Any, targets: Any) -> None:
        """Take in the predictions and targets of one batch."""

    def compute(self) -> Mapping[str, float]:
        """Compute the metrics of all that was taken in, under their names."""


def evaluate(
    model: nn.Module,
    val: Any,
    metric: Metric | None = None,
    *,
    loss: Loss | None = None,
    batch_size: int = 32,
    collate: Collate = list_collate,
    num_workers: int = 0,
    seed: int = 0,
) -> dict[str, float]:
    """Evaluate a model on a data set, on the device where the model is.

    Args:
        model: The model; each of its modules keeps its mode, and nothing in it changes.
        val: A data set with items (image, target) by index, or a DataLoader that gives pairs (images, targets).
        metric: Has `reset()`, `update(predictions, targets)` and `compute()`, which gives numbers by name. Without
            one, the loss is computed.
        loss: A function (model, images, targets) that gives the loss, or its terms by name; None for
            `model(images, targets)`, as torchvision's detection models have it.
        batch_size: Items of a batch, at least 1.
        collate: Makes a pair (images, targets) from a list of items.
        num_workers: Processes that make batches; 0 for none.
        seed: For data that are drawn at random; non-negative.

    Returns:
        The metric's numbers; without a metric "loss", its mean over all items, and the mean of each term.

    Raises:
        InputError: `val` is empty, or the metric or the loss gives something else than numbers.

    Notes:
        For the loss, the model is in training mode, because detection models give losses in no other, but for its batch
        normalisations and dropouts, which stay as in evaluation.

    Example:
        >>> class Share:
        ...     def reset(self): self.right = self.all = 0
        ...     def update(self, predictions, targets):
        ...         self.right += sum(int(p > 0) == t for p, t in zip(predictions, targets)); self.all += len(targets)
        ...     def compute(self): return {"accuracy": self.right / self.all}
        >>> class Sums(nn.Module):
        ...     def forward(self, images): return [image.sum() for image in images]
        >>> evaluate(Sums(), [(torch.ones(2), 1), (-torch.ones(2), 1)], Share())
        {'accuracy': 0.5}
    """
    check_metric("evaluate", metric)
    batches = batches_of(val, "val", batch_size, collate, num_workers, seed, shuffle=False)
    return measure(model, batches, metric, loss)


def measure(model: nn.Module, batches: Batches, metric: Metric | None, loss: Loss | None) -> dict[str, float]:
    """Evaluate a model on batches; see `evaluate`."""
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    with torch.no_grad(), in_mode(model, losses=metric is None):
        if metric is None:
            return _mean_losses(model, batches, loss, device)
        metric.reset()
        for batch in batches.epoch(0):
            metric.update(model(send_to_device(batch.images, device)), send_to_device(batch.targets, device))
        return _numbers(metric.compute())


def _mean_losses(model: nn.Module, batches: Batches, loss: Loss | None, device: torch.device) -> dict[str, float]:
    sums: dict[str, float] = {}
    items = 0
    for batch in batches.epoch(0):
        terms = losses_of(loss, model, send_to_device(batch.images, device), send_to_device(batch.targets, device))
        count = len(batch.images)
        items += count
        for name, value in {"loss": sum(terms.values()), **terms}.items():
            sums[name] = sums.get(name, 0.0) + float(value) * count
    if items == 0:
        raise _check.InputError("evaluate: val must hold at least one item, got none")
    return {name: total / items for name, total in sums.items()}


def losses_of(loss: Loss | None, model: nn.Module, images: Any, targets: Any) -> dict[str, Tensor]:
    """Compute the terms of the loss, and refuse what is none.

    Args:
        loss: A function (model, images, targets), or None for the model's own losses.
        model: The model.
        images: As the batch has them, on the model's device.
        targets: As the batch has them, on the model's device.

    Returns:
        Scalars by name; a loss without terms is called "loss".

    Raises:
        InputError: A term is no scalar tensor, or has the name of another column of the history.
    """
    values = model(images, targets) if loss is None else loss(model, images, targets)
    terms = {"loss": values} if isinstance(values, Tensor) else values
    if not isinstance(terms, Mapping) or not terms:
        got = "none" if isinstance(terms, Mapping) else type(terms).__name__
        raise _check.InputError(f"fit: the loss must be a tensor or tensors by name, got {got}")
    for name, value in terms.items():
        if not isinstance(value, Tensor) or value.numel() != 1:
            got = f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
            raise _check.InputError(f"fit: the loss {name!r} must be a tensor of one number, got {got}")
        if name in _TAKEN or (name == "loss" and len(terms) > 1):
            raise _check.InputError(f"fit: a term of the loss must not be called {name!r}: the history has that name")
    return {name: value.reshape(()) for name, value in terms.items()}


_TAKEN = ("step", "epoch", "seconds", "learning_rate", "grad_norm")


def check_metric(op: str, metric: object) -> None:
    """Refuse a metric that lacks one of its three methods."""
    for name in ("reset", "update", "compute") if metric is not None else ():
        if not callable(getattr(metric, name, None)):
            raise TypeError(f"{op}: metric must have the methods reset, update and compute, got no {name}")


def _numbers(computed: Mapping[str, float]) -> dict[str, float]:
    if not isinstance(computed, Mapping):
        raise _check.InputError(f"evaluate: metric.compute() must give numbers by name, got {type(computed).__name__}")
    numbers = {}
    for name, value in computed.items():
        try:
            numbers[str(name)] = float(value)
        except (TypeError, ValueError, RuntimeError):
            raise _check.InputError(f"evaluate: the metric {name!r} must be a number, got {value!r}") from None
    return numbers


@contextmanager
def in_mode(model: nn.Module, losses: bool) -> Iterator[None]:
    """Put a model into evaluation, or into training with fixed normalisation and dropout; then back."""
    modes = [(module, module.training) for module in model.modules()]
    try:
        model.train(losses)
        for module in model.modules():
            if isinstance(module, (nn.modules.batchnorm._BatchNorm, nn.modules.dropout._DropoutNd)):
                module.eval()
        yield
    finally:
        for module, training in modes:
            module.training = training


def batches_of(
    data: Any,
    name: str,
    batch_size: int,
    collate: Collate,
    num_workers: int,
    seed: int,
    shuffle: bool,
    process: tuple[int, int] = (0, 1),
) -> Batches:
    """Make batches of a data set, or of a DataLoader."""
    if isinstance(data, DataLoader):
        return LoaderBatches(data, seed, shuffle)
    _check.positive("fit", "(batch_size,)", (batch_size,))
    return DatasetBatches(data, int(batch_size), collate, num_workers, seed, shuffle, process, name)
