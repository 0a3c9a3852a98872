"""The loop of a style transfer: levels from coarse to fine, steps, snapshots, and what it takes to go on later."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from cvlab import _check
from cvlab.engine.interrupts import Interrupts
from cvlab.engine.progress import Progress
from cvlab.preprocess import resize
from cvlab.style.colours import with_colours_of
from cvlab.style.objective import Objective
from cvlab.style.pictures import in_range
from cvlab.style.steps import OPTIMIZERS, make_optimizer, take_step

if TYPE_CHECKING:
    from cvlab.style.transfer import StyleTransfer

OP = "StyleTransfer"

STATE = {"plan", "size", "level", "done", "pixels", "name", "optimizer", "history", "snapshots"}
"""What a state has."""


class Loop:
    """One transfer on its way: the picture, the level, the optimizer.

    Args:
        transfer: its settings.
        content: (3, H, W) in [0, 1].
        styles: each (3, h, w) in [0, 1], its shorter side that of the content.
        plan: steps of each level, coarse to fine.
        style_weights, masks, snapshot_every, state: as `StyleTransfer.run` takes them, checked.
    """

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
        """Take over a state, which stays as it is."""
        if not isinstance(state, Mapping) or STATE - set(state):
            raise _check.InputError(f"{OP}: state must be that of a result")
        if state["name"] != self.transfer.optimizer:
            raise _check.InputError(f"{OP}: this state is of {state['name']}, got {self.transfer.optimizer}")
        if state["plan"] != self.plan or state["size"] != list(self.content.shape[1:]):
            raise _check.InputError(
                f"{OP}: this state is of {state['size']} pixels and {state['plan']} steps, "
                f"got {list(self.content.shape[1:])} and {self.plan}"
            )
        self.pixels = state["pixels"]
        self._enter(state["level"])
        self.optimizer.load_state_dict(copy.deepcopy(state["optimizer"]))
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
            "name": self.transfer.optimizer,
            "optimizer": self.optimizer.state_dict(),
            "history": self.history,
            "snapshots": self.snapshots,
        }

    def run(self, until: int, progress: bool) -> None:
        """Take steps; Ctrl-C ends it after the one that is on."""
        bar = Progress(until, shown=progress)
        try:
            with Interrupts() as interrupts:
                while self.done < until:
                    with interrupts.held():
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
            return self.objective(in_range(self.pixels))

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
