"""Anchors by hand: area, ratio, centre and order."""

import math

import numpy as np
import pytest
import torch

from cvlab import ops
from cvlab._check import InputError


def _sides(anchors):
    return (anchors[:, 2] - anchors[:, 0]).double(), (anchors[:, 3] - anchors[:, 1]).double()


@pytest.mark.parametrize("map_size", [(4, 4), (10, 20), (3, 7)])
@pytest.mark.parametrize("image_size", [(64, 64), (561, 728), (100, 30)])
def test_area_and_ratio_are_right_whatever_the_shapes(map_size, image_size):
    scales, ratios = [0.2, 0.5], [1.0, 2.0, 0.5]
    anchors = ops.grid_anchors(map_size, image_size, scales, ratios, dtype=torch.float64)
    width, height = _sides(anchors)
    cells = map_size[0] * map_size[1]
    expected_area = torch.tensor([s * s * image_size[0] * image_size[1] for s in scales for _ in ratios]).double()
    torch.testing.assert_close(width * height, expected_area.repeat(cells), rtol=1e-6, atol=0)
    torch.testing.assert_close(width / height, torch.tensor(ratios * 2).double().repeat(cells), rtol=1e-9, atol=0)


def test_centres_go_row_by_row():
    anchors = ops.grid_anchors((2, 3), (20, 60), [0.1])  # cells are 20 wide, 10 high
    centres = (anchors[:, :2] + anchors[:, 2:]) / 2
    torch.testing.assert_close(centres, torch.tensor([[10.0, 5], [30, 5], [50, 5], [10, 15], [30, 15], [50, 15]]))


def test_offset_and_stride():
    anchors = ops.grid_anchors((1, 2), (100, 100), [8.0], unit="pixel", offset=0.0, stride=(16, 16))
    assert anchors.tolist() == [[-4, -4, 4, 4], [12, -4, 20, 4]]


@pytest.mark.parametrize(
    ("pairing", "expected"),
    [
        ("all", [(8, 1), (8, 4), (16, 1), (16, 4)]),
        ("all_by_ratio", [(8, 1), (16, 1), (8, 4), (16, 4)]),
        ("first", [(8, 1), (16, 1), (8, 4)]),
    ],
)
def test_pairings(pairing, expected):
    anchors = ops.grid_anchors((1, 1), (9, 9), [8.0, 16.0], [1.0, 4.0], unit="pixel", pairing=pairing)
    width, height = _sides(anchors)
    got = [(math.sqrt(w * h), w / h) for w, h in zip(width.tolist(), height.tolist(), strict=True)]
    assert got == [(pytest.approx(s), pytest.approx(r)) for s, r in expected]


def test_generator_over_several_maps():
    generator = ops.AnchorGenerator([[0.2, 0.3], [0.5]], [[1.0, 2.0], [1.0]], pairing="first")
    maps = [torch.zeros(1, 8, 4, 5, dtype=torch.float64), torch.zeros(1, 8, 2, 3, dtype=torch.float64)]
    first, second = generator(maps, (40, 50))
    assert generator.anchors_per_cell == [3, 1]
    assert first.shape == (4 * 5 * 3, 4)
    assert first.dtype == torch.float64
    alone = ops.grid_anchors((2, 3), (40, 50), [0.5], [1.0], dtype=torch.float64)
    assert torch.equal(second, alone)
    torch.testing.assert_close(generator([(4, 5), (2, 3)], (40, 50))[0], first.float())


def test_strides_floor_and_given():
    floor = ops.AnchorGenerator([[8.0]], unit="pixel", strides="floor", offset=0.0)
    given = ops.AnchorGenerator([[8.0]], unit="pixel", strides=[16], offset=0.0)
    exact = ops.AnchorGenerator([[8.0]], unit="pixel", offset=0.0)
    assert floor([(3, 3)], (50, 50))[0][1, 0] == 16 - 4
    assert given([(3, 3)], (50, 50))[0][1, 0] == 16 - 4
    assert exact([(3, 3)], (50, 50))[0][1, 0] == pytest.approx(50 / 3 - 4)


def test_compiles():
    def make():
        return ops.grid_anchors((4, 6), (100, 200), [0.2, 0.3], [1.0, 2.0])

    assert torch.equal(torch.compile(make, fullgraph=True, backend="aot_eager")(), make())


