"""Draw boxes and keypoints on a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection

from cvlab.plot.colors import Color, resolve
from cvlab.plot.inputs import Names, array, box_rows, label_name, per_item, rows
from cvlab.plot.sizes import font_size, halo, line_width
from cvlab.plot.tags import add_tag


def boxes(
    boxes: Any,
    ax: Axes | None = None,
    *,
    labels: Any = None,
    scores: Any = None,
    names: Names | None = None,
    color: Color = None,
    linestyle: str = "-",
    width: float | None = None,
) -> Axes:
    """Draw boxes, with their labels and scores where given.

    Args:
        boxes: (N, 4) xyxy in absolute pixels. N = 0 draws nothing.
        ax: The Axes to draw on; the current ones if None.
        labels: N class numbers, or N texts to write as they are.
        scores: N confidences in [0, 1], written with two decimals.
        names: What to write for a class number: a list or a mapping. Without it the number itself.
        color: "truth", "prediction", "anchor", "ignored" or "reader" for the book's colour of that role; "class" for
            one colour for each label; a mapping from label to role or colour; any matplotlib colour; or one of these
            for each box. Default: "prediction" if there are scores, otherwise "truth".
        linestyle: matplotlib's line style, "--" for dashed.
        width: Line width in points; by default one that suits the picture.

    Returns:
        The Axes drawn on.

    Raises:
        TypeError: If the boxes are no numbers.
        ValueError: If a shape, a length, a coordinate, a score or a colour is not as above.

    Notes:
        torchvision's `draw_bounding_boxes` paints into a uint8 image; here the picture stays as it is.

    Example:
        >>> import torch
        >>> from cvlab import plot
        >>> ax = plot.image(torch.zeros(3, 40, 60))
        >>> plot.boxes(torch.tensor([[5.0, 5.0, 30.0, 20.0]]), ax, labels=[1], scores=[0.9], names=["-", "cat"]) is ax
        True
        >>> ax.texts[0].get_text()
        'cat 0.90'
    """
    operation = "plot.boxes"
    corners = box_rows(boxes, operation)
    label_list = per_item(labels, len(corners), "labels", operation)
    score_list = _scores(scores, len(corners), operation)
    ax = _axes(ax, corners[:, [0, 2]], corners[:, [1, 3]])
    chosen = resolve(color, label_list, len(corners), "truth" if scores is None else "prediction", operation)
    width = line_width(ax, len(corners)) if width is None else width
    x1, y1, x2, y2 = corners.T
    outlines = np.stack([x1, y1, x2, y1, x2, y2, x1, y2], axis=1).reshape(-1, 4, 2)  # (N, corner, xy)
    effects = halo(ax, width) if linestyle in ("-", "solid") else None
    lines = PolyCollection(
        list(outlines),
        facecolors="none",
        edgecolors=chosen,
        linewidths=width,
        linestyles=linestyle,
        path_effects=effects,
    )
    ax.add_collection(lines, autolim=False)
    size = font_size(ax)
    for i, text in enumerate(_texts(label_list, score_list, names, operation)):
        add_tag(ax, text, tuple(corners[i]), chosen[i], size)
    return ax


def keypoints(
    points: Any,
    ax: Axes | None = None,
    *,
    names: Sequence[str] | None = None,
    edges: Sequence[tuple[int, int]] = (),
    color: Color = None,
) -> Axes:
    """Draw the keypoints of objects, joined by lines where `edges` says so.

    Args:
        points: (N, K, 2) x and y in absolute pixels, or (N, K, 3) with a visibility: 0 is not drawn, 1 (there but
            hidden) is drawn hollow, 2 is drawn filled.
        ax: The Axes to draw on; the current ones if None.
        names: K texts, written beside the keypoints of the first object.
        edges: Pairs of keypoint indices to join by a line.
        color: As in `boxes`, one for each object. Default: "class", a colour for each object.

    Returns:
        The Axes drawn on.

    Raises:
        TypeError: If the points are no numbers.
        ValueError: If a shape, a length, a coordinate, a visibility, an edge or a colour is not as above.
    """
    operation = "plot.keypoints"
    found, seen = _points(points, operation)
    pairs = _edges(edges, found.shape[1], operation)
    texts = per_item(names, found.shape[1], "names", operation)
    ax = _axes(ax, found[..., 0], found[..., 1])
    chosen = resolve(color, None, len(found), "class", operation)
    width = line_width(ax)
    for xy, visible, own in zip(found, seen, chosen, strict=True):
        joined = [xy[[a, b]] for a, b in pairs if visible[a] and visible[b]]
        ax.add_collection(
            LineCollection(joined, colors=[own], linewidths=width, path_effects=halo(ax, width)), autolim=False
        )
        drawn = visible > 0
        fill = [own if v == 2 else "none" for v in visible[drawn]]
        for edge, extra in (("black", 1.6), (own, 0.0)):  # a dark rim, then the mark itself
            face = fill if edge is own else "none"
            ax.scatter(*xy[drawn].T, s=(5 * width) ** 2 / 2, facecolors=face, edgecolors=edge, linewidths=width + extra)
    if texts is not None and len(found):
        for (x, y), text, visible in zip(found[0], texts, seen[0], strict=True):
            if visible:
                add_tag(ax, text, (x, y - 3 * width, x, y), chosen[0], font_size(ax))
    return ax


def _axes(ax: Axes | None, x: np.ndarray, y: np.ndarray) -> Axes:
    """Take the current Axes if None; Axes without a picture are scaled to the marks, y downwards."""
    ax = plt.gca() if ax is None else ax
    if not ax.images:
        ax.update_datalim(np.stack([x.ravel(), y.ravel()], axis=1))
        ax.autoscale_view()
        ax.set_aspect("equal")
        if not ax.yaxis_inverted():
            ax.invert_yaxis()
    return ax


def _scores(scores: Any, count: int, operation: str) -> list | None:
    found = per_item(scores, count, "scores", operation)
    for i, score in enumerate(found or []):
        if not 0 <= score <= 1:
            raise ValueError(f"{operation}: scores must be in [0, 1], got {score} at index {i}")
    return found


def _texts(labels: list | None, scores: list | None, names: Names | None, operation: str) -> list[str]:
    """Write one text for each box: its name, its score, or both."""
    words = None if labels is None else [label_name(label, names, operation) for label in labels]
    numbers = None if scores is None else [f"{score:.2f}" for score in scores]
    columns = [column for column in (words, numbers) if column is not None]
    return [" ".join(parts) for parts in zip(*columns, strict=True)]


def _points(points: Any, operation: str) -> tuple[np.ndarray, np.ndarray]:
    """Split keypoints (N, K, 2 or 3) into positions (N, K, 2) and visibilities (N, K)."""
    found = array(points, "points", operation)
    if found.ndim != 3 or found.shape[-1] not in (2, 3):
        raise ValueError(f"{operation}: points must have shape (N, K, 2) or (N, K, 3), got {found.shape}")
    flat = rows(found.reshape(-1, found.shape[-1]), (2, 3), "points", operation)
    xy = flat[:, :2].reshape(*found.shape[:2], 2)
    seen = flat[:, 2].reshape(found.shape[:2]) if found.shape[-1] == 3 else np.full(found.shape[:2], 2.0)
    bad = np.argwhere(~np.isin(seen, (0, 1, 2)))
    if bad.size:
        n, k = bad[0].tolist()
        raise ValueError(f"{operation}: visibility must be 0, 1 or 2, got {seen[n, k]:g} at ({n}, {k})")
    return xy, seen


def _edges(edges: Any, count: int, operation: str) -> list[tuple[int, int]]:
    """Check that edges are pairs of indices of `count` keypoints."""
    pairs = rows(edges, (2,), "edges", operation)
    bad = np.flatnonzero(~np.isin(pairs, np.arange(count)).all(axis=1))
    if bad.size:
        raise ValueError(
            f"{operation}: edges must be pairs of indices from 0 to {count - 1}, got {pairs[bad[0]].tolist()} "
            f"at index {bad[0]}"
        )
    return [(int(a), int(b)) for a, b in pairs]
