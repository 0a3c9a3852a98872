"""JPEG by hand and against Pillow's files, and the noise it adds in decibels."""

import io
import math

import numpy as np
import pytest
import torch
from PIL import Image

from cvlab._check import InputError
from cvlab.data import photos
from cvlab.preprocess import dct_matrix, jpeg, jpeg_bytes, jpeg_reference, psnr, quantization_table

QUALITIES = [5, 25, 50, 75, 90, 100]


def grey(name):
    """A photograph as one plane (H, W) uint8, in sides that are no multiples of 8."""
    rgb = photos.load(name, torch.uint8)[:, :203, :301].permute(1, 2, 0).numpy()
    return torch.from_numpy(np.array(Image.fromarray(rgb).convert("L")))


@pytest.mark.parametrize("quality", [1, 30, 75, 100])
@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
@pytest.mark.parametrize("channels", [1, 3])
def test_bytes_and_pixels_are_those_of_pillow(quality, subsampling, channels):
    image = photos.load("chelsea", torch.uint8)[:channels, :67, :93]
    pillow = Image.fromarray(image.permute(1, 2, 0).numpy() if channels == 3 else image[0].numpy())
    file = io.BytesIO()
    pillow.save(file, "JPEG", quality=quality, subsampling=subsampling)
    assert jpeg_bytes(image, quality, subsampling) == file.getvalue()
    pixels = torch.from_numpy(np.array(Image.open(file))).reshape(67, 93, channels).permute(2, 0, 1)
    assert torch.equal(jpeg(image, quality, subsampling), pixels)
    for dtype in (torch.float32, torch.float64):
        back = jpeg(image.to(dtype) / 255, quality, subsampling)
        assert back.dtype == dtype
        assert torch.equal(back, pixels.to(dtype) / 255)


def test_smaller_and_worse():
    image = photos.load("chelsea", torch.uint8)
    sizes = [len(jpeg_bytes(image, quality)) for quality in QUALITIES]
    noise = [psnr(image, jpeg(image, quality)) for quality in QUALITIES]
    assert sizes == sorted(sizes)
    assert noise == sorted(noise)
    assert len(jpeg_bytes(image, subsampling="4:2:0")) < len(jpeg_bytes(image, subsampling="4:4:4"))


def test_table_by_hand():
    # At quality 10 the steps are 5000 / 10 = 500 percent: 16 becomes 80; above 255, as 121 * 5, they are cut off.
    table = quantization_table(10)
    assert (table[0, 0].item(), table[6, 5].item(), table.dtype, table.shape) == (80, 255, torch.int64, (8, 8))
    # At 75 it is 200 - 150 = 50 percent: 11 becomes (550 + 50) // 100 = 6. At 100 it is 0 percent, but at least 1.
    assert quantization_table(75)[0, 1] == 6
    assert torch.equal(quantization_table(100), torch.ones(8, 8, dtype=torch.int64))


@pytest.mark.parametrize("quality", range(1, 101))
def test_table_is_that_in_files_of_pillow(quality):
    with Image.open(io.BytesIO(jpeg_bytes(torch.zeros(1, 8, 8), quality))) as stored:
        assert quantization_table(quality).flatten().tolist() == list(stored.quantization[0])


def test_dct_matrix_by_its_formula():
    matrix = dct_matrix()
    torch.testing.assert_close(matrix @ matrix.T, torch.eye(8, dtype=torch.float64))
    assert matrix[3, 2].item() == pytest.approx(math.sqrt(2 / 8) * math.cos(math.pi * 5 * 3 / 16))
    assert matrix[0].tolist() == pytest.approx([1 / math.sqrt(8)] * 8)


def test_reference_by_hand():
    # 101 is 27 below 128, the first frequency -27 * 8 = -216; in steps of 80 it is -2.7, rounded -3: -240 / 8 + 128.
    assert jpeg_reference(torch.full((8, 8), 101.0), 10).unique().tolist() == pytest.approx([98])
    # 133 and 123 give +-40, half a step of 80: rounded away from zero to +-80, so +-10.
    assert jpeg_reference(torch.full((8, 8), 133.0), 10)[0, 0].item() == pytest.approx(138)
    assert jpeg_reference(torch.full((8, 8), 123.0), 10)[0, 0].item() == pytest.approx(118)
    # 130 gives 16, a fifth of a step: gone.
    assert jpeg_reference(torch.full((8, 8), 130.0), 10)[0, 0].item() == pytest.approx(128)


def test_reference_blocks_do_not_see_each_other():
    plane = grey("coins").double()
    changed = plane.clone()
    changed[8:16, 16:24] = 255 - changed[8:16, 16:24]
    differs = jpeg_reference(plane, 50) != jpeg_reference(changed, 50)
    rows, columns = differs.nonzero().unbind(1)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (8, 15, 16, 23)


