"""Training: the loop's arithmetic, early stopping, errors, and what is left behind."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from engine_samples import Accuracy, Net, Pictures, entropy, make_net
from torch import nn
from torch.utils.data import DataLoader, Subset

from cvlab import engine

ROOT = Path(__file__).resolve().parents[3]


class Line(nn.Module):
    """y = w x, with w = 1 at the start."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.ones(1, 1))

    def forward(self, images):
        return torch.stack(list(images)) @ self.w


def squares(model, images, targets):
    return (model(images) - torch.stack(list(targets))).square().mean()


POINT = [(torch.tensor([1.0]), torch.tensor([3.0]))]  # gradient of the squared error: 2 (w - 3)


def sgd(groups):
    return torch.optim.SGD(groups, lr=0.25)


def fit(model, train, val=None, **arguments):
    arguments = {"progress": False, "warmup": 0, "schedule": "constant", "weight_decay": 0.0} | arguments
    return engine.fit(model, train, val, **arguments)


# By hand


def test_two_steps_by_hand():
    model = Line()
    history = fit(model, POINT, steps=2, loss=squares, optimizer=sgd, clip=None)
    # w = 1: loss (1 - 3)^2 = 4, gradient 2 (1 - 3) = -4, w = 1 + 0.25 * 4 = 2
    # w = 2: loss 1, gradient -2, w = 2.5
    assert model.w.item() == 2.5
    frame = history.frame.drop(columns="seconds")
    assert frame.to_dict("list") == {
        "step": [1, 2], "epoch": [0, 1], "learning_rate": [0.25, 0.25], "loss": [4.0, 1.0], "grad_norm": [4.0, 2.0],
    }  # fmt: skip


def test_clipping_by_hand():
    model = Line()
    history = fit(model, POINT, steps=2, loss=squares, optimizer=sgd, clip=2.0)
    # The gradient -4 is shortened to -2: w = 1.5; there it is 2 (1.5 - 3) = -3, shortened to -2: w = 2
    assert model.w.item() == pytest.approx(2.0, abs=1e-5)
    assert history.frame["grad_norm"].tolist() == pytest.approx([4.0, 3.0], abs=1e-5)  # as it was before


def test_the_moving_average_by_hand():
    model = Line()
    seen = []
    fit(
        model, POINT, steps=2, loss=squares, optimizer=sgd, clip=None, ema=0.99,
        callbacks=[(1, lambda state: seen.append((state.step, state.model.w.item(), state.model.training)))],
    )  # fmt: skip
    # Weights 1, 2, 2.5. d is 2/11 and then 3/12: 2/11 + 2 * 9/11 = 20/11, and 20/11 / 4 + 2.5 * 3/4 = 2.32955
    assert seen == [(1, pytest.approx(20 / 11), False), (2, pytest.approx(5 / 11 + 1.875), False)]
    assert model.w.item() == pytest.approx(5 / 11 + 1.875)
    assert model.w.requires_grad


def test_the_learning_rates_are_warm_up_times_schedule():
    history = fit(
        Line(), POINT, steps=4, loss=squares, optimizer="sgd", learning_rate=0.1, warmup=2,
        schedule=lambda progress: 1 - progress,
    )  # fmt: skip
    # progress 0, 1/4, 2/4, 3/4; warm-up 1/2, 1, 1, 1
    assert history.frame["learning_rate"].tolist() == pytest.approx([0.05, 0.075, 0.05, 0.025])


def test_weight_decay_spares_biases_and_normalisations():
    model = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2), nn.GroupNorm(1, 2))
    with torch.no_grad():
        for p in model.parameters():
            p.fill_(1.0)

    def nothing(model, images, targets):
        return 0.0 * sum(p.sum() for p in model.parameters())

    fit(model, POINT, steps=1, loss=nothing, learning_rate=0.1, weight_decay=0.5)
    # AdamW multiplies by 1 - 0.1 * 0.5 = 0.95; the gradient is zero
    values = {name: p.detach().unique().tolist() for name, p in model.named_parameters()}
    assert values.pop("0.weight") == pytest.approx([0.95])
    assert all(value == [1.0] for value in values.values())
    assert len(values) == 5


