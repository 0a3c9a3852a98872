"""The detectors without a network: the matcher finds what is there, the oracle spoils by the stated amount."""

import pytest
import torch
from skimage import data

from cvlab.data.detections import (
    DiscDetector,
    detect_discs,
    disc_template,
    lost_and_doubled,
    noisy_detections,
    replay_targets,
)
from cvlab.ops import batched_nms, box_iou, grid_anchors, nms

TRUTH = torch.tensor([[10.0, 10.0, 40.0, 30.0], [50.0, 20.0, 90.0, 80.0]])
LABELS = torch.tensor([2, 5])


def noisy(seed=0, **settings):
    g = torch.Generator().manual_seed(seed)
    return noisy_detections(TRUTH, LABELS, (100, 120), num_labels=8, generator=g, **settings)


def test_template_is_a_disc_of_the_right_area():
    area = disc_template(40).sum()
    assert area == pytest.approx(torch.pi * 20**2, rel=0.01)


def test_coins_are_found_one_by_one():
    """The photograph shows 24 coins; the matcher hits each many times, suppression leaves 24."""
    image = torch.as_tensor(data.coins())[None] / 255
    boxes, scores = detect_discs(image, range(38, 64, 4))
    assert len(boxes) > 5000
    assert len(nms(boxes, scores, 0.1)) == 24


def picture(*discs, size=(80, 120)):
    """Bright discs on black: (diameter, x1, y1) of the disc's box, and how bright."""
    image = torch.zeros(1, *size)
    for diameter, x, y, light in discs:
        side = diameter + 10  # the template has a margin of 5
        place = image[0, y - 5 : y - 5 + side, x - 5 : x - 5 + side]
        place += light * torch.as_tensor(disc_template(diameter)).float()
    return image


def test_the_detector_finds_each_disc_once_best_first():
    """A clean disc correlates with its template fully, whatever its brightness; one with a hole in it less."""
    image = picture((20, 10, 10, 0.4), (30, 60, 30, 1.0))
    image[0, 18:22, 18:22] = 0  # the hole
    found = DiscDetector([20, 30])([image])[0]
    assert found["boxes"].tolist() == [[60, 30, 90, 60], [10, 10, 30, 30]]
    assert found["labels"].tolist() == [1, 1]
    assert found["labels"].dtype == torch.int64
    assert found["scores"][0].item() == pytest.approx(1.0, abs=1e-6)
    assert 0.6 < found["scores"][1] < 0.99


def test_the_detector_gives_one_answer_for_each_image_as_torchvisions_do():
    one, two = picture((20, 10, 10, 1.0)), picture((20, 40, 20, 1.0), size=(60, 70))
    detector = DiscDetector([20])
    assert [len(found["boxes"]) for found in detector([one, torch.zeros(1, 50, 50), two])] == [1, 0, 1]
    assert detector([]) == []
    nothing = detector([torch.zeros(1, 50, 50)])[0]
    assert {name: (tuple(value.shape), value.dtype) for name, value in nothing.items()} == {
        "boxes": ((0, 4), torch.float32),
        "scores": ((0,), torch.float32),
        "labels": ((0,), torch.int64),
    }


def test_the_detector_looks_at_the_first_channel():
    disc, black = picture((20, 10, 10, 1.0)), torch.zeros(1, 80, 120)
    assert len(DiscDetector([20])([torch.cat([disc, black, black])])[0]["boxes"]) == 1
    assert len(DiscDetector([20])([torch.cat([black, disc, disc])])[0]["boxes"]) == 0


def test_the_detectors_thresholds_decide():
    """Boxes of 20 pixels that overlap by 4 columns: IoU 80 / (800 - 80) = 0.11; the best two scores are 0.786."""
    image = picture((20, 20, 20, 1.0), (20, 36, 20, 1.0)).clamp(max=1)

    def count(score_threshold, iou_threshold):
        return len(DiscDetector([20], score_threshold, iou_threshold)([image])[0]["boxes"])

    assert count(0.78, 0.12) == 2
    assert count(0.78, 0.10) == 1
    assert count(0.79, 0.12) == 0
    assert count(0.6, 0.9) > 10  # nothing that is not nearly the same is suppressed


