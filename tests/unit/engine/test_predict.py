"""Predictions for a whole data set: in order, in evaluation, and with the model left as it was."""

import pytest
import torch
from torch import nn

from cvlab import engine


class Noisy(nn.Module):
    """Adds 1, and drops half of the numbers in training."""

    def __init__(self):
        super().__init__()
        self.drop = nn.Dropout(0.5)
        self.one = nn.Parameter(torch.ones(()))

    def forward(self, images):
        return [{"value": self.drop(image) + self.one} for image in images]


def test_predictions_are_in_order_without_gradient_and_dropout():
    data = [(torch.full((3,), float(i)), i) for i in range(7)]
    model = Noisy().train()
    predictions, targets = engine.predict(model, data, batch_size=3)
    assert targets == list(range(7))
    assert [each["value"].tolist() for each in predictions] == [[i + 1.0] * 3 for i in range(7)]
    assert not any(each["value"].requires_grad for each in predictions)
    assert model.training
    assert model.drop.training


def test_empty_data():
    with pytest.raises(ValueError, match="data must hold at least one item, got none"):
        engine.predict(Noisy(), [])
