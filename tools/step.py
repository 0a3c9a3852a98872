"""Run one step of CI and say how long it took: `python tools/step.py NAME COMMAND ...`."""

from __future__ import annotations

import subprocess
import sys
import time

name, *command = sys.argv[1:]
print(f"--- {name}", flush=True)
start = time.monotonic()
status = subprocess.call(command)
print(f"--- {name}: {'ok' if status == 0 else 'FAILED'}, {time.monotonic() - start:.0f} s", flush=True)
sys.exit(status)