def test_the_detector_counts_the_coins():
    image = torch.as_tensor(data.coins())[None] / 255
    found = DiscDetector(range(38, 64, 4))([image.expand(3, -1, -1)])[0]
    assert len(found["boxes"]) == 24
    assert bool((found["scores"].diff() <= 0).all())


@pytest.mark.parametrize(
    ("detector", "image", "error", "message"),
    [
        (DiscDetector([20]), torch.zeros(50, 50), ValueError, r"image must have shape \(1, H, W\), got \(1, 50\)"),
        (DiscDetector([20]), torch.zeros(1, 60, 60).byte(), ValueError, "image must be floating point"),
        (DiscDetector([]), torch.zeros(1, 60, 60), ValueError, "diameters must not be empty"),
        (DiscDetector([20], 2.0), torch.zeros(1, 60, 60), ValueError, r"score_threshold must lie in \[-1, 1\], got 2"),
    ],
)
def test_the_detector_refuses_what_it_cannot_work_with(detector, image, error, message):
    with pytest.raises(error, match=f"^detect_discs: {message}"):
        detector([image])


def test_without_noise_the_oracle_tells_the_truth():
    boxes, scores, labels = noisy(jitter=0.0, false_alarms=0, per_object=1)
    torch.testing.assert_close(boxes, TRUTH)
    assert scores.tolist() == [1.0, 1.0]
    assert labels.tolist() == [2, 5]


def test_less_moved_boxes_score_higher():
    boxes, scores, _ = noisy(per_object=200, false_alarms=0)
    iou = box_iou(boxes, TRUTH).amax(1)
    assert iou[scores > 0.8].mean() > iou[scores < 0.3].mean() + 0.1


def test_same_seed_same_detections():
    for a, b in zip(noisy(3), noisy(3), strict=True):
        assert torch.equal(a, b)
    assert not torch.equal(noisy(3)[0][:8], noisy(4)[0][:8])


def test_boxes_stay_inside_and_no_object_is_fine():
    boxes, _, _ = noisy(jitter=0.8, per_object=50)
    assert bool((boxes >= 0).all())
    assert bool((boxes[:, 2] <= 120).all())
    assert bool((boxes[:, 3] <= 100).all())
    g = torch.Generator().manual_seed(0)
    empty = noisy_detections(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), (64, 64), num_labels=3, generator=g)
    assert len(empty[0]) == 5


@pytest.mark.parametrize("shape", [(3, 100, 100), (100, 100)])
def test_discs_refuse_other_layouts(shape):
    with pytest.raises(ValueError, match=r"detect_discs: image must have shape \(1, H, W\), got"):
        detect_discs(torch.zeros(shape), [30])


