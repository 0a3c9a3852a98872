"""The history: frames, files, plots; and the learning-rate finder."""

from __future__ import annotations

import json
import math

import matplotlib
import numpy as np
import pytest
import torch
from engine_samples import Accuracy, Pictures, entropy, make_net
from matplotlib import pyplot as plt
from matplotlib.colors import to_hex
from torch import nn

from cvlab import engine
from cvlab._palette import OKABE_ITO
from cvlab.engine.history_plot import smoothed


@pytest.fixture(autouse=True)
def _no_window():
    with matplotlib.rc_context():
        plt.switch_backend("agg")
        yield
        plt.close("all")


def history(steps=100, evaluations=True):
    rows = [
        {"step": i + 1, "epoch": i // 10, "seconds": 0.1 * i, "learning_rate": 0.1 / (i + 1), "loss": 5.0 - i / 25,
         "boxes": 1.0, "grad_norm": 2.0} for i in range(steps)
    ]  # fmt: skip
    metrics = [{"step": s, "epoch": 0, "seconds": 1.0, "AP": s / 200, "AP50": 0.9} for s in (50, 100)]
    return engine.History(rows, metrics if evaluations else [])


def test_frames():
    h = history(3)
    assert h.frame.columns.tolist() == ["step", "epoch", "seconds", "learning_rate", "loss", "boxes", "grad_norm"]
    assert h.frame["step"].dtype.kind == "i"
    assert h.metrics["AP"].tolist() == [0.25, 0.5]
    changed = h.frame
    changed["loss"] = 0.0
    assert h.frame["loss"][0] == 5.0  # each frame is a new one
    empty = engine.History()
    assert empty.frame.columns.tolist() == ["step", "epoch", "seconds", "learning_rate", "loss", "grad_norm"]
    assert empty.metrics.columns.tolist() == ["step", "epoch", "seconds"]


def test_repr():
    assert repr(history()) == "History(100 steps, loss 1.04, held-out AP 0.5, held-out AP50 0.9)"
    assert repr(engine.History(interrupted=True)) == "History(0 steps, interrupted)"


@pytest.mark.parametrize("h", [engine.History(), history(), engine.History(interrupted=True, best_step=3)])
def test_round_trip(tmp_path, h):
    h.to_json(tmp_path / "history.json")
    assert vars(engine.History.from_json(tmp_path / "history.json")) == vars(h)


def test_round_trip_of_what_is_not_finite(tmp_path):
    path = tmp_path / "history.json"
    engine.History([{"step": 1, "loss": 0.1, "grad_norm": math.inf, "a": -math.inf, "b": math.nan}]).to_json(path)
    json.loads(path.read_text(), parse_constant=pytest.fail)  # strict JSON
    row = engine.History.from_json(path).steps[0]
    assert (row["step"], row["loss"], row["grad_norm"], row["a"]) == (1, 0.1, math.inf, -math.inf)
    assert math.isnan(row["b"])


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"steps": [1], "evaluations": []}', '{"steps": 3}'])
def test_other_files_are_refused(tmp_path, text):
    path = tmp_path / "history.json"
    path.write_text(text)
    with pytest.raises(engine.InputError, match="History.from_json: .*history.json holds no history"):
        engine.History.from_json(path)


def test_the_moving_mean_by_hand():
    # A twentieth of 40 values is 2: each value and the one before
    values = np.arange(40.0)
    assert smoothed(values).tolist() == [0.0, *(values[1:] - 0.5)]


def test_plot_draws_loss_rate_and_metric():
    h = history()
    axes = h.plot()
    assert [ax.get_title(loc="left") for ax in axes] == ["Loss, 1.12 at the end", "Learning rate", "AP, 0.5 at the end"]
    raw, mean = axes[0].lines
    assert raw.get_ydata().tolist() == h.frame["loss"].tolist()
    assert mean.get_ydata().tolist() == smoothed(h.frame["loss"].to_numpy()).tolist()
    assert axes[1].lines[0].get_ydata().tolist() == h.frame["learning_rate"].tolist()
    assert axes[2].lines[0].get_xdata().tolist() == [50, 100]
    assert axes[2].lines[0].get_ydata().tolist() == [0.25, 0.5]
    assert axes[2].get_ylim() == (0, 1)
    meanings = {"bluish green", "vermilion", "sky blue", "orange"}  # truth, prediction, anchors, the reader
    drawn = {to_hex(line.get_color()).upper() for ax in axes for line in ax.lines}
    assert not drawn & {OKABE_ITO[name] for name in meanings}
    assert all(ax.get_xlabel() == "step" for ax in axes)


def test_plot_without_evaluations_and_of_another_metric():
    assert len(history(evaluations=False).plot()) == 2
    assert history().plot(metric="AP50")[2].lines[0].get_ydata().tolist() == [0.9, 0.9]
    nan = history(1)
    nan.evaluations[:] = [{"step": 1, "epoch": 0, "seconds": 0.0, "AP": math.nan}]
    assert nan.plot()[2].get_ylim() == (0, 1)


