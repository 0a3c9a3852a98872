"""Chapters: text and notebook agree, everything was run, cells hold calls only, sizes are modest."""

import ast
import os
import re
from pathlib import Path

import nbformat
import pytest

from tools import notebooks

TEXTS = notebooks.texts()
ROOT = notebooks.BOOK.parent
LONGEST_DEF = 6  # lines; code that is longer belongs into the package
LARGEST = 1.5e6  # bytes
EXEMPT = {"exercise", "solution"}

each_text = pytest.mark.parametrize("text", TEXTS, ids=lambda p: p.stem)


def read(text: Path) -> nbformat.NotebookNode:
    return nbformat.read(notebooks.notebook_path(text), as_version=4)


def code_cells(text: Path) -> list[nbformat.NotebookNode]:
    return [c for c in read(text).cells if c.cell_type == "code"]


def python(cell: nbformat.NotebookNode) -> ast.Module:
    """Parse a cell, leaving out IPython's own lines."""
    lines = [re.sub(r"^(\s*)[%!].*", r"\1pass", line) for line in cell.source.splitlines()]
    return ast.parse("\n".join(lines))


def test_there_are_chapters_and_each_has_both_files():
    assert TEXTS
    assert {p.stem for p in TEXTS} == {p.stem for p in notebooks.BOOK.glob("*.ipynb")}


@each_text
def test_notebook_has_the_cells_of_its_text(text):
    ours, theirs = notebooks.cells(read(text)), notebooks.cells(notebooks.read_text(text))
    differ = [i for i, pair in enumerate(zip(ours, theirs, strict=False)) if pair[0] != pair[1]]
    assert len(ours) == len(theirs)
    assert not differ, f"cells {differ} of {text.stem} differ from book/text/{text.name}: run `make notebooks`"


@each_text
def test_every_code_cell_was_run_without_error(text):
    assert notebooks.unexecuted(read(text)) == []
    errors = [o.ename for c in code_cells(text) for o in c.outputs if o.output_type == "error"]
    assert errors == []


@each_text
def test_cells_were_run_in_order_from_a_clean_kernel(text):
    counts = [c.execution_count for c in code_cells(text) if c.source.strip()]
    assert counts == list(range(1, len(counts) + 1))


@each_text
def test_cells_hold_calls_not_code(text):
    for index, cell in enumerate(code_cells(text)):
        if EXEMPT & set(cell.metadata.get("tags", ())):
            continue
        for node in ast.walk(python(cell)):
            assert not isinstance(node, ast.ClassDef), f"code cell {index} defines class {node.name}: put it in cvlab"
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                lines = node.end_lineno - node.lineno + 1
                assert lines <= LONGEST_DEF, f"code cell {index}: {node.name} has {lines} lines: put it in cvlab"


@each_text
def test_notebook_is_small(text):
    size = notebooks.notebook_path(text).stat().st_size
    assert size <= LARGEST, f"{text.stem}.ipynb has {size / 1e6:.2f} MB; save grids as JPEG, or show fewer"


@each_text
def test_no_output_carries_widget_state_or_warnings(text):
    notebook = read(text)
    assert "widgets" not in notebook.metadata
    for cell in code_cells(text):
        for output in cell.outputs:
            assert not (output.output_type == "stream" and output.name == "stderr"), output.text


@each_text
def test_no_svg_output(text):
    """The notebook comparison takes SVG for text, and its bytes vary: plots are PNG or JPEG."""
    kinds = {kind for c in code_cells(text) for o in c.outputs for kind in o.get("data", {})}
    assert "image/svg+xml" not in kinds


@each_text
def test_varying_cells_are_followed_by_a_robust_fact(text):
    """A cell whose output is not compared must not stand alone: the next one states what does not vary."""
    cells = code_cells(text)
    for cell, following in zip(cells, [*cells[1:], None], strict=True):
        if "nbval-ignore-output" in cell.metadata.get("tags", ()):
            assert following is not None
            assert "nbval-ignore-output" not in following.metadata.get("tags", ())
            assert following.outputs


def test_last_state_of_a_progress_bar():
    assert notebooks.last_state("10%\r50%\r100%\ndone\n") == "100%\ndone\n"


def test_unexecuted_finds_cells_that_were_never_run():
    cell = nbformat.v4.new_code_cell("1 + 1")
    assert notebooks.unexecuted(nbformat.v4.new_notebook(cells=[cell])) == [0]


def test_offline_cuts_the_network_and_keeps_loopback():
    import subprocess
    import sys

    if subprocess.call(["unshare", "--map-root-user", "--net", "true"], stderr=subprocess.DEVNULL):
        reason = "this system lets no user make a network namespace"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    code = (
        "import socket\n"
        "server = socket.create_server(('127.0.0.1', 0)); socket.create_connection(server.getsockname())\n"
        "try:\n    socket.create_connection(('192.0.2.1', 80), timeout=5)\n"
        "except OSError as e:\n    print('cut')"
    )
    command = [sys.executable, str(ROOT / "tools" / "offline.py"), sys.executable, "-c", code]
    assert subprocess.check_output(command, text=True).strip() == "cut"
