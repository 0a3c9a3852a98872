"""Small labels on boxes that stay inside the picture and off one another."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.text import Text
from matplotlib.transforms import Bbox, IdentityTransform

from cvlab.plot.colors import text_on

PAD = 0.25  # of the font size, between the text and the edge of its label


class Tag(Text):
    """A label of a box, placed when it is drawn, so that it fits at every size and resolution.

    It goes where it first fits: on top of the box, in its upper corner, below it, in its lower corner, each time at
    the left and then at the right. What would leave the picture is pushed back in; a label that an earlier one
    would hide takes the next place. With `centred` it lies on the middle of the box.
    """

    def __init__(
        self, text: str, box: tuple[float, float, float, float], color: Any, size: float, centred: bool
    ) -> None:
        super().__init__(
            0, 0, text, color=text_on(color), fontsize=size, va="bottom", transform=IdentityTransform(), zorder=5
        )  # the identity: its position is in pixels of the canvas, not in data
        self.set_bbox({"boxstyle": f"square,pad={PAD}", "facecolor": color, "edgecolor": "none"})
        self.set_in_layout(False)  # it never leaves the Axes, so a tight layout need not ask for it
        self.box, self.centred = box, centred
        self.placed: Bbox | None = None

    def draw(self, renderer: Any) -> None:
        """Find the place, then draw there."""
        if self.axes is None or not self.get_visible():
            return
        self.set_position((0, 0))
        size = super().get_window_extent(renderer)
        pad = PAD * renderer.points_to_pixels(self.get_fontsize())
        self.placed = self._place(size.width + 2 * pad, size.height + 2 * pad)
        self.set_position((self.placed.x0 + pad, self.placed.y0 + pad))
        super().draw(renderer)

    def _place(self, width: float, height: float) -> Bbox:
        """Choose the first place, in pixels of the canvas, that no earlier label of these Axes takes."""
        x1, y1, x2, y2 = self.box
        corners = Bbox(self.axes.transData.transform([(x1, y2), (x2, y1)]))  # y grows upwards on the canvas
        left, bottom, right, top = corners.x0, corners.y0, corners.x1, corners.y1
        heights = (top, top - height, bottom - height, bottom)
        places = [(x, y) for y in heights for x in (left, right - width)]
        if self.centred:
            places.insert(0, ((left + right - width) / 2, (bottom + top - height) / 2))
        inside = [_push_in(Bbox.from_bounds(x, y, width, height), self.axes.bbox) for x, y in places]
        taken = [tag.placed for tag in _earlier(self) if tag.placed is not None]
        return next((p for p in inside if not any(p.overlaps(t) for t in taken)), inside[0])


def _push_in(label: Bbox, frame: Bbox) -> Bbox:
    """Move `label` by the least amount that puts it inside `frame`; its left and top win where it is too large."""
    x = max(min(label.x0, frame.x1 - label.width), frame.x0)
    y = min(max(label.y0, frame.y0), frame.y1 - label.height)
    return Bbox.from_bounds(x, y, label.width, label.height)


def _earlier(tag: Tag) -> list[Tag]:
    texts = list(tag.axes.texts)
    return [other for other in texts[: texts.index(tag)] if isinstance(other, Tag)]


def add_tag(
    ax: Axes, text: str, box: tuple[float, float, float, float], color: Any, size: float, *, centred: bool = False
) -> Tag:
    """Add a label for `box` to `ax`."""
    tag = Tag(text, box, color, size, centred)
    ax.add_artist(tag)
    return tag
