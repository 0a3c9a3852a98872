"""A training that was stopped anywhere goes on to the same bytes as one that never was."""

from __future__ import annotations

import os
import random
import signal

import numpy as np
import pytest
import torch
from engine_samples import Accuracy, Pictures, entropy, make_net
from torch.utils.data import DataLoader

from cvlab import engine
from cvlab.engine.checkpoint import read_checkpoint, write_checkpoint

# 10 items in batches of 4 are 3 batches an epoch: 11 steps end in the middle of the fourth epoch.
ARGUMENTS = {
    "steps": 11, "batch_size": 4, "loss": entropy, "metric": Accuracy(), "evaluate_every": 4, "ema": 0.9,
    "warmup": 3, "learning_rate": 0.05, "patience": 5, "progress": False,
}  # fmt: skip


def without_time(value):
    """A checkpoint without what the clock wrote into it."""
    if isinstance(value, dict):
        return {k: without_time(v) for k, v in value.items() if k != "seconds"}
    return [without_time(v) for v in value] if isinstance(value, (list, tuple)) else value


def assert_same(a, b, path="content"):
    """Compare bit for bit."""
    assert type(a) is type(b), path
    if isinstance(a, dict):
        assert a.keys() == b.keys(), path
        for key in a:
            assert_same(a[key], b[key], f"{path}[{key!r}]")
    elif isinstance(a, list):
        assert len(a) == len(b), path
        for i, pair in enumerate(zip(a, b, strict=True)):
            assert_same(*pair, f"{path}[{i}]")
    elif isinstance(a, torch.Tensor):
        assert a.dtype == b.dtype, path
        assert torch.equal(a, b), path
    else:
        assert a == b, path


class Breaks(Pictures):
    """Ctrl-C when the n-th item is asked for."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.at = at

    def __getitem__(self, i):
        if len(self.asked) == self.at:
            self.asked.append(-1)
            raise KeyboardInterrupt
        return super().__getitem__(i)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The checkpoint of a training that was never stopped, and its model's weights."""
    path = tmp_path_factory.mktemp("whole") / "checkpoint.pt"
    model = make_net()
    engine.fit(model, Pictures(), Pictures(6), checkpoint=path, **ARGUMENTS)
    return without_time(read_checkpoint(path)), model.state_dict()


def finish(path, whole, train=None, **arguments):
    model = make_net()
    history = engine.fit(model, train or Pictures(), Pictures(6), checkpoint=path, **(ARGUMENTS | arguments))
    assert not history.interrupted
    assert_same(without_time(read_checkpoint(path)), whole[0])
    assert_same(dict(model.state_dict()), dict(whole[1]))
    return history


@pytest.mark.parametrize(
    ("item", "step"),
    [(0, 0), (2, 0), (4, 1), (9, 2), (10, 3), (12, 3), (26, 7), (37, 10)],
    # items 0-3, 4-7, 8-9 are the first epoch's batches: item 9 is the last of the third batch, after two steps
)
def test_ctrl_c_in_the_data(tmp_path, whole, item, step):
    path = tmp_path / "checkpoint.pt"
    history = engine.fit(make_net(), Breaks(item), Pictures(6), checkpoint=path, **ARGUMENTS)
    assert history.interrupted
    assert len(history.frame) == step
    assert path.exists() == (step > 0)
    finish(path, whole)


def test_ctrl_c_several_times(tmp_path, whole):
    path = tmp_path / "checkpoint.pt"
    for _ in range(3):  # 9 items a time: two or three steps
        engine.fit(make_net(), Breaks(9), Pictures(6), checkpoint=path, **ARGUMENTS)
    assert 6 <= read_checkpoint(path)["step"] < 11
    history = finish(path, whole)
    assert history.frame["step"].tolist() == list(range(1, 12))
    assert history.frame["epoch"].tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3]
    assert history.metrics["step"].tolist() == [4, 8, 11]
    assert (history.frame["seconds"].diff().dropna() >= 0).all()


