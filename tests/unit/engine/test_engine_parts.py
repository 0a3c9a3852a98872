"""The parts of a training: schedules, averages, optimizers, streams, batches, Ctrl-C."""

from __future__ import annotations

import random
import signal
import threading

import numpy as np
import pytest
import torch
from engine_samples import Pictures, make_net
from torch import nn
from torch.optim import SGD, AdamW
from torch.optim.lr_scheduler import CosineAnnealingLR, CyclicLR
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader

from cvlab._check import InputError
from cvlab.engine import schedules
from cvlab.engine.batches import DatasetBatches, LoaderBatches, list_collate
from cvlab.engine.ema import MovingAverage
from cvlab.engine.interrupts import Interrupts
from cvlab.engine.optimizers import make_optimizer, parameter_groups
from cvlab.engine.streams import kept_generators, mix, random_stream, seed_all

# Schedules


def torch_rates(make, steps):
    """The learning rates of one of torch's schedulers, of a base rate of 1."""
    optimizer = SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = make(optimizer)
    rates = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


def test_cosine_is_that_of_torch():
    rates = torch_rates(lambda optimizer: CosineAnnealingLR(optimizer, T_max=20, eta_min=0.1), 21)
    assert [schedules.cosine(i / 20, end=0.1) for i in range(21)] == pytest.approx(rates)


def test_cyclic_is_triangular2_of_torch():
    def make(optimizer):
        return CyclicLR(optimizer, 0.1, 1.0, step_size_up=5, mode="triangular2", cycle_momentum=False)

    assert [schedules.cyclic(i / 30, cycles=3) for i in range(30)] == pytest.approx(torch_rates(make, 30))


def test_step_by_hand():
    factors = [schedules.step(p, milestones=(0.5, 0.75), gamma=0.5) for p in (0.0, 0.49, 0.5, 0.74, 0.75, 1.0)]
    assert factors == [1.0, 1.0, 0.5, 0.5, 0.25, 0.25]
    assert schedules.step(1.0, milestones=()) == 1.0


def test_warm_up_by_hand():
    assert [schedules.warm_up(i, 2) for i in range(3)] == [0.5, 1.0, 1.0]
    assert schedules.warm_up(0, 0) == 1.0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: schedules.constant(1.1), r"constant: progress must lie in \[0, 1\], got 1.1"),
        (lambda: schedules.cosine(float("nan")), "cosine: progress must lie in"),
        (lambda: schedules.cosine(0.5, end=2.0), "cosine: end must lie in"),
        (lambda: schedules.step(-0.1), "step: progress must lie in"),
        (lambda: schedules.step(0.5, milestones=(0.5, 3)), r"step: milestones\[1\] must lie in \[0, 1\], got 3"),
        (lambda: schedules.step(0.5, gamma=-1), "step: gamma must lie in"),
        (lambda: schedules.cyclic(2), "cyclic: progress must lie in"),
        (lambda: schedules.cyclic(0.5, cycles=0), "cyclic: cycles must be a whole number of at least 1, got 0"),
        (lambda: schedules.cyclic(0.5, cycles=1.5), "cyclic: cycles must be a whole number"),
        (lambda: schedules.cyclic(0.5, low=-1), "cyclic: low must lie in"),
        (lambda: schedules.cyclic(0.5, decay=2), "cyclic: decay must lie in"),
        (lambda: schedules.warm_up(-1, 3), r"warm_up: \(step, steps\)\[0\] must be finite and at least 0, got -1"),
    ],
)
def test_schedules_refuse(call, message):
    with pytest.raises(InputError, match=message):
        call()


# Averages and optimizers


def test_the_average_is_that_of_torch_once_the_ramp_is_over():
    model = make_net()
    own, reference = MovingAverage(model, 0.5), AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.5))
    reference.update_parameters(model)  # the first only copies
    for t in range(8, 12):  # (1 + 8) / (10 + 8) is 0.5
        with torch.no_grad():
            for p in model.parameters():
                p.add_(torch.rand_like(p))
        model.norm.running_mean += 1
        own.update(model, t)
        reference.update_parameters(model)
    for a, b in zip(own.model.parameters(), reference.module.parameters(), strict=True):
        torch.testing.assert_close(a, b)
    assert torch.equal(own.model.norm.running_mean, model.norm.running_mean)
    assert not any(p.requires_grad for p in own.model.parameters())
    with pytest.raises(InputError, match="MovingAverage: decay must lie in"):
        MovingAverage(model, 1.1)


