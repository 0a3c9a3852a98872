"""Detectors trained for the same CPU time: ours, torchvision's SSD on the same backbone, d2l's TinySSD with its recipe.

`python -m benchmarks.equal_time` trains them, three seeds each, and keeps what they reach beside the other experiments;
it takes a quarter of an hour. The benchmarks only print what was kept.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from d2l import torch as d2l
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models.detection.anchor_utils import DefaultBoxGenerator
from torchvision.models.detection.ssd import SSD as TorchvisionSSD

from benchmarks.timing import Row
from cvlab import engine, models
from cvlab.experiments import load
from cvlab.experiments.results import card, save
from cvlab.ops import batched_nms, clip_boxes_to_image, decode_boxes
from cvlab.recipes import held_out, scenes, turned

BUDGET = 60.0
"""Seconds of CPU time for each training, one thread, float32."""

SEEDS, IMAGES, TESTED = (0, 1, 2), 2000, 300
CLASSES = 10


class _Named(nn.Module):
    """Give a backbone's maps as torchvision wants them."""

    def __init__(self) -> None:
        super().__init__()
        self.body = models.SmallBackbone()
        self.out_channels = self.body.channels

    def forward(self, x: Tensor) -> OrderedDict[str, Tensor]:
        """Compute the maps, by name."""
        return OrderedDict((str(i), m) for i, m in enumerate(self.body(x)))


class _OfBytes(TorchvisionSSD):
    """torchvision's SSD, given uint8 images like the others."""

    def forward(self, images: list[Tensor], targets: list[dict[str, Tensor]] | None = None) -> Any:
        """Compute losses in training, detections in evaluation."""
        return super().forward([image / 255 for image in images], targets)


def torchvision_ssd() -> nn.Module:
    """Make torchvision's SSD with our backbone, four anchors in each cell, and scales as near to ours as it can."""
    anchors = DefaultBoxGenerator([[2], [2], [2]], scales=[0.13, 0.25, 0.42, 0.6])
    return _OfBytes(_Named(), anchors, (128, 128), CLASSES + 1, score_thresh=0.05, topk_candidates=100)


class TinySSD(nn.Module):
    """d2l's network for 256 pixels, with d2l's anchors, targets and losses; our decoding and suppression."""

    SIZES = ([0.2, 0.272], [0.37, 0.447], [0.54, 0.619], [0.71, 0.79], [0.88, 0.961])
    RATIOS = (1, 2, 0.5)

    def __init__(self) -> None:
        super().__init__()
        base = nn.Sequential(_down(3, 16), _down(16, 32), _down(32, 64))
        self.stages = nn.ModuleList([base, _down(64, 128), _down(128, 128), _down(128, 128), nn.AdaptiveMaxPool2d(1)])
        widths = (64, 128, 128, 128, 128)
        self.classes = nn.ModuleList(nn.Conv2d(w, 4 * (CLASSES + 1), 3, padding=1) for w in widths)
        self.offsets = nn.ModuleList(nn.Conv2d(w, 16, 3, padding=1) for w in widths)

    def forward(self, images: list[Tensor], targets: list[dict[str, Any]] | None = None) -> Any:
        """Compute losses in training, detections in evaluation."""
        x = torch.stack(images).float()  # 0 to 255, as d2l's bananas
        side = x.shape[-1]
        anchors, logits, offsets = [], [], []
        for stage, sizes, classes, moves in zip(self.stages, self.SIZES, self.classes, self.offsets, strict=True):
            x = stage(x)
            anchors.append(d2l.multibox_prior(x, sizes, self.RATIOS)[0])
            logits.append(classes(x).permute(0, 2, 3, 1).flatten(1))
            offsets.append(moves(x).permute(0, 2, 3, 1).flatten(1))
        prior = torch.cat(anchors)  # (A, 4) in [0, 1]
        scores, found = torch.cat(logits, 1).unflatten(1, (-1, CLASSES + 1)), torch.cat(offsets, 1)
        if self.training:
            return self._losses(scores, found, prior, targets, side)
        return _detections(scores, found.unflatten(1, (-1, 4)), prior * side, side)

    def _losses(self, scores: Tensor, offsets: Tensor, prior: Tensor, targets: Any, side: int) -> dict[str, Tensor]:
        labels, truth, mask = [], [], []
        for target in targets:  # one by one, because d2l takes padding for objects
            rows = torch.cat([target["labels"][:, None] - 1.0, target["boxes"] / side], 1)
            one = d2l.multibox_target(prior[None], rows[None])
            for into, value in zip((truth, mask, labels), one, strict=True):
                into.append(value)
        entropy = functional.cross_entropy(scores.flatten(0, 1), torch.cat(labels).flatten())
        distance = functional.l1_loss(offsets * torch.cat(mask), torch.cat(truth) * torch.cat(mask))
        return {"classification": entropy, "bbox_regression": distance}


