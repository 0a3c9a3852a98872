"""Losses of pixels and classes: by hand, at their edges, and every refusal by its message."""

import math

import pytest
import torch
from torch.autograd import gradcheck
from torchvision import tv_tensors

from cvlab import engine
from cvlab._check import InputError
from cvlab.data import class_weights as weights_of_labels
from cvlab.losses import SegmentationLoss, dice_loss, frequency_weights, pixel_cross_entropy

LN2 = math.log(2)


def scene(classes=4, dtype=torch.float32, seed=0):
    """Random logits (2, K, 3, 5), and labels of which some are ignored."""
    g = torch.Generator().manual_seed(seed)
    labels = torch.randint(classes, (2, 3, 5), generator=g).to(torch.uint8)
    labels[0, 0, :2], labels[1, 2, 4] = 255, 255
    return 2 * torch.randn(2, classes, 3, 5, generator=g, dtype=dtype), labels


# two classes, logits (0, z): p of class 1 is e^z / (1 + e^z)
THREE = torch.tensor([[[[0.0, 0.0, 0.0]], [[0.0, math.log(3), 7.0]]]])  # p of class 1: 1/2, 3/4, nearly 1
LABELS = torch.tensor([[[1, 0, 255]]])


def test_cross_entropy_by_hand():
    each = pixel_cross_entropy(THREE, LABELS, reduction="none")
    torch.testing.assert_close(each, torch.tensor([[[LN2, 2 * LN2, 0.0]]]))  # -log 1/2, -log 1/4, ignored
    assert pixel_cross_entropy(THREE, LABELS).item() == pytest.approx(1.5 * LN2)
    assert pixel_cross_entropy(THREE, LABELS, reduction="sum").item() == pytest.approx(3 * LN2)
    one = torch.tensor([[[1, 255, 255]]])  # a single pixel counts
    assert pixel_cross_entropy(THREE, one).item() == pytest.approx(LN2)


def test_focal_by_hand():
    each = pixel_cross_entropy(THREE, LABELS, gamma=2.0, reduction="none")
    torch.testing.assert_close(each, torch.tensor([[[0.25 * LN2, 0.5625 * 2 * LN2, 0.0]]]))  # (1/2)^2, (3/4)^2
    # the mean is over pixels, whatever they are turned down by
    assert pixel_cross_entropy(THREE, LABELS, gamma=2.0).item() == pytest.approx((0.25 + 1.125) * LN2 / 2)


def test_weights_by_hand():
    # class weights 3 and 1: pixels weigh 1 and 3
    made = pixel_cross_entropy(THREE, LABELS, class_weights=[3.0, 1.0])
    assert made.item() == pytest.approx((1 * LN2 + 3 * 2 * LN2) / 4)
    # with pixel weights 2 and 0.5: 2 and 1.5; the ignored pixel's 100 does not count
    pixels = torch.tensor([[[2.0, 0.5, 100.0]]])
    made = pixel_cross_entropy(THREE, LABELS, class_weights=torch.tensor([3.0, 1.0]), pixel_weights=pixels)
    assert made.item() == pytest.approx((2 * LN2 + 1.5 * 2 * LN2) / 3.5)
    total = pixel_cross_entropy(THREE, LABELS, pixel_weights=pixels, reduction="sum")
    assert total.item() == pytest.approx((2 + 0.5 * 2) * LN2)
    both = pixel_cross_entropy(THREE, LABELS, pixel_weights=pixels, gamma=1.0)
    assert both.item() == pytest.approx((2 * 0.5 * LN2 + 0.5 * 0.75 * 2 * LN2) / 2.5)


@pytest.mark.parametrize("options", [{}, {"gamma": 2.0}, {"class_weights": [1.0, 2.0, 0.0, 1.0]}, {"pixels": 1}])
def test_ignored_pixels_have_no_say(options):
    logits, labels = scene()
    options = dict(options)
    if options.pop("pixels", 0):
        options["pixel_weights"] = torch.rand(2, 3, 5)
    logits.requires_grad_()
    made = pixel_cross_entropy(logits, labels, **options)
    made.backward()
    ignored = (labels == 255)[:, None].expand_as(logits)
    assert bool((logits.grad[ignored] == 0).all())
    other = torch.where(ignored, -50.0 * logits.detach(), logits.detach())
    torch.testing.assert_close(pixel_cross_entropy(other, labels, **options), made.detach())