def test_the_default_loss_is_the_sum_of_the_models_own():
    class Detector(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(torch.tensor([[2.0]]))

        def forward(self, images, targets=None):
            assert isinstance(images, list)
            if not self.training:
                return [{"scores": self.w[0]} for _ in images]
            return {"boxes": self.w.sum(), "classes": 2 * self.w.sum()}

    history = fit(Detector(), POINT, POINT, steps=1)
    row = history.frame.iloc[0]
    assert (row["boxes"], row["classes"], row["loss"]) == (2.0, 4.0, 6.0)
    assert list(history.frame) == ["step", "epoch", "seconds", "learning_rate", "loss", "boxes", "classes", "grad_norm"]
    assert list(history.metrics) == ["step", "epoch", "seconds", "loss", "boxes", "classes"]


def test_seconds_drive_schedule_and_end(monkeypatch):
    class Clock:
        """A second for each look."""

        now = 0.0

        @classmethod
        def perf_counter(cls):
            cls.now += 1.0
            return cls.now

    monkeypatch.setattr("cvlab.engine.run.time", Clock)
    history = fit(
        Line(), POINT, POINT, seconds=4, loss=squares, optimizer="sgd", learning_rate=0.1, evaluate_every=2,
        schedule=lambda progress: 1 - progress,
    )  # fmt: skip
    # Each step takes from one look to the next: 1 s
    assert history.frame["seconds"].tolist() == [1.0, 2.0, 3.0, 4.0]
    assert history.frame["learning_rate"].tolist() == pytest.approx([0.1, 0.075, 0.05, 0.025])
    assert history.metrics["seconds"].tolist() == [2.0, 4.0]


# Data


def test_every_epoch_has_each_item_once_in_another_order():
    data = Pictures(10)
    history = fit(make_net(), data, epochs=3, batch_size=4, loss=entropy)
    epochs = [data.asked[i : i + 10] for i in (0, 10, 20)]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]
    assert data.epochs == [0, 1, 2]
    assert history.frame["epoch"].tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]


def test_the_epoch_reaches_a_data_set_within_another():
    data = Pictures(10)
    both = torch.utils.data.ConcatDataset([Subset(data, [1, 2]), Pictures(2)])
    fit(make_net(), both, epochs=2, loss=entropy)
    assert data.epochs == [0, 1]


def test_val_is_neither_shuffled_nor_told_the_epoch():
    data = Pictures(5)
    fit(make_net(), Pictures(), data, epochs=2, batch_size=2, loss=entropy)
    assert data.asked == [0, 1, 2, 3, 4]
    assert data.epochs == []


def test_a_data_set_smaller_than_a_batch_and_one_that_gives_items_together():
    class Together(Pictures):
        def __getitems__(self, indices):
            together.append(indices)
            return [self[i] for i in indices]

    together = []
    history = fit(make_net(), Together(3), epochs=2, batch_size=32, loss=entropy)
    assert [sorted(indices) for indices in together] == [[0, 1, 2], [0, 1, 2]]
    assert len(history.frame) == 2


def test_zero_steps_change_nothing():
    model = make_net()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    history = fit(model, Pictures(), Pictures(2), steps=0, loss=entropy)
    assert history.frame.empty
    assert history.metrics.empty
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert not model.training


def test_the_same_seed_gives_the_same_weights_and_another_seed_others():
    def weights(seed, loader=False):
        model, data = make_net(), Pictures()
        if loader:
            data = DataLoader(data, 4, shuffle=True, collate_fn=engine.list_collate)
        fit(model, data, steps=5, batch_size=4, loss=entropy, seed=seed)
        return torch.cat([v.flatten().double() for v in model.state_dict().values()])

    for loader in (False, True):
        first = weights(1, loader)
        torch.rand(5)
        assert torch.equal(first, weights(1, loader))
        assert not torch.equal(first, weights(2, loader))


