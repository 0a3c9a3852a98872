"""Confusion, IoU and Dice of label maps by hand, batch by batch, and what is refused."""

import math

import numpy as np
import pytest
import torch
from torchvision import tv_tensors

from cvlab import engine
from cvlab._check import InputError
from cvlab.metrics import SegmentationMetrics, pixel_confusion

# Three classes on eight pixels, one of them ignored. By class: 0 has 4 true pixels, of which 3 were found and 1 was
# called 1; 1 has 2, both found; 2 has 1, called 0.
TRUTH = torch.tensor([[[0, 0, 0, 0], [1, 1, 2, 255]]])
SAID = torch.tensor([[[0, 0, 0, 1], [1, 1, 0, 2]]])
COUNTS = [[3, 1, 0], [0, 2, 0], [1, 0, 0]]
IOU = [3 / 5, 2 / 3, 0.0]  # 3 / (4 + 4 - 3), 2 / (2 + 3 - 2), 0 / (1 + 0)
DICE = [6 / 8, 4 / 5, 0.0]


def measure(said, truth, classes=3, **settings):
    metrics = SegmentationMetrics(classes, **settings)
    metrics.update(said, truth)
    return metrics.compute()


def logits_of(labels, classes=3):
    """Make logits whose largest is that of the label."""
    return torch.nn.functional.one_hot(labels, classes).permute(0, 3, 1, 2).float() * 2 - 1  # (B, H, W, K)


def loop(said, truth, k, ignore):
    counts = torch.zeros(k, k, dtype=torch.int64)
    for a, b in zip(truth.flatten().tolist(), said.flatten().tolist(), strict=True):
        if a != ignore:
            counts[a, b] += 1
    return counts


def test_confusion_by_hand():
    counts = pixel_confusion(SAID, TRUTH, 3)
    assert counts.dtype == torch.int64
    assert counts.tolist() == COUNTS


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.uint16, torch.int32, torch.int64])
def test_integers_of_every_width(dtype):
    assert pixel_confusion(SAID.to(dtype), TRUTH.to(dtype), 3).tolist() == COUNTS
    assert pixel_confusion(SAID, TRUTH.to(dtype), 3).tolist() == COUNTS


def test_masks_of_bool_are_two_classes():
    truth, said = torch.tensor([True, True, False]), torch.tensor([True, False, False])
    assert pixel_confusion(said, truth, 2).tolist() == [[1, 0], [1, 1]]


@pytest.mark.parametrize("shape", [(), (7,), (3, 5), (2, 3, 4, 5), (0,), (2, 0, 5)])
def test_any_shape(shape):
    g = torch.Generator().manual_seed(0)
    truth, said = torch.randint(4, shape, generator=g), torch.randint(4, shape, generator=g)
    assert torch.equal(pixel_confusion(said, truth, 4), loop(said, truth, 4, 255))


def test_more_pixels_than_are_counted_at_a_time():
    g = torch.Generator().manual_seed(0)
    truth, said = torch.randint(5, (3, 400, 500), generator=g), torch.randint(5, (3, 400, 500), generator=g)
    truth[torch.rand(truth.shape, generator=g) < 0.1] = 255
    expected = torch.tensor(
        [[int(((truth == a) & (said == b)).sum()) for b in range(5)] for a in range(5)], dtype=torch.int64
    )
    assert torch.equal(pixel_confusion(said, truth, 5), expected)
    truth[2, 399, 499] = 5  # the last pixel, in the last part
    with pytest.raises(InputError, match=r"truth\[2, 399, 499\] must lie from 0 to 4 or be 255 \(ignored\), got 5"):
        pixel_confusion(said, truth, 5)


@pytest.mark.parametrize("ignore", [0, 2, 3, -1, -100, 254, 70_000])
def test_any_label_can_be_the_one_to_ignore(ignore):
    truth = TRUTH.clone()
    truth[truth == 255] = ignore
    assert torch.equal(pixel_confusion(SAID, truth, 3, ignore), loop(SAID, truth, 3, ignore))


