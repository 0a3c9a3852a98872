"""The measure of the Data Science Bowl 2018, picture by picture."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from cvlab import _check
from cvlab.metrics._text import as_html, as_text, number
from cvlab.metrics.instances import DSB_THRESHOLDS, check_thresholds, count_matches, quotients, table_of

if TYPE_CHECKING:
    import pandas

_COUNTS = ("TP", "FP", "FN")
_QUOTIENTS = ("precision", "recall", "f1", "accuracy", "mean_matched_score", "mean_true_score", "panoptic_quality")


class InstanceMetrics:
    """Collects instance maps, and computes the average precision that the Data Science Bowl 2018 defined.

    At one threshold of IoU a picture scores TP / (TP + FP + FN): pairs of a predicted and a true object, predicted ones
    without a partner, true ones without. Its average precision is the mean over the thresholds. There are no scores of
    objects and no curve: it is not COCO's average precision.

    Args:
        thresholds: Of IoU, each in [0, 1]; the IoU of a pair must be greater.

    Raises:
        InputError: There is no threshold, or one is not in [0, 1].

    Example:
        >>> metrics = InstanceMetrics()
        >>> truth = torch.tensor([[1, 1, 1, 1, 0, 2, 2, 2]])
        >>> predicted = torch.tensor([[1, 1, 1, 0, 0, 2, 2, 0]])  # IoU 3/4 and 2/3
        >>> metrics.update([predicted], [truth])
        >>> result = metrics.compute()  # 2/2 at four thresholds, 1/3 at 0.7, 0 at five
        >>> result["AP50"], round(result["AP"], 4)
        (1.0, 0.4333)

    References:
        Caicedo et al. (2019). Nucleus segmentation across imaging experiments: the 2018 Data Science Bowl. Nature
        Methods.
    """

    def __init__(self, thresholds: Sequence[float] = DSB_THRESHOLDS) -> None:
        check_thresholds("InstanceMetrics", thresholds)
        self.thresholds = tuple(float(threshold) for threshold in thresholds)
        self.reset()

    def reset(self) -> None:
        """Forget all pictures."""
        self._counts: list[Tensor] = []  # of each picture (4, T): TP, FP, FN, and the sum of the pairs' IoUs
        self.num_images = 0

    def update(self, predictions: Sequence[Tensor], targets: Sequence[Tensor]) -> None:
        """Add some pictures; where one is refused, none is added.

        Args:
            predictions: For each picture an instance map (H, W) of integers, 0 for the background, or masks (N, H, W)
                of bool. N may be 0. Pictures may differ in size; maps of one size may come as one tensor (B, H, W). On
                any device.
            targets: Likewise, a picture's of the size of its prediction.

        Raises:
            TypeError: An argument is no list of tensors.
            InputError: The two are not of the same number, an entry is neither a map nor masks, sizes differ, or a
                number is below 0.
        """
        op = "InstanceMetrics.update"
        for name, value in (("predictions", predictions), ("targets", targets)):
            _check_list(op, name, value)
        if len(predictions) != len(targets):
            counts = f"{len(predictions)} and {len(targets)}"
            raise _check.InputError(f"{op}: predictions and targets must be of the same number, got {counts}")
        added = []
        for i, (found, true) in enumerate(zip(predictions, targets, strict=True)):
            table = table_of(op, (f"predictions[{i}]", found), (f"targets[{i}]", true))
            counts, iou = count_matches(table, self.thresholds)
            added.append(torch.stack((*counts, iou)))
        self._counts += added
        self.num_images += len(added)

    def compute(self) -> InstanceResult:
        """Evaluate all pictures so far; more may be added afterwards."""
        counts = torch.stack(self._counts) if self._counts else torch.zeros(0, 4, len(self.thresholds)).double()
        return InstanceResult(counts, self.thresholds)


class InstanceResult(Mapping[str, float]):
    """The numbers by name, as `InstanceMetrics.compute` gives them.

    - AP, the mean over pictures of the mean over thresholds of TP / (TP + FP + FN);
    - AP50 and AP75, the same at one threshold, where it is among them;
    - AP_pooled, the mean over thresholds of TP / (TP + FP + FN) with counts summed over all pictures first, as stardist
      has it: pictures with many objects weigh more;
    - PQ, panoptic quality at threshold 0.5 of all pictures together, where it is among them.

    A picture without objects scores 1 when nothing is found in it, and 0 otherwise. No number is NaN; without a picture
    all are 0.

    Attributes:
        thresholds: of IoU.
        per_image: (M,) float64, the average precision of each picture, in the order in which they came.
    """

    def __init__(self, counts: Tensor, thresholds: Sequence[float]) -> None:
        self.thresholds = tuple(thresholds)
        self.num_images = len(counts)
        self._sums = counts.sum(0)  # (4, T)
        scores = _accuracies(counts)  # (M, T)
        self.per_image = scores.mean(1)
        self._numbers = {"AP": self._share(self.per_image)}
        for name, threshold in (("AP50", 0.5), ("AP75", 0.75)):
            if threshold in self.thresholds:
                self._numbers[name] = self._share(scores[:, self.thresholds.index(threshold)])
        self._numbers["AP_pooled"] = self._share(_accuracies(self._sums[None]))
        if 0.5 in self.thresholds:
            self._numbers["PQ"] = self._quotients()[self.thresholds.index(0.5)][-1]

    def _share(self, values: Tensor) -> float:
        """Average; 0 without a picture."""
        return float(values.mean()) if self.num_images else 0.0

    def _quotients(self) -> list[tuple[float, ...]]:
        """Give the seven quotients of all pictures together at each threshold."""
        if not self.num_images:
            return [(0.0,) * len(_QUOTIENTS)] * len(self.thresholds)
        return [quotients(*sums) for sums in self._sums.t().tolist()]

    def __getitem__(self, key: str) -> float:
        return self._numbers[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._numbers)

    def __len__(self) -> int:
        return len(self._numbers)

    @property
    def per_threshold(self) -> pandas.DataFrame:
        """A table with a row for each threshold, with TP, FP, FN and the quotients of `InstanceMatch`, all pooled."""
        import pandas

        columns: dict[str, Any] = {name: self._sums[i].long().numpy() for i, name in enumerate(_COUNTS)}
        columns |= dict(zip(_QUOTIENTS, zip(*self._quotients(), strict=True), strict=True))
        return pandas.DataFrame(columns, index=pandas.Index(self.thresholds, name="IoU above"))

    def __repr__(self) -> str:
        return f"InstanceResult({', '.join(f'{name}={number(value)}' for name, value in self.items())})"

    def __str__(self) -> str:
        return "\n\n".join(as_text(rows) for rows in self._tables())

    def _repr_html_(self) -> str:
        return "".join(as_html(rows) for rows in self._tables())

    def _tables(self) -> list[list[list[str]]]:
        """Lay out the numbers over all, and the counts and the accuracy at each threshold."""
        rows = [["IoU above", *_COUNTS, "TP / (TP + FP + FN)"]]
        place = _QUOTIENTS.index("accuracy")
        for threshold, sums, shares in zip(self.thresholds, self._sums.t().tolist(), self._quotients(), strict=True):
            rows.append([f"{threshold:g}", *(f"{count:,.0f}" for count in sums[:3]), number(shares[place])])
        return [[list(self), [number(value) for value in self.values()]], rows]


def _check_list(op: str, name: str, value: object) -> None:
    """Refuse what is no list of pictures; a tensor of integers (B, H, W) is one."""
    if isinstance(value, Tensor):
        if value.dim() == 3 and value.dtype != torch.bool:
            return
        got = f"a tensor of {value.dtype} {tuple(value.shape)}"
    elif isinstance(value, Sequence) and not isinstance(value, str):
        return
    else:
        got = type(value).__name__
    raise TypeError(f"{op}: {name} must be a list of instance maps or masks, one entry a picture, got {got}")


def _accuracies(counts: Tensor) -> Tensor:
    """Give TP / (TP + FP + FN) of counts (M, 4, T) as (M, T), 1 where there is no object."""
    every = counts[:, :3].sum(1)
    return torch.where(every == 0, 1.0, counts[:, 0] / every.clamp(min=1))
