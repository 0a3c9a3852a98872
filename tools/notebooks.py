"""Keep `book/NAME.ipynb` in step with `book/text/NAME.md`: `python -m tools.notebooks [--all]`.

People edit the text; this makes the notebook from it, runs it from a clean kernel, and writes it with its outputs.
A notebook whose cells (type, source, tags) equal its text's is left alone, unless --all is given or it has no outputs.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient

BOOK = Path(__file__).resolve().parent.parent / "book"
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
SECONDS_PER_CELL = 120


def texts() -> list[Path]:
    """List the chapters' sources."""
    return sorted((BOOK / "text").glob("*.md"))


def notebook_path(text: Path) -> Path:
    """Give the notebook that belongs to a text."""
    return BOOK / f"{text.stem}.ipynb"


def cells(notebook: nbformat.NotebookNode) -> list[tuple[str, str, tuple[str, ...]]]:
    """Reduce a notebook to what its text decides: type, source and tags of each cell."""
    return [(c.cell_type, c.source, tuple(c.metadata.get("tags", ()))) for c in notebook.cells]


def read_text(text: Path) -> nbformat.NotebookNode:
    """Read a chapter's text as a notebook without outputs, with cell ids that depend only on the position."""
    notebook = jupytext.read(text, fmt="md:myst")
    for index, cell in enumerate(notebook.cells):
        cell.id = f"cell-{index:03d}"
        cell.metadata = {k: v for k, v in cell.metadata.items() if k in ("tags", "mystnb")}
    notebook.metadata = nbformat.from_dict({"kernelspec": KERNEL, "language_info": {"name": "python"}})
    return notebook


def is_current(text: Path) -> bool:
    """Tell whether the committed notebook has the text's cells, all of them executed."""
    path = notebook_path(text)
    if not path.exists():
        return False
    notebook = nbformat.read(path, as_version=4)
    return cells(notebook) == cells(read_text(text)) and not unexecuted(notebook)


def unexecuted(notebook: nbformat.NotebookNode) -> list[int]:
    """List the code cells that were never run; nbval would compare nothing there and pass."""
    return [
        i for i, c in enumerate(notebook.cells) if c.cell_type == "code" and c.source.strip() and not c.execution_count
    ]


def execute(notebook: nbformat.NotebookNode) -> None:
    """Run a notebook in place from a clean kernel, in the book's folder, and tidy its outputs."""
    client = NotebookClient(
        notebook,
        timeout=SECONDS_PER_CELL,
        kernel_name="python3",
        record_timing=False,
        coalesce_streams=True,
        resources={"metadata": {"path": str(BOOK)}},
    )
    client.execute()
    notebook.metadata = nbformat.from_dict({"kernelspec": KERNEL, "language_info": {"name": "python"}})
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if output.output_type == "stream":
                output.text = last_state(output.text)


def last_state(stream: str) -> str:
    """Keep what a terminal would show in the end: of each line only what follows its last carriage return."""
    return "\n".join(line.rstrip("\r").rsplit("\r", 1)[-1] for line in stream.split("\n"))


def main() -> None:
    """Execute what changed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--all", action="store_true", help="execute every chapter, changed or not")
    everything = parser.parse_args().all
    for text in texts():
        if is_current(text) and not everything:
            print(f"{text.stem}: nothing to do")
            continue
        notebook = read_text(text)
        start = time.monotonic()
        execute(notebook)
        nbformat.write(notebook, notebook_path(text))
        size = notebook_path(text).stat().st_size / 1e6
        print(f"{text.stem}: executed in {time.monotonic() - start:.0f} s, {size:.2f} MB")


if __name__ == "__main__":
    main()
