"""Image files and label maps: every conversion by its numbers, every damage by its message."""

import numpy as np
import pytest
import torch
from PIL import Image

from cvlab._check import InputError
from cvlab.data import files, photos, read_image, read_mask, save_image, save_mask

NOISE = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)


def colours(path):
    """The pixels of the first row of a file, as lists of red, green, blue."""
    return read_image(path, torch.uint8)[:, 0].t().tolist()


def test_read_grey(tmp_path):
    Image.new("L", (4, 3), 51).save(tmp_path / "dot.png")
    image = read_image(tmp_path / "dot.png")
    assert (image.shape, image.dtype) == ((3, 3, 4), torch.float32)
    assert torch.allclose(image, torch.tensor(0.2))  # 51 / 255
    assert torch.equal(read_image(str(tmp_path / "dot.png"), torch.uint8), torch.full((3, 3, 4), 51, dtype=torch.uint8))


def test_read_black_and_white(tmp_path):
    Image.fromarray(np.array([[True, False]])).save(tmp_path / "bits.png")
    assert colours(tmp_path / "bits.png") == [[255] * 3, [0] * 3]


def test_read_palette(tmp_path):
    image = Image.fromarray(np.array([[0, 1]], np.uint8), "L").convert("P")
    image.putpalette([10, 20, 30, 200, 100, 0])
    image.save(tmp_path / "palette.png")
    assert colours(tmp_path / "palette.png") == [[10, 20, 30], [200, 100, 0]]


def test_read_transparent_pixels_on_white(tmp_path):
    # Alpha 0 is white, whatever lies beneath; alpha 51 of 255 is a fifth: 0.2 * 100 + 0.8 * 255 = 224.
    pixels = np.array([[[255, 0, 0, 0], [100, 255, 0, 51], [9, 8, 7, 255]]], np.uint8)
    Image.fromarray(pixels).save(tmp_path / "rgba.png")
    assert colours(tmp_path / "rgba.png") == [[255, 255, 255], [224, 255, 204], [9, 8, 7]]
    Image.fromarray(pixels[..., [0, 3]]).save(tmp_path / "la.png")
    assert colours(tmp_path / "la.png") == [[255] * 3, [224] * 3, [9] * 3]


@pytest.mark.parametrize("mode", ["P", "RGB", "L"])
def test_read_a_transparent_colour_on_white(tmp_path, mode):
    pixels = np.array([[0, 1]], np.uint8)
    if mode == "P":
        image, clear = Image.fromarray(pixels).convert("P"), 0
        image.putpalette([10, 20, 30, 200, 200, 200])
    else:
        image, clear = Image.fromarray(pixels * 200).convert(mode), 0 if mode == "L" else (0, 0, 0)
    image.save(tmp_path / "key.png", transparency=clear)
    assert colours(tmp_path / "key.png") == [[255] * 3, [200] * 3]


def test_read_16_bits(tmp_path):
    # 65535 / 257 = 255; 25700 / 257 = 100; 32768 / 257 = 127.5 and a bit: 128; 65279 / 257 = 254.004
    values = np.array([[0, 257, 25700], [32768, 65535, 65279]], np.uint16)
    Image.fromarray(values).save(tmp_path / "deep.png")
    Image.fromarray(values).save(tmp_path / "deep.tiff")
    eight = torch.tensor([[0, 1, 100], [128, 255, 254]], dtype=torch.uint8)
    for name in ("deep.png", "deep.tiff"):
        assert torch.equal(read_image(tmp_path / name, torch.uint8), eight.expand(3, 2, 3))
        assert torch.equal(read_image(tmp_path / name), eight.expand(3, 2, 3) / 255)


def test_read_cmyk(tmp_path):
    # No ink is white, all black ink is black; cyan alone takes the red away: 255 - 255 = 0.
    inks = np.array([[[0, 0, 0, 0], [0, 0, 0, 255], [255, 0, 0, 0]]], np.uint8)
    Image.fromarray(inks, "CMYK").save(tmp_path / "print.tiff")
    assert colours(tmp_path / "print.tiff") == [[255, 255, 255], [0, 0, 0], [0, 255, 255]]
    Image.new("CMYK", (8, 8)).save(tmp_path / "print.jpg")
    assert colours(tmp_path / "print.jpg") == [[255] * 3] * 8


