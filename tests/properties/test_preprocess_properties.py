"""What must hold for all sizes, batches and files, tried on those that hypothesis makes up."""

import io

import hypothesis.strategies as st
import torch
from hypothesis import given, settings
from PIL import Image

from cvlab import preprocess
from cvlab.data import read_mask, save_mask

settings.register_profile("cvlab", deadline=None, max_examples=60, derandomize=True)
settings.load_profile("cvlab")

sides = st.integers(1, 60)
sizes = st.tuples(sides, sides)
methods = st.sampled_from(["nearest", "bilinear", "bicubic"])
seeds = st.integers(0, 2**16)


def noise(seed, *shape, dtype=torch.float64):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


@st.composite
def maps(draw):
    make = draw(st.sampled_from([preprocess.letterbox, preprocess.stretch]))
    options = {}
    if make is preprocess.letterbox:
        options = {"align": draw(st.sampled_from(["centre", "corner"])), "enlarge": draw(st.booleans())}
    return make(draw(sizes), draw(sizes), **options)


@given(sides, sides, methods, st.booleans())
def test_weights_sum_to_one_and_mirror(n_in, n_out, method, antialias):
    weights = preprocess.resize_weights(n_in, n_out, method, antialias)
    torch.testing.assert_close(weights.sum(1), torch.ones(n_out, dtype=torch.float64), atol=1e-12, rtol=0)
    if method != "nearest":  # whose centres may fall on an edge
        torch.testing.assert_close(weights.flip(0, 1), weights, atol=1e-12, rtol=0)


@given(sizes, sizes, methods, st.booleans(), seeds)
def test_resizing_is_linear_and_keeps_constants(old, new, method, antialias, seed):
    a, b = noise(seed, 2, *old), noise(seed + 1, 2, *old)
    resized = preprocess.resize(2 * a - b + 3, new, method, antialias)
    parts = 2 * preprocess.resize(a, new, method, antialias) - preprocess.resize(b, new, method, antialias) + 3
    torch.testing.assert_close(resized, parts, atol=1e-10, rtol=0)


@given(sizes, sizes, st.sampled_from(["nearest", "bilinear"]), st.booleans(), seeds)
def test_resizing_invents_no_values_beyond_those_there(old, new, method, antialias, seed):
    image = noise(seed, 1, *old)
    resized = preprocess.resize(image, new, method, antialias)
    assert image.min() - 1e-12 <= resized.min()
    assert resized.max() <= image.max() + 1e-12


@given(sizes, methods, st.booleans(), seeds)
def test_resizing_to_the_same_size_changes_nothing(size, method, antialias, seed):
    image = noise(seed, 3, *size)
    torch.testing.assert_close(preprocess.resize(image, size, method, antialias), image, atol=1e-12, rtol=0)


@given(maps())
def test_a_letterbox_has_one_factor_and_touches_two_sides(to_input):
    (rows, columns), (top, left), (height, width) = to_input.content, to_input.offset, to_input.size
    assert 1 <= rows <= height - top
    assert 1 <= columns <= width - left
    if rows < height and columns < width:
        assert to_input.scale == (1, 1)  # not enlarged
    below, right = height - rows - top, width - columns - left
    assert (top, left) == (0, 0) or (abs(top - below) <= 1 and abs(left - right) <= 1)
    if to_input != preprocess.stretch(to_input.image_size, to_input.size):
        exact = min(height / to_input.image_size[0], width / to_input.image_size[1])
        exact = min(exact, 1) if to_input.scale == (1, 1) else exact
        for whole, old in zip(to_input.content, to_input.image_size, strict=True):
            assert abs(whole - max(exact * old, 1)) <= 0.5 + 1e-9


