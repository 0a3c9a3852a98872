"""Run lengths: by hand, and what is refused."""

import numpy as np
import pytest
import torch

from cvlab import ops
from cvlab._check import InputError

MASK = torch.tensor([[0, 1, 1], [0, 1, 0]]).bool()  # by columns 0 0, 1 1, 1 0: two zeros, three ones, one zero
RUNS = [2, 3, 1]


def _rle(counts, size=(2, 3)):
    return {"size": size, "counts": counts}


def test_by_hand():
    assert ops.run_lengths(MASK) == RUNS
    assert ops.rle_encode(MASK) == {"size": [2, 3], "counts": b"231"}
    assert ops.run_lengths(~MASK) == [0, *RUNS]  # the first run is of zeros, here none
    assert ops.rle_area(_rle(RUNS)) == 3
    assert ops.rle_to_box(_rle(RUNS)).tolist() == [1, 0, 3, 2]


def test_text_by_hand():
    """31 needs a second character, for its fifth bit is the sign: 31 + 32 and 0. 32 is 0 + 32, and 1.

    The fourth count is written as the difference to the second: 3 - 5 = -2, of which five bits are 30.
    """
    assert ops.pack_counts([15]) == b"?"
    assert ops.pack_counts([16]) == bytes([48 + 16 + 32, 48])
    assert ops.pack_counts([31]) == bytes([48 + 31 + 32, 48])
    assert ops.pack_counts([32]) == bytes([48 + 32, 49])
    assert ops.pack_counts([1, 5, 1, 3]) == b"151" + bytes([48 + 30])
    assert ops.unpack_counts(b"151N") == [1, 5, 1, 3]
    assert ops.pack_counts([]) == b""
    assert ops.unpack_counts(b"") == []


@pytest.mark.parametrize(
    "counts", [RUNS, (2, 3, 1), [2.0, 3.0, 1.0], np.array(RUNS), torch.tensor(RUNS), b"231", "231", bytearray(b"231")]
)
def test_counts_in_all_forms(counts):
    assert torch.equal(ops.rle_decode(_rle(counts)), MASK)


def test_runs_of_length_zero():
    """COCO's own merging leaves such runs: two zeros, two ones, no zero, one one, one zero."""
    assert torch.equal(ops.rle_decode(_rle([2, 2, 0, 1, 1])), MASK)
    assert ops.rle_iou([_rle([2, 2, 0, 1, 1])], [_rle(RUNS)]).tolist() == [[1]]


@pytest.mark.parametrize("size", [(0, 4), (4, 0), (0, 0)])
def test_masks_without_pixels(size):
    empty = torch.zeros(size, dtype=torch.bool)
    assert ops.rle_encode(empty) == {"size": list(size), "counts": b"0"}
    assert ops.rle_decode(ops.rle_encode(empty)).shape == size
    assert ops.rle_area(_rle([], size)) == 0


def test_box_of_an_empty_mask_is_zero():
    assert ops.rle_to_box(_rle([6])).tolist() == [0, 0, 0, 0]


def test_iou_by_hand():
    """The mask has 3 pixels; columns 1-2 are 4: 3 of 4. Column 0 is 2: none of 5."""
    columns = [_rle([2, 4]), _rle([0, 2, 4])]
    assert ops.rle_iou([_rle(RUNS)], columns).tolist() == [[3 / 4, 0]]
    assert ops.rle_iou(columns, [_rle(b"231")], [True]).tolist() == [[3 / 4], [0]]
    assert ops.rle_iou(columns, [_rle([0, 6])], [False]).tolist() == [[4 / 6], [2 / 6]]


@pytest.mark.parametrize("crowd", [None, [True]])
def test_iou_of_empty_masks_is_zero(crowd):
    assert ops.rle_iou([_rle([6])], [_rle([6])], crowd).tolist() == [[0]]


