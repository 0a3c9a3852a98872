"""An interactive figure as a Python object: one `<div>`, one inline script, no server and no widget manager.

A figure NAME is two files here: `NAME.py` checks the reader's data and makes the state, `NAME.js` shows it. All figures
share `common.js` and `common.css`, to which `NAME.css` adds where there is one. The script is a module, so nothing it
names is seen by the page around it, and it draws inside a shadow root, so neither do the page's styles reach the figure
nor the figure's styles the page.
"""

from __future__ import annotations

import hashlib
import html
import json
import re
from functools import cache
from pathlib import Path

from cvlab._palette import ROLES

_FOLDER = Path(__file__).parent
_SHARED = re.compile(r'^import [^;]*from "\./(\w+)\.js";$', flags=re.MULTILINE)
_IMPORT = re.compile(r"^import [^;]*;\n", flags=re.MULTILINE)
_HOW_TO_RUN = (
    "This figure is interactive: it moves in the book's pages and in a notebook that is trusted or was just run."
)


class StaticFigure:
    """An interactive figure that needs no kernel: its HTML carries its data and its behaviour.

    Args:
        name: the figure's kind; its behaviour is the file `NAME.js` beside this one, which defines
            `mount(root, state, publish)`.
        alt: one or two sentences that say what the figure shows, read where no script runs.
        **state: what the figure starts from; anything that `json.dumps` takes, NaN and infinity excepted.

    Raises:
        ValueError: if there is no such figure, `alt` is empty, or the state holds NaN or infinity.

    Example:
        >>> figure = StaticFigure("quiz", "A quiz without questions.", questions=[])
        >>> figure
        <interactive figure: quiz>
        >>> figure._repr_html_() == figure._repr_html_()
        True
    """

    def __init__(self, name: str, alt: str, **state: object) -> None:
        if not (_FOLDER / f"{name}.js").exists():
            raise ValueError(f"StaticFigure: no figure is called {name!r}")
        if not alt.strip():
            raise ValueError(f"StaticFigure: {name} needs an alternative text, got {alt!r}")
        self.name = name
        self.alt = alt
        self.state = {**state, "alt": alt, "colours": ROLES}
        self._json = _embeddable(self.state)

    def __repr__(self) -> str:
        return f"<interactive figure: {self.name}>"

    @property
    def id(self) -> str:
        """The element's id, a hash of script and state, so the same figure always has the same id."""
        digest = hashlib.sha256((_script(self.name) + self._json).encode()).hexdigest()
        return f"cvlab-{self.name}-{digest[:12]}"

    def _repr_html_(self) -> str:
        fallback = f"<p>{html.escape(self.alt)}</p><p><em>{_HOW_TO_RUN}</em></p>"
        script = f'{_script(self.name)}\nstart("{self.id}", mount, {self._json});'
        return f'<div id="{self.id}" class="cvlab-figure">{fallback}</div>\n<script type="module">\n{script}\n</script>'


def _text(part: str) -> str:
    return (_FOLDER / f"{part}.js").read_text(encoding="utf-8")


@cache
def _script(name: str) -> str:
    """Join the shared script, the styles and the figure's own script into one module."""
    common, own = (_text(part) for part in ("common", name))
    shared = "".join(_IMPORT.sub("", _text(part)) + "\n" for part in _SHARED.findall(own) if part != "common")
    styles = [_FOLDER / "common.css", _FOLDER / f"{name}.css"]
    style = "".join(path.read_text(encoding="utf-8") for path in styles if path.exists())
    script = f"const STYLE = {_embeddable(style)};\n{common}\n{shared}{_IMPORT.sub('', own)}"
    return script.replace("\nexport ", "\n")


def _embeddable(value: object) -> str:
    """Write `value` as JSON that is safe inside a script element: `</script` and `<!--` cannot occur in it."""
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except ValueError as error:
        raise ValueError(f"StaticFigure: the state must hold finite numbers only ({error})") from error
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
