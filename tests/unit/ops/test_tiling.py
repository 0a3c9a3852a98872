"""Prediction by tiles: by hand, against plain loops and whole pictures, its memory, and what it refuses."""

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from cvlab import ops


class Network(nn.Module):
    """A random network with zero padding: two 5 x 5 convolutions, or down to a quarter of the size and up again."""

    def __init__(self, stride, seed=0):
        super().__init__()
        self.stride = stride
        if stride == 1:  # a pixel sees 4 to each side
            layers = [nn.Conv2d(2, 8, 5, padding=2), nn.ReLU(), nn.Conv2d(8, 3, 5, padding=2)]
        else:  # a pixel sees 9 to the left and above at most, 7 outside a tile that starts at a multiple of 4
            layers = [nn.Conv2d(2, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 8, 3, 2, 1), nn.ReLU()]
            layers += [nn.ConvTranspose2d(8, 8, 4, 2, 1), nn.ReLU(), nn.ConvTranspose2d(8, 3, 4, 2, 1)]
        self.radius = 4 if stride == 1 else 7
        self.layers = nn.Sequential(*layers)
        g = torch.Generator().manual_seed(seed)
        for weights in self.parameters():  # logits of size 1 or so, all of them, at the border too
            weights.data = torch.randn(weights.shape, generator=g) * 2 / max(1, weights[0].numel()) ** 0.5
        self.eval()

    def forward(self, images):
        return self.layers(images)[..., : images.shape[2], : images.shape[3]]


