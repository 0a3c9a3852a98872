"""CenterNet: what it should say, what its maps mean, which losses count, and what it cannot take."""

import math

import numpy as np
import pytest
import torch
from torchvision.ops import sigmoid_focal_loss

from cvlab import _check
from cvlab.losses.center import penalty_reduced_focal_loss
from cvlab.models.backbones import SmallBackbone
from cvlab.models.center import CenterHead, CenterNet, MergeMaps, center_small
from cvlab.models.center_targets import center_targets, decode_centers, gaussian_heatmap, gaussian_radius
from cvlab.preprocess import letterbox

NAMES = ("stem", "tip")


def objects(boxes, labels, **more):
    return {"boxes": torch.tensor(boxes).float().reshape(-1, 4), "labels": torch.tensor(labels).long(), **more}


def perfect(learn, keypoints=False):
    """The maps of a network that says exactly what it should; its heat map says 0.999 at the peaks."""
    batch, _, h, w = learn.heatmap.shape
    image, row, column = learn.cells.unbind(1)

    def dense(values):
        filled = torch.zeros(batch, values.shape[1], h, w)
        filled[image, :, row, column] = values
        return filled

    maps = {"heatmap": (learn.heatmap * 0.999).logit(1e-6), "offset": dense(learn.offset), "size": dense(learn.size)}
    return {**maps, "keypoints": dense(learn.keypoints.flatten(1))} if keypoints else maps


def tiny(num_classes=3, seed=0, **options):
    """A network for 32 x 32 pixels, with maps of 4 x 4 and 2 x 2 cells."""
    torch.manual_seed(seed)
    return CenterNet(SmallBackbone((4, 6, 8, 8), (1, 1, 1), 2), num_classes, **{"size": 32, "width": 8, **options})


# the loss


def test_loss_by_hand():
    # p = 0.75 everywhere (logit log 3). Centre: 0.25^2 * -log 0.75 = 0.0625 * 0.287682 = 0.017980
    # beside it, y = 0.5: 0.5^4 * 0.75^2 * -log 0.25 = 0.0625 * 0.5625 * 1.386294 = 0.048737; far away: 16 times that
    loss = penalty_reduced_focal_loss(torch.full((3,), math.log(3)), torch.tensor([1.0, 0.5, 0.0]))
    assert loss.tolist() == pytest.approx([0.017980, 0.048737, 0.779790], rel=1e-4)


@pytest.mark.parametrize("gamma", [0.0, 1.0, 2.0])
def test_loss_without_neighbours_is_torchvisions_focal_loss(gamma):
    g = torch.Generator().manual_seed(0)
    logits, truth = torch.randn(50, generator=g, dtype=torch.float64) * 4, torch.arange(50).remainder(2).double()
    ours = penalty_reduced_focal_loss(logits, truth, alpha=gamma)
    torch.testing.assert_close(ours, sigmoid_focal_loss(logits, truth, alpha=-1, gamma=gamma))


def test_loss_reductions_and_gradient():
    logits = torch.tensor([-200.0, -1.0, 0.5, 200.0], dtype=torch.float64, requires_grad=True)
    heatmap = torch.tensor([1.0, 0.3, 1.0, 0.0], dtype=torch.float64)
    each = penalty_reduced_focal_loss(logits, heatmap)
    assert each[[0, 3]].tolist() == [200.0, 200.0]  # -log p of hopeless cells, without overflow
    assert penalty_reduced_focal_loss(logits, heatmap, reduction="sum").item() == pytest.approx(each.sum().item())
    assert penalty_reduced_focal_loss(logits, heatmap, reduction="mean").item() == pytest.approx(each.mean().item())
    assert penalty_reduced_focal_loss(torch.zeros(0), torch.zeros(0), reduction="mean") == 0
    assert torch.autograd.gradcheck(lambda x: penalty_reduced_focal_loss(x, heatmap[1:3]), logits[1:3])


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((torch.zeros(3), torch.zeros(2)), r"heatmap must have shape \(3,\), got \(2,\)"),
        ((torch.zeros(2).long(), torch.zeros(2)), "logits must be floating point"),
        ((torch.zeros(2), torch.zeros(2).long()), "heatmap must be floating point"),
        ((torch.zeros(2), torch.tensor([0.0, 1.5])), r"heatmap\[1\] must lie in \[0, 1\], got 1.5"),
        ((torch.zeros(2), torch.zeros(2), -1.0), r"\(alpha, beta\)\[0\] must be finite and at least 0"),
        ((torch.zeros(2), torch.zeros(2), 2.0, 4.0, "all"), "reduction must be one of none, sum, mean"),
    ],
)
def test_loss_refuses(arguments, text):
    with pytest.raises(_check.InputError, match="penalty_reduced_focal_loss: " + text):
        penalty_reduced_focal_loss(*arguments)