@given(maps(), seeds)
def test_coordinates_return(to_input, seed):
    height, width = to_input.image_size
    points = noise(seed, 20, 2) * torch.tensor([width, height])
    torch.testing.assert_close(to_input.undo_points(to_input.points(points)), points, atol=1e-10, rtol=0)
    boxes = torch.cat((torch.minimum(points[:10], points[10:]), torch.maximum(points[:10], points[10:])), 1)
    there = to_input.boxes(boxes)
    torch.testing.assert_close(to_input.undo_boxes(there), boxes, atol=1e-10, rtol=0)
    (top, left), (rows, columns) = to_input.offset, to_input.content
    assert bool((there >= torch.tensor([left, top, left, top]) - 1e-9).all())
    assert bool((there <= torch.tensor([left + columns, top + rows] * 2) + 1e-9).all())


@given(maps(), seeds)
def test_masks_return_where_nothing_shrinks(to_input, seed):
    masks = noise(seed, 2, *to_input.image_size) < 0.5
    back = to_input.undo_masks(to_input.masks(masks))
    assert back.shape == masks.shape
    if min(to_input.scale) >= 1:
        assert torch.equal(back, masks)


@given(maps())
def test_a_mask_of_a_box_is_the_mask_of_its_box(to_input):
    """Pixels and coordinates move alike: a full mask covers just the box of the whole image."""
    height, width = to_input.image_size
    mask = to_input.masks(torch.ones(height, width, dtype=torch.bool))
    x1, y1, x2, y2 = to_input.boxes(torch.tensor([0, 0, width, height], dtype=torch.float64)).tolist()
    expected = torch.zeros(to_input.size, dtype=torch.bool)
    expected[round(y1) : round(y2), round(x1) : round(x2)] = True
    assert torch.equal(mask, expected)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=6), st.permutations(range(6)), seeds, st.data())
def test_statistics_do_not_see_batches_or_order(counts, order, seed, data):
    offset = data.draw(st.sampled_from([0.0, 100.0]))
    batches = [noise(seed + i, count, 2, 3, 2) + offset for i, count in enumerate(counts)]
    pixels = torch.cat(batches).movedim(1, 0).flatten(1)  # (C, pixels)
    parts = [preprocess.ChannelStats(), preprocess.ChannelStats()]
    for i in order:
        if i < len(batches):
            parts[data.draw(st.integers(0, 1))].update(batches[i])
    parts[0].merge(parts[1])
    assert parts[0].count == pixels.shape[1]
    if pixels.shape[1]:
        torch.testing.assert_close(parts[0].mean, pixels.mean(1), atol=1e-12, rtol=0)
        torch.testing.assert_close(parts[0].std, pixels.std(1, correction=0), atol=1e-12, rtol=0)


@given(sizes, st.integers(1, 100), seeds)
def test_jpeg_loses_at_most_half_a_step_of_each_frequency(size, quality, seed):
    """Over a block without clamping, the squared error is at most the sum of the squared half steps."""
    plane = 128 + 20 * (noise(seed, *size) - 0.5)
    error = preprocess.jpeg_reference(plane, quality) - plane
    halves = preprocess.quantization_table(quality).double() / 2
    assert error[:8, :8].square().sum() <= halves.square().sum() + 1e-6


@given(sizes, st.sampled_from([1, 3]), st.integers(1, 100), seeds)
def test_jpeg_keeps_shape_and_its_bytes_are_a_file(size, channels, quality, seed):
    image = (noise(seed, channels, *size) * 255).round().to(torch.uint8)
    assert preprocess.jpeg(image, quality).shape == image.shape
    with Image.open(io.BytesIO(preprocess.jpeg_bytes(image, quality))) as stored:
        assert (stored.format, stored.size) == ("JPEG", size[::-1])


@given(sizes, st.sampled_from([1, 255, 256, 65535]), seeds)
def test_masks_return_from_files(tmp_path_factory, size, highest, seed):
    mask = (noise(seed, *size) * (highest + 1)).long()
    path = tmp_path_factory.mktemp("masks") / "mask.png"
    save_mask(path, mask)
    assert torch.equal(read_mask(path), mask)