def test_many_classes():
    counts = pixel_confusion(torch.tensor([299, 0, 255]), torch.tensor([255, 299, 298]), 300, ignore=None)
    assert counts.nonzero().tolist() == [[255, 299], [298, 255], [299, 0]]
    wide = torch.tensor([300, 40_000]).to(torch.uint16)  # 40000 does not fit int16
    with pytest.raises(InputError, match=r"truth\[1\] .* got 40000"):
        pixel_confusion(wide.int().clamp(max=300), wide, 301)
    assert int(pixel_confusion(wide[:1], wide[:1], 301)[300, 300]) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s, t: (s, t.float()), "pixel_confusion: truth must be integers, got torch.float32"),
        (lambda s, t: (s.cfloat(), t), "predicted must be integers, got torch.complex64"),
        (lambda s, t: (s[:, :1], t), r"the same shape, got \(1, 1, 4\) and \(1, 2, 4\)"),
        (lambda s, t: (s, t.where(t != 2, 3)), r"truth\[0, 1, 2\] must lie from 0 to 2 or be 255 \(ignored\), got 3"),
        (lambda s, t: (s, t.where(t != 2, -1)), r"truth\[0, 1, 2\] .* got -1"),
        (lambda s, t: (s.where(s != 2, 255), t), r"predicted\[0, 1, 3\] must lie from 0 to 2, got 255"),
        (lambda s, t: (s.where(s != 2, 2**32), t), r"predicted\[0, 1, 3\] must lie from 0 to 2, got 4294967296"),
    ],
)
def test_what_confusion_refuses(change, message):
    said, truth = change(SAID, TRUTH)
    with pytest.raises(InputError, match=message):
        pixel_confusion(said, truth, 3)


def test_labels_and_classes_that_confusion_refuses():
    with pytest.raises(InputError, match=r"truth\[0, 1, 3\] must lie from 0 to 2, got 255"):
        pixel_confusion(SAID, TRUTH, 3, ignore=None)
    for wrong in (1, 2.0, True, "3"):
        with pytest.raises(InputError, match="num_classes must be a whole number from 2 to 32768"):
            pixel_confusion(SAID, TRUTH, wrong)
    with pytest.raises(TypeError, match=r"truth must be a torch\.Tensor, got ndarray"):
        pixel_confusion(SAID, TRUTH.numpy(), 3)
    with pytest.raises(InputError, match=r"truth\[0\] must lie from 0 to 2 or be -1 \(ignored\), got 3"):
        pixel_confusion(torch.tensor([0]), torch.tensor([3]), 3, ignore=-1)  # K itself is not to be ignored


def test_numbers_by_hand():
    result = measure(SAID, TRUTH)
    assert result["accuracy"] == pytest.approx(5 / 7)
    assert result["mean_accuracy"] == pytest.approx((3 / 4 + 1 + 0) / 3)
    assert result["mIoU"] == pytest.approx(sum(IOU) / 3)
    assert result["mIoU_foreground"] == pytest.approx((2 / 3 + 0) / 2)
    assert result["fwIoU"] == pytest.approx((4 * 3 / 5 + 2 * 2 / 3) / 7)
    assert result["Dice"] == pytest.approx(sum(DICE) / 3)
    assert "boundary_F" not in result
    assert result.confusion.tolist() == COUNTS
    assert result.iou.tolist() == pytest.approx(IOU)
    assert result.dice.tolist() == pytest.approx(DICE)
    assert result.accuracy.tolist() == pytest.approx([3 / 4, 1, 0])
    assert result.precision.tolist()[:2] == pytest.approx([3 / 4, 2 / 3])
    assert math.isnan(result.precision[2])  # nothing was called 2


def test_a_class_that_occurs_nowhere_changes_nothing():
    few, many = measure(SAID, TRUTH), measure(SAID, TRUTH, 5)
    assert dict(few) == dict(many)
    assert many.present.tolist() == [True, True, True, False, False]
    assert many.iou.isnan().tolist() == [False, False, False, True, True]


def test_a_class_predicted_but_nowhere_true_counts_as_zero():
    said = SAID.clone()
    said[0, 0, 0] = 3  # instead of a right 0
    result = measure(said, TRUTH, 4)
    assert result.iou.tolist() == pytest.approx([2 / 5, 2 / 3, 0, 0])
    assert result["mIoU"] == pytest.approx((2 / 5 + 2 / 3) / 4)
    assert result["mean_accuracy"] == pytest.approx((2 / 4 + 1 + 0) / 3)  # over the classes that are true somewhere
    ignored = measure(torch.tensor([[[0, 3]]]), torch.tensor([[[0, 255]]]), 4)
    assert ignored["mIoU"] == 1  # what is predicted on ignored pixels does not occur


