import numpy as np
import pytest
import torch
from PIL import Image

from cvlab.data import photos, read_image


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


def test_read_image(tmp_path):
    path = tmp_path / "dot.png"
    Image.new("L", (4, 3), 51).save(path)
    image = read_image(path)
    assert image.shape == (3, 3, 4)
    assert torch.allclose(image, torch.tensor(0.2))


def test_read_image_missing(tmp_path):
    with pytest.raises(FileNotFoundError, match="read_image: there is no file"):
        read_image(tmp_path / "none.png")


def test_read_image_of_something_else(tmp_path):
    path = tmp_path / "words.png"
    path.write_text("no picture")
    with pytest.raises(ValueError, match="is not an image"):
        read_image(path)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_read_image_turns_the_picture_as_its_file_says(tmp_path, orientation):
    """Of a white first row, orientation 3 (upside down) makes the last row, 6 (turned right) the last column, ..."""
    stored = Image.new("L", (4, 3))
    stored.paste(255, (0, 0, 4, 1))
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / "turned.png", exif=exif)
    image = read_image(tmp_path / "turned.png")
    assert image.shape == ((3, 3, 4) if orientation < 5 else (3, 4, 3))
    first, last = (image[0, 0], image[0, -1]) if orientation < 5 else (image[0, :, 0], image[0, :, -1])
    assert (first if orientation in (1, 2, 5, 8) else last).min() == 1
    assert image[0].sum() == 4


def test_read_image_scales_16_bits(tmp_path):
    values = np.array([[0, 257, 25700], [32768, 65535, 65279]], np.uint16)
    Image.fromarray(values).save(tmp_path / "deep.png")
    eight = torch.tensor([[0, 1, 100], [128, 255, 254]], dtype=torch.uint8)
    assert torch.equal(read_image(tmp_path / "deep.png", torch.uint8), eight.expand(3, 2, 3))
    assert torch.equal(read_image(tmp_path / "deep.png"), eight.expand(3, 2, 3) / 255)


@pytest.mark.parametrize("pixels", [np.full((4, 4), 0.5, np.float32), np.full((4, 4), 70_000, np.int32)])
def test_read_image_refuses_pixels_of_unknown_range(tmp_path, pixels):
    Image.fromarray(pixels).save(tmp_path / "odd.tiff")
    with pytest.raises(
        ValueError, match=r"read_image: '.*odd.tiff' cannot be read: pixels of mode [FI] .* no known range"
    ):
        read_image(tmp_path / "odd.tiff")


@pytest.mark.parametrize("ending", ["png", "jpg"])
def test_read_image_of_a_truncated_file(tmp_path, ending):
    path = tmp_path / f"whole.{ending}"
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(ValueError, match=rf"read_image: '.*whole.{ending}' cannot be read: .*truncated"):
        read_image(path)


def test_read_image_of_a_broken_png(tmp_path):
    path = tmp_path / "broken.png"
    Image.new("L", (64, 64), 7).save(path)
    content = bytearray(path.read_bytes())
    content[content.index(b"IDAT") + 6] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"read_image: '.*broken.png' cannot be read"):
        read_image(path)


def test_read_image_names_the_file_the_system_refuses(tmp_path, monkeypatch):
    path = tmp_path / "locked.png"
    Image.new("L", (4, 4)).save(path)

    def refuse(*_):
        raise PermissionError("Permission denied")

    monkeypatch.setattr(photos.Image, "open", refuse)
    with pytest.raises(ValueError, match=r"read_image: '.*locked.png' cannot be read: Permission denied"):
        read_image(path)
