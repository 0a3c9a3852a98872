"""Small things to train, which draw random numbers wherever a real training does."""

from __future__ import annotations

import random

import numpy as np
import torch
from torch import nn
from torch.nn import functional


class Net(nn.Module):
    """A classifier with everything that has a state: batch normalisation, dropout, several layers."""

    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, width, 3, padding=1)
        self.norm = nn.BatchNorm2d(width)
        self.dropout = nn.Dropout(0.3)
        self.head = nn.Linear(width, 2)

    def forward(self, images):
        x = self.norm(self.conv(torch.stack(list(images)))).relu()
        return self.head(self.dropout(x.mean((2, 3))))


class Pictures(torch.utils.data.Dataset):
    """Noise, brighter for class 1, drawn from torch's, numpy's and Python's global generators; knows its epoch."""

    def __init__(self, length: int = 10) -> None:
        self.length, self.epoch, self.epochs, self.asked = length, 0, [], []

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch
        self.epochs.append(epoch)

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, i):
        self.asked.append(i)
        noise = torch.rand(1, 6, 6) + float(np.random.rand()) + random.random()  # noqa: NPY002
        return noise + i % 2 + 0.01 * self.epoch, torch.tensor(i % 2)


def entropy(model, images, targets):
    """The loss of a classifier, in two terms."""
    loss = functional.cross_entropy(model(images), torch.stack(list(targets)))
    return {"entropy": loss, "size": 0.001 * sum(p.square().sum() for p in model.parameters())}


class Accuracy:
    """The share of right answers."""

    def reset(self):
        self.right = self.all = 0

    def update(self, predictions, targets):
        self.right += int((predictions.argmax(1) == torch.stack(list(targets))).sum())
        self.all += len(targets)

    def compute(self):
        return {"AP": self.right / max(self.all, 1)}


def make_net(width: int = 4) -> Net:
    """Make the same model each time."""
    with torch.random.fork_rng():
        torch.manual_seed(7)
        return Net(width)
