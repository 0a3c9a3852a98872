"""The exercises on images as data: the references by hand, plain answers that pass, and mistakes that are found."""

import pytest
import torch
from torchvision.transforms import v2

from cvlab import exercises, preprocess
from cvlab.exercises.augmentation import EXERCISES

# --- plain answers, as a reader may write them ---


def flip_boxes(boxes, width):
    x1, y1, x2, y2 = boxes.unbind(1)
    return torch.stack([width - x2, y1, width - x1, y2], 1)


def warp_boxes(boxes, matrix):
    x1, y1, x2, y2 = boxes.unbind(1)
    one = torch.ones_like(x1)
    corners = torch.stack([torch.stack([x, y, one], 1) for x in (x1, x2) for y in (y1, y2)], 1)  # (N, 4, 3)
    x, y, w = (corners @ matrix.T).unbind(2)
    x, y = x / w, y / w
    return torch.stack([x.amin(1), y.amin(1), x.amax(1), y.amax(1)], 1)


def visible_share(boxes, height, width):
    x1, y1, x2, y2 = boxes.unbind(1)
    inside = (x2.clamp(0, width) - x1.clamp(0, width)) * (y2.clamp(0, height) - y1.clamp(0, height))
    return inside / ((x2 - x1) * (y2 - y1)).clamp(min=1e-9)


def merge_statistics(a, b):
    (n, mean_a, var_a), (m, mean_b, var_b) = a, b
    mean = (n * mean_a + m * mean_b) / (n + m)
    squares = n * (var_a + (mean_a - mean) ** 2) + m * (var_b + (mean_b - mean) ** 2)
    return n + m, mean, squares / (n + m)


def letterbox(height, width, size):
    scale = size / max(height, width)
    return scale, (size - height * scale) / 2, (size - width * scale) / 2


def undo_letterbox(boxes, scale, top, left):
    return (boxes - torch.tensor([left, top, left, top])) / scale


def cutmix_labels(label_a, label_b, box, height, width, num_classes):
    x1, y1, x2, y2 = box
    share = (x2 - x1) * (y2 - y1) / (height * width)
    classes = torch.arange(num_classes)
    return (1 - share) * (classes == label_a) + share * (classes == label_b)


def difference_hash(grey):
    noise = max(1 / 255, 0.03 * float(grey.max() - grey.min()))
    return (grey[:, 1:] - grey[:, :-1] > noise).flatten()


ANSWERS = {
    answer.__name__: answer
    for answer in (
        flip_boxes,
        warp_boxes,
        visible_share,
        merge_statistics,
        letterbox,
        undo_letterbox,
        cutmix_labels,
        difference_hash,
    )
}


def test_there_is_an_answer_to_every_exercise():
    assert set(ANSWERS) == set(EXERCISES) <= set(exercises.names())


@pytest.mark.parametrize("name", EXERCISES)
def test_a_plain_answer_passes(name):
    verdict = exercises.check(name, ANSWERS[name])
    assert verdict.ok, verdict.message


