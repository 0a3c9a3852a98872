"""Style transfer: optimise a picture until it shows the content of one picture in the style of another."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from cvlab import _check
from cvlab.engine.progress import Progress
from cvlab.preprocess import resize
from cvlab.style.colours import match_colours, with_colours_of
from cvlab.style.features import FeatureExtractor
from cvlab.style.memory import check_memory
from cvlab.style.networks import LossNetwork
from cvlab.style.objective import STATISTICS, Objective
from cvlab.style.pictures import SMALLEST, as_picture, at_scale_of
from cvlab.style.steps import make_optimizer, take_step

OPTIMIZERS = {"adam": 0.03, "lbfgs": 1.0}
"""The optimizers, and their learning rates where none is given."""

STARTS = ("content", "noise")
COLOURS = ("style", "luminance", "matched")
OP = "StyleTransfer"


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
        if self.levels < 1:
            raise _check.InputError(f"{OP}: levels must be 1 or more, got {self.levels}")
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
            progress: whether to show progress. Ctrl-C stops, and gives what there is.

        Returns:
            The result.

        Raises:
            InputError: if a picture is no picture (NaN, too small, ...), masks or weights do not fit the styles, or the
                size needs more memory than is free; the message says which size would fit.
        """
        content = as_picture(OP, "content", content)
        styles = self._styles(style, content)
        plan = self._plan(content, steps)
        _fitting(len(styles), style_weights, masks, tuple(content.shape[1:]))
        check_memory(OP, self.features, tuple(content.shape[1:]), self._dtype)
        loop = _Loop(self, content, styles, plan, style_weights, masks, snapshot_every, state)
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
            plan = list(steps)
        if len(plan) != self.levels or min(plan) < 0:
            raise _check.InputError(f"{OP}: steps must be one number, or one for each of {self.levels}, got {steps}")
        return plan


class _Loop:
    """One transfer on its way: the picture, the level, the optimizer."""

    def __init__(
        self,
        transfer: StyleTransfer,
        content: Tensor,
        styles: Sequence[Tensor],
        plan: Sequence[int],
        style_weights: Sequence[float] | None,
        masks: Tensor | None,
        snapshot_every: int | None,
        state: Mapping[str, Any] | None,
    ) -> None:
        self.transfer, self.content, self.styles, self.plan = transfer, content, styles, list(plan)
        self.style_weights, self.masks, self.every = style_weights, masks, snapshot_every
        self.device = transfer.features.mean.device
        self.history: list[dict[str, float]] = []
        self.snapshots: list[tuple[int, Tensor]] = []
        self.done, self.level = 0, -1
        self.pixels = self._first()
        if state is None:
            self._enter(0)
            self._snapshot()
        else:
            self._resume(state)

    def _first(self) -> Tensor:
        size = self._size(0)
        if self.transfer.start == "content":
            return resize(self.content, size).clamp(0, 1)[None]
        generator = torch.Generator().manual_seed(self.transfer.seed)
        return torch.rand(1, 3, *size, generator=generator) * 0.3 + 0.35  # around a middle grey

    def _size(self, level: int) -> tuple[int, int]:
        shrink = 2 ** (len(self.plan) - 1 - level)
        return self.content.shape[1] // shrink, self.content.shape[2] // shrink

    def _enter(self, level: int) -> None:
        """Begin a level: the picture so far, enlarged, and targets of this size."""
        t, size = self.transfer, self._size(level)
        shrink = 2 ** (len(self.plan) - 1 - level)

        def at(picture: Tensor, wanted: tuple[int, int]) -> Tensor:
            shown = picture if tuple(picture.shape[-2:]) == wanted else resize(picture, wanted).clamp(0, 1)
            return shown.to(self.device)

        self.level = level
        self.pixels = at(self.pixels.detach().cpu(), size).clone().requires_grad_()
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=t.precision is not None):
            self.objective = Objective(
                t.features,
                at(self.content[None], size),
                [at(each[None], (each.shape[1] // shrink, each.shape[2] // shrink)) for each in self.styles],
                content_layers=t.content_layers or {},
                style_layers=t.style_layers or {},
                content_weight=t.content_weight,
                style_weight=t.style_weight,
                tv_weight=t.tv_weight,
                tv_power=t.tv_power,
                statistic=t.statistic,
                style_weights=self.style_weights,
                masks=None if self.masks is None else self.masks.to(self.device),
                relative=t.relative,
            )
        rate = OPTIMIZERS[t.optimizer] if t.learning_rate is None else t.learning_rate
        self.optimizer = make_optimizer(t.optimizer, self.pixels, rate)
        self.rate = rate

    def _resume(self, state: Mapping[str, Any]) -> None:
        if state["plan"] != self.plan or state["size"] != list(self.content.shape[1:]):
            raise _check.InputError(
                f"{OP}: this state is of {state['size']} pixels and {state['plan']} steps, "
                f"got {list(self.content.shape[1:])} and {self.plan}"
            )
        self.pixels = state["pixels"]
        self._enter(state["level"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.done, self.history = state["done"], [dict(row) for row in state["history"]]
        self.snapshots = list(state["snapshots"])

    def state(self) -> dict[str, Any]:
        """Give all that is needed to go on."""
        return {
            "plan": self.plan,
            "size": list(self.content.shape[1:]),
            "level": self.level,
            "done": self.done,
            "pixels": self.pixels.detach().cpu().clone(),
            "optimizer": self.optimizer.state_dict(),
            "history": self.history,
            "snapshots": self.snapshots,
        }

    def run(self, until: int, progress: bool) -> None:
        """Take steps."""
        bar = Progress(until, shown=progress)
        try:
            while self.done < until:
                self._step()
                last = self.history[-1]
                bar.update(self.done, f"content {last['content']:.3f}, style {last['style']:.4f}")
        except KeyboardInterrupt:
            pass
        bar.close(f"{self.done} of {sum(self.plan)} steps")

    def _step(self) -> None:
        before = sum(self.plan[: self.level])
        while self.done >= before + self.plan[self.level]:
            before += self.plan[self.level]
            self._enter(self.level + 1)
        if self.transfer.optimizer == "adam":
            way = (self.done - before) / self.plan[self.level]
            self.optimizer.param_groups[0]["lr"] = self.rate * (1 - 0.9 * way)
        losses = take_step(self.optimizer, self.pixels, self._losses)
        self.done += 1
        if not math.isfinite(losses["total"]):
            raise _check.InputError(f"{OP}: the loss is {losses['total']} at step {self.done}; lower the learning rate")
        self.history.append({"step": self.done, **losses})
        if self.every is not None and self.done % self.every == 0:
            self._snapshot()

    def _losses(self) -> dict[str, Tensor]:
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.transfer.precision is not None):
            return self.objective(self.pixels)

    def _snapshot(self) -> None:
        if self.every is not None:
            picture = self.picture()
            picture = with_colours_of(picture, self.content) if self.transfer.colours == "luminance" else picture
            self.snapshots.append((self.done, (picture * 255).round().to(torch.uint8)))

    def picture(self) -> Tensor:
        """Give the picture as it stands, at its full size."""
        picture = self.pixels.detach()[0].cpu().clamp(0, 1)
        size = tuple(self.content.shape[1:])
        return picture if tuple(picture.shape[1:]) == size else resize(picture, size).clamp(0, 1)


def _weight(name: str, value: float) -> None:
    if not (math.isfinite(value) and value >= 0):
        raise _check.InputError(f"{OP}: {name} must be 0 or more, got {value}")


def _fitting(
    count: int, style_weights: Sequence[float] | None, masks: Tensor | None, size: tuple[int, ...]
) -> None:
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