def test_discs_refuse_an_image_smaller_than_the_template():
    with pytest.raises(ValueError, match="a disc of 60 pixels needs an image of at least 70 x 70, got 50 x 90"):
        detect_discs(torch.zeros(1, 50, 90), [20, 60])


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"image": [[0.0]]}, TypeError, r"image must be a torch\.Tensor, got list"),
        ({"image": torch.zeros(1, 60, 60, dtype=torch.uint8)}, ValueError, "image must be floating point, got .*uint8"),
        ({"image": torch.full((1, 60, 60), torch.nan)}, ValueError, r"image\[0, 0, 0\] is not finite"),
        ({"diameters": []}, ValueError, "diameters must not be empty"),
        ({"diameters": [20, 0]}, ValueError, r"diameters\[1\] must be finite and above 0, got 0"),
        ({"diameters": [0.5]}, ValueError, r"diameters\[0\] must be a whole number of pixels, got 0.5"),
        ({"score_threshold": float("nan")}, ValueError, r"score_threshold must lie in \[-1, 1\], got nan"),
        ({"score_threshold": 1.1}, ValueError, r"score_threshold must lie in \[-1, 1\], got 1.1"),
        ({"score_threshold": -1.1}, ValueError, r"score_threshold must lie in \[-1, 1\], got -1.1"),
    ],
)
def test_discs_refuse_what_they_cannot_work_with(given, error, message):
    with pytest.raises(error, match=f"^detect_discs: {message}"):
        detect_discs(**({"image": torch.zeros(1, 60, 60), "diameters": [20]} | given))


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"boxes": [[0, 0, 1, 1]]}, TypeError, r"boxes must be a torch\.Tensor, got list"),
        ({"boxes": TRUTH.long()}, ValueError, "boxes must be floating point, got .*int64"),
        ({"boxes": TRUTH[0]}, ValueError, r"boxes must have shape \(N, 4\), got \(4,\)"),
        ({"boxes": TRUTH[:, [2, 1, 0, 3]]}, ValueError, r"boxes\[0\] has x2 < x1"),
        ({"labels": [2, 5]}, TypeError, r"labels must be a torch\.Tensor, got list"),
        ({"labels": LABELS[:1]}, ValueError, r"labels must have shape \(2,\), one for each box, got \(1,\)"),
        ({"jitter": -0.1}, ValueError, "jitter must be finite and at least 0, got -0.1"),
        ({"jitter": float("nan")}, ValueError, "jitter must be finite and at least 0, got nan"),
        ({"per_object": -1}, ValueError, "per_object must be finite and at least 0, got -1"),
        ({"false_alarms": -1}, ValueError, "false_alarms must be finite and at least 0, got -1"),
        ({"num_labels": 0}, ValueError, "num_labels must be finite and at least 1, got 0"),
    ],
)
def test_the_oracle_refuses_what_it_cannot_work_with(given, error, message):
    settings = {"boxes": TRUTH, "labels": LABELS, "image_size": (100, 120), "num_labels": 8} | given
    with pytest.raises(error, match=f"^noisy_detections: {message}"):
        noisy_detections(**settings, generator=torch.Generator())


def test_replayed_targets_give_back_the_truth():
    anchors = grid_anchors((8, 8), (100, 120), [0.2, 0.4], [1.0, 2.0, 0.5])
    boxes, scores, labels = replay_targets(anchors, TRUTH, LABELS)
    kept = batched_nms(boxes, scores, labels, 0.5)
    assert sorted(labels[kept].tolist()) == [2, 5]
    torch.testing.assert_close(boxes[kept][labels[kept].argsort()], TRUTH, atol=1e-3, rtol=0)


def test_replayed_targets_with_noise_miss_and_repeat_by_seed():
    anchors = grid_anchors((8, 8), (100, 120), [0.2, 0.4], [1.0, 2.0, 0.5])
    first, second = (replay_targets(anchors, TRUTH, LABELS, 0.5, torch.Generator().manual_seed(1))[0] for _ in "ab")
    assert torch.equal(first, second)
    assert not torch.allclose(first, replay_targets(anchors, TRUTH, LABELS)[0], atol=0.1)


def test_an_image_without_objects_replays_nothing():
    anchors = grid_anchors((2, 2), (64, 64), [0.5])
    boxes, scores, labels = replay_targets(anchors, torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64))
    assert (boxes.shape, scores.shape, labels.shape) == ((0, 4), (0,), (0,))


def test_lost_and_doubled_by_hand():
    """Object 0 is shown twice (one too many), object 1 only under a wrong label (lost)."""
    target = {"boxes": TRUTH, "labels": LABELS}
    assert lost_and_doubled(target, TRUTH[[0, 0, 1]], torch.tensor([2, 2, 2])) == (1, 1)
    assert lost_and_doubled(target, TRUTH, LABELS) == (0, 0)
    assert lost_and_doubled(target, TRUTH[:0], LABELS[:0]) == (2, 0)
