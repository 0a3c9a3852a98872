"""What must hold for the measures of all segmentations."""

import hypothesis.strategies as st
import numpy as np
import torch
from hypothesis import assume, given, settings

from cvlab.data import masks_from_instances
from cvlab.metrics import (
    InstanceMetrics,
    SegmentationMetrics,
    boundary_f,
    boundary_f_reference,
    instance_counts,
    instance_iou,
    match_instances,
    pixel_confusion,
)
from cvlab.ops import mask_iou

properties = settings(deadline=None, max_examples=60, derandomize=True)
K = 4


@st.composite
def pair(draw, most=K - 1, ignored=False, batch=True):
    """Make a prediction and a truth of one size, from few labels, so that areas of several pixels are common."""
    shape = (draw(st.integers(0, 3)),) if batch else ()
    shape += (draw(st.integers(0, 7)), draw(st.integers(0, 7)))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    size = draw(st.sampled_from([1, 2, 3]))
    coarse = rng.integers(0, most + 1, (2, *shape[:-2], *(-(-side // size) for side in shape[-2:])))
    maps = torch.from_numpy(coarse.repeat(size, -1).repeat(size, -2)[..., : shape[-2], : shape[-1]].copy())
    said, truth = maps
    if draw(st.booleans()):
        said = said.where(torch.from_numpy(rng.random(shape)) < 0.2, truth)  # mostly right
    if ignored and draw(st.booleans()):
        truth = truth.masked_fill(torch.from_numpy(rng.random(shape)) < 0.2, 255)
    return said, truth


instances = pair(most=5, batch=False)
thresholds = st.sampled_from([0.0, 0.1, 0.25, 1 / 3, 0.5, 0.6, 0.75, 0.9])


def measure(said, truth, **options):
    metrics = SegmentationMetrics(K, **{"boundary": True, **options})
    metrics.update(said, truth)
    return metrics.compute()


@given(pair(ignored=True))
@properties
def test_confusion_counts_every_pixel_once(maps):
    said, truth = maps
    expected = torch.zeros(K, K, dtype=torch.int64)
    for a, b in zip(truth.flatten().tolist(), said.flatten().tolist(), strict=True):
        if a != 255:
            expected[a, b] += 1
    assert torch.equal(pixel_confusion(said, truth, K), expected)
    assert torch.equal(pixel_confusion(said.to(torch.uint8), truth.to(torch.uint8), K), expected)


@given(pair(ignored=True))
@properties
def test_numbers_are_shares_and_never_nan(maps):
    result = measure(*maps)
    assert all(0 <= value <= 1 for value in result.values())
    counted = result.present
    assert torch.equal(result.iou.isnan(), ~counted)
    assert torch.equal(result.dice.isnan(), ~counted)
    iou, dice = result.iou[counted], result.dice[counted]
    torch.testing.assert_close(dice, 2 * iou / (1 + iou))
    assert result["mIoU"] <= result["Dice"] + 1e-12
    assert result["fwIoU"] <= result["accuracy"] + 1e-12


@given(pair(ignored=True))
@properties
def test_batches_do_not_matter(maps):
    said, truth = maps
    metrics = SegmentationMetrics(K, boundary=True)
    for i in range(len(said)):
        metrics.update(said[i : i + 1], truth[i : i + 1])
    assert dict(metrics.compute()) == dict(measure(said, truth))


@given(pair())
@properties
def test_truth_and_prediction_change_places(maps):
    said, truth = maps
    one, other = measure(said, truth), measure(truth, said)
    assert torch.equal(one.confusion, other.confusion.t())
    for name in ("accuracy", "mIoU", "mIoU_foreground", "Dice", "boundary_F"):
        assert abs(one[name] - other[name]) < 1e-12
    a, b = boundary_f(said, truth, K), boundary_f(truth, said, K)
    torch.testing.assert_close(a.precision, b.recall, rtol=0, atol=0, equal_nan=True)


@given(pair())
@properties
def test_the_truth_itself_is_perfect(maps):
    _, truth = maps
    result = measure(truth, truth, tolerance=0)
    assert bool((result.iou[result.present] == 1).all())
    assert bool((result.boundary_f[~result.boundary_f.isnan()] == 1).all())
    if truth.numel():
        assert result["accuracy"] == result["mIoU"] == result["Dice"] == 1


@given(pair(ignored=True), st.permutations(range(K)), st.booleans())
@properties
def test_names_of_classes_and_flips_do_not_matter(maps, order, flip):
    said, truth = maps
    renamed = torch.full((256,), 255)
    renamed[:K] = torch.tensor(order)
    moved = [renamed[one].flip(-1 if flip else -2) for one in (said, truth)]
    one, other = measure(said, truth), measure(*moved)
    for name in set(one) - {"mIoU_foreground"}:
        assert abs(one[name] - other[name]) < 1e-12, name


@given(pair(ignored=True), st.integers(0, 2**31))
@properties
def test_what_is_predicted_where_truth_is_ignored_does_not_matter(maps, seed):
    said, truth = maps
    other = torch.randint(K, said.shape, generator=torch.Generator().manual_seed(seed))
    assert dict(measure(said.where(truth != 255, other), truth)) == dict(measure(said, truth))


@given(pair(ignored=True), st.sampled_from([0, 1, 1.4, 1.5, 2, 2.9, 5, 50]))
@properties
def test_the_fast_boundaries_are_the_clear_ones(maps, tolerance):
    for said, truth in zip(*maps, strict=True):
        if not truth.numel():
            continue
        fast, clear = boundary_f(said, truth, K, tolerance), boundary_f_reference(said, truth, K, tolerance)
        for a, b in zip(fast[:3], clear[:3], strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=0, equal_nan=True)
        assert fast.mean == clear.mean


@given(pair(), st.floats(0, 6), st.floats(0, 3))
@properties
def test_more_tolerance_is_never_worse(maps, tolerance, more):
    strict, lax = boundary_f(*maps, K, tolerance), boundary_f(*maps, K, tolerance + more)
    assert bool((strict.f.nan_to_num() <= lax.f.nan_to_num()).all())
    assert strict.mean <= lax.mean


@given(instances)
@properties
def test_one_histogram_or_masks_pixel_by_pixel(maps):
    said, truth = maps
    table = instance_iou(said, truth)
    assert torch.equal(table.iou, mask_iou(masks_from_instances(said), masks_from_instances(truth)))
    assert torch.equal(instance_iou(masks_from_instances(said), truth).iou, table.iou)
    assert torch.equal(instance_iou(said * 10**9, truth).iou, table.iou)  # too many numbers for a histogram
    assert bool((table.iou.sum(0) <= 1 + 1e-12).all())  # predictions share no pixel
    assert not table.iou.isnan().any()


def most_pairs(good):
    """Count the pairs of the largest matching, trying all of them."""
    if not good.numel():
        return 0
    rest = good[1:]
    without = most_pairs(rest)
    taken = [1 + most_pairs(torch.cat((rest[:, :c], rest[:, c + 1 :]), 1)) for c in good[0].nonzero()[:, 0].tolist()]
    return max([without, *taken])


@given(instances, thresholds)
@properties
def test_pairs_are_as_many_as_can_be(maps, threshold):
    found = match_instances(*maps, threshold)
    table = instance_iou(*maps)
    good = table.iou > threshold
    assert found.tp == most_pairs(good)
    assert (found.tp + found.fp, found.tp + found.fn) == tuple(good.shape)
    for side, numbers in enumerate((table.predicted, table.truth)):
        own = found.pairs[:, side]
        assert len(own.unique()) == len(own) == found.tp
        assert bool(torch.isin(own, numbers).all())
    for p, t in found.pairs.tolist():
        assert table.iou[(table.predicted == p).nonzero()[0, 0], (table.truth == t).nonzero()[0, 0]] > threshold


@given(instances)
@properties
def test_from_one_half_on_everybody_has_one_partner_at_most(maps):
    above = instance_iou(*maps).iou > 0.5
    assert bool((above.sum(0) <= 1).all())
    assert bool((above.sum(1) <= 1).all())
    assert match_instances(*maps).tp == int(above.sum())


@given(instances)
@properties
def test_counts_fall_with_the_threshold(maps):
    counts = instance_counts(*maps)
    assert bool((counts.tp.diff() <= 0).all())
    assert len((counts.tp + counts.fp).unique()) == len((counts.tp + counts.fn).unique()) == 1
    for i, threshold in enumerate((0.5, 0.55, 0.6)):
        assert match_instances(*maps, threshold)[1:4] == tuple(int(column[i]) for column in counts)


@given(st.lists(instances, max_size=4))
@properties
def test_numbers_of_instances_are_shares(pairs):
    metrics, swapped = InstanceMetrics(), InstanceMetrics()
    for said, truth in pairs:
        metrics.update([said], [truth])
        swapped.update([truth], [said * 7])  # what the objects are called does not matter
    result = metrics.compute()
    assert all(0 <= value <= 1 for value in result.values())
    assert result["AP"] <= result["AP50"]
    for name, value in swapped.compute().items():
        assert abs(value - result[name]) < 1e-12
    if pairs:
        scores = [instance_counts(*one) for one in pairs]
        assume(all(int((c.tp + c.fp + c.fn)[0]) for c in scores))
        expected = [float((c.tp / (c.tp + c.fp + c.fn)).double().mean()) for c in scores]
        np.testing.assert_allclose(result.per_image, expected, atol=1e-6)


@given(instances)
@properties
def test_the_true_objects_themselves_are_perfect(maps):
    _, truth = maps
    metrics = InstanceMetrics()
    metrics.update([truth * 3], [truth])
    assert set(metrics.compute().values()) == {1.0}