def test_iou_of_no_masks():
    assert ops.rle_iou([], [_rle(RUNS)]).shape == (0, 1)
    assert ops.rle_iou([_rle(RUNS)], [], []).shape == (1, 0)


def test_iou_refuses():
    with pytest.raises(InputError, match=r"rle_iou: all masks must be of size \(2, 3\), got \(3, 2\) in rles2\[1\]"):
        ops.rle_iou([_rle(RUNS)], [_rle(RUNS), _rle(RUNS, (3, 2))])
    with pytest.raises(InputError, match=r"of size \(2, 3\), got \(1, 6\) in rles1\[1\]"):
        ops.rle_iou([_rle(RUNS), _rle(RUNS, (1, 6))], [])
    with pytest.raises(InputError, match="rle_iou: iscrowd must have one mark for each of 1 masks, got 2"):
        ops.rle_iou([], [_rle(RUNS)], [True, False])


@pytest.mark.parametrize(
    ("mask", "error", "message"),
    [
        (MASK[None], InputError, r"rle_encode: mask must have shape \(H, W\), got \(1, 2, 3\)"),
        (MASK.byte(), InputError, "rle_encode: mask must be bool, got torch.uint8"),
        (MASK.numpy(), TypeError, r"rle_encode: mask must be a torch\.Tensor, got ndarray"),
    ],
)
def test_encoding_refuses(mask, error, message):
    with pytest.raises(error, match=message):
        ops.rle_encode(mask)


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ([2, 3], r"the runs must fill 2 x 3 = 6 pixels, got 5"),
        ([2, 3, 2], r"the runs must fill 2 x 3 = 6 pixels, got 7"),
        (b"", r"the runs must fill 2 x 3 = 6 pixels, got 0"),
        ([7, -1], "a run must not be negative, got -1"),
        (b"312N", "a run must not be negative, got -1"),  # the fourth is 30 - 32 = -2 more than the second, 1
        ([2.5, 3.5], r"counts\[0\] must be a whole number, got 2.5"),
        ([2, float("nan")], r"counts\[1\] must be a whole number, got nan"),
        ([2, float("inf")], r"counts\[1\] must be a whole number, got inf"),
        (["2", 4], r"counts\[0\] must be a whole number, got '2'"),
        (b"23~", r"counts\[2\] is no character of an RLE: '~'"),
        ("23\n", r"counts\[2\] is no character of an RLE: '\\n'"),
        ("23é", r"counts\[2\] is no character of an RLE"),
        (b"23P", "counts break off in the middle of a number"),
        (b"P" * 100_000 + b"0", r"counts\[11\] belongs to a number of more than 60 bits"),
    ],
)
def test_damaged_counts(counts, message):
    with pytest.raises(InputError, match=f"rle_decode: {message}"):
        ops.rle_decode(_rle(counts))


@pytest.mark.parametrize(
    ("rle", "error", "message"),
    [
        ({"counts": RUNS}, InputError, r"an RLE must have 'size', got \['counts'\]"),
        ({"size": [2, 3]}, InputError, r"an RLE must have 'counts', got \['size'\]"),
        ([2, 3, 1], TypeError, "an RLE must be a dictionary, got list"),
        (_rle(None), TypeError, "counts must be bytes, text or numbers, got NoneType"),
        (_rle(6), TypeError, "counts must be bytes, text or numbers, got int"),
        (_rle(RUNS, (6,)), InputError, r"size must be \(height, width\), got 1 numbers"),
        (_rle(RUNS, (2, -3)), InputError, r"size\[1\] must be finite and at least 0, got -3"),
        (_rle(RUNS, (2.5, 3)), InputError, r"size must be whole numbers of pixels, got \(2.5, 3\)"),
        (_rle(RUNS, "23"), InputError, "size must be a sequence of numbers, got '23'"),
    ],
)
def test_decoding_refuses(rle, error, message):
    for function in (ops.rle_decode, ops.rle_area, ops.rle_to_box):
        with pytest.raises(error, match=message):
            function(rle)
