"""Show the real source of a function or class in a notebook, so that no cell has to repeat it."""

from __future__ import annotations

import ast
import html
import inspect
import re
import textwrap
from pathlib import PurePosixPath
from typing import Any

from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from cvlab._repository import BRANCH, URL

# Name: (Pygments' classes, colour on a light page, colour on a dark page). Each has a contrast of 4.5 or more.
COLORS = {
    "text": ("", "#1F2328", "#E6EDF3"),
    "muted": (".c,.c1,.cm,.ch,.cs", "#59636E", "#9198A1"),
    "keyword": (".k,.kc,.kd,.kn,.kr,.ow", "#A0261D", "#FF8E85"),
    "string": (".s,.s1,.s2,.sd,.sa,.sb,.sc,.se,.sh,.si,.sr,.ss,.dl", "#0A5F3C", "#7EE0A8"),
    "number": (".m,.mi,.mf,.mh,.mb,.mo,.kt", "#0550AE", "#79C0FF"),
    "name": (".nf,.fm,.nc,.nd,.ne", "#6B35B8", "#D2B0FF"),
    "builtin": (".nb,.bp,.vm", "#0550AE", "#79C0FF"),
}
PLAIN = re.compile(
    r'<span class="(?:n|o|p|w|nn|nv|err)">([^<]*)</span>'
)  # has the colour of the text: no mark-up needed
BACKGROUND = ("#F6F8FA", "#1B2027")
BORDER = ("#D1D9E0", "#3D444D")
# The book, JupyterLab and Colab each say in their own way that the page is dark.
DARK = 'html[data-theme="dark"],body[data-jp-theme-light="false"],html[theme="dark"]'


def source(*objects: Any, doc: bool | str = "summary") -> Source:
    """Show the source of functions and classes as it stands in the package.

    Args:
        objects: One or more functions, methods or classes written in Python.
        doc: How much of each docstring to show: "summary" for its first line, True for all of it, False for nothing.

    Returns:
        What a notebook shows as highlighted code with a link to the file; its `str` is the plain code.

    Raises:
        TypeError: If there is nothing to show, or something is not written in Python.
        ValueError: If `doc` is something else.

    Example:
        >>> from cvlab import profile
        >>> print(str(source(profile, doc=False)).splitlines()[0])
        def profile() -> str:
    """
    if not objects:
        raise TypeError("source: expected at least one function or class, got none")
    if doc not in (True, False, "summary"):
        raise ValueError(f"source: doc must be 'summary', True or False, got {doc!r}")
    return Source([Listing(obj, doc) for obj in objects])


class Listing:
    """The code of one function or class, and where it stands."""

    def __init__(self, obj: Any, doc: bool | str) -> None:
        obj = inspect.unwrap(obj) if callable(obj) else obj
        try:
            lines, self.line = inspect.getsourcelines(obj)
            self.name = f"{obj.__module__}.{obj.__qualname__}"  # which modules, frames and the like have not
            self.code = shorten(textwrap.dedent("".join(lines)).rstrip("\n"), doc)
        except (TypeError, OSError, AttributeError, SyntaxError):
            raise TypeError(f"source: expected a function or class written in Python, got {obj!r}") from None
        self.last = self.line + len(lines) - 1
        self.file = _file(obj)

    @property
    def link(self) -> str:
        """The address of these lines in the repository; empty for code from elsewhere."""
        return f"{URL}/blob/{BRANCH}/{self.file}#L{self.line}-L{self.last}" if self.file else ""

    def html(self) -> str:
        """Write the header and the highlighted code."""
        name = html.escape(self.name)
        place = f'<a href="{html.escape(self.link)}">{self.file}:{self.line}</a>' if self.file else ""
        code = highlight(self.code, PythonLexer(), HtmlFormatter(nowrap=True)).rstrip("\n")
        code = PLAIN.sub(r"\1", code)
        return (
            f'<div class="cvlab-source-head"><code>{name}</code>{place}</div>'
            f'<pre tabindex="0" role="region" aria-label="Source of {name}">{code}</pre>'
        )


