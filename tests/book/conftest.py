"""The browser that the tests of the book and of its figures share."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

# The arguments keep Chromium from calling home, so that any request a test sees comes from the page.
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
BROWSERS = ("chromium", "chromium-browser", "google-chrome")  # `.ci/run` looks for the same
AXE = Path(__file__).resolve().parents[2] / "node_modules" / "axe-core" / "axe.min.js"


def _absent(reason: str) -> None:
    """Skip the test with `reason`; in CI, where nothing may be missing, fail it instead."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of a Chromium: the environment variable CVLAB_CHROMIUM, or what is installed."""
    path = os.environ.get("CVLAB_CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), None)
    if not path or not Path(path).exists():
        _absent(f"no Chromium found (install `chromium` or set CVLAB_CHROMIUM), got {path!r}")
    return str(path)


@pytest.fixture(scope="session")
def browser(chromium: str) -> Iterator:
    """One running browser for the whole session."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        _absent("the Python package playwright is not installed")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield running
        running.close()


@pytest.fixture(scope="session")
def axe_script() -> str:
    """The source of axe-core, which finds accessibility defects."""
    if not AXE.exists():
        _absent("axe-core is not installed: run `npm ci`")
    return AXE.read_text(encoding="utf-8")
