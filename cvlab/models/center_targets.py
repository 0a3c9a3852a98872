"""What a detector of centres should say of an image, and what boxes its maps mean.

All lengths on the maps are in cells: a cell is `stride` pixels wide, and cell (row, column) begins at the pixel
coordinates (stride * column, stride * row).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from cvlab import _check

Size = tuple[int, int]


class CenterTargets(NamedTuple):
    """What the network should say: a heat map everywhere, and the rest only in the cells of the P objects."""

    heatmap: Tensor
    """(B, K - 1, h, w) float, exactly 1 in the cell of each centre, falling off as a Gaussian around it."""
    cells: Tensor
    """(P, 3) int64, each object's image, row and column."""
    offset: Tensor
    """(P, 2) float, xy from the cell's corner to the centre, in [0, 1) where the centre lies on the map, cells."""
    size: Tensor
    """(P, 2) float, width and height, cells."""
    keypoints: Tensor
    """(P, n, 2) float, xy from the cell's corner to each key point, cells; 0 where it is not visible."""
    visible: Tensor
    """(P, n) bool, which key points count."""


class Centers(NamedTuple):
    """What was found: N peaks, image by image, best first in each."""

    image: Tensor
    """(N,) int64, from 0."""
    labels: Tensor
    """(N,) int64, from 1."""
    scores: Tensor
    """(N,) float in [0, 1]."""
    boxes: Tensor
    """(N, 4) float xyxy, pixels of the input; not clipped to it, and with sides of 0 where a size was negative."""
    keypoints: Tensor
    """(N, n, 2) float xy, pixels of the input."""


def gaussian_radius(sizes: Tensor, min_iou: float = 0.7) -> Tensor:
    """Compute how far both corners of a box may be off, in x and in y, so that IoU with it stays at `min_iou` or above.

    Corners that are off by r make the worst box when both move inwards, by r on each side: it has w - 2r by h - 2r, all
    inside the true one, so IoU is (w - 2r)(h - 2r) / (w h). Setting this to t = `min_iou` gives

        4 r^2 - 2 (w + h) r + (1 - t) w h = 0,

    whose smaller root is r = (1 - t) w h / (w + h + sqrt((w + h)^2 - 4 (1 - t) w h)).

    Args:
        sizes: (..., 2) float, width and height, in any unit.
        min_iou: t, in [0, 1].

    Returns:
        (...) float radii in the same unit.

    Raises:
        InputError: `sizes` are not (..., 2), or not finite and at least 0, or `min_iou` is outside [0, 1].

    Notes:
        The papers' programs solve two more equations, for corners that both move outwards, t (w + 2r)(h + 2r) = w h,
        and for a box that is shifted, (w - r)(h - r) = 2 t w h / (1 + t), and take the smallest of the three radii. It
        is always this one. CenterNet's, and the first of CornerNet's, do not divide the roots by twice the leading
        coefficient; their radii for t = 0.7 are about those of t = 0.2 here.

    Example:
        >>> gaussian_radius(torch.tensor([10.0, 10.0]), 0.64)  # 8 x 8 of 10 x 10
        tensor(1.)

    References:
        Law, Deng (2018). CornerNet. Section 3.2.
    """
    op = "gaussian_radius"
    _check.numeric(op, "sizes", sizes, floating=True)
    _check.shape(op, "sizes", sizes, ("...", 2))
    _check.finite(op, "sizes", sizes)
    _check.fraction(op, "min_iou", min_iou)
    if _check.readable(sizes) and bool((sizes < 0).any()):
        raise _check.InputError(f"{op}: sizes must be at least 0, got {float(sizes.min()):g}")
    total, lost = sizes.sum(-1), (1 - min_iou) * sizes.prod(-1)
    root = (total.square() - 4 * lost).clamp(min=0).sqrt()
    return lost / (total + root).clamp(min=torch.finfo(sizes.dtype).tiny)