@pytest.mark.parametrize("loss", ["plain", "focal", "weighted", "pixels", "dice"])
@pytest.mark.parametrize("nothing", ["ignored", "empty", "no images"])
def test_where_no_pixel_counts_the_loss_is_0(loss, nothing):
    shape = {"ignored": (2, 3, 4, 4), "empty": (2, 3, 0, 4), "no images": (0, 3, 4, 4)}[nothing]
    logits = torch.randn(shape, requires_grad=True)
    labels = torch.full((shape[0], *shape[2:]), 255, dtype=torch.uint8)
    made = {
        "plain": lambda: pixel_cross_entropy(logits, labels),
        "focal": lambda: pixel_cross_entropy(logits, labels, gamma=0.5),
        "weighted": lambda: pixel_cross_entropy(logits, labels, class_weights=[1.0, 2.0, 3.0]),
        "pixels": lambda: pixel_cross_entropy(logits, labels, pixel_weights=torch.ones(labels.shape)),
        "dice": lambda: dice_loss(logits, labels),
    }[loss]()
    made.backward()
    assert made.item() == 0.0
    assert torch.equal(logits.grad, torch.zeros(shape))


def test_where_all_weights_are_0_the_loss_is_0():
    logits, labels = scene()
    for weights in ({"class_weights": [0.0] * 4}, {"pixel_weights": torch.zeros(2, 3, 5)}):
        free = logits.clone().requires_grad_()
        made = pixel_cross_entropy(free, labels, **weights)
        made.backward()
        assert made.item() == 0.0
        assert torch.equal(free.grad, torch.zeros_like(free))


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0])
def test_pixels_beyond_doubt_are_finite(gamma):
    logits = torch.tensor([[[[500.0, 500.0]], [[-500.0, -500.0]]]], requires_grad=True)
    made = pixel_cross_entropy(logits, torch.tensor([[[0, 1]]]), gamma=gamma, reduction="sum")
    made.backward()
    assert made.item() == 1000.0  # right: 0; wrong: the cross-entropy
    assert bool(logits.grad.isfinite().all())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_sums_over_many_pixels_of_half_precision_do_not_overflow(dtype):
    logits, labels = torch.zeros(1, 2, 512, 512, dtype=dtype), torch.zeros(1, 512, 512, dtype=torch.uint8)
    made = pixel_cross_entropy(logits, labels, reduction="sum")  # 262144 log 2, beyond float16's 65504
    assert made.dtype == torch.float32
    assert made.item() == pytest.approx(512 * 512 * LN2, rel=1e-4)
    assert dice_loss(logits, labels).item() == pytest.approx(1 - 2 / 3, abs=1e-4)  # 2 * 1/2 / (1/2 + 1)


def test_labels_of_any_integers_and_any_number_to_ignore():
    logits, labels = scene()
    expected = pixel_cross_entropy(logits, labels, class_weights=[1.0, 2.0, 3.0, 4.0])
    for dtype in (torch.int16, torch.int32, torch.int64):
        other = tv_tensors.Mask(labels.to(dtype))
        assert torch.equal(pixel_cross_entropy(logits, other, class_weights=[1.0, 2.0, 3.0, 4.0]), expected)
    negative = torch.where(labels == 255, -100, labels.long())
    made = pixel_cross_entropy(logits, negative, class_weights=[1.0, 2.0, 3.0, 4.0], ignore=-100)
    assert torch.equal(made, expected)
    # a class may be ignored too; so its pixels do not count
    zeros = labels.long() * (labels != 255)
    kept = pixel_cross_entropy(logits, zeros, ignore=0, reduction="none")
    assert torch.equal(kept == 0, zeros == 0)


def test_dice_by_hand():
    # p of class 1: 1/2 where it is 1, 3/4 where it is 0, and an ignored pixel
    # class 0: 2 * 1/4 / (1/2 + 1/4 + 1), class 1: 2 * 1/2 / (1/2 + 3/4 + 1)
    first, second = 0.5 / 1.75, 1 / 2.25
    made = dice_loss(THREE, LABELS, smooth=0.0)
    assert made.item() == pytest.approx(1 - (first + second) / 2)
    assert dice_loss(THREE, LABELS, smooth=0.0, foreground_only=True).item() == pytest.approx(1 - second)
    smooth = ((0.5 + 1) / (1.75 + 1) + (1 + 1) / (2.25 + 1)) / 2
    assert dice_loss(THREE, LABELS).item() == pytest.approx(1 - smooth)
    # squares: class 0: 1/4 + 1/16, class 1: 1/4 + 9/16
    squared = (0.5 / (5 / 16 + 1) + 1 / (13 / 16 + 1)) / 2
    assert dice_loss(THREE, LABELS, smooth=0.0, squared=True).item() == pytest.approx(1 - squared)