def test_compiles_for_maps_of_any_size():
    generator = ops.AnchorGenerator([[0.1, 0.2]])

    def make(feature_map):
        return generator([feature_map], (64, 64))[0]

    compiled = torch.compile(make, fullgraph=True, backend="aot_eager", dynamic=True)
    for size in ((5, 7), (4, 9)):
        torch.testing.assert_close(compiled(torch.zeros(size)), make(torch.zeros(size)))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_rounded_once(dtype):
    def make(dtype):
        return ops.grid_anchors((60, 60), (961, 961), [0.1, 0.2], [1.0, 2.0], dtype=dtype)

    assert torch.equal(make(dtype), make(torch.float32).to(dtype))


def test_generator_takes_arrays():
    lists = ops.AnchorGenerator([[0.1, 0.2], [0.3, 0.4]], [[1.0, 2.0], [1.0, 0.5]])
    for kind in (np.array, torch.tensor):
        given = ops.AnchorGenerator(kind([[0.1, 0.2], [0.3, 0.4]]), kind([[1.0, 2.0], [1.0, 0.5]]))
        for a, b in zip(given([(3, 4), (2, 2)], (30, 40)), lists([(3, 4), (2, 2)], (30, 40)), strict=True):
            torch.testing.assert_close(a, b)
    rows = ops.AnchorGenerator([np.array([0.1, 0.2])], np.array([1.0, 2.0]))
    assert rows.anchors_per_cell == [4]


@pytest.mark.parametrize(
    ("scales", "options", "message"),
    [
        ([[0.1]], {"ratios": [1.0, [2.0]]}, "ratios must be numbers, or a sequence for each map, not both"),
        ([[0.1]], {"ratios": []}, r"ratios\[0\] must not be empty"),
        ([[0.1]], {"ratios": [[]]}, r"ratios\[0\] must not be empty"),
        ([[0.1]], {"ratios": [1.0, -1.0]}, r"ratios\[0\]\[1\] must be finite and above 0, got -1"),
        ([[0.1]], {"ratios": 1.0}, "must be sequences, got 1.0"),
        ([[0.1, 0.0]], {}, r"scales\[0\]\[1\] must be finite and above 0, got 0"),
        ([[0.1], []], {}, r"scales\[1\] must not be empty"),
        ([0.1, 0.2], {}, r"scales\[0\] must be a sequence of numbers, got 0.1"),
        ([], {}, "scales must not be empty"),
        ([[0.1]], {"unit": "inch"}, "unit must be one of image, pixel, got 'inch'"),
        ([[0.1]], {"offset": math.nan}, "offset must be a finite number, got nan"),
        ([[0.1]], {"strides": [0]}, r"strides\[0\] must be finite and above 0, got 0"),
        ([[0.1]], {"strides": "half"}, "strides must be one of exact, floor"),
    ],
)
def test_generator_checks_when_it_is_made(scales, options, message):
    with pytest.raises(InputError, match="AnchorGenerator: .*" + message):
        ops.AnchorGenerator(scales, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"map_size": 4}, "map_size must be a sequence of numbers, got 4"),
        ({"map_size": (4, 4, 4)}, r"map_size must be \(height, width\), got 3 numbers"),
        ({"map_size": (2.5, 4)}, r"map_size must be whole numbers, got \(2.5, 4\)"),
        ({"map_size": ("4", 4)}, r"map_size\[0\] must be finite and above 0, got '4'"),
        ({"offset": math.inf}, "offset must be a finite number, got inf"),
        ({"stride": (16, math.nan)}, r"stride\[1\] must be finite and above 0, got nan"),
        ({"stride": (16, -16)}, r"stride\[1\] must be finite and above 0, got -16"),
        ({"stride": 16}, "stride must be a sequence of numbers, got 16"),
        ({"dtype": torch.int64}, "dtype must be floating point, got torch.int64"),
    ],
)
def test_grid_refuses(options, message):
    arguments = {"map_size": (4, 4), "image_size": (64, 64), "scales": [0.1], **options}
    with pytest.raises(InputError, match="grid_anchors: " + message):
        ops.grid_anchors(**arguments)


def test_generator_refuses_wrong_maps():
    generator = ops.AnchorGenerator([[0.1]])
    with pytest.raises(InputError, match=r"maps\[0\] must be a sequence of numbers, got 4"):
        generator([4], (64, 64))
    with pytest.raises(InputError, match=r"maps\[0\] must have shape \(..., h, w\), got \(3,\)"):
        generator([torch.zeros(3)], (64, 64))