def test_parameter_groups_hold_each_trainable_parameter_once():
    model = make_net()
    model.head.bias.requires_grad_(False)
    decaying, others = parameter_groups(model, 0.1)
    assert [p.dim() for p in decaying["params"]] == [4, 2]
    assert (decaying["weight_decay"], others["weight_decay"]) == (0.1, 0.0)
    given = {id(p) for group in (decaying, others) for p in group["params"]}
    assert given == {id(p) for p in model.parameters() if p.requires_grad}
    assert len(parameter_groups(nn.Linear(2, 1, bias=False), 0.1)) == 1


def test_optimizers_by_name():
    assert isinstance(make_optimizer(make_net(), "adamw", 0.1, 0.0), AdamW)
    sgd = make_optimizer(make_net(), "sgd", 0.1, 0.0)
    assert (type(sgd), sgd.defaults["momentum"], sgd.param_groups[1]["initial_lr"]) == (SGD, 0.9, 0.1)
    own = make_optimizer(make_net(), lambda groups: SGD(groups, lr=0.5), 0.1, 0.0)
    assert own.param_groups[0]["initial_lr"] == 0.5


# Streams


def draw():
    return torch.rand(1).item(), float(np.random.rand()), random.random()  # noqa: NPY002


def test_a_stream_has_its_own_numbers_and_leaves_the_others():
    seed_all(1)
    first = draw()
    seed_all(1)
    with random_stream(5, 6):
        own = draw()
    assert draw() == first
    with random_stream(5, 6):
        assert draw() == own
    with random_stream(6, 5):
        assert all(a != b for a, b in zip(draw(), own, strict=True))
    seed_all(1)
    with kept_generators():
        draw()
        seed_all(3)
    assert draw() == first


def test_mixed_seeds_differ():
    seeds = {mix(a, b) for a in range(30) for b in range(30)}
    assert len(seeds) == 900
    assert all(0 <= seed < 2**63 for seed in seeds)


# Batches


def indices(batches, step, count):
    stream = batches.endless(step)
    return [next(stream) for _ in range(count)]


@pytest.mark.parametrize("step", [0, 1, 2, 3, 7])
@pytest.mark.parametrize("kind", ["data set", "loader", "stream"])
def test_batches_from_any_step_are_those_of_a_whole_run(step, kind):
    def make():
        if kind == "data set":
            return DatasetBatches(Pictures(), 4, list_collate, seed=2)
        loader = LoaderBatches(DataLoader(Pictures(), 4, shuffle=True, collate_fn=list_collate), seed=2)
        loader.length = None if kind == "stream" else loader.length
        return loader

    whole, part = indices(make(), 0, 9)[step:], indices(make(), step, 9 - step)
    for a, b in zip(whole, part, strict=True):
        assert a[2:] == b[2:]
        assert all(torch.equal(x, y) for x, y in zip(a.images, b.images, strict=True))


def test_the_shares_of_processes_are_equal_and_cover_the_data():
    parts = [DatasetBatches(Pictures(11), 2, list_collate, process=(rank, 3)) for rank in range(3)]
    keys = [part.keys(0) for part in parts]
    assert [part.length for part in parts] == [2, 2, 2]  # 11 items in whole batches of 6
    sizes = [[len(indices) for _, _, indices in key] for key in keys]
    assert sizes == [[2, 2]] * 3  # 12 places: one item comes twice
    assert {i for key in keys for *_, indices in key for i in indices} == set(range(11))


def test_more_processes_than_items():
    parts = [DatasetBatches(Pictures(2), 4, list_collate, process=(rank, 5)) for rank in range(5)]
    assert [len(part.keys(0)[0][2]) for part in parts] == [1] * 5


# Ctrl-C


def test_ctrl_c_waits_for_the_end_of_a_block():
    done = []

    def block(interrupts):
        with interrupts.held():
            signal.raise_signal(signal.SIGINT)
            done.append(1)

    with Interrupts() as interrupts:
        with pytest.raises(KeyboardInterrupt):
            block(interrupts)
        with interrupts.held():  # it was taken once
            done.append(2)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert done == [1, 2]


def test_other_threads_leave_signals_alone():
    seen = []

    def work():
        with Interrupts() as interrupts, interrupts.held():
            seen.append(signal.getsignal(signal.SIGINT))

    before = signal.getsignal(signal.SIGINT)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]
