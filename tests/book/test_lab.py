"""JupyterLab itself: a reader opens the chapter, runs all of it, and drags a figure."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.lab]

ROOT = Path(__file__).resolve().parents[2]
CHAPTER = ROOT / "book" / "boxes.ipynb"
START = 120  # seconds that the server may take
RUN = 300_000  # milliseconds that all cells of the chapter may take
SETTINGS = {
    "notebook-extension/tracker": {"windowingMode": "none"},  # cells out of sight stay in the page
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},  # no question at the start
}
# Does a condition on the prompts of the code cells hold, with an idle kernel, ten times in a row? While the notebook
# loads, and between two cells, the kernel looks idle for a moment.
QUIET = """([wanted, count]) => {
  const prompts = [...document.querySelectorAll(".jp-CodeCell .jp-InputPrompt")].map((prompt) => prompt.textContent);
  const kernel = document.querySelector(".jp-Toolbar-kernelName")?.textContent ?? "";
  const idle = document.querySelector(".jp-Notebook-ExecutionIndicator")?.dataset.status === "idle";
  const conditions = {
    loaded: true,
    empty: !prompts.some((prompt) => /[0-9*]/.test(prompt)),
    run: prompts.some((prompt) => /[0-9]/.test(prompt)) && !prompts.some((prompt) => prompt.includes("*")),
  };
  const quiet = prompts.length === count && kernel.includes("Python") && idle && conditions[wanted];
  window.quietLooks = quiet ? (window.quietLooks ?? 0) + 1 : 0;
  return window.quietLooks >= 10;
}"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A folder of its own for JupyterLab, with a copy of the chapter in `notebooks` and settings in `config`."""
    if not CHAPTER.exists():
        _absent(f"the chapter {CHAPTER.relative_to(ROOT)} is not there")
    home = tmp_path_factory.mktemp("lab")
    (home / "notebooks").mkdir()
    shutil.copy(CHAPTER, home / "notebooks")
    for name, values in SETTINGS.items():
        path = home / "config" / "lab" / "user-settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values))
    return home


def _absent(reason: str) -> None:
    """Skip with `reason`; in CI, where nothing may be missing, fail."""
    pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)