class Source:
    """Code to show: highlighted on a page, plain elsewhere."""

    def __init__(self, listings: list[Listing]) -> None:
        self.listings = listings

    def __repr__(self) -> str:
        return "\n\n\n".join(listing.code for listing in self.listings)

    def _repr_html_(self) -> str:
        body = "".join(listing.html() for listing in self.listings)
        return f'<style>{stylesheet()}</style><div class="cvlab-source">{body}</div>'


def shorten(code: str, doc: bool | str) -> str:
    """Cut every docstring in `code` to its first line ("summary") or away (False); True leaves the code as it is."""
    if doc is True:
        return code
    lines = code.splitlines()
    for node in reversed(_documented(ast.parse(code))):  # from the end, so that line numbers before it stay right
        string = node.body[0]
        first, after = string.lineno - 1, string.end_lineno
        summary = ast.get_docstring(node).splitlines()[0] if doc and ast.get_docstring(node) else ""
        indent = lines[first][: string.col_offset]
        keep = [f'{indent}"""{summary}"""'] if summary else []
        if not keep and len(node.body) == 1:
            keep = [f"{indent}..."]  # a body must not be empty
        if not (keep and isinstance(node, ast.ClassDef)):  # the code follows at once, but in a class after a blank line
            while after < len(lines) and not lines[after].strip():
                after += 1
        lines[first:after] = keep
    return "\n".join(lines)


def _documented(tree: ast.Module) -> list[ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]:
    """Find the functions and classes that have a docstring, in the order of their lines."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    found = [node for node in ast.walk(tree) if isinstance(node, kinds) and ast.get_docstring(node) is not None]
    return sorted(found, key=lambda node: node.body[0].lineno)


def _file(obj: Any) -> str:
    """Find the file of `obj` in the repository, such as cvlab/ops/boxes.py; empty for code from elsewhere."""
    module = inspect.getmodule(obj)
    if module is None or module.__name__.split(".")[0] != "cvlab" or not module.__file__:
        return ""
    parts = PurePosixPath(module.__file__.replace("\\", "/")).parts
    start = len(parts) - len(module.__name__.split(".")) - (parts[-1] == "__init__.py")
    return "/".join(parts[start:])


def stylesheet() -> str:
    """Write the style of all listings: the same text each time, so that a page with many stays consistent."""
    roles = {name: (light, dark) for name, (_, light, dark) in COLORS.items()}
    roles |= {"background": BACKGROUND, "border": BORDER}
    light, dark = (";".join(f"--{name}:{pair[i]}" for name, pair in roles.items()) for i in (0, 1))
    tokens = "".join(
        f".cvlab-source :is({classes}){{color:var(--{name})}}" for name, (classes, *_) in COLORS.items() if classes
    )
    return (
        f".cvlab-source{{{light};border:1px solid var(--border);border-radius:6px;overflow:hidden;margin:.5em 0;"
        "background:var(--background)}"
        f":is({DARK}) .cvlab-source{{{dark}}}"
        ".cvlab-source-head{display:flex;flex-wrap:wrap;gap:.2em 1em;justify-content:space-between;padding:.35em .8em;"
        "font-size:.85em;border-bottom:1px solid var(--border)}"
        ".cvlab-source .cvlab-source-head code{background:none;border:0;padding:0;color:var(--text);font-weight:600;"
        "font-size:1em;overflow-wrap:anywhere}"
        ".cvlab-source .cvlab-source-head a{color:var(--number);text-decoration:underline;overflow-wrap:anywhere}"
        ".cvlab-source pre+.cvlab-source-head{border-top:1px solid var(--border)}"
        ".cvlab-source pre{margin:0;padding:.7em .8em;border:0;border-radius:0;box-shadow:none;overflow-x:auto;"
        "background:var(--background);color:var(--text);font-size:.85em;line-height:1.45;white-space:pre}"
        f"{tokens}"
    )
