"""Which colour a mark has: by its role, by its class, or as told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.colors import is_color_like, to_rgb

from cvlab._palette import OKABE_ITO, ROLES
from cvlab.plot.inputs import per_item

INK = "#1F2328"
# Those that no role has come first, so that a picture with few classes cannot be misread.
CLASS_COLORS = [
    OKABE_ITO[name] for name in ("blue", "reddish purple", "yellow", "vermilion", "sky blue", "bluish green", "orange")
]

Color = str | Mapping[Any, Any] | Sequence[Any] | None


def resolve(color: Color, labels: list | None, count: int, default: str, operation: str) -> list:
    """Choose a matplotlib colour for each of `count` items.

    Args:
        color: A role ("truth", "prediction", "anchor", "ignored", "reader"); "class" for one colour for each label;
            a mapping from label to role or colour; any matplotlib colour; or a sequence of these, one for each item.
        labels: The items' labels, or None. Without labels, "class" gives each item a colour of its own.
        count: The number of items.
        default: What `color=None` stands for.
        operation: The caller's name, for messages.

    Returns:
        A list of `count` colours.

    Raises:
        ValueError: If a colour is unknown or missing.
    """
    color = default if color is None else color
    keys = labels if labels is not None else list(range(1, count + 1))
    if isinstance(color, Mapping):
        missing = [key for key in keys if key not in color]
        if missing:
            raise ValueError(f"{operation}: color must map every label to a colour, got none for label {missing[0]!r}")
        return [_one(color[key], operation) for key in keys]
    if isinstance(color, str) and color == "class":
        return class_colors(keys)
    if isinstance(color, str) or is_color_like(color):
        return [_one(color, operation)] * count
    return [_one(c, operation) for c in per_item(color, count, "color", operation) or []]


def class_colors(labels: Sequence[int | str]) -> list[str]:
    """Give every label a colour: numbers by their value, from 1; texts in the order in which they first appear."""
    order = {label: i for i, label in enumerate(dict.fromkeys(labels))}
    index = [order[label] if isinstance(label, str) else int(label) - 1 for label in labels]
    return [CLASS_COLORS[i % len(CLASS_COLORS)] for i in index]


def _one(color: Any, operation: str) -> Any:
    if isinstance(color, str) and color in ROLES:
        return ROLES[color]
    if not is_color_like(color):
        raise ValueError(
            f"{operation}: color must be one of {[*ROLES, 'class']}, a mapping or a matplotlib colour, got {color!r}"
        )
    return color


def luminance(color: Any) -> float:
    """Compute the relative luminance of a colour, 0 for black to 1 for white.

    References:
        Web Content Accessibility Guidelines 2.2, "relative luminance".
    """
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(color))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def text_on(color: Any) -> str:
    """Choose the ink, dark or white, that has more contrast on a background of this colour.

    Example:
        >>> text_on("#0072B2"), text_on("#E69F00")
        ('#FFFFFF', '#1F2328')
    """
    light, dark = luminance(color) + 0.05, luminance(INK) + 0.05
    return "#FFFFFF" if 1.05 / light > light / dark else INK
