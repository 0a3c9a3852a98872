"""Listings: the code that is shown is the code that runs."""

from __future__ import annotations

import ast
import functools
import inspect
import re

import pytest

import cvlab
from cvlab import _repository, _source, source
from cvlab._source import BACKGROUND, COLORS, shorten
from cvlab.plot.colors import luminance, text_on


def sample(x):
    """Double a number.

    Args:
        x: Any number.
    """
    text = "<b> & 'quoted'"  # a comment
    return 2 * x, text


class Shape:
    """A shape.

    More about it.
    """

    def area(self):
        """Measure it.

        In pixels.
        """
        return 1


@functools.lru_cache
def cached():
    """Be remembered."""
    return 1


def bare():
    """Do nothing at all."""


def test_the_default_keeps_the_first_line_of_the_docstring_and_all_code():
    assert repr(source(sample)) == (
        'def sample(x):\n    """Double a number."""\n    text = "<b> & \'quoted\'"  # a comment\n    return 2 * x, text'
    )


def test_doc_true_is_the_source_itself():
    assert repr(source(sample, doc=True)) == inspect.getsource(sample).rstrip("\n")


def test_doc_false_leaves_docstrings_out():
    assert '"""' not in repr(source(Shape, doc=False))
    assert repr(source(bare, doc=False)) == "def bare():\n    ..."


def test_methods_of_classes_are_cut_too():
    code = repr(source(Shape))
    assert code.splitlines() == [
        "class Shape:",
        '    """A shape."""',
        "",
        "    def area(self):",
        '        """Measure it."""',
        "        return 1",
    ]
    assert repr(source(Shape.area)).startswith("def area(self):")


@pytest.mark.parametrize("doc", [False, "summary", True])
@pytest.mark.parametrize("obj", [cvlab.profile, _source.shorten, _source.Listing, cvlab.plot.boxes, cvlab.plot.grid])
def test_what_is_shown_is_the_same_program(obj, doc):
    def without_docstrings(code: str) -> str:
        return ast.dump(ast.parse(shorten(code, False)))

    assert without_docstrings(repr(source(obj, doc=doc))) == without_docstrings(inspect.getsource(obj))


def test_decorated_functions_are_found():
    assert "@functools.lru_cache" in repr(source(cached))


def test_several_at_once_stand_in_order():
    both = source(sample, bare)
    assert repr(both) == f"{source(sample)!r}\n\n\n{source(bare)!r}"
    assert both._repr_html_().count("<pre") == 2
    assert both._repr_html_().count("<style>") == 1


def test_the_page_names_the_object_and_links_to_its_lines():
    html = source(cvlab.profile)._repr_html_()
    first = inspect.getsourcelines(cvlab.profile)[1]
    last = first + len(inspect.getsource(cvlab.profile).splitlines()) - 1
    assert "cvlab._profile.profile" in html
    assert f'href="{_repository.URL}/blob/main/cvlab/_profile.py#L{first}-L{last}"' in html
    assert f">cvlab/_profile.py:{first}</a>" in html
    assert "#L" not in repr(source(cvlab.profile))


def test_files_in_packages_have_their_whole_path():
    assert ">cvlab/plot/marks.py:" in source(cvlab.plot.boxes)._repr_html_()


def test_code_from_elsewhere_has_no_link():
    assert "<a " not in source(sample)._repr_html_()


def test_the_code_is_escaped_and_complete_in_the_page():
    html = source(sample, doc=True)._repr_html_()
    assert "<b>" not in html
    text = re.sub(r"<[^>]+>", "", re.search(r"<pre[^>]*>(.*)</pre>", html, re.DOTALL)[1])
    for entity, sign in (("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&#39;", "'"), ("&amp;", "&")):
        text = text.replace(entity, sign)
    assert text == repr(source(sample, doc=True))


def test_a_long_listing_can_be_scrolled_by_keyboard():
    assert re.search(r'<pre tabindex="0" role="region" aria-label="Source of [^"]+">', source(sample)._repr_html_())


@pytest.mark.parametrize("page", ["light", "dark"])
@pytest.mark.parametrize("name", list(COLORS))
def test_every_colour_can_be_read(name, page):
    column = ["light", "dark"].index(page)
    levels = sorted(luminance(c) + 0.05 for c in (COLORS[name][column + 1], BACKGROUND[column]))
    assert levels[1] / levels[0] >= 4.5


def test_every_coloured_token_has_a_rule():
    html = source(_source.Listing, _source.shorten, text_on, doc=True)._repr_html_()
    used = set(re.findall(r'<span class="(\w+)">', html))
    known = {name for classes, *_ in COLORS.values() for name in re.findall(r"\w+", classes)}
    assert used <= known


@pytest.mark.parametrize(
    "obj", [3, len, "text", None, cvlab, _source, sample.__code__, functools.partial(sample, 1), Shape(), [sample]]
)
def test_what_has_no_source_is_refused(obj):
    with pytest.raises(TypeError, match="source: expected a function or class written in Python, got"):
        source(obj)


def test_a_piece_of_an_expression_is_refused():
    table = {
        "double": lambda x: 2 * x,
    }
    with pytest.raises(TypeError, match="source: expected a function or class written in Python, got"):
        source(table["double"])


def test_nothing_is_refused():
    with pytest.raises(TypeError, match="source: expected at least one function or class, got none"):
        source()


def test_an_unknown_length_of_docstring_is_refused():
    with pytest.raises(ValueError, match="source: doc must be 'summary', True or False, got 'short'"):
        source(sample, doc="short")