def test_evaluations_and_callbacks_do_not_change_the_training():
    plain, watched = make_net(), make_net()
    fit(plain, Pictures(), steps=5, loss=entropy)
    fit(
        watched, Pictures(), Pictures(4), steps=5, loss=entropy, evaluate_every=1,
        callbacks=[(1, lambda state: torch.rand(state.step))],
    )  # fmt: skip
    assert all(
        torch.equal(a, b) for a, b in zip(plain.state_dict().values(), watched.state_dict().values(), strict=True)
    )


@pytest.mark.parametrize("num_workers", [0, 1])
def test_an_error_in_the_data_names_the_item(num_workers):
    class Bad(Pictures):
        def __getitem__(self, i):
            if i == 3:
                raise ValueError("this picture is broken")
            return super().__getitem__(i)

    with pytest.raises(ValueError, match="this picture is broken") as caught:
        fit(make_net(), Bad(), epochs=1, loss=entropy, num_workers=num_workers)
    told = str(caught.value) + "".join(getattr(caught.value, "__notes__", []))
    assert "fit: this came from item 3 of the data set" in told


# Evaluation and early stopping


class Script:
    """A metric that gives what it is told, one number for each evaluation."""

    def __init__(self, *values):
        self.values = list(values)

    def reset(self):
        pass

    def update(self, predictions, targets):
        assert not predictions.requires_grad

    def compute(self):
        return {"AP": self.values.pop(0), "other": 0.5}


def test_early_stopping_keeps_the_best_weights():
    model, weights = Line(), []
    history = fit(
        model, POINT, POINT, steps=100, loss=squares, optimizer=sgd, evaluate_every=1, patience=2,
        metric=Script(0.1, 0.3, 0.2, float("nan"), 0.9), callbacks=[lambda state: weights.append(state.model.w.item())],
    )  # fmt: skip
    # Two evaluations, 3 and 4, are not better than that of step 2; NaN never is
    assert len(history.frame) == 4
    assert history.best_step == 2
    assert model.w.item() == weights[1] == 2.5
    assert history.metrics["AP"].tolist()[:3] == [0.1, 0.3, 0.2]


def test_early_stopping_without_any_number_keeps_the_last_weights():
    model = Line()
    metric = Script(float("nan"), float("nan"))
    history = fit(
        model, POINT, POINT, steps=9, loss=squares, optimizer=sgd, evaluate_every=1, patience=2, metric=metric,
    )  # fmt: skip
    assert len(history.frame) == 2
    assert history.best_step is None
    assert model.w.item() == 2.5


def test_early_stopping_by_the_loss_of_val():
    far = [(torch.tensor([1.0]), torch.tensor([1.9]))]  # best at w = 1.9: the steps 2, 2.5, 2.75 lead away from it
    model = Line()
    history = fit(model, POINT, far, steps=9, loss=squares, optimizer=sgd, evaluate_every=1, patience=2)
    assert len(history.frame) == 3
    assert history.best_step == 1
    assert model.w.item() == 2.0
    assert history.metrics["loss"].tolist() == pytest.approx([0.01, 0.36, 0.7225])


def test_evaluation_of_the_loss_uses_fixed_normalisation_and_changes_nothing():
    model = make_net()
    model.norm.eval()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    data = [(torch.full((1, 6, 6), float(i)), torch.tensor(0)) for i in range(5)]
    numbers = engine.evaluate(model, data, loss=entropy, batch_size=2)
    alone = [engine.evaluate(model, [item], loss=entropy)["entropy"] for item in data]
    assert numbers["entropy"] == pytest.approx(sum(alone) / 5, rel=1e-5)  # the last batch has one item: it counts once
    assert numbers["loss"] == pytest.approx(numbers["entropy"] + numbers["size"], rel=1e-6)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert [module.training for module in model.modules()] == modes


def test_evaluation_with_a_metric_by_hand():
    model = Line()

    class Errors(Script):
        def update(self, predictions, targets):
            self.values += (predictions - torch.stack(targets)).flatten().tolist()

        def compute(self):
            return {"mean": torch.tensor(self.values).mean()}

    data = [(torch.tensor([x]), torch.tensor([0.0])) for x in (1.0, 2.0, 6.0)]
    assert engine.evaluate(model, data, Errors(), batch_size=2) == {"mean": 3.0}


