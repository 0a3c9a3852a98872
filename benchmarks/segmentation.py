"""Training and prediction of segmentation networks against torchvision's FCN head on the same backbone."""

from collections import OrderedDict
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torchvision.models.segmentation import fcn as torchvision_fcn

from benchmarks.timing import Row
from cvlab.engine import stack_collate
from cvlab.losses import SegmentationLoss
from cvlab.models import FCN, SmallBackbone, fcn_small, unet_small
from cvlab.recipes import SEGMENTERS

BATCH, CLASSES = 16, 11

NOTES = """
Still lifes of 128 x 128 pixels, bytes in memory, 16 at a time. "torchvision" is its `FCN` with `FCNHead` on cvlab's
`SmallBackbone`, which scores the last map, at stride 32, and interpolates; its cross-entropy is torch's. "FCN-32s" is
ours with that map alone and a head as wide. The others do more: they have skips. "fixed" interpolates in the end, as
the paper of FCN and torchvision do, by two matrix products; else the last transposed convolution is learned. A training
step is forward and backward, without the optimizer; both networks are `channels_last`.
"""


class LastMap(nn.Module):
    """Gives the last map as torchvision wants it, of normalised pictures."""

    def __init__(self, backbone: SmallBackbone) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Compute the map, by name."""
        return OrderedDict(out=self.backbone(images)[-1])


def theirs() -> nn.Module:
    """Make torchvision's."""
    torch.manual_seed(0)
    backbone = SmallBackbone(maps=1)
    head = torchvision_fcn.FCNHead(backbone.channels[-1], CLASSES)
    return torchvision_fcn.FCN(LastMap(backbone), head).to(memory_format=torch.channels_last)


def rows() -> Iterator[Row]:
    """Yield all rows."""
    data = SEGMENTERS["fcn_small"].scenes("train", BATCH)
    images, targets = stack_collate([data[i] for i in range(BATCH)])
    model, loss = theirs(), SegmentationLoss()
    plain = {learned: FCN(SmallBackbone(maps=1), CLASSES, hidden=40, learned=learned) for learned in (False, True)}
    mean, std = plain[True].mean, plain[True].std

    def normalised() -> Tensor:
        return (images.float().div_(255) - mean) / std

    def their_step() -> None:
        model.train().zero_grad()
        nn.functional.cross_entropy(model(normalised())["out"], targets["semantic"].long(), ignore_index=255).backward()

    def step(network: nn.Module) -> Callable[[], None]:
        network.to(memory_format=torch.channels_last)

        def run() -> None:
            network.train().zero_grad()
            sum(loss(network, images, targets).values()).backward()

        return run

    def predict(network: nn.Module) -> Callable[[], None]:
        def run() -> None:
            with torch.no_grad():
                network.eval()(images)["out"].argmax(1)

        return run

    def their_prediction() -> None:
        with torch.no_grad():
            model.eval()(normalised())["out"].argmax(1)

    networks = {
        "FCN-32s, fixed": plain[False],
        "FCN-32s": plain[True],
        "fcn_small, an FCN-8s, fixed": fcn_small(learned=False),
        "fcn_small, an FCN-8s": fcn_small(),
        "unet_small": unet_small(),
    }
    for name, network in networks.items():
        yield Row(f"training step, 16 images, {name}", step(network), {"torchvision": their_step}, seconds=8)
    for name, network in networks.items():
        yield Row(f"prediction, 16 images, {name}", predict(network), {"torchvision": their_prediction}, seconds=3)
