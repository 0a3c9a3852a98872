"""cvlab.ops against torchvision and d2l."""

import subprocess
import sys
import warnings
from collections.abc import Iterator

import torch
import torchvision

from benchmarks.timing import Row
from cvlab import ops

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import d2l.torch as d2l

warnings.filterwarnings("ignore", message="torch.meshgrid")
tv = torchvision.ops

NOTES = """
"random": boxes with sides of 10 to 80 pixels anywhere in 512 x 512; "clustered": as a detector gives them, 50 around
each object. `batched_nms`: 20 classes; torchvision's runs each class alone above 1,000 boxes.

The limit of `nms`: between about 25 and 700 boxes spread out, or 3,000 in clusters, torchvision is faster. One call
here is some fifty steps of torch of a few microseconds each, whatever they hold, and torchvision's is one; there is too
little to compute to make up for that. The same goes for `box_iou` of a few dozen pairs, and for `batched_nms` of few
boxes or of classes of a few hundred boxes in clusters.
"""


def random_boxes(count: int, generator: torch.Generator) -> torch.Tensor:
    """Make boxes with sides of 10 to 80 anywhere in 512 x 512."""
    centre = torch.rand(count, 2, generator=generator) * 512
    half = torch.rand(count, 2, generator=generator) * 35 + 5
    return torch.cat((centre - half, centre + half), 1)


