"""The measurements of the chapter on images and augmentation: `python -m cvlab.experiments.augmentation` repeats them.

With names, such as `jpeg strength`, only those are repeated.

Every number is an accuracy on pictures that no training has seen, for each of the seeds; the seed decides the weights
at the start, the shuffling and the augmentation, and the rendered training pictures stay the same.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torchvision.transforms import v2

from cvlab.augment import (
    ColourJitter,
    Flip,
    Geometric,
    ImageOnly,
    RandomJPEG,
    ShiftScaleRotate,
    for_classification,
    seeded,
)
from cvlab.data.balance import class_weights, oversampler
from cvlab.experiments.fruit import SIDE, fruit_crops
from cvlab.experiments.rendered import balanced_accuracy, coins, patches
from cvlab.experiments.results import card, load, save
from cvlab.models import SmallClassifier, accuracy, fit, predict
from cvlab.models.small import scaled
from cvlab.preprocess import IMAGENET_MEAN, IMAGENET_STD, jpeg, normalize

SEEDS = (0, 1, 2)
QUALITIES = (95, 90, 70, 50, 30, 20, 10, 5)
STRENGTHS = (0.0, 0.25, 0.5, 1.0, 2.0, 3.0)
COMMON, RARE = 300, 15  # training pictures of each kind in the unbalanced set
Augment = Callable[[Tensor], Tensor]


def one_by_one(transform: Callable[[Tensor], Tensor]) -> Augment:
    """Make a function of a batch of one that works on a single picture."""
    return lambda batch: torch.stack([transform(image).as_subclass(Tensor) for image in batch])


def classifier(seed: int, num_classes: int = 10) -> SmallClassifier:
    """Make a classifier whose first weights depend on the seed alone."""
    torch.manual_seed(seed)
    return SmallClassifier(num_classes, width=16)


def jpeg_training(quality: tuple[int, int] = (5, 95), p: float = 0.8) -> Augment:
    """Make the augmentation that stores most training pictures as JPEG of random quality."""
    return one_by_one(ImageOnly(RandomJPEG(quality), p))


def stored(images: Tensor, quality: int, subsampling: str = "4:2:0") -> Tensor:
    """Store and read back a batch (N, 3, H, W) uint8 as JPEG."""
    return torch.stack([jpeg(image, quality, subsampling) for image in images])


def jpeg_robustness(seed: int, count: int = 3000, epochs: int = 10) -> dict[str, list[float]]:
    """Train on lossless pictures, and on pictures stored as JPEG; test on lossless ones and on all qualities."""
    (images, kinds), (tests, truth) = fruit_crops("train", count), fruit_crops("test", 1000)
    found = {}
    for name, augment in (("lossless", None), ("jpeg", jpeg_training())):
        model = classifier(seed)
        fit(model, images, kinds, epochs=epochs, augment=augment, seed=seed)
        for sampling in ("4:4:4", "4:2:0"):
            lossy = [accuracy(model, stored(tests, q, sampling), truth) for q in QUALITIES]
            found[f"{name} {sampling}"] = [accuracy(model, tests, truth), *lossy]
    return found


def otherwise(images: Tensor) -> Tensor:
    """Show pictures as they may come in use: in other light, and turned by up to 30 degrees; always in the same way."""
    change = v2.Compose([Geometric([ShiftScaleRotate(0.05, 0.1, 30)]), ColourJitter(0.6, 0.6, 0.4, 0)])
    with seeded(0):
        return one_by_one(change)(images)


def strength_curve(seed: int, count: int = 300, epochs: int = 60) -> dict[str, list[float]]:
    """Train on few pictures with augmentation of growing strength; test on pictures like those, and on others."""
    (images, kinds), (tests, truth) = fruit_crops("train", count), fruit_crops("test", 1000)
    found: dict[str, list[float]] = {"as in training": [], "other light, turned": []}
    for strength in STRENGTHS:
        model = classifier(seed)
        recipe = for_classification(SIDE, strength=strength)
        augment = one_by_one(recipe) if strength else None
        fit(model, images, kinds, epochs=epochs, batch_size=32, augment=augment, seed=seed)
        for name, shown in (("as in training", tests), ("other light, turned", otherwise(tests))):
            found[name].append(accuracy(model, shown, truth))
    return found


SCALINGS: dict[str, Callable[[Tensor], Tensor]] = {
    "[-1, 1], as in training": scaled,
    "[0, 1]": lambda images: images.float() / 255,
    "ImageNet mean and std": lambda images: normalize(images.float() / 255, IMAGENET_MEAN, IMAGENET_STD),
    "0 to 255": lambda images: images.float(),
    "[-1, 1], blue first": lambda images: scaled(images.flip(1)),
}


def scaling_mismatch(seed: int, count: int = 3000, epochs: int = 10) -> list[float]:
    """Train with one scaling of the input, test with others."""
    (images, kinds), (tests, truth) = fruit_crops("train", count), fruit_crops("test", 1000)
    model = classifier(seed)
    fit(model, images, kinds, epochs=epochs, seed=seed)
    return [accuracy(model, tests, truth, scale=scale) for scale in SCALINGS.values()]


def unbalanced(count: int = 6000) -> tuple[Tensor, Tensor]:
    """Choose a training set with many pictures of the first five kinds and few of the others."""
    images, kinds = fruit_crops("train", count)
    chosen = [(kinds == k).nonzero().flatten()[: COMMON if k < 5 else RARE] for k in range(10)]
    index = torch.cat(chosen)
    return images[index], kinds[index]


def imbalance(seed: int, steps: int = 600) -> dict[str, list[float]]:
    """Train on the unbalanced set as it is, with weights in the loss, and with rare kinds drawn more often.

    Returns:
        For each way the recall of common kinds, the recall of rare kinds, and their mean.
    """
    (images, kinds), (tests, truth) = unbalanced(), fruit_crops("test", 1000)
    draws = oversampler(kinds, seed=seed)
    ways: dict[str, dict[str, Any]] = {
        "as it is": {},
        "weights in the loss": {"weights": class_weights(kinds, 10)},
        "rare kinds drawn more often": {"order": lambda _: torch.tensor(list(draws))},
    }
    found = {}
    for name, options in ways.items():
        model = classifier(seed)
        fit(model, images, kinds, epochs=max(1, steps * 64 // len(images)), seed=seed, **options)
        right = predict(model, tests).argmax(1) == truth
        common, rare = (float(right[part].float().mean()) for part in (truth < 5, truth >= 5))
        found[name] = [common, rare, (common + rare) / 2]
    return found


def rendered_to_real(seed: int, scenes: int = 500, epochs: int = 6) -> dict[str, list[float]]:
    """Tell objects from ground: train on rendered patches, test on rendered ones and on a real photograph.

    Returns:
        For each way the balanced accuracy on rendered test patches and on the photograph of coins.
    """
    (images, labels), (tests, truth) = patches("train", scenes), patches("test", 200)
    real, known, _ = coins()
    light = ColourJitter(0.5, 0.5, 0, 0)
    moved = Geometric([Flip(0.5, 0.5), ShiftScaleRotate(0, 0.3, 180)])
    ways = {
        "no augmentation": None,
        "light": one_by_one(light),
        "light, flips and turns": one_by_one(v2.Compose([moved, light])),
    }
    found = {}
    for name, augment in ways.items():
        model = classifier(seed, num_classes=2)
        fit(model, images, labels, epochs=epochs, augment=augment, seed=seed)
        found[name] = [balanced_accuracy(predict(model, x)[:, 1], y) for x, y in ((tests, truth), (real, known))]
    return found


def by_name(runs: Sequence[dict[str, list[float]]]) -> dict[str, list[list[float]]]:
    """Turn one dictionary for each seed into one dictionary of (seeds, points)."""
    return {name: [run[name] for run in runs] for name in runs[0]}


EXPERIMENTS: dict[str, Callable[[int], Any]] = {
    "jpeg": jpeg_robustness,
    "strength": strength_curve,
    "scaling": scaling_mismatch,
    "imbalance": imbalance,
    "rendered": rendered_to_real,
}


def main(chosen: Sequence[str] = ()) -> None:
    """Run all experiments, or those chosen, and keep their results beside those of the others."""
    torch.set_num_threads(1)
    results: dict[str, Any] = load("augmentation") if chosen else {}
    seconds = dict(results.get("card", {}).get("seconds_of", {}))
    for name in chosen or EXPERIMENTS:
        start = time.monotonic()
        runs: list[Any] = [EXPERIMENTS[name](seed) for seed in SEEDS]
        results[name] = by_name(runs) if isinstance(runs[0], dict) else runs
        seconds[name] = round(time.monotonic() - start)
        print(name, results[name], f"{seconds[name]} s", flush=True)
    results["card"] = card(
        sum(seconds.values()),
        seconds_of=seconds,
        seeds=list(SEEDS),
        qualities=[None, *QUALITIES],
        strengths=list(STRENGTHS),
        scalings=list(SCALINGS),
        unbalanced={"common": COMMON, "rare": RARE},
    )
    print(save("augmentation", results).name)


if __name__ == "__main__":
    main(sys.argv[1:])