def test_plot_refuses():
    with pytest.raises(engine.InputError, match="History.plot: the history must have at least one step, got none"):
        engine.History().plot()
    with pytest.raises(engine.InputError, match="History.plot: metric must be one of AP, AP50, got 'loss'"):
        history().plot(metric="loss")


def test_the_history_of_a_training_plots_itself():
    h = engine.fit(
        make_net(), Pictures(), Pictures(4), steps=4, loss=entropy, metric=Accuracy(), evaluate_every=2, progress=False
    )
    assert list(h.frame) == [
        "step", "epoch", "seconds", "learning_rate", "loss", "entropy", "size", "grad_norm",
    ]  # fmt: skip
    assert np.allclose(h.frame["loss"], h.frame["entropy"] + h.frame["size"])
    assert len(h.plot()) == 3


# The learning-rate finder


def squared(model, images, targets):
    return (model(torch.stack(images)) - torch.stack(targets)).square().mean()


def bowl(slope=2.0):
    return [(torch.tensor([float(x)]), torch.tensor([slope * x + 1.0])) for x in range(-4, 5)]


def test_rates_have_equal_ratios_and_the_model_stays_as_it_is():
    model = nn.Linear(1, 1)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    found = engine.find_learning_rate(
        model, bowl(), lowest=1e-5, highest=1e-1, steps=21, loss=squared, optimizer="adamw", progress=False
    )
    rates = found.frame["learning_rate"].to_numpy()
    assert rates.tolist() == pytest.approx(np.geomspace(1e-5, 1e-1, 21).tolist())
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert model.training
    assert found.suggestion == found.minimum / 10
    assert found.steepest <= found.minimum


def test_it_ends_where_the_loss_diverges():
    # Gradient descent on a parabola of curvature c diverges from 2 / c on. Here c = 2 mean(x^2) = 2 * 60 / 9 = 13.3:
    # from a rate of 0.15 on. Momentum takes it up to 2 (1 + 0.9) / c = 0.285.
    found = engine.find_learning_rate(
        nn.Linear(1, 1), bowl(), steps=100, highest=100.0, loss=squared, optimizer="sgd", clip=None, progress=False
    )
    last = found.frame["learning_rate"].iloc[-1]
    assert 0.15 < last < 10
    assert len(found.frame) < 100
    assert found.minimum < 0.285


def test_it_survives_a_loss_that_becomes_nan():
    def wild(model, images, targets):
        loss = squared(model, images, targets)
        return loss if model.weight.abs().item() < 1.5 else loss * float("nan")

    model = nn.Linear(1, 1)
    nn.init.zeros_(model.weight)
    found = engine.find_learning_rate(model, bowl(), steps=50, loss=wild, progress=False)
    assert 10 < len(found.frame) < 50
    assert found.frame["loss"].notna().all()


def test_reading_by_hand():
    from cvlab.engine.lr_finder import _read

    # Loss 5 until step 10, falls by 1 a step until 2 at step 13, rises again; smoothing over 3 steps keeps the slope
    losses = [5.0] * 10 + [4.0, 3.0, 2.0, 3.0, 6.0]
    rows = [{"learning_rate": 10.0**i, "loss": loss} for i, loss in enumerate(losses)]
    found = _read(engine.History(rows), steps=15)
    smooth = found.frame["smoothed"].tolist()
    assert smooth[8:14] == pytest.approx([5.0, 14 / 3, 4.0, 3.0, 8 / 3, 11 / 3])
    assert found.minimum == 1e12  # 8/3 is the least
    assert found.steepest == 1e10  # slopes there: (3 - 14/3) / 2 = -0.83; before (4 - 5) / 2, after (8/3 - 4) / 2
    assert found.suggestion == 1e11


def test_its_plot_draws_the_curve_and_three_marks():
    found = engine.find_learning_rate(nn.Linear(1, 1), bowl(), steps=30, loss=squared, progress=False)
    ax = found.plot()
    assert ax.get_xscale() == "log"
    raw, smooth, *marks = ax.lines
    assert raw.get_ydata().tolist() == found.frame["loss"].tolist()
    assert smooth.get_ydata().tolist() == found.frame["smoothed"].tolist()
    assert [mark.get_xdata()[0] for mark in marks] == [found.minimum, found.steepest, found.suggestion]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"lowest": 0.0}, r"find_learning_rate: \(lowest, highest\)\[0\] must be finite and above 0, got 0.0"),
        ({"lowest": 1.0, "highest": 0.1}, "find_learning_rate: highest must be above lowest, 1, got 0.1"),
        ({"steps": 9}, "find_learning_rate: steps must be a whole number of at least 10, got 9"),
        ({"epochs": 2}, "find_learning_rate: an argument must be one of batch_size, .*, got 'epochs'"),
        ({"optimizer": lambda groups: None}, "find_learning_rate: optimizer must be a name"),
        ({"loss": lambda m, i, t: squared(m, i, t) * float("nan")}, "the loss must be finite at the lowest rate"),
    ],
)
def test_the_finder_refuses(arguments, message):
    with pytest.raises(engine.InputError, match=message):
        engine.find_learning_rate(nn.Linear(1, 1), bowl(), **({"loss": squared, "progress": False} | arguments))
