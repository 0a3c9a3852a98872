"""The repository's address is the same everywhere, and one command changes it everywhere."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from cvlab._repository import URL
from tools import repository
from tools.repository import owner_and_name, replaced

ROOT = Path(__file__).resolve().parents[3]
OWNER, NAME = owner_and_name(URL)


def test_configuration_names_the_address():
    config = yaml.safe_load((ROOT / "_config.yml").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert config["repository"]["url"] == URL
    assert config["html"]["baseurl"] == f"https://{OWNER}.github.io/{NAME}/"
    assert project["urls"]["Repository"] == URL


def test_readme_badges_name_the_address():
    readme = (ROOT / "README.md").read_text()
    assert f"{URL}/actions" in readme
    assert f"colab.research.google.com/github/{OWNER}/{NAME}/" in readme
    assert f"mybinder.org/v2/gh/{OWNER}/{NAME}/" in readme


@pytest.mark.parametrize("path", sorted((ROOT / "book" / "text").glob("*.md")), ids=lambda p: p.stem)
def test_colab_cells_install_from_the_address(path):
    notebook = json.loads((ROOT / "book" / f"{path.stem}.ipynb").read_text())
    first = next("".join(c["source"]) for c in notebook["cells"] if c["cell_type"] == "code")
    assert f"git+{URL}" in first
    assert f"git+{URL}" in path.read_text()


def test_no_other_address_of_this_kind_stands_anywhere():
    """Any github.com address that ends in our name must be ours: a leftover of a move would show here."""
    pattern = re.compile(rf"github\.com/([\w-]+)/{re.escape(NAME)}\b")
    paths = [ROOT / n for n in ("README.md", "CONTRIBUTING.md", "_config.yml", "pyproject.toml")]
    paths += [p for folder in ("book", "cvlab", "tools") for p in (ROOT / folder).rglob("*.*")]
    for path in paths:
        if path.suffix in (".md", ".yml", ".toml", ".py", ".ipynb", ".js"):
            assert set(pattern.findall(path.read_text(encoding="utf-8"))) <= {OWNER}, path


def test_replaced_changes_every_form():
    old = f"{URL}.git {URL}/blob/main/x colab/github/{OWNER}/{NAME}/blob https://{OWNER}.github.io/{NAME}/ {NAME}-book"
    new = replaced(old, URL, "https://github.com/someone/vision")
    assert new == (
        "https://github.com/someone/vision.git https://github.com/someone/vision/blob/main/x "
        f"colab/github/someone/vision/blob https://someone.github.io/vision/ {NAME}-book"
    )


@pytest.mark.parametrize(
    "url",
    [
        "cvlab",
        "https://example.org/no-such-owner/no-such-name",
        "https://github.com/no-such-owner",
        "https://github.com/no-such-owner/no-such-name/tree",
    ],
)
def test_an_address_of_another_form_is_refused(url):
    with pytest.raises(ValueError, match="repository: the address must be https://github.com/OWNER/NAME"):
        owner_and_name(url)


def test_without_git_is_one_readable_line(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "tools.repository", "https://github.com/no-such-owner/no-such-name"],
        cwd=ROOT,
        env=os.environ | {"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert re.fullmatch(r"repository: git must be installed, and the project a clone[^\n]*\n", done.stderr)


def test_outside_of_a_clone_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(repository, "ROOT", tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(ValueError, match="repository: git must be installed, and the project a clone"):
        repository.tracked_files()