def gaussian_heatmap(cells: Tensor, radii: Tensor, shape: Sequence[int]) -> Tensor:
    """Draw a Gaussian around each cell, each into its own layer; where two meet, the larger value holds.

    Args:
        cells: (P, 3) int64 layer, row and column of the peaks.
        radii: (P,) float r of each; the Gaussian's standard deviation is (2r + 1) / 6 cells.
        shape: (layers, h, w).

    Returns:
        (layers, h, w) float in [0, 1], exactly 1 at the cells.

    Raises:
        InputError: `cells` are not (P, 3) integers, or there is not one radius for each.

    Notes:
        CenterNet rounds r down to whole cells, and cuts the Gaussian off there; here it goes on, with values below
        0.012 more than r + 0.5 cells away.

    Example:
        >>> gaussian_heatmap(torch.tensor([[0, 1, 0]]), torch.tensor([1.0]), (1, 2, 3))  # exp(-2 d^2)
        tensor([[[1.3534e-01, 1.8316e-02, 4.5400e-05],
                 [1.0000e+00, 1.3534e-01, 3.3546e-04]]])
    """
    op = "gaussian_heatmap"
    _check.integer(op, "cells", cells)
    _check.shape(op, "cells", cells, ("P", 3))
    _check.length(op, "radii", radii, len(cells), "cell")
    layers, h, w = shape
    layer, row, column = cells.unbind(1)
    spread = 2 * ((2 * radii + 1) / 6).square()[:, None]  # (P, 1), twice the variance
    vertical = torch.exp(-(torch.arange(h, device=radii.device) - row[:, None]).square() / spread)  # (P, h)
    horizontal = torch.exp(-(torch.arange(w, device=radii.device) - column[:, None]).square() / spread)  # (P, w)
    peaks = vertical[:, :, None] * horizontal[:, None, :]  # (P, h, w)
    heatmap = radii.new_zeros(layers, h, w)
    for own, peak in zip(layer.tolist(), peaks, strict=True):
        heatmap[own] = torch.maximum(heatmap[own], peak)
    return heatmap


def center_targets(
    targets: Sequence[Mapping[str, Tensor]], num_classes: int, map_size: Size, stride: int, min_iou: float = 0.7
) -> CenterTargets:
    """Turn the objects of a batch into what the network should say.

    Args:
        targets: for each of B images `boxes` (G, 4) float xyxy, pixels of the input, and `labels` (G,) from 1; or also
            `keypoints` (G, n, 2) float xy, pixels, and `keypoints_visible` (G, n) bool, in all images.
        num_classes: K, with the background.
        map_size: (h, w), cells.
        stride: of the map, pixels.
        min_iou: of `gaussian_radius`.

    Returns:
        The targets. An object whose centre lies outside the map belongs to the cell at the edge nearest to it.

    Raises:
        InputError: There is no image, or a label is not from 1 to K - 1.

    Example:
        >>> one = {"boxes": torch.tensor([[4.0, 0.0, 16.0, 4.0]]), "labels": torch.tensor([2])}
        >>> learn = center_targets([one], num_classes=3, map_size=(2, 4), stride=4)  # its centre is (10, 2)
        >>> learn.cells, learn.offset, learn.size
        (tensor([[0, 0, 2]]), tensor([[0.5000, 0.5000]]), tensor([[3., 1.]]))
        >>> learn.heatmap[0, 1, 0, 2]
        tensor(1.)
    """
    op = "center_targets"
    if len(targets) == 0:
        raise _check.InputError(f"{op}: there must be one image or more, got none")
    boxes = torch.cat([target["boxes"] for target in targets]).float() / stride  # (P, 4), cells
    labels = torch.cat([target["labels"] for target in targets]).long()
    for i, target in enumerate(targets):
        if bool(((target["labels"] < 1) | (target["labels"] >= num_classes)).any()):
            got = target["labels"].tolist()
            raise _check.InputError(f"{op}: target {i}: labels must lie from 1 to {num_classes - 1}, got {got}")
    image = torch.cat([torch.full_like(target["labels"], i) for i, target in enumerate(targets)]).long()
    center, size = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    h, w = map_size
    column, row = center[:, 0].floor().long().clamp(0, w - 1), center[:, 1].floor().long().clamp(0, h - 1)
    corner = torch.stack((column, row), 1)  # (P, 2)
    classes = num_classes - 1
    peaks = torch.stack((image * classes + labels - 1, row, column), 1)
    heatmap = gaussian_heatmap(peaks, gaussian_radius(size, min_iou), (len(targets) * classes, h, w))
    keypoints, visible = center.new_zeros(len(boxes), 0, 2), labels.new_zeros(len(boxes), 0, dtype=torch.bool)
    if all("keypoints" in target for target in targets):
        visible = torch.cat([target["keypoints_visible"] for target in targets])  # (P, n)
        keypoints = torch.cat([target["keypoints"] for target in targets]).float() / stride - corner[:, None]
        keypoints = torch.where(visible[..., None], keypoints, 0.0)
    cells = torch.stack((image, row, column), 1)
    heatmap = heatmap.unflatten(0, (len(targets), classes))  # (B (K - 1), h, w) -> (B, K - 1, h, w)
    return CenterTargets(heatmap, cells, center - corner, size, keypoints, visible)


