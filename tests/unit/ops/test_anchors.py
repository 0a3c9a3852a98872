"""Anchors by hand: area, ratio, centre and order."""

import math

import pytest
import torch

from cvlab import ops


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
