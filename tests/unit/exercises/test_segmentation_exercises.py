"""The exercises on transposed convolution and segmentation: other solutions pass, common mistakes are found."""

import math

import pytest
import torch

from cvlab import exercises
from cvlab.exercises import segmentation, upsampling

EXERCISES = {**upsampling.EXERCISES, **segmentation.EXERCISES}


def trans_conv_size(pixels, kernel, stride, padding, output_padding):
    covered = {place for i in range(pixels) for place in range(i * stride, i * stride + kernel)}
    return max(covered) + 1 - 2 * padding + output_padding


def lay_down(x, kernel, stride):
    h, w = kernel.shape
    out = torch.zeros((x.shape[0] - 1) * stride + h, (x.shape[1] - 1) * stride + w)
    for i, row in enumerate(x):
        for j, value in enumerate(row):
            out[i * stride : i * stride + h, j * stride : j * stride + w] += value * kernel
    return out


def stretch(x, stride):
    rows = [row for line in x for row in (line, *[torch.zeros_like(line)] * (stride - 1))][: (len(x) - 1) * stride + 1]
    return torch.stack(rows) if x.shape[1] == 1 else stretch_columns(torch.stack(rows), stride)


def stretch_columns(x, stride):
    out = torch.zeros(len(x), (x.shape[1] - 1) * stride + 1)
    out[:, ::stride] = x
    return out


def tent(size):
    factor = (size + 1) // 2
    middle = (size - 1) / 2
    side = torch.tensor([1 - abs(i - middle) / factor for i in range(size)])
    return torch.outer(side, side)


def copies(pixels, kernel, stride):
    counts = [0] * ((pixels - 1) * stride + kernel)
    for i in range(pixels):
        for k in range(kernel):
            counts[i * stride + k] += 1
    return torch.tensor(counts)


def shuffle(x, factor):
    channels, h, w = x.shape
    out = torch.zeros(channels // factor**2, h * factor, w * factor)
    for c in range(channels):
        i, j = divmod(c % factor**2, factor)
        out[c // factor**2, i::factor, j::factor] = x[c]
    return out


def labels_from_colors(picture, palette):
    known = {tuple(color): i for i, color in enumerate(palette.tolist())}
    rows = picture.permute(1, 2, 0).tolist()
    return torch.tensor([[known.get(tuple(pixel), 255) for pixel in row] for row in rows])


def class_iou(confusion):
    result = []
    for k in range(len(confusion)):
        either = confusion[k].sum() + confusion[:, k].sum() - confusion[k, k]
        result.append(float(confusion[k, k] / either) if either else 0.0)
    return torch.tensor(result)


def dice(a, b):
    total = a.sum() + b.sum()
    return float(2 * (a * b).sum() / total) if total else 0.0


def pixel_loss(logits, labels):
    counted = labels != 255
    if not counted.any():
        return 0.0
    log_p = logits.log_softmax(0)
    return -log_p.gather(0, labels.where(counted, torch.tensor(0))[None])[0][counted].mean()


def border_weight(d1, d2, w0, sigma):
    return 1 + w0 * math.exp(-((d1 + d2) ** 2) / 2 / sigma / sigma)


def instance_score(iou, threshold):
    tp = sum(1 for row in iou for value in row if value > threshold)
    fp, fn = iou.shape[1] - tp, iou.shape[0] - tp
    return tp / (tp + fp + fn)


def tile_starts(size, tile, overlap):
    starts = [0]
    while starts[-1] + tile < size:
        starts.append(min(starts[-1] + tile - overlap, size - tile))
    return torch.tensor(starts)


@pytest.mark.parametrize("name", EXERCISES)
def test_another_way_to_write_it_passes(name):
    verdict = exercises.check(name, globals()[name])
    assert verdict.ok, verdict.message


MISTAKES = {
    "trans_conv_size": lambda n, k, s, p, o: (n - 1) * s - 2 * p + k + 2 * o,
    "lay_down": lambda x, k, s: lay_down(x, k.flip(0, 1), s),
    "stretch": lambda x, s: torch.nn.functional.interpolate(x[None, None], scale_factor=float(s))[0, 0],
    "tent": lambda size: tent(size) / tent(size).sum(),
    "copies": lambda n, k, s: copies(n, k, 1),
    "shuffle": lambda x, f: x.reshape(-1, x.shape[1] * f, x.shape[2] * f),
    "labels_from_colors": lambda x, p: (x[None] == p[:, :, None, None]).all(1).byte().argmax(0),
    "class_iou": lambda c: c.diag() / c.sum(1).clamp(min=1),
    "dice": lambda a, b: (a & b).sum() / (a | b).sum().clamp(min=1),
    "pixel_loss": lambda z, y: torch.nn.functional.cross_entropy(z[None], y[None], ignore_index=255),
    "border_weight": lambda a, b, w, s: 1 + w * math.exp(-(a**2 + b**2) / (2 * s**2)),
    "instance_score": lambda iou, t: (iou >= t).sum() / (sum(iou.shape) - (iou >= t).sum()),
    "tile_starts": lambda n, t, o: torch.arange(0, max(n - o, 1), t - o),
}


@pytest.mark.parametrize("name", EXERCISES)
def test_a_common_mistake_is_found(name):
    verdict = exercises.check(name, MISTAKES[name])
    assert not verdict.ok
    assert "Input" in verdict.message
