"""Batches for a training that can go on from any step with the very batches it would have had."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, Sampler

from cvlab import _check
from cvlab.engine.streams import mix, random_stream

Collate = Callable[[list[Any]], tuple[Any, Any]]


class Batch(NamedTuple):
    """One batch, and where it comes from."""

    images: Any
    targets: Any
    epoch: int  # from 0
    number: int  # within the epoch, from 0
    indices: list[int] | None  # of the items in the data set, where they are known


def list_collate(items: list[tuple[Any, Any]]) -> tuple[list[Any], list[Any]]:
    """Put items into a list of images and a list of targets, as detection models take them.

    Args:
        items: Pairs (image, target).

    Returns:
        The images and the targets.

    Example:
        >>> list_collate([("a", 1), ("b", 2)])
        (['a', 'b'], [1, 2])
    """
    return [image for image, _ in items], [target for _, target in items]


def stack_collate(items: list[tuple[Any, dict[str, Any]]]) -> tuple[Tensor, dict[str, Any]]:
    """Stack images of one size, and each entry of their targets that is a tensor, as segmentation networks take them.

    Args:
        items: Pairs (image, target) with images (C, H, W) and dictionaries.

    Returns:
        Images (B, C, H, W), and a dictionary of tensors (B, ...); entries that are no tensors become lists.

    Raises:
        RuntimeError: Tensors differ in size.

    Example:
        >>> items = [(torch.zeros(3, 2, 2), {"semantic": torch.zeros(2, 2), "image_id": i}) for i in range(4)]
        >>> images, targets = stack_collate(items)
        >>> images.shape, targets["semantic"].shape, targets["image_id"]
        (torch.Size([4, 3, 2, 2]), torch.Size([4, 2, 2]), [0, 1, 2, 3])
    """
    targets: dict[str, Any] = {}
    for key in items[0][1]:
        values = [target[key] for _, target in items]
        whole = all(isinstance(value, Tensor) for value in values)
        targets[key] = torch.stack([value.as_subclass(Tensor) for value in values]) if whole else values
    return torch.stack([image.as_subclass(Tensor) for image, _ in items]), targets


def set_epoch(dataset: Any, epoch: int) -> None:
    """Tell a data set, and those within it, which epoch it is, where they have a `set_epoch`."""
    if hasattr(dataset, "set_epoch"):
        dataset.set_epoch(epoch)
    for inner in (getattr(dataset, "dataset", None), *getattr(dataset, "datasets", ())):
        if inner is not None:
            set_epoch(inner, epoch)


class Batches:
    """Give the batches of each epoch; the base of those of a data set and those of a DataLoader."""

    length: int | None  # batches of an epoch, where it is known
    items: int | None  # of the data set, where it is known

    def epoch(self, epoch: int, first: int = 0) -> Iterator[Batch]:
        """Give the batches of an epoch, from batch `first` on."""
        raise NotImplementedError

    def endless(self, step: int = 0) -> Iterator[Batch]:
        """Give the batches of one epoch after the other, from step `step` on."""
        epoch, first = divmod(step, self.length) if self.length else (0, 0)
        dropped = 0 if self.length else step  # where no length is known, all batches before are made again
        while True:
            empty = True
            for batch in self.epoch(epoch, first):
                empty = False
                if dropped:
                    dropped -= 1
                else:
                    yield batch
            if empty:
                raise _check.InputError(f"fit: train gave no batch in epoch {epoch}")
            epoch, first = epoch + 1, 0


class _Batch(Dataset):
    """Make a whole batch for a key (epoch, number, indices), from random numbers of the batch's own.

    So a batch depends on the seed, the epoch and its number alone, not on which worker makes it, nor on what was drawn
    before.
    """

    def __init__(self, dataset: Any, collate: Collate, seed: int, tell_epoch: bool) -> None:
        self.dataset, self.collate, self.seed, self.tell_epoch = dataset, collate, seed, tell_epoch
        self._epoch = -1

    def __getitem__(self, key: tuple[int, int, list[int]]) -> Batch:
        epoch, number, indices = key
        if self.tell_epoch and epoch != self._epoch:
            set_epoch(self.dataset, epoch)
            self._epoch = epoch
        with random_stream(self.seed, epoch, number):
            return Batch(*_pair(self.collate(self._items(indices))), epoch, number, indices)

    def _items(self, indices: list[int]) -> list[Any]:
        if hasattr(self.dataset, "__getitems__"):
            return self.dataset.__getitems__(indices)
        items = []
        for i in indices:
            try:
                items.append(self.dataset[i])
            except Exception as error:
                error.add_note(f"fit: this came from item {i} of the data set")
                raise
        return items


class _Keys(Sampler):
    """Give the keys of an epoch's batches, from some batch on."""

    def __init__(self, keys: Callable[[int], list[tuple[int, int, list[int]]]]) -> None:
        self.keys, self.epoch, self.first = keys, 0, 0

    def __iter__(self) -> Iterator[tuple[int, int, list[int]]]:
        return iter(self.keys(self.epoch)[self.first :])


