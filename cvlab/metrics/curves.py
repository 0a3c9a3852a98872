"""Precision, recall, and the average precision of a curve."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from cvlab import _check

if TYPE_CHECKING:
    from matplotlib.axes import Axes

METHODS = ("coco", "voc07", "every_point")
"""Ways to average precision over recall, as `average_precision` describes them."""

_COCO_RECALLS = np.linspace(0, 1, 101)
_VOC07_RECALLS = np.arange(11) / 10


class PrecisionRecall(NamedTuple):
    """A curve with one point for each detection, best first: recall, precision and scores, each (N,) float64."""

    recall: Tensor
    precision: Tensor
    scores: Tensor

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the points, and the envelope under which average precision is the area.

        Args:
            ax: The Axes to draw on; those of a new figure if None.

        Returns:
            The Axes drawn on.

        Example:
            >>> ax = precision_recall([0.9, 0.8, 0.7], [True, False, True], num_objects=2).plot()
            >>> ax.get_xlabel(), ax.get_ylabel()
            ('recall', 'precision')
        """
        from matplotlib import pyplot as plt

        from cvlab._palette import ROLES

        if ax is None:
            ax = plt.figure(layout="constrained").add_subplot()
        recall, envelope = _with_start(self.recall.numpy()), envelope_of(self.precision.numpy())
        color = ROLES["prediction"]
        ax.fill_between(recall, _with_start(envelope, envelope[:1]), step="pre", color=color, alpha=0.15, linewidth=0)
        ax.step(recall, _with_start(envelope, envelope[:1]), where="pre", color=color, label="envelope")
        ax.plot(self.recall, self.precision, ".-", color=ROLES["ignored"], linewidth=1, label="one point a detection")
        ax.set(xlim=(0, 1), ylim=(0, 1.05), xlabel="recall", ylabel="precision")
        ax.legend()
        return ax


def _with_start(values: np.ndarray, start: np.ndarray | None = None) -> np.ndarray:
    """Put a value before the first, 0 if None."""
    return np.concatenate((np.zeros(min(1, len(values))) if start is None else start, values))


def precision_recall(scores: Any, correct: Any, num_objects: int) -> PrecisionRecall:
    """Compute precision and recall after each detection, from the best score to the lowest.

    Args:
        scores: (N,) numbers, in any order; of equal scores the first goes first.
        correct: (N,) bool, whether the detection found an object that none before it had found.
        num_objects: How many objects there are to find.

    Returns:
        The curve. With k of the first n detections correct, recall is k / num_objects and precision k / n. Recall is
        NaN where there are no objects.

    Raises:
        InputError: Shapes do not fit, a score is not finite, or more detections are correct than there are objects.

    Example:
        >>> curve = precision_recall([0.9, 0.7, 0.8], [True, True, False], num_objects=4)
        >>> curve.recall.tolist(), [round(p, 3) for p in curve.precision.tolist()]
        ([0.25, 0.25, 0.5], [1.0, 0.5, 0.667])
    """
    op = "precision_recall"
    score, hit = _vector(op, "scores", scores), _vector(op, "correct", correct)
    if len(hit) != len(score):
        raise _check.InputError(f"{op}: correct must have one value for each of {len(score)} scores, got {len(hit)}")
    if not np.isin(hit, (0, 1)).all():
        raise _check.InputError(f"{op}: correct must be true or false, got {hit[~np.isin(hit, (0, 1))][0]:g}")
    if not np.isfinite(score).all():
        raise _check.InputError(f"{op}: scores[{int((~np.isfinite(score)).argmax())}] is not finite")
    if num_objects != int(num_objects) or num_objects < hit.sum():
        raise _check.InputError(
            f"{op}: num_objects must be a whole number, at least the {int(hit.sum())} found, got {num_objects}"
        )
    order = np.argsort(-score, kind="stable")
    return curve_of(score[order], hit[order], int(num_objects))