# --- the references ---


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        # x1 = 100 - 40, x2 = 100 - 10
        ("flip_boxes", (torch.tensor([[10.0, 20.0, 40.0, 50.0]]), 100), [[60.0, 20.0, 90.0, 50.0]]),
        # (x, y) -> (x + y, y): x is least at (10, 20), 30, and most at (40, 50), 90
        (
            "warp_boxes",
            (
                torch.tensor([[10.0, 20.0, 40.0, 50.0]]),
                torch.tensor([[1.0, 1.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]),
            ),
            [[30.0, 20.0, 90.0, 50.0]],
        ),
        # w = 1 + x / 10: at x = 10 all is halved, at x = 0 nothing is: x to 10 / 2, y from 4 / 2 to 8
        (
            "warp_boxes",
            (torch.tensor([[0.0, 4.0, 10.0, 8.0]]), torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.1, 0.0, 1.0]])),
            [[0.0, 2.0, 5.0, 8.0]],
        ),
        # 30 of 40 columns and 10 of 20 rows are inside: 3/4 * 1/2; then nothing; then no area
        (
            "visible_share",
            (torch.tensor([[-10.0, 50.0, 30.0, 70.0], [200.0, 0.0, 210.0, 9.0], [5.0, 5.0, 5.0, 9.0]]), 60, 100),
            [0.375, 0.0, 0.0],
        ),
        # values 0, and 1, 3: the mean is 4/3, the mean of squares 10/3, the variance 10/3 - 16/9 = 14/9
        ("merge_statistics", ((1, 0.0, 0.0), (2, 2.0, 1.0)), (3, 4 / 3, 14 / 9)),
        # 256 / 640 = 0.4; 480 * 0.4 = 192 rows, (256 - 192) / 2 = 32 above
        ("letterbox", (480, 640, 256), (0.4, 32.0, 0.0)),
        # (64 - 0) / 0.4, (72 - 32) / 0.4, 128 / 0.4, (152 - 32) / 0.4
        (
            "undo_letterbox",
            (torch.tensor([[64.0, 72.0, 128.0, 152.0]]), 0.4, 32.0, 0.0),
            [[160.0, 100.0, 320.0, 300.0]],
        ),
        # 20 * 30 of 50 * 80 pixels are 0.15
        ("cutmix_labels", (2, 0, (40, 10, 60, 40), 50, 80, 3), [0.15, 0.0, 0.85]),
        ("cutmix_labels", (1, 1, (40, 10, 60, 40), 50, 80, 3), [0.0, 1.0, 0.0]),
    ],
)
def test_references_by_hand(name, arguments, expected):
    torch.testing.assert_close(torch.as_tensor(EXERCISES[name].reference(*arguments)), torch.as_tensor(expected))


def test_the_reference_of_the_hash_by_hand():
    """Bits go row by row; the range is 1, so a step must be above 0.03, and one of 0.02 is none."""
    grey = torch.zeros(8, 9)
    grey[0, 1] = 0.02  # no step up; 0.02 down again
    grey[1, 3:] = 0.04  # up from column 2 to 3: bit 8 + 2
    grey[7, 8] = 1.0  # up from column 7 to 8: bit 63
    assert EXERCISES["difference_hash"].reference(grey).nonzero().flatten().tolist() == [10, 63]


@pytest.mark.parametrize("image_size", [(480, 640), (333, 500), (700, 123)])
def test_letterbox_is_the_packages_before_it_is_rounded(image_size):
    scale, top, left = EXERCISES["letterbox"].reference(*image_size, 256)
    rounded = preprocess.letterbox(image_size, (256, 256))
    assert rounded.content == tuple(round(scale * side) for side in image_size)
    assert rounded.offset == pytest.approx((top, left), abs=0.75)  # 0.5, and half of the content's 0.5


def test_undo_letterbox_is_the_packages():
    """480 x 640 into 256 x 256 needs no rounding, so both are the same map."""
    boxes = torch.tensor([[3.0, 5.0, 600.0, 444.0]])
    inside = preprocess.letterbox((480, 640), (256, 256)).boxes(boxes)
    torch.testing.assert_close(EXERCISES["undo_letterbox"].reference(inside, 0.4, 32.0, 0.0), boxes)


