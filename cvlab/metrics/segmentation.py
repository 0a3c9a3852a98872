"""How good a semantic segmentation is: which class each pixel has, and which it was given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from cvlab import _check
from cvlab.data.label_maps import IGNORED
from cvlab.metrics._labels import check_labels, class_count, in_range, label_map, same_shape
from cvlab.metrics.boundary import BoundaryCounts, check_tolerance, count_boundaries
from cvlab.metrics.segmentation_result import SegmentationResult

_AT_ONCE = 2**18
"""So many pixels are counted at a time: what is computed of them stays in the processor's cache."""


def pixel_confusion(predicted: Tensor, truth: Tensor, num_classes: int, ignore: int | None = IGNORED) -> Tensor:
    """Count the pixels of each class by the class that they were given.

    The pair of classes of a pixel is written as one number, truth * K + prediction; then the numbers are counted.

    Args:
        predicted: Label maps of any shape, integers from 0 to num_classes - 1.
        truth: The same shape; integers likewise, or `ignore`.
        num_classes: K, with the background, from 2 to 32768.
        ignore: True label of pixels that do not count, whatever was predicted there; None where all count.

    Returns:
        (K, K) int64, rows by the true class, columns by the predicted one, on the device of `truth`.

    Raises:
        TypeError: A label map is no tensor.
        InputError: The label maps are no integers or of different shapes, the number of classes is no whole number
            from 2 to 32768, or a label is out of range; the first such pixel is named.

    Example:
        >>> truth = torch.tensor([[0, 0, 0, 1], [0, 255, 1, 1]])
        >>> predicted = torch.tensor([[0, 0, 0, 0], [0, 1, 1, 1]])
        >>> pixel_confusion(predicted, truth, 2)
        tensor([[4, 0],
                [1, 2]])
    """
    op = "pixel_confusion"
    k = class_count(op, "num_classes", num_classes)
    return count_pairs(op, ("predicted", predicted), ("truth", truth), k, ignore)


def count_pairs(
    op: str, predicted: tuple[str, Tensor], truth: tuple[str, Tensor], num_classes: int, ignore: int | None
) -> Tensor:
    """Do what `pixel_confusion` does, with arguments that have names of their own in messages."""
    said, true = label_map(op, *predicted), label_map(op, *truth)
    same_shape(op, predicted[0], said, truth[0], true)
    if ignore is not None and not 0 <= ignore < max(num_classes, IGNORED + 1):  # such as -1: give it a row of its own
        check_labels(op, truth[0], true, num_classes, ignore)
        true, ignore = true.long().masked_fill(true.long() == ignore, num_classes), num_classes
    rows = num_classes if ignore is None else max(num_classes, ignore + 1)
    counts = torch.zeros(rows * num_classes, dtype=torch.int64, device=true.device)
    good = True
    for labels, columns in zip(true.reshape(-1).split(_AT_ONCE), said.reshape(-1).split(_AT_ONCE), strict=True):
        good = good and in_range(labels, rows) and in_range(columns, num_classes)
        if good:
            pairs = torch.add(columns.int().to(true.device), labels.int(), alpha=num_classes)
            counts += torch.bincount(pairs, minlength=len(counts))
    table = counts.reshape(rows, num_classes)
    if not good or bool(table[num_classes:ignore].any()):  # between the classes and the ignored label there is none
        check_labels(op, predicted[0], said, num_classes)
        check_labels(op, truth[0], true, num_classes, ignore)
    if ignore is not None and ignore < num_classes:
        table[ignore] = 0
    return table[:num_classes].clone()


