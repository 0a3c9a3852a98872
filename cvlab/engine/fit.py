"""Train a model: `fit`, and the loop inside it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from torch import nn
from torch.optim import Optimizer

from cvlab import _check
from cvlab.engine.batches import Collate, list_collate
from cvlab.engine.device import accelerator_for
from cvlab.engine.evaluation import Loss, Metric
from cvlab.engine.history import History
from cvlab.engine.interrupts import Interrupts
from cvlab.engine.run import Run
from cvlab.engine.schedules import Schedule
from cvlab.engine.settings import Callback, check_settings
from cvlab.engine.streams import kept_generators, seed_all


def train_loop(run: Run) -> None:
    """Train until the run is done: the loop that all trainings share.

    Args:
        run: The state of the training.
    """
    run.settle()  # what the last step still lacks, where an interrupted training goes on
    batches = run.batches.endless(run.step)
    while not run.done:
        batch = next(batches)
        terms = run.losses(batch)
        loss = sum(terms.values())
        run.accelerator.backward(loss)
        norm = run.gradient_norm()  # clips it, too
        numbers = run.numbers(batch, loss, terms, norm)  # stops at NaN
        rate = run.rate
        with run.interrupts.held():  # Ctrl-C waits: a step is done wholly or not at all
            run.update(batch, numbers, rate)
        run.settle()  # callbacks, evaluation, early stopping, checkpoint


def fit(
    model: nn.Module,
    train: Any,
    val: Any = None,
    *,
    steps: int | None = None,
    epochs: int | None = None,
    seconds: float | None = None,
    batch_size: int = 32,
    learning_rate: float = 3e-3,
    optimizer: str | Callable[[list[dict[str, Any]]], Optimizer] = "adamw",
    weight_decay: float = 1e-2,
    schedule: str | Schedule = "cosine",
    warmup: int = 50,
    clip: float | None = 10.0,
    ema: float | None = None,
    mixed_precision: str | None = None,
    metric: Metric | None = None,
    evaluate_every: int | None = None,
    monitor: str = "AP",
    patience: int | None = None,
    loss: Loss | None = None,
    collate: Collate = list_collate,
    num_workers: int = 0,
    seed: int = 0,
    checkpoint: str | Path | None = None,
    checkpoint_every: int | None = None,
    resume: bool = True,
    callbacks: Sequence[Callback | tuple[int, Callback]] = (),
    progress: bool = True,
) -> History:
    """Train a model, and give the history of it.

    Afterwards the model is in evaluation mode, on the device it was trained on, without gradients, and holds the
    weights of the best evaluation where `patience` is given, else the averaged weights where `ema` is given, else the
    last ones. The same arguments and seed give the same weights, whatever was drawn at random before; the global
    random generators are left as they were.

    Args:
        model: The model.
        train: A data set with items (image, target) by index and a length, which is shuffled anew in each epoch; or a
            DataLoader that gives pairs (images, targets), whose own batch size, order and workers then hold. A data set
            with `set_epoch` is told the epoch.
        val: The same, for evaluation; it is neither shuffled nor told the epoch.
        steps: Number of steps; give one of `steps`, `epochs` and `seconds`.
        epochs: Number of passes over `train`.
        seconds: Time to train, evaluations not counted; the schedule then runs with the time. For comparisons at equal
            time: it is not reproducible.
        batch_size: Items of a batch (on each device), at least 1; an epoch's last batch may have fewer.
        learning_rate: The highest learning rate.
        optimizer: "adamw"; "sgd", with momentum 0.9; or a function of parameter groups that gives an optimizer, whose
            own learning rates then hold.
        weight_decay: At least 0; it is not applied to biases and normalisations.
        schedule: "cosine", "step", "cyclic", "constant", or a function from the progress in [0, 1] to a factor.
        warmup: Steps in which the learning rate rises linearly; the schedule's factor multiplies it.
        clip: The largest norm of the gradient; a longer one is shortened to it. None for no limit.
        ema: The decay of a moving average of the weights, such as 0.99; evaluations and callbacks use the average.
        mixed_precision: None, "bf16" or "fp16".
        metric: Has `reset()`, `update(predictions, targets)` and `compute()`, which gives numbers by name; without one,
            `val` is evaluated by its loss.
        evaluate_every: Steps between two evaluations; None for one at the end only.
        monitor: The metric's number that early stopping and the progress line use; the higher the better, but for
            "loss". Without a metric it is the loss of `val`.
        patience: The number of evaluations without improvement after which training stops.
        loss: A function (model, images, targets) that gives the loss, or its terms by name, which are added up; None
            for `model(images, targets)`, as torchvision's detection models have it.
        collate: Makes a pair (images, targets) from a list of items; by default, a list of each.
        num_workers: Processes that make batches; 0 for none. Their number changes nothing in the result.
        seed: Non-negative.
        checkpoint: A file; it is written after each `checkpoint_every` steps, at the end, and when the training ends
            early for any reason. To go on from it, give the same arguments; functions are compared by their names.
        checkpoint_every: Steps between two checkpoints.
        resume: Go on from the checkpoint where there is one; if not, it is written anew.
        callbacks: Functions of a `State`, called every `evaluate_every` steps and at the end, after the evaluation; or
            pairs (k, function), called after each k-th step. They may raise `StopTraining`.
        progress: Show a progress bar, of which one line stays.

    Returns:
        The history, with `frame`, `metrics` and `plot()`. After Ctrl-C it is returned too, with `interrupted` set, so
        that a notebook goes on with what there is. The step that was broken off does not count.

    Raises:
        TrainingError: A loss or the gradient's norm is not finite. Model, checkpoint and the error's `history` are
            those of the last good step. With "fp16", in which gradients may overflow, only after 20 such steps in a
            row.
        InputError: An argument is out of range; the checkpoint is damaged, of another model, or was made with other
            arguments.

    Notes:
        A training that goes on from its checkpoint gives the same bytes as one that was never stopped (on the same
        machine, with algorithms that are deterministic): the batches of an epoch depend on the seed and the epoch, and
        the random numbers of a batch and of a step on the seed and their number. Only the history's seconds differ.

        In each step the model is in training mode; one that keeps a part of itself fixed overrides `train`.

        On several processes, started by `accelerate launch`, each has batches of its own and evaluates all of `val`.
        Ctrl-C then ends them without a last checkpoint.

    Example:
        >>> import torch
        >>> data = [(torch.tensor([float(x)]), torch.tensor([2.0 * x])) for x in range(-4, 5)]
        >>> model = nn.Linear(1, 1)
        >>> def squared(model, images, targets):
        ...     return (model(torch.stack(images)) - torch.stack(targets)).square().mean()
        >>> history = fit(model, data, steps=100, loss=squared, learning_rate=0.1, warmup=5, progress=False)
        >>> len(history.frame), round(model.weight.item(), 1)
        (100, 2.0)
    """
    settings = check_settings(
        steps=steps, epochs=epochs, seconds=seconds, batch_size=batch_size, learning_rate=learning_rate,
        optimizer=optimizer, weight_decay=weight_decay, schedule=schedule, warmup=warmup, clip=clip, ema=ema,
        mixed_precision=mixed_precision, metric=metric, evaluate_every=evaluate_every, monitor=monitor,
        patience=patience, loss=loss, collate=collate, num_workers=num_workers, seed=seed, checkpoint=checkpoint,
        checkpoint_every=checkpoint_every, resume=resume, callbacks=callbacks, progress=progress,
    )  # fmt: skip
    if val is None and (metric is not None or patience is not None):
        raise _check.InputError(f"fit: {'metric' if metric is not None else 'patience'} needs val, got none")
    with kept_generators(), accelerator_for(mixed_precision) as accelerator, Interrupts() as interrupts:
        seed_all(seed)
        run = Run(model, train, val, settings, accelerator, interrupts)
        try:
            train_loop(run)
        except KeyboardInterrupt:
            run.history.interrupted = True
            run.roll_back()
        except BaseException as error:
            try:
                run.roll_back()
            except Exception as second:
                error.add_note(f"and the checkpoint could not be written: {second}")
            raise
        finally:
            run.close()
    return run.history
