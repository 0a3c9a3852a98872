"""Make `.venv` and install the project into it: `python3 tools/environment.py`.

Only the standard library, and a syntax that old Pythons still read, so that a newcomer with the wrong Python
gets one readable line and not a traceback.
"""

import hashlib
import os
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
OLDEST = (3, 11)
EXTRAS = "book,lab,test,devices,mcu,coreml,litert,executorch"
INPUTS = ("pyproject.toml", "constraints.txt", "package.json", "package-lock.json")


class SetupError(Exception):
    """A set-up step that failed, with the one line that the newcomer needs."""


def check_python(version):
    """Refuse a Python that is too old; `version` is like `sys.version_info`."""
    if tuple(version[:2]) < OLDEST:
        raise SetupError(
            "set-up: Python %d.%d or newer is needed, this is %d.%d; name another with: make book PYTHON=python3.12"
            % (OLDEST + tuple(version[:2]))
        )


def run(command, failure, log):
    """Run a command, its output into `log`; raise SetupError with `failure` if it does not succeed."""
    with open(log, "a", encoding="utf-8") as out:
        status = subprocess.call(command, cwd=ROOT, stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
    if status:
        raise SetupError("set-up: %s; what went wrong stands at the end of %s" % (failure, os.path.relpath(log, ROOT)))


def wanted_state():
    """Give the hash of all files that decide what is installed."""
    digest = hashlib.sha256(sys.version.encode())
    for name in INPUTS:
        with open(os.path.join(ROOT, name), "rb") as file:
            digest.update(file.read())
    return digest.hexdigest()


def succeeds(command):
    """Run a command silently and tell whether it succeeded."""
    try:
        return subprocess.call(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) == 0
    except OSError:  # there is no such program
        return False


def make_venv(venv):
    """Make the virtual environment, unless there is one with a working pip; leave no half-made one behind."""
    has_pip = [os.path.join(venv, "bin", "python"), "-m", "pip", "--version"]
    if succeeds(has_pip):
        return
    shutil.rmtree(venv, ignore_errors=True)
    if not (succeeds([sys.executable, "-m", "venv", venv]) and succeeds(has_pip)):
        shutil.rmtree(venv, ignore_errors=True)
        raise SetupError(
            "set-up: `%s -m venv %s` failed; on Debian and Ubuntu install python3-venv"
            % (sys.executable, os.path.relpath(venv))
        )


def install(venv):
    """Make the environment: Python packages at the known-good versions, then the JavaScript of the pages."""
    log = os.path.join(venv, "setup.log")
    make_venv(venv)
    python = os.path.join(venv, "bin", "python")
    print("set-up: installing into %s (torch alone is about 5 GB on Linux: a few minutes) ..." % os.path.relpath(venv))
    sys.stdout.flush()
    run(
        [python, "-m", "pip", "install", "--no-input", "-c", "constraints.txt", "-e", ".[%s]" % EXTRAS],
        "pip could not install the packages (is the network reachable?)",
        log,
    )
    run(
        [python, os.path.join("tools", "javascript.py")],
        "npm could not install MathJax (is the network reachable?)",
        log,
    )


def main(venv):
    """Install unless the environment is already what the project's files ask for."""
    check_python(sys.version_info)
    stamp = os.path.join(venv, "setup.stamp")
    state = wanted_state()
    if os.path.exists(stamp):
        with open(stamp) as file:
            if file.read() == state:
                return
    install(venv)
    with open(stamp, "w") as file:
        file.write(state)


if __name__ == "__main__":
    try:
        main(os.path.join(ROOT, ".venv"))
    except SetupError as error:
        sys.exit(str(error))