# the peaks


def test_radius_by_hand():
    # 10 x 10, 0.64: (10 - 2r)^2 = 64, r = 1. 16 x 9, 0.5: 4 r^2 - 50 r + 72 = 0, r = (50 - sqrt(2500 - 1152)) / 8
    assert gaussian_radius(torch.tensor([10.0, 10.0]), 0.64).item() == pytest.approx(1.0)
    assert gaussian_radius(torch.tensor([16.0, 9.0]), 0.5).item() == pytest.approx((50 - math.sqrt(1348)) / 8)
    # 0: corners may meet, r is half the shorter side; 1: not at all; a box without any size has no radius
    assert gaussian_radius(torch.tensor([16.0, 9.0]), 0.0).item() == pytest.approx(4.5)
    assert gaussian_radius(torch.tensor([16.0, 9.0]), 1.0).item() == 0.0
    assert gaussian_radius(torch.zeros(2, 2)).tolist() == [0.0, 0.0]
    assert gaussian_radius(torch.zeros(0, 2)).shape == (0,)


def test_radius_is_the_smallest_of_the_papers_three():
    t = 0.7
    for w, h in ((10.0, 10.0), (30.0, 7.0), (1.0, 200.0), (0.3, 0.4)):
        roots = [
            np.roots([1, -(w + h), (1 - t) / (1 + t) * w * h]),  # shifted: (w - r)(h - r) = 2 t w h / (1 + t)
            np.roots([4, -2 * (w + h), (1 - t) * w * h]),  # both corners inwards
            np.roots([4 * t, 2 * t * (w + h), (t - 1) * w * h]),  # both outwards
        ]
        smallest = min(r for pair in roots for r in pair if r > 0)
        assert gaussian_radius(torch.tensor([w, h], dtype=torch.float64), t).item() == pytest.approx(smallest)


def test_heatmap_by_hand():
    # r = 1: the deviation is (2 + 1) / 6 = 0.5, so the value at distance d is exp(-d^2 / 0.5)
    heatmap = gaussian_heatmap(torch.tensor([[1, 2, 3]]), torch.tensor([1.0]), (2, 4, 5))
    assert heatmap.shape == (2, 4, 5)
    assert not heatmap[0].any()
    assert heatmap[1, 2, 3] == 1.0
    assert heatmap[1, 2, 2].item() == heatmap[1, 1, 3].item() == pytest.approx(math.exp(-2))
    assert heatmap[1, 1, 2].item() == pytest.approx(math.exp(-4))  # d^2 = 2
    assert heatmap[1, 0, 1].item() == pytest.approx(math.exp(-16))  # d^2 = 8


