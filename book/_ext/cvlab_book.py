"""Sphinx glue for the book: vendored JavaScript, alt texts of plots, and repairs of what the theme produces."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from repairs import repaired
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

from cvlab.interactive.page_networks import write_page_networks

ROOT = Path(__file__).resolve().parents[2]
VENDORED = {"mathjax/es5/tex-svg.js": "vendor/tex-svg.js"}


def carry_alt_texts(app: Sphinx, docname: str, source: list[str]) -> None:
    """Take the text that `plot.show` wrote beside a picture to where MyST-NB looks for it: the cell's metadata."""
    if not app.env.doc2path(docname).endswith(".ipynb"):
        return
    notebook = json.loads(source[0])
    for cell in notebook["cells"]:
        for output in cell.get("outputs", []):
            for kind in ("image/jpeg", "image/png"):
                if alt := output.get("metadata", {}).get(kind, {}).get("alt"):
                    cell["metadata"].setdefault("mystnb", {}).setdefault("image", {})["alt"] = alt
    source[0] = json.dumps(notebook)


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


def finish_pages(app: Sphinx, error: Exception | None) -> None:
    """Add the installed third-party JavaScript and the networks that run in the pages, and repair names for readers."""
    if error is not None or app.builder.format != "html":
        return
    for source, target in VENDORED.items():
        path = ROOT / "node_modules" / source
        if not path.exists():
            raise ExtensionError(f"node_modules/{source} is missing: run `make book`, which installs it")
        destination = Path(app.outdir) / "_static" / target
        destination.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, destination)
    write_page_networks(Path(app.outdir) / "_static" / "wasm")
    for page in Path(app.outdir).rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        if (new := repaired(text)) != text:
            page.write_text(new, encoding="utf-8")


def setup(app: Sphinx) -> dict:
    """Connect the steps."""
    app.connect("source-read", carry_alt_texts)
    app.connect("html-page-context", drop_repeated_scripts, priority=900)
    app.connect("build-finished", finish_pages)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
