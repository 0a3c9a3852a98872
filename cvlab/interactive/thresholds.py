"""A detector's score and NMS thresholds over a few pictures, with the precision-recall curve they give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cvlab import _check
from cvlab.interactive.detections import as_prediction, as_target, names_of, same_length
from cvlab.interactive.figure import StaticFigure
from cvlab.interactive.state import _as_rgb, as_picture

QUESTION = "Where would you put the two thresholds?"
MOST_IMAGES, MOST_BOXES = 6, 150
PIXELS = 6 * 128**2  # embedded, of all pictures together


def thresholds(
    images: Sequence[Any],
    predictions: Sequence[Mapping[str, Any]],
    targets: Sequence[Mapping[str, Any]],
    names: Sequence[str] | None = None,
    *,
    score_threshold: float = 0.5,
    iou_threshold: float = 0.45,
    question: str = QUESTION,
) -> StaticFigure:
    """Make a table for trying a detector's two thresholds: what is kept, right, false and missed, and the curve.

    Args:
        images: 1 to 6 pictures: each a (3, H, W) tensor, float in [0, 1] or uint8, or an (H, W, 3) array.
        predictions: for each the detections before suppression: `boxes` (N, 4), xyxy in pixels of the image, `scores`
            (N,) in [0, 1] and `labels` (N,); N = 0 is fine.
        targets: for each the objects: `boxes` (M, 4) and `labels` (M,).
        names: the classes' names: `names[label]`, so the first one is the background's.
        score_threshold: at first, detections with a lower score are dropped, in [0, 1].
        iou_threshold: at first, a detection that overlaps a better one of its class more than this is suppressed.
        question: what the figure asks its reader.

    Returns:
        The figure, for the last line of a notebook cell.

    Raises:
        InputError: for boxes of another shape, NaN, x2 < x1, scores or labels of another length, lists that are not
            for as many pictures, and thresholds outside [0, 1].

    Notes:
        Suppression is that of `cvlab.ops.batched_nms`. A detection is right if it finds an object of its class, with an
        IoU of at least 0.5, that no better one has found. Curve and average precision are of all classes together, the
        area under the envelope. Of each picture the 150 best detections go into the page, boxes rounded to a tenth of a
        pixel and scores to three decimals.

    Example:
        >>> import torch
        >>> box, one = torch.tensor([[20.0, 20.0, 60.0, 60.0]]), torch.tensor([1])
        >>> found = {"boxes": box + 2, "scores": torch.tensor([0.9]), "labels": one}
        >>> thresholds([torch.zeros(3, 64, 64)], [found], [{"boxes": box, "labels": one}])
        <interactive figure: thresholds>
    """
    op = "thresholds"
    same_length(op, len(images), 1, MOST_IMAGES, predictions=predictions, targets=targets)
    _check.fraction(op, "score_threshold", score_threshold)
    _check.fraction(op, "iou_threshold", iou_threshold)
    pictures = [
        {
            "picture": _small(i, image, len(images)),
            "prediction": as_prediction(op, f"prediction {i}", prediction, MOST_BOXES),
            "truth": as_target(op, f"target {i}", target),
        }
        for i, (image, prediction, target) in enumerate(zip(images, predictions, targets, strict=True))
    ]
    labels = [part["labels"] for one in pictures for part in (one["prediction"], one["truth"])]
    alt = (
        f"Detections over {len(pictures)} pictures with {sum(len(p['truth']['boxes']) for p in pictures)} objects, and "
        "beside them their precision-recall curve. Sliders move the score threshold, whose point moves on the curve, "
        "and the IoU threshold of non-maximum suppression, which bends it."
    )
    return StaticFigure(
        op,
        alt,
        question=question,
        pictures=pictures,
        names=names_of(op, names, *labels),
        score_threshold=float(score_threshold),
        iou_threshold=float(iou_threshold),
    )


def _small(i: int, image: Any, count: int) -> dict[str, Any]:
    """Embed a picture in small, the smaller the more there are; its width and height stay those of `image`."""
    whole = _as_rgb(f"thresholds, picture {i}", image)
    small = whole.copy()
    side = int((PIXELS / count) ** 0.5)
    small.thumbnail((side, side))
    return {**as_picture("thresholds", small), "width": whole.width, "height": whole.height}