def test_merge_statistics_is_that_of_all_values_together():
    values = torch.randn(50, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    parts = [(len(v), v.mean().item(), v.var(correction=0).item()) for v in (values[:13], values[13:])]
    everything = (50, values.mean().item(), values.var(correction=0).item())
    assert EXERCISES["merge_statistics"].reference(*parts) == pytest.approx(everything, rel=1e-12)


def test_cutmix_labels_are_torchvisions():
    """The second of a white and a black picture is pasted into the first: the box is where it is black."""
    torch.manual_seed(3)
    pictures = torch.stack([torch.ones(1, 40, 60), torch.zeros(1, 40, 60)])
    mixed, labels = v2.CutMix(num_classes=2)(pictures, torch.tensor([0, 1]))
    y, x = (mixed[0, 0] == 0).nonzero().unbind(1)
    box = (x.min().item(), y.min().item(), x.max().item() + 1, y.max().item() + 1)
    torch.testing.assert_close(EXERCISES["cutmix_labels"].reference(0, 1, box, 40, 60, 2), labels[0])
    assert 0.1 < labels[0, 1] < 0.9  # a box that says something was drawn


def test_no_picture_of_the_hash_is_decided_by_rounding():
    for case in EXERCISES["difference_hash"].cases():
        (grey,) = case.arguments
        noise = max(1 / 255, 0.03 * float(grey.max() - grey.min()))
        assert float((grey.diff(dim=1) - noise).abs().min()) > 1e-3, case.description


# --- mistakes ---


def corners_of(boxes, matrix, pairs):
    """Warp some corners (columns of x and y), and give x and y of each, (N, P)."""
    points = torch.stack([boxes[:, list(pair)] for pair in pairs], 1)  # (N, P, 2)
    moved = torch.cat([points, torch.ones_like(points[..., :1])], 2) @ matrix.T
    return (moved[..., :2] / moved[..., 2:]).unbind(2)


def two_corners(boxes, matrix):
    x, y = corners_of(boxes, matrix, [(0, 1), (2, 3)])
    return torch.stack([x[:, 0], y[:, 0], x[:, 1], y[:, 1]], 1)


def two_corners_sorted(boxes, matrix):
    x, y = corners_of(boxes, matrix, [(0, 1), (2, 3)])
    return torch.stack([x.amin(1), y.amin(1), x.amax(1), y.amax(1)], 1)


def without_last_row(boxes, matrix):
    return warp_boxes(boxes, torch.cat([matrix[:2], torch.tensor([[0.0, 0.0, 1.0]])]))


def stacked_one_by_one(boxes, matrix):
    return torch.cat([warp_boxes(box[None], matrix) for box in boxes])


def flip_in_place(boxes, width):
    boxes[:, [0, 2]] = width - boxes[:, [2, 0]]
    return boxes


def unclamped_share(boxes, height, width):
    low = boxes[:, :2].clamp(min=0)
    high = boxes[:, 2:].minimum(torch.tensor([width, height]))
    return (high - low).prod(1).clamp(min=0) / (boxes[:, 2:] - boxes[:, :2]).prod(1).clamp(min=1e-9)


def share_with_nan(boxes, height, width):
    area = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    return visible_share(boxes, height, width) * area / area


def mean_of_variances(a, b):
    n, mean, _ = merge_statistics(a, b)
    return n, mean, (a[0] * a[2] + b[0] * b[2]) / n


def mean_of_means(a, b):
    n, _, variance = merge_statistics(a, b)
    return n, (a[1] + b[1]) / 2, variance


def sample_variance(a, b):
    n, mean, variance = merge_statistics(a, b)
    return n, mean, variance * n / (n - 1)


def mean_of_squares(a, b):
    n, mean, _ = merge_statistics(a, b)
    squares = a[0] * (a[2] + a[1] ** 2) + b[0] * (b[2] + b[1] ** 2)
    return n, mean, squares / n - mean**2


def divided_by_each_count(a, b):
    n, mean, _ = merge_statistics(a, b)
    between = (a[1] - b[1]) ** 2 / (1 / a[0] + 1 / b[0])
    return n, mean, (a[0] * a[2] + b[0] * b[2] + between) / n


def overwritten_label(label_a, label_b, box, height, width, num_classes):
    share = (box[2] - box[0]) * (box[3] - box[1]) / (height * width)
    label = torch.zeros(num_classes)
    label[label_a], label[label_b] = 1 - share, share
    return label


def label_of_box(change):
    """Answer for another box than the given one."""
    return lambda a, b, box, *sizes: cutmix_labels(a, b, change(*box), *sizes)


def steps_above(noise):
    return lambda grey: (grey.diff(dim=1) > noise(float(grey.max() - grey.min()))).flatten()


@pytest.mark.parametrize(
    ("name", "mistake", "found"),
    [
        ("flip_boxes", lambda b, w: flip_boxes(b, w - 1), "Input 1 of 7: the whole picture, which stays"),
        ("flip_boxes", lambda b, w: flip_boxes(b, w)[:, [2, 1, 0, 3]], "the whole picture, which stays"),
        ("flip_boxes", lambda b, w: b, "a box at the left border, which comes to the right one"),
        ("flip_boxes", flip_in_place, "your function changed its input in place"),
        ("warp_boxes", lambda b, m: warp_boxes(b, m.T), "a shift, 5 right and 3 up"),
        ("warp_boxes", lambda b, m: warp_boxes(b, m.inverse()), "a shift, 5 right and 3 up"),
        ("warp_boxes", two_corners, "a turn by 90 degrees"),
        ("warp_boxes", two_corners_sorted, "a turn by 45 degrees: all four corners count"),
        ("warp_boxes", without_last_row, "a perspective: divide by the third coordinate"),
        ("warp_boxes", stacked_one_by_one, "no boxes"),
        ("visible_share", lambda b, h, w: visible_share(b, w, h), "a quarter of it inside"),
        ("visible_share", lambda b, h, w: visible_share(b, h - 1, w - 1), "a quarter of it inside"),
        ("visible_share", unclamped_share, "outside on both axes: the share is 0, not above"),
        ("visible_share", share_with_nan, "an empty box (share 0, not NaN)"),
        ("merge_statistics", sample_variance, "two parts of one size and one mean"),
        ("merge_statistics", mean_of_variances, "one value and one value: all the variance lies between them"),
        ("merge_statistics", mean_of_means, "parts of two sizes"),
        ("merge_statistics", divided_by_each_count, "nothing in the first part"),
        ("merge_statistics", mean_of_squares, "a mean that is large beside the spread"),
        ("letterbox", lambda h, w, s: (s / min(h, w), 0.0, 0.0), "a wide picture: padded above and below"),
        ("letterbox", lambda h, w, s: letterbox(w, h, s), "a wide picture: padded above and below"),
        ("letterbox", lambda h, w, s: (s / w, (s - h * s / w) / 2, 0.0), "a high picture: padded left and right"),
        (
            "letterbox",
            lambda h, w, s: letterbox(h, w, s) if s < w else (1.0, (s - h) / 2, (s - w) / 2),
            "a small picture grows",
        ),
        ("letterbox", lambda h, w, s: tuple(int(10 * v) / 10 for v in letterbox(h, w, s)), "no whole number"),
        ("undo_letterbox", lambda b, s, *padding: undo_letterbox(b, 1 / s, *padding), "half the size, no padding"),
        ("undo_letterbox", lambda b, s, *padding: b / s, "padding above, the same size"),
        ("undo_letterbox", lambda b, s, top, left: undo_letterbox(b, s, left, top), "padding above, the same size"),
        (
            "undo_letterbox",
            lambda b, s, *padding: undo_letterbox(b / s, 1, *padding),
            "the whole picture, shrunk by 0.4",
        ),
        ("undo_letterbox", lambda b, s, top, left: undo_letterbox(b, s, top, 0.0), "padding at the left"),
        ("undo_letterbox", lambda *a: undo_letterbox(*a).clamp(min=0), "reaches into the padding (nothing is cut off)"),
        ("cutmix_labels", lambda a, b, *rest: cutmix_labels(b, a, *rest), "a quarter of the picture pasted"),
        ("cutmix_labels", label_of_box(lambda x1, y1, x2, y2: (x1, y1, x2 + 1, y2 + 1)), "a quarter of the picture"),
        ("cutmix_labels", label_of_box(lambda x, y, w, h: (x, y, x + w, y + h)), "half of it, at the right"),
        ("cutmix_labels", overwritten_label, "the same label twice (one entry of 1)"),
        ("difference_hash", lambda grey: difference_hash(grey.flip(1)), "Input 1 of 13: brighter with every step"),
        ("difference_hash", lambda grey: (grey.diff(dim=1) >= 0).flatten(), "neighbours in a row are equal, no bit"),
        ("difference_hash", lambda grey: difference_hash(grey).reshape(8, 8).T.flatten(), "the first eight bits"),
        ("difference_hash", steps_above(lambda spread: 0.0), "noise below one grey level of 255"),
        ("difference_hash", steps_above(lambda spread: 1 / 255), "steps of 2% of the range"),
        ("difference_hash", steps_above(lambda spread: 0.05 * spread), "noise below one grey level of 255"),
        ("difference_hash", steps_above(lambda spread: max(1 / 255, 0.05 * spread)), "steps of 4% of the range count"),
        ("difference_hash", steps_above(lambda spread: 0.03), "a pale picture, steps of two grey levels"),
    ],
)
def test_mistakes_are_found_on_the_input_made_for_them(name, mistake, found):
    verdict = exercises.check(name, mistake)
    assert not verdict
    assert found in verdict.message
