"""From classes to objects: components, splitting and growing by hand, by loops, by scipy, and on real nuclei."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from torchvision import tv_tensors

import cvlab
from cvlab._check import InputError
from cvlab.data import StillLife, instances_from_masks, masks_from_instances, read_mask
from cvlab.instances import (
    connected_components,
    fill_holes,
    grow,
    instance_classes,
    instances_from_logits,
    split_touching,
)
from cvlab.losses import separate_touching
from cvlab.ops import mask_iou

DATA = Path(__file__).resolve().parents[2] / ".." / "shared" / "data"
SIZES = st.tuples(st.integers(1, 9), st.integers(1, 9))


def random_labels(size, most, seed, filled=0.5):
    g = torch.Generator().manual_seed(seed)
    labels = torch.randint(1, most + 1, size, generator=g)
    return labels * (torch.rand(size, generator=g) < filled)


def same_areas(a, b):
    """Tell whether two instance maps differ in their numbers only."""
    pairs = torch.stack((a.flatten(), b.flatten())).unique(dim=1)
    return len(pairs[0].unique()) == len(pairs[1].unique()) == pairs.shape[1]


def discs(size, *circles):
    """Make the mask of some discs, each (y, x, radius)."""
    y, x = torch.arange(size[0])[:, None], torch.arange(size[1])
    return torch.stack([(y - cy) ** 2 + (x - cx) ** 2 < r * r for cy, cx, r in circles]).any(0)


def test_the_module_is_found_lazily():
    assert cvlab.instances.grow is grow


def test_components_by_hand():
    labels = torch.tensor(
        [
            [0, 2, 2, 0, 1],
            [1, 0, 1, 0, 1],
            [1, 1, 0, 255, 0],
            [0, 0, 3, 0, 2],
        ]
    )
    assert connected_components(labels).tolist() == [
        [0, 1, 1, 0, 2],
        [3, 0, 3, 0, 2],
        [3, 3, 0, 0, 0],
        [0, 0, 4, 0, 5],
    ]
    assert connected_components(labels, neighbours=4).tolist() == [
        [0, 1, 1, 0, 2],
        [3, 0, 4, 0, 2],
        [3, 3, 0, 0, 0],
        [0, 0, 5, 0, 6],
    ]
    assert connected_components(labels, min_size=2).max() == 3  # 4 pixels of class 1, and twice two
    assert connected_components(labels > 0).max() == 1  # as bool, 255 is a pixel like others
    assert connected_components(labels, ignore=2).tolist()[0] == [0, 0, 0, 0, 1]


@given(SIZES, st.integers(1, 4), st.integers(0, 2**31), st.sampled_from([4, 8]), st.integers(0, 4))
@settings(max_examples=80, deadline=None)
def test_components_are_scipys_of_each_class(size, most, seed, neighbours, min_size):
    labels = random_labels(size, most, seed)
    structure = np.ones((3, 3)) if neighbours == 8 else None
    expected, count = np.zeros(size, int), 0
    for k in range(1, most + 1):
        areas, found = ndimage.label(labels.numpy() == k, structure)
        for i in range(1, found + 1):
            if (areas == i).sum() >= min_size:
                count += 1
                expected[areas == i] = count
    made = connected_components(labels, neighbours=neighbours, min_size=min_size)
    assert same_areas(made, torch.from_numpy(expected))
    assert made.dtype == torch.int64
    # numbers rise from 1, in the order of their first pixels
    firsts = [int((made.flatten() == i).nonzero()[0]) for i in range(1, count + 1)]
    assert firsts == sorted(firsts)
    assert made.max() == count


def test_components_of_what_was_separated_are_the_objects():
    for i in range(6):
        _, target = StillLife(96, "test", count=(6, 8))[i]
        apart = separate_touching(instances_from_masks(target["masks"]))
        whole = torch.stack([connected_components(mask) for mask in masks_from_instances(apart)])
        assert connected_components(apart > 0).max() == whole.flatten(1).amax(1).sum()


def test_two_discs_that_overlap_are_split_at_the_waist():
    both = discs((40, 70), (20, 22, 12), (20, 44, 12))
    assert connected_components(both).max() == 1
    parts = split_touching(both)
    left = both & (torch.arange(70) < 33)
    right = both & (torch.arange(70) > 33)
    assert parts.max() == 2
    assert bool((parts[left] == parts[20, 22]).all())
    assert bool((parts[right] == parts[20, 44]).all())
    assert torch.equal(parts > 0, both)
    # the way from a peak (12 high) to the pass (about 4.8) and on is longer than 3, and shorter than 9
    assert split_touching(both, depth=3.0).max() == 2
    assert split_touching(both, depth=9.0).max() == 1


def test_what_is_round_long_or_cut_by_the_edge_stays_whole():
    shapes = {
        "disc": discs((40, 40), (20, 20, 14)),
        "ellipse": (torch.arange(40)[:, None] - 20) ** 2 / 49 + (torch.arange(60) - 30) ** 2 / 625 < 1,
        "rectangle": (torch.arange(20)[:, None] > 5) & (torch.arange(80) > 3),
        "cut disc": discs((40, 40), (0, 20, 14)),
        "pixel": discs((5, 5), (2, 2, 1)),
        "line": torch.ones(1, 30, dtype=torch.bool),
        "all": torch.ones(9, 9, dtype=torch.bool),
        "corners": torch.eye(6, dtype=torch.bool),
    }
    assert {name: int(split_touching(mask).max()) for name, mask in shapes.items()} == dict.fromkeys(shapes, 1)


def test_holes_are_filled_up_to_their_size():
    mask = torch.ones(6, 9, dtype=torch.bool)
    mask[1, 1] = mask[2, 2] = False  # two holes: they share no side
    mask[3:5, 5:7] = mask[4:, 1] = False  # one of four pixels; a bay, open to the edge
    given = mask.clone()
    assert fill_holes(mask).logical_not().nonzero().tolist() == [[4, 1], [5, 1]]
    assert torch.equal(fill_holes(mask, 4), fill_holes(mask))
    assert fill_holes(mask, 3).sum() == mask.sum() + 2
    assert torch.equal(fill_holes(mask, 0), mask)
    assert torch.equal(mask, given)
    assert not fill_holes(torch.zeros(3, 4, dtype=torch.bool)).any()


def test_a_disc_with_holes_is_one_when_they_are_filled():
    holed = discs((40, 40), (20, 20, 15)) & ~discs((40, 40), (20, 12, 3), (20, 28, 3))
    assert split_touching(holed).max() > 1
    assert split_touching(fill_holes(holed)).max() == 1


@given(SIZES, st.integers(0, 2**31), st.sampled_from([0.0, 1.0]))
@settings(max_examples=60, deadline=None)
def test_parts_are_a_finer_cut_of_the_components(size, seed, smoothing):
    mask = random_labels(size, 1, seed, 0.7) > 0
    parts, whole = split_touching(mask, smoothing=smoothing), connected_components(mask)
    assert torch.equal(parts > 0, mask)
    pairs = torch.stack((parts[mask], whole[mask])).unique(dim=1)  # each part lies in one component
    assert pairs.shape[1] == len(pairs[0].unique()) == int(parts.max())
    assert len(pairs[1].unique()) == int(whole.max())


def test_splitting_takes_labels_and_leaves_out_small_parts():
    both = discs((40, 60), (20, 22, 12), (20, 39, 7))
    labels = tv_tensors.Mask(both.to(torch.uint8) * 7)
    labels[0, 0] = 255
    parts = split_touching(labels)
    assert type(parts) is torch.Tensor
    assert parts.max() == 2
    assert parts[0, 0] == 0
    small = int((parts == parts[20, 41]).sum())
    assert split_touching(labels, min_size=small).max() == 2
    assert split_touching(labels, min_size=small + 1).max() == 1
    assert split_touching(torch.zeros(4, 5, dtype=torch.bool)).tolist() == [[0] * 5] * 4


def test_growing_by_hand():
    instances = torch.tensor(
        [
            [1, 0, 0, 0, 0],
            [0, 0, 0, 0, 2],
            [0, 0, 3, 0, 0],
        ],
        dtype=torch.uint8,
    )
    # (0, 1) and (1, 0) have 1 across a side; (1, 1) has 1 and 3 across corners, and 1 comes first
    once = grow(instances)
    assert once.tolist() == [[1, 1, 0, 2, 2], [1, 1, 3, 2, 2], [0, 3, 3, 3, 2]]
    assert once.dtype == torch.uint8
    assert torch.equal(grow(instances, 0), instances)
    assert grow(instances, 2).tolist() == [[1, 1, 1, 2, 2], [1, 1, 3, 2, 2], [1, 3, 3, 3, 2]]
    assert torch.equal(grow(instances, None), grow(instances, 2))  # all is full


def test_sides_come_before_corners_and_steps_before_both():
    # the middle has 1 across a corner, 2 across a side
    assert grow(torch.tensor([[1, 0, 0], [0, 0, 0], [0, 2, 0]]))[1, 1] == 2
    # a wall leaves one way around, of three steps
    within = torch.tensor([[0, 1, 1], [0, 0, 1], [0, 1, 1]]).bool()
    instances = torch.tensor([[5, 0, 0], [0, 0, 0], [0, 0, 0]])
    assert grow(instances, 2, within=within).tolist() == [[5, 5, 5], [0, 0, 5], [0, 0, 0]]
    assert grow(instances, 3, within=within).tolist() == [[5, 5, 5], [0, 0, 5], [0, 5, 5]]
    assert torch.equal(grow(instances, None, within=within), grow(instances, 3, within=within))


@given(SIZES, st.integers(1, 4), st.integers(0, 2**31), st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_one_step_is_a_dilation_and_steps_add_up(size, most, seed, steps):
    instances = random_labels(size, most, seed, 0.2)
    made = grow(instances, steps)
    reached = instances.numpy() > 0
    for _ in range(steps):
        reached = ndimage.binary_dilation(reached, np.ones((3, 3)))
    assert torch.equal(made > 0, torch.from_numpy(reached))
    assert torch.equal(made[instances > 0], instances[instances > 0])
    again = instances
    for _ in range(steps):
        again = grow(again)
    assert torch.equal(again, made)


def test_growing_gives_the_gap_back():
    """Nearly all of it: where three meet, or one was thin, a pixel may go to another."""
    for i in range(4):
        _, target = StillLife(96, "test", count=(6, 8))[i]
        instances = instances_from_masks(target["masks"])
        back = grow(separate_touching(instances), within=instances > 0)
        gap = separate_touching(instances) != instances
        assert (back == instances)[gap].float().mean() > 0.8
        assert torch.equal(back[~gap], instances[~gap])


def logits_of(labels, classes, sure=4.0):
    return sure * torch.nn.functional.one_hot(labels, classes).permute(2, 0, 1).float()


def test_objects_of_logits_have_the_class_of_most_pixels():
    labels = torch.tensor(
        [
            [1, 1, 2, 0, 0, 3],
            [1, 1, 0, 0, 3, 2],
            [0, 0, 0, 0, 0, 0],
            [2, 0, 0, 0, 0, 0],
        ]
    )
    found = instances_from_logits(logits_of(labels, 4), min_size=2)
    assert found.map.tolist() == [[1, 1, 1, 0, 0, 2], [1, 1, 0, 0, 2, 2], [0] * 6, [0] * 6]
    assert found.classes.tolist() == [1, 3]
    # the probability of class 1: p on four pixels, q on the fifth; of class 3: twice p, once q
    p, q = math.exp(4) / (math.exp(4) + 3), 1 / (math.exp(4) + 3)
    torch.testing.assert_close(found.scores, torch.tensor([(4 * p + q) / 5, (2 * p + q) / 3]))


def test_objects_of_logits_are_split_and_grown():
    mask = discs((40, 70), (20, 22, 12), (20, 44, 12)).long()
    assert len(instances_from_logits(logits_of(mask, 2)).classes) == 1
    found = instances_from_logits(logits_of(mask, 2), split=True)
    assert len(found.classes) == len(found.scores) == 2
    assert torch.equal(found.map, split_touching(mask > 0))
    grown = instances_from_logits(logits_of(mask, 2), split=True, steps=2)
    assert torch.equal(grown.map, grow(found.map, 2))
    assert torch.equal(grown.scores, found.scores)


def test_pictures_without_objects():
    found = instances_from_logits(logits_of(torch.zeros(3, 4).long(), 2))
    assert (found.map.sum(), len(found.classes), len(found.scores)) == (0, 0, 0)
    assert instances_from_logits(torch.zeros(2, 0, 4)).map.shape == (0, 4)
    for function in (connected_components, split_touching, grow):
        assert function(torch.zeros(0, 4, dtype=torch.uint8)).shape == (0, 4)


def test_classes_of_objects():
    instances = torch.tensor([[1, 1, 1, 1, 3, 3, 3, 0]])
    labels = torch.tensor([[7, 2, 7, 2, 0, 255, 4, 9]], dtype=torch.uint8)
    assert instance_classes(instances, labels).tolist() == [2, 0, 4]  # the lower of two as frequent; no number 2
    assert instance_classes(instances * 0, labels).tolist() == []


MASK = torch.ones(2, 3, dtype=torch.bool)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: connected_components(MASK.float()),
            "connected_components: labels must be integers, got torch.float32",
        ),
        (lambda: connected_components(MASK[0]), "connected_components: labels must have shape (H, W), got (3,)"),
        (
            lambda: connected_components(MASK.long() - 2),
            "connected_components: labels[0, 0] must be at least 0, got -1",
        ),
        (lambda: connected_components(MASK, neighbours=6), "connected_components: neighbours must be 4 or 8, got 6"),
        (
            lambda: connected_components(MASK, min_size=-1),
            "connected_components: min_size must be a whole number of at least 0, got -1",
        ),
        (lambda: fill_holes(MASK[0]), "fill_holes: foreground must have shape (H, W), got (3,)"),
        (lambda: fill_holes(MASK.long()), "fill_holes: foreground must be bool, got torch.int64"),
        (lambda: fill_holes(MASK, -1), "fill_holes: max_size must be a whole number of at least 0, got -1"),
        (lambda: split_touching(MASK[0]), "split_touching: foreground must have shape (H, W), got (3,)"),
        (lambda: split_touching(MASK.float()), "split_touching: foreground must be integers, got torch.float32"),
        (
            lambda: split_touching(MASK, smoothing=-1.0),
            "split_touching: smoothing[0] must be finite and at least 0, got -1.0",
        ),
        (lambda: split_touching(MASK, depth=0.0), "split_touching: depth[0] must be finite and above 0, got 0.0"),
        (
            lambda: split_touching(MASK, min_size=0.5),
            "split_touching: min_size must be a whole number of at least 0, got 0.5",
        ),
        (lambda: grow(MASK), "grow: instances must be integers, got torch.bool"),
        (lambda: grow(MASK.long(), -1), "grow: steps must be a whole number of at least 0, got -1"),
        (lambda: grow(MASK.long(), within=MASK.long()), "grow: within must be bool, got torch.int64"),
        (lambda: grow(MASK.long(), within=MASK[:1]), "grow: within must have shape (2, 3), got (1, 3)"),
        (
            lambda: instances_from_logits(torch.zeros(2, 3)),
            "instances_from_logits: logits must have shape (K, H, W), got (2, 3)",
        ),
        (
            lambda: instances_from_logits(torch.zeros(1, 2, 3)),
            "instances_from_logits: logits must have two classes or more, got 1",
        ),
        (
            lambda: instances_from_logits(torch.zeros(2, 2, 3).long()),
            "instances_from_logits: logits must be floating point, got torch.int64",
        ),
        (
            lambda: instances_from_logits(torch.full((2, 2, 3), math.nan)),
            "instances_from_logits: logits[0, 0, 0] is not finite: nan",
        ),
        (
            lambda: instance_classes(MASK.long(), MASK.long()[:1]),
            "instance_classes: labels must have shape (2, 3), got (1, 3)",
        ),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(InputError) as caught:
        call()
    assert str(caught.value) == message


def _matched(found, truth):
    """Count the objects of the truth that an object found matches with IoU above 1/2."""
    return int((mask_iou(masks_from_instances(found), masks_from_instances(truth)) > 0.5).any(0).sum())


def test_real_nuclei_are_told_apart_better_when_split():
    folder = DATA / "nuclei" / "labels"
    if not folder.is_dir():
        pytest.skip("the nuclei are not beside this repository")
    whole = split = total = 0
    for file in sorted(folder.glob("*.png"))[:8]:
        truth = read_mask(file)
        whole += _matched(connected_components(truth > 0), truth)
        split += _matched(split_touching(truth > 0), truth)
        total += int(truth.max())
    assert whole < 0.83 * total  # 225 of 279
    assert split > 0.87 * total  # 248