def test_where_peaks_meet_the_larger_value_holds():
    cells, radii = torch.tensor([[0, 0, 0], [0, 0, 3], [0, 0, 0]]), torch.tensor([1.0, 2.5, 0.1])
    both = gaussian_heatmap(cells, radii, (1, 1, 4))[0, 0]
    # deviations 0.5 and 1: from the left exp(-2 d^2), from the right exp(-d^2 / 2); at 1: 0.1353 and exp(-2), equal;
    # at 2: exp(-8) and exp(-1 / 2). The narrow third peak lies under the first.
    assert both.tolist() == pytest.approx([1.0, math.exp(-2), math.exp(-0.5), 1.0])


def test_targets_by_hand():
    # stride 8: (20, 6, 44, 14) has its centre at (32, 10), cell (1, 4), offset (0, 0.25), size (3, 1)
    # (3, 17, 8, 30): centre (5.5, 23.5), cell (2, 0), offset (0.6875, 0.9375), size (0.625, 1.625)
    points = torch.tensor([[[36.0, 4.0], [1e9, math.nan]]])  # the second is not visible
    first = objects([[20, 6, 44, 14]], [2], keypoints=points, keypoints_visible=torch.tensor([[True, False]]))
    second = objects([], [], keypoints=torch.zeros(0, 2, 2), keypoints_visible=torch.zeros(0, 2).bool())
    hidden = {"keypoints": torch.zeros(1, 2, 2), "keypoints_visible": torch.zeros(1, 2).bool()}
    third = objects([[3, 17, 8, 30]], [1], **hidden)
    learn = center_targets([first, second, third], 3, (4, 6), 8)
    assert learn.cells.tolist() == [[0, 1, 4], [2, 2, 0]]
    assert learn.offset.tolist() == [[0.0, 0.25], [0.6875, 0.9375]]
    assert learn.size.tolist() == [[3.0, 1.0], [0.625, 1.625]]
    assert learn.keypoints.tolist() == [[[0.5, -0.5], [0.0, 0.0]], [[0.0, 0.0], [0.0, 0.0]]]
    assert learn.visible.tolist() == [[True, False], [False, False]]
    assert learn.heatmap.shape == (3, 2, 4, 6)
    assert (learn.heatmap == 1).nonzero().tolist() == [[0, 1, 1, 4], [2, 0, 2, 0]]
    assert not learn.heatmap[1].any()
    # r of 3 x 1 cells: 0.9 / (4 + sqrt(16 - 3.6)); beside the peak exp(-1 / (2 ((2r + 1) / 6)^2))
    r = 0.9 / (4 + math.sqrt(12.4))
    assert learn.heatmap[0, 1, 1, 3].item() == pytest.approx(math.exp(-18 / (2 * r + 1) ** 2), rel=1e-5)


def test_a_centre_on_the_edge_or_outside_belongs_to_the_nearest_cell():
    learn = center_targets([objects([[24, 28, 40, 36], [-30, -4, -10, 4]], [1, 1])], 2, (4, 4), 8)
    assert learn.cells.tolist() == [[0, 3, 3], [0, 0, 0]]  # centres (32, 32) and (-20, 0)
    found = decode_centers(perfect(learn), 8)
    assert sorted(found.boxes.tolist()) == [[-30, -4, -10, 4], [24, 28, 40, 36]]