@pytest.mark.parametrize("step", [4, 8, 11])
def test_ctrl_c_in_a_callback_after_an_evaluation(tmp_path, whole, step):
    path = tmp_path / "checkpoint.pt"

    def press(state):
        if state.step == step:
            raise KeyboardInterrupt

    history = engine.fit(make_net(), Pictures(), Pictures(6), checkpoint=path, callbacks=[press], **ARGUMENTS)
    assert history.interrupted
    assert len(history.frame) == step
    seen = []
    finish(path, whole, callbacks=[lambda state: seen.append(state.step)])
    assert seen == [s for s in (4, 8, 11) if s >= step]  # the one that was broken off is called again


def test_ctrl_c_in_the_evaluation(tmp_path, whole):
    path = tmp_path / "checkpoint.pt"
    history = engine.fit(make_net(), Pictures(), Breaks(2), checkpoint=path, **ARGUMENTS)
    assert history.interrupted
    assert len(history.frame) == 4
    assert history.metrics.empty
    finish(path, whole)


def test_ctrl_c_in_the_forward_pass_after_the_normalisation(tmp_path, whole):
    path = tmp_path / "checkpoint.pt"
    calls = []

    def hook(module, inputs, output):
        calls.append(1)
        if len(calls) == 3 and module.training:
            raise KeyboardInterrupt

    model = make_net()
    model.norm.register_forward_hook(hook)
    history = engine.fit(model, Pictures(), Pictures(6), checkpoint=path, **ARGUMENTS)
    assert len(history.frame) == 2
    assert read_checkpoint(path)["model"]["norm.num_batches_tracked"] == 2  # not that of the third step
    finish(path, whole)


def test_a_real_signal_waits_until_the_weights_are_whole(tmp_path):
    class Pressed(torch.optim.SGD):
        """Ctrl-C after the first of the parameters is changed."""

        count = 0

        def step(self, closure=None):
            Pressed.count += 1
            before = [p.detach().clone() for p in self.param_groups[0]["params"]]
            if Pressed.count == 2:
                signal.raise_signal(signal.SIGINT)
            super().step()
            assert any(not torch.equal(a, b) for a, b in zip(before, self.param_groups[0]["params"], strict=True))

    path = tmp_path / "checkpoint.pt"
    handler = signal.getsignal(signal.SIGINT)
    history = engine.fit(
        make_net(), Pictures(), steps=6, batch_size=4, loss=entropy, optimizer=lambda groups: Pressed(groups, lr=0.1),
        checkpoint=path, progress=False,
    )  # fmt: skip
    assert history.interrupted
    assert len(history.frame) == 2  # the second step was completed
    assert read_checkpoint(path)["step"] == 2
    assert signal.getsignal(signal.SIGINT) is handler


def test_a_real_signal_outside_of_an_update_breaks_at_once():
    def press(model, images, targets):
        signal.raise_signal(signal.SIGINT)
        raise AssertionError("the signal came too late")

    history = engine.fit(make_net(), Pictures(), steps=3, loss=press, progress=False)
    assert history.interrupted
    assert history.frame.empty


def test_a_loader_goes_on_with_the_same_batches(tmp_path):
    def loader(data):
        return DataLoader(data, 4, shuffle=True, collate_fn=engine.list_collate)

    arguments = {"steps": 8, "loss": entropy, "progress": False, "warmup": 0}
    paths = [tmp_path / name for name in ("whole.pt", "parts.pt")]
    engine.fit(make_net(), loader(Pictures()), checkpoint=paths[0], **arguments)
    history = engine.fit(make_net(), loader(Breaks(18)), checkpoint=paths[1], **arguments)
    assert history.interrupted
    engine.fit(make_net(), loader(Pictures()), checkpoint=paths[1], **arguments)
    assert_same(*[without_time(read_checkpoint(path)) for path in paths])