def _picture(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def _whole(network, image):
    with torch.no_grad():
        return network(image[None])[0]


def test_starts_by_hand():
    assert ops.tile_starts(10, 10, 0) == [0]
    assert ops.tile_starts(3, 10, 9) == [0]
    assert ops.tile_starts(20, 10, 0) == [0, 10]
    assert ops.tile_starts(21, 10, 0) == [0, 10, 11]
    assert ops.tile_starts(20, 10, 4) == [0, 6, 10]
    assert ops.tile_starts(20, 10, 4, stride=4) == [0, 4, 8, 12]  # steps of 6 become 4; the last has 8 pixels
    assert ops.tile_starts(20.0, 10.0, np.int64(4)) == [0, 6, 10]


@pytest.mark.parametrize(
    ("kind", "margin", "expected"),
    [
        ("flat", 0, [1, 1, 1, 1, 1, 1]),
        ("flat", 1, [0, 1, 1, 1, 1, 1]),
        ("linear", 0, [1 / 8, 3 / 8, 5 / 8, 7 / 8, 1, 1]),
        ("linear", 1, [0, 1 / 4, 3 / 4, 1, 1, 1]),
        ("linear", 2, [0, 0, 1, 1, 1, 1]),  # nothing left to rise over
        ("hann", 1, [0, math.sin(math.pi / 8) ** 2, math.cos(math.pi / 8) ** 2, 1, 1, 1]),
    ],
)
def test_window_by_hand(kind, margin, expected):
    expected = torch.tensor(expected, dtype=torch.float64)
    torch.testing.assert_close(ops.tile_window(6, 4, 0, margin, kind), expected)
    torch.testing.assert_close(ops.tile_window(6, 0, 4, margin, kind), expected.flip(0))
    assert torch.equal(ops.tile_window(6, 0, 0, margin, kind), torch.ones(6, dtype=torch.float64))
    both = ops.tile_window(6, 4, 4, margin, kind)  # more than half is shared on either side
    torch.testing.assert_close(both, expected * expected.flip(0))


@pytest.mark.parametrize("window", ["flat", "linear", "hann"])
@pytest.mark.parametrize("stride", [1, 4])
@pytest.mark.parametrize("size", [(61, 83), (64, 96), (40, 129), (17, 90), (21, 13)])
def test_with_enough_margin_it_is_the_prediction_of_the_whole_picture(window, stride, size):
    network, image = Network(stride), _picture(2, *size)
    whole = _whole(network, image)
    settings = {"tile": 32, "overlap": 20, "stride": stride, "margin": network.radius, "window": window}
    tiles = ops.predict_tiles(network, image, **settings, result="logits")
    assert whole.std() > 0.1
    torch.testing.assert_close(tiles, whole, atol=1e-5, rtol=0)  # at the border of the picture too


@pytest.mark.parametrize("stride", [1, 4])
def test_a_pixel_less_of_margin_is_seen(stride):
    network, image = Network(stride), _picture(2, 61, 83)
    settings = {"tile": 32, "overlap": 20, "stride": stride, "result": "logits", "margin": network.radius - 1}
    error = (ops.predict_tiles(network, image, **settings) - _whole(network, image)).abs()
    assert error.max() > 1e-3


@pytest.mark.parametrize("overlap", [0, 8])
@pytest.mark.parametrize("stride", [1, 4])
def test_without_margin_it_differs_near_the_seams_and_only_there(stride, overlap):
    network, image = Network(stride), _picture(2, 32, 104)
    tiles = ops.predict_tiles(network, image, tile=32, overlap=overlap, stride=stride, result="logits")
    error = (tiles - _whole(network, image)).abs().amax((0, 1))  # (W,)
    near = torch.zeros(104, dtype=torch.bool)
    for start in ops.tile_starts(104, 32, overlap, stride):
        for edge in (start, start + 32):
            if 0 < edge < 104:
                near[edge - network.radius : edge + network.radius] = True
    assert 0 < near.sum() < 104
    assert error[near].max() > 0.05
    assert error[~near].max() < 1e-5


def test_a_stride_that_is_not_respected_is_seen():
    """Tiles that start between the cells of the coarse map have other cells, however wide the margin is."""
    network, image = Network(4), _picture(2, 61, 83)
    settings = {"tile": 32, "overlap": 21, "margin": 9, "result": "logits"}
    error = (ops.predict_tiles(network, image, **settings) - _whole(network, image)).abs()
    assert error.max() > 0.05


def _by_loops(predicted, size, tile, overlap, margin, window):
    """Add up weighted logits and weights over the whole picture, pixel by pixel, and divide."""
    (tops, rows), (lefts, columns) = (ops.tile_weights(length, tile, overlap) for length in size)
    windows = []
    for starts, parts, length in ((tops, rows, size[0]), (lefts, columns, size[1])):
        ends = [start + len(part) for start, part in zip(starts, parts, strict=True)]
        before = [0] + [end - start for end, start in zip(ends[:-1], starts[1:], strict=True)]
        after = before[1:] + [0]
        assert ends[-1] == length
        windows.append(
            [ops.tile_window(len(p), b, a, margin, window) for p, b, a in zip(parts, before, after, strict=True)]
        )
    sums, weights = np.zeros((len(predicted[0]), *size)), np.zeros(size)
    numbers = iter(predicted)
    for i, top in enumerate(tops):
        for j, left in enumerate(lefts):
            logits = next(numbers)
            for y, wy in enumerate(windows[0][i].tolist()):
                for x, wx in enumerate(windows[1][j].tolist()):
                    sums[:, top + y, left + x] += wy * wx * logits[:, y, x].numpy()
                    weights[top + y, left + x] += wy * wx
    return torch.from_numpy(sums / weights).float()


@pytest.mark.parametrize("overlap", [4, 5, 9])  # 9 of 12: pixels with up to four tiles along each side
@pytest.mark.parametrize("window", ["flat", "linear", "hann"])
def test_against_plain_loops(window, overlap):
    predicted, g = [], torch.Generator().manual_seed(0)

    def function(tiles):
        predicted.extend(torch.randn(len(tiles), 3, *tiles.shape[2:], generator=g))
        return torch.stack(predicted[-len(tiles) :])

    settings = {"tile": 12, "overlap": overlap, "margin": 2, "window": window}
    found = ops.predict_tiles(function, _picture(1, 22, 29), **settings, batch_size=2, result="logits")
    torch.testing.assert_close(found, _by_loops(predicted, (22, 29), **settings), atol=1e-5, rtol=1e-5)


def test_tiles_come_row_by_row_in_batches_of_one_width():
    place = torch.stack(torch.meshgrid(torch.arange(10.0), torch.arange(26.0), indexing="ij"))
    seen = []

    def function(tiles):
        seen.append([tuple(tile[:, 0, 0].int().tolist()) for tile in tiles])
        assert tiles.shape[2:] in [(8, 8), (8, 6), (6, 8), (6, 6)]
        return tiles

    ops.predict_tiles(function, place, tile=8, overlap=0, stride=4, batch_size=2)
    assert seen == [batch for y in (0, 4) for batch in ([(y, 0), (y, 8)], [(y, 16)], [(y, 20)])]


@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_the_batch_size_does_not_matter(batch_size):
    network, image = Network(4), _picture(2, 61, 83)
    settings = {"tile": 24, "overlap": 8, "stride": 4, "result": "logits"}
    some = ops.predict_tiles(network, image, **settings, batch_size=batch_size)
    torch.testing.assert_close(some, ops.predict_tiles(network, image, **settings), atol=1e-5, rtol=0)


@pytest.mark.parametrize("overlap", [0, 30, 90])
def test_large_tiles_are_finished_in_parts(overlap):
    image = _picture(2, 330, 21)
    heights = set()

    def result(logits):
        heights.add(logits.shape[1])
        return logits

    found = ops.predict_tiles(lambda tiles: tiles, image, tile=150, overlap=overlap, result=result)
    torch.testing.assert_close(found, image, atol=1e-6, rtol=0)
    assert max(heights) < 150


def test_a_constant_stays_a_constant():
    logits = torch.tensor([1.0, -2.0, 0.25])
    found = ops.predict_tiles(
        lambda tiles: logits[None, :, None, None].expand(len(tiles), 3, *tiles.shape[2:]),
        _picture(3, 50, 41),
        tile=16,
        overlap=11,
        margin=3,
        window="hann",
        result="logits",
    )
    torch.testing.assert_close(found, logits[:, None, None].expand(3, 50, 41))


def test_results_are_made_of_the_mean_logits():
    network, image = Network(1), _picture(2, 40, 50)

    def predict(result):
        return ops.predict_tiles(network, image, tile=16, overlap=6, window="flat", result=result)

    logits = predict("logits")
    assert torch.equal(predict("labels"), logits.argmax(0).to(torch.uint8))
    assert len(predict("labels").unique()) > 1
    torch.testing.assert_close(predict("probabilities"), logits.softmax(0))
    largest = predict(lambda values: values.amax(0))
    assert torch.equal(largest, logits.amax(0))
    assert torch.equal(predict(lambda values: values[:2, None]), logits[:2, None])  # (2, 1, H, W)


def test_logits_are_averaged_before_the_softmax():
    """One tile is sure of class 0, the other leans to class 1: the mean of probabilities would take class 1."""
    answers = iter([[4.0, 0.0], [-2.0, 0.0]])  # logits: mean 1 against 0; probabilities of class 0: 0.98, 0.12

    def function(tiles):
        values = torch.tensor([next(answers) for _ in tiles])
        return values[:, :, None, None].expand(-1, -1, *tiles.shape[2:])

    found = ops.predict_tiles(function, _picture(1, 4, 6), tile=4, overlap=2, window="flat", result="probabilities")
    torch.testing.assert_close(found[0, 0, 2], torch.tensor(1.0).sigmoid())  # 0.73; the mean would be 0.55
    torch.testing.assert_close(found[0, 0, [0, 5]], torch.tensor([4.0, -2.0]).sigmoid())


@pytest.mark.parametrize(("classes", "dtype"), [(2, torch.uint8), (256, torch.uint8), (257, torch.int16)])
def test_labels_have_room_for_all_classes(classes, dtype):
    def function(tiles):  # the class is the tile's value
        return -(tiles - torch.arange(float(classes))[:, None, None]).abs()

    image = torch.randint(classes, (1, 9, 14), generator=torch.Generator().manual_seed(0)).float()
    image[0, 0, 0] = classes - 1
    labels = ops.predict_tiles(function, image, tile=6, overlap=2)
    assert labels.dtype == dtype
    assert torch.equal(labels.long(), image[0].long())


def test_more_classes_than_int16_holds():
    def function(tiles):
        logits = torch.zeros(len(tiles), 2**15 + 1, *tiles.shape[2:])
        logits[:, 2**15] = 1
        return logits

    labels = ops.predict_tiles(function, torch.zeros(1, 2, 2), tile=2, overlap=0)
    assert labels.tolist() == [[2**15] * 2] * 2


def test_dictionaries_half_and_double_precision():
    network, image = Network(1), _picture(2, 20, 30)
    settings = {"tile": 16, "overlap": 8, "result": "logits"}
    plain = ops.predict_tiles(network, image, **settings)
    assert torch.equal(ops.predict_tiles(lambda tiles: {"out": network(tiles), "aux": 0}, image, **settings), plain)
    half = ops.predict_tiles(lambda tiles: network(tiles).bfloat16(), image, **settings)
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, plain, atol=0.05, rtol=0.02)
    double = ops.predict_tiles(Network(1).double(), image.double(), **settings)
    assert double.dtype == torch.float64
    torch.testing.assert_close(double.float(), plain, atol=1e-5, rtol=0)