def test_targets_of_images_without_objects():
    learn = center_targets([objects([], [])] * 2, 4, (3, 5), 4)
    assert learn.heatmap.shape == (2, 3, 3, 5)
    assert not learn.heatmap.any()
    assert [len(part) for part in learn[1:]] == [0, 0, 0, 0, 0]


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: gaussian_radius(torch.ones(3)), r"gaussian_radius: sizes must have shape \(..., 2\), got \(3,\)"),
        (lambda: gaussian_radius(torch.tensor([1, 2])), "gaussian_radius: sizes must be floating point"),
        (lambda: gaussian_radius(torch.tensor([1.0, -2.0])), "gaussian_radius: sizes must be at least 0, got -2"),
        (lambda: gaussian_radius(torch.tensor([1.0, math.nan])), r"gaussian_radius: sizes\[1\] is not finite"),
        (lambda: gaussian_radius(torch.ones(2), 1.2), r"gaussian_radius: min_iou must lie in \[0, 1\], got 1.2"),
        (
            lambda: gaussian_heatmap(torch.zeros(2, 2).long(), torch.ones(2), (1, 2, 2)),
            r"gaussian_heatmap: cells must have shape \(P, 3\), got \(2, 2\)",
        ),
        (
            lambda: gaussian_heatmap(torch.zeros(2, 3), torch.ones(2), (1, 2, 2)),
            "gaussian_heatmap: cells must be signed integers",
        ),
        (
            lambda: gaussian_heatmap(torch.zeros(2, 3).long(), torch.ones(1), (1, 2, 2)),
            r"gaussian_heatmap: radii must have shape \(2,\), one for each cell, got \(1,\)",
        ),
        (lambda: center_targets([], 2, (2, 2), 4), "center_targets: there must be one image or more, got none"),
        (
            lambda: center_targets([objects([], []), objects([[0, 0, 4, 4]], [2])], 2, (2, 2), 4),
            r"center_targets: target 1: labels must lie from 1 to 1, got \[2\]",
        ),
    ],
)
def test_targets_refuse(call, text):
    with pytest.raises(_check.InputError, match=text):
        call()


# and back


def test_perfect_maps_give_the_objects_back():
    boxes = [[10.3, 7.1, 30.9, 20.2], [40, 30, 61.5, 63], [12, 40, 20, 47.7], [10.3, 40, 20, 47.7]]
    points = torch.rand(4, 2, 2, generator=torch.Generator().manual_seed(0)) * 64
    more = {"keypoints": points, "keypoints_visible": torch.ones(4, 2).bool()}
    truth = objects(boxes, [1, 2, 1, 2], **more)
    found = decode_centers(perfect(center_targets([truth], 3, (16, 16), 4), keypoints=True), 4)
    order = [int((found.boxes - box).abs().sum(1).argmin()) for box in truth["boxes"]]
    assert sorted(order) == [0, 1, 2, 3]
    torch.testing.assert_close(found.boxes[order], truth["boxes"], atol=1e-4, rtol=0)
    torch.testing.assert_close(found.keypoints[order], points, atol=1e-4, rtol=0)
    assert found.labels[order].tolist() == [1, 2, 1, 2]
    assert found.scores.tolist() == pytest.approx([0.999] * 4, rel=1e-4)


def test_of_two_objects_of_a_class_in_a_cell_one_survives():
    two = [[8, 8, 24, 24], [13, 13, 21, 21]]  # centres (16, 16) and (17, 17): cell (4, 4) of stride 4
    assert len(decode_centers(perfect(center_targets([objects(two, [1, 1])], 3, (8, 8), 4)), 4).boxes) == 1
    # of two classes both peaks stand, but they share the cell's only box
    found = decode_centers(perfect(center_targets([objects(two, [1, 2])], 3, (8, 8), 4)), 4)
    assert sorted(found.labels.tolist()) == [1, 2]
    assert torch.equal(found.boxes[0], found.boxes[1])


def blank(shape, background=-9.0):
    batch, _, h, w = shape
    return {
        "heatmap": torch.full(shape, background),
        "offset": torch.zeros(batch, 2, h, w),
        "size": torch.ones(batch, 2, h, w),
    }


def test_peaks_by_loops():
    maps = blank((2, 3, 6, 7))
    maps["heatmap"] = torch.randn(2, 3, 6, 7, generator=torch.Generator().manual_seed(3)) * 2
    expected = set()
    for b, c, y, x in np.ndindex(2, 3, 6, 7):
        around = maps["heatmap"][b, c, max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2]
        if maps["heatmap"][b, c, y, x] == around.max() and maps["heatmap"][b, c, y, x] > 0:
            expected.add((b, c + 1, x * 4.0, y * 4.0))
    found = decode_centers(maps, 4, score_thresh=0.5)
    middle = (found.boxes[:, :2] + found.boxes[:, 2:]) / 2
    got = list(zip(found.image.tolist(), found.labels.tolist(), *middle.t().tolist(), strict=True))
    assert len(got) == len(expected) > 10
    assert set(got) == expected
    for i in range(2):
        own = found.scores[found.image == i].tolist()
        assert own == sorted(own, reverse=True)


