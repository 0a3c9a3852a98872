"""Average precision of masks by hand, the overlaps behind it, and what is refused."""

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings

from cvlab._check import InputError
from cvlab.metrics import DetectionMetrics
from cvlab.metrics._inputs import read
from cvlab.metrics._masks import mask_overlaps
from cvlab.ops import mask_iou, rle_encode

SIZE = (20, 30)
BOX = [0.0, 0.0, 30.0, 20.0]  # the same for all: it tells nothing


def rows(first, last, size=SIZE):
    """Make a mask of whole rows, 30 pixels each."""
    mask = torch.zeros(size, dtype=torch.bool)
    mask[first:last] = True
    return mask


def entry(masks, labels=None, scores=None, **others):
    count = len(masks)
    found = {"boxes": torch.tensor([BOX] * count).reshape(-1, 4)}
    found["labels"] = torch.tensor([1] * count if labels is None else labels, dtype=torch.int64)
    if scores is not None:
        found["scores"] = torch.tensor(scores)
    found["masks"] = torch.stack(masks) if masks else torch.zeros(0, *SIZE, dtype=torch.bool)
    return found | others


NOTHING = entry([], scores=[])


def evaluate(predictions, targets, **settings):
    metrics = DetectionMetrics(iou_type="masks", **settings)
    metrics.update(predictions, targets)
    return metrics.compute()


def test_masks_count_where_boxes_would_not():
    # The boxes are all alike. Rows 0-9 and 0-7 share 240 of 300 pixels: IoU 0.8, seven of ten thresholds.
    truth = [entry([rows(0, 10)])]
    guess = [entry([rows(0, 8)], scores=[0.9])]
    result = evaluate(guess, truth)
    assert result["AP50"] == result["AP75"] == 1
    assert result["AP"] == pytest.approx(0.7)
    boxes = DetectionMetrics()
    boxes.update(guess, truth)
    assert boxes.compute()["AP"] == 1


def test_area_is_the_number_of_pixels():
    # 10 rows of 30 pixels are 300; the box has 600. A false alarm of 540 pixels lies outside the first range.
    ranges = {"s": (0, 300), "l": (301, 600)}
    guess = [entry([rows(0, 9), rows(2, 20)], scores=[0.5, 0.9])]
    result = evaluate(guess, [entry([rows(0, 10)])], area_ranges=ranges, iou_thresholds=[0.9])  # IoU 270 / 300
    assert result["AP"] == pytest.approx(0.5)  # the false alarm first, then the object
    assert result["APs"] == 1
    assert np.isnan(result["APl"])
    given = evaluate(guess, [entry([rows(0, 10)], area=torch.tensor([500.0]))], area_ranges=ranges)
    assert np.isnan(given["APs"])
    assert given["ARl"] > 0


def test_empty_masks_are_valid_and_find_nothing():
    empty, half = rows(0, 0), rows(0, 10)
    for truth in ([entry([half])], [entry([empty])]):
        assert evaluate([entry([empty], scores=[0.9])], truth)["AP"] == 0
    found = evaluate([entry([empty, half], scores=[0.9, 0.8])], [entry([half])])
    assert found["AP"] == pytest.approx(0.5)  # the empty one is a false alarm before the hit
    crowd = [entry([half, half], iscrowd=torch.tensor([0, 1]))]
    assert evaluate([entry([empty, half], scores=[0.9, 0.8])], crowd)["AP"] == pytest.approx(0.5)


def test_crowds_take_any_number_of_masks():
    truth = [entry([rows(0, 10), rows(10, 20)], iscrowd=torch.tensor([False, True]))]
    # Rows 9-12 lie in the crowd with three quarters: intersection / own area; IoU with it would be 3 / 11.
    guess = [entry([rows(9, 13), rows(9, 13), rows(0, 10)], scores=[0.9, 0.8, 0.7])]
    assert evaluate(guess, truth)["AP75"] == 1
    assert evaluate(guess, truth, iou_thresholds=[0.8])["AP"] == pytest.approx(1 / 3)