def test_callbacks_see_what_they_are_promised():
    calls = []

    def look(state):
        calls.append((state.step, state.model.training, len(state.history.frame), len(state.history.metrics)))

    model = make_net()
    modes = []
    model.register_forward_hook(lambda module, *_: modes.append(module.training))
    fit(
        model, Pictures(), Pictures(2), steps=5, loss=entropy, metric=Accuracy(), evaluate_every=2,
        callbacks=[look, (3, lambda state: calls.append(state.step))],
    )  # fmt: skip
    assert calls == [(2, False, 2, 1), 3, (4, False, 4, 2), (5, False, 5, 3)]
    assert modes == [True, True, False, True, True, False, True, False]


def test_a_callback_may_stop_the_training():
    def stop(state):
        raise engine.StopTraining

    history = fit(make_net(), Pictures(), Pictures(2), steps=9, loss=entropy, callbacks=[(3, stop)])
    assert len(history.frame) == 3
    assert history.metrics["step"].tolist() == [3]  # evaluated at the end all the same
    assert not history.interrupted


# NaN


@pytest.mark.parametrize("kind", ["loss", "gradient"])
def test_nan_stops_and_keeps_the_last_good_step(tmp_path, kind):
    class Bad(Pictures):
        def __getitem__(self, i):
            image, target = super().__getitem__(i)
            return image * (float("nan") if i == 7 else 1.0), target

    def loss(model, images, targets):
        terms = entropy(model, images, targets)
        if kind == "gradient" and any(not image.isfinite().all() for image in images):
            w = model.conv.weight.sum()
            terms = {"entropy": (w - w.detach()).abs().sqrt()}  # 0, with an infinite slope
        return terms

    arguments = {"batch_size": 4, "loss": loss, "seed": 3}
    model, good = make_net(), make_net()
    with pytest.raises(engine.TrainingError) as caught:
        fit(model, Bad(), steps=9, checkpoint=tmp_path / "checkpoint.pt", **arguments)
    error = caught.value
    assert 7 in error.indices
    assert len(error.indices) in (2, 4)
    assert f"is not finite in step {error.step}, epoch 0, items {error.indices}: loss" in str(error)
    assert not math.isfinite(error.losses["grad_norm" if kind == "gradient" else "loss"])
    assert error.history.frame["step"].tolist() == list(range(1, error.step))
    assert error.step > 1
    fit(good, Bad(), steps=error.step - 1, **arguments)
    saved = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert saved["step"] == error.step - 1
    for name, value in good.state_dict().items():  # the normalisation too, through which the bad batch had gone
        assert torch.equal(model.state_dict()[name], value), name
        assert torch.equal(saved["model"][name], value), name
    assert not model.training


def test_nan_of_a_loader_names_the_batch():
    def loss(model, images, targets):
        return model(images).sum() * float("inf")

    loader = DataLoader(Pictures(), 4, collate_fn=engine.list_collate)
    with pytest.raises(engine.TrainingError, match="in step 1, epoch 0, batch 0 of the epoch: loss"):
        fit(make_net(), loader, steps=2, loss=loss)


# Precision, memory format, devices, processes


def test_several_precisions_in_one_process_and_none_is_left():
    model, dtypes = make_net(), []
    model.conv.register_forward_hook(lambda module, inputs, output: dtypes.append(output.dtype))
    precisions = ("bf16", None, "bf16", "fp16", None) if torch.cuda.is_available() else ("bf16", None, "bf16")
    for precision in precisions:
        fit(model, Pictures(), Pictures(2), steps=1, loss=entropy, mixed_precision=precision)
    half = {"bf16": torch.bfloat16, "fp16": torch.float16, None: torch.float32}
    assert dtypes == [half[precision] for precision in precisions for _ in range(2)]
    assert "forward" not in model.__dict__
    model(torch.zeros(1, 1, 6, 6, device=model.conv.weight.device))
    assert dtypes[-1] == torch.float32
    assert all(p.dtype == torch.float32 for p in model.parameters())