def test_no_gradients_are_kept():
    network, image = Network(1), _picture(2, 20, 30).requires_grad_()

    def function(tiles):
        assert not torch.is_grad_enabled()
        return network(tiles)

    assert not ops.predict_tiles(function, image, tile=16, overlap=8, result="logits").requires_grad
    assert torch.is_grad_enabled()


def test_tiles_are_brought_to_the_device():
    devices = []

    def function(tiles):
        devices.append(tiles.device.type)
        return torch.zeros(len(tiles), 2, *tiles.shape[2:])

    labels = ops.predict_tiles(function, _picture(1, 6, 6), tile=4, overlap=0, device="meta")
    assert set(devices) == {"meta"}
    assert labels.device.type == "cpu"


def test_pictures_and_results_on_disk(tmp_path):
    network = Network(1)
    pixels = np.random.default_rng(0).integers(0, 256, (45, 70, 2), dtype=np.uint8)  # channels last, as files have it
    np.save(tmp_path / "picture.npy", pixels)
    on_disk = np.moveaxis(np.load(tmp_path / "picture.npy", mmap_mode="r"), -1, 0)
    types = set()

    def function(tiles):
        types.add(tiles.dtype)
        return network(tiles / 255)

    settings = {"tile": 32, "overlap": 8, "result": "probabilities"}
    expected = ops.predict_tiles(function, torch.from_numpy(pixels).permute(2, 0, 1), **settings)
    assert torch.equal(ops.predict_tiles(function, on_disk, **settings), expected)
    assert types == {torch.uint8}
    out = np.lib.format.open_memmap(tmp_path / "out.npy", "w+", np.float32, (3, 45, 70))
    assert ops.predict_tiles(function, on_disk, **settings, out=out) is out
    out.flush()
    assert np.array_equal(np.load(tmp_path / "out.npy"), expected.numpy())
    given = torch.zeros(3, 45, 70)
    assert ops.predict_tiles(function, on_disk, **settings, out=given) is given
    assert torch.equal(given, expected)


