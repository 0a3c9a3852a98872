import io
import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from cvlab._check import InputError
from cvlab.data import StillLife, photos
from cvlab.data.hashing import GREY_LEVEL, RELATIVE_STEP, THRESHOLD, content_hash, dhash, hamming, near_duplicates


@pytest.fixture(scope="module")
def pictures():
    data = StillLife(size=96, length=60, dtype=torch.uint8)
    return [photos.load(name, torch.uint8) for name in photos.names()] + [data[i][0] for i in range(60)]


def pillow(image):
    return Image.fromarray(image.permute(1, 2, 0).numpy())


def tensor(picture):
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)


def as_jpeg(image):
    file = io.BytesIO()
    pillow(image).save(file, "JPEG", quality=30)
    return tensor(Image.open(file))


def halved(image):
    return tensor(pillow(image).resize((image.shape[2] // 2, image.shape[1] // 2)))


def brighter(image):
    return (image.float() * 1.2).clamp(max=255).to(torch.uint8)


# The difference hash.


def test_dhash_by_hand():
    # Cells of one pixel, so nothing is resized: each row rises at every second of its 8 steps, 0b10101010.
    image = torch.tensor([0.2, 0.8] * 4 + [0.2]).expand(1, 8, 9)
    assert dhash(image, bits=64) == 0xAAAAAAAAAAAAAAAA


def test_dhash_downwards_is_that_of_the_turned_picture(pictures):
    image = pictures[0]
    rows, columns = dhash(image, bits=64), dhash(image.transpose(1, 2), bits=64)
    assert dhash(image) == rows << 64 | columns


def test_only_a_step_above_the_noise_counts():
    # The last step of the first row goes from 0 to 1, which sets the range; the one before from 0 to 0.03 or 0.031.
    image = torch.zeros(1, 8, 9)
    image[0, 0, 8] = 1
    image[0, 4, 3:] = RELATIVE_STEP
    assert dhash(image, bits=64) == 1 << 56
    image[0, 4, 3:] = RELATIVE_STEP + 0.001
    assert dhash(image, bits=64) == 1 << 56 | 1 << 29  # row 4, step 2: bit 63 - 34


def test_dhash_agrees_with_pillow(pictures):
    """Pillow's bilinear filter widens with the reduction as torch's antialias does."""
    for image in pictures:
        grey = np.tensordot([0.299, 0.587, 0.114], image.numpy() / 255, axes=1).astype(np.float32)
        small = np.array(Image.fromarray(grey).resize((9, 8), Image.Resampling.BILINEAR))
        steps = np.diff(small, axis=1) > max(GREY_LEVEL, RELATIVE_STEP * np.ptp(small))
        expected = int("".join("01"[int(step)] for step in steps.ravel()), 2)
        assert hamming(dhash(image, bits=64), expected) <= 1  # a step as large as the noise


def test_dhash_of_floats_and_bytes_and_of_one_channel(pictures):
    for image in pictures[:12]:
        assert hamming(dhash(image), dhash(image / 255)) <= 1
    grey = photos.load("camera")
    assert hamming(dhash(grey[:1]), dhash(grey)) <= 1


@pytest.mark.parametrize("level", [0.0, 0.3, 1 / 3, 0.77, 1.0])
@pytest.mark.parametrize("size", [(1, 1), (7, 5), (64, 64), (300, 451)])
def test_flat_pictures_hash_to_zero(level, size):
    assert dhash(torch.full((3, *size), level)) == 0


def test_noise_below_a_grey_level_is_flat():
    generator = torch.Generator().manual_seed(0)
    dark = torch.rand(3, 64, 64, generator=generator) / 255
    assert dhash(dark) == 0


@pytest.mark.parametrize("change", [as_jpeg, halved])
def test_compressed_and_shrunk_pictures_are_found(pictures, change):
    assert max(hamming(dhash(image), dhash(change(image))) for image in pictures) <= THRESHOLD


def test_brighter_pictures_are_found(pictures):
    far = [hamming(dhash(image), dhash(brighter(image))) > THRESHOLD for image in pictures]
    assert not any(far[:12])  # the photographs
    assert sum(far) <= 4  # of 60 still lifes: those of which much becomes plain white


def test_different_pictures_are_not_alike(pictures):
    assert near_duplicates([dhash(image) for image in pictures]) == []  # 72 * 71 / 2 = 2556 pairs


@pytest.mark.parametrize(
    ("image", "error", "message"),
    [
        (torch.zeros(8, 9), InputError, r"dhash: image must have shape \(C, H, W\), got \(8, 9\)"),
        (torch.zeros(4, 8, 9), InputError, r"dhash: image must have 1 or 3 channels and some pixels, got \(4, 8, 9\)"),
        (torch.zeros(3, 0, 9), InputError, r"some pixels, got \(3, 0, 9\)"),
        (torch.zeros(3, 8, 9, dtype=torch.int64), InputError, "must be float in .* or uint8, got torch.int64"),
        (torch.full((1, 2, 2), torch.nan), InputError, r"dhash: image\[0, 0, 0\] is not finite: nan"),
        (np.zeros((3, 8, 9)), TypeError, "dhash: image must be a torch.Tensor, got ndarray"),
    ],
)
def test_dhash_errors(image, error, message):
    with pytest.raises(error, match=message):
        dhash(image)


def test_dhash_of_another_length():
    with pytest.raises(InputError, match="dhash: bits must be 64 or 128, got 63"):
        dhash(torch.zeros(1, 8, 9), bits=63)


# The checksum.


def test_content_hash_is_the_same_for_the_same_pixels_only():
    image = torch.arange(24, dtype=torch.uint8).reshape(2, 3, 4)
    known = content_hash(image)
    assert content_hash(image.clone()) == known
    assert content_hash(image.flip(0).flip(0)) == known
    assert content_hash(image.transpose(1, 2).contiguous().transpose(1, 2)) == known  # the same, laid out otherwise
    others = [image.flip(2), image.reshape(2, 4, 3), image.float(), image.to(torch.int8), image[:1], image + 1]
    assert len({known, *map(content_hash, others)}) == 1 + len(others)


def test_content_hash_of_no_pixel():
    assert content_hash(torch.zeros(3, 0, 4)) != content_hash(torch.zeros(3, 4, 0))


def test_content_hash_of_no_tensor():
    with pytest.raises(TypeError, match="content_hash: image must be a torch.Tensor, got list"):
        content_hash([1])


# Comparing hashes.


def test_hamming_by_hand():
    assert hamming(0b1011, 0b0010) == 2
    assert hamming((1 << 127) | 1, 0) == 2


@pytest.mark.parametrize(
    ("a", "error", "message"),
    [(-1, InputError, "hamming: a must be at least 0, got -1"), (0.5, TypeError, "hamming: a must be a whole number")],
)
def test_hamming_errors(a, error, message):
    with pytest.raises(error, match=message):
        hamming(a, 0)


def test_near_duplicates_by_hand():
    a, b = 0xFFFF << 64, 0xFFFF
    # 0 and 4 differ in 2 bits, 1 and 2 in none, 3 in 16 from all others
    assert near_duplicates([a, b, b, 0xFFFF << 100, a ^ 0b11], threshold=2) == [[0, 4], [1, 2]]
    assert near_duplicates([a, b, b, 0xFFFF << 100, a ^ 0b11], threshold=1) == [[1, 2]]


def test_chains_are_joined():
    chain = [0xFFFFF << 20, 0xFFFFF << 20 | 1, 0xFFFFF << 20 | 3]
    assert near_duplicates(chain, threshold=1) == [[0, 1, 2]]  # 0 and 2 differ in 2 bits


def test_flat_pictures_are_not_compared():
    flat, nearly = 0, 0b1111111111  # ten ones are as near to 0 as ten bits of change
    assert near_duplicates([flat, flat, nearly, nearly]) == []
    assert near_duplicates([nearly << 1 | 1] * 2) == [[0, 1]]


@pytest.mark.parametrize("hashes", [[], [0], [1 << 63], [0, 0]])
def test_too_few_to_compare(hashes):
    assert near_duplicates(hashes, threshold=0) == []


@settings(deadline=None, derandomize=True, max_examples=50)
@given(st.lists(st.integers(0, 2**12 - 1), max_size=30), st.integers(0, 3))
def test_groups_are_those_of_a_slow_search(hashes, threshold):
    compared = [i for i, value in enumerate(hashes) if value.bit_count() > threshold]
    groups = [{i} for i in compared]
    for a, b in itertools.combinations(compared, 2):
        if hamming(hashes[a], hashes[b]) <= threshold:
            touched = [group for group in groups if a in group or b in group]
            groups = [group for group in groups if group not in touched] + [set().union(*touched)]
    assert near_duplicates(hashes, threshold) == sorted(sorted(group) for group in groups if len(group) > 1)


def test_many_hashes_in_several_blocks():
    generator = np.random.default_rng(0)
    hashes = [int.from_bytes(generator.bytes(16), "big") for _ in range(400)]
    hashes[399] = hashes[2] ^ 0b101
    hashes[250] = hashes[140]
    assert near_duplicates(hashes) == [[2, 399], [140, 250]]


@pytest.mark.parametrize(
    ("hashes", "threshold", "error", "message"),
    [
        ([1, -5], 10, InputError, r"near_duplicates: hashes\[1\] must be at least 0, got -5"),
        ([1, "a"], 10, TypeError, r"near_duplicates: hashes\[1\] must be a whole number, got 'a'"),
        ([1], -1, InputError, "near_duplicates: threshold must be at least 0, got -1"),
        ([1], True, TypeError, "near_duplicates: threshold must be a whole number, got True"),
    ],
)
def test_near_duplicates_errors(hashes, threshold, error, message):
    with pytest.raises(error, match=message):
        near_duplicates(hashes, threshold)
