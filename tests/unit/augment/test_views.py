"""Test-time augmentation: answers come back to where they belong, and are merged."""

import pytest
import torch

from cvlab import _check
from cvlab.augment import Elastic, Warp, affine, predict_boxes, predict_masks, seeded, views
from cvlab.augment.views import inverse

SIZE = (40, 60)
BRIGHT = torch.zeros(3, *SIZE)
BRIGHT[:, 10:20, 30:50] = 1.0  # the box (30, 10, 50, 20)


def finder(images):
    """A perfect detector of one bright rectangle."""
    found = []
    for image in images:
        y, x = (image[0] > 0.5).nonzero().unbind(1)
        box = torch.stack([x.min(), y.min(), x.max() + 1, y.max() + 1]).float()[None]
        mask = (image[0] > 0.5).float()[None, None]
        found.append({"boxes": box, "scores": torch.tensor([0.8]), "labels": torch.tensor([3]), "masks": mask})
    return found


@pytest.mark.parametrize("merge", ["fusion", "nms"])
def test_a_perfect_detector_stays_perfect(merge):
    found = predict_boxes(finder, BRIGHT, views(SIZE, scales=(1.0, 2.0, 0.5)), merge=merge)
    assert found["boxes"].shape == (1, 4)
    torch.testing.assert_close(found["boxes"][0], torch.tensor([30.0, 10, 50, 20]), atol=1e-4, rtol=0)
    assert found["labels"].tolist() == [3]
    assert found["scores"].item() == pytest.approx(0.8)
    inside = found["masks"][0] > 0.5
    assert torch.equal(inside, BRIGHT[0] > 0.5)


def test_fusion_by_hand():
    answers = iter(
        [
            {
                "boxes": torch.tensor([[0.0, 0, 10, 10], [30, 20, 40, 30]]),
                "scores": torch.tensor([0.6, 0.9]),
                "labels": torch.tensor([1, 1]),
            },
            # in the mirrored view x becomes 60 - x: this one comes back as (2, 0, 12, 10)
            {"boxes": torch.tensor([[48.0, 0, 58, 10]]), "scores": torch.tensor([0.2]), "labels": torch.tensor([1])},
        ]
    )
    found = predict_boxes(lambda _: [next(answers)], BRIGHT, views(SIZE), iou_threshold=0.5)
    # (0.6 * 0 + 0.2 * 2) / 0.8 = 0.5; seen by both: (0.6 + 0.2) / 2; the other one by one of two: 0.9 / 2
    assert found["boxes"][1].tolist() == pytest.approx([0.5, 0, 10.5, 10])
    assert found["scores"].tolist() == pytest.approx([0.45, 0.4])


def test_labels_are_not_merged():
    boxes = torch.tensor([[0.0, 0, 10, 10], [0.0, 0, 10, 10]])
    answer = {"boxes": boxes, "scores": torch.tensor([0.5, 0.4]), "labels": torch.tensor([1, 2])}
    for merge in ("fusion", "nms"):
        found = predict_boxes(lambda _: [answer], BRIGHT, views(SIZE, flips=(False,)), merge=merge)
        assert found["labels"].tolist() == [1, 2]


def test_no_detections():
    nothing = {"boxes": torch.zeros(0, 4), "scores": torch.zeros(0), "labels": torch.zeros(0, dtype=torch.int64)}
    for merge in ("fusion", "nms"):
        found = predict_boxes(lambda _: [nothing], BRIGHT, views(SIZE), merge=merge)
        assert found["boxes"].shape == (0, 4)


def test_masks_come_back_exactly_from_flips_and_are_averaged():
    def left_is_sure(images):
        x = torch.linspace(0, 1, images.shape[-1]).expand(1, 1, *images.shape[-2:])
        return torch.cat([x, 1 - x], 1)

    found = predict_masks(left_is_sure, BRIGHT, views(SIZE))
    torch.testing.assert_close(found, torch.full((2, *SIZE), 0.5))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: views((0, 5)), r"views: size\[0\]"),
        (lambda: views((5, 5), scales=(0,)), r"views: scales\[0\]"),
        (lambda: predict_boxes(finder, BRIGHT, []), "predict_boxes: there must be one view or more, got none"),
        (
            lambda: predict_boxes(finder, BRIGHT, views((4, 4))),
            r"view 0 is of a picture of \(4, 4\), the image has size \(40, 60\)",
        ),
        (
            lambda: predict_boxes(finder, BRIGHT, views(SIZE), merge="vote"),
            "merge must be one of fusion, nms, got 'vote'",
        ),
        (lambda: predict_masks(lambda x: x[..., :5], BRIGHT, views(SIZE)), "the model's output must have shape"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(_check.InputError, match=message):
        call()


def test_a_bent_view_has_no_inverse_here():
    with seeded(0):
        field = Elastic(1, 5, p=1.0).draw_field(SIZE)
    with pytest.raises(_check.InputError, match="inverse: the view must have no field"):
        inverse(Warp(affine.identity(), SIZE, SIZE, field))