def test_arrays_mirrored_and_of_foreign_byte_order():
    pixels = np.random.default_rng(0).random((2, 30, 20)).astype(np.float32)
    network, settings = Network(1), {"tile": 16, "overlap": 8, "result": "logits"}
    expected = ops.predict_tiles(network, torch.from_numpy(pixels), **settings)
    assert torch.equal(ops.predict_tiles(network, pixels.astype(">f4"), **settings), expected)
    mirrored = np.ascontiguousarray(pixels[..., ::-1])[..., ::-1]
    assert torch.equal(ops.predict_tiles(network, mirrored, **settings), expected)
    out = np.zeros((3, 30, 20), ">f4")
    ops.predict_tiles(network, pixels, **settings, out=out)
    assert np.array_equal(out, expected.numpy())


MEASURE = """
import sys
import numpy as np
import torch
from cvlab import ops

torch.set_num_threads(1)

def memory(field):
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith(field)) * 1024

weights = torch.randn(11, 3, 1, 1)

def function(tiles):
    return torch.nn.functional.conv2d(tiles.float(), weights)

image = np.load(sys.argv[1], mmap_mode="r")
function(torch.zeros(1, 3, 8, 8))
before = memory("VmRSS")
labels = ops.predict_tiles(function, image, tile=512, overlap=64)
print(memory("VmHWM") - before, *labels.shape)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak of memory from /proc")
def test_a_large_picture_takes_less_than_a_gigabyte(tmp_path):
    """Labels are 17 MB, a row of tiles 92 MB, the picture's pages on disk 50 MB; logits of the whole were 738 MB."""
    np.save(tmp_path / "large.npy", np.random.default_rng(0).integers(0, 256, (3, 4096, 4096), dtype=np.uint8))
    command = [sys.executable, "-c", MEASURE, str(tmp_path / "large.npy")]
    growth, height, width = map(int, subprocess.check_output(command, text=True).split())
    assert (height, width) == (4096, 4096)
    assert growth < 400e6


