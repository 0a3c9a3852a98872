"""A small convolutional classifier and its training loop: for measuring what happens to data, not for records."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from cvlab import _check

Batch = Callable[[Tensor], Tensor]


class SmallClassifier(nn.Module):
    """Classify small pictures: four convolutions, each after the first at half the size, a mean over places, one layer.

    Args:
        num_classes: number of classes.
        width: channels of the first convolution; the following have 2, 3 and 4 times as many.

    Returns:
        Called with images (B, 3, H, W), H and W at least 16, it gives logits (B, num_classes).

    Example:
        >>> SmallClassifier(10)(torch.zeros(2, 3, 48, 48)).shape
        torch.Size([2, 10])
    """

    def __init__(self, num_classes: int, width: int = 24) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = 3
        for i in range(4):
            after = width * (i + 1)
            layers += [nn.Conv2d(before, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU(inplace=True)]
            layers += [nn.MaxPool2d(2)] if i < 3 else []
            before = after
        self.features = nn.Sequential(*layers)
        self.head = nn.Linear(before, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Compute logits."""
        return self.head(self.features(images).mean((2, 3)))  # (B, C, H, W) -> (B, C) -> (B, K)


def fit(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    epochs: int = 10,
    batch_size: int = 64,
    learning_rate: float = 3e-3,
    augment: Batch | None = None,
    weights: Tensor | None = None,
    order: Callable[[torch.Generator], Tensor] | None = None,
    seed: int = 0,
) -> list[float]:
    """Train a classifier with AdamW and a cosine schedule.

    Args:
        model: maps images (B, 3, H, W) float to logits (B, K).
        images: (N, 3, H, W) uint8, all of the training set.
        labels: (N,) int64.
        epochs: passes over the data.
        batch_size: images in a step.
        learning_rate: the largest one; it rises in the first tenth of the steps and falls to zero along a cosine.
        augment: a function of a batch (B, 3, H, W) uint8 that returns another such batch.
        weights: (K,) weight of each class in the loss.
        order: gives the indices of one epoch; by default each image once, shuffled.
        seed: of shuffling and of augmentation.

    Returns:
        The mean loss of each epoch.

    Raises:
        InputError: if images and labels do not fit each other, or there are none.
    """
    _check.shape("fit", "images", images, ("N", 3, "H", "W"))
    _check.length("fit", "labels", labels, len(images), "image")
    if len(images) == 0:
        raise _check.InputError("fit: there must be one image or more, got none")
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)  # augmentation draws from the global generator
    shuffled = order or (lambda g: torch.randperm(len(images), generator=g))
    steps = epochs * -(-len(shuffled(torch.Generator())) // batch_size)
    steps += steps == 10  # torch's schedule divides by zero where the first tenth is one step
    optimizer = torch.optim.AdamW(model.parameters(), learning_rate, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, total_steps=steps, pct_start=0.1)
    losses = []
    for _ in range(epochs):
        model.train()
        total = 0.0
        indices = shuffled(generator)
        for batch in indices.split(batch_size):
            given = images[batch] if augment is None else augment(images[batch])
            loss = functional.cross_entropy(model(scaled(given)), labels[batch], weights)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item() * len(batch)
        losses.append(total / len(indices))
    return losses


def scaled(images: Tensor) -> Tensor:
    """Bring uint8 images to floats in [-1, 1], as the classifier is trained: x / 127.5 - 1."""
    return images.float() / 127.5 - 1


@torch.no_grad()
def predict(model: nn.Module, images: Tensor, *, scale: Callable[[Tensor], Tensor] = scaled) -> Tensor:
    """Compute the probabilities of all classes, in batches and in evaluation mode.

    Args:
        model: as `fit` trains it.
        images: (N, 3, H, W) uint8.
        scale: how they are brought to floats; another way than in training is a mistake worth measuring.

    Returns:
        (N, K) float32.
    """
    model.eval()
    return torch.cat([model(scale(batch)).softmax(1) for batch in images.split(256)])


def accuracy(model: nn.Module, images: Tensor, labels: Tensor, **options: Callable[[Tensor], Tensor]) -> float:
    """Measure the share of images whose most probable class is the right one; options as in `predict`.

    Raises:
        InputError: if images and labels do not fit each other, or there are none.
    """
    _check.length("accuracy", "labels", labels, len(images), "image")
    if len(images) == 0:
        raise _check.InputError("accuracy: there must be one image or more, got none")
    return float((predict(model, images, **options).argmax(1) == labels).float().mean())