class SegmentationMetrics:
    """Collects label maps, and computes accuracy, IoU, Dice and the boundary F score of all their pixels together.

    Args:
        classes: The names of all classes, that of the background first; or how many classes there are, at least 2.
        ignore: True label of pixels that do not count; None where all do.
        boundary: Whether to compute the boundary F score too, which takes longer.
        tolerance: Of the boundary F score, pixels; see `boundary_f`.

    Raises:
        InputError: There are less than two classes, a name is no text or comes twice, or the tolerance is negative.

    Notes:
        Counts are summed over all pictures, then divided; a mean of the pictures' own numbers is another number. Means
        are over the classes that occur, in truth or in prediction; see `SegmentationResult`. So a class that occurs
        nowhere changes nothing, and one predicted somewhere but nowhere true has IoU 0.

    Example:
        >>> metrics = SegmentationMetrics(["table", "apple", "pear"])
        >>> truth = torch.tensor([[[0, 0, 0, 1], [0, 0, 1, 1]]])  # (B, H, W); nowhere a pear
        >>> predicted = torch.tensor([[[0, 0, 0, 0], [0, 1, 1, 1]]])
        >>> metrics.update(predicted, truth)
        >>> result = metrics.compute()
        >>> result["accuracy"], round(result["mIoU"], 3)  # IoU 4/6 and 2/4
        (0.75, 0.583)
        >>> metrics.iou
        tensor([0.6667, 0.5000,    nan], dtype=torch.float64)

    References:
        Long, Shelhamer, Darrell (2015). Fully convolutional networks for semantic segmentation. CVPR. Section 5.
    """

    def __init__(
        self,
        classes: int | Sequence[str],
        *,
        ignore: int | None = IGNORED,
        boundary: bool = False,
        tolerance: float = 2.0,
    ) -> None:
        op = "SegmentationMetrics"
        self.names: list[str] = _names(op, classes)
        check_tolerance(op, tolerance)
        self.ignore, self.boundary, self.tolerance = ignore, bool(boundary), float(tolerance)
        self.reset()

    @property
    def num_classes(self) -> int:
        """How many classes there are, with the background."""
        return len(self.names)

    def reset(self) -> None:
        """Forget all pictures."""
        k = self.num_classes
        self.num_images = 0
        self._confusion = torch.zeros(k, k, dtype=torch.int64)
        self._edges = BoundaryCounts(*torch.zeros(4, k, dtype=torch.int64)) if self.boundary else None

    def update(self, predictions: Any, targets: Any) -> None:
        """Add some pictures; where something is refused, none of them is added.

        Args:
            predictions: Logits (B, K, H, W) float, of which the largest decides (of equal ones the first), or labels
                (B, H, W) integers; or a dictionary with one of both under "out", as segmentation networks give it.
            targets: Labels (B, H, W) integers, or a dictionary with them under "semantic". B may be 0, and may differ
                from call to call, as H and W may. On any device.

        Raises:
            TypeError: An argument is neither a tensor nor a dictionary with one.
            InputError: A key is missing, a shape or dtype is wrong, sizes do not match, a logit is NaN, or a label is
                out of range; the first such pixel is named.
        """
        op = "SegmentationMetrics.update"
        said_name, said = _entry(op, "predictions", predictions, "out")
        true_name, truth = _entry(op, "targets", targets, "semantic")
        _check.shape(op, true_name, truth, ("B", "H", "W"))
        if said.is_floating_point():
            batch, *size = truth.shape
            _check.shape(op, said_name, said, (batch, self.num_classes, *size))
            said = labels_of(op, said_name, said)
        else:
            _check.shape(op, said_name, said, tuple(truth.shape))
        counts = count_pairs(op, (said_name, said), (true_name, truth), self.num_classes, self.ignore)
        if self._edges is not None:
            said, truth = (label_map(op, "", labels).to(counts.device) for labels in (said, truth))
            edges = count_boundaries(said, truth, self.num_classes, self.tolerance, self.ignore)
            self._edges = BoundaryCounts(*(a + b.cpu() for a, b in zip(self._edges, edges, strict=True)))
        self._confusion += counts.cpu()
        self.num_images += len(truth)

    @property
    def confusion(self) -> Tensor:
        """The pixels counted so far, (K, K) int64, rows by the true class, columns by the predicted one."""
        return self._confusion.clone()

    @property
    def iou(self) -> Tensor:
        """The IoU of each class, (K,) float64, NaN for a class that occurs neither in truth nor in prediction."""
        return self.compute().iou

    def compute(self) -> SegmentationResult:
        """Evaluate all pictures so far; more may be added afterwards."""
        return SegmentationResult(self.confusion, self.names, self._edges)


def labels_of(op: str, name: str, logits: Tensor) -> Tensor:
    """Give the class (B, H, W) of the largest of the logits (B, K, H, W), of equal ones the first; refuse NaN."""
    logits = logits.detach().as_subclass(Tensor)
    largest, labels = logits.max(1)  # faster than argmax, and NaN where one of the logits is
    if bool(largest.isnan().any()):
        place = logits.isnan().nonzero()[0].tolist()
        raise _check.InputError(f"{op}: {name}{place} is not a number")
    return labels


def _entry(op: str, name: str, value: Any, key: str) -> tuple[str, Tensor]:
    """Take the tensor out of a dictionary, and give it with the name that messages call it by."""
    if isinstance(value, Mapping):
        if key not in value:
            raise _check.InputError(f"{op}: {name} must have {key!r}, got {sorted(map(str, value))}")
        name, value = f"{name}[{key!r}]", value[key]
    if not isinstance(value, Tensor):
        raise TypeError(f"{op}: {name} must be a tensor, or a dictionary with {key!r}, got {type(value).__name__}")
    return name, value


def _names(op: str, classes: int | Sequence[str]) -> list[str]:
    """Give a name for each class: its number where there are only numbers."""
    if not isinstance(classes, Sequence):
        return [str(k) for k in range(class_count(op, "classes", classes))]
    if isinstance(classes, str) or not all(isinstance(name, str) for name in classes):
        raise _check.InputError(f"{op}: classes must be a number or a sequence of texts, got {classes!r}")
    names = list(classes)
    class_count(op, "the number of classes", len(names))
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise _check.InputError(f"{op}: classes must have different names, got {twice!r} twice")
    return names
