"""U-Net on real microscope pictures, from files to the measure of the Data Science Bowl."""

from pathlib import Path

import pytest
import torch

from cvlab import experiments
from cvlab.data import save_image, save_mask, synthetic_nuclei
from cvlab.experiments import nuclei, results
from cvlab.models.nuclei import on_dark
from cvlab.recipes.nuclei import measure

FOLDER = Path(__file__).resolve().parents[2] / ".." / "shared" / "data" / "nuclei"
real = pytest.mark.skipif(not FOLDER.is_dir(), reason="the nuclei are not beside this repository")


@pytest.fixture(scope="module")
def items():
    return nuclei.read_folder(FOLDER)


@real
def test_reads_pictures_with_their_instances(items):
    assert len(items) == 44
    for picture, instances in items:
        assert picture.dtype == torch.uint8
        assert picture.shape[1:] == instances.shape
        assert int(instances.max()) >= 1
        dark = on_dark(picture)[0].float()
        inside, outside = dark[instances > 0].mean(), dark[instances == 0].mean()
        assert inside > outside  # bright on dark, whatever the stain was


@real
def test_splits_leave_no_picture_out_and_none_in_both(items):
    fitted, tests = nuclei.split(items)
    assert (len(fitted), len(tests)) == (30, 14)
    assert not {id(item[0]) for item in fitted} & {id(item[0]) for item in tests}


@real
def test_trains_and_is_measured(items, monkeypatch):
    monkeypatch.setattr(nuclei, "AMONG", 3)
    fitted, tests = nuclei.split(items)
    before = nuclei.begun("nuclei").score.weight
    model = nuclei.train(fitted[:4], steps=4)
    assert not torch.equal(model.score.weight, before)
    parts = [
        (picture[:, :96, :112], instances[:96, :112].unique(return_inverse=True)[1]) for picture, instances in tests[:2]
    ]
    found = measure(model, parts)
    assert 0 <= found["AP"] <= found["AP50"] <= 1
    axes = nuclei.draw(model, parts)
    outlines = [sum(len(c.get_paths()) for c in ax.collections) for ax in axes.flat]
    assert axes.shape == (2, 2)
    assert outlines[2:] == [int(instances.max()) for _, instances in parts]  # the true ones stand below


def test_random_weights_are_those_of_no_shipped_network():
    shipped, chance = nuclei.begun("nuclei"), nuclei.begun("random")
    assert not torch.equal(shipped.score.weight, chance.score.weight)
    assert torch.equal(chance.score.weight, nuclei.begun("random").score.weight)
    with pytest.raises(ValueError, match="start must be one of .*nuclei.*, got 'vgg'"):
        nuclei.begun("vgg")


def test_missing_files_are_named(tmp_path):
    with pytest.raises(ValueError, match="read_folder: there must be pictures in .*/images, got none"):
        nuclei.read_folder(tmp_path)
    (tmp_path / "images").mkdir()
    save_image(tmp_path / "images" / "a.png", torch.zeros(3, 8, 8, dtype=torch.uint8))
    with pytest.raises(ValueError, match="there must be labels/a.png for images/a.png"):
        nuclei.read_folder(tmp_path)


def test_kept_results_are_of_the_runs_there_are():
    kept = experiments.load("nuclei")
    assert set(kept) == set(nuclei.RUNS)
    for name, run in kept.items():
        assert run["card"]["steps"] == nuclei.RUNS[name].get("steps", nuclei.STEPS)


def test_a_run_is_kept_with_the_others(tmp_path, monkeypatch):
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
    for i in range(3):
        picture, instances = synthetic_nuclei.picture(i, 64)
        save_image(tmp_path / "images" / f"{i}.png", picture)
        save_mask(tmp_path / "labels" / f"{i}.png", instances)
    (tmp_path / "nuclei.json").write_text('{"another": 1}')
    monkeypatch.setattr(results, "FOLDER", tmp_path)
    monkeypatch.setattr(nuclei, "STEPS", 1)
    monkeypatch.setattr(torch, "set_num_threads", lambda count: None)
    nuclei.main(str(tmp_path), "random")
    kept = experiments.load("nuclei")
    assert kept["another"] == 1
    assert {"AP", "AP50", "PQ", "seconds", "card"} <= set(kept["random"])