def test_nothing_at_all_is_never_nan():
    empty = [
        SegmentationMetrics(3, boundary=True).compute(),
        measure(SAID, torch.full_like(TRUTH, 255), boundary=True),
        measure(SAID[:0], TRUTH[:0], boundary=True),
        measure(SAID[:, :0], TRUTH[:, :0], boundary=True),
        measure(torch.zeros(2, 3, 0, 0), torch.zeros(2, 0, 0, dtype=torch.uint8), boundary=True),
    ]
    for result in empty:
        assert set(result.values()) == {0.0}
        assert not result.present.any()
    background = measure(torch.zeros_like(TRUTH), torch.zeros_like(TRUTH), boundary=True)  # an empty mask, found empty
    assert (background["accuracy"], background["mIoU"], background["Dice"]) == (1, 1, 1)
    assert (background["mIoU_foreground"], background["boundary_F"]) == (0, 0)  # there is none to average


def test_forms_of_predictions_and_targets():
    logits = logits_of(SAID)
    for said in (SAID, logits, {"out": logits}, {"out": SAID, "aux": None}, logits.half(), tv_tensors.Mask(SAID)):
        for truth in (TRUTH, {"semantic": TRUTH}, {"semantic": TRUTH.to(torch.uint8)}, tv_tensors.Mask(TRUTH)):
            assert measure(said, truth).confusion.tolist() == COUNTS
    logits.requires_grad_()
    assert measure({"out": logits}, TRUTH)["accuracy"] == pytest.approx(5 / 7)


def test_equal_logits_go_to_the_first_class_and_infinite_ones_are_fine():
    logits = torch.zeros(1, 3, 1, 2)
    assert measure(logits, torch.tensor([[[0, 1]]])).confusion.tolist() == [[1, 0, 0], [1, 0, 0], [0, 0, 0]]
    logits[0, 0], logits[0, 2, 0, 1] = -torch.inf, torch.inf
    assert measure(logits, torch.tensor([[[1, 2]]]))["accuracy"] == 1


def test_batches_and_sizes_do_not_matter():
    g = torch.Generator().manual_seed(1)
    pairs = [torch.randint(4, (2, 2, size, 9), generator=g) for size in (5, 8, 1)]
    metrics = SegmentationMetrics(4)
    for said, truth in pairs:
        metrics.update(said, truth)
    assert metrics.num_images == 6
    expected = sum(loop(said, truth, 4, 255) for said, truth in pairs)
    assert torch.equal(metrics.confusion, expected)
    assert torch.equal(metrics.iou, metrics.compute().iou)
    before = metrics.compute()
    metrics.update(*pairs[0])
    assert torch.equal(before.confusion, expected)  # a result does not change afterwards
    metrics.confusion.zero_()
    assert int(metrics.confusion.sum()) > 0
    metrics.reset()
    assert (metrics.num_images, int(metrics.confusion.sum())) == (0, 0)


def test_the_boundary_score_is_summed_over_batches():
    truth = torch.zeros(2, 6, 12, dtype=torch.int64)
    truth[0, :, 6:], truth[1, :3] = 1, 1
    said = truth.clone()
    said[0] = said[0].roll(4, -1)  # far off; the other is right
    said[0, :, :4] = 0
    at_once, one_by_one = (SegmentationMetrics(2, boundary=True) for _ in range(2))
    at_once.update(said, truth)
    for i in range(2):
        one_by_one.update(said[i : i + 1], truth[i : i + 1])
    # Of each class 6 pixels of the first picture's boundary, 12 of the second's, which are right: 12 / 18 both ways.
    assert at_once.compute()["boundary_F"] == one_by_one.compute()["boundary_F"] == pytest.approx(2 / 3)
    assert measure(said, truth, 2, boundary=True, tolerance=4)["boundary_F"] == 1