@pytest.fixture(scope="module")
def lab(folder) -> Iterator[str]:
    """The address of a JupyterLab on this machine, without the settings and notebooks of this account."""
    if importlib.util.find_spec("jupyterlab") is None:
        _absent("JupyterLab is not installed (extra `lab`)")
    port = _free_port()
    command = [
        *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}"),
        *("--ServerApp.port_retries=0", "--IdentityProvider.token=", f"--ServerApp.root_dir={folder / 'notebooks'}"),
        *("--LabApp.news_url=None", "--LabApp.extension_manager=readonly", "--ServerApp.terminals_enabled=False"),
    ]
    own = {f"JUPYTER_{kind}_DIR": str(folder / kind.lower()) for kind in ("CONFIG", "DATA", "RUNTIME")}
    own["IPYTHONDIR"] = str(folder / "ipython")
    own["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    log = folder / "log.txt"
    with log.open("w") as output:
        server = subprocess.Popen(command, env={**os.environ, **own}, stdout=output, stderr=output, cwd=folder)
    try:
        address = f"http://127.0.0.1:{port}"
        _wait_until_ready(f"{address}/api/status", server, log)
        yield address
    finally:
        server.terminate()  # it ends its kernels first
        try:
            server.wait(30)
        except subprocess.TimeoutExpired:
            server.kill()


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def _wait_until_ready(address: str, server: subprocess.Popen, log: Path) -> None:
    """Ask until the server answers; fail with its log where it ends or takes too long."""
    end = time.monotonic() + START
    while time.monotonic() < end and server.poll() is None:
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    pytest.fail(f"JupyterLab did not start:\n{log.read_text()[-3000:]}")


@pytest.fixture(scope="module")
def session(lab, browser) -> Iterator[SimpleNamespace]:
    """The chapter in JupyterLab after Run > Run All Cells: its page, what the page asked for and what failed in it."""
    page = browser.new_page(viewport={"width": 1300, "height": 1000})
    asked, errors = set(), []
    page.on("request", lambda request: asked.add(request.url))
    page.on("websocket", lambda socket: asked.add(socket.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.set_default_timeout(60_000)
    page.goto(f"{lab}/lab/tree/{CHAPTER.name}")
    wait_until(page, "loaded")
    choose(page, "Edit", "Clear Outputs of All Cells")
    wait_until(page, "empty")
    choose(page, "Run", "Run All Cells")
    wait_until(page, "run")
    yield SimpleNamespace(page=page, asked=asked, errors=errors)
    page.close()


def wait_until(page, wanted: str) -> None:
    """Wait until the notebook is loaded, empty of outputs, or run, and the kernel has nothing more to do."""
    count = sum(cell["cell_type"] == "code" for cell in json.loads(CHAPTER.read_text(encoding="utf-8"))["cells"])
    page.evaluate("() => { window.quietLooks = 0; }")
    page.wait_for_function(QUIET, arg=[wanted, count], timeout=RUN, polling=150)


def choose(page, menu: str, entry: str) -> None:
    """Choose an entry of JupyterLab's menu bar."""
    page.get_by_role("menuitem", name=menu, exact=True).click()
    page.locator(".lm-Menu-itemLabel").get_by_text(entry, exact=True).click()  # its role's name has the shortcut in it


def code_cells(path: Path) -> list[dict]:
    """The code cells of a notebook that hold any code."""
    return [
        c for c in json.loads(path.read_text(encoding="utf-8"))["cells"] if c["cell_type"] == "code" and c["source"]
    ]


def test_all_cells_run_without_an_error(session, folder):
    saved = folder / "notebooks" / CHAPTER.name
    before = saved.stat().st_mtime_ns
    with session.page.expect_response(lambda r: "/api/contents/" in r.url and r.request.method == "PUT"):
        choose(session.page, "File", "Save Notebook")
    assert saved.stat().st_mtime_ns != before
    cells = code_cells(saved)
    failed = [
        f"{''.join(cell['source'])[:200]}\n-> {output['ename']}: {output['evalue']}"
        for cell in cells
        for output in cell["outputs"]
        if output["output_type"] == "error" and "raises-exception" not in cell["metadata"].get("tags", [])
    ]
    assert not failed, "\n\n".join(failed)
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(code_cells(CHAPTER)) + 1))


def test_every_interactive_figure_stands(session):
    figures = session.page.locator(".cvlab-figure")
    assert figures.count() == sum("cvlab-figure" in json.dumps(cell["outputs"]) for cell in code_cells(CHAPTER))
    for i in range(figures.count()):
        figure = figures.nth(i)
        assert json.loads(figure.get_attribute("data-values") or "null"), figure.get_attribute("id")
        assert figure.locator("figure").first.get_attribute("aria-label")


def test_a_figure_follows_the_mouse(session):
    figure = session.page.locator(".cvlab-figure[id^='cvlab-iou']").first
    body = figure.locator(".grip.body").last  # the one in front
    body.scroll_into_view_if_needed()
    before = json.loads(figure.get_attribute("data-values"))
    box = body.bounding_box()
    mouse, x, y = session.page.mouse, box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    mouse.move(x, y)
    mouse.down()
    mouse.move(x + 25, y + 15, steps=5)
    mouse.up()
    after = json.loads(figure.get_attribute("data-values"))
    moved = [name for name in ("a", "b") if after[name] != before[name]]
    assert len(moved) == 1, f"from {before} to {after}"


def test_nothing_came_from_another_host_and_no_script_failed(session, lab):
    own = (f"{lab}/", f"{lab.replace('http', 'ws', 1)}/", "data:", "blob:")
    assert not [url for url in session.asked if not url.startswith(own)]
    assert not session.errors