def test_only_masks_of_the_same_class_are_compared():
    truth = [entry([rows(0, 10), rows(10, 20)], [1, 2])]
    right = evaluate([entry([rows(0, 10), rows(10, 20)], [1, 2], [0.9, 0.8])], truth)
    wrong = evaluate([entry([rows(0, 10), rows(10, 20)], [2, 1], [0.9, 0.8])], truth)
    assert (right["AP"], wrong["AP"]) == (1, 0)


def test_images_may_differ_in_size_and_have_nothing():
    metrics = DetectionMetrics(iou_type="masks")
    for size in ((7, 5), (33, 40), (1, 1)):
        mask = torch.ones(1, *size, dtype=torch.bool)
        truth = {"boxes": torch.tensor([BOX]), "labels": torch.tensor([1]), "masks": mask}
        guess = truth | {"scores": torch.tensor([0.5])}
        metrics.update([guess, NOTHING, NOTHING], [truth, entry([]), entry([rows(0, 3)], [2])])
    metrics.update([{**NOTHING, "masks": torch.zeros(0)}], [entry([rows(0, 3)], [2])])
    metrics.update([entry([rows(0, 3)], [3], [0.5])], [{**entry([]), "masks": []}])
    table = metrics.compute().per_class
    assert table["objects"].tolist() == [3, 4, 0]
    assert table["AP"].tolist()[:2] == [1, 0]
    assert np.isnan(list(DetectionMetrics(iou_type="masks").compute().values())).all()


def test_kinds_of_masks():
    truth, half = [entry([rows(0, 10)])], rows(0, 10)
    soft = torch.where(half, 0.5, 0.4)  # 0.5 is inside
    for masks in (soft[None], soft[None, None], soft[None].half(), half[None].to(torch.uint8), [rle_encode(half)]):
        assert evaluate([entry([half], scores=[0.9]) | {"masks": masks}], truth)["AP"] == 1
    guess = [entry([half], scores=[0.9]) | {"masks": soft[None]}]
    assert evaluate(guess, truth, mask_threshold=0.6)["AP"] == 0  # nothing is inside
    assert evaluate(guess, truth, mask_threshold=0.3)["AP50"] == 1  # all is: IoU 300 / 600
    assert evaluate(guess, truth, mask_threshold=0.3)["AP75"] == 0
    assert evaluate([entry([half], scores=[0.9])], [{**truth[0], "masks": [rle_encode(half)]}])["AP"] == 1


def test_masks_are_not_kept():
    metrics = DetectionMetrics(iou_type="masks")
    masks = torch.zeros(3, 400, 400, dtype=torch.bool)
    masks[:, :9] = True
    one = {"boxes": torch.tensor([BOX] * 3), "labels": torch.ones(3, dtype=torch.int64), "masks": masks}
    metrics.update([one | {"scores": torch.rand(3)}], [one])
    kept = [column for table in metrics._detections + metrics._objects for column in table] + metrics._overlaps
    assert sum(column.nbytes for column in kept) < 1000  # of 480,000 for each of both
    masks[:] = False
    assert metrics.compute()["AP"] == 1