@pytest.mark.parametrize(("horizontal", "vertical"), [(True, True), (True, False), (False, True), (False, False)])
def test_flips_by_hand(horizontal, vertical):
    network, images = Network(4), _picture(2, 2, 22, 31)
    views = [network(images)]
    if horizontal:
        views.append(network(images[..., range(30, -1, -1)])[..., range(30, -1, -1)])
    if vertical:
        views.append(network(images[:, :, range(21, -1, -1)])[:, :, range(21, -1, -1)])
    if horizontal and vertical:
        views.append(torch.rot90(network(torch.rot90(images, 2, (2, 3))), 2, (2, 3)))
    found = ops.with_flips(network, horizontal, vertical)(images)
    torch.testing.assert_close(found, torch.stack(views).mean(0))


def test_flips_are_equivariant_and_go_with_tiles():
    network, image = Network(1), _picture(2, 40, 54)
    flipped = ops.with_flips(lambda images: {"out": network(images)})
    with torch.no_grad():
        whole = flipped(image[None])["out"][0]
        for dims in ([1], [2], [1, 2]):
            mirrored = flipped(image.flip(dims)[None])["out"][0]
            torch.testing.assert_close(mirrored, whole.flip(dims), atol=1e-5, rtol=0)
    tiles = ops.predict_tiles(flipped, image, tile=24, overlap=8, margin=4, result="logits")
    torch.testing.assert_close(tiles, whole, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 8, 0), "size must be a whole number of at least 1, got 0"),
        ((20, 8, -1), "overlap must be a whole number of at least 0, got -1"),
        ((20, 8, float("nan")), "overlap must be a finite number, got nan"),
        ((20, 8, 1.5), "overlap must be a whole number of at least 0, got 1.5"),
        ((20, 8, 8), "overlap must be smaller than the tile 8, got 8"),
        ((20, 8, 0, 16), "tile must not be smaller than the network's stride 16, got 8"),
        ((20, 8, 5, 4), "tile - overlap must be at least the network's stride 4, got 8 - 5 = 3"),
        ((20, 8, 0, 0), "stride must be a whole number of at least 1, got 0"),
        (
            (49, 48, 0, 32),
            "must not be smaller than the network's stride 32, got 17 of 49 pixels; a tile of 63 or more",
        ),
        ((20, "8", 0), "tile must be a finite number, got '8'"),
    ],
)
def test_tiles_that_cannot_be_placed(arguments, message):
    with pytest.raises(ValueError, match=f"tile_starts: .*{message}"):
        ops.tile_starts(*arguments)
    with pytest.raises(ValueError, match=f"tile_weights: .*{message}"):
        ops.tile_weights(*arguments)
    size, tile, overlap, *stride = arguments
    if size:
        settings = {"tile": tile, "overlap": overlap, "stride": (stride or [1])[0]}
        with pytest.raises(ValueError, match=f"predict_tiles: .*{message}"):
            ops.predict_tiles(lambda tiles: tiles, torch.zeros(2, 4, size), **settings)