def test_top_k_and_threshold():
    maps = blank((2, 2, 5, 5))
    maps["heatmap"][0, 0, 0, 0], maps["heatmap"][0, 1, 2, 2], maps["heatmap"][0, 0, 4, 4] = 1.0, 3.0, 2.0
    assert decode_centers(maps, 4, top_k=2).labels.tolist() == [2, 1]
    assert decode_centers(maps, 4, top_k=2).scores.tolist() == pytest.approx([0.952574, 0.880797])  # sigmoid of 3, 2
    assert decode_centers(maps, 4, top_k=1000).image.tolist() == [0, 0, 0]
    assert len(decode_centers(maps, 4, score_thresh=0.9).boxes) == 1
    assert decode_centers(maps, 4, score_thresh=1.0).boxes.shape == (0, 4)
    assert decode_centers(maps, 4, score_thresh=1.0).keypoints.shape == (0, 0, 2)


def test_negative_sizes_give_empty_boxes():
    maps = blank((1, 1, 2, 2))
    maps["heatmap"][0, 0, 0, 1], maps["size"][0, 0, 0, 1] = 3.0, -2.0
    assert decode_centers(maps, 4).boxes.tolist() == [[4.0, -2.0, 4.0, 2.0]]


@pytest.mark.parametrize(
    ("name", "shape", "text"),
    [
        ("heatmap", (1, 2, 2), r"heatmap must have shape \(B, K - 1, h, w\), got \(1, 2, 2\)"),
        ("offset", (1, 3, 2, 2), r"offset must have shape \(1, 2, 2, 2\), got \(1, 3, 2, 2\)"),
        ("size", (1, 2, 2, 3), r"size must have shape \(1, 2, 2, 2\), got \(1, 2, 2, 3\)"),
        ("keypoints", (1, 3, 2, 2), r"keypoints must have shape \(1, 2n, 2, 2\), got \(1, 3, 2, 2\)"),
    ],
)
def test_decode_refuses(name, shape, text):
    with pytest.raises(_check.InputError, match="decode_centers: " + text):
        decode_centers({**blank((1, 1, 2, 2)), name: torch.zeros(shape)}, 4)


# the network


