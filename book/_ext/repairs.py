"""What the theme gets wrong for screen readers, as patterns and replacements on the built pages."""

from __future__ import annotations

import re


def _name_the_arrow(match: re.Match[str]) -> str:
    words = re.sub("<[^>]+>", "", match[2])
    return f'{match[1]}{match[2]}{match[3]} aria-label="Pages under {words}">'


REPAIRS = [
    # a button's name must contain the text that is seen on it
    (re.compile(r'(<button class="btn search-button-field[^>]*?) title="Search" aria-label="Search"'), r"\1"),
    (re.compile(r'(<i class="theme-switch [^>]*?) title="[^"]*"'), r'\1 aria-hidden="true"'),
    # the arrow that opens a part of the contents needs a name
    (
        re.compile(
            r'(<a class="(?:current )?reference internal" href="[^"]*">)((?:(?!</a>).)*)(</a><details[^>]*><summary)>',
            re.S,
        ),
        _name_the_arrow,
    ),
    # the fold of a hidden cell is named by the words on it
    (re.compile(r'<summary aria-label="Toggle hidden content">'), "<summary>"),
    # the bibliography calls itself a list, but its entries are no list items
    (re.compile(r'<div role="list" class="citation-list">'), '<div class="citation-list">'),
]


def repaired(page: str) -> str:
    """Apply every repair to a page; a repaired page stays as it is."""
    for pattern, replacement in REPAIRS:
        page = pattern.sub(replacement, page)
    return page
