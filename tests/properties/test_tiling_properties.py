"""What must hold for tiles of any size, overlap, stride, margin and window."""

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import assume, given, settings

from cvlab import ops
from cvlab._check import InputError

properties = settings(deadline=None, max_examples=150, derandomize=True)


@st.composite
def layouts(draw, most=80):
    """Sizes and settings with which a picture can be covered."""
    stride = draw(st.integers(1, 8))
    tile = draw(st.integers(stride, 40))
    overlap = draw(st.integers(0, tile - stride))
    return {
        "size": draw(st.integers(1, most)),
        "tile": tile,
        "overlap": overlap,
        "stride": stride,
        "margin": draw(st.integers(0, overlap // 2)),
        "window": draw(st.sampled_from(["flat", "linear", "hann"])),
    }


def _tiles(layout):
    """Give starts and weights, where no tile would be shorter than the stride."""
    size, tile, stride = layout["size"], layout["tile"], layout["stride"]
    if size > tile and size - -((tile - size) // stride) * stride < stride:
        assert tile < 2 * stride - 1
        with pytest.raises(InputError, match="the last tile must not be smaller"):
            ops.tile_weights(**layout)
        assume(False)
    return ops.tile_weights(**layout)


@given(layouts())
@properties
def test_every_pixel_is_covered_once_after_normalisation(layout):
    starts, weights = _tiles(layout)
    total = torch.zeros(layout["size"], dtype=torch.float64)
    for start, part in zip(starts, weights, strict=True):
        assert bool((part >= 0).all())
        total[start : start + len(part)] += part
    torch.testing.assert_close(total, torch.ones_like(total), atol=1e-12, rtol=0)


@given(layouts())
@properties
def test_tiles_keep_to_stride_size_and_overlap(layout):
    starts, weights = _tiles(layout)
    size, tile, stride = layout["size"], layout["tile"], layout["stride"]
    assert starts[0] == 0
    assert starts[-1] + len(weights[-1]) == size
    assert all(start % stride == 0 for start in starts)
    assert all(len(part) == min(tile, size) for part in weights[:-1])
    assert len(weights[-1]) > tile - stride or len(starts) == 1
    assert len(weights[-1]) <= tile
    for i in range(1, len(starts)):
        assert starts[i] > starts[i - 1]
        assert starts[i - 1] + tile - starts[i] >= layout["overlap"]
    step = (tile - layout["overlap"]) // stride * stride
    assert all(after - before == step for before, after in zip(starts[:-2], starts[1:-1], strict=True))
    assert len(starts) == 1 or starts[-2] + tile < size  # none too many


@given(layouts())
@properties
def test_nothing_counts_within_the_margin_of_an_inner_edge(layout):
    starts, weights = _tiles(layout)
    margin = layout["margin"]
    for i, part in enumerate(weights):
        first = margin if i else 0
        end = len(part) - margin if i < len(starts) - 1 else len(part)
        assert bool((part[:first] == 0).all())
        assert bool((part[end:] == 0).all())
        assert bool((part[first:end] > 0).all())


@given(st.integers(1, 40), st.integers(0, 40), st.integers(0, 20), st.sampled_from(["linear", "hann"]))
@properties
def test_two_neighbours_sum_to_one_without_normalisation(own, shared, margin, kind):
    assume(shared == 0 or shared >= 2 * margin)
    first = ops.tile_window(own + shared, 0, shared, margin, kind)
    second = ops.tile_window(own + shared, shared, 0, margin, kind)
    torch.testing.assert_close(first[own:] + second[:shared], torch.ones(shared, dtype=torch.float64))
    assert bool((first[:own] == 1).all())
    assert bool((second[shared:] == 1).all())
    assert bool((first.diff() <= 0).all())


@given(layouts(40), layouts(40), st.integers(1, 5))
@settings(properties, max_examples=60)
def test_what_a_function_knows_of_pixels_alone_comes_out_unchanged(rows, columns, batch_size):
    _tiles(rows)
    other = {**rows, "size": columns["size"]}
    _tiles(other)
    image = torch.randn(2, rows["size"], columns["size"], generator=torch.Generator().manual_seed(batch_size))
    options = {name: value for name, value in rows.items() if name != "size"}
    found = ops.predict_tiles(lambda tiles: 2 * tiles - 1, image, **options, batch_size=batch_size, result="logits")
    torch.testing.assert_close(found, 2 * image - 1, atol=1e-5, rtol=0)
