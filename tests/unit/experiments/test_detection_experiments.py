"""The kept measurements of detectors: they belong to this code, and each still runs."""

import json
from dataclasses import replace

import pytest
import torch

from cvlab import experiments
from cvlab.data import StillLife
from cvlab.experiments import detection, results


@pytest.fixture(scope="module")
def kept():
    return experiments.load("detection")


def test_the_kept_results_were_made_by_this_code(kept):
    card = kept["card"]
    assert card["still_life_version"] == StillLife.VERSION, "run python -m cvlab.experiments.detection again"
    assert card["seeds"] == list(detection.SEEDS)
    assert (card["steps"], card["images"]) == (detection.BASE.steps, detection.BASE.images)
    assert set(kept["variants"]) == set(detection.VARIANTS)


@pytest.mark.parametrize("name", detection.VARIANTS)
def test_each_variant_has_a_row_for_each_seed(kept, name):
    rows = kept["variants"][name]
    assert len(rows) == len(detection.SEEDS)
    for row in rows:
        assert 0 <= row["AP"] <= row["AP50"] <= 1
        assert row["AP75"] <= row["AP50"]
        assert row["seconds"] > 0


@pytest.mark.parametrize("name", [name for name in detection.VARIANTS if name != "base"])
def test_each_variant_differs_from_the_base(name):
    assert detection.VARIANTS[name] != detection.BASE


def test_the_training_that_was_watched(kept):
    watched = kept["watched"]
    assert [row[0] for row in watched["history"]] == list(range(1, max(detection.STEPS_SHOWN) + 1))
    assert [each["step"] for each in watched["snapshots"]] == list(detection.STEPS_SHOWN)
    assert watched["items"] == list(detection.SHOWN)
    assert watched["snapshots"][-1]["ap50"] > watched["snapshots"][0]["ap50"]
    for each in watched["snapshots"]:
        for found in each["predictions"]:
            assert len(found["boxes"]) == len(found["scores"]) == len(found["labels"])
            assert all(0.1 <= score <= 1 for score in found["scores"])


@pytest.fixture
def at_once(tmp_path, monkeypatch):
    """Experiments of a few steps on a few images, written elsewhere."""
    tiny = replace(detection.BASE, images=4, steps=2, batch_size=2, mixed_precision=None)
    render = detection.scenes
    monkeypatch.setattr(detection, "scenes", lambda size, split, length: render(size, split, min(length, 4)))
    monkeypatch.setattr(detection, "BASE", tiny)
    monkeypatch.setattr(detection, "STEPS_SHOWN", (5, 10))
    monkeypatch.setattr(detection, "SEEDS", (0, 1))
    monkeypatch.setattr(detection, "SHOWN", (0, 2))
    focal = replace(tiny, options=detection.VARIANTS["focal loss"].options)
    monkeypatch.setattr(detection, "VARIANTS", {"base": tiny, "focal loss": focal})
    monkeypatch.setattr(results, "FOLDER", tmp_path)
    threads = torch.get_num_threads()
    yield tmp_path / "detection.json"
    torch.set_num_threads(threads)


def test_everything_is_run_and_kept(at_once):
    detection.main()
    found = json.loads(at_once.read_text())
    assert found["variants"].keys() == {"base", "focal loss"}
    assert all(len(rows) == 2 for rows in found["variants"].values())
    assert [each["step"] for each in found["watched"]["snapshots"]] == [5, 10]
    before = found["watched"]
    detection.main(["base"])
    assert json.loads(at_once.read_text())["watched"] == before