def test_windows_that_do_not_cover():
    with pytest.raises(ValueError, match="tile_weights: overlap must be at least two margins, 10, got 9"):
        ops.tile_weights(50, 32, 9, margin=5)
    with pytest.raises(ValueError, match="predict_tiles: overlap must be at least two margins, 10, got 9"):
        ops.predict_tiles(lambda tiles: tiles, torch.zeros(2, 50, 50), tile=32, overlap=9, margin=5)
    with pytest.raises(ValueError, match="margin must be a whole number of at least 0, got -1"):
        ops.tile_weights(50, 32, 9, margin=-1)
    with pytest.raises(ValueError, match="window must be one of flat, linear, hann, got 'square'"):
        ops.tile_weights(50, 32, 9, window="square")
    with pytest.raises(ValueError, match="kind must be one of flat, linear, hann, got 'square'"):
        ops.tile_window(8, 0, 0, 0, "square")
    with pytest.raises(ValueError, match="tile_window: after must not exceed the length 8, got 9"):
        ops.tile_window(8, 0, 9)
    with pytest.raises(ValueError, match="tile_window: before must be 0 or at least two margins, 6, got 5"):
        ops.tile_window(8, 5, 0, 3)
    with pytest.raises(ValueError, match="tile_window: length must be a whole number of at least 1, got 0"):
        ops.tile_window(0, 0, 0)


def _predict(function=lambda tiles: tiles, image=None, **settings):
    image = torch.zeros(2, 20, 30) if image is None else image
    return ops.predict_tiles(function, image, **{"tile": 16, "overlap": 4, **settings})


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (
            lambda tiles: tiles[..., 1:-1, 1:-1],
            r"tiles from row 0, column 0 on: logits must have shape \(2, K, 16, 16\), got \(2, 2, 14, 14\)",
        ),
        (lambda tiles: tiles[0], r"logits must have shape \(2, K, 16, 16\), got \(2, 16, 16\)"),
        (lambda tiles: tiles[:1], r"logits must have shape \(2, K, 16, 16\), got \(1, 2, 16, 16\)"),
        (lambda tiles: tiles.long(), "logits must be floating point, got torch.int64"),
        (lambda tiles: tiles / 0, r"column 0 on: logits\[0, 0, 0, 0\] is not finite: nan"),
        (lambda tiles: {"logits": tiles}, r"a dictionary of logits must have 'out', got \['logits'\]"),
        (nn.Conv2d(2, 2, 1), "the network is in training mode, call its eval"),
    ],
)
def test_functions_that_give_something_else(function, message):
    with pytest.raises(ValueError, match=f"predict_tiles, .*{message}"):
        _predict(function, batch_size=2)