def test_dice_of_perfect_and_of_wrong_answers():
    _, labels = scene()
    right = 200.0 * torch.nn.functional.one_hot(labels.long().clamp(max=3), 4).permute(0, 3, 1, 2)
    assert dice_loss(right, labels).item() == pytest.approx(0.0, abs=1e-6)
    assert dice_loss(right.roll(1, 1), labels, smooth=0.0).item() == pytest.approx(1.0)


def test_classes_that_do_not_occur_are_left_out_of_dice():
    logits = torch.zeros(1, 4, 1, 2)  # p = 1/4; only class 2 occurs: 2 * 2/4 / (2/4 + 2)
    labels = torch.tensor([[[2, 2]]])
    assert dice_loss(logits, labels, smooth=0.0).item() == pytest.approx(1 - 1 / 2.5)
    only_background = torch.zeros(1, 1, 2, dtype=torch.uint8)
    assert dice_loss(logits, only_background, foreground_only=True).item() == 0.0


def test_dice_takes_the_batch_as_one_picture():
    logits, labels = scene()
    wide = logits.permute(1, 2, 0, 3).flatten(2)[None], labels.permute(1, 0, 2).flatten(1)[None]  # side by side
    torch.testing.assert_close(dice_loss(*wide), dice_loss(logits, labels))


@pytest.mark.parametrize(
    "options", [{}, {"gamma": 2.0}, {"gamma": 0.5}, {"class_weights": [1.0, 0.5, 2.0, 0.0], "gamma": 1.0}]
)
@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_gradients_of_cross_entropy(options, reduction):
    logits, labels = scene(dtype=torch.float64)
    weights = torch.rand(2, 3, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for pixels in (None, weights):
        fixed = {"pixel_weights": pixels, "reduction": reduction, **options}
        assert gradcheck(lambda x, fixed=fixed: pixel_cross_entropy(x, labels, **fixed), logits.requires_grad_())


@pytest.mark.parametrize("options", [{}, {"squared": True}, {"foreground_only": True, "smooth": 0.0}])
def test_gradients_of_dice(options):
    logits, labels = scene(dtype=torch.float64)
    assert gradcheck(lambda x: dice_loss(x, labels, **options), logits.requires_grad_())


LOGITS, TRUTH = torch.zeros(1, 3, 2, 4), torch.zeros(1, 2, 4, dtype=torch.uint8)


@pytest.mark.parametrize("function", [pixel_cross_entropy, dice_loss])
@pytest.mark.parametrize(
    ("logits", "labels", "message"),
    [
        (LOGITS[0], TRUTH, "logits must have shape (B, K, H, W), got (3, 2, 4)"),
        (LOGITS.long(), TRUTH, "logits must be floating point, got torch.int64"),
        (LOGITS, TRUTH[:, :, 1:], "labels must have shape (1, 2, 4), got (1, 2, 3)"),
        (LOGITS, TRUTH[0], "labels must have shape (1, 2, 4), got (2, 4)"),
        (LOGITS, TRUTH.float(), "labels must be integers, such as torch.uint8, got torch.float32"),
        (LOGITS, TRUTH.bool(), "labels must be integers, such as torch.uint8, got torch.bool"),
    ],
)
def test_losses_refuse_what_does_not_fit(function, logits, labels, message):
    with pytest.raises(InputError) as caught:
        function(logits, labels)
    assert str(caught.value) == f"{function.__name__}: {message}"


@pytest.mark.parametrize("function", [pixel_cross_entropy, dice_loss])
@pytest.mark.parametrize("label", [3, 254, 256, -1])
def test_labels_out_of_range_are_named_with_their_pixel(function, label):
    labels = torch.full((1, 2, 4), 255)
    labels[0, 1, 2], labels[0, 1, 3] = label, 77
    with pytest.raises(InputError) as caught:
        function(LOGITS, labels)
    expected = f"labels[0, 1, 2] must lie from 0 to 2 or be 255 (ignored), got {label}"
    assert str(caught.value) == f"{function.__name__}: {expected}"


def test_255_of_bytes_is_not_minus_1():
    labels = torch.full((1, 2, 4), 255, dtype=torch.uint8)
    with pytest.raises(InputError, match=r"labels\[0, 0, 0\] must lie from 0 to 2 or be -1 \(ignored\), got 255$"):
        pixel_cross_entropy(LOGITS, labels, ignore=-1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"class_weights": [1.0, 2.0]}, "class_weights must have shape (3,), got (2,)"),
        ({"class_weights": [1.0, -2.0, 1.0]}, "class_weights[1] must be finite and at least 0, got -2"),
        ({"class_weights": [1.0, 1.0, math.nan]}, "class_weights[2] must be finite and at least 0, got nan"),
        ({"pixel_weights": torch.ones(1, 2, 3)}, "pixel_weights must have shape (1, 2, 4), got (1, 2, 3)"),
        ({"pixel_weights": TRUTH}, "pixel_weights must be floating point, got torch.uint8"),
        (
            {"pixel_weights": torch.tensor([[[1.0, 1, 1, 1], [1, 1, -3, -4]]])},
            "pixel_weights[0, 1, 2] must be finite and at least 0, got -3",
        ),
        ({"pixel_weights": torch.full((1, 2, 4), math.inf)}, "pixel_weights[0, 0, 0] must be finite and at least 0, "),
        ({"gamma": -1.0}, "gamma[0] must be finite and at least 0, got -1.0"),
        ({"ignore": 2.5}, "ignore must be a whole number, got 2.5"),
        ({"reduction": "no"}, "reduction must be one of none, sum, mean, got 'no'"),
    ],
)
def test_cross_entropy_refuses(options, message):
    with pytest.raises(InputError) as caught:
        pixel_cross_entropy(LOGITS, TRUTH, **options)
    assert str(caught.value).startswith(f"pixel_cross_entropy: {message}")


