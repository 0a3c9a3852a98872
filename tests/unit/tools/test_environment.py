"""Setting up: a wrong Python or a dead network ends in one readable line; the files agree about the environment."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tools.environment import SetupError, check_python, make_venv

ROOT = Path(__file__).resolve().parents[3]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = ["book", "lab", "test", "devices", "mcu", "coreml", "litert", "executorch"]


def all_requirements() -> list[Requirement]:
    lines = [*PROJECT["dependencies"], *(line for extra in EXTRAS for line in PROJECT["optional-dependencies"][extra])]
    return [r for r in map(Requirement, lines) if r.name != PROJECT["name"]]


def pinned() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return {canonicalize_name(n): v for n, v in (line.split("==") for line in lines if line and line[0] != "#")}


def test_old_python_is_one_readable_line():
    with pytest.raises(
        SetupError, match=r"^set-up: Python 3\.11 or newer is needed, this is 3\.9; name another [^\n]*$"
    ):
        check_python((3, 9, 2))


@pytest.mark.parametrize("version", [(3, 11, 0), (3, 12, 1), (4, 0, 0)])
def test_new_enough_python_passes(version):
    check_python(version)


def test_setup_script_is_readable_by_old_pythons():
    import ast

    ast.parse((ROOT / "tools" / "environment.py").read_text(), feature_version=(3, 6))


def test_floor_of_the_script_is_the_packages_floor():
    from tools.environment import OLDEST

    assert PROJECT["requires-python"] == ">={}.{}".format(*OLDEST)


def test_first_install_without_network_is_one_readable_line(tmp_path):
    for name in ("pyproject.toml", "constraints.txt", "package.json", "package-lock.json", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "tools", tmp_path / "tools", ignore=shutil.ignore_patterns("__pycache__"))
    nowhere = {"PIP_INDEX_URL": "http://127.0.0.1:9/", "PIP_CONFIG_FILE": os.devnull, "PIP_RETRIES": "0"}
    kept = {k: v for k, v in os.environ.items() if not k.startswith("PIP_")}
    done = subprocess.run(
        [sys.executable, "tools/environment.py"], cwd=tmp_path, env=kept | nowhere, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert re.fullmatch(
        r"set-up: pip could not install the packages \(is the network reachable\?\); what went wrong .*setup\.log\n",
        done.stderr,
    )
    assert not (tmp_path / ".venv" / "setup.stamp").exists()


def test_an_environment_without_pip_is_made_anew(tmp_path):
    """As Debian leaves one behind where python3-venv is missing."""
    venv = tmp_path / ".venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    (venv / "old").touch()
    make_venv(str(venv))
    assert subprocess.call([venv / "bin" / "python", "-m", "pip", "--version"], stdout=subprocess.DEVNULL) == 0
    assert not (venv / "old").exists()


def test_a_good_environment_is_kept(tmp_path):
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text("#!/bin/sh\nexit 0\n")
    python.chmod(0o755)
    make_venv(str(tmp_path / ".venv"))
    assert python.exists()


@pytest.mark.parametrize("status", [0, 1])
def test_a_failed_environment_is_taken_away(tmp_path, monkeypatch, status):
    """A Python that makes an environment without pip, and says so (1) or not (0)."""
    debian = tmp_path / "python3"
    debian.write_text(f'#!/bin/sh\nmkdir -p "$3/bin"\necho "ensurepip is not available"\nexit {status}\n')
    debian.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(debian))
    with pytest.raises(SetupError, match=r"^set-up: `\S+ -m venv \S+` failed; [^\n]* install python3-venv$"):
        make_venv(str(tmp_path / ".venv"))
    assert not (tmp_path / ".venv").exists()


def test_ci_and_the_tests_look_for_the_same_browsers():
    looked_for = re.search(r"command -v (.+) >/dev/null", (ROOT / ".ci" / "run").read_text())[1].split()
    listed = re.search(r"BROWSERS = \((.+)\)", (ROOT / "tests" / "book" / "conftest.py").read_text())[1]
    assert looked_for == re.findall(r'"([^"]+)"', listed)


def test_constraints_pin_every_requirement_to_a_version_it_allows():
    pins = pinned()
    for requirement in all_requirements():
        name = canonicalize_name(requirement.name)
        assert name in pins, f"constraints.txt does not pin {name}"
        assert requirement.specifier.contains(pins[name]), f"{requirement} does not allow {name}=={pins[name]}"


def test_no_upper_pins_for_importers():
    for line in PROJECT["dependencies"]:
        assert {s.operator for s in Requirement(line).specifier} <= {">="}, f"{line}: importers get floors only"


def test_environment_yml_installs_what_pyproject_asks_for():
    dependencies = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    pip = next(d["pip"] for d in dependencies if isinstance(d, dict))
    assert pip == ["-c constraints.txt", f"-e .[{','.join(EXTRAS)}]"]
    assert sorted(PROJECT["optional-dependencies"]) == sorted(EXTRAS)
    assert f"python={PROJECT['requires-python'].removeprefix('>=')}" in dependencies
