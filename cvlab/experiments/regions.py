"""The measurements behind the chapters on regions: proposals, R-CNN, Fast R-CNN, and all detectors side by side.

`python -m cvlab.experiments.regions [PART ...]` makes `regions.json` again, all of it or some parts; it takes about
half an hour of one core.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from cvlab import engine, models
from cvlab.data import InMemory, StillLife
from cvlab.experiments.results import FOLDER, card, load, save
from cvlab.metrics import DetectionMetrics, proposal_recall
from cvlab.models.rcnn import PARTS as RCNN_PARTS
from cvlab.proposals import selective_search
from cvlab.recipes import DETECTORS, held_out, scenes

SEEDS = (0, 1, 2)
FITTED, TRAINED, TESTED, STEPS = 600, 2000, 300, 800
COUNTS = (1, 2, 5, 10, 20, 50, 100, 200)


class WithProposals:
    """Adds to each target of a data set the proposals of its image.

    Args:
        data: pairs (image, target) by index.
        boxes: for each item (P, 4) xyxy.
    """

    def __init__(self, data: Any, boxes: Sequence[Tensor]) -> None:
        self.data, self.boxes = data, boxes

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> tuple[Tensor, dict[str, Tensor]]:
        image, target = self.data[index]
        return image, {**target, "proposals": self.boxes[index]}


def searched(data: Any) -> list[Tensor]:
    """Search all images of a data set."""
    return [selective_search(data[i][0]) for i in range(len(data))]


def cut(data: Any, count: int) -> list[Any]:
    """Take the first items."""
    return [data[i] for i in range(count)]


def fast_rcnn() -> models.FastRCNN:
    """Make an untrained Fast R-CNN on the backbone of the shipped SSD, of the small Faster R-CNN's size."""
    backbone, _ = models.small_parts()
    model = models.FastRCNN(backbone, 11, proposer=selective_search, size=128, hidden=128)
    models.load_backbone(model, "ssd_small")
    return model.to(memory_format=torch.channels_last)


def rcnn() -> models.RCNN:
    """Make an R-CNN that is not fitted, on the backbone of the shipped SSD."""
    model = models.RCNN(models.SmallBackbone(), 11, proposer=selective_search)
    models.load_backbone(model, "ssd_small")
    return model


def measured(model: nn.Module, tests: Any, boxes: Sequence[Tensor]) -> dict[str, float]:
    """Compute AP and AP50 of a detector on given proposals."""
    metric = DetectionMetrics(StillLife.KINDS)
    with torch.no_grad():
        for i in range(0, len(tests), 20):
            images, targets = zip(*[tests[j] for j in range(i, min(i + 20, len(tests)))], strict=True)
            metric.update(model.eval()(list(images), proposals=boxes[i : i + len(images)]), list(targets))
    found = metric.compute()
    return {key: round(found[key], 4) for key in ("AP", "AP50", "AP75")}


def seconds_of(call: Callable[[Tensor], object], tests: Any, count: int = 40) -> float:
    """Measure the seconds that one image takes, alone, in the middle of many."""
    return sorted(_timed(lambda i=i: call(tests[i][0])) for i in range(count))[count // 2]


def _timed(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def slow(seed: int, train: Any, boxes: Sequence[Tensor], tests: Any, test_boxes: Sequence[Tensor]) -> dict[str, Any]:
    """Fit R-CNN, and measure it."""
    images, targets = zip(*cut(train, FITTED), strict=True)
    start = time.monotonic()
    model = rcnn().fit(list(images), list(targets), boxes[:FITTED], seed=seed)
    spent = time.monotonic() - start
    return measured(model, tests, test_boxes) | {"training": round(spent, 1)}


def fast(seed: int, train: Any, boxes: Sequence[Tensor], tests: Any, test_boxes: Sequence[Tensor]) -> dict[str, Any]:
    """Train Fast R-CNN on the searched proposals, and measure it."""
    torch.manual_seed(seed)
    model = fast_rcnn()
    start = time.monotonic()
    data = WithProposals(train, boxes)
    engine.fit(
        model, data, steps=STEPS, batch_size=16, learning_rate=3e-3, mixed_precision="bf16", seed=seed, progress=False
    )
    spent = time.monotonic() - start
    return measured(model, tests, test_boxes) | {"training": round(spent, 1)}


def side_by_side(tests: Any, train: Any) -> dict[str, Any]:
    """Measure the seconds that one image takes on one thread, by parts, and AP and AP50 of the shipped detectors."""
    images, targets = zip(*cut(train, 40), strict=True)
    slowest = rcnn().fit(list(images), list(targets))
    parts = [slowest.detect(tests[i][0])[1] for i in range(40)]
    found: dict[str, Any] = {"R-CNN": {name: sorted(each[name] for each in parts)[20] for name in RCNN_PARTS}}
    with torch.no_grad():
        model = fast_rcnn().eval()
        search = seconds_of(selective_search, tests)
        boxes = [selective_search(tests[i][0]) for i in range(40)]
        network = [_timed(lambda i=i: model([tests[i][0]], proposals=[boxes[i]])) for i in range(40)]
        found["Fast R-CNN"] = {"proposals": search, "network": sorted(network)[20]}
        for name in ("ssd_small", "faster_small", "mask_small"):
            model = getattr(models, DETECTORS[name].model)(weights=name).to(memory_format=torch.channels_last)
            numbers = held_out(model, tests)
            found[name] = {key: round(numbers[key], 4) for key in ("AP", "AP50", "AP75")}
            found[name]["seconds"] = seconds_of(lambda image, model=model: model([image]), tests)
    return found


def recalls(tests: Any, test_boxes: Sequence[Tensor]) -> dict[str, Any]:
    """Compute the recall of selective search and of region proposal networks, before and after training."""
    trained, untrained = models.faster_small(weights="faster_small"), DETECTORS["faster_small"].build(0).eval()
    objects = [tests[i][1]["boxes"] for i in range(len(tests))]
    proposals = {"selective search": list(test_boxes)}
    for name, model in (("network, untrained", untrained), ("network, trained", trained)):
        found = [model.propose([tests[i][0]])[0]["boxes"] for i in range(len(tests))]
        proposals[name] = found
    return {
        name: {str(t): proposal_recall(own, objects, COUNTS, t) for t in (0.5, 0.7)} for name, own in proposals.items()
    }


PARTS = ("recalls", "R-CNN", "Fast R-CNN", "side by side")


def main(chosen: Sequence[str] = ()) -> None:
    """Measure all parts, or those chosen, and keep the results beside those of the others."""
    torch.set_num_threads(1)
    results: dict[str, Any] = load("regions") if chosen and (FOLDER / "regions.json").exists() else {}
    start = time.monotonic()
    tests = scenes(128, "test", TESTED)
    test_boxes = searched(tests)
    train: InMemory | None = None
    for part in chosen or PARTS:
        if part == "recalls":
            results[part] = recalls(tests, test_boxes)
        elif part == "side by side":
            results[part] = side_by_side(scenes(128, "test", TESTED), scenes(128, "train", 40))
        else:
            train = train or scenes(128, "train", TRAINED)
            boxes = searched(train)
            run = slow if part == "R-CNN" else fast
            results[part] = [run(seed, train, boxes, tests, test_boxes) for seed in SEEDS]
        print(part, results[part], flush=True)
        results["card"] = card(
            time.monotonic() - start,
            seeds=list(SEEDS),
            test=["test", 0, TESTED],
            fitted=FITTED,
            trained=TRAINED,
            steps=STEPS,
        )
        save("regions", results)


if __name__ == "__main__":
    main(sys.argv[1:])
