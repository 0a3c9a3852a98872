"""Random steps: what is drawn has the size it says."""

import pytest
import torch
from torchvision import tv_tensors

from cvlab._check import InputError
from cvlab.augment import Crop, Elastic, Flip, Geometric, seeded
from cvlab.data import StillLife


@pytest.mark.parametrize("size", [(1, 1), (8, 8), (40, 60)])
def test_bending_has_the_strength_it_says_in_pictures_of_any_size(size):
    """At every corner, 400 fields have 800 numbers, whose standard deviation is known to 1 / sqrt(1600) = 2.5 %."""
    with seeded(0):
        fields = torch.stack([Elastic(2.5, 10.0, p=1.0).draw_field(size) for _ in range(400)])
    assert fields.shape == (400, 2, *size)
    for y in (0, -1):
        for x in (0, -1):
            assert fields[..., y, x].std().item() == pytest.approx(2.5, rel=0.1)


def test_bending_is_as_smooth_as_it_says():
    """A field smoothed by a Gaussian of width s varies as exp(-d^2 / 4 s^2): at a distance of 2 s, by 1/e."""
    with seeded(0):
        fields = torch.stack([Elastic(1.0, 4.0, p=1.0).draw_field((64, 64)) for _ in range(20)])
    for near, far in ((fields[..., :-8], fields[..., 8:]), (fields[..., :-8, :], fields[..., 8:, :])):
        assert (near * far).mean().item() == pytest.approx(0.368, abs=0.04)


def picture_and_labels(height, width):
    """A picture whose pixels are all different, and a label map and weights with the same numbers plus one."""
    numbers = torch.arange(height * width).reshape(height, width)
    target = {"semantic": tv_tensors.Mask(numbers + 1), "weights": (numbers + 1).float()}
    return (numbers[None] / 1024).float(), target


@pytest.mark.parametrize(("size", "pad"), [((6, 9), 0), (5, 0), ((12, 10), 0), ((6, 9), 3), ((20, 7), 2), ((9, 14), 4)])
def test_a_crop_is_a_slice_of_picture_and_labels_alike(size, pad):
    image, target = picture_and_labels(12, 10)
    height, width = (size, size) if isinstance(size, int) else size
    padded = torch.nn.functional.pad(target["semantic"].as_subclass(torch.Tensor), (30, 30, 30, 30))  # with 0
    cuts = padded.unfold(0, height, 1).unfold(1, width, 1)  # every place where it could be
    places = set()
    for i in range(60):
        with seeded(i):
            cut, moved = Geometric([Crop(size, pad)], fill=1.0)(image, target)
        labels = moved["semantic"].as_subclass(torch.Tensor)
        (place,) = (cuts == labels).all(-1).all(-1).nonzero().tolist()  # exactly one place
        places.add(tuple(v - 30 for v in place))
        assert torch.equal(cut[0].as_subclass(torch.Tensor), torch.where(labels > 0, (labels - 1) / 1024, 1.0))
        assert torch.equal(moved["weights"].as_subclass(torch.Tensor), labels.float())
    for axis, (old, new) in enumerate(((12, height), (10, width))):
        low, high = sorted((-pad, old + pad - new))
        assert {place[axis] for place in places} == set(range(low, high + 1))


def test_a_crop_is_the_whole_picture_where_it_has_its_size():
    image, target = picture_and_labels(7, 5)
    cut, moved = Geometric([Crop((7, 5))])(image, target)
    assert torch.equal(cut, image)
    assert torch.equal(moved["semantic"], target["semantic"])


def test_every_place_of_a_crop_is_as_likely():
    """4 x 3 places, 1200 draws: each is expected 100 times, with a standard deviation of 9.6."""
    counts = torch.zeros(4, 3)
    with seeded(0):
        for _ in range(1200):
            matrix, size = Crop((5, 8)).draw((8, 10))
            assert size == (5, 8)
            x, y = (-matrix[:2, 2]).int().tolist()
            counts[y, x] += 1
    assert counts.min() > 60
    assert counts.max() < 140


def test_crops_keep_objects_and_join_with_flips():
    image, target = StillLife(96, count=(4, 6))[3]
    with seeded(2):
        cut, moved = Geometric([Crop(64), Flip(0.5, 0.5)], min_visibility=0)(image, target)
    assert cut.shape == (3, 64, 64)
    for mask, label in zip(moved["masks"], moved["labels"], strict=True):
        assert (moved["semantic"][mask] == label).all()
    assert bool(mask.any())


@pytest.mark.parametrize(
    ("size", "pad", "message"),
    [
        ((4, 0), 0, "Crop: size[1] must be finite and above 0, got 0"),
        (0, 0, "Crop: size[0] must be finite and above 0, got 0"),
        ((4, 4, 4), 0, "Crop: size must be (height, width), got 3 numbers"),
        ((4, 4.5), 0, "Crop: size and pad must be whole numbers, got (4, 4.5) and 0"),
        ((4, 4), 0.5, "Crop: size and pad must be whole numbers, got (4, 4) and 0.5"),
        ((4, 4), -1, "Crop: pad[0] must be finite and at least 0, got -1"),
    ],
)
def test_crops_of_no_size_are_refused(size, pad, message):
    with pytest.raises(InputError) as caught:
        Crop(size, pad)
    assert str(caught.value) == message
