"""RLE, polygons and mask IoU against pycocotools."""

from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from PIL import Image
from pycocotools import mask as coco

from cvlab import ops
from cvlab.preprocess import resize

SHARED = Path(__file__).parents[3] / "shared"
GENERATOR = np.random.default_rng(0)


def _theirs(mask: torch.Tensor) -> dict:
    return coco.encode(np.asfortranarray(mask.numpy().astype(np.uint8)))


def _masks():
    checks = (torch.arange(40)[:, None] + torch.arange(31)) % 2 == 0
    blob = resize(torch.rand(1, 6, 5, generator=torch.Generator().manual_seed(1)), (700, 900))[0] > 0.5
    yield from (torch.zeros(5, 7).bool(), torch.ones(5, 7).bool(), checks, ~checks, blob, blob[:, :1], blob[:1])
    yield from (torch.ones(1, 1).bool(), torch.zeros(1, 1).bool())
    alternating = torch.arange(5000) % 2 == 0
    yield from (alternating[None], alternating[:, None], torch.arange(3_000_000).view(3, -1) == 2_999_999)
    for share in (0.01, 0.5, 0.99):
        yield torch.from_numpy(GENERATOR.random((37, 53)) < share)


@pytest.mark.parametrize("mask", list(_masks()), ids=lambda m: f"{m.shape[0]}x{m.shape[1]}-{int(m.sum())}")
def test_rle_is_the_same_byte_for_byte(mask):
    theirs, ours = _theirs(mask), ops.rle_encode(mask)
    assert ours == {"size": list(theirs["size"]), "counts": theirs["counts"]}
    assert torch.equal(ops.rle_decode(theirs), mask)
    assert ops.rle_area(ours) == int(coco.area(theirs)) == int(mask.sum())
    x, y, w, h = coco.toBbox(theirs).tolist()
    assert ops.rle_to_box(ours).tolist() == [x, y, x + w, y + h]


@given(st.integers(1, 9), st.integers(1, 9), st.randoms(use_true_random=False))
@settings(max_examples=100, deadline=None)
def test_rle_round_trip(height, width, random):
    mask = torch.tensor([[random.random() < 0.5 for _ in range(width)] for _ in range(height)])
    encoded = ops.rle_encode(mask)
    assert encoded["counts"] == _theirs(mask)["counts"]
    assert torch.equal(ops.rle_decode(encoded), mask)
    assert torch.equal(ops.rle_decode({"size": [height, width], "counts": ops.run_lengths(mask)}), mask)


def test_mask_iou_with_crowds():
    first, second = (torch.from_numpy(GENERATOR.random((n, 20, 30)) < 0.4) for n in (5, 4))
    second[3] = False
    first[4] = False
    crowd = torch.tensor([False, True, False, True])
    expected = coco.iou([_theirs(m) for m in first], [_theirs(m) for m in second], crowd.int().tolist())
    ours = ops.mask_iou(first, second, crowd).numpy()
    real = ~(np.isnan(expected) | (np.asarray(first.flatten(1).sum(1))[:, None] == 0))
    np.testing.assert_allclose(ours[real], expected[real], atol=1e-12)
    assert (ours[4] == 0).all()


def test_iou_of_runs():
    masks = [torch.from_numpy(GENERATOR.random((23, 17)) < share) for share in (0.02, 0.3, 0.5, 0.9, 0.97)]
    codes = [_theirs(m) for m in masks]
    for crowd in ([0] * 5, [0, 1, 1, 0, 1]):
        np.testing.assert_allclose(ops.rle_iou(codes, codes, crowd), coco.iou(codes, codes, crowd), atol=1e-15)


def test_runs_that_pycocotools_merges():
    """Its merged encodings, and those of lists of counts, are read alike."""
    masks = [torch.from_numpy(GENERATOR.random((23, 17)) < 0.2) for _ in range(3)]
    for together, expected in ((False, masks[0] | masks[1] | masks[2]), (True, masks[0] & masks[1] & masks[2])):
        assert torch.equal(ops.rle_decode(coco.merge([_theirs(m) for m in masks], together)), expected)
    listed = coco.frPyObjects({"size": [23, 17], "counts": ops.run_lengths(masks[0])}, 23, 17)
    assert torch.equal(ops.rle_decode(listed), masks[0])


def test_nuclei():
    """Real objects: the same codes byte for byte, and the same overlaps with all nuclei grown by two pixels."""
    folder = SHARED / "data" / "nuclei" / "labels"
    if not folder.is_dir():
        pytest.skip("the nuclei are not beside this repository")
    nuclei = 0
    for file in sorted(folder.glob("*.png"))[:6]:
        labels = torch.from_numpy(np.array(Image.open(file)).astype(np.int64))
        masks = (labels == labels.unique()[1:, None, None])[:30]
        grown = torch.nn.functional.max_pool2d(masks.float(), 5, 1, 2) > 0
        codes, grown_codes = ([ops.rle_encode(m) for m in many] for many in (masks, grown))
        assert codes == [{**c, "size": list(c["size"])} for c in map(_theirs, masks)]
        assert torch.equal(torch.stack([ops.rle_decode(c) for c in codes]), masks)
        expected = coco.iou(codes, grown_codes, [0] * len(codes))
        np.testing.assert_allclose(ops.mask_iou(masks, grown), expected, atol=1e-15)
        assert torch.equal(ops.rle_iou(codes, grown_codes), ops.mask_iou(masks, grown))
        nuclei += len(masks)
    assert nuclei > 100


def _pixels(polygons, size):
    rles = coco.frPyObjects([list(p) for p in polygons], *size)
    return torch.from_numpy(coco.decode(coco.merge(rles)).astype(bool))


@pytest.mark.parametrize("corners", [3, 4, 7, 25])
def test_polygons_are_filled_alike(corners):
    for _ in range(25):
        polygon = (GENERATOR.random(2 * corners) * 60 - 5).tolist()  # crosses itself, and the edges
        assert torch.equal(ops.polygons_to_mask([polygon], (40, 50)), _pixels([polygon], (40, 50)))


@pytest.mark.parametrize("grid", [1, 2, 5, 10])
def test_polygons_on_a_grid_are_filled_alike(grid):
    """Corners at the pixels' edges and middles, where rounding decides; some twice, some outside."""
    for _ in range(40):
        corners = np.round((GENERATOR.random((6, 2)) * 40 - 6) * grid) / grid
        polygon = np.concatenate((corners, corners[2:3], corners[2:3], corners[:1])).ravel().tolist()
        assert torch.equal(ops.polygons_to_mask([polygon], (25, 29)), _pixels([polygon], (25, 29)))


def test_several_polygons_are_joined():
    parts = [[1.5, 1, 8, 2, 4.2, 9], [20, 20, 30, 20.5, 30, 33, 21, 30], [5, 5, 5, 5, 12, 5, 12, 12]]
    assert torch.equal(ops.polygons_to_mask(parts, (35, 40)), _pixels(parts, (35, 40)))


def test_polygons_of_coco():
    folder = SHARED / "data" / "coco128" / "polygons"
    if not folder.is_dir():
        pytest.skip("COCO's polygons are not beside this repository")
    lines = [line.split() for file in sorted(folder.glob("*.txt"))[:30] for line in file.read_text().splitlines()]
    assert len(lines) > 100
    size = (240, 320)
    for line in lines:
        corners = np.array(line[1:], float).reshape(-1, 2) * size[::-1]
        if len(corners) >= 3:
            polygon = corners.ravel().tolist()
            assert torch.equal(ops.polygons_to_mask([polygon], size), _pixels([polygon], size))
