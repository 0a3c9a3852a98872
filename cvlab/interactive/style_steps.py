"""A picture that is being optimised: how it looks after some steps, and the losses on the way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cvlab import _check
from cvlab._check import InputError
from cvlab.interactive.figure import StaticFigure
from cvlab.interactive.grids import as_whole
from cvlab.interactive.state import as_picture

QUESTION = "When is the style there, and what does it cost the content?"
MOST_SNAPSHOTS, MOST_STEPS, MOST_TERMS = 30, 500, 4


def style_steps(
    snapshots: Sequence[tuple[int, Any]],
    history: Sequence[Mapping[str, float]],
    *,
    terms: Sequence[str] = ("content", "style", "tv"),
    snapshot: int = 0,
    question: str = QUESTION,
) -> StaticFigure:
    """Make a slider over the snapshots of an optimised picture, with a marker that moves along the losses' curves.

    Args:
        snapshots: 2 to 30 pairs of a step and the picture after it, by rising step; all pictures of one size, (3, H, W)
            tensors, float in [0, 1] or uint8, or (H, W, 3) arrays. `StyleResult.snapshots` is such a list.
        history: 2 to 500 steps, as `StyleResult.history`: dictionaries with `step`, rising, and each of the terms, at
            least 0.
        terms: which losses are drawn, 1 to 4.
        snapshot: the place of the snapshot shown at first.
        question: what the figure asks its reader.

    Returns:
        The figure, for the last line of a notebook cell.

    Raises:
        InputError: for pictures of several sizes, steps that do not rise, a term that a step does not have, losses
            below 0 or not finite, and a snapshot that does not exist.

    Notes:
        Losses are on a logarithmic scale over four powers of ten at most; what is below is drawn at its end.

    Example:
        >>> import torch
        >>> pictures = [(step, torch.full((3, 32, 32), step / 10)) for step in (0, 5, 10)]
        >>> losses = [{"step": step, "content": 0.1 * step, "style": 1 / step} for step in range(1, 11)]
        >>> style_steps(pictures, losses, terms=["content", "style"])
        <interactive figure: style_steps>
    """
    op = "style_steps"
    as_whole(op, "the number of snapshots", len(snapshots), 2, MOST_SNAPSHOTS)
    as_whole(op, "the number of terms", len(terms), 1, MOST_TERMS)
    as_whole(op, "the number of steps in history", len(history), 2, MOST_STEPS)
    pictures = same_size(op, [picture for _, picture in snapshots])
    curves = {term: [_loss(i, row, term) for i, row in enumerate(history)] for term in terms}
    steps = _rising("history", [row.get("step") for row in history])
    moments = _rising("snapshots", [step for step, _ in snapshots])
    alt = (
        f"A picture at {len(moments)} moments of an optimisation of {steps[-1]} steps, chosen by a slider, and the "
        f"curves of its losses, {', '.join(terms)}, with a marker at that moment."
    )
    return StaticFigure(
        op,
        alt,
        question=question,
        pictures=[{"step": step, **picture} for step, picture in zip(moments, pictures, strict=True)],
        steps=steps,
        terms=curves,
        snapshot=as_whole(op, "snapshot", snapshot, 0, len(snapshots) - 1),
    )


def same_size(op: str, images: Sequence[Any]) -> list[dict[str, Any]]:
    """Return images as `as_picture` does, after a check that they have one size."""
    pictures = [as_picture(op, image) for image in images]
    sizes = sorted({(one["height"], one["width"]) for one in pictures})
    if len(sizes) > 1:
        raise InputError(f"{op}: all pictures must have the same height and width, got {sizes}")
    return pictures


def _loss(i: int, row: Mapping[str, float], term: str) -> float:
    if term not in row:
        raise InputError(f"style_steps: history[{i}] has no {term!r}, only {sorted(row)}")
    _check.positive("style_steps", f"history[{i}][{term!r}]", [row[term]], zero=True)
    return float(f"{float(row[term]):.4g}")


def _rising(name: str, steps: Sequence[Any]) -> list[int]:
    before = -1
    for i, step in enumerate(steps):
        if not hasattr(step, "__index__") or step <= before:
            raise InputError(f"style_steps: {name}[{i}] must have a whole step above {before}, got {step!r}")
        before = step
    return [int(step) for step in steps]
