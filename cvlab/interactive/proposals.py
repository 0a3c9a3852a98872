"""Proposals over a picture, best first: how many of them are needed until each object is found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cvlab import _check
from cvlab._check import InputError
from cvlab.interactive.figure import StaticFigure
from cvlab.interactive.state import as_boxes, as_fractions, as_names, as_picture

QUESTION = "How many proposals does it take until every object is found?"
MOST_PROPOSALS = 500


def proposals(
    image: Any,
    boxes: Any,
    scores: Any,
    truth: Any,
    *,
    other: Mapping[str, Any] | None = None,
    titles: Sequence[str] = ("the network", "the other"),
    names: Sequence[str] | None = None,
    count: int = 50,
    iou_threshold: float = 0.5,
    question: str = QUESTION,
) -> StaticFigure:
    """Make an explorer of proposals: show the best of them, and which objects they find.

    Args:
        image: a (3, H, W) tensor, float in [0, 1] or uint8, or an (H, W, 3) array.
        boxes: (P, 4) proposals, xyxy in pixels of the image; P = 0 is fine.
        scores: (P,) their objectness in [0, 1]; None for proposals that have none and come best first.
        truth: the objects' (G, 4) boxes; G = 0 is fine.
        other: proposals of another kind to compare with, such as those of a network before its training or of selective
            search: `boxes`, and `scores` where they have some.
        titles: what the proposals and the others are called.
        names: the objects' G names.
        count: how many proposals are shown at first.
        iou_threshold: at first, an object is found by a proposal from this IoU on, in [0.5, 0.9].
        question: what the figure asks its reader.

    Returns:
        The figure, for the last line of a notebook cell.

    Raises:
        InputError: for boxes of another shape, NaN, x2 < x1, scores, names or titles of another number, and numbers out
            of range.

    Notes:
        The recall is that of `cvlab.metrics.proposal_recall`. Of each kind the 500 best proposals go into the page,
        boxes rounded to a tenth of a pixel and scores to three decimals.

    Example:
        >>> proposals([[0.0] * 64] * 64, [[8, 8, 40, 40], [9, 20, 60, 60]], [0.9, 0.4], [[10, 20, 58, 62]])
        <interactive figure: proposals>
    """
    op = "proposals"
    _check.number(op, "iou_threshold", iou_threshold)
    if not 0.5 <= iou_threshold <= 0.9:
        raise InputError(f"{op}: iou_threshold must lie in [0.5, 0.9], got {iou_threshold!r}")
    _check.positive(op, "(count,)", (count,))
    if other is not None and (not isinstance(other, Mapping) or "boxes" not in other):
        got = sorted(map(str, other)) if isinstance(other, Mapping) else type(other).__name__
        raise InputError(f"{op}: other must be a dictionary with boxes, and scores if there are any, got {got}")
    words = as_names(op, "titles", titles, 2, "proposals")
    sets = [{"title": words[0], **_best(boxes, scores)}]
    if other is not None:
        sets.append({"title": words[1], **_best(other["boxes"], other.get("scores"), "other ")})
    objects = as_boxes(op, "truth", truth)
    numbers = " and ".join(f"{len(one['boxes'])} proposals of {one['title']}" for one in sets)
    alt = (
        f"A picture with {len(objects)} objects and {numbers}, best first. Sliders choose how many are shown; objects "
        "that one of them overlaps enough are marked as found, and the recall is drawn against the number of proposals."
    )
    return StaticFigure(
        op,
        alt,
        question=question,
        picture=as_picture(op, image),
        sets=sets,
        truths=objects,
        names=as_names(op, "names", names, len(objects), "object"),
        count=int(count),
        iou_threshold=float(iou_threshold),
    )


def _best(boxes: Any, scores: Any, which: str = "") -> dict[str, Any]:
    """Return the best proposals as lists, best first; of equal scores the first stays first."""
    corners = as_boxes("proposals", f"{which}boxes", boxes)
    values = None if scores is None else as_fractions("proposals", f"{which}scores", scores, len(corners))
    order = sorted(range(len(corners)), key=lambda i: 0.0 if values is None else -values[i])[:MOST_PROPOSALS]
    return {
        "boxes": [[round(side, 1) for side in corners[i]] for i in order],
        "scores": None if values is None else [round(values[i], 3) for i in order],
    }