def test_dice_refuses_a_negative_number():
    with pytest.raises(InputError, match=r"^dice_loss: smooth\[0\] must be finite and at least 0, got -1$"):
        dice_loss(LOGITS, TRUTH, smooth=-1)


class TwoAnswers(torch.nn.Module):
    """Gives logits that are the images with a bias of each channel, and perhaps a second answer."""

    def __init__(self, second=False):
        super().__init__()
        self.bias, self.second = torch.nn.Parameter(torch.zeros(3)), second

    def forward(self, images):
        out = images + self.bias[:, None, None]
        return {"out": out, "aux": -out} if self.second else {"out": out}


def test_the_terms_are_the_losses_times_their_factors():
    images, labels = scene(3)
    targets = {"semantic": labels, "weights": torch.rand(2, 3, 5, generator=torch.Generator().manual_seed(1))}
    loss = SegmentationLoss(2.0, 0.5, gamma=1.0, class_weights=torch.tensor([1.0, 2.0, 3.0]))
    options = {"class_weights": [1.0, 2.0, 3.0], "pixel_weights": targets["weights"], "gamma": 1.0}
    with torch.no_grad():
        terms = loss(TwoAnswers(), images, targets)
    assert sorted(terms) == ["cross_entropy", "dice"]
    torch.testing.assert_close(terms["cross_entropy"], 2 * pixel_cross_entropy(images, labels, **options))
    torch.testing.assert_close(terms["dice"], 0.5 * dice_loss(images, labels))
    with torch.no_grad():
        both = loss(TwoAnswers(second=True), images, targets)
    second = 2 * pixel_cross_entropy(-images, labels, **options) + 0.5 * dice_loss(-images, labels)
    torch.testing.assert_close(both["aux"], 0.4 * second)
    torch.testing.assert_close(both["dice"], terms["dice"])


def test_terms_without_a_factor_are_not_computed():
    images, labels = scene(3)
    targets = {"semantic": labels}
    assert sorted(SegmentationLoss()(TwoAnswers(second=True), images, targets)) == ["aux", "cross_entropy"]
    assert sorted(SegmentationLoss(0.0, 1.0)(TwoAnswers(), images, targets)) == ["dice"]
    assert sorted(SegmentationLoss(auxiliary=0.0)(TwoAnswers(second=True), images, targets)) == ["cross_entropy"]


def test_the_ignored_label_reaches_both_terms():
    images, labels = scene(3)
    other = torch.where(labels == 255, 9, labels)
    made = SegmentationLoss(dice=1.0, ignore=9)(TwoAnswers(), images, {"semantic": other})
    expected = SegmentationLoss(dice=1.0)(TwoAnswers(), images, {"semantic": labels})
    torch.testing.assert_close(made, expected)


