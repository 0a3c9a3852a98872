"""What must hold for all centres: peaks, radii, and objects that come back from what the network should say."""

import hypothesis.strategies as st
import torch
from hypothesis import assume, given, settings

from cvlab.losses.center import penalty_reduced_focal_loss
from cvlab.models.center_targets import center_targets, decode_centers, gaussian_heatmap, gaussian_radius
from cvlab.ops import box_iou

settings.register_profile("cvlab", deadline=None, max_examples=60, derandomize=True)
settings.load_profile("cvlab")

sides = st.floats(0.01, 1000)
ious = st.floats(0.05, 0.99)
STRIDE, MAP = 4, (8, 10)


@given(sides, sides, ious)
def test_corners_within_the_radius_keep_the_iou(w, h, t):
    r = gaussian_radius(torch.tensor([w, h], dtype=torch.float64), t).item()
    assert 0 <= 2 * r < min(w, h)
    box = torch.tensor([[0.0, 0.0, w, h]], dtype=torch.float64)
    moves = [[a, b, c, d] for a in (-r, r) for b in (-r, r) for c in (-r, r) for d in (-r, r)]
    iou = box_iou(box, box + torch.tensor(moves, dtype=torch.float64))
    assert iou.min().item() >= t - 1e-9
    assert iou.min().item() <= t + 1e-9  # no larger radius would do


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 7), st.integers(0, 9), st.floats(0, 5)), max_size=6))
def test_heatmap_is_the_largest_of_single_peaks(peaks):
    cells = torch.tensor([p[:3] for p in peaks], dtype=torch.int64).reshape(-1, 3)
    radii = torch.tensor([p[3] for p in peaks], dtype=torch.float32)
    heatmap = gaussian_heatmap(cells, radii, (3, *MAP))
    assert bool(((heatmap >= 0) & (heatmap <= 1)).all())
    expected = torch.zeros(3, *MAP)
    for cell, radius in zip(cells, radii, strict=True):
        expected = torch.maximum(expected, gaussian_heatmap(cell[None], radius[None], (3, *MAP)))
    assert torch.equal(heatmap, expected)
    assert bool((heatmap[tuple(cells.t())] == 1).all())


@st.composite
def images_with_objects(draw):
    """One or two images with objects of three classes, no two of them in cells that touch."""
    targets = []
    for _ in range(draw(st.integers(1, 2))):
        cells = draw(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4)), max_size=5, unique=True))
        boxes = []
        for row, column in cells:
            dx, dy = draw(st.floats(0, 3.99)), draw(st.floats(0, 3.99))
            w, h = draw(st.floats(0.5, 60)), draw(st.floats(0.5, 60))
            x, y = column * 2 * STRIDE + dx, row * 2 * STRIDE + dy
            boxes.append([x - w / 2, y - h / 2, x + w / 2, y + h / 2])
        labels = draw(st.lists(st.integers(1, 3), min_size=len(cells), max_size=len(cells)))
        box = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
        targets.append({"boxes": box, "labels": torch.tensor(labels, dtype=torch.int64)})
    return targets


@given(images_with_objects())
def test_objects_come_back_from_what_the_network_should_say(targets):
    learn = center_targets(targets, 4, MAP, STRIDE)
    image, row, column = learn.cells.unbind(1)
    assume(len({tuple(cell) for cell in learn.cells.tolist()}) == len(learn.cells))  # rounding may move a centre
    maps = {"heatmap": (learn.heatmap * 0.999).logit(1e-6)}
    for name, values in (("offset", learn.offset), ("size", learn.size)):
        maps[name] = torch.zeros(len(targets), 2, *MAP)
        maps[name][image, :, row, column] = values
    found = decode_centers(maps, STRIDE, score_thresh=0.99)
    for i, target in enumerate(targets):
        mine = found.image == i
        assert int(mine.sum()) == len(target["labels"])
        for box, label in zip(target["boxes"], target["labels"], strict=True):
            distance = (found.boxes[mine] - box).abs().amax(1)
            assert distance.min().item() <= 1e-4
            assert found.labels[mine][distance.argmin()] == label


@given(st.floats(-30, 30), st.floats(0, 1), st.floats(0, 1))
def test_the_nearer_a_centre_the_smaller_the_penalty(logit, y, z):
    low, high = sorted((y, z))
    assume(high < 1)
    far, near = penalty_reduced_focal_loss(torch.tensor([logit] * 2), torch.tensor([low, high])).tolist()
    assert far >= near >= 0