def curve_of(scores: np.ndarray, hits: np.ndarray, num_objects: int) -> PrecisionRecall:
    """Compute the curve of hits already sorted, best first."""
    found = np.cumsum(hits, dtype=np.float64)
    precision = found / np.arange(1, len(hits) + 1)
    recall = found / num_objects if num_objects else np.full(len(hits), np.nan)
    return PrecisionRecall(*(torch.from_numpy(v.astype(np.float64)) for v in (recall, precision, scores)))


def average_precision(recall: Any, precision: Any, method: str = "coco") -> float:
    """Average the precision of a curve over recall.

    The raw curve is a saw. All methods first replace each precision by the largest at this recall or beyond: the
    envelope. They differ in where they read it.

    Args:
        recall: (N,) in [0, 1], not falling.
        precision: (N,) in [0, 1].
        method: "coco", the mean at recall 0, 0.01, ..., 1; "voc07", the mean at 0, 0.1, ..., 1; "every_point", the
            exact area (VOC from 2010 on). Beyond the last recall precision is 0.

    Returns:
        A share, which is 0 for a curve without points, and NaN where recall is NaN because there are no objects.

    Raises:
        InputError: Shapes do not fit, a value lies outside [0, 1], recall falls, or the method is unknown.

    Notes:
        The recalls of "coco" are pycocotools's, 7 * 0.01 for instance, which is a little more than 0.07: then 7 of 100
        objects found do not reach it. Those of "voc07" are correctly rounded. Programs with numpy's arange(0, 1.1, 0.1)
        do not count 3, 6 or 7 of 10 objects found as recall 0.3, 0.6 or 0.7.

    Example:
        >>> recall, precision = [0.25, 0.25, 0.5], [1.0, 0.5, 2 / 3]
        >>> round(average_precision(recall, precision, "every_point"), 4)  # 0.25 * 1 + 0.25 * 2/3
        0.4167
        >>> round(average_precision(recall, precision, "voc07"), 4)  # (3 * 1 + 3 * 2/3) / 11
        0.4545

    References:
        Everingham et al. (2010). The Pascal Visual Object Classes challenge. Section 4.2.
    """
    op = "average_precision"
    _check.choice(op, "method", method, METHODS)
    r, p = _vector(op, "recall", recall), _vector(op, "precision", precision)
    if len(r) != len(p):
        raise _check.InputError(f"{op}: recall and precision must have the same length, got {len(r)} and {len(p)}")
    _check.fractions(op, "precision", torch.from_numpy(p))
    if len(r) and np.isnan(r).all():
        return math.nan
    _check.fractions(op, "recall", torch.from_numpy(r))
    if (np.diff(r) < 0).any():
        raise _check.InputError(f"{op}: recall must not fall, but does at [{int((np.diff(r) < 0).argmax()) + 1}]")
    if method == "every_point":
        return float(np.sum(np.diff(r, prepend=0.0) * envelope_of(p)))
    return mean_precision(r, p, _COCO_RECALLS if method == "coco" else _VOC07_RECALLS)


def envelope_of(precision: np.ndarray) -> np.ndarray:
    """Replace each value by the largest from there on."""
    return np.maximum.accumulate(precision[::-1])[::-1]


def mean_precision(recall: np.ndarray, precision: np.ndarray, at: np.ndarray = _COCO_RECALLS) -> float:
    """Average the envelope at some recalls, 0 beyond the last; unchecked."""
    first = np.searchsorted(recall, at)  # the first point that reaches this recall
    return float(np.append(envelope_of(precision), 0.0)[first].mean())


def _vector(op: str, name: str, values: Any) -> np.ndarray:
    """Give numbers, or a tensor wherever it is, as float64 (N,)."""
    found = values.detach().cpu().double().numpy() if isinstance(values, Tensor) else np.asarray(values, np.float64)
    if found.ndim != 1:
        raise _check.InputError(f"{op}: {name} must have shape (N,), got {found.shape}")
    return found