def test_a_later_tile_with_a_fault_is_named():
    image = torch.zeros(2, 20, 30)
    image[1, 19, 3] = float("inf")
    with pytest.raises(ValueError, match=r"row 4, column 0 on: logits\[0, 1, 15, 3\] is not finite: inf"):
        _predict(image=image, batch_size=1)
    count = iter((3, 3, 3, 3, 4))
    with pytest.raises(ValueError, match=r"row 4, column 12 on: logits must have shape \(1, 3, 16, 16\), got \(1, 4,"):
        _predict(lambda tiles: torch.zeros(1, next(count), *tiles.shape[2:]), batch_size=1)


def test_other_bad_input():
    with pytest.raises(
        ValueError, match=r"predict_tiles: image must have shape \(C, H, W\), none of them 0, got \(20, 30\)"
    ):
        _predict(image=torch.zeros(20, 30))
    with pytest.raises(ValueError, match=r"got \(1, 2, 20, 30\)"):
        _predict(image=np.zeros((1, 2, 20, 30)))
    with pytest.raises(ValueError, match=r"none of them 0, got \(2, 0, 30\)"):
        _predict(image=torch.zeros(2, 0, 30))
    with pytest.raises(TypeError, match="predict_tiles: image must be a tensor or an array, got list"):
        _predict(image=[[[0.0]]])
    with pytest.raises(TypeError, match="logits must be a torch.Tensor, got ndarray"):
        _predict(lambda tiles: tiles.numpy())
    with pytest.raises(ValueError, match="batch_size must be a whole number of at least 1, got 0"):
        _predict(batch_size=0)
    with pytest.raises(ValueError, match="result must be one of labels, probabilities, logits, got 'classes'"):
        _predict(result="classes")
    for result in ("labels", "probabilities"):
        with pytest.raises(ValueError, match=f"{result} need two classes or more, got 1; for a single logit"):
            _predict(image=torch.zeros(1, 20, 30), result=result)
    assert _predict(image=torch.ones(1, 20, 30), result=lambda logits: logits[0] > 0).all()
    with pytest.raises(ValueError, match=r"what result gives must have shape \(..., 12, 30\), got \(2, 12\)"):
        _predict(image=torch.zeros(2, 28, 30), result=lambda logits: logits.amax(2))
    with pytest.raises(TypeError, match="what result gives must be a torch.Tensor, got float"):
        _predict(result=lambda logits: 0.0)


def test_results_that_do_not_fit():
    with pytest.raises(ValueError, match=r"predict_tiles: out must have shape \(20, 30\), got \(30, 20\)"):
        _predict(out=torch.zeros(30, 20, dtype=torch.uint8))
    with pytest.raises(ValueError, match=r"out must have shape \(2, 20, 30\), got \(20, 30\)"):
        _predict(out=np.zeros((20, 30), np.float32), result="logits")
    with pytest.raises(ValueError, match="out must be float32, got uint8"):
        _predict(out=np.zeros((2, 20, 30), np.uint8), result="probabilities")
    with pytest.raises(ValueError, match="out must be uint8, got float32"):
        _predict(out=torch.zeros(20, 30))


def test_flips_of_something_else():
    with pytest.raises(ValueError, match=r"with_flips: images must have shape \(B, C, h, w\), got \(2, 8, 8\)"):
        ops.with_flips(lambda images: images)(torch.zeros(2, 8, 8))
    with pytest.raises(ValueError, match=r"with_flips: logits must have shape \(B, K, h, w\), got \(8, 8\)"):
        ops.with_flips(lambda images: images[0, 0])(torch.zeros(2, 2, 8, 8))
    with pytest.raises(ValueError, match="with_flips: the network is in training mode, call its eval"):
        ops.with_flips(nn.Conv2d(2, 2, 1))(torch.zeros(2, 2, 8, 8))
    with pytest.raises(TypeError, match="with_flips: logits must be a torch.Tensor, got int"):
        ops.with_flips(lambda images: 0)(torch.zeros(2, 2, 8, 8))