def turned(path, orientation, **options):
    """Save a picture of a white first row whose file says that it is turned."""
    stored = Image.new("L", (4, 3))
    stored.paste(255, (0, 0, 4, 1))
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(path, exif=exif, **options)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_reading_turns_the_picture_as_its_file_says(tmp_path, orientation):
    """Of a white first row, orientation 3 (upside down) makes the last row, 6 (turned right) the last column, ..."""
    turned(tmp_path / "turned.png", orientation)
    image = read_image(tmp_path / "turned.png")
    assert image.shape == ((3, 3, 4) if orientation < 5 else (3, 4, 3))
    first, last = (image[0, 0], image[0, -1]) if orientation < 5 else (image[0, :, 0], image[0, :, -1])
    assert (first if orientation in (1, 2, 5, 8) else last).min() == 1
    assert image[0].sum() == 4
    assert torch.equal(read_mask(tmp_path / "turned.png"), (image[0] * 255).long())


def test_read_the_first_picture_of_an_animation(tmp_path):
    frames = [Image.new("L", (2, 2), value) for value in (0, 255)]
    frames[0].save(tmp_path / "film.gif", save_all=True, append_images=frames[1:])
    assert read_image(tmp_path / "film.gif").max() == 0


@pytest.mark.parametrize("read", [read_image, read_mask])
def test_no_file(tmp_path, read):
    with pytest.raises(FileNotFoundError, match=rf"{read.__name__}: there is no file '.*none.png'"):
        read(tmp_path / "none.png")
    with pytest.raises(InputError, match=rf"{read.__name__}: '.*' is a folder, not a file"):
        read(tmp_path)


@pytest.mark.parametrize("read", [read_image, read_mask])
def test_files_that_are_no_images(tmp_path, read):
    path = tmp_path / "words.png"
    path.write_text("no picture")
    with pytest.raises(InputError, match=rf"{read.__name__}: '.*words.png' is not an image that Pillow can read"):
        read(path)
    path.write_bytes(b"")
    with pytest.raises(InputError, match=rf"{read.__name__}: '.*words.png' is empty \(0 bytes\)"):
        read(path)


@pytest.mark.parametrize("ending", ["png", "jpg", "webp", "bmp", "gif"])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.9])
def test_read_a_truncated_file(tmp_path, ending, share):
    path = tmp_path / f"whole.{ending}"
    Image.fromarray(NOISE).save(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(InputError, match=rf"read_image: '.*whole.{ending}' (cannot be read: .|is not an image)"):
        read_image(path)


@pytest.mark.parametrize("read", [read_image, read_mask])
@pytest.mark.parametrize("ending", ["png", "jpg"])
def test_truncation_is_told(tmp_path, read, ending):
    path = tmp_path / f"whole.{ending}"
    Image.fromarray(NOISE[..., 0]).save(path)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(InputError, match=rf"{read.__name__}: '.*whole.{ending}' cannot be read: .*truncated"):
        read(path)


def test_read_a_broken_png(tmp_path):
    path = tmp_path / "broken.png"
    Image.new("L", (64, 64), 7).save(path)
    content = bytearray(path.read_bytes())
    content[content.index(b"IDAT") + 6] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"read_image: '.*broken.png' cannot be read"):
        read_image(path)


@pytest.mark.parametrize("read", [read_image, read_mask])
def test_reading_names_the_file_the_system_refuses(tmp_path, monkeypatch, read):
    path = tmp_path / "locked.png"
    Image.new("L", (4, 4)).save(path)

    def refuse(*_):
        raise PermissionError("Permission denied")

    monkeypatch.setattr(files.Image, "open", refuse)
    with pytest.raises(InputError, match=rf"{read.__name__}: '.*locked.png' cannot be read: Permission denied"):
        read(path)


@pytest.mark.parametrize("pixels", [np.full((4, 4), 0.5, np.float32), np.full((4, 4), 70_000, np.int32)])
def test_read_refuses_pixels_of_unknown_range(tmp_path, pixels):
    Image.fromarray(pixels).save(tmp_path / "odd.tiff")
    with pytest.raises(InputError, match=r"read_image: '.*odd.tiff' cannot be read: pixels of mode [FI] .* no known"):
        read_image(tmp_path / "odd.tiff")