def test_what_update_refuses_leaves_no_trace():
    metrics = SegmentationMetrics(3, boundary=True)
    wrong = [
        ({"aux": SAID}, TRUTH, r"SegmentationMetrics.update: predictions must have 'out', got \['aux'\]"),
        (SAID, {"masks": TRUTH}, r"targets must have 'semantic', got \['masks'\]"),
        (SAID[0], TRUTH[0], r"targets must have shape \(B, H, W\), got \(2, 4\)"),
        (SAID[:, :1], {"semantic": TRUTH}, r"predictions must have shape \(1, 2, 4\), got \(1, 1, 4\)"),
        (
            {"out": logits_of(SAID, 4)},
            TRUTH,
            r"predictions\['out'\] must have shape \(1, 3, 2, 4\), got \(1, 4, 2, 4\)",
        ),
        (logits_of(SAID)[..., :2], TRUTH, r"must have shape \(1, 3, 2, 4\), got \(1, 3, 2, 2\)"),
        (logits_of(SAID)[:, 0], TRUTH, r"must have shape \(1, 3, 2, 4\), got \(1, 2, 4\)"),
        (SAID, {"semantic": TRUTH.where(TRUTH != 2, 42)}, r"targets\['semantic'\]\[0, 1, 2\] must lie .* got 42"),
        (SAID.where(SAID != 1, 3), TRUTH, r"predictions\[0, 0, 3\] must lie from 0 to 2, got 3"),
        (SAID, TRUTH.float(), "targets must be integers"),
    ]
    for said, truth, message in wrong:
        with pytest.raises(InputError, match=message):
            metrics.update(said, truth)
    logits = logits_of(SAID)
    logits[0, 1, 1, 2] = torch.nan
    with pytest.raises(InputError, match=r"predictions\['out'\]\[0, 1, 1, 2\] is not a number"):
        metrics.update({"out": logits}, TRUTH)
    for said, truth in (([SAID], TRUTH), (SAID, TRUTH.numpy()), ({"out": SAID.numpy()}, TRUTH)):
        with pytest.raises(TypeError, match="must be a tensor, or a dictionary with"):
            metrics.update(said, truth)
    assert metrics.num_images == 0
    assert set(metrics.compute().values()) == {0.0}


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (1, "classes must be a whole number from 2 to 32768, got 1"),
        (3.0, "classes must be a whole number"),
        (["table"], "the number of classes must be a whole number from 2 to 32768, got 1"),
        ("ab", "a number or a sequence of texts, got 'ab'"),
        ([0, 1], "a number or a sequence of texts"),
        (["a", "b", "a"], "different names, got 'a' twice"),
    ],
)
def test_classes_that_are_refused(classes, message):
    with pytest.raises(InputError, match=message):
        SegmentationMetrics(classes)


@pytest.mark.parametrize("tolerance", [-1, math.nan, math.inf, "2"])
def test_tolerances_that_are_refused(tolerance):
    with pytest.raises(InputError, match="SegmentationMetrics: tolerance must be"):
        SegmentationMetrics(2, tolerance=tolerance)


def test_a_number_of_classes_of_numpy():
    assert SegmentationMetrics(np.int64(3)).names == ["0", "1", "2"]


def test_tables():
    result = measure(SAID, TRUTH, ["table", "apple", "pear", "plum <1>"], boundary=True)
    table = result.per_class
    assert table.index.tolist() == ["table", "apple", "pear", "plum <1>"]
    assert table.columns.tolist() == ["pixels", "IoU", "Dice", "accuracy", "precision", "boundary_F"]
    assert table["pixels"].tolist() == [4, 2, 1, 0]
    assert table["IoU"].tolist()[:3] == pytest.approx(IOU)
    assert table.loc["plum <1>"].isna().tolist() == [False, True, True, True, True, True]
    lines = str(result).splitlines()
    assert lines[0].split() == list(result)
    assert lines[1].split()[0] == "0.714"
    assert lines[-1].split() == ["plum", "<1>", "0", "-", "-", "-", "-", "-"]
    assert "plum &lt;1&gt;" in result._repr_html_()
    assert repr(measure(SAID, TRUTH)).startswith("SegmentationResult(accuracy=0.714, mean_accuracy=0.583, mIoU=0.422")
    assert "boundary_F" not in measure(SAID, TRUTH).per_class


def test_the_engine_takes_it_as_a_metric():
    class Network(torch.nn.Module):
        def forward(self, images):
            return {"out": torch.cat((images, 1 - images), 1)}  # dark is class 1

    items = [(torch.tensor([[[0.9, 0.1]]]), {"semantic": torch.tensor([[0, label]])}) for label in (1, 1, 0, 255)]
    numbers = engine.evaluate(Network(), items, SegmentationMetrics(2), batch_size=3, collate=engine.stack_collate)
    assert numbers["accuracy"] == pytest.approx(6 / 7)
    assert numbers["mIoU"] == pytest.approx((4 / 5 + 2 / 3) / 2)
