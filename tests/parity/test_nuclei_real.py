"""U-Net on real microscope pictures, from files to the measure of the Data Science Bowl."""

from pathlib import Path

import pytest
import torch

from cvlab.experiments import nuclei

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
    model = nuclei.train(fitted[:4], 10.0, steps=12, warmup=2)
    found = nuclei.measure(model, tests[:2])
    assert 0 <= found["AP"] <= found["AP50"] <= 1
    axes = nuclei.draw(model, tests[:2])
    outlines = [sum(len(c.get_paths()) for c in ax.collections) for ax in axes.flat]
    assert axes.shape == (2, 2)
    assert outlines[2:] == [int(instances.max()) for _, instances in tests[:2]]  # the true ones stand below


def test_logits_turn_with_the_picture():
    """The mean over all symmetries: a turned picture gives turned logits, whatever the network has learned."""
    torch.manual_seed(0)
    model = nuclei.unet_touching().eval()
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
    found = nuclei.apart(torch.stack((~seen, seen)).float())
    assert found.max() == 2
    assert found[40, 32] == found[40, 20] != found[40, 90]
    assert (found > 0)[nuclei_].float().mean() > 0.97
    assert found[0, 0] == 0


def test_missing_files_are_named(tmp_path):
    with pytest.raises(ValueError, match="read_folder: there must be pictures in .*/images, got none"):
        nuclei.read_folder(tmp_path)
    from cvlab.data import save_image

    (tmp_path / "images").mkdir()
    save_image(tmp_path / "images" / "a.png", torch.zeros(3, 8, 8, dtype=torch.uint8))
    with pytest.raises(ValueError, match="there must be labels/a.png for images/a.png"):
        nuclei.read_folder(tmp_path)
