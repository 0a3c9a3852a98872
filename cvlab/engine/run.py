"""One training: its state, and the parts that its loop is put together from."""

from __future__ import annotations

import copy
import math
import time
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast, send_to_device
from torch import Tensor, nn

from cvlab import _check
from cvlab.engine.batches import Batch, Batches, LoaderBatches
from cvlab.engine.checkpoint import FORMAT, check_arguments, check_weights, read_checkpoint, write_checkpoint
from cvlab.engine.ema import MovingAverage
from cvlab.engine.errors import StopTraining, TrainingError
from cvlab.engine.evaluation import batches_of, losses_of, measure
from cvlab.engine.history import History
from cvlab.engine.interrupts import Interrupts
from cvlab.engine.optimizers import make_optimizer
from cvlab.engine.progress import Progress
from cvlab.engine.schedules import warm_up
from cvlab.engine.settings import Callback, Settings, State
from cvlab.engine.streams import seed_all

_SKIPS = 20  # steps in a row that float16 may lose to overflow before that counts as an error
_MARKS = ("_is_accelerate_prepared", "_original_forward", "forward")  # what accelerate leaves on a model


class Run:
    """One training: what it has, what it has done, and what it does in each step.

    Args:
        model: The model to train.
        train: A data set or a DataLoader.
        val: The same for evaluation, or None.
        settings: The checked arguments.
        accelerator: Of the right precision.
        interrupts: Holds Ctrl-C back.
    """

    def __init__(
        self,
        model: nn.Module,
        train: Any,
        val: Any,
        settings: Settings,
        accelerator: Accelerator,
        interrupts: Interrupts,
    ) -> None:
        self.settings, self.accelerator, self.interrupts = settings, accelerator, interrupts
        self.process = (accelerator.process_index, accelerator.num_processes)
        self.batches = self._batches(train, "train", True)
        self.val = None if val is None else self._batches(val, "val", False)
        self.steps = self._count_steps()
        self._budget = settings.seconds if self.steps is None else self.steps

        self.own = model  # the caller's
        model.to(accelerator.device)
        self.average = None if settings.ema is None else MovingAverage(model, settings.ema)
        self.optimizer = make_optimizer(model, settings.optimizer, settings.learning_rate, settings.weight_decay)

        self.history = History()
        self.step = 0  # steps done
        self.settled = 0  # the last step of which evaluation, callbacks and checkpoint are done too
        self.seconds = 0.0  # of training
        self.stopped = False
        self.best: dict[str, Any] = {"score": -math.inf, "weights": None, "waited": 0}
        self.load()
        self._keep_buffers()
        self._before = {name: model.__dict__[name] for name in _MARKS if name in model.__dict__}
        model.__dict__.pop(_MARKS[0], None)  # or it would not be prepared for this precision
        self.model = accelerator.prepare_model(model)  # with mixed precision, and on several devices
        self.optimizer = accelerator.prepare_optimizer(self.optimizer)
        shown = settings.progress and self.process[0] == 0
        self.progress = Progress(self._budget, "s" if self.steps is None else "step", shown)
        self.model.train()
        self._tick = time.perf_counter()

    def _batches(self, data: Any, name: str, train: bool) -> Batches:
        s = self.settings
        batches = batches_of(
            data, name, s.batch_size, s.collate, s.num_workers, s.seed, train, self.process if train else (0, 1)
        )
        if train and isinstance(batches, LoaderBatches) and self.process[1] > 1:
            shared = self.accelerator.prepare_data_loader(data, device_placement=False)
            return LoaderBatches(shared, s.seed)
        return batches

    def _count_steps(self) -> int | None:
        if self.settings.epochs is None:
            return self.settings.steps
        if not self.batches.length:
            raise _check.InputError("fit: epochs needs a train with a known number of batches; give steps instead")
        return self.settings.epochs * self.batches.length

    # What the loop is made of

    @property
    def done(self) -> bool:
        """Whether there is nothing left to train."""
        return self.stopped or self._spent >= self._budget

    @property
    def _spent(self) -> float:
        """How much of the budget is used, in steps or in seconds."""
        return self.seconds if self.steps is None else self.step

    @property
    def rate(self) -> float:
        """The factor of the learning rate in the coming step."""
        progress = min(1.0, self._spent / self._budget)
        factor = self.settings.schedule(progress)
        if not (isinstance(factor, (int, float)) and 0 <= factor < math.inf):
            raise _check.InputError(f"fit: schedule({progress:g}) must be a number of at least 0, got {factor!r}")
        return float(factor) * warm_up(self.step, self.settings.warmup)  # no numpy scalar gets into a checkpoint

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Compute the terms of the loss of a batch, with random numbers that depend on the seed and the step alone."""
        seed_all(self.settings.seed, self.process[0], self.step)
        images, targets = send_to_device((batch.images, batch.targets), self.accelerator.device)
        return losses_of(self.settings.loss, self.model, images, targets)

    def gradient_norm(self) -> Tensor:
        """Compute the norm of the whole gradient, and shorten the gradient to the limit where it is longer."""
        limit = math.inf if self.settings.clip is None else self.settings.clip
        return self.accelerator.clip_grad_norm_(self.model.parameters(), limit)

    def numbers(self, batch: Batch, loss: Tensor, terms: dict[str, Tensor], norm: Tensor) -> dict[str, float]:
        """Give loss, terms and norm as numbers, and refuse those that are not finite, before any weight changes."""
        named = {"loss": loss, **terms, "grad_norm": norm}
        values = torch.stack([value.detach().to(loss) for value in named.values()]).tolist()  # one wait for the device
        numbers = dict(zip(named, values, strict=True))
        bad = [name for name, value in numbers.items() if not math.isfinite(value)]
        if bad == ["grad_norm"] and self._may_overflow():
            return numbers
        if bad:
            raise self._error(batch, numbers, bad)
        return numbers

    def _may_overflow(self) -> bool:
        """Tell whether float16 overflowed in the gradient; the scaler then leaves the step out and scales less."""
        last = self.history.steps[-_SKIPS:]
        lost = len(last) == _SKIPS and not any(math.isfinite(row["grad_norm"]) for row in last)
        return self.settings.mixed_precision == "fp16" and not lost

    def _error(self, batch: Batch, numbers: dict[str, float], bad: list[str]) -> TrainingError:
        items = f"batch {batch.number} of the epoch" if batch.indices is None else f"items {batch.indices}"
        text = ", ".join(f"{name} {value:g}" for name, value in numbers.items())
        return TrainingError(
            f"fit: {bad[0]} is not finite in step {self.step + 1}, epoch {batch.epoch}, {items}: {text}; "
            f"the model holds the weights after step {self.step}",
            self.step + 1, batch.epoch, batch.indices, numbers, self.history,
        )  # fmt: skip

    def update(self, batch: Batch, numbers: dict[str, float], factor: float) -> None:
        """Change the weights, and count and record the step."""
        for group in self.optimizer.param_groups:
            group["lr"] = group["initial_lr"] * factor
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.step += 1
        if self.average is not None:
            self.average.update(self.own, self.step)
        self._keep_buffers()
        now = time.perf_counter()
        self.seconds = self._agreed(self.seconds + now - self._tick)
        self._tick = now
        rate = self.optimizer.param_groups[0]["lr"]
        row = {"step": self.step, "epoch": batch.epoch, "seconds": self.seconds, "learning_rate": rate}
        self.history.steps.append(row | numbers)

    def _agreed(self, seconds: float) -> float:
        """Give the seconds of the first process, so that all end together."""
        if self.process[1] == 1 or self.steps is not None:
            return seconds
        return broadcast(torch.tensor(seconds, device=self.accelerator.device, dtype=torch.float32)).item()

    def _keep_buffers(self) -> None:
        """Keep the buffers, which a forward pass changes before it is known whether its step will count."""
        self._buffers = {name: buffer.detach().clone() for name, buffer in self.own.named_buffers()}

    # What follows a step

    def settle(self) -> None:
        """Do what is due after a step, and was not done: callbacks, evaluation, early stopping, checkpoint."""
        self._show()
        if self.settled == self.step:
            return
        score = None
        calls = [call for every, call in self.settings.callbacks if every is not None and self.step % every == 0]
        if calls or self._due(self.settings.evaluate_every):
            seed_all(self.settings.seed, self.process[0], self.step)
            self._call(calls)
            if self._due(self.settings.evaluate_every):  # a callback may have ended the training
                score = self._evaluate()
                self._call([call for every, call in self.settings.callbacks if every is None])
            self.model.train()
        with self.interrupts.held():
            if score is not None:
                self._compare(score)
            self.settled = self.step
            if self._due(self.settings.checkpoint_every):
                self.save()
        self._tick = time.perf_counter()

    def _due(self, every: int | None) -> bool:
        return self.done or (every is not None and self.step % every == 0)

    @property
    def _best_now(self) -> nn.Module:
        """The averaged model where there is one."""
        return self.own if self.average is None else self.average.model

    def _call(self, callbacks: list[Callback]) -> None:
        for callback in callbacks:
            try:
                callback(State(self.step, self._best_now.eval(), self.history))
            except StopTraining:
                self.stopped = True

    def _evaluate(self) -> float | None:
        """Add a row of metrics; give the score of early stopping, the higher the better."""
        if self.val is None:
            return None
        with self.accelerator.autocast():
            numbers = measure(self._best_now, self.val, self.settings.metric, self.settings.loss)
        rows = self.history.evaluations
        rows[:] = [row for row in rows if row["step"] != self.step]  # of an evaluation whose callbacks were interrupted
        rows.append({name: self.history.steps[-1][name] for name in ("step", "epoch", "seconds")} | numbers)
        if self.settings.patience is None:
            return None
        monitor = "loss" if self.settings.metric is None else self.settings.monitor
        if monitor not in numbers:
            raise _check.InputError(f"fit: monitor must be one of {', '.join(numbers)}, got {monitor!r}")
        return -numbers[monitor] if monitor == "loss" else numbers[monitor]

    def _compare(self, score: float) -> None:
        """Keep the best weights, and stop when there were none better for long enough."""
        if score > self.best["score"]:  # never where the score is NaN
            weights = copy.deepcopy(self._best_now.state_dict())
            self.best = {"score": score, "weights": weights, "waited": 0}
            self.history.best_step = self.step
        else:
            self.best["waited"] += 1
            self.stopped = self.stopped or self.best["waited"] >= self.settings.patience

    def _show(self) -> None:
        if self.history.steps:
            self.progress.update(self._spent, self._summary())

    def _summary(self) -> str:
        last = [row["loss"] for row in self.history.steps[-20:]]
        metrics = self.history.evaluations[-1] if self.history.evaluations else {}
        name = "loss" if self.settings.metric is None else self.settings.monitor
        held_out = f", held-out {name} {metrics[name]:.3f}" if name in metrics else ""
        return f"loss {sum(last) / len(last):.3f}{held_out}"

    # Checkpoints, and the end

    def arguments(self) -> dict[str, Any]:
        """Give what a checkpoint must have been made with."""
        return self.settings.fixed() | {"items of train": self.batches.items, "processes": self.process[1]}

    def save(self) -> None:
        """Write a checkpoint of the last complete step, if there is a path for one."""
        if self.settings.checkpoint is None or self.process[0] != 0:
            return
        scaler = self.accelerator.scaler
        content = {
            "format": FORMAT,
            "arguments": self.arguments(),
            "step": self.step,
            "settled": self.settled,
            "seconds": self.seconds,
            "stopped": self.stopped,
            "model": self.own.state_dict(),
            "average": None if self.average is None else self.average.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": None if scaler is None else scaler.state_dict(),
            "best": self.best,
            "history": vars(self.history) | {"interrupted": False},
        }
        write_checkpoint(self.settings.checkpoint, content)

    def load(self) -> None:
        """Go on from the checkpoint, if there is one and that is wanted."""
        path = self.settings.checkpoint
        if path is None or not path.exists() or not self.settings.resume:
            return
        content = read_checkpoint(path)
        check_arguments(path, content["arguments"], self.arguments())
        check_weights(path, content["model"], self.own.state_dict())
        self.own.load_state_dict(content["model"])
        if self.average is not None:
            self.average.model.load_state_dict(content["average"])
        self.optimizer.load_state_dict(content["optimizer"])
        if self.accelerator.scaler is not None:
            self.accelerator.scaler.load_state_dict(content["scaler"])
        for name in ("step", "settled", "seconds", "stopped", "best"):
            setattr(self, name, content[name])
        self.history = History(**content["history"])

    @torch.no_grad()
    def roll_back(self) -> None:
        """Undo what an unfinished step has changed, and save."""
        with self.interrupts.held():
            for name, buffer in self.own.named_buffers():
                if name in self._buffers:
                    buffer.copy_(self._buffers[name])
            if self.step > 0:
                self.save()

    def close(self) -> None:
        """Leave the model with its final weights, in evaluation mode and without gradients, and the last line."""
        with self.interrupts.held():
            self.optimizer.zero_grad()
            for name in _MARKS:
                self.own.__dict__.pop(name, None)
            self.own.__dict__.update(self._before)
            if self.best["weights"] is not None:
                self.own.load_state_dict(self.best["weights"])
            elif self.average is not None:
                self.own.load_state_dict(self.average.model.state_dict())
            self.own.eval()
            end = "interrupted after" if self.history.interrupted else ""
            text = f"{end} {self.step} steps in {self.seconds:.1f} s".strip()
            self.progress.close(f"{text}: {self._summary()}" if self.history.steps else text)
