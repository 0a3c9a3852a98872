"""The numbers of a semantic segmentation, over all pixels and by class."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from cvlab.metrics._text import as_html, as_text, number
from cvlab.metrics.boundary import BoundaryCounts, boundary_scores

if TYPE_CHECKING:
    import pandas


class SegmentationResult(Mapping[str, float]):
    """The numbers by name, as `SegmentationMetrics.compute` gives them.

    Of n[a, b] pixels of class a that were given class b:

    - accuracy, the share of pixels that got their class;
    - mean_accuracy, the mean over the classes that are true somewhere of the share of their pixels that got it;
    - mIoU, the mean over the classes that occur of n[a, a] / (row sum + column sum - n[a, a]);
    - mIoU_foreground, the same without class 0;
    - fwIoU, the mean of IoU weighted by the classes' true pixels;
    - Dice, the mean over the classes that occur of 2 n[a, a] / (row sum + column sum);
    - boundary_F, the mean of the boundary F score, where it was asked for; see `boundary_f`.

    A class occurs when a pixel that counts has it in truth or in prediction. Others have no IoU and no Dice: NaN in
    tensors and tables, a dash in texts. Means leave them out and are never NaN; a mean over no class at all is 0.

    Attributes:
        confusion: (K, K) int64, rows by the true class, columns by the predicted one.
        names: of the classes.
        present: (K,) bool, the classes that occur.
        iou: (K,) float64.
        dice: (K,) float64.
        accuracy: (K,) float64, the share of a class's true pixels that got it, its recall; NaN where it has none.
        precision: (K,) float64, the share of the pixels given a class that have it; NaN where it has none.
        boundary_f: (K,) float64, or None where it was not asked for.
    """

    def __init__(self, confusion: Tensor, names: Sequence[str], edges: BoundaryCounts | None = None) -> None:
        self.confusion, self.names = confusion, list(names)
        both, true, said = confusion.diag(), confusion.sum(1), confusion.sum(0)
        self.present = (true + said) > 0
        self.iou = _share(both, true + said - both)
        self.dice = _share(2 * both, true + said)
        self.accuracy = _share(both, true)
        self.precision = _share(both, said)
        scores = None if edges is None else boundary_scores(edges)
        self.boundary_f = None if scores is None else scores.f
        pixels = true.sum().clamp(min=1).double()
        self._numbers = {
            "accuracy": float(both.sum() / pixels),
            "mean_accuracy": _mean(self.accuracy),
            "mIoU": _mean(self.iou),
            "mIoU_foreground": _mean(self.iou[1:]),
            "fwIoU": float((self.iou.nan_to_num() * true).sum() / pixels),
            "Dice": _mean(self.dice),
        }
        if scores is not None:
            self._numbers["boundary_F"] = scores.mean

    def __getitem__(self, key: str) -> float:
        return self._numbers[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._numbers)

    def __len__(self) -> int:
        return len(self._numbers)

    @property
    def per_class(self) -> pandas.DataFrame:
        """A table with a row for each class, with its true pixels, IoU, Dice, accuracy, precision and boundary_F."""
        import pandas

        columns = {"pixels": self.confusion.sum(1), **self._columns()}
        index = pandas.Index(self.names, name="class")
        return pandas.DataFrame({name: values.numpy() for name, values in columns.items()}, index=index)

    def _columns(self) -> dict[str, Tensor]:
        columns = {"IoU": self.iou, "Dice": self.dice, "accuracy": self.accuracy, "precision": self.precision}
        return columns if self.boundary_f is None else columns | {"boundary_F": self.boundary_f}

    def __repr__(self) -> str:
        return f"SegmentationResult({', '.join(f'{name}={number(value)}' for name, value in self.items())})"

    def __str__(self) -> str:
        return "\n\n".join(as_text(rows) for rows in self._tables())

    def _repr_html_(self) -> str:
        return "".join(as_html(rows) for rows in self._tables())

    def _tables(self) -> list[list[list[str]]]:
        """Lay out the numbers over all, and those by class."""
        columns = self._columns()
        rows = [["class", "pixels", *columns]]
        for name, pixels, *values in zip(self.names, self.confusion.sum(1).tolist(), *columns.values(), strict=True):
            rows.append([name, f"{pixels:,}", *(number(float(value)) for value in values)])
        return [[list(self), [number(value) for value in self.values()]], rows]


def _share(part: Tensor, whole: Tensor) -> Tensor:
    """Divide, NaN where there is nothing to divide by."""
    return part / whole.double().masked_fill(whole == 0, torch.nan)


def _mean(values: Tensor) -> float:
    """Average what is defined; 0 where nothing is."""
    defined = values[~values.isnan()]
    return float(defined.mean()) if len(defined) else 0.0
