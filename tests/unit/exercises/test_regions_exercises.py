"""The exercises on regions: solutions written another way pass, common mistakes are found."""

import math

import pytest
import torch

from cvlab import exercises, ops
from cvlab.exercises.regions import EXERCISES


def histogram_intersection(a, b):
    return sum(min(x, y) for x, y in zip(a.tolist(), b.tolist(), strict=True))


def fill_similarity(box_a, size_a, box_b, size_b, pixels):
    width = max(box_a[2], box_b[2]) - min(box_a[0], box_b[0])
    height = max(box_a[3], box_b[3]) - min(box_a[1], box_b[1])
    return (pixels - width * height + size_a + size_b) / pixels


def recall_of_proposals(proposals, objects, threshold):
    found = [any(ops.box_iou(o[None], p[None]) >= threshold for p in proposals) for o in objects]
    return sum(found) / len(found)


def region_offsets(region, box):
    (x1, y1, x2, y2), (u1, v1, u2, v2) = region.tolist(), box.tolist()
    w, h = x2 - x1, y2 - y1
    return torch.tensor(
        [
            ((u1 + u2) - (x1 + x2)) / 2 / w,
            ((v1 + v2) - (y1 + y2)) / 2 / h,
            math.log((u2 - u1) / w),
            math.log((v2 - v1) / h),
        ]
    )


def pool_bins(start, end, count, stride):
    first, last = int(start / stride + 0.5), int(end / stride + 0.5)
    length = max(last - first + 1, 1)
    return torch.tensor([[first + i * length // count, first - (-(i + 1) * length // count)] for i in range(count)])


def bilinear_sample(grid, y, x):
    h, w = grid.shape
    near = [(i, j) for i in range(h) for j in range(w) if abs(i - y) < 1 and abs(j - x) < 1]
    return sum(grid[i, j] * (1 - abs(i - y)) * (1 - abs(j - x)) for i, j in near)


def pyramid_level(width, height, lowest, highest):
    level, side = highest, 224 * 2 ** (highest - 4)
    while level > lowest and width * height < side**2:
        level, side = level - 1, side / 2
    return level


def rpn_labels(iou):
    result = []
    for a in range(iou.shape[1]):
        best = max(iou[:, a].tolist())
        forced = any(iou[g, a] == iou[g].max() for g in range(len(iou)))
        result.append(1 if forced or best >= torch.tensor(0.7) else 0 if best < torch.tensor(0.3) else -1)
    return torch.tensor(result)


def mask_loss(logits, labels, wanted):
    p = torch.stack([logits[i, k].sigmoid() for i, k in enumerate(labels)])
    return -(wanted * p.log() + (1 - wanted) * (1 - p).log()).mean()


def mask_iou(a, b):
    both, either = int((a * b).sum()), int((a + b).sum())
    return both / max(either, 1)


def run_lengths(mask):
    flat = mask.t().reshape(-1).int()
    change = torch.cat([torch.tensor([0]), (flat.diff() != 0).nonzero()[:, 0] + 1, torch.tensor([len(flat)])])
    lengths = change.diff()
    return torch.cat([torch.tensor([0]), lengths]) if flat[0] else lengths


@pytest.mark.parametrize("name", EXERCISES)
def test_another_way_to_write_it_passes(name):
    verdict = exercises.check(name, globals()[name])
    assert verdict.ok, verdict.message


MISTAKES = {
    "histogram_intersection": lambda a, b: (a * b).sum(),
    "fill_similarity": lambda a, m, b, n, p: (m + n) / p,
    "recall_of_proposals": lambda p, o, t: (ops.box_iou(p, o).amax(1) >= t).float().mean(),  # of the proposals
    "region_offsets": lambda r, b: region_offsets(b, r),
    "pool_bins": lambda s, e, n, stride: pool_bins(s, e - stride, n, stride),  # the last cell left out
    "bilinear_sample": lambda grid, y, x: grid[round(y), round(x)],
    "pyramid_level": lambda w, h, low, high: math.floor(4 + math.log2(math.sqrt(w * h) / 224)),  # not clamped
    "rpn_labels": lambda iou: torch.where(iou.amax(0) >= 0.7, 1, torch.where(iou.amax(0) < 0.3, 0, -1)),
    "mask_loss": lambda z, k, t: torch.nn.functional.binary_cross_entropy_with_logits(z.amax(1), t),
    "mask_iou": lambda a, b: (a & b).sum() / (a | b).sum(),  # NaN
    "run_lengths": lambda mask: run_lengths(mask.t()),  # row by row
}


@pytest.mark.parametrize("name", EXERCISES)
def test_a_common_mistake_is_found(name):
    verdict = exercises.check(name, MISTAKES[name])
    assert not verdict.ok
    assert "Input" in verdict.message
