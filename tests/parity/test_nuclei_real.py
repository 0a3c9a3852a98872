"""U-Net on real microscope pictures, from files to the measure of the Data Science Bowl."""

from pathlib import Path

import pytest
import torch

from cvlab import experiments
from cvlab.data import save_image, save_mask
from cvlab.experiments import nuclei, results, synthetic_nuclei
from cvlab.models import SqueezeUNet

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
        inside, outside = picture[0][instances > 0].float().mean(), picture[0][instances == 0].float().mean()
        assert inside > outside  # bright on dark, whatever the stain was


@real
def test_splits_leave_no_picture_out_and_none_in_both(items):
    fitted, tests = nuclei.split(items)
    assert (len(fitted), len(tests)) == (30, 14)
    assert not {id(item[0]) for item in fitted} & {id(item[0]) for item in tests}


@real
def test_trains_and_is_measured(items):
    fitted, tests = nuclei.split(items)
    start = SqueezeUNet(2)
    before = start.score.weight.clone()
    model = nuclei.train(start, fitted[:4], 10.0, nuclei.rendered(3, 10.0), steps=4, warmup=2)
    assert torch.equal(start.score.weight, before)
    assert not torch.equal(model.score.weight, before)
    parts = [
        (picture[:, :96, :112], instances[:96, :112].unique(return_inverse=True)[1]) for picture, instances in tests[:2]
    ]
    found = nuclei.measure(model, parts)
    assert 0 <= found["AP"] <= found["AP50"] <= 1
    axes = nuclei.draw(model, parts)
    outlines = [sum(len(c.get_paths()) for c in ax.collections) for ax in axes.flat]
    assert axes.shape == (2, 2)
    assert outlines[2:] == [int(instances.max()) for _, instances in parts]  # the true ones stand below


def test_what_squeezenet_knows_is_changed_with_care():
    model = SqueezeUNet(2)
    groups = nuclei.careful(model)([{"params": list(model.parameters()), "weight_decay": 0.0}]).param_groups
    rates = {id(parameter): group["lr"] for group in groups for parameter in group["params"]}
    assert len(rates) == len(list(model.parameters()))
    assert {rates[id(parameter)] for parameter in model.features.parameters()} == {3e-4}
    assert {rates[id(parameter)] for parameter in model.up.parameters()} == {3e-3}


def test_rendered_nuclei_are_learned_with_gaps():
    learned = nuclei.rendered(6, 10.0)
    for picture, target in learned:
        assert picture.shape[1:] == target["semantic"].shape == target["weights"].shape
        assert set(target["semantic"].unique().tolist()) <= {0, 1, 2}
    gaps = [target["weights"][target["semantic"] == 2] for _, target in learned]
    assert sum(len(weights) > 0 for weights in gaps) >= 3
    assert torch.cat(gaps).mean() > 3  # elsewhere mostly 1


def test_logits_turn_with_the_picture():
    """The mean over all symmetries: a turned picture gives turned logits, whatever the network has learned."""
    torch.manual_seed(0)
    model = SqueezeUNet(2).eval()
    picture = torch.randint(0, 256, (3, 64, 64), dtype=torch.uint8)
    turned = nuclei.logits(model, torch.rot90(picture, 1, (1, 2)))
    torch.testing.assert_close(turned, torch.rot90(nuclei.logits(model, picture), 1, (1, 2)), atol=1e-4, rtol=1e-4)


def test_nuclei_have_no_holes_and_are_cut_where_a_gap_is_open_in_part():
    y, x = torch.arange(80)[:, None], torch.arange(120)
    nuclei_ = ((y - 40) ** 2 + (x - 38) ** 2 < 400) | ((y - 40) ** 2 + (x - 74) ** 2 < 400)
    seen = nuclei_.clone()
    seen[38:42, 30:34] = False  # a hole
    seen[:39, 55:57] = seen[42:, 55:57] = False  # the gap, and a bridge across it
    seen[0, 0] = True  # too small
    found = nuclei.apart(20.0 * torch.stack((seen, nuclei_ | seen)).float() - 10)
    assert found.max() == 2
    assert found[40, 32] == found[40, 20] != found[40, 90]
    assert (found > 0)[nuclei_].float().mean() > 0.97
    assert found[0, 0] == 0


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
    assert {run["card"]["steps"] for run in kept.values()} == {nuclei.STEPS}


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
    nuclei.main(str(tmp_path), "without either")
    kept = experiments.load("nuclei")
    assert kept["another"] == 1
    assert {"AP", "AP50", "PQ", "seconds", "of these on real pictures", "card"} <= set(kept["without either"])
