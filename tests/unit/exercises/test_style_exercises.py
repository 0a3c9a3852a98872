"""The exercises on style transfer: other solutions pass, common mistakes are found and named."""

import pytest
import torch

from cvlab import exercises
from cvlab.exercises.style import EXERCISES


def gram(maps):
    return torch.einsum("ihw,jhw->ij", maps, maps) / maps.numel()


def variation(picture):
    total = 0.0
    for channel in picture.tolist():
        for i, row in enumerate(channel):
            for j, value in enumerate(row):
                total += abs(value - channel[i + 1][j]) if i + 1 < len(channel) else 0
                total += abs(value - row[j + 1]) if j + 1 < len(row) else 0
    return total


def masked_gram(maps, mask):
    places = maps.flatten(1)
    return (places * mask.flatten()) @ places.T / (len(maps) * mask.sum())


def relative_loss(grams, targets, weights):
    losses = [float((g - t).square().mean() / t.square().mean()) for g, t in zip(grams, targets, strict=True)]
    return sum(w * loss for w, loss in zip(weights.tolist(), losses, strict=True)) / sum(weights.tolist())


def luminance_only(painted, content):
    change = torch.einsum("chw,c->hw", painted - content, torch.tensor([0.299, 0.587, 0.114]))
    return (content + change).clamp(0, 1)


def instance_norm(maps, scale, shift):
    out = torch.empty_like(maps)
    for picture, result in zip(maps, out, strict=True):
        for i, channel in enumerate(picture):
            rest = channel - channel.mean()
            result[i] = scale[i] * rest / (rest.square().mean() + 1e-5).sqrt() + shift[i]
    return out


@pytest.mark.parametrize("name", EXERCISES)
def test_another_way_to_write_it_passes(name):
    verdict = exercises.check(name, globals()[name])
    assert verdict.ok, verdict.message
    assert EXERCISES[name].mistakes


@pytest.mark.parametrize(("name", "hint"), [(name, hint) for name, it in EXERCISES.items() for hint in it.mistakes])
def test_a_common_mistake_is_found_and_named(name, hint):
    verdict = exercises.check(name, EXERCISES[name].mistakes[hint])
    assert not verdict.ok
    assert "Input" in verdict.message
    assert verdict.message.endswith(f"\n  {hint}")


MISTAKES = {
    "gram": (lambda x: x.flatten(1) @ x.flatten(1).T / (x.shape[1] * x.shape[2]), "divided by h w only"),
    "variation": (lambda x: x.diff(dim=1).pow(2).sum() + x.diff(dim=2).pow(2).sum(), "These are squares"),
    "masked_gram": (lambda x, m: gram(x * m), "The mask counts twice here"),
    "relative_loss": (lambda g, t, w: (w * (g - t).pow(2).mean((1, 2))).sum() / w.sum(), "not divided by the mean"),
    "luminance_only": (lambda p, c: (c + p.mean(0) - c.mean(0)).clamp(0, 1), "the mean of the channels"),
    "instance_norm": (
        lambda x, a, b: torch.nn.functional.batch_norm(x, None, None, a, b, training=True),
        "batch normalisation",
    ),
}


@pytest.mark.parametrize("name", EXERCISES)
def test_the_same_mistake_written_otherwise_gets_the_hint(name):
    mistake, hint = MISTAKES[name]
    assert hint in exercises.check(name, mistake).message


@pytest.mark.parametrize("name", EXERCISES)
def test_another_mistake_gets_no_hint(name):
    message = exercises.check(name, lambda *arguments: globals()[name](*arguments) + 0.25).message
    assert "largest difference" in message.splitlines()[-1]
