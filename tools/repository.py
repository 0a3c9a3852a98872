"""Set the repository's address everywhere: `python -m tools.repository https://github.com/OWNER/NAME`.

The address stands in `cvlab/_repository.py`; pages, badges, configuration and the Colab cells repeat it.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from cvlab._repository import URL

ROOT = Path(__file__).resolve().parent.parent
FORM = re.compile(r"https://github\.com/([A-Za-z0-9-]+)/([A-Za-z0-9._-]+?)(?:\.git)?/?")


def owner_and_name(url: str) -> tuple[str, str]:
    """Split an address, or say what form it must have."""
    match = FORM.fullmatch(url)
    if match is None:
        raise ValueError(f"repository: the address must be https://github.com/OWNER/NAME, got {url!r}")
    return match.group(1), match.group(2)


def replaced(text: str, old: str, new: str) -> str:
    """Put the new address in the place of the old one: the repository's, and its pages'."""
    (old_owner, old_name), (owner, name) = owner_and_name(old), owner_and_name(new)
    text = re.sub(rf"(?<![\w-]){re.escape(f'{old_owner}/{old_name}')}(?![\w-])", f"{owner}/{name}", text)
    return text.replace(f"{old_owner}.github.io/{old_name}", f"{owner}.github.io/{name}")


def tracked_files() -> list[Path]:
    """List the tracked files of the project."""
    try:
        done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        raise ValueError("repository: git must be installed, and the project a clone: git lists the files") from None
    return [ROOT / name for name in done.stdout.split("\0") if name]


def main(url: str) -> None:
    """Rewrite every tracked text file in which the address stands."""
    new = "https://github.com/" + "/".join(owner_and_name(url))
    for path in tracked_files():
        try:
            text = path.read_text(encoding="utf-8")
        except (UnicodeDecodeError, FileNotFoundError):
            continue
        if (changed := replaced(text, URL, new)) != text:
            path.write_text(changed, encoding="utf-8")
            print(f"changed {path.relative_to(ROOT)}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    try:
        main(sys.argv[1])
    except ValueError as error:
        sys.exit(str(error))
