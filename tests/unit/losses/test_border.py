"""Border weights: by hand, by the pixel loops, and on real nuclei."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from torchvision import tv_tensors

from cvlab._check import InputError
from cvlab.data import StillLife, instances_from_masks, read_mask
from cvlab.losses import border_weights, border_weights_reference, separate_touching
from cvlab.losses.border import nearest_two

DATA = Path(__file__).resolve().parents[3] / ".." / "shared" / "data"


def instance_map(height, width, most, seed, filled=0.5):
    g = torch.Generator().manual_seed(seed)
    numbers = torch.randint(1, most + 1, (height, width), generator=g)
    return numbers * (torch.rand(height, width, generator=g) < filled)


def test_weights_by_hand():
    # distances to objects 1 and 2: (1, 3), (2, 2), (3, 1) in the gap, (1, 5) and (2, 6) behind
    made = border_weights(torch.tensor([[1, 0, 0, 0, 2, 0, 0]]), w0=10.0, sigma=2.0)
    gap, near, far = (10 * math.exp(-(d**2) / 8) for d in (4, 6, 8))
    torch.testing.assert_close(made, torch.tensor([[1, 1 + gap, 1 + gap, 1 + gap, 1, 1 + near, 1 + far]]))


def test_distances_are_euclidean():
    # the corner opposite: 3 and 4 pixels away from the first object, 5 from it and 3 from the second
    instances = torch.zeros(4, 5).long()
    instances[0, 0], instances[0, 4] = 1, 2
    made = border_weights(instances, w0=1.0, sigma=4.0)
    assert made[3, 4].item() == pytest.approx(1 + math.exp(-((5 + 3) ** 2) / 32))
    assert made[0, 0].item() == 1.0


def test_inside_objects_the_nearest_is_at_0():
    made = border_weights(torch.tensor([[1, 1, 0, 2]]), w0=10.0, sigma=2.0, inside=True)
    expected = [1 + 10 * math.exp(-(d**2) / 8) for d in (3, 2, 2, 2)]
    torch.testing.assert_close(made, torch.tensor([expected]))


@given(
    st.integers(1, 9),
    st.integers(1, 9),
    st.integers(1, 12),
    st.integers(0, 2**31),
    st.sampled_from([0.05, 0.3, 1.0]),
    st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_weights_are_those_of_the_loops(height, width, most, seed, filled, inside):
    instances = instance_map(height, width, most, seed, filled)
    options = {"w0": 7.0, "sigma": 3.0, "class_weights": (0.5, 2.0), "inside": inside}
    made, expected = (f(instances, **options) for f in (border_weights, border_weights_reference))
    torch.testing.assert_close(made, expected, rtol=1e-6, atol=0)
    assert made.dtype == torch.float32


@given(st.integers(2, 40), st.integers(0, 2**31))
@settings(max_examples=40, deadline=None)
def test_the_two_nearest_of_many(count, seed):
    g = np.random.default_rng(seed)
    instances = np.zeros(400, int)
    instances[g.permutation(400)[:count]] = g.permutation(1000)[:count] + 1  # numbers with gaps
    instances = instances.reshape(20, 20)
    apart = [np.hypot(*(np.indices((20, 20)) - np.reshape(at, (2, 1, 1)))) for at in np.argwhere(instances)]
    expected = np.sort(apart, 0)[:2]
    np.testing.assert_array_equal(nearest_two(instances), expected)


@pytest.mark.parametrize("numbers", [[[0, 0, 0]], [[5, 5, 0]]])
def test_without_two_objects_there_is_no_border(numbers):
    made = border_weights(torch.tensor(numbers), class_weights=(1.0, 3.0), inside=True)
    assert made.tolist() == [[3.0 if n else 1.0 for n in numbers[0]]]


def test_numbers_and_type_of_the_map_do_not_matter():
    instances = instance_map(12, 15, 5, 0, 0.2)
    expected = border_weights(instances)
    renamed = torch.tensor([0, 900, 3, 17, 65000, 2])[instances]
    assert torch.equal(border_weights(renamed), expected)
    assert torch.equal(border_weights(tv_tensors.Mask(instances.to(torch.uint8))), expected)
    assert type(border_weights(tv_tensors.Mask(instances))) is torch.Tensor


def test_pictures_without_pixels_and_w0_of_0():
    assert border_weights(torch.zeros(0, 4).long()).shape == (0, 4)
    assert torch.equal(border_weights(torch.tensor([[1, 0, 2]]), w0=0.0), torch.ones(1, 3))


INSTANCES = torch.tensor([[1, 0, 2]])


@pytest.mark.parametrize(
    ("instances", "options", "message"),
    [
        (INSTANCES[0], {}, "instances must have shape (H, W), got (3,)"),
        (INSTANCES.float(), {}, "instances must be integers, got torch.float32"),
        (-INSTANCES, {}, "instances[0, 0] must be at least 0, got -1"),
        (INSTANCES, {"w0": -1.0}, "w0[0] must be finite and at least 0, got -1.0"),
        (INSTANCES, {"sigma": 0.0}, "sigma[0] must be finite and above 0, got 0.0"),
        (INSTANCES, {"sigma": math.nan}, "sigma[0] must be finite and above 0, got nan"),
        (INSTANCES, {"class_weights": (1.0,)}, "class_weights must have shape (2,), got (1,)"),
        (INSTANCES, {"class_weights": (1.0, -2.0)}, "class_weights[1] must be finite and at least 0, got -2"),
    ],
)
@pytest.mark.parametrize("function", [border_weights, border_weights_reference])
def test_weights_refuse(function, instances, options, message):
    with pytest.raises(InputError) as caught:
        function(instances, **options)
    assert str(caught.value) == f"{function.__name__}: {message}"


def test_what_touches_gives_way():
    instances = torch.tensor(
        [
            [1, 1, 1, 2, 2, 2],
            [1, 1, 1, 2, 2, 2],
            [1, 1, 0, 0, 2, 2],
            [0, 0, 3, 0, 0, 0],
        ]
    )
    # 3 touches 1 at a corner; 2 is a pixel away from 3
    assert separate_touching(instances).tolist() == [
        [1, 1, 0, 0, 2, 2],
        [1, 1, 0, 0, 2, 2],
        [1, 0, 0, 0, 2, 2],
        [0, 0, 0, 0, 0, 0],
    ]


def test_the_gap_has_twice_the_width():
    line = torch.tensor([[1] * 8 + [2] * 8], dtype=torch.uint8)
    for width in (1, 2, 3):
        made = separate_touching(line, width)
        assert made.tolist() == [[1] * (8 - width) + [0] * 2 * width + [2] * (8 - width)]
        assert made.dtype == torch.uint8


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 5), st.integers(0, 2**31), st.integers(1, 3))
@settings(max_examples=60, deadline=None)
def test_gaps_by_loops(height, width, most, seed, reach):
    instances = instance_map(height, width, most, seed)
    expected = instances.clone()
    for y in range(height):
        for x in range(width):
            around = instances[max(y - reach, 0) : y + reach + 1, max(x - reach, 0) : x + reach + 1]
            if bool(((around > 0) & (around != instances[y, x])).any()):
                expected[y, x] = 0
    made = separate_touching(instances, reach)
    assert torch.equal(made, expected)
    assert torch.equal(separate_touching(made, reach), made)  # nothing is left to do


@pytest.mark.parametrize(
    ("instances", "width", "message"),
    [
        (INSTANCES[0], 1, "instances must have shape (H, W), got (3,)"),
        (INSTANCES > 0, 1, "instances must be integers, got torch.bool"),
        (INSTANCES, 0, "width must be a whole number of at least 1, got 0"),
        (INSTANCES, 1.5, "width must be a whole number of at least 1, got 1.5"),
    ],
)
def test_gaps_refuse(instances, width, message):
    with pytest.raises(InputError) as caught:
        separate_touching(instances, width)
    assert str(caught.value) == f"separate_touching: {message}"


def test_weights_of_still_lifes_are_large_where_fruits_touch_only():
    _, target = StillLife(96, "test", count=(6, 8))[5]
    instances = instances_from_masks(target["masks"])
    apart = separate_touching(instances)
    weights = border_weights(apart, w0=10.0, sigma=3.0)
    gap = (instances > 0) & (apart == 0)
    assert bool(gap.any())
    # most gaps are two pixels wide: d1 + d2 is 3, or at a slant 3 sqrt(2) at most, of which the exponent is -1
    assert weights[gap].median() >= 1 + 10 * math.exp(-1)
    assert weights[instances == 0].median() < 1.1
    assert bool((weights[apart > 0] == 1).all())


def test_weights_of_real_nuclei_are_those_of_a_transform_for_each():
    folder = DATA / "nuclei" / "labels"
    if not folder.is_dir():
        pytest.skip("the nuclei are not beside this repository")
    for file in sorted(folder.glob("*.png"))[1:3]:
        instances = read_mask(file)[:128, :128]
        numbers = instances.unique()[1:].tolist()
        assert len(numbers) >= 2
        apart = np.sort([ndimage.distance_transform_edt(instances.numpy() != n) for n in numbers], 0)
        expected = 1 + 10 * np.exp(-((apart[0] + apart[1]) ** 2) / 50) * (instances.numpy() == 0)
        np.testing.assert_allclose(border_weights(instances).numpy(), expected, rtol=1e-6)
