"""A detector's training: its loss curves, and what it said of a picture at moments on the way."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from cvlab import _check
from cvlab._check import InputError
from cvlab.interactive.detections import as_prediction, as_target, names_of, same_length
from cvlab.interactive.figure import StaticFigure
from cvlab.interactive.state import as_picture

QUESTION = "What does the network know after 50 steps, and what does it learn last?"
MOST_POINTS, MOST_CURVES, MOST_SNAPSHOTS, MOST_BOXES, MOST_IMAGES = 200, 4, 30, 40, 2
_NO_LOSS = ("step", "epoch", "seconds", "grad_norm")
RATE = "learning_rate"

Steps = list[tuple[int, dict[str, float]]]


def training(
    history: Any,
    snapshots: Sequence[Mapping[str, Any]],
    images: Any,
    targets: Any,
    names: Sequence[str] | None = None,
    *,
    score_threshold: float = 0.3,
    question: str = QUESTION,
) -> StaticFigure:
    """Make a training to go through: loss curves, and the predictions of the network as it was at each snapshot.

    Args:
        history: a `cvlab.engine.History`, or for each step (step, {term: value}) with rising steps and the same 1 to 4
            terms, each at least 0; beside them there may be the `learning_rate`.
        snapshots: 1 to 30 moments, by rising step: dictionaries with `step`; `predictions`, for each picture `boxes`
            (N, 4), xyxy in its pixels, `scores` (N,) and `labels` (N,), after suppression; perhaps `ap50` in [0, 1].
        images: a picture, (3, H, W) tensor, float in [0, 1] or uint8, or (H, W, 3) array; or a list of one or two.
        targets: for each the objects: a dictionary with `boxes` (M, 4) and `labels` (M,), or a list of them.
        names: the classes' names: `names[label]`, so the first one is the background's.
        score_threshold: at first, predictions with a lower score are not shown, in [0, 1].
        question: what the figure asks its reader.

    Returns:
        The figure, for the last line of a notebook cell.

    Raises:
        InputError: for a history without steps, losses below 0 or not finite, steps that do not rise, boxes of another
            shape, and lists that are not for as many pictures.

    Notes:
        A curve has at most 200 points. Each is the mean over a few steps, over more of them the later it is. A
        prediction is right if it finds an object of its class, with an IoU of at least 0.5, that no better one found.
        Of each picture the 40 best predictions of a snapshot go into the page.

    Example:
        >>> import torch
        >>> box, one = torch.tensor([[20.0, 20.0, 60.0, 60.0]]), torch.tensor([1])
        >>> found = {"boxes": box + 2, "scores": torch.tensor([0.9]), "labels": one}
        >>> history = [(step, {"loss": 5 / step}) for step in range(1, 101)]
        >>> moments = [{"step": 100, "predictions": [found], "ap50": 0.4}]
        >>> training(history, moments, torch.zeros(3, 64, 64), {"boxes": box, "labels": one})
        <interactive figure: training>
    """
    op = "training"
    pictures, truths = _listed(images), _listed(targets)
    same_length(op, len(pictures), 1, MOST_IMAGES, targets=truths)
    _check.fraction(op, "score_threshold", score_threshold)
    steps, terms, rate = _thinned(_steps(history))
    moments = _snapshots(snapshots, len(pictures))
    objects = [as_target(op, f"target {i}", target) for i, target in enumerate(truths)]
    labels = [p["labels"] for moment in moments for p in moment["predictions"]] + [o["labels"] for o in objects]
    state = {
        "question": question,
        "pictures": [as_picture(op, image) for image in pictures],
        "truths": objects,
        "names": names_of(op, names, *labels),
        "steps": steps,
        "terms": terms,
        "rate": rate,
        "snapshots": moments,
        "score_threshold": float(score_threshold),
    }
    alt = (
        f"The loss of a training over {steps[-1]} steps, and a slider over {len(moments)} moments of it. For each the "
        f"network's predictions are drawn over {'a picture' if len(pictures) == 1 else 'two pictures'} beside the "
        "objects that are there, and it is counted how many are right."
    )
    return StaticFigure(op, alt, **state)


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _steps(history: Any) -> Steps:
    """Read the rows of a `History` or pairs, and check that each has the terms of the first, finite and at least 0."""
    if hasattr(history, "steps"):
        rows = [(row["step"], {k: v for k, v in row.items() if k not in _NO_LOSS}) for row in history.steps]
    else:
        rows = [_pair(i, row) for i, row in enumerate(history)]
    if not rows or not set(rows[0][1]) - {RATE}:
        raise InputError("training: history must have one step and one term of the loss or more, got none")
    if len(set(rows[0][1]) - {RATE}) > MOST_CURVES:
        raise InputError(f"training: history must have at most {MOST_CURVES} terms, got {sorted(rows[0][1])}")
    for step, values in rows:
        if set(values) != set(rows[0][1]):
            raise InputError(f"training: step {step} must have the terms {sorted(rows[0][1])}, got {sorted(values)}")
        for name, value in values.items():
            _check.positive("training", f"{name} at step {step}", [value], zero=True)
    _rising("history", [step for step, _ in rows])
    return rows


def _pair(i: int, row: Any) -> tuple[int, dict[str, float]]:
    if not isinstance(row, Sequence) or len(row) != 2 or not isinstance(row[1], Mapping):
        raise InputError(f"training: history[{i}] must be (step, {{term: value}}), got {row!r}")
    return row[0], dict(row[1])


def _rising(name: str, steps: Sequence[Any]) -> None:
    before = -1
    for i, step in enumerate(steps):
        if not hasattr(step, "__index__") or step <= before:
            raise InputError(f"training: {name}[{i}] must have a whole step above {before}, got {step!r}")
        before = step


def _thinned(rows: Steps) -> tuple[list[int], dict[str, list[float]], list[float] | None]:
    """Average over blocks of steps that grow with the step, so that the start stays sharp; to four digits."""
    count = len(rows)
    edges = list(range(count + 1))
    if count > MOST_POINTS:
        edges = sorted({count * k**2 // MOST_POINTS**2 for k in range(MOST_POINTS + 1)})
    blocks = [rows[a:b] for a, b in itertools.pairwise(edges)]
    means = {name: [_mean([values[name] for _, values in block]) for block in blocks] for name in rows[0][1]}
    rate = means.pop(RATE, None)
    return [(int(block[0][0]) + int(block[-1][0])) // 2 for block in blocks], means, rate


def _mean(values: list[float]) -> float:
    return float(f"{sum(map(float, values)) / len(values):.4g}")


def _snapshots(snapshots: Any, count: int) -> list[dict[str, Any]]:
    op = "training"
    if not hasattr(snapshots, "__len__") or not 1 <= len(snapshots) <= MOST_SNAPSHOTS:
        got = len(snapshots) if hasattr(snapshots, "__len__") else repr(snapshots)
        raise InputError(f"{op}: snapshots must be 1 to {MOST_SNAPSHOTS} moments, got {got}")
    read = []
    for i, moment in enumerate(snapshots):
        if not isinstance(moment, Mapping) or not {"step", "predictions"} <= set(moment):
            raise InputError(f"{op}: snapshots[{i}] must be a dictionary with step and predictions, got {moment!r}")
        where = f"predictions of snapshots[{i}]"
        predictions, ap50 = _listed(moment["predictions"]), moment.get("ap50")
        same_length(op, count, 1, MOST_IMAGES, **{where: predictions})
        if ap50 is not None:
            _check.fraction(op, f"ap50 of snapshots[{i}]", ap50)
        found = [as_prediction(op, f"{where} for picture {k}", p, MOST_BOXES) for k, p in enumerate(predictions)]
        read.append(
            {"step": moment["step"], "predictions": found, "ap50": None if ap50 is None else round(float(ap50), 4)}
        )
    _rising("snapshots", [moment["step"] for moment in read])
    return [{**moment, "step": int(moment["step"])} for moment in read]
