"""cvlab.models.ssd against torchvision's SSD with the same backbone, anchors and weights."""

import math
import textwrap
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torchvision.models.detection import ssd as torchvision_ssd
from torchvision.models.detection.anchor_utils import DefaultBoxGenerator

from benchmarks.timing import Row
from cvlab import weights
from cvlab.data import StillLife
from cvlab.models import SSD, SmallBackbone, ssd_small
from cvlab.models._inputs import batch_images, plain_targets
from cvlab.ops import AnchorGenerator, detection_targets, pad_targets
from cvlab.preprocess import letterbox

BATCH, SIZE, CLASSES, REPEATS = 32, 128, 11, 5
SCALES = (0.13, 0.25, 0.42, 0.6)

TEXT = """
Still lifes of 128 x 128 pixels with 1 to 5 fruits, in memory as floats. "torchvision" is its `SSD` with cvlab's
`SmallBackbone`, 1,344 anchors and thresholds as ours; it gets lists of images, as ours does. A training step is forward
and backward, without the optimizer. Checked before: the heads say the same, and the boxes' losses are equal.

Parts of a training step in the default layout: {training}.

Parts of detection with {weights}, {batch} images together: {inference}; {rate:.0f} images a second on one thread. The
post-processing takes {share:.0%} of the time.
"""


class Maps(nn.Module):
    """Gives maps as torchvision wants them."""

    def __init__(self, backbone: SmallBackbone) -> None:
        super().__init__()
        self.backbone, self.out_channels = backbone, backbone.channels

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Compute the maps, by name."""
        return OrderedDict((str(i), m) for i, m in enumerate(self.backbone(images)))


def pair() -> tuple[SSD, nn.Module]:
    """Make ours and torchvision's with the same anchors and weights."""
    torch.manual_seed(0)
    scales = [(s, math.sqrt(s * larger)) for s, larger in zip(SCALES[:-1], SCALES[1:], strict=True)]
    ours = ssd_small(anchors=AnchorGenerator(scales, [1.0, 2.0, 0.5], pairing="first"))
    theirs = torchvision_ssd.SSD(
        Maps(SmallBackbone()),
        DefaultBoxGenerator([[2]] * 3, scales=list(SCALES), clip=False),
        (SIZE, SIZE),
        CLASSES,
        score_thresh=ours.score_thresh,
        nms_thresh=ours.nms_thresh,
        topk_candidates=ours.topk_candidates,
        detections_per_img=ours.detections_per_img,
    )
    copy_weights(ours, theirs)
    return ours, theirs


def copy_weights(ours: SSD, theirs: nn.Module) -> None:
    """Give torchvision's the weights of ours."""
    theirs.backbone.backbone.load_state_dict(ours.backbone.state_dict())
    theirs.head.classification_head.module_list.load_state_dict(ours.head.classes.state_dict())
    theirs.head.regression_head.module_list.load_state_dict(ours.head.offsets.state_dict())


def items() -> tuple[list[Tensor], list[dict[str, Tensor]]]:
    """Render a batch."""
    pairs = [StillLife(SIZE, "train", count=(1, 5), distractors=0)[i] for i in range(BATCH)]
    images = [image.as_subclass(Tensor).contiguous() for image, _ in pairs]
    return images, [{name: t[name].as_subclass(Tensor) for name in ("boxes", "labels")} for _, t in pairs]