def _same(value: Any) -> Any:
    return value


class DatasetBatches(Batches):
    """Give shuffled batches of a data set; the order of an epoch depends on the seed and the epoch alone.

    Args:
        dataset: Map style: items by index, and a length.
        batch_size: Items of a batch and process, at least 1; the last batch of an epoch may have fewer.
        collate: Makes a pair (images, targets) from a list of items.
        num_workers: Processes that make batches; 0 for none.
        seed: Non-negative.
        shuffle: Whether each epoch has an order of its own; if not, the data set is told no epoch either.
        process: Which process this is, and how many there are; each takes its share of the batches.
        name: Of the argument, for messages.
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int,
        collate: Collate,
        num_workers: int = 0,
        seed: int = 0,
        shuffle: bool = True,
        process: tuple[int, int] = (0, 1),
        name: str = "train",
    ) -> None:
        if isinstance(dataset, IterableDataset) or not (
            hasattr(dataset, "__getitem__") and hasattr(dataset, "__len__")
        ):
            raise TypeError(
                f"fit: {name} must be a data set with items by index and a length, or a DataLoader, "
                f"got {type(dataset).__name__}"
            )
        self.items, self.batch_size, self.seed, self.shuffle, self.process = (
            len(dataset),
            batch_size,
            seed,
            shuffle,
            process,
        )
        if self.items == 0:
            raise _check.InputError(f"fit: {name} must hold at least one item, got none")
        self.length = -(-self.items // (batch_size * process[1]))
        self._keys = _Keys(self.keys)
        self._loader = DataLoader(
            _Batch(dataset, collate, seed, tell_epoch=shuffle),
            batch_size=None,
            sampler=self._keys,
            collate_fn=_same,
            num_workers=num_workers,
            persistent_workers=num_workers > 0,
            generator=torch.Generator(),  # so that nothing is drawn from the global one
        )

    def keys(self, epoch: int) -> list[tuple[int, int, list[int]]]:
        """Give epoch, number and item indices of each batch of an epoch."""
        if self.shuffle:
            generator = torch.Generator().manual_seed(mix(self.seed, epoch))
            order = torch.randperm(self.items, generator=generator).tolist()
        else:
            order = list(range(self.items))
        rank, processes = self.process
        order += (order * processes)[: -len(order) % processes]  # all processes need the same number of items
        whole = self.batch_size * processes
        return [(epoch, i, order[i * whole : (i + 1) * whole][rank::processes]) for i in range(self.length)]

    def epoch(self, epoch: int, first: int = 0) -> Iterator[Batch]:
        """Give the batches of an epoch, from batch `first` on; those before are not made."""
        self._keys.epoch, self._keys.first = epoch, first
        yield from self._loader


class LoaderBatches(Batches):
    """Give the batches of somebody's own DataLoader, with random numbers that depend on seed, epoch and batch alone.

    Args:
        loader: Gives pairs (images, targets).
        seed: Non-negative. Generators of the loader and its sampler are set from it at the start of each epoch.
        shuffle: Whether to tell the loader's samplers and data set the epoch.
    """

    def __init__(self, loader: Any, seed: int = 0, shuffle: bool = True) -> None:
        self.loader, self.seed, self.shuffle = loader, seed, shuffle
        try:
            self.length = len(loader)
            self.items = len(loader.dataset)
        except TypeError:
            self.length = self.items = None

    def epoch(self, epoch: int, first: int = 0) -> Iterator[Batch]:
        """Give the batches of an epoch, from batch `first` on; those before are made and thrown away."""
        if self.shuffle:
            self._begin(epoch)
        with random_stream(self.seed, epoch):
            batches = iter(self.loader)
        number = 0
        while True:
            with random_stream(self.seed, epoch, number):
                batch = next(batches, None)
            if batch is None:
                return
            if number >= first:
                yield Batch(*_pair(batch), epoch, number, None)
            number += 1

    def _begin(self, epoch: int) -> None:
        samplers = [getattr(self.loader, name, None) for name in ("sampler", "batch_sampler")]
        for part in (self.loader, *samplers):
            if isinstance(getattr(part, "generator", None), torch.Generator):
                part.generator.manual_seed(mix(self.seed, epoch))
            if hasattr(part, "set_epoch"):
                part.set_epoch(epoch)
        set_epoch(self.loader.dataset, epoch)


def _pair(batch: Any) -> Sequence[Any]:
    if not isinstance(batch, (tuple, list)) or len(batch) != 2:
        raise _check.InputError(f"fit: a batch must be a pair (images, targets), got {type(batch).__name__}")
    return batch