def test_read_refuses_other_types(tmp_path):
    Image.new("L", (4, 4)).save(tmp_path / "dot.png")
    with pytest.raises(InputError, match="read_image: dtype must be torch.float32 or torch.uint8, got torch.int64"):
        read_image(tmp_path / "dot.png", torch.int64)


@pytest.mark.parametrize("channels", [1, 3])
def test_png_keeps_every_pixel(tmp_path, channels):
    image = torch.from_numpy(NOISE).permute(2, 0, 1)[:channels]
    save_image(tmp_path / "noise.PNG", image)
    assert torch.equal(read_image(tmp_path / "noise.PNG", torch.uint8), image.expand(3, 64, 64))
    save_image(tmp_path / "noise.PNG", image / 255)  # replaces the first
    assert torch.equal(read_image(tmp_path / "noise.PNG"), image.expand(3, 64, 64) / 255)
    with Image.open(tmp_path / "noise.PNG") as stored:
        assert stored.mode == ("L" if channels == 1 else "RGB")


@pytest.mark.parametrize(("ending", "kind"), [("jpg", "JPEG"), ("jpeg", "JPEG"), ("webp", "WEBP")])
def test_quality_is_that_of_pillow(tmp_path, ending, kind):
    image = photos.load("chelsea", torch.uint8)[:, :64, :96]
    path, other = tmp_path / f"cat.{ending}", tmp_path / f"other.{ending}"
    for quality in (10, 90):
        save_image(path, image, quality=quality)
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(other, quality=quality)
        assert path.read_bytes() == other.read_bytes()
        with Image.open(path) as stored:
            assert stored.format == kind
    save_image(other, image)
    assert path.read_bytes() == other.read_bytes()  # 90 unless told


@pytest.mark.parametrize(
    ("name", "image", "quality", "message"),
    [
        ("a.tiff", torch.zeros(1, 2, 2), 90, r"'.*a.tiff' must end in one of .png, .jpg, .jpeg, .webp"),
        ("a", torch.zeros(1, 2, 2), 90, "'.*a' must end in one of"),
        ("a.png", torch.zeros(2, 2), 90, r"image must have shape \(C, H, W\) with C 1 or 3, got \(2, 2\)"),
        ("a.png", torch.zeros(2, 2, 3), 90, r"image must have shape \(C, H, W\) with C 1 or 3, got \(2, 2, 3\)"),
        ("a.png", torch.zeros(1, 2, 0), 90, r"image must have at least one pixel"),
        ("a.png", torch.full((1, 2, 2), 255.0), 90, r"image\[0, 0, 0\] must lie in \[0, 1\], got 255"),
        ("a.png", torch.zeros(1, 2, 2).long(), 90, "image must be float or uint8, got torch.int64"),
        ("a.jpg", torch.zeros(1, 2, 2), 0, "quality must be a whole number from 1 to 100, got 0"),
    ],
)
def test_save_image_refuses(tmp_path, name, image, quality, message):
    with pytest.raises(InputError, match=f"save_image: {message}"):
        save_image(tmp_path / name, image, quality=quality)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("highest", "mode"), [(0, "L"), (255, "L"), (256, "I;16"), (65535, "I;16")])
@pytest.mark.parametrize("dtype", [torch.int32, torch.int64])
def test_masks_take_8_bits_or_16(tmp_path, highest, mode, dtype):
    mask = torch.tensor([[0, highest, 0], [highest // 2, 0, 0]], dtype=dtype)
    save_mask(tmp_path / "mask.png", mask)
    back = read_mask(tmp_path / "mask.png")
    assert back.dtype == torch.int64
    assert torch.equal(back, mask.long())
    with Image.open(tmp_path / "mask.png") as stored:
        assert stored.mode == mode


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int16])
def test_masks_of_narrow_types(tmp_path, dtype):
    mask = torch.tensor([[0, 1], [1, 0]], dtype=dtype)
    save_mask(tmp_path / "mask.png", mask)
    assert read_mask(tmp_path / "mask.png").tolist() == [[0, 1], [1, 0]]


def test_read_mask_gives_indices_and_not_colours(tmp_path):
    """Pascal VOC's masks: a palette to look at, whose indices are the classes, with 255 for the border."""
    image = Image.fromarray(np.array([[0, 15, 255]], np.uint8)).convert("P")
    image.putpalette([0, 0, 0] * 15 + [192, 128, 128] + [224, 224, 192] * 240)
    image.save(tmp_path / "voc.png")
    assert read_mask(tmp_path / "voc.png").tolist() == [[0, 15, 255]]
    assert colours(tmp_path / "voc.png") == [[0, 0, 0], [192, 128, 128], [224, 224, 192]]


def test_read_mask_of_bits(tmp_path):
    Image.fromarray(np.array([[True, False]])).save(tmp_path / "bits.png")
    assert read_mask(tmp_path / "bits.png").tolist() == [[1, 0]]


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "CMYK", "F"])
def test_read_mask_refuses_colours(tmp_path, mode):
    Image.new(mode, (4, 4)).save(tmp_path / "colours.tiff")
    with pytest.raises(
        InputError,
        match=rf"read_mask: '.*colours.tiff' cannot be read: it holds colours \(mode {mode}\), .* map each colour to",
    ):
        read_mask(tmp_path / "colours.tiff")