@pytest.mark.parametrize("sized", [True, False])
def test_a_stream_goes_on_with_the_same_batches(tmp_path, sized):
    class Stream(torch.utils.data.IterableDataset):
        def __iter__(self):
            return (((torch.rand(1, 6, 6) + i % 2), torch.tensor(i % 2)) for i in range(10))

    class Sized(Stream):
        def __len__(self):
            return 10

    def loader():
        return DataLoader(Sized() if sized else Stream(), 4, collate_fn=engine.list_collate)

    def press(state):
        if state.step == 5:
            raise KeyboardInterrupt

    arguments = {"steps": 8, "loss": entropy, "progress": False}
    paths = [tmp_path / name for name in ("whole.pt", "parts.pt")]
    engine.fit(make_net(), loader(), checkpoint=paths[0], **arguments)
    engine.fit(make_net(), loader(), checkpoint=paths[1], callbacks=[(1, press)], **arguments)
    engine.fit(make_net(), loader(), checkpoint=paths[1], **arguments)
    assert_same(*[without_time(read_checkpoint(path)) for path in paths])


def test_the_number_of_workers_changes_nothing(tmp_path, whole):
    finish(tmp_path / "checkpoint.pt", whole, num_workers=2)


def test_a_finished_training_is_given_again(tmp_path, whole):
    path = tmp_path / "checkpoint.pt"
    finish(path, whole)
    data = Pictures()
    finish(path, whole, train=data)
    assert data.asked == []  # nothing was trained


def test_resume_false_starts_afresh(tmp_path, whole):
    path = tmp_path / "checkpoint.pt"
    engine.fit(make_net(), Breaks(26), Pictures(6), checkpoint=path, **ARGUMENTS)
    data = Pictures()
    finish(path, whole, train=data, resume=False)
    assert len(data.asked) == 3 * 10 + 8  # three epochs and two batches


def test_what_was_drawn_before_changes_nothing_and_nothing_is_left_drawn(tmp_path, whole):
    torch.manual_seed(99)
    np.random.seed(99)  # noqa: NPY002
    random.seed(99)
    expected = torch.rand(3), np.random.rand(), random.random()  # noqa: NPY002
    torch.manual_seed(99)
    np.random.seed(99)  # noqa: NPY002
    random.seed(99)
    finish(tmp_path / "checkpoint.pt", whole)
    assert torch.equal(torch.rand(3), expected[0])
    assert (np.random.rand(), random.random()) == expected[1:]  # noqa: NPY002


# Checkpoints


def test_another_error_keeps_what_was_done_too(tmp_path, whole):
    path = tmp_path / "checkpoint.pt"

    def fail(state):
        raise OSError("the disk of the callback is full")

    with pytest.raises(OSError, match="of the callback"):
        engine.fit(make_net(), Pictures(), Pictures(6), checkpoint=path, callbacks=[fail], **ARGUMENTS)
    assert read_checkpoint(path)["step"] == 4
    finish(path, whole)


def test_other_arguments_are_refused_by_name(tmp_path):
    path = tmp_path / "checkpoint.pt"
    engine.fit(make_net(), Pictures(), steps=2, loss=entropy, checkpoint=path, progress=False)
    before = path.read_bytes()
    with pytest.raises(engine.InputError, match=r"steps was 2 and is 3; learning_rate was 0.003 and is 0.1; schedule"):
        engine.fit(
            make_net(), Pictures(), steps=3, learning_rate=0.1, schedule="step", loss=entropy, checkpoint=path,
            progress=False,
        )  # fmt: skip
    with pytest.raises(engine.InputError, match="items of train was 10 and is 9"):
        engine.fit(make_net(), Pictures(9), steps=2, loss=entropy, checkpoint=path, progress=False)
    assert path.read_bytes() == before


def test_numbers_of_numpy_are_numbers(tmp_path):
    path = tmp_path / "checkpoint.pt"
    arguments = {
        "steps": np.int64(2), "learning_rate": np.float64(0.01), "weight_decay": np.float32(0.5), "warmup": np.int32(1),
        "schedule": lambda progress: np.float64(1 - progress), "seed": np.int64(3), "ema": np.float64(0.9),
    }  # fmt: skip
    for _ in range(2):
        history = engine.fit(make_net(), Pictures(), loss=entropy, checkpoint=path, progress=False, **arguments)
        assert history.frame["learning_rate"].tolist() == [0.01, 0.005]


