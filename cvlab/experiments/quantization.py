"""How many bits a small classifier needs: by calibration alone, with training, and with learned steps.

`python -m cvlab.experiments.quantization [PART ...]` makes `quantization.json` again, or parts of it, in half an hour
on one core.
"""

from __future__ import annotations

import copy
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from cvlab import engine
from cvlab._check import InputError
from cvlab.data import digits
from cvlab.experiments.results import card, load, save
from cvlab.models import digit_net
from cvlab.quant import OBSERVERS, QuantModel, quantize_model, trace
from cvlab.recipes.digits import CLASSIFIERS, DigitRecipe

CALIBRATED, TESTED, SEEDS = 300, 1000, (0, 1, 2)
BITS = ((8, 8), (6, 8), (4, 8), (3, 8), (2, 8), (6, 6), (4, 4))
"""Bits of weights and of maps that calibration is tried with."""

TRAINED = ((4, 4), (2, 4), (2, 2))
QAT_STEPS, LSQ_STEPS = 500, 150
LSQ_RATES = (3e-3, 1e-2, 3e-2)
"""Of SGD with momentum 0.9, constant, without clipping of gradients."""


def calibration(count: int = CALIBRATED) -> list[Tensor]:
    """Give pictures of the validation split in [0, 1], in batches of 50."""
    return list((digits(count, "val")[0].float() / 255).split(50))


@torch.no_grad()
def accuracy(model: nn.Module, count: int = TESTED) -> float:
    """Compute the share of right answers on test pictures."""
    images, labels = digits(count, "test")
    answers = torch.cat([model(batch.float() / 255).argmax(1) for batch in images.split(250)])
    return float((answers == labels).double().mean())


def quantized(weight_bits: int, activation_bits: int, **options: Any) -> QuantModel:
    """Calibrate the shipped classifier."""
    bits = {"weight_bits": weight_bits, "activation_bits": activation_bits}
    return quantize_model(digit_net("digit_net"), calibration(), input_range=(0, 1), **bits, **options)


def calibrated() -> dict[str, dict[str, float]]:
    """Measure each number of bits, with one scale for each channel or tensor, and with each observer."""
    found: dict[str, dict[str, float]] = {}
    for bits in BITS:
        row = found.setdefault(_name(bits), {})
        for per_channel in (True, False):
            for observer in OBSERVERS:
                name = f"per {'channel' if per_channel else 'tensor'}, {observer}"
                row[name] = accuracy(quantized(*bits, per_channel=per_channel, observer=observer))
        print(_name(bits), row, flush=True)
    return found


def train(model: nn.Module, steps: int, seed: int, **options: Any) -> nn.Module:
    """Train a classifier of digits, quantized or not; diverging is a result too."""
    recipe = CLASSIFIERS["digit_net"]
    assert isinstance(recipe, DigitRecipe)
    fixed = {"batch_size": 64, "learning_rate": 1e-3, "warmup": 20, "progress": False, **recipe.fit_options()}
    try:
        engine.fit(model, recipe.scenes("train", recipe.images), steps=steps, seed=seed, **{**fixed, **options})
    except (engine.TrainingError, InputError) as error:
        print("stopped:", error)
    return model


def trained() -> dict[str, Any]:
    """Measure what training with rounding in it gives back, three seeds each."""
    found: dict[str, Any] = {}
    for bits in TRAINED:
        before = quantized(*bits, observer="mse")
        after = [accuracy(train(copy.deepcopy(before), QAT_STEPS, seed)) for seed in SEEDS]
        found[_name(bits)] = {"before": accuracy(before), "after": after}
        print("trained", _name(bits), found[_name(bits)], flush=True)
    return found


def outcome(model: nn.Module) -> float | None:
    """Measure a network; None where a learned step has fallen to 0 or below, so that it computes nothing."""
    try:
        return accuracy(model)
    except InputError as error:
        print(error)
        return None


def learned_steps() -> dict[str, Any]:
    """Measure 4-bit networks with learned steps, their gradient scaled or not, and the float network."""
    start = calibration(50)[0]
    networks: dict[str, Callable[[], nn.Module]] = {
        "float": Unrounded,
        "gradient scaled": lambda: quantized(4, 4, per_channel=False).learn_steps(start),
        "gradient as it is": lambda: quantized(4, 4, per_channel=False).learn_steps(start, gradient_scale=False),
    }
    found: dict[str, Any] = {name: {} for name in networks}
    fixed = {"optimizer": "sgd", "schedule": "constant", "warmup": 0, "clip": None, "weight_decay": 0.0}
    for name, make in networks.items():
        for rate in LSQ_RATES:
            runs = [outcome(train(make(), LSQ_STEPS, seed, learning_rate=rate, **fixed)) for seed in SEEDS]
            found[name][str(rate)] = runs
            print(name, rate, runs, flush=True)
    return found


class Unrounded(QuantModel):
    """The shipped classifier, batch normalisation folded as in the quantized one, without any rounding."""

    def __init__(self) -> None:
        batches = calibration(50)
        super().__init__(trace(digit_net("digit_net"), batches[0]), round_activations=False)
        self.calibrate(batches)

    def _weight(self, node: Any) -> Tensor:
        return self.weights[node.name]


def _name(bits: tuple[int, int]) -> str:
    return f"W{bits[0]}A{bits[1]}"


PARTS: dict[str, Callable[[], Any]] = {
    "float": lambda: accuracy(digit_net("digit_net")),
    "calibrated": calibrated,
    "trained": trained,
    "learned": learned_steps,
}


def main(chosen: Sequence[str]) -> None:
    """Measure some parts or all, and keep them."""
    torch.set_num_threads(1)
    began = time.monotonic()
    found = {part: PARTS[part]() for part in chosen or PARTS}
    results = {**load("quantization"), **found} if chosen else found
    steps = {"qat": QAT_STEPS, "lsq": LSQ_STEPS}
    results["card"] = card(
        time.monotonic() - began, seeds=list(SEEDS), steps=steps, calibrated=CALIBRATED, tested=TESTED
    )
    save("quantization", results)


if __name__ == "__main__":
    main(sys.argv[1:])
