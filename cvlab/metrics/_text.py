"""Small tables as text and as HTML."""

from __future__ import annotations

import html
from collections.abc import Sequence

_STYLE = "padding: 0.2em 0.8em; text-align: right"


def number(value: float) -> str:
    """Write a share with three digits, and a dash for one that is not defined."""
    return "-" if value != value else f"{value:.3f}"


def as_text(rows: Sequence[Sequence[str]]) -> str:
    """Align the first column left and the others right."""
    widths = [max(len(row[c]) for row in rows) for c in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.rjust(w) if c else cell.ljust(w) for c, (cell, w) in enumerate(zip(row, widths, strict=True)))
        for row in rows
    )


def as_html(rows: Sequence[Sequence[str]]) -> str:
    """Make a table whose first row holds the heads."""
    lines = [
        "<tr>" + "".join(f'<{tag} style="{_STYLE}">{html.escape(cell)}</{tag}>' for cell in row) + "</tr>"
        for row, tag in zip(rows, ["th", *["td"] * (len(rows) - 1)], strict=True)
    ]
    return f"<table>{''.join(lines)}</table>"