def test_the_averaged_model_is_evaluated_in_the_same_precision():
    seen = []

    class Look(Script):
        def update(self, predictions, targets):
            seen.append(predictions.dtype)

    fit(
        make_net(), Pictures(), Pictures(2), steps=1, loss=entropy, mixed_precision="bf16", ema=0.9, metric=Look(0.0),
    )  # fmt: skip
    assert seen == [torch.bfloat16]


needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="float16 needs a GPU, and there is none")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU, so nothing is refused")
def test_float16_on_a_cpu_is_refused():
    with pytest.raises(engine.InputError, match='mixed_precision "fp16" needs a GPU, got a CPU'):
        fit(make_net(), Pictures(), steps=1, loss=entropy, mixed_precision="fp16")


@pytest.mark.parametrize(
    ("precision", "norms", "allowed"),
    [
        ("fp16", [], True),
        ("fp16", [math.inf] * 19, True),
        ("fp16", [math.inf] * 20, False),
        ("fp16", [1.0] + [math.inf] * 19, True),
        ("bf16", [], False),
        (None, [], False),
    ],
)
def test_float16_may_overflow_for_some_steps(precision, norms, allowed):
    from types import SimpleNamespace

    from cvlab.engine.run import Run

    history = engine.History([{"grad_norm": norm} for norm in norms])
    run = SimpleNamespace(history=history, settings=SimpleNamespace(mixed_precision=precision))
    assert Run._may_overflow(run) is allowed


@needs_gpu
def test_overflow_in_float16_loses_the_step_but_not_the_training():
    def loss(model, images, targets):
        return 1e3 * model(images).square().mean()

    model = Line()
    history = fit(model, POINT, steps=30, loss=loss, optimizer="sgd", learning_rate=1e-4, mixed_precision="fp16")
    lost = ~torch.tensor(history.frame["grad_norm"].tolist()).isfinite()
    assert 0 < int(lost.sum()) < 20
    assert not lost[-1]
    assert abs(model.w.item()) < 1


@needs_gpu
def test_float16_gradients_that_stay_infinite_are_an_error():
    def loss(model, images, targets):
        return (model.w - model.w.detach()).abs().sqrt().sum()

    with pytest.raises(engine.TrainingError, match="grad_norm is not finite in step 21"):
        fit(Line(), POINT, steps=40, loss=loss, mixed_precision="fp16")


def test_channels_last_stays(tmp_path):
    model = Net(4).to(memory_format=torch.channels_last)
    model.conv = nn.Conv2d(1, 4, 3, padding=1, bias=False)
    extra = nn.Conv2d(4, 4, 3, padding=1).to(memory_format=torch.channels_last)
    model.norm = nn.Sequential(extra, nn.BatchNorm2d(4))
    seen = []
    for steps in (2, 2):
        fit(
            model, Pictures(), steps=steps, loss=entropy, ema=0.9, checkpoint=tmp_path / "c.pt",
            callbacks=[lambda state: seen.append(state.model.norm[0].weight)],
        )  # fmt: skip
    for weight in (*seen, extra.weight):
        assert weight.is_contiguous(memory_format=torch.channels_last)
        assert not weight.is_contiguous()


def test_frozen_parameters_stay():
    model = make_net()
    model.conv.requires_grad_(False)
    before = model.conv.weight.clone()
    fit(model, Pictures(), steps=2, loss=entropy, weight_decay=0.1)
    assert torch.equal(model.conv.weight, before)


def test_gradients_and_modes_after_training():
    model = make_net()
    fit(model, Pictures(), steps=2, loss=entropy)
    assert all(p.grad is None for p in model.parameters())
    assert not any(module.training for module in model.modules())


TWO = """
import os, sys, torch
sys.path[:0] = [{samples!r}, {root!r}]
from engine_samples import Pictures, entropy, make_net
from cvlab import engine
data, model = Pictures(10), make_net()
arguments = dict(epochs=2, batch_size=2, loss=entropy, progress=False, checkpoint={path!r})
history = engine.fit(model, data, Pictures(4), **arguments)
weights = torch.cat([p.detach().flatten() for p in model.parameters()])
torch.save((data.asked, weights, len(history.frame)), {path!r} + os.environ["RANK"])
"""