def rows() -> Iterator[Row]:
    """Yield all rows."""
    images, targets = items()
    ours, theirs = pair()
    last = pair()[0].to(memory_format=torch.channels_last)

    def step(model: nn.Module) -> Callable[[], None]:
        def run() -> None:
            model.train().zero_grad()
            sum(model(images, targets).values()).backward()

        return run

    def check() -> None:
        with torch.no_grad():
            batch = torch.stack(images[:4])
            logits, offsets = ours.eval().network(batch)
            normal = (batch - ours.mean) / ours.std
            said = theirs.eval().head(list(theirs.backbone(normal).values()))
            for mine, name in ((logits, "cls_logits"), (offsets, "bbox_regression")):
                torch.testing.assert_close(mine, said[name], atol=1e-4, rtol=0)
            a, b = (m.train()(images, targets)["bbox_regression"] for m in (ours, theirs))
            torch.testing.assert_close(a, b, rtol=0.01, atol=0)
        copy_weights(ours, theirs)  # the running statistics, too

    name = f"training step, {BATCH} images"
    yield Row(f"{name}, default layout", step(ours), {"torchvision": step(theirs)}, check, seconds=15)
    yield Row(f"{name}, ours `channels_last`", step(last), {"torchvision": step(theirs)}, seconds=15)
    theirs_last = pair()[1].to(memory_format=torch.channels_last)
    yield Row(f"{name}, both `channels_last`", step(last), {"torchvision": step(theirs_last)}, seconds=15)

    trained, same = detector(), pair()[1]
    copy_weights(trained, same)
    same.eval()
    for count in (1, BATCH):
        some = images[:count]
        yield Row(
            f"detection, {count} image{'s' if count > 1 else ''}",
            torch.inference_mode()(lambda some=some: trained(some)),
            {"torchvision": torch.inference_mode()(lambda some=some: same(some))},
            seconds=5,
        )


def detector() -> SSD:
    """Load the shipped detector, or a random one where there is none."""
    return ssd_small(weights="ssd_small") if "ssd_small" in weights.names() else ssd_small().eval()


class Stopwatch:
    """Runs the parts of a task, each on what the one before gave, and keeps their shortest times."""

    def __init__(self, parts: dict[str, Callable]) -> None:
        self.parts, self.seconds = parts, dict.fromkeys(parts, math.inf)

    def run(self, value: object) -> None:
        """Run all parts once."""
        for name, part in self.parts.items():
            start = time.perf_counter()
            value = part(value)
            self.seconds[name] = min(self.seconds[name], time.perf_counter() - start)

    def text(self) -> str:
        """Give the times, in words."""
        return ", ".join(f"{name} {1e3 * seconds:.3g} ms" for name, seconds in self.seconds.items())


def training_parts(images: list[Tensor], targets: list[dict[str, Tensor]]) -> Stopwatch:
    """Measure the parts of a training step."""
    model, plan = pair()[0].train(), [letterbox((SIZE, SIZE), (SIZE, SIZE))] * BATCH

    def learn(batch: Tensor) -> tuple:
        plain = plain_targets("SSD", targets, images, CLASSES)
        return batch, detection_targets(model.anchors, *pad_targets(plain), model.iou_thresh)

    watch = Stopwatch(
        {
            "batching": lambda _: batch_images(images, plan),
            "targets": learn,
            "network": lambda given: (model.network(given[0]), given[1]),
            "losses": lambda given: sum(model.loss(*given[0], given[1], model.anchors).values()),
            "backward": lambda loss: loss.backward(),
        }
    )
    for _ in range(REPEATS):
        model.zero_grad()
        watch.run(None)
    return watch


@torch.inference_mode()
def inference_parts(images: list[Tensor]) -> Stopwatch:
    """Measure the parts of detection."""
    model, plan = detector(), [letterbox((SIZE, SIZE), (SIZE, SIZE))] * BATCH
    watch = Stopwatch(
        {
            "batching": lambda _: batch_images(images, plan),
            "network": model.network,
            "post-processing": lambda said: model.detections(*said, plan),
        }
    )
    for _ in range(REPEATS):
        watch.run(None)
    return watch


def NOTES() -> str:  # noqa: N802
    """Measure the parts, and say what was measured."""
    images, targets = items()
    detection = inference_parts(images)
    total = sum(detection.seconds.values())
    text = TEXT.format(
        training=training_parts(images, targets).text(),
        weights="the shipped weights" if "ssd_small" in weights.names() else "random weights",
        batch=BATCH,
        inference=detection.text(),
        rate=BATCH / total,
        share=detection.seconds["post-processing"] / total,
    )
    return "\n\n".join(textwrap.fill(paragraph, 120) for paragraph in text.strip().split("\n\n"))
