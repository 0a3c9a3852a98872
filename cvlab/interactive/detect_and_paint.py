"""The book's detector and its painter at work in the page, on still lifes and on the reader's own pictures."""

from __future__ import annotations

from typing import Any

from cvlab.interactive.figure import StaticFigure
from cvlab.interactive.page_networks import PAINT_SIDE, STYLES
from cvlab.interactive.state import as_picture

QUESTION = "How fast are a detector and a painter in your own browser?"


def detect_and_paint(image: Any, *, question: str = QUESTION) -> StaticFigure:
    """Make a place where the SSD finds fruit and the fast style network repaints, both as WebAssembly, in the page.

    The networks are files beside the built pages, which `page_networks.write_page_networks` makes; they are loaded when
    the reader asks for them, and no picture leaves the page.

    Args:
        image: what is shown at first: a (3, H, W) tensor, float in [0, 1] or uint8, or an (H, W, 3) array.
        question: what the figure asks its reader.

    Returns:
        The figure, for the last line of a notebook cell.

    Raises:
        InputError: if the image has another shape or type.

    Example:
        >>> import torch
        >>> detect_and_paint(torch.rand(3, 128, 128))
        <interactive figure: detect_and_paint>
    """
    op = "detect_and_paint"
    alt = (
        "A picture, and two buttons: one lets a detector in whole numbers find fruit in it, one lets a network repaint "
        "it in a style. Both run in the page, with the time they take. The picture can be replaced by one of your own."
    )
    return StaticFigure(op, alt, question=question, picture=as_picture(op, image), side=PAINT_SIDE, styles=list(STYLES))