@pytest.mark.parametrize("shape", [(8, 8), (1, 1), (7, 17), (16, 9)])
def test_reference_continues_edges(shape):
    plane = torch.rand(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 255
    whole = torch.nn.functional.pad(plane[None, None], (0, -shape[1] % 8, 0, -shape[0] % 8), mode="replicate")[0, 0]
    stored = jpeg_reference(plane, 60)
    assert (stored.shape, stored.dtype) == (shape, torch.float64)
    assert torch.equal(stored, jpeg_reference(whole, 60)[: shape[0], : shape[1]])


def frequencies(plane):
    """The frequencies (rows, columns, 8, 8) of a plane of whole blocks, block by block."""
    dct = dct_matrix()
    blocks = [[plane[y : y + 8, x : x + 8] for x in range(0, plane.shape[1], 8)] for y in range(0, plane.shape[0], 8)]
    return torch.stack([torch.stack([dct @ (block.double() - 128) @ dct.T for block in row]) for row in blocks])


@pytest.mark.parametrize("name", ["chelsea", "coins", "china"])
@pytest.mark.parametrize("quality", [5, 25, 50, 75])
def test_reference_is_pillow_but_for_frequencies_halfway_between_two_steps(name, quality):
    """Pillow's whole-number transform may round those to the other side; all other blocks are equal."""
    plane = grey(name)[:200, :296]
    ours, pillows = jpeg_reference(plane, quality), jpeg(plane[None], quality)[0]
    apart = (ours - pillows).abs()
    table = quantization_table(quality)
    halfway = ((frequencies(plane) / table).remainder(1) - 0.5).abs() * table < 0.15
    clear = ~halfway.flatten(2).any(2)  # (rows, columns)
    assert clear.float().mean() > 0.1
    assert (
        apart[clear.repeat_interleave(8, 0).repeat_interleave(8, 1)].max() < 0.6
    )  # 0.5 is Pillow's rounding of pixels
    assert apart.square().mean().sqrt() < 1.5


@pytest.mark.parametrize("name", ["chelsea", "coins", "china"])
def test_reference_at_quality_100_is_within_two_levels_of_pillow(name):
    plane = grey(name)
    assert (jpeg_reference(plane, 100) - jpeg(plane[None], 100)[0]).abs().max() < 2


def test_psnr_by_hand():
    # 10 log10(255^2 / 1) = 48.1308 for one grey level everywhere
    a = torch.full((3, 4, 4), 7, dtype=torch.uint8)
    assert psnr(a, a + 1) == pytest.approx(48.1308, abs=1e-4)
    assert psnr(a + 1, a) == pytest.approx(48.1308, abs=1e-4)  # and not (255 - 0)^2, as uint8 would subtract
    assert psnr(a, a) == math.inf
    # half the values differ by 0.2: a mean square of 0.02, 10 log10(50)
    assert psnr(torch.zeros(2), torch.tensor([0.0, 0.2])) == pytest.approx(10 * math.log10(50), abs=1e-5)


IMAGE = torch.zeros(1, 8, 8)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: jpeg_bytes(IMAGE, 0), "jpeg_bytes: quality must be a whole number from 1 to 100, got 0"),
        (lambda: jpeg(IMAGE, 101), "jpeg: quality must be a whole number from 1 to 100, got 101"),
        (lambda: jpeg(IMAGE, 75.5), "jpeg: quality must be a whole number from 1 to 100, got 75.5"),
        (lambda: quantization_table(True), "quantization_table: quality must be .* got True"),
        (lambda: jpeg_reference(IMAGE[0], 0), "quality must be a whole number from 1 to 100, got 0"),
        (lambda: jpeg(IMAGE, 75, "4:1:1"), "jpeg: subsampling must be one of 4:4:4, 4:2:2, 4:2:0, got '4:1:1'"),
        (lambda: jpeg(torch.zeros(8, 8)), r"jpeg: image must have shape \(C, H, W\) with C 1 or 3, got \(8, 8\)"),
        (lambda: jpeg(torch.zeros(4, 8, 8)), r"jpeg: image must have shape \(C, H, W\) with C 1 or 3, got \(4, 8, 8\)"),
        (lambda: jpeg_bytes(torch.zeros(1, 0, 8)), r"jpeg_bytes: image must have at least one pixel, got shape"),
        (lambda: jpeg(IMAGE + 2), r"jpeg: image\[0, 0, 0\] must lie in \[0, 1\], got 2"),
        (lambda: jpeg(IMAGE.long()), "jpeg: image must be float or uint8, got torch.int64"),
        (lambda: jpeg_reference(IMAGE, 50), r"jpeg_reference: plane must have shape \(H, W\), got \(1, 8, 8\)"),
        (lambda: jpeg_reference(IMAGE[0] - 1, 50), r"jpeg_reference: plane must lie in \[0, 255\], got -1.0 to -1.0"),
        (lambda: jpeg_reference(torch.zeros(0, 8), 50), "jpeg_reference: plane must have at least one pixel"),
        (lambda: jpeg_reference(IMAGE[0] / 0, 50), r"jpeg_reference: plane\[0, 0\] is not finite"),
        (lambda: psnr(IMAGE, IMAGE[0]), r"psnr: a and b must have one shape and dtype, got \(1, 8, 8\) torch.float32"),
        (lambda: psnr(IMAGE, IMAGE.double()), "psnr: a and b must have one shape and dtype"),
        (lambda: psnr(IMAGE.long(), IMAGE.long()), "psnr: a and b must be float or uint8, got torch.int64"),
        (lambda: psnr(IMAGE[:0], IMAGE[:0]), r"psnr: a and b must not be empty, got shape \(0, 8, 8\)"),
        (lambda: psnr(IMAGE, IMAGE / 0), r"psnr: b\[0, 0, 0\] is not finite"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(InputError, match=message):
        call()