def _down(inputs: int, outputs: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before in (inputs, outputs):
        layers += [nn.Conv2d(before, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU()]
    return nn.Sequential(*layers, nn.MaxPool2d(2))


def _detections(logits: Tensor, offsets: Tensor, anchors: Tensor, side: int) -> list[dict[str, Tensor]]:
    result = []
    for scores, moves in zip(logits.softmax(-1)[..., 1:], offsets, strict=True):
        best, anchor = scores.t().topk(100, dim=1)  # (K - 1, 100)
        label, rank = (best > 0.01).nonzero().unbind(1)
        chosen = anchor[label, rank]
        boxes = clip_boxes_to_image(decode_boxes(moves[chosen], anchors[chosen]), (side, side))
        kept = batched_nms(boxes, best[label, rank], label, 0.45)[:100]
        result.append({"boxes": boxes[kept], "scores": best[label, rank][kept], "labels": label[kept] + 1})
    return result


@dataclass(frozen=True)
class Contender:
    """A detector and what it is trained with."""

    build: Callable[[], nn.Module]
    size: int
    options: dict[str, Any]


OURS = {"learning_rate": 3e-3}
D2L = {
    "optimizer": lambda groups: torch.optim.SGD([p for g in groups for p in g["params"]], 0.2, weight_decay=5e-4),
    "schedule": "constant",
    "warmup": 0,
    "clip": None,
}
CONTENDERS = {
    "cvlab": Contender(lambda: models.ssd_small().to(memory_format=torch.channels_last), 128, OURS),
    "torchvision": Contender(torchvision_ssd, 128, OURS),
    "d2l": Contender(TinySSD, 256, D2L),
}


def seconds_per_step(contender: Contender, data: Any) -> float:
    """Measure the CPU time of a training step, after a few to warm up."""
    times: list[float] = []
    clock = (1, lambda state: times.append(time.process_time()))
    torch.manual_seed(0)
    engine.fit(contender.build(), data, steps=13, callbacks=[clock], progress=False, **contender.options)
    return (times[11] - times[3]) / 8


def main() -> None:
    """Train all contenders, and keep what they reach."""
    torch.set_num_threads(1)
    results: dict[str, Any] = {}
    start = time.monotonic()
    data = {size: (scenes(size, "train", IMAGES), scenes(size, "test", TESTED)) for size in (128, 256)}
    for name, contender in CONTENDERS.items():
        train, tests = data[contender.size]
        shown = train if name == "d2l" else turned(train, 0)
        step = seconds_per_step(contender, shown)
        runs = []
        for seed in SEEDS:
            torch.manual_seed(seed)
            model = contender.build()
            shown = train if name == "d2l" else turned(train, seed)
            before = time.process_time()
            engine.fit(model, shown, steps=int(BUDGET / step), seed=seed, progress=False, **contender.options)
            spent = time.process_time() - before
            found = held_out(model, tests)
            runs.append({k: round(found[k], 4) for k in ("AP", "AP50")} | {"seconds": round(spent, 1)})
            print(name, f"{int(BUDGET / step)} steps", runs[-1], flush=True)
        results[name] = {"steps": int(BUDGET / step), "seconds_per_step": round(step, 4), "runs": runs}
    results["card"] = card(
        time.monotonic() - start, budget=BUDGET, seeds=list(SEEDS), images=IMAGES, test=["test", 0, TESTED]
    )
    save("equal_time", results)


def rows() -> Iterator[Row]:
    """Give nothing to time: the trainings are kept, see `NOTES`."""
    return iter(())


def NOTES() -> str:  # noqa: N802
    """Print what was kept."""
    kept = load("equal_time")
    about = kept["card"]
    lines = [
        f"Trained for {about['budget']:.0f} s of CPU time each, one thread, float32, on {about['images']} still lifes "
        f"of ten kinds; mean of {len(about['seeds'])} seeds on {about['test'][2]} test images (kept from "
        f"{about['made']}; `python -m benchmarks.equal_time` trains again).\n",
        "| | steps | AP | AP50 |\n|---|---:|---:|---:|",
    ]
    for name in CONTENDERS:
        runs = kept[name]["runs"]
        mean = {k: sum(run[k] for run in runs) / len(runs) for k in ("AP", "AP50")}
        lines.append(f"| {name} | {kept[name]['steps']} | {mean['AP']:.3f} | {mean['AP50']:.3f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
