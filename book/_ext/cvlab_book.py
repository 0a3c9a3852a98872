"""Sphinx glue for the book: vendored JavaScript, alt texts of plots, and a repair of what the theme produces."""

from __future__ import annotations

import shutil
from pathlib import Path

from docutils import nodes
from myst_nb.core.render import MimeData, NbElementRenderer
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

ROOT = Path(__file__).resolve().parents[2]
VENDORED = {"mathjax/es5/tex-svg.js": "vendor/tex-svg.js"}


def drop_repeated_scripts(app: Sphinx, pagename: str, template: str, context: dict, doctree: object) -> None:
    """Keep the first of equal script tags: the theme adds some twice, and the second one fails in the browser."""
    seen: set[tuple] = set()
    kept = []
    for script in context.get("script_files", []):
        key = (str(script.filename or ""), tuple(sorted((k, str(v)) for k, v in script.attributes.items())))
        if key not in seen:
            seen.add(key)
            kept.append(script)
    context["script_files"][:] = kept


def copy_vendored(app: Sphinx, error: Exception | None) -> None:
    """Copy the installed third-party JavaScript into the built pages' `_static`."""
    if error is not None or app.builder.format != "html":
        return
    for source, target in VENDORED.items():
        path = ROOT / "node_modules" / source
        if not path.exists():
            raise ExtensionError(f"node_modules/{source} is missing: run `make book`, which installs it")
        destination = Path(app.outdir) / "_static" / target
        destination.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, destination)


def carry_alt_texts() -> None:
    """Let myst-nb take an image's alt text from the output's metadata, where `plot.show` puts it.

    myst-nb itself takes only width and height from there, and alt from the cell, whose source would then hold prose.
    """
    render_image = NbElementRenderer.render_image

    def with_alt(self: NbElementRenderer, data: MimeData) -> list[nodes.Element]:
        images = render_image(self, data)
        alt = data.output_metadata.get(data.mime_type, {}).get("alt")
        for image in images if alt else ():
            image["alt"] = alt
        return images

    NbElementRenderer.render_image = with_alt


def setup(app: Sphinx) -> dict:
    """Connect the repairs and the copy."""
    carry_alt_texts()
    app.connect("html-page-context", drop_repeated_scripts, priority=900)
    app.connect("build-finished", copy_vendored)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