@pytest.mark.parametrize("size", [(32, 32), (40, 56), (33, 47)])
def test_the_maps_merge_to_the_finest(size):
    backbone = SmallBackbone((4, 6, 8, 8), (1, 1, 1), 3)
    maps = backbone(torch.zeros(2, 3, *size))
    merged = MergeMaps(backbone.channels, 5)(maps)
    assert merged.shape == (2, 5, -(-size[0] // 4), -(-size[1] // 4))


def test_the_finest_map_hears_of_the_coarsest():
    merge = MergeMaps([2, 2], 4).eval()
    fine, coarse = torch.zeros(1, 2, 4, 4), torch.zeros(1, 2, 2, 2)
    before = merge([fine, coarse])
    coarse[0, :, 1, 1] = 50.0  # its cells (2..3, 2..3) of the fine map, and one more around them by the 3 x 3 kernel
    changed = (merge([fine, coarse]) != before).any(1)[0]
    assert changed[1:, 1:].any()
    assert not changed[0].any()
    assert not changed[:, 0].any()


def test_before_training_every_cell_has_the_prior():
    head = CenterHead(6, {"heatmap": 3, "size": 2}, prior=0.1).eval()
    maps = head(torch.zeros(1, 6, 2, 2))
    assert {name: m.shape[1] for name, m in maps.items()} == {"heatmap": 3, "size": 2}
    assert maps["heatmap"].sigmoid().mean().item() == pytest.approx(0.1)


def batch(*sizes, keypoints=False):
    """Images of the given sizes, each with an object of label 1 in the middle half and one of label 2 at the corner."""
    images, targets = [], []
    for h, w in sizes:
        images.append(torch.rand(3, h, w, generator=torch.Generator().manual_seed(h)))
        target = objects([[w / 4, h / 4, w * 3 / 4, h * 3 / 4], [0, 0, w / 3, h / 3]], [1, 2])
        if keypoints:
            target["keypoints"] = target["boxes"].reshape(2, 2, 2)  # the corners (G, n = 2, 2)
            target["keypoints_visible"] = torch.tensor([[True, False], [True, True]])
        targets.append(target)
    return images, targets


def test_losses_by_hand():
    """Maps of zeros: the distances are the targets themselves."""
    model = tiny(keypoints=NAMES, offset_weight=2.0, size_weight=0.5, keypoint_weight=0.25)
    points = torch.tensor([[[10.0, 2.0], [0.0, 0.0]]])
    target = objects([[0, 0, 16, 24]], [1], keypoints=points, keypoints_visible=torch.tensor([[True, False]]))
    learn = center_targets([target], 3, (4, 4), 8)  # centre (8, 12): cell (1, 1), offset (0, 0.5), size (2, 3)
    maps = {name: torch.zeros(1, c, 4, 4) for name, c in (("heatmap", 2), ("offset", 2), ("size", 2), ("keypoints", 4))}
    found = model.losses(maps, learn)
    assert found["offset"].item() == 2.0 * 0.5
    assert found["size"].item() == 0.5 * 5
    # (10, 2) / 8 - (1, 1) = (0.25, -0.75): a distance of 1 for one visible point
    assert found["keypoints"].item() == 0.25
    focal = penalty_reduced_focal_loss(maps["heatmap"], learn.heatmap, reduction="sum")
    assert found["heatmap"].item() == pytest.approx(focal.item())


def test_losses_are_divided_by_the_objects():
    model = tiny()
    one = objects([[3, 5, 13, 21]], [1])
    losses = []
    for count in (1, 3):
        learn = center_targets([one] * count, 3, (4, 4), 8)
        maps = {name: torch.full((count, 2, 4, 4), 0.3) for name in ("heatmap", "offset", "size")}
        losses.append({name: value.item() for name, value in model.losses(maps, learn).items()})
    assert losses[0] == pytest.approx(losses[1])
    assert all(value > 0 for value in losses[0].values())


@pytest.mark.parametrize("keypoints", [(), NAMES])
def test_training_gives_losses_with_gradients(keypoints):
    model = tiny(keypoints=keypoints)
    images, targets = batch((32, 32), (40, 20), (9, 70), keypoints=bool(keypoints))
    losses = model(images, targets)
    assert list(losses) == ["heatmap", "offset", "size", *(["keypoints"] if keypoints else [])]
    sum(losses.values()).backward()
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in model.parameters())
    assert all(bool(branch[1].weight.grad.any()) for branch in model.head.maps.values())


def test_training_leaves_the_targets_alone():
    model = tiny(keypoints=NAMES)
    images, targets = batch((40, 20), keypoints=True)
    before = {name: value.clone() for name, value in targets[0].items()}
    model(images, targets)
    assert all(torch.equal(before[name], value) for name, value in targets[0].items())


def test_images_without_objects():
    model = tiny(keypoints=NAMES)
    empty = {**objects([], []), "keypoints": torch.zeros(0), "keypoints_visible": torch.zeros(0)}
    losses = model(batch((32, 32), (20, 40))[0], [empty, empty])
    assert losses["heatmap"] > 0
    assert [losses[name].item() for name in ("offset", "size", "keypoints")] == [0, 0, 0]
    sum(losses.values()).backward()  # zero, but with a gradient
    assert not model.head.maps["size"][1].weight.grad.any()


def test_hidden_key_points_give_no_loss():
    images, targets = batch((32, 32), keypoints=True)
    hidden = torch.zeros(2, 2).bool()
    for points in (torch.zeros(2, 2, 2), torch.full((2, 2, 2), 1e6), torch.full((2, 2, 2), math.nan)):
        model = tiny(keypoints=NAMES)
        losses = model(images, [{**targets[0], "keypoints": points, "keypoints_visible": hidden}])
        assert losses["keypoints"].item() == 0
        losses["keypoints"].backward()
        assert not any(p.grad is not None and bool(p.grad.any()) for p in model.parameters())


def test_key_points_with_a_third_column():
    images, targets = batch((32, 32), keypoints=True)
    target = targets[0]
    three = torch.cat((target["keypoints"], target["keypoints_visible"][..., None].float() * 2), 2)
    other = {"boxes": target["boxes"], "labels": target["labels"], "keypoints": three}
    a, b = (tiny(keypoints=2)(images, [t])["keypoints"].item() for t in (target, other))
    assert a == b > 0


def test_it_learns_a_picture_by_heart():
    """Two objects and their corners, in an image that is not square: everything comes back into its pixels."""
    model = tiny(keypoints=NAMES, size=64, size_weight=1.0, keypoint_weight=1.0)
    image = torch.zeros(3, 48, 96)
    image[0, 12:36, 24:56], image[1, 20:44, 66:90] = 1.0, 1.0
    truth = objects([[24, 12, 56, 36], [66, 20, 90, 44]], [1, 2])
    truth |= {"keypoints": truth["boxes"].reshape(2, 2, 2), "keypoints_visible": torch.ones(2, 2).bool()}
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.02, 100)
    for _ in range(100):
        optimizer.zero_grad()
        sum(model([image, image], [truth, truth]).values()).backward()
        optimizer.step()
        schedule.step()
    found = model.eval()([image])[0]
    assert sorted(found) == ["boxes", "keypoints", "labels", "scores"]
    sure = found["scores"] > 0.5
    assert sorted(found["labels"][sure].tolist()) == [1, 2]
    order = found["labels"][sure].argsort()
    torch.testing.assert_close(found["boxes"][sure][order], truth["boxes"], atol=2, rtol=0)
    torch.testing.assert_close(found["keypoints"][sure][order], truth["keypoints"], atol=2, rtol=0)


