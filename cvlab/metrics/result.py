"""The numbers that COCO's evaluation gives, and the curves behind them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from cvlab import _check
from cvlab.metrics._outcomes import HIT, IGNORED, Outcomes, area_under
from cvlab.metrics._text import as_html, as_text, number
from cvlab.metrics.curves import PrecisionRecall, curve_of

if TYPE_CHECKING:
    import pandas


class DetectionResult(Mapping[str, float]):
    """The numbers by name, as `DetectionMetrics.compute` gives them.

    AP is average precision, the mean over classes and thresholds of IoU; AP50 and AP75 are those at one threshold. AR1,
    AR10 and AR100 are average recall: the share of objects found with so many detections for each image and class, the
    mean over classes and thresholds. The letters s, m, l stand for small, medium and large objects.

    A number is NaN where there is nothing to find, no large object for instance. pycocotools writes -1 there.
    """

    def __init__(
        self,
        outcomes: Outcomes,
        classes: Mapping[int, str | int],
        thresholds: np.ndarray,
        areas: Sequence[str],
        limits: Sequence[int],
    ) -> None:
        self._outcomes, self._classes = outcomes, classes
        self._thresholds, self._limits = thresholds, limits
        labels = np.array(list(classes), dtype=np.int64)
        self._slices = _slices(outcomes.detections.label, labels)
        self._objects = _count(outcomes, labels)  # (K, A)
        self._precision = self._average_precisions()  # (K, A, T)
        self._recall = self._recalls()  # (K, A, T, M)
        self._numbers = self._name(areas)

    def _average_precisions(self) -> np.ndarray:
        """Compute the average precision (K, A, T) of each class, range of area and threshold."""
        outcome, objects = self._outcomes.outcome, self._objects
        found = np.empty((len(objects), *outcome.shape[:2]))
        for k, a, t in np.ndindex(found.shape):
            found[k, a, t] = area_under(outcome[a, t, self._slices[k]], int(objects[k, a]))
        return found

    def _recalls(self) -> np.ndarray:
        """Compute the recall (K, A, T, M) of the M best detections for each image and class."""
        hit = self._outcomes.outcome == HIT
        found = np.empty((len(self._objects), *hit.shape[:2], len(self._limits)))
        for k, own in enumerate(self._slices):
            for m, limit in enumerate(self._limits):
                found[k, :, :, m] = hit[:, :, own][:, :, self._outcomes.place[own] < limit].sum(2)
        objects = self._objects[:, :, None, None].astype(float)
        return found / np.where(objects == 0, np.nan, objects)

    def _at(self, iou: float) -> int | None:
        """Find a threshold."""
        near = np.flatnonzero(np.isclose(self._thresholds, iou, rtol=0, atol=1e-9))
        return int(near[0]) if len(near) else None

    def _name(self, areas: Sequence[str]) -> dict[str, float]:
        """Average over classes and thresholds."""
        numbers = {"AP": _mean(self._precision[:, 0])}
        for name, iou in (("AP50", 0.5), ("AP75", 0.75)):
            if (t := self._at(iou)) is not None:
                numbers[name] = _mean(self._precision[:, 0, t])
        numbers |= {f"AP{area}": _mean(self._precision[:, a]) for a, area in enumerate(areas, 1)}
        numbers |= {f"AR{limit}": _mean(self._recall[:, 0, :, m]) for m, limit in enumerate(self._limits)}
        return numbers | {f"AR{area}": _mean(self._recall[:, a, :, -1]) for a, area in enumerate(areas, 1)}

    def __getitem__(self, key: str) -> float:
        return self._numbers[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._numbers)

    def __len__(self) -> int:
        return len(self._numbers)

    @property
    def per_class(self) -> pandas.DataFrame:
        """A table with a row for each class, by name or else by label, with the number of objects, AP, AP50 and AR100.

        Crowds are not counted. AP50 is left out where 0.5 is not among the thresholds; AR100 is named by the largest
        number of detections.
        """
        import pandas

        columns: dict[str, np.ndarray] = {"objects": self._objects[:, 0], "AP": self._precision[:, 0].mean(1)}
        if (t := self._at(0.5)) is not None:
            columns["AP50"] = self._precision[:, 0, t]
        columns[f"AR{self._limits[-1]}"] = self._recall[:, 0, :, -1].mean(1)
        return pandas.DataFrame(columns, index=pandas.Index(list(self._classes.values()), name="class"))

    def curve(self, label: int | str | None = None, iou: float = 0.5) -> PrecisionRecall:
        """Give precision and recall after each detection, objects of all sizes.

        Args:
            label: A label, or the name of a class; None for the detections of all classes in one list.
            iou: One of the thresholds.

        Returns:
            The curve; detections that do not count, those of crowds, are left out.

        Raises:
            InputError: The class or the threshold is not among those evaluated.

        Notes:
            AP is the mean of the classes' averages, not the average precision of the curve of all classes.
        """
        op = "DetectionResult.curve"
        t = self._at(iou)
        if t is None:
            text = ", ".join(f"{v:g}" for v in self._thresholds)
            raise _check.InputError(f"{op}: iou must be one of {text}, got {iou!r}")
        outcome, scores = self._outcomes.outcome[0, t], self._outcomes.detections.score
        if label is None:
            order = np.argsort(-scores, kind="stable")
            outcome, scores, objects = outcome[order], scores[order], self._objects[:, 0].sum()
        else:
            k = self._index(op, label)
            outcome, scores, objects = outcome[self._slices[k]], scores[self._slices[k]], self._objects[k, 0]
        counted = outcome != IGNORED
        return curve_of(scores[counted], outcome[counted] == HIT, int(objects))

    def _index(self, op: str, label: int | str) -> int:
        for k, names in enumerate(self._classes.items()):
            if label in names:
                return k
        known = ", ".join(str(name) for name in self._classes.values())
        raise _check.InputError(f"{op}: label must be one of {known or 'no classes'}, got {label!r}")

    def __repr__(self) -> str:
        return f"DetectionResult({', '.join(f'{name}={number(value)}' for name, value in self.items())})"

    def __str__(self) -> str:
        return "\n\n".join(as_text(rows) for rows in self._tables())

    def _repr_html_(self) -> str:
        return "".join(as_html(rows) for rows in self._tables())

    def _tables(self) -> list[list[list[str]]]:
        """Lay out precision and recall, each as a row of names and a row of numbers."""
        tables = []
        for kind in ("AP", "AR"):
            names = [name for name in self if name.startswith(kind)]
            tables.append([names, [number(self[name]) for name in names]])
        return tables


def _mean(values: np.ndarray) -> float:
    """Average what is defined; NaN where nothing is."""
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if defined.size else float("nan")


def _slices(sorted_labels: np.ndarray, labels: np.ndarray) -> list[slice]:
    """Find where each class stands."""
    ends = zip(np.searchsorted(sorted_labels, labels), np.searchsorted(sorted_labels, labels, "right"), strict=True)
    return [slice(int(a), int(b)) for a, b in ends]


def _count(outcomes: Outcomes, labels: np.ndarray) -> np.ndarray:
    """Count the objects (K, A) to be found; labels rise."""
    counts = np.zeros((len(labels), outcomes.counted.shape[1]), np.int64)
    np.add.at(counts, np.searchsorted(labels, outcomes.objects.label), outcomes.counted)
    return counts
