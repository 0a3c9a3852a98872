"""The exercises on SSD: the references by hand and against the package, plain answers that pass, mistakes found."""

import math

import pytest
import torch
import torchvision
from sklearn.metrics import average_precision_score
from torch.nn import functional

from cvlab import engine, exercises, models, ops
from cvlab.exercises.detection import EXERCISES

# --- plain answers, as a reader may write them ---


def count_anchors(size, strides, anchors_per_cell):
    return sum(-(-size[0] // s) * -(-size[1] // s) * a for s, a in zip(strides, anchors_per_cell, strict=True))


def receptive_field(layers):
    side = stride = 1
    for kernel, step in layers:
        side += (kernel - 1) * stride
        stride *= step
    return side, stride


def unpack_head(output, num_classes):
    b, channels, h, w = output.shape
    split = output.reshape(b, channels // num_classes, num_classes, h, w)
    return split.permute(0, 3, 4, 1, 2).flatten(1, 3)


def focal_loss(p, truth, alpha, gamma):
    right = p * truth + (1 - p) * (1 - truth)
    weight = alpha * truth + (1 - alpha) * (1 - truth)
    return -weight * (1 - right) ** gamma * right.log()


def rate_factor(step, steps, warmup):
    rise = 1.0 if step >= warmup else (step + 1) / warmup
    return rise * (0.5 + 0.5 * math.cos(math.pi * step / steps))


def hard_negatives(losses, positive, ratio, least):
    wanted = max(ratio * int(positive.sum()), least)
    order = losses.masked_fill(positive, -1).argsort(descending=True)
    chosen = torch.zeros_like(positive)
    chosen[order[:wanted]] = True
    return chosen & ~positive


def average_precision(correct, num_objects):
    precision = correct.cumsum(0) / torch.arange(1, len(correct) + 1)
    return sum(precision[i:].max() for i in correct.nonzero().flatten()) / num_objects


def heat_map_peaks(heat, threshold):
    around = functional.pad(heat, (1, 1, 1, 1), value=-math.inf)
    largest = around.unfold(0, 3, 1).unfold(1, 3, 1).amax((2, 3))
    return torch.argwhere((heat >= largest) & (heat > threshold))


def correct_detections(boxes, scores, objects):
    iou, correct = ops.box_iou(boxes, objects), torch.zeros(len(boxes), dtype=torch.bool)
    for n in scores.argsort(descending=True):
        if (iou[n] >= 0.5).any():
            correct[n] = True
            iou[:, iou[n].argmax()] = 0
    return correct


def nms_per_class(boxes, scores, labels, iou_threshold):
    keep = torch.zeros(len(boxes), dtype=torch.bool)
    for label in labels.unique():
        own = (labels == label).nonzero().flatten()
        keep[own[ops.nms(boxes[own], scores[own], iou_threshold)]] = True
    kept = keep.nonzero().flatten()
    return kept[scores[kept].argsort(descending=True)]


ANSWERS = {
    answer.__name__: answer
    for answer in (
        count_anchors,
        receptive_field,
        unpack_head,
        focal_loss,
        rate_factor,
        hard_negatives,
        average_precision,
        heat_map_peaks,
        correct_detections,
        nms_per_class,
    )
}


def test_there_is_an_answer_to_every_exercise():
    assert set(ANSWERS) == set(EXERCISES) <= set(exercises.names())


@pytest.mark.parametrize("name", EXERCISES)
def test_a_plain_answer_passes(name):
    verdict = exercises.check(name, ANSWERS[name])
    assert verdict.ok, verdict.message


# --- the references ---

YES, NO = True, False
SQUARE = [0.0, 0.0, 10.0, 10.0]


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        # 13 * 18 cells (100 / 8 = 12.5, 140 / 8 = 17.5) of 4, and 7 * 9 (6.25, 8.75) of 2: 936 + 126
        ("count_anchors", ((100, 140), [8, 16], [4, 2]), 1062),
        # 1 + 2 * 1 = 3, then + 1 * 2 = 5, then + 2 * 4 = 13; strides 2 * 2 * 1
        ("receptive_field", ([(3, 2), (2, 2), (3, 1)],), (13, 4)),
        # one cell, channels 0 to 5: anchor 0 has the first three
        ("unpack_head", (torch.arange(6.0).reshape(1, 6, 1, 1), 3), [[[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]]),
        # 2 x 2 cells, two channels: each cell has a value of the first and one of the second
        (
            "unpack_head",
            (torch.arange(8.0).reshape(1, 2, 2, 2), 2),
            [[[0.0, 4.0], [1.0, 5.0], [2.0, 6.0], [3.0, 7.0]]],
        ),
        # 0.25 * 0.5^2 * ln 2, and 0.75 * 0.9^2 * ln 10
        (
            "focal_loss",
            (torch.tensor([0.5, 0.9]), torch.tensor([1.0, 0.0]), 0.25, 2.0),
            [0.0625 * math.log(2), 0.6075 * math.log(10)],
        ),
        # step 1 of 6, warm-up 4: 2/4, times (1 + cos 30 degrees) / 2
        ("rate_factor", (1, 6, 4), 0.5 * (1 + math.sqrt(3) / 2) / 2),
        # one positive, ratio 2: the two largest losses of the others, 0.8 and 0.3
        (
            "hard_negatives",
            (torch.tensor([0.9, 0.1, 0.8, 0.3]), torch.tensor([YES, NO, NO, NO]), 2, 0),
            [NO, NO, YES, YES],
        ),
        # precisions 1, 1/2, 2/3, 3/4; their envelope at the three hits 1, 3/4, 3/4; four objects: 2.5 / 4
        ("average_precision", (torch.tensor([YES, NO, YES, YES]), 4), 0.625),
        # 0.9 is the largest of its neighbours, and 0.5 of its; 0.8 stands beside 0.9
        ("heat_map_peaks", (torch.tensor([[0.9, 0.8, 0.1, 0.5]]), 0.3), [[0, 0], [0, 3]]),
        # IoU 0.8, 1 and 0: the surest takes the object
        (
            "correct_detections",
            (
                torch.tensor([[0.0, 0.0, 10.0, 8.0], SQUARE, [40.0, 0.0, 50.0, 10.0]]),
                torch.tensor([0.9, 0.8, 0.95]),
                torch.tensor([SQUARE]),
            ),
            [YES, NO, NO],
        ),
        # box 2 falls to box 0 of its class; box 1 is of another
        (
            "nms_per_class",
            (torch.tensor([SQUARE] * 3), torch.tensor([0.8, 0.9, 0.7]), torch.tensor([1, 2, 1]), 0.5),
            [1, 0],
        ),
    ],
)
def test_references_by_hand(name, arguments, expected):
    found = torch.as_tensor(EXERCISES[name].reference(*arguments))
    torch.testing.assert_close(found, torch.as_tensor(expected, dtype=found.dtype))


@pytest.mark.parametrize("size", [128, (100, 140), (33, 64)])
def test_the_anchors_counted_are_the_networks(size):
    network = models.ssd_small(size=size)
    given = (size, size) if isinstance(size, int) else size
    assert EXERCISES["count_anchors"].reference(given, network.backbone.strides, [4, 4, 4]) == len(network.anchors)


def test_the_receptive_field_is_what_a_pixel_can_change():
    """Ones as weights, so that nothing cancels: count the pixels on which one output depends."""
    layers = [(3, 1), (3, 2), (2, 2), (5, 1)]
    x = torch.zeros(1, 1, 80, requires_grad=True)
    y = x
    for kernel, stride in layers:
        y = functional.conv1d(y, torch.ones(1, 1, kernel), stride=stride)
    (gradient,) = torch.autograd.grad(y[0, 0, y.shape[2] // 2], x)
    assert EXERCISES["receptive_field"].reference(layers)[0] == int((gradient != 0).sum())


def test_unpack_head_is_the_models():
    torch.manual_seed(0)
    head = models.SSDHead([3], [2], 4)
    feature_map = torch.randn(2, 3, 3, 5)
    logits, offsets = head([feature_map])
    unpack = EXERCISES["unpack_head"].reference
    torch.testing.assert_close(unpack(head.classes[0](feature_map), 4), logits)
    torch.testing.assert_close(unpack(head.offsets[0](feature_map), 4), offsets)


def test_focal_loss_is_torchvisions():
    for case in EXERCISES["focal_loss"].cases():
        p, truth, alpha, gamma = case.arguments
        theirs = torchvision.ops.sigmoid_focal_loss(p.logit(), truth, alpha, gamma)
        torch.testing.assert_close(EXERCISES["focal_loss"].reference(*case.arguments), theirs)


def test_the_factor_of_the_learning_rate_is_the_engines():
    for case in EXERCISES["rate_factor"].cases():
        step, steps, warmup = case.arguments
        engines = engine.schedules.cosine(step / steps) * engine.schedules.warm_up(step, warmup)
        assert EXERCISES["rate_factor"].reference(step, steps, warmup) == pytest.approx(engines, rel=1e-12)


def test_average_precision_is_scikit_learns_where_precision_falls():
    """scikit-learn has no envelope: equal where hits come first, and all objects are found."""
    correct = torch.tensor([YES, YES, NO, YES, NO])
    theirs = average_precision_score([1, 1, 0, 1, 0], [5, 4, 3, 2, 1])
    assert EXERCISES["average_precision"].reference(correct, 3) == pytest.approx(theirs)


def test_peaks_are_those_found_cell_by_cell():
    for case in EXERCISES["heat_map_peaks"].cases():
        heat, threshold = case.arguments
        peaks = [
            [row, column]
            for row in range(heat.shape[0])
            for column in range(heat.shape[1])
            if heat[row, column] > threshold
            and heat[row, column] == heat[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2].max()
        ]
        assert EXERCISES["heat_map_peaks"].reference(heat, threshold).tolist() == peaks, case.description


def test_suppression_per_class_is_torchvisions():
    """But below 0, where torchvision's classes are not moved far enough apart."""
    for case in EXERCISES["nms_per_class"].cases():
        boxes, scores, labels, threshold = case.arguments
        theirs = torchvision.ops.batched_nms(boxes - (boxes.min() if len(boxes) else 0), scores, labels, threshold)
        assert EXERCISES["nms_per_class"].reference(*case.arguments).tolist() == theirs.tolist(), case.description


@pytest.mark.parametrize(("name", "threshold"), [("correct_detections", 0.5), ("nms_per_class", 0.35)])
def test_no_random_case_is_decided_by_rounding(name, threshold):
    drawn = [case for case in EXERCISES[name].cases() if "random" in case.description]
    assert len(drawn) == 2
    for case in drawn:
        boxes, _, third = case.arguments[:3]
        others = third if name == "correct_detections" else boxes
        assert (ops.box_iou(boxes, others) - threshold).abs().min() > 1e-4, case.description


def test_random_cases_of_suppression_depend_on_the_classes():
    for case in EXERCISES["nms_per_class"].cases():
        if "random" in case.description:
            boxes, scores, _, threshold = case.arguments
            kept = EXERCISES["nms_per_class"].reference(*case.arguments)
            assert len(ops.nms(boxes, scores, threshold)) < len(kept) < len(boxes), case.description


def test_random_cases_hold_both_right_and_wrong():
    for name in ("correct_detections", "hard_negatives"):
        for case in EXERCISES[name].cases():
            if "random" in case.description:
                share = EXERCISES[name].reference(*case.arguments).float().mean()
                assert 0 < share < 1, case.description


# --- mistakes ---


def field_with_own_stride(layers):
    side = stride = 1
    for kernel, step in layers:
        stride *= step
        side += (kernel - 1) * stride
    return side, stride


def field_without_strides(layers):
    return 1 + sum(kernel - 1 for kernel, _ in layers), math.prod(step for _, step in layers)


def field_of_whole_kernels(layers):
    return sum(kernel for kernel, _ in layers), math.prod(step for _, step in layers)


def classes_before_anchors(output, k):
    b, channels, h, w = output.shape
    return output.reshape(b, k, channels // k, h, w).permute(0, 3, 4, 2, 1).reshape(b, -1, k)


def chosen_by(change):
    """Answer for other losses, positives, ratio or least number."""
    return lambda *arguments: hard_negatives(*change(*arguments))


def hardest_of_all(losses, positive, ratio, least):
    chosen = torch.zeros_like(positive)
    chosen[losses.argsort(descending=True)[: max(ratio * int(positive.sum()), least)]] = True
    return chosen & ~positive


def topk_of_all_wanted(losses, positive, ratio, least):
    chosen = torch.zeros_like(positive)
    chosen[losses.masked_fill(positive, -1).topk(max(ratio * int(positive.sum()), least)).indices] = True
    return chosen & ~positive


def no_envelope(correct, num_objects):
    precision = correct.cumsum(0) / torch.arange(1, len(correct) + 1)
    return precision[correct].sum() / num_objects


def envelope_from_the_left(correct, num_objects):
    precision = correct.cumsum(0) / torch.arange(1, len(correct) + 1)
    return sum(precision[: i + 1].max() for i in correct.nonzero().flatten()) / num_objects


def mean_precision_of_hits(correct, num_objects):
    return average_precision(correct, max(int(correct.sum()), 1))


def four_neighbours(heat, threshold):
    a = functional.pad(heat, (1, 1, 1, 1), value=-math.inf)
    sides = torch.stack([a[:-2, 1:-1], a[2:, 1:-1], a[1:-1, :-2], a[1:-1, 2:]]).amax(0)
    return ((heat >= sides) & (heat > threshold)).nonzero()


def zeros_beyond_the_border(heat, threshold):
    around = functional.pad(heat, (1, 1, 1, 1)).unfold(0, 3, 1).unfold(1, 3, 1)
    return ((heat >= around.amax((2, 3))) & (heat > threshold)).nonzero()


def strictly_higher(heat, threshold):
    around = functional.pad(heat, (1, 1, 1, 1), value=-math.inf).unfold(0, 3, 1).unfold(1, 3, 1).flatten(2)
    return ((around >= heat[..., None]).sum(2) == 1).logical_and(heat > threshold).nonzero()


def with_duplicates(boxes, scores, objects):
    return (ops.box_iou(boxes, objects) >= 0.5).any(1)


def in_the_order_given(boxes, scores, objects):
    return correct_detections(boxes, torch.arange(len(boxes), 0, -1), objects)


def best_fit_wins(boxes, scores, objects):
    return correct_detections(boxes, ops.box_iou(boxes, objects).amax(1), objects)


def above_half(boxes, scores, objects):
    return correct_detections(boxes, scores, objects) & (ops.box_iou(boxes, objects) > 0.5).any(1)


def vocs_rule(boxes, scores, objects):
    iou, correct, taken = ops.box_iou(boxes, objects), torch.zeros(len(boxes), dtype=torch.bool), set()
    for n in scores.argsort(descending=True):
        best = int(iou[n].argmax())
        correct[n] = bool(iou[n, best] >= 0.5) and best not in taken
        taken.add(best)
    return correct


def first_that_fits(boxes, scores, objects):
    iou, correct = ops.box_iou(boxes, objects), torch.zeros(len(boxes), dtype=torch.bool)
    for n in scores.argsort(descending=True):
        fits = (iou[n] >= 0.5).nonzero().flatten()
        correct[n] = len(fits) > 0
        iou[:, fits[:1]] = 0
    return correct


def moved_apart(step):
    return lambda boxes, scores, labels, t: ops.nms(boxes + labels[:, None] * step(boxes), scores, t)


def class_by_class(boxes, scores, labels, t):
    own = [(labels == label).nonzero().flatten() for label in labels.unique()]
    return torch.cat([torch.zeros(0, dtype=torch.int64), *(i[ops.nms(boxes[i], scores[i], t)] for i in own)])


@pytest.mark.parametrize(
    ("name", "mistake", "found"),
    [
        ("count_anchors", lambda size, s, a: sum(size[0] // t * (size[1] // t) for t in s), "the chapter's small SSD"),
        ("count_anchors", lambda size, s, a: count_anchors((size[0],) * 2, s, a), "a wide picture"),
        ("count_anchors", lambda size, s, a: count_anchors(size, s, a[:1] * len(s)), "other numbers of anchors"),
        (
            "count_anchors",
            lambda size, s, a: sum(size[0] // t * (size[1] // t) * n for t, n in zip(s, a, strict=True)),
            "a part of a cell is a cell",
        ),
        ("receptive_field", field_of_whole_kernels, "two of them: 5, not 6"),
        ("receptive_field", field_without_strides, "a stride of 2 counts for the layers after it"),
        ("receptive_field", field_with_own_stride, "Input 3 of 10"),
        ("receptive_field", lambda layers: receptive_field(layers)[0], "expected 2 results"),
        ("receptive_field", lambda layers: (receptive_field(layers)[0], sum(s for _, s in layers)), "two of them"),
        ("unpack_head", lambda x, k: x.reshape(len(x), -1, k), "2 x 3 cells: row by row"),
        ("unpack_head", lambda x, k: unpack_head(x.transpose(2, 3), k), "2 x 3 cells: row by row"),
        ("unpack_head", classes_before_anchors, "channel i K + j is class j of anchor i"),
        (
            "unpack_head",
            lambda x, k: x.reshape(len(x), -1, k, *x.shape[2:]).permute(0, 1, 3, 4, 2).reshape(len(x), -1, k),
            "the anchors of a cell side by side",
        ),
        ("unpack_head", lambda x, k: unpack_head(x, k).reshape(1, -1, k), "two images"),
        ("focal_loss", lambda p, y, a, g: -focal_loss(p, y, a, g), "an object, half believed"),
        ("focal_loss", lambda p, y, a, g: focal_loss(p, y, 0.5, g) * 2 * a, "its weight is 1 - alpha"),
        ("focal_loss", lambda p, y, a, g: focal_loss(p, y, 1 - a, g), "an object, half believed"),
        (
            "focal_loss",
            lambda p, y, a, g: focal_loss(p, y, a, 0) * torch.where(y == 1, p, 1 - p) ** g,
            "an object missed",
        ),
        ("focal_loss", lambda p, y, a, g: focal_loss(p, y, a, 0) * (1 - p) ** g, "background taken for an object"),
        ("focal_loss", lambda p, y, a, g: focal_loss(p, y, a, 2), "gamma 0: cross-entropy with weights"),
        ("focal_loss", lambda p, y, a, g: focal_loss(p, y, a, g).mean(), "shape () where (1,) is right"),
        ("rate_factor", lambda i, n, w: rate_factor(i, n, 0), "the first step of a warm-up: not 0"),
        (
            "rate_factor",
            lambda i, n, w: rate_factor(i, n, 0) * (min(1, i / w) if w else 1),
            "the first step of a warm-up: not 0",
        ),
        (
            "rate_factor",
            lambda i, n, w: (i + 1) / w if i < w else rate_factor(i, n, 0),
            "the second step: both factors count",
        ),
        (
            "rate_factor",
            lambda i, n, w: (i + 1) / w if i < w else rate_factor(i - w, n - w, 0),
            "the second step: both factors count",
        ),
        ("rate_factor", lambda i, n, w: rate_factor(i, n, 0) * min(1, (i + 1) / w), "ZeroDivisionError"),
        ("rate_factor", lambda i, n, w: rate_factor(i, n - 1, w), "no warm-up, half of the way"),
        ("rate_factor", lambda i, n, w: rate_factor(i, n, 0) * ((i + 1) / w if w else 1), "the first step after it"),
        ("hard_negatives", hardest_of_all, "Input 1 of 13"),
        ("hard_negatives", chosen_by(lambda x, p, r, n: (x, p, r, 0)), "no object: the least number"),
        ("hard_negatives", chosen_by(lambda x, p, r, n: (x, p, r, max(n, 1))), "and least is 0: none"),
        ("hard_negatives", chosen_by(lambda x, p, r, n: (x, p, r, max(n, 2))), "does not take a negative's place"),
        ("hard_negatives", chosen_by(lambda x, p, r, n: (x, p, r // max(1, p.sum()), n)), "two negatives for each"),
        ("hard_negatives", chosen_by(lambda x, p, r, n: (-x, p, r, n)), "one object, two negatives"),
        ("hard_negatives", lambda x, p, r, n: hard_negatives(x, p, r, n) | p, "one object, two negatives"),
        ("hard_negatives", topk_of_all_wanted, "fewer negatives than wanted: all of them"),
        (
            "hard_negatives",
            lambda x, p, r, n: hard_negatives(x, p, 0, r * int(p.sum()) if p.any() else n),
            "the ratio gives less than the least number",
        ),
        (
            "hard_negatives",
            lambda x, p, r, n: hardest_of_all(x.masked_fill(p, 0.0), p, r, n),
            "a negative whose loss is 0 goes before a positive",
        ),
        ("average_precision", no_envelope, "precision rises: the envelope"),
        ("average_precision", envelope_from_the_left, "a false alarm between two objects"),
        ("average_precision", mean_precision_of_hits, "objects that nobody finds count"),
        ("average_precision", lambda c, n: c.float().mean(), "a false alarm after all objects are found"),
        ("average_precision", lambda c, n: c.sum() / n, "a false alarm before it"),
        (
            "average_precision",
            lambda c, n: average_precision(c, n) if c.any() else float("nan"),
            "false alarms only",
        ),
        ("heat_map_peaks", lambda h, t: (h > t).nonzero(), "one peak, in row 1 and column 2"),
        ("heat_map_peaks", lambda h, t: heat_map_peaks(h, t).flip(1), "one peak, in row 1 and column 2"),
        ("heat_map_peaks", lambda h, t: heat_map_peaks(h, -math.inf), "a second peak that is too low"),
        ("heat_map_peaks", lambda h, t: heat_map_peaks(h, t - 1e-6), "just as high as the threshold is none"),
        ("heat_map_peaks", four_neighbours, "neighbours along the diagonal count"),
        ("heat_map_peaks", lambda h, t: ((h == h.max()) & (h > t)).nonzero(), "two cells apart"),
        ("heat_map_peaks", lambda h, t: heat_map_peaks(h[1:-1, 1:-1], t) + 1, "peaks in corners"),
        ("heat_map_peaks", strictly_higher, "equal neighbours are both peaks"),
        ("heat_map_peaks", zeros_beyond_the_border, "logits, below 0"),
        ("correct_detections", above_half, "an IoU of exactly 0.5 counts"),
        ("correct_detections", with_duplicates, "a duplicate is wrong"),
        ("correct_detections", best_fit_wins, "a duplicate is wrong; the surer one is right"),
        ("correct_detections", in_the_order_given, "the surer one may stand last"),
        ("correct_detections", first_that_fits, "it takes the one it overlaps most"),
        ("correct_detections", vocs_rule, "its best object is taken: it takes the next"),
        ("correct_detections", lambda *a: correct_detections(*a).nonzero().flatten(), "one object found"),
        ("nms_per_class", lambda b, s, c, t: ops.nms(b, s, t), "two classes: both boxes stay"),
        ("nms_per_class", lambda b, s, c, t: nms_per_class(b, s, c, t).sort()[0], "the best comes first"),
        ("nms_per_class", class_by_class, "the best comes first, not the first class"),
        ("nms_per_class", moved_apart(lambda boxes: 1000.0), "a large picture"),
        ("nms_per_class", moved_apart(lambda boxes: boxes.max() + 1 if len(boxes) else 0), "coordinates below 0"),
        ("nms_per_class", moved_apart(lambda boxes: boxes.max() - boxes.min() + 1), "no boxes"),
    ],
)
def test_mistakes_are_found_on_the_input_made_for_them(name, mistake, found):
    verdict = exercises.check(name, mistake)
    assert not verdict
    assert found in verdict.message