def test_detections_come_back_into_each_images_pixels():
    model = tiny(keypoints=1).eval()
    to_input = [
        letterbox((64, 32), (32, 32)),
        letterbox((32, 32), (32, 32)),
    ]  # the first is halved, 8 pixels further right
    maps = {**blank((2, 2, 4, 4)), "keypoints": torch.zeros(2, 2, 4, 4)}
    maps["heatmap"][:, 1, 2, 2] = 2.0  # cell (2, 2) begins at (16, 16); offset 0, size 1: box (12, 12, 20, 20)
    maps["heatmap"][0, 0, 0, 0] = 1.0  # in the first image's padding: box (-4, -4, 4, 4) ends before 8
    first, second = model.detections(maps, to_input)
    assert first["boxes"].tolist() == [[8, 24, 24, 40]]  # ((12 - 8) * 2, 12 * 2, (20 - 8) * 2, 20 * 2)
    assert first["keypoints"].tolist() == [[[16, 32]]]
    assert second["boxes"].tolist() == [[12, 12, 20, 20]]
    assert first["labels"].tolist() == second["labels"].tolist() == [2]


def test_nothing_found_has_the_right_shapes():
    found = tiny(keypoints=NAMES, score_thresh=1.0).eval()([torch.rand(3, 20, 50)])[0]
    assert {name: tuple(value.shape) for name, value in found.items()} == {
        "boxes": (0, 4), "scores": (0,), "labels": (0,), "keypoints": (0, 2, 2)
    }  # fmt: skip