def clustered_boxes(count: int, generator: torch.Generator) -> torch.Tensor:
    """Make about 50 boxes around each of some objects, jittered."""
    centres = random_boxes(max(20, count // 50), generator)
    boxes = centres[torch.randint(len(centres), (count,), generator=generator)]
    boxes = boxes + 3 * torch.randn(count, 4, generator=generator)
    return torch.cat((torch.minimum(boxes[:, :2], boxes[:, 2:] - 4), boxes[:, 2:]), 1)


def rows() -> Iterator[Row]:
    """Yield all rows."""
    generator = torch.Generator().manual_seed(0)
    yield from _iou(generator)
    for kind, make in (("random", random_boxes), ("clustered", clustered_boxes)):
        for count in (10, 100, 1000, 5000, 20000):
            yield _nms(kind, make(count, generator), generator)
    for kind, make in (("random", random_boxes), ("clustered", clustered_boxes)):
        for count in (100, 1000, 5000, 20000):
            yield _batched_nms(kind, make(count, generator), generator)
    yield from _anchors()
    yield _targets(generator)
    yield _detection(generator)
    yield Row("import", lambda: _import("cvlab"), {"torch": lambda: _import("torch")}, seconds=12)


def _iou(generator: torch.Generator) -> Iterator[Row]:
    for n, m in ((10, 10), (1000, 100), (4096, 256), (20000, 100)):
        a, b = random_boxes(n, generator), random_boxes(m, generator)

        def check(a: torch.Tensor = a, b: torch.Tensor = b) -> None:
            torch.testing.assert_close(ops.box_iou(a, b), tv.box_iou(a, b))

        yield Row(
            f"`box_iou` {n:,} x {m}",
            lambda a=a, b=b: ops.box_iou(a, b),
            {"torchvision": lambda a=a, b=b: tv.box_iou(a, b), "d2l": lambda a=a, b=b: d2l.box_iou(a, b)},
            check,
        )


def _nms(kind: str, boxes: torch.Tensor, generator: torch.Generator) -> Row:
    scores = torch.randperm(len(boxes), generator=generator) / len(boxes)

    def check() -> None:
        assert torch.equal(ops.nms(boxes, scores, 0.5), tv.nms(boxes, scores, 0.5))

    peers = {"torchvision": lambda: tv.nms(boxes, scores, 0.5)}
    if len(boxes) <= 1000:
        peers["d2l"] = lambda: d2l.nms(boxes, scores, 0.5)
    return Row(f"`nms` {kind} {len(boxes):,}", lambda: ops.nms(boxes, scores, 0.5), peers, check, seconds=4)


def _batched_nms(kind: str, boxes: torch.Tensor, generator: torch.Generator) -> Row:
    scores = torch.randperm(len(boxes), generator=generator) / len(boxes)
    classes = torch.randint(20, (len(boxes),), generator=generator)

    def check() -> None:
        expected = tv.boxes._batched_nms_vanilla(boxes, scores, classes, 0.5)
        assert torch.equal(ops.batched_nms(boxes, scores, classes, 0.5), expected)

    return Row(
        f"`batched_nms` {kind} {len(boxes):,}",
        lambda: ops.batched_nms(boxes, scores, classes, 0.5),
        {"torchvision": lambda: tv.batched_nms(boxes, scores, classes, 0.5)},
        check,
    )


SIZES, RATIOS = [0.75, 0.5, 0.25], [1, 2, 0.5]


def _anchors() -> Iterator[Row]:
    for side in (8, 32, 200):
        feature_map = torch.zeros(1, 1, side, side)

        def ours(side: int = side) -> torch.Tensor:
            return ops.grid_anchors((side, side), (1, 1), SIZES, RATIOS, pairing="first")

        def theirs(feature_map: torch.Tensor = feature_map) -> torch.Tensor:
            return d2l.multibox_prior(feature_map, SIZES, RATIOS)[0]

        def check(ours=ours, theirs=theirs) -> None:
            torch.testing.assert_close(ours(), theirs())

        yield Row(f"anchors, {side} x {side} map", ours, {"d2l": theirs}, check)


def _all_anchors() -> torch.Tensor:
    """Make the 5,444 anchors of d2l's TinySSD."""
    scales = [(0.2, 0.272), (0.37, 0.447), (0.54, 0.619), (0.71, 0.79), (0.88, 0.961)]
    generator = ops.AnchorGenerator(scales, RATIOS, pairing="first")
    return torch.cat(generator([(32, 32), (16, 16), (8, 8), (4, 4), (1, 1)], (1, 1)))


def _targets(generator: torch.Generator) -> Row:
    anchors = _all_anchors()
    corner = torch.rand(32, 5, 2, generator=generator) * 0.7
    boxes = torch.cat((corner, corner + 0.05 + 0.25 * torch.rand(32, 5, 2, generator=generator)), -1)
    labels = torch.randint(3, (32, 5), generator=generator)
    rows = torch.cat((labels[..., None].float(), boxes), -1)

    def check() -> None:
        offset, _, classes = d2l.multibox_target(anchors[None], rows)
        ours = ops.detection_targets(anchors, boxes, labels + 1)
        assert torch.equal(ours.labels, classes)
        torch.testing.assert_close(ours.offsets.flatten(1), offset, atol=1e-3, rtol=1e-3)

    return Row(
        f"targets, 32 images x {len(anchors):,} anchors",
        lambda: ops.detection_targets(anchors, boxes, labels + 1),
        {"d2l": lambda: d2l.multibox_target(anchors[None], rows)},
        check,
        seconds=8,
    )


def _detection(generator: torch.Generator) -> Row:
    anchors = _all_anchors()[::4]
    offsets = torch.randn(4, len(anchors), 4, generator=generator)
    probabilities = torch.randn(4, 3, len(anchors), generator=generator).softmax(1)

    def ours() -> list[torch.Tensor]:
        found = []
        for p, o in zip(probabilities, offsets, strict=True):
            boxes = ops.decode_boxes(o, anchors)
            confidence, classes = p[1:].max(0)
            kept = ops.batched_nms(boxes, confidence, classes, 0.5)
            found.append(torch.cat((classes[kept, None], confidence[kept, None], boxes[kept]), 1))
        return found

    return Row(
        f"decode and class-wise nms, 4 images x {len(anchors):,} anchors (d2l: not class-wise)",
        ours,
        {"d2l": lambda: d2l.multibox_detection(probabilities, offsets.flatten(1), anchors[None])},
        seconds=6,
    )


def _import(module: str) -> float:
    code = f"import time; t = time.perf_counter(); import {module}; print(time.perf_counter() - t)"
    return float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