def test_a_mask_stored_as_jpeg_has_labels_of_its_own(tmp_path):
    """What `save_mask` refuses to do: two labels become many."""
    mask = np.zeros((32, 32), np.uint8)
    mask[8:19, 5:30] = 20
    Image.fromarray(mask).save(tmp_path / "mask.jpg", quality=75)
    assert len(read_mask(tmp_path / "mask.jpg").unique()) > 5


@pytest.mark.parametrize(
    ("name", "mask", "message"),
    [
        ("m.jpg", torch.zeros(2, 2).long(), "'.*m.jpg' must end in .png: JPEG and WebP would change labels"),
        ("m.JPEG", torch.zeros(2, 2).long(), "'.*m.JPEG' must end in .png: JPEG and WebP would change labels"),
        ("m.webp", torch.zeros(2, 2).long(), "'.*m.webp' must end in .png: JPEG and WebP would change labels"),
        ("m.bmp", torch.zeros(2, 2).long(), "'.*m.bmp' must end in .png$"),
        ("m.png", torch.zeros(2, 2), "mask must be integers or bool, got torch.float32"),
        ("m.png", torch.zeros(1, 2, 2).long(), r"mask must have shape \(H, W\), got \(1, 2, 2\)"),
        ("m.png", torch.zeros(0, 2).long(), "mask must have at least one pixel"),
        ("m.png", torch.tensor([[0, 1], [2, -1]]), r"mask\[1, 1\] must lie in 0 to 65535, got -1"),
        ("m.png", torch.tensor([[0, 65536]]), r"mask\[0, 1\] must lie in 0 to 65535, got 65536"),
    ],
)
def test_save_mask_refuses(tmp_path, name, mask, message):
    with pytest.raises(InputError, match=f"save_mask: {message}"):
        save_mask(tmp_path / name, mask)
    assert list(tmp_path.iterdir()) == []


def test_no_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match="save_image: there is no folder '.*missing'"):
        save_image(tmp_path / "missing" / "a.png", torch.zeros(1, 2, 2))


@pytest.mark.parametrize("step", ["encode", "write", "replace"])
def test_a_failure_leaves_the_old_file_and_no_other(tmp_path, monkeypatch, step):
    path = tmp_path / "mask.png"
    save_mask(path, torch.tensor([[1, 2]]))

    def full(*arguments):
        if step == "write":
            open(arguments[0], "wb").close()  # a part of it is there
        raise OSError("No space left on device")

    owner, name = {
        "encode": (files.Image.Image, "save"),
        "write": (files.Path, "write_bytes"),
        "replace": (files.os, "replace"),
    }[step]
    monkeypatch.setattr(owner, name, full)
    with pytest.raises(OSError, match="save_mask: '.*mask.png' cannot be written: No space left on device"):
        save_mask(path, torch.tensor([[3, 4]]))
    monkeypatch.undo()
    assert read_mask(path).tolist() == [[1, 2]]
    assert list(tmp_path.iterdir()) == [path]


def test_too_large_for_the_format(tmp_path):
    with pytest.raises(OSError, match="save_image: '.*wide.webp' cannot be written"):
        save_image(tmp_path / "wide.webp", torch.zeros(1, 1, 16_384))  # WebP's sides end at 16383
    assert list(tmp_path.iterdir()) == []