def test_uint8_and_float_say_the_same():
    image = torch.randint(0, 256, (3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    model = tiny(score_thresh=0.0).eval()
    a, b = model([image])[0], model([image.float() / 255])[0]
    torch.testing.assert_close(a, b)


def test_the_small_one_is_small():
    model = center_small(keypoints=3)
    assert sum(p.numel() for p in model.parameters()) <= 1_500_000
    assert model.eval()([torch.rand(3, 100, 150)])[0]["boxes"].shape[1] == 4
    assert center_small(4, size=64, score_thresh=0.2).score_thresh == 0.2


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"num_classes": 1}, "num_classes counts the background, so it is at least 2, got 1"),
        ({"size": 15}, r"size must be at least the deepest map's stride, 16 pixels, got \(15, 15\)"),
        ({"score_thresh": 1.5}, r"score_thresh must lie in \[0, 1\], got 1.5"),
        ({"min_iou": -0.1}, r"min_iou must lie in \[0, 1\], got -0.1"),
        ({"size_weight": -1.0}, r"\(offset_weight, size_weight, keypoint_weight\)\[1\] must be finite and at least 0"),
        ({"keypoints": -1}, "keypoints must be names, or a number of at least 0, got -1"),
        ({"keypoints": "stem"}, "keypoints must be names, or a number of at least 0, got 'stem'"),
    ],
)
def test_it_refuses_to_be_made(options, text):
    with pytest.raises(_check.InputError, match="CenterNet: " + text):
        tiny(**options)


def test_it_refuses_a_backbone_whose_maps_do_not_halve():
    backbone = SmallBackbone((4, 6, 8, 8), (1, 1, 1), 2)
    backbone.strides = [8, 32]
    with pytest.raises(
        _check.InputError, match=r"each of the backbone's strides must be twice the last, got \[8, 32\]"
    ):
        CenterNet(backbone, 3, size=32)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"labels": torch.tensor([1, 3])}, r"target 1: label 1 must lie from 1 to 2 .*, got 3"),
        ({"boxes": torch.tensor([[0.0, 0.0, 4.0, 4.0], [4.0, 1.0, 4.0, 3.0]])}, r"target 1: box \[1\] has x2 <= x1"),
        ({"keypoints": None}, "target 1 must have 'keypoints'"),
        ({"keypoints_visible": None}, "target 1 must have 'keypoints_visible'"),
        ({"keypoints": torch.zeros(2, 3, 2)}, r"keypoints must have shape \(2, 2, 2\), for stem, tip"),
        ({"keypoints_visible": torch.ones(2)}, r"keypoints_visible \(2, 2\), got \(2, 2, 2\) and \(2,\)"),
        ({"keypoints": torch.full((2, 2, 2), math.inf)}, r"target 1: keypoints\[0, 0, 0\] is not finite"),
    ],
)
def test_it_refuses_targets(change, text):
    images, targets = batch((32, 32), (32, 32), keypoints=True)
    targets[1] = {name: value for name, value in {**targets[1], **change}.items() if value is not None}
    with pytest.raises(_check.InputError, match="CenterNet: .*" + text):
        tiny(keypoints=NAMES)(images, targets)


@pytest.mark.parametrize(
    ("images", "text"),
    [
        ([], "there must be one image or more, got none"),
        ([torch.zeros(3, 8, 8), torch.zeros(1, 8, 8)], "image 1 must have shape"),
        ([torch.zeros(3, 8, 8).int()], "image 0 must be uint8, or float"),
    ],
)
def test_it_refuses_images(images, text):
    with pytest.raises(_check.InputError, match="CenterNet: " + text):
        tiny().eval()(images)


def test_it_refuses_to_train_without_targets():
    with pytest.raises(_check.InputError, match="CenterNet: training needs a target for each of 1 images, got none"):
        tiny()([torch.zeros(3, 8, 8)])