def test_fit_takes_the_loss():
    """Three biases alone can learn how frequent the classes are: 12, 3 and 1 of 16 pixels, but for ignored ones."""
    labels = torch.tensor([0] * 12 + [1] * 3 + [2] + [255] * 4, dtype=torch.uint8).reshape(4, 5)
    data = [(torch.zeros(3, 4, 5), {"semantic": labels})] * 4
    model = TwoAnswers()
    options = {"steps": 150, "batch_size": 2, "learning_rate": 0.2, "weight_decay": 0.0, "progress": False}
    history = engine.fit(model, data, loss=SegmentationLoss(), collate=engine.stack_collate, **options)
    assert "cross_entropy" in history.frame
    torch.testing.assert_close(model.bias.detach().softmax(0), torch.tensor([12, 3, 1]) / 16, atol=0.01, rtol=0)


def test_the_loss_of_a_network_refuses():
    images, labels = scene(3)
    loss, targets = SegmentationLoss(), {"semantic": labels}
    with pytest.raises(InputError, match=r"^SegmentationLoss: targets must have 'semantic', got \['masks'\]$"):
        loss(TwoAnswers(), images, {"masks": labels})
    for answer, got in ((lambda x: x, "Tensor"), (lambda x: {"logits": x}, "['logits']")):
        with pytest.raises(InputError) as caught:
            loss(answer, images, targets)
        assert str(caught.value) == f"SegmentationLoss: the network must give a dictionary with 'out', got {got}"
    with pytest.raises(InputError, match=r"^SegmentationLoss: cross_entropy or dice must be above 0, both are 0$"):
        SegmentationLoss(0.0)
    with pytest.raises(InputError, match=r"dice, gamma, auxiliary\)\[1\] must be finite and at least 0, got -1"):
        SegmentationLoss(dice=-1)
    with pytest.raises(InputError, match=r"^pixel_cross_entropy: labels must have shape \(2, 3, 5\), got \(2, 3, 4\)"):
        loss(TwoAnswers(), images, {"semantic": labels[..., 1:]})


def test_frequency_weights_by_hand():
    counts = torch.tensor([60, 30, 10, 0])  # frequencies 0.6, 0.3, 0.1
    assert frequency_weights(counts).tolist() == pytest.approx([0.5, 1.0, 3.0, 0.0])
    assert frequency_weights(counts, "inverse").tolist() == pytest.approx([1 / 1.8, 1 / 0.9, 1 / 0.3, 0.0])
    log = [1 / math.log(1.62), 1 / math.log(1.32), 1 / math.log(1.12), 0.0]
    assert frequency_weights(counts, "log").tolist() == pytest.approx(log)
    # of an even number, the median is the mean of the middle two: 0.2
    assert frequency_weights([5, 3, 1, 1]).tolist() == pytest.approx([0.4, 0.2 / 0.3, 2.0, 2.0])


def test_frequencies_of_pictures_count_only_where_a_class_occurs():
    counts = torch.tensor([[6, 4, 0], [10, 0, 0], [5, 0, 5]])
    # class 0: 21 of 30, class 1: 4 of the 10 of picture 0, class 2: 5 of 10; the median is 0.5
    assert frequency_weights(counts).tolist() == pytest.approx([0.5 / 0.7, 0.5 / 0.4, 1.0])
    for kind in ("inverse", "log"):
        assert torch.equal(frequency_weights(counts, kind), frequency_weights(counts.sum(0), kind))


def test_inverse_weights_are_those_of_labels():
    labels = torch.tensor([0] * 7 + [2] * 2 + [3])
    torch.testing.assert_close(frequency_weights(labels.bincount(), "inverse"), weights_of_labels(labels, 4))


@pytest.mark.parametrize(
    ("counts", "kind", "message"),
    [
        ([1, 2], "mean", "kind must be one of median, inverse, log, got 'mean'"),
        (torch.ones(1, 2, 3), "log", "counts must have shape (K,) or (N, K), got (1, 2, 3)"),
        (torch.tensor(3), "log", "counts must have shape (K,) or (N, K), got ()"),
        ([1, -2], "log", "counts[1] must be finite and at least 0, got -2"),
        ([1, math.inf], "log", "counts[1] must be finite and at least 0, got inf"),
        ([0, 0], "log", "counts must not all be 0"),
        ([], "log", "counts must not all be 0"),
    ],
)
def test_frequency_weights_refuse(counts, kind, message):
    with pytest.raises(InputError) as caught:
        frequency_weights(counts, kind)
    assert str(caught.value) == f"frequency_weights: {message}"