def test_two_processes_share_the_batches_and_have_the_same_weights(tmp_path):
    path = str(tmp_path / "checkpoint.pt")
    code = TWO.format(samples=str(Path(__file__).parent), root=str(ROOT), path=path)
    common = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port())}
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", code], stderr=subprocess.PIPE, text=True,
            env=os.environ | common | {"RANK": str(r), "LOCAL_RANK": str(r), "ACCELERATE_USE_CPU": "true"},
        ) for r in range(2)
    ]  # fmt: skip
    for run in runs:
        assert run.wait(120) == 0, run.stderr.read()
    (asked, weights, steps), (asked_too, weights_too, _) = (torch.load(path + rank) for rank in "01")
    assert steps == 6  # 10 items in batches of 2 * 2 are 3 steps an epoch
    assert sorted(asked[:5] + asked_too[:5]) == list(range(10))
    assert torch.equal(weights, weights_too)
    assert torch.load(path)["step"] == 6


def _free_port() -> int:
    import socket

    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


# Errors


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"steps": None}, "fit: give exactly one of steps, epochs and seconds, got none"),
        ({"epochs": 2}, r"exactly one of steps, epochs and seconds, got {'steps': 2, 'epochs': 2}"),
        ({"steps": -1}, "fit: steps must be a whole number of at least 0, got -1"),
        ({"steps": 1.5}, "fit: steps must be a whole number of at least 0, got 1.5"),
        ({"batch_size": 0}, "fit: batch_size must be a whole number of at least 1, got 0"),
        ({"warmup": -1}, "fit: warmup must be"),
        ({"seed": -1}, "fit: seed must be"),
        ({"seed": True}, "fit: seed must be"),
        ({"evaluate_every": 0}, "fit: evaluate_every must be"),
        ({"steps": None, "seconds": 0}, "fit: seconds must be above 0, got 0"),
        ({"steps": None, "seconds": math.inf}, "fit: seconds must be a finite number, got inf"),
        ({"learning_rate": 0.0}, "fit: learning_rate must be above 0"),
        ({"learning_rate": math.nan}, "fit: learning_rate must be a finite number"),
        ({"clip": 0}, "fit: clip must be above 0"),
        ({"ema": 1.5}, r"fit: ema must lie in \[0, 1\]"),
        ({"weight_decay": -1.0}, r"weight_decay.*at least 0"),
        ({"optimizer": "adam"}, "fit: optimizer must be one of adamw, sgd, got 'adam'"),
        ({"schedule": "sine"}, "fit: schedule must be one of constant, cosine, cyclic, step, got 'sine'"),
        ({"schedule": lambda progress: -1.0}, r"fit: schedule\(0\) must be a number of at least 0, got -1.0"),
        ({"mixed_precision": "int8"}, "fit: mixed_precision must be one of bf16, fp16, got 'int8'"),
        ({"metric": Accuracy()}, "fit: metric needs val, got none"),
        ({"patience": 1, "evaluate_every": 1}, "fit: patience needs val, got none"),
        ({"patience": 1}, "fit: patience needs evaluate_every, got None"),
        ({"checkpoint_every": 1}, "fit: checkpoint_every needs checkpoint"),
        ({"train": []}, "fit: train must hold at least one item, got none"),
        ({"val": []}, "fit: val must hold at least one item, got none"),
        ({"train": DataLoader([])}, "fit: train gave no batch in epoch 0"),
        ({"train": DataLoader([]), "steps": None, "epochs": 1}, "fit: epochs needs a train with a known number"),
        ({"collate": lambda items: items}, r"fit: a batch must be a pair \(images, targets\), got list"),
        ({"loss": lambda *_: {}}, "fit: the loss must be a tensor or tensors by name, got none"),
        ({"loss": lambda *_: 1.0}, "fit: the loss must be a tensor or tensors by name, got float"),
        ({"loss": lambda *_: torch.zeros(2)}, r"fit: the loss 'loss' must be a tensor of one number, got shape \(2,\)"),
        ({"loss": lambda *_: {"a": 1.0}}, "fit: the loss 'a' must be a tensor of one number, got float"),
        ({"loss": lambda *_: {"step": torch.zeros(())}}, "must not be called 'step'"),
        ({"loss": lambda *_: {"loss": torch.zeros(()), "b": torch.zeros(())}}, "must not be called 'loss'"),
        ({"callbacks": [(0, print)]}, r"fit: callbacks\[0\]\[0\] must be a whole number of at least 1, got 0"),
    ],
)
def test_bad_arguments(arguments, message):
    arguments = {"train": Pictures(3), "steps": 2, "loss": entropy} | arguments
    with pytest.raises(engine.InputError, match=message):
        fit(make_net(), arguments.pop("train"), **arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"callbacks": [3]}, r"fit: callbacks\[0\] must be a function or a pair \(steps, function\), got 3"),
        ({"optimizer": lambda groups: groups}, "fit: optimizer must give a torch.optim.Optimizer, got list"),
        ({"metric": object(), "val": Pictures(2)}, "fit: metric must have the methods .* got no reset"),
        ({"train": iter([])}, "fit: train must be a data set with items by index and a length, or a DataLoader"),
    ],
)
def test_bad_types(arguments, message):
    arguments = {"train": Pictures(3), "steps": 2, "loss": entropy} | arguments
    with pytest.raises(TypeError, match=message):
        fit(make_net(), arguments.pop("train"), **arguments)


