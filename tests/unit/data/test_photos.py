import pytest
import torch

from cvlab.data import photos


@pytest.mark.parametrize("name", photos.names())
def test_load(name):
    image = photos.load(name)
    assert image.dtype == torch.float32
    assert image.shape[0] == 3
    assert 0 <= image.min() < image.max() <= 1
    as_bytes = photos.load(name, torch.uint8)
    assert torch.equal(as_bytes, (image * 255).round().to(torch.uint8))


@pytest.mark.parametrize("name", photos.names())
def test_info_is_complete(name):
    info = photos.info(name)
    assert info.name == name
    assert info.title
    assert info.author
    assert info.licence
    assert info.source
    _, height, width = photos.load(name).shape
    assert info.xyxy.shape == (len(info.labels), 4)
    for label, (x1, y1, x2, y2) in info.boxes:
        assert label
        assert 0 <= x1 < x2 <= width
        assert 0 <= y1 < y2 <= height


@pytest.mark.parametrize("name", ["chelsea", "astronaut", "coffee", "rocket"])
def test_first_photographs_have_boxes(name):
    assert len(photos.info(name).boxes) >= 3


def test_changing_an_image_leaves_the_next_alone():
    photos.load("chelsea", torch.uint8).zero_()
    assert photos.load("chelsea").max() > 0


def test_unknown_name_lists_the_known():
    with pytest.raises(ValueError, match="no photograph 'lena'; there are astronaut, .*chelsea"):
        photos.load("lena")


def test_other_dtype():
    with pytest.raises(ValueError, match="dtype must be torch.float32 or torch.uint8"):
        photos.load("chelsea", torch.float64)


def test_missing_library(monkeypatch):
    monkeypatch.setattr(photos.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(FileNotFoundError, match="comes with skimage, which is not installed"):
        photos.load("chelsea")