@given(st.integers(0, 4), st.integers(0, 4), st.integers(1, 9), st.integers(1, 9), st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_overlaps_are_those_of_mask_iou(n, g, height, width, random):
    generator = torch.Generator().manual_seed(random.randrange(2**32))

    def draw(count):
        masks = torch.rand(count, height, width, generator=generator) < 0.5
        masks[torch.rand(count, generator=generator) < 0.2] = False
        return {
            "boxes": torch.tensor([[0.0, 0.0, 1.0, 1.0]]).repeat(count, 1),
            "labels": torch.randint(1, 3, (count,), generator=generator),
            "masks": masks,
        }

    target = draw(g) | {"iscrowd": torch.rand(g, generator=generator) < 0.3}
    prediction = draw(n) | {"scores": torch.rand(n, generator=generator)}
    detections, objects, overlaps = mask_overlaps(
        "test", [prediction], [target], *read("test", [prediction], [target]), 0.5
    )
    expected = mask_iou(prediction["masks"], target["masks"], target["iscrowd"])
    expected[prediction["labels"][:, None] != target["labels"]] = 0
    assert np.array_equal(overlaps[detections.row[:, None] + objects.column], expected.numpy())
    assert detections.area.tolist() == prediction["masks"].flatten(1).sum(1).tolist()
    assert objects.area.tolist() == target["masks"].flatten(1).sum(1).tolist()


GOOD, TRUE = entry([rows(0, 5), rows(5, 9)], scores=[0.5, 0.6]), entry([rows(0, 5), rows(5, 9)])
CODE = rle_encode(rows(0, 5))


@pytest.mark.parametrize(
    ("kind", "masks", "error", "message"),
    [
        ("prediction", None, InputError, r"must have 'masks', got \['boxes', 'labels', 'scores'\]"),
        ("target", None, InputError, r"must have 'masks', got \['boxes', 'labels'\]"),
        ("target", torch.ones(3, *SIZE).bool(), InputError, r"masks must have shape \(2, H, W\), got \(3, 20, 30\)"),
        (
            "prediction",
            torch.ones(1, *SIZE).bool(),
            InputError,
            r"masks must have shape \(2, H, W\), got \(1, 20, 30\)",
        ),
        ("prediction", torch.zeros(0, *SIZE).bool(), InputError, r"masks must have shape \(2, H, W\), got \(0, 20"),
        ("prediction", torch.ones(SIZE).bool(), InputError, r"masks must have shape \(2, H, W\), got \(20, 30\)"),
        ("prediction", torch.ones(2, 3, *SIZE), InputError, r"masks must have shape \(2, H, W\), got \(2, 3, 20, 30\)"),
        ("prediction", torch.full((2, *SIZE), 1.5), InputError, r"masks\[0, 0, 0\] must lie in \[0, 1\], got 1.5"),
        ("prediction", torch.full((2, *SIZE), torch.nan), InputError, r"masks\[0, 0, 0\] is not finite: nan"),
        ("target", torch.full((2, *SIZE), 255), InputError, "masks of integers must hold 0 and 1 only, got 255"),
        ("target", torch.ones(2, *SIZE).cfloat(), InputError, "masks must be float or integer, got torch.complex64"),
        ("target", np.ones((2, *SIZE), bool), TypeError, "masks must be a torch.Tensor, got ndarray"),
        ("prediction", [CODE], InputError, r"masks must have shape \(2, H, W\), got \(1, 20, 30\)"),
        ("prediction", [CODE, "22"], TypeError, r"masks\[1\] must be an RLE, a dictionary, got str"),
        ("prediction", [CODE, {"size": [1, 2]}], InputError, r"masks\[1\]: rle_decode: an RLE must have 'counts'"),
        (
            "prediction",
            [CODE, {"size": [2, 2], "counts": [2, 2]}],
            InputError,
            r"masks\[1\] and masks\[0\] must be of one size, got \(2, 2\) and \(20, 30\)",
        ),
    ],
)
def test_bad_masks_are_named_and_lose_nothing(kind, masks, error, message):
    metrics = DetectionMetrics(iou_type="masks")
    metrics.update([GOOD], [TRUE])
    lists = {"prediction": [GOOD, GOOD], "target": [TRUE, TRUE]}
    lists[kind][1] = {k: v for k, v in {**lists[kind][1], "masks": masks}.items() if v is not None}
    with pytest.raises(error, match=rf"^DetectionMetrics.update: {kind} 1:? {message}"):
        metrics.update(lists["prediction"], lists["target"])
    assert metrics.num_images == 1
    metrics.update([GOOD], [TRUE])
    assert metrics.compute()["AP"] == 1


def test_masks_of_two_sizes_are_refused():
    other = entry([rows(0, 5, (30, 20))] * 2, scores=[0.5, 0.6])
    message = r"masks of prediction 1 and target 1 must be of one size, got \(30, 20\) and \(20, 30\)$"
    with pytest.raises(InputError, match=f"^DetectionMetrics.update: {message}"):
        DetectionMetrics(iou_type="masks").update([GOOD, other], [TRUE, TRUE])


def test_settings_of_masks_are_checked():
    with pytest.raises(InputError, match="^DetectionMetrics: iou_type must be one of boxes, masks, got 'segm'"):
        DetectionMetrics(iou_type="segm")
    with pytest.raises(InputError, match=r"^DetectionMetrics: mask_threshold must lie in \[0, 1\], got 2"):
        DetectionMetrics(iou_type="masks", mask_threshold=2)