@pytest.mark.parametrize(
    ("computed", "message"),
    [
        (0.5, "evaluate: metric.compute.. must give numbers by name, got float"),
        ({"AP": [1, 2]}, r"evaluate: the metric 'AP' must be a number, got \[1, 2\]"),
        ({"mAP": 0.5}, "fit: monitor must be one of mAP, got 'AP'"),
    ],
)
def test_bad_metrics(computed, message):
    metric = Accuracy()
    metric.compute = lambda: computed
    with pytest.raises(engine.InputError, match=message):
        fit(
            make_net(), Pictures(3), Pictures(2), steps=2, loss=entropy, metric=metric, evaluate_every=1, patience=1,
        )  # fmt: skip


def test_a_model_without_anything_to_train():
    with pytest.raises(engine.InputError, match="the model must have a parameter that requires a gradient, got none"):
        fit(make_net().requires_grad_(False), Pictures(), steps=1, loss=entropy)


def test_after_an_error_signals_are_as_before():
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(engine.InputError):
        fit(make_net(), [], steps=1)
    assert signal.getsignal(signal.SIGINT) is handler


# Progress


def test_progress_leaves_one_line_and_can_be_silent(capsys):
    engine.fit(make_net(), Pictures(), Pictures(2), steps=3, loss=entropy, metric=Accuracy())
    shown = capsys.readouterr()
    assert shown.out == ""
    last = shown.err.rstrip("\n").replace("\r", "\n").split("\n")[-1]
    assert last.startswith("3 steps in ")
    assert ": loss " in last
    assert ", held-out AP " in last
    engine.fit(make_net(), Pictures(), steps=3, loss=entropy, progress=False)
    assert capsys.readouterr() == ("", "")


def test_progress_in_a_notebook_is_one_text_that_is_replaced(monkeypatch):
    import IPython.display

    shown = []

    class Handle:
        def update(self, data, raw):
            assert raw
            shown.append(data)

    def display(data, raw, display_id):
        assert raw
        assert display_id
        shown.append(data)
        return Handle()

    monkeypatch.setattr("cvlab.engine.progress._in_notebook", lambda: True)
    monkeypatch.setattr(IPython.display, "display", display)
    engine.fit(make_net(), Pictures(), steps=3, loss=entropy)
    assert all(list(data) == ["text/plain"] for data in shown)  # no widget
    assert shown[0] == {"text/plain": ""}
    assert "1/3" in shown[1]["text/plain"]
    assert shown[-1]["text/plain"].startswith("3 steps in ")


def test_progress_tells_of_an_interruption(capsys):
    def press(state):
        raise KeyboardInterrupt

    engine.fit(make_net(), Pictures(), steps=3, loss=entropy, callbacks=[(2, press)])
    assert "interrupted after 2 steps in" in capsys.readouterr().err
