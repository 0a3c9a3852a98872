"""Style transfer: optimise a picture until it shows the content of one picture in the style of another."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from cvlab import _check
from cvlab.style.colours import match_colours, with_colours_of
from cvlab.style.features import FeatureExtractor
from cvlab.style.loop import OP, Loop
from cvlab.style.memory import check_memory
from cvlab.style.networks import LossNetwork
from cvlab.style.objective import STATISTICS
from cvlab.style.pictures import SMALLEST, as_picture, at_scale_of
from cvlab.style.steps import OPTIMIZERS

STARTS = ("content", "noise")
COLOURS = ("style", "luminance", "matched")


@dataclass
class StyleResult:
    """What a transfer gives.

    Attributes:
        picture: (3, H, W) float32 in [0, 1].
        history: for each step its number and losses: step, content, style, tv, total.
        snapshots: pairs of a step's number and the picture after it, (3, H, W) uint8.
        state: what `StyleTransfer.run` takes to go on; `torch.save` writes it.
        finished: whether all steps were taken.
    """

    picture: Tensor
    history: list[dict[str, float]]
    snapshots: list[tuple[int, Tensor]]
    state: dict[str, Any]
    finished: bool


@dataclass
class StyleTransfer:
    """Paint a picture's content in the style of another one, by optimising the pixels.

    Args:
        network: the loss network.
        content_layers: weight of each layer for the content; None for the network's own choice.
        style_layers: weight of each layer for the style; None for the network's own choice.
        content_weight: of the content.
        style_weight: of the style.
        tv_weight: of the total variation.
        tv_power: 1 for absolute differences of neighbours, 2 for squares.
        statistic: "gram", or "moments": mean and deviation of each channel.
        relative: as `Objective` takes it.
        optimizer: "adam" or "lbfgs".
        learning_rate: 0.03 for Adam, falling to a tenth, and 1 for L-BFGS, if None.
        start: from the "content", or from "noise".
        levels: sizes, each twice as large as the one before; the last is the content's.
        colours: those of the "style"; "luminance": the content's, only brightness is painted; "matched": the style is
            first given the content's mean and covariance of colours.
        precision: "bf16" for autocast, which halves the maps; statistics and losses stay float32.
        seed: of the noise.

    Raises:
        InputError: if a choice is unknown, a layer is (the message lists those there are), a number is negative or NaN,
            or the weights of content and style are all zero.

    References:
        Gatys, L. A., Ecker, A. S. and Bethge, M. (2016). Image style transfer using convolutional neural networks.
        CVPR; and (2017) Controlling perceptual factors in neural style transfer. CVPR (scales, regions, colours).
    """

    network: LossNetwork
    content_layers: Mapping[str, float] | None = None
    style_layers: Mapping[str, float] | None = None
    content_weight: float = 1.0
    style_weight: float = 100.0
    tv_weight: float = 0.5
    tv_power: int = 1
    statistic: str = "gram"
    relative: bool = True
    optimizer: str = "adam"
    learning_rate: float | None = None
    start: str = "content"
    levels: int = 1
    colours: str = "style"
    precision: str | None = None
    seed: int = 0
    features: FeatureExtractor = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Check all, and make the extractor of the layers that count."""
        for name, allowed in (("optimizer", OPTIMIZERS), ("start", STARTS), ("colours", COLOURS)):
            _check.choice(OP, name, getattr(self, name), tuple(allowed))
        _check.choice(OP, "statistic", self.statistic, tuple(STATISTICS))
        if self.precision not in (None, "bf16"):
            raise _check.InputError(f'{OP}: precision must be None or "bf16", got {self.precision!r}')
        if not isinstance(self.levels, int) or self.levels < 1:
            raise _check.InputError(f"{OP}: levels must be 1 or more, got {self.levels}")
        if self.tv_power not in (1, 2):
            raise _check.InputError(f"{OP}: tv_power must be 1 or 2, got {self.tv_power}")
        if self.learning_rate is not None and not 0 < self.learning_rate < math.inf:
            raise _check.InputError(f"{OP}: learning_rate must be above 0, got {self.learning_rate}")
        self.content_layers = self.network.content if self.content_layers is None else self.content_layers
        self.style_layers = self.network.style if self.style_layers is None else self.style_layers
        for name in ("content_weight", "style_weight", "tv_weight"):
            _weight(name, getattr(self, name))
        for kind, layers in (("content", self.content_layers), ("style", self.style_layers)):
            for layer, weight in layers.items():
                _weight(f"the {kind} weight of layer {layer!r}", weight)
        wanted = self.content_weight * sum(self.content_layers.values())
        wanted += self.style_weight * sum(self.style_layers.values())
        if wanted == 0:
            raise _check.InputError(f"{OP}: the weights of content and style are all zero")
        layers = dict.fromkeys([*self.content_layers, *self.style_layers])
        self.features = FeatureExtractor(self.network.module, tuple(layers), self.network.mean, self.network.std)

    def run(
        self,
        content: Tensor,
        style: Tensor | Sequence[Tensor],
        *,
        steps: int | Sequence[int] = 100,
        style_weights: Sequence[float] | None = None,
        masks: Tensor | None = None,
        snapshot_every: int | None = None,
        until: int | None = None,
        state: Mapping[str, Any] | None = None,
        progress: bool = True,
    ) -> StyleResult:
        """Optimise a picture.

        Args:
            content: (3, H, W), uint8 or float in [0, 1]; grey becomes RGB, alpha is laid on white.
            style: one picture or several, of any size: each is resized, with a warning, until its shorter side is that
                of the content.
            steps: of each level, coarse to fine, or of all together, which are then shared out evenly.
            style_weights: of several styles, in relation to each other.
            masks: (S, H, W) in [0, 1], for each style where it counts; None blends the styles everywhere.
            snapshot_every: steps between two snapshots; there is one before the first step too. None for none.
            until: stop after as many steps in all, to go on later.
            state: of an earlier result with the same arguments; the picture is then the same, byte for byte, as without
                the stop.
            progress: whether to show progress. Ctrl-C stops after the step that is on, and gives what there is.

        Returns:
            The result.

        Raises:
            InputError: if a picture is no picture (NaN, too small, ...), masks, weights, steps or the state do not fit,
                or the size needs more memory than is free; the message says which size would fit.
        """
        content = as_picture(OP, "content", content)
        styles = self._styles(style, content)
        plan = self._plan(content, steps)
        if snapshot_every is not None and snapshot_every < 1:
            raise _check.InputError(f"{OP}: snapshot_every must be 1 or more, or None, got {snapshot_every}")
        _fitting(len(styles), style_weights, masks, tuple(content.shape[1:]))
        check_memory(OP, self.features, tuple(content.shape[1:]), self._dtype)
        loop = Loop(self, content, styles, plan, style_weights, masks, snapshot_every, state)
        loop.run(sum(plan) if until is None else min(until, sum(plan)), progress)
        picture = loop.picture()
        if self.colours == "luminance":
            picture = with_colours_of(picture, content)
        return StyleResult(picture, loop.history, loop.snapshots, loop.state(), loop.done == sum(plan))

    @property
    def _dtype(self) -> torch.dtype | None:
        return None if self.precision is None else torch.bfloat16

    def _styles(self, style: Tensor | Sequence[Tensor], content: Tensor) -> list[Tensor]:
        given = [style] if isinstance(style, Tensor) else list(style)
        if not given:
            raise _check.InputError(f"{OP}: there must be a style, got none")
        styles = [as_picture(OP, f"style {i}", each) for i, each in enumerate(given)]
        styles = [at_scale_of(OP, each, tuple(content.shape[1:])) for each in styles]
        return [match_colours(each, content) for each in styles] if self.colours == "matched" else styles

    def _plan(self, content: Tensor, steps: int | Sequence[int]) -> list[int]:
        """Give the steps of each level, coarse to fine."""
        if min(content.shape[1:]) >> (self.levels - 1) < SMALLEST:
            raise _check.InputError(
                f"{OP}: {self.levels} levels shrink {tuple(content.shape[1:])} below {SMALLEST} pixels; take fewer"
            )
        if isinstance(steps, int):
            base, more = divmod(steps, self.levels)
            plan = [base + (i >= self.levels - more) for i in range(self.levels)]
        else:
            plan = list(steps) if isinstance(steps, Sequence) else []
        if len(plan) != self.levels or not all(isinstance(each, int) and each >= 0 for each in plan):
            raise _check.InputError(f"{OP}: steps must be one number, or one for each of {self.levels}, got {steps}")
        return plan


def _weight(name: str, value: float) -> None:
    if not (math.isfinite(value) and value >= 0):
        raise _check.InputError(f"{OP}: {name} must be 0 or more, got {value}")


def _fitting(count: int, style_weights: Sequence[float] | None, masks: Tensor | None, size: tuple[int, ...]) -> None:
    """Refuse weights and masks that do not fit the styles."""
    if style_weights is not None:
        if len(style_weights) != count:
            raise _check.InputError(f"{OP}: style_weights must be one for each of {count}, got {len(style_weights)}")
        for i, weight in enumerate(style_weights):
            _weight(f"the weight of style {i}", weight)
        if sum(style_weights) == 0:
            raise _check.InputError(f"{OP}: the weights of the styles are all zero")
    if masks is not None:
        _check.shape(OP, "masks", masks, (count, *size))
        values = masks.float()
        if not bool(((values >= 0) & (values <= 1)).all()):
            raise _check.InputError(f"{OP}: masks must lie in [0, 1]")
