"""Finding nuclei: what the network is shown, and what becomes of what it says."""

import pytest
import torch

from cvlab import models
from cvlab.data import synthetic_nuclei
from cvlab.models import nuclei


def test_logits_turn_with_the_picture():
    """The mean over all symmetries: a turned picture gives turned logits, whatever the network has learned."""
    torch.manual_seed(0)
    model = models.SqueezeUNet(2).eval()
    picture = torch.randint(0, 256, (3, 64, 64), dtype=torch.uint8)
    turned = nuclei.mean_logits(model, torch.rot90(picture, 1, (1, 2)))
    expected = torch.rot90(nuclei.mean_logits(model, picture), 1, (1, 2))
    torch.testing.assert_close(turned, expected, atol=1e-4, rtol=1e-4)
    once = nuclei.mean_logits(model, picture, symmetries=False)
    torch.testing.assert_close(once, model(picture[None])["out"][0])


def test_nuclei_have_no_holes_and_are_cut_where_a_gap_is_open_in_part():
    y, x = torch.arange(80)[:, None], torch.arange(120)
    whole = ((y - 40) ** 2 + (x - 38) ** 2 < 400) | ((y - 40) ** 2 + (x - 74) ** 2 < 400)
    seen = whole.clone()
    seen[38:42, 30:34] = False  # a hole
    seen[:39, 55:57] = seen[42:, 55:57] = False  # the gap, and a bridge across it
    seen[0, 0] = True  # too small
    found = nuclei.nuclei_apart(20.0 * torch.stack((seen, whole | seen)).float() - 10)
    assert found.max() == 2
    assert found[40, 32] == found[40, 20] != found[40, 90]
    assert (found > 0)[whole].float().mean() > 0.97
    assert found[0, 0] == 0


def test_dark_on_bright_becomes_bright_on_dark():
    picture = torch.full((3, 40, 50), 200, dtype=torch.uint8)
    picture[:, 10:20, 10:20] = 120
    dark = nuclei.on_dark(picture)
    assert (dark.min(), dark.max()) == (0, 255)
    assert (dark[:, 10:20, 10:20] == 255).all()
    assert torch.equal(nuclei.on_dark(255 - picture), dark)
    shown = nuclei.shown(picture, 1.5)
    assert shown.shape == (3, 60, 75)
    assert torch.equal(shown, nuclei.shown(255 - picture, 1.5))


def test_a_flat_picture_shows_nothing():
    """No contrast at all: no division by 0, and the shipped network finds nothing."""
    flat = torch.full((3, 40, 50), 77, dtype=torch.uint8)
    assert nuclei.on_dark(flat).max() == 0
    assert models.find_nuclei(models.squeeze_unet(weights="nuclei"), flat).max() == 0


def test_local_contrast_shows_a_faint_nucleus_as_well_as_a_bright_one():
    y, x = torch.arange(120)[:, None], torch.arange(240)
    bright, faint = ((y - 60) ** 2 + (x - cx) ** 2 < 64 for cx in (50, 190))
    picture = (10 + 240 * bright + 25 * faint).to(torch.uint8).expand(3, -1, -1)
    grey, _, contrast = nuclei.shown(picture, 1.0).float()
    assert grey[60, 190] < 0.2 * grey[60, 50]
    assert contrast[60, 190] > 0.7 * contrast[60, 50]


def test_the_shipped_network_finds_rendered_nuclei_of_any_size_of_picture():
    picture, instances = synthetic_nuclei.picture(10**6 + 5, 131)
    model = models.squeeze_unet(weights="nuclei")
    found = models.find_nuclei(model, picture, sizes=(1.4,), symmetries=False)
    assert found.shape == instances.shape
    assert found.dtype == torch.int64
    assert found.unique().tolist() == list(range(int(found.max()) + 1))
    both = ((found > 0) & (instances > 0)).sum() / ((found > 0) | (instances > 0)).sum()
    assert both > 0.6
    wide = models.find_nuclei(model, picture[:, :40], sizes=(1.4,), symmetries=False)
    assert wide.shape == (40, 131)


BYTES = torch.zeros(3, 40, 40, dtype=torch.uint8)


@pytest.mark.parametrize(
    ("picture", "options", "message"),
    [
        ([[0]], {}, "picture must be a torch.Tensor"),
        (BYTES.float(), {}, r"picture must be \(3, H, W\) uint8, got \(3, 40, 40\) torch.float32"),
        (BYTES[0], {}, r"picture must be \(3, H, W\) uint8, got \(40, 40\) torch.uint8"),
        (BYTES[:, :0], {}, r"picture must be \(3, H, W\) uint8, got \(3, 0, 40\) torch.uint8"),
        (BYTES[:, :8], {}, "at least 16 pixels"),
        (BYTES, {"sizes": ()}, r"sizes must be one or more numbers above 0, got \(\)"),
        (BYTES, {"sizes": (1, 0)}, r"above 0, got \(1, 0\)"),
    ],
)
def test_bad_input(picture, options, message):
    with pytest.raises((TypeError, ValueError), match=message):
        models.find_nuclei(models.SqueezeUNet(2), picture, **options)


def test_weights_for_other_classes_are_refused():
    with pytest.raises(ValueError, match="'nuclei' are for 2 classes with the background, got num_classes=3"):
        models.squeeze_unet(3, weights="nuclei")