def test_a_checkpoint_of_another_model_is_refused(tmp_path):
    path = tmp_path / "checkpoint.pt"
    engine.fit(make_net(), Pictures(), steps=2, loss=entropy, checkpoint=path, progress=False)
    message = r"of another model: conv.weight has shape \(4, 1, 3, 3\) there and \(5, 1, 3, 3\) here"
    with pytest.raises(engine.InputError, match=message):
        engine.fit(make_net(5), Pictures(), steps=2, loss=entropy, checkpoint=path, progress=False)


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "text", "foreign"])
def test_a_damaged_checkpoint_is_refused_and_kept(tmp_path, damage):
    path = tmp_path / "checkpoint.pt"
    engine.fit(make_net(), Pictures(), steps=2, loss=entropy, checkpoint=path, progress=False)
    whole = path.read_bytes()
    weight = read_checkpoint(path)["model"]["conv.weight"].numpy().tobytes()
    flipped = bytearray(whole)
    flipped[whole.index(weight)] ^= 1  # one bit of one weight
    content = {"cut": whole[: len(whole) // 2], "flipped": bytes(flipped), "empty": b"", "text": b"hello"}
    if damage == "foreign":
        torch.save({"model": {}}, path)
    else:
        path.write_bytes(content[damage])
    before = path.read_bytes()
    with pytest.raises(engine.InputError, match="cannot be read, it is damaged or of another kind"):
        engine.fit(make_net(), Pictures(), steps=2, loss=entropy, checkpoint=path, progress=False)
    assert path.read_bytes() == before


@pytest.mark.parametrize("where", ["replace", "fsync", "save"])
def test_a_write_that_fails_leaves_the_old_checkpoint(tmp_path, monkeypatch, where):
    path = tmp_path / "checkpoint.pt"
    content = {"format": "cvlab.engine 1", "value": torch.arange(3)}
    write_checkpoint(path, content)
    before = path.read_bytes()

    def fail(*_):
        raise OSError("no space left")

    monkeypatch.setattr(torch if where == "save" else os, where, fail)
    with pytest.raises(OSError, match="no space left"):
        write_checkpoint(path, content | {"value": torch.arange(4)})
    monkeypatch.undo()
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["checkpoint.pt"]  # nothing half-written lies about
    write_checkpoint(path, content | {"value": torch.arange(4)})
    assert read_checkpoint(path)["value"].tolist() == [0, 1, 2, 3]


def test_a_checkpoint_that_cannot_be_written_does_not_hide_the_first_error(tmp_path, monkeypatch):
    def fail(state):
        monkeypatch.setattr(os, "replace", no)
        raise ZeroDivisionError("first")

    def no(*_):
        raise OSError("second")

    with pytest.raises(ZeroDivisionError, match="first") as caught:
        engine.fit(
            make_net(), Pictures(), steps=3, loss=entropy, checkpoint=tmp_path / "c.pt", callbacks=[(1, fail)],
            progress=False,
        )  # fmt: skip
    assert caught.value.__notes__ == ["and the checkpoint could not be written: second"]


def test_checkpoints_are_written_every_so_many_steps(tmp_path):
    path, steps = tmp_path / "new" / "checkpoint.pt", []

    def look(state):
        steps.append(read_checkpoint(path)["step"] if path.exists() else 0)

    engine.fit(
        make_net(), Pictures(), steps=5, loss=entropy, checkpoint=path, checkpoint_every=2, callbacks=[(1, look)],
        progress=False,
    )  # fmt: skip
    assert steps == [0, 0, 2, 2, 4]  # seen after steps 1 to 5, before their own
    assert read_checkpoint(path)["step"] == 5
