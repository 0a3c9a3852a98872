"""The same pictures as torch, torchvision, Pillow and scikit-learn make of them."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from sklearn.preprocessing import StandardScaler
from torch.nn.functional import interpolate
from torchvision.transforms.v2 import functional as tv
from torchvision.tv_tensors import BoundingBoxes

from cvlab.data import photos, read_image, save_image
from cvlab.preprocess import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    ChannelStats,
    letterbox,
    normalize,
    resize,
    resize_weights,
    stretch,
)

SIZES = [(7, 5), (33, 17), (64, 48), (1, 9), (101, 3)]
PILLOW = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


def pillow(image):
    return Image.fromarray(image.permute(1, 2, 0).numpy())


def pixels(image):
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)


def levels_apart(a, b):
    return int((a.int() - b.int()).abs().max())


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("old_size", SIZES)
@pytest.mark.parametrize("method", ["bilinear", "bicubic"])
@pytest.mark.parametrize("antialias", [True, False])
def test_resize_is_that_of_torch(old_size, size, method, antialias):
    images = torch.rand(2, 3, *old_size, generator=torch.Generator().manual_seed(0))
    expected = interpolate(images, size=size, mode=method, antialias=antialias)
    torch.testing.assert_close(resize(images, size, method, antialias), expected, atol=1e-5, rtol=0)


def test_nearest_is_that_of_torch_but_on_the_edge_between_two_pixels():
    for n_in in range(1, 40):
        for n_out in range(1, 40):
            expected = interpolate(torch.arange(n_in).double()[None, None], size=n_out, mode="nearest-exact")[0, 0]
            found = resize(torch.arange(n_in)[None], (1, n_out), "nearest")[0]
            on_edge = (2 * torch.arange(n_out) + 1) * n_in % (2 * n_out) == 0
            assert torch.equal(found[~on_edge].double(), expected[~on_edge])
            assert bool(((found - expected)[on_edge] <= 1).all())
            assert bool(((found - expected)[on_edge] >= 0).all())


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("old_size", SIZES)
def test_bilinear_is_that_of_pillow(old_size, size):
    image = torch.randint(0, 256, (3, *old_size), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    expected = pixels(pillow(image).resize(size[::-1], PILLOW["bilinear"]))
    assert levels_apart(resize(image, size), expected) <= 1


@pytest.mark.parametrize("name", ["chelsea", "coffee", "china"])
@pytest.mark.parametrize("method", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", [(97, 131), (501, 333), (33, 401)])
def test_resized_photographs_are_those_of_pillow(name, method, size):
    """Compressed to 64 to 191, since Pillow cuts bicubic overshoot off between the two directions."""
    image = photos.load(name, torch.uint8)[:, :201, :303] // 2 + 64
    expected = pixels(pillow(image).resize(size[::-1], PILLOW[method]))
    assert levels_apart(resize(image, size, method), expected) <= 1


def test_the_two_bicubic_kernels_differ():
    """Torch's bicubic has another constant without antialias than with: the same call, another picture."""
    with_filter, without = resize_weights(9, 18, "bicubic"), resize_weights(9, 18, "bicubic", antialias=False)
    assert (with_filter - without).abs().max() > 0.02


@pytest.mark.parametrize("image_size", [(201, 303), (303, 201), (64, 64), (50, 301), (9, 5), (3, 40), (333, 100)])
@pytest.mark.parametrize("size", [(128, 128), (97, 160), (320, 201), (7, 8)])
def test_letterbox_is_pad_of_pillow(image_size, size):
    image = torch.randint(0, 256, (3, *image_size), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    to_input = letterbox(image_size, size)
    contained = ImageOps.contain(pillow(image), size[::-1])
    assert to_input.content == contained.size[::-1]
    expected = ImageOps.pad(pillow(image), size[::-1], Image.Resampling.BILINEAR, color=(114, 114, 114))
    assert levels_apart(to_input.image(image), pixels(expected)) <= 1


def test_masks_are_resized_as_by_pillow():
    mask = torch.rand(64, 96, generator=torch.Generator().manual_seed(0)) < 0.5
    for size in ((40, 60), (101, 77), (65, 95)):
        expected = Image.fromarray(mask.numpy()).resize(size[::-1], Image.Resampling.NEAREST)
        on_edge = [(2 * torch.arange(n) + 1) * old % (2 * n) == 0 for n, old in zip(size, mask.shape, strict=True)]
        clear = ~(on_edge[0][:, None] | on_edge[1])
        assert torch.equal(stretch((64, 96), size).masks(mask)[clear], torch.from_numpy(np.array(expected))[clear])


def test_normalize_is_that_of_torchvision():
    images = torch.rand(4, 3, 8, 9, generator=torch.Generator().manual_seed(0))
    expected = tv.normalize(images, list(IMAGENET_MEAN), list(IMAGENET_STD))
    torch.testing.assert_close(normalize(images, IMAGENET_MEAN, IMAGENET_STD), expected, atol=1e-6, rtol=0)


def test_statistics_are_those_of_scikit_learn():
    images = torch.rand(7, 3, 8, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    scaler, stats = StandardScaler(), ChannelStats()
    for batch in images.split(2):
        scaler.partial_fit(batch.movedim(1, -1).reshape(-1, 3).numpy())  # (B * H * W, C)
        stats.update(batch)
    np.testing.assert_allclose(stats.mean, scaler.mean_, atol=1e-12)
    np.testing.assert_allclose(stats.std, scaler.scale_, atol=1e-12)


def test_resized_boxes_are_those_of_torchvision():
    boxes = torch.tensor([[3.0, 5.0, 50.0, 33.0], [0.0, 0.0, 96.0, 64.0]])
    theirs = tv.resize(BoundingBoxes(boxes, format="XYXY", canvas_size=(64, 96)), [40, 77])
    torch.testing.assert_close(stretch((64, 96), (40, 77)).boxes(boxes), theirs.as_subclass(torch.Tensor))


def test_read_image_is_that_of_torchvision_for_plain_pictures(tmp_path):
    save_image(tmp_path / "cat.png", photos.load("chelsea", torch.uint8))
    with Image.open(tmp_path / "cat.png") as stored:
        assert torch.equal(read_image(tmp_path / "cat.png", torch.uint8), tv.pil_to_tensor(stored))