def decode_centers(maps: Mapping[str, Tensor], stride: int, top_k: int = 100, score_thresh: float = 0.05) -> Centers:
    """Turn the network's maps into boxes: each local maximum of the heat map is an object.

    A cell is a maximum of its class when none of the 8 cells around it is larger. Nothing else is suppressed.

    Args:
        maps: `heatmap` (B, K - 1, h, w) logits, `offset` (B, 2, h, w) and `size` (B, 2, h, w) in cells, and, where
            there are key points, `keypoints` (B, 2n, h, w), xy of the first, of the second, and so on.
        stride: of the maps, pixels.
        top_k: how many maxima of an image are kept at most, of all classes together.
        score_thresh: maxima whose sigmoid is not above it are dropped.

    Returns:
        What was found.

    Raises:
        InputError: A map's shape does not fit the heat map's.

    Notes:
        Two objects of a class whose centres fall into one cell, or into two that touch, cannot both be found.

    Example:
        >>> heatmap = torch.full((1, 1, 2, 3), -9.0)
        >>> heatmap[0, 0, 1, 2], heatmap[0, 0, 1, 1] = 3.0, 2.0  # the second lies beside the first
        >>> maps = {"heatmap": heatmap, "offset": torch.full((1, 2, 2, 3), 0.5), "size": torch.ones(1, 2, 2, 3)}
        >>> found = decode_centers(maps, stride=4)  # one cell, from (8, 4) to (12, 8)
        >>> found.boxes, found.labels, found.scores
        (tensor([[ 8.,  4., 12.,  8.]]), tensor([1]), tensor([0.9526]))

    References:
        Zhou, Wang, Krähenbühl (2019). Objects as points. Section 4, From points to bounding boxes.
    """
    op = "decode_centers"
    logits = maps["heatmap"].float()
    _check.shape(op, "heatmap", logits, ("B", "K - 1", "h", "w"))
    batch, classes, h, w = logits.shape
    for name in ("offset", "size"):
        _check.shape(op, name, maps[name], (batch, 2, h, w))
    if "keypoints" in maps and (maps["keypoints"].dim() != 4 or maps["keypoints"].shape[1] % 2):
        got = tuple(maps["keypoints"].shape)
        raise _check.InputError(f"{op}: keypoints must have shape ({batch}, 2n, {h}, {w}), got {got}")
    peak = logits == functional.max_pool2d(logits, 3, stride=1, padding=1)
    candidates = logits.masked_fill(~peak, -torch.inf).flatten(1)  # (B, (K - 1) h w)
    best, index = candidates.topk(min(top_k, candidates.shape[1]), dim=1)  # (B, k)
    scores = best.sigmoid()
    image, rank = (scores > score_thresh).nonzero().unbind(1)  # image by image, best first
    label, row, column = torch.unravel_index(index[image, rank], (classes, h, w))

    def read(name: str) -> Tensor:
        return maps[name][image, :, row, column].float()  # (N, channels)

    corner = torch.stack((column, row), 1)  # (N, 2)
    center, half = corner + read("offset"), read("size").clamp(min=0) / 2
    boxes = torch.cat((center - half, center + half), 1) * stride
    keypoints = boxes.new_zeros(len(boxes), 0, 2)
    if "keypoints" in maps:
        keypoints = (corner[:, None] + read("keypoints").unflatten(1, (-1, 2))) * stride  # (N, 2n) -> (N, n, 2)
    return Centers(image, label + 1, scores[image, rank], boxes, keypoints)
